import { ContactTable } from '../../../packages/overlay/src/kademlia/contact-table.ts'
import type { ContactRef } from '../../../packages/overlay/src/kademlia/interface.ts'
import type { RandomStream } from '../kernel/random-stream.ts'
import type { createSimCrypto } from './sim-crypto.ts'

/** An id that an attacker ground, and the /24 it will answer from. */
export interface GroundNode {
  readonly id: Uint8Array
  readonly prefix: number
}

/** First octets of simulated addresses: public ones only, since private networks have no limit per prefix. */
const firstOctets: readonly number[] = Array.from({ length: 88 }, (_, i) => 11 + i)

/** Who there is: one row of the contact table a node, row number = node number. */
export class Population {
  readonly contacts: ContactTable
  readonly count: number
  /** Top and next 32 bits of the ids. */
  readonly high: Uint32Array
  readonly low: Uint32Array

  /** The ground nodes get the last numbers. */
  constructor(
    count: number,
    ground: readonly GroundNode[],
    random: RandomStream,
    crypto: ReturnType<typeof createSimCrypto>,
  ) {
    this.count = count
    this.contacts = new ContactTable({ crypto, contactsMax: count })
    this.contacts.reserve(count)
    this.high = new Uint32Array(count)
    this.low = new Uint32Array(count)
    const packed = new Uint8Array(38)
    const view = new DataView(packed.buffer)
    for (let node = 0; node < count; node++) {
      const forged = ground[node - (count - ground.length)]
      if (forged === undefined) {
        for (let i = 0; i < 32; i += 4) view.setUint32(i, random.next())
        packed[32] = firstOctets[random.below(firstOctets.length)] ?? 11
        view.setUint32(33, random.next())
      } else {
        packed.set(crypto.groundKey(forged.id))
        // 198.18.0.0/15 upwards: no ordinary node lives there.
        packed[32] = 198
        view.setUint16(33, 0x1200 + forged.prefix)
        packed[35] = 1 + (node % 254)
      }
      view.setUint16(36, 1024 + random.below(60_000))
      const ref = this.contacts.intern(packed, 0, 4)
      if (ref !== node) throw new Error('Two nodes drew the same key: the seed is spent, take another.')
      const id = this.contacts.id(ref)
      const idView = new DataView(id.buffer, id.byteOffset)
      this.high[node] = idView.getUint32(0)
      this.low[node] = idView.getUint32(4)
    }
  }

  ref(node: number): ContactRef {
    return node as ContactRef
  }

  /** The top 64 bits of a 32-byte point, as two words. */
  static words(point: Uint8Array): readonly [high: number, low: number] {
    const view = new DataView(point.buffer, point.byteOffset)
    return [view.getUint32(0), view.getUint32(4)]
  }
}
