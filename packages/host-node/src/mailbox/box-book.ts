import { bytesToHex } from '@miaou/core'
import type { SqlRow, Store } from '@miaou/messaging'
import type { QueueLimits, QueueTotals } from '@miaou/network'

/** What one box holds, counted. */
interface Counts {
  envelopes: number
  bytes: number
  strangers: number
  strangersBytes: number
  /** Not used yet. */
  tokens: number
  spent: number
  oneTimeBundles: number
  /** With the last-resort bundle. */
  bundleBytes: number
  lastResortSize: number
  /** The number given last, and the one up to which the table has them taken. */
  lastId: number
  idsUntil: number
}

export interface BoxCounts extends Readonly<Counts> {
  readonly id: number
  readonly name: string
}

interface KeptBox extends Counts {
  readonly id: number
  readonly name: string
}

interface Totals {
  envelopes: number
  bytes: number
}

const counted = [
  `SELECT key / 4294967296 AS box, count(*) AS envelopes, sum(size) AS bytes, sum(strange) AS strangers,
    sum(strange * size) AS strangersBytes FROM envelope INDEXED BY envelope_until GROUP BY key / 4294967296`,
  'SELECT box, sum(state = 0) AS tokens, sum(state > 0) AS spent FROM token GROUP BY box',
  'SELECT box, count(*) AS oneTimeBundles, sum(length(bytes)) AS bundleBytes FROM bundle GROUP BY box',
  'SELECT box, length(bytes) AS bundleBytes, length(bytes) AS lastResortSize FROM last_resort',
]

/**
 * The counts of all boxes, in memory: bounds are checked without a query. A group that fails is undone from the copies
 * made when it first touched a box.
 */
export class BoxBook {
  readonly #tokenCost: number
  readonly #byName = new Map<string, KeptBox>()
  readonly #byId = new Map<number, KeptBox>()
  readonly #totals: Totals = { envelopes: 0, bytes: 0 }
  /** Boxes as they were before this group; undefined: made by it. */
  readonly #before = new Map<number, KeptBox | undefined>()
  #totalsBefore: Totals = { envelopes: 0, bytes: 0 }

  constructor(store: Store, { tokenCost }: QueueLimits) {
    this.#tokenCost = tokenCost
    for (const row of store.all('SELECT id, name, last_id FROM box')) {
      const name = row['name']
      if (!(name instanceof Uint8Array)) continue
      this.#put({ ...noCounts, id: numberOf(row, 'id'), name: bytesToHex(name), ...idsFrom(numberOf(row, 'last_id')) })
    }
    for (const sql of counted) {
      for (const { box, ...counts } of store.all(sql)) {
        const kept = this.#byId.get(Number(box))
        if (kept !== undefined) this.change(kept, Object.fromEntries(Object.entries(counts).map(toCount)))
      }
    }
    this.begin()
  }

  get size(): number {
    return this.#byId.size
  }

  /** Of all boxes, as `bytesMax` counts them. */
  get bytes(): number {
    return this.#totals.bytes
  }

  totals(): QueueTotals {
    return { boxes: this.#byId.size, ...this.#totals }
  }

  get(box: Uint8Array): BoxCounts | undefined {
    return this.#byName.get(bytesToHex(box))
  }

  byId(id: number): BoxCounts | undefined {
    return this.#byId.get(id)
  }

  /** A group begins: `undo` comes back to here. */
  begin(): void {
    this.#before.clear()
    this.#totalsBefore = { ...this.#totals }
  }

  undo(): void {
    for (const [id, before] of this.#before) {
      const now = this.#byId.get(id)
      if (now !== undefined) {
        this.#byId.delete(id)
        this.#byName.delete(now.name)
      }
      if (before !== undefined) this.#put(before)
    }
    Object.assign(this.#totals, this.#totalsBefore)
    this.#before.clear()
  }

  add(id: number, name: Uint8Array): BoxCounts {
    this.#before.set(id, undefined)
    return this.#put({ ...noCounts, id, name: bytesToHex(name) })
  }

  /** Adds to the counts; what is given is what changes. */
  change(box: BoxCounts, by: Partial<Counts>): BoxCounts {
    const kept = this.#byId.get(box.id)
    if (kept === undefined) return box
    this.#remember(kept)
    for (const [name, count] of Object.entries(by)) {
      // The names are those of `Counts`.
      kept[name as keyof Counts] += count
    }
    this.#totals.envelopes += by.envelopes ?? 0
    this.#totals.bytes += this.#cost(by)
    return kept
  }

  remove(box: BoxCounts): void {
    const kept = this.#byId.get(box.id)
    if (kept === undefined) return
    this.#remember(kept)
    this.#totals.envelopes -= kept.envelopes
    this.#totals.bytes -= this.#cost(kept)
    this.#byId.delete(kept.id)
    this.#byName.delete(kept.name)
  }

  #remember(box: KeptBox): void {
    if (!this.#before.has(box.id)) this.#before.set(box.id, { ...box })
  }

  #cost({ bytes = 0, bundleBytes = 0, tokens = 0, spent = 0 }: Partial<Counts>): number {
    return bytes + bundleBytes + (tokens + spent) * this.#tokenCost
  }

  #put(box: KeptBox): KeptBox {
    this.#byId.set(box.id, box)
    this.#byName.set(box.name, box)
    return box
  }
}

const noCounts: Counts = {
  envelopes: 0,
  bytes: 0,
  strangers: 0,
  strangersBytes: 0,
  tokens: 0,
  spent: 0,
  oneTimeBundles: 0,
  bundleBytes: 0,
  lastResortSize: 0,
  lastId: 0,
  idsUntil: 0,
}

function idsFrom(lastId: number): Pick<Counts, 'lastId' | 'idsUntil'> {
  return { lastId, idsUntil: lastId }
}

function toCount([name, value]: readonly [string, unknown]): [string, number] {
  return [name, Number(value)]
}

function numberOf(row: SqlRow, column: string): number {
  return Number(row[column])
}
