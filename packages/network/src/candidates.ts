import type { IceCandidate } from './ports.ts'

/** Where an address leads, as far as it tells by itself. */
type AddressScope = 'public' | 'private' | 'link-local' | 'loopback' | 'local-name' | 'unusable'

/** The parts of a candidate line (RFC 8839 §5.1) by which it is judged. */
export interface CandidateFacts {
  readonly type: 'host' | 'srflx' | 'prflx' | 'relay'
  readonly protocol: 'udp' | 'tcp'
  /** In lower case, as written. */
  readonly address: string
  readonly port: number
  readonly scope: AddressScope
}

const candidatePattern =
  /^candidate:[\w+/]{1,32} [1-9]\d{0,2} (udp|tcp) \d{1,10} ([\w.:-]{1,253}) (\d{1,5}) typ (host|srflx|prflx|relay)(?: |$)/i

/** What a candidate line says, without `a=`; undefined when it is none. */
export function parseCandidate(line: string): CandidateFacts | undefined {
  const [, protocolText = '', addressText = '', portText = '', typeText = ''] = candidatePattern.exec(line) ?? []
  const type = (['host', 'srflx', 'prflx', 'relay'] as const).find((known) => known === typeText.toLowerCase())
  const port = Number(portText)
  if (type === undefined || port > 65_535) return undefined
  const protocol = protocolText.toLowerCase() === 'udp' ? 'udp' : 'tcp'
  const address = addressText.toLowerCase()
  return { type, protocol, address, port, scope: addressScope(address) }
}

/** Where an address or a name leads. A name is looked up by whoever uses it, so only those that stay on the LAN pass. */
export function addressScope(address: string): AddressScope {
  if (/^[\d.]+$/.test(address)) return ipv4Scope(address)
  if (address.includes(':')) {
    const words = ipv6Words(address)
    return words === undefined ? 'unusable' : ipv6Scope(words)
  }
  return /^[\w-]{1,63}\.local$/i.test(address) ? 'local-name' : 'unusable'
}

function ipv4Scope(text: string): AddressScope {
  const parts = text.split('.').map((part) => (/^\d{1,3}$/.test(part) ? Number(part) : 256))
  const [a = 256, b = 256] = parts
  if (parts.length !== 4 || parts.some((part) => part > 255) || a === 0 || a >= 224) return 'unusable'
  if (a === 127) return 'loopback'
  if (a === 169 && b === 254) return 'link-local'
  const isShared = a === 100 && b >= 64 && b < 128
  const isPrivate = a === 10 || (a === 172 && b >= 16 && b < 32) || (a === 192 && b === 168) || isShared
  return isPrivate ? 'private' : 'public'
}

function ipv6Scope(words: readonly number[]): AddressScope {
  const [first = 0] = words
  const head = words.slice(0, 6)
  const isEmbedded =
    head.every((word, i) => word === (i === 5 ? 0xffff : 0)) ||
    head.every((word, i) => word === (i === 0 ? 0x64 : i === 1 ? 0xff9b : 0))
  // An IPv4 address in the clothes of IPv6 (mapped, or behind the well-known prefix of NAT64) leads where that leads.
  if (isEmbedded) {
    const bytes = words.slice(6).flatMap((word) => [word >> 8, word & 0xff])
    return ipv4Scope(bytes.join('.'))
  }
  if (words.every((word, i) => word === (i === 7 ? 1 : 0))) return 'loopback'
  // The unspecified address, the rest of the first block (old forms of IPv4 in IPv6), and multicast.
  if (first === 0 || first >= 0xff00) return 'unusable'
  if ((first & 0xffc0) === 0xfe80) return 'link-local'
  const isPrivate = (first & 0xfe00) === 0xfc00 || (first & 0xffc0) === 0xfec0
  return isPrivate ? 'private' : 'public'
}

/** The eight words of an IPv6 address (RFC 4291 §2.2), or undefined. */
function ipv6Words(text: string): readonly number[] | undefined {
  const dotted = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(text)
  let plain = text
  if (dotted !== null) {
    const bytes = dotted.slice(2).map(Number)
    if (bytes.some((byte) => byte > 255)) return undefined
    const [a = 0, b = 0, c = 0, d = 0] = bytes
    plain = `${dotted[1]}${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`
  }
  const halves = plain.split('::')
  if (halves.length > 2) return undefined
  const [head = [], tail = []] = halves.map((half) => (half === '' ? [] : half.split(':')))
  const missing = 8 - head.length - tail.length
  if (halves.length === 2 ? missing < 1 : missing !== 0) return undefined
  const words = [...head, ...Array.from({ length: missing }, () => '0'), ...tail]
  return words.every((word) => /^[\da-f]{1,4}$/i.test(word))
    ? words.map((word) => Number.parseInt(word, 16))
    : undefined
}

/** Where a host leads that we have dialled, or that has: here a name is one that was looked up already. */
export function placeScope(host: string): AddressScope {
  return host === 'localhost' ? 'loopback' : addressScope(host)
}

/** The host of an address as pipes write it: `ws://host:port/…`, `host:port`, `[v6]:port`. */
export function hostOfAddress(address: string): string | undefined {
  const match = /^(?:[a-z]+:\/\/)?(?:\[([\da-f:.]+)\]|([\w.-]+))(?::\d+)?(?:[/?#]|$)/i.exec(address)
  return (match?.[1] ?? match?.[2])?.toLowerCase()
}

/**
 * Passes the candidate lines of a description through `admit` and takes every other address out of it: those of the
 * default candidate (`c=`, the port of `m=`), `a=rtcp:` and `a=remote-candidates:` would go past the rule.
 */
export function filterSdp(sdp: string, admit: (candidate: string) => string | undefined): string {
  const lines = sdp.split('\n').flatMap((line) => {
    const end = line.endsWith('\r') ? '\r' : ''
    const text = end === '' ? line : line.slice(0, -1)
    if (/^a=candidate:/i.test(text)) {
      const admitted = admit(text.slice(2))
      return admitted === undefined ? [] : [`a=${admitted}${end}`]
    }
    if (/^a=(rtcp|remote-candidates):/i.test(text)) return []
    if (/^c=/i.test(text)) return [`c=IN IP4 0.0.0.0${end}`]
    return [line.replace(/^m=application \d+ /, 'm=application 9 ')]
  })
  return lines.join('\n')
}

/** A relay's candidate without the address that the relay sees us from (RFC 8839 §5.1: `raddr` is only told). */
export function withoutRelated(candidate: string): string {
  return candidate.replace(/ raddr \S+/i, ' raddr 0.0.0.0').replace(/ rport \d+/i, ' rport 0')
}

/** The origin line of a description names an address of its writer; nobody reads it. */
export function withoutOrigin(sdp: string): string {
  return sdp.replace(/^o=(\S+ \S+ \S+) .*?(\r?)$/m, 'o=$1 IN IP4 0.0.0.0$2')
}

/** The end of gathering, which says nothing. */
export function isEndOfCandidates({ candidate }: IceCandidate): boolean {
  return candidate === ''
}
