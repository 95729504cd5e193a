import {
  type CircuitCloseReason,
  circuitChunkCost,
  circuitChunkCostMin,
  type RelayMessage,
  type RelayRefusal,
  writeCircuit,
} from '@miaou/protocol'
import { CircuitEnd, type LaneOwner, type RelayCircuit } from './relay-service-circuit.ts'
import type { ServedClient } from './relay-service-client.ts'
import type { RelayCounters } from './relay-service-counters.ts'
import type { RelayLimits } from './relay-service-limits.ts'
import { ByteRate } from './relay-service-rate.ts'
import { RelayScheduler } from './relay-service-scheduler.ts'

/** What circuits need of the service that holds the links. */
export interface CircuitsOwner {
  /** Monotonic ms of the call at hand. */
  readonly mono: number
  say(client: ServedClient, message: RelayMessage): void
  refuse(client: ServedClient, request: number, reason: RelayRefusal): void
  sendData(client: ServedClient, encoded: Uint8Array): void
  /** Something for a circuit that is not there. */
  stray(client: ServedClient, cost: number): void
  /** Counts what a client sends; false where the bytes of the day are used up. */
  spend(client: ServedClient, bytes: number): boolean
  isSpent(client: ServedClient): boolean
}

/** The circuits of a relay: who may open one, what may pass, and how each ends. */
export class ServedCircuits implements LaneOwner {
  readonly scheduler: RelayScheduler
  readonly #owner: CircuitsOwner
  readonly #limits: RelayLimits
  readonly #counters: RelayCounters
  readonly #circuits = new Map<RelayCircuit, readonly CircuitEnd[]>()
  readonly #rate: ByteRate | undefined
  #queuedBytes = 0

  constructor(owner: CircuitsOwner, limits: RelayLimits, counters: RelayCounters) {
    this.#owner = owner
    this.#limits = limits
    this.#counters = counters
    this.scheduler = new RelayScheduler(limits.quantum)
    this.#rate = limits.bytesPerSecond === 0 ? undefined : new ByteRate(limits.bytesPerSecond)
  }

  get count(): number {
    return this.#circuits.size
  }

  /** Cost of what waits in all. */
  get queuedBytes(): number {
    return this.#queuedBytes
  }

  /** A circuit from `client` to `holder`, who has the reservation that was asked for, if anybody has. */
  open(client: ServedClient, request: number, holder: ServedClient | undefined): void {
    const refusal = this.#whyNotOpen(client, holder)
    if (refusal !== undefined || holder === undefined) {
      this.#counters.count('circuits-refused')
      this.#owner.refuse(client, request, refusal ?? 'no-reservation')
      return
    }
    const { windowSize, circuitBytesPerSecond } = this.#limits
    const { mono } = this.#owner
    const rate = circuitBytesPerSecond === 0 ? undefined : new ByteRate(circuitBytesPerSecond)
    const circuit: RelayCircuit = { openedAt: mono, rate, usedAt: mono }
    const end = new CircuitEnd(circuit, client, windowSize, this)
    client.ends.set(end.number, end)
    const other = new CircuitEnd(circuit, holder, windowSize, this)
    holder.ends.set(other.number, other)
    end.other = other
    other.other = end
    end.rates = this.ratesOf(holder, rate)
    other.rates = this.ratesOf(client, rate)
    client.group.circuits += 1
    holder.group.circuits += 1
    this.#circuits.set(circuit, [end, other])
    this.#counters.count('circuits-opened')
    this.#owner.say(client, { type: 'opened', request, circuit: end.number, window: windowSize })
    this.#owner.say(holder, { type: 'incoming', circuit: other.number, window: windowSize })
  }

  #whyNotOpen(client: ServedClient, holder: ServedClient | undefined): RelayRefusal | undefined {
    const { circuitsMax, circuitsPerClientMax, circuitsPerGroupMax, circuitsPerPairMax } = this.#limits
    // A peer that calls itself has lost its way.
    if (holder === undefined || holder === client || !holder.isReserved(this.#owner.mono)) return 'no-reservation'
    if (this.#owner.isSpent(client) || this.#owner.isSpent(holder)) return 'quota'
    if (client.ends.size >= circuitsPerClientMax || client.group.circuits >= circuitsPerGroupMax) {
      return 'too-many-circuits'
    }
    let fromGroup = 0
    for (const end of holder.ends.values()) if (end.other?.client.group === client.group) fromGroup += 1
    if (fromGroup >= circuitsPerPairMax) return 'too-many-circuits'
    if (holder.ends.size >= circuitsPerClientMax || holder.group.circuits >= circuitsPerGroupMax) return 'busy'
    return this.#circuits.size >= circuitsMax ? 'busy' : undefined
  }

  /** What counts what `sender` sends; `circuit`: its rate. */
  ratesOf(sender: ServedClient, circuit: ByteRate | undefined): readonly ByteRate[] {
    return [circuit, sender.rate, this.#rate].filter((rate) => rate !== undefined)
  }

  /** `encoded`: the payload of a `circuitData` frame for circuit `number`, with `size` bytes in its chunk. */
  receiveData(client: ServedClient, number: number, encoded: Uint8Array, size: number): void {
    const cost = circuitChunkCost(size)
    const end = client.ends.get(number)
    const other = end?.other
    if (end === undefined || other === undefined || end.closing !== undefined) {
      this.#owner.stray(client, cost)
      return
    }
    end.window -= cost
    if (end.window < 0) {
      this.abort(end, 'flow-control')
      return
    }
    if (!this.#owner.spend(client, size)) {
      this.abort(end, 'quota')
      return
    }
    if (this.isOverfull(other.queued, cost)) {
      this.abort(end, 'busy')
      return
    }
    end.hasSent = true
    end.circuit.usedAt = this.#owner.mono
    // The payload is an array of this frame's own: it goes on as it is, under the other link's number.
    writeCircuit(encoded, other.number)
    other.push(encoded)
    this.#queuedBytes += cost
    this.scheduler.add(other)
  }

  receiveCredit(client: ServedClient, number: number, bytes: number): void {
    const end = client.ends.get(number)
    const other = end?.other
    if (end === undefined || other === undefined) {
      this.#owner.stray(client, circuitChunkCostMin)
      return
    }
    if (bytes < circuitChunkCostMin || bytes > end.outstanding) {
      this.abort(end, 'flow-control')
      return
    }
    end.outstanding -= bytes
    // The other client is gone or has closed: nobody is left to send more.
    if (end.closing !== undefined) return
    other.window += bytes
    other.creditWaiting += bytes
    if (other.client.isLate) {
      other.client.creditsWaiting ??= new Set()
      other.client.creditsWaiting.add(other)
    } else this.#passCredit(other)
  }

  /** Tells the client of `end` what it may send again. */
  #passCredit(end: CircuitEnd): void {
    const bytes = end.creditWaiting
    end.creditWaiting = 0
    if (bytes > 0) this.#owner.say(end.client, { type: 'credit', circuit: end.number, bytes })
  }

  receiveClose(client: ServedClient, number: number, reason: CircuitCloseReason): void {
    const end = client.ends.get(number)
    if (end === undefined) {
      this.#owner.stray(client, circuitChunkCostMin)
      return
    }
    this.leave(end, passedOn(reason))
  }

  /**
   * Whether `cost` more would be too much, and who already has `queued` waiting the one to blame. `others`: how many share
   * the room beside circuits.
   */
  isOverfull(queued: number, cost: number, others = 0): boolean {
    const { queuedBytesMax } = this.#limits
    const total = this.#queuedBytes + cost
    if (total <= queuedBytesMax) return false
    return total > 2 * queuedBytesMax || queued > total / (this.#circuits.size + others)
  }

  /** What others than circuits keep waiting counts as well. */
  hold(cost: number): void {
    this.#queuedBytes += cost
  }

  release(cost: number): void {
    this.#queuedBytes -= cost
  }

  /** The client of `end` says or hears no more of the circuit; the other one gets what waits, then the reason. */
  leave(end: CircuitEnd, reason: CircuitCloseReason): void {
    const { other } = end
    this.#removeEnd(end)
    if (other === undefined || other.closing !== undefined || !other.client.ends.has(other.number)) return
    other.closing = reason
    if (other.nextCost() === 0) this.#endCircuitAt(other, reason)
  }

  /** Ends the circuit at both ends at once; what waits is dropped. */
  abort(end: CircuitEnd, reason: CircuitCloseReason): void {
    const name = closedNames[reason]
    if (name !== undefined) this.#counters.count(name)
    for (const each of [end, end.other]) if (each !== undefined) this.#endCircuitAt(each, reason)
  }

  #endCircuitAt(end: CircuitEnd, reason: CircuitCloseReason): void {
    if (end.client.ends.get(end.number) !== end) return
    end.client.forgive(end)
    this.#removeEnd(end)
    this.#owner.say(end.client, { type: 'close', circuit: end.number, reason })
  }

  #removeEnd(end: CircuitEnd): void {
    const { client, circuit } = end
    if (client.ends.get(end.number) !== end) return
    client.ends.delete(end.number)
    client.creditsWaiting?.delete(end)
    client.group.circuits -= 1
    if (client.isUnused) client.uselessSince = this.#owner.mono
    this.scheduler.remove(end)
    this.#queuedBytes -= end.queued
    end.clear()
    const isOtherGone = end.other?.client.ends.get(end.other.number) !== end.other
    if (isOtherGone && this.#circuits.delete(circuit)) this.#counters.count('circuits-closed')
  }

  /** The link of a client takes more. */
  drained(client: ServedClient): void {
    const waiting = client.creditsWaiting ?? []
    client.creditsWaiting = undefined
    for (const end of waiting) this.#passCredit(end)
    this.scheduler.drained(client)
  }

  /** Closes those on which nobody has spoken, or nobody speaks any more. */
  sweep(): void {
    const { mono } = this.#owner
    const { unusedMs, idleMs } = this.#limits
    for (const [circuit, [end, other]] of [...this.#circuits]) {
      const isUsed = end?.hasSent === true || other?.hasSent === true
      const isIdle = mono >= circuit.usedAt + idleMs || (!isUsed && mono >= circuit.openedAt + unusedMs)
      // One end may be gone; the other is then the one that is told.
      if (isIdle && end !== undefined) this.abort(end, 'idle')
    }
  }

  /** Ends all, at both ends. */
  stop(): void {
    for (const [end] of [...this.#circuits.values()]) if (end !== undefined) this.abort(end, 'shutdown')
  }

  /** For the lanes only. */
  sendChunk(client: ServedClient, encoded: Uint8Array, waited: number): void {
    this.#queuedBytes -= waited
    this.#owner.sendData(client, encoded)
  }

  /** For the lanes only. */
  emptied(end: CircuitEnd): void {
    this.#endCircuitAt(end, end.closing ?? 'bye')
  }
}

/** What is counted of how circuits end. */
export const closedNames: Partial<
  Record<CircuitCloseReason, 'closed-flow-control' | 'closed-quota' | 'closed-idle' | 'closed-busy'>
> = { 'flow-control': 'closed-flow-control', quota: 'closed-quota', idle: 'closed-idle', busy: 'closed-busy' }

/** What a client gives as its reason must not sound like a word of the relay's. */
function passedOn(reason: CircuitCloseReason): CircuitCloseReason {
  return reason === 'busy' || reason === 'protocol-error' || reason === 'flow-control' ? reason : 'bye'
}
