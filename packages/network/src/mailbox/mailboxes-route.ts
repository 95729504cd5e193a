import type { Now } from '@miaou/core'
import { sealedMessageSizeMax } from '@miaou/crypto'
import type { BoxAddress } from '@miaou/protocol'
import type { Deposits } from './mailboxes-deposits.ts'
import { type MailboxAnswer, MailboxLink, type MailboxLinkEnd, type MailboxLinkOwner } from './mailboxes-link.ts'
import type { MailboxesState } from './mailboxes-state.ts'

interface JobFields {
  /** Of who asked. */
  readonly id: number
  /** Boxes that are still to be tried. */
  readonly boxes: BoxAddress[]
  /** What it counts in the bounds, bytes. */
  readonly size: number
  /** Monotonic ms: since when it waits for this box. */
  queuedAt: number
  /** Times that it was sent to this box. */
  attempts: number
}

export type Job = JobFields &
  (
    | { readonly type: 'deposit'; readonly token: Uint8Array | undefined; readonly bytes: Uint8Array }
    | { readonly type: 'check'; readonly tokens: readonly Uint8Array[] }
    | { readonly type: 'fetch-bundle' }
  )

/**
 * One box of somebody else, what is to be left or asked there, and the link for it: a fresh pseudonym each time, and no
 * other box, so that nothing tells the mailbox that two boxes are written to by one person.
 */
export class DepositRoute implements MailboxLinkOwner<Job> {
  readonly #state: MailboxesState
  readonly #deposits: Deposits
  readonly #to: BoxAddress
  #waiting: Job[] = []
  #link: MailboxLink<Job> | undefined
  #askedBytes = 0
  #answersCount = 0
  #idleSince: number | undefined
  // The mailbox is busy: what waits is not sent before.
  #pausedUntil = Number.NEGATIVE_INFINITY

  constructor(state: MailboxesState, deposits: Deposits, to: BoxAddress) {
    this.#state = state
    this.#deposits = deposits
    const { mailbox, box } = to
    this.#to = {
      mailbox: { url: mailbox.url, mailboxId: Uint8Array.from(mailbox.mailboxId) },
      box: Uint8Array.from(box),
    }
  }

  get isLinked(): boolean {
    return this.#link !== undefined
  }

  /** A link that nobody uses. */
  get isIdle(): boolean {
    return this.#idleSince !== undefined
  }

  get isEmpty(): boolean {
    return this.#link === undefined && this.#waiting.length === 0
  }

  add(now: Now, job: Job): void {
    if (job.type === 'deposit' && (job.bytes.length === 0 || job.bytes.length > sealedMessageSizeMax)) {
      this.#deposits.fail(job, 'too-large', `${job.bytes.length} bytes, at most ${sealedMessageSizeMax} are allowed`)
      return
    }
    this.#waiting.push(job)
    this.#idleSince = undefined
    this.#pump(now)
  }

  /** Through a relay, which hides our address from the mailbox. */
  connect(now: Now): void {
    this.#dial(now, true)
  }

  /** Makes room for another box. */
  leave(now: Now): void {
    const link = this.#link
    this.#link = undefined
    this.#idleSince = undefined
    link?.close(now, 'bye', 'nothing more is to be left')
  }

  networkChanged(now: Now): void {
    const link = this.#link
    if (link === undefined) return
    if (link.isUp) {
      link.doubt(now)
      return
    }
    // It was dialled from an address that may be gone.
    this.#link = undefined
    link.end(now, 'the network changed')
    this.#dial(now, true)
  }

  stop(now: Now): void {
    const link = this.#link
    this.#link = undefined
    const jobs = [...(link?.takeRequests() ?? []), ...this.#takeWaiting()]
    link?.close(now, 'shutdown', 'stopped')
    for (const job of jobs) this.#deposits.fail(job, 'unreachable', 'stopped')
  }

  deadline(): number {
    const { idleMs, queueTimeoutMs } = this.#state.settings.limits
    const [first] = this.#waiting
    const isPaused = first !== undefined && this.#link?.isUp === true && (this.#link?.askedCount ?? 0) === 0
    return Math.min(
      isPaused ? this.#pausedUntil : Number.POSITIVE_INFINITY,
      this.#link?.deadline() ?? Number.POSITIVE_INFINITY,
      this.#idleSince === undefined ? Number.POSITIVE_INFINITY : this.#idleSince + idleMs,
      first === undefined ? Number.POSITIVE_INFINITY : first.queuedAt + queueTimeoutMs,
    )
  }

  wake(now: Now): void {
    const { idleMs, queueTimeoutMs } = this.#state.settings.limits
    this.#link?.wake(now)
    while (this.#waiting[0] !== undefined && now.mono >= this.#waiting[0].queuedAt + queueTimeoutMs) {
      const job = this.#waiting.shift()
      if (job === undefined) break
      this.#state.count('jobs-waited-too-long')
      this.#deposits.fail(job, 'busy', 'it could not be sent in time')
    }
    if (this.#idleSince !== undefined && now.mono >= this.#idleSince + idleMs) this.leave(now)
    this.#pump(now)
  }

  linkUp(now: Now): void {
    this.#answersCount = 0
    this.#pump(now)
  }

  linkEnded(now: Now, link: MailboxLink<Job>, end: MailboxLinkEnd): void {
    if (link !== this.#link) return
    this.#link = undefined
    this.#idleSince = undefined
    this.#askedBytes = 0
    const { directDeposits, admitsUrl, limits } = this.#state.settings
    if (!end.wasUp) {
      const isHindered = link.throughRelay && end.isUnavailable
      if (isHindered && directDeposits && admitsUrl(this.#to.mailbox.url)) this.#dial(now, false)
      else this.#failWaiting(now, end.detail)
      return
    }
    const asked = link.takeRequests()
    const isFruitless = this.#answersCount === 0 && asked.some(({ attempts }) => attempts >= limits.attemptsMax)
    this.#askAgain(now, asked, end.detail)
    // It answers nothing: what was not sent does not have to find that out, too.
    if (isFruitless) this.#failWaiting(now, end.detail)
  }

  answered(now: Now, link: MailboxLink<Job>, job: Job, answer: MailboxAnswer): boolean {
    if (link !== this.#link) return true
    if (!this.#finish(now, job, answer)) return false
    this.#answersCount += 1
    this.#askedBytes -= job.size
    this.#pump(now)
    return true
  }

  /** Who leaves something is sent nothing. */
  pushed(): boolean {
    this.#state.count('unasked')
    return false
  }

  #dial(now: Now, throughRelay: boolean): void {
    const identity = this.#state.settings.freshPseudonym()
    const { mailbox } = this.#to
    this.#link = new MailboxLink<Job>(now, { state: this.#state, owner: this, mailbox, identity, throughRelay })
  }

  #takeWaiting(): Job[] {
    const jobs = this.#waiting
    this.#waiting = []
    return jobs
  }

  #failWaiting(now: Now, detail: string): void {
    for (const job of this.#takeWaiting()) this.#deposits.failHere(now, job, 'unreachable', detail)
  }

  /** The answers may be lost, the requests may not have come: both sides can bear a second time. */
  #askAgain(now: Now, asked: readonly Job[], detail: string): void {
    const { attemptsMax } = this.#state.settings.limits
    const again = asked.filter(({ attempts }) => attempts < attemptsMax)
    if (again.length > 0) this.#state.counters.count('jobs-asked-again', again.length)
    this.#waiting.unshift(...again)
    for (const job of asked) {
      if (job.attempts < attemptsMax) continue
      this.#state.count('jobs-unanswered')
      this.#deposits.failHere(now, job, 'unreachable', detail)
    }
  }

  #pump(now: Now): void {
    const { askedMax, askedBytesMax } = this.#state.settings.limits
    const link = this.#link
    if (link?.isUp !== true) return
    while (now.mono >= this.#pausedUntil && link.isUp && link.askedCount < askedMax) {
      const job = this.#waiting[0]
      if (job === undefined || (link.askedCount > 0 && this.#askedBytes + job.size > askedBytesMax)) break
      this.#waiting.shift()
      job.attempts += 1
      this.#askedBytes += job.size
      this.#ask(now, link, job)
    }
    const isIdle = this.#link === link && link.isUp && link.askedCount === 0 && this.#waiting.length === 0
    if (isIdle) this.#idleSince ??= now.mono
  }

  #ask(now: Now, link: MailboxLink<Job>, job: Job): void {
    const { box } = this.#to
    switch (job.type) {
      case 'deposit': {
        const { token, bytes } = job
        link.ask(now, job, (request) => ({ type: 'deposit', request, box, token, bytes }))
        return
      }
      case 'check': {
        const { tokens } = job
        link.ask(now, job, (request) => ({ type: 'check', request, box, tokens }))
        return
      }
      case 'fetch-bundle':
        link.ask(now, job, (request) => ({ type: 'take-bundle', request, box }))
    }
  }

  /** Whether the answer is one to that job. */
  #finish(now: Now, job: Job, answer: MailboxAnswer): boolean {
    if (answer.type === 'refused') {
      const { reason } = answer
      if (reason === 'busy') this.#pausedUntil = now.mono + this.#state.settings.limits.busyPauseMs
      this.#deposits.failHere(now, job, reason, `the mailbox refuses: ${reason}`)
      return true
    }
    const { id } = job
    if (job.type === 'deposit' && answer.type === 'accepted') {
      // Its clock may be anything; how long it keeps it is what counts.
      const { holdMaxMs } = this.#state.settings.limits
      const holdMs = Math.min(Math.max(0, answer.until - answer.timestamp), holdMaxMs)
      // Who looks can see whether mailboxes see this peer's address.
      this.#state.count(this.#link?.throughRelay === true ? 'deposits-relayed' : 'deposits-straight')
      const result = { ok: true, until: Math.trunc(now.wall) + holdMs } as const
      this.#deposits.finish(job, { type: 'deposited', id, result })
      return true
    }
    if (job.type === 'check' && answer.type === 'statuses') {
      if (answer.statuses.length !== job.tokens.length) return false
      this.#deposits.finish(job, { type: 'checked', id, statuses: answer.statuses })
      return true
    }
    if (job.type === 'fetch-bundle' && answer.type === 'bundle') {
      if (answer.bytes === undefined) this.#deposits.failHere(now, job, 'unreachable', 'no bundle is there')
      else this.#deposits.finish(job, { type: 'bundle', id, bytes: answer.bytes })
      return true
    }
    return false
  }
}
