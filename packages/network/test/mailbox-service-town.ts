import { assert, type Now, peerIdToKey } from '@miaou/core'
import {
  boxIdOf,
  decodeMailboxMessage,
  encodeMailboxMessage,
  frameTypes,
  type MailboxMessage,
  signMailboxAck,
  tokenHash,
} from '@miaou/protocol'
import { MemoryMessageQueue } from '@miaou/testkit'
import type { CloseReason } from '../src/interface.ts'
import { Link, type LinkOutput } from '../src/link.ts'
import type { LinkIdentity } from '../src/link-handshake.ts'
import { defaultLinkLimits } from '../src/link-limits.ts'
import type { MailboxServiceInput, MailboxServiceOutput } from '../src/mailbox/interface.ts'
import { MailboxService } from '../src/mailbox/mailbox-service.ts'
import type { MailboxServiceLimits } from '../src/mailbox/mailbox-service-limits.ts'
import type { QueueLimits } from '../src/mailbox/mailbox-service-queue.ts'
import type { PipeId } from '../src/ports.ts'
import { crypto, SeededRandom, testIdentity, testPseudonym } from './identities.ts'

type Of<Type extends MailboxMessage['type']> = Extract<MailboxMessage, { type: Type }>

/** A token by its number, and what the mailbox knows of it. */
export function tokenOf(number: number): Uint8Array {
  const bytes = new Uint8Array(16).fill(3)
  new DataView(bytes.buffer).setUint32(0, number)
  return bytes
}

export function hashOf(number: number): Uint8Array {
  return tokenHash(crypto, tokenOf(number))
}

/** A sealed message, as far as a mailbox can tell. */
export function letter(number: number, size = 600): Uint8Array {
  const bytes = new Uint8Array(size).fill(number & 0xff)
  new DataView(bytes.buffer).setUint32(0, number)
  return bytes
}

/** Of `testPseudonym(seed)`. */
export function secretKeyOf(seed: number): Uint8Array {
  return crypto.ed25519KeyPair(new SeededRandom(seed * 104_729 + 3).bytes(32)).secretKey
}

/** One link with the mailbox, driven by hand. */
export class TestMailClient {
  readonly pipe: PipeId
  readonly box: Uint8Array
  readonly said: MailboxMessage[] = []
  ended: CloseReason | undefined
  isClosed = false
  /** Whether what the mailbox writes is read at once. */
  isReading = true
  readonly unread: Uint8Array[] = []
  readonly #town: TestMailbox
  readonly #link: Link
  readonly #secretKey: Uint8Array
  #lastRequest = 0

  constructor(town: TestMailbox, pipe: PipeId, identity: LinkIdentity, secretKey: Uint8Array) {
    this.#town = town
    this.pipe = pipe
    this.box = boxIdOf(peerIdToKey(identity.peerId), (bytes) => crypto.sha256(bytes))
    this.#secretKey = secretKey
    const random = new SeededRandom(pipe)
    this.#link = new Link(
      {
        crypto,
        random,
        identity,
        features: [],
        role: 'initiator',
        padded: true,
        expected: undefined,
        binding: undefined,
        pseudonymsAdmitted: true,
        channels: 1,
        limits: defaultLinkLimits,
      },
      town.now,
    )
  }

  get isUp(): boolean {
    return this.#link.isUp
  }

  start(): void {
    this.#perform(this.#link.start(this.#town.now))
  }

  receive(bytes: Uint8Array): void {
    this.#perform(this.#link.receive(this.#town.now, 0, bytes))
  }

  wake(): void {
    this.#perform(this.#link.wake(this.#town.now))
  }

  say(message: MailboxMessage): void {
    this.frame(frameTypes.mailboxControl, encodeMailboxMessage(message))
  }

  /** Any frame, also one that no client sends. */
  frame(type: (typeof frameTypes)[keyof typeof frameTypes], payload: Uint8Array): void {
    if (this.#link.isUp) this.#perform(this.#link.send(this.#town.now, type, payload, false) ?? [])
  }

  nextRequest(): number {
    this.#lastRequest += 1
    return this.#lastRequest
  }

  answerTo(request: number): MailboxMessage | undefined {
    return this.said.find((each) => 'request' in each && each.request === request)
  }

  register(counter = 1, nonce = 1): MailboxMessage | undefined {
    const request = this.nextRequest()
    this.say({ type: 'register', request, start: { counter, nonce: new Uint8Array(16).fill(nonce) } })
    return this.answerTo(request)
  }

  tokens(numbers: readonly number[], reset = false): MailboxMessage | undefined {
    const request = this.nextRequest()
    this.say({ type: 'tokens', request, reset, hashes: numbers.map(hashOf) })
    return this.answerTo(request)
  }

  bundles(oneTime: readonly Uint8Array[], lastResort?: Uint8Array): MailboxMessage | undefined {
    const request = this.nextRequest()
    this.say({ type: 'bundles', request, reset: false, oneTime, lastResort })
    return this.answerTo(request)
  }

  deposit(box: Uint8Array, token: number | undefined, bytes: Uint8Array): MailboxMessage | undefined {
    const request = this.nextRequest()
    this.say({ type: 'deposit', request, box, token: token === undefined ? undefined : tokenOf(token), bytes })
    return this.answerTo(request)
  }

  check(box: Uint8Array, numbers: readonly number[]): MailboxMessage | undefined {
    const request = this.nextRequest()
    this.say({ type: 'check', request, box, tokens: numbers.map(tokenOf) })
    return this.answerTo(request)
  }

  takeBundle(box: Uint8Array): MailboxMessage | undefined {
    const request = this.nextRequest()
    this.say({ type: 'take-bundle', request, box })
    return this.answerTo(request)
  }

  /** Signed as it should be, but for what is given. */
  acknowledge(ids: readonly number[], { box = this.box, secretKey = this.#secretKey } = {}): void {
    this.say({ type: 'acknowledge', ids, signature: signMailboxAck(crypto, secretKey, box, ids) })
  }

  ofType<T extends MailboxMessage['type']>(type: T): Of<T>[] {
    return this.said.filter((each): each is Of<T> => each.type === type)
  }

  /** Ids of what was pushed. */
  pushedIds(): number[] {
    return this.ofType('envelope').map(({ id }) => id)
  }

  /** Reads what waits, and lets the mailbox know. */
  read(): void {
    for (let next = this.unread.shift(); next !== undefined; next = this.unread.shift()) this.receive(next)
    this.#town.input({ type: 'drained', pipe: this.pipe })
  }

  #perform(outputs: readonly LinkOutput[]): void {
    for (const output of outputs) {
      if (output.type === 'write') {
        const event = { type: 'message', pipe: this.pipe, channel: 0, bytes: output.bytes } as const
        this.#town.input({ type: 'transport', event })
      } else if (output.type === 'proven') this.#perform(this.#link.accept(this.#town.now))
      else if (output.type === 'ended') this.ended = output.reason
      else if (output.type === 'frame') {
        const decoded = decodeMailboxMessage(output.payload)
        assert(decoded.ok, 'the mailbox speaks its own language')
        this.said.push(decoded.value)
      }
    }
  }
}

/** A mailbox in virtual time over a queue in memory, with clients whose pipes take no time. */
export class TestMailbox {
  readonly service: MailboxService
  readonly queue: MemoryMessageQueue
  readonly clients = new Map<PipeId, TestMailClient>()
  /** Groups wait until `settle` while it is true. */
  isHeld = false
  readonly groups: Extract<MailboxServiceOutput, { type: 'queue' }>[] = []
  #mono = 0
  #lastPipe = 0
  readonly #inputs: MailboxServiceInput[] = []
  #isBusy = false

  constructor(limits: Partial<MailboxServiceLimits> = {}, queueLimits: Partial<QueueLimits> = {}) {
    const identity = testPseudonym(0)
    this.queue = new MemoryMessageQueue(queueLimits)
    this.service = new MailboxService({ crypto, random: new SeededRandom(1), identity, limits })
  }

  get now(): Now {
    return { mono: this.#mono, wall: 1_700_000_000_000 + this.#mono }
  }

  count(name: string): number {
    return this.service.counters()[name] ?? 0
  }

  open(remoteAddress: string): PipeId {
    this.#lastPipe += 1
    const pipe = this.#lastPipe as PipeId
    const fixed = { type: 'opened', transport: 'websocket', direction: 'in', channels: 1, padded: true } as const
    this.input({ type: 'transport', event: { ...fixed, pipe, remoteAddress } })
    return pipe
  }

  /** A client with pseudonym number `seed`, its handshake done where the mailbox lets it. */
  connect(seed: number, remoteAddress?: string, identity: LinkIdentity = testPseudonym(seed)): TestMailClient {
    const pipe = (this.#lastPipe + 1) as PipeId
    const client = new TestMailClient(this, pipe, identity, secretKeyOf(seed))
    this.clients.set(pipe, client)
    this.open(remoteAddress ?? `ws://203.0.${seed >> 8}.${seed & 0xff || 1}:4000`)
    if (!client.isClosed) client.start()
    return client
  }

  /** One who shows its device, as no client should. */
  connectDevice(seed: number): TestMailClient {
    return this.connect(seed, undefined, testIdentity(seed))
  }

  disconnect(client: TestMailClient): void {
    this.clients.delete(client.pipe)
    this.input({ type: 'transport', event: { type: 'closed', pipe: client.pipe } })
  }

  /** Does the groups that wait. */
  settle(): void {
    this.isHeld = false
    for (let next = this.groups.shift(); next !== undefined; next = this.groups.shift()) this.#apply(next)
  }

  input(input: MailboxServiceInput): void {
    this.#inputs.push(input)
    if (this.#isBusy) return
    this.#isBusy = true
    for (let next = this.#inputs.shift(); next !== undefined; next = this.#inputs.shift()) {
      for (const output of this.service.handle(this.now, next)) this.#perform(output)
    }
    this.#isBusy = false
  }

  /** Lets time pass, with every wake that is due. */
  pass(ms: number): void {
    const until = this.#mono + ms
    for (;;) {
      this.#mono = Math.max(this.#mono, Math.min(this.service.deadline(), until))
      this.input({ type: 'wake' })
      for (const client of this.clients.values()) client.wake()
      if (this.#mono >= until) return
    }
  }

  #apply({ batch, operations }: Extract<MailboxServiceOutput, { type: 'queue' }>): void {
    this.input({ type: 'queued', batch, results: this.queue.applyNow(operations) })
  }

  #perform(output: MailboxServiceOutput): void {
    if (output.type === 'queue') {
      if (this.isHeld) this.groups.push(output)
      else this.#inputs.push({ type: 'queued', batch: output.batch, results: this.queue.applyNow(output.operations) })
      return
    }
    const client = this.clients.get(output.pipe)
    if (client === undefined) return
    if (output.type === 'close') {
      client.isClosed = true
      this.clients.delete(output.pipe)
      this.#inputs.push({ type: 'transport', event: { type: 'closed', pipe: output.pipe } })
    } else if (client.isReading) {
      client.receive(output.bytes)
      this.#inputs.push({ type: 'drained', pipe: output.pipe })
    } else client.unread.push(output.bytes)
  }
}
