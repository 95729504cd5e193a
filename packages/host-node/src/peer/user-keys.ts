import { bytesToHex, err, ok, type Random, type Result, unreachable } from '@miaou/core'
import type { Crypto } from '@miaou/crypto'
import type { Keyring } from '@miaou/keyring'

/** `signing`: Ed25519. `agreement`: X25519. `aead`: 32 bytes for ChaCha20-Poly1305. */
export type UserKeyKind = 'signing' | 'agreement' | 'aead'

export interface UserKeyView {
  readonly keyId: string
  readonly kind: UserKeyKind
  /** 32 bytes; absent for symmetric keys. */
  readonly publicKey?: Uint8Array
  /** Wall-clock ms. */
  readonly createdAt: number
}

export type UserKeyError =
  | { readonly type: 'unknown-key'; readonly keyId: string }
  | { readonly type: 'wrong-kind'; readonly keyId: string; readonly kind: UserKeyKind; readonly wanted: UserKeyKind }
  | { readonly type: 'key-exists'; readonly keyId: string }
  | { readonly type: 'bad-key-id' }
  | { readonly type: 'too-many-keys'; readonly countMax: number }
  | {
      readonly type: 'bad-size'
      readonly what: 'key' | 'nonce' | 'signature'
      readonly size: number
      readonly wanted: number
    }
  | { readonly type: 'undecryptable' }
  | { readonly type: 'keyring'; readonly detail: string }

/** Keys a person makes for their own use (rows A19, I09–I11). The peer's own keys are out of its reach. */
export interface UserKeys {
  list(): Result<readonly UserKeyView[], UserKeyError>
  /** `keyId`: 1–64 of `a-z 0-9 . _ -`; made up when absent. */
  generate(kind: UserKeyKind, keyId?: string): Result<UserKeyView, UserKeyError>
  /** 64-byte Ed25519 signature over the message as it is. */
  sign(keyId: string, message: Uint8Array): Result<Uint8Array, UserKeyError>
  verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): Result<boolean, UserKeyError>
  /** `key`: a key id, or 32 bytes. `nonce`: 12 bytes. Result: ciphertext ‖ 16-byte tag. */
  aeadEncrypt(
    key: string | Uint8Array,
    nonce: Uint8Array,
    ad: Uint8Array,
    plaintext: Uint8Array,
  ): Result<Uint8Array, UserKeyError>
  aeadDecrypt(
    key: string | Uint8Array,
    nonce: Uint8Array,
    ad: Uint8Array,
    ciphertext: Uint8Array,
  ): Result<Uint8Array, UserKeyError>
  /** 32 secret bytes: whoever has them has the key. */
  exportSecret(keyId: string): Result<Uint8Array, UserKeyError>
  remove(keyId: string): Result<undefined, UserKeyError>
}

const keyIdPattern = /^[a-z0-9][a-z0-9._-]{0,63}$/
/** User keys carry this prefix in the keyring: no command can name the account's or the device's keys. */
const prefix = 'user.'
const kindPrefix = 'user-'

/** The keys of `keyring` that a person made. `wallNow`: wall-clock ms for new keys. */
export function openUserKeys(crypto: Crypto, random: Random, keyring: Keyring, wallNow: () => number): UserKeys {
  return new KeyringUserKeys(crypto, random, keyring, wallNow)
}

class KeyringUserKeys implements UserKeys {
  readonly #crypto: Crypto
  readonly #random: Random
  readonly #keyring: Keyring
  readonly #wallNow: () => number

  constructor(crypto: Crypto, random: Random, keyring: Keyring, wallNow: () => number) {
    this.#crypto = crypto
    this.#random = random
    this.#keyring = keyring
    this.#wallNow = wallNow
  }

  list(): Result<readonly UserKeyView[], UserKeyError> {
    const keys = this.#attempt(() => ok(this.#keyring.list()))
    if (!keys.ok) return keys
    const views = keys.value.flatMap(({ keyId, kind, publicKey, createdAt }) => {
      const userKind = toUserKind(kind)
      if (!keyId.startsWith(prefix) || userKind === undefined) return []
      return [toView(keyId.slice(prefix.length), userKind, publicKey, createdAt)]
    })
    return ok(views)
  }

  generate(
    kind: UserKeyKind,
    keyId = `${kind}-${bytesToHex(this.#random.bytes(4))}`,
  ): Result<UserKeyView, UserKeyError> {
    if (!keyIdPattern.test(keyId)) return err({ type: 'bad-key-id' })
    const secret = this.#random.bytes(32)
    const publicKey = this.#publicKey(kind, secret)
    const createdAt = this.#wallNow()
    const info = publicKey === undefined ? { createdAt } : { createdAt, publicKey }
    const put = this.#attempt(() => this.#keyring.put(prefix + keyId, kindPrefix + kind, secret, info))
    this.#crypto.wipe(secret)
    if (put.ok) return ok(toView(keyId, kind, publicKey, createdAt))
    switch (put.error.type) {
      case 'key-exists':
        return err({ type: 'key-exists', keyId })
      case 'keyring-full':
        return err({ type: 'too-many-keys', countMax: put.error.keysMax })
      case 'invalid-key-id':
        return err({ type: 'bad-key-id' })
      case 'keyring':
        return err(put.error)
      default:
        return unreachable(put.error)
    }
  }

  sign(keyId: string, message: Uint8Array): Result<Uint8Array, UserKeyError> {
    return this.#withSecret(keyId, 'signing', (secret) => ok(this.#crypto.ed25519Sign(message, secret)))
  }

  verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): Result<boolean, UserKeyError> {
    if (publicKey.length !== 32) return err({ type: 'bad-size', what: 'key', size: publicKey.length, wanted: 32 })
    if (signature.length !== 64) return err({ type: 'bad-size', what: 'signature', size: signature.length, wanted: 64 })
    return ok(this.#crypto.ed25519Verify(signature, message, publicKey))
  }

  aeadEncrypt(
    key: string | Uint8Array,
    nonce: Uint8Array,
    ad: Uint8Array,
    plaintext: Uint8Array,
  ): Result<Uint8Array, UserKeyError> {
    return this.#withAeadKey(key, nonce, (secret) =>
      ok(this.#crypto.chacha20Poly1305Seal(secret, nonce, ad, plaintext)),
    )
  }

  aeadDecrypt(
    key: string | Uint8Array,
    nonce: Uint8Array,
    ad: Uint8Array,
    ciphertext: Uint8Array,
  ): Result<Uint8Array, UserKeyError> {
    return this.#withAeadKey(key, nonce, (secret) => {
      const plaintext = this.#crypto.chacha20Poly1305Open(secret, nonce, ad, ciphertext)
      return plaintext === undefined ? err({ type: 'undecryptable' }) : ok(plaintext)
    })
  }

  exportSecret(keyId: string): Result<Uint8Array, UserKeyError> {
    return this.#withSecret(keyId, undefined, (secret) => ok(secret.slice()))
  }

  remove(keyId: string): Result<undefined, UserKeyError> {
    const removed = this.#attempt(() => ok(this.#keyring.remove(prefix + keyId)))
    if (!removed.ok) return removed
    return removed.value ? ok(undefined) : err({ type: 'unknown-key', keyId })
  }

  /** The storage below the keyring throws what the system refuses: a full disk, a folder that may not be written. */
  #attempt<T, E = never>(
    operation: () => Result<T, E>,
  ): Result<T, E | { readonly type: 'keyring'; readonly detail: string }> {
    try {
      return operation()
    } catch (thrown) {
      return err({ type: 'keyring', detail: thrown instanceof Error ? thrown.message : 'unknown' })
    }
  }

  #publicKey(kind: UserKeyKind, secret: Uint8Array): Uint8Array | undefined {
    if (kind === 'signing') return this.#crypto.ed25519KeyPair(secret).publicKey
    return kind === 'agreement' ? this.#crypto.x25519KeyPair(secret).publicKey : undefined
  }

  #withSecret<T>(
    keyId: string,
    wanted: UserKeyKind | undefined,
    use: (secret: Uint8Array) => Result<T, UserKeyError>,
  ): Result<T, UserKeyError> {
    const key = this.#attempt(() => this.#keyring.get(prefix + keyId))
    if (!key.ok) {
      if (key.error.type === 'unknown-key') return err({ type: 'unknown-key', keyId })
      return key.error.type === 'keyring' ? err(key.error) : err({ type: 'keyring', detail: key.error.type })
    }
    const kind = toUserKind(key.value.kind)
    if (kind === undefined) return err({ type: 'unknown-key', keyId })
    if (wanted !== undefined && kind !== wanted) return err({ type: 'wrong-kind', keyId, kind, wanted })
    const result = use(key.value.secret)
    this.#crypto.wipe(key.value.secret)
    return result
  }

  #withAeadKey<T>(
    key: string | Uint8Array,
    nonce: Uint8Array,
    use: (secret: Uint8Array) => Result<T, UserKeyError>,
  ): Result<T, UserKeyError> {
    if (nonce.length !== 12) return err({ type: 'bad-size', what: 'nonce', size: nonce.length, wanted: 12 })
    if (typeof key === 'string') return this.#withSecret(key, 'aead', use)
    return key.length === 32 ? use(key) : err({ type: 'bad-size', what: 'key', size: key.length, wanted: 32 })
  }
}

function toUserKind(kind: string): UserKeyKind | undefined {
  const userKind = kind.startsWith(kindPrefix) ? kind.slice(kindPrefix.length) : ''
  return userKind === 'signing' || userKind === 'agreement' || userKind === 'aead' ? userKind : undefined
}

function toView(keyId: string, kind: UserKeyKind, publicKey: Uint8Array | undefined, createdAt: number): UserKeyView {
  return publicKey === undefined ? { keyId, kind, createdAt } : { keyId, kind, publicKey, createdAt }
}
