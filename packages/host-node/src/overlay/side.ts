import type { OverlayHandle } from './handle.ts'

/** The overlay as the host of a peer drives it. */
export interface OverlaySide extends OverlayHandle {
  /** `port`: where the peer listens for links; the overlay takes the same number where it can. Never fails: see `info`. */
  start(port: number): Promise<void>
  /** Whether the LAN is told of this node. */
  setDiscoverable(isTold: boolean): void
  /** The addresses of this machine changed. */
  networkChanged(): void
  stop(): Promise<void>
}
