import type { Brand, Jitter, Random } from '@miaou/core'
import type { Crypto } from '@miaou/crypto'
import type { Endpoint, PunchStatus, RendezvousStatus, StoreStatus } from '@miaou/protocol'
import type { KademliaConfig } from './config.ts'
import type { ContactTable } from './contact-table.ts'

/** A row of a `ContactTable`: one key at one endpoint. Valid as long as somebody roots it (see there). */
export type ContactRef = Brand<number, 'ContactRef'>

interface Common {
  readonly transaction: number
  readonly isServer: boolean
}

/** `OverlayMessage` of the protocol with contacts as rows of the table: what the engine sees, and the simulator sends. */
export type KademliaMessage =
  | (Common & { readonly type: 'ping' })
  | (Common & { readonly type: 'pong'; readonly observed: Endpoint | undefined })
  | (Common & { readonly type: 'find-node'; readonly target: Uint8Array })
  | (Common & {
      readonly type: 'find-node-response'
      readonly token: Uint8Array
      readonly contacts: readonly ContactRef[]
    })
  | (Common & { readonly type: 'find-value'; readonly key: Uint8Array })
  | (Common & {
      readonly type: 'find-value-response'
      readonly token: Uint8Array
      readonly record: Uint8Array | undefined
      readonly contacts: readonly ContactRef[]
    })
  /** `ageMinutes`: since the record's owner last published it, 0 … 65,535; missing: 0. A holder that republishes tells it. */
  | (Common & {
      readonly type: 'store'
      readonly token: Uint8Array
      readonly record: Uint8Array
      readonly ageMinutes?: number
    })
  | (Common & { readonly type: 'store-response'; readonly status: StoreStatus })
  | (Common & { readonly type: 'reach' })
  | (Common & { readonly type: 'reach-response' })
  | (Common & { readonly type: 'probe'; readonly contact: ContactRef })
  | (Common & { readonly type: 'rendezvous' })
  | (Common & {
      readonly type: 'rendezvous-response'
      readonly status: RendezvousStatus
      readonly observed: Endpoint | undefined
    })
  /** `nonce`: 8 bytes. `target`: a node id. */
  | (Common & { readonly type: 'punch'; readonly nonce: Uint8Array; readonly target: Uint8Array })
  /** `endpoint`: of the target; undefined unless `passed`. */
  | (Common & {
      readonly type: 'punch-response'
      readonly status: PunchStatus
      readonly endpoint: Endpoint | undefined
    })
  /** `endpoint`: of the asker, as the rendezvous sees it. */
  | (Common & { readonly type: 'knock'; readonly nonce: Uint8Array; readonly endpoint: Endpoint })
  | (Common & { readonly type: 'services' })
  /** Service records, not verified. */
  | (Common & { readonly type: 'services-response'; readonly records: readonly Uint8Array[] })

export type KademliaCommand =
  /** Joins through these contacts: row C19. Answered when the walk to oneself ends or nobody answered. */
  | { readonly type: 'bootstrap'; readonly contacts: readonly ContactRef[] }
  | { readonly type: 'find-node'; readonly target: Uint8Array; readonly paths?: number }
  /** `record`: encoded. Answered at the quorum; goes on until the 20 closest were asked. */
  | { readonly type: 'put'; readonly record: Uint8Array; readonly republish: boolean; readonly paths?: number }
  | { readonly type: 'get'; readonly key: Uint8Array; readonly paths?: number }
  | { readonly type: 'ping'; readonly contact: ContactRef }
  /** Row D16: reaches the node with this key (X25519, 32 bytes) through a rendezvous of its. */
  | { readonly type: 'punch'; readonly key: Uint8Array; readonly rendezvous: ContactRef }
  /** Asks for service records: relays that the contact is or knows. */
  | { readonly type: 'services'; readonly contact: ContactRef }

/**
 * Why a punch led nowhere. `rendezvous-silent`: it did not answer. `unknown-target`: the target is not registered there.
 * `refused`: too often, or target and asker are in two kinds of network. `no-way-through`: nothing of the target came,
 * as behind two NATs that give each destination a port of its own, or where the target refuses.
 */
export type PunchFailure = 'rendezvous-silent' | 'unknown-target' | 'refused' | 'no-way-through'

/** What one operation took. */
export interface LookupCost {
  readonly requests: number
  readonly timeouts: number
  /** Depth of the deepest node asked: 1 = from the own table. */
  readonly hops: number
  readonly ms: number
}

/** Row E25; a closed union. */
export type KademliaError =
  | { readonly type: 'bootstrap-failed'; readonly asked: number }
  | { readonly type: 'not-found'; readonly cost: LookupCost }
  /** Nobody took the record, or fewer than the quorum. */
  | { readonly type: 'not-stored'; readonly stored: number; readonly cost: LookupCost }
  | { readonly type: 'no-contacts' }
  | { readonly type: 'bad-record' }
  | { readonly type: 'timeout' }
  | { readonly type: 'too-many-operations'; readonly operationsMax: number }
  | { readonly type: 'stopped' }

export type KademliaReply =
  | { readonly type: 'bootstrapped'; readonly contacts: number; readonly cost: LookupCost }
  | { readonly type: 'found-nodes'; readonly contacts: readonly ContactRef[]; readonly cost: LookupCost }
  | { readonly type: 'stored'; readonly key: Uint8Array; readonly stored: number; readonly cost: LookupCost }
  | { readonly type: 'found-value'; readonly record: Uint8Array; readonly cost: LookupCost }
  | { readonly type: 'pong'; readonly ms: number; readonly observed: Endpoint | undefined }
  /** `endpoint`: at which the target was reached, and is as long as both send there. `ms`: what it took in all. */
  | {
      readonly type: 'punched'
      readonly ms: number
      readonly endpoint: Endpoint
      readonly observed: Endpoint | undefined
    }
  | { readonly type: 'punch-failed'; readonly reason: PunchFailure }
  /** At most 2, as told: nothing of them is verified. */
  | { readonly type: 'services'; readonly records: readonly Uint8Array[] }
  | { readonly type: 'failed'; readonly error: KademliaError }

export type KademliaInput =
  /** `isProven`: the sender's address has made a round trip under its key. Its key is proven in any case. */
  | {
      readonly type: 'message'
      readonly from: ContactRef
      readonly isProven: boolean
      readonly message: KademliaMessage
    }
  /** A request that the layer below could not send (a full queue, no socket of that family): says nothing about whom it was for. */
  | { readonly type: 'failed'; readonly transaction: number }
  /** A request that stayed without an answer, where the layer below has timeouts of its own. */
  | { readonly type: 'unanswered'; readonly transaction: number }
  | { readonly type: 'command'; readonly id: number; readonly command: KademliaCommand }
  /** A datagram outside any session that shows the nonce of a punch: its target is behind `from`. One row is reserved. */
  | { readonly type: 'opener'; readonly from: Endpoint; readonly nonce: Uint8Array }
  /** Where the sockets receive: what an observed address is compared with to tell a NAT. */
  | { readonly type: 'listening'; readonly endpoints: readonly Endpoint[] }
  /**
   * Service records to tell whoever asks: the own relay's, and those known of others, verified and still good. The first
   * `servicesKnownMax` count, each of at most 592 bytes. Kept by reference.
   */
  | { readonly type: 'services'; readonly own: Uint8Array | undefined; readonly known: readonly Uint8Array[] }
  | { readonly type: 'wake' }
  | { readonly type: 'stop' }

export type KademliaOutput =
  /** `isReply`: goes back over the session that asked. Only ping, find-node and find-value may open a session. */
  | {
      readonly type: 'send'
      readonly to: ContactRef
      readonly message: KademliaMessage
      readonly isReply: boolean
    }
  | { readonly type: 'reply'; readonly id: number; readonly reply: KademliaReply }
  /** 9 bytes outside any session, so that the own NAT lets in what comes from there. */
  | { readonly type: 'opener'; readonly to: Endpoint; readonly nonce: Uint8Array }
  /** The last request to this contact once more, as long as nothing has been answered. */
  | { readonly type: 'again'; readonly to: ContactRef }
  /** All 20 closest of a put have been asked: after its reply. For benches and `dht info`. */
  | { readonly type: 'put-finished'; readonly id: number; readonly stored: number; readonly cost: LookupCost }
  | { readonly type: 'mode'; readonly isServer: boolean }

/** Verifies and names records: the product's rules, or cheap ones in a simulation. */
export interface RecordRules {
  /** Undefined for bytes that are no valid record. `sequence` is undefined for content-addressed values. */
  check(record: Uint8Array): { readonly key: Uint8Array; readonly sequence: number | undefined } | undefined
}

export interface KademliaOptions {
  readonly crypto: Pick<Crypto, 'sha256' | 'hmacSha256' | 'equal'>
  readonly random: Random
  readonly jitter: Jitter
  readonly contacts: ContactTable
  /** Own node id, 32 bytes: SHA-256 of the overlay public key. */
  readonly self: Uint8Array
  readonly records: RecordRules
  /** Kept by reference: engines that are given the same object share what is made of it. Do not change it. */
  readonly config?: Partial<KademliaConfig>
  /** Monotonic ms at which the engine is made: intervals count from then on. Default 0. */
  readonly now?: number
}

export type { KademliaConfig }
