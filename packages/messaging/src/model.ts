import type { AccountId, MessageId, PeerId, SessionId } from '@miaou/core'
import type { RatchetState } from '@miaou/crypto'
import type { BoxAddress } from '@miaou/protocol'
import type { ContactState } from './views.ts'

/** A person, as kept in memory; the table `contacts` is the truth. `stranger`: has a session and has not written yet. */
export interface Contact {
  readonly id: number
  /** These two change only when the person accepts a changed account key. */
  account: AccountId
  accountKey: Uint8Array
  state: ContactState | 'stranger'
  /** What they call themselves. */
  name: string
  /** What we call them; empty for none. */
  alias: string
  verified: boolean
  forked: boolean
  /** A key of theirs changed, and the person has not looked yet. */
  changed: 'account-key' | 'session-key' | undefined
  /** What came with their request; empty for none. */
  note: string
  /** Verified entries of the device list, oldest first. */
  deviceList: readonly Uint8Array[]
  /** By this key they recognise us on the LAN. */
  ownHintKey: Uint8Array | undefined
  /** By this key we recognise them. */
  hintKey: Uint8Array | undefined
  /** Of the invite that brought us, until they have answered. */
  inviteToken: Uint8Array | undefined
  unreadCount: number
  messageCount: number
  readonly addedAt: number
  lastMessageAt: number | undefined
  readonly devices: Device[]
}

/** A device of a person. `claimed`: an invite named it, its account's list has not confirmed it yet. */
export interface Device {
  readonly id: number
  readonly peerId: PeerId
  readonly key: Uint8Array
  readonly contact: Contact
  state: 'claimed' | 'listed' | 'revoked'
  /** Pinned: what its first certificate said. */
  sessionKey: Uint8Array | undefined
  /** As its invites named them, the last one's first. */
  addresses: readonly string[]
  /** As its latest record named them, best first. */
  ways: readonly string[]
  /** Sequence of that record, 0 for none: an older one changes nothing. */
  waysSequence: number
  /** Where its records are found; undefined: it never told. */
  locatorKey: Uint8Array | undefined
  /** Where messages for it can be left, as its latest record named them. */
  mailboxes: readonly BoxAddress[]
  /** 32 bytes: where the overlay has the manifest of its last-resort bundle. */
  bundleKey: Uint8Array | undefined
  /** Its X-Wing key, by which what is left in a mailbox is sealed. `at`: wall-clock ms at which it told us. */
  sealingKey: { readonly id: number; readonly key: Uint8Array; readonly at: number } | undefined
  /** 32 bytes it gave us: our delivery tokens for its boxes come from it. */
  depositSecret: Uint8Array | undefined
  /** 32 bytes we gave it. */
  ownDepositSecret: Uint8Array | undefined
  /** The latest start of it that we saw, as it signed it. */
  startMark: Uint8Array | undefined
  /** Id of the hello we owe it; undefined when it has answered. */
  helloId: Uint8Array | undefined
  /** In order of preference for sending; undefined until read from the store. */
  sessions: Session[] | undefined
  /** Only while a link with it stands and its account's list confirms it. */
  lane: Lane | undefined
  /** Messages in a row that did not decrypt. */
  failures: number
  /** New sessions started since the last message that decrypted. */
  restarts: number
  /** Monotonic ms before which no new session is started. */
  restartAt: number
}

/** One ratchet session with a device. */
export interface Session {
  /** Key of its row. */
  readonly row: number
  readonly id: SessionId
  readonly idBytes: Uint8Array
  readonly generation: number
  readonly associatedData: Uint8Array
  confirmed: boolean
  /** PQXDH header that goes in front until the other side has answered. */
  header: Uint8Array | undefined
  state: RatchetState
  isDirty: boolean
}

/** A message of ours as it was stored. */
export interface OutgoingMessage {
  readonly position: number
  readonly id: MessageId
  readonly idBytes: Uint8Array
  readonly text: string
  readonly sentAt: number
  readonly storedAt: number
  readonly expiresAt: number
}

/** A message on its way to one device, without a receipt. */
export interface InFlight {
  readonly message: OutgoingMessage
  readonly size: number
  /** Sends in all. */
  attempts: number
  readonly refusals: number
  /** Sends since the link or the session began. */
  tries: number
  /** Monotonic ms of the next send. */
  dueAt: number
  /** Its place among the sends of the lane; 0: it must go out again whatever comes back. */
  order: number
}

/** Sending to a linked device. */
export interface Lane {
  readonly inFlight: Map<MessageId, InFlight>
  inFlightSize: number
  /** Sends so far. */
  sendCount: number
  /** Order of the latest send that got its receipt, and monotonic ms of the last receipt. */
  settledOrder: number
  settledAt: number
  /** Not later than the earliest `dueAt`. */
  dueAt: number
  /** Positions up to this one were taken in flight, or passed over. */
  scannedTo: number
  /** There may be deliveries behind `scannedTo`. */
  hasMore: boolean
  /** Monotonic ms until which a burst is held back at random; undefined: none is. */
  gateAt: number | undefined
  /** Monotonic ms at which deliveries that were passed over are looked at again. */
  rescanAt: number
  /** Messages behind `scannedTo` wait for their acceptance, and with them all later ones: the order is kept. */
  isParked: boolean
  /** The first of them, on its way to ask again. */
  probe: MessageId | undefined
  /** Read receipts were sent on this link for messages up to this position. */
  readsTo: number
  /** Of those, the ones whose arrival is not certain yet, oldest first. `at`: monotonic ms. */
  readonly readsTold: { readonly at: number; upTo: number }[]
  /** Monotonic ms of the next hello, while one is owed. */
  helloAt: number
  helloTries: number
  /** Asked for a prekey bundle and waiting. */
  query: { requestId: number; dueAt: number; tries: number } | undefined
  /** The next bundle replaces the sessions there are. */
  wantsRestart: boolean
  /** They showed themselves, so their leaving is news. */
  wasPresent: boolean
}
