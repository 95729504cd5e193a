import { type Endpoint, endpointScope } from '@miaou/protocol'
import type { Core } from './core.ts'
import type { ContactRef, KademliaMessage } from './interface.ts'
import type { Pending, RequestOwner, Requests } from './requests.ts'

/** A check without a stranger doubles the time to the next, up to this many times the interval: guess. */
const backoffMax = 8
/** Probes for, and of, one prefix are this many intervals apart: guess. */
const probesPerPrefixIntervals = 4
const probedPrefixesMax = 64
/** Prefixes of strangers remembered; more than any sensible `serverPrefixesMin`. */
const strangersMax = 16

/** One check under way: some contacts were asked to have us pinged. */
interface Check {
  /** Until when strangers are waited for, monotonic ms. */
  readonly until: number
  /** Contacts asked that have not failed. */
  helpers: number
  hasStranger: boolean
  /** Whether a ping came from somebody whom we had sent to: it says neither yes nor no. */
  isUnclear: boolean
}

/**
 * Whether strangers reach us (spec/overlay.md, Engine): mode `auto`. Asks contacts to have others ping us, and passes
 * such requests on, sparingly.
 */
export class Reachability implements RequestOwner {
  readonly #core: Core
  readonly #requests: Requests
  readonly #walk: () => void
  readonly #clients: () => readonly ContactRef[]
  #listening: readonly Endpoint[] = []
  #observed: Endpoint | undefined
  /** Hosts at public addresses that we sent to, the oldest first, with the monotonic ms of the last time. */
  #contacted: Map<string, number> | undefined
  /** Prefixes from which strangers came, the oldest first, with the monotonic ms of the last time. */
  #strangers: Map<number, number> | undefined
  /** A server to the outside by an own address alone: the first check that says something decides. */
  #isProvisional = false
  /** Whether strangers could tell when it was last looked at. */
  #couldBeTold = false
  /** No address counts as a stranger's before: younger ones had to be forgotten. */
  #strangersFrom = 0
  #checkAt = Number.POSITIVE_INFINITY
  #check: Check | undefined
  /** Checks in a row that no stranger answered: how long the next one waits. */
  #vainCount = 0
  /** Those of them that say something. */
  #failures = 0
  /** When the next one may be asked where we seem to be, monotonic ms. */
  #askAt = 0
  #nextProbeAt = 0
  #probed: Map<number, number> | undefined

  /**
   * `walk`: to oneself, so that others hear of it that they may enter us into their tables, and we of them. `clients`: of
   * ours as a rendezvous, who can probe as well as a contact can.
   */
  constructor(core: Core, requests: Requests, walk: () => void, clients: () => readonly ContactRef[]) {
    this.#core = core
    this.#requests = requests
    this.#walk = walk
    this.#clients = clients
  }

  /** The own endpoint as last observed by another node. */
  get observed(): Endpoint | undefined {
    return this.#observed
  }

  /**
   * Whether a rendezvous is of use: out in the world, and a client, or a server behind a NAT whose mapping has to be kept
   * alive.
   */
  get needsRendezvous(): boolean {
    if (this.#core.config.mode !== 'auto' || this.#observed === undefined) return false
    if (endpointScope(this.#observed) !== 'public') return false
    return !this.#core.isPublicServer || !this.#isOwn(this.#observed)
  }

  deadline(): number {
    return this.#check?.until ?? this.#checkAt
  }

  listen(endpoints: readonly Endpoint[]): void {
    this.#listening = endpoints
  }

  /** Notes whom something is sent to, for as long as it matters. */
  sentTo(ref: ContactRef): void {
    const { contacts, config, mono } = this.#core
    if (config.mode !== 'auto' || contacts.prefix(ref) === 0) return
    this.#noteContacted(contacts.endpoint(ref).host)
    if (this.#checkAt === Number.POSITIVE_INFINITY && this.#check === undefined) {
      this.#checkAt = mono + config.reachWaitMs
    }
  }

  /** As `sentTo`, for a datagram that goes to no contact. */
  sentToEndpoint({ host }: Endpoint): void {
    if (this.#core.config.mode === 'auto') this.#noteContacted(host)
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
    if (config.mode !== 'auto' || !this.#isOwn(observed)) return
    if (contacts.prefix(from) === 0) this.#setServer(this.#core.isPublicServer, true)
    else this.#considerOwnAddress()
  }

  /**
   * Somebody at a proven address was heard: as long as nobody has told us where we seem to be, they are asked. So the
   * first node of a network, which nobody told to bootstrap, becomes a server too.
   */
  heard(from: ContactRef): void {
    const { config, mono } = this.#core
    if (this.#isProvisional) this.#watchGrowth()
    if (config.mode !== 'auto' || this.#observed !== undefined || mono < this.#askAt) return
    if (this.#listening.length > 0 && this.#requests.ping(from, this)) this.#askAt = mono + config.reachWaitMs
  }

  /**
   * A request came: from those whom we never sent to, of enough prefixes, it proves that strangers reach us. `isPing`: it
   * may be a probe.
   */
  askedBy(from: ContactRef, isPing: boolean): void {
    const { contacts, config, mono } = this.#core
    if (config.mode !== 'auto') return
    const prefix = contacts.prefix(from)
    if (prefix === 0) return
    const sentAt = this.#contacted?.get(contacts.endpoint(from).host)
    if (mono < this.#strangersFrom || (sentAt !== undefined && mono - sentAt < config.strangerAfterMs)) {
      if (this.#check !== undefined && isPing) this.#check.isUnclear = true
      return
    }
    this.#noteStranger(prefix)
    this.#failures = 0
    this.#vainCount = 0
    if (this.#check !== undefined) this.#check.hasStranger = true
    if (this.#strangerPrefixes() < config.serverPrefixesMin) return
    this.#check = undefined
    this.#isProvisional = false
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

  /** A contact (`isKnown`), or a rendezvous of ours, passes on that `contact` wants a ping. */
  probe(from: ContactRef, contact: ContactRef, isKnown: boolean): void {
    const { contacts, counters } = this.#core
    const prefix = contacts.prefix(contact)
    const isFair = prefix !== 0 && prefix !== contacts.prefix(from) && isKnown
    if (!isFair || this.#core.isSelf(contact) || !this.#mayProbe(prefix)) {
      counters.add('probes-refused')
      return
    }
    this.#requests.ping(contact, this)
  }

  wake(): void {
    const { mono, config } = this.#core
    if (mono < this.deadline()) return
    if (this.#check !== undefined) this.#endCheck(this.#check)
    else if (!this.#beginCheck()) this.#checkAt = mono + config.reachIntervalMs
  }

  answered(_pending: Pending, _message: KademliaMessage): void {
    // A pong of somebody whom we probed, or a promise to have us probed: the ping itself is what counts.
  }

  late(): void {
    // Nothing depends on it.
  }

  failed(pending: Pending): void {
    if (pending.type !== 'reach' || this.#check === undefined) return
    this.#check.helpers--
    if (this.#check.helpers > 0 || this.#check.hasStranger) return
    // Nobody passed the question on: that says nothing about strangers.
    this.#check = undefined
    this.#checkAt = this.#core.mono + this.#core.config.reachWaitMs
  }

  clear(): void {
    this.#checkAt = Number.POSITIVE_INFINITY
    this.#check = undefined
  }

  /** Strangers can tell as soon as the network has grown: so the next check comes soon. */
  #watchGrowth(): void {
    const { mono, config } = this.#core
    const canBeTold = this.#canBeTold()
    if (canBeTold && !this.#couldBeTold) {
      this.#vainCount = 0
      if (this.#check === undefined) this.#checkAt = Math.min(this.#checkAt, mono + config.reachWaitMs)
    }
    this.#couldBeTold = canBeTold
  }

  /** Where nobody is a stranger, an address of one's own, at which no NAT stands in between, makes a server for now. */
  #considerOwnAddress(): void {
    const { config } = this.#core
    const isFoundOut = this.#failures >= config.reachFailuresMax
    if (this.#core.isPublicServer || isFoundOut || this.#canBeTold()) return
    this.#isProvisional = true
    this.#couldBeTold = false
    this.#setServer(true, this.#core.isLocalServer)
  }

  /** Asks as many contacts, of different prefixes, as strangers are missing. */
  #beginCheck(): boolean {
    const { mono, config, contacts } = this.#core
    const missing = config.serverPrefixesMin - this.#strangerPrefixes()
    const wanted = missing > 0 ? missing : config.serverPrefixesMin
    const prefixes = new Set<number>()
    let helpers = 0
    while (helpers < wanted) {
      const helper = this.#helper(prefixes)
      if (helper === undefined || !this.#requests.reach(helper, this)) break
      prefixes.add(contacts.prefix(helper))
      helpers++
    }
    if (helpers === 0) return false
    this.#check = { until: mono + config.reachWaitMs, helpers, hasStranger: false, isUnclear: false }
    return true
  }

  #endCheck({ hasStranger, isUnclear }: Check): void {
    const { mono, config } = this.#core
    this.#check = undefined
    if (!hasStranger) {
      this.#vainCount++
      // In a small network everybody is known, and no stranger is left who could come. It may have grown meanwhile.
      if (!this.#canBeTold()) {
        if (this.#core.isPublicServer) this.#walk()
      } else if (!isUnclear) this.#failures += this.#isProvisional ? config.reachFailuresMax : 1
    }
    const waitMs = Math.min(config.reachWaitMs * 2 ** this.#vainCount, backoffMax * config.reachIntervalMs)
    this.#checkAt = mono + waitMs
    if (this.#failures >= config.reachFailuresMax) this.#setServer(false, this.#core.isLocalServer)
  }

  /** Whether there are so many prefixes that strangers of enough of them could come: one is the helper's. */
  #canBeTold(): boolean {
    const { table, contacts, config } = this.#core
    const prefixes = new Set<number>()
    for (const ref of table.all()) {
      const prefix = contacts.prefix(ref)
      if (prefix !== 0) prefixes.add(prefix)
      if (prefixes.size > config.serverPrefixesMin) return true
    }
    return false
  }

  #isOwn(endpoint: Endpoint): boolean {
    return this.#listening.some(({ host, port }) => host === endpoint.host && port === endpoint.port)
  }

  #noteContacted(host: string): void {
    const { mono, config } = this.#core
    this.#contacted ??= new Map()
    this.#contacted.delete(host)
    this.#contacted.set(host, mono)
    if (this.#contacted.size <= config.contactedHostsMax) return
    const [oldest] = this.#contacted
    if (oldest === undefined) return
    this.#contacted.delete(oldest[0])
    this.#strangersFrom = Math.max(this.#strangersFrom, oldest[1] + config.strangerAfterMs)
  }

  #noteStranger(prefix: number): void {
    this.#strangers ??= new Map()
    this.#strangers.delete(prefix)
    this.#strangers.set(prefix, this.#core.mono)
    const [oldest] = this.#strangers.keys()
    if (this.#strangers.size > strangersMax && oldest !== undefined) this.#strangers.delete(oldest)
  }

  /** Prefixes from which strangers came lately. */
  #strangerPrefixes(): number {
    const { mono, config } = this.#core
    let count = 0
    for (const at of this.#strangers?.values() ?? []) if (mono - at < config.strangersWindowMs) count++
    return count
  }

  #setServer(isPublic: boolean, isLocal: boolean): void {
    const before = this.#core.isPublicServer || this.#core.isLocalServer
    this.#core.isPublicServer = isPublic
    if (!isPublic) this.#isProvisional = false
    this.#core.isLocalServer = isLocal
    const isServer = isPublic || isLocal
    if (isServer === before) return
    this.#core.emit({ type: 'mode', isServer })
    if (isServer) this.#walk()
  }

  /** A random contact at a public address of none of some prefixes. */
  #helper(besides: ReadonlySet<number>): ContactRef | undefined {
    const { table, contacts } = this.#core
    return this.#pick(table.all().filter((ref) => contacts.prefix(ref) !== 0 && !besides.has(contacts.prefix(ref))))
  }

  /** A random contact or client at a public address of another prefix. */
  #somebody(notPrefix: number): ContactRef | undefined {
    const { table, contacts } = this.#core
    return this.#pick(
      [...table.all(), ...this.#clients()].filter((ref) => {
        const prefix = contacts.prefix(ref)
        return prefix !== 0 && prefix !== notPrefix
      }),
    )
  }

  #pick(candidates: readonly ContactRef[]): ContactRef | undefined {
    return candidates[Math.floor(this.#core.jitter.next() * candidates.length)]
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
