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
} from './interface.ts'
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
