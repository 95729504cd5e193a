import { assert } from '@miaou/core'

/** Bytes of a packed contact: `key 32 ‖ address 4 or 16 ‖ port 2` (protocol `PackedContacts`). */
export const packedSizes = { 4: 38, 6: 50 } as const

/**
 * The address bytes (4 or 16) of a canonical IPv4 or IPv6 text (RFC 5952), which `Endpoint` promises to hold. The mixed
 * form `::ffff:192.0.2.1`, in which sockets of both families name IPv4 addresses, counts as IPv4.
 */
export function hostToBytes(host: string): Uint8Array {
  const plain = host.replace(/^::ffff:(?=\d+\.)/i, '')
  const bytes = plain.includes(':') ? parseIpv6(plain) : parseIpv4(plain)
  assert(bytes !== undefined, 'an endpoint holds an IPv4 or IPv6 address')
  return bytes
}

/** Canonical text (RFC 5952 §4; mapped IPv4 addresses stay hexadecimal) of the 4 or 16 bytes at `offset`. */
export function bytesToHost(bytes: Uint8Array, offset: number, family: 4 | 6): string {
  if (family === 4) return Array.from(bytes.subarray(offset, offset + 4)).join('.')
  const groups = Array.from({ length: 8 }, (_, i) => word16(bytes, offset + 2 * i))
  const zeros = longestZeros(groups)
  const text = (part: readonly number[]): string => part.map((group) => group.toString(16)).join(':')
  if (zeros === undefined) return text(groups)
  return `${text(groups.slice(0, zeros.start))}::${text(groups.slice(zeros.end))}`
}

/**
 * The network that one holder of addresses cheaply fills, as a number: the /24 of an IPv4 and the /48 of an IPv6 address
 * (spec/overlay; the sizes BitTorrent's and libp2p's diversity filters use). 0 for loopback, link-local and private
 * networks (RFC 1122, 1918, 3927, 4193, 4291), which have no limit.
 */
export function networkPrefix(bytes: Uint8Array, offset: number, family: 4 | 6): number {
  if (family === 4) return isPrivateIpv4(bytes, offset) ? 0 : 2 ** 48 + word24(bytes, offset)
  if (isPrivateIpv6(bytes, offset)) return 0
  // +1, so that the network of `::/48` is not taken for a private one.
  return word24(bytes, offset) * 2 ** 24 + word24(bytes, offset + 3) + 1
}

function isPrivateIpv4(bytes: Uint8Array, offset: number): boolean {
  const a = bytes[offset] as number
  const b = bytes[offset + 1] as number
  if (a === 10 || a === 127) return true
  return (a === 172 && b >> 4 === 1) || (a === 192 && b === 168) || (a === 169 && b === 254)
}

function isPrivateIpv6(bytes: Uint8Array, offset: number): boolean {
  const a = bytes[offset] as number
  if ((a & 0xfe) === 0xfc || (a === 0xfe && ((bytes[offset + 1] as number) & 0xc0) === 0x80)) return true
  for (let i = 0; i < 15; i++) if (bytes[offset + i] !== 0) return false
  return bytes[offset + 15] === 1
}

function parseIpv4(text: string): Uint8Array | undefined {
  if (!/^\d{1,3}(?:\.\d{1,3}){3}$/.test(text)) return undefined
  const numbers = text.split('.').map(Number)
  return numbers.every((number) => number < 256) ? Uint8Array.from(numbers) : undefined
}

function parseIpv6(text: string): Uint8Array | undefined {
  const halves = text.split('::')
  if (halves.length > 2) return undefined
  const [left = [], right = []] = halves.map((half) => (half === '' ? [] : half.split(':')))
  const missing = 8 - left.length - right.length
  if (halves.length === 1 ? missing !== 0 : missing < 1) return undefined
  const groups = [...left, ...new Array<string>(missing).fill('0'), ...right]
  if (!groups.every((group) => /^[0-9a-f]{1,4}$/i.test(group))) return undefined
  const bytes = new Uint8Array(16)
  groups.forEach((group, i) => {
    const value = Number.parseInt(group, 16)
    bytes[2 * i] = value >> 8
    bytes[2 * i + 1] = value & 0xff
  })
  return bytes
}

/** RFC 5952 §4.2: the first of the longest runs of two or more zero groups. */
function longestZeros(groups: readonly number[]): { start: number; end: number } | undefined {
  let best: { start: number; end: number } | undefined
  for (let start = 0; start < groups.length; start++) {
    let end = start
    while (end < groups.length && groups[end] === 0) end++
    if (end - start >= 2 && (best === undefined || end - start > best.end - best.start)) best = { start, end }
    if (end > start) start = end
  }
  return best
}

function word16(bytes: Uint8Array, offset: number): number {
  return ((bytes[offset] as number) << 8) | (bytes[offset + 1] as number)
}

function word24(bytes: Uint8Array, offset: number): number {
  return ((bytes[offset] as number) << 16) | word16(bytes, offset + 1)
}
