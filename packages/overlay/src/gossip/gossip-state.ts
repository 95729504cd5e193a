import type { Now } from '@miaou/core'
import { encodeGossipMessage, type GossipMessage } from '@miaou/protocol'
import { defaultGossipOptions, type GossipConfig, type GossipOptions } from './gossip-options.ts'
import type { GossipOutput, NeighbourId } from './interface.ts'
import type { Fault, Neighbour } from './neighbour.ts'

/** What the parts of one gossip engine share. */
export class GossipState {
  readonly config: GossipConfig
  readonly options: GossipOptions
  readonly neighbours: Map<NeighbourId, Neighbour> = new Map()
  /** Neighbours to part with at the end of this step, and why. */
  readonly doomed: Map<Neighbour, 'view-full' | 'graylisted'> = new Map()
  now: Now = { mono: 0, wall: 0 }
  outputs: GossipOutput[] = []
  readonly #counters: Record<string, number> = {}

  constructor(config: GossipConfig) {
    this.config = config
    this.options = { ...defaultGossipOptions, ...config.options }
  }

  get mono(): number {
    return this.now.mono
  }

  counters(): Readonly<Record<string, number>> {
    return { ...this.#counters }
  }

  count(name: string, amount = 1): void {
    this.#counters[name] = (this.#counters[name] ?? 0) + amount
  }

  send(to: Neighbour, message: GossipMessage): void {
    this.count(`sent-${message.type}`)
    this.outputs.push({ type: 'send', to: to.id, bytes: encodeGossipMessage(message) })
  }

  sendBytes(to: Neighbour, bytes: Uint8Array): void {
    this.count('sent-data')
    this.outputs.push({ type: 'send', to: to.id, bytes })
  }

  penalise(neighbour: Neighbour, fault: Fault): void {
    this.count(`fault-${fault}`)
    neighbour.penalise(this.mono, fault)
    if (neighbour.score(this.mono) <= this.options.graylistScore) this.doomed.set(neighbour, 'graylisted')
  }

  /** An index below `size`. */
  below(size: number): number {
    return Math.min(size - 1, Math.floor(this.config.jitter.next() * size))
  }
}
