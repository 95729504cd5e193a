import { bytesToNodeId, err, type Result } from '@miaou/core'
import type { OverlayError, OverlayInfo, OverlayState } from './handle.ts'
import type { OverlaySide } from './side.ts'

/** Why there is no node: `detail` for a person. */
export type OverlayOff = Extract<OverlayError, { readonly type: 'overlay-off' }>

/** The overlay of a peer that is no node of it: tells why, and does nothing. */
export class OffOverlay implements OverlaySide {
  readonly #why: OverlayOff
  readonly #publicKey: Uint8Array
  readonly #nodeId: OverlayInfo['nodeId']
  #isStopped = false

  /** `publicKey`, `nodeId`: who the node would be. */
  constructor(why: OverlayOff, publicKey: Uint8Array, nodeId: Uint8Array) {
    this.#why = why
    this.#publicKey = publicKey
    this.#nodeId = bytesToNodeId(nodeId)
  }

  info(): OverlayInfo {
    return {
      state: this.#state(),
      nodeId: this.#nodeId,
      publicKey: this.#publicKey,
      endpoints: [],
      observed: undefined,
      mode: 'client',
      bootstrap: { type: 'alone' },
      contacts: 0,
      buckets: [],
      networkSize: 0,
      records: { count: 0, bytes: 0 },
      ownRecords: 0,
      sessions: 0,
      counters: {},
    }
  }

  contacts(): readonly [] {
    return []
  }

  async putValue(): Promise<Result<never, OverlayError>> {
    return this.#refuse()
  }

  async putRecord(): Promise<Result<never, OverlayError>> {
    return this.#refuse()
  }

  async putSigned(): Promise<Result<never, OverlayError>> {
    return this.#refuse()
  }

  async get(): Promise<Result<never, OverlayError>> {
    return this.#refuse()
  }

  async getSigned(): Promise<Result<never, OverlayError>> {
    return this.#refuse()
  }

  async findNode(): Promise<Result<never, OverlayError>> {
    return this.#refuse()
  }

  async ping(): Promise<Result<never, OverlayError>> {
    return this.#refuse()
  }

  async punch(): Promise<Result<never, OverlayError>> {
    return this.#refuse()
  }

  rendezvous(): readonly [] {
    return []
  }

  addClients(): void {
    // Nobody here asks.
  }

  async services(): Promise<readonly []> {
    return []
  }

  setServices(): void {
    // Nobody asks here.
  }

  async bootstrap(): Promise<Result<never, OverlayError>> {
    return this.#refuse()
  }

  async start(): Promise<void> {
    // There is nothing to start.
  }

  setDiscoverable(): void {
    // There is nobody to be found.
  }

  networkChanged(): void {
    // No socket to move.
  }

  hint(): void {
    // Nobody here asks.
  }

  onOwnNode(): void {
    // There is no node to tell of.
  }

  async stop(): Promise<void> {
    this.#isStopped = true
  }

  #refuse(): Result<never, OverlayError> {
    return err(this.#isStopped ? { type: 'stopped' } : this.#why)
  }

  #state(): OverlayState {
    const { reason, detail } = this.#why
    if (this.#isStopped) return { type: 'stopped' }
    return reason === 'no-udp' ? { type: 'unavailable', detail } : { type: 'off', reason }
  }
}
