import type { Jitter, Now, PeerId, Random } from '@miaou/core'
import { type Crypto, defaultSkippedLimits } from '@miaou/crypto'
import { frameTypes } from '@miaou/protocol'
import { Boxes } from './boxes.ts'
import { ChangedKeys } from './changed-keys.ts'
import { Commands } from './commands.ts'
import { Contacts, contactView } from './contacts.ts'
import { Context, type MessagingIdentity } from './context.ts'
import { Cover } from './cover.ts'
import { SqlDeliveryQueue } from './delivery-queue.ts'
import { DepositTokens } from './deposit-tokens.ts'
import { addressesOf, takeDeviceWays } from './device-ways.ts'
import { Hellos } from './hellos.ts'
import { History } from './history.ts'
import { Holdings } from './holdings.ts'
import { Inbox } from './inbox.ts'
import type { MessagingCommand, MessagingInput, MessagingOutput, WantedPeer } from './interface.ts'
import { Introductions } from './introductions.ts'
import { Journal } from './journal.ts'
import { Lanes } from './lanes.ts'
import { defaultMessagingLimits, type MessagingLimits } from './limits.ts'
import { Links } from './links.ts'
import { MailInbox } from './mail-inbox.ts'
import { Outbox } from './outbox.ts'
import { OwedReceipts } from './owed-receipts.ts'
import { Packing } from './packing.ts'
import { Parcels } from './parcels.ts'
import { Prekeys } from './prekeys.ts'
import { Receipts } from './receipts.ts'
import { Sessions } from './sessions.ts'
import { SettingsTable } from './settings.ts'
import { Starts } from './starts.ts'
import type { Store } from './store.ts'
import type { ContactView } from './views.ts'

export interface MessagingOptions {
  readonly crypto: Crypto
  readonly random: Random
  readonly jitter: Jitter
  /** Migrated (`migrate`) and ours alone. */
  readonly store: Store
  readonly identity: MessagingIdentity
  /** Default `defaultMessagingLimits`, each field on its own. */
  readonly limits?: Partial<MessagingLimits>
}

// How far the clocks may part before it counts as a leap: own choice, above any slew of NTP within a batch.
const leapMs = 1000
// How often what has expired is deleted: own choice; all of it lives for days.
const maintenanceMs = 3_600_000
// Wait after a transaction that failed (a full disk): own choice, a guess.
const failureWaitMs = 1000

/** Commands that write nothing: on a full disk they are answered all the same. */
const readingCommands: ReadonlySet<MessagingCommand['type']> = new Set([
  'identity',
  'contacts-list',
  'safety-number',
  'message-get',
  'messages-list',
  'messages-search',
  'settings-get',
  'events-since',
  'stats',
])

/**
 * Sessions, outbox, inbox and history of one device, over a synchronous store. The caller runs `handle` for a batch of
 * inputs and then `flush` inside one transaction of the store, and releases the outputs after the commit; when the
 * transaction failed it drops them and calls `rollback`. `StoreFailure` passes through and is never caught here.
 */
export class Messaging {
  readonly #context: Context
  readonly #contacts: Contacts
  readonly #settings: SettingsTable
  readonly #journal: Journal
  readonly #prekeys: Prekeys
  readonly #sessions: Sessions
  readonly #outbox: Outbox
  readonly #tokens: DepositTokens
  readonly #owed: OwedReceipts
  readonly #parcels: Parcels
  readonly #lanes: Lanes
  readonly #receipts: Receipts
  readonly #links: Links
  readonly #starts: Starts
  readonly #cover: Cover
  readonly #introductions: Introductions
  readonly #inbox: Inbox
  readonly #boxes: Boxes
  readonly #mailInbox: MailInbox
  readonly #commands: Commands
  #isLoaded = false
  /** From a transaction that failed to the first input that writes in any case. */
  #isPaused = false
  #isOnline = false
  #isChanged = true
  #leadMs = Number.NEGATIVE_INFINITY
  #maintenanceAt = 0
  #retryAt = 0

  constructor(options: MessagingOptions) {
    const context = new Context(options, options.identity, { ...defaultMessagingLimits, ...options.limits })
    this.#context = context
    const contacts = new Contacts(context)
    const settings = new SettingsTable(context)
    const queue = new SqlDeliveryQueue(options.store)
    const holdings = new Holdings(options.store)
    const history = new History(context, contacts, queue, holdings)
    const journal = new Journal(context, {
      messageAt: (position) => history.at(position),
      contactById: (id) => {
        const contact = contacts.byId(id)
        return contact && contactView(contact)
      },
      settings: () => settings.get(),
    })
    const prekeys = new Prekeys(context)
    const sessions = new Sessions(context, { prekeys, settings, journal })
    const outbox = new Outbox(context, { contacts, sessions, history, journal, queue, holdings, settings })
    const owed = new OwedReceipts(context)
    const tokens = new DepositTokens(context, holdings)
    const hellos = new Hellos(context, { contacts, settings, prekeys, starts: () => this.#starts })
    const packing = new Packing(context, {
      sessions,
      hello: (device) => hellos.body(device),
      announcement: (device) => this.#links.announcementFor(device),
    })
    const parcels = new Parcels(context, {
      contacts,
      sessions,
      outbox,
      holdings,
      tokens,
      owed,
      packing,
      settings,
      adopt: (contact, list, name) => this.#links.adoptFrom(contact, list, name),
      showSessionKey: (device, sessionKey) => changedKeys.show(device, sessionKey),
    })
    const lanes = new Lanes(context, { contacts, sessions, outbox, parcels, holdings, hellos })
    const receipts = new Receipts(context, sessions, settings, owed)
    const boxes = new Boxes(context, { contacts, prekeys, settings })
    this.#cover = new Cover(context, {
      contacts,
      settings,
      canSpare: (device) => device.mailboxes.every(({ box }) => tokens.left(device, box) * 2 > tokens.windowOf(device)),
      leave: (device, body) => parcels.leave(device, body),
    })
    const onContactsChanged = (): void => {
      this.#isChanged = true
    }
    const common = { contacts, lanes, settings, journal, onContactsChanged }
    const changedKeys = new ChangedKeys(context, { ...common, sessions, history })
    const starts = new Starts(context, {
      ...common,
      sessions,
      prekeys,
      announceAll: () => this.#links.announce(),
      announceTo: (peerId) => this.#links.announceTo(peerId),
      onPrekeysDropped: () => boxes.renewBundles(),
    })
    const links = new Links(context, { ...common, outbox, prekeys, receipts, changedKeys, starts })
    const introductions = new Introductions(context, {
      ...common,
      hellos,
      boxes: () => boxes.addresses(),
      onInvitesChanged: () => boxes.contactsChanged(),
    })
    const inbox = new Inbox(context, {
      ...common,
      sessions,
      links,
      outbox,
      receipts,
      history,
      introductions,
      starts,
    })
    const mailInbox = new MailInbox(context, { ...common, prekeys, inbox, boxes, links, changedKeys, starts })
    this.#contacts = contacts
    this.#settings = settings
    this.#journal = journal
    this.#prekeys = prekeys
    this.#sessions = sessions
    this.#outbox = outbox
    this.#tokens = tokens
    this.#owed = owed
    this.#parcels = parcels
    this.#lanes = lanes
    this.#receipts = receipts
    this.#links = links
    this.#starts = starts
    this.#introductions = introductions
    this.#inbox = inbox
    this.#boxes = boxes
    this.#mailInbox = mailInbox
    this.#commands = new Commands(context, {
      ...common,
      links,
      outbox,
      inbox,
      history,
      introductions,
      hellos,
      changedKeys,
      onTokensRevoked: () => boxes.tokensRevoked(),
    })
  }

  /** Inside the caller's transaction. The outputs of the whole batch are those of each `handle` and of `flush`. */
  handle(now: Now, input: MessagingInput): MessagingOutput[] {
    this.#begin(now)
    if (input.type !== 'command' || !readingCommands.has(input.command.type)) this.#resume()
    switch (input.type) {
      case 'link-up':
        this.#links.up(input)
        this.#parcels.retryAll()
        break
      case 'link-down':
        this.#links.down(input.peerId)
        break
      case 'frame':
        this.#frame(input)
        break
      case 'command':
        this.#command(input.id, input.command)
        break
      case 'device-ways':
        if (takeDeviceWays(this.#context, this.#contacts, input)) this.#isChanged = true
        for (const device of this.#contacts.devicesOf(input.peerId)) this.#context.touch(device)
        break
      case 'deposited':
        this.#parcels.deposited(input.id, input.result)
        break
      case 'checked':
        this.#parcels.checked(input.id, input.statuses)
        break
      case 'bundle':
        this.#parcels.bundle(input.id, input.bytes)
        break
      case 'own-record':
        this.#introductions.ownRecord(input.record)
        break
      case 'stale-start':
        this.#starts.stale(input.seen)
        break
      case 'boxes':
        this.#boxes.own(input.boxes)
        this.#noteNetwork(input.boxes.some(({ stock }) => stock !== undefined))
        break
      case 'fetched':
        this.#mailInbox.fetched(input.box, input.envelopes)
        break
      case 'wake':
        this.#wake()
        break
    }
    return this.#context.takeOutputs()
  }

  /** Ends a batch, inside the same transaction: receipts, the sessions that moved, and what has changed. */
  flush(now: Now): MessagingOutput[] {
    this.#begin(now)
    this.#receipts.flush()
    if (!this.#isPaused) {
      this.#starts.flush()
      this.#parcels.flush()
    }
    this.#sessions.flush()
    this.#contacts.flush()
    this.#journal.flush()
    if (this.#isChanged) {
      this.#boxes.contactsChanged()
      this.#tellNetwork()
    }
    if (!this.#isPaused) this.#boxes.flush()
    return this.#context.takeOutputs()
  }

  /** The transaction failed: everything is read from the store again at the next input. The links stay. */
  rollback(): void {
    this.#context.takeOutputs()
    this.#receipts.reset()
    this.#sessions.reset()
    this.#prekeys.reset()
    this.#settings.reset()
    this.#boxes.reset()
    this.#lanes.reset()
    this.#tokens.reset()
    this.#owed.reset()
    this.#parcels.reset()
    this.#context.touched.clear()
    this.#links.forgetGreetings()
    this.#isLoaded = false
    this.#isPaused = true
    this.#isChanged = true
    this.#retryAt = this.#context.now.mono + failureWaitMs
  }

  /** Monotonic ms of the next wake, Infinity for none. An early or repeated wake changes nothing. */
  deadline(): number {
    if (!this.#isLoaded || this.#isPaused) return this.#retryAt
    return Math.min(
      this.#lanes.deadline(),
      this.#parcels.deadline(),
      this.#outbox.deadline(),
      this.#inbox.deadline(),
      this.#boxes.deadline(),
      this.#cover.deadline(),
      this.#maintenanceAt,
    )
  }

  /** Contacts, requests and blocked accounts as last committed or handled; empty before the first input. */
  contacts(): ContactView[] {
    return this.#contacts.shown().map(contactView)
  }

  #begin(now: Now): void {
    this.#context.now = now
    const leadMs = now.wall - now.mono
    const isBack = leadMs < this.#leadMs - leapMs
    const isAhead = leadMs > this.#leadMs + leapMs && this.#isLoaded
    if (isBack || leadMs > this.#leadMs) this.#leadMs = leadMs
    if (!this.#isLoaded) this.#load()
    else if (isBack || isAhead) {
      this.#outbox.clampDeadlines()
      this.#lanes.rescanAll()
      this.#parcels.lookAgain()
      this.#maintenanceAt = now.mono
    }
  }

  #load(): void {
    this.#contacts.load()
    this.#journal.load()
    this.#starts.load()
    this.#cover.load()
    this.#outbox.load()
    this.#parcels.load()
    this.#inbox.load()
    this.#isLoaded = true
    this.#maintenanceAt = this.#context.now.mono
  }

  /** What goes on by itself, and writes: a full disk must not keep a person from reading. */
  #resume(): void {
    if (!this.#isPaused) return
    this.#isPaused = false
    this.#links.greetAll()
    this.#introductions.load()
  }

  #wake(): void {
    const { now } = this.#context
    if (now.mono >= this.#maintenanceAt) {
      this.#prekeys.maintain()
      this.#sessions.maintain(defaultSkippedLimits.lifetimeMs)
      this.#introductions.maintain()
      this.#boxes.maintain()
      this.#maintenanceAt = now.mono + maintenanceMs
    }
    this.#inbox.wake()
    this.#outbox.expire()
    this.#lanes.wake()
    this.#parcels.wake()
    this.#cover.wake()
  }

  /** A mailbox of ours answers: where none did before, others may now, too. */
  #noteNetwork(isOnline: boolean): void {
    if (isOnline && !this.#isOnline) this.#parcels.retryAll()
    this.#isOnline = isOnline
  }

  #frame(input: Extract<MessagingInput, { type: 'frame' }>): void {
    const { peerId, frameType, payload } = input
    const link = this.#links.get(peerId)
    if (!link) {
      this.#context.drop('no-link')
      return
    }
    if (this.#links.isRefused(link)) {
      this.#context.drop('blocked')
      return
    }
    const isContent = frameType === frameTypes.directMessage || frameType === frameTypes.deliveryReceipt
    if (isContent && link.isQuestioned) {
      this.#context.drop('account-key-changed')
      return
    }
    switch (frameType) {
      case frameTypes.directMessage:
      case frameTypes.deliveryReceipt:
        this.#inbox.envelope(link, payload)
        return
      case frameTypes.peerAnnouncement:
        this.#links.announcement(link, payload)
        return
      case frameTypes.peerQuery:
        this.#links.query(link, payload)
        return
    }
    const device = this.#links.deviceOf(link)
    if (!device) {
      this.#context.drop('stranger')
      return
    }
    switch (frameType) {
      case frameTypes.peerResponse:
        this.#lanes.response(device, payload)
        return
      case frameTypes.status:
        this.#links.status(device, payload)
        return
      case frameTypes.typing:
        this.#links.typing(device, payload)
        return
      default:
        this.#context.drop('unexpected-frame')
    }
  }

  #command(id: number, command: MessagingCommand): void {
    const result = this.#commands.run(command)
    this.#context.output({ type: 'reply', id, result })
  }

  /** Whom to stay linked with, and who shall recognise us on the LAN. */
  #tellNetwork(): void {
    this.#isChanged = false
    const wantedByPeer = new Map<PeerId, WantedPeer>()
    const hintKeys: Uint8Array[] = []
    const recognise: { key: Uint8Array; peerId: PeerId }[] = []
    for (const contact of this.#contacts.shown()) {
      if (contact.state !== 'contact') continue
      if (contact.ownHintKey) hintKeys.push(contact.ownHintKey)
      for (const device of contact.devices) {
        const { peerId, state, locatorKey, waysSequence } = device
        if (state === 'revoked') continue
        // Two accounts may list one key: what one of them knows of it is known.
        const known = wantedByPeer.get(peerId)
        wantedByPeer.set(peerId, {
          peerId,
          addresses: [...(known?.addresses ?? []), ...addressesOf(device)],
          locatorKey: locatorKey ?? known?.locatorKey,
          waysSequence: Math.max(waysSequence, known?.waysSequence ?? 0),
        })
        if (contact.hintKey) recognise.push({ key: contact.hintKey, peerId })
      }
    }
    const ownLocatorKey = this.#settings.locatorKey()
    this.#context.output({ type: 'wanted', peers: [...wantedByPeer.values()], ownLocatorKey })
    const { discoverable } = this.#settings.get()
    this.#context.output({ type: 'visibility', discoverable, hintKeys, recognise })
  }
}
