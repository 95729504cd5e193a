import { type Now, peerIdToKey } from '@miaou/core'
import {
  type BoxAddress,
  boxIdOf,
  type MailboxAddress,
  type MailboxMessage,
  mailboxBundlesPerMessage,
  mailboxTokensPerMessage,
  type StartMark,
  signMailboxAck,
} from '@miaou/protocol'
import { backoff } from '../backoff.ts'
import type { BoxStock, BoxSupply, FetchedEnvelope, MailboxView } from './interface.ts'
import {
  type MailboxAnswer,
  MailboxLink,
  type MailboxLinkEnd,
  type MailboxLinkOwner,
  type PushedEnvelope,
} from './mailboxes-link.ts'
import type { BoxPseudonym, MailboxesState } from './mailboxes-state.ts'
import { EnvelopeWindow } from './mailboxes-window.ts'

type OwnRequest = 'register' | 'supply' | 'stock'
type SupplyMessage = (request: number) => MailboxMessage

/** One mailbox of ours: the link, made again when it is lost, the box there, and what goes in and out of it. */
export class OwnMailbox implements MailboxLinkOwner<OwnRequest> {
  readonly box: Uint8Array
  /** Place in the list; undefined for one that is given back once it is empty. */
  rank: number | undefined
  /** Whether a box was registered here, so that contacts may write to it. */
  isKept = false
  /** Whether a link with it is held. */
  isChosen = false
  readonly #state: MailboxesState
  readonly #pseudonym: BoxPseudonym
  readonly #window: EnvelopeWindow
  #mailbox: MailboxAddress
  #start: StartMark | undefined
  #link: MailboxLink<OwnRequest> | undefined
  #isRegistered = false
  #registeredAt = 0
  #isRefused = false
  #stock: BoxStock | undefined
  #supplies: SupplyMessage[] = []
  #suppliesAsked = 0
  #askStockAt = Number.POSITIVE_INFINITY
  #isAskingStock = false
  #acknowledgeAt = Number.POSITIVE_INFINITY
  #fetched: FetchedEnvelope[] = []
  #tryingSince = 0
  #failures = 0
  #nextTryAt = 0
  #error: string | undefined

  constructor(state: MailboxesState, mailbox: MailboxAddress) {
    const { crypto, limits, pseudonymFor } = state.settings
    this.#state = state
    this.#mailbox = { url: mailbox.url, mailboxId: Uint8Array.from(mailbox.mailboxId) }
    this.#pseudonym = pseudonymFor(this.#mailbox.mailboxId)
    const sha256 = (bytes: Uint8Array): Uint8Array => crypto.sha256(bytes)
    this.box = boxIdOf(peerIdToKey(this.#pseudonym.peerId), sha256)
    this.#window = new EnvelopeWindow(limits, sha256)
  }

  get isRegistered(): boolean {
    return this.#isRegistered
  }

  get address(): BoxAddress {
    return { mailbox: this.#mailbox, box: this.box }
  }

  /** While registered. */
  get stock(): BoxStock | undefined {
    return this.#isRegistered ? this.#stock : undefined
  }

  /** Where it answers now; a link that stands stays. */
  setUrl(url: string): void {
    this.#mailbox = { ...this.#mailbox, url }
  }

  /** The mark of this start; another one than before is told by a new link. */
  setStart(now: Now, mark: StartMark): void {
    const hadStart = this.#start !== undefined
    this.#start = mark
    const link = this.#link
    if (link?.isUp !== true) return
    if (!hadStart) {
      this.#register(now, link)
      return
    }
    this.#drop()
    link.close(now, 'bye', 'this device counts its starts anew')
    if (this.isChosen) this.#connect(now)
  }

  choose(now: Now): void {
    this.isChosen = true
    this.#tryingSince = now.mono
    if (this.#link === undefined && now.mono >= this.#nextTryAt) this.#connect(now)
  }

  /** No box is wanted here, and there is none. */
  dismiss(now: Now): void {
    this.isChosen = false
    const link = this.#link
    this.#drop()
    link?.close(now, 'bye', 'nobody uses it')
  }

  /** When it no longer keeps the next of the list from being tried; Infinity while it is well. */
  get patienceEnd(): number {
    const { patienceMs, keptPatienceMs } = this.#state.settings.limits
    if (this.#isRegistered) return Number.POSITIVE_INFINITY
    return this.#tryingSince + (this.isKept ? keptPatienceMs : patienceMs)
  }

  /** Whether nothing is left to do here after it was taken from the list. */
  get isDone(): boolean {
    return this.rank === undefined && this.#link === undefined
  }

  supply(now: Now, supply: BoxSupply): void {
    const messages = supplyMessages(supply)
    if (!this.#isRegistered) {
      this.#state.count('supplies-dropped')
      return
    }
    this.#supplies.push(...messages)
    this.#pumpSupplies(now)
  }

  acknowledge(now: Now, ids: readonly number[]): void {
    for (const id of ids) if (!this.#window.acknowledge(id)) this.#state.count('late-acknowledgements')
    if (this.#window.toAcknowledgeCount === 0) return
    this.#acknowledgeAt = Math.min(this.#acknowledgeAt, now.mono + this.#state.settings.limits.acknowledgeMs)
    if (this.#window.isHalfFull) this.#tellAcknowledgements(now)
    this.#giveBack(now)
  }

  /** What came since it was asked last. */
  takeFetched(): readonly FetchedEnvelope[] {
    const fetched = this.#fetched
    this.#fetched = []
    return fetched
  }

  /** It was taken from the list: what waits is still fetched, then the box is given back. */
  leave(now: Now): void {
    this.rank = undefined
    this.#giveBack(now)
    if (this.#isRegistered) return
    this.dismiss(now)
  }

  networkChanged(now: Now): void {
    this.#nextTryAt = Math.min(this.#nextTryAt, now.mono)
    const link = this.#link
    if (link?.isUp) {
      link.doubt(now)
      return
    }
    // It was dialled from an address that may be gone.
    this.#drop()
    link?.end(now, 'the network changed')
    if (this.isChosen) this.#connect(now)
  }

  stop(now: Now): void {
    this.isChosen = false
    this.#tellAcknowledgements(now)
    const link = this.#link
    this.#drop()
    link?.close(now, 'shutdown', 'stopped')
  }

  deadline(): number {
    const link = this.#link
    if (link === undefined) return this.isChosen ? this.#nextTryAt : Number.POSITIVE_INFINITY
    return Math.min(link.deadline(), this.#acknowledgeAt, this.#askStockAt)
  }

  wake(now: Now): void {
    this.#link?.wake(now)
    if (now.mono >= this.#acknowledgeAt) {
      this.#tellAcknowledgements(now)
      this.#giveBack(now)
    }
    if (now.mono >= this.#askStockAt) this.#askStock(now)
    if (this.isChosen && this.#link === undefined && now.mono >= this.#nextTryAt) this.#connect(now)
  }

  view(now: Now): MailboxView | undefined {
    const link = this.#link
    if (!this.isChosen && link === undefined && this.#error === undefined) return undefined
    const failed = this.#isRefused ? 'refused' : 'unreachable'
    const linked = this.#isRegistered ? 'registered' : this.#isRefused ? 'refused' : 'connected'
    const hasFailed = link === undefined && this.#error !== undefined
    return {
      mailbox: this.#mailbox,
      state: hasFailed ? failed : link?.isUp ? linked : 'connecting',
      box: this.box,
      ...(this.stock === undefined ? {} : { stock: this.stock }),
      ...(link?.latencyMs === undefined ? {} : { latencyMs: link.latencyMs }),
      ...(this.#error === undefined || this.#isRegistered ? {} : { error: this.#error }),
      ...(link === undefined && this.#nextTryAt > now.mono ? { nextTryAt: this.#nextTryAt } : {}),
      throughRelay: link?.throughRelay ?? this.#state.settings.ownerThroughRelay,
    }
  }

  linkUp(now: Now, link: MailboxLink<OwnRequest>): void {
    this.#register(now, link)
  }

  linkEnded(now: Now, link: MailboxLink<OwnRequest>, { detail, isUnavailable }: MailboxLinkEnd): void {
    if (link !== this.#link) return
    const { limits, jitter } = this.#state.settings
    const wasRegistered = this.#isRegistered
    this.#drop()
    if (!this.#isRefused) this.#error = detail
    if (wasRegistered) {
      this.#tryingSince = now.mono
      if (now.mono - this.#registeredAt >= limits.steadyAfterMs) {
        this.#failures = 0
        this.#nextTryAt = now.mono + limits.redialSpreadMs * jitter.next()
        return
      }
    }
    this.#failures += 1
    const options = { minMs: limits.backoffMinMs, maxMs: limits.backoffMaxMs, jitterShare: limits.backoffJitter }
    const waitMs = backoff(this.#failures, options, jitter)
    this.#nextTryAt = now.mono + (isUnavailable ? Math.min(waitMs, limits.relayWaitMaxMs) : waitMs)
  }

  answered(now: Now, link: MailboxLink<OwnRequest>, request: OwnRequest, answer: MailboxAnswer): boolean {
    if (link !== this.#link) return true
    switch (answer.type) {
      case 'registered':
        if (request !== 'register') return false
        this.#registered(now, answer)
        return true
      case 'done':
        if (request === 'register') return false
        this.#stock = answer.stock
        this.#answeredSupply(now, request)
        return true
      case 'refused':
        if (request === 'register') this.#refused(now, link, answer.reason)
        else {
          if (request === 'supply') this.#state.count('supplies-refused')
          this.#answeredSupply(now, request)
        }
        return true
      default:
        return false
    }
  }

  pushed(now: Now, link: MailboxLink<OwnRequest>, envelope: PushedEnvelope): boolean {
    if (link !== this.#link || !this.#isRegistered) {
      this.#state.count('unasked')
      return false
    }
    const taken = this.#window.take(envelope)
    if (taken === 'repeated') {
      this.#state.count('repeated-envelope')
      return false
    }
    if (taken === 'flood') {
      this.#state.count('envelope-flood')
      link.close(now, 'protocol-error', 'the mailbox sends more than its window')
      return true
    }
    if (taken === 'swapped') this.#state.count('swapped-envelope')
    const { id, bytes, tokenHash, acceptedAt } = envelope
    this.#fetched.push({ id, bytes, tokenHash, acceptedAt })
    this.#stockChanged(now)
    return true
  }

  #connect(now: Now): void {
    const [mailbox, identity] = [this.#mailbox, this.#pseudonym]
    const throughRelay = this.#state.settings.ownerThroughRelay
    this.#link = new MailboxLink(now, { state: this.#state, owner: this, mailbox, identity, throughRelay })
  }

  /** The link is gone, and what was known of the box with it. */
  #drop(): void {
    this.#link = undefined
    this.#window.restart()
    this.#isRegistered = false
    this.#stock = undefined
    if (this.#supplies.length + this.#suppliesAsked > 0) this.#state.count('supplies-dropped')
    this.#supplies = []
    this.#suppliesAsked = 0
    this.#askStockAt = Number.POSITIVE_INFINITY
    this.#isAskingStock = false
    this.#acknowledgeAt = Number.POSITIVE_INFINITY
  }

  #register(now: Now, link: MailboxLink<OwnRequest>): void {
    const start = this.#start
    if (start === undefined) return
    link.ask(now, 'register', (request) => ({ type: 'register', request, start }))
  }

  #registered(now: Now, { stock, staleSince }: Extract<MailboxAnswer, { type: 'registered' }>): void {
    this.#isRegistered = true
    this.#registeredAt = now.mono
    this.isKept = true
    this.#isRefused = false
    this.#error = undefined
    this.#stock = stock
    this.#askStockAt = now.mono + this.#state.settings.limits.stockMs
    if (staleSince !== undefined) this.#state.emit({ type: 'stale-start', seen: staleSince })
    if (this.rank === undefined) this.#giveBack(now)
  }

  #refused(now: Now, link: MailboxLink<OwnRequest>, reason: string): void {
    this.#state.count('registrations-refused')
    this.#isRefused = true
    this.#error = `the mailbox refuses: ${reason}`
    link.close(now, 'bye', this.#error)
  }

  #pumpSupplies(now: Now): void {
    const { limits } = this.#state.settings
    const link = this.#link
    while (link?.isUp && this.#suppliesAsked < limits.suppliesMax) {
      const next = this.#supplies.shift()
      if (next === undefined) return
      this.#suppliesAsked += 1
      link.ask(now, 'supply', next)
    }
  }

  #answeredSupply(now: Now, request: OwnRequest): void {
    if (request === 'supply') {
      this.#suppliesAsked -= 1
      this.#pumpSupplies(now)
      return
    }
    this.#isAskingStock = false
    this.#giveBack(now)
  }

  /** No tokens are added: the answer tells what is left. */
  #askStock(now: Now): void {
    this.#askStockAt = now.mono + this.#state.settings.limits.stockMs
    const link = this.#link
    if (link?.isUp !== true || !this.#isRegistered || this.#isAskingStock) return
    this.#isAskingStock = true
    link.ask(now, 'stock', (request) => ({ type: 'tokens', request, reset: false, hashes: [] }))
  }

  #tellAcknowledgements(now: Now): void {
    this.#acknowledgeAt = Number.POSITIVE_INFINITY
    const { crypto } = this.#state.settings
    for (const ids of this.#window.takeAcknowledgements()) {
      const signature = signMailboxAck(crypto, this.#pseudonym.signingKey, this.box, ids)
      this.#link?.tell(now, { type: 'acknowledge', ids, signature })
      this.#stockChanged(now)
    }
  }

  /** What the mailbox has is another number now: it is asked, once for many changes. */
  #stockChanged(now: Now): void {
    this.#askStockAt = Math.min(this.#askStockAt, now.mono + this.#state.settings.limits.stockSoonMs)
  }

  /** A box that was taken from the list goes once it is empty. */
  #giveBack(now: Now): void {
    const link = this.#link
    if (this.rank !== undefined || !this.#isRegistered || link === undefined) return
    const isEmpty = this.#window.count === 0 && this.#window.toAcknowledgeCount === 0
    if (!isEmpty || (this.#stock?.waiting ?? 0) > 0) return
    link.tell(now, { type: 'release' })
    this.dismiss(now)
  }
}

/** Tokens first: whoever asks for a bundle writes with one of them next. */
function supplyMessages(supply: BoxSupply): SupplyMessage[] {
  const messages: SupplyMessage[] = []
  const { tokenHashes, oneTimeBundles, lastResortBundle: lastResort } = supply
  for (let at = 0; at < Math.max(tokenHashes.length, supply.resetTokens ? 1 : 0); at += mailboxTokensPerMessage) {
    const hashes = tokenHashes.slice(at, at + mailboxTokensPerMessage)
    const reset = supply.resetTokens && at === 0
    messages.push((request) => ({ type: 'tokens', request, reset, hashes }))
  }
  const hasBundles = oneTimeBundles.length > 0 || supply.resetBundles
  for (let at = 0; hasBundles && (at === 0 || at < oneTimeBundles.length); at += mailboxBundlesPerMessage) {
    const oneTime = oneTimeBundles.slice(at, at + mailboxBundlesPerMessage)
    const reset = supply.resetBundles && at === 0
    messages.push((request) => ({ type: 'bundles', request, reset, oneTime, lastResort: undefined }))
  }
  // By itself: what is left of the one-time ones comes at other times.
  if (lastResort !== undefined) {
    messages.push((request) => ({ type: 'bundles', request, reset: false, oneTime: [], lastResort }))
  }
  return messages
}
