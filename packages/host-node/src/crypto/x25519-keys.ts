import { createPrivateKey, createPublicKey, type KeyObject, timingSafeEqual } from 'node:crypto'

interface KnownSecret {
  /** The bytes that the key object was made of: the caller may have overwritten the array since. */
  readonly copy: Uint8Array
  readonly keyObject: KeyObject
  readonly publicKey: Uint8Array
}

// RFC 8410 §7: PKCS #8 of a 32-byte X25519 secret, up to the secret.
const pkcs8Prefix = Buffer.from('302e020100300506032b656e04220420', 'hex')
// RFC 8410 §4: SubjectPublicKeyInfo, up to the key.
const spkiPrefix = Buffer.from('302a300506032b656e032100', 'hex')

/**
 * node:crypto's objects of X25519 keys. Making one costs as much as an agreement, and a handshake uses each key twice:
 * those of secrets live as long as the array that holds the secret, those of public keys in a bounded cache.
 */
export class X25519Keys {
  readonly #publicKeysMax: number
  #secrets = new WeakMap<Uint8Array, KnownSecret>()
  readonly #publicKeys = new Map<string, KeyObject>()

  /** `publicKeysMax`: public keys remembered; the first learnt makes room. */
  constructor(publicKeysMax: number) {
    this.#publicKeysMax = publicKeysMax
  }

  /** Public keys remembered at the moment. */
  get publicKeys(): number {
    return this.#publicKeys.size
  }

  /** `secretKey`: 32 bytes. */
  secret(secretKey: Uint8Array): KnownSecret {
    const known = this.#secrets.get(secretKey)
    if (known !== undefined && timingSafeEqual(known.copy, secretKey)) return known
    known?.copy.fill(0)
    const encoded = Buffer.concat([pkcs8Prefix, secretKey])
    const keyObject = withoutStackTraces(() => createPrivateKey({ key: encoded, format: 'der', type: 'pkcs8' }))
    encoded.fill(0)
    // Of the public half alone: the form of a whole pair would hold the secret as a text, which cannot be overwritten.
    const { x = '' } = createPublicKey(keyObject).export({ format: 'jwk' })
    const publicKey = new Uint8Array(Buffer.from(x, 'base64url'))
    const made: KnownSecret = { copy: secretKey.slice(), keyObject, publicKey }
    this.#secrets.set(secretKey, made)
    return made
  }

  /** Says that `twin` holds the same secret as `secretKey`, whose key object it then shares. */
  share(secretKey: Uint8Array, twin: Uint8Array): void {
    const { copy, keyObject, publicKey } = this.secret(secretKey)
    this.#secrets.set(twin, { copy: copy.slice(), keyObject, publicKey })
  }

  /** `publicKey`: 32 bytes. */
  public(publicKey: Uint8Array): KeyObject {
    const name = Buffer.concat([spkiPrefix, publicKey]).toString('base64')
    const known = this.#publicKeys.get(name)
    if (known !== undefined) return known
    // As a text, which is the cheapest way in. Not so for secrets, since a text cannot be overwritten.
    const made = createPublicKey(`-----BEGIN PUBLIC KEY-----\n${name}\n-----END PUBLIC KEY-----`)
    if (this.#publicKeys.size >= this.#publicKeysMax) {
      const oldest = this.#publicKeys.keys().next()
      if (oldest.done !== true) this.#publicKeys.delete(oldest.value)
    }
    this.#publicKeys.set(name, made)
    return made
  }

  /** Forgets a secret: OpenSSL overwrites its own copy when the key object is collected. */
  forget(secretKey: Uint8Array): void {
    this.#secrets.get(secretKey)?.copy.fill(0)
    this.#secrets.delete(secretKey)
  }
}

/**
 * node:crypto asks whether its argument is a key by catching two errors; their stack traces are half the price of an
 * import.
 */
function withoutStackTraces<T>(run: () => T): T {
  const before = Error.stackTraceLimit
  Error.stackTraceLimit = 0
  try {
    return run()
  } finally {
    Error.stackTraceLimit = before
  }
}
