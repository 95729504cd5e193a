/**
 * Hash of the stream (time, from, to, kind) of everything delivered: two 32-bit lanes of multiply and rotate. The same
 * seed must give the same hash on every machine, so times enter as whole microseconds and no float is hashed.
 */
export class Trace {
  #first = 0x9e3779b9 | 0
  #second = 0x85ebca6b | 0
  count = 0

  add(timeMs: number, from: number, to: number, kind: number): void {
    const microseconds = Math.round(timeMs * 1000)
    this.#mix(microseconds | 0)
    this.#mix(Math.floor(microseconds / 4294967296) | 0)
    this.#mix(from)
    this.#mix((to << 4) ^ kind)
    this.count++
  }

  /** 16 hexadecimal digits. */
  digest(): string {
    const hex = (lane: number) => (lane >>> 0).toString(16).padStart(8, '0')
    return hex(this.#first) + hex(this.#second)
  }

  #mix(word: number): void {
    let first = Math.imul(this.#first ^ word, 0x01000193)
    first ^= first >>> 15
    let second = Math.imul((this.#second + word) | 0, 0xc2b2ae35 | 0)
    second = (second << 13) | (second >>> 19)
    this.#first = first
    this.#second = second ^ first
  }
}
