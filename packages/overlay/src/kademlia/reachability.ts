import { type Endpoint, endpointScope } from '@miaou/protocol'
import type { Core } from './core.ts'
import type { ContactRef, KademliaMessage } from './interface.ts'
import type { Pending, RequestOwner, Requests } from './requests.ts'

/** A failed check doubles the time to the next, up to this many times the interval: guess. */
const backoffMax = 8
/** Probes for, and of, one prefix are this many intervals apart: guess. */
const probesPerPrefixIntervals = 4
const probedPrefixesMax = 64

/**
 * Whether strangers reach us (spec/overlay.md, Engine): mode `auto`. Asks contacts to have others ping us, and passes
 * such requests on, sparingly.
 */
export class Reachability implements RequestOwner {
  readonly #core: Core
  readonly #requests: Requests
  readonly #onServer: () => void
  #listening: readonly Endpoint[] = []
  #observed: Endpoint | undefined
  /** Hosts at public addresses that we sent to, the oldest first, with the monotonic ms of the last time. */
  #contacted: Map<string, number> | undefined
  /** No address counts as a stranger's before: younger ones had to be forgotten. */
  #strangersFrom = 0
  #checkAt = Number.POSITIVE_INFINITY
  /** Until when a stranger's ping answers the check at hand; undefined without one. */
  #waitUntil: number | undefined
  #failures = 0
  /** When the next one may be asked where we seem to be, monotonic ms. */
  #askAt = 0
  #nextProbeAt = 0
  #probed: Map<number, number> | undefined

  /** `onServer`: others may now enter us into their tables, and have to hear of it. */
  constructor(core: Core, requests: Requests, onServer: () => void) {
    this.#core = core
    this.#requests = requests
    this.#onServer = onServer
  }

  /** The own endpoint as last observed by another node. */
  get observed(): Endpoint | undefined {
    return this.#observed
  }

  deadline(): number {
    return this.#waitUntil ?? this.#checkAt
  }

  listen(endpoints: readonly Endpoint[]): void {
    this.#listening = endpoints
  }

  /** Notes whom something is sent to, for as long as it matters. */
  sentTo(ref: ContactRef): void {
    const { contacts, config, mono } = this.#core
    if (config.mode !== 'auto' || contacts.prefix(ref) === 0) return
    const { host } = contacts.endpoint(ref)
    this.#contacted ??= new Map()
    this.#contacted.delete(host)
    this.#contacted.set(host, mono)
    if (this.#checkAt === Number.POSITIVE_INFINITY && this.#waitUntil === undefined) {
      this.#checkAt = mono + config.reachWaitMs
    }
    if (this.#contacted.size <= config.contactedHostsMax) return
    const [oldest] = this.#contacted
    if (oldest === undefined) return
    this.#contacted.delete(oldest[0])
    this.#strangersFrom = Math.max(this.#strangersFrom, oldest[1] + config.strangerAfterMs)
  }

  /** A pong says where we seem to be. */
  seenAt(from: ContactRef, observed: Endpoint | undefined): void {
    if (observed === undefined) return
    const { contacts, config, counters } = this.#core
    // Nobody out in the world sees us at an address of home: a lie, or a guess at one that we listen at.
    if (contacts.prefix(from) !== 0 && endpointScope(observed) !== 'public') {
      counters.add('answers-malformed')
      return
    }
    this.#observed = observed
    if (config.mode !== 'auto') return
    const isOwn = this.#listening.some(({ host, port }) => host === observed.host && port === observed.port)
    if (!isOwn) return
    if (contacts.prefix(from) === 0) this.#setServer(this.#core.isPublicServer, true)
    else if (this.#failures < config.reachFailuresMax) this.#setServer(true, this.#core.isLocalServer)
  }

  /**
   * Somebody at a proven address was heard: as long as nobody has told us where we seem to be, they are asked. So the
   * first node of a network, which nobody told to bootstrap, becomes a server too.
   */
  heard(from: ContactRef): void {
    const { config, mono } = this.#core
    if (config.mode !== 'auto' || this.#observed !== undefined || mono < this.#askAt) return
    if (this.#listening.length > 0 && this.#requests.ping(from, this)) this.#askAt = mono + config.reachWaitMs
  }

  /** A request came: from somebody we never sent to, it proves that strangers reach us. */
  askedBy(from: ContactRef): void {
    const { contacts, config, mono } = this.#core
    if (config.mode !== 'auto') return
    if (contacts.prefix(from) === 0) return
    const sentAt = this.#contacted?.get(contacts.endpoint(from).host)
    if (mono < this.#strangersFrom || (sentAt !== undefined && mono - sentAt < config.strangerAfterMs)) return
    this.#failures = 0
    this.#waitUntil = undefined
    this.#checkAt = mono + backoffMax * config.reachIntervalMs
    this.#setServer(true, this.#core.isLocalServer)
  }

  /** `from` asks that somebody else ping it. */
  reach(from: ContactRef, { transaction }: KademliaMessage): void {
    const { contacts } = this.#core
    this.#core.answer(from, { type: 'reach-response', transaction, isServer: this.#core.isServerFor(from) })
    const prefix = contacts.prefix(from)
    if (prefix === 0) return
    const other = this.#somebody(prefix)
    if (other === undefined || !this.#mayProbe(prefix)) {
      this.#core.counters.add('probes-refused')
      return
    }
    this.#core.send(other, { type: 'probe', transaction, isServer: this.#core.isServerFor(other), contact: from })
  }

  /** A contact passes on that `contact` wants a ping. */
  probe(from: ContactRef, contact: ContactRef): void {
    const { contacts, table, counters } = this.#core
    const prefix = contacts.prefix(contact)
    const isFair = prefix !== 0 && prefix !== contacts.prefix(from) && table.has(from)
    if (!isFair || this.#core.isSelf(contact) || !this.#mayProbe(prefix)) {
      counters.add('probes-refused')
      return
    }
    this.#requests.ping(contact, this)
  }

  wake(): void {
    const { mono, config } = this.#core
    if (this.#waitUntil !== undefined) {
      if (mono < this.#waitUntil) return
      this.#waitUntil = undefined
      this.#failures++
      this.#checkAt = mono + Math.min(2 ** this.#failures, backoffMax) * config.reachIntervalMs
      if (this.#failures >= config.reachFailuresMax) this.#setServer(false, this.#core.isLocalServer)
      return
    }
    if (mono < this.#checkAt) return
    const helper = this.#somebody(0)
    if (helper === undefined || !this.#requests.reach(helper, this)) {
      this.#checkAt = mono + config.reachIntervalMs
      return
    }
    this.#waitUntil = mono + config.reachWaitMs
  }

  answered(_pending: Pending, _message: KademliaMessage): void {
    // A pong of somebody whom we probed, or a promise to have us probed: the ping itself is what counts.
  }

  late(): void {
    // Nothing depends on it.
  }

  failed(pending: Pending): void {
    if (pending.type !== 'reach' || this.#waitUntil === undefined) return
    // Nobody passed the question on: that says nothing about strangers.
    this.#waitUntil = undefined
    this.#checkAt = this.#core.mono + this.#core.config.reachWaitMs
  }

  clear(): void {
    this.#checkAt = Number.POSITIVE_INFINITY
    this.#waitUntil = undefined
  }

  #setServer(isPublic: boolean, isLocal: boolean): void {
    const before = this.#core.isPublicServer || this.#core.isLocalServer
    this.#core.isPublicServer = isPublic
    this.#core.isLocalServer = isLocal
    const isServer = isPublic || isLocal
    if (isServer === before) return
    this.#core.emit({ type: 'mode', isServer })
    if (isServer) this.#onServer()
  }

  /** A random contact at a public address of another prefix. */
  #somebody(notPrefix: number): ContactRef | undefined {
    const { table, contacts, jitter } = this.#core
    const candidates = table.all().filter((ref) => {
      const prefix = contacts.prefix(ref)
      return prefix !== 0 && prefix !== notPrefix
    })
    return candidates[Math.floor(jitter.next() * candidates.length)]
  }

  #mayProbe(prefix: number): boolean {
    const { mono, config } = this.#core
    if (mono < this.#nextProbeAt) return false
    this.#probed ??= new Map()
    const before = this.#probed.get(prefix)
    if (before !== undefined && mono - before < probesPerPrefixIntervals * config.probeIntervalMs) return false
    this.#nextProbeAt = mono + config.probeIntervalMs
    this.#probed.delete(prefix)
    this.#probed.set(prefix, mono)
    const [oldest] = this.#probed.keys()
    if (this.#probed.size > probedPrefixesMax && oldest !== undefined) this.#probed.delete(oldest)
    return true
  }
}
