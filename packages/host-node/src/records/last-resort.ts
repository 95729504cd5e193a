import type { Clock, Jitter } from '@miaou/core'
import type { Crypto } from '@miaou/crypto'
import { decodeBundleManifest, encodeRecord, joinBundle, splitBundle } from '@miaou/protocol'
import type { RecordOverlay } from './ports.ts'

/** How often the parts are stored anew, ms: DECISIONS "Storing". */
const refreshMs = 3_600_000
/** First wait after parts that could not be stored, ms; it doubles up to `refreshMs`. Guess, as for records. */
const retryMs = 30_000

export interface LastResortOptions {
  readonly crypto: Crypto
  readonly clock: Clock
  readonly jitter: Jitter
  readonly isReady: () => boolean
  readonly putRecord: RecordOverlay['putRecord']
  readonly get: RecordOverlay['get']
  /** Its manifest is stored under that key, 32 bytes: contacts must be told. */
  readonly onKey: (key: Uint8Array) => void
}

/**
 * The own last-resort prekey bundle in the overlay, in content-addressed parts, so that a first message can be written to
 * somebody whose mailboxes are gone (spec/prekeys); and those of others.
 */
export class LastResort {
  readonly #options: LastResortOptions
  #parts: readonly Uint8Array[] = []
  #manifest: Uint8Array | undefined
  #key: Uint8Array | undefined
  #publishAt = Number.POSITIVE_INFINITY
  #tries = 0
  #isPublishing = false

  constructor(options: LastResortOptions) {
    this.#options = options
  }

  /** `bytes`: sealed. Stored as soon as there is an overlay to store it in. */
  publish(bytes: Uint8Array): void {
    const { manifest, parts, bundleKey } = splitBundle(this.#options.crypto, bytes)
    this.#parts = parts
    this.#manifest = manifest
    this.#key = bundleKey
    this.#publishAt = Number.NEGATIVE_INFINITY
    this.#tries = 0
  }

  /** Does what is due; to be called each second. */
  care(): void {
    const { clock, isReady } = this.#options
    if (this.#isPublishing || clock.now().mono < this.#publishAt || !isReady()) return
    void this.#publish()
  }

  /** The bundle whose manifest is under a key; undefined where it is not whole. */
  async find(key: Uint8Array): Promise<Uint8Array | undefined> {
    const { crypto, isReady } = this.#options
    if (!isReady()) return undefined
    const value = await this.#value(key)
    const manifest = value && decodeBundleManifest(value)
    if (!manifest?.ok) return undefined
    const parts = await Promise.all(manifest.value.partKeys.map((part) => this.#value(part)))
    const found = parts.filter((part) => part !== undefined)
    if (found.length < parts.length) return undefined
    return joinBundle(crypto, manifest.value, found)
  }

  async #value(key: Uint8Array): Promise<Uint8Array | undefined> {
    const found = await this.#options.get(key)
    return found.ok && found.value.record.type === 'value' ? found.value.record.value : undefined
  }

  async #store(value: Uint8Array): Promise<boolean> {
    return (await this.#options.putRecord(encodeRecord({ type: 'value', value }))).ok
  }

  async #publish(): Promise<void> {
    const { clock, jitter, onKey } = this.#options
    const [key, manifest] = [this.#key, this.#manifest]
    this.#isPublishing = true
    let isStored = true
    for (const part of this.#parts) if (!(await this.#store(part))) isStored = false
    // Whoever finds the manifest finds the parts: it goes last, and only when they are there.
    if (isStored && manifest !== undefined) isStored = await this.#store(manifest)
    this.#isPublishing = false
    // Another one came meanwhile: it is due already.
    if (key !== this.#key) return
    if (isStored && key !== undefined) onKey(key)
    const waitMs = isStored ? refreshMs : Math.min(refreshMs, retryMs * 2 ** Math.min(20, this.#tries))
    this.#tries = isStored ? 0 : this.#tries + 1
    this.#publishAt = clock.now().mono + waitMs * (0.9 + 0.2 * jitter.next())
  }
}
