import type { DiagnosticCode, LinkFailure, NatType, Path, PeerView } from '@miaou/sdk'

type Facts = Readonly<Record<string, string | number>>

/** What there is to say of the way to one peer. */
export interface PathReason {
  readonly state: 'ok' | 'warning' | 'failed'
  readonly code: Extract<DiagnosticCode, `path-${string}`>
  readonly facts: Facts
  /** Why it is not a better one; absent where it is the best there is. */
  readonly why?: {
    readonly code: Extract<DiagnosticCode, `why-${string}`>
    readonly facts: Facts
    readonly error?: LinkFailure
  }
}

export interface PathSurroundings {
  /** What the own router does. */
  readonly natType: NatType
  readonly relayOnly: boolean
  /** For people. */
  readonly name: string
}

/** The path to a peer in codes. `name` is a fact of each; what failed is told as it was, in words of the link. */
export function explainPath(view: PeerView, surroundings: PathSurroundings): PathReason {
  const { name, relayOnly } = surroundings
  if (!isLinked(view)) return { state: 'failed', code: 'path-none', facts: { name }, ...whyNotLinked(view) }
  const carrier = relayOf(view)
  if (carrier === undefined) return { state: 'ok', code: straightCode(view), facts: { name }, ...whySuspect(view) }
  const code = view.transport === 'circuit' ? 'path-relay' : 'path-turn'
  // Who wants no other path has the best one.
  const state = relayOnly ? 'ok' : 'warning'
  return { state, code, facts: { name, via: carrier }, why: whyRelayed(view, surroundings) }
}

export function isLinked({ state }: Pick<PeerView, 'state'>): boolean {
  return state === 'connected' || state === 'upgrading'
}

/** Who carries a link, `?` where it is not known; undefined where nobody does. */
export function relayOf({ transport, path }: Pick<PeerView, 'transport' | 'path'>): string | undefined {
  if (transport === 'circuit' || path?.kind === 'relayed') return path?.via ?? '?'
  return undefined
}

function straightCode({ transport, path }: PeerView): PathReason['code'] {
  const kinds: Readonly<Record<Path['kind'], PathReason['code']>> = {
    lan: 'path-lan',
    direct: 'path-direct',
    relayed: 'path-turn',
  }
  if (path !== undefined) return kinds[path.kind]
  return transport === 'websocket' ? 'path-websocket' : 'path-unknown'
}

type Why = Pick<PathReason, 'why'>

function whySuspect({ isSuspect = false }: PeerView): Why {
  return isSuspect ? { why: { code: 'why-suspect', facts: {} } } : {}
}

function whyNotLinked({ error, addresses }: PeerView): Why {
  if (error !== undefined && error.type !== 'no-address') {
    return { why: { code: 'why-unreachable', facts: {}, error } }
  }
  return addresses.length === 0 ? { why: { code: 'why-no-address', facts: {} } } : {}
}

function whyRelayed(
  { isSuspect = false, whyNotBetter }: PeerView,
  { natType, relayOnly }: PathSurroundings,
): NonNullable<PathReason['why']> {
  if (relayOnly) return { code: 'why-relay-only', facts: {} }
  if (isSuspect) return { code: 'why-suspect', facts: {} }
  if (natType === 'blocked') return { code: 'why-own-blocked', facts: {} }
  const { failures = 0, error } = whyNotBetter ?? {}
  if (failures === 0) return { code: 'why-trying', facts: {} }
  // RFC 5780 §3: what these two cannot do is the likely reason; the attempt itself only says that nobody answered.
  if (natType === 'symmetric') return { code: 'why-own-symmetric', facts: { count: failures } }
  if (natType === 'port-restricted') return { code: 'why-both-nats', facts: { count: failures } }
  return { code: 'why-failed', facts: { count: failures }, ...(error === undefined ? {} : { error }) }
}
