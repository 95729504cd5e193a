export { AssertionError, assert, unreachable } from './assert.ts'
export type { Brand } from './brand.ts'
export {
  base58ToBytes,
  base64urlToBytes,
  bytesToBase58,
  bytesToBase64url,
  bytesToHex,
  compareBytes,
  concatBytes,
  equalBytes,
  hexToBytes,
} from './bytes.ts'
export type { AccountId, MessageId, NodeId, PeerId, SessionId } from './ids.ts'
export {
  accountIdToKey,
  bytesToMessageId,
  bytesToNodeId,
  bytesToSessionId,
  keyToAccountId,
  keyToPeerId,
  messageIdToBytes,
  nodeIdToBytes,
  parseAccountId,
  parseMessageId,
  parseNodeId,
  parsePeerId,
  peerIdToKey,
  shortPeerId,
} from './ids.ts'
export type { Clock, Jitter, Log, LogLevel, Now, Random } from './ports.ts'
export { ByteReader } from './reader.ts'
export { Redacted } from './redacted.ts'
export type { Result } from './result.ts'
export { err, ok } from './result.ts'
export { TokenBucket } from './token-bucket.ts'
export { bytesToText, textToBytes } from './utf8.ts'
export { ByteWriter } from './writer.ts'
