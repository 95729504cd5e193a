import type { Random } from '@miaou/core'
import type { Crypto } from '@miaou/crypto'
import type { PackedSource } from './network-name.ts'
import { macSize } from './wire.ts'

const ephemeralSize = 32

/**
 * Stateless proof that whoever sent an ephemeral key receives at its address: a MAC over both under a secret that lives
 * for two periods (spec D33).
 */
export class Cookies {
  readonly #crypto: Crypto
  readonly #random: Random
  readonly #periodMs: number
  #secret: Uint8Array | undefined
  #previous: Uint8Array | undefined
  #since = 0
  // Packed endpoint ‖ ephemeral key, for either size of endpoint.
  readonly #input4 = new Uint8Array(6 + ephemeralSize)
  readonly #input6 = new Uint8Array(18 + ephemeralSize)

  constructor(crypto: Crypto, random: Random, periodMs: number) {
    this.#crypto = crypto
    this.#random = random
    this.#periodMs = periodMs
  }

  /** 16 bytes for `ephemeral` (32 bytes) at `source`. */
  make(now: number, source: PackedSource, ephemeral: Uint8Array): Uint8Array {
    return this.#mac(this.#current(now), source, ephemeral)
  }

  /** Whether `cookie` was made for this ephemeral key and address, in this period or the one before. */
  isValid(now: number, source: PackedSource, ephemeral: Uint8Array, cookie: Uint8Array): boolean {
    const secret = this.#current(now)
    if (this.#crypto.equal(this.#mac(secret, source, ephemeral), cookie)) return true
    return this.#previous !== undefined && this.#crypto.equal(this.#mac(this.#previous, source, ephemeral), cookie)
  }

  #current(now: number): Uint8Array {
    const age = now - this.#since
    if (this.#secret !== undefined && age < this.#periodMs) return this.#secret
    this.#previous = age < 2 * this.#periodMs ? this.#secret : undefined
    this.#since = now
    this.#secret = this.#random.bytes(32)
    return this.#secret
  }

  #mac(secret: Uint8Array, source: PackedSource, ephemeral: Uint8Array): Uint8Array {
    const input = source.size === 6 ? this.#input4 : this.#input6
    for (let at = 0; at < source.size; at++) input[at] = source.bytes[at] as number
    input.set(ephemeral, source.size)
    return this.#crypto.hmacSha256(secret, input).subarray(0, macSize)
  }
}
