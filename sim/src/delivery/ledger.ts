import type { MessageState, MessageView, Notice, StoredEvent } from '@miaou/messaging'
import { eventsMax, type Side, tableBounds } from './side.ts'

/** What a checker found; the message names the seed that shows it again. */
export class Violation extends Error {}

/** How far a state is: what waits may wait in any way, and only a resend leads back from behind it. */
const ranks: Readonly<Record<MessageState, number>> = {
  queued: 0,
  sent: 0,
  held: 0,
  expired: 1,
  refused: 1,
  cancelled: 1,
  delivered: 2,
  read: 3,
}
const stateNames = ['queued', 'sent', 'held', 'delivered', 'read', 'refused', 'expired', 'cancelled'] as const
const isEnd = (state: MessageState): boolean => ranks[state] === 1

const hourMs = 3_600_000
const dayMs = 24 * hourMs
/** How often a notice may come about one person (spec/messaging Q61, Q62, Q66). */
const noticeMs: Readonly<Partial<Record<Notice, number>>> = {
  'session-renewed': hourMs,
  'contact-restored': dayMs,
  'copy-detected': dayMs,
}
/** Outputs of one batch: own choice, four times the most that was seen. */
const outputsMax = 400

interface Written {
  readonly id: string
  readonly text: string
  readonly from: number
  readonly to: number
  rank: number
  /** It came to an end undelivered, or was sent anew: what comes of it later has no place in the order. */
  isOutOfOrder: boolean
  /** Its sender was restored from a snapshot older than it. */
  isForgotten: boolean
  isCancelled: boolean
  /** Its sender was set back to when it was not as far: what the person does then comes too late. */
  isSetBack: boolean
}

/** Rows of one message at its sender. */
interface Kept {
  readonly id: string
  readonly text: string
  readonly position: number
  readonly state: MessageState
  readonly reason: number
  readonly to: number
}

/** What was accepted, and what became of it: every rule that holds at any time, and those that hold in the end. */
export class Ledger {
  readonly #seed: number
  readonly #sides: readonly Side[]
  readonly #written = new Map<string, Written>()
  /** Texts that each side had stored and its snapshot had not. */
  readonly #lost: ReadonlySet<string>[]
  readonly #notices = new Map<string, { readonly at: number; readonly cursor: number; readonly life: number }>()
  /** Clocks jumped, or more than the life of a message went by: then messages may expire. */
  mayExpire = false
  /** Clocks that jumped. */
  jumps = 0
  #restores = 0
  readonly #accounts: ReadonlyMap<string, number>

  constructor(seed: number, sides: readonly Side[]) {
    this.#seed = seed
    this.#sides = sides
    this.#lost = sides.map(() => new Set<string>())
    this.#accounts = new Map(sides.map(({ party, index }) => [party.account, index]))
  }

  get accepted(): number {
    return this.#written.size
  }

  require(condition: boolean, rule: string): asserts condition {
    if (!condition) throw new Violation(`${rule} (--only ${this.#seed})`)
  }

  outputs(count: number): void {
    this.require(count <= outputsMax, `a batch of one device has ${count} outputs`)
  }

  /** A reply told its sender that it is accepted, or where it is now. */
  accept(side: Side, view: MessageView): void {
    if (this.#written.has(view.id)) {
      this.observe(view)
      return
    }
    const to = this.#accounts.get(view.contact) ?? -1
    this.#written.set(view.id, {
      id: view.id,
      text: view.text,
      from: side.index,
      to,
      rank: ranks[view.state],
      isOutOfOrder: false,
      isForgotten: false,
      isCancelled: view.state === 'cancelled',
      isSetBack: false,
    })
  }

  observe(view: MessageView): void {
    const entry = this.#written.get(view.id)
    if (!entry || view.direction !== 'out') return
    const rank = ranks[view.state]
    this.require(rank >= entry.rank, `a message went back to ${view.state}`)
    this.require(!entry.isCancelled || view.state === 'cancelled', `a cancelled message became ${view.state}`)
    entry.rank = rank
    if (view.state === 'cancelled') entry.isCancelled = true
    if (isEnd(view.state)) entry.isOutOfOrder = true
  }

  /** The person sends it anew: whatever it was. */
  resent(id: string): void {
    const entry = this.#written.get(id)
    if (entry) Object.assign(entry, { rank: 0, isOutOfOrder: true, isCancelled: false })
  }

  /** A quiet line for the person: at most once in its time, as long as the event of the last one is kept. */
  notice(side: Side, notice: Notice, account: string | undefined, stored: StoredEvent): void {
    const key = `${side.index} ${notice} ${account ?? ''}`
    const last = this.#notices.get(key)
    this.#notices.set(key, { at: stored.at, cursor: stored.cursor, life: side.restores })
    const sinceMs = last ? stored.at - last.at : 0
    const isKept = last && last.life === side.restores && stored.cursor - last.cursor < eventsMax && sinceMs >= 0
    this.require(!isKept || sinceMs >= (noticeMs[notice] ?? 0), `notice ${notice} comes again after ${sinceMs} ms`)
    this.require(!notice.endsWith('key-changed'), `notice ${notice} although no key changed`)
    const isCopy = notice === 'copy-detected' || notice === 'contact-restored'
    // Whose own clock was wrong when it saw a start takes mail from before that start for mail from after it (Q61).
    this.require(!isCopy || this.#restores + this.jumps > 0, `notice ${notice} although nothing was restored`)
  }

  /** Before a side takes up its snapshot: what it will have forgotten. */
  beforeRestore(side: Side): ReadonlySet<string> {
    return new Set(incoming(side))
  }

  afterRestore(side: Side, before: ReadonlySet<string>): void {
    this.#restores += 1
    side.restores += 1
    const now = new Set(incoming(side))
    const lost = new Set(this.#lost[side.index])
    for (const text of before) if (!now.has(text)) lost.add(text)
    this.#lost[side.index] = lost
    const kept = new Map(this.#keptBy(side).map((row) => [row.id, row]))
    for (const entry of this.#written.values()) {
      if (entry.from !== side.index) continue
      const row = kept.get(entry.id)
      entry.isForgotten = row === undefined
      if (!row) continue
      entry.rank = ranks[row.state]
      entry.isCancelled = row.state === 'cancelled'
      entry.isSetBack = true
    }
  }

  /** Rules that hold after every batch; the tables are read, so not after each. */
  check(): void {
    for (const side of this.#sides) {
      this.#checkBounds(side)
      const shown = incoming(side)
      this.require(new Set(shown).size === shown.length, 'a text is shown twice')
      this.#checkOrder(side)
      this.#checkKept(side)
    }
  }

  /** After the calm phase. */
  checkEnd(): void {
    this.check()
    for (const side of this.#sides) {
      for (const row of this.#keptBy(side)) {
        const name = `${row.text.slice(0, 8)} of ${side.index}`
        this.require(ranks[row.state] !== 0, `${name} is ${row.state} for ever`)
        const isThere = incoming(this.#sideAt(row.to)).includes(row.text)
        const isDelivered = ranks[row.state] >= 2
        this.require(!isDelivered || isThere || this.#isLost(row.to, row.text), `${name} is delivered and not there`)
        const mayEnd = isDelivered || row.state === 'cancelled' || this.mayExpire
        this.require(mayEnd, `${name} is ${row.state} (${row.reason}) without a reason`)
        const isTakenBack = row.state === 'cancelled' && this.#written.get(row.id)?.isSetBack !== true
        this.require(!isTakenBack || !isThere, `${name} is cancelled and there`)
      }
    }
  }

  /** Messages of all sides that wait. */
  waiting(): number {
    let count = 0
    for (const side of this.#sides) {
      const row = side.store.get('SELECT count(*) AS count FROM deliveries WHERE state <= 2')
      count += Number(row?.['count'])
    }
    return count
  }

  #checkBounds(side: Side): void {
    const columns = Object.keys(tableBounds).map((table) => `(SELECT count(*) FROM ${table}) AS ${table}`)
    const row = side.store.get(`SELECT ${columns.join(', ')}`)
    for (const [table, bound] of Object.entries(tableBounds)) {
      const count = Number(row?.[table])
      this.require(count <= bound, `${table} has ${count} rows, bound ${bound}`)
    }
  }

  /** Nothing accepted is gone, and `delivered` is true. */
  #checkKept(side: Side): void {
    const kept = this.#keptBy(side)
    const ids = new Set(kept.map(({ id }) => id))
    for (const entry of this.#written.values()) {
      if (entry.from === side.index && !entry.isForgotten)
        this.require(ids.has(entry.id), 'an accepted message is gone')
    }
    const here = this.#sides.map((other) => new Set(other === side ? [] : incoming(other)))
    for (const { state, text, to } of kept) {
      if (ranks[state] < 2) continue
      this.require(here[to]?.has(text) === true || this.#isLost(to, text), 'a message shows delivered and is not there')
    }
  }

  /**
   * Of each sender, what is shown here is in the order in which it was accepted there. Without a place in it are: what
   * ended undelivered or was sent anew, what its sender forgot, what this side forgot, and what comes after a text was
   * shown without the one it follows (24 h awaited).
   */
  #checkOrder(side: Side): void {
    for (const other of this.#sides) {
      if (other === side) continue
      const positions = new Map(
        this.#keptBy(other)
          .filter(({ to }) => to === side.index)
          .map(({ id, position }) => [id, position]),
      )
      let highest = -1
      for (const { id, text } of shownBy(side)) {
        const position = positions.get(id)
        const entry = this.#written.get(id)
        if (position === undefined || entry?.isOutOfOrder || entry?.isForgotten || this.#isLost(side.index, text))
          continue
        if (side.shownEarly.has(id)) {
          highest = -1
          for (const [early, at] of positions) if (at < position) positions.delete(early)
          continue
        }
        this.require(position > highest, `${text.slice(0, 8)} is shown after a later one of the same sender`)
        highest = position
      }
    }
  }

  #isLost(side: number, text: string): boolean {
    return this.#lost[side]?.has(text) === true
  }

  #sideAt(index: number): Side {
    const side = this.#sides[index]
    this.require(side !== undefined, 'a message to nobody')
    return side
  }

  #keptBy(side: Side): Kept[] {
    const rows = side.store.all(
      `SELECT lower(hex(m.id)) AS id, m.text AS text, m.position AS position, d.state AS state, d.reason AS reason,
       c.account AS account FROM messages m JOIN contacts c ON c.id = m.contact
       LEFT JOIN deliveries d ON d.message = m.position WHERE m.outgoing = 1 ORDER BY m.position`,
    )
    return rows.map((row): Kept => {
      const state = row['state'] === null ? undefined : stateNames[Number(row['state'])]
      this.require(state !== undefined, 'a message has no state')
      const account = this.#sides.find(({ party }) => isSame(party.identity.accountKey, row['account']))
      const reason = Number(row['reason'] ?? 0)
      const to = account?.index ?? -1
      return { id: String(row['id']), text: String(row['text']), position: Number(row['position']), state, reason, to }
    })
  }
}

function incoming(side: Side): string[] {
  return side.store.all('SELECT text FROM messages WHERE outgoing = 0').map((row) => String(row['text']))
}

function shownBy(side: Side): { id: string; text: string }[] {
  return side.store
    .all('SELECT lower(hex(id)) AS id, text FROM messages WHERE outgoing = 0 ORDER BY position')
    .map((row) => ({ id: String(row['id']), text: String(row['text']) }))
}

function isSame(key: Uint8Array, value: unknown): boolean {
  return value instanceof Uint8Array && value.length === key.length && key.every((byte, at) => byte === value[at])
}
