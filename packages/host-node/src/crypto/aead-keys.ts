import { createSecretKey, type KeyObject, timingSafeEqual } from 'node:crypto'

interface KnownKey {
  /** The bytes that the key object was made of: the caller may have overwritten the array since. */
  readonly copy: Uint8Array
  readonly keyObject: KeyObject
}

/**
 * node:crypto's objects of AEAD keys, as long as the array that holds the key lives. Given the bytes, node asks at each
 * call whether they are a key by catching two errors: half of what sealing 16 KiB costs (docs/decisions/0030).
 */
export class AeadKeys {
  readonly #keys = new WeakMap<Uint8Array, KnownKey>()

  /** `key`: 32 bytes. */
  keyObject(key: Uint8Array): KeyObject {
    const known = this.#keys.get(key)
    if (known !== undefined && timingSafeEqual(known.copy, key)) return known.keyObject
    known?.copy.fill(0)
    const made = { copy: key.slice(), keyObject: createSecretKey(key) }
    this.#keys.set(key, made)
    return made.keyObject
  }

  /** Forgets a key: OpenSSL overwrites its own copy when the key object is collected. */
  forget(key: Uint8Array): void {
    this.#keys.get(key)?.copy.fill(0)
    this.#keys.delete(key)
  }
}
