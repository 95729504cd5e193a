import type { OverlayNodeError } from '@miaou/peer/overlay'
import { formatEndpoint } from '@miaou/protocol'
import type { OverlayError } from './handle.ts'

/** What the node says, in the words of the handle: nobody stands behind an address that no node can have. */
export function replyError(error: OverlayNodeError): OverlayError {
  if (error.type !== 'inadmissible-endpoint') return error
  return { type: 'unresolved', address: formatEndpoint(error.endpoint) }
}
