import { type AddressFamily, addressScope } from '@miaou/protocol'
import { readU32 } from './wire.ts'

/** A packed endpoint (spec/overlay O1) in a buffer: 6 or 18 bytes. */
export interface PackedSource {
  readonly bytes: Uint8Array
  size: 6 | 18
}

/** Of addresses that share no bound: those of this machine. */
export const ownMachine = -1

/**
 * The /24 (IPv4) or /48 (IPv6) of an address, as a number: what one person or company commonly has at hand, and so what
 * the bounds against a single sender count by. `ownMachine` for loopback.
 */
export function networkOf({ bytes, size }: PackedSource): number {
  const family: AddressFamily = size === 6 ? 4 : 6
  if (addressScope(bytes, 0, family) === 'loopback') return ownMachine
  const first = readU32(bytes, 0)
  return family === 4 ? first >>> 8 : 2 ** 48 + first * 0x1_0000 + (readU32(bytes, 4) >>> 16)
}
