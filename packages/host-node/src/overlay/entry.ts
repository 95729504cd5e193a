// What an app needs to read and write the names of nodes and relays, without loading the rest of the host.
export {
  formatCircuitAddress,
  formatEndpoint,
  formatRelayAddress,
  isRelayUrl,
  overlayClientToTexts,
  parseCircuitAddress,
  parseRelayAddress,
  textToOverlayClient,
} from '@miaou/protocol'
export { bootstrapText, parseBootstrapNode } from './bootstrap-node.ts'
export { isAdmissiblePublicKey } from './public-key.ts'
export { resolveNodes } from './resolve.ts'
