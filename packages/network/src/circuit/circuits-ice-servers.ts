import type { RelayIceServer } from '@miaou/protocol'
import type { IceServerUrl } from './interface.ts'

const secretPattern = /^[\x21-\x7e]+$/

/** Host of a relay's URL, IPv6 in brackets; undefined when there is none. */
export function relayHost(url: string): string | undefined {
  return /^wss?:\/\/(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~-]+)(?::\d+)?(?:\/|$)/.exec(url)?.[1]
}

/**
 * What a relay offers, on its own host (spec/circuits C32); undefined for what no honest relay offers: STUN with a
 * credential or over TCP, TURN without one, `turns` over UDP, characters that are not visible ASCII.
 */
export function toIceServer(relayUrl: string, server: RelayIceServer): IceServerUrl | undefined {
  const { scheme, port, transport, username, credential } = server
  const host = relayHost(relayUrl)
  if (host === undefined) return undefined
  if (scheme === 'stun') {
    if (transport !== 'udp' || username !== '' || credential !== '') return undefined
    return { urls: `stun:${host}:${port}` }
  }
  if (!secretPattern.test(username) || !secretPattern.test(credential)) return undefined
  if (scheme === 'turns' && transport !== 'tcp') return undefined
  return { urls: `${scheme}:${host}:${port}?transport=${transport}`, username, credential }
}
