import { openSqliteStore } from '@miaou/host-node'
import {
  Messaging,
  type MessagingInput,
  type MessagingLimits,
  type MessagingOutput,
  migrate,
  type SqlRow,
  type SqlValue,
  type Store,
  StoreFailure,
} from '@miaou/messaging'
import type { StartMark } from '@miaou/network'
import { SeededRandom } from '../../../testkit/src/seeded.ts'
import { crypto, type Party, startWall } from './party.ts'
import type { PlantedFault } from './planted.ts'

/** The process ends within a batch. */
export class Death extends Error {}

/** Events kept of each side. */
export const eventsMax = 60
const seenMessagesMax = 16

/** Small, so that schedules of some hundred messages reach them. */
export const limits: Partial<MessagingLimits> = {
  eventsMax,
  sessionsMax: 4,
  oneTimePrekeysMax: 6,
  boxPrekeysMax: 16,
  boxBundlesMax: 2,
  boxBundlesMin: 1,
  tokensAhead: 8,
  windowCountMax: 3,
  windowBytesMax: 400,
  sessionStartsMax: 64,
  tombstonesMax: 8,
  bundlesBurst: 20,
  seenMessagesMax,
  waitingTextsMax: 12,
  owedReceiptsMax: 24,
}

/** Rows that a table may have, over all contacts (two at most) and boxes (two each). */
export const tableBounds: Readonly<Record<string, number>> = {
  events: 2 * eventsMax,
  sessions: 4 * 2,
  // Signed, one-time, last-resort, sealing and those in boxes, each with its KEM half, and rotated ones.
  prekeys: 6 + 16 * 2 + 2 * 12,
  session_starts: 64,
  contacts: 2,
  devices: 2,
  invites: 4,
  // A window of 8 ahead and as many behind that are not forgotten yet, and four tokens of an invite.
  box_tokens: 2 * 16_384,
  seen_messages: 2 * seenMessagesMax,
  waiting_texts: 12 * 2,
  owed_receipts: 24 * 2,
}

/** All rows of all tables: a backup, or the snapshot of a virtual machine. */
export type Snapshot = ReadonlyMap<string, readonly SqlRow[]>

/** Databases are opened once a process and emptied for each schedule: opening and migrating one takes longer than a schedule. */
const stores: Store[] = []

function storeAt(index: number): Store {
  const known = stores[index]
  if (known) {
    load(known, new Map())
    return known
  }
  const opened = openSqliteStore({ path: ':memory:' })
  if (!opened.ok) throw new Error(`no store: ${JSON.stringify(opened.error)}`)
  const migrated = migrate(opened.value)
  if (!migrated.ok) throw new Error('no schema')
  stores[index] = opened.value
  return opened.value
}

function tablesOf(store: Store): string[] {
  const rows = store.all(
    "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'search%' ORDER BY name",
  )
  const names = rows.map((row) => String(row['name']))
  // Last: filling the others counts in it.
  return [...names.filter((name) => name !== 'sqlite_sequence'), 'sqlite_sequence']
}

function load(store: Store, snapshot: Snapshot): void {
  store.transaction(() => {
    for (const table of tablesOf(store)) {
      store.run(`DELETE FROM ${table}`)
      for (const row of snapshot.get(table) ?? []) {
        const columns = Object.keys(row)
        const places = columns.map(() => '?').join(', ')
        const values = columns.map((name) => row[name] ?? null)
        store.run(`INSERT INTO ${table} (${columns.join(', ')}) VALUES (${places})`, values)
      }
    }
    store.run("INSERT INTO search (search) VALUES ('rebuild')")
  })
}

interface Failing {
  readonly kind: 'full' | 'death'
  /** Writes until it happens. */
  left: number
}

export type Attempt = { readonly type: 'done' | 'full' | 'died'; readonly outputs: readonly MessagingOutput[] }

/** One person's device: an engine over SQLite whose disk may be full and whose process may end at any write. */
export class Side {
  readonly index: number
  readonly party: Party
  /** What checkers read, without faults. */
  readonly store: Store
  readonly clock = { mono: 1000, wall: startWall }
  /** The start that it told; undefined until its first batch. */
  mark: StartMark | undefined
  lastResort: Uint8Array | undefined
  /** Processes so far: answers to an earlier one reach nobody. */
  life = 0
  isOnline = false
  /** Times that it was set back to a snapshot. */
  restores = 0
  snapshot: Snapshot | undefined
  /** Ids of texts that were shown although an earlier one was missing, hex. */
  readonly shownEarly = new Set<string>()
  engine: Messaging
  readonly #seed: number
  readonly #fault: PlantedFault | undefined
  readonly #dice: SeededRandom
  readonly #faulty: Store
  #failing: Failing | undefined

  constructor(index: number, party: Party, seed: number, fault: PlantedFault | undefined) {
    this.index = index
    this.party = party
    this.#seed = seed
    this.#fault = fault
    this.#dice = new SeededRandom(seed ^ (0x51de + index))
    this.store = storeAt(index)
    this.#faulty = this.#faultyStore()
    // Jitter of milliseconds shows nothing here and costs steps.
    this.store.run("INSERT INTO settings (name, value) VALUES ('jitterMs', '0')")
    this.engine = this.#create()
  }

  /** One transaction. `failing`: what happens at which write. */
  attempt(inputs: readonly MessagingInput[], failing: Failing | undefined): Attempt {
    const outputs: MessagingOutput[] = []
    const now = { ...this.clock }
    this.#failing = failing
    try {
      this.#faulty.transaction(() => {
        for (const input of inputs) outputs.push(...this.engine.handle(now, input))
        outputs.push(...this.engine.flush(now))
        this.#tick()
      })
    } catch (thrown) {
      if (thrown instanceof Death) return { type: 'died', outputs }
      if (!(thrown instanceof StoreFailure) || thrown.kind !== 'full') throw thrown
      if (this.#fault !== 'no-rollback') this.engine.rollback()
      return { type: 'full', outputs }
    } finally {
      this.#failing = undefined
    }
    return { type: 'done', outputs }
  }

  /** A new process over what the last commit left. */
  restart(): void {
    this.life += 1
    this.mark = undefined
    this.engine = this.#create()
  }

  save(): void {
    this.snapshot = new Map(tablesOf(this.store).map((table) => [table, this.store.all(`SELECT * FROM ${table}`)]))
  }

  /** The disk is as it was at the snapshot. */
  restore(snapshot: Snapshot): void {
    load(this.store, snapshot)
    this.restart()
  }

  #create(): Messaging {
    const random = new SeededRandom((this.#seed * 31 + this.index * 7919 + this.life * 104_729) >>> 0)
    const { identity } = this.party
    return new Messaging({ crypto, random, jitter: random, store: this.#faulty, identity, limits })
  }

  #tick(): void {
    const failing = this.#failing
    if (!failing) return
    failing.left -= 1
    if (failing.left >= 0) return
    this.#failing = undefined
    throw failing.kind === 'death' ? new Death() : new StoreFailure('full', 'the disk is full')
  }

  #faultyStore(): Store {
    const { store } = this
    return {
      run: (sql, parameters) => {
        this.#tick()
        if (sql.startsWith('DELETE FROM waiting_texts WHERE row = ?')) this.#noteEarly(parameters ?? [])
        return this.#fault ? this.#faultyRun(sql, parameters ?? []) : store.run(sql, parameters)
      },
      get: (sql, parameters) => {
        if (this.#fault === 'no-order' && sql.includes('d.message < ?')) return undefined
        if (this.#fault === 'noisy' && sql.startsWith('SELECT 1 FROM events WHERE kind = ? AND ref = ?'))
          return undefined
        return store.get(sql, parameters)
      },
      all: (sql, parameters) => {
        if (this.#fault === 'forget-queue' && sql.includes('d.message > ?')) return []
        return store.all(sql, parameters)
      },
      script: (sql) => store.script(sql),
      transaction: (body) => store.transaction(body),
      close: () => store.close(),
    }
  }

  #noteEarly(parameters: readonly SqlValue[]): void {
    const row = this.store.get('SELECT hex(id) AS id FROM waiting_texts WHERE row = ?', parameters)
    if (row) this.shownEarly.add(String(row['id']).toLowerCase())
  }

  #faultyRun(sql: string, parameters: readonly SqlValue[]): ReturnType<Store['run']> {
    const { store } = this
    const nothing = { changes: 0, lastInsertRowid: 0 }
    const isIncoming = sql.includes('INSERT INTO messages') && sql.includes('ON CONFLICT')
    switch (this.#fault) {
      case 'no-dedupe':
        return isIncoming ? store.run(sql, [this.#dice.bytes(16), ...parameters.slice(1)]) : store.run(sql, parameters)
      case 'receipt-without-store':
        return isIncoming && this.#dice.chance(0.1) ? nothing : store.run(sql, parameters)
      case 'sent-is-delivered':
        return store.run(sql.replace('SET state = max(1, state), attempts', 'SET state = 3, attempts'), parameters)
      case 'held-is-delivered':
        return store.run(sql.replace('SET state = 2, reason', 'SET state = 3, reason'), parameters)
      case 'never-unheld':
        return sql.includes('DELETE FROM holdings') ? nothing : store.run(sql, parameters)
      case 'silent-drop': {
        const isReceipt = sql.startsWith('UPDATE deliveries SET state = 2') && this.#dice.chance(0.05)
        if (isReceipt) store.run('DELETE FROM deliveries WHERE message = ?', [parameters[0] ?? null])
        return store.run(sql, parameters)
      }
      case 'unbounded-events':
        return sql.startsWith('DELETE FROM events') ? nothing : store.run(sql, parameters)
      case 'unbounded-digests':
        return sql.startsWith('DELETE FROM seen_messages') ? nothing : store.run(sql, parameters)
      default:
        return store.run(sql, parameters)
    }
  }
}
