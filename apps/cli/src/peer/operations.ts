import { bytesToHex, hexToBytes, type MessageId, type PeerId, parsePeerId, type Result } from '@miaou/core'
import type { UserKeyError } from '@miaou/host-node'
import { formatCircuitAddress } from '@miaou/protocol'
import type { ErrorCode, Key, OperationInput, OperationName, OperationOutput } from '@miaou/sdk'
import { MiaouError } from '@miaou/sdk/client'
import type { PeerHandle, UserKeyView } from '../peer-handle.ts'
import { diagnose } from './diagnosis.ts'
import { gossipHandlers } from './gossip-operations.ts'
import { mailboxHandlers } from './mailbox-operations.ts'
import { overlayHandlers, overlaySummary } from './overlay-operations.ts'
import { measurePings } from './pings.ts'
import { reachInfo, relayHandlers } from './reach-operations.ts'
import { findContact } from './who.ts'

type Handlers = {
  readonly [N in OperationName]: (peer: PeerHandle, input: OperationInput<N>) => Promise<OperationOutput<N>>
}

/** How long `connect` and `ping` wait unless told otherwise, ms (own choice). */
const connectTimeoutMs = 15_000
const pingTimeoutMs = 5_000

/** What each operation of the API does with a running peer: the same code behind HTTP and in process. */
const handlers: Handlers = {
  'identity.get': async (peer) => unwrap(await peer.command({ type: 'identity' })),
  'identity.rename': async (peer, { name }) => unwrap(await peer.command({ type: 'rename-self', name })),

  'contacts.list': async (peer) => unwrap(await peer.command({ type: 'contacts-list' })),
  'contacts.add': async (peer, { invite, peerId, name, note }) => {
    const named = name === undefined ? {} : { name }
    if (invite !== undefined) {
      const noted = note === undefined ? {} : { note }
      return unwrap(await peer.command({ type: 'contact-add-invite', invite, ...named, ...noted }))
    }
    if (peerId === undefined) throw new MiaouError('bad-request', { detail: 'invite or peerId' })
    if (note !== undefined) throw new MiaouError('bad-request', { detail: 'note goes with an invite' })
    return unwrap(await peer.command({ type: 'contact-add-peer', peerId: toPeerId(peerId), ...named }))
  },
  'contacts.accept': async (peer, { who }) =>
    unwrap(await peer.command({ type: 'contact-accept', account: (await findContact(peer, who)).account })),
  'contacts.block': async (peer, { who, blocked }) =>
    unwrap(await peer.command({ type: 'contact-block', account: (await findContact(peer, who)).account, blocked })),
  'contacts.verify': async (peer, { who, verified }) =>
    unwrap(await peer.command({ type: 'contact-verify', account: (await findContact(peer, who)).account, verified })),
  'contacts.trust': async (peer, { who }) =>
    unwrap(await peer.command({ type: 'contact-trust', account: (await findContact(peer, who)).account })),
  'contacts.report': async (peer, { who, reason }) => {
    const { account } = await findContact(peer, who)
    return unwrap(await peer.command({ type: 'contact-report', account, ...(reason === undefined ? {} : { reason }) }))
  },
  'contacts.rename': async (peer, { who, name }) =>
    unwrap(await peer.command({ type: 'contact-rename', account: (await findContact(peer, who)).account, name })),
  'contacts.remove': async (peer, { who }) =>
    unwrap(await peer.command({ type: 'contact-remove', account: (await findContact(peer, who)).account })),
  'contacts.safetyNumber': async (peer, { who }) =>
    unwrap(await peer.command({ type: 'safety-number', account: (await findContact(peer, who)).account })),

  'invites.create': async (peer, { uses = 1 }) =>
    unwrap(await peer.command({ type: 'invite-create', addresses: waysToHere(peer), uses })),

  'messages.send': async (peer, { to, text, key }) => {
    const { account } = await findContact(peer, to)
    return unwrap(await peer.command({ type: 'message-send', account, text, ...(key === undefined ? {} : { key }) }))
  },
  'messages.list': async (peer, { with: who, ...options }) =>
    unwrap(await peer.command({ type: 'messages-list', ...(await accountOption(peer, who)), ...options })),
  'messages.search': async (peer, { with: who, ...options }) =>
    unwrap(await peer.command({ type: 'messages-search', ...(await accountOption(peer, who)), ...options })),
  'messages.read': async (peer, { with: who, upTo }) =>
    unwrap(await peer.command({ type: 'messages-read', account: (await findContact(peer, who)).account, upTo })),
  'messages.get': async (peer, { id }) => unwrap(await peer.command({ type: 'message-get', id: id as MessageId })),
  'messages.cancel': async (peer, { id }) =>
    unwrap(await peer.command({ type: 'message-cancel', id: id as MessageId })),
  'messages.resend': async (peer, { id }) =>
    unwrap(await peer.command({ type: 'message-resend', id: id as MessageId })),
  'typing.send': async (peer, { to, typing }) =>
    unwrap(await peer.command({ type: 'typing', account: (await findContact(peer, to)).account, typing })),

  'settings.get': async (peer) => unwrap(await peer.command({ type: 'settings-get' })),
  'settings.set': async (peer, settings) => unwrap(await peer.command({ type: 'settings-set', settings })),

  'network.info': async (peer) => {
    const stats = unwrap(await peer.command({ type: 'stats' }))
    const info = peer.network.info()
    const counters = { ...info.counters }
    for (const [reason, count] of Object.entries(stats.dropped)) counters[reason] = (counters[reason] ?? 0) + count
    const { peerId, addresses, natType, connectedPeers, uptimeMs, webrtc, discoverable } = info
    return {
      ...{ peerId, addresses, natType, connectedPeers, uptimeMs, webrtc, discoverable, counters },
      queuedMessages: stats.queued,
      overlay: overlaySummary(peer),
      ...(await reachInfo(info)),
    }
  },
  'network.peers': async (peer) => peer.network.peers(),
  'network.connect': async (peer, { target, timeoutMs = connectTimeoutMs }) => {
    const isAddress = /^(wss?:\/\/|circuit:)/i.test(target)
    return unwrap(await peer.network.connect(isAddress ? target : toPeerId(target), timeoutMs))
  },
  'network.upgraded': async (peer, { peerId, timeoutMs = connectTimeoutMs }) => ({
    upgraded: await peer.network.upgraded(toPeerId(peerId), timeoutMs),
  }),
  'network.disconnect': async (peer, { peerId }) => {
    peer.network.disconnect(toPeerId(peerId))
    return { disconnected: true }
  },
  'network.ping': (peer, { peerId, count = 1, timeoutMs = pingTimeoutMs }) =>
    measurePings(peer, toPeerId(peerId), count, timeoutMs),
  'network.diagnostics': (peer, { part, peer: peerId }) =>
    diagnose(peer, part, peerId === undefined ? undefined : toPeerId(peerId)),

  ...relayHandlers,
  ...mailboxHandlers,
  ...overlayHandlers,
  ...gossipHandlers,

  'keys.list': async (peer) => unwrapKey(peer.keys.list()).map(toKey),
  'keys.generate': async (peer, { kind, keyId }) => toKey(unwrapKey(peer.keys.generate(kind, keyId))),
  'keys.remove': async (peer, { keyId }) => {
    unwrapKey(peer.keys.remove(keyId))
    return { removed: true }
  },
  'keys.exportSecret': async (peer, { keyId }) => ({
    keyId,
    secret: bytesToHex(unwrapKey(peer.keys.exportSecret(keyId))),
  }),
  'keys.sign': async (peer, { keyId, message }) => ({
    keyId,
    signature: bytesToHex(unwrapKey(peer.keys.sign(keyId, fromHex(message)))),
  }),
  'keys.verify': async (peer, { publicKey, message, signature }) => ({
    valid: unwrapKey(peer.keys.verify(fromHex(publicKey), fromHex(message), fromHex(signature))),
  }),
  'keys.aeadEncrypt': async (peer, { key, nonce, ad, plaintext }) => ({
    ciphertext: bytesToHex(
      unwrapKey(peer.keys.aeadEncrypt(toKeyArgument(key), fromHex(nonce), fromHex(ad), fromHex(plaintext))),
    ),
  }),
  'keys.aeadDecrypt': async (peer, { key, nonce, ad, ciphertext }) => ({
    plaintext: bytesToHex(
      unwrapKey(peer.keys.aeadDecrypt(toKeyArgument(key), fromHex(nonce), fromHex(ad), fromHex(ciphertext))),
    ),
  }),
}

/** Does one operation. `input` passed its schema. Rejects with `MiaouError` for what a person or a peer did. */
export function perform<N extends OperationName>(
  peer: PeerHandle,
  name: N,
  input: OperationInput<N>,
): Promise<OperationOutput<N>> {
  const handler: Handlers[N] = handlers[name]
  return handler(peer, input)
}

async function accountOption(peer: PeerHandle, who: string | undefined) {
  return who === undefined ? {} : { account: (await findContact(peer, who)).account }
}

function unwrap<T>(result: Result<T, { readonly type: ErrorCode }>): T {
  if (result.ok) return result.value
  const { type, ...facts } = result.error
  throw new MiaouError(type, facts)
}

/** Errors of a person's own keys; where a link has the same word for something else, the API has another. */
const keyErrorCodes: Readonly<Record<UserKeyError['type'], ErrorCode>> = {
  'unknown-key': 'unknown-key',
  'wrong-kind': 'wrong-kind',
  'key-exists': 'key-exists',
  'bad-key-id': 'bad-key-id',
  'too-many-keys': 'too-many-keys',
  'bad-size': 'bad-size',
  undecryptable: 'wrong-key-or-data',
  keyring: 'keyring-failed',
}

function unwrapKey<T>(result: Result<T, UserKeyError>): T {
  if (result.ok) return result.value
  const { type, ...facts } = result.error
  throw new MiaouError(keyErrorCodes[type], facts)
}

/** What an invite names: ways through relays for who is elsewhere, addresses for who is near. */
function waysToHere(peer: PeerHandle): readonly string[] {
  const { reservations, addresses } = peer.network.info()
  return [...reservations.map(formatCircuitAddress), ...addresses]
}

function toKey({ keyId, kind, publicKey, createdAt }: UserKeyView): Key {
  return { keyId, kind, createdAt, ...(publicKey === undefined ? {} : { publicKey: bytesToHex(publicKey) }) }
}

function toPeerId(text: string): PeerId {
  const peerId = parsePeerId(text)
  if (peerId === undefined) throw new MiaouError('unknown-peer', { peerId: text })
  return peerId
}

/** The schema let only hexadecimal through. */
function fromHex(text: string): Uint8Array {
  return hexToBytes(text) ?? new Uint8Array(0)
}

/** 64 hexadecimal digits are the key itself, anything else is the id of one. */
function toKeyArgument(text: string): string | Uint8Array {
  return /^[0-9a-fA-F]{64}$/.test(text) ? fromHex(text) : text
}
