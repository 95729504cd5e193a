import type { Neighbour } from './neighbour.ts'

/** A message that can still be asked for. */
export interface CachedMessage {
  /** First 16 bytes of the id, hexadecimal. */
  readonly key: string
  readonly shortId: Uint8Array
  readonly topic: string
  /** As it would be forwarded. */
  readonly bytes: Uint8Array
  /** Hops it had made when it came here; 0 for an own message. */
  readonly hops: number
  /** Who gave it, undefined for an own message. */
  from: Neighbour | undefined
  /** Monotonic ms. */
  readonly at: number
}

/** The messages of the last minute, for neighbours that missed them: bounded by bytes and by age. */
export class MessageCache {
  readonly #bytesMax: number
  readonly #lifeMs: number
  readonly #byKey = new Map<string, CachedMessage>()
  #bytes = 0

  constructor(bytesMax: number, lifeMs: number) {
    this.#bytesMax = bytesMax
    this.#lifeMs = lifeMs
  }

  get size(): number {
    return this.#byKey.size
  }

  get bytes(): number {
    return this.#bytes
  }

  get(key: string): CachedMessage | undefined {
    return this.#byKey.get(key)
  }

  /** Adds a message whose key is not there, in place of the oldest where there is no room. */
  add(message: CachedMessage): void {
    this.#byKey.set(message.key, message)
    this.#bytes += message.bytes.length
    for (const oldest of this.#byKey.values()) {
      if (this.#bytes <= this.#bytesMax && oldest.at + this.#lifeMs > message.at) break
      this.delete(oldest.key)
    }
  }

  delete(key: string): void {
    const message = this.#byKey.get(key)
    if (message === undefined) return
    this.#byKey.delete(key)
    this.#bytes -= message.bytes.length
  }

  /** From the oldest to the newest. */
  values(): IterableIterator<CachedMessage> {
    return this.#byKey.values()
  }

  /** Forgets that messages came from a neighbour that is gone. */
  forget(neighbour: Neighbour): void {
    for (const message of this.#byKey.values()) if (message.from === neighbour) message.from = undefined
  }
}
