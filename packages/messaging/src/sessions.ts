import { assert, bytesToSessionId, concatBytes, equalBytes, hexToBytes } from '@miaou/core'
import {
  compareSessions,
  decodePqxdhHeader,
  decodeRatchetState,
  encodePqxdhHeader,
  encodeRatchetState,
  type KeyPair,
  nextGeneration,
  type PqxdhHeader,
  pqxdhInitiate,
  pqxdhRespond,
  pqxdhSessionId,
  type RatchetDecrypted,
  type RatchetState,
  ratchetDecrypt,
  ratchetEncrypt,
  startRatchetInitiator,
  startRatchetResponder,
} from '@miaou/crypto'
import { type Envelope, encodeEnvelope, type SignedPrekeyBundle } from '@miaou/protocol'
import type { Context } from './context.ts'
import type { Journal } from './journal.ts'
import type { Device, Session } from './model.ts'
import type { Prekeys } from './prekeys.ts'
import { bytesOf, maybeBytesOf, numberOf } from './row.ts'
import type { SettingsTable } from './settings.ts'
import { SkippedKeysTable } from './skipped-keys-table.ts'
import type { SqlRow } from './store.ts'

/** A device before or after it has a row: what a session binds. */
export interface SessionPeer {
  readonly accountKey: Uint8Array
  readonly deviceKey: Uint8Array
  readonly sessionKey: Uint8Array
}

/** A session that another device started, with its first message; nothing of it is stored yet. */
export interface Answered {
  readonly plaintext: Uint8Array
  readonly header: PqxdhHeader
  readonly idBytes: Uint8Array
  readonly associatedData: Uint8Array
  readonly decrypted: RatchetDecrypted
}

/**
 * Why an envelope gave no content. `lost`: it cannot be decrypted here, so a new session is needed. The others are no
 * reason for one.
 */
export type OpenFailure = 'lost' | 'duplicate' | 'refused'

export type Opened =
  | { readonly type: 'content'; readonly plaintext: Uint8Array }
  | { readonly type: 'failed'; readonly failure: OpenFailure; readonly reason: string }

// Version and suite of what a session binds (DECISIONS "1:1 sessions").
const bindingPrefix = Uint8Array.of(1, 1)
// 2^16 generations ahead is far beyond any loss; the doubling must stay within u32.
const restartsMax = 16
// Where a copy lived on, its sessions may be a few restarts ahead: 2^8 - 1 generations are beyond them (own choice).
const renewalLeapBits = 8
// A heal may take several sessions until both sides have the same: the person is told of the first (own choice).
const noticeMs = 3_600_000

/** The ratchet sessions with every device: cached, written once a batch. */
export class Sessions {
  readonly #context: Context
  readonly #prekeys: Prekeys
  readonly #settings: SettingsTable
  readonly #journal: Journal
  readonly #dirty = new Set<Session>()

  constructor(
    context: Context,
    parts: { readonly prekeys: Prekeys; readonly settings: SettingsTable; readonly journal: Journal },
  ) {
    this.#context = context
    this.#prekeys = parts.prekeys
    this.#settings = parts.settings
    this.#journal = parts.journal
  }

  /** Forgets what was not written; the devices' own caches go with the devices. */
  reset(): void {
    this.#dirty.clear()
  }

  /** In order of preference for sending. */
  of(device: Device): Session[] {
    if (device.sessions === undefined) {
      const rows = this.#context.store.all('SELECT * FROM sessions WHERE device = ?', [device.id])
      device.sessions = rows.map((row) => this.#rowToSession(device, row)).sort(compareSessions)
    }
    return device.sessions
  }

  /** The one to send in; undefined also while those there are wait to be replaced. */
  sending(device: Device): Session | undefined {
    const renewedTo = this.#renewedTo(device)
    return this.of(device).find(({ row }) => row > renewedTo)
  }

  /** Nothing more is sent in the sessions with a device; they open what is on its way. The next one leaps ahead of them. */
  renew(device: Device): void {
    const newest = Math.max(0, ...this.of(device).map(({ row }) => row))
    if (newest > 0) this.#settings.write(`renewedTo.${device.id}`, String(newest))
  }

  /** The same for every device: this one is a copy, so somebody else may send in its sessions too. */
  renewAll(): void {
    const row = this.#context.store.get('SELECT coalesce(max(row), 0) AS newest FROM sessions')
    this.#settings.write('renewedTo', String(row === undefined ? 0 : numberOf(row, 'newest')))
  }

  /** Seals a content in a session and wraps it up for the wire. */
  seal(session: Session, plaintext: Uint8Array): Uint8Array {
    const { crypto, random, identity } = this.#context
    const ad = session.associatedData
    const { state, message } = ratchetEncrypt({ crypto, random, state: session.state, plaintext, ad })
    session.state = state
    this.#touch(session)
    const { idBytes: sessionId, header } = session
    return encodeEnvelope(
      header === undefined
        ? { kind: 'ratchet', sessionId, message }
        : { kind: 'initial', sessionId, certificate: identity.certificate, header, message },
    )
  }

  /** Starts a session with a verified bundle. False when its keys are unusable. */
  initiate(device: Device, bundle: SignedPrekeyBundle): boolean {
    const { crypto, random, identity } = this.#context
    const sessions = this.of(device)
    // A side that lost its newest sessions does not know their generation: it jumps further with each attempt.
    const isRenewal = sessions.length > 0 && this.sending(device) === undefined
    const leap = 2 ** Math.min(Math.max(device.restarts, isRenewal ? renewalLeapBits : 0), restartsMax) - 1
    const generation = Math.min(nextGeneration(sessions) + leap, 0xffff_ffff)
    const associatedData = this.#bind(this.#self(), {
      ...device,
      accountKey: device.contact.accountKey,
      deviceKey: device.key,
    })
    const { sessionKey: identityKey, signedPrekey, oneTimePrekey, kemPrekey } = bundle
    const started = pqxdhInitiate({
      crypto,
      random,
      identity: identity.sessionKey,
      bundle: { identityKey, signedPrekey, oneTimePrekey, kemPrekey },
      associatedData,
      generation,
    })
    if (!started.ok) {
      this.#context.drop(`bundle-${started.error.type}`)
      return false
    }
    const { secret, header } = started.value
    const remoteRatchetKey = signedPrekey.publicKey
    const state = startRatchetInitiator({ crypto, random, secret, remoteRatchetKey })
    crypto.wipe(secret)
    const idBytes = sessionIdBytes(pqxdhSessionId(crypto, header))
    this.#noteRenewal(device, this.sending(device) !== undefined)
    this.#insert(device, {
      idBytes,
      generation,
      associatedData,
      isInitiator: true,
      header: encodePqxdhHeader(header),
      state,
    })
    return true
  }

  /** Decrypts an envelope of a device we have a row of. */
  open(device: Device, envelope: Envelope): Opened {
    const id = bytesToSessionId(envelope.sessionId)
    const session = this.of(device).find((each) => each.id === id)
    if (session) return this.#openIn(device, session, envelope.message)
    if (envelope.kind === 'ratchet') return { type: 'failed', failure: 'lost', reason: 'unknown-session' }
    if (!device.sessionKey) return { type: 'failed', failure: 'refused', reason: 'no-session-key' }
    const peer = { accountKey: device.contact.accountKey, deviceKey: device.key, sessionKey: device.sessionKey }
    const answered = this.answer(peer, envelope)
    if ('type' in answered) return answered
    this.adopt(device, answered)
    return { type: 'content', plaintext: answered.plaintext }
  }

  /** The session that an initial envelope starts, when its first message decrypts; nothing is stored. */
  answer(
    peer: SessionPeer,
    envelope: Extract<Envelope, { kind: 'initial' }>,
  ): Answered | Extract<Opened, { type: 'failed' }> {
    const { crypto, random, identity, now, store } = this.#context
    const decoded = decodePqxdhHeader(envelope.header)
    if (!decoded.ok) return { type: 'failed', failure: 'refused', reason: `session-header-${decoded.error.type}` }
    const header = decoded.value
    const idBytes = sessionIdBytes(pqxdhSessionId(crypto, header))
    const isBound = equalBytes(header.identityKey, peer.sessionKey) && equalBytes(idBytes, envelope.sessionId)
    if (!isBound) return { type: 'failed', failure: 'refused', reason: 'session-identity-mismatch' }
    if (store.get('SELECT 1 FROM session_starts WHERE id = ?', [idBytes])) {
      return { type: 'failed', failure: 'duplicate', reason: 'session-replayed' }
    }
    const keys = this.#prekeysOf(header)
    if (!keys) return { type: 'failed', failure: 'lost', reason: 'unknown-prekey' }
    const associatedData = this.#bind(peer, this.#self())
    const responded = pqxdhRespond({ crypto, identity: identity.sessionKey, ...keys, header, associatedData })
    if (!responded.ok) return { type: 'failed', failure: 'lost', reason: `session-${responded.error.type}` }
    const { secret } = responded.value
    const state = startRatchetResponder({ crypto, secret, ratchetKey: keys.signedPrekey })
    crypto.wipe(secret)
    const skipped = new SkippedKeysTable(store, 0)
    const { message } = envelope
    const decrypted = ratchetDecrypt({ crypto, random, state, skipped, message, ad: associatedData, now })
    if (!decrypted.ok) return { type: 'failed', failure: 'lost', reason: `first-${decrypted.error.type}` }
    return { plaintext: decrypted.value.plaintext, header, idBytes, associatedData, decrypted: decrypted.value }
  }

  /** Stores an answered session and deletes the one-time keys it used up. */
  adopt(device: Device, answered: Answered): void {
    const { header, idBytes, associatedData, decrypted } = answered
    const { generation } = header
    const before = this.sending(device)
    // Of two that start at once neither has seen the other's: who starts anew after that has lost what there was.
    this.#noteRenewal(device, before !== undefined && (before.confirmed || generation > before.generation))
    const session = this.#insert(device, {
      idBytes,
      generation,
      associatedData,
      isInitiator: false,
      header: undefined,
      state: decrypted.state,
    })
    // With as many sessions as may be, a less preferred one is gone again.
    if (this.of(device).includes(session)) new SkippedKeysTable(this.#context.store, session.row).apply(decrypted)
    if (header.oneTimePrekeyId !== undefined) this.#prekeys.consume(header.oneTimePrekeyId)
    if (header.kemOneTime) this.#prekeys.consume(header.kemPrekeyId)
    // Also where a used one-time key tells: a replay of one whose session is gone must not look like a loss.
    this.#rememberStart(idBytes)
    device.failures = 0
    device.restarts = 0
  }

  /** Deletes all sessions with a device: they bind keys that are no longer its. */
  forget(device: Device): void {
    for (const session of this.of(device)) this.#delete(session)
    device.sessions = []
    this.#settings.remove(`renewedTo.${device.id}`)
  }

  /** Writes what changed since the last flush. */
  flush(): void {
    for (const session of this.#dirty) {
      this.#context.store.run('UPDATE sessions SET state = ?, confirmed = ?, header = ? WHERE row = ?', [
        encodeRatchetState(session.state),
        session.confirmed ? 1 : 0,
        session.header ?? null,
        session.row,
      ])
      session.isDirty = false
    }
    this.#dirty.clear()
  }

  /** Deletes expired keys and marks. One dated beyond its lifetime was written before the clock went back. */
  maintain(skippedLifetimeMs: number): void {
    const { store, now, limits } = this.#context
    for (const [table, lifetimeMs] of [
      ['skipped_keys', skippedLifetimeMs],
      ['session_starts', limits.prekeyLifetimeMs],
    ] as const) {
      store.run(`DELETE FROM ${table} WHERE expires_at <= ?`, [now.wall])
      const latest = Math.round(now.wall + lifetimeMs)
      store.run(`UPDATE ${table} SET expires_at = ? WHERE expires_at > ?`, [latest, latest])
    }
  }

  #openIn(device: Device, session: Session, message: Uint8Array): Opened {
    const { crypto, random, now, store } = this.#context
    const skipped = new SkippedKeysTable(store, session.row)
    const { state, associatedData: ad } = session
    const decrypted = ratchetDecrypt({ crypto, random, state, skipped, message, ad, now })
    if (!decrypted.ok) {
      const { type } = decrypted.error
      const isLost = type === 'undecryptable' || type === 'too-many-skipped' || type === 'weak-ratchet-key'
      const failure = isLost ? 'lost' : type === 'duplicate' ? 'duplicate' : 'refused'
      return { type: 'failed', failure, reason: `message-${type}` }
    }
    skipped.apply(decrypted.value)
    session.state = decrypted.value.state
    this.#touch(session)
    device.failures = 0
    device.restarts = 0
    if (!session.confirmed || session.header !== undefined) {
      session.confirmed = true
      session.header = undefined
      this.of(device).sort(compareSessions)
    }
    return { type: 'content', plaintext: decrypted.value.plaintext }
  }

  #prekeysOf(
    header: PqxdhHeader,
  ): { readonly signedPrekey: KeyPair; readonly oneTimePrekey?: KeyPair; readonly kemPrekey: KeyPair } | undefined {
    const signedPrekey = this.#prekeys.find('signed', header.signedPrekeyId)
    const kemPrekey = this.#prekeys.find(header.kemOneTime ? 'kemOneTime' : 'kemLastResort', header.kemPrekeyId)
    const oneTimePrekey =
      header.oneTimePrekeyId === undefined ? undefined : this.#prekeys.find('oneTime', header.oneTimePrekeyId)
    if (!signedPrekey || !kemPrekey) return undefined
    return { signedPrekey, kemPrekey, ...(oneTimePrekey && { oneTimePrekey }) }
  }

  #insert(
    device: Device,
    facts: {
      readonly idBytes: Uint8Array
      readonly generation: number
      readonly associatedData: Uint8Array
      readonly isInitiator: boolean
      readonly header: Uint8Array | undefined
      readonly state: RatchetState
    },
  ): Session {
    const { store, limits } = this.#context
    const { idBytes, generation, associatedData, isInitiator, header, state } = facts
    const sessions = this.of(device)
    const { lastInsertRowid } = store.run(
      'INSERT INTO sessions (id, device, generation, initiator, confirmed, header, state) VALUES (?, ?, ?, ?, ?, ?, ?)',
      [
        idBytes,
        device.id,
        generation,
        isInitiator ? 1 : 0,
        isInitiator ? 0 : 1,
        header ?? null,
        encodeRatchetState(state),
      ],
    )
    const session: Session = {
      row: lastInsertRowid,
      id: bytesToSessionId(idBytes),
      idBytes,
      generation,
      associatedData,
      confirmed: !isInitiator,
      header,
      state,
      isDirty: false,
    }
    sessions.push(session)
    sessions.sort(compareSessions)
    while (sessions.length > limits.sessionsMax) {
      const worst = sessions.pop()
      if (worst) this.#delete(worst)
    }
    return session
  }

  /** One quiet line when a session takes the place of one that was there, here or, as far as we know, at the other side. */
  #noteRenewal(device: Device, isReplaced: boolean): void {
    const { contact, helloId } = device
    // Who has answered our hello had a session with us; where there is none, it was lost.
    const isLost = this.of(device).length === 0 && helloId === undefined && device.state === 'listed'
    if (contact.state !== 'contact' || !(isReplaced || isLost)) return
    this.#journal.noticeOnce('session-renewed', contact.account, noticeMs)
  }

  #renewedTo(device: Device): number {
    const all = this.#settings.read('renewedTo')
    const own = this.#settings.read(`renewedTo.${device.id}`)
    return Math.max(Number(all ?? 0), Number(own ?? 0))
  }

  #delete(session: Session): void {
    this.#dirty.delete(session)
    this.#context.store.run('DELETE FROM skipped_keys WHERE session = ?', [session.row])
    this.#context.store.run('DELETE FROM sessions WHERE row = ?', [session.row])
  }

  #rememberStart(idBytes: Uint8Array): void {
    const { store, now, limits } = this.#context
    store.run('INSERT OR IGNORE INTO session_starts (id, expires_at) VALUES (?, ?)', [
      idBytes,
      Math.round(now.wall + limits.prekeyLifetimeMs),
    ])
    store.run('DELETE FROM session_starts WHERE row <= (SELECT max(row) FROM session_starts) - ?', [
      limits.sessionStartsMax,
    ])
  }

  #touch(session: Session): void {
    if (session.isDirty) return
    session.isDirty = true
    this.#dirty.add(session)
  }

  #self(): { readonly accountKey: Uint8Array; readonly deviceKey: Uint8Array } {
    const { accountKey, deviceKey } = this.#context.identity
    return { accountKey, deviceKey: deviceKey.publicKey }
  }

  /** Both accounts and both devices, the initiator's first, and the suite. */
  #bind(
    initiator: { readonly accountKey: Uint8Array; readonly deviceKey: Uint8Array },
    responder: { readonly accountKey: Uint8Array; readonly deviceKey: Uint8Array },
  ): Uint8Array {
    return concatBytes(
      bindingPrefix,
      initiator.accountKey,
      initiator.deviceKey,
      responder.accountKey,
      responder.deviceKey,
    )
  }

  #rowToSession(device: Device, row: SqlRow): Session {
    const state = decodeRatchetState(bytesOf(row, 'state'))
    assert(state.ok, 'a stored ratchet state is one we wrote')
    const peer = { accountKey: device.contact.accountKey, deviceKey: device.key }
    const isInitiator = numberOf(row, 'initiator') === 1
    const idBytes = bytesOf(row, 'id')
    return {
      row: numberOf(row, 'row'),
      id: bytesToSessionId(idBytes),
      idBytes,
      generation: numberOf(row, 'generation'),
      associatedData: isInitiator ? this.#bind(this.#self(), peer) : this.#bind(peer, this.#self()),
      confirmed: numberOf(row, 'confirmed') === 1,
      header: maybeBytesOf(row, 'header'),
      state: state.value,
      isDirty: false,
    }
  }
}

function sessionIdBytes(id: string): Uint8Array {
  const bytes = hexToBytes(id)
  assert(bytes !== undefined, 'a session id is hexadecimal')
  return bytes
}
