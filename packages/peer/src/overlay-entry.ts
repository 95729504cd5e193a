// The node of the overlay: apart, since a peer that stays offline starts without its engines.
export type {
  OverlayNodeCommand,
  OverlayNodeContact,
  OverlayNodeError,
  OverlayNodeInput,
  OverlayNodeOutput,
  OverlayNodeReply,
} from './overlay-interface.ts'
export type { OverlayNodeInfo, OverlayNodeOptions } from './overlay-node.ts'
export { OverlayNode } from './overlay-node.ts'
