import type { Now } from '@miaou/core'
import {
  type BoxAddress,
  boxIdSize,
  formatBoxAddress,
  isRelayUrl,
  mailboxCheckTokensMax,
  mailboxIdSize,
} from '@miaou/protocol'
import type { DepositResult, MailboxesInput } from './interface.ts'
import { DepositRoute, type Job } from './mailboxes-route.ts'
import type { MailboxesState } from './mailboxes-state.ts'

/** What is left in, asked of and fetched from the boxes of others: jobs, each answered once, by the box that they concern. */
export class Deposits {
  readonly #state: MailboxesState
  readonly #routes = new Map<string, DepositRoute>()
  #queuedBytes = 0
  #jobsCount = 0

  constructor(state: MailboxesState) {
    this.#state = state
  }

  get routesCount(): number {
    return this.#routes.size
  }

  get queuedBytes(): number {
    return this.#queuedBytes
  }

  get jobsCount(): number {
    return this.#jobsCount
  }

  add(now: Now, input: Extract<MailboxesInput, { type: 'deposit' | 'check' | 'fetch-bundle' }>): void {
    const { limits } = this.#state.settings
    const job = this.#toJob(now, input)
    this.#jobsCount += 1
    this.#queuedBytes += job.size
    const isTooMuch = this.#queuedBytes > limits.queuedBytesMax
    if (isTooMuch) {
      this.#state.count('queue-overflow')
      this.fail(job, 'busy', 'too much waits to be sent')
      return
    }
    if (input.type === 'check' && (input.tokens.length === 0 || input.tokens.length > mailboxCheckTokensMax)) {
      this.finish(job, { type: 'checked', id: input.id, statuses: undefined })
      return
    }
    this.#next(now, job)
  }

  /** Answers a job, once. */
  finish(job: Job, output: Parameters<MailboxesState['emit']>[0]): void {
    this.#jobsCount -= 1
    this.#queuedBytes -= job.size
    this.#state.emit(output)
  }

  /** Answers a job that came to nothing. */
  fail(job: Job, reason: Extract<DepositResult, { ok: false }>['reason'], detail: string): void {
    const { id } = job
    if (job.type === 'deposit') {
      if (reason !== 'unreachable') this.#state.count('deposits-refused')
      this.finish(job, { type: 'deposited', id, result: { ok: false, reason, detail } })
    } else if (job.type === 'check') this.finish(job, { type: 'checked', id, statuses: undefined })
    else this.finish(job, { type: 'bundle', id, bytes: undefined })
  }

  /** This box has failed it: a bundle may be had of the next one, everything else has come to nothing. */
  failHere(now: Now, job: Job, reason: Extract<DepositResult, { ok: false }>['reason'], detail: string): void {
    if (job.type === 'fetch-bundle' && job.boxes.length > 0) this.#next(now, job)
    else this.fail(job, reason, detail)
  }

  networkChanged(now: Now): void {
    for (const route of this.#routes.values()) route.networkChanged(now)
  }

  stop(now: Now): void {
    for (const route of [...this.#routes.values()]) route.stop(now)
    this.#routes.clear()
  }

  deadline(): number {
    let deadline = Number.POSITIVE_INFINITY
    for (const route of this.#routes.values()) deadline = Math.min(deadline, route.deadline())
    return deadline
  }

  wake(now: Now): void {
    for (const route of [...this.#routes.values()]) route.wake(now)
  }

  /** Gives links to boxes that something waits for, as many as there may be. */
  arrange(now: Now): void {
    const { depositLinksMax } = this.#state.settings.limits
    let links = 0
    for (const [key, route] of this.#routes) {
      if (route.isEmpty) this.#routes.delete(key)
      else if (route.isLinked) links += 1
    }
    for (const route of [...this.#routes.values()]) {
      if (route.isLinked || route.isEmpty) continue
      if (links >= depositLinksMax) {
        const idle = [...this.#routes].find(([, other]) => other.isIdle)
        if (idle === undefined) return
        idle[1].leave(now)
        this.#routes.delete(idle[0])
        links -= 1
      }
      route.connect(now)
      links += 1
    }
  }

  /** Hands a job to the box that it is for, the next one of a `fetch-bundle`. */
  #next(now: Now, job: Job): void {
    const box = job.boxes.shift()
    job.attempts = 0
    job.queuedAt = now.mono
    if (box === undefined || !isUsable(box)) {
      if (box !== undefined) this.#state.count('bad-address')
      this.failHere(now, job, 'unreachable', 'no mailbox is at that address')
      return
    }
    const key = formatBoxAddress(box)
    const route = this.#routes.get(key) ?? new DepositRoute(this.#state, this, box)
    this.#routes.set(key, route)
    route.add(now, job)
  }

  #toJob(now: Now, input: Extract<MailboxesInput, { type: 'deposit' | 'check' | 'fetch-bundle' }>): Job {
    const { jobSizeMin, bundleBoxesMax } = this.#state.settings.limits
    const shared = { id: input.id, queuedAt: now.mono, attempts: 0 }
    switch (input.type) {
      case 'deposit': {
        const { token, bytes, to } = input
        return { ...shared, type: 'deposit', token, bytes, boxes: [to], size: Math.max(jobSizeMin, bytes.length) }
      }
      case 'check': {
        const size = Math.max(jobSizeMin, 16 * input.tokens.length)
        return { ...shared, type: 'check', tokens: input.tokens, boxes: [input.to], size }
      }
      case 'fetch-bundle':
        return { ...shared, type: 'fetch-bundle', boxes: input.from.slice(0, bundleBoxesMax), size: jobSizeMin }
    }
  }
}

function isUsable({ mailbox, box }: BoxAddress): boolean {
  return box.length === boxIdSize && mailbox.mailboxId.length === mailboxIdSize && isRelayUrl(mailbox.url)
}
