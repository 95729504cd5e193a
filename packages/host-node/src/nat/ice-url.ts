import { isIP } from 'node:net'

/** What a `stun:`, `stuns:`, `turn:` or `turns:` URL says (RFC 7064, RFC 7065). */
export interface IceUrl {
  readonly kind: 'stun' | 'turn'
  /** An address without brackets, or a name. */
  readonly host: string
  readonly port: number
  /** `undefined` where a `turn:` URL leaves it open: both UDP and TCP are then tried. */
  readonly transport: 'udp' | 'tcp' | 'tls' | undefined
}

/** Longest URL read. A name has 253 characters at most. */
export const iceUrlLengthMax = 320

/** The URL, or undefined when it is none: no user, no path, no other query than `transport`. */
export function parseIceUrl(text: string): IceUrl | undefined {
  if (text.length > iceUrlLengthMax) return undefined
  const match = /^(stun|turn)(s?):(?:\[([\da-fA-F:.]+)\]|([\w.-]+))(?::(\d{1,5}))?(?:\?transport=(udp|tcp))?$/.exec(
    text,
  )
  if (match === null) return undefined
  const [, kind, secure, address, name, portText, transportText] = match
  if (address !== undefined && isIP(address) !== 6) return undefined
  const host = address ?? name ?? ''
  // What looks like an IPv4 address must be one; a name has no empty part.
  if (/^[\d.]+$/.test(host) && isIP(host) !== 4) return undefined
  if (/^[.-]|\.\.|[.-]$/.test(host) || host.length > 253) return undefined
  const isSecure = secure === 's'
  const port = portText === undefined ? (isSecure ? 5349 : 3478) : Number(portText)
  if (port < 1 || port > 65_535) return undefined
  if (kind === 'stun') {
    // STUN over TCP or TLS tells nothing about what UDP does; only plain UDP is spoken.
    return isSecure || transportText !== undefined ? undefined : { kind, host, port, transport: 'udp' }
  }
  // `turns` over UDP is DTLS, which neither library speaks.
  if (isSecure) return transportText === 'udp' ? undefined : { kind: 'turn', host, port, transport: 'tls' }
  return {
    kind: 'turn',
    host,
    port,
    transport: transportText === 'udp' || transportText === 'tcp' ? transportText : undefined,
  }
}

/** The URL in its full form, as the WebRTC libraries take it. */
export function formatIceUrl({ kind, host, port, transport }: IceUrl): string {
  const authority = `${isIP(host) === 6 ? `[${host}]` : host}:${port}`
  if (kind === 'stun') return `stun:${authority}`
  if (transport === 'tls') return `turns:${authority}?transport=tcp`
  return `turn:${authority}${transport === undefined ? '' : `?transport=${transport}`}`
}

/** One URL for each way: a `turn:` URL that leaves its transport open stands for UDP and TCP. */
export function iceUrlWays(url: IceUrl): readonly IceUrl[] {
  if (url.kind === 'stun' || url.transport !== undefined) return [url]
  return (['udp', 'tcp'] as const).map((transport) => ({ ...url, transport }))
}
