import { addressScope } from '@miaou/protocol'

/**
 * The network that one holder of addresses cheaply fills, as a number: the /24 of an IPv4 and the /48 of an IPv6 address
 * (issue 3; the sizes that BitTorrent clients and libp2p's diversity filter use) packed with its port at `offset`. 0 for
 * loopback and private networks (spec/overlay O3), which have no limit, and for what is no node's address.
 */
export function networkPrefix(packed: Uint8Array, offset: number, family: 4 | 6): number {
  if (addressScope(packed, offset, family) !== 'public') return 0
  // 2^48 keeps the two families apart.
  if (family === 4) return 2 ** 48 + word24(packed, offset)
  return word24(packed, offset) * 2 ** 24 + word24(packed, offset + 3)
}

function word24(bytes: Uint8Array, offset: number): number {
  const high = ((bytes[offset] as number) << 16) | ((bytes[offset + 1] as number) << 8)
  return high | (bytes[offset + 2] as number)
}
