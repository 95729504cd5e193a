import { type Endpoint, endpointScope } from '@miaou/protocol'
import type { Core } from './core.ts'
import type { ContactRef, KademliaMessage, PunchFailure } from './interface.ts'
import type { Pending, RequestOwner, Requests } from './requests.ts'

/** A request to a rendezvous is made so often: one datagram may get lost. */
const asksMax = 2
/** Addresses tried for one punch: the one told, and two from which the target has shown the nonce. */
const addressesMax = 3
/** First datagrams to one address at most, the first one included. Own choice: as many as the target's, and one. */
const sendsPerAddressMax = 4

interface Attempt {
  readonly ref: ContactRef
  sentCount: number
  nextAt: number
}

/** The command `punch`: row D16, from the asker's side (spec/overlay.md, Rendezvous). */
export class PunchOperation implements RequestOwner {
  readonly nonce: Uint8Array
  readonly #core: Core
  readonly #requests: Requests
  readonly #id: number
  readonly #key: Uint8Array
  readonly #rendezvous: ContactRef
  readonly #ended: () => void
  readonly #startedAt: number
  readonly #attempts: Attempt[] = []
  #asksCount = 0
  /** Whether the rendezvous has answered, or will not. */
  #isToldOf = false
  #pingsCount = 0
  #isOver = false

  /** `key`: of the target, X25519, 32 bytes. */
  constructor(core: Core, requests: Requests, id: number, key: Uint8Array, rendezvous: ContactRef, ended: () => void) {
    this.#core = core
    this.#requests = requests
    this.#id = id
    this.#key = key.slice()
    this.#rendezvous = rendezvous
    this.#ended = ended
    this.#startedAt = core.mono
    this.nonce = core.random.bytes(8).slice()
  }

  start(): void {
    if (!this.#ask()) this.#fail('rendezvous-silent')
  }

  deadline(): number {
    let earliest = Number.POSITIVE_INFINITY
    for (const { nextAt } of this.#attempts) earliest = Math.min(earliest, nextAt)
    return earliest
  }

  /** The target's datagram came: from there it is reached, whatever the rendezvous said. */
  opened(from: Endpoint): void {
    const known = this.#attempts.find(({ ref }) => isAt(this.#core.contacts.endpoint(ref), from))
    if (known === undefined) this.#try(from)
    else this.#again(known)
  }

  answered(_pending: Pending, message: KademliaMessage): void {
    if (this.#isOver) return
    if (message.type === 'punch-response') this.#told(message.status, message.endpoint)
    else if (message.type === 'pong') this.#succeed(_pending.to, message.observed)
  }

  late(): void {
    // The repetitions have times of their own.
  }

  failed(pending: Pending): void {
    if (this.#isOver) return
    if (pending.type === 'punch') {
      if (this.#asksCount < asksMax && this.#ask()) return
      this.#isToldOf = true
      if (this.#pingsCount === 0) this.#fail('rendezvous-silent')
      return
    }
    this.#pingsCount--
    if (this.#pingsCount === 0 && this.#isToldOf) this.#fail('no-way-through')
  }

  wake(): void {
    for (const attempt of this.#attempts) if (this.#core.mono >= attempt.nextAt) this.#again(attempt)
  }

  stopped(): void {
    this.#isOver = true
    this.#core.reply(this.#id, { type: 'failed', error: { type: 'stopped' } })
  }

  mark(mark: (ref: ContactRef) => void): void {
    mark(this.#rendezvous)
    for (const { ref } of this.#attempts) mark(ref)
  }

  #ask(): boolean {
    this.#asksCount++
    return this.#requests.punch(this.#rendezvous, this.nonce, this.#core.crypto.sha256(this.#key), this)
  }

  #told(status: 'passed' | 'unknown' | 'refused', endpoint: Endpoint | undefined): void {
    this.#isToldOf = true
    const isKnown =
      endpoint !== undefined && this.#attempts.some(({ ref }) => isAt(this.#core.contacts.endpoint(ref), endpoint))
    if (status === 'passed' && endpoint !== undefined && (isKnown || this.#try(endpoint))) return
    if (this.#pingsCount > 0) return
    this.#fail(status === 'unknown' ? 'unknown-target' : 'refused')
  }

  /** An address inside our own network is none that somebody outside may send us to. */
  #try(endpoint: Endpoint): boolean {
    const { contacts, counters, mono, config } = this.#core
    const isPossible = endpointScope(endpoint) === contacts.scope(this.#rendezvous)
    if (!isPossible || this.#attempts.length >= addressesMax) {
      counters.add('punches-refused')
      return false
    }
    const ref = contacts.internKey(this.#key, endpoint)
    if (!this.#requests.ping(ref, this, config.punchWaitMs)) return false
    this.#pingsCount++
    this.#attempts.push({ ref, sentCount: 1, nextAt: mono + config.openerIntervalMs })
    return true
  }

  #again(attempt: Attempt): void {
    if (this.#isOver || attempt.sentCount >= sendsPerAddressMax) {
      attempt.nextAt = Number.POSITIVE_INFINITY
      return
    }
    this.#core.emit({ type: 'again', to: attempt.ref })
    attempt.nextAt = this.#core.mono + this.#core.config.openerIntervalMs * 2 ** attempt.sentCount
    attempt.sentCount++
  }

  #succeed(at: ContactRef, observed: Endpoint | undefined): void {
    this.#isOver = true
    this.#ended()
    const endpoint = this.#core.contacts.endpoint(at)
    this.#core.reply(this.#id, { type: 'punched', ms: this.#core.mono - this.#startedAt, endpoint, observed })
  }

  #fail(reason: PunchFailure): void {
    this.#isOver = true
    this.#ended()
    this.#core.reply(this.#id, { type: 'punch-failed', reason })
  }
}

function isAt(a: Endpoint, b: Endpoint): boolean {
  return a.host === b.host && a.port === b.port
}
