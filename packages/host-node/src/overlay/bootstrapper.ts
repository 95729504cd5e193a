import type { Clock, Jitter, Log } from '@miaou/core'
import type { BootstrapConfig } from './bootstrap-config.ts'
import type { BootstrapNode } from './bootstrap-node.ts'
import type { BootstrapState } from './handle.ts'
import type { Resolved } from './resolve.ts'
import type { NodeAddress } from './saved-contacts.ts'

export interface BootstrapperOptions {
  readonly nodes: BootstrapConfig
  /** Nodes known from before, best first. */
  readonly saved: () => readonly NodeAddress[]
  /** Nodes on the LAN. */
  readonly met: () => readonly NodeAddress[]
  readonly resolve: (nodes: readonly BootstrapNode[]) => Promise<Resolved>
  /** Joins through these (row C19); whether anybody answered. */
  readonly join: (addresses: readonly NodeAddress[]) => Promise<boolean>
  /** Contacts in the routing table. */
  readonly contactsCount: () => number
  readonly clock: Clock
  readonly jitter: Jitter
  readonly log: Log
  readonly limits?: Partial<BootstrapLimits>
}

export interface BootstrapLimits {
  /** Addresses that one join asks. */
  readonly askedMax: number
  /** Below so many contacts a node of the LAN is asked as soon as it is heard of. Row E02's k. */
  readonly contactsWanted: number
  /** Least time between two joins that the LAN sets off: anybody on it can claim new nodes with every packet. Guess. */
  readonly heardIntervalMs: number
  /** Time to the second try; doubles with each further one. Guess. */
  readonly retryMs: number
  /** Guess. */
  readonly retryMsMax: number
}

export const defaultBootstrapLimits: BootstrapLimits = {
  askedMax: 32,
  contactsWanted: 20,
  heardIntervalMs: 2_000,
  retryMs: 10_000,
  retryMsMax: 600_000,
}

/**
 * Brings the node into the overlay and back into it: from nodes known before and those on the LAN, from the configured
 * ones in any case (so that nobody who filled the memory of a node can keep it apart), from the fallback and the
 * community's where nobody answered. It never ends: as long as the table is empty and there is somebody to ask, it asks.
 */
export class Bootstrapper {
  readonly #options: BootstrapperOptions
  readonly #limits: BootstrapLimits
  #isTrying = false
  #isStopped = false
  #asked = 0
  #unresolved = 0
  #failures = 0
  /** Where in the saved nodes the next try begins. */
  #savedFrom = 0
  #retryAt = Number.NEGATIVE_INFINITY
  #timer: NodeJS.Timeout | undefined
  #heardAt = Number.NEGATIVE_INFINITY
  #heardTimer: NodeJS.Timeout | undefined

  constructor(options: BootstrapperOptions) {
    this.#options = options
    this.#limits = { ...defaultBootstrapLimits, ...options.limits }
  }

  state(): BootstrapState {
    if (this.#options.contactsCount() > 0) return { type: 'bootstrapped' }
    if (this.#isTrying) return { type: 'trying', asked: this.#asked }
    if (this.#failures === 0) return { type: 'alone' }
    const nextTryInMs = Math.max(0, Math.round(this.#retryAt - this.#options.clock.now().mono))
    return { type: 'failed', asked: this.#asked, unresolved: this.#unresolved, nextTryInMs }
  }

  /** Tries now, unless it does already. Resolves when the try ended. */
  async run(): Promise<void> {
    if (this.#isTrying || this.#isStopped) return
    this.#isTrying = true
    clearTimeout(this.#timer)
    this.#asked = 0
    this.#unresolved = 0
    const isJoined = await this.#try()
    this.#isTrying = false
    if (this.#isStopped) return
    const { log } = this.#options
    if (isJoined) {
      this.#failures = 0
      log.write('info', 'overlay-bootstrapped', { asked: this.#asked, contacts: this.#options.contactsCount() })
    } else if (this.#asked + this.#unresolved > 0) this.#retryLater()
    else this.#failures = 0
  }

  /** Somebody was heard of on the LAN. */
  async heard(): Promise<void> {
    const { contactsCount, clock, join } = this.#options
    const { contactsWanted, heardIntervalMs } = this.#limits
    if (this.#isStopped || this.#heardTimer !== undefined || contactsCount() >= contactsWanted) return
    const { mono } = clock.now()
    const waitMs = this.#heardAt + heardIntervalMs - mono
    if (waitMs > 0) {
      this.#heardTimer = setTimeout(() => {
        this.#heardTimer = undefined
        void this.heard()
      }, waitMs).unref()
      return
    }
    const met = this.#met()
    if (met.length === 0) return
    this.#heardAt = mono
    // A try under way has asked whom it knew when it began.
    if (contactsCount() === 0 && this.#failures === 0 && !this.#isTrying) await this.run()
    else await join(met)
  }

  /** To be called now and then, and when the network changed: an empty table is filled again. */
  async check(hasNetworkChanged = false): Promise<void> {
    if (this.#options.contactsCount() > 0) return
    const isDue = hasNetworkChanged || this.#failures === 0
    if (isDue) await this.run()
  }

  stop(): void {
    this.#isStopped = true
    clearTimeout(this.#timer)
    clearTimeout(this.#heardTimer)
  }

  async #try(): Promise<boolean> {
    const { nodes, resolve } = this.#options
    let isJoined = false
    const fromKnown = async (): Promise<void> => {
      if (await this.#join([...this.#met(), ...this.#saved()])) isJoined = true
    }
    const fromLists = async (list: readonly BootstrapNode[]): Promise<void> => {
      if (list.length === 0 || this.#isStopped) return
      const { addresses, unresolved } = await resolve(list)
      this.#unresolved += unresolved
      if (await this.#join(addresses)) isJoined = true
    }
    // At once: those known from before may all be gone, and silence takes seconds to tell.
    await Promise.all([fromKnown(), fromLists(nodes.primaryNodes)])
    if (!isJoined) await fromLists(nodes.fallbackNodes)
    if (!isJoined) await fromLists(nodes.communityNodes)
    return isJoined
  }

  async #join(addresses: readonly NodeAddress[]): Promise<boolean> {
    const asked = addresses.slice(0, this.#limits.askedMax)
    if (asked.length === 0 || this.#isStopped) return false
    this.#asked += asked.length
    return this.#options.join(asked)
  }

  /** Half of a join at most: anybody on the LAN can claim to be any number of nodes. */
  #met(): readonly NodeAddress[] {
    return this.#options.met().slice(0, this.#limits.askedMax / 2)
  }

  /** Another part of them with each try. */
  #saved(): readonly NodeAddress[] {
    const saved = this.#options.saved()
    const count = this.#limits.askedMax / 2
    const part = saved.slice(this.#savedFrom, this.#savedFrom + count)
    this.#savedFrom = this.#savedFrom + count < saved.length ? this.#savedFrom + count : 0
    return part
  }

  #retryLater(): void {
    const { clock, jitter, log } = this.#options
    const { retryMs, retryMsMax } = this.#limits
    // ± 20 %, so that the nodes of one network that was down do not all ask at once.
    const spread = 0.8 + 0.4 * jitter.next()
    const delayMs = Math.min(retryMsMax, retryMs * 2 ** Math.min(this.#failures, 30)) * spread
    this.#failures += 1
    this.#retryAt = clock.now().mono + delayMs
    this.#timer = setTimeout(() => void this.run(), delayMs).unref()
    const facts = { asked: this.#asked, unresolved: this.#unresolved, nextTryInMs: Math.round(delayMs) }
    log.write('warn', 'overlay-bootstrap-failed', facts)
  }
}
