import type { KeyPair } from '@miaou/crypto'
import { signPrekeyBundle } from '@miaou/protocol'
import type { Context } from './context.ts'
import { bytesOf, numberOf } from './row.ts'

const kinds = { signed: 1, oneTime: 2, kemOneTime: 3, kemLastResort: 4 } as const

export type PrekeyKind = keyof typeof kinds

interface Prekey {
  readonly id: number
  readonly keys: KeyPair
}

/**
 * Our prekeys. One-time ones are made when a linked device asks, so that each goes to one asker; they are deleted in
 * the transaction that stores the session they started.
 */
export class Prekeys {
  readonly #context: Context
  #signed: Prekey | undefined
  #lastResort: Prekey | undefined
  #oneTimeCount: number | undefined

  constructor(context: Context) {
    this.#context = context
  }

  reset(): void {
    this.#signed = undefined
    this.#lastResort = undefined
    this.#oneTimeCount = undefined
  }

  /** An encoded bundle, signed by this device, with one-time keys as long as there is room for them. */
  bundle(): Uint8Array {
    const { crypto, identity, limits, now } = this.#context
    const signed = this.#current('signed')
    const hasRoom = this.#countOneTime() + 2 <= limits.oneTimePrekeysMax
    const oneTime = hasRoom ? this.#create('oneTime') : undefined
    const kem = hasRoom ? this.#create('kemOneTime') : this.#current('kemLastResort')
    if (hasRoom) this.#oneTimeCount = this.#countOneTime() + 2
    return signPrekeyBundle(crypto, identity.deviceKey.secretKey, {
      sessionKey: identity.sessionKey.publicKey,
      signedPrekey: { id: signed.id, publicKey: signed.keys.publicKey },
      ...(oneTime && { oneTimePrekey: { id: oneTime.id, publicKey: oneTime.keys.publicKey } }),
      kemPrekey: { id: kem.id, publicKey: kem.keys.publicKey, oneTime: hasRoom },
      createdAt: Math.round(now.wall),
    })
  }

  find(kind: PrekeyKind, id: number): KeyPair | undefined {
    const row = this.#context.store.get('SELECT public_key, secret_key FROM prekeys WHERE id = ? AND kind = ?', [
      id,
      kinds[kind],
    ])
    return row && { publicKey: bytesOf(row, 'public_key'), secretKey: bytesOf(row, 'secret_key') }
  }

  /** Deletes a one-time prekey that was used. */
  consume(id: number): void {
    const { changes } = this.#context.store.run('DELETE FROM prekeys WHERE id = ? AND kind IN (2, 3)', [id])
    if (this.#oneTimeCount !== undefined) this.#oneTimeCount -= changes
  }

  /** Deletes what is too old. A prekey dated later than now was made before the clock went back: it is dated now. */
  maintain(): void {
    const { store, now, limits } = this.#context
    store.run('UPDATE prekeys SET created_at = ? WHERE created_at > ?', [Math.round(now.wall), now.wall])
    store.run('DELETE FROM prekeys WHERE created_at <= ?', [now.wall - limits.prekeyLifetimeMs])
    this.reset()
  }

  /** The key of a kind that lives long, replaced when it is due. */
  #current(kind: 'signed' | 'kemLastResort'): Prekey {
    const { store, now, limits } = this.#context
    const known = kind === 'signed' ? this.#signed : this.#lastResort
    if (known) return known
    const row = store.get('SELECT * FROM prekeys WHERE kind = ? ORDER BY id DESC LIMIT 1', [kinds[kind]])
    const isFresh = row !== undefined && now.wall - numberOf(row, 'created_at') < limits.prekeyRotationMs
    const prekey = isFresh
      ? {
          id: numberOf(row, 'id'),
          keys: { publicKey: bytesOf(row, 'public_key'), secretKey: bytesOf(row, 'secret_key') },
        }
      : this.#create(kind)
    if (kind === 'signed') this.#signed = prekey
    else this.#lastResort = prekey
    return prekey
  }

  #create(kind: PrekeyKind): Prekey {
    const { crypto, random, store, now } = this.#context
    const isKem = kind === 'kemOneTime' || kind === 'kemLastResort'
    const keys = isKem ? crypto.mlkem768KeyPair(random.bytes(64)) : crypto.x25519KeyPair(random.bytes(32))
    const { lastInsertRowid } = store.run(
      'INSERT INTO prekeys (kind, public_key, secret_key, created_at) VALUES (?, ?, ?, ?)',
      [kinds[kind], keys.publicKey, keys.secretKey, Math.round(now.wall)],
    )
    return { id: lastInsertRowid, keys }
  }

  #countOneTime(): number {
    if (this.#oneTimeCount === undefined) {
      const row = this.#context.store.get('SELECT count(*) AS count FROM prekeys WHERE kind IN (2, 3)')
      this.#oneTimeCount = row === undefined ? 0 : numberOf(row, 'count')
    }
    return this.#oneTimeCount
  }
}
