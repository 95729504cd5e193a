import type { Result } from '@miaou/core'
import type { OverlayHint, OwnOverlayNode } from '@miaou/peer'
import type { OverlayError, OverlayHandle, OverlayPut } from './handle.ts'

/** The overlay as the host of a peer drives it. */
export interface OverlaySide extends OverlayHandle {
  /** `port`: where the peer listens for links; the overlay takes the same number where it can. Never fails: see `info`. */
  start(port: number): Promise<void>
  /** Whether the LAN is told of this node. */
  setDiscoverable(isTold: boolean): void
  /** The addresses of this machine changed. */
  networkChanged(): void
  /** Stores a record that was made elsewhere, under a key of its own; whoever made it makes it anew before it expires. */
  putRecord(record: Uint8Array): Promise<Result<OverlayPut, OverlayError>>
  /** Service records of relays that nodes of the overlay tell of: claims, at most two of each of a few nodes asked. */
  services(): Promise<readonly Uint8Array[]>
  /** What this node tells those who ask it: its own relay's record, and those known, verified and still good. */
  setServices(own: Uint8Array | undefined, known: readonly Uint8Array[]): void
  /** Linked contacts told of their nodes: claims, asked like those of the LAN. */
  hint(hints: readonly OverlayHint[]): void
  /** `listener` hears what linked contacts are to be told of this node, whenever it changes. */
  onOwnNode(listener: (node: OwnOverlayNode) => void): void
  stop(): Promise<void>
}
