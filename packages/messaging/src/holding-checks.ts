import { bytesToHex, equalBytes } from '@miaou/core'
import type { TokenStatus } from '@miaou/network'
import type { Context } from './context.ts'
import type { Holdings } from './holdings.ts'
import type { Device } from './model.ts'
import type { Outbox } from './outbox.ts'
import type { Post } from './post.ts'

interface Check {
  readonly device: Device
  readonly box: Uint8Array
  readonly tokens: readonly { readonly token: Uint8Array; readonly until: number }[]
}

// Tokens of one check (spec/mailbox).
const checkTokensMax = 64
// Taken from the mailbox, or left there without a token, and no receipt a day after it was accepted: it will not come (own
// choice; for those who never run for an hour, and for what nobody can ask about).
const silentAgeMs = 86_400_000
// A mailbox's time for a message (spec/mailbox), so that its acceptance follows from `until`.
const heldMs = 7 * 86_400_000

/** Asks mailboxes, at the times of the outbox's backoff, whether they still have what they accepted. */
export class HoldingChecks {
  readonly #context: Context
  readonly #holdings: Holdings
  readonly #outbox: Outbox
  readonly #checks = new Map<number, Check>()

  constructor(context: Context, parts: { readonly holdings: Holdings; readonly outbox: Outbox }) {
    this.#context = context
    this.#holdings = parts.holdings
    this.#outbox = parts.outbox
  }

  reset(): void {
    this.#checks.clear()
  }

  /** Positions of what no mailbox keeps any longer, or nobody can ask about and got no receipt in a day. */
  expired(device: Device): number[] {
    const { wall } = this.#context.now
    return [
      ...this.#holdings.dropExpired(device.id, wall),
      ...this.#holdings.dropUnasked(device.id, wall - silentAgeMs + heldMs),
    ]
  }

  plan(post: Post): void {
    post.checkTries += 1
    post.checkAt = this.#context.now.mono + this.#outbox.backoffMs(post.checkTries)
  }

  /** Asks when it is time. `number`: of the next request. */
  run(device: Device, post: Post, number: () => number): void {
    const boxes = this.#holdings.boxes(device.id)
    if (post.checkAt === Number.POSITIVE_INFINITY && boxes.length > 0) this.plan(post)
    if (post.checkAt > this.#context.now.mono) return
    // What was not answered until now will not be.
    for (const [id, check] of this.#checks) if (check.device === device) this.#checks.delete(id)
    for (const box of boxes) {
      const to = device.mailboxes.find((address) => equalBytes(address.box, box))
      const tokens = to ? this.#holdings.tokens(device.id, box, checkTokensMax) : []
      if (!to || tokens.length === 0) continue
      const id = number()
      this.#checks.set(id, { device, box, tokens })
      this.#context.output({ type: 'check', id, to, tokens: tokens.map(({ token }) => token) })
    }
    this.plan(post)
  }

  /** The positions that a mailbox lost, or that were taken from it without a receipt for too long. */
  answer(
    id: number,
    statuses: readonly TokenStatus[] | undefined,
    postOf: (device: Device) => Post | undefined,
  ): { readonly device: Device; readonly lost: readonly number[] } | undefined {
    const check = this.#checks.get(id)
    this.#checks.delete(id)
    if (!check || statuses?.length !== check.tokens.length) return undefined
    const { device, box, tokens } = check
    const takenSince = postOf(device)?.takenSince
    const lost: number[] = []
    for (const [index, { token, until }] of tokens.entries()) {
      const key = bytesToHex(token)
      if (statuses[index] === 'unknown') lost.push(...this.#holdings.dropToken(device.id, box, token, -1))
      // A hello that was taken may wait for a person: it is not said again before the week is over.
      else if (statuses[index] === 'taken' && this.#isSilent(takenSince, key, until)) {
        lost.push(...this.#holdings.dropToken(device.id, box, token, 0))
      } else continue
      takenSince?.delete(key)
    }
    return { device, lost }
  }

  #isSilent(takenSince: Map<string, number> | undefined, key: string, until: number): boolean {
    const { now, limits } = this.#context
    const since = takenSince?.get(key) ?? now.mono
    takenSince?.set(key, since)
    return now.mono - since >= limits.takenWaitMs || until - heldMs <= now.wall - silentAgeMs
  }
}
