import { createLibsodiumCrypto } from '../../../packages/crypto/src/libsodium.ts'
import { datagramType, opener } from '../../../packages/network/src/datagrams/wire.ts'
import type {
  OverlayNodeCommand,
  OverlayNodeContact,
  OverlayNodeOutput,
  OverlayNodeReply,
} from '../../../packages/peer/src/overlay-interface.ts'
import { OverlayNode, type OverlayNodeOptions } from '../../../packages/peer/src/overlay-node.ts'
import type { Endpoint } from '../../../packages/protocol/src/overlay/endpoint.ts'
import { EventHeap } from '../kernel/event-heap.ts'
import { RandomStream } from '../kernel/random-stream.ts'
import { Trace } from '../kernel/trace.ts'
import { Latency } from '../network/latency.ts'
import { Checks } from '../world/checks.ts'
import { runCost } from '../world/world.ts'
import { letsStrangersIn, NatBox, type NatKind } from './nat-box.ts'

const crypto = await createLibsodiumCrypto()

/** Unix ms at virtual 0. */
const epochMs = 1_767_225_600_000
/** Row D16. */
const openersMax = 3
/** Bytes of a sealed punch: session data (29) with header 6, nonce 8, target 32. */
const punchBytes = 75
const nodePort = 9_999

/** A firewall at a public address looks like none until the network has grown and the first check has ended (spec/overlay O59), ms. */
const wallGraceMs = 60_000

/** Faults that the checkers must find. */
export type NatFault = 'opener-flood' | 'restricted-server'

export interface NatNode {
  readonly index: number
  readonly kind: NatKind
  readonly node: OverlayNode
  readonly publicKey: Uint8Array
  /** Where its socket is: behind the box, if there is one. */
  readonly inside: Endpoint
}

interface Parcel {
  readonly from: Endpoint
  readonly sender: number
  readonly to: Endpoint
  readonly bytes: Uint8Array
}

export interface NatWorldOptions {
  readonly kinds: readonly NatKind[]
  readonly seed: number
  /** Share of datagrams lost. */
  readonly loss: number
  readonly kademlia?: OverlayNodeOptions['kademlia']
  readonly fault?: NatFault | undefined
}

/** Whole nodes, sealed datagrams and all, behind NATs, under one virtual clock. Each is in a /24 of its own. */
export class NatWorld {
  readonly nodes: NatNode[] = []
  readonly trace: Trace = new Trace()
  readonly checks: Checks = new Checks()
  /** Datagrams delivered and wakes. */
  events = 0
  readonly #options: NatWorldOptions
  readonly #boxes: NatBox[] = []
  readonly #byHost = new Map<string, number>()
  readonly #latency: Latency
  readonly #random: RandomStream
  readonly #flights = new EventHeap()
  readonly #parcels: (Parcel | undefined)[] = []
  readonly #freePlaces: number[] = []
  readonly #replies = new Map<number, OverlayNodeReply>()
  /** Openers by sender and nonce: how many, and their bytes. */
  readonly #openers = new Map<string, { count: number; bytes: number }>()
  #nextId = 1
  #time = 0

  constructor(options: NatWorldOptions) {
    const { kinds, seed } = options
    this.#options = options
    this.#latency = new Latency(kinds.length, new RandomStream(seed, 'regions'), new RandomStream(seed, 'queues'))
    this.#random = new RandomStream(seed, 'network')
    const secrets = new RandomStream(seed, 'engines')
    const jitter = new RandomStream(seed, 'jitter')
    for (const [index, kind] of kinds.entries()) {
      const host = `${20 + (index >> 8)}.${index & 255}.0.1`
      const isAtHome = kind !== 'open' && kind !== 'wall'
      const keyPair = crypto.x25519KeyPair(secrets.bytes(32))
      const isFaulty = options.fault === 'restricted-server' && !letsStrangersIn(kind)
      this.nodes.push({
        index,
        kind,
        node: new OverlayNode({
          crypto,
          random: { bytes: (size) => secrets.bytes(size) },
          jitter: { next: () => jitter.fraction() },
          keyPair,
          kademlia: { ...options.kademlia, mode: isFaulty ? 'server' : 'auto' },
        }),
        publicKey: keyPair.publicKey,
        inside: { host: isAtHome ? '192.168.1.2' : host, port: nodePort },
      })
      this.#boxes.push(new NatBox(kind, host, 40_000 + this.#random.below(10_000)))
      this.#byHost.set(host, index)
    }
    for (const { node, inside, index } of this.nodes) {
      this.#perform(index, node.handle(this.#now(), { type: 'listening', endpoints: [inside] }))
    }
  }

  get time(): number {
    return this.#time
  }

  at(index: number): NatNode {
    const node = this.nodes[index]
    if (node === undefined) throw new RangeError(`There is no node ${index}.`)
    return node
  }

  /** How others would be told of a node that they can reach. */
  contactOf(index: number): Pick<OverlayNodeContact, 'publicKey' | 'endpoint'> {
    const { publicKey, inside } = this.at(index)
    return { publicKey, endpoint: inside }
  }

  /** Gives a command and runs until it is answered. */
  ask(index: number, command: OverlayNodeCommand): OverlayNodeReply {
    const id = this.#nextId++
    this.#perform(index, this.at(index).node.handle(this.#now(), { type: 'command', id, command }))
    this.run(this.#time + 600_000, () => this.#replies.has(id))
    const reply = this.#replies.get(id)
    this.#replies.delete(id)
    if (reply === undefined) throw new Error(`No answer to ${command.type} within ten virtual minutes.`)
    return reply
  }

  /** Until a virtual time, or until `isDone`, asked after each event. */
  run(until: number, isDone?: () => boolean): void {
    const before = process.cpuUsage()
    while (isDone?.() !== true && this.#step(until));
    const { user, system } = process.cpuUsage(before)
    runCost.microseconds += user + system
    if (isDone?.() !== true) this.#time = Math.max(this.#time, until)
  }

  /** Looks at every node: whoever lets in only whom it wrote to is a client, and in nobody's table. */
  check(): void {
    for (const { index, kind, node } of this.nodes) {
      if (kind === 'wall' && this.#time < wallGraceMs) continue
      this.checks.looked('restricted-servers')
      if (!letsStrangersIn(kind) && node.info().kademlia.isServer) {
        this.checks.violated(
          'restricted-servers',
          this.#time,
          `node ${index}, behind a NAT of kind ${kind}, is a server`,
        )
      }
    }
  }

  #step(until: number): boolean {
    let wakeAt = Number.POSITIVE_INFINITY
    let sleeper = -1
    for (const { index, node } of this.nodes) {
      const deadline = node.deadline()
      if (deadline >= wakeAt) continue
      wakeAt = deadline
      sleeper = index
    }
    const arrival = this.#flights.peek()
    if (Math.min(arrival, wakeAt) > until) return false
    this.events++
    if (arrival <= wakeAt) {
      this.#deliver()
      return true
    }
    this.#time = Math.max(this.#time, wakeAt)
    const { node } = this.at(sleeper)
    const before = node.deadline()
    this.#perform(sleeper, node.handle(this.#now(), { type: 'wake' }))
    if (node.deadline() === before) {
      throw new Error(`Node ${sleeper} stays due: woken at ${this.#time} ms, it asks for the same.`)
    }
    return true
  }

  #deliver(): void {
    const place = this.#flights.pop()
    const parcel = this.#parcels[place]
    this.#parcels[place] = undefined
    this.#freePlaces.push(place)
    this.#time = Math.max(this.#time, this.#flights.time)
    const index = parcel === undefined ? undefined : this.#byHost.get(parcel.to.host)
    if (parcel === undefined || index === undefined) return
    const inside = this.#boxes[index]?.in(this.#time, parcel.from, parcel.to)
    if (inside === undefined || inside.port !== nodePort) return
    this.trace.add(this.#time, parcel.sender, index, parcel.bytes[0] ?? 0)
    const input = { type: 'datagram', from: parcel.from, bytes: parcel.bytes } as const
    this.#perform(index, this.at(index).node.handle(this.#now(), input))
  }

  #perform(index: number, outputs: readonly OverlayNodeOutput[]): void {
    for (const output of outputs) {
      if (output.type === 'reply') this.#replies.set(output.id, output.reply)
      if (output.type !== 'datagram') continue
      const isOpener = output.bytes[0] === datagramType.opener
      const copies = isOpener && this.#options.fault === 'opener-flood' ? 2 : 1
      for (let copy = 0; copy < copies; copy++) {
        if (isOpener) this.#countOpener(index, output.bytes)
        this.#send(index, output.to, output.bytes)
      }
    }
  }

  /** Row D16: at most three for one punch, none larger than it, nor all of them together. */
  #countOpener(index: number, bytes: Uint8Array): void {
    const name = `${index} ${bytes.subarray(opener.nonce).join()}`
    const sent = this.#openers.get(name) ?? { count: 0, bytes: 0 }
    sent.count++
    sent.bytes += bytes.length
    this.#openers.set(name, sent)
    this.checks.looked('openers')
    if (sent.count <= openersMax && sent.bytes <= punchBytes) return
    this.checks.violated(
      'openers',
      this.#time,
      `node ${index} sent ${sent.count} openers (${sent.bytes} bytes) for a punch`,
    )
  }

  #send(index: number, to: Endpoint, bytes: Uint8Array): void {
    const from = this.#boxes[index]?.out(this.#time, this.at(index).inside, to)
    const receiver = this.#byHost.get(to.host)
    if (from === undefined || receiver === undefined || this.#random.chance(this.#options.loss)) return
    const place = this.#freePlaces.pop() ?? this.#parcels.length
    this.#parcels[place] = { from, sender: index, to, bytes }
    this.#flights.push(this.#time + this.#latency.delay(index, receiver), place)
  }

  #now(): { readonly mono: number; readonly wall: number } {
    return { mono: this.#time, wall: epochMs + this.#time }
  }
}
