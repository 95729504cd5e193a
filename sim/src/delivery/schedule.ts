import type { MessageView, MessagingCommand, MessagingInput, MessagingOutput } from '@miaou/messaging'
import { SeededRandom } from '../../../testkit/src/seeded.ts'
import { Ledger, Violation } from './ledger.ts'
import { boxOf, mailboxCount, Office } from './office.ts'
import { createParty, linkUp, type Party, recordOf, startWall } from './party.ts'
import type { PlantedFault } from './planted.ts'
import { Side } from './side.ts'

export interface ScheduleOptions {
  readonly seed: number
  /** Things that happen before the calm. */
  readonly steps: number
  readonly fault?: PlantedFault | undefined
}

/** What happened in a schedule: one in which nothing does proves nothing. */
export interface ScheduleStats {
  accepted: number
  crashes: number
  full: number
  jumps: number
  restores: number
  wipes: number
  frames: number
  requests: number
  calmHours: number
}

interface Packet {
  readonly frameType: Extract<MessagingInput, { type: 'frame' }>['frameType']
  readonly payload: Uint8Array
}

const secondMs = 1000
const hourMs = 3600 * secondMs
const dayMs = 24 * hourMs
/** Time the calm phase may take: a day for texts that wait for what never comes, a day for checks, and room. Own choice. */
const calmMsMax = 6 * dayMs
const calmTurnsMax = 6000
/** Wakes at one instant before it counts as an engine that never sleeps. */
const wakesMax = 200

const parties: Party[] = []
const records: Uint8Array[] = []

function partyAt(index: number): Party {
  parties[index] ??= createParty(index)
  return parties[index]
}

function recordAt(index: number): Uint8Array {
  records[index] ??= recordOf(
    partyAt(index),
    Array.from({ length: mailboxCount }, (_, mailbox) => boxOf(index, mailbox)),
  )
  return records[index]
}

/** Two or three engines, links and mailboxes between them, and all that can happen to these, by one seed. */
export class Schedule {
  readonly stats: ScheduleStats = {
    accepted: 0,
    crashes: 0,
    full: 0,
    jumps: 0,
    restores: 0,
    wipes: 0,
    frames: 0,
    requests: 0,
    calmHours: 0,
  }
  readonly #options: ScheduleOptions
  readonly #dice: SeededRandom
  readonly #sides: readonly Side[]
  readonly #office: Office
  readonly #ledger: Ledger
  /** Frames on their way, by `from to`. */
  readonly #frames = new Map<string, Packet[]>()
  /** Pairs that are linked, `low high`. */
  readonly #links = new Set<string>()
  readonly #may: Readonly<Record<'restore' | 'jump' | 'block' | 'hostile' | 'fail' | 'cancel', boolean>>
  #isCalm = false
  #hasBlocked = false
  #texts = 0
  #commands = 0
  #failRate = 0

  constructor(options: ScheduleOptions) {
    this.#options = options
    const dice = new SeededRandom(options.seed * 0x9e3779b1)
    this.#dice = dice
    const count = dice.chance(0.12) ? 3 : 2
    this.#sides = Array.from({ length: count }, (_, index) => {
      return new Side(index, partyAt(index), options.seed, options.fault)
    })
    this.#ledger = new Ledger(options.seed, this.#sides)
    this.#office = new Office(this.#sides, dice, () => startWall + (this.#sides[0]?.clock.mono ?? 0))
    this.#may = {
      restore: dice.chance(0.35),
      jump: dice.chance(0.35),
      block: dice.chance(0.2),
      hostile: dice.chance(0.6),
      fail: dice.chance(0.8),
      cancel: dice.chance(0.5),
    }
  }

  run(): ScheduleStats {
    this.#introduce()
    for (let step = 0; step < this.#options.steps; step++) {
      this.#act()
      if (step % 6 === 5) this.#ledger.check()
    }
    this.#calmDown()
    this.#ledger.checkEnd()
    this.stats.accepted = this.#ledger.accepted
    return this.stats
  }

  /** By an invite, by one each way, or as two who see each other on a LAN; all of it may still be under way afterwards. */
  #introduce(): void {
    for (const side of this.#sides) this.#batch(side, [{ type: 'own-record', record: recordAt(side.index) }])
    for (const [a, b] of this.#pairs()) {
      const kind = this.#dice.below(4)
      if (kind === 0) {
        this.#setLinked(a, b, true)
        this.#command(a, { type: 'contact-add-peer', peerId: b.party.peerId })
        this.#command(b, { type: 'contact-add-peer', peerId: a.party.peerId })
        continue
      }
      this.#invite(a, b)
      if (kind === 1) this.#invite(b, a)
    }
    for (const side of this.#sides) if (this.#dice.chance(0.7)) this.#setOnline(side, true)
  }

  #invite(from: Side, to: Side): void {
    const created = this.#command(from, { type: 'invite-create', addresses: [], uses: 1 })
    if (created === undefined || !('invite' in created)) return
    this.#command(to, { type: 'contact-add-invite', invite: created.invite })
  }

  #act(): void {
    const side = this.#any()
    const other = this.#anyOther(side)
    this.#failRate = this.#may.fail && this.#dice.below(5) === 0 ? 0.3 : 0
    this.#office.lossRate = this.#dice.below(4) === 0 ? 0.5 : 0
    const at = this.#dice.below(118)
    if (at < 13) this.#write(side, other)
    else if (at < 34) this.#deliver(side, other)
    else if (at < 36) this.#queue(side, other).splice(this.#dice.below(8), 1)
    else if (at < 39) this.#duplicate(side, other)
    else if (at < 42) this.#swap(side, other)
    else if (at < 51) this.#setLinked(side, other, !this.#isLinked(side, other))
    else if (at < 68) this.#serve(1 + this.#dice.below(4))
    else if (at < 69) this.#office.pending.splice(this.#dice.below(this.#office.pending.length), 1)
    else if (at < 80) this.#pass(1 + this.#dice.below(20_000))
    else if (at < 82) this.#rest()
    else if (at < 88) this.#setOnline(side, !side.isOnline)
    else if (at < 91) this.#arrive(side)
    else if (at < 94) this.#die(side)
    else if (at < 96) this.#jump(side)
    else if (at < 102) this.#turnMailbox()
    else if (at < 104) this.#save(side)
    else if (at < 106) this.#restore(side)
    else if (at < 108) this.#cancelOne(side)
    else if (at < 110) this.#resendOne(side)
    else if (at < 112) this.#block(side, other)
    else this.#read(side, other)
    this.#failRate = 0
  }

  /** A batch as the peer package runs it: all inputs together, after a failure each alone. */
  #batch(side: Side, inputs: readonly MessagingInput[]): readonly MessagingOutput[] {
    if (inputs.length === 0) return []
    const mayFail = !this.#isCalm && this.#dice.chance(this.#failRate)
    const failing = mayFail
      ? { kind: this.#dice.chance(0.5) ? ('full' as const) : ('death' as const), left: this.#dice.below(24) }
      : undefined
    const { type, outputs } = side.attempt(inputs, failing)
    this.#ledger.outputs(outputs.length)
    if (type === 'died') {
      this.#die(side)
      return []
    }
    if (type === 'full') {
      this.stats.full += 1
      const { fault } = this.#options
      if (fault === 'release-before-commit') this.#release(side, outputs)
      if (inputs.length > 1) return inputs.flatMap((input) => this.#batch(side, [input]))
      return []
    }
    // Committed: a crash now costs outputs, and nothing else.
    if (mayFail && failing?.kind === 'death') {
      const released = outputs.slice(0, this.#dice.below(outputs.length + 1))
      this.#release(side, released)
      this.#die(side)
      return released
    }
    this.#release(side, outputs)
    return outputs
  }

  #release(side: Side, outputs: readonly MessagingOutput[]): void {
    for (const output of outputs) {
      switch (output.type) {
        case 'send': {
          const other = this.#sides.find(({ party }) => party.peerId === output.peerId)
          if (other && this.#isLinked(side, other)) this.#queue(side, other).push(output)
          break
        }
        case 'reply':
          if (output.result.ok && isSent(output.result.value)) this.#ledger.accept(side, output.result.value)
          break
        case 'event': {
          const { event } = output.stored
          if (event.type === 'message-state') this.#ledger.observe(event.message)
          if (event.type === 'notice') this.#ledger.notice(side, event.notice, event.account, output.stored)
          break
        }
        case 'start':
          side.mark = output.mark
          break
        case 'last-resort':
          side.lastResort = output.bytes
          break
        case 'unlink': {
          const other = this.#sides.find(({ party }) => party.peerId === output.peerId)
          if (other) this.#setLinked(side, other, false)
          break
        }
        case 'supply':
        case 'acknowledge':
        case 'deposit':
        case 'check':
        case 'fetch-bundle':
          this.#office.take(side, output)
          break
      }
    }
  }

  #command(
    side: Side,
    command: MessagingCommand,
  ): Extract<MessagingOutput, { type: 'reply' }> extends infer R
    ? R extends { readonly result: { readonly ok: true; readonly value: infer V } | { readonly ok: false } }
      ? V | undefined
      : never
    : never {
    this.#commands += 1
    const id = this.#commands
    for (const output of this.#batch(side, [{ type: 'command', id, command }])) {
      if (output.type === 'reply' && output.id === id && output.result.ok) return output.result.value
    }
    return undefined
  }

  #write(side: Side, to: Side): void {
    const inputs: MessagingInput[] = []
    for (let count = 1 + this.#dice.below(3); count > 0; count--) {
      this.#texts += 1
      this.#commands += 1
      const text = `text ${this.#texts} ${'x'.repeat(this.#dice.below(150))}`
      const command = { type: 'message-send', account: to.party.account, text } as const
      inputs.push({ type: 'command', id: this.#commands, command })
    }
    this.#batch(side, inputs)
  }

  #deliver(from: Side, to: Side): boolean {
    const packets = this.#queue(from, to).splice(0, 1 + this.#dice.below(6))
    this.stats.frames += packets.length
    const { peerId } = from.party
    this.#batch(
      to,
      packets.map(({ frameType, payload }): MessagingInput => ({ type: 'frame', peerId, frameType, payload })),
    )
    return packets.length > 0
  }

  #duplicate(from: Side, to: Side): void {
    const queue = this.#queue(from, to)
    const packet = queue[this.#dice.below(queue.length)]
    if (packet) queue.splice(this.#dice.below(queue.length + 1), 0, packet)
  }

  #swap(from: Side, to: Side): void {
    const queue = this.#queue(from, to)
    const [packet] = queue.splice(this.#dice.below(queue.length), 1)
    if (packet) queue.splice(this.#dice.below(queue.length + 1), 0, packet)
  }

  #serve(count: number): boolean {
    const { pending } = this.#office
    for (let left = Math.min(count, pending.length); left > 0; left--) {
      this.stats.requests += 1
      const at = this.#isCalm ? 0 : this.#dice.below(pending.length)
      for (const { to, inputs } of this.#office.serve(at)) this.#batch(to, inputs)
    }
    return count > 0
  }

  #setLinked(a: Side, b: Side, isLinked: boolean): void {
    const name = pairName(a, b)
    if (this.#links.has(name) === isLinked) return
    if (isLinked) this.#links.add(name)
    else this.#links.delete(name)
    this.#frames.delete(`${a.index} ${b.index}`)
    this.#frames.delete(`${b.index} ${a.index}`)
    for (const [side, other] of [
      [a, b],
      [b, a],
    ] as const) {
      // The first may have died of it.
      if (this.#links.has(name) !== isLinked) return
      this.#batch(side, [isLinked ? linkUp(other.party) : { type: 'link-down', peerId: other.party.peerId }])
    }
  }

  #setOnline(side: Side, isOnline: boolean): void {
    side.isOnline = isOnline
    if (isOnline) this.#arrive(side)
  }

  /** New links with its mailboxes, and what others' records say. */
  #arrive(side: Side): void {
    if (!side.isOnline) return
    this.#tellWays(side)
    for (const input of this.#office.arrive(side)) if (side.isOnline) this.#batch(side, [input])
  }

  #tellWays(side: Side): void {
    const inputs: MessagingInput[] = [{ type: 'own-record', record: recordAt(side.index) }]
    for (const other of this.#sides) {
      if (other === side) continue
      const mailboxes = Array.from({ length: mailboxCount }, (_, mailbox) => boxOf(other.index, mailbox))
      const bundleKey = new Uint8Array(32).fill(other.index)
      inputs.push({ type: 'device-ways', peerId: other.party.peerId, sequence: 1, addresses: [], mailboxes, bundleKey })
    }
    this.#batch(side, inputs)
  }

  /** Time goes on to the next deadline, `mostMs` at most. Returns how far. */
  #pass(mostMs: number): number {
    const waits = this.#sides.map(({ engine, clock }) => Math.max(0, engine.deadline() - clock.mono))
    const waitMs = Math.ceil(Math.min(...waits, mostMs))
    for (const { clock } of this.#sides) {
      clock.mono += waitMs
      clock.wall += waitMs
    }
    for (const side of this.#sides) {
      for (let wakes = 0; side.engine.deadline() <= side.clock.mono && wakes < 1; wakes++) {
        this.#batch(side, [{ type: 'wake' }])
      }
    }
    return waitMs
  }

  /** Hours, or days, in which nothing else happens. */
  #rest(): void {
    const isLong = this.#dice.chance(0.2)
    const endMs = (isLong ? 1 + this.#dice.below(9) * dayMs : (1 + this.#dice.below(20)) * hourMs) + this.#mono()
    if (isLong) this.#ledger.mayExpire = true
    for (let turns = 0; turns < 40 && this.#mono() < endMs; turns++) this.#pass(endMs - this.#mono())
    // What is still awake by then sleeps over the rest.
    const leftMs = Math.max(0, endMs - this.#mono())
    for (const { clock } of this.#sides) {
      clock.mono += leftMs
      clock.wall += leftMs
    }
    for (const mailbox of this.#office.mailboxes) mailbox.one({ type: 'expire', at: startWall + this.#mono() })
  }

  #jump({ clock }: Side): void {
    if (!this.#may.jump) return
    this.stats.jumps += 1
    this.#ledger.jumps += 1
    this.#ledger.mayExpire = true
    // Never further than ten days off the true time.
    clock.wall = startWall + clock.mono + (this.#dice.below(21) - 10) * dayMs
  }

  #turnMailbox(): void {
    const mailbox = this.#office.mailboxes[this.#dice.below(mailboxCount)]
    if (!mailbox) return
    const at = this.#dice.below(this.#may.hostile ? 9 : 3)
    if (at < 2) mailbox.isReachable = !mailbox.isReachable
    else if (at < 3) mailbox.queue.failNext('full', 1 + this.#dice.below(3))
    else if (at < 4) mailbox.isLying = !mailbox.isLying
    else if (at < 5) mailbox.isWithholding = !mailbox.isWithholding
    else if (at < 6) mailbox.isReplaying = !mailbox.isReplaying
    else if (at < 7) mailbox.isSwapping = !mailbox.isSwapping
    else if (at < 8) mailbox.isForgetful = !mailbox.isForgetful
    else {
      this.stats.wipes += 1
      mailbox.queue.wipe()
    }
  }

  /** The process ends: memory is gone, links break, the disk is as of the last commit. */
  #die(side: Side): void {
    this.stats.crashes += 1
    side.restart()
    this.#cutOff(side)
  }

  #cutOff(side: Side): void {
    side.isOnline = false
    for (const other of this.#sides) {
      if (other === side || !this.#isLinked(side, other)) continue
      this.#links.delete(pairName(side, other))
      this.#frames.delete(`${side.index} ${other.index}`)
      this.#frames.delete(`${other.index} ${side.index}`)
      this.#batch(other, [{ type: 'link-down', peerId: side.party.peerId }])
    }
    // A process that starts announces its boxes and record at once.
    this.#batch(side, [{ type: 'own-record', record: recordAt(side.index) }])
  }

  #save(side: Side): void {
    if (!this.#may.restore) return
    const known = side.store.get('SELECT count(*) AS count FROM contacts WHERE state = 0')
    // An older one has not met the others: they would meet anew, which is no matter of delivery.
    if (Number(known?.['count']) === this.#sides.length - 1) side.save()
  }

  #restore(side: Side): void {
    if (!side.snapshot) return
    this.stats.restores += 1
    const before = this.#ledger.beforeRestore(side)
    side.restore(side.snapshot)
    this.#ledger.afterRestore(side, before)
    this.#cutOff(side)
  }

  #cancelOne(side: Side): void {
    const id = this.#may.cancel ? this.#anyOwn(side) : undefined
    if (id !== undefined) this.#command(side, { type: 'message-cancel', id })
  }

  #resendOne(side: Side): void {
    const id = this.#may.cancel ? this.#anyOwn(side) : undefined
    if (id === undefined) return
    this.#ledger.resent(id)
    this.#command(side, { type: 'message-resend', id })
  }

  #anyOwn(side: Side): MessageView['id'] | undefined {
    const { account } = this.#anyOther(side).party
    const list = this.#command(side, { type: 'messages-list', account, limit: 20 })
    const own = Array.isArray(list) ? list.filter((view) => 'direction' in view && isSent(view)) : []
    const view = own[this.#dice.below(own.length)]
    return view && isSent(view) ? view.id : undefined
  }

  #block(side: Side, other: Side): void {
    if (!this.#may.block) return
    this.#hasBlocked = true
    const { account } = other.party
    this.#command(side, { type: 'contact-block', account, blocked: this.#dice.chance(0.4) })
  }

  #read(side: Side, other: Side): void {
    this.#command(side, { type: 'messages-read', account: other.party.account, upTo: Number.MAX_SAFE_INTEGER })
  }

  /** Faults end: clocks are right, mailboxes honest, and people reach each other, in one of three ways. */
  #calmDown(): void {
    this.#isCalm = true
    this.#office.lossRate = 0
    const way = this.#dice.below(3)
    // Blocking renews the key to one's prekeys at mailboxes: who was blocked finds one again by a link (spec/messaging Q35).
    const hasLinks = way !== 1 || this.#hasBlocked
    const hasMail = way !== 0
    for (const mailbox of this.#office.mailboxes) {
      mailbox.queue = mailbox.queue.reopened()
      mailbox.beHonest()
    }
    for (const side of this.#sides) {
      side.clock.wall = startWall + side.clock.mono
      side.isOnline = false
    }
    for (const [a, b] of this.#pairs()) {
      for (const [side, other] of [
        [a, b],
        [b, a],
      ] as const) {
        const { account } = other.party
        if (this.#may.block) this.#command(side, { type: 'contact-block', account, blocked: false })
        this.#command(side, { type: 'contact-accept', account })
      }
      this.#setLinked(a, b, false)
      if (hasLinks) this.#setLinked(a, b, true)
    }
    for (const side of this.#sides) this.#setOnline(side, hasMail)
    // What begins now must arrive too.
    for (const [a, b] of this.#pairs()) {
      this.#write(a, b)
      this.#write(b, a)
    }
    this.#settle(hasMail)
  }

  #settle(hasMail: boolean): void {
    const startMs = this.#mono()
    let arriveAt = startMs + 30 * 60_000
    let wakes = 0
    for (let turn = 0; ; turn++) {
      const isMoving = this.#moveAll()
      if (!isMoving && this.#ledger.waiting() === 0) break
      if (!isMoving) {
        const passedMs = this.#pass(30 * 60_000)
        wakes = passedMs === 0 ? wakes + 1 : 0
        this.#ledger.require(wakes < wakesMax, 'an engine never sleeps')
      }
      if (hasMail && this.#mono() >= arriveAt) {
        arriveAt = this.#mono() + 6 * hourMs
        for (const side of this.#sides) this.#arrive(side)
        for (const mailbox of this.#office.mailboxes) mailbox.one({ type: 'expire', at: startWall + this.#mono() })
      }
      if (turn < calmTurnsMax && this.#mono() - startMs < calmMsMax) continue
      this.#ledger.checkEnd()
      throw new Violation(`the calm phase does not end (--only ${this.#options.seed})`)
    }
    this.stats.calmHours = (this.#mono() - startMs) / hourMs
  }

  /** Whether anything was on its way. */
  #moveAll(): boolean {
    let isMoving = false
    for (const from of this.#sides) {
      for (const to of this.#sides)
        if (from !== to && this.#queue(from, to).length > 0) isMoving = this.#deliver(from, to)
    }
    if (this.#office.pending.length === 0) return isMoving
    this.#serve(this.#office.pending.length)
    return true
  }

  #mono(): number {
    return this.#sides[0]?.clock.mono ?? 0
  }

  #any(): Side {
    return this.#sides[this.#dice.below(this.#sides.length)] as Side
  }

  #anyOther(side: Side): Side {
    const step = 1 + this.#dice.below(this.#sides.length - 1)
    return this.#sides[(side.index + step) % this.#sides.length] as Side
  }

  #pairs(): (readonly [Side, Side])[] {
    return this.#sides.flatMap((a) => this.#sides.filter(({ index }) => index > a.index).map((b) => [a, b] as const))
  }

  #isLinked(a: Side, b: Side): boolean {
    return this.#links.has(pairName(a, b))
  }

  #queue(from: Side, to: Side): Packet[] {
    const name = `${from.index} ${to.index}`
    const queue = this.#frames.get(name) ?? []
    this.#frames.set(name, queue)
    return queue
  }
}

function pairName(a: Side, b: Side): string {
  return a.index < b.index ? `${a.index} ${b.index}` : `${b.index} ${a.index}`
}

function isSent(value: unknown): value is MessageView {
  return typeof value === 'object' && value !== null && 'direction' in value && value.direction === 'out'
}
