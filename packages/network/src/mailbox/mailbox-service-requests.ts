import { bytesToHex, type Now } from '@miaou/core'
import { type Crypto, sealedMessageSizeMax } from '@miaou/crypto'
import {
  encodeMailboxMessage,
  type MailboxMessage,
  type MailboxRefusal,
  type StartMark,
  tokenHash,
  verifyMailboxAck,
} from '@miaou/protocol'
import type { CloseReason } from '../interface.ts'
import type { FetchedEnvelope, QueueFailure, QueueOperation, QueueResult } from './interface.ts'
import { type Batch, QueueBatches, type Settle } from './mailbox-service-batches.ts'
import { type MailboxClient, PushState } from './mailbox-service-client.ts'
import type { MailboxServiceCounters } from './mailbox-service-counters.ts'
import { BundleRates } from './mailbox-service-groups.ts'
import type { MailboxServiceLimits } from './mailbox-service-limits.ts'

/** What requests need of the service that holds the links. */
export interface RequestsHost {
  readonly now: Now
  send(client: MailboxClient, payloads: readonly Uint8Array[]): void
  bad(client: MailboxClient, name: 'bad-messages' | 'bad-signatures'): void
  end(client: MailboxClient, reason: CloseReason): void
  isHere(client: MailboxClient): boolean
  /** Something of it is due at another time than before. */
  watch(client: MailboxClient): void
}

type Request = Extract<
  MailboxMessage,
  { type: 'register' | 'tokens' | 'bundles' | 'deposit' | 'check' | 'take-bundle' | 'acknowledge' | 'release' }
>
type Of<Type extends Request['type']> = Extract<Request, { type: Type }>
type Deposit = Extract<QueueOperation, { type: 'deposit' }>

/** From what is asked to what is answered, by way of the queue. */
export class MailboxRequests {
  readonly #host: RequestsHost
  readonly #crypto: Crypto
  readonly #limits: MailboxServiceLimits
  readonly #counters: MailboxServiceCounters
  readonly #batches: QueueBatches
  readonly #bundleRates: BundleRates
  /** Links that keep a box, by its name. */
  readonly #owners = new Map<string, MailboxClient>()

  constructor(host: RequestsHost, crypto: Crypto, limits: MailboxServiceLimits, counters: MailboxServiceCounters) {
    this.#host = host
    this.#crypto = crypto
    this.#limits = limits
    this.#counters = counters
    this.#batches = new QueueBatches(limits)
    this.#bundleRates = new BundleRates(limits)
  }

  get ownerCount(): number {
    return this.#owners.size
  }

  get pendingCount(): number {
    return this.#batches.pendingCount
  }

  nextBatch(): Batch | undefined {
    return this.#batches.next()
  }

  queued(batch: number, results: readonly QueueResult[] | QueueFailure): void {
    if ('type' in results) this.#counters.count('groups-failed')
    this.#batches.settle(batch, results)
  }

  /** What was not begun is not answered. */
  stop(): void {
    this.#batches.clear()
  }

  expire(): void {
    this.#batches.add({ type: 'expire', at: this.#wall() }, () => undefined, true)
  }

  receive(client: MailboxClient, message: MailboxMessage): void {
    switch (message.type) {
      case 'register':
      case 'tokens':
      case 'bundles':
      case 'deposit':
      case 'check':
      case 'take-bundle':
      case 'acknowledge':
      case 'release':
        client.uselessSince = this.#host.now.mono
        if (this.#isWithinRates(client, message)) this.#request(client, message)
        else this.#flood(client, message)
        return
      default:
        // What only a mailbox says.
        this.#host.bad(client, 'bad-messages')
    }
  }

  #isWithinRates(client: MailboxClient, message: Request): boolean {
    const { mono } = this.#host.now
    // It has no answer, and is said once: dropped, it would stop the link for good. The window bounds it.
    if (message.type === 'acknowledge' && client.push?.isNews(message.ids)) return true
    if (client.asked >= this.#limits.askedMax) return false
    const size = message.type === 'deposit' ? message.bytes.length : 0
    const cost = 1 + Math.floor(size / this.#limits.costBytes)
    if (!client.requests.take(mono, cost) || !client.group.requests.take(mono, cost)) return false
    return message.type !== 'register' || client.group.registrations.take(mono)
  }

  #flood(client: MailboxClient, message: Request): void {
    this.#counters.count('floods')
    client.floods += 1
    if ('request' in message) this.#refuse(client, message.request, 'busy')
    if (client.floods >= this.#limits.floodsMax) this.#host.end(client, 'busy')
  }

  #request(client: MailboxClient, message: Request): void {
    const { proved } = client
    if (proved === undefined) return
    switch (message.type) {
      case 'register':
        this.#register(client, message)
        return
      case 'tokens': {
        const { request, reset, hashes } = message
        this.#supply(client, request, { type: 'tokens', box: proved.box, reset, hashes })
        return
      }
      case 'bundles': {
        const { request, reset, oneTime, lastResort } = message
        this.#supply(client, request, { type: 'bundles', box: proved.box, reset, oneTime, lastResort })
        return
      }
      case 'acknowledge':
        if (verifyMailboxAck(this.#crypto, proved.key, proved.box, message)) this.#acknowledge(client, message.ids)
        else this.#host.bad(client, 'bad-signatures')
        return
      case 'release':
        this.#release(client)
        return
      case 'deposit':
        this.#deposit(client, message)
        return
      case 'check':
        this.#check(client, message)
        return
      case 'take-bundle':
        this.#takeBundle(client, message)
    }
  }

  #register(client: MailboxClient, { request, start }: Of<'register'>): void {
    const { proved } = client
    if (proved === undefined) return
    this.#ask(client, request, { type: 'register', box: proved.box, start, at: this.#wall() }, (result) => {
      if (result.type !== 'registered') {
        this.#counters.count('registrations-refused')
        this.#answerNo(client, request, result)
        return
      }
      const { stock, staleSince } = result
      this.#counters.count('registered')
      // The box is there, and nobody to push to.
      if (!this.#host.isHere(client)) return
      if (staleSince !== undefined) this.#counters.count('stale-starts')
      // A link of its own that registered before, and died unnoticed, gets nothing more.
      const before = this.#owners.get(proved.name)
      if (before !== undefined) before.push = undefined
      this.#owners.set(proved.name, client)
      client.push = new PushState(start, this.#host.now.mono, this.#limits)
      this.#say(client, { type: 'registered', request, stock, staleSince, timestamp: this.#wall() })
      this.pump(client)
    })
  }

  #supply(client: MailboxClient, request: number, operation: QueueOperation): void {
    this.#ask(client, request, operation, (result) => {
      if (result.type === 'stock') this.#say(client, { type: 'done', request, stock: result.stock })
      else this.#answerNo(client, request, result)
    })
  }

  #release(client: MailboxClient): void {
    const { proved } = client
    if (proved === undefined) return
    this.#ask(client, undefined, { type: 'release', box: proved.box }, (result) => {
      if (result.type !== 'done') return
      this.#counters.count('released')
      const owner = this.#owners.get(proved.name)
      if (owner === undefined) return
      this.left(owner)
      owner.push = undefined
      owner.uselessSince = this.#host.now.mono
    })
  }

  #deposit(client: MailboxClient, { request, box, token, bytes }: Of<'deposit'>): void {
    const hash = token === undefined ? undefined : tokenHash(this.#crypto, token)
    const operation: Deposit = { type: 'deposit', box, tokenHash: hash, bytes, at: this.#wall() }
    this.#ask(client, request, operation, (result) => {
      if (result.type !== 'accepted') {
        this.#counters.count('deposits-refused')
        this.#answerNo(client, request, result)
        return
      }
      const { id, until, repeated } = result
      this.#counters.count(repeated ? 'deposits-repeated' : 'deposits')
      if (!repeated && token === undefined) this.#counters.count('deposits-of-strangers')
      this.#say(client, { type: 'accepted', request, until: Math.max(0, until), timestamp: this.#wall() })
      if (!repeated) this.#arrived(box, { id, bytes, tokenHash: hash, acceptedAt: operation.at })
    })
  }

  #check(client: MailboxClient, { request, box, tokens }: Of<'check'>): void {
    const tokenHashes = tokens.map((token) => tokenHash(this.#crypto, token))
    this.#ask(client, request, { type: 'check', box, tokenHashes }, (result) => {
      const isNobody = result.type === 'refused' && result.reason === 'no-box'
      if (result.type === 'statuses') this.#say(client, { type: 'statuses', request, statuses: result.statuses })
      else if (isNobody) this.#say(client, { type: 'statuses', request, statuses: tokens.map(() => 'unknown') })
      else this.#answerNo(client, request, result)
    })
  }

  #takeBundle(client: MailboxClient, { request, box }: Of<'take-bundle'>): void {
    const name = bytesToHex(box)
    const allowOneTime = this.#bundleRates.take(name, this.#host.now.mono)
    this.#ask(client, request, { type: 'take-bundle', box, allowOneTime }, (result) => {
      if (result.type !== 'bundle') {
        if (result.type !== 'refused') {
          this.#answerNo(client, request, result)
          return
        }
        // Whoever asks for boxes that nobody keeps must not push out the rates of those that somebody keeps.
        this.#bundleRates.forget(name)
        this.#say(client, { type: 'bundle', request, bytes: undefined })
        return
      }
      if (result.bytes !== undefined) this.#counters.count('bundles-given')
      if (!allowOneTime) this.#counters.count('bundles-limited')
      this.#say(client, { type: 'bundle', request, bytes: result.bytes })
    })
  }

  #acknowledge(client: MailboxClient, ids: readonly number[]): void {
    const { proved, push } = client
    if (proved === undefined) return
    push?.acknowledging(ids)
    const settled = (result: QueueResult | QueueFailure): void => {
      if (result.type === 'failed') {
        // The client says it once: it stays ours to do.
        for (const id of push?.known(ids) ?? []) push?.owed.add(id)
        this.#retry(client, push)
        return
      }
      this.#counters.count('envelopes-acknowledged', push?.known(ids).length ?? 0)
      push?.acknowledged(ids)
      this.pump(client)
    }
    // It frees the disk: only what the link itself may have under way bounds it.
    this.#ask(client, undefined, { type: 'acknowledge', box: proved.box, ids }, settled, true)
  }

  /** Pushes what waits in the box, as far as window and pipe allow. */
  pump(client: MailboxClient): void {
    const { proved, push } = client
    if (proved === undefined || push === undefined || push.isReading || push.isCaughtUp) return
    if (push.waitsForAcknowledgement || !push.hasRoom || this.#isLate(client)) return
    push.isReading = true
    const [countMax, bytesMax] = [push.countLeft, push.bytesLeft]
    const operation = { type: 'read', box: proved.box, after: push.after, countMax, bytesMax } as const
    const settled = (result: QueueResult | QueueFailure): void => {
      push.isReading = false
      if (result.type === 'failed') this.#retry(client, push)
      // It may have been released, or another link have taken over.
      if (result.type !== 'envelopes' || client.push !== push) return
      const { envelopes } = result
      const fitting = takeFitting(push, envelopes)
      const size = envelopes.reduce((sum, { bytes }) => sum + bytes.length, 0)
      push.waitsForAcknowledgement = fitting.length < envelopes.length
      push.isCaughtUp =
        envelopes.length === 0 || (envelopes.length < countMax && size + sealedMessageSizeMax <= bytesMax)
      this.#pushAll(client, fitting)
      this.pump(client)
    }
    this.#batches.add(operation, settled, true)
  }

  /** What is due by now: the owner is told to be there, and what failed is tried again. */
  due(client: MailboxClient): void {
    const { proved, push } = client
    if (proved === undefined || push === undefined) return
    const { mono } = this.#host.now
    if (mono >= push.touchAt) {
      push.touchAt = mono + this.#limits.touchMs
      this.#touch(proved.box, push.start)
    }
    if (mono >= push.retryAt) {
      push.retryAt = Number.POSITIVE_INFINITY
      const owed = [...push.owed]
      push.owed.clear()
      if (owed.length > 0) this.#acknowledge(client, owed)
      this.pump(client)
    }
  }

  /** The link is gone: its box has nobody to be pushed to. */
  left(client: MailboxClient): void {
    const name = client.proved?.name
    if (name !== undefined && this.#owners.get(name) === client) this.#owners.delete(name)
  }

  #retry(client: MailboxClient, push: PushState | undefined): void {
    if (push === undefined || client.push !== push) return
    push.retryAt = this.#host.now.mono + this.#limits.retryMs
    this.#host.watch(client)
  }

  #touch(box: Uint8Array, start: StartMark): void {
    this.#batches.add({ type: 'register', box, start, at: this.#wall() }, () => undefined, true)
  }

  /** To an owner who has everything else it goes at once, without a way over the disk. */
  #arrived(box: Uint8Array, envelope: FetchedEnvelope): void {
    const owner = this.#owners.get(bytesToHex(box))
    const push = owner?.push
    if (owner === undefined || push === undefined || !push.isCaughtUp) return
    if (push.fits(envelope) && !this.#isLate(owner)) {
      push.pushed(envelope)
      this.#pushAll(owner, [envelope])
    } else {
      push.isCaughtUp = false
      push.waitsForAcknowledgement = !push.fits(envelope)
      this.pump(owner)
    }
  }

  #pushAll(client: MailboxClient, envelopes: readonly FetchedEnvelope[]): void {
    if (envelopes.length === 0) return
    this.#counters.count('envelopes-pushed', envelopes.length)
    this.#host.send(
      client,
      envelopes.map(({ id, acceptedAt, tokenHash, bytes }) =>
        encodeMailboxMessage({ type: 'envelope', id, acceptedAt: Math.max(0, acceptedAt), tokenHash, bytes }),
      ),
    )
  }

  #isLate(client: MailboxClient): boolean {
    return client.unsent >= this.#limits.unsentMax
  }

  /** Has the queue do it; `busy` where too much waits. */
  #ask(
    client: MailboxClient,
    request: number | undefined,
    operation: QueueOperation,
    settle: Settle,
    isOurs = false,
  ): void {
    const settled: Settle = (outcome) => {
      client.asked -= 1
      settle(outcome)
    }
    if (this.#batches.add(operation, settled, isOurs)) client.asked += 1
    else {
      this.#counters.count('busy')
      if (request !== undefined) this.#refuse(client, request, 'busy')
    }
  }

  #answerNo(client: MailboxClient, request: number, outcome: QueueResult | QueueFailure): void {
    const reason = refusalOf(outcome)
    if (reason === 'full') this.#counters.count('full')
    if (reason === 'no-box') this.#counters.count('boxes-unknown')
    if (reason === 'token-spent') this.#counters.count('tokens-spent')
    if (reason === 'token-unknown') this.#counters.count('tokens-unknown')
    this.#refuse(client, request, reason)
  }

  #refuse(client: MailboxClient, request: number, reason: MailboxRefusal): void {
    this.#say(client, { type: 'refused', request, reason })
  }

  #say(client: MailboxClient, message: MailboxMessage): void {
    this.#host.send(client, [encodeMailboxMessage(message)])
  }

  #wall(): number {
    return Math.max(0, Math.trunc(this.#host.now.wall))
  }
}

/** Takes envelopes into the window, up to the first that does not fit. */
function takeFitting(push: PushState, envelopes: readonly FetchedEnvelope[]): FetchedEnvelope[] {
  const fitting: FetchedEnvelope[] = []
  for (const envelope of envelopes) {
    if (!push.fits(envelope)) break
    push.pushed(envelope)
    fitting.push(envelope)
  }
  return fitting
}

function refusalOf(outcome: QueueResult | QueueFailure): MailboxRefusal {
  if (outcome.type === 'refused') return outcome.reason
  return outcome.type === 'failed' && outcome.kind === 'full' ? 'full' : 'busy'
}
