/** Seeded generator of the fuzzer (sfc32, Chris Doty-Humphrey, PractRand): the same seed gives the same cases. */
export class FuzzRandom {
  #a: number
  #b: number
  #c: number
  #counter = 1

  constructor(seed: number) {
    this.#a = 0x9e37_79b9
    this.#b = 0x243f_6a88
    this.#c = seed >>> 0
    for (let round = 0; round < 12; round++) this.u32()
  }

  u32(): number {
    const result = (this.#a + this.#b + this.#counter) | 0
    this.#counter = (this.#counter + 1) | 0
    this.#a = this.#b ^ (this.#b >>> 9)
    this.#b = (this.#c + (this.#c << 3)) | 0
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + result) | 0
    return result >>> 0
  }

  /** An integer from 0 to `limit` - 1; 0 when `limit` is 0. */
  below(limit: number): number {
    return limit <= 0 ? 0 : Math.floor((this.u32() / 0x1_0000_0000) * limit)
  }

  bytes(size: number): Uint8Array {
    const bytes = new Uint8Array(size)
    for (let index = 0; index < size; index++) bytes[index] = this.u32() & 0xff
    return bytes
  }

  pick<T>(items: readonly T[]): T {
    const item = items[this.below(items.length)]
    if (item === undefined) throw new Error('nothing to pick from')
    return item
  }
}
