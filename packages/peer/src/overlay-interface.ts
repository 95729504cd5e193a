import type { NodeId } from '@miaou/core'
import type { KademliaError, KademliaOutput, KademliaReply, LookupCost } from '@miaou/overlay'
import type { Endpoint } from '@miaou/protocol'

/** One node at one endpoint, outside the table of contacts. */
export interface OverlayNodeContact {
  readonly nodeId: NodeId
  /** X25519, 32 bytes: `nodeId` is its SHA-256. */
  readonly publicKey: Uint8Array
  readonly endpoint: Endpoint
}

export type OverlayNodeCommand =
  /** Joins through these (row C19): at most 200 are asked. */
  | {
      readonly type: 'bootstrap'
      readonly contacts: readonly Pick<OverlayNodeContact, 'publicKey' | 'endpoint'>[]
    }
  /** `target`: 32 bytes. `paths`: disjoint ones, 1 to 8. */
  | { readonly type: 'find-node'; readonly target: Uint8Array; readonly paths?: number }
  /** `record`: encoded. `republish`: store it again every hour while the node runs. */
  | { readonly type: 'put'; readonly record: Uint8Array; readonly republish: boolean; readonly paths?: number }
  /** `key`: 32 bytes. */
  | { readonly type: 'get'; readonly key: Uint8Array; readonly paths?: number }
  | { readonly type: 'ping'; readonly contact: Pick<OverlayNodeContact, 'publicKey' | 'endpoint'> }
  /** Row D16. `publicKey`: of the node behind a NAT, whom `rendezvous` passes punches on to. */
  | {
      readonly type: 'punch'
      readonly publicKey: Uint8Array
      readonly rendezvous: Pick<OverlayNodeContact, 'publicKey' | 'endpoint'>
    }
  /** Asks a node for service records (spec/overlay O65). */
  | { readonly type: 'services'; readonly contact: Pick<OverlayNodeContact, 'publicKey' | 'endpoint'> }
  /** Asks a node for service records (spec/overlay O65). */
  | { readonly type: 'services'; readonly contact: Pick<OverlayNodeContact, 'publicKey' | 'endpoint'> }

/** What the host tells an overlay node. */
export type OverlayNodeInput =
  | { readonly type: 'datagram'; readonly from: Endpoint; readonly bytes: Uint8Array }
  | { readonly type: 'command'; readonly id: number; readonly command: OverlayNodeCommand }
  /** Where the sockets receive; contacts of families without a socket are not asked. */
  | { readonly type: 'listening'; readonly endpoints: readonly Endpoint[] }
  /** Service records to tell whoever asks: the own relay's, and those known of others, verified and still good. */
  | { readonly type: 'services'; readonly own: Uint8Array | undefined; readonly known: readonly Uint8Array[] }
  /** Service records to tell whoever asks: the own relay's, and those known, verified and still good. */
  | { readonly type: 'services'; readonly own: Uint8Array | undefined; readonly known: readonly Uint8Array[] }
  | { readonly type: 'wake' }
  | { readonly type: 'stop' }

export type OverlayNodeError =
  | KademliaError
  /** No node can be at this endpoint: no address of one, or port 0 (spec/overlay O3). */
  | { readonly type: 'inadmissible-endpoint'; readonly endpoint: Endpoint }

export type OverlayNodeReply =
  | Exclude<KademliaReply, { readonly type: 'found-nodes' | 'failed' }>
  | { readonly type: 'found-nodes'; readonly contacts: readonly OverlayNodeContact[]; readonly cost: LookupCost }
  | { readonly type: 'failed'; readonly error: OverlayNodeError }

/** What the host does for an overlay node. */
export type OverlayNodeOutput =
  | { readonly type: 'datagram'; readonly to: Endpoint; readonly bytes: Uint8Array }
  | { readonly type: 'reply'; readonly id: number; readonly reply: OverlayNodeReply }
  | { readonly type: 'event'; readonly event: Extract<KademliaOutput, { readonly type: 'put-finished' | 'mode' }> }
