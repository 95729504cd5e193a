import { assert } from './assert.ts'
import type { Brand } from './brand.ts'
import { base58ToBytes, bytesToBase58, bytesToHex, concatBytes, hexToBytes } from './bytes.ts'

/** A device: its Ed25519 public key, in libp2p's text form (`12D3KooW…`). */
export type PeerId = Brand<string, 'PeerId'>
/** A person: the account's Ed25519 public key, in the text form of did:key (`z6Mk…`). */
export type AccountId = Brand<string, 'AccountId'>
/** A node of the overlay: SHA-256 of its overlay public key, 64 hexadecimal digits: equal ids are equal texts. */
export type NodeId = Brand<string, 'NodeId'>
/** A message: 16 random bytes, 32 hexadecimal digits. */
export type MessageId = Brand<string, 'MessageId'>
/** A ratchet session: the first 16 bytes of a hash of its start, 32 hexadecimal digits. */
export type SessionId = Brand<string, 'SessionId'>

// libp2p peer id of an Ed25519 key: identity multihash (00 24) of the protobuf (08 01 12 20 + key).
const peerIdPrefix = Uint8Array.of(0x00, 0x24, 0x08, 0x01, 0x12, 0x20)
const peerIdTextPrefix = '12D3KooW'
// multicodec ed25519-pub, behind multibase `z` (base58btc), as did:key writes it.
const accountIdPrefix = Uint8Array.of(0xed, 0x01)

/** `key`: 32 bytes. Whether the key is admissible is the crypto package's question. */
export function keyToPeerId(key: Uint8Array): PeerId {
  return bytesToBase58(concatBytes(peerIdPrefix, key)) as PeerId
}

export function peerIdToKey(id: PeerId): Uint8Array {
  return (base58ToBytes(id) as Uint8Array).slice(peerIdPrefix.length)
}

/** The peer id a text spells, or undefined when it has another form or length. */
export function parsePeerId(text: string): PeerId | undefined {
  return isPrefixedKey(base58ToBytes(text), peerIdPrefix) ? (text as PeerId) : undefined
}

/** First 4 and last 4 characters after the common prefix: for display only, never for comparison. */
export function shortPeerId(id: PeerId): string {
  return `${id.slice(peerIdTextPrefix.length, peerIdTextPrefix.length + 4)}…${id.slice(-4)}`
}

export function keyToAccountId(key: Uint8Array): AccountId {
  return `z${bytesToBase58(concatBytes(accountIdPrefix, key))}` as AccountId
}

export function accountIdToKey(id: AccountId): Uint8Array {
  return (base58ToBytes(id.slice(1)) as Uint8Array).slice(accountIdPrefix.length)
}

export function parseAccountId(text: string): AccountId | undefined {
  return text.startsWith('z') && isPrefixedKey(base58ToBytes(text.slice(1)), accountIdPrefix)
    ? (text as AccountId)
    : undefined
}

export function bytesToMessageId(bytes: Uint8Array): MessageId {
  return bytesToHex(bytes) as MessageId
}

export function messageIdToBytes(id: MessageId): Uint8Array {
  return hexToBytes(id) as Uint8Array
}

export function parseMessageId(text: string): MessageId | undefined {
  return /^[0-9a-f]{32}$/.test(text) ? (text as MessageId) : undefined
}

/** `bytes`: the 32 bytes of the hash. */
export function bytesToNodeId(bytes: Uint8Array): NodeId {
  assert(bytes.length === 32, 'a node id has 32 bytes')
  return bytesToHex(bytes) as NodeId
}

export function nodeIdToBytes(id: NodeId): Uint8Array {
  return hexToBytes(id) as Uint8Array
}

export function parseNodeId(text: string): NodeId | undefined {
  return /^[0-9a-f]{64}$/.test(text) ? (text as NodeId) : undefined
}

export function bytesToSessionId(bytes: Uint8Array): SessionId {
  return bytesToHex(bytes) as SessionId
}

function isPrefixedKey(bytes: Uint8Array | undefined, prefix: Uint8Array): boolean {
  return bytes !== undefined && bytes.length === prefix.length + 32 && prefix.every((byte, i) => bytes[i] === byte)
}
