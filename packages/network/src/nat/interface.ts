import type { Endpoint } from '@miaou/protocol'

/** Row D13. `unknown`: too few servers answered to tell. `blocked`: no UDP server answers at all. */
export type NatType = 'none' | 'full-cone' | 'restricted-cone' | 'port-restricted' | 'symmetric' | 'blocked' | 'unknown'

/** Row D14, as RFC 8445 has it. */
export interface ConnectivityCandidate {
  readonly type: 'host' | 'server-reflexive' | 'relayed'
  readonly endpoint: Endpoint
  /** RFC 8445 §5.1.2.1. */
  readonly priority: number
  /** RFC 8445 §5.1.1.3: equal for equal type, base, server and protocol. */
  readonly foundation: string
  readonly relatedEndpoint?: Endpoint
}

/** One server that was asked (row D15: an unreachable one is reported and skipped). */
export interface ServerReport {
  readonly url: string
  readonly state: 'ok' | 'failed'
  readonly ms?: number
  readonly mapped?: Endpoint
  readonly detail?: string
}

/** Row D11. */
export interface ConnectivityReport {
  readonly natType: NatType
  /** RFC 5780: how the NAT maps and filters, where enough servers answered. */
  readonly mapping: 'none' | 'endpoint-independent' | 'address-dependent' | 'address-and-port-dependent' | 'unknown'
  readonly filtering: 'none' | 'endpoint-independent' | 'address-dependent' | 'address-and-port-dependent' | 'unknown'
  /** Sorted by descending priority. */
  readonly candidates: readonly ConnectivityCandidate[]
  readonly optimalTransport: 'direct' | 'hole-punching' | 'relay'
  readonly servers: readonly ServerReport[]
}
