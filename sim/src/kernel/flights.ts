import { EventHeap } from './event-heap.ts'

/**
 * Messages on their way: a heap of arrival times over pooled slots. `take` moves the earliest into the public fields,
 * so that a message in flight costs no object but itself.
 */
export class Flights<M> {
  readonly #heap = new EventHeap(4096)
  #free: Int32Array
  #freeCount: number
  #froms: Int32Array
  #tos: Int32Array
  #flags: Uint8Array
  readonly #messages: (M | undefined)[]

  time = 0
  from = 0
  to = 0
  flags = 0
  message: M | undefined

  constructor(capacity = 4096) {
    this.#free = new Int32Array(capacity)
    for (let i = 0; i < capacity; i++) this.#free[i] = capacity - 1 - i
    this.#freeCount = capacity
    this.#froms = new Int32Array(capacity)
    this.#tos = new Int32Array(capacity)
    this.#flags = new Uint8Array(capacity)
    this.#messages = new Array<M | undefined>(capacity).fill(undefined)
  }

  get size(): number {
    return this.#heap.size
  }

  peek(): number {
    return this.#heap.peek()
  }

  push(time: number, from: number, to: number, flags: number, message: M): void {
    if (this.#freeCount === 0) this.#grow()
    const slot = this.#free[--this.#freeCount] as number
    this.#froms[slot] = from
    this.#tos[slot] = to
    this.#flags[slot] = flags
    this.#messages[slot] = message
    this.#heap.push(time, slot)
  }

  /** Moves the earliest into the fields. Only when `size` > 0. */
  take(): void {
    const slot = this.#heap.pop()
    this.time = this.#heap.time
    this.from = this.#froms[slot] as number
    this.to = this.#tos[slot] as number
    this.flags = this.#flags[slot] as number
    this.message = this.#messages[slot]
    this.#messages[slot] = undefined
    this.#free[this.#freeCount++] = slot
  }

  #grow(): void {
    const before = this.#froms.length
    const capacity = before * 2
    const free = new Int32Array(capacity)
    for (let i = 0; i < before; i++) free[i] = capacity - 1 - i
    this.#free = free
    this.#freeCount = before
    const froms = new Int32Array(capacity)
    froms.set(this.#froms)
    this.#froms = froms
    const tos = new Int32Array(capacity)
    tos.set(this.#tos)
    this.#tos = tos
    const flags = new Uint8Array(capacity)
    flags.set(this.#flags)
    this.#flags = flags
    for (let i = before; i < capacity; i++) this.#messages.push(undefined)
  }
}
