/**
 * Seeded generator (sfc32, Chris Doty-Humphrey's PractRand; 32-bit integer operations only, so the same on every
 * machine). Each purpose has a stream of its own: drawing more for one never shifts another.
 */
export class RandomStream {
  #a: number
  #b: number
  #c: number
  #counter = 1

  /** `seed`: any integer, its low 32 bits count. `purpose`: names the stream. */
  constructor(seed: number, purpose: string) {
    let hash = 0x811c9dc5
    for (let i = 0; i < purpose.length; i++) hash = Math.imul(hash ^ purpose.charCodeAt(i), 0x01000193)
    this.#a = seed | 0
    this.#b = hash | 0
    this.#c = Math.floor(seed / 4294967296) | 0
    // PractRand warms a seeded sfc32 up by 15 rounds; more do no harm.
    for (let i = 0; i < 20; i++) this.next()
  }

  /** 0 to 2^32 − 1. */
  next(): number {
    const sum = (this.#a + this.#b + this.#counter) | 0
    this.#counter = (this.#counter + 1) | 0
    this.#a = this.#b ^ (this.#b >>> 9)
    this.#b = (this.#c + (this.#c << 3)) | 0
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0
    return sum >>> 0
  }

  /** [0, 1), in steps of 2^-32. */
  fraction(): number {
    return this.next() / 4294967296
  }

  /** 0 to `bound` − 1. `bound`: 1 to 2^32. */
  below(bound: number): number {
    return Math.floor((this.next() / 4294967296) * bound)
  }

  /** True with this probability. */
  chance(probability: number): boolean {
    return probability > 0 && this.next() < probability * 4294967296
  }

  bytes(size: number): Uint8Array {
    const bytes = new Uint8Array(size)
    for (let i = 0; i < size; ) {
      let word = this.next()
      for (let j = 0; j < 4 && i < size; j++, word >>>= 8) bytes[i++] = word & 0xff
    }
    return bytes
  }

  /** `count` different numbers below `bound`, in random order. */
  sample(bound: number, count: number): number[] {
    const taken = new Set<number>()
    const wanted = Math.min(count, bound)
    while (taken.size < wanted) taken.add(this.below(bound))
    return [...taken]
  }
}
