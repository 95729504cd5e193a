import type { NodeId, Result } from '@miaou/core'
import type { KademliaError, LookupCost, PunchFailure } from '@miaou/overlay'
import type { Endpoint, OverlayClient, OverlayRecord } from '@miaou/protocol'
import type { BootstrapNode } from './bootstrap-node.ts'

/** Whether the peer is a node of the overlay, and why not. */
export type OverlayState =
  | { readonly type: 'running' }
  /** `offline`: the peer was started for its store alone. `disabled`: `config.json` says so. */
  | { readonly type: 'off'; readonly reason: 'offline' | 'disabled' }
  /** No UDP socket could be opened, for the reason in `detail`. The rest of the peer works. */
  | { readonly type: 'unavailable'; readonly detail: string }
  | { readonly type: 'stopped' }

/** How far the node has come in joining the overlay (row C19). */
export type BootstrapState =
  /** No bootstrap node is configured, none was met on the LAN, and none is remembered. */
  | { readonly type: 'alone' }
  /** `asked`: addresses being tried; 0 while names are looked up. */
  | { readonly type: 'trying'; readonly asked: number }
  | { readonly type: 'bootstrapped' }
  /** None of `asked` addresses answered; `unresolved` names have no address at present. */
  | {
      readonly type: 'failed'
      readonly asked: number
      readonly unresolved: number
      /** Milliseconds from now until the next try. */
      readonly nextTryInMs: number
    }

/** One node at one address. */
export interface OverlayContact {
  readonly nodeId: NodeId
  /** X25519, 32 bytes: `nodeId` is its SHA-256. */
  readonly publicKey: Uint8Array
  readonly endpoint: Endpoint
}

/** What `dht info` shows. Counts are of now, counters since the start. */
export interface OverlayInfo {
  readonly state: OverlayState
  readonly nodeId: NodeId
  /** The node's own overlay key, X25519, 32 bytes: what others put in front of `@host:port` to bootstrap from it. */
  readonly publicKey: Uint8Array
  /** Where its sockets can be reached: addresses of this machine, with the port. */
  readonly endpoints: readonly Endpoint[]
  /** Its own endpoint as others see it; undefined: nobody has told yet. */
  readonly observed: Endpoint | undefined
  /** A client asks and is never in others' tables. */
  readonly mode: 'server' | 'client'
  readonly bootstrap: BootstrapState
  /** Contacts in the routing table. */
  readonly contacts: number
  /** Buckets that hold a contact, the farthest (255, half of all ids) first. */
  readonly buckets: readonly { readonly bucket: number; readonly contacts: number }[]
  /** Estimated nodes in the whole overlay, this one included, from how dense the closest ones lie. */
  readonly networkSize: number
  /** Records of others and of oneself that this node keeps. */
  readonly records: { readonly count: number; readonly bytes: number }
  /** Signed records of one's own that are published again while the peer is up, restarts included. */
  readonly ownRecords: number
  /** Encrypted sessions with other nodes. */
  readonly sessions: number
  /** Dropped input, failed sends and more, by reason. */
  readonly counters: Readonly<Record<string, number>>
}

export interface OverlayPut {
  /** 32 bytes: under what the record is found. */
  readonly key: Uint8Array
  /** Nodes that took it when the answer was given (at least the quorum); the rest of the 20 closest follow. */
  readonly replicas: number
  /** Bytes of the whole encoded record. */
  readonly size: number
  readonly cost: LookupCost
}

export interface OverlayPutSigned extends OverlayPut {
  /** Ed25519, 32 bytes: the device key that signed; `peerIdToKey` of the own peer id. */
  readonly publicKey: Uint8Array
  readonly sequence: number
  /** Whether the record is on disk and will be published again after a restart; false on a full disk. */
  readonly isKept: boolean
}

export interface OverlayFound {
  readonly record: OverlayRecord
  /** Bytes of the whole encoded record. */
  readonly size: number
  readonly cost: LookupCost
}

/** A closed union: the engine's own errors (row E25) and what the host adds. */
export type OverlayError =
  | KademliaError
  /** The peer runs without the overlay: see `OverlayState`. */
  | { readonly type: 'overlay-off'; readonly reason: 'offline' | 'disabled' | 'no-udp'; readonly detail: string }
  /** A record without a value is none. */
  | { readonly type: 'empty-value' }
  /** The encoded record would have `size` bytes. */
  | { readonly type: 'record-too-large'; readonly size: number; readonly sizeMax: number }
  | { readonly type: 'salt-too-long'; readonly size: number; readonly sizeMax: number }
  /** So many salts have a signed record of one's own already. */
  | { readonly type: 'too-many-own-records'; readonly recordsMax: number }
  /** No address stands behind the name now. */
  | { readonly type: 'unresolved'; readonly address: string }

/** A node behind a NAT that was reached (row D16). */
export interface OverlayPunched {
  /** Where it is reached as long as both send there now and then. */
  readonly endpoint: Endpoint
  /** What it took, from the first question to the rendezvous on. */
  readonly ms: number
  /** One's own endpoint as the node sees it. */
  readonly observed: Endpoint | undefined
}

/** `PunchFailure` says what each reason means. */
export type OverlayPunchError = OverlayError | { readonly type: 'punch-failed'; readonly reason: PunchFailure }

/**
 * The overlay of one peer, as apps see it. Nothing here throws; after `stop` of the peer every call gives `stopped`.
 * Salts and values are bytes; a text is given as its UTF-8.
 */
export interface OverlayHandle {
  info(): OverlayInfo
  /** The contacts in the routing table, at most `limit` (default 20, up to 200), most recently heard first. */
  contacts(limit?: number): readonly OverlayContact[]
  /** Stores a value under its SHA-256 and publishes it again while the peer is up. */
  putValue(value: Uint8Array): Promise<Result<OverlayPut, OverlayError>>
  /**
   * Signs `value` with the device key under the next sequence, stores it under SHA-256(device key ‖ salt), and publishes
   * it again while the peer is up, restarts included (row I07). `salt`: at most 64 bytes. Where there is nobody to store it
   * now, the error says so, and it is stored as soon as there is.
   */
  putSigned(salt: Uint8Array, value: Uint8Array): Promise<Result<OverlayPutSigned, OverlayError>>
  /** `key`: 32 bytes. */
  get(key: Uint8Array): Promise<Result<OverlayFound, OverlayError>>
  /** The newest record of a device (`publicKey` = `peerIdToKey`) under `salt` (row I08). */
  getSigned(publicKey: Uint8Array, salt: Uint8Array): Promise<Result<OverlayFound, OverlayError>>
  /** The nodes closest to `target`, 32 bytes, closest first. */
  findNode(
    target: Uint8Array,
  ): Promise<Result<{ readonly contacts: readonly OverlayContact[]; readonly cost: LookupCost }, OverlayError>>
  /**
   * `observed`: one's own endpoint as the node sees it. A node that does not answer there, and that is known as a client
   * (`addClients`), is reached through its rendezvous.
   */
  ping(
    publicKey: Uint8Array,
    endpoint: Endpoint,
  ): Promise<Result<{ readonly ms: number; readonly observed: Endpoint | undefined }, OverlayError>>
  /**
   * Reaches a node behind a NAT through one of its rendezvous, which are asked one after the other, 3 at most (row D16:
   * hole_punch). Fails with the last one's reason.
   */
  punch(
    publicKey: Uint8Array,
    rendezvous: OverlayClient['rendezvous'],
  ): Promise<Result<OverlayPunched, OverlayPunchError>>
  /** Servers through which this node is reached from behind a NAT: what to tell others of it. Empty where it needs none. */
  rendezvous(): OverlayClient['rendezvous']
  /** Tells of nodes behind NATs, as device records name them: claims, of which the latest 512 are remembered. */
  addClients(clients: readonly OverlayClient[]): void
  /** Joins through these nodes, and remembers none of them that stays silent (row C19). */
  bootstrap(
    nodes: readonly BootstrapNode[],
  ): Promise<Result<{ readonly contacts: number; readonly cost: LookupCost }, OverlayError>>
}
