import type { Now } from '@miaou/core'
import type { KeyPair } from '@miaou/crypto'
import type { Endpoint } from '@miaou/protocol'
import {
  OverlayNode,
  type OverlayNodeCommand,
  type OverlayNodeOptions,
  type OverlayNodeOutput,
  type OverlayNodeReply,
} from '../src/overlay-entry.ts'
import { crypto, SeededRandom } from './ports.ts'

/** What travels: `handle` of the receiver is called in the order of sending, 1 virtual ms later. */
interface Flight {
  readonly at: number
  readonly from: Endpoint
  readonly to: Endpoint
  readonly bytes: Uint8Array
}

export interface TownNode {
  node: OverlayNode
  readonly keyPair: KeyPair
  readonly publicKey: Uint8Array
  readonly endpoint: Endpoint
}

/** Overlay nodes in one process, over sealed datagrams and virtual time. */
export class OverlayTown {
  readonly nodes: TownNode[] = []
  readonly #byAddress = new Map<string, TownNode>()
  readonly #flights: Flight[] = []
  readonly replies = new Map<number, OverlayNodeReply>()
  readonly #random: SeededRandom
  /** Datagrams that a test keeps from arriving. */
  drops: (from: Endpoint, to: Endpoint, bytes: Uint8Array) => boolean = () => false
  /** Told of each datagram that leaves. */
  sends: (from: Endpoint, to: Endpoint, bytes: Uint8Array) => void = () => undefined
  #nextId = 1
  now = 1_000

  readonly #options: Pick<OverlayNodeOptions, 'kademlia' | 'datagrams' | 'contactsMax'>

  /** `options`: of every node. */
  constructor(seed: number, options: Pick<OverlayNodeOptions, 'kademlia' | 'datagrams' | 'contactsMax'> = {}) {
    this.#random = new SeededRandom(seed)
    this.#options = options
  }

  add(host = `10.0.${this.nodes.length >> 8}.${(this.nodes.length & 255) + 1}`): TownNode {
    const keyPair = crypto.x25519KeyPair(this.#random.bytes(32))
    const endpoint = { host, port: 9999 }
    const resident = { node: this.#start(keyPair), publicKey: keyPair.publicKey, keyPair, endpoint }
    this.nodes.push(resident)
    this.#byAddress.set(`${host}:9999`, resident)
    this.#listen(resident)
    return resident
  }

  /** The same key at the same endpoint, with nothing remembered. */
  restart(resident: TownNode): void {
    resident.node = this.#start(resident.keyPair)
    this.#listen(resident)
  }

  #start(keyPair: KeyPair): OverlayNode {
    const jitter = { next: () => (this.#random.bytes(1)[0] as number) / 256 }
    return new OverlayNode({ crypto, random: this.#random, jitter, keyPair, ...this.#options })
  }

  #listen(resident: TownNode): void {
    const { node, endpoint } = resident
    this.perform(resident, node.handle(this.time(), { type: 'listening', endpoints: [endpoint] }))
  }

  /** Nobody receives at its endpoint any more. */
  kill({ endpoint }: TownNode): void {
    this.#byAddress.delete(`${endpoint.host}:9999`)
  }

  /** Runs until the command is answered. */
  ask(resident: TownNode, command: OverlayNodeCommand): OverlayNodeReply {
    const [reply] = this.askAll(resident, [command])
    if (reply === undefined) throw new Error('one command, one reply')
    return reply
  }

  /** All commands at once; runs until each is answered. */
  askAll(resident: TownNode, commands: readonly OverlayNodeCommand[]): OverlayNodeReply[] {
    const ids = commands.map((command) => {
      const id = this.#nextId++
      this.perform(resident, resident.node.handle(this.time(), { type: 'command', id, command }))
      return id
    })
    const until = this.now + 60_000
    while (ids.some((id) => !this.replies.has(id)) && this.now < until) this.step()
    return ids.map((id, at) => {
      const reply = this.replies.get(id)
      if (reply === undefined) throw new Error(`no answer to ${commands[at]?.type} within a virtual minute`)
      return reply
    })
  }

  run(ms: number): void {
    for (const until = this.now + ms; this.now < until; ) this.step()
  }

  /** One virtual millisecond. */
  step(): void {
    this.now += 1
    while (this.#flights[0] !== undefined && this.#flights[0].at <= this.now) {
      const { from, to, bytes } = this.#flights.shift() as Flight
      const receiver = this.#byAddress.get(`${to.host}:${to.port}`)
      if (receiver === undefined || this.drops(from, to, bytes)) continue
      this.perform(receiver, receiver.node.handle(this.time(), { type: 'datagram', from, bytes }))
    }
    for (const resident of this.nodes) {
      if (resident.node.deadline() <= this.now)
        this.perform(resident, resident.node.handle(this.time(), { type: 'wake' }))
    }
  }

  perform({ endpoint }: TownNode, outputs: readonly OverlayNodeOutput[]): void {
    for (const output of outputs) {
      if (output.type === 'reply') this.replies.set(output.id, output.reply)
      if (output.type === 'datagram') {
        this.sends(endpoint, output.to, output.bytes)
        this.#flights.push({ at: this.now + 1, from: endpoint, to: output.to, bytes: output.bytes })
      }
    }
  }

  time(): Now {
    return { mono: this.now, wall: 1_760_000_000_000 + this.now }
  }
}
