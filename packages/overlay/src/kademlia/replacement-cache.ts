import type { ContactRef } from './interface.ts'

/**
 * Contacts that found their bucket full, the most recently heard first (Kademlia §4.1): at most `sizeMax` a bucket, the
 * oldest gives way. Empty buckets cost nothing.
 */
export class ReplacementCache {
  readonly #sizeMax: number
  readonly #buckets = new Map<number, ContactRef[]>()

  /** `sizeMax`: contacts a bucket, ≥ 0. */
  constructor(sizeMax: number) {
    this.#sizeMax = sizeMax
  }

  offer(bucket: number, ref: ContactRef): void {
    if (this.#sizeMax === 0) return
    const refs = this.#buckets.get(bucket)
    if (refs === undefined) {
      this.#buckets.set(bucket, [ref])
      return
    }
    const known = refs.indexOf(ref)
    if (known < 0 && refs.length < this.#sizeMax) refs.push(ref)
    // In front of all before its place, or before the last one's, which goes.
    refs.copyWithin(1, 0, known < 0 ? refs.length - 1 : known)
    refs[0] = ref
  }

  /** Most recent first. */
  list(bucket: number): readonly ContactRef[] {
    return this.#buckets.get(bucket) ?? []
  }

  remove(bucket: number, ref: ContactRef): boolean {
    const refs = this.#buckets.get(bucket)
    const at = refs?.indexOf(ref) ?? -1
    if (refs === undefined || at < 0) return false
    refs.splice(at, 1)
    if (refs.length === 0) this.#buckets.delete(bucket)
    return true
  }

  mark(mark: (ref: ContactRef) => void): void {
    for (const refs of this.#buckets.values()) for (const ref of refs) mark(ref)
  }
}
