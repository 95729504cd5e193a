import type { KeyPair } from '@miaou/crypto'
import { signPrekeyBundle } from '@miaou/protocol'
import type { Context } from './context.ts'
import { bytesOf, numberOf } from './row.ts'

/** Column `prekeys.kind`: those laid in boxes are counted apart, so that whoever empties a box takes none from links. */
const kinds = { signed: 1, oneTime: 2, kemOneTime: 3, kemLastResort: 4, sealing: 5, boxOneTime: 6, boxKem: 7 } as const

type StoredKind = keyof typeof kinds
type LastingKind = 'signed' | 'kemLastResort' | 'sealing'

export type PrekeyKind = 'signed' | 'oneTime' | 'kemOneTime' | 'kemLastResort' | 'sealing'

/** The kinds under which a key may be kept that others name by one of these. */
const searched: Readonly<Record<PrekeyKind, readonly [StoredKind, StoredKind]>> = {
  signed: ['signed', 'signed'],
  oneTime: ['oneTime', 'boxOneTime'],
  kemOneTime: ['kemOneTime', 'boxKem'],
  kemLastResort: ['kemLastResort', 'kemLastResort'],
  sealing: ['sealing', 'sealing'],
}

interface Prekey {
  readonly id: number
  readonly keys: KeyPair
}

/** The X-Wing key by which others seal what they leave for us in boxes. */
export interface OwnSealingKey {
  readonly id: number
  /** 1,216 bytes. */
  readonly publicKey: Uint8Array
}

/**
 * Our prekeys. One-time ones are made when a linked device asks, or for a box that hands each to one asker; they are
 * deleted in the transaction that stores the session they started.
 */
export class Prekeys {
  readonly #context: Context
  readonly #lasting = new Map<LastingKind, Prekey>()
  /** One-time keys given out and not used yet, by whom they were given. */
  readonly #counts = new Map<'link' | 'box', number>()

  constructor(context: Context) {
    this.#context = context
  }

  reset(): void {
    this.#lasting.clear()
    this.#counts.clear()
  }

  /** An encoded bundle for a linked device, signed by this one, with one-time keys as long as there is room for them. */
  bundle(): Uint8Array {
    const { oneTimePrekeysMax } = this.#context.limits
    return this.#sign(this.#hasRoom('link', oneTimePrekeysMax) ? 'link' : undefined)
  }

  /** A bundle with one-time keys for a box; undefined when as many are out as may be: counted, as somebody drains them. */
  boxBundle(): Uint8Array | undefined {
    if (this.#hasRoom('box', this.#context.limits.boxPrekeysMax)) return this.#sign('box')
    this.#context.drop('prekeys-drained')
    return undefined
  }

  /** The bundle for whoever finds no other; good for many. */
  lastResort(): Uint8Array {
    return this.#sign(undefined)
  }

  /** Changes when `lastResort` would hold other keys. */
  lastResortVersion(): string {
    return (['signed', 'kemLastResort', 'sealing'] as const).map((kind) => this.#current(kind).id).join('.')
  }

  sealingKey(): OwnSealingKey {
    const { id, keys } = this.#current('sealing')
    return { id, publicKey: keys.publicKey }
  }

  find(kind: PrekeyKind, id: number): KeyPair | undefined {
    const [first, second] = searched[kind]
    const row = this.#context.store.get('SELECT public_key, secret_key FROM prekeys WHERE id = ? AND kind IN (?, ?)', [
      id,
      kinds[first],
      kinds[second],
    ])
    return row && { publicKey: bytesOf(row, 'public_key'), secretKey: bytesOf(row, 'secret_key') }
  }

  /** Deletes a one-time prekey that was used: it opens nothing again. */
  consume(id: number): void {
    const { changes } = this.#context.store.run('DELETE FROM prekeys WHERE id = ? AND kind IN (2, 3, 6, 7)', [id])
    if (changes > 0) this.#counts.clear()
  }

  /** Deletes all one-time prekeys: this home was copied, and the copy may use the same ones. */
  deleteOneTime(): void {
    this.#context.store.run('DELETE FROM prekeys WHERE kind IN (2, 3, 6, 7)')
    this.#counts.clear()
  }

  /** Deletes what is too old. A prekey dated later than now was made before the clock went back: it is dated now. */
  maintain(): void {
    const { store, now, limits } = this.#context
    store.run('UPDATE prekeys SET created_at = ? WHERE created_at > ?', [Math.round(now.wall), now.wall])
    store.run('DELETE FROM prekeys WHERE created_at <= ? AND kind <> 5', [now.wall - limits.prekeyLifetimeMs])
    store.run('DELETE FROM prekeys WHERE created_at <= ? AND kind = 5', [now.wall - limits.sealingKeyLifetimeMs])
    this.reset()
  }

  #sign(oneTimeFor: 'link' | 'box' | undefined): Uint8Array {
    const { crypto, identity, now } = this.#context
    const signed = this.#current('signed')
    const oneTime = oneTimeFor && this.#create(oneTimeFor === 'link' ? 'oneTime' : 'boxOneTime')
    const kemOneTime = oneTimeFor && this.#create(oneTimeFor === 'link' ? 'kemOneTime' : 'boxKem')
    if (oneTimeFor) this.#counts.set(oneTimeFor, this.#count(oneTimeFor) + 2)
    const kem = kemOneTime ?? this.#current('kemLastResort')
    const sealing = this.#current('sealing')
    return signPrekeyBundle(crypto, identity.deviceKey.secretKey, {
      sessionKey: identity.sessionKey.publicKey,
      signedPrekey: { id: signed.id, publicKey: signed.keys.publicKey },
      ...(oneTime && { oneTimePrekey: { id: oneTime.id, publicKey: oneTime.keys.publicKey } }),
      kemPrekey: { id: kem.id, publicKey: kem.keys.publicKey, oneTime: kemOneTime !== undefined },
      sealingKey: sealing.keys.publicKey,
      sealingKeyId: sealing.id,
      createdAt: Math.round(now.wall),
    })
  }

  /** The key of a kind that lives long, replaced when it is due. */
  #current(kind: LastingKind): Prekey {
    const { store, now, limits } = this.#context
    const known = this.#lasting.get(kind)
    if (known) return known
    const row = store.get('SELECT * FROM prekeys WHERE kind = ? ORDER BY id DESC LIMIT 1', [kinds[kind]])
    const isFresh = row !== undefined && now.wall - numberOf(row, 'created_at') < limits.prekeyRotationMs
    const prekey = isFresh
      ? {
          id: numberOf(row, 'id'),
          keys: { publicKey: bytesOf(row, 'public_key'), secretKey: bytesOf(row, 'secret_key') },
        }
      : this.#create(kind)
    this.#lasting.set(kind, prekey)
    return prekey
  }

  #create(kind: StoredKind): Prekey {
    const { store, now } = this.#context
    const keys = this.#keyPair(kind)
    const { lastInsertRowid } = store.run(
      'INSERT INTO prekeys (kind, public_key, secret_key, created_at) VALUES (?, ?, ?, ?)',
      [kinds[kind], keys.publicKey, keys.secretKey, Math.round(now.wall)],
    )
    return { id: lastInsertRowid, keys }
  }

  #keyPair(kind: StoredKind): KeyPair {
    const { crypto, random } = this.#context
    switch (kind) {
      case 'kemOneTime':
      case 'kemLastResort':
      case 'boxKem':
        return crypto.mlkem768KeyPair(random.bytes(64))
      case 'sealing':
        return crypto.xwingKeyPair(random.bytes(32))
      default:
        return crypto.x25519KeyPair(random.bytes(32))
    }
  }

  #hasRoom(whose: 'link' | 'box', countMax: number): boolean {
    return this.#count(whose) + 2 <= countMax
  }

  #count(whose: 'link' | 'box'): number {
    const known = this.#counts.get(whose)
    if (known !== undefined) return known
    const [first, second] = whose === 'link' ? [kinds.oneTime, kinds.kemOneTime] : [kinds.boxOneTime, kinds.boxKem]
    const row = this.#context.store.get('SELECT count(*) AS count FROM prekeys WHERE kind IN (?, ?)', [first, second])
    const count = row === undefined ? 0 : numberOf(row, 'count')
    this.#counts.set(whose, count)
    return count
  }
}
