import {
  type AccountId,
  concatBytes,
  type Jitter,
  keyToAccountId,
  keyToPeerId,
  type Now,
  type PeerId,
  type Random,
  type Result,
} from '@miaou/core'
import {
  type Crypto,
  createLibsodiumCrypto,
  decodeRatchetState,
  encodeRatchetState,
  type KeyPair,
  ratchetEncrypt,
} from '@miaou/crypto'
import { openSqliteStore, type SqliteStore } from '@miaou/host-node'
import {
  type CommandError,
  type CommandResults,
  Messaging,
  type MessagingCommand,
  type MessagingIdentity,
  type MessagingInput,
  type MessagingLimits,
  type MessagingOutput,
  migrate,
  type Store,
  type StoredEvent,
} from '@miaou/messaging'
import {
  type Content,
  encodeContent,
  encodeEnvelope,
  frameTypes,
  hashDeviceListEntry,
  signDeviceCertificate,
  signDeviceListEntry,
} from '@miaou/protocol'
import { PostOffice } from './post-office.ts'

export const crypto: Crypto = await createLibsodiumCrypto()

export function unwrap<T, E>(result: Result<T, E>): T {
  if (!result.ok) throw new Error(`unexpected ${JSON.stringify(result.error)}`)
  return result.value
}

/** The same bytes for the same seed: SHA-256 in counter mode. */
export function seededRandom(seed: string): Random {
  let counter = 0
  return {
    bytes(size) {
      const bytes = new Uint8Array(size)
      for (let at = 0; at < size; at += 32) {
        const block = crypto.sha256(new TextEncoder().encode(`${seed} ${counter++}`))
        bytes.set(block.subarray(0, Math.min(32, size - at)), at)
      }
      return bytes
    },
  }
}

/** Jitter without spread: every backoff is exactly its middle. */
export const noJitter: Jitter = { next: () => 0.5 }

export interface Party {
  readonly identity: MessagingIdentity
  readonly account: AccountId
  readonly peerId: PeerId
  readonly accountKeys: KeyPair
}

/** One account with one device, signed as the identity documents ask. */
export function createParty(name: string): Party {
  const [party] = createAccount(name, 1)
  if (!party) throw new Error('an account has a device')
  return party
}

/** One account with several devices, each of which shows the list of all. */
export function createAccount(name: string, deviceCount: number): Party[] {
  const random = seededRandom(`party ${name}`)
  const accountKeys = crypto.ed25519KeyPair(random.bytes(32))
  const accountKey = accountKeys.publicKey
  const deviceKeys = Array.from({ length: deviceCount }, () => crypto.ed25519KeyPair(random.bytes(32)))
  const deviceList: Uint8Array[] = []
  for (const [height, { publicKey: deviceKey }] of deviceKeys.entries()) {
    const previous = hashEntry(deviceList.at(-1))
    const deviceName = `${name}'s device ${height}`
    const entry = { action: 'add', accountKey, deviceKey, deviceName, height, previous, createdAt: startWall } as const
    deviceList.push(signDeviceListEntry(crypto, accountKeys.secretKey, { ...entry, signer: 'account', rights: [] }))
  }
  return deviceKeys.map((deviceKey): Party => {
    const linkKey = crypto.x25519KeyPair(random.bytes(32)).publicKey
    const sessionKey = crypto.x25519KeyPair(random.bytes(32))
    const certified = { accountKey, linkKey, sessionKey: sessionKey.publicKey, createdAt: startWall }
    const certificate = signDeviceCertificate(crypto, deviceKey.secretKey, certified)
    return {
      identity: { accountKey, deviceKey, certificate, sessionKey, deviceList, name },
      account: keyToAccountId(accountKey),
      peerId: keyToPeerId(deviceKey.publicKey),
      accountKeys,
    }
  })
}

/** What the next entry of a device list names as the one before; zeros for the first. */
export function hashEntry(entry: Uint8Array | undefined): Uint8Array {
  return entry === undefined ? new Uint8Array(32) : hashDeviceListEntry(crypto, entry)
}

export const startWall = 1_760_000_000_000

export interface Clock {
  mono: number
  wall: number
}

export function openMemoryStore(): SqliteStore {
  const store = unwrap(openSqliteStore({ path: ':memory:' }))
  unwrap(migrate(store))
  return store
}

type Reply<K extends MessagingCommand['type']> = Result<CommandResults[K & keyof CommandResults], CommandError>

/** A party with its engine and store. Each call is one batch in one transaction, as the peer package does it. */
export class Home {
  readonly party: Party
  readonly clock: Clock
  readonly store: Store
  readonly limits: Partial<MessagingLimits>
  readonly events: StoredEvent[] = []
  /** Outputs of the last batch. */
  last: MessagingOutput[] = []
  engine: Messaging
  #commandId = 0
  #generation = 0

  /** `life`: homes of one party with other ones have other random numbers. */
  constructor(
    party: Party,
    clock: Clock,
    options: { store?: Store; limits?: Partial<MessagingLimits>; life?: number } = {},
  ) {
    this.party = party
    this.clock = clock
    this.store = options.store ?? openMemoryStore()
    this.limits = options.limits ?? {}
    // More than any of them has processes.
    this.#generation = 1000 * (options.life ?? 0)
    // Tests that are about jitter set it; all others see what is sent at once.
    this.store.run("INSERT OR IGNORE INTO settings (name, value) VALUES ('jitterMs', '0')")
    this.engine = this.#create()
  }

  get peerId(): PeerId {
    return this.party.peerId
  }

  get account(): AccountId {
    return this.party.account
  }

  now(): Now {
    return { ...this.clock }
  }

  /** A new process over the same store. */
  restart(): void {
    this.engine = this.#create()
  }

  batch(...inputs: readonly MessagingInput[]): MessagingOutput[] {
    this.last = this.store.transaction(() => {
      const outputs = inputs.flatMap((input) => this.engine.handle(this.now(), input))
      return [...outputs, ...this.engine.flush(this.now())]
    })
    for (const output of this.last) if (output.type === 'event') this.events.push(output.stored)
    return this.last
  }

  /** The reply of one command, and its outputs in `last`. */
  ask<K extends MessagingCommand['type']>(command: Extract<MessagingCommand, { type: K }>): Reply<K> {
    this.#commandId += 1
    for (const output of this.batch({ type: 'command', id: this.#commandId, command })) {
      if (output.type === 'reply' && output.id === this.#commandId) return output.result as Reply<K>
    }
    throw new Error('a command got no reply')
  }

  #create(): Messaging {
    this.#generation += 1
    const random = seededRandom(`${this.party.account} ${this.#generation}`)
    const { identity } = this.party
    return new Messaging({ crypto, random, jitter: noJitter, store: this.store, identity, limits: this.limits })
  }
}

export function linkUp(party: Party): MessagingInput {
  const { accountKey, sessionKey, certificate } = party.identity
  return { type: 'link-up', peerId: party.peerId, accountKey, sessionKey: sessionKey.publicKey, certificate }
}

/** Homes on a network without faults: what one sends reaches the other, in order, while they are linked. */
export class Town {
  readonly clock: Clock = { mono: 1000, wall: startWall + 1000 }
  readonly homes: Home[] = []
  /** Mailboxes, for those who are online. */
  readonly office: PostOffice<Home> = new PostOffice()
  readonly #links = new Set<string>()
  /** Every frame that crossed, newest last. */
  readonly sent: {
    readonly from: Home
    readonly to: Home
    readonly frameType: number
    readonly payload: Uint8Array
  }[] = []
  /** Drops a frame for which it returns true. */
  drop: (frame: { readonly from: Home; readonly frameType: number }) => boolean = () => false

  add(name: string, limits: Partial<MessagingLimits> = {}): Home {
    return this.move(new Home(createParty(name), this.clock, { limits }))
  }

  move(home: Home): Home {
    this.homes.push(home)
    return home
  }

  /** Runs a batch at a home and everything that follows from it. */
  run(home: Home, ...inputs: readonly MessagingInput[]): MessagingOutput[] {
    const outputs = home.batch(...inputs)
    this.carry(home, outputs)
    return outputs
  }

  ask<K extends MessagingCommand['type']>(home: Home, command: Extract<MessagingCommand, { type: K }>): Reply<K> {
    const reply = home.ask<K>(command)
    this.carry(home, home.last)
    return reply
  }

  link(a: Home, b: Home): void {
    this.#links.add(linkName(a, b))
    const fromA = a.batch(linkUp(b.party))
    const fromB = b.batch(linkUp(a.party))
    this.#carryAll([...fromA.map((output) => ({ from: a, output })), ...fromB.map((output) => ({ from: b, output }))])
  }

  unlink(a: Home, b: Home): void {
    if (!this.#links.delete(linkName(a, b))) return
    this.run(a, { type: 'link-down', peerId: b.peerId })
    this.run(b, { type: 'link-down', peerId: a.peerId })
  }

  isLinked(a: Home, b: Home): boolean {
    return this.#links.has(linkName(a, b))
  }

  /** A home can reach mailboxes from now on. */
  connect(home: Home): void {
    for (const input of this.office.arrive(home)) this.run(home, input)
  }

  disconnect(home: Home): void {
    this.office.leave(home)
  }

  /** Lets time pass in steps of the engines' deadlines. */
  pass(ms: number): void {
    const end = this.clock.mono + ms
    for (;;) {
      const next = Math.min(...this.homes.map((home) => home.engine.deadline()))
      if (next > end) break
      const step = Math.max(0, next - this.clock.mono)
      this.clock.mono += step
      this.clock.wall += step
      for (const home of this.homes) if (home.engine.deadline() <= this.clock.mono) this.run(home, { type: 'wake' })
    }
    this.clock.wall += end - this.clock.mono
    this.clock.mono = end
  }

  carry(from: Home, outputs: readonly MessagingOutput[]): void {
    this.#carryAll(outputs.map((output) => ({ from, output })))
  }

  #carryAll(queue: { from: Home; output: MessagingOutput }[]): void {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const { output } = next
      const sender = next.from
      if (output.type === 'unlink') {
        const other = this.homes.find(({ peerId }) => peerId === output.peerId)
        if (other) this.unlink(sender, other)
      }
      for (const { to, input } of this.office.take(sender, output)) {
        queue.push(...to.batch(input).map((answer) => ({ from: to, output: answer })))
      }
      if (output.type !== 'send') continue
      const to = this.homes.find(({ peerId }) => peerId === output.peerId)
      if (!to || !this.isLinked(sender, to)) continue
      const { frameType, payload } = output
      if (this.drop({ from: sender, frameType })) continue
      this.sent.push({ from: sender, to, frameType, payload })
      const answers = to.batch({ type: 'frame', peerId: sender.peerId, frameType, payload })
      queue.push(...answers.map((answer) => ({ from: to, output: answer })))
    }
  }
}

function linkName(a: Home, b: Home): string {
  return [a.peerId, b.peerId].sort().join(' ')
}

/** Makes the two contacts of each other by an invite of `a`, and links them. */
export function befriend(town: Town, a: Home, b: Home): void {
  const { invite } = unwrap(
    town.ask<'invite-create'>(a, { type: 'invite-create', addresses: ['ws://10.0.0.1:9999'], uses: 1 }),
  )
  unwrap(town.ask<'contact-add-invite'>(b, { type: 'contact-add-invite', invite }))
  town.link(a, b)
}

export function texts(home: Home, other: Home): string[] {
  return unwrap(home.ask<'messages-list'>({ type: 'messages-list', account: other.account, limit: 200 })).map(
    ({ text }) => text,
  )
}

export function sendText(
  town: Town,
  from: Home,
  to: Home,
  text: string,
): ReturnType<typeof unwrap<CommandResults['message-send'], CommandError>> {
  return unwrap(town.ask<'message-send'>(from, { type: 'message-send', account: to.account, text }))
}

/** Frame types of the `send` outputs, in order. */
export function sentTypes(outputs: readonly MessagingOutput[]): number[] {
  return outputs.flatMap((output) => (output.type === 'send' ? [output.frameType] : []))
}

export function contactOf(home: Home, other: Home): CommandResults['contacts-list'][number] | undefined {
  return unwrap(home.ask<'contacts-list'>({ type: 'contacts-list' })).find(({ account }) => account === other.account)
}

/** The messages of a home with another, newest last. */
export function messagesOf(home: Home, other: Home): CommandResults['messages-list'] {
  return unwrap(home.ask<'messages-list'>({ type: 'messages-list', account: other.account, limit: 200 }))
}

export function dropsOf(home: Home): Readonly<Record<string, number>> {
  return unwrap(home.ask<'stats'>({ type: 'stats' })).dropped
}

/** Makes each a contact of the other as two do who see each other on the LAN. */
export function addEachOther(town: Town, a: Home, b: Home): void {
  unwrap(town.ask<'contact-add-peer'>(a, { type: 'contact-add-peer', peerId: b.peerId }))
  unwrap(town.ask<'contact-add-peer'>(b, { type: 'contact-add-peer', peerId: a.peerId }))
}

/**
 * What a program of another kind at `from` might send: any content, sealed in the session that `from` initiated or
 * answered, as a frame for `to`.
 */
export function sealAs(from: Home, to: Home, content: Content | Uint8Array): MessagingInput {
  const { store } = from
  const [row] = store.all('SELECT * FROM sessions ORDER BY generation DESC, id LIMIT 1')
  if (!row) throw new Error('no session')
  const state = unwrap(decodeRatchetState(row['state'] as Uint8Array))
  const bind = (home: Home): Uint8Array[] => [home.party.identity.accountKey, home.party.identity.deviceKey.publicKey]
  const [initiator, responder] = row['initiator'] === 1 ? [from, to] : [to, from]
  const ad = concatBytes(Uint8Array.of(1, 1), ...bind(initiator), ...bind(responder))
  const plaintext = content instanceof Uint8Array ? content : encodeContent(content)
  const random = seededRandom(`sealed ${from.events.length} ${Math.random()}`)
  const sealed = ratchetEncrypt({ crypto, random, state, plaintext, ad })
  store.transaction(() => {
    store.run('UPDATE sessions SET state = ? WHERE row = ?', [encodeRatchetState(sealed.state), row['row'] as number])
  })
  // It wrote behind its engine's back.
  from.engine.rollback()
  const sessionId = row['id'] as Uint8Array
  const payload = encodeEnvelope({ kind: 'ratchet', sessionId, message: sealed.message })
  return { type: 'frame', peerId: from.peerId, frameType: frameTypes.directMessage, payload }
}
