import { assert, bytesToHex, equalBytes, type Random } from '@miaou/core'
import type { Crypto } from '@miaou/crypto'
import { bucketIndex, compareDistances, idBytes, xorDistance } from '../kademlia/distance.ts'

/**
 * Name of a node: 256 bits, the SHA-256 of its public key (rows A05, E09–E11). A value: never changes, and `toString`
 * serves as the key of a Map or a Set.
 */
export class NodeId {
  readonly #bytes: Uint8Array

  private constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  /** `bytes`: 32 (asserted), copied. */
  static fromBytes(bytes: Uint8Array): NodeId {
    assert(bytes.length === idBytes, 'a node id has 32 bytes')
    return new NodeId(bytes.slice())
  }

  static fromPublicKey(crypto: Pick<Crypto, 'sha256'>, publicKey: Uint8Array): NodeId {
    return NodeId.fromBytes(crypto.sha256(publicKey))
  }

  /** Not the id of any key: for targets of lookups, and for tests. */
  static random(random: Random): NodeId {
    return NodeId.fromBytes(random.bytes(idBytes))
  }

  /** XOR, 32 bytes, big-endian. */
  distance(other: NodeId): Uint8Array {
    return xorDistance(this.#bytes, other.#bytes)
  }

  /** floor(log2(distance)): 255 where the first bits differ, 0 where the last alone do, and between equal ids. */
  bucketIndex(other: NodeId): number {
    return bucketIndex(this.#bytes, other.#bytes)
  }

  /** Which of two is nearer to this one: negative for `a`, positive for `b`, 0 when they are equal. */
  distanceCmp(a: NodeId, b: NodeId): number {
    return compareDistances(this.#bytes, a.#bytes, b.#bytes)
  }

  equals(other: NodeId): boolean {
    return equalBytes(this.#bytes, other.#bytes)
  }

  /** A copy. */
  toBytes(): Uint8Array {
    return this.#bytes.slice()
  }

  /** 64 hexadecimal digits: equal ids have equal texts. */
  toString(): string {
    return bytesToHex(this.#bytes)
  }
}
