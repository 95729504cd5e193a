import type { Now } from '@miaou/core'
import type { Endpoint } from '@miaou/protocol'
import { BootstrapWalk } from './bootstrap-walk.ts'
import { Care } from './care.ts'
import { defaultKademliaConfig, type KademliaConfig } from './config.ts'
import { Core } from './core.ts'
import type { KademliaCounter } from './counters.ts'
import { FindNodeWalk } from './find-node-walk.ts'
import { GetWalk } from './get-walk.ts'
import type {
  ContactRef,
  KademliaCommand,
  KademliaError,
  KademliaInput,
  KademliaMessage,
  KademliaOptions,
  KademliaOutput,
} from './interface.ts'
import { type BackgroundWalk, Maintenance } from './maintenance.ts'
import { NetworkSizes } from './network-sizes.ts'
import { PingOperation } from './ping-operation.ts'
import { PunchOperation } from './punch-operation.ts'
import { PutWalk } from './put-walk.ts'
import { Reachability } from './reachability.ts'
import { RendezvousKeeper } from './rendezvous-keeper.ts'
import { RendezvousService } from './rendezvous-service.ts'
import { Requests } from './requests.ts'
import { Responder } from './responder.ts'
import { RoutingTable } from './routing-table.ts'
import { ServicesAnswerer } from './services-answerer.ts'
import { ServicesOperation } from './services-operation.ts'
import { pathsMax, type Walk, type WalkContext } from './walk.ts'

/** For `miaou dht info`, tests and checkers. */
export interface KademliaInfo {
  readonly isServer: boolean
  readonly contacts: number
  /** Contacts by bucket, the farthest (255) first; empty ones left out. */
  readonly buckets: readonly { readonly bucket: number; readonly contacts: number; readonly replacements: number }[]
  /** Estimated nodes of the whole network, own one included. */
  readonly networkSize: number
  readonly records: number
  readonly recordBytes: number
  /** Records of one's own that are republished. */
  readonly published: number
  readonly operations: number
  readonly backgroundWalks: number
  readonly requestsInFlight: number
  readonly observed: Endpoint | undefined
  /** Nodes that this one is the rendezvous of, and those that are its. */
  readonly rendezvousClients: number
  readonly rendezvous: number
  readonly counters: Readonly<Partial<Record<KademliaCounter, number>>>
}

/** So long nothing of the engine's own is tried after a walk none of whose requests could be sent: own choice. */
const backgroundPauseMs = 1_000

const configs = new WeakMap<Partial<KademliaConfig>, KademliaConfig>()

/**
 * One node of the overlay: an engine without clock and I/O. Its parts: `Care` (who is in the table), `Requests` (what is
 * in flight), walks (`FindNodeWalk`, `GetWalk`, `PutWalk`, `BootstrapWalk`), `Responder` with its records, `Maintenance`,
 * `Reachability`, and for nodes behind NATs `RendezvousService`, `RendezvousKeeper` and `PunchOperation`. Rules: spec/overlay.md, Engine.
 */
export class Kademlia {
  readonly #core: Core
  readonly #requests: Requests
  readonly #care: Care
  readonly #responder: Responder
  readonly #maintenance: Maintenance
  readonly #reachability: Reachability
  readonly #context: WalkContext
  readonly #roots: (mark: (ref: ContactRef) => void) => void
  #walks: Set<Walk> | undefined
  #backgroundWalks: Set<Walk> | undefined
  #pings: Set<PingOperation> | undefined
  #services: Set<ServicesOperation> | undefined
  #punches: Set<PunchOperation> | undefined
  /** In mode `auto` only. */
  readonly #keeper: RendezvousKeeper | undefined
  /** Made for the first client. */
  #service: RendezvousService | undefined
  /** Made for the first question, or where there is something to tell. */
  #answerer: ServicesAnswerer | undefined
  /** When the engine's own walks go on after a pause, monotonic ms. */
  #resumeAt = Number.POSITIVE_INFINITY
  #isStopped = false

  constructor(options: KademliaOptions) {
    const { self, contacts, now = 0 } = options
    const config = completeConfig(options.config)
    const { k, contactsPerPrefixMax: prefixMax, replacementsMax } = config
    const table = new RoutingTable({ self, contacts, k, prefixMax, replacementsMax, now })
    this.#core = new Core(options, config, table)
    this.#care = new Care(this.#core)
    this.#requests = new Requests(this.#core, this.#care)
    this.#care.attach(this.#requests)
    this.#responder = new Responder(this.#core)
    this.#maintenance = new Maintenance(this.#core, this.#responder, now)
    this.#reachability = new Reachability(
      this.#core,
      this.#requests,
      () => this.#announce(),
      () => this.#service?.live() ?? [],
    )
    if (config.mode === 'auto') {
      this.#keeper = new RendezvousKeeper(this.#core, this.#requests, this.#reachability)
      this.#core.onSent = (to) => this.#reachability.sentTo(to)
      this.#core.onOpener = (to) => this.#reachability.sentToEndpoint(to)
    }
    const sizes = new NetworkSizes(this.#core)
    this.#context = {
      core: this.#core,
      requests: this.#requests,
      sizes,
      keep: (key, record, ageMinutes) => this.#keep(key, record, ageMinutes),
      ended: (walk) => this.#ended(walk),
    }
    this.#roots = (mark) => this.#mark(mark)
    contacts.addRoots(this.#roots)
  }

  /**
   * Exact effects of one input, in the order they must happen; a shared, frozen, empty array when there are none. A
   * message's arrays may be views: what the engine keeps, it copies.
   */
  handle(now: Now, input: KademliaInput): KademliaOutput[] {
    this.#core.enter(now)
    if (this.#isStopped) this.#refuse(input)
    else this.#take(input)
    return this.#core.leave()
  }

  /** Monotonic ms of the next wake, Infinity for none. An early or repeated wake changes nothing. */
  deadline(): number {
    let own = Math.min(this.#maintenance.deadline(), this.#reachability.deadline())
    if (this.#keeper !== undefined) own = Math.min(own, this.#keeper.deadline())
    for (const punch of this.#punches ?? []) own = Math.min(own, punch.deadline())
    return Math.min(this.#requests.deadline(), own, this.#resumeAt)
  }

  /**
   * Fills the empty table with contacts as a long-lived network's would be filled, heard at `now` (monotonic ms): for
   * simulations. At most k a bucket, ids distinct, own id left out.
   */
  fill(now: number, contacts: ArrayLike<ContactRef>): void {
    this.#core.table.fill(contacts, now)
  }

  /** The contacts to keep over a restart, the most recently heard first: `savedContactsMax` at most. */
  contacts(): ContactRef[] {
    const { table, config } = this.#core
    const live = table.all().filter((ref) => table.failures(ref) === 0)
    const heard = live.map((ref) => ({ ref, heardMs: table.heardMs(ref) }))
    heard.sort((a, b) => b.heardMs - a.heardMs)
    return heard.slice(0, config.savedContactsMax).map(({ ref }) => ref)
  }

  /** Servers through which others reach this node: what to tell them beside its key. Empty where it needs none. */
  rendezvous(): ContactRef[] {
    return this.#keeper?.accepted ?? []
  }

  /** What is known of a contact of the table. */
  measures(ref: ContactRef): { readonly heardMs: number; readonly roundTripMs: number | undefined } {
    const { table } = this.#core
    return { heardMs: table.heardMs(ref), roundTripMs: table.roundTripMs(ref) }
  }

  info(): KademliaInfo {
    const { table } = this.#core
    const records = this.#responder.recordsOrNone
    const buckets = []
    for (let bucket = 255; bucket >= 0; bucket--) {
      const contacts = table.bucketSize(bucket)
      const replacements = table.replacements(bucket).length
      if (contacts > 0 || replacements > 0) buckets.push({ bucket, contacts, replacements })
    }
    return {
      isServer: this.#core.isPublicServer || this.#core.isLocalServer,
      contacts: table.size,
      buckets,
      networkSize: Math.round(this.#context.sizes.estimate()),
      records: records?.size ?? 0,
      recordBytes: records?.bytes ?? 0,
      published: this.#maintenance.publishedCount,
      operations: this.#operationsCount,
      backgroundWalks: this.#backgroundWalks?.size ?? 0,
      requestsInFlight: this.#requests.size,
      observed: this.#reachability.observed,
      rendezvousClients: this.#service?.live().length ?? 0,
      rendezvous: this.rendezvous().length,
      counters: this.#core.counters.snapshot(),
    }
  }

  #take(input: KademliaInput): void {
    switch (input.type) {
      case 'message':
        this.#receive(input.from, input.isProven, input.message)
        break
      case 'failed':
        this.#requests.fail(input.transaction)
        break
      case 'unanswered':
        this.#requests.giveUp(input.transaction)
        break
      case 'command':
        this.#command(input.id, input.command)
        break
      case 'opener':
        this.#opened(input.from, input.nonce)
        break
      case 'listening':
        this.#reachability.listen(input.endpoints)
        break
      case 'services':
        this.#answerer ??= new ServicesAnswerer(this.#core)
        this.#answerer.set(input)
        break
      case 'wake':
        this.#wake()
        break
      case 'stop':
        this.#stop()
    }
  }

  #receive(from: ContactRef, isProven: boolean, message: KademliaMessage): void {
    // Our own datagram, come back by some loop of the network.
    if (this.#core.isSelf(from)) return
    switch (message.type) {
      case 'pong':
        this.#requests.settle(from, message)
        this.#reachability.seenAt(from, message.observed)
        break
      case 'find-node-response':
      case 'find-value-response':
      case 'store-response':
      case 'reach-response':
      case 'rendezvous-response':
      case 'punch-response':
      case 'services-response':
        this.#requests.settle(from, message)
        break
      default:
        this.#answer(from, isProven, message)
        this.#care.heard(from, message.isServer, isProven, message.type === 'ping')
    }
    if (isProven) this.#reachability.heard(from)
    this.#keeper?.heard(from)
  }

  #answer(from: ContactRef, isProven: boolean, message: KademliaMessage): void {
    // First: the answer makes the sender one whom we sent to.
    this.#reachability.askedBy(from, message.type === 'ping')
    switch (message.type) {
      case 'ping':
        this.#responder.ping(from, message)
        break
      case 'find-node':
        this.#responder.findNode(from, message)
        break
      case 'find-value':
        this.#responder.findValue(from, message)
        break
      case 'store':
        this.#responder.store(from, message)
        break
      case 'reach':
        this.#reachability.reach(from, message)
        break
      case 'probe':
        this.#reachability.probe(from, message.contact, this.#isTrusted(from))
        break
      case 'rendezvous':
        this.#service ??= new RendezvousService(this.#core)
        this.#service.register(from, isProven, message)
        break
      case 'punch':
        this.#service ??= new RendezvousService(this.#core)
        this.#service.punch(from, isProven, message)
        break
      case 'services':
        this.#answerer ??= new ServicesAnswerer(this.#core)
        this.#answerer.answer(from, isProven, message)
        break
      case 'knock':
        if (this.#keeper === undefined) this.#core.counters.add('knocks-refused')
        else this.#keeper.knock(from, isProven, message.nonce, message.endpoint)
    }
  }

  /** Whose wish for a probe is heard. */
  #isTrusted(from: ContactRef): boolean {
    return this.#core.table.has(from) || this.#keeper?.has(from) === true
  }

  get #operationsCount(): number {
    const asked = (this.#pings?.size ?? 0) + (this.#services?.size ?? 0)
    return (this.#walks?.size ?? 0) + asked + (this.#punches?.size ?? 0)
  }

  #command(id: number, command: KademliaCommand): void {
    const { config } = this.#core
    if (this.#operationsCount >= config.operationsMax) {
      this.#core.counters.add('operations-over-limit')
      this.#fail(id, { type: 'too-many-operations', operationsMax: config.operationsMax })
      return
    }
    switch (command.type) {
      case 'bootstrap':
        this.#bootstrap(id, command.contacts)
        break
      case 'find-node':
        this.#walk(id, new FindNodeWalk(this.#context, command.target, id), command.paths)
        break
      case 'put':
        this.#put(id, command)
        break
      case 'get':
        this.#get(id, command.key, command.paths)
        break
      case 'ping':
        this.#ping(id, command.contact)
        break
      case 'punch':
        this.#punch(id, command.key, command.rendezvous)
        break
      case 'services':
        this.#askServices(id, command.contact)
    }
  }

  #bootstrap(id: number, contacts: readonly ContactRef[]): void {
    const asked = contacts.slice(0, this.#core.config.bootstrapContactsMax)
    const walk = new BootstrapWalk(this.#context, id, asked, () => this.#joined())
    this.#addWalk(walk)
    if (walk.start(1, asked)) return
    this.#walks?.delete(walk)
    this.#fail(id, { type: 'bootstrap-failed', asked: asked.length })
  }

  /** The neighbourhood is known: walks to what lies farther (Kademlia §2.3). */
  #joined(): void {
    const { table } = this.#core
    const [nearest] = table.all()
    if (nearest === undefined) return
    const buckets = []
    for (let bucket = 255; bucket > table.bucketOf(nearest); bucket--) buckets.push(bucket)
    this.#maintenance.refresh(buckets)
    this.#runBackground()
  }

  /** Walks to oneself again: whoever heard of a client learns that it is a server now. */
  #announce(): void {
    this.#maintenance.announce()
    this.#runBackground()
  }

  #put(id: number, { record, republish, paths }: Extract<KademliaCommand, { type: 'put' }>): void {
    const checked = this.#core.rules.check(record)
    if (checked === undefined) {
      this.#fail(id, { type: 'bad-record' })
      return
    }
    const { key } = checked
    if (republish && !this.#maintenance.publish(key, record)) {
      const operationsMax = this.#core.config.publishedMax
      this.#fail(id, { type: 'too-many-operations', operationsMax })
      return
    }
    this.#walk(id, new PutWalk(this.#context, { key, record, ageMinutes: 0 }, id), paths)
  }

  /** Others look for the record here too: only where they can ask. */
  #keep(key: Uint8Array, record: Uint8Array, ageMinutes: number): void {
    if (!this.#core.isPublicServer && !this.#core.isLocalServer) return
    const sequence = this.#core.rules.check(record)?.sequence
    this.#responder.records.keep(record, { key, sequence }, ageMinutes)
  }

  #get(id: number, key: Uint8Array, paths: number | undefined): void {
    const held = this.#maintenance.own(key) ?? this.#responder.recordsOrNone?.get(key)
    const isFinal = held !== undefined && this.#core.rules.check(held)?.sequence === undefined
    if (held === undefined || !isFinal) {
      this.#walk(id, new GetWalk(this.#context, key, id, held), paths)
      return
    }
    const cost = { requests: 0, timeouts: 0, hops: 0, ms: 0 }
    this.#core.reply(id, { type: 'found-value', record: held, cost })
  }

  #ping(id: number, contact: ContactRef): void {
    const operation = new PingOperation(this.#core, id, () => this.#pings?.delete(operation))
    this.#pings ??= new Set()
    this.#pings.add(operation)
    if (!this.#requests.ping(contact, operation)) operation.failed()
  }

  #askServices(id: number, contact: ContactRef): void {
    const operation = new ServicesOperation(this.#core, id, () => this.#services?.delete(operation))
    this.#services ??= new Set()
    this.#services.add(operation)
    if (!this.#requests.services(contact, operation)) operation.failed()
  }

  #punch(id: number, key: Uint8Array, rendezvous: ContactRef): void {
    const ended = () => this.#punches?.delete(operation)
    const operation = new PunchOperation(this.#core, this.#requests, id, key, rendezvous, ended)
    this.#punches ??= new Set()
    this.#punches.add(operation)
    operation.start()
  }

  /** Counts only with a nonce that nobody but the rendezvous and the target can know. */
  #opened(from: Endpoint, nonce: Uint8Array): void {
    for (const punch of this.#punches ?? []) {
      if (!this.#core.crypto.equal(punch.nonce, nonce)) continue
      punch.opened(from)
      return
    }
    this.#core.counters.add('openers-unasked')
  }

  #walk(id: number, walk: Walk, paths = this.#core.config.paths): void {
    this.#addWalk(walk)
    if (walk.start(Math.min(Math.max(1, Math.floor(paths)), pathsMax))) return
    this.#walks?.delete(walk)
    this.#fail(id, { type: 'no-contacts' })
  }

  #addWalk(walk: Walk): void {
    this.#walks ??= new Set()
    this.#walks.add(walk)
  }

  #ended(walk: Walk): void {
    if (this.#backgroundWalks?.delete(walk) !== true) {
      this.#walks?.delete(walk)
      return
    }
    // Nothing can be sent at the moment: thousands of waiting walks must not all fail within one input.
    const { requests, timeouts, ms } = walk.cost()
    if (ms === 0 && timeouts === requests) this.#resumeAt = this.#core.mono + backgroundPauseMs
    this.#runBackground()
  }

  #runBackground(): void {
    if (this.#resumeAt !== Number.POSITIVE_INFINITY && this.#core.mono < this.#resumeAt) return
    this.#resumeAt = Number.POSITIVE_INFINITY
    this.#backgroundWalks ??= new Set()
    while (this.#backgroundWalks.size < this.#core.config.backgroundWalksMax) {
      const next = this.#maintenance.next()
      if (next === undefined) return
      const walk = this.#backgroundWalk(next)
      this.#backgroundWalks.add(walk)
      if (!walk.start(1)) this.#backgroundWalks.delete(walk)
    }
  }

  #backgroundWalk(walk: BackgroundWalk): Walk {
    if (walk.type === 'refresh') return new FindNodeWalk(this.#context, walk.target, undefined)
    return new PutWalk(this.#context, walk, undefined)
  }

  #wake(): void {
    this.#requests.wake()
    this.#maintenance.wake()
    this.#reachability.wake()
    this.#keeper?.wake()
    for (const punch of this.#punches ?? []) punch.wake()
    this.#runBackground()
  }

  #fail(id: number, error: KademliaError): void {
    this.#core.reply(id, { type: 'failed', error })
  }

  #stop(): void {
    this.#isStopped = true
    for (const walk of this.#walks ?? []) walk.stopped()
    for (const ping of this.#pings ?? []) ping.stopped()
    for (const asked of this.#services ?? []) asked.stopped()
    for (const punch of this.#punches ?? []) punch.stopped()
    this.#walks = undefined
    this.#backgroundWalks = undefined
    this.#pings = undefined
    this.#services = undefined
    this.#answerer?.clear()
    this.#punches = undefined
    this.#service = undefined
    this.#keeper?.clear()
    this.#resumeAt = Number.POSITIVE_INFINITY
    this.#requests.clear()
    this.#maintenance.clear()
    this.#reachability.clear()
    this.#core.contacts.removeRoots(this.#roots)
  }

  #refuse(input: KademliaInput): void {
    if (input.type === 'command') this.#fail(input.id, { type: 'stopped' })
  }

  #mark(mark: (ref: ContactRef) => void): void {
    this.#care.mark(mark)
    this.#requests.mark(mark)
    for (const walk of this.#walks ?? []) walk.mark(mark)
    for (const walk of this.#backgroundWalks ?? []) walk.mark(mark)
    for (const punch of this.#punches ?? []) punch.mark(mark)
    this.#service?.mark(mark)
    this.#keeper?.mark(mark)
  }
}

/** The same object for the same options: engines of a simulation share it. */
function completeConfig(partial: Partial<KademliaConfig> | undefined): KademliaConfig {
  if (partial === undefined) return defaultKademliaConfig
  const known = configs.get(partial)
  if (known !== undefined) return known
  const config = { ...defaultKademliaConfig, ...partial }
  configs.set(partial, config)
  return config
}
