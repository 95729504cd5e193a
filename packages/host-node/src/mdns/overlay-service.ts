import { base64urlToBytes, bytesToBase64url } from '@miaou/core'
import type { MdnsService } from './service.ts'
import { readTextKeys } from './txt.ts'

/** What a node of the overlay says of itself on the LAN. Nothing in it names the peer. */
export interface OverlayServiceText {
  readonly version: string
  /** X25519, 32 bytes. */
  readonly publicKey: Uint8Array
}

/** Nodes of the overlay: the SRV record tells the UDP port. */
export const overlayService: MdnsService<OverlayServiceText> = {
  type: 'miaou-overlay',
  protocol: 'udp',
  name: '_miaou-overlay._udp.local',
  parseText: parseOverlayText,
}

export function overlayServiceToText({ version, publicKey }: OverlayServiceText): Record<string, string> {
  return { version, key: bytesToBase64url(publicKey) }
}

function parseOverlayText(strings: unknown): OverlayServiceText | undefined {
  const values = readTextKeys(strings)
  const version = values?.get('version')
  const publicKey = base64urlToBytes(values?.get('key') ?? '')
  if (version === undefined || publicKey?.length !== 32) return undefined
  return { version, publicKey }
}
