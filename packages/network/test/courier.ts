import type { PeerId } from '@miaou/core'
import { frameTypes } from '@miaou/protocol'
import type { NetworkOutput } from '../src/interface.ts'
import type { SimNode, Simulator } from './simulator.ts'

interface Route {
  readonly from: SimNode
  readonly to: SimNode
  /** Numbers sent and not yet acknowledged, in order. */
  unacknowledged: number[]
  nextNumber: number
  /** What the receiver has taken, in the order it came. */
  readonly taken: number[]
  readonly known: Set<number>
  /** Virtual time at which the last new one came. */
  takenAt: number
}

export interface CourierOptions {
  /** Planted faults, for the tests of the checkers: deaf to `link-up`, or no memory of what came. */
  readonly fault?: 'deaf' | 'forgetful'
}

/**
 * What stands above the links, at its plainest: every message is kept until it is acknowledged, and sent again when a
 * link comes up, never by a timer. So whatever a link loses without a word stays lost, and shows; and whatever a switch
 * disorders comes late, and shows.
 */
export class Courier {
  readonly #sim: Simulator
  readonly #options: CourierOptions
  readonly #routes: Route[] = []

  constructor(sim: Simulator, options: CourierOptions = {}) {
    this.#sim = sim
    this.#options = options
    sim.listeners.push((node, output) => this.#hear(node, output))
  }

  send(from: SimNode, to: SimNode): void {
    const route = this.#route(from, to)
    const number = route.nextNumber++
    route.unacknowledged.push(number)
    this.#transmit(route, [number])
  }

  /** When the last message of a route came that had not come before: virtual ms. */
  takenAt(from: SimNode, to: SimNode): number {
    return this.#route(from, to).takenAt
  }

  takenCount(from: SimNode, to: SimNode): number {
    return this.#route(from, to).known.size
  }

  /** What is missing, came twice or came late, in words. */
  problems(): string[] {
    return this.#routes.flatMap(({ from, to, nextNumber, taken, known }) => {
      const name = `${from.name} to ${to.name}`
      const problems: string[] = []
      if (known.size < nextNumber) problems.push(`${name}: ${nextNumber - known.size} of ${nextNumber} are missing`)
      if (taken.length > known.size) problems.push(`${name}: ${taken.length - known.size} came twice`)
      const late = taken.filter((number, i) => i > 0 && number < (taken[i - 1] ?? 0)).length
      if (late > 0) problems.push(`${name}: ${late} came late`)
      return problems
    })
  }

  #route(from: SimNode, to: SimNode): Route {
    const known = this.#routes.find((route) => route.from === from && route.to === to)
    if (known !== undefined) return known
    const route = {
      from,
      to,
      unacknowledged: [],
      nextNumber: 0,
      taken: [],
      known: new Set<number>(),
      takenAt: 0,
    }
    this.#routes.push(route)
    return route
  }

  #node(peerId: PeerId): SimNode | undefined {
    return this.#sim.nodes.find(({ identity }) => identity.peerId === peerId)
  }

  #hear(node: SimNode, output: NetworkOutput): void {
    if (output.type === 'link-up') {
      const other = this.#node(output.peerId)
      const route = this.#routes.find(({ from, to }) => from === node && to === other)
      // Events of one batch come first: what is sent answers the whole of it.
      if (route !== undefined && this.#options.fault !== 'deaf') {
        this.#sim.afterwards(() => this.#transmit(route, route.unacknowledged))
      }
    }
    if (output.type !== 'frame' || output.frameType !== frameTypes.status) return
    const other = this.#node(output.peerId)
    if (other === undefined) return
    const view = new DataView(output.payload.buffer, output.payload.byteOffset)
    const number = view.getUint32(1)
    if (view.getUint8(0) === 1) {
      const route = this.#route(node, other)
      route.unacknowledged = route.unacknowledged.filter((one) => one !== number)
      return
    }
    this.#take(this.#route(other, node), number)
    this.#sim.afterwards(() => this.#write(node, other, [frame(1, number)]))
  }

  #take(route: Route, number: number): void {
    if (route.known.has(number) && this.#options.fault !== 'forgetful') return
    if (!route.known.has(number)) route.takenAt = this.#sim.mono
    route.known.add(number)
    route.taken.push(number)
  }

  #transmit({ from, to }: Route, numbers: readonly number[]): void {
    this.#write(
      from,
      to,
      numbers.map((number) => frame(0, number)),
    )
  }

  #write(from: SimNode, to: SimNode, payloads: readonly Uint8Array[]): void {
    if (payloads.length === 0 || !from.linked.has(to.identity.peerId)) return
    const frames = payloads.map((payload) => ({ frameType: frameTypes.status, payload }))
    this.#sim.handle(from, { type: 'send-all', peerId: to.identity.peerId, frames })
  }
}

/** `kind`: 0 for a message, 1 for what acknowledges it. */
function frame(kind: 0 | 1, number: number): Uint8Array {
  const payload = new Uint8Array(5)
  const view = new DataView(payload.buffer)
  view.setUint8(0, kind)
  view.setUint32(1, number)
  return payload
}
