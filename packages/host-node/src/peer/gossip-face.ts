import { err, ok, type Result } from '@miaou/core'
import type { Crypto, KeyPair } from '@miaou/crypto'
import type { Keyring } from '@miaou/keyring'
import {
  type GossipCommand,
  type GossipEngine,
  type GossipError,
  type GossipPublished,
  type GossipResult,
  type GossipView,
  linkedGossipOptions,
} from '@miaou/peer'
import type { Stopped } from './handle.ts'
import { Pending } from './pending.ts'
import { systemJitter } from './system.ts'

/** What `gossip info` shows. */
export interface GossipInfo extends GossipView {
  /** Ed25519: as whom this home publishes. A pseudonym, the same for all topics. */
  readonly publicKey: Uint8Array
}

/** Gossip of one peer, as apps see it. Nothing here throws; what is heard comes as events and is kept nowhere. */
export interface GossipHandle {
  info(): GossipInfo
  /** `topic`: 1 to 64 visible ASCII characters. */
  publish(topic: string, payload: Uint8Array): Promise<Result<GossipPublished, GossipError | Stopped>>
  /** Counted: as many `unsubscribe` end it. */
  subscribe(topic: string): Promise<Result<undefined, GossipError | Stopped>>
  unsubscribe(topic: string): Promise<void>
}

/** Ed25519, from the data key of the home (spec/gossip G23): readers of a topic see it instead of the device's. */
export function gossipKeyPair(crypto: Crypto, keyring: Pick<Keyring, 'storeKey'>): KeyPair {
  return crypto.ed25519KeyPair(keyring.storeKey('gossip'))
}

/** Loads the engine; a peer that stays offline starts without. */
export async function createGossipEngine(crypto: Crypto, key: KeyPair): Promise<GossipEngine> {
  const { Gossip } = await import('@miaou/overlay')
  return new Gossip({ crypto, jitter: systemJitter, key, options: linkedGossipOptions })
}

const nothing: GossipView = { neighbours: [], topics: [], seenCount: 0, counters: {} }

/** The answers that callers wait for. */
export class GossipFace implements GossipHandle {
  readonly #publicKey: Uint8Array
  readonly #view: () => GossipView | undefined
  readonly #ask: (id: number, command: GossipCommand) => void
  readonly #answers = new Pending<GossipResult | Result<never, Stopped>>()
  #isStopped = false

  constructor(
    publicKey: Uint8Array,
    view: () => GossipView | undefined,
    ask: (id: number, command: GossipCommand) => void,
  ) {
    this.#publicKey = publicKey
    this.#view = view
    this.#ask = ask
  }

  info(): GossipInfo {
    return { publicKey: this.#publicKey, ...(this.#view() ?? nothing) }
  }

  async publish(topic: string, payload: Uint8Array): ReturnType<GossipHandle['publish']> {
    const answer = await this.#command({ type: 'publish', topic, payload })
    if (!answer.ok) return answer
    return answer.value === undefined ? err({ type: 'no-neighbours' }) : ok(answer.value)
  }

  async subscribe(topic: string): ReturnType<GossipHandle['subscribe']> {
    const answer = await this.#command({ type: 'subscribe', topic })
    return answer.ok ? ok(undefined) : answer
  }

  async unsubscribe(topic: string): Promise<void> {
    await this.#command({ type: 'unsubscribe', topic })
  }

  settle(id: number, result: GossipResult): void {
    this.#answers.settle(id, result)
  }

  stop(): void {
    this.#isStopped = true
    this.#answers.settleAll(err({ type: 'stopped' }))
  }

  #command(command: GossipCommand): Promise<GossipResult | Result<never, Stopped>> {
    const stopped = (): Result<never, Stopped> => err({ type: 'stopped' })
    if (this.#isStopped) return Promise.resolve(stopped())
    return this.#answers.wait((id) => this.#ask(id, command), Number.POSITIVE_INFINITY, stopped)
  }
}
