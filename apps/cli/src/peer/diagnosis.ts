import type { PeerId } from '@miaou/core'
import type { Connectivity, NetworkInfo, OverlayInfo, PortMapping } from '@miaou/host-node'
import type {
  Connectivity as ConnectivityShape,
  DiagnosisPart,
  Diagnostic,
  DiagnosticCode,
  Mailbox,
  Relay,
} from '@miaou/sdk'
import { createText } from '@miaou/text'
import type { PeerHandle } from '../peer-handle.ts'
import { shortId } from '../terminal/format.ts'
import { pause } from '../terminal/progress.ts'
import { explainPath, isLinked, type PathReason } from './path-reasons.ts'
import { reachInfo } from './reach-operations.ts'

type Facts = Diagnostic['facts']
type Extras = Omit<Diagnostic, 'name' | 'state' | 'code' | 'facts' | 'detail' | 'advice'>

/** The words of the API are English; others follow from code and facts. */
const english = createText('en')
/** How long the diagnosis waits for a node that is just joining, and relays just dialled, ms: a few round trips and timeouts (guess). */
const joiningMs = 5_000
const joiningStepMs = 50
/** A peer that is younger may not have named its relays and mailboxes yet, ms (guess: far above what reading them takes). */
const startingMs = 1_000
/** A relay's clock further away than this is worth a word, ms (guess: far above what a network adds). */
const clockOffsetMsMax = 60_000

/** Rows I16, D11: what works, what does not, why, and what to do. `peerId`: the path to this one instead of to each. */
export async function diagnose(
  peer: PeerHandle,
  part?: DiagnosisPart,
  peerId?: PeerId,
): Promise<readonly Diagnostic[]> {
  const parts: Readonly<Record<DiagnosisPart, () => Promise<readonly Diagnostic[]>>> = {
    home: () => checkHome(peer),
    reach: () => checkReach(peer),
    bandwidth: () => checkBandwidth(peer),
    paths: () => checkPaths(peer, peerId),
  }
  if (part !== undefined) return parts[part]()
  const checks: Diagnostic[] = []
  for (const check of [parts.home, parts.reach, parts.bandwidth, parts.paths]) checks.push(...(await check()))
  return checks
}

function found(
  name: Diagnostic['name'],
  state: Diagnostic['state'],
  code: DiagnosticCode,
  facts: Facts = {},
  extras: Extras = {},
): Diagnostic {
  const advice = english.advice(code, facts)
  const detail = english.finding(code, facts)
  return { name, state, code, facts, detail, ...(advice === undefined ? {} : { advice }), ...extras }
}

function timed(ms: number | undefined): Extras {
  return ms === undefined ? {} : { ms }
}

/** What the host says of servers is asked for elsewhere. */
const ofHome: ReadonlySet<string> = new Set(['store', 'keys', 'clock', 'websocket', 'mdns', 'webrtc'])

async function checkHome(peer: PeerHandle): Promise<readonly Diagnostic[]> {
  const { isDiagnosticCode } = await import('@miaou/sdk')
  const checks = (await peer.network.diagnostics()).filter(({ name }) => ofHome.has(name))
  return checks.map(({ name, state, ms, code = '', facts = {}, detail = '' }) =>
    isDiagnosticCode(code)
      ? found(name, state, code, facts, timed(ms))
      : found(name, state, 'noted', { detail }, timed(ms)),
  )
}

async function checkReach(peer: PeerHandle): Promise<readonly Diagnostic[]> {
  // What relays offer is among the servers that are asked.
  await settleServices(peer)
  const [connectivity, overlay] = await Promise.all([peer.network.connectivity(), checkOverlay(peer)])
  const info = peer.network.info()
  const { relays, mailboxes, relayOnly, serving } = await reachInfo(info)
  const { relay, mailbox } = serving ?? {}
  return [
    ...checkNames(connectivity),
    ...(await checkServers(connectivity)),
    await checkNat(info, connectivity),
    checkMapping(info.portMapping),
    ...checkRelays(relays, relayOnly),
    ...relays.flatMap(checkClock),
    ...checkMailboxes(mailboxes),
    ...(relay === undefined
      ? []
      : [
          found('serving', 'ok', 'serving-relay', {
            relay: relay.address,
            count: relay.reservations,
            circuits: relay.circuits,
          }),
        ]),
    ...(mailbox === undefined
      ? []
      : [
          found('serving', 'ok', 'serving-mailbox', {
            mailbox: mailbox.address,
            count: mailbox.envelopes,
            boxes: mailbox.boxes,
          }),
        ]),
    overlay,
  ]
}

/** Relays and mailboxes: the latter are linked through the former. */
async function settleServices({ network }: PeerHandle): Promise<void> {
  const isTrying = () =>
    network.info().uptimeMs < startingMs ||
    [...network.relays(), ...network.mailboxes()].some(({ state }) => state === 'connecting' || state === 'connected')
  for (let waitedMs = 0; isTrying() && waitedMs < joiningMs; waitedMs += joiningStepMs) await pause(joiningStepMs)
}

function checkNames(connectivity: Connectivity): readonly Diagnostic[] {
  const names = connectivity.names ?? []
  if (names.length === 0) return [found('dns', 'not-configured', 'dns-unused')]
  return names.map(({ name, state, ms, address = '?', detail = '?' }) =>
    state === 'ok'
      ? found('dns', 'ok', 'dns-resolves', { server: name, address }, { ms })
      : found('dns', 'failed', 'dns-failed', { server: name, detail }, { ms }),
  )
}

async function checkServers(connectivity: Connectivity): Promise<readonly Diagnostic[]> {
  const { formatEndpoint } = await import('@miaou/host-node/overlay')
  const servers = connectivity.report?.servers ?? []
  const isTurn = ({ url }: { readonly url: string }) => url.startsWith('turn')
  const stun = servers.filter((server) => !isTurn(server))
  const turn = servers.filter(isTurn)
  return [
    ...(stun.length === 0 ? [found('stun', 'not-configured', 'stun-none')] : []),
    ...stun.map(({ url, state, ms, mapped, detail = '?' }) =>
      state === 'ok'
        ? found(
            'stun',
            'ok',
            'stun-answers',
            { server: url, address: mapped ? formatEndpoint(mapped) : '?' },
            timed(ms),
          )
        : found('stun', 'failed', 'stun-failed', { server: url, detail }, timed(ms)),
    ),
    ...(turn.length === 0 ? [found('turn', 'not-configured', 'turn-none')] : []),
    ...turn.map(({ url, state, ms, detail = '?' }) =>
      state === 'ok'
        ? found('turn', 'ok', 'turn-allocates', { server: url }, timed(ms))
        : found('turn', 'failed', 'turn-failed', { server: url, detail }, timed(ms)),
    ),
  ]
}

async function checkNat(info: NetworkInfo, connectivity: Connectivity): Promise<Diagnostic> {
  const report = connectivity.report
  const natType = report?.natType ?? info.natType
  const isBad = natType === 'symmetric' || natType === 'blocked'
  const state = natType === 'unknown' ? 'not-configured' : isBad ? 'warning' : 'ok'
  if (report === undefined) return found('nat', state, natType === 'unknown' ? 'nat-unasked' : `nat-${natType}`)
  return found('nat', state, `nat-${natType}`, {}, { connectivity: await toConnectivity(report) })
}

async function toConnectivity(report: NonNullable<Connectivity['report']>): Promise<ConnectivityShape> {
  const { formatEndpoint } = await import('@miaou/host-node/overlay')
  const { candidates, servers, ...rest } = report
  return {
    ...rest,
    candidates: candidates.map(({ endpoint, relatedEndpoint, ...candidate }) => ({
      ...candidate,
      address: formatEndpoint(endpoint),
      ...(relatedEndpoint === undefined ? {} : { relatedAddress: formatEndpoint(relatedEndpoint) }),
    })),
    servers: servers.map(({ mapped, ...server }) => ({
      ...server,
      ...(mapped === undefined ? {} : { mapped: formatEndpoint(mapped) }),
    })),
  }
}

function checkMapping({ state, external = '?', protocol = 'pcp', error = '?' }: PortMapping): Diagnostic {
  switch (state) {
    case 'mapped':
      return found('port-mapping', 'ok', 'mapping-open', { address: external, protocol })
    case 'searching':
      return found('port-mapping', 'not-configured', 'mapping-searching')
    case 'none':
      return found('port-mapping', 'not-configured', 'mapping-none')
    case 'failed':
      return found('port-mapping', 'warning', 'mapping-failed', { detail: error })
    case 'off':
      return found('port-mapping', 'not-configured', 'mapping-off')
  }
}

function checkRelays(relays: readonly Relay[], relayOnly: boolean): readonly Diagnostic[] {
  const isAlone = relayOnly && !relays.some(({ state }) => state === 'reserved')
  if (relays.length === 0 && !isAlone) return [found('relay', 'not-configured', 'relay-none')]
  return [...relays.map(checkRelay), ...(isAlone ? [found('relay', 'failed', 'relay-none-only')] : [])]
}

function checkRelay({ relay, state, latencyMs, error: detail = '?' }: Relay): Diagnostic {
  switch (state) {
    case 'reserved':
      return found('relay', 'ok', 'relay-reserved', { relay }, timed(latencyMs))
    case 'connected':
    case 'connecting':
      return found('relay', 'warning', 'relay-connecting', { relay }, timed(latencyMs))
    case 'refused':
      return found('relay', 'failed', 'relay-refused', { relay, detail }, timed(latencyMs))
    case 'unreachable':
      return found('relay', 'failed', 'relay-unreachable', { relay, detail })
  }
}

function checkMailboxes(mailboxes: readonly Mailbox[]): readonly Diagnostic[] {
  return mailboxes.length === 0 ? [found('mailbox', 'not-configured', 'mailbox-none')] : mailboxes.map(checkMailbox)
}

function checkMailbox({ mailbox, state, stock, latencyMs, error: detail = '?' }: Mailbox): Diagnostic {
  switch (state) {
    case 'registered': {
      const { tokens = 0, waiting = 0 } = stock ?? {}
      return found('mailbox', 'ok', 'mailbox-registered', { mailbox, count: waiting, tokens }, timed(latencyMs))
    }
    case 'connected':
    case 'connecting':
      return found('mailbox', 'warning', 'mailbox-connecting', { mailbox }, timed(latencyMs))
    case 'refused':
      return found('mailbox', 'failed', 'mailbox-refused', { mailbox, detail }, timed(latencyMs))
    case 'unreachable':
      return found('mailbox', 'failed', 'mailbox-unreachable', { mailbox, detail })
  }
}

function checkClock({ relay, clockOffsetMs }: Relay): readonly Diagnostic[] {
  if (clockOffsetMs === undefined) return []
  const facts = { relay, offsetMs: Math.round(clockOffsetMs) }
  return Math.abs(clockOffsetMs) > clockOffsetMsMax
    ? [found('clock', 'warning', 'clock-off', facts)]
    : [found('clock', 'ok', 'clock-agrees', facts)]
}

/** A node that nobody gave a way in is no failure. */
async function checkOverlay(peer: PeerHandle): Promise<Diagnostic> {
  let info = peer.overlay.info()
  for (let waitedMs = 0; info.bootstrap.type === 'trying' && waitedMs < joiningMs; waitedMs += joiningStepMs) {
    await pause(joiningStepMs)
    info = peer.overlay.info()
  }
  return toOverlayCheck(info)
}

function toOverlayCheck({ state, bootstrap, contacts, endpoints }: OverlayInfo): Diagnostic {
  if (state.type === 'unavailable') return found('overlay', 'failed', 'overlay-unavailable', { detail: state.detail })
  if (state.type !== 'running') return found('overlay', 'not-configured', 'overlay-off')
  // A port is no quantity: its digits are not grouped.
  const port = String(endpoints[0]?.port ?? '?')
  switch (bootstrap.type) {
    case 'bootstrapped':
      return found('overlay', 'ok', 'overlay-joined', { port, count: contacts })
    case 'alone':
      return found('overlay', 'not-configured', 'overlay-alone', { port })
    case 'trying':
      return found('overlay', 'failed', 'overlay-joining', { port, count: bootstrap.asked })
    case 'failed':
      return found('overlay', 'failed', 'overlay-unjoined', { port, count: bootstrap.asked + bootstrap.unresolved })
  }
}

async function checkBandwidth({ network }: PeerHandle): Promise<readonly Diagnostic[]> {
  const { relays } = network.info()
  const measured = relays.find(({ state }) => state === 'reserved' || state === 'connected')
  if (measured === undefined) return [found('bandwidth', 'not-configured', 'bandwidth-unmeasured')]
  const relay = (await import('@miaou/host-node/overlay')).formatRelayAddress(measured.relay)
  const result = await network.measure(measured.relay)
  if (!result.ok) {
    const detail = result.error.type === 'stopped' ? english.error('stopped', {}).message : result.error.detail
    return [found('bandwidth', 'failed', 'bandwidth-failed', { relay, detail })]
  }
  const { latencyMs, downBytesPerSecond, upBytesPerSecond } = result.value
  const speed = { downMbps: toMbps(downBytesPerSecond), upMbps: toMbps(upBytesPerSecond) }
  const extras = { ms: latencyMs, bandwidth: { relay, latencyMs, ...speed } }
  return [found('bandwidth', 'ok', 'bandwidth-measured', { relay, ...speed }, extras)]
}

/** Megabits a second, two decimals. */
function toMbps(bytesPerSecond: number): number {
  return Math.round((bytesPerSecond * 8) / 10_000) / 100
}

async function checkPaths({ network }: PeerHandle, peerId: PeerId | undefined): Promise<readonly Diagnostic[]> {
  const { natType, relayOnly } = network.info()
  const views = network.peers().filter((view) => (peerId === undefined ? isLinked(view) : view.peerId === peerId))
  if (peerId !== undefined && views.length === 0) {
    const why = toWhy({ code: 'why-no-address', facts: {} })
    return [found('path', 'failed', 'path-none', { name: shortId(peerId) }, { peerId, why })]
  }
  return views.map((view) => {
    const name = view.name || shortId(view.peerId)
    const { state, code, facts, why } = explainPath(view, { natType, relayOnly, name })
    return found('path', state, code, facts, {
      peerId: view.peerId,
      ...timed(isLinked(view) ? view.latencyMs : undefined),
      ...(view.path === undefined ? {} : { path: view.path }),
      ...(why === undefined ? {} : { why: toWhy(why) }),
    })
  })
}

function toWhy({ code, facts, error }: NonNullable<PathReason['why']>): NonNullable<Diagnostic['why']> {
  const told = error === undefined ? facts : { ...facts, detail: english.error(error.type, error).message }
  const advice = english.advice(code, told)
  return {
    code,
    facts: told,
    detail: english.finding(code, told),
    ...(error === undefined ? {} : { error }),
    ...(advice === undefined ? {} : { advice }),
  }
}
