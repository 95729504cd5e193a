import type { Core } from './core.ts'
import type { ContactRef, KademliaMessage } from './interface.ts'

export type RequestType = 'ping' | 'find-node' | 'find-value' | 'store' | 'reach' | 'rendezvous' | 'punch' | 'services'

/** One request in flight. */
export interface Pending {
  readonly transaction: number
  readonly to: ContactRef
  readonly type: RequestType
  readonly owner: RequestOwner
  readonly sentAt: number
  readonly softAt: number
  readonly hardAt: number
  isSlow: boolean
}

/** Who asked. `message` has the type that answers the request's; it is called once with either of the two ends. */
export interface RequestOwner {
  answered(pending: Pending, message: KademliaMessage): void
  /** Later than usual: at most once, before one of the two ends. */
  late(pending: Pending): void
  failed(pending: Pending): void
}

/** What becomes of contacts by their answers and silences. */
export interface ContactCare {
  /** A round trip of `ms` was made with a contact. */
  proved(ref: ContactRef, isServer: boolean, ms: number): void
  silent(ref: ContactRef, sentAt: number): void
  lied(ref: ContactRef): void
}

const answerTypes: Readonly<Record<RequestType, KademliaMessage['type']>> = {
  ping: 'pong',
  'find-node': 'find-node-response',
  'find-value': 'find-value-response',
  store: 'store-response',
  reach: 'reach-response',
  rendezvous: 'rendezvous-response',
  punch: 'punch-response',
  services: 'services-response',
}

function deadlineOf({ isSlow, softAt, hardAt }: Pending): number {
  return isSlow ? hardAt : Math.min(softAt, hardAt)
}

/** The requests in flight: transactions, round trips, timeouts. */
export class Requests {
  readonly #core: Core
  readonly #care: ContactCare
  #pending: Map<number, Pending> | undefined
  #nextTransaction = -1
  /** Smoothed round trip and deviation over all contacts, for those that were never measured; −1 before. */
  #roundTripMs = -1
  #deviationMs = 0
  /** Of the requests in flight, the earliest. */
  #deadline = Number.POSITIVE_INFINITY

  constructor(core: Core, care: ContactCare) {
    this.#core = core
    this.#care = care
  }

  get size(): number {
    return this.#pending?.size ?? 0
  }

  deadline(): number {
    return this.#deadline
  }

  /** `waitMs`: has failed after so long, whatever was measured. */
  ping(to: ContactRef, owner: RequestOwner, waitMs?: number): boolean {
    const transaction = this.#open(to, 'ping', owner, waitMs)
    if (transaction < 0) return false
    this.#core.send(to, { type: 'ping', transaction, isServer: this.#core.isServerFor(to) })
    return true
  }

  findNode(to: ContactRef, target: Uint8Array, owner: RequestOwner): boolean {
    const transaction = this.#open(to, 'find-node', owner)
    if (transaction < 0) return false
    this.#core.send(to, { type: 'find-node', transaction, isServer: this.#core.isServerFor(to), target })
    return true
  }

  findValue(to: ContactRef, key: Uint8Array, owner: RequestOwner): boolean {
    const transaction = this.#open(to, 'find-value', owner)
    if (transaction < 0) return false
    this.#core.send(to, { type: 'find-value', transaction, isServer: this.#core.isServerFor(to), key })
    return true
  }

  /** `ageMinutes`: since the record's owner last published it. */
  store(to: ContactRef, token: Uint8Array, record: Uint8Array, ageMinutes: number, owner: RequestOwner): boolean {
    const transaction = this.#open(to, 'store', owner)
    if (transaction < 0) return false
    const isServer = this.#core.isServerFor(to)
    this.#core.send(to, { type: 'store', transaction, isServer, token, record, ageMinutes })
    return true
  }

  reach(to: ContactRef, owner: RequestOwner): boolean {
    const transaction = this.#open(to, 'reach', owner)
    if (transaction < 0) return false
    this.#core.send(to, { type: 'reach', transaction, isServer: this.#core.isServerFor(to) })
    return true
  }

  rendezvous(to: ContactRef, owner: RequestOwner): boolean {
    const transaction = this.#open(to, 'rendezvous', owner)
    if (transaction < 0) return false
    this.#core.send(to, { type: 'rendezvous', transaction, isServer: this.#core.isServerFor(to) })
    return true
  }

  /** Half of `punchWaitMs`: it may have to wait for a handshake whose first datagram got lost. */
  punch(to: ContactRef, nonce: Uint8Array, target: Uint8Array, owner: RequestOwner): boolean {
    const transaction = this.#open(to, 'punch', owner, this.#core.config.punchWaitMs / 2)
    if (transaction < 0) return false
    this.#core.send(to, { type: 'punch', transaction, isServer: this.#core.isServerFor(to), nonce, target })
    return true
  }

  services(to: ContactRef, owner: RequestOwner): boolean {
    const transaction = this.#open(to, 'services', owner)
    if (transaction < 0) return false
    this.#core.send(to, { type: 'services', transaction, isServer: this.#core.isServerFor(to) })
    return true
  }

  /** An answer came. It counts only from whom was asked, with the transaction and of the type that was asked. */
  settle(from: ContactRef, message: KademliaMessage): void {
    const pending = this.#pending?.get(message.transaction)
    if (pending === undefined) {
      this.#core.counters.add('answers-unasked')
      return
    }
    if (pending.to !== from) {
      this.#core.counters.add('answers-from-another')
      return
    }
    this.#delete(pending)
    if (answerTypes[pending.type] !== message.type) {
      this.#core.counters.add('answers-of-wrong-type')
      this.#care.lied(from)
      pending.owner.failed(pending)
      return
    }
    const ms = this.#core.mono - pending.sentAt
    this.#measure(ms)
    this.#care.proved(from, message.isServer, ms)
    pending.owner.answered(pending, message)
  }

  /** An answer turned out to be wrong. */
  lied(ref: ContactRef): void {
    this.#care.lied(ref)
  }

  /** The layer below could not send the request: no fault of the contact's, and no silence (O34). */
  fail(transaction: number): void {
    const pending = this.#pending?.get(transaction)
    if (pending === undefined) return
    this.#delete(pending)
    this.#core.counters.add('requests-not-sent')
    pending.owner.failed(pending)
  }

  /** The layer below has waited long enough for the answer. */
  giveUp(transaction: number): void {
    const pending = this.#pending?.get(transaction)
    if (pending !== undefined) this.#end(pending)
  }

  wake(): void {
    const now = this.#core.mono
    if (this.#pending === undefined || now < this.#deadline) return
    // Owners may send while this runs: #open then lowers the deadline again.
    this.#deadline = Number.POSITIVE_INFINITY
    for (const pending of this.#pending.values()) {
      if (now >= pending.hardAt) this.#end(pending)
      else if (now >= pending.softAt && !pending.isSlow) {
        pending.isSlow = true
        pending.owner.late(pending)
      }
    }
    this.#deadline = this.#earliest()
  }

  mark(mark: (ref: ContactRef) => void): void {
    if (this.#pending !== undefined) for (const { to } of this.#pending.values()) mark(to)
  }

  clear(): void {
    this.#pending = undefined
    this.#deadline = Number.POSITIVE_INFINITY
  }

  /** The transaction; −1 when there are too many. */
  #open(to: ContactRef, type: RequestType, owner: RequestOwner, waitMs = this.#hardMs(to)): number {
    const { mono, config, counters, random } = this.#core
    this.#pending ??= new Map()
    if (this.#pending.size >= config.requestsMax) {
      counters.add('requests-over-limit')
      return -1
    }
    if (this.#nextTransaction < 0) this.#nextTransaction = new DataView(random.bytes(4).slice().buffer).getUint32(0)
    const transaction = this.#nextTransaction
    this.#nextTransaction = (transaction + 1) >>> 0
    const softAt = mono + this.#softMs(to)
    const hardAt = mono + waitMs
    this.#pending.set(transaction, { transaction, to, type, owner, sentAt: mono, softAt, hardAt, isSlow: false })
    this.#deadline = Math.min(this.#deadline, softAt, hardAt)
    return transaction
  }

  #delete(pending: Pending): void {
    this.#pending?.delete(pending.transaction)
    // Most answers come before their deadline, and a wake for nothing costs more than a look at what is left.
    if (deadlineOf(pending) <= this.#deadline) this.#deadline = this.#earliest()
  }

  #earliest(): number {
    let earliest = Number.POSITIVE_INFINITY
    for (const pending of this.#pending?.values() ?? []) earliest = Math.min(earliest, deadlineOf(pending))
    return earliest
  }

  #end(pending: Pending): void {
    this.#delete(pending)
    this.#core.counters.add('timeouts')
    // Whoever is asked for services too often says nothing, and is no worse a contact for it (O66).
    if (pending.type !== 'services') this.#care.silent(pending.to, pending.sentAt)
    pending.owner.failed(pending)
  }

  /** RFC 6298 §2.2, §2.3: over all contacts. */
  #measure(ms: number): void {
    if (this.#roundTripMs < 0) {
      this.#roundTripMs = ms
      this.#deviationMs = ms / 2
      return
    }
    this.#deviationMs += (Math.abs(this.#roundTripMs - ms) - this.#deviationMs) / 4
    this.#roundTripMs += (ms - this.#roundTripMs) / 8
  }

  /** RFC 6298 §2.3: smoothed round trip and four deviations; −1 when the contact was never measured. */
  #expectedMs(to: ContactRef): number {
    const { table } = this.#core
    const roundTrip = table.roundTripMs(to)
    return roundTrip === undefined ? -1 : roundTrip + 4 * table.deviationMs(to)
  }

  #softMs(to: ContactRef): number {
    const { softTimeoutMs, softTimeoutMinMs } = this.#core.config
    let expected = this.#expectedMs(to)
    if (expected < 0 && this.#roundTripMs >= 0) expected = this.#roundTripMs + 4 * this.#deviationMs
    return expected < 0 ? softTimeoutMs : Math.max(expected, softTimeoutMinMs)
  }

  #hardMs(to: ContactRef): number {
    const { hardTimeoutMs, hardTimeoutMinMs, hardTimeoutMaxMs } = this.#core.config
    const expected = this.#expectedMs(to)
    if (expected < 0) return hardTimeoutMs
    return Math.min(Math.max(2 * expected, hardTimeoutMinMs), hardTimeoutMaxMs)
  }
}
