import { bytesToHex, concatBytes, type Random, type SessionId } from '@miaou/core'
import {
  type Crypto,
  chooseSendingSession,
  decodePqxdhHeader,
  decodeRatchetState,
  encodePqxdhHeader,
  encodeRatchetState,
  type KeyPair,
  MemorySkippedKeys,
  nextGeneration,
  type PqxdhHeader,
  type PrekeyBundle,
  pqxdhHeaderBytes,
  pqxdhInitiate,
  pqxdhRespond,
  pqxdhSessionId,
  type RatchetDecrypted,
  type RatchetState,
  ratchetDecrypt,
  ratchetEncrypt,
  type SkippedKey,
  startRatchetInitiator,
  startRatchetResponder,
} from '@miaou/crypto'
import { unwrap } from './pqxdh.fixture.ts'

/** Mistakes a caller of the library can make. Each must be caught by a checker of the simulator. */
export type Fault =
  | 'send-before-persist'
  | 'plaintext-and-keys-in-two-transactions'
  | 'advance-on-failure'
  | 'no-session-dedupe'
  | 'no-message-dedupe'
  | 'keep-used-keys'
  | 'nonce-from-state'
  | 'prefer-own-session'

/** One session as the disk holds it: bytes and facts, no live object. */
interface StoredSession {
  readonly id: SessionId
  readonly generation: number
  readonly confirmed: boolean
  readonly own: boolean
  readonly state: Uint8Array
  readonly skipped: readonly SkippedKey[]
  /** What goes in front of every message until the session is confirmed; empty for one that we answered. */
  readonly header: Uint8Array
}

interface Outgoing {
  readonly id: string
  readonly kind: 'text' | 'receipt'
  /** Undefined: not encrypted yet. */
  readonly packet: Uint8Array | undefined
  readonly attempts: number
}

interface OneTimePair {
  readonly prekey: KeyPair
  readonly kem: KeyPair
}

/** All that survives a crash. Replaced as a whole: one assignment is one transaction. */
export interface Disk {
  readonly sessions: ReadonlyMap<SessionId, StoredSession>
  readonly oneTimePairs: ReadonlyMap<number, OneTimePair>
  readonly outbox: ReadonlyMap<string, Outgoing>
  /** Ids of the texts accepted. */
  readonly inbox: ReadonlySet<string>
  /** Hash of an accepted packet → the id of its text, empty for a receipt. */
  readonly acceptedByHash: ReadonlyMap<string, string>
}

/** The long-lived keys of a device, and the bundles its mailbox still has to give: each once, the last resort always. */
interface DeviceKeys {
  readonly identity: KeyPair
  readonly signedPrekey: KeyPair
  readonly lastResortKem: KeyPair
  readonly published: number[]
}

export interface World {
  readonly crypto: Crypto
  /** For keys and nonces. */
  readonly random: Random
  wall: number
  post(to: string, packet: Uint8Array): void
  /** A text appeared on the screen. */
  show(device: Device, id: string): void
  /** A packet was accepted: committed, for the first time. */
  accept(device: Device, hash: string): void
  /** A packet was refused. */
  refuse(device: Device, packet: Uint8Array, reason: string): void
  /** Where a crash may strike. */
  crashPoint(): void
}

/** Thrown by the world at a crash point: the operation ends there, the disk stays. */
export class Crash extends Error {}

const ad = new TextEncoder().encode('account a, device a, account b, device b')
// Attempts with one ciphertext before the outbox encrypts the text again.
const attemptsPerCiphertext = 2

/** A device as the messaging package drives it: every operation reads the disk, works, commits, then sends. */
export class Device {
  readonly name: string
  readonly #world: World
  readonly #fault: Fault | undefined
  readonly #keys: DeviceKeys
  disk: Disk

  constructor(world: World, name: string, fault: Fault | undefined, keys: DeviceKeys, disk: Disk) {
    this.name = name
    this.#world = world
    this.#fault = fault
    this.#keys = keys
    this.disk = disk
  }

  /** A copy of the device as its disk was at another time, in another world. */
  rollBack(disk: Disk, world: World): Device {
    return new Device(world, this.name, this.#fault, this.#keys, disk)
  }

  get identityKey(): Uint8Array {
    return this.#keys.identity.publicKey
  }

  /** What the mailbox hands to somebody who wants to start a session. */
  giveBundle(): PrekeyBundle {
    const id = this.#keys.published.shift()
    const pair = id === undefined ? undefined : this.disk.oneTimePairs.get(id)
    const { identityKey } = this
    const signedPrekey = { id: 1, publicKey: this.#keys.signedPrekey.publicKey }
    if (id === undefined || pair === undefined) {
      const kemPrekey = { id: 0, publicKey: this.#keys.lastResortKem.publicKey, oneTime: false }
      return { identityKey, signedPrekey, kemPrekey }
    }
    const oneTimePrekey = { id, publicKey: pair.prekey.publicKey }
    return { identityKey, signedPrekey, oneTimePrekey, kemPrekey: { id, publicKey: pair.kem.publicKey, oneTime: true } }
  }

  get sendingSession(): StoredSession | undefined {
    const sessions = [...this.disk.sessions.values()]
    if (this.#fault === 'prefer-own-session') return sessions.find(({ own }) => own) ?? sessions[0]
    return chooseSendingSession(sessions)
  }

  /** Accepts a text for sending: from here on it must arrive, whatever happens. */
  queue(id: string, kind: Outgoing['kind']): void {
    this.#commit({ outbox: copyWith(this.disk.outbox, id, { id, kind, packet: undefined, attempts: 0 }) })
    this.#world.crashPoint()
  }

  /** Sends an entry of the outbox: the stored ciphertext again, or a fresh one. */
  send(id: string, to: Device): void {
    const entry = this.disk.outbox.get(id)
    if (entry === undefined) return
    if (entry.packet !== undefined && entry.attempts < attemptsPerCiphertext) {
      this.#commit({ outbox: copyWith(this.disk.outbox, id, { ...entry, attempts: entry.attempts + 1 }) })
      this.#post(to, entry.packet)
      return
    }
    const session = this.sendingSession ?? this.#startSession(to, nextGeneration([...this.disk.sessions.values()]))
    const { packet, stored } = this.#encrypt(session, entry)
    if (this.#fault === 'send-before-persist') {
      this.#world.post(to.name, packet)
      this.#world.crashPoint()
    }
    // A receipt is not sent again: the text that asks for it will be.
    const outbox = new Map(this.disk.outbox)
    if (entry.kind === 'receipt') outbox.delete(id)
    else outbox.set(id, { ...entry, packet, attempts: 1 })
    this.#commit({ sessions: copyWith(this.disk.sessions, stored.id, stored), outbox })
    this.#world.crashPoint()
    if (this.#fault !== 'send-before-persist') this.#post(to, packet)
  }

  /** Gives up on all sessions and starts one that replaces them, with this entry of the outbox as its first message. */
  restart(id: string, to: Device): void {
    const entry = this.disk.outbox.get(id)
    if (entry === undefined) return
    const session = this.#startSession(to, nextGeneration([...this.disk.sessions.values()]))
    const { packet, stored } = this.#encrypt(session, entry)
    const outbox = copyWith(this.disk.outbox, id, { ...entry, packet, attempts: 1 })
    this.#commit({ sessions: copyWith(this.disk.sessions, stored.id, stored), outbox })
    this.#world.crashPoint()
    this.#post(to, packet)
  }

  receive(packet: Uint8Array, from: Device): void {
    const { crypto } = this.#world
    const hash = bytesToHex(crypto.sha256(packet))
    const known = this.disk.acceptedByHash.get(hash)
    if (known !== undefined && this.#fault !== 'no-session-dedupe') {
      if (known !== '') this.#acknowledge(known)
      return
    }
    if (packet[0] === 1) this.#receiveInitial(packet, hash, from)
    else if (packet[0] !== 0) this.#world.refuse(this, packet, 'malformed')
    else this.#receiveInSessions(packet, hash, [...this.disk.sessions.values()])
  }

  #receiveInitial(packet: Uint8Array, hash: string, from: Device): void {
    const { crypto } = this.#world
    const decoded = decodePqxdhHeader(packet.subarray(1, 1 + pqxdhHeaderBytes))
    if (!decoded.ok) {
      this.#world.refuse(this, packet, decoded.error.type)
      return
    }
    const header = decoded.value
    const id = pqxdhSessionId(crypto, header)
    const known = this.#fault === 'no-session-dedupe' ? undefined : this.disk.sessions.get(id)
    const session = known ?? this.#answerSession(header, id, from)
    if (typeof session === 'string') this.#world.refuse(this, packet, session)
    else this.#receiveInSessions(packet, hash, [session], header)
  }

  #answerSession(header: PqxdhHeader, id: SessionId, from: Device): StoredSession | string {
    const { crypto } = this.#world
    if (bytesToHex(header.identityKey) !== bytesToHex(from.identityKey)) return 'another identity'
    const pair = this.disk.oneTimePairs.get(header.kemPrekeyId)
    const kemPrekey = header.kemOneTime ? pair?.kem : this.#keys.lastResortKem
    if (kemPrekey === undefined) return 'no such prekey'
    const { signedPrekey } = this.#keys
    const oneTimePrekey = header.oneTimePrekeyId === undefined ? undefined : pair?.prekey
    const keys = { identity: this.#keys.identity, signedPrekey, oneTimePrekey, kemPrekey }
    const result = pqxdhRespond({ crypto, ...keys, header, associatedData: ad })
    if (!result.ok) return result.error.type
    const state = startRatchetResponder({ crypto, secret: result.value.secret, ratchetKey: signedPrekey })
    const facts = { id, generation: header.generation, confirmed: false, own: false, header: new Uint8Array(0) }
    return { ...facts, state: encodeRatchetState(state), skipped: [] }
  }

  #receiveInSessions(
    packet: Uint8Array,
    hash: string,
    sessions: readonly StoredSession[],
    header?: PqxdhHeader | undefined,
  ): void {
    const { crypto, random, wall } = this.#world
    const message = packet.subarray(header === undefined ? 1 : 1 + pqxdhHeaderBytes)
    const reasons: string[] = []
    for (const session of sessions) {
      const skipped = new MemorySkippedKeys(session.skipped)
      const state = unwrap(decodeRatchetState(session.state))
      const result = ratchetDecrypt({ crypto, random, state, skipped, message, ad, now: { mono: 0, wall } })
      if (result.ok) {
        this.#accept(session, skipped, result.value, hash, header)
        return
      }
      if (this.#fault === 'advance-on-failure') this.#advance(session, state)
      reasons.push(result.error.type)
    }
    this.#world.refuse(this, packet, reasons.join(', '))
  }

  #accept(
    session: StoredSession,
    skipped: MemorySkippedKeys,
    decrypted: RatchetDecrypted,
    hash: string,
    header: PqxdhHeader | undefined,
  ): void {
    const { disk } = this
    skipped.apply(this.#fault === 'keep-used-keys' ? { ...decrypted, skippedUsed: undefined } : decrypted)
    const stored = {
      ...session,
      confirmed: true,
      header: new Uint8Array(0),
      state: encodeRatchetState(decrypted.state),
    }
    if (this.#fault === 'plaintext-and-keys-in-two-transactions') {
      this.#commit({ sessions: copyWith(disk.sessions, session.id, stored) })
      this.#world.crashPoint()
    }
    const sessions = copyWith(disk.sessions, session.id, { ...stored, skipped: skipped.all() })
    const oneTimePairs = new Map(disk.oneTimePairs)
    if (header?.kemOneTime && this.#fault !== 'no-session-dedupe') oneTimePairs.delete(header.kemPrekeyId)
    const [kind, id] = new TextDecoder().decode(decrypted.plaintext).split(' ') as [string, string]
    if (kind === 'receipt') {
      const outbox = new Map(disk.outbox)
      outbox.delete(id)
      this.#commit({ sessions, oneTimePairs, outbox, acceptedByHash: copyWith(disk.acceptedByHash, hash, '') })
      this.#world.accept(this, hash)
      return
    }
    const isNew = !disk.inbox.has(id) || this.#fault === 'no-message-dedupe'
    const inbox = new Set(disk.inbox).add(id)
    this.#commit({ sessions, oneTimePairs, inbox, acceptedByHash: copyWith(disk.acceptedByHash, hash, id) })
    this.#world.accept(this, hash)
    if (isNew) this.#world.show(this, id)
    this.#world.crashPoint()
    this.#acknowledge(id)
  }

  #acknowledge(id: string): void {
    this.queue(`receipt-of-${id}`, 'receipt')
  }

  /** What an implementation without transactions does to its chain when a message turns out to be forged. */
  #advance(session: StoredSession, state: RatchetState): void {
    if (state.receiving === undefined) return
    const { receiving } = state
    const chainKey = this.#world.crypto.hmacSha256(receiving.chainKey, Uint8Array.of(2))
    const advanced = { ...state, receiving: { ...receiving, chainKey, number: receiving.number + 1 } }
    const stored = { ...session, state: encodeRatchetState(advanced) }
    this.#commit({ sessions: copyWith(this.disk.sessions, session.id, stored) })
  }

  #startSession(to: Device, generation: number): StoredSession {
    const { crypto, random } = this.#world
    const bundle = to.giveBundle()
    const { identity } = this.#keys
    const options = { crypto, random, identity, bundle, associatedData: ad, generation }
    const { secret, header } = unwrap(pqxdhInitiate(options))
    const remoteRatchetKey = bundle.signedPrekey.publicKey
    const state = startRatchetInitiator({ crypto, random, secret, remoteRatchetKey })
    return {
      id: pqxdhSessionId(crypto, header),
      generation,
      confirmed: false,
      own: true,
      state: encodeRatchetState(state),
      skipped: [],
      header: encodePqxdhHeader(header),
    }
  }

  #encrypt(session: StoredSession, entry: Outgoing): { packet: Uint8Array; stored: StoredSession } {
    const { crypto } = this.#world
    const text = entry.kind === 'text' ? `text ${entry.id}` : `receipt ${entry.id.slice('receipt-of-'.length)}`
    const state = unwrap(decodeRatchetState(session.state))
    const number = state.sending?.number ?? 0
    // What a nonce counted from the state would be: the same after a rollback.
    const counted: Random = { bytes: (size) => crypto.sha512(Uint8Array.of(number)).slice(0, size) }
    const random = this.#fault === 'nonce-from-state' ? counted : this.#world.random
    const encrypted = ratchetEncrypt({ crypto, random, state, plaintext: new TextEncoder().encode(text), ad })
    const isInitial = session.header.length > 0
    return {
      packet: concatBytes(Uint8Array.of(isInitial ? 1 : 0), session.header, encrypted.message),
      stored: { ...session, state: encodeRatchetState(encrypted.state) },
    }
  }

  #post(to: Device, packet: Uint8Array): void {
    this.#world.post(to.name, packet)
    this.#world.crashPoint()
  }

  #commit(change: Partial<Disk>): void {
    this.disk = { ...this.disk, ...change }
  }
}

export function createDevice(world: World, name: string, fault: Fault | undefined, oneTimeCount: number): Device {
  const { crypto, random } = world
  const oneTimePairs = new Map<number, OneTimePair>()
  for (let id = 1; id <= oneTimeCount; id++) {
    const prekey = crypto.x25519KeyPair(random.bytes(32))
    oneTimePairs.set(id, { prekey, kem: crypto.mlkem768KeyPair(random.bytes(64)) })
  }
  const keys: DeviceKeys = {
    identity: crypto.x25519KeyPair(random.bytes(32)),
    signedPrekey: crypto.x25519KeyPair(random.bytes(32)),
    lastResortKem: crypto.mlkem768KeyPair(random.bytes(64)),
    published: [...oneTimePairs.keys()],
  }
  const empty = { sessions: new Map(), outbox: new Map(), inbox: new Set<string>(), acceptedByHash: new Map() }
  return new Device(world, name, fault, keys, { ...empty, oneTimePairs })
}

function copyWith<K, V>(map: ReadonlyMap<K, V>, key: K, value: V): Map<K, V> {
  return new Map(map).set(key, value)
}
