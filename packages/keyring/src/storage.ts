/**
 * Port: a few small named blobs kept across restarts, written atomically (a crash leaves the old or the new bytes) and
 * readable by their owner only. Names hold lower-case letters, digits and hyphens. A host's adapter throws when the
 * disk refuses a write; the old bytes are then still there.
 */
export interface SecureStorage {
  /** The bytes under a name, or undefined when there are none. */
  load(name: string): Uint8Array | undefined
  store(name: string, bytes: Uint8Array): void
  /** Removing what is not there does nothing. */
  remove(name: string): void
  names(): string[]
}

/** A storage that lasts as long as the object: for tests and for peers that keep nothing. */
export class MemoryStorage implements SecureStorage {
  readonly #blobs = new Map<string, Uint8Array>()

  load(name: string): Uint8Array | undefined {
    return this.#blobs.get(name)?.slice()
  }

  store(name: string, bytes: Uint8Array): void {
    this.#blobs.set(name, bytes.slice())
  }

  remove(name: string): void {
    this.#blobs.delete(name)
  }

  names(): string[] {
    return [...this.#blobs.keys()]
  }
}
