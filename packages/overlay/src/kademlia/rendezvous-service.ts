import { TokenBucket } from '@miaou/core'
import type { PunchStatus } from '@miaou/protocol'
import type { Core } from './core.ts'
import type { ContactRef, KademliaMessage } from './interface.ts'
import { Rates } from './rates.ts'

type Request<T extends KademliaMessage['type']> = Extract<KademliaMessage, { type: T }>

/** A node that strangers do not reach, with the endpoint at which its session came in. */
interface Client {
  readonly ref: ContactRef
  /** Monotonic ms. */
  readonly until: number
}

/**
 * A server as the rendezvous of others (spec/overlay.md, Rendezvous): clients register over sessions that they keep
 * alive, and it tells them where it sees those who want to reach them. It never passes on what anybody claims.
 */
export class RendezvousService {
  readonly #core: Core
  /** By node id, the one refreshed longest ago first. */
  readonly #clients = new Map<string, Client>()
  readonly #byAskerPrefix: Rates
  readonly #byTarget: Rates
  readonly #all: TokenBucket

  constructor(core: Core) {
    this.#core = core
    const { punchesPerSecond, punchesBurst, punchesPerPrefixPerSecond, punchesPerPrefixBurst } = core.config
    const { punchesPerTargetPerSecond, punchesPerTargetBurst, punchRatesMax } = core.config
    this.#all = new TokenBucket(punchesPerSecond, punchesBurst)
    this.#byAskerPrefix = new Rates(punchesPerPrefixPerSecond, punchesPerPrefixBurst, punchRatesMax)
    this.#byTarget = new Rates(punchesPerTargetPerSecond, punchesPerTargetBurst, punchRatesMax)
  }

  /** Registered, those included whose time is over and who have not been looked for since. */
  get size(): number {
    return this.#clients.size
  }

  /** Clients whose sessions live. */
  live(): ContactRef[] {
    const { mono } = this.#core
    return [...this.#clients.values()].flatMap(({ ref, until }) => (mono < until ? [ref] : []))
  }

  register(from: ContactRef, isProven: boolean, { transaction }: Request<'rendezvous'>): void {
    const { contacts, counters } = this.#core
    const isAccepted = isProven && this.#enter(from)
    if (!isAccepted) counters.add('rendezvous-refused')
    this.#core.answer(from, {
      type: 'rendezvous-response',
      transaction,
      isServer: this.#core.isServerFor(from),
      status: isAccepted ? 'accepted' : 'refused',
      observed: contacts.endpoint(from),
    })
  }

  punch(from: ContactRef, isProven: boolean, message: Request<'punch'>): void {
    const { contacts } = this.#core
    const { transaction, target } = message
    const isServer = this.#core.isServerFor(from)
    const client = this.#find(target)
    const status = client === undefined ? 'unknown' : this.#judge(from, isProven, client)
    if (client === undefined || status !== 'passed') {
      this.#core.answer(from, { type: 'punch-response', transaction, isServer, status, endpoint: undefined })
      return
    }
    const endpoint = contacts.endpoint(client)
    this.#core.answer(from, { type: 'punch-response', transaction, isServer, status, endpoint })
    this.#core.send(client, {
      type: 'knock',
      transaction,
      isServer: this.#core.isServerFor(client),
      nonce: message.nonce.slice(),
      endpoint: contacts.endpoint(from),
    })
  }

  mark(mark: (ref: ContactRef) => void): void {
    for (const { ref } of this.#clients.values()) mark(ref)
  }

  #enter(from: ContactRef): boolean {
    const { mono, config } = this.#core
    if (!this.#core.isServerFor(from)) return false
    const name = this.#nameOf(from)
    if (!this.#clients.has(name) && !this.#hasRoomFor(from)) return false
    this.#clients.delete(name)
    this.#clients.set(name, { ref: from, until: mono + config.rendezvousExpiryMs })
    return true
  }

  /** Those whose time is over go first: they are in front. */
  #hasRoomFor(from: ContactRef): boolean {
    const { mono, config, contacts } = this.#core
    for (const [name, { until }] of this.#clients) {
      if (mono < until) break
      this.#clients.delete(name)
    }
    if (this.#clients.size >= config.rendezvousClientsMax) return false
    const prefix = contacts.prefix(from)
    if (prefix === 0) return true
    let ofPrefix = 0
    for (const { ref } of this.#clients.values()) if (contacts.prefix(ref) === prefix) ofPrefix++
    return ofPrefix < config.rendezvousClientsPerPrefixMax
  }

  #find(target: Uint8Array): ContactRef | undefined {
    const client = this.#clients.get(String.fromCharCode(...target))
    return client !== undefined && this.#core.mono < client.until ? client.ref : undefined
  }

  /**
   * The asker's address is one that made a round trip, or a forged source would point the target at somebody. Both are in
   * one kind of network, and of one family: else neither could reach the other, and addresses inside a network are told
   * to nobody outside.
   */
  #judge(from: ContactRef, isProven: boolean, client: ContactRef): PunchStatus {
    const { contacts, counters, mono } = this.#core
    const isPossible =
      contacts.scope(from) === contacts.scope(client) && contacts.family(from) === contacts.family(client)
    if (!isProven || !isPossible || this.#nameOf(from) === this.#nameOf(client)) {
      counters.add('punches-refused')
      return 'refused'
    }
    const prefix = contacts.prefix(from)
    const isWithinRates =
      (prefix === 0 || this.#byAskerPrefix.take(mono, prefix)) &&
      this.#byTarget.take(mono, this.#nameOf(client)) &&
      this.#all.take(mono)
    if (isWithinRates) return 'passed'
    counters.add('punches-over-rate')
    return 'refused'
  }

  #nameOf(ref: ContactRef): string {
    return String.fromCharCode(...this.#core.contacts.id(ref))
  }
}
