export type { StartMark } from '@miaou/protocol'
export type { CircuitsOptions } from './circuit/circuits.ts'
export { Circuits } from './circuit/circuits.ts'
export type { CircuitsLimits } from './circuit/circuits-limits.ts'
export { defaultCircuitsLimits, defaultRelayLinkLimits } from './circuit/circuits-limits.ts'
export type {
  CircuitsEngine,
  CircuitsInput,
  CircuitsOutput,
  IceServerUrl,
  RelayServiceInput,
  RelayServiceOutput,
  RelayView,
} from './circuit/interface.ts'
export type { RelayServiceOptions, RelayServiceView } from './circuit/relay-service.ts'
export { RelayService } from './circuit/relay-service.ts'
export type { RelayLimits } from './circuit/relay-service-limits.ts'
export { defaultRelayLimits } from './circuit/relay-service-limits.ts'
export type { NetworkOptions } from './connection-manager.ts'
export { Network } from './connection-manager.ts'
export type { DatagramsLimits } from './datagrams/datagrams-limits.ts'
export { defaultDatagramsLimits } from './datagrams/datagrams-limits.ts'
export type { DatagramsFailure, DatagramsInput, DatagramsOutput } from './datagrams/interface.ts'
export type { DatagramsHeld, SecureDatagramsOptions } from './datagrams/secure-datagrams.ts'
export { SecureDatagrams } from './datagrams/secure-datagrams.ts'
export type {
  CloseReason,
  ConnectionState,
  ConnectionStats,
  ConnectionView,
  LinkError,
  NetworkEvent,
  NetworkInput,
  NetworkOutput,
  WhyNotBetter,
} from './interface.ts'
export type { Leftover, LinkOptions, LinkOutput } from './link.ts'
export { Link } from './link.ts'
export type { LinkIdentity, LinkIdentity as NetworkIdentity, LinkPeer } from './link-handshake.ts'
export type { LinkLimits } from './link-limits.ts'
export { defaultLinkLimits, paddingBuckets } from './link-limits.ts'
export type {
  BoxStock,
  BoxSupply,
  DepositResult,
  FetchedEnvelope,
  MailboxesEngine,
  MailboxesInput,
  MailboxesOutput,
  MailboxServiceInput,
  MailboxServiceOutput,
  MailboxView,
  MessageQueue,
  QueueFailure,
  QueueOperation,
  QueueResult,
  TokenStatus,
} from './mailbox/interface.ts'
export type { MailboxServiceOptions, MailboxServiceView } from './mailbox/mailbox-service.ts'
export { MailboxService } from './mailbox/mailbox-service.ts'
export type { MailboxServiceLimits } from './mailbox/mailbox-service-limits.ts'
export { defaultMailboxServiceLimits } from './mailbox/mailbox-service-limits.ts'
export type { QueueLimits, QueueTotals } from './mailbox/mailbox-service-queue.ts'
export { defaultQueueLimits, nextQueueClock, queueDeadline } from './mailbox/mailbox-service-queue.ts'
export type { MailboxesOptions } from './mailbox/mailboxes.ts'
export { Mailboxes } from './mailbox/mailboxes.ts'
export type { MailboxesLimits } from './mailbox/mailboxes-limits.ts'
export { defaultMailboxesLimits, defaultMailboxLinkLimits } from './mailbox/mailboxes-limits.ts'
export type { BoxPseudonym } from './mailbox/mailboxes-state.ts'
export type { FoundationFacts, GatheredCandidate, IceCandidateType } from './nat/ice-priority.ts'
export {
  createIceFoundations,
  iceLocalPreferenceMax,
  icePairPriority,
  icePriority,
  iceTypePreferences,
  rankCandidates,
} from './nat/ice-priority.ts'
export type { ConnectivityCandidate, ConnectivityReport, NatType, ServerReport } from './nat/interface.ts'
export type {
  NatDetectionOptions,
  NatFindings,
  NatInput,
  NatOutput,
  NatSocket,
  StunServer,
} from './nat/nat-detection.ts'
export { NatDetection } from './nat/nat-detection.ts'
export type { NatLimits } from './nat/nat-limits.ts'
export { defaultNatLimits } from './nat/nat-limits.ts'
export { natPairIsDirect, natTypeOf, optimalTransport, requiresRelay } from './nat/nat-type.ts'
export type { NetworkLimits } from './network-limits.ts'
export { defaultNetworkLimits } from './network-limits.ts'
export { shouldInitiateConnection } from './network-state.ts'
export type {
  Advertisement,
  ChannelBinding,
  ChannelIndex,
  DiscoveredPeer,
  Discovery,
  DiscoveryError,
  IceCandidate,
  PipeId,
  PipePath,
  SessionDescription,
  SignalledTransport,
  Transport,
  TransportError,
  TransportEvent,
  TransportHost,
  TransportKind,
} from './ports.ts'
