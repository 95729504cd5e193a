import type { AccountId, PeerId } from '@miaou/core'
import { equalBytes, keyToAccountId, peerIdToKey } from '@miaou/core'
import {
  type DeviceList,
  decodePeerAnnouncement,
  decodePeerQuery,
  decodeStatus,
  decodeTyping,
  encodePeerAnnouncement,
  encodePeerResponse,
  encodeStatus,
  encodeTyping,
  frameTypes,
  type SignedStartMark,
  verifyDeviceList,
} from '@miaou/protocol'
import type { ChangedKeys } from './changed-keys.ts'
import { type Contacts, contactView } from './contacts.ts'
import type { Context } from './context.ts'
import { adoptDeviceList } from './device-lists.ts'
import type { MessagingInput } from './interface.ts'
import type { Journal } from './journal.ts'
import type { Lanes } from './lanes.ts'
import type { Contact, Device } from './model.ts'
import type { Outbox } from './outbox.ts'
import type { Prekeys } from './prekeys.ts'
import { Rates } from './rates.ts'
import type { Receipts } from './receipts.ts'
import type { SettingsTable } from './settings.ts'
import type { Starts } from './starts.ts'

/** A device at the other end of a link. What it says of its account counts once its device list is verified. */
export interface Link {
  readonly peerId: PeerId
  readonly key: Uint8Array
  readonly account: AccountId
  readonly accountKey: Uint8Array
  readonly sessionKey: Uint8Array
  readonly certificate: Uint8Array
  /** The last announcement as it came: read again after a transaction that failed. */
  announcement: Uint8Array | undefined
  list: DeviceList | undefined
  name: string
  /** Of its start, as its last announcement told; not verified. */
  startMark: SignedStartMark | undefined
  /** We know this device under another account, and the person here has not looked yet: nothing is taken from it. */
  isQuestioned: boolean
  /** Our announcement was sent in a transaction that held. */
  isGreeted: boolean
}

export interface LinkParts {
  readonly contacts: Contacts
  readonly lanes: Lanes
  readonly outbox: Outbox
  readonly prekeys: Prekeys
  readonly receipts: Receipts
  readonly settings: SettingsTable
  readonly journal: Journal
  readonly changedKeys: ChangedKeys
  readonly starts: Starts
  /** What the network or the LAN must be told has changed. */
  readonly onContactsChanged: () => void
}

/** The links there are: memory only, told by the network, so a transaction that fails takes none away. */
export class Links {
  readonly #context: Context
  readonly #parts: LinkParts
  readonly #byPeer = new Map<PeerId, Link>()
  readonly #bundleRates: Rates
  readonly #announcementRates: Rates
  readonly #fleetingRates: Rates

  constructor(context: Context, parts: LinkParts) {
    this.#context = context
    this.#parts = parts
    const { limits } = context
    this.#bundleRates = new Rates(limits.bundlesBurst, limits.bundleRefillMs, limits.ratesMax)
    this.#announcementRates = new Rates(limits.announcementsBurst, limits.announcementRefillMs, limits.ratesMax)
    this.#fleetingRates = new Rates(limits.fleetingBurst, limits.fleetingRefillMs, limits.ratesMax)
  }

  get(peerId: PeerId): Link | undefined {
    return this.#byPeer.get(peerId)
  }

  all(): Iterable<Link> {
    return this.#byPeer.values()
  }

  /** After a transaction that failed: what was said in it was not heard. */
  forgetGreetings(): void {
    for (const link of this.#byPeer.values()) link.isGreeted = false
  }

  /** Says again what a failed transaction swallowed. */
  greetAll(): void {
    for (const link of this.#byPeer.values()) {
      if (link.isGreeted) continue
      this.#greet(link)
      if (link.announcement) this.#readAnnouncement(link, link.announcement)
    }
  }

  up(input: Extract<MessagingInput, { type: 'link-up' }>): void {
    const { peerId, accountKey, sessionKey, certificate } = input
    this.#byPeer.set(peerId, {
      peerId,
      key: peerIdToKey(peerId),
      account: keyToAccountId(accountKey),
      accountKey,
      sessionKey,
      certificate,
      announcement: undefined,
      list: undefined,
      name: '',
      startMark: undefined,
      isQuestioned: false,
      isGreeted: false,
    })
    const link = this.#byPeer.get(peerId)
    if (link) this.#greet(link)
  }

  /** The device at the other end, when its account is somebody we know. */
  deviceOf(link: Link): Device | undefined {
    return this.#parts.contacts.device(link.account, link.peerId)
  }

  down(peerId: PeerId): void {
    const link = this.#byPeer.get(peerId)
    this.#byPeer.delete(peerId)
    const device = link && this.deviceOf(link)
    if (!device?.lane) return
    this.#parts.receipts.settleReads(device)
    const { wasPresent } = device.lane
    this.#parts.lanes.detach(device)
    if (!wasPresent || device.contact.devices.some(({ lane }) => lane?.wasPresent)) return
    const { account } = device.contact
    this.#context.output({ type: 'fleeting', event: { type: 'presence', account, presence: 'offline' } })
  }

  /** The account behind a link is blocked: the network shall close it. */
  isRefused(link: Link): boolean {
    return this.#parts.contacts.byAccount(link.account)?.state === 'blocked'
  }

  /** Our device list or name changed, or somebody must learn it again. */
  announce(): void {
    for (const link of this.#byPeer.values()) if (!this.isRefused(link)) this.#sendAnnouncement(link)
  }

  /** One linked device must hear of something. */
  announceTo(peerId: PeerId): void {
    const link = this.#byPeer.get(peerId)
    if (link && !this.isRefused(link)) this.#sendAnnouncement(link)
  }

  /** Our announcement, encoded, for one device: who is not linked gets it with the first message of a session. */
  announcementFor(device: Device | undefined): Uint8Array {
    const { accountKey, deviceList } = this.#context.identity
    const { settings, starts } = this.#parts
    const laterMark = device && starts.laterMarkFor(device)
    return encodePeerAnnouncement({
      accountKey,
      deviceList,
      name: settings.selfName(),
      startMark: starts.signed(),
      ...(laterMark && { laterMark }),
    })
  }

  announcement(link: Link, payload: Uint8Array): void {
    if (!this.#announcementRates.take(link.peerId, this.#context.now.mono)) {
      this.#context.drop('announcement-rate')
      return
    }
    this.#readAnnouncement(link, payload)
  }

  query(link: Link, payload: Uint8Array): void {
    const query = decodePeerQuery(payload)
    if (!query.ok) {
      this.#context.drop('malformed-query')
      return
    }
    const { requestId, want } = query.value
    let body: Uint8Array | undefined
    if (want !== 'prekey-bundle') this.#context.drop('unknown-query')
    else if (!link.list) this.#context.drop('unannounced')
    else if (!this.#bundleRates.take(link.peerId, this.#context.now.mono)) this.#context.drop('bundle-rate')
    else body = this.#parts.prekeys.bundle()
    this.#context.send(link.peerId, frameTypes.peerResponse, encodePeerResponse({ requestId, body }))
  }

  status(device: Device, payload: Uint8Array): void {
    const status = decodeStatus(payload)
    if (!status.ok) {
      this.#context.drop('malformed-status')
      return
    }
    if (device.contact.state !== 'contact' || !device.lane) {
      this.#context.drop('status-of-stranger')
      return
    }
    if (!this.#takeFleeting(device)) return
    const { presence } = status.value
    device.lane.wasPresent = presence !== 'offline'
    this.#context.output({ type: 'fleeting', event: { type: 'presence', account: device.contact.account, presence } })
  }

  typing(device: Device, payload: Uint8Array): void {
    const typing = decodeTyping(payload)
    if (!typing.ok) {
      this.#context.drop('malformed-typing')
      return
    }
    if (device.contact.state !== 'contact') {
      this.#context.drop('typing-of-stranger')
      return
    }
    if (!this.#takeFleeting(device)) return
    const { account } = device.contact
    this.#context.output({ type: 'fleeting', event: { type: 'typing', account, typing: typing.value.typing } })
  }

  #takeFleeting(device: Device): boolean {
    const isTaken = this.#fleetingRates.take(device.peerId, this.#context.now.mono)
    if (!isTaken) this.#context.drop('fleeting-rate')
    return isTaken
  }

  /** Tells a contact's linked devices that we write to them; false when nothing was sent. */
  sendTyping(contact: Contact, typing: boolean): boolean {
    if (!this.#parts.settings.get().typing || contact.state !== 'contact' || contact.changed) return false
    let isSent = false
    for (const device of contact.devices) {
      if (!device.lane) continue
      this.#context.send(device.peerId, frameTypes.typing, encodeTyping({ typing }), true)
      isSent = true
    }
    return isSent
  }

  sendPresence(device: Device): void {
    const { state, changed } = device.contact
    if (!this.#parts.settings.get().presence || state !== 'contact' || changed || !device.lane) return
    this.#context.send(device.peerId, frameTypes.status, encodeStatus({ presence: 'online' }), true)
  }

  /** Opens the lane of a linked device that its person's list confirms. */
  attach(link: Link): void {
    const device = this.deviceOf(link)
    if (!device || device.lane || device.state !== 'listed' || device.contact.state === 'blocked') return
    if (!this.#parts.changedKeys.show(device, link.sessionKey)) return
    this.#parts.lanes.attach(device)
    this.sendPresence(device)
    this.#parts.receipts.addReads(device.contact, device)
  }

  /** Takes a person's verified list in and opens the lanes it allows. */
  adopt(contact: Contact, list: DeviceList): void {
    const outcome = adoptDeviceList(this.#context, this.#parts, contact, list)
    if (outcome !== 'same') {
      this.#parts.onContactsChanged()
      if (contact.state !== 'stranger') this.#parts.journal.contactChanged(contact.id, contactView(contact))
    }
    for (const { peerId } of [...contact.devices]) {
      const link = this.#byPeer.get(peerId)
      if (link?.account !== contact.account) continue
      link.isQuestioned = this.#parts.changedKeys.isQuestioned(peerId, contact.account)
      this.attach(link)
      const device = this.deviceOf(link)
      if (device?.lane && link.startMark) this.#parts.starts.see(device, link.startMark)
    }
  }

  /** The same, with what the person calls themselves, as announcements tell both. */
  adoptFrom(contact: Contact, list: DeviceList, name: string): void {
    if (contact.name !== name) {
      contact.name = name
      this.#parts.contacts.save(contact)
      if (contact.state !== 'stranger') this.#parts.journal.contactChanged(contact.id, contactView(contact))
    }
    this.adopt(contact, list)
  }

  #greet(link: Link): void {
    link.isGreeted = true
    if (this.isRefused(link)) {
      this.#context.drop('blocked')
      this.#context.output({ type: 'unlink', peerId: link.peerId })
      return
    }
    this.#sendAnnouncement(link)
    this.attach(link)
  }

  #sendAnnouncement(link: Link): void {
    this.#context.send(link.peerId, frameTypes.peerAnnouncement, this.announcementFor(this.deviceOf(link)))
  }

  #readAnnouncement(link: Link, payload: Uint8Array): void {
    const { crypto } = this.#context
    const announcement = decodePeerAnnouncement(payload)
    if (!announcement.ok) {
      this.#context.drop('malformed-announcement')
      return
    }
    // Kept only now that its size is known to be bounded.
    link.announcement = payload
    const { accountKey, deviceList, name, startMark, laterMark } = announcement.value
    if (!equalBytes(accountKey, link.accountKey)) {
      this.#context.drop('account-mismatch')
      return
    }
    const list = verifyDeviceList(crypto, accountKey, deviceList)
    if (!list.ok) {
      this.#context.drop(`device-list-${list.error.type}`)
      return
    }
    const isListed = list.value.devices.some((each) => equalBytes(each.deviceKey, link.key) && !each.revoked)
    if (!isListed) {
      this.#context.drop('unlisted-device')
      return
    }
    link.list = list.value
    link.name = name
    link.startMark = startMark
    link.isQuestioned = this.#parts.changedKeys.showAccount(link.peerId, accountKey) === 'changed'
    const contact = this.#parts.contacts.byAccount(link.account)
    if (!contact || contact.state === 'blocked') return
    this.adoptFrom(contact, list.value, name)
    if (laterMark && contact.state === 'contact') this.#parts.starts.hear(contact, laterMark)
  }
}
