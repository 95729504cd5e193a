import { isIPv6 } from 'node:net'
import type { PipePath } from '@miaou/network'
import { endpointScope } from '@miaou/protocol'
import { addressGroup } from '../websocket/addresses.ts'

type Fields = Readonly<Record<string, unknown>>

/** A statistics report of W3C WebRTC: a map, or anything that is walked like one. */
export interface StatsReport {
  forEach(visit: (entry: unknown) => void): void
}

/** Longest text of a path, for whatever a library may say. */
const textLengthMax = 128

/**
 * How a connection goes, from a statistics report; undefined while no pair of candidates is in use. `lan` where both
 * addresses are seen to be of one network, or the other end's is hidden by the library and it sees our private one.
 */
export function pathOf(report: StatsReport): PipePath | undefined {
  const pair = selectedPair(report)
  if (pair === undefined) return undefined
  const { local, remote } = pair
  const isRelayed = local['candidateType'] === 'relay' || remote?.['candidateType'] === 'relay'
  const via = local['candidateType'] === 'relay' ? textOf(local['url']) : undefined
  const localCandidate = candidateText(local)
  const remoteCandidate = remote === undefined ? undefined : candidateText(remote)
  return {
    kind: isRelayed ? 'relayed' : isLan(local, remote) ? 'lan' : 'direct',
    ...(via === undefined ? {} : { via }),
    ...(localCandidate === undefined ? {} : { localCandidate }),
    ...(remoteCandidate === undefined ? {} : { remoteCandidate }),
  }
}

export function isSamePath(a: PipePath | undefined, b: PipePath | undefined): boolean {
  return (
    a?.kind === b?.kind &&
    a?.via === b?.via &&
    a?.localCandidate === b?.localCandidate &&
    a?.remoteCandidate === b?.remoteCandidate
  )
}

/** Address of the other end of the selected pair; undefined where the library hides it. */
export function remoteAddressOf(report: StatsReport): string | undefined {
  const remote = selectedPair(report)?.remote
  const address = addressOf(remote)
  return address === undefined ? undefined : `${bracketed(address)}:${remote?.['port']}`
}

function selectedPair(
  report: StatsReport,
): { readonly local: Fields; readonly remote: Fields | undefined } | undefined {
  const entries = new Map<string, Fields>()
  report.forEach((entry) => {
    if (typeof entry !== 'object' || entry === null) return
    const fields = entry as Fields
    if (typeof fields['id'] === 'string') entries.set(fields['id'], fields)
  })
  const all = [...entries.values()]
  const transport = all.find((entry) => entry['type'] === 'transport')
  const pair =
    entries.get(String(transport?.['selectedCandidatePairId'])) ??
    all.find((entry) => entry['type'] === 'candidate-pair' && entry['nominated'] === true)
  const local = entries.get(String(pair?.['localCandidateId']))
  return local === undefined ? undefined : { local, remote: entries.get(String(pair?.['remoteCandidateId'])) }
}

/** `relay tcp 203.0.113.11:50000`: with the protocol that a relay is reached by, `tls` included. */
function candidateText(candidate: Fields): string | undefined {
  const { candidateType, protocol, relayProtocol, port } = candidate
  if (typeof candidateType !== 'string') return undefined
  const address = addressOf(candidate)
  const place = address === undefined ? 'unknown' : `${bracketed(address)}:${port}`
  return textOf(`${candidateType} ${relayProtocol ?? protocol} ${place}`)
}

function addressOf(candidate: Fields | undefined): string | undefined {
  const address = candidate?.['address'] ?? candidate?.['ip']
  return typeof address === 'string' && address !== '' ? address : undefined
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value.slice(0, textLengthMax) : undefined
}

function bracketed(address: string): string {
  return address.includes(':') ? `[${address}]` : address
}

function isLan(local: Fields, remote: Fields | undefined): boolean {
  const [ours, theirs] = [addressOf(local), addressOf(remote)]
  if (ours === undefined || theirs !== undefined) return isOneNetwork(ours, theirs)
  // A candidate stays `host` only while the other end's answers name its very address: no NAT stands between (RFC 8445
  // §7.2.5.3.1), and a private address means one network.
  const scope = endpointScope({ host: ours, port: 1 })
  return local['candidateType'] === 'host' && (scope === 'private' || scope === 'loopback')
}

/** Whether two addresses are reached without leaving one network: both private, or of one IPv6 /64, or the same. */
function isOneNetwork(a: string | undefined, b: string | undefined): boolean {
  // Where one is hidden, only loopback tells of the other.
  if (a === undefined || b === undefined) return endpointScope({ host: a ?? b ?? '', port: 1 }) === 'loopback'
  if (a === b) return true
  const scopes = [a, b].map((host) => endpointScope({ host, port: 1 }))
  if (scopes.every((scope) => scope === 'private' || scope === 'loopback')) return true
  return isIPv6(a) && isIPv6(b) && addressGroup(a) === addressGroup(b)
}
