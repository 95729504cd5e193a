import type { Endpoint } from '@miaou/protocol'
import type { ContactTable } from '../kademlia/contact-table.ts'
import type { ContactRef } from '../kademlia/interface.ts'
import { NodeId } from './node-id.ts'

/** A peer as the exercise names it (row E12). */
export interface PeerInfo {
  readonly id: NodeId
  readonly addr: Endpoint
  /** Monotonic ms, kept to 16 ms; 0 where nobody noted it. */
  readonly lastSeen: number
  /** Smoothed round trip in ms, kept to 1/16 ms. */
  readonly rtt?: number
}

/** In the tables of the exercise a contact's key is its id: who carries the messages has proved it. */
export function internPeer(contacts: ContactTable, { id, addr }: PeerInfo): ContactRef {
  return contacts.internKey(id.toBytes(), addr)
}

/** What was measured of a contact: when it was last heard (monotonic ms), and its smoothed round trip in ms. */
export interface PeerMeasures {
  readonly heardMs: number
  readonly roundTripMs: number | undefined
}

export function readPeer(contacts: ContactTable, ref: ContactRef, measures?: PeerMeasures): PeerInfo {
  const rtt = measures?.roundTripMs
  return {
    id: NodeId.fromBytes(contacts.key(ref)),
    addr: contacts.endpoint(ref),
    lastSeen: measures?.heardMs ?? 0,
    ...(rtt === undefined ? {} : { rtt }),
  }
}
