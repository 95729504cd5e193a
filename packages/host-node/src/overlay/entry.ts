// What an app needs to read and write the names of nodes, without loading the rest of the host.
export { formatEndpoint } from '@miaou/protocol'
export { bootstrapText, parseBootstrapNode } from './bootstrap-node.ts'
export { isAdmissiblePublicKey } from './public-key.ts'
export { resolveNodes } from './resolve.ts'
