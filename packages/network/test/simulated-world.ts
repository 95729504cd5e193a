import type { PeerId } from '@miaou/core'
import type { FrameType } from '@miaou/protocol'
import type { Network, NetworkOptions } from '../src/connection-manager.ts'
import type { CloseReason, NetworkEvent } from '../src/interface.ts'
import type { PipeId, TransportKind } from '../src/ports.ts'
import type { TestIdentity } from './identities.ts'

export interface SimulatorOptions {
  readonly seed: number
  /** One way, ms. */
  readonly delayMin: number
  readonly delayMax: number
  /** Of channel 1. */
  readonly lossShare: number
  readonly padded: boolean
  readonly webrtcFails: boolean
  /** Share of the messages beside which somebody slips a cut, changed, repeated or foreign one into the pipe. */
  readonly forgeShare: number
  /** Planted faults, for the tests of the checkers. */
  readonly fault?: 'drop' | 'double' | 'swap' | 'same-ephemeral'
}

export const defaultSimulatorOptions: SimulatorOptions = {
  seed: 1,
  delayMin: 1,
  delayMax: 20,
  lossShare: 0.1,
  padded: false,
  webrtcFails: false,
  forgeShare: 0,
}

export interface End {
  readonly node: SimNode
  readonly id: PipeId
  /** Time of the last ordered delivery to this end. */
  orderedAt: number
  isOpen: boolean
  isClosed: boolean
}

/** A relay between nodes: a silent one lets nothing through, and tells nobody. */
export interface SimRelay {
  readonly url: string
  readonly relayId: Uint8Array
  isSilent: boolean
}

export interface SimPipe {
  readonly transport: TransportKind
  readonly ends: readonly [End, End]
  readonly relay: SimRelay | undefined
  /** Nothing arrives any more, and nobody is told. */
  isBlackHole: boolean
  /** It died, or one end ended it on purpose: what was under way may be lost. */
  hasDied: boolean
}

export interface Sent {
  readonly from: SimNode
  readonly to: PeerId
  readonly number: number
  readonly fleeting: boolean
  readonly isLarge: boolean
  pipes: Set<SimPipe>
}

export interface Peering {
  readonly offerer: SimNode
  readonly offererPipe: PipeId
  readonly fingerprint: Uint8Array
  answerer?: SimNode
  answererPipe?: PipeId
  answererFingerprint?: Uint8Array
}

export interface SimNode {
  readonly name: string
  readonly identity: TestIdentity
  readonly options: Partial<NetworkOptions>
  network: Network
  isUp: boolean
  /** Whether a dial from outside gets through to it: behind a NAT none does. */
  isOpen: boolean
  /** Nothing comes in or goes out before. */
  cutUntil: number
  starts: number
  readonly frames: { readonly from: PeerId; readonly frameType: FrameType; readonly payload: Uint8Array }[]
  readonly linked: Set<PeerId>
  readonly downs: CloseReason[]
  readonly events: NetworkEvent[]
  readonly pongs: { readonly id: number; readonly latencyMs: number }[]
}
