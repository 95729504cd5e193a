import type { NameLookup } from '../websocket/dial-scope.ts'

export interface LookupLimits {
  /** Names resolved at a time. */
  readonly lookupsMax: number
  /** How long a name may wait for its turn, ms: who asked has given up by then. */
  readonly lookupMs: number
  /** Names that wait. */
  readonly waitingMax: number
}

/** Spec/relay-service R64. */
export const defaultLookupLimits: LookupLimits = {
  // Own choice: half of the threads that Node.js has for names and files.
  lookupsMax: 2,
  // `RelayLimits.serviceDialMs`.
  lookupMs: 5_000,
  // `RelayLimits.serviceDialsMax`.
  waitingMax: 64,
}

interface Waiting {
  readonly arguments: Parameters<NameLookup>
  readonly since: number
}

/**
 * Resolves names that strangers write, few at a time: the system's resolver takes a thread of the pool for each, for as
 * long as the name server of that stranger likes, and files are read in the same pool. `now`: monotonic ms.
 */
export function boundedLookup(
  lookup: NameLookup,
  limits: LookupLimits = defaultLookupLimits,
  now: () => number = () => performance.now(),
): NameLookup {
  let running = 0
  const waiting: Waiting[] = []

  const run = (...[host, options, callback]: Parameters<NameLookup>): void => {
    running += 1
    lookup(host, options, (error, addresses) => {
      running -= 1
      callback(error, addresses)
      next()
    })
  }

  const next = (): void => {
    while (running < limits.lookupsMax) {
      const first = waiting.shift()
      if (first === undefined) return
      if (now() - first.since < limits.lookupMs) run(...first.arguments)
      else refuse(first.arguments)
    }
  }

  return (...asked) => {
    if (running < limits.lookupsMax) run(...asked)
    else if (waiting.length < limits.waitingMax) waiting.push({ arguments: asked, since: now() })
    else refuse(asked)
  }
}

function refuse([host, , callback]: Parameters<NameLookup>): void {
  // As a resolver would: never before the call has returned.
  queueMicrotask(() => callback(new Error(`too many names are being resolved to look for ${host}`), []))
}
