import { assert } from '@miaou/core'
import type { Endpoint } from '@miaou/protocol'
import type { ConnectivityCandidate } from './interface.ts'

export type IceCandidateType = 'host' | 'peer-reflexive' | 'server-reflexive' | 'relayed'

/** RFC 8445 §5.1.2.2: the recommended preferences of types, 0 to 126. */
export const iceTypePreferences: Readonly<Record<IceCandidateType, number>> = {
  host: 126,
  'peer-reflexive': 110,
  'server-reflexive': 100,
  relayed: 0,
}

/** The local preference where a host has one address (RFC 8445 §5.1.2.1). */
export const iceLocalPreferenceMax = 65_535

/**
 * RFC 8445 §5.1.2.1: 2^24 × type preference + 2^8 × local preference + (256 − component). `localPreference`: 0–65,535,
 * unique among the candidates of one type; `component`: 1–256.
 */
export function icePriority(
  type: IceCandidateType,
  localPreference: number = iceLocalPreferenceMax,
  component = 1,
): number {
  assert(Number.isInteger(localPreference) && localPreference >= 0 && localPreference <= 0xffff, 'local preference')
  assert(Number.isInteger(component) && component >= 1 && component <= 256, 'component')
  return 2 ** 24 * iceTypePreferences[type] + 2 ** 8 * localPreference + (256 - component)
}

/**
 * RFC 8445 §6.1.2.3: 2^32 × MIN(G, D) + 2 × MAX(G, D) + (G > D ? 1 : 0). `controlling` (G), `controlled` (D): priorities
 * of the candidates of the two agents. A number of 64 bits.
 */
export function icePairPriority(controlling: number, controlled: number): bigint {
  const [g, d] = [BigInt(controlling), BigInt(controlled)]
  const [low, high] = g < d ? [g, d] : [d, g]
  return (1n << 32n) * low + 2n * high + (g > d ? 1n : 0n)
}

/** What makes two candidates similar (RFC 8445 §5.1.1.3). */
export interface FoundationFacts {
  readonly type: IceCandidateType
  /** IP address of the base, without its port. */
  readonly baseHost: string
  /** IP address of the STUN or TURN server, for candidates got from one. */
  readonly serverHost?: string
  readonly protocol: 'udp' | 'tcp'
}

/**
 * Gives foundations within one gathering: equal ones for equal type, base address, server address and protocol, others
 * for all else (RFC 8445 §5.1.1.3). Small numbers, which are valid `foundation` texts (RFC 8839 §5.1).
 */
export function createIceFoundations(): (facts: FoundationFacts) => string {
  const known = new Map<string, string>()
  return ({ type, baseHost, serverHost = '', protocol }) => {
    const key = JSON.stringify([type, baseHost, serverHost, protocol])
    const foundation = known.get(key) ?? String(known.size + 1)
    known.set(key, foundation)
    return foundation
  }
}

/** A candidate as it was gathered. */
export interface GatheredCandidate {
  readonly type: ConnectivityCandidate['type']
  readonly endpoint: Endpoint
  /** Own endpoint that it was gathered from. */
  readonly base: Endpoint
  readonly serverHost?: string
  /** How the relay or server was reached. */
  readonly protocol?: 'udp' | 'tcp'
}

/**
 * Row D11: candidates by descending priority, of equal endpoint and base only the best (RFC 8445 §5.1.3). Local
 * preferences fall in the order in which the bases are first named.
 */
export function rankCandidates(gathered: readonly GatheredCandidate[]): ConnectivityCandidate[] {
  const foundationOf = createIceFoundations()
  const bases = new Map<string, number>()
  const best = new Map<string, ConnectivityCandidate>()
  for (const { type, endpoint, base, serverHost, protocol = 'udp' } of gathered) {
    const order = bases.get(base.host) ?? bases.size
    bases.set(base.host, order)
    const candidate: ConnectivityCandidate = {
      type,
      endpoint,
      priority: icePriority(type, Math.max(0, iceLocalPreferenceMax - order)),
      foundation: foundationOf({
        type,
        baseHost: base.host,
        protocol,
        ...(serverHost === undefined ? {} : { serverHost }),
      }),
      ...(type === 'host' ? {} : { relatedEndpoint: base }),
    }
    const key = JSON.stringify([endpoint.host, endpoint.port, base.host])
    const known = best.get(key)
    if (known === undefined || known.priority < candidate.priority) best.set(key, candidate)
  }
  return [...best.values()].sort((a, b) => b.priority - a.priority)
}
