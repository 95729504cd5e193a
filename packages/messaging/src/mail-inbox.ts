import { equalBytes, keyToAccountId, keyToPeerId } from '@miaou/core'
import { openSealed } from '@miaou/crypto'
import type { FetchedEnvelope } from '@miaou/network'
import {
  type DeviceList,
  decodeEnvelope,
  decodePeerAnnouncement,
  decodeSealedContent,
  type Envelope,
  type PeerAnnouncement,
  type SealedContent,
  verifyDeviceList,
} from '@miaou/protocol'
import type { Boxes } from './boxes.ts'
import type { ChangedKeys } from './changed-keys.ts'
import { type Contacts, contactView } from './contacts.ts'
import type { Context } from './context.ts'
import { certifiedSessionKey, type Inbox } from './inbox.ts'
import type { Journal } from './journal.ts'
import type { Links } from './links.ts'
import type { Contact, Device } from './model.ts'
import type { Prekeys } from './prekeys.ts'
import { Rates } from './rates.ts'
import type { Starts } from './starts.ts'

export interface MailInboxParts {
  readonly contacts: Contacts
  readonly prekeys: Prekeys
  readonly inbox: Pick<Inbox, 'receive' | 'fromStranger' | 'isKnownSession' | 'mayStart'>
  readonly boxes: Pick<Boxes, 'paid'>
  readonly links: Pick<Links, 'adopt'>
  readonly changedKeys: Pick<ChangedKeys, 'show' | 'showAccount'>
  readonly starts: Pick<Starts, 'see' | 'hear' | 'during'>
  readonly journal: Journal
}

interface Announced {
  readonly announcement: PeerAnnouncement
  readonly list: DeviceList
}

/**
 * What others left for us in boxes: opened, and from there on as if it had come on a link. A mailbox may lose, repeat, mix
 * up and make up what it likes: whatever opens nothing is dropped, and deleted there.
 */
export class MailInbox {
  readonly #context: Context
  readonly #parts: MailInboxParts
  readonly #strangerRates: Rates

  constructor(context: Context, parts: MailInboxParts) {
    this.#context = context
    this.#parts = parts
    const { mailStrangersBurst, mailStrangerRefillMs } = context.limits
    this.#strangerRates = new Rates(mailStrangersBurst, mailStrangerRefillMs, 1)
  }

  /**
   * In the mailbox's order. The acknowledgement leaves with the other outputs, so only after what it stands for is
   * committed; after a failed transaction the mailbox brings all again.
   */
  fetched(box: Uint8Array, envelopes: readonly FetchedEnvelope[]): void {
    const ids: number[] = []
    for (const { id, bytes, tokenHash, acceptedAt } of envelopes) {
      const sender = this.#parts.starts.during(acceptedAt, () => this.#open(bytes))
      this.#parts.boxes.paid(box, tokenHash, sender)
      ids.push(id)
    }
    if (ids.length > 0) this.#context.output({ type: 'acknowledge', box, ids })
  }

  /** The device that wrote it, when one of its envelopes proves that. */
  #open(bytes: Uint8Array): Device | undefined {
    const { crypto } = this.#context
    const opened = openSealed(crypto, (id) => this.#parts.prekeys.find('sealing', id)?.secretKey, bytes)
    if (!opened.ok) {
      this.#context.drop(`sealed-${opened.error.type}`)
      return undefined
    }
    const content = decodeSealedContent(opened.value.content)
    if (!content.ok) {
      this.#context.drop('malformed-sealed-content')
      return undefined
    }
    return this.#read(content.value)
  }

  #read(content: SealedContent): Device | undefined {
    const { contacts } = this.#parts
    const account = keyToAccountId(content.accountKey)
    if (account === this.#context.account) {
      // As on a link: our own other devices are not kept in step yet.
      this.#context.drop('own-account')
      return undefined
    }
    if (contacts.byAccount(account)?.state === 'blocked') {
      this.#context.drop('blocked')
      return undefined
    }
    const announced = content.announcement.length === 0 ? undefined : this.#announced(content)
    if (announced === 'refused') return undefined
    let sender: Device | undefined
    for (const payload of content.envelopes) {
      const envelope = decodeEnvelope(payload)
      if (!envelope.ok) {
        this.#context.drop(`envelope-${envelope.error.type}`)
        continue
      }
      const known = this.#knownDevice(content, announced)
      if (known === 'none') return sender
      const from = known
        ? this.#fromDevice(known, content, envelope.value)
        : announced && this.#fromStranger(content, announced, envelope.value)
      if (!known && !announced) this.#context.drop('unannounced')
      // Only now is it certain who says this of themselves.
      if (from && !sender && announced) this.#learn(from, announced.announcement)
      sender ??= from
    }
    return sender
  }

  /** `undefined`: their account is not known here. `none`: the account is, and it has no such device. */
  #knownDevice(
    { accountKey, deviceKey }: SealedContent,
    announced: Announced | undefined,
  ): Device | 'none' | undefined {
    const { contacts, links } = this.#parts
    const account = keyToAccountId(accountKey)
    const contact = contacts.byAccount(account)
    if (!contact) return undefined
    // A verified list is its account's word whoever brought it, as on a link.
    if (announced) links.adopt(contact, announced.list)
    const device = contacts.device(account, keyToPeerId(deviceKey))
    // An account with a list too long for a prekey document tells it on a link: until then the invite's word counts.
    const isClaimed = device?.state === 'claimed' && contact.deviceList.length === 0
    if (device?.state === 'listed' || isClaimed) return device
    this.#context.drop(device ? `device-${device.state}` : 'unannounced')
    return 'none'
  }

  #fromDevice(device: Device, content: SealedContent, envelope: Envelope): Device | undefined {
    const { inbox, changedKeys } = this.#parts
    if (envelope.kind === 'initial' && !inbox.isKnownSession(device, envelope)) {
      if (!inbox.mayStart(device.peerId)) return undefined
      const { accountKey, deviceKey: key } = content
      const sessionKey = certifiedSessionKey(this.#context, { accountKey, key }, envelope.certificate)
      if (!sessionKey) {
        this.#context.drop('certificate-mismatch')
        return undefined
      }
      if (!changedKeys.show(device, sessionKey)) return undefined
    }
    return inbox.receive(device, envelope) ? device : undefined
  }

  #fromStranger(content: SealedContent, { announcement, list }: Announced, envelope: Envelope): Device | undefined {
    const { inbox, changedKeys } = this.#parts
    if (envelope.kind !== 'initial') {
      this.#context.drop('unknown-session')
      return undefined
    }
    // Each of a flood of strangers has a name of its own: what they cost together is bounded.
    if (!this.#strangerRates.take('all', this.#context.now.mono)) {
      this.#context.drop('mail-stranger-rate')
      return undefined
    }
    const { accountKey, deviceKey: key } = content
    const sessionKey = certifiedSessionKey(this.#context, { accountKey, key }, envelope.certificate)
    if (!sessionKey) {
      this.#context.drop('certificate-mismatch')
      return undefined
    }
    const peerId = keyToPeerId(key)
    if (changedKeys.showAccount(peerId, accountKey) === 'changed') return undefined
    const account = keyToAccountId(accountKey)
    return inbox.fromStranger({ peerId, key, account, accountKey, sessionKey, name: announcement.name, list }, envelope)
  }

  /** The announcement of a first message, its list verified to name the device that claims to have written. */
  #announced({ accountKey, deviceKey, announcement: bytes }: SealedContent): Announced | 'refused' {
    const announcement = decodePeerAnnouncement(bytes)
    if (!announcement.ok) {
      this.#context.drop('malformed-announcement')
      return 'refused'
    }
    if (!equalBytes(announcement.value.accountKey, accountKey)) {
      this.#context.drop('account-mismatch')
      return 'refused'
    }
    const list = verifyDeviceList(this.#context.crypto, accountKey, announcement.value.deviceList)
    if (!list.ok) {
      this.#context.drop(`device-list-${list.error.type}`)
      return 'refused'
    }
    const isListed = list.value.devices.some((each) => equalBytes(each.deviceKey, deviceKey) && !each.revoked)
    if (!isListed) {
      this.#context.drop('unlisted-device')
      return 'refused'
    }
    return { announcement: announcement.value, list: list.value }
  }

  #learn(device: Device, { name, startMark, laterMark }: PeerAnnouncement): void {
    const { starts } = this.#parts
    const { contact } = device
    if (contact.name !== name) this.#rename(contact, name)
    if (startMark) starts.see(device, startMark)
    if (laterMark && contact.state === 'contact') starts.hear(contact, laterMark)
  }

  #rename(contact: Contact, name: string): void {
    const { contacts, journal } = this.#parts
    contact.name = name
    contacts.save(contact)
    if (contact.state !== 'stranger') journal.contactChanged(contact.id, contactView(contact))
  }
}
