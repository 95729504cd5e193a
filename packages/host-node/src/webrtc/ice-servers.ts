import { formatIceUrl, type IceUrl, iceUrlWays, parseIceUrl } from '../nat/ice-url.ts'
import type { IceServer } from './options.ts'
import type { PeerConnectionConfiguration } from './w3c.ts'

/** What a server's entry says, one by one; what is no URL of a server is left out. */
export function iceUrlsOf({ urls }: IceServer): readonly IceUrl[] {
  return (typeof urls === 'string' ? [urls] : urls)
    .map(parseIceUrl)
    .filter((url) => url !== undefined)
    .flatMap(iceUrlWays)
}

export function hasTurnServer(servers: readonly IceServer[]): boolean {
  return servers.some((server) => iceUrlsOf(server).some(({ kind }) => kind === 'turn'))
}

/** Servers in the shape of `RTCConfiguration`, each way a URL of its own: libwebrtc tries all at once. */
export function toConnectionServers(servers: readonly IceServer[]): PeerConnectionConfiguration['iceServers'] {
  return servers
    .map((server) => ({ ...server, urls: iceUrlsOf(server).map(formatIceUrl) }))
    .filter(({ urls }) => urls.length > 0)
}
