import { bytesToHex } from '@miaou/core'
import type { MessagingInput, MessagingOutput } from '@miaou/messaging'
import type { BoxStock, DepositResult, FetchedEnvelope, QueueOperation, QueueResult } from '@miaou/network'
import { type BoxAddress, tokenHash } from '@miaou/protocol'
import { MemoryMessageQueue } from '../../../testkit/src/memory-message-queue.ts'
import type { SeededRandom } from '../../../testkit/src/seeded.ts'
import { crypto } from './party.ts'
import type { Side } from './side.ts'

export const mailboxCount = 2
// Envelopes that a replaying mailbox keeps of each box.
const replaysMax = 6
// A request that is on its way longer than this never arrives: the client gives it up (own choice, as its limits).
const flightMsMax = 60_000
// As the client's window (spec/mailbox).
const fetchMax = 256
const weekMs = 7 * 86_400_000

/** What a device asks of mailboxes, and of the overlay where they have no bundle. */
export type MailRequest = Extract<
  MessagingOutput,
  { type: 'supply' | 'acknowledge' | 'deposit' | 'check' | 'fetch-bundle' }
>

type Of<T extends MailRequest['type']> = Extract<MailRequest, { type: T }>

interface Pending {
  readonly side: Side
  readonly life: number
  /** Monotonic ms. */
  readonly at: number
  readonly request: MailRequest
}

/** A mailbox as it should be, and the ways in which it is not. */
export class Mailbox {
  readonly index: number
  queue = new MemoryMessageQueue({ strangersMax: 8, tokensMax: 512, oneTimeBundlesMax: 16 })
  isReachable = true
  /** Answers `accepted` and keeps nothing. */
  isLying = false
  /** Brings nothing of what it has. */
  isWithholding = false
  /** Brings again what was acknowledged, under other numbers. */
  isReplaying = false
  /** Brings a box what is in another, and in any order. */
  isSwapping = false
  /** Says of every token that it does not know it. */
  isForgetful = false
  readonly brought = new Map<string, FetchedEnvelope[]>()

  constructor(index: number) {
    this.index = index
  }

  /** Undefined when the disk is full. */
  one(operation: QueueOperation): QueueResult | undefined {
    const results = this.queue.applyNow([operation])
    return 'type' in results ? undefined : results[0]
  }

  beHonest(): void {
    this.isReachable = true
    this.isLying = false
    this.isWithholding = false
    this.isReplaying = false
    this.isSwapping = false
    this.isForgetful = false
  }
}

export function boxOf(side: number, mailbox: number): BoxAddress {
  const mailboxId = new Uint8Array(16).fill(1 + mailbox)
  const box = new Uint8Array(16).fill(16 * (1 + mailbox) + side)
  return { mailbox: { url: `wss://mail${mailbox}.example.org`, mailboxId }, box }
}

/** Mailboxes and what is on its way to them. */
export class Office {
  readonly mailboxes = Array.from({ length: mailboxCount }, (_, index) => new Mailbox(index))
  readonly #sides: readonly Side[]
  readonly #dice: SeededRandom
  readonly #wall: () => number
  pending: Pending[] = []
  /** Highest number that was brought on the link that stands, by box. */
  readonly #broughtTo = new Map<string, number>()
  /** Share of answers that get lost. */
  lossRate = 0

  constructor(sides: readonly Side[], dice: SeededRandom, wall: () => number) {
    this.#sides = sides
    this.#dice = dice
    this.#wall = wall
  }

  take(side: Side, request: MailRequest): void {
    this.pending.push({ side, life: side.life, at: side.clock.mono, request })
  }

  /** What a device hears of its own boxes when a link with its mailboxes begins anew. */
  arrive(side: Side): MessagingInput[] {
    const inputs: MessagingInput[] = []
    const start = side.mark
    for (const mailbox of this.mailboxes) {
      const { box } = boxOf(side.index, mailbox.index)
      if (!start || !mailbox.isReachable) continue
      const result = mailbox.one({ type: 'register', box, start, at: this.#wall() })
      if (result?.type !== 'registered') continue
      if (result.staleSince !== undefined) inputs.push({ type: 'stale-start', seen: result.staleSince })
      this.#broughtTo.delete(bytesToHex(box))
    }
    return [...inputs, this.#boxesOf(side), ...this.push(side)]
  }

  /** What was not brought on this link yet. */
  push(side: Side): MessagingInput[] {
    if (!side.isOnline) return []
    return this.mailboxes.flatMap((mailbox): MessagingInput[] => {
      if (!mailbox.isReachable || mailbox.isWithholding) return []
      const { box } = boxOf(side.index, mailbox.index)
      const envelopes = this.#read(mailbox, box)
      const all = [...envelopes, ...this.#hostile(mailbox, box)]
      if (all.length === 0) return []
      const kept = mailbox.brought.get(bytesToHex(box)) ?? []
      mailbox.brought.set(bytesToHex(box), [...kept, ...envelopes].slice(-replaysMax))
      return [{ type: 'fetched', box, envelopes: mailbox.isSwapping ? this.#shuffled(all) : all }]
    })
  }

  /** Serves the request at that place. Whoever asked hears of it, and a box's owner of what came. */
  serve(at: number): { readonly to: Side; readonly inputs: readonly MessagingInput[] }[] {
    const [pending] = this.pending.splice(at, 1)
    if (!pending) return []
    const { side, life, at: askedAt, request } = pending
    const isCut = !side.isOnline || side.clock.mono - askedAt > flightMsMax
    const answer = isCut ? this.#unreachable(request) : this.#serve(side, request)
    const isLost = !isCut && this.#dice.chance(this.lossRate)
    const input = isLost ? this.#unreachable(request) : answer
    const heard = input && side.life === life ? [{ to: side, inputs: [input] }] : []
    if (request.type !== 'deposit' || isCut) return heard
    const owner = this.#sides.find(({ index }) =>
      this.mailboxes.some((m) => isSameBox(boxOf(index, m.index), request.to)),
    )
    return owner ? [...heard, { to: owner, inputs: this.push(owner) }] : heard
  }

  #read(mailbox: Mailbox, box: Uint8Array): readonly FetchedEnvelope[] {
    const key = bytesToHex(box)
    const after = this.#broughtTo.get(key) ?? 0
    const result = mailbox.one({ type: 'read', box, after, countMax: fetchMax, bytesMax: 524_288 })
    const envelopes = result?.type === 'envelopes' ? result.envelopes : []
    this.#broughtTo.set(key, envelopes.at(-1)?.id ?? after)
    return envelopes
  }

  #hostile(mailbox: Mailbox, box: Uint8Array): FetchedEnvelope[] {
    const found: FetchedEnvelope[] = []
    const again = (envelope: FetchedEnvelope): FetchedEnvelope => ({ ...envelope, id: envelope.id + 1_000_000 })
    if (mailbox.isReplaying) found.push(...(mailbox.brought.get(bytesToHex(box)) ?? []).map(again))
    if (!mailbox.isSwapping) return found
    const other = boxOf(this.#dice.below(this.#sides.length), mailbox.index)
    const result = mailbox.one({ type: 'read', box: other.box, after: 0, countMax: 3, bytesMax: 524_288 })
    return result?.type === 'envelopes' ? [...found, ...result.envelopes.map(again)] : found
  }

  #serve(side: Side, request: MailRequest): MessagingInput | undefined {
    switch (request.type) {
      case 'deposit':
        return { type: 'deposited', id: request.id, result: this.#deposit(request) }
      case 'check':
        return this.#check(request)
      case 'fetch-bundle':
        return { type: 'bundle', id: request.id, bytes: this.#bundle(request) }
      case 'supply':
        return this.#supply(side, request)
      case 'acknowledge': {
        const mailbox = this.#mailboxOf(side, request.box)
        if (mailbox?.isReachable) mailbox.one({ type: 'acknowledge', box: request.box, ids: request.ids })
        return undefined
      }
    }
  }

  #deposit({ to, token, bytes }: Of<'deposit'>): DepositResult {
    const mailbox = this.#at(to)
    const at = this.#wall()
    if (!mailbox?.isReachable) return refuse('unreachable')
    if (mailbox.isLying) return { ok: true, until: at + weekMs }
    const hash = token && tokenHash(crypto, token)
    const result = mailbox.one({ type: 'deposit', box: to.box, tokenHash: hash, bytes, at })
    if (result?.type === 'accepted') return { ok: true, until: result.until }
    return refuse(result?.type === 'refused' ? result.reason : 'full')
  }

  #check({ id, to, tokens }: Of<'check'>): MessagingInput {
    const mailbox = this.#at(to)
    if (!mailbox?.isReachable) return { type: 'checked', id, statuses: undefined }
    if (mailbox.isLying) return { type: 'checked', id, statuses: tokens.map(() => 'held') }
    if (mailbox.isForgetful) return { type: 'checked', id, statuses: tokens.map(() => 'unknown') }
    const tokenHashes = tokens.map((token) => tokenHash(crypto, token))
    const result = mailbox.one({ type: 'check', box: to.box, tokenHashes })
    // A box that nobody keeps holds nothing.
    return {
      type: 'checked',
      id,
      statuses: result?.type === 'statuses' ? result.statuses : tokens.map(() => 'unknown'),
    }
  }

  #bundle({ from, bundleKey }: Of<'fetch-bundle'>): Uint8Array | undefined {
    for (const address of from) {
      const mailbox = this.#at(address)
      if (!mailbox?.isReachable) continue
      const result = mailbox.one({ type: 'take-bundle', box: address.box, allowOneTime: true })
      if (result?.type === 'bundle' && result.bytes) return result.bytes
    }
    // The overlay's: a key of our own naming, the side's number.
    return bundleKey && this.#sides[bundleKey[0] ?? 0]?.lastResort
  }

  #supply(side: Side, { box, supply }: Of<'supply'>): MessagingInput | undefined {
    const mailbox = this.#mailboxOf(side, box)
    if (!mailbox?.isReachable) return undefined
    const { resetTokens: reset, tokenHashes: hashes, resetBundles, oneTimeBundles, lastResortBundle } = supply
    if (reset || hashes.length > 0) mailbox.one({ type: 'tokens', box, reset, hashes })
    const isAboutBundles = resetBundles || oneTimeBundles.length > 0 || lastResortBundle !== undefined
    if (isAboutBundles) {
      const bundles = { reset: resetBundles, oneTime: oneTimeBundles, lastResort: lastResortBundle }
      mailbox.one({ type: 'bundles', box, ...bundles })
    }
    return this.#boxesOf(side)
  }

  #boxesOf(side: Side): MessagingInput {
    const boxes = this.mailboxes.map((mailbox) => {
      const address = boxOf(side.index, mailbox.index)
      return { address, stock: mailbox.isReachable ? stockOf(mailbox, address.box) : undefined }
    })
    return { type: 'boxes', boxes }
  }

  #unreachable(request: MailRequest): MessagingInput | undefined {
    switch (request.type) {
      case 'deposit':
        return { type: 'deposited', id: request.id, result: refuse('unreachable') }
      case 'check':
        return { type: 'checked', id: request.id, statuses: undefined }
      case 'fetch-bundle':
        return { type: 'bundle', id: request.id, bytes: undefined }
      default:
        return undefined
    }
  }

  #mailboxOf(side: Side, box: Uint8Array): Mailbox | undefined {
    return this.mailboxes.find(({ index }) => bytesToHex(boxOf(side.index, index).box) === bytesToHex(box))
  }

  #at(address: BoxAddress): Mailbox | undefined {
    return this.mailboxes[(address.mailbox.mailboxId[0] ?? 0) - 1]
  }

  #shuffled<T>(list: readonly T[]): T[] {
    const left = [...list]
    const shuffled: T[] = []
    while (left.length > 0) shuffled.push(...left.splice(this.#dice.below(left.length), 1))
    return shuffled
  }
}

function stockOf(mailbox: Mailbox, box: Uint8Array): BoxStock | undefined {
  // An empty supply changes nothing and is answered by the stock.
  const result = mailbox.one({ type: 'tokens', box, reset: false, hashes: [] })
  return result?.type === 'stock' ? result.stock : undefined
}

function refuse(reason: Extract<DepositResult, { ok: false }>['reason']): DepositResult {
  return { ok: false, reason, detail: '' }
}

function isSameBox(a: BoxAddress, b: BoxAddress): boolean {
  return bytesToHex(a.box) === bytesToHex(b.box)
}
