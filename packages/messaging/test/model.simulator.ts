import type { MessageId } from '@miaou/core'
import {
  type MessageState,
  type MessageView,
  type MessagingInput,
  type MessagingLimits,
  type MessagingOutput,
  type SqlRow,
  type SqlValue,
  type Store,
  StoreFailure,
} from '@miaou/messaging'
import { seededNumbers } from '../../../testkit/src/seeded.ts'
import { type Clock, createParty, Home, linkUp, openMemoryStore, startWall } from './fixture.ts'

/** What a checker found; the message names the seed that shows it again. */
export class Violation extends Error {}

/** Faults that the checkers must catch. */
export type Fault =
  /** Outputs leave although their transaction failed. */
  | 'release-before-commit'
  /** Memory is kept over a failed transaction. */
  | 'no-rollback'
  /** A duplicate is stored again. */
  | 'no-dedupe'
  /** A receipt is given for what was not stored. */
  | 'receipt-without-store'
  /** What waits is not looked at again. */
  | 'forget-queue'
  /** The events table grows without end. */
  | 'unbounded-events'
  /** A sender takes its own send for a receipt. */
  | 'delivered-when-sent'

export interface ModelStats {
  accepted: number
  crashes: number
  full: number
  lostSessions: number
  duplicates: number
  restarts: number
}

class Crash extends Error {}

const dayMs = 86_400_000
const stepsMax = 160
// Small bounds, so that runs reach them.
const limits: Partial<MessagingLimits> = {
  eventsMax: 40,
  sessionsMax: 4,
  oneTimePrekeysMax: 6,
  windowCountMax: 3,
  windowBytesMax: 400,
  sessionStartsMax: 8,
  tombstonesMax: 8,
  bundlesBurst: 20,
}
const tableBounds: Readonly<Record<string, number>> = {
  events: 40 + 40,
  sessions: 4,
  prekeys: 6 + 2 + 5,
  session_starts: 8,
  contacts: 1,
  devices: 1,
  invites: 1,
}
const ranks: Readonly<Record<MessageState, number>> = {
  queued: 0,
  sent: 1,
  held: 2,
  delivered: 3,
  read: 4,
  refused: 9,
  expired: 9,
  cancelled: 9,
}

interface Packet {
  readonly frameType: number
  readonly payload: Uint8Array
}

/** A home whose disk may be full and whose process may die at any call. */
class Side {
  readonly home: Home
  readonly clock: Clock
  readonly accepted = new Map<MessageId, string>()
  readonly ranks = new Map<MessageId, number>()
  queue: Packet[] = []
  constructor(home: Home, clock: Clock) {
    this.home = home
    this.clock = clock
  }
}

/** Two engines over real SQLite, a wire that does what it likes, and a person at each end. */
export class Simulator {
  readonly seed: number
  readonly stats: ModelStats = { accepted: 0, crashes: 0, full: 0, lostSessions: 0, duplicates: 0, restarts: 0 }
  readonly #fault: Fault | undefined
  readonly #next: () => number
  readonly #sides: readonly [Side, Side]
  #isLinked = false
  #isCalm = false
  #isByLan = false
  #textCount = 0
  /** Probability that a call of the store fails within the current batch. */
  #fullRate = 0
  #crashRate = 0
  #commandId = 0

  constructor(seed: number, fault?: Fault) {
    this.seed = seed
    this.#fault = fault
    this.#next = seededNumbers(seed * 0x9e3779b1)
    const side = (name: string): Side => {
      const clock = { mono: 1000, wall: startWall }
      return new Side(new Home(createParty(name), clock, { store: this.#faultyStore(), limits }), clock)
    }
    this.#sides = [side('a'), side('b')]
  }

  run(): ModelStats {
    this.#introduce()
    for (let step = 0; step < stepsMax; step++) {
      this.#act()
      this.#check()
    }
    this.#settle()
    return this.stats
  }

  /** A third of the runs begins with one invite, a third with one each way, a third with two who find each other. */
  #introduce(): void {
    const [a, b] = this.#sides
    const kind = this.#pick(3)
    this.#isByLan = kind === 2
    if (this.#isByLan) return
    const invite = a.home.ask<'invite-create'>({ type: 'invite-create', addresses: [], uses: 1 })
    if (!invite.ok) throw new Error('no invite')
    b.home.ask<'contact-add-invite'>({ type: 'contact-add-invite', invite: invite.value.invite })
    // Both may then start at once.
    if (kind === 1) {
      const other = b.home.ask<'invite-create'>({ type: 'invite-create', addresses: [], uses: 1 })
      if (other.ok) a.home.ask<'contact-add-invite'>({ type: 'contact-add-invite', invite: other.value.invite })
    }
  }

  #act(): void {
    const side = this.#sides[this.#pick(2)] as Side
    this.#fullRate = this.#pick(12) === 0 ? 0.08 : 0
    this.#crashRate = this.#pick(12) === 0 ? 0.08 : 0
    const choice = this.#pick(100)
    if (this.#isByLan && this.#pick(20) === 0) this.#add(side)
    if (choice < 16) this.#write(side)
    else if (choice < 62) this.#deliver(side)
    else if (choice < 67) side.queue.splice(this.#pick(side.queue.length), 1)
    else if (choice < 72) this.#duplicate(side)
    else if (choice < 76) this.#swap(side)
    else if (choice < 84) this.#setLinked(!this.#isLinked)
    else if (choice < 92) this.#pass()
    else if (choice < 94) this.#crash(side)
    else if (choice < 95) this.#loseSessions(side)
    else if (choice < 97) this.#jump(side)
    else this.#read(side)
    this.#fullRate = 0
    this.#crashRate = 0
  }

  /** A batch as the peer package runs it: all inputs together, after a failure each alone. */
  #batch(side: Side, inputs: readonly MessagingInput[]): void {
    const outputs = this.#attempt(side, inputs)
    if (outputs === 'crashed') return
    if (outputs !== 'full') this.#release(side, outputs)
    else if (inputs.length > 1) for (const input of inputs) this.#batch(side, [input])
  }

  #attempt(side: Side, inputs: readonly MessagingInput[]): readonly MessagingOutput[] | 'full' | 'crashed' {
    const { home } = side
    const made: MessagingOutput[] = []
    try {
      home.store.transaction(() => {
        for (const input of inputs) {
          made.push(...home.engine.handle(home.now(), input))
          this.#crashPoint()
        }
        made.push(...home.engine.flush(home.now()))
        this.#crashPoint()
      })
    } catch (thrown) {
      if (thrown instanceof Crash) {
        this.#die(side)
        return 'crashed'
      }
      if (!(thrown instanceof StoreFailure) || thrown.kind !== 'full') throw thrown
      this.stats.full += 1
      if (this.#fault === 'release-before-commit') return made
      if (this.#fault !== 'no-rollback') home.engine.rollback()
      return 'full'
    }
    // Committed: a crash now loses outputs, and nothing else.
    if (!this.#isCalm && this.#next() < this.#crashRate) {
      this.#release(side, made.slice(0, this.#pick(made.length + 1)))
      this.#die(side)
      return 'crashed'
    }
    return made
  }

  #release(side: Side, outputs: readonly MessagingOutput[]): void {
    const other = this.#other(side)
    for (const output of outputs) {
      if (output.type === 'send' && this.#isLinked) other.queue.push(output)
      if (output.type === 'reply') {
        if (output.result.ok) this.#accept(side, output.result.value as MessageView)
      }
      if (output.type === 'event') {
        const { event } = output.stored
        if (event.type === 'message-state') this.#observe(side, event.message)
      }
    }
  }

  #accept(side: Side, view: MessageView): void {
    if (!('direction' in view) || view.direction !== 'out') return
    side.accepted.set(view.id, view.text)
    this.stats.accepted += 1
    this.#observe(side, view)
  }

  #observe(side: Side, view: MessageView): void {
    const before = side.ranks.get(view.id) ?? 0
    const rank = ranks[view.state]
    this.#require(rank < 9, `a message ended as ${view.state} (${view.reason})`)
    // Only a refusal (we are not their contact yet) makes a message wait again after it was sent.
    const isSentBack = view.state === 'queued' && view.deliveries.every(({ attempts }) => attempts > 0)
    this.#require(rank >= before || isSentBack, `a message went back to ${view.state}`)
    side.ranks.set(view.id, isSentBack ? 0 : rank)
  }

  #add(side: Side): void {
    this.#commandId += 1
    const command = { type: 'contact-add-peer', peerId: this.#other(side).home.peerId } as const
    this.#batch(side, [{ type: 'command', id: this.#commandId, command }])
  }

  #write(side: Side): void {
    const inputs: MessagingInput[] = []
    const account = this.#other(side).home.account
    for (let count = 1 + this.#pick(4); count > 0; count--) {
      this.#textCount += 1
      this.#commandId += 1
      const text = `text ${this.#textCount} ${'x'.repeat(this.#pick(150))}`
      inputs.push({ type: 'command', id: this.#commandId, command: { type: 'message-send', account, text } })
    }
    this.#batch(side, inputs)
  }

  #deliver(side: Side): void {
    const packets = side.queue.splice(0, 1 + this.#pick(6))
    const { peerId } = this.#other(side).home
    const inputs = packets.map(
      ({ frameType, payload }): MessagingInput => ({
        type: 'frame',
        peerId,
        frameType: frameType as Extract<MessagingInput, { type: 'frame' }>['frameType'],
        payload,
      }),
    )
    if (inputs.length > 0) this.#batch(side, inputs)
  }

  #duplicate(side: Side): void {
    const packet = side.queue[this.#pick(side.queue.length)]
    if (packet) {
      this.stats.duplicates += 1
      side.queue.splice(this.#pick(side.queue.length + 1), 0, packet)
    }
  }

  #swap(side: Side): void {
    const [packet] = side.queue.splice(this.#pick(side.queue.length), 1)
    if (packet) side.queue.splice(this.#pick(side.queue.length + 1), 0, packet)
  }

  #setLinked(isLinked: boolean): void {
    if (isLinked === this.#isLinked) return
    this.#isLinked = isLinked
    for (const side of this.#sides) side.queue = []
    for (const side of this.#sides) {
      const other = this.#other(side).home
      this.#batch(side, [isLinked ? linkUp(other.party) : { type: 'link-down', peerId: other.peerId }])
    }
  }

  /** Time goes on to the next deadline, or a little. */
  #pass(): void {
    const waits = this.#sides.map(({ home, clock }) => Math.max(0, home.engine.deadline() - clock.mono))
    const waitMs = Math.min(...waits, 1 + this.#pick(20_000))
    for (const { clock } of this.#sides) {
      clock.mono += waitMs
      clock.wall += waitMs
    }
    for (const side of this.#sides) {
      if (side.home.engine.deadline() <= side.clock.mono) this.#batch(side, [{ type: 'wake' }])
    }
  }

  #jump({ clock }: Side): void {
    const wanted = clock.wall + (this.#pick(2) === 0 ? -dayMs : dayMs)
    // Never further than a day off the true time: more would be what messages expire by.
    const truth = startWall + clock.mono
    clock.wall = Math.max(truth - dayMs, Math.min(truth + dayMs, wanted))
  }

  #crash(side: Side): void {
    this.#die(side)
  }

  /** The process ends: memory is gone, the store is as of the last commit, the links break on both sides. */
  #die(side: Side): void {
    this.stats.crashes += 1
    this.stats.restarts += 1
    side.home.restart()
    if (!this.#isLinked) return
    this.#isLinked = false
    for (const each of this.#sides) each.queue = []
    this.#batch(this.#other(side), [{ type: 'link-down', peerId: side.home.peerId }])
  }

  /** A home restored from a backup: ratchets are never in one. */
  #loseSessions(side: Side): void {
    this.#die(side)
    this.stats.lostSessions += 1
    this.#fullRate = 0
    side.home.store.transaction(() => {
      side.home.store.run('DELETE FROM skipped_keys')
      side.home.store.run('DELETE FROM sessions')
    })
  }

  #read(side: Side): void {
    this.#commandId += 1
    const account = this.#other(side).home.account
    const command = { type: 'messages-read', account, upTo: Number.MAX_SAFE_INTEGER } as const
    this.#batch(side, [{ type: 'command', id: this.#commandId, command }])
  }

  /** Faults end; whatever was accepted must now arrive. */
  #settle(): void {
    this.#isCalm = true
    this.#setLinked(false)
    this.#setLinked(true)
    for (let turn = 0; turn < 3000 && !this.#isSettled(); turn++) {
      if (this.#isByLan && turn % 50 === 20) for (const side of this.#sides) this.#add(side)
      for (const side of this.#sides) this.#deliver(side)
      if (this.#sides.every(({ queue }) => queue.length === 0)) this.#pass()
    }
    this.#check()
    for (const side of this.#sides) {
      const other = this.#other(side)
      const arrived = new Map<string, number>()
      for (const row of this.#rows(other, 'SELECT text FROM messages WHERE outgoing = 0')) {
        const text = String(row['text'])
        arrived.set(text, (arrived.get(text) ?? 0) + 1)
      }
      for (const [id, text] of side.accepted) {
        this.#require(arrived.get(text) === 1, `${text.slice(0, 8)} arrived ${arrived.get(text) ?? 0} times`)
        const reply = side.home.ask<'message-get'>({ type: 'message-get', id })
        this.#require(reply.ok, 'an accepted message is gone at its sender')
        if (reply.ok) this.#require(ranks[reply.value.state] >= 3, `a delivered message shows ${reply.value.state}`)
      }
    }
  }

  #isSettled(): boolean {
    return this.#sides.every(
      (side) =>
        side.queue.length === 0 && this.#rows(side, 'SELECT 1 FROM deliveries WHERE state <= 2 LIMIT 1').length === 0,
    )
  }

  #check(): void {
    for (const side of this.#sides) {
      const other = this.#other(side)
      for (const [table, bound] of Object.entries(tableBounds)) {
        const [row] = this.#rows(side, `SELECT count(*) AS count FROM ${table}`)
        this.#require(Number(row?.['count']) <= bound, `${table} has ${String(row?.['count'])} rows, bound ${bound}`)
      }
      const written = new Set(this.#rows(other, 'SELECT text FROM messages WHERE outgoing = 1').map(textOf))
      const shown = this.#rows(side, 'SELECT text FROM messages WHERE outgoing = 0').map(textOf)
      this.#require(new Set(shown).size === shown.length, 'a text is shown twice')
      for (const text of shown) this.#require(written.has(text), 'a text is shown that its sender does not have')
      const kept = new Set(this.#rows(side, 'SELECT text FROM messages WHERE outgoing = 1').map(textOf))
      for (const text of side.accepted.values()) this.#require(kept.has(text), 'an accepted message is gone')
      const delivered = this.#rows(
        side,
        'SELECT m.text FROM messages m JOIN deliveries d ON d.message = m.position WHERE d.state IN (3, 4)',
      )
      const here = new Set(this.#rows(other, 'SELECT text FROM messages WHERE outgoing = 0').map(textOf))
      for (const row of delivered) this.#require(here.has(textOf(row)), 'a message shows delivered and is not there')
    }
  }

  #rows(side: Side, sql: string): readonly SqlRow[] {
    return side.home.store.all(sql)
  }

  #other(side: Side): Side {
    return side === this.#sides[0] ? this.#sides[1] : this.#sides[0]
  }

  #crashPoint(): void {
    if (!this.#isCalm && this.#next() < this.#crashRate) throw new Crash()
  }

  #pick(count: number): number {
    return Math.floor(this.#next() * Math.max(1, count))
  }

  #require(condition: boolean, rule: string): void {
    if (!condition) throw new Violation(`${rule} (MIAOU_MODEL_SEED=${this.seed})`)
  }

  #faultyStore(): Store {
    const store = openMemoryStore()
    let isInside = false
    const failMaybe = (): void => {
      if (isInside && !this.#isCalm && this.#next() < this.#fullRate) throw new StoreFailure('full', 'disk full')
    }
    return {
      run: (sql, parameters) => {
        failMaybe()
        return this.#faultyRun(store, sql, parameters ?? [])
      },
      get: (sql, parameters) => store.get(sql, parameters),
      all: (sql, parameters) => {
        if (this.#fault === 'forget-queue' && sql.includes('d.message > ?')) return []
        return store.all(sql, parameters)
      },
      script: (sql) => store.script(sql),
      transaction: (body) => {
        isInside = true
        try {
          return store.transaction(() => {
            const value = body()
            failMaybe()
            return value
          })
        } finally {
          isInside = false
        }
      },
      close: () => store.close(),
    }
  }

  #faultyRun(store: Store, sql: string, parameters: readonly SqlValue[]): ReturnType<Store['run']> {
    const isIncoming = sql.includes('INSERT INTO messages') && sql.includes('ON CONFLICT')
    if (this.#fault === 'no-dedupe' && isIncoming) {
      const id = new Uint8Array(16).map(() => this.#pick(256))
      return store.run(sql, [id, ...parameters.slice(1)])
    }
    if (this.#fault === 'receipt-without-store' && isIncoming && this.#pick(10) === 0) {
      return { changes: 0, lastInsertRowid: 0 }
    }
    if (this.#fault === 'unbounded-events' && sql.startsWith('DELETE FROM events')) {
      return { changes: 0, lastInsertRowid: 0 }
    }
    if (this.#fault === 'delivered-when-sent' && sql.includes('SET state = max(1, state), attempts')) {
      return store.run(sql.replace('state = max(1, state)', 'state = 3'), parameters)
    }
    return store.run(sql, parameters)
  }
}

function textOf(row: SqlRow): string {
  return String(row['text'])
}
