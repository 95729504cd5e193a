export type { GossipMessage, SendOptions } from './client.ts'
export { connect, MiaouClient } from './client.ts'
export type { Connection, EventOptions } from './connection.ts'
export type { ErrorCode, ErrorFacts, MiaouErrorOptions } from './error.ts'
export { errorKinds, isErrorCode, MiaouError } from './error.ts'
export { EventQueue, eventsBufferedMax } from './event-queue.ts'
export type { Operation, OperationInput, OperationName, OperationOutput } from './operations.ts'
export { commonErrors, operationNames, operations } from './operations.ts'
export type {
  Contact,
  ContactReport,
  ContactState,
  Identity,
  Invite,
  SafetyNumber,
  Settings,
} from './schema/contacts.ts'
export {
  contactReportSchema,
  contactSchema,
  identitySchema,
  inviteSchema,
  safetyNumberSchema,
  settingsSchema,
} from './schema/contacts.ts'
export type { DiagnosisPart, Diagnostic, DiagnosticCode } from './schema/diagnosis.ts'
export { diagnosisPartSchema, diagnosticCodes, diagnosticSchema, isDiagnosticCode } from './schema/diagnosis.ts'
export type { EventFrame, FleetingNews, MiaouEvent, NetworkNews, News, Notice, StoredNews } from './schema/events.ts'
export { eventFrameSchema, gossipNewsSchema, miaouEventSchema, noticeSchema } from './schema/events.ts'
export type { GossipInfo, GossipPublished } from './schema/gossip.ts'
export { gossipInfoSchema, gossipPublishedSchema } from './schema/gossip.ts'
export { accountIdSchema, messageIdSchema, peerIdSchema, timeSchema, whoSchema } from './schema/ids.ts'
export type { Key, KeyKind } from './schema/keys.ts'
export { hexSchema, keyIdSchema, keyKindSchema, keySchema } from './schema/keys.ts'
export type { CloseReason, LinkFailure } from './schema/link-error.ts'
export { closeReasonSchema } from './schema/link-error.ts'
export type { Delivery, Holder, Message, MessageState, StateReason } from './schema/messages.ts'
export { messageSchema, messageStateSchema, stateReasonSchema } from './schema/messages.ts'
export type {
  Connected,
  ConnectionState,
  ConnectionView,
  NetworkInfo,
  PeerView,
  Ping,
  TransportKind,
} from './schema/network.ts'
export {
  connectedSchema,
  networkInfoSchema,
  peerViewSchema,
  pingSchema,
} from './schema/network.ts'
export type {
  BootstrapState,
  LookupCost,
  OverlayClosest,
  OverlayContact,
  OverlayFound,
  OverlayInfo,
  OverlayJoined,
  OverlayPong,
  OverlayPut,
  OverlayPutSigned,
  OverlayRecord,
  OverlayState,
  OverlaySummary,
} from './schema/overlay.ts'
export {
  nodeAddressSchema,
  nodeIdSchema,
  overlayClosestSchema,
  overlayContactSchema,
  overlayFoundSchema,
  overlayInfoSchema,
  overlayJoinedSchema,
  overlayPongSchema,
  overlayPutSchema,
  overlayPutSignedSchema,
  overlaySummarySchema,
  recordKeySchema,
} from './schema/overlay.ts'
export type {
  Bandwidth,
  Connectivity,
  Mailbox,
  NatType,
  Path,
  PortMapping,
  Relay,
  Serving,
  WhyNotBetter,
} from './schema/reach.ts'
export {
  mailboxAddressSchema,
  mailboxSchema,
  natTypeSchema,
  pathSchema,
  relayAddressSchema,
  relaySchema,
  servingSchema,
} from './schema/reach.ts'
