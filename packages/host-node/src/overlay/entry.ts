// What an app needs to read and write the names of nodes and relays, without loading the rest of the host.
export {
  formatCircuitAddress,
  formatEndpoint,
  formatRelayAddress,
  isRelayUrl,
  parseCircuitAddress,
  parseRelayAddress,
} from '@miaou/protocol'
export { bootstrapText, parseBootstrapNode } from './bootstrap-node.ts'
export { isAdmissiblePublicKey } from './public-key.ts'
export { resolveNodes } from './resolve.ts'
