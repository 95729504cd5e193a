import { createHash } from 'node:crypto'
import { equalBytes } from '@miaou/core'
import type { SqlRow, SqlValue, Store } from '@miaou/messaging'
import {
  type BoxStock,
  type FetchedEnvelope,
  nextQueueClock,
  type QueueLimits,
  type QueueOperation,
  type QueueResult,
  type QueueTotals,
  queueDeadline,
  type TokenStatus,
} from '@miaou/network'
import { BoxBook, type BoxCounts } from './box-book.ts'
import { createQueueTables } from './queue-schema.ts'

type Of<T extends QueueOperation['type']> = Extract<QueueOperation, { type: T }>
type Refusal = Extract<QueueResult, { type: 'refused' }>['reason']

/** States of a token (`token.state`). */
const unused = 0
const held = 1
const taken = 2

/** Envelopes of one box are numbered below it; a key is box × this + number, so that one B-tree keeps them in order. */
const idsPerBox = 2 ** 32
/** What makes the file larger. */
const growing: ReadonlySet<QueueOperation['type']> = new Set(['tokens', 'bundles', 'deposit'])
/** Numbers taken from a box's row at a time: a crash skips some, which costs nothing. */
const idsAtOnce = 256

/**
 * What a mailbox keeps, in tables. All is synchronous and throws what the store throws; `apply` is one transaction. What
 * the bounds need is counted in memory, from the tables once at the start.
 */
export class QueueTables {
  readonly #store: Store
  readonly #limits: QueueLimits
  readonly #book: BoxBook
  #clock: number | undefined
  /** There is no room on the disk: what would take more is refused, what makes room is done. */
  isTight = false

  constructor(store: Store, limits: QueueLimits) {
    this.#store = store
    this.#limits = limits
    createQueueTables(store)
    this.#book = new BoxBook(store, limits)
    const clock = store.get('SELECT at FROM clock')?.['at']
    this.#clock = clock === undefined ? undefined : Number(clock)
  }

  totals(): QueueTotals {
    return this.#book.totals()
  }

  /** All of it durable when it returns; when it throws, nothing of it happened. */
  apply(operations: readonly QueueOperation[]): QueueResult[] {
    this.#book.begin()
    const clockBefore = this.#clock
    try {
      return this.#store.transaction(() => operations.map((operation) => this.#one(operation)))
    } catch (thrown) {
      this.#book.undo()
      this.#clock = clockBefore
      throw thrown
    }
  }

  #one(operation: QueueOperation): QueueResult {
    if (operation.type === 'register') return this.#register(operation)
    if (operation.type === 'expire') return this.#expire(operation.at)
    const box = this.#book.get(operation.box)
    if (operation.type === 'release') {
      if (box !== undefined) this.#deleteBox(box)
      return { type: 'done' }
    }
    if (box === undefined) return refused('no-box')
    if (this.isTight && growing.has(operation.type)) return refused('full')
    switch (operation.type) {
      case 'tokens':
        return this.#tokens(box, operation)
      case 'bundles':
        return this.#bundles(box, operation)
      case 'take-bundle':
        return this.#takeBundle(box, operation.allowOneTime)
      case 'deposit':
        return this.#deposit(box, operation)
      case 'check':
        return { type: 'statuses', statuses: operation.tokenHashes.map((hash) => this.#statusOf(box, hash)) }
      case 'read':
        return { type: 'envelopes', envelopes: this.#read(box, operation) }
      case 'acknowledge':
        return this.#acknowledge(box, operation.ids)
    }
  }

  #register({ box: name, start, at }: Of<'register'>): QueueResult {
    const until = queueDeadline(this.#clock, at, this.#limits.boxLifeMs)
    const known = this.#book.get(name)
    if (known === undefined) {
      if (this.isTight || this.#book.size >= this.#limits.boxesMax) return refused('full')
      const { lastInsertRowid } = this.#run(
        'INSERT INTO box (name, counter, nonce, until, last_id) VALUES (?, ?, ?, ?, 0)',
        [name, start.counter, start.nonce, until],
      )
      const box = this.#book.add(lastInsertRowid, name)
      return { type: 'registered', stock: stockOf(box), staleSince: undefined }
    }
    const row = this.#store.get('SELECT counter, nonce FROM box WHERE id = ?', [known.id])
    const counter = Number(row?.['counter'])
    const isSame = start.counter === counter && equalBytes(start.nonce, bytesOf(row, 'nonce'))
    const isStale = start.counter <= counter && !isSame
    const mark: readonly SqlValue[] = isStale ? [counter, bytesOf(row, 'nonce')] : [start.counter, start.nonce]
    this.#run('UPDATE box SET counter = ?, nonce = ?, until = ? WHERE id = ?', [...mark, until, known.id])
    return { type: 'registered', stock: stockOf(known), staleSince: isStale ? counter : undefined }
  }

  #tokens(box: BoxCounts, { reset, hashes }: Of<'tokens'>): QueueResult {
    const { tokensMax, tokenCost, bytesMax } = this.#limits
    const dropped = reset ? box.tokens : 0
    const isTooMany = box.tokens - dropped + hashes.length > tokensMax
    const growth = (hashes.length - dropped) * tokenCost
    if (isTooMany || (growth > 0 && this.#book.bytes + growth > bytesMax)) return refused('full')
    if (reset) this.#run('DELETE FROM token WHERE box = ? AND state = 0', [box.id])
    let added = 0
    for (const hash of hashes) {
      // One that was used stays used: nobody's envelope is taken in twice.
      added += this.#run('INSERT OR IGNORE INTO token (box, hash, state) VALUES (?, ?, 0)', [box.id, hash]).changes
    }
    return { type: 'stock', stock: stockOf(this.#book.change(box, { tokens: added - dropped })) }
  }

  #bundles(box: BoxCounts, { reset, oneTime, lastResort }: Of<'bundles'>): QueueResult {
    const { oneTimeBundlesMax, bundleBytesMax, bytesMax } = this.#limits
    const all = lastResort === undefined ? oneTime : [...oneTime, lastResort]
    const size = all.reduce((sum, bytes) => sum + bytes.length, 0)
    const isTooMany = (reset ? 0 : box.oneTimeBundles) + oneTime.length > oneTimeBundlesMax
    const isTooLarge = all.some((bytes) => bytes.length > bundleBytesMax)
    const isFull = all.length > 0 && this.#book.bytes + size > bytesMax
    if (isTooMany || isTooLarge || isFull) return refused('full')
    if (reset) {
      this.#run('DELETE FROM bundle WHERE box = ?', [box.id])
      const { oneTimeBundles, bundleBytes, lastResortSize } = box
      this.#book.change(box, { oneTimeBundles: -oneTimeBundles, bundleBytes: lastResortSize - bundleBytes })
    }
    for (const bytes of oneTime) this.#addBundle(box, bytes)
    if (lastResort !== undefined) {
      const growth = lastResort.length - box.lastResortSize
      this.#book.change(box, { bundleBytes: growth, lastResortSize: growth })
      this.#run('INSERT OR REPLACE INTO last_resort (box, bytes) VALUES (?, ?)', [box.id, lastResort])
    }
    return { type: 'stock', stock: stockOf(box) }
  }

  /** One that waits, or was given to somebody, is not taken in again: its owner had not heard that it was here. */
  #addBundle(box: BoxCounts, bytes: Uint8Array): void {
    const digest = digestOf(bytes)
    if (this.#store.get('SELECT 1 AS one FROM given WHERE box = ? AND digest = ?', [box.id, digest]) !== undefined)
      return
    const { changes } = this.#run('INSERT OR IGNORE INTO bundle (box, digest, bytes) VALUES (?, ?, ?)', [
      box.id,
      digest,
      bytes,
    ])
    this.#book.change(box, { oneTimeBundles: changes, bundleBytes: changes * bytes.length })
  }

  #takeBundle(box: BoxCounts, allowOneTime: boolean): QueueResult {
    if (allowOneTime && box.oneTimeBundles > 0) {
      const row = this.#store.get('SELECT id, digest, bytes FROM bundle WHERE box = ? ORDER BY id LIMIT 1', [box.id])
      const bytes = bytesOf(row, 'bytes')
      this.#run('DELETE FROM bundle WHERE id = ?', [Number(row?.['id'])])
      this.#run('INSERT OR IGNORE INTO given (box, digest) VALUES (?, ?)', [box.id, bytesOf(row, 'digest')])
      this.#run(
        'DELETE FROM given WHERE id IN (SELECT id FROM given WHERE box = ? ORDER BY id DESC LIMIT -1 OFFSET ?)',
        [box.id, this.#limits.givenMax],
      )
      this.#book.change(box, { oneTimeBundles: -1, bundleBytes: -bytes.length })
      return { type: 'bundle', bytes }
    }
    const row = this.#store.get('SELECT bytes FROM last_resort WHERE box = ?', [box.id])
    return { type: 'bundle', bytes: row === undefined ? undefined : bytesOf(row, 'bytes') }
  }

  #deposit(box: BoxCounts, operation: Of<'deposit'>): QueueResult {
    const { tokenHash, bytes } = operation
    const digest = digestOf(bytes)
    const before = tokenHash === undefined ? this.#inLane(box, digest) : this.#underToken(box, tokenHash, digest)
    if (before !== undefined) return before
    const refusal = this.#refusalOf(box, tokenHash, bytes.length)
    if (refusal !== undefined) return refused(refusal)
    const id = this.#takeId(box)
    const until = queueDeadline(this.#clock, operation.at, this.#limits.envelopeLifeMs)
    const isStrange = tokenHash === undefined
    this.#run(
      'INSERT INTO envelope (key, accepted_at, until, size, strange, token, digest, bytes) VALUES (?, ?, ?, ?, ?, ?, ?, ?)',
      [keyOf(box, id), operation.at, until, bytes.length, isStrange ? 1 : 0, tokenHash ?? null, digest, bytes],
    )
    this.#book.change(box, { envelopes: 1, bytes: bytes.length })
    if (isStrange) {
      this.#book.change(box, { strangers: 1, strangersBytes: bytes.length })
    } else {
      this.#run('UPDATE token SET state = 1, digest = ?, id = ?, until = ? WHERE box = ? AND hash = ?', [
        digest,
        id,
        until,
        box.id,
        tokenHash,
      ])
      this.#book.change(box, { tokens: -1, spent: 1 })
      if (box.spent > this.#limits.spentMax) this.#forgetTaken(box)
    }
    return { type: 'accepted', id, until, repeated: false }
  }

  /** What the same strangers' envelope was answered, while it waits. */
  #inLane(box: BoxCounts, digest: Uint8Array): QueueResult | undefined {
    if (box.strangers === 0) return undefined
    const row = this.#store.get(
      'SELECT key, until FROM envelope WHERE strange = 1 AND key BETWEEN ? AND ? AND digest = ?',
      [keyOf(box, 0), keyOf(box, idsPerBox - 1), digest],
    )
    if (row === undefined) return undefined
    return { type: 'accepted', id: idOf(Number(row['key'])), until: Number(row['until']), repeated: true }
  }

  /** What becomes of a token that was used, or is none; undefined for one that may be used. */
  #underToken(box: BoxCounts, hash: Uint8Array, digest: Uint8Array): QueueResult | undefined {
    const row = this.#store.get('SELECT state, digest, id, until FROM token WHERE box = ? AND hash = ?', [box.id, hash])
    if (row === undefined) return refused('token-unknown')
    if (Number(row['state']) === unused) return undefined
    if (!equalBytes(bytesOf(row, 'digest'), digest)) return refused('token-spent')
    return { type: 'accepted', id: Number(row['id']), until: Number(row['until']), repeated: true }
  }

  #refusalOf(box: BoxCounts, token: Uint8Array | undefined, size: number): Refusal | undefined {
    const { bytesMax, boxEnvelopesMax, boxBytesMax, strangersMax, strangersBytesMax } = this.#limits
    if (this.#book.bytes + size > bytesMax) return 'full'
    if (box.envelopes >= boxEnvelopesMax || box.bytes + size > boxBytesMax) return 'full'
    if (token !== undefined) return undefined
    return box.strangers >= strangersMax || box.strangersBytes + size > strangersBytesMax ? 'full' : undefined
  }

  #takeId(box: BoxCounts): number {
    if (box.lastId >= box.idsUntil) {
      this.#run('UPDATE box SET last_id = ? WHERE id = ?', [box.lastId + idsAtOnce, box.id])
      this.#book.change(box, { idsUntil: box.lastId + idsAtOnce - box.idsUntil })
    }
    this.#book.change(box, { lastId: 1 })
    return box.lastId
  }

  /** Makes room for a sixteenth at once: each time, all tokens of the box are read. */
  #forgetTaken(box: BoxCounts): void {
    const { changes } = this.#run(
      `DELETE FROM token WHERE box = ? AND hash IN (
        SELECT hash FROM token WHERE box = ? AND state = 2 ORDER BY until LIMIT ?)`,
      [box.id, box.id, Math.max(1, Math.floor(this.#limits.spentMax / 16))],
    )
    this.#book.change(box, { spent: -changes })
  }

  #statusOf(box: BoxCounts, hash: Uint8Array): TokenStatus {
    const row = this.#store.get('SELECT state FROM token WHERE box = ? AND hash = ?', [box.id, hash])
    const state = Number(row?.['state'] ?? unused)
    return state === held ? 'held' : state === taken ? 'taken' : 'unknown'
  }

  #read(box: BoxCounts, { after, countMax, bytesMax }: Of<'read'>): FetchedEnvelope[] {
    const sizes = this.#store.all('SELECT key, size FROM envelope WHERE key > ? AND key < ? ORDER BY key LIMIT ?', [
      keyOf(box, after),
      keyOf(box, idsPerBox),
      Math.max(1, countMax),
    ])
    let bytes = 0
    let last = 0
    for (const row of sizes) {
      bytes += Number(row['size'])
      if (last > 0 && bytes > bytesMax) break
      last = Number(row['key'])
    }
    const rows = this.#store.all(
      'SELECT key, accepted_at, token, bytes FROM envelope WHERE key > ? AND key <= ? ORDER BY key',
      [keyOf(box, after), last],
    )
    return rows.map((row) => ({
      id: idOf(Number(row['key'])),
      bytes: bytesOf(row, 'bytes'),
      tokenHash: row['token'] === null ? undefined : bytesOf(row, 'token'),
      acceptedAt: Number(row['accepted_at']),
    }))
  }

  #acknowledge(box: BoxCounts, ids: readonly number[]): QueueResult {
    for (const id of ids) {
      if (id < 1 || id >= idsPerBox) continue
      const row = this.#deleteEnvelope(keyOf(box, id))
      const token = row?.['token']
      if (token instanceof Uint8Array) {
        this.#run('UPDATE token SET state = 2 WHERE box = ? AND hash = ? AND state = 1', [box.id, token])
      }
    }
    return { type: 'done' }
  }

  #deleteEnvelope(key: number): SqlRow | undefined {
    const row = this.#store.get('SELECT size, strange, token FROM envelope WHERE key = ?', [key])
    if (row === undefined) return undefined
    this.#run('DELETE FROM envelope WHERE key = ?', [key])
    const box = this.#book.byId(Math.floor(key / idsPerBox))
    if (box === undefined) return row
    const size = Number(row['size'])
    this.#book.change(box, { envelopes: -1, bytes: -size })
    if (Number(row['strange']) === 1) this.#book.change(box, { strangers: -1, strangersBytes: -size })
    return row
  }

  #expire(at: number): QueueResult {
    const { envelopeLifeMs, boxLifeMs, livesAheadMax, expireEnvelopesMax, expireBoxesMax } = this.#limits
    const clock = nextQueueClock(this.#clock, at, this.#limits)
    this.#clock = clock
    this.#run('INSERT OR REPLACE INTO clock (id, at) VALUES (1, ?)', [clock])
    const latest = Math.max(clock, at)
    for (const [table, lifeMs] of [
      ['envelope', envelopeLifeMs],
      ['token', envelopeLifeMs],
      ['box', boxLifeMs],
    ] as const) {
      const lives = [latest + lifeMs, latest + livesAheadMax * lifeMs]
      this.#run(`UPDATE ${table} SET until = ? WHERE until > ?`, lives)
    }
    const over = 'SELECT key FROM envelope WHERE until <= ? ORDER BY until LIMIT ?'
    for (const row of this.#store.all(over, [clock, expireEnvelopesMax])) this.#deleteEnvelope(Number(row['key']))
    const spent = 'SELECT box, hash FROM token WHERE until <= ? ORDER BY until LIMIT ?'
    for (const row of this.#store.all(spent, [clock, expireEnvelopesMax])) {
      this.#run('DELETE FROM token WHERE box = ? AND hash = ?', [Number(row['box']), bytesOf(row, 'hash')])
      const box = this.#book.byId(Number(row['box']))
      if (box !== undefined) this.#book.change(box, { spent: -1 })
    }
    const abandoned = 'SELECT id FROM box WHERE until <= ? ORDER BY until LIMIT ?'
    for (const row of this.#store.all(abandoned, [clock, expireBoxesMax])) {
      const box = this.#book.byId(Number(row['id']))
      if (box !== undefined) this.#deleteBox(box)
    }
    return { type: 'done' }
  }

  #deleteBox(box: BoxCounts): void {
    this.#run('DELETE FROM envelope WHERE key BETWEEN ? AND ?', [keyOf(box, 0), keyOf(box, idsPerBox - 1)])
    for (const table of ['token', 'bundle', 'given', 'last_resort']) {
      this.#run(`DELETE FROM ${table} WHERE box = ?`, [box.id])
    }
    this.#run('DELETE FROM box WHERE id = ?', [box.id])
    this.#book.remove(box)
  }

  #run(sql: string, parameters: readonly SqlValue[]): { changes: number; lastInsertRowid: number } {
    return this.#store.run(sql, parameters)
  }
}

function keyOf(box: BoxCounts, id: number): number {
  return box.id * idsPerBox + id
}

function idOf(key: number): number {
  return key % idsPerBox
}

function refused(reason: Refusal): QueueResult {
  return { type: 'refused', reason }
}

function stockOf({ tokens, oneTimeBundles, lastResortSize, envelopes }: BoxCounts): BoxStock {
  return { tokens, oneTimeBundles, hasLastResort: lastResortSize > 0, waiting: envelopes }
}

function bytesOf(row: SqlRow | undefined, column: string): Uint8Array {
  const value = row?.[column]
  if (!(value instanceof Uint8Array)) throw new Error(`the queue has no bytes in ${column}`)
  return value
}

function digestOf(bytes: Uint8Array): Uint8Array {
  return Uint8Array.from(createHash('sha256').update(bytes).digest().subarray(0, 16))
}
