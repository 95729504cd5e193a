import type { KademliaOptions, RecordRules } from '../../../packages/overlay/src/kademlia/interface.ts'

/** `type 1 ‖ owner 8 ‖ sequence 4 ‖ padding`: what a simulated record holds, 100 bytes as in the peers' benches. */
const recordBytes = 100
const typeContent = 0
const typeSigned = 1

type Sha256 = KademliaOptions['crypto']['sha256']

/**
 * Records without signatures: a content-addressed one is named by its hash, a "signed" one by the hash of its owner's
 * number. Forging signatures is outside what a simulation can show; the rules' cost is what would dominate it.
 */
export function createSimRecords(sha256: Sha256): RecordRules {
  return {
    check: (record) => {
      if (record.length !== recordBytes) return undefined
      if (record[0] === typeContent) return { key: sha256(record), sequence: undefined }
      if (record[0] !== typeSigned) return undefined
      const view = new DataView(record.buffer, record.byteOffset, record.byteLength)
      return { key: sha256(record.subarray(0, 9)), sequence: view.getUint32(9) }
    },
  }
}

/** The content-addressed record number `n`, 0 to 2^32 − 1. */
export function contentRecord(n: number): Uint8Array {
  return write(typeContent, n, 0)
}

/** The signed record of owner `n` at a sequence. */
export function signedRecord(n: number, sequence: number): Uint8Array {
  return write(typeSigned, n, sequence)
}

function write(type: number, n: number, sequence: number): Uint8Array {
  const record = new Uint8Array(recordBytes)
  const view = new DataView(record.buffer)
  record[0] = type
  view.setUint32(5, n)
  view.setUint32(9, sequence)
  return record
}
