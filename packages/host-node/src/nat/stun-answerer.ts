import { err, ok, type Result, TokenBucket } from '@miaou/core'
import {
  decodeStunMessage,
  type Endpoint,
  encodeStunMessage,
  hasUnknownRequired,
  packEndpoint,
  stunAttributes,
  stunEndpointAttribute,
  stunHeaderSize,
  stunMethods,
} from '@miaou/protocol'
import { type UdpError, UdpSockets, type UdpSocketsOptions } from '../overlay/udp-sockets.ts'
import { addressGroup } from '../websocket/addresses.ts'

export interface StunAnswererLimits {
  /** Answers a second to one address group (an IPv4 address, an IPv6 /64), and how many at once. Guess: a household. */
  readonly groupPerSecond: number
  readonly groupBurst: number
  /** Answers a second to everybody, and how many at once. Guess: 0.3 MB/s. */
  readonly perSecond: number
  readonly burst: number
  /** Address groups remembered; the one heard least recently makes room. Guess: ≈ 1 MB. */
  readonly groupsMax: number
}

export const defaultStunAnswererLimits: StunAnswererLimits = {
  groupPerSecond: 10,
  groupBurst: 50,
  perSecond: 5_000,
  burst: 5_000,
  groupsMax: 8_192,
}

export interface StunAnswererOptions extends StunAnswererLimits {
  readonly loopbackOnly: boolean
  /** Ports tried from the one asked for on: one, because clients know the number. */
  readonly portsTried: number
  readonly families: UdpSocketsOptions['families']
}

/**
 * The STUN server of a relay (RFC 8489 §12): tells who asks the address it is seen from, and nothing to anybody else. An
 * answer has 32 bytes (IPv4) or 44 (IPv6), a question at least 20: with headers of IP and UDP at most 1.25 and 1.35 times
 * what was received, so that it is of no use to flood others through.
 */
export class StunAnswerer {
  readonly #options: StunAnswererOptions
  readonly #now: () => number
  readonly #sockets: UdpSockets
  readonly #counters = new Map<string, number>()
  readonly #groups = new Map<string, TokenBucket>()
  readonly #all: TokenBucket

  /** `now`: monotonic ms. */
  constructor(options: Partial<StunAnswererOptions> = {}, now: () => number = () => performance.now()) {
    this.#options = { ...defaultStunAnswererLimits, loopbackOnly: false, portsTried: 1, families: [4, 6], ...options }
    this.#now = now
    const { loopbackOnly, portsTried, families, perSecond, burst } = this.#options
    this.#all = new TokenBucket(perSecond, burst)
    this.#sockets = new UdpSockets({ loopbackOnly, portsTried, families }, (from, bytes) => this.#hear(from, bytes))
  }

  /** Resolves to the port; 0 asks for any free one. */
  async start(port: number): Promise<Result<number, UdpError>> {
    const started = await this.#sockets.start(port)
    return started.ok ? ok(this.#sockets.port) : err(started.error)
  }

  stop(): Promise<void> {
    return this.#sockets.stop()
  }

  /** 0 while it does not run. */
  get port(): number {
    return this.#sockets.port
  }

  /** `answered`, and what was dropped or refused, by reason. */
  counters(): ReadonlyMap<string, number> {
    return new Map([...this.#sockets.counters(), ...this.#counters])
  }

  /** Address groups remembered, for tests. */
  get groupCount(): number {
    return this.#groups.size
  }

  #hear(from: Endpoint, bytes: Uint8Array): void {
    const dropped = this.#answer(from, bytes)
    const name = dropped ?? 'answered'
    this.#counters.set(name, (this.#counters.get(name) ?? 0) + 1)
  }

  /** The reason why there is no answer. */
  #answer(from: Endpoint, bytes: Uint8Array): string | undefined {
    const now = this.#now()
    // Cheapest first: a flood should cost little.
    if (bytes.length < stunHeaderSize || bytes[0] !== 0 || bytes[1] !== stunMethods.binding) return 'no-binding-request'
    if (!this.#mayAnswer(from.host, now)) return 'group-rate'
    const decoded = decodeStunMessage(bytes)
    if (!decoded.ok) return 'malformed'
    const { transaction, hasFingerprint } = decoded.value
    // Among them CHANGE-REQUEST: an answer from here would be none to it.
    if (hasUnknownRequired(decoded.value, [])) return 'unknown-attribute'
    if (packEndpoint(from) === undefined) return 'unusable-sender'
    if (!this.#all.take(now)) return 'rate'
    this.#sockets.send(
      from,
      encodeStunMessage({
        class: 'success',
        method: stunMethods.binding,
        transaction,
        attributes: [stunEndpointAttribute(stunAttributes.xorMappedAddress, from, transaction)],
        // RFC 8489 §7.3.1: who sends one gets one, and has paid for it with as many bytes.
        hasFingerprint,
      }),
    )
    return undefined
  }

  #mayAnswer(host: string, now: number): boolean {
    const { groupBurst, groupPerSecond, groupsMax } = this.#options
    const group = addressGroup(host)
    const bucket = this.#groups.get(group) ?? new TokenBucket(groupPerSecond, groupBurst)
    this.#groups.delete(group)
    this.#groups.set(group, bucket)
    if (this.#groups.size > groupsMax) this.#groups.delete(this.#groups.keys().next().value ?? '')
    return bucket.take(now)
  }
}
