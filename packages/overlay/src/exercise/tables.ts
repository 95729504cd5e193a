import type { Crypto } from '@miaou/crypto'
import { ContactTable } from '../kademlia/contact-table.ts'
import { idBytes } from '../kademlia/distance.ts'
import type { ContactRef } from '../kademlia/interface.ts'
import { RoutingTable as CompactRoutingTable } from '../kademlia/routing-table.ts'
import type { NodeId } from './node-id.ts'
import { internPeer, type PeerInfo, readPeer } from './peer-info.ts'

/** The only bucket of ids whose first bit is set, seen from id 0. */
const farthest = 255
/** Every row of 256 buckets, and one that finds no room. */
const contactsMax = 0x1_0000
/** Peers of one network a bucket: the exercise has no such limit, the node's own table does. */
const prefixMax = Number.POSITIVE_INFINITY

/** What both tables of the exercise do, over the engine's own structures. */
class PeerTable {
  readonly contacts: ContactTable
  readonly table: CompactRoutingTable

  constructor(self: Uint8Array, k: number, toId: (key: Uint8Array) => Uint8Array) {
    this.contacts = new ContactTable({ crypto: { sha256: toId }, contactsMax })
    this.table = new CompactRoutingTable({ self, contacts: this.contacts, k, prefixMax })
    this.contacts.addRoots((mark) => this.table.markRoots(mark))
  }

  add(peer: PeerInfo): boolean {
    this.contacts.reserve(1)
    const ref = internPeer(this.contacts, peer)
    const result = this.table.add(ref, peer.lastSeen)
    if (result === 'full' || result === 'self' || result === 'prefix-full') return false
    this.table.markBucketUsed(this.table.bucketOf(ref), peer.lastSeen)
    if (peer.rtt !== undefined) this.table.updateRoundTrip(ref, peer.rtt)
    return true
  }

  read(refs: readonly ContactRef[]): PeerInfo[] {
    return refs.map((ref) => this.#read(ref))
  }

  /** The peer with the id that `toId` makes of a key. */
  get(id: Uint8Array): PeerInfo | undefined {
    const ref = this.table.get(id)
    return ref === undefined ? undefined : this.#read(ref)
  }

  #read(ref: ContactRef): PeerInfo {
    const measures = { heardMs: this.table.heardMs(ref), roundTripMs: this.table.roundTripMs(ref) }
    return readPeer(this.contacts, ref, measures)
  }

  remove(id: Uint8Array): boolean {
    const ref = this.table.get(id)
    return ref !== undefined && this.table.remove(ref)
  }
}

/**
 * One bucket (row E13), over the engine's table: all of its peers are put at the same distance class of an imaginary
 * owner, so that the same code as in the product decides what is full. Times are those of `PeerInfo.lastSeen`.
 */
export class KBucket {
  readonly #peers: PeerTable
  readonly #toId: (id: Uint8Array) => Uint8Array

  /** `k`: peers at most, 1 … 5,000. `crypto`: spreads the ids over the imaginary class. */
  constructor(k: number, crypto: Pick<Crypto, 'sha256'>) {
    this.#toId = (id) => {
      const spread = crypto.sha256(id).slice()
      spread[0] = (spread[0] as number) | 0x80
      return spread
    }
    this.#peers = new PeerTable(new Uint8Array(idBytes), k, this.#toId)
  }

  /** True for a new peer, and for a known one, which is updated; false where k others have the room (row E15). */
  add(peer: PeerInfo): boolean {
    return this.#peers.add(peer)
  }

  /** False when it was not there. */
  remove(id: NodeId): boolean {
    return this.#peers.remove(this.#toId(id.toBytes()))
  }

  get(id: NodeId): PeerInfo | undefined {
    return this.#peers.get(this.#toId(id.toBytes()))
  }

  /** In no particular order. */
  peers(): PeerInfo[] {
    return this.#peers.read(this.#peers.table.all())
  }

  isFull(): boolean {
    return this.#peers.table.isBucketFull(farthest)
  }

  /** Whether no peer was added or updated for `intervalMs` (row E05). `now`: monotonic ms. */
  needsRefresh(now: number, intervalMs: number): boolean {
    return now - this.#peers.table.bucketUsedAt(farthest) >= intervalMs
  }
}

/** The table of a node (row E14), over the engine's own. Times are those of `PeerInfo.lastSeen`. */
export class RoutingTable {
  readonly #peers: PeerTable

  /** `local`: the node whose table it is. `k`: peers a bucket. */
  constructor(local: NodeId, k: number) {
    this.#peers = new PeerTable(local.toBytes(), k, (id) => id.slice())
  }

  /** True for a new peer, and for a known one, which is updated; false for the node itself and where the bucket is full. */
  add(peer: PeerInfo): boolean {
    return this.#peers.add(peer)
  }

  /** False when it was not there. */
  remove(id: NodeId): boolean {
    return this.#peers.remove(id.toBytes())
  }

  get(id: NodeId): PeerInfo | undefined {
    return this.#peers.get(id.toBytes())
  }

  /** At most `count` peers, the nearest to `target` first. */
  findClosest(target: NodeId, count: number): PeerInfo[] {
    const refs: ContactRef[] = []
    this.#peers.table.closest(target.toBytes(), count, refs)
    return this.#peers.read(refs)
  }

  /** The nearest to the node first. */
  allPeers(): PeerInfo[] {
    return this.#peers.read(this.#peers.table.all())
  }

  /** Indices of the buckets, the farthest first, that nobody used for `intervalMs`. `now`: monotonic ms. */
  bucketsNeedingRefresh(now: number, intervalMs: number): number[] {
    return this.#peers.table.bucketsNeedingRefresh(now, intervalMs)
  }
}
