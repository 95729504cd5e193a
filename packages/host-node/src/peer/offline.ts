import { ok, type Result } from '@miaou/core'
import type {
  Discovery,
  PipeId,
  SignalledTransport,
  TransportError,
  TransportHost,
  TransportKind,
} from '@miaou/network'

/** The transport of a peer that stays offline: every pipe ends at once with `unavailable`. */
export class SilentTransport<K extends TransportKind> implements SignalledTransport {
  readonly kind: K
  #host: TransportHost | undefined

  constructor(kind: K) {
    this.kind = kind
  }

  async start(host: TransportHost): Promise<Result<readonly string[], TransportError>> {
    this.#host = host
    return ok([])
  }

  dial(pipe: PipeId): void {
    this.#refuse(pipe)
  }

  offer(pipe: PipeId): void {
    this.#refuse(pipe)
  }

  accept(pipe: PipeId): void {
    this.#refuse(pipe)
  }

  answer(): void {
    // No pipe was ever offered.
  }

  addCandidate(): void {
    // No pipe takes one.
  }

  send(): void {
    // No pipe is open.
  }

  close(): void {
    // No pipe is open.
  }

  async stop(): Promise<void> {
    this.#host = undefined
  }

  #refuse(pipe: PipeId): void {
    const error: TransportError = { type: 'unavailable', detail: 'this peer was started offline' }
    queueMicrotask(() => this.#host?.emit({ type: 'closed', pipe, error }))
  }
}

/** The discovery of a peer that stays offline: says nothing, sees nobody. */
export class SilentDiscovery implements Discovery {
  readonly method = 'memory'

  async start(): Promise<Result<undefined, never>> {
    return ok(undefined)
  }

  async advertise(): Promise<void> {
    // There is nobody to tell.
  }

  collectPeers(): void {
    // There is nothing to collect.
  }

  discoveredPeers(): readonly [] {
    return []
  }

  onNews(): void {
    // There is no news.
  }

  async stop(): Promise<void> {
    // Nothing was started.
  }
}
