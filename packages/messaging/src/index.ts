export type { MessagingIdentity } from './context.ts'
export type {
  CommandError,
  CommandResults,
  FleetingEvent,
  MessagingCommand,
  MessagingEvent,
  MessagingInput,
  MessagingOutput,
  MessagingStats,
  StoredEvent,
  WantedPeer,
} from './interface.ts'
export type { MessagingLimits } from './limits.ts'
export { defaultMessagingLimits } from './limits.ts'
export type { DeadlineBounds, DeliveryKey, DeliveryRecord, MessageQueue, QueuedDelivery } from './message-queue.ts'
export { SqlMessageQueue } from './message-queue.ts'
export type { MessagingOptions } from './messaging.ts'
export { Messaging } from './messaging.ts'
export type { MigrationError } from './migrations.ts'
export { migrate, schemaVersion } from './migrations.ts'
export type { OutgoingMessage } from './model.ts'
export type { SqlRow, SqlValue, Store, StoreErrorKind } from './store.ts'
export { StoreFailure } from './store.ts'
export type {
  ContactState,
  ContactView,
  DeliveryView,
  IdentityView,
  MessageState,
  MessageView,
  Settings,
  StateReason,
} from './views.ts'
export { defaultSettings } from './views.ts'
