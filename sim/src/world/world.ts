import type { Jitter, Now, Random } from '@miaou/core'
import type {
  ContactRef,
  KademliaCommand,
  KademliaConfig,
  KademliaInput,
  KademliaMessage,
  KademliaOutput,
  KademliaReply,
  RecordRules,
} from '../../../packages/overlay/src/kademlia/interface.ts'
import type { Kademlia } from '../../../packages/overlay/src/kademlia/kademlia.ts'
import { EventHeap } from '../kernel/event-heap.ts'
import { Flights } from '../kernel/flights.ts'
import { RandomStream } from '../kernel/random-stream.ts'
import { Trace } from '../kernel/trace.ts'
import { Latency } from '../network/latency.ts'
import { defaultNetworkOptions, Network, type NetworkOptions } from '../network/network.ts'
import { PairCache } from '../network/pair-cache.ts'
import { Adversary, honest, type Role, roleNames } from './adversary.ts'
import { Checks } from './checks.ts'
import { IdIndex } from './id-index.ts'
import { type GroundNode, Population } from './population.ts'
import { createSimRecords } from './records.ts'
import { createSimCrypto } from './sim-crypto.ts'

/** The engine as the world drives and inspects it; faults wrap it. */
export interface Engine {
  handle(now: Now, input: KademliaInput): readonly KademliaOutput[]
  deadline(): number
  fill: Kademlia['fill']
  contacts: Kademlia['contacts']
  info: Kademlia['info']
}

/** Makes the engine of a node; the world calls it when the node starts. */
export type CreateEngine = (world: World, node: number, config: Partial<KademliaConfig>) => Engine

export interface WorldOptions {
  /** Nodes with an ordinary id, 1 to 2^21 − 1 − ground nodes. They are down until `start`. */
  readonly nodes: number
  readonly seed: number
  readonly createEngine: CreateEngine
  readonly network?: Partial<NetworkOptions>
  readonly ground?: readonly GroundNode[]
  readonly config?: Partial<KademliaConfig>
}

/** Flags of a flight. */
const replyFlag = 1
const forgedFlag = 2

/** Kinds of timer, in the low bit of its payload. */
const wakeTimer = 0
const actionTimer = 1

/** Unix ms at virtual 0: any fixed day. */
const epochMs = 1_767_225_600_000

/** Pairs that hold a session: so many a node, and at most 2^21 in all (32 MB); a guess. */
const sessionsPerNode = 64
const sessionsMax = 1 << 21

const kinds: Readonly<Record<KademliaMessage['type'], number>> = {
  ping: 0,
  pong: 1,
  'find-node': 2,
  'find-node-response': 3,
  'find-value': 4,
  'find-value-response': 5,
  store: 6,
  'store-response': 7,
  reach: 8,
  'reach-response': 9,
  probe: 10,
  rendezvous: 11,
  'rendezvous-response': 12,
  punch: 13,
  'punch-response': 14,
  knock: 15,
  services: 16,
  'services-response': 17,
}

/** Hears what a watched node is told: for checkers. */
export interface Watcher {
  heard(node: number, from: number, isProven: boolean, message: KademliaMessage): void
}

/** CPU time of this process inside `run`, of all worlds: what the events cost without the building of worlds. */
export const runCost = { microseconds: 0 }

/** A network of engines under one virtual clock: delivers messages and wakes, in the order of their times. */
export class World {
  readonly options: WorldOptions
  readonly population: Population
  readonly crypto: ReturnType<typeof createSimCrypto> = createSimCrypto()
  readonly records: RecordRules = createSimRecords((data) => this.crypto.sha256(data))
  /** Ports of all engines: transactions, tokens and jitter. */
  readonly random: Random
  readonly jitter: Jitter
  readonly network: Network<KademliaMessage>
  readonly latency: Latency
  readonly adversary: Adversary
  readonly checks: Checks = new Checks()
  readonly trace: Trace = new Trace()
  readonly engines: (Engine | undefined)[]
  /** Index into `roleNames` by node. */
  readonly roles: Uint8Array
  /** 1 while a node runs. */
  readonly up: Uint8Array
  /** Messages received by node. */
  readonly received: Uint32Array
  /** Messages handed to engines or adversaries, and wakes. */
  events = 0
  watcher: Watcher | undefined
  /** While a checker asks an engine something, outside the simulation. */
  isInspecting = false
  readonly #config: Partial<KademliaConfig>
  readonly #flights: Flights<KademliaMessage> = new Flights<KademliaMessage>()
  readonly #timers = new EventHeap()
  /** Time of the one valid wake in the heap by node. */
  readonly #wakes: Float64Array
  /** How far a node's own clocks are ahead, ms. */
  readonly #monoAhead: Float64Array
  readonly #wallAhead: Float64Array
  readonly #sessions: PairCache
  readonly #now: { mono: number; wall: number } = { mono: 0, wall: epochMs }
  readonly #actions: ((() => void) | undefined)[] = []
  readonly #freeActions: number[] = []
  readonly #replies = new Map<number, (reply: KademliaReply) => void>()
  readonly #finished = new Map<number, (output: KademliaOutput & { type: 'put-finished' }) => void>()
  #index: IdIndex | undefined
  #nextCommand = 1
  #time = 0

  constructor(options: WorldOptions) {
    const { nodes, ground = [] } = options
    const count = nodes + ground.length
    if (count >= 2 ** 21) throw new RangeError('A simulation has fewer than 2,097,152 nodes.')
    this.options = options
    // Engines share the object, so that a million of them hold one. Checkers want to see whole tables.
    this.#config = { ...options.config, savedContactsMax: 5_120 }
    this.random = this.stream('engines')
    const jitter = this.stream('jitter')
    this.jitter = { next: () => jitter.fraction() }
    this.population = new Population(count, ground, this.stream('keys'), this.crypto)
    this.latency = new Latency(count, this.stream('regions'), this.stream('queues'))
    const network = { ...defaultNetworkOptions, ...options.network }
    this.network = new Network(count, this.#flights, this.latency, this.stream('network'), network)
    this.adversary = new Adversary(this.population, this.stream('adversary'))
    this.engines = new Array<Engine | undefined>(count).fill(undefined)
    this.roles = new Uint8Array(count)
    this.up = new Uint8Array(count)
    this.received = new Uint32Array(count)
    this.#wakes = new Float64Array(count).fill(Number.POSITIVE_INFINITY)
    this.#monoAhead = new Float64Array(count)
    this.#wallAhead = new Float64Array(count)
    let sessions = 1024
    while (sessions < Math.min(sessionsMax, count * sessionsPerNode)) sessions *= 2
    this.#sessions = new PairCache(count, sessions)
  }

  /** Virtual ms since the start. */
  get time(): number {
    return this.#time
  }

  /** A generator of its own for a purpose. */
  stream(purpose: string): RandomStream {
    return new RandomStream(this.options.seed, purpose)
  }

  /** Starts a node's engine. `mode`: another than the world's. */
  start(node: number, mode?: KademliaConfig['mode']): Engine {
    const config = mode === undefined ? this.#config : { ...this.#config, mode }
    const engine = this.options.createEngine(this, node, config)
    this.engines[node] = engine
    this.up[node] = 1
    this.schedule(node)
    return engine
  }

  /** The node vanishes without a word, its engine with it. */
  crash(node: number): void {
    if (this.up[node] === 0) return
    this.up[node] = 0
    this.#stop(node)
  }

  /** The node's machine slept or its clock was set: monotonic time jumps forward, wall time either way. */
  jumpClock(node: number, monoMs: number, wallMs: number): void {
    this.#monoAhead[node] = (this.#monoAhead[node] as number) + monoMs
    this.#wallAhead[node] = (this.#wallAhead[node] as number) + wallMs
    this.schedule(node)
  }

  /** From now on the node behaves so; what its engine held is gone. */
  turn(node: number, role: Role): void {
    this.roles[node] = roleNames.indexOf(role)
    if (role !== 'honest') {
      this.#stop(node)
      this.up[node] = 1
    }
  }

  /** Runs and is honest. */
  isHonestUp(node: number): boolean {
    return this.up[node] === 1 && this.roles[node] === honest
  }

  /** Gives a command to a running honest node. */
  command(
    node: number,
    command: KademliaCommand,
    onReply: (reply: KademliaReply) => void,
    onFinished?: (output: KademliaOutput & { type: 'put-finished' }) => void,
  ): void {
    const id = this.#nextCommand++
    this.#replies.set(id, onReply)
    if (onFinished !== undefined) this.#finished.set(id, onFinished)
    this.#handle(node, { type: 'command', id, command })
  }

  /** Whether the running engine of a node holds a record, asked behind the back of the network. */
  holds(node: number, key: Uint8Array): boolean {
    const engine = this.engines[node]
    const [asker] = engine?.contacts() ?? []
    if (engine === undefined || asker === undefined || !this.isHonestUp(node)) return false
    this.isInspecting = true
    const message: KademliaMessage = { type: 'find-value', transaction: 0, isServer: true, key }
    const outputs = engine.handle(this.#nowOf(node), { type: 'message', from: asker, isProven: false, message })
    this.isInspecting = false
    return outputs.some(
      (output) =>
        output.type === 'send' && output.message.type === 'find-value-response' && output.message.record !== undefined,
    )
  }

  /** Whether one of the running honest nodes that lie nearest to a key holds its record. */
  someoneNearHolds(key: Uint8Array): boolean {
    return this.nearest(key, 20).some((node) => this.holds(node, key))
  }

  /** The running honest nodes nearest to a point. */
  nearest(point: Uint8Array, count: number): number[] {
    const { high, low } = this.population
    this.#index ??= new IdIndex(
      high,
      low,
      Uint32Array.from({ length: this.options.nodes }, (_, node) => node),
    )
    const [pointHigh, pointLow] = Population.words(point)
    return this.#index.closest(pointHigh, pointLow, count, (node) => this.isHonestUp(node))
  }

  /** Operations not answered yet. */
  get pending(): number {
    return this.#replies.size
  }

  /** Runs `action` at a virtual time, ms; at once when that is past. */
  at(time: number, action: () => void): void {
    const place = this.#freeActions.pop() ?? this.#actions.length
    this.#actions[place] = action
    this.#timers.push(Math.max(time, this.#time), (place << 1) | actionTimer)
  }

  /** Puts a datagram of an adversary on its way that no request asked for. */
  forge(from: number, to: number, message: KademliaMessage): void {
    this.network.send(this.#time, from, to, forgedFlag, message)
  }

  /** Declares that two nodes have a session, as those of a long-lived network have. */
  noteSession(a: number, b: number): void {
    this.#sessions.note(Math.min(a, b), Math.max(a, b), this.#time)
  }

  /** Until a virtual time (its events included), or until `isDone`, asked after each event. */
  run(until: number, isDone?: () => boolean): void {
    const before = process.cpuUsage()
    this.#loop(until, isDone)
    const { user, system } = process.cpuUsage(before)
    runCost.microseconds += user + system
    if (until !== Number.POSITIVE_INFINITY && isDone?.() !== true) this.#time = Math.max(this.#time, until)
  }

  #loop(until: number, isDone?: () => boolean): void {
    for (;;) {
      const flight = this.#flights.peek()
      const timer = this.#timers.peek()
      const next = flight <= timer ? flight : timer
      if (next > until || next === Number.POSITIVE_INFINITY) break
      this.#time = next
      if (flight <= timer) this.#deliver()
      else this.#fire()
      if (isDone?.() === true) return
    }
  }

  /** Brings the wake of a node up to date with its engine's deadline. */
  schedule(node: number): void {
    const engine = this.engines[node]
    if (engine === undefined) return
    const deadline = engine.deadline() - (this.#monoAhead[node] as number)
    // A later deadline needs no new entry: the old one fires early, changes nothing, and is renewed then.
    if (deadline < (this.#wakes[node] as number)) {
      const at = deadline > this.#time ? deadline : this.#time
      this.#wakes[node] = at
      this.#timers.push(at, (node << 1) | wakeTimer)
    }
  }

  /** Ends the engine, whose commands are answered; what it still sends is lost. */
  #stop(node: number): void {
    const outputs = this.engines[node]?.handle(this.#nowOf(node), { type: 'stop' }) ?? []
    this.engines[node] = undefined
    this.#wakes[node] = Number.POSITIVE_INFINITY
    for (const output of outputs) if (output.type !== 'send') this.#follow(node, { type: 'stop' }, output)
  }

  #nowOf(node: number): Now {
    const now = this.#now
    now.mono = this.#time + (this.#monoAhead[node] as number)
    now.wall = epochMs + this.#time + (this.#wallAhead[node] as number)
    return now
  }

  #fire(): void {
    const payload = this.#timers.pop()
    const subject = payload >> 1
    if ((payload & 1) === actionTimer) {
      const action = this.#actions[subject]
      this.#actions[subject] = undefined
      this.#freeActions.push(subject)
      action?.()
      return
    }
    if (this.#wakes[subject] !== this.#timers.time) return
    this.#wakes[subject] = Number.POSITIVE_INFINITY
    const engine = this.engines[subject]
    if (engine === undefined) return
    if (engine.deadline() - (this.#monoAhead[subject] as number) > this.#time) {
      this.schedule(subject)
      return
    }
    const before = engine.deadline()
    this.#handle(subject, { type: 'wake' })
    if (engine.deadline() === before && this.engines[subject] === engine) {
      throw new Error(`The engine of node ${subject} stays due: woken at ${this.#time} ms, it asks for the same.`)
    }
  }

  #deliver(): void {
    const flights = this.#flights
    flights.take()
    const { from, to, flags, message } = flights
    if (message === undefined) return
    if (this.up[to] === 0) {
      this.network.drops.dead++
      return
    }
    if (!this.network.admits(this.#time, from, to)) return
    this.trace.add(this.#time, from, to, kinds[message.type])
    this.received[to] = (this.received[to] as number) + 1
    const isReply = (flags & replyFlag) !== 0
    if (isReply) this.noteSession(from, to)
    // An answer proves its sender; a request does once its sender has answered, or been answered, before.
    const isProven =
      isReply || this.#sessions.timeOf(Math.min(from, to), Math.max(from, to)) !== Number.NEGATIVE_INFINITY
    this.watcher?.heard(to, from, isProven, message)
    if (this.roles[to] !== honest) {
      this.events++
      const answer = this.adversary.answer(roleNames[this.roles[to] as number] ?? 'silent', from, message)
      if (answer !== undefined) this.network.send(this.#time, to, from, replyFlag, answer)
      return
    }
    this.#handle(to, { type: 'message', from: from as ContactRef, isProven, message })
  }

  #handle(node: number, input: KademliaInput): void {
    const engine = this.engines[node]
    if (engine === undefined) return
    this.events++
    const outputs = engine.handle(this.#nowOf(node), input)
    for (let i = 0; i < outputs.length; i++) this.#follow(node, input, outputs[i] as KademliaOutput)
    this.schedule(node)
  }

  #follow(node: number, input: KademliaInput, output: KademliaOutput): void {
    if (output.type === 'send') {
      if (output.isReply) this.#checkReply(input, output)
      this.network.send(this.#time, node, output.to, output.isReply ? replyFlag : 0, output.message)
    } else if (output.type === 'reply') {
      const onReply = this.#replies.get(output.id)
      this.#replies.delete(output.id)
      onReply?.(output.reply)
    } else if (output.type === 'put-finished') {
      const onFinished = this.#finished.get(output.id)
      this.#finished.delete(output.id)
      onFinished?.(output)
    }
  }

  /** No request is answered to somebody else or under another transaction. */
  #checkReply(input: KademliaInput, output: KademliaOutput & { type: 'send' }): void {
    this.checks.looked('transactions')
    if (input.type !== 'message') {
      this.checks.violated('transactions', this.#time, `an answer (${output.message.type}) to no request`)
    } else if (output.message.transaction !== input.message.transaction || output.to !== input.from) {
      const { type, transaction } = output.message
      this.checks.violated(
        'transactions',
        this.#time,
        `${type} ${transaction} to ${output.to} answers ${input.message.type} ${input.message.transaction} of ${input.from}`,
      )
    }
  }
}
