import { endpointScope } from '@miaou/protocol'
import type { ContactTable } from '../kademlia/contact-table.ts'
import type { ContactRef, KademliaMessage } from '../kademlia/interface.ts'
import { NodeId } from './node-id.ts'
import { internPeer, type PeerInfo, readPeer } from './peer-info.ts'

/**
 * Row E16. An answer travels as the return value of a request, so that no message has a transaction. `record` is what the
 * overlay stores (protocol `OverlayRecord`, encoded), under the key that it proves; `token` was given with an answer of
 * the node that is asked to store.
 */
export type DhtMessage =
  | { readonly type: 'Ping' }
  | { readonly type: 'Pong' }
  | { readonly type: 'FindNode'; readonly target: NodeId }
  | { readonly type: 'FindNodeResponse'; readonly peers: readonly PeerInfo[]; readonly token: Uint8Array }
  /** `ageMinutes`: since the owner of the record last published it; missing: 0. */
  | {
      readonly type: 'Store'
      readonly key: NodeId
      readonly record: Uint8Array
      readonly token: Uint8Array
      readonly ageMinutes?: number
    }
  | { readonly type: 'FindValue'; readonly key: NodeId }
  /** Row E19: with a record, `closest` is empty. */
  | {
      readonly type: 'FindValueResponse'
      readonly record?: Uint8Array
      readonly closest: readonly PeerInfo[]
      readonly token: Uint8Array
    }

/** Contacts of one answer at most: the engine looks at no more, and nobody can make the table sweep. */
const contactsMax = 20

/** The engine's message in the exercise's terms; undefined for those that it does not know. `keyOf`: of a valid record. */
export function toDhtMessage(
  message: KademliaMessage,
  contacts: ContactTable,
  keyOf: (record: Uint8Array) => Uint8Array | undefined,
): DhtMessage | undefined {
  const read = (refs: readonly ContactRef[]): PeerInfo[] => refs.map((ref) => readPeer(contacts, ref))
  switch (message.type) {
    case 'ping':
      return { type: 'Ping' }
    case 'pong':
      return { type: 'Pong' }
    case 'find-node':
      return { type: 'FindNode', target: NodeId.fromBytes(message.target) }
    case 'find-node-response':
      return { type: 'FindNodeResponse', peers: read(message.contacts), token: message.token.slice() }
    case 'find-value':
      return { type: 'FindValue', key: NodeId.fromBytes(message.key) }
    case 'find-value-response': {
      const found = message.record === undefined ? {} : { record: message.record.slice() }
      return { type: 'FindValueResponse', ...found, closest: read(message.contacts), token: message.token.slice() }
    }
    case 'store': {
      const key = keyOf(message.record)
      if (key === undefined) return undefined
      const { record, token, ageMinutes = 0 } = message
      return { type: 'Store', key: NodeId.fromBytes(key), record, token, ageMinutes }
    }
    case 'store-response':
    case 'reach':
    case 'reach-response':
    case 'probe':
    case 'rendezvous':
    case 'rendezvous-response':
    case 'punch':
    case 'punch-response':
    case 'knock':
    case 'services':
    case 'services-response':
      return undefined
  }
}

/**
 * The exercise's message in the engine's terms. Interns the peers it names, but those at addresses that no node can have:
 * room for 20 must be reserved.
 */
export function fromDhtMessage(message: DhtMessage, transaction: number, contacts: ContactTable): KademliaMessage {
  const common = { transaction, isServer: true }
  const intern = (peers: readonly PeerInfo[]): ContactRef[] =>
    peers
      .slice(0, contactsMax)
      .filter(({ addr }) => endpointScope(addr) !== undefined)
      .map((peer) => internPeer(contacts, peer))
  switch (message.type) {
    case 'Ping':
      return { type: 'ping', ...common }
    case 'Pong':
      return { type: 'pong', ...common, observed: undefined }
    case 'FindNode':
      return { type: 'find-node', ...common, target: message.target.toBytes() }
    case 'FindNodeResponse':
      return { type: 'find-node-response', ...common, token: message.token, contacts: intern(message.peers) }
    case 'FindValue':
      return { type: 'find-value', ...common, key: message.key.toBytes() }
    case 'FindValueResponse': {
      const { record, token, closest } = message
      return { type: 'find-value-response', ...common, token, record, contacts: intern(closest) }
    }
    case 'Store':
      return {
        type: 'store',
        ...common,
        token: message.token,
        record: message.record,
        ageMinutes: message.ageMinutes ?? 0,
      }
  }
}
