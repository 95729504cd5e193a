import type { Result } from '@miaou/core'
import { assert, err, ok } from '@miaou/core'
import type { DecodeError } from '../structure.ts'

/** A piece of a pipe message on its way through a relay (spec/circuits C3): the payload of a `circuitData` frame. */
export interface CircuitData {
  /** u32, the relay's number for the circuit on that link; 0 for filler. */
  readonly circuit: number
  /** Whether the pipe message ends with it. */
  readonly isLast: boolean
  /** 1 to `circuitChunkSizeMax` bytes: a view of what was decoded. */
  readonly bytes: Uint8Array
}

/** Circuit u32 and flags u8 before a chunk. */
export const circuitDataHeaderSize = 5
/** Seal (24), head of a bare message (5) and header of the chunk (5) around its bytes on a relay link. */
export const circuitDataOverhead = 34
/** 65,536 − 34: the relay link pads a full chunk to the 64 KiB bucket exactly. */
export const circuitChunkSizeMax = 65_502
/** 16,384 − 34: a chunk of a circuit on which little passes, which keeps others waiting for a quarter as long. */
export const circuitChunkSizeSmall = 16_350
/** What a smaller chunk counts as in windows and quotas (own choice: the smallest padding bucket). */
export const circuitChunkCostMin = 256
/** Number of the circuit on which filler travels, for measuring. */
export const fillerCircuit = 0

const lastFlag = 1

/**
 * What a chunk of `size` bytes takes from a window and is credited with: tiny chunks must not be cheap, for each costs
 * its holder an array and its sender's relay a sealed message.
 */
export function circuitChunkCost(size: number): number {
  return Math.max(size, circuitChunkCostMin)
}

export function encodeCircuitData({ circuit, isLast, bytes }: CircuitData): Uint8Array {
  assert(bytes.length > 0 && bytes.length <= circuitChunkSizeMax, 'a chunk has 1 to 65,502 bytes')
  const encoded = new Uint8Array(circuitDataHeaderSize + bytes.length)
  writeCircuit(encoded, circuit)
  encoded[4] = isLast ? lastFlag : 0
  encoded.set(bytes, circuitDataHeaderSize)
  return encoded
}

/** The chunk in `encoded`, whose bytes are a view of it: nothing is copied, relays carry many. Never throws. */
export function decodeCircuitData(encoded: Uint8Array): Result<CircuitData, DecodeError> {
  const size = encoded.length - circuitDataHeaderSize
  const flags = encoded[4] ?? 0
  if (size < 1 || size > circuitChunkSizeMax || (flags & ~lastFlag) !== 0) {
    return err({ type: 'malformed', what: 'circuit data' })
  }
  const circuit = new DataView(encoded.buffer, encoded.byteOffset, 4).getUint32(0)
  return ok({ circuit, isLast: flags === lastFlag, bytes: encoded.subarray(circuitDataHeaderSize) })
}

/** Passes an encoded chunk to another circuit: writes its number over the old one, in place. */
export function writeCircuit(encoded: Uint8Array, circuit: number): void {
  new DataView(encoded.buffer, encoded.byteOffset, 4).setUint32(0, circuit)
}
