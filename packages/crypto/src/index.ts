export type { ChannelCipherOptions, ChannelDirection } from './channel-cipher.ts'
export { ChannelCipher, deriveChannelKey } from './channel-cipher.ts'
export type { PublicKeyError } from './identity.ts'
export { Identity, nodeIdOfKey, parsePublicKey } from './identity.ts'
export { createLibsodiumCrypto } from './libsodium.ts'
export type { NoiseError, NoiseKeys, NoiseOptions } from './noise/handshake.ts'
export { NoiseHandshake } from './noise/handshake.ts'
export { writeNoiseNonce } from './noise/nonce.ts'
export type { NoisePatternName } from './noise/patterns.ts'
export type { PqxdhHeader, PqxdhHeaderError } from './pqxdh/header.ts'
export {
  decodePqxdhHeader,
  encodePqxdhHeader,
  pqxdhHeaderBytes,
  pqxdhSessionId,
  pqxdhSuite,
  pqxdhVersion,
} from './pqxdh/header.ts'
export type {
  PqxdhInitiateError,
  PqxdhInitiateOptions,
  PqxdhRespondError,
  PqxdhRespondOptions,
  PqxdhStart,
  PrekeyBundle,
  PublicPrekey,
} from './pqxdh/pqxdh.ts'
export { pqxdhInitiate, pqxdhRespond } from './pqxdh/pqxdh.ts'
export type { RatchetDecrypted, RatchetDecryptOptions, RatchetError } from './ratchet/decrypt.ts'
export { ratchetDecrypt } from './ratchet/decrypt.ts'
export type { RatchetEncrypted, RatchetEncryptOptions } from './ratchet/encrypt.ts'
export { ratchetEncrypt } from './ratchet/encrypt.ts'
export type { SkippedChange } from './ratchet/memory-skipped-keys.ts'
export { MemorySkippedKeys } from './ratchet/memory-skipped-keys.ts'
export {
  ratchetMessageBytesMax,
  ratchetMessageVersion,
  ratchetOverheadBytes,
  ratchetPlaintextBytesMax,
} from './ratchet/message.ts'
export type { SessionFacts } from './ratchet/sending-session.ts'
export { chooseSendingSession, compareSessions, nextGeneration } from './ratchet/sending-session.ts'
export type {
  SkippedChain,
  SkippedEviction,
  SkippedKey,
  SkippedKeyId,
  SkippedKeys,
  SkippedLimits,
} from './ratchet/skipped.ts'
export { defaultSkippedLimits } from './ratchet/skipped.ts'
export type {
  RatchetChain,
  RatchetState,
  RatchetStateError,
  StartRatchetInitiatorOptions,
  StartRatchetResponderOptions,
} from './ratchet/state.ts'
export {
  decodeRatchetState,
  encodeRatchetState,
  ratchetStateBytesMax,
  ratchetStateVersion,
  ratchetSuite,
  startRatchetInitiator,
  startRatchetResponder,
} from './ratchet/state.ts'
export type { RecoveredSecrets, RecoveryLanguage, RecoveryWordsError } from './recovery-words.ts'
export { deriveFromEntropy, entropyToWords, wordsToEntropy } from './recovery-words.ts'
export { safetyNumber } from './safety-number.ts'
export type { OpenedSealed, OpenSealedError, SealError, SealOptions } from './sealed/sealed-message.ts'
export {
  openSealed,
  sealedContentSizeMax,
  sealedHeaderSize,
  sealedKeyId,
  sealedMessageSize,
  sealedMessageSizeMax,
  sealedMessageSuite,
  sealedMessageVersion,
  sealedPaddingSizeMin,
  sealMessage,
} from './sealed/sealed-message.ts'
export { signLabelled, verifyLabelled } from './signed.ts'
export type { Argon2Cost, Crypto, Encapsulation, KeyPair } from './suite.ts'
