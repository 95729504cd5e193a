import type { Crypto } from '@miaou/crypto'
import type { Endpoint } from '@miaou/protocol'
import type { ContactRef } from './interface.ts'

export interface ContactTableOptions {
  readonly crypto: Pick<Crypto, 'sha256'>
  /** Most rows. Every row that is not rooted is free for reuse once they are used up. */
  readonly contactsMax: number
}

/** Calls `mark` with every row it still needs. */
export type ContactRoots = (mark: (ref: ContactRef) => void) => void

/**
 * Interned contacts: one row for each pair of key and endpoint, in typed arrays. Engines hold 4-byte rows instead of
 * objects; engines of one process may share one table (the simulator does). Rows are reclaimed by mark and sweep, only
 * inside `reserve`, so that a row stays valid between two calls of it even if nobody roots it.
 */
export interface ContactTable {
  /** Makes room for `count` rows, sweeping if need be. Call it before decoding what a peer sent. */
  reserve(count: number): void
  addRoots(roots: ContactRoots): void
  /** Row of a packed contact (protocol `PackedContacts`) at `offset`; `family` tells its size (38 or 50 bytes). */
  intern(packed: Uint8Array, offset: number, family: 4 | 6): ContactRef
  internKey(key: Uint8Array, endpoint: Endpoint): ContactRef
  /** Writes the packed form at `offset` and returns the offset behind it. */
  pack(ref: ContactRef, target: Uint8Array, offset: number): number
  family(ref: ContactRef): 4 | 6
  /** 32 bytes, a view into the table. */
  key(ref: ContactRef): Uint8Array
  /** Node id: SHA-256 of the key, 32 bytes, a view into the table. */
  id(ref: ContactRef): Uint8Array
  /** Cached: the same object for the same row. */
  endpoint(ref: ContactRef): Endpoint
  /** The /24 or /48 the endpoint lies in, as a number; 0 for loopback and private networks, which have no limit. */
  prefix(ref: ContactRef): number
  readonly size: number
}

export type CreateContactTable = (options: ContactTableOptions) => ContactTable
