import { performance } from 'node:perf_hooks'
import type { Keyring } from '@miaou/keyring'
import type { SqliteStore } from '../store/sqlite-store.ts'
import type { WebRtcLibrary } from './adapters.ts'
import type { DiagnosticCheck } from './handle.ts'
import { systemClock } from './system.ts'

export interface DiagnosticFacts {
  readonly store: SqliteStore
  readonly keyring: Pick<Keyring, 'list' | 'problems'>
  readonly addresses: readonly string[]
  readonly webrtc: WebRtcLibrary
  readonly discovery: {
    readonly error: string | undefined
    readonly method: string
    readonly seen: number
    readonly discoverable: 'everyone' | 'contacts' | 'off'
  }
  readonly iceServersCount: number
}

/** Row I16, with what this version has: each check says what it saw. STUN, TURN and DNS are used only when configured. */
export async function runDiagnostics(facts: DiagnosticFacts): Promise<DiagnosticCheck[]> {
  return [
    checkStore(facts.store),
    checkKeys(facts.keyring),
    checkClock(),
    await checkWebSocket(facts),
    checkMdns(facts),
    checkWebRtc(facts),
    ...(['stun', 'turn', 'dns'] as const).map((name) => ({
      name,
      state: 'not-configured' as const,
      detail: 'no server is configured and none is contacted by default',
    })),
  ]
}

function checkStore(store: SqliteStore): DiagnosticCheck {
  const startedAt = performance.now()
  const complaint = store.findDamage()
  return {
    name: 'store',
    state: complaint === undefined ? 'ok' : 'failed',
    ms: performance.now() - startedAt,
    detail: complaint ?? 'every page of the database was read and is sound',
  }
}

/** Every entry of the key store is opened; those of one's own keys can be damaged without the home being so. */
function checkKeys(keyring: DiagnosticFacts['keyring']): DiagnosticCheck {
  const problems = keyring.problems()
  const count = keyring.list().length
  if (problems.length === 0) return { name: 'keys', state: 'ok', detail: `keys of the home that open: ${count}` }
  const reasons = problems.map((problem) =>
    problem.type === 'damaged'
      ? `${problem.what} is damaged`
      : `${problem.what} is of a later Miaou (${problem.version})`,
  )
  const [first = ''] = reasons
  const others = reasons.length > 1 ? ` and ${reasons.length - 1} more` : ''
  return { name: 'keys', state: 'failed', detail: `${first}${others}; keys that open: ${count}` }
}

/** Miaou's first release: a clock before it is wrong for sure. */
const wallMin = Date.UTC(2026, 0, 1)

function checkClock(): DiagnosticCheck {
  const { wall } = systemClock.now()
  const text = new Date(wall).toISOString()
  return wall < wallMin
    ? { name: 'clock', state: 'failed', detail: `${text} is in the past: messages would be refused as too old` }
    : { name: 'clock', state: 'ok', detail: text }
}

const probeTimeoutMs = 3_000

/** Whether our own listener answers: a plain HTTP request gets its short refusal, which is answer enough. */
async function checkWebSocket({ addresses }: DiagnosticFacts): Promise<DiagnosticCheck> {
  const [address] = addresses
  if (address === undefined) return { name: 'websocket', state: 'failed', detail: 'this peer does not listen' }
  const startedAt = performance.now()
  try {
    await fetch(address.replace(/^ws/, 'http'), { signal: AbortSignal.timeout(probeTimeoutMs) })
    return { name: 'websocket', state: 'ok', ms: performance.now() - startedAt, detail: `answers at ${address}` }
  } catch (error) {
    const reason = error instanceof Error ? error.message : 'unknown'
    return { name: 'websocket', state: 'failed', detail: `does not answer at ${address}: ${reason}` }
  }
}

function checkMdns({ discovery }: DiagnosticFacts): DiagnosticCheck {
  if (discovery.error !== undefined) return { name: 'mdns', state: 'failed', detail: discovery.error }
  const detail = `discoverable by: ${discovery.discoverable}; peers seen: ${discovery.seen}`
  return { name: 'mdns', state: 'ok', detail }
}

function checkWebRtc({ webrtc, iceServersCount }: DiagnosticFacts): DiagnosticCheck {
  return { name: 'webrtc', state: 'ok', detail: `${webrtc}; ICE servers configured: ${iceServersCount}` }
}
