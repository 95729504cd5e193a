import { bytesToText, type PeerId, parsePeerId } from '@miaou/core'
import type { Advertisement } from '@miaou/network'

/** DNS-SD service of Miaou peers (row C02). */
export const serviceType = 'miaou'
export const serviceName = '_miaou._tcp.local'

// A hint is 12 hexadecimal digits; one TXT string holds 255 bytes, key and `=` included (RFC 6763 §6.1).
const hintSize = 12
const hintsPerKey = 20
// 16 keys of 20 hints are 3.9 KB, three Ethernet frames: above that one lost frame hides a peer too often. Guess.
const hintKeysMax = 16
const featuresMax = 32

/** What the TXT record of a service says. */
export interface ServiceText {
  readonly version: string
  readonly features: readonly string[]
  readonly peerId: PeerId | undefined
  readonly hints: readonly string[]
}

/** TXT keys of an advertisement (row C04). Hints beyond 320 are left out. */
export function advertisementToText(self: Advertisement): Record<string, string> {
  const text: Record<string, string> = {
    version: self.version,
    features: self.features.join(','),
    port: `${self.port}`,
  }
  if (self.peerId !== undefined) text['id'] = self.peerId
  for (let key = 0; key < hintKeysMax && key * hintsPerKey < self.hints.length; key++) {
    text[`h${key}`] = self.hints.slice(key * hintsPerKey, (key + 1) * hintsPerKey).join('')
  }
  return text
}

/**
 * The keys and values of TXT strings, the first of equal keys (RFC 6763 §6.4), or undefined where there is no version:
 * every service of ours tells one.
 */
export function readTextKeys(strings: unknown): ReadonlyMap<string, string> | undefined {
  if (!Array.isArray(strings) || strings.length > 64) return undefined
  const values = new Map<string, string>()
  for (const bytes of strings) {
    const text = bytes instanceof Uint8Array ? bytesToText(bytes) : undefined
    const [, key, value] = /^([a-z0-9]{1,16})=([\x20-\x7e]*)$/.exec(text ?? '') ?? []
    if (key !== undefined && value !== undefined && !values.has(key)) values.set(key, value)
  }
  return /^[\w.+-]{1,32}$/.test(values.get('version') ?? '') ? values : undefined
}

/** What TXT strings say, or undefined where they are not of a Miaou peer: anybody on the network writes them. */
export function parseServiceText(strings: unknown): ServiceText | undefined {
  const values = readTextKeys(strings)
  const version = values?.get('version')
  if (values === undefined || version === undefined) return undefined
  const idText = values.get('id')
  const peerId = idText === undefined ? undefined : parsePeerId(idText)
  if (idText !== undefined && peerId === undefined) return undefined
  const features = (values.get('features') ?? '').split(',').filter((feature) => /^[\w-]{1,32}$/.test(feature))
  const hints: string[] = []
  for (let key = 0; key < hintKeysMax; key++) {
    const joined = values.get(`h${key}`)
    if (joined === undefined) break
    if (!/^(?:[0-9a-f]{12})*$/.test(joined)) return undefined
    for (let at = 0; at < joined.length; at += hintSize) hints.push(joined.slice(at, at + hintSize))
  }
  return { version, features: features.slice(0, featuresMax), peerId, hints }
}
