import { assert, equalBytes, type Now } from '@miaou/core'
import {
  circuitDataOverhead,
  decodeMailboxMessage,
  encodeMailboxMessage,
  frameTypes,
  type MailboxAddress,
  type MailboxMessage,
  mailboxIdOf,
} from '@miaou/protocol'
import type { CloseReason, LinkError } from '../interface.ts'
import { Link, type LinkOutput } from '../link.ts'
import type { LinkIdentity, LinkPeer } from '../link-handshake.ts'
import type { ChannelIndex, PipeId, TransportError, TransportEvent } from '../ports.ts'
import type { MailboxesState, PipeUser } from './mailboxes-state.ts'

/** What a mailbox says when it was asked something. */
export type MailboxAnswer = Extract<
  MailboxMessage,
  { type: 'registered' | 'done' | 'accepted' | 'refused' | 'statuses' | 'bundle' }
>
export type PushedEnvelope = Extract<MailboxMessage, { type: 'envelope' }>

/** How a link with a mailbox ended. */
export interface MailboxLinkEnd {
  /** For people. */
  readonly detail: string
  /** Nothing was sent: no relay is there to go through. */
  readonly isUnavailable: boolean
  readonly wasUp: boolean
}

/** Who holds a link with a mailbox, and is told what happens on it. `Request`: what it wants to know again by the answer. */
export interface MailboxLinkOwner<Request> {
  linkUp(now: Now, link: MailboxLink<Request>): void
  /** The last word. */
  linkEnded(now: Now, link: MailboxLink<Request>, end: MailboxLinkEnd): void
  /** Whether the answer is one to that request; else it is a fault, and the request stays open. */
  answered(now: Now, link: MailboxLink<Request>, request: Request, answer: MailboxAnswer): boolean
  /** Whether an envelope was to be expected here. */
  pushed(now: Now, link: MailboxLink<Request>, envelope: PushedEnvelope): boolean
}

/** One link with a mailbox, from the dial of its pipe to its end. */
export class MailboxLink<Request> implements PipeUser {
  readonly pipe: PipeId
  readonly throughRelay: boolean
  readonly #state: MailboxesState
  readonly #owner: MailboxLinkOwner<Request>
  readonly #mailbox: MailboxAddress
  readonly #identity: LinkIdentity
  readonly #startedAt: number
  readonly #requests = new Map<number, { readonly request: Request; readonly sentAt: number }>()
  #link: Link | undefined
  #wasUp = false
  #nextRequest = 1
  #faults = 0
  // Until when a link that the network's change put in doubt must have answered.
  #doubtedUntil = Number.POSITIVE_INFINITY
  #isEnded = false
  #error: string | undefined

  constructor(
    now: Now,
    options: {
      readonly state: MailboxesState
      readonly owner: MailboxLinkOwner<Request>
      readonly mailbox: MailboxAddress
      readonly identity: LinkIdentity
      readonly throughRelay: boolean
    },
  ) {
    this.#state = options.state
    this.#owner = options.owner
    this.#mailbox = options.mailbox
    this.#identity = options.identity
    this.throughRelay = options.throughRelay
    this.#startedAt = now.mono
    this.pipe = this.#state.settings.nextPipe()
    this.#state.links.set(this.pipe, this)
    const { url } = options.mailbox
    this.#state.emit({ type: 'mailbox-dial', pipe: this.pipe, url, throughRelay: this.throughRelay })
  }

  get isUp(): boolean {
    return !this.#isEnded && this.#link?.isUp === true
  }

  /** Smoothed round trip in ms. */
  get latencyMs(): number | undefined {
    return this.#link?.latencyMs
  }

  /** Requests without an answer. */
  get askedCount(): number {
    return this.#requests.size
  }

  /** The requests without an answer, in their order; none of them is answered any more. */
  takeRequests(): Request[] {
    const requests = [...this.#requests.values()].map(({ request }) => request)
    this.#requests.clear()
    return requests
  }

  transport(now: Now, event: TransportEvent): void {
    if (event.type === 'opened') this.#open(now, event)
    else if (event.type === 'message') this.#receive(now, event.channel, event.bytes)
    else if (event.type === 'closed') {
      const { error } = event
      // The pipe has told its end: nothing more comes of it.
      this.#finish(now, error === undefined ? 'the mailbox closed the connection' : transportErrorText(error), error)
    }
  }

  /** Says something that has no answer. */
  tell(now: Now, message: MailboxMessage): void {
    if (!this.isUp) return
    const link = this.#link
    assert(link !== undefined, 'a link that is up exists')
    this.#take(now, link.send(now, frameTypes.mailboxControl, encodeMailboxMessage(message), false) ?? [])
  }

  /** `toMessage`: of the request's number. */
  ask(now: Now, request: Request, toMessage: (request: number) => MailboxMessage): void {
    assert(this.isUp, 'only a mailbox that is linked is asked')
    const number = this.#nextRequest++ >>> 0
    this.#requests.set(number, { request, sentAt: now.mono })
    this.tell(now, toMessage(number))
  }

  /** The network changed: the mailbox must answer now. */
  doubt(now: Now): void {
    if (!this.isUp || this.#link === undefined) return
    const { doubtMs } = this.#state.settings.limits
    this.#doubtedUntil = now.mono + Math.max(doubtMs, 4 * (this.latencyMs ?? 0))
    this.#take(now, this.#link.doubt(now))
  }

  /** Counts something that no honest mailbox does; too many of them end the link. */
  fault(now: Now): void {
    this.#faults += 1
    if (this.#faults < this.#state.settings.limits.faultsMax || this.#isEnded) return
    this.#state.count('links-faulty')
    this.close(now, 'protocol-error', 'the mailbox does not keep to the protocol')
  }

  /** Ends the link, saying why where the mailbox can hear it. */
  close(now: Now, reason: CloseReason, detail: string): void {
    if (this.#isEnded) return
    this.#error = detail
    this.#take(now, this.#link?.close(now, reason) ?? [])
    this.end(now, detail)
  }

  /** The link is of no use: frees everything. */
  end(now: Now, detail: string): void {
    if (this.#isEnded) return
    this.#state.endedPipes.add(this.pipe)
    this.#state.emit({ type: 'close', pipe: this.pipe })
    this.#finish(now, detail)
  }

  deadline(): number {
    if (this.#isEnded) return Number.POSITIVE_INFINITY
    const { openTimeoutMs, relayedOpenTimeoutMs } = this.#state.settings.limits
    if (this.#link === undefined) return this.#startedAt + (this.throughRelay ? relayedOpenTimeoutMs : openTimeoutMs)
    return Math.min(this.#link.deadline(), this.#requestDeadline(), this.#doubtedUntil)
  }

  wake(now: Now): void {
    if (this.#isEnded) return
    if (this.#link === undefined) {
      if (now.mono >= this.deadline()) this.end(now, 'it did not answer')
      return
    }
    this.#take(now, this.#link.wake(now))
    if (now.mono >= this.#requestDeadline()) {
      this.#state.count('links-silent')
      this.close(now, 'silent', 'it did not answer a request')
    }
    if (now.mono < this.#doubtedUntil) return
    this.#doubtedUntil = Number.POSITIVE_INFINITY
    if (!this.#link.isSuspect) return
    this.#state.count('links-silent')
    this.end(now, 'it does not answer since the network changed')
  }

  #requestDeadline(): number {
    let first = Number.POSITIVE_INFINITY
    for (const { sentAt } of this.#requests.values()) first = Math.min(first, sentAt)
    return first + this.#state.settings.limits.answerTimeoutMs
  }

  #finish(now: Now, detail: string, error?: TransportError): void {
    if (this.#isEnded) return
    this.#isEnded = true
    this.#state.links.delete(this.pipe)
    this.#link?.pipeClosed()
    if (!this.#wasUp) this.#state.count('links-failed')
    this.#owner.linkEnded(now, this, { detail, isUnavailable: error?.type === 'unavailable', wasUp: this.#wasUp })
  }

  #open(now: Now, { channels, padded }: Extract<TransportEvent, { type: 'opened' }>): void {
    if (this.#link !== undefined) return
    const { crypto, random, linkLimits: limits } = this.#state.settings
    const features: readonly string[] = []
    const identity = this.#identity
    const handshake = { crypto, random, identity, features, role: 'initiator', expected: undefined } as const
    // The links with the relay put something around each message, which must not take it out of its size.
    const reserved = this.throughRelay ? circuitDataOverhead : 0
    const rest = { padded, reserved, channels, limits, binding: undefined, pseudonymsAdmitted: true } as const
    this.#link = new Link({ ...handshake, ...rest }, now)
    this.#take(now, this.#link.start(now))
  }

  #receive(now: Now, channel: ChannelIndex, bytes: Uint8Array): void {
    if (this.#link === undefined || this.#isEnded) return
    this.#take(now, this.#link.receive(now, channel, bytes))
  }

  #take(now: Now, outputs: readonly LinkOutput[]): void {
    // Sealed in this order: what the rest leads to is written behind them.
    for (const output of outputs) {
      if (output.type !== 'write') continue
      this.#state.emit({ type: 'write', pipe: this.pipe, channel: output.channel, bytes: output.bytes })
    }
    for (const output of outputs) {
      if (this.#isEnded) return
      switch (output.type) {
        case 'proven':
          this.#prove(now, output.peer)
          break
        case 'up':
          this.#wasUp = true
          this.#owner.linkUp(now, this)
          break
        case 'frame':
          this.#takeFrame(now, output.frameType, output.payload)
          break
        case 'refused':
          this.#state.count('bad-frame')
          break
        case 'remote-retired':
          this.end(now, 'the mailbox has another link with us')
          break
        case 'ended':
          if (output.reason === 'silent') this.#state.count('links-silent')
          this.end(now, this.#error ?? endText(output.reason, output.error))
          break
      }
    }
  }

  /** Only who has the key that the address names is the mailbox; until then nothing shows who asks. */
  #prove(now: Now, { certificate }: LinkPeer): void {
    assert(this.#link !== undefined, 'a link proves its peer')
    const sha256 = (bytes: Uint8Array) => this.#state.settings.crypto.sha256(bytes)
    const { mailboxId } = this.#mailbox
    if (certificate.kind === 'pseudonym' && equalBytes(mailboxIdOf(certificate.deviceKey, sha256), mailboxId)) {
      this.#take(now, this.#link.accept(now))
      return
    }
    this.#state.count('wrong-mailbox')
    this.#error = 'another mailbox answered'
    this.#take(now, this.#link.refuse(now, 'protocol-error'))
  }

  #takeFrame(now: Now, frameType: number, payload: Uint8Array): void {
    const decoded = frameType === frameTypes.mailboxControl ? decodeMailboxMessage(payload) : undefined
    if (decoded?.ok !== true) {
      this.#state.count('bad-control')
      this.fault(now)
      return
    }
    const message = decoded.value
    switch (message.type) {
      case 'registered':
      case 'done':
      case 'accepted':
      case 'refused':
      case 'statuses':
      case 'bundle':
        this.#takeAnswer(now, message)
        return
      case 'envelope':
        if (!this.#owner.pushed(now, this, message)) this.fault(now)
        return
      default:
        // What only clients say.
        this.#state.count('bad-control')
        this.fault(now)
    }
  }

  #takeAnswer(now: Now, answer: MailboxAnswer): void {
    const asked = this.#requests.get(answer.request)
    this.#requests.delete(answer.request)
    if (asked !== undefined && this.#owner.answered(now, this, asked.request, answer)) return
    // An answer of another kind is none: the request waits for its time.
    if (asked !== undefined && !this.#isEnded) this.#requests.set(answer.request, asked)
    this.#state.count('unasked')
    this.fault(now)
  }
}

function endText(reason: CloseReason, error: LinkError | undefined): string {
  if (error === undefined) return 'the connection ended'
  switch (error.type) {
    case 'refused':
      return reason === 'shutdown' ? 'the mailbox stops' : `the mailbox ended the connection: ${reason}`
    case 'silent':
      return 'it fell silent'
    case 'handshake-timeout':
      return 'it did not answer'
    case 'bad-handshake':
    case 'bad-certificate':
      return `no mailbox of ours answered: ${error.detail}`
    default:
      return `the connection broke: ${error.type}`
  }
}

function transportErrorText(error: TransportError): string {
  switch (error.type) {
    case 'unreachable':
    case 'unavailable':
    case 'broken':
      return error.detail
    case 'timeout':
      return 'it did not answer'
    default:
      return error.type
  }
}
