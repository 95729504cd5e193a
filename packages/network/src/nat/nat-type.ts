import type { ConnectivityReport, NatType } from './interface.ts'

type Mapping = ConnectivityReport['mapping']
type Filtering = ConnectivityReport['filtering']

/**
 * Rows D12 and D13: the names of RFC 3489 for what RFC 5780 measures. An unknown filtering counts as the strictest: who
 * believes to be less reachable than he is only tries harder. `blocked` is not told here.
 */
export function natTypeOf(mapping: Mapping, filtering: Filtering): NatType {
  switch (mapping) {
    case 'none':
      return 'none'
    case 'endpoint-independent':
      if (filtering === 'none' || filtering === 'endpoint-independent') return 'full-cone'
      return filtering === 'address-dependent' ? 'restricted-cone' : 'port-restricted'
    case 'address-dependent':
    case 'address-and-port-dependent':
      return 'symmetric'
    case 'unknown':
      return 'unknown'
  }
}

/** Row D13: whether a relay is needed to be reached by everybody. */
export function requiresRelay(nat: NatType): boolean {
  return nat === 'symmetric' || nat === 'blocked'
}

/**
 * Whether UDP between two peers behind these NATs can go straight once both send (RFC 5128 §3.3). Unknown ones are worth
 * a try.
 */
export function natPairIsDirect(a: NatType, b: NatType): boolean {
  if (a === 'blocked' || b === 'blocked') return false
  const isHard = (one: NatType, other: NatType) =>
    one === 'symmetric' && (other === 'symmetric' || other === 'port-restricted')
  return !isHard(a, b) && !isHard(b, a)
}

/** Row D11: what carries a connection best from behind this NAT. */
export function optimalTransport(nat: NatType): ConnectivityReport['optimalTransport'] {
  if (requiresRelay(nat)) return 'relay'
  return nat === 'none' || nat === 'full-cone' ? 'direct' : 'hole-punching'
}
