import type { SkippedChain, SkippedEviction, SkippedKey, SkippedKeyId, SkippedKeys } from './skipped.ts'

/** The part of a decryption's result that concerns the kept keys. */
export interface SkippedChange {
  readonly skippedAdded: readonly SkippedKey[]
  readonly skippedUsed: SkippedKeyId | undefined
  readonly skippedEvicted: readonly SkippedEviction[]
}

/** `SkippedKeys` in memory: for sessions that need no disk, and the model of what a stored table does. */
export class MemorySkippedKeys implements SkippedKeys {
  readonly #keysByChain = new Map<number, Map<number, SkippedKey>>()

  constructor(keys: Iterable<SkippedKey> = []) {
    for (const key of keys) this.#insert(key)
  }

  get size(): number {
    let size = 0
    for (const keys of this.#keysByChain.values()) size += keys.size
    return size
  }

  chains(): readonly SkippedChain[] {
    const chains: SkippedChain[] = []
    for (const [chain, keys] of this.#keysByChain) {
      const [first] = keys.values()
      if (first) chains.push({ chain, headerKey: first.headerKey, count: keys.size })
    }
    return chains
  }

  find(chain: number, number: number): SkippedKey | undefined {
    return this.#keysByChain.get(chain)?.get(number)
  }

  /** All keys, oldest first. */
  all(): readonly SkippedKey[] {
    return [...this.#keysByChain.values()]
      .flatMap((keys) => [...keys.values()])
      .sort((a, b) => a.chain - b.chain || a.number - b.number)
  }

  apply(change: SkippedChange): void {
    for (const key of change.skippedAdded) this.#insert(key)
    if (change.skippedUsed) this.#delete(change.skippedUsed)
    for (const { chain, count } of change.skippedEvicted) {
      const numbers = [...(this.#keysByChain.get(chain)?.keys() ?? [])].sort((a, b) => a - b)
      for (const number of numbers.slice(0, count)) this.#delete({ chain, number })
    }
  }

  /** Deletes what has expired. `wall`: milliseconds since the Unix epoch. */
  expire(wall: number): void {
    for (const key of this.all()) if (key.expiresAt <= wall) this.#delete(key)
  }

  #insert(key: SkippedKey): void {
    const keys = this.#keysByChain.get(key.chain)
    if (keys) keys.set(key.number, key)
    else this.#keysByChain.set(key.chain, new Map([[key.number, key]]))
  }

  #delete({ chain, number }: SkippedKeyId): void {
    const keys = this.#keysByChain.get(chain)
    keys?.delete(number)
    if (keys?.size === 0) this.#keysByChain.delete(chain)
  }
}
