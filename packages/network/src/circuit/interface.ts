import type { Now } from '@miaou/core'
import type { AddressScope, CircuitAddress, RelayAddress, RelayTerms } from '@miaou/protocol'
import type { ChannelIndex, PipeId, TransportEvent } from '../ports.ts'

/** A STUN or TURN server, as W3C WebRTC writes it. */
export interface IceServerUrl {
  readonly urls: string
  readonly username?: string
  readonly credential?: string
}

/** Where a relay stands in our use of it, as shown. */
export interface RelayView {
  readonly relay: RelayAddress
  readonly state: 'connecting' | 'connected' | 'reserved' | 'refused' | 'unreachable'
  /** Own way through it while `reserved`. */
  readonly address?: CircuitAddress
  readonly latencyMs?: number
  readonly terms?: RelayTerms
  /** The relay's wall clock minus ours, ms, less half a round trip. */
  readonly clockOffsetMs?: number
  /** Where the relay sees us from (`203.0.113.5:4000`). */
  readonly observed?: string
  /** Why it is not `reserved`, for people. */
  readonly error?: string
  /** Monotonic ms. */
  readonly nextTryAt?: number
  readonly circuits: number
}

/** The client's half of circuits: links with relays, reservations there, and circuits as pipes for `Network`. */
export type CircuitsInput =
  /** Relays at which a reservation is wanted, best first; the whole list. The first `reservationsMax` that answer are kept. */
  | { readonly type: 'relays'; readonly relays: readonly RelayAddress[] }
  /** Events of the pipes that this engine dialled (`CircuitsOutput` `relay-dial`). */
  | { readonly type: 'transport'; readonly event: TransportEvent }
  /** What `Network` asks of the transport `circuit`. */
  | { readonly type: 'dial'; readonly pipe: PipeId; readonly address: string }
  /**
   * A way to the mailbox service at a URL (spec/circuits C1) through a relay that holds a reservation of ours. Its events
   * come as those of circuits; one that fails ends with `unavailable` (no relay is linked, or none does it), `unreachable`
   * (a relay says that nothing answers there), `timeout`, `too-many-pipes` or `bad-address`.
   */
  | { readonly type: 'dial-service'; readonly pipe: PipeId; readonly url: string }
  /** Of circuits and of ways to services. */
  | { readonly type: 'write'; readonly pipe: PipeId; readonly channel: ChannelIndex; readonly bytes: Uint8Array }
  | { readonly type: 'close'; readonly pipe: PipeId }
  /** Measures the way to a relay that is linked (round trip, bandwidth down and up): answered by `measured`. */
  | { readonly type: 'measure'; readonly id: number; readonly relay: RelayAddress }
  /** Sleep, wake or a changed network: every link with a relay is doubted, everything is tried again at once. */
  | { readonly type: 'network-changed' }
  | { readonly type: 'wake' }
  | { readonly type: 'stop' }

export type CircuitsOutput =
  /** A WebSocket with the relays' subprotocol; its pipe belongs to this engine. */
  | { readonly type: 'relay-dial'; readonly pipe: PipeId; readonly url: string }
  | { readonly type: 'write'; readonly pipe: PipeId; readonly channel: ChannelIndex; readonly bytes: Uint8Array }
  | { readonly type: 'close'; readonly pipe: PipeId }
  /** `opened` (transport `circuit`, 1 channel, padded), `path`, `message`, `closed` of a circuit, or of a way to a service. */
  | { readonly type: 'event'; readonly event: TransportEvent }
  /** Own reservations or their addresses changed; the whole list, best first. */
  | { readonly type: 'reservations'; readonly addresses: readonly CircuitAddress[] }
  /** STUN and TURN servers that relays offer now; the whole list. */
  | { readonly type: 'ice-servers'; readonly servers: readonly IceServerUrl[] }
  | {
      readonly type: 'measured'
      readonly id: number
      readonly result:
        | {
            readonly ok: true
            readonly latencyMs: number
            readonly downBytesPerSecond: number
            readonly upBytesPerSecond: number
          }
        | { readonly ok: false; readonly detail: string }
    }

/** What a peer needs of the engine that makes circuits. */
export interface CircuitsEngine {
  handle(now: Now, input: CircuitsInput): CircuitsOutput[]
  /** Monotonic ms of the next wake, Infinity for none. An early or repeated wake changes nothing. */
  deadline(): number
  /**
   * Whether a pipe is a circuit of this engine, dialled or come in, or a way to a service: from its dial or `opened` to its
   * `closed`.
   */
  owns(pipe: PipeId): boolean
  views(): readonly RelayView[]
  counters(): Readonly<Record<string, number>>
}

/** The relay's half: forwards bytes between two peers that each hold a link with it, and can read none of them. */
export type RelayServiceInput =
  /** Events of pipes that came in with the relays' subprotocol, and of those that `service-dial` asked for. */
  | { readonly type: 'transport'; readonly event: TransportEvent }
  /** Bytes that still wait in the socket of a pipe, told when they fall under the mark the engine was made with. */
  | { readonly type: 'drained'; readonly pipe: PipeId }
  | { readonly type: 'wake' }
  | { readonly type: 'stop' }

export type RelayServiceOutput =
  /**
   * A WebSocket with the mailboxes' subprotocol; its pipe belongs to this engine. `nearest`: how near the address may be
   * that the URL leads to, also by name: who asks could not be sent nearer by it.
   */
  | {
      readonly type: 'service-dial'
      readonly pipe: PipeId
      readonly url: string
      readonly nearest: AddressScope
    }
  | { readonly type: 'write'; readonly pipe: PipeId; readonly channel: ChannelIndex; readonly bytes: Uint8Array }
  | { readonly type: 'close'; readonly pipe: PipeId }
