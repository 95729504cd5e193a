import { bytesToHex, equalBytes } from '@miaou/core'
import { depositToken, inviteDepositSecret } from '@miaou/protocol'
import type { Context } from './context.ts'
import type { Holdings } from './holdings.ts'
import type { Device } from './model.ts'
import { numberOf } from './row.ts'

// Share of the tokens that is left, and the wait after a deposit in which more is gathered: the fewer, the longer.
const gathering = [
  { leftMax: 1 / 16, waitMs: 3_600_000 },
  { leftMax: 1 / 4, waitMs: 600_000 },
  { leftMax: 1 / 2, waitMs: 60_000 },
] as const

/**
 * Which token pays for the next deposit. A number is used up in the transaction that lets its deposit out, so none is
 * used twice, whatever crashes. How many are left is an estimate: the keeper of the box adds new ones when it fetches, and
 * its receipts are how we hear of that.
 */
export class DepositTokens {
  readonly #context: Context
  readonly #holdings: Holdings
  /** Spent since the last receipt, by device and box: those that pay for what is still held, and those after. */
  readonly #spent = new Map<number, Map<string, number>>()

  constructor(context: Context, holdings: Holdings) {
    this.#context = context
    this.#holdings = holdings
    holdings.onDropped = (device) => this.#spent.delete(device)
  }

  reset(): void {
    this.#spent.clear()
  }

  /** The next token for a box of a device; undefined: none is left, or it gave us no secret. */
  take(device: Device, box: Uint8Array): Uint8Array | undefined {
    if (this.left(device, box) <= 0) return undefined
    const source = this.#sourceOf(device)
    if (!source) return undefined
    const spent = this.#spentOf(device)
    const key = bytesToHex(box)
    spent.set(key, (spent.get(key) ?? 0) + 1)
    return depositToken(this.#context.crypto, source.secret, box, this.#next(device.id, box))
  }

  /** How many are left for a box, as far as can be known here. */
  left(device: Device, box: Uint8Array): number {
    const source = this.#sourceOf(device)
    if (!source) return 0
    const spent = this.#spentOf(device)
    const key = bytesToHex(box)
    let count = spent.get(key)
    if (count === undefined) {
      count = this.#holdings.countTokens(device.id, box)
      spent.set(key, count)
    }
    return Math.max(0, source.window - count)
  }

  /** What `left` is at most. */
  windowOf(device: Device): number {
    return this.#sourceOf(device)?.window ?? 0
  }

  /** How long after a deposit the next one to these boxes waits, ms: the fewer tokens are left, the more goes into one. */
  gatherMs(device: Device, boxes: readonly Uint8Array[]): number {
    const window = this.windowOf(device)
    if (window === 0) return gathering[0].waitMs
    const left = Math.min(...boxes.map((box) => this.left(device, box)))
    return gathering.find(({ leftMax }) => left <= leftMax * window)?.waitMs ?? 0
  }

  /** The secret it gave us; until then that of the invite that named it, which is worth fewer. */
  #sourceOf({
    depositSecret: secret,
    contact,
  }: Device): { readonly secret: Uint8Array; readonly window: number } | undefined {
    const { limits, crypto } = this.#context
    if (!secret) return undefined
    const { inviteToken } = contact
    const isInvite = inviteToken !== undefined && equalBytes(secret, inviteDepositSecret(crypto, inviteToken))
    return { secret, window: isInvite ? limits.tokensPerInviteUse : limits.tokensAhead }
  }

  #spentOf(device: Device): Map<string, number> {
    const known = this.#spent.get(device.id)
    if (known) return known
    const created = new Map<string, number>()
    this.#spent.set(device.id, created)
    return created
  }

  #next(row: number, box: Uint8Array): number {
    const { store } = this.#context
    store.run(
      `INSERT INTO deposit_counters (device, box, next) VALUES (?, ?, 1)
       ON CONFLICT (device, box) DO UPDATE SET next = next + 1`,
      [row, box],
    )
    const found = store.get('SELECT next FROM deposit_counters WHERE device = ? AND box = ?', [row, box])
    return found === undefined ? 0 : numberOf(found, 'next') - 1
  }
}
