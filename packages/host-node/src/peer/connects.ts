import { err, ok, type PeerId, type Result } from '@miaou/core'
import type { ConnectionView, LinkError, NetworkEvent, TransportKind } from '@miaou/network'
import type { Stopped } from './handle.ts'

type Connected = Result<ConnectionView & { readonly setupMs: number }, LinkError | Stopped>

interface Waiting {
  /** A peer id, or the address that was dialled when nobody knew who would answer. */
  readonly target: PeerId | string
  readonly transport: TransportKind | undefined
  readonly resolve: (result: Connected) => void
  readonly timer: NodeJS.Timeout
  lastError: LinkError | undefined
}

/** Callers that wait for a connection: settled by the engine's events or by their time limit. */
export class Connects {
  readonly #waiting = new Set<Waiting>()
  readonly #view: (peerId: PeerId) => ConnectionView | undefined

  constructor(view: (peerId: PeerId) => ConnectionView | undefined) {
    this.#view = view
  }

  wait(target: PeerId | string, timeoutMs: number, transport?: TransportKind): Promise<Connected> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        const error = waiting.lastError ?? { type: 'unreachable', detail: `no answer within ${timeoutMs} ms` }
        this.#settle(waiting, err(error))
      }, timeoutMs)
      const waiting: Waiting = { target, transport, resolve, timer, lastError: undefined }
      this.#waiting.add(waiting)
    })
  }

  heard(event: NetworkEvent): void {
    for (const waiting of [...this.#waiting]) {
      if (event.type === 'connection-error' && event.address !== undefined && event.address === waiting.target) {
        // Whoever asked for an address asked for one dial, and that one has failed.
        this.#settle(waiting, err(event.error))
        continue
      }
      if (event.peerId === undefined || !this.#concerns(waiting, event.peerId)) continue
      if (event.type === 'connection-established') {
        if (waiting.transport !== undefined && waiting.transport !== event.transport) continue
        const view = this.#view(event.peerId)
        if (view !== undefined) this.#settle(waiting, ok({ ...view, setupMs: event.setupMs }))
      } else if (event.type === 'connection-error') {
        waiting.lastError = event.error
        // Nothing later can change these: answer at once instead of at the time limit.
        if (event.error.type === 'wrong-peer' || event.error.type === 'self') this.#settle(waiting, err(event.error))
      }
    }
  }

  /** A caller may ask for a connection that stands. */
  already(view: ConnectionView): void {
    for (const waiting of [...this.#waiting]) {
      if (waiting.target === view.peerId && waiting.transport === undefined) {
        this.#settle(waiting, ok({ ...view, setupMs: 0 }))
      }
    }
  }

  stop(): void {
    for (const waiting of [...this.#waiting]) this.#settle(waiting, err({ type: 'stopped' }))
  }

  #concerns(waiting: Waiting, peerId: PeerId): boolean {
    if (waiting.target === peerId) return true
    return this.#view(peerId)?.addresses.includes(waiting.target) ?? false
  }

  #settle(waiting: Waiting, result: Connected): void {
    if (!this.#waiting.delete(waiting)) return
    clearTimeout(waiting.timer)
    waiting.resolve(result)
  }
}
