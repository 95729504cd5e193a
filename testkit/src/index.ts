export type { MessageQueueHarness, MessageQueueTraits } from './contracts/delivery-queue.ts'
export { describeDeliveryQueueContract } from './contracts/delivery-queue.ts'
export {
  describeDiscoveryContract,
  freshAdvertisement,
  untilGone,
  untilPeers,
  untilSeen,
} from './contracts/discovery.ts'
export type { QueueHarness } from './contracts/message-queue.ts'
export { describeMessageQueueContract, messageQueueFaults } from './contracts/message-queue.ts'
export { freshPipe, RecordingHost, startRecorded } from './contracts/recording-host.ts'
export type { StoreContractOptions, StoreHarness } from './contracts/store.ts'
export { describeStoreContract } from './contracts/store.ts'
export type { SignalledTransportPair, TransportPair, TransportTraits } from './contracts/transport.ts'
export { describeSignalledTransportContract, describeTransportContract } from './contracts/transport.ts'
export type { DiskFullReport } from './disk-full.ts'
export { MemoryDiscovery, MemoryLan } from './memory-discovery.ts'
export { MemoryMessageQueue } from './memory-message-queue.ts'
export type { MemoryHubOptions, MemoryTransportOptions } from './memory-transport.ts'
export {
  defaultMemoryHubOptions,
  defaultMemoryTransportOptions,
  MemoryHub,
  MemoryTransport,
} from './memory-transport.ts'
