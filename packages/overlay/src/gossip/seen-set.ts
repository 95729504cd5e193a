const notFound = -1
const wordsPerId = 4
const firstCapacity = 64

/**
 * The ids of messages seen, oldest first: bounded, expiring, ≈ 32 bytes an id. An id counts by its first 16 bytes.
 * Every id added gets an ordinal, one more than the one before.
 */
export class SeenSet {
  readonly #sizeMax: number
  readonly #lifeMs: number
  #capacity = firstCapacity
  #ids = new Uint32Array(firstCapacity * wordsPerId)
  #times = new Float64Array(firstCapacity)
  /** Open addressing: ordinal + 1 modulo 2^32 would not be exact for long, so it holds the ring's position + 1. */
  #slots = new Int32Array(firstCapacity * 2)
  #first = 0
  #next = 0

  /** `sizeMax`: ids, ≥ 1. `lifeMs`: how long an id is remembered. */
  constructor(sizeMax: number, lifeMs: number) {
    this.#sizeMax = sizeMax
    this.#lifeMs = lifeMs
  }

  get size(): number {
    return this.#next - this.#first
  }

  /** Whether the id in the 16 bytes at `offset` was added and not forgotten. */
  has(bytes: Uint8Array, offset = 0): boolean {
    return this.ordinal(bytes, offset) !== notFound
  }

  /** The ordinal of an id, -1 when it is not there. */
  ordinal(bytes: Uint8Array, offset = 0): number {
    const slot = this.#find(
      word(bytes, offset),
      word(bytes, offset + 4),
      word(bytes, offset + 8),
      word(bytes, offset + 12),
    )
    const entry = this.#slots[slot] as number
    if (entry === 0) return notFound
    const start = this.#first % this.#capacity
    const position = entry - 1
    return this.#first + (position >= start ? position - start : position - start + this.#capacity)
  }

  /** Adds an id that is not there and gives its ordinal; forgets what is too old or too much. `now`: monotonic ms. */
  add(now: number, bytes: Uint8Array, offset = 0): number {
    this.expire(now)
    if (this.size >= this.#sizeMax) this.#forgetFirst()
    if (this.size >= this.#capacity) this.#grow()
    const position = this.#next % this.#capacity
    const at = position * wordsPerId
    for (let i = 0; i < wordsPerId; i++) this.#ids[at + i] = word(bytes, offset + 4 * i)
    this.#times[position] = now
    this.#index(position)
    return this.#next++
  }

  /** Forgets ids whose life is over. */
  expire(now: number): void {
    while (this.size > 0 && (this.#times[this.#first % this.#capacity] as number) + this.#lifeMs <= now) {
      this.#forgetFirst()
    }
  }

  #index(position: number): void {
    const at = position * wordsPerId
    const ids = this.#ids
    const slot = this.#find(ids[at] as number, ids[at + 1] as number, ids[at + 2] as number, ids[at + 3] as number)
    this.#slots[slot] = position + 1
  }

  /** The slot that holds the id, or the empty one where it belongs. */
  #find(a: number, b: number, c: number, d: number): number {
    const mask = this.#slots.length - 1
    const ids = this.#ids
    // Ids are hashes, yet a stranger can grind some bits: all words count, so that clusters cost work.
    let slot = (Math.imul(a ^ (c << 7) ^ (c >>> 25), 0x9e3779b1) ^ b ^ Math.imul(d, 0x85ebca6b)) & mask
    for (;;) {
      const entry = this.#slots[slot] as number
      if (entry === 0) return slot
      const at = (entry - 1) * wordsPerId
      if (ids[at] === a && ids[at + 1] === b && ids[at + 2] === c && ids[at + 3] === d) return slot
      slot = (slot + 1) & mask
    }
  }

  #home(position: number): number {
    const at = position * wordsPerId
    const ids = this.#ids
    const [a, b, c, d] = [ids[at] as number, ids[at + 1] as number, ids[at + 2] as number, ids[at + 3] as number]
    return (Math.imul(a ^ (c << 7) ^ (c >>> 25), 0x9e3779b1) ^ b ^ Math.imul(d, 0x85ebca6b)) & (this.#slots.length - 1)
  }

  #forgetFirst(): void {
    const position = this.#first % this.#capacity
    const at = position * wordsPerId
    const ids = this.#ids
    const slots = this.#slots
    const mask = slots.length - 1
    let hole = this.#find(ids[at] as number, ids[at + 1] as number, ids[at + 2] as number, ids[at + 3] as number)
    // Backward shift: what was pushed past the hole moves into it, so that no search ends too early.
    for (let slot = (hole + 1) & mask; slots[slot] !== 0; slot = (slot + 1) & mask) {
      const home = this.#home((slots[slot] as number) - 1)
      if (((slot - home) & mask) >= ((slot - hole) & mask)) {
        slots[hole] = slots[slot] as number
        hole = slot
      }
    }
    slots[hole] = 0
    this.#first += 1
  }

  #grow(): void {
    const capacity = this.#capacity * 2
    const ids = new Uint32Array(capacity * wordsPerId)
    const times = new Float64Array(capacity)
    for (let ordinal = this.#first; ordinal < this.#next; ordinal++) {
      const from = ordinal % this.#capacity
      const to = ordinal % capacity
      ids.set(this.#ids.subarray(from * wordsPerId, (from + 1) * wordsPerId), to * wordsPerId)
      times[to] = this.#times[from] as number
    }
    this.#capacity = capacity
    this.#ids = ids
    this.#times = times
    this.#slots = new Int32Array(capacity * 2)
    for (let ordinal = this.#first; ordinal < this.#next; ordinal++) this.#index(ordinal % capacity)
  }
}

function word(bytes: Uint8Array, offset: number): number {
  return (
    (((bytes[offset] as number) << 24) |
      ((bytes[offset + 1] as number) << 16) |
      ((bytes[offset + 2] as number) << 8) |
      (bytes[offset + 3] as number)) >>>
    0
  )
}
