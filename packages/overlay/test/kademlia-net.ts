import { createHash, createHmac } from 'node:crypto'
import type { Now } from '@miaou/core'
import { seededNumbers as createRandomStream } from '../../../testkit/src/seeded.ts'
import { ContactTable } from '../src/kademlia/contact-table.ts'
import type {
  ContactRef,
  KademliaCommand,
  KademliaConfig,
  KademliaInput,
  KademliaMessage,
  KademliaOptions,
  KademliaOutput,
  KademliaReply,
  RecordRules,
} from '../src/kademlia/interface.ts'
import { Kademlia } from '../src/kademlia/kademlia.ts'

export { createRandomStream }

export const testCrypto: KademliaOptions['crypto'] = {
  sha256: (data) => new Uint8Array(createHash('sha256').update(data).digest()),
  hmacSha256: (key, data) => new Uint8Array(createHmac('sha256', key).update(data).digest()),
  equal: (a, b) => a.length === b.length && a.every((byte, i) => byte === b[i]),
}

/**
 * Records of the tests: a first byte 0 makes a value (key = SHA-256 of the whole), 1 a signed record (name = next byte,
 * sequence = the next, then anything; key = SHA-256 of the name); everything else is invalid.
 */
export const testRules: RecordRules = {
  check(record) {
    if (record[0] === 0 && record.length <= 1000) return { key: testCrypto.sha256(record), sequence: undefined }
    if (record[0] !== 1 || record.length < 3 || record.length > 1000) return undefined
    return { key: testCrypto.sha256(record.subarray(0, 2)), sequence: record[2] }
  },
}

export function value(...bytes: number[]): Uint8Array {
  return Uint8Array.from([0, ...bytes])
}

export function signed(name: number, sequence: number, ...bytes: number[]): Uint8Array {
  return Uint8Array.from([1, name, sequence, ...bytes])
}

export function keyOf(record: Uint8Array): Uint8Array {
  const key = testRules.check(record)?.key
  if (key === undefined) throw new Error('no valid record')
  return key
}

export interface TestNode {
  readonly ref: ContactRef
  readonly engine: Kademlia
  isDead: boolean
  /** Answers in the engine's place. Undefined: the engine answers. */
  liar: ((from: ContactRef, message: KademliaMessage) => KademliaMessage | undefined) | undefined
}

export interface TestNetOptions {
  readonly seed: number
  readonly nodes: number
  readonly config?: Partial<KademliaConfig>
  /** One way, in ms. */
  readonly latencyMs?: (random: () => number) => number
  readonly loss?: number
  /** Address of node i. Default: distinct public /24s. */
  readonly hostOf?: (i: number) => string
}

interface Event {
  readonly at: number
  readonly order: number
  readonly node: number
  readonly input: KademliaInput
}

/** A seeded network of engines in virtual time, without datagram layer. */
export class TestNet {
  /** Ids that were ground: what a hash of these keys gives instead. */
  readonly #ground = new Map<string, Uint8Array>()
  readonly #crypto = {
    ...testCrypto,
    sha256: (data: Uint8Array) => this.#ground.get(data.join()) ?? testCrypto.sha256(data),
  }
  readonly contacts = new ContactTable({ crypto: this.#crypto, contactsMax: 200_000 })
  readonly nodes: TestNode[] = []
  readonly replies = new Map<number, KademliaReply>()
  readonly finished = new Map<number, Extract<KademliaOutput, { type: 'put-finished' }>>()
  readonly modes: { readonly node: number; readonly isServer: boolean }[] = []
  /** Sends of requests by type. */
  readonly sent = new Map<string, number>()
  readonly random: () => number
  now: Now = { mono: 0, wall: 1_700_000_000_000 }
  readonly #options: TestNetOptions
  readonly #byRef = new Map<ContactRef, number>()
  readonly #proven = new Set<string>()
  readonly #deadlines: number[] = []
  #events: Event[] = []
  #order = 0
  #nextId = 1

  constructor(options: TestNetOptions) {
    this.#options = options
    this.random = createRandomStream(options.seed)
    for (let i = 0; i < options.nodes; i++) this.addNode()
  }

  /** A node with an id ground to share 6 bytes with `target`; two of them in each /24. */
  addNodeNear(target: Uint8Array, rank: number): number {
    return this.#add(this.#groundKey(target), `90.0.${rank >> 1}.${1 + (rank & 1)}`, { mode: 'server' })
  }

  /** A contact whose id shares 6 bytes with `target`, and at whose address nobody is. Room must be reserved. */
  decoy(target: Uint8Array, host: string): ContactRef {
    return this.contacts.internKey(this.#groundKey(target), { host, port: 4000 })
  }

  #groundKey(target: Uint8Array): Uint8Array {
    const id = target.slice()
    for (let i = 6; i < 32; i++) id[i] = Math.floor(this.random() * 256)
    const key = Uint8Array.from({ length: 32 }, () => Math.floor(this.random() * 256))
    this.#ground.set(key.join(), id)
    return key
  }

  addNode(config = this.#options.config): number {
    const i = this.nodes.length
    const key = Uint8Array.from({ length: 32 }, () => Math.floor(this.random() * 256))
    const host = this.#options.hostOf?.(i) ?? `${20 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}.1`
    return this.#add(key, host, config)
  }

  #add(key: Uint8Array, host: string, config: Partial<KademliaConfig> | undefined): number {
    const i = this.nodes.length
    const ref = this.contacts.internKey(key, { host, port: 4000 })
    const engine = new Kademlia({
      crypto: testCrypto,
      random: { bytes: (size) => Uint8Array.from({ length: size }, () => Math.floor(this.random() * 256)) },
      jitter: { next: this.random },
      contacts: this.contacts,
      self: this.#crypto.sha256(key),
      records: testRules,
      config: config ?? { mode: 'server' },
      now: this.now.mono,
    })
    this.nodes.push({ ref, engine, isDead: false, liar: undefined })
    this.#byRef.set(ref, i)
    this.#deadlines.push(engine.deadline())
    return i
  }

  ref(i: number): ContactRef {
    return this.node(i).ref
  }

  node(i: number): TestNode {
    const node = this.nodes[i]
    if (node === undefined) throw new Error(`no node ${i}`)
    return node
  }

  indexOf(ref: ContactRef): number {
    return this.#byRef.get(ref) ?? -1
  }

  command(i: number, command: KademliaCommand): number {
    const id = this.#nextId++
    this.give(i, { type: 'command', id, command })
    return id
  }

  /** Runs until a command is answered, or nothing is left to happen within an hour. */
  run(i: number, command: KademliaCommand): KademliaReply {
    const id = this.command(i, command)
    const until = this.now.mono + 3_600_000
    while (!this.replies.has(id) && this.step(until));
    const reply = this.replies.get(id)
    if (reply === undefined) throw new Error('no reply')
    return reply
  }

  runFor(ms: number): void {
    const until = this.now.mono + ms
    while (this.step(until));
    this.#setTime(until)
  }

  /** Until all of a put's stores are answered. */
  finish(id: number): void {
    while (!this.finished.has(id) && this.step(Number.POSITIVE_INFINITY));
  }

  /** All nodes join through node 0, one after the other. */
  build(): this {
    for (let i = 1; i < this.nodes.length; i++) {
      this.run(i, { type: 'bootstrap', contacts: [this.ref(0)] })
      this.runFor(50)
    }
    this.runFor(10_000)
    return this
  }

  /** The nodes whose ids are nearest to `target`, of those alive. */
  closest(target: Uint8Array, count: number): number[] {
    const alive = [...this.nodes.keys()].filter((i) => !this.node(i).isDead)
    alive.sort((a, b) => this.contacts.compareDistances(target, this.ref(a), this.ref(b)))
    return alive.slice(0, count)
  }

  give(i: number, input: KademliaInput): void {
    const node = this.node(i)
    if (node.isDead) return
    for (const output of node.engine.handle(this.now, input)) this.#take(i, output)
    this.#deadlines[i] = node.engine.deadline()
  }

  /** The next thing that happens until a time; false when there is none. */
  step(until: number): boolean {
    let wakeAt = Number.POSITIVE_INFINITY
    let sleeper = -1
    for (let i = 0; i < this.#deadlines.length; i++) {
      const deadline = this.#deadlines[i] as number
      if (deadline >= wakeAt || this.node(i).isDead) continue
      wakeAt = deadline
      sleeper = i
    }
    const event = this.#events[0]
    if (event !== undefined && event.at <= wakeAt) {
      if (event.at > until) return false
      this.#pop()
      this.#setTime(event.at)
      this.#deliver(event)
      return true
    }
    if (sleeper < 0 || wakeAt > until) return false
    this.#setTime(Math.max(wakeAt, this.now.mono))
    this.give(sleeper, { type: 'wake' })
    return true
  }

  #deliver({ node: i, input }: Event): void {
    const { liar, isDead } = this.node(i)
    if (liar !== undefined && !isDead && input.type === 'message' && isRequest(input.message)) {
      const answer = liar(input.from, input.message)
      if (answer !== undefined) this.#post(i, input.from, answer)
      return
    }
    this.give(i, input)
  }

  #take(i: number, output: KademliaOutput): void {
    if (output.type === 'send') {
      if (!output.isReply) this.sent.set(output.message.type, (this.sent.get(output.message.type) ?? 0) + 1)
      this.#post(i, output.to, output.message)
    } else if (output.type === 'reply') this.replies.set(output.id, output.reply)
    else if (output.type === 'put-finished') this.finished.set(output.id, output)
    else if (output.type === 'mode') this.modes.push({ node: i, isServer: output.isServer })
  }

  #post(i: number, to: ContactRef, message: KademliaMessage): void {
    const receiver = this.indexOf(to)
    if (receiver < 0 || this.random() < (this.#options.loss ?? 0)) return
    const from = this.ref(i)
    // As a session would: proven once the other has answered something.
    const isProven = !isRequest(message) || this.#proven.has(`${i}-${receiver}`)
    if (!isRequest(message)) this.#proven.add(`${receiver}-${i}`)
    const at = this.now.mono + (this.#options.latencyMs?.(this.random) ?? 5 + 20 * this.random())
    this.#push({ at, order: this.#order++, node: receiver, input: { type: 'message', from, isProven, message } })
  }

  #setTime(mono: number): void {
    this.now = { mono, wall: this.now.wall + mono - this.now.mono }
  }

  #push(event: Event): void {
    const events = this.#events
    let at = events.push(event) - 1
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!isBefore(event, events[parent] as Event)) break
      events[at] = events[parent] as Event
      at = parent
    }
    events[at] = event
  }

  #pop(): void {
    const events = this.#events
    const last = events.pop() as Event
    if (events.length === 0) return
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= events.length) break
      if (child + 1 < events.length && isBefore(events[child + 1] as Event, events[child] as Event)) child++
      if (!isBefore(events[child] as Event, last)) break
      events[at] = events[child] as Event
      at = child
    }
    events[at] = last
  }
}

function isBefore(a: Event, b: Event): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order)
}

function isRequest({ type }: KademliaMessage): boolean {
  return type !== 'pong' && !type.endsWith('-response')
}
