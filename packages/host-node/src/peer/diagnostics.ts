import { connect } from 'node:net'
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
  /** STUN and TURN servers in use: configured ones, and those that relays offer. */
  readonly iceServersCount: number
  /** Nobody is to reach this peer directly. */
  readonly relayOnly: boolean
}

/** Row I16: what this machine has, without asking anybody else. The words for each code are those of `packages/text`. */
export async function runDiagnostics(facts: DiagnosticFacts): Promise<DiagnosticCheck[]> {
  return [
    checkStore(facts.store),
    checkKeys(facts.keyring),
    checkClock(),
    await checkWebSocket(facts),
    checkMdns(facts),
    checkWebRtc(facts),
  ]
}

function checkStore(store: SqliteStore): DiagnosticCheck {
  const startedAt = performance.now()
  const complaint = store.findDamage()
  const ms = performance.now() - startedAt
  return complaint === undefined
    ? { name: 'store', state: 'ok', ms, code: 'store-sound' }
    : { name: 'store', state: 'failed', ms, code: 'store-damaged', facts: { detail: complaint } }
}

/** Every entry of the key store is opened; those of one's own keys can be damaged without the home being so. */
function checkKeys(keyring: DiagnosticFacts['keyring']): DiagnosticCheck {
  const problems = keyring.problems()
  const count = keyring.list().length
  if (problems.length === 0) return { name: 'keys', state: 'ok', code: 'keys-open', facts: { count } }
  const reasons = problems.map((problem) =>
    problem.type === 'damaged'
      ? `${problem.what} is damaged`
      : `${problem.what} is of a later Miaou (${problem.version})`,
  )
  const [first = ''] = reasons
  const others = reasons.length > 1 ? ` and ${reasons.length - 1} more` : ''
  return { name: 'keys', state: 'failed', code: 'keys-damaged', facts: { detail: `${first}${others}`, count } }
}

/** Miaou's first release: a clock before it is wrong for sure. */
const wallMin = Date.UTC(2026, 0, 1)

function checkClock(): DiagnosticCheck {
  const { wall } = systemClock.now()
  const facts = { time: new Date(wall).toISOString() }
  return wall < wallMin
    ? { name: 'clock', state: 'failed', code: 'clock-past', facts }
    : { name: 'clock', state: 'ok', code: 'clock-plausible', facts }
}

const probeTimeoutMs = 3_000

/** Whether our own listener answers: it takes a connection. */
async function checkWebSocket({ addresses, relayOnly }: DiagnosticFacts): Promise<DiagnosticCheck> {
  const [address] = addresses
  if (address === undefined) {
    return { name: 'websocket', state: relayOnly ? 'not-configured' : 'failed', code: 'listener-none' }
  }
  const startedAt = performance.now()
  try {
    const detail = await connectionFailure(new URL(address))
    if (detail !== undefined) throw new Error(detail)
    const ms = performance.now() - startedAt
    return { name: 'websocket', state: 'ok', ms, code: 'listener-answers', facts: { address } }
  } catch (error) {
    const detail = error instanceof Error ? error.message : 'unknown'
    return { name: 'websocket', state: 'failed', code: 'listener-silent', facts: { address, detail } }
  }
}

/** Undefined when something takes connections there: a certificate need not name this address, so HTTP is not spoken. */
function connectionFailure({ hostname, port, protocol }: URL): Promise<string | undefined> {
  return new Promise((resolve) => {
    const host = hostname.replace(/^\[|\]$/g, '')
    const socket = connect({ host, port: Number(port) || (protocol === 'wss:' ? 443 : 80), timeout: probeTimeoutMs })
    const settle = (detail: string | undefined): void => {
      socket.destroy()
      resolve(detail)
    }
    socket.once('connect', () => settle(undefined))
    socket.once('timeout', () => settle(`no answer within ${probeTimeoutMs} ms`))
    socket.once('error', ({ message }) => settle(message))
  })
}

function checkMdns({ discovery, relayOnly }: DiagnosticFacts): DiagnosticCheck {
  if (discovery.error !== undefined) {
    return { name: 'mdns', state: 'failed', code: 'mdns-failed', facts: { detail: discovery.error } }
  }
  const facts = { discoverable: discovery.discoverable, count: discovery.seen }
  return { name: 'mdns', state: relayOnly ? 'not-configured' : 'ok', code: 'mdns-runs', facts }
}

function checkWebRtc({ webrtc, iceServersCount }: DiagnosticFacts): DiagnosticCheck {
  return { name: 'webrtc', state: 'ok', code: 'webrtc-ready', facts: { library: webrtc, count: iceServersCount } }
}
