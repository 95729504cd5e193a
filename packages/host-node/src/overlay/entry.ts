// What an app needs to read and write the names of nodes, relays and mailboxes, without loading the rest of the host.
export {
  formatCircuitAddress,
  formatEndpoint,
  formatMailboxAddress,
  formatRelayAddress,
  isRelayUrl,
  overlayClientToTexts,
  parseCircuitAddress,
  parseMailboxAddress,
  parseRelayAddress,
  textToOverlayClient,
} from '@miaou/protocol'
export { bootstrapText, parseBootstrapNode } from './bootstrap-node.ts'
export { isAdmissiblePublicKey } from './public-key.ts'
export { resolveNodes } from './resolve.ts'
