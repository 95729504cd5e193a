import type {
  CommandError,
  CommandResults,
  ContactReport,
  ContactView,
  FleetingEvent,
  IdentityView,
  MessageView,
  MessagingEvent,
  Settings,
} from '@miaou/messaging'
import type { LinkError, ConnectionView as LinkView, NetworkEvent, TransportError } from '@miaou/network'
import { expect, test } from 'vitest'
import type { ErrorCode } from '../src/error.ts'
import type {
  ContactReport as ApiReport,
  Settings as ApiSettings,
  Contact,
  Identity,
  Invite,
  SafetyNumber,
} from '../src/schema/contacts.ts'
import type { FleetingNews, NetworkNews, StoredNews } from '../src/schema/events.ts'
import type { LinkFailure } from '../src/schema/link-error.ts'
import type { Message } from '../src/schema/messages.ts'
import type { ConnectionView } from '../src/schema/network.ts'

/** A type without brands and readonly: ids are plain text in the API. */
type Plain<T> = T extends string
  ? T extends { readonly __brand: string }
    ? string
    : T
  : T extends number | boolean | undefined
    ? T
    : T extends readonly (infer Item)[]
      ? Plain<Item>[]
      : { -readonly [K in keyof T]: Plain<T[K]> }

type Equal<A, B> = (<T>() => T extends Plain<A> ? 1 : 2) extends <T>() => T extends Plain<B> ? 1 : 2 ? true : false

/** Every error of the libraries below the API has a code in it. */
type MissingCodes = Exclude<(CommandError | LinkError | TransportError)['type'], ErrorCode>

/** Does not compile once a view of the engines and its schema differ. */
const mirrors: {
  readonly identity: Equal<IdentityView, Identity>
  readonly contact: Equal<ContactView, Contact>
  readonly report: Equal<ContactReport, ApiReport>
  readonly message: Equal<MessageView, Message>
  readonly settings: Equal<Settings, ApiSettings>
  readonly safetyNumber: Equal<CommandResults['safety-number'], SafetyNumber>
  readonly invite: Equal<CommandResults['invite-create'], Invite>
  readonly storedNews: Equal<MessagingEvent, StoredNews>
  readonly fleetingNews: Equal<FleetingEvent, FleetingNews>
  readonly networkNews: Equal<NetworkEvent, NetworkNews>
  readonly connection: Equal<LinkView, ConnectionView>
  readonly linkError: Equal<LinkError, LinkFailure>
  readonly codes: Equal<MissingCodes, never>
  /** The check itself is checked: a view that lacks a field must be told apart. */
  readonly planted: Equal<Omit<MessageView, 'nextTryAt'>, Message>
} = {
  identity: true,
  contact: true,
  report: true,
  message: true,
  settings: true,
  safetyNumber: true,
  invite: true,
  storedNews: true,
  fleetingNews: true,
  networkNews: true,
  connection: true,
  linkError: true,
  codes: true,
  planted: false,
}

test('the schemas of the API mirror the views of the engines (held by the type check)', () => {
  expect(Object.values(mirrors).filter((isEqual) => !isEqual)).toHaveLength(1)
})
