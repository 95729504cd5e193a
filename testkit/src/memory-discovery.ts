import { err, ok, type Result } from '@miaou/core'
import type { Advertisement, DiscoveredPeer, Discovery, DiscoveryError } from '@miaou/network'

/** A local network in memory: who advertises on it is seen by all others, at once. */
export class MemoryLan {
  readonly #members = new Map<MemoryDiscovery, Advertisement>()
  readonly #discoveries = new Set<MemoryDiscovery>()

  /** A discovery on this network. `host`: the address others are told, before `:PORT`. */
  discovery(host = 'memory'): MemoryDiscovery {
    return new MemoryDiscovery(this, host)
  }

  /** @internal */
  join(discovery: MemoryDiscovery, self: Advertisement | undefined): boolean {
    const isTaken = [...this.#members].some(
      ([other, { instanceName }]) => other !== discovery && instanceName === self?.instanceName,
    )
    if (isTaken) return false
    this.#discoveries.add(discovery)
    if (self === undefined) this.#members.delete(discovery)
    else this.#members.set(discovery, self)
    this.#tellOthers(discovery)
    return true
  }

  /** @internal */
  leave(discovery: MemoryDiscovery): void {
    this.#members.delete(discovery)
    this.#discoveries.delete(discovery)
    this.#tellOthers(discovery)
  }

  /** @internal */
  othersOf(discovery: MemoryDiscovery): [MemoryDiscovery, Advertisement][] {
    return [...this.#members].filter(([other]) => other !== discovery)
  }

  #tellOthers(discovery: MemoryDiscovery): void {
    for (const other of this.#discoveries) if (other !== discovery) other.tellNews()
  }
}

/** Discovery on a `MemoryLan`. */
export class MemoryDiscovery implements Discovery {
  readonly method = 'memory'
  readonly #lan: MemoryLan
  readonly host: string
  readonly #listeners: (() => void)[] = []
  #peers: DiscoveredPeer[] = []
  #isRunning = false

  constructor(lan: MemoryLan, host: string) {
    this.#lan = lan
    this.host = host
  }

  async start(self: Advertisement | undefined): Promise<Result<undefined, DiscoveryError>> {
    if (!this.#lan.join(this, self)) return err({ type: 'name-taken', instanceName: self?.instanceName ?? '' })
    this.#isRunning = true
    this.tellNews()
    return ok(undefined)
  }

  async advertise(self: Advertisement | undefined): Promise<void> {
    this.#lan.join(this, self)
  }

  collectPeers(): void {
    if (!this.#isRunning) return
    this.#peers = this.#lan.othersOf(this).map(([other, { port, ...rest }]) => ({
      ...rest,
      addresses: [`memory:${other.host}:${port}`],
    }))
  }

  discoveredPeers(): readonly DiscoveredPeer[] {
    return this.#peers
  }

  onNews(listener: () => void): void {
    this.#listeners.push(listener)
  }

  async stop(): Promise<void> {
    this.#isRunning = false
    this.#peers = []
    this.#lan.leave(this)
  }

  /** @internal */
  tellNews(): void {
    queueMicrotask(() => {
      if (!this.#isRunning) return
      for (const listener of this.#listeners) listener()
    })
  }
}
