import type { NetworkInfo, PeerView, PortMapping } from '@miaou/sdk'
import type { Text } from '@miaou/text'
import { isLinked, relayOf } from '../peer/path-reasons.ts'

type Link = Pick<PeerView, 'state' | 'transport' | 'path'>

/** How a link goes, in a few words; `-` for a peer that is not linked. */
export function pathWords(text: Text, link: Link): string {
  if (!isLinked(link)) return text('path.none')
  const via = relayOf(link)
  if (via !== undefined) return link.transport === 'circuit' ? text('path.relay', { via }) : text('path.turn', { via })
  if (link.path?.kind === 'lan') return text('path.lan')
  if (link.path?.kind === 'direct') return text('path.direct')
  return link.transport === 'websocket' ? text('path.open-port') : text('path.unknown')
}

/** The same in brackets behind a sentence that names the transport; nothing where no more than that is known. */
export function pathNote(text: Text, link: Link): string {
  const isKnown = isLinked(link) && (link.path !== undefined || link.transport === 'circuit')
  return isKnown ? ` (${pathWords(text, link)})` : ''
}

export function natWords(text: Text, natType: NetworkInfo['natType']): string {
  switch (natType) {
    case 'none':
      return text('info.nat-none')
    case 'full-cone':
      return text('info.nat-full-cone')
    case 'restricted-cone':
      return text('info.nat-restricted-cone')
    case 'port-restricted':
      return text('info.nat-port-restricted')
    case 'symmetric':
      return text('info.nat-symmetric')
    case 'blocked':
      return text('info.nat-blocked')
    case 'unknown':
      return text('info.nat-unknown')
  }
}

export function mappingWords(text: Text, { state, external, protocol, error }: PortMapping): string {
  switch (state) {
    case 'mapped':
      return text('info.mapping-mapped', { address: external ?? '?', protocol: protocol ?? '?' })
    case 'searching':
      return text('info.mapping-searching')
    case 'none':
      return text('info.mapping-none')
    case 'failed':
      return text('info.mapping-failed', { detail: error ?? '?' })
    case 'off':
      return text('info.mapping-off')
  }
}
