import { type Endpoint, endpointScope, packEndpoint } from '@miaou/protocol'
import type { Core } from './core.ts'
import { HoleOpener } from './hole-opener.ts'
import type { ContactRef, KademliaMessage } from './interface.ts'
import { networkPrefix } from './network-prefix.ts'
import type { Pending, RequestOwner, Requests } from './requests.ts'

/** Those that refused or fell silent, who are not asked again for a while: guess. */
const shunnedMax = 16

interface Kept {
  readonly ref: ContactRef
  isAccepted: boolean
  failures: number
}

/** What the keeper has to know of the reachability of its node. */
export interface RendezvousNeed {
  /** Whether strangers are let in by nobody but the node itself, at an address that lives only while it sends. */
  readonly needsRendezvous: boolean
  seenAt(from: ContactRef, observed: Endpoint | undefined): void
}

/**
 * Keeps sessions with a few servers of different prefixes warm, so that they can pass punches on to a node behind a NAT,
 * and so that the NAT does not forget the node (spec/overlay.md, Rendezvous). Opens holes where they ask for it.
 */
export class RendezvousKeeper implements RequestOwner {
  readonly #core: Core
  readonly #requests: Requests
  readonly #need: RendezvousNeed
  readonly #opener: HoleOpener
  readonly #kept = new Map<ContactRef, Kept>()
  readonly #shunned = new Set<ContactRef>()
  #refreshAt = Number.POSITIVE_INFINITY

  constructor(core: Core, requests: Requests, need: RendezvousNeed) {
    this.#core = core
    this.#requests = requests
    this.#need = need
    this.#opener = new HoleOpener(core)
  }

  /** Servers that pass punches on to us. */
  get accepted(): ContactRef[] {
    return [...this.#kept.values()].filter(({ isAccepted }) => isAccepted).map(({ ref }) => ref)
  }

  deadline(): number {
    return Math.min(this.#refreshAt, this.#opener.deadline())
  }

  has(ref: ContactRef): boolean {
    return this.#kept.has(ref)
  }

  /** Somebody was heard: there may be a server to ask. */
  heard(from: ContactRef): void {
    this.#opener.heard(this.#core.contacts.endpoint(from).host)
    const { mono, config } = this.#core
    if (this.#refreshAt === Number.POSITIVE_INFINITY && config.rendezvousMax > 0) {
      this.#refreshAt = mono + config.rendezvousWaitMs
    }
  }

  wake(): void {
    const { mono, config } = this.#core
    this.#opener.wake()
    if (mono < this.#refreshAt) return
    if (!this.#need.needsRendezvous) {
      this.#kept.clear()
      this.#refreshAt = mono + config.rendezvousWaitMs
      return
    }
    this.#refreshAt = mono + config.rendezvousRefreshMs
    for (const { ref } of [...this.#kept.values()]) this.#requests.rendezvous(ref, this)
    this.#fill()
    // Nobody there yet: looked for sooner than a session has to be refreshed.
    if (this.#kept.size === 0) this.#refreshAt = mono + config.rendezvousWaitMs
  }

  /**
   * A rendezvous says that somebody at `endpoint` wants to reach us. Obeyed only from one that was asked to, and for an
   * address of its own kind of network: nobody out in the world sends us to knock inside our own.
   */
  knock(from: ContactRef, isProven: boolean, nonce: Uint8Array, endpoint: Endpoint): void {
    const { contacts, counters } = this.#core
    const isOurs = isProven && this.#kept.get(from)?.isAccepted === true
    const isPossible = endpointScope(endpoint) === contacts.scope(from)
    if (isOurs && isPossible && this.#opener.open(endpoint, prefixOf(endpoint), nonce)) return
    counters.add('knocks-refused')
  }

  answered(pending: Pending, message: KademliaMessage): void {
    const kept = this.#kept.get(pending.to)
    if (message.type !== 'rendezvous-response') return
    this.#need.seenAt(pending.to, message.observed)
    if (kept === undefined) return
    kept.failures = 0
    kept.isAccepted = message.status === 'accepted'
    if (!kept.isAccepted) this.#drop(kept)
  }

  late(): void {
    // The others go on meanwhile.
  }

  failed(pending: Pending): void {
    const kept = this.#kept.get(pending.to)
    if (kept === undefined) return
    kept.failures++
    if (kept.failures >= this.#core.config.failuresMax || !kept.isAccepted) this.#drop(kept)
    // Asked again at once: a NAT may close before the next refresh.
    else this.#requests.rendezvous(kept.ref, this)
  }

  mark(mark: (ref: ContactRef) => void): void {
    for (const ref of this.#kept.keys()) mark(ref)
    for (const ref of this.#shunned) mark(ref)
  }

  clear(): void {
    this.#kept.clear()
    this.#opener.clear()
    this.#refreshAt = Number.POSITIVE_INFINITY
  }

  #drop({ ref }: Kept): void {
    this.#kept.delete(ref)
    this.#shunned.add(ref)
    const [oldest] = this.#shunned
    if (this.#shunned.size > shunnedMax && oldest !== undefined) this.#shunned.delete(oldest)
    const isOver = this.#fill() === 0 && this.#kept.size === 0
    // All there are have been tried: they are asked again.
    if (isOver) this.#shunned.clear()
  }

  /** How many were asked. */
  #fill(): number {
    const { table, contacts, config, jitter } = this.#core
    const prefixes = new Set([...this.#kept.keys()].map((ref) => contacts.prefix(ref)))
    const candidates = table.all().filter((ref) => contacts.prefix(ref) !== 0 && !this.#shunned.has(ref))
    let asked = 0
    while (this.#kept.size < config.rendezvousMax) {
      const others = candidates.filter((ref) => !prefixes.has(contacts.prefix(ref)))
      const ref = others[Math.floor(jitter.next() * others.length)]
      if (ref === undefined || !this.#requests.rendezvous(ref, this)) break
      prefixes.add(contacts.prefix(ref))
      this.#kept.set(ref, { ref, isAccepted: false, failures: 0 })
      asked++
    }
    return asked
  }
}

function prefixOf(endpoint: Endpoint): number {
  const packed = packEndpoint(endpoint)
  return packed === undefined ? 0 : networkPrefix(packed, 0, packed.length === 6 ? 4 : 6)
}
