export type { MessagingIdentity } from './context.ts'
export type { DeadlineBounds, DeliveryKey, DeliveryQueue, DeliveryRecord, QueuedDelivery } from './delivery-queue.ts'
export { SqlDeliveryQueue } from './delivery-queue.ts'
export type {
  CommandError,
  CommandResults,
  FleetingEvent,
  MessagingCommand,
  MessagingEvent,
  MessagingInput,
  MessagingOutput,
  MessagingStats,
  Notice,
  StoredEvent,
  WantedPeer,
} from './interface.ts'
export type { MessagingLimits } from './limits.ts'
export { defaultMessagingLimits } from './limits.ts'
export type { MessagingOptions } from './messaging.ts'
export { Messaging } from './messaging.ts'
export type { MigrationError } from './migrations.ts'
export { migrate, schemaVersion } from './migrations.ts'
export type { OutgoingMessage } from './model.ts'
export type { SqlRow, SqlValue, Store, StoreErrorKind } from './store.ts'
export { StoreFailure } from './store.ts'
export type {
  ContactReport,
  ContactState,
  ContactView,
  DeliveryView,
  HolderView,
  IdentityView,
  MessageState,
  MessageView,
  Settings,
  StateReason,
} from './views.ts'
export { defaultSettings } from './views.ts'
