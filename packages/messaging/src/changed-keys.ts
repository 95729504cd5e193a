import { type AccountId, bytesToHex, equalBytes, hexToBytes, keyToAccountId, type PeerId } from '@miaou/core'
import { type Contacts, contactView } from './contacts.ts'
import type { Context } from './context.ts'
import type { History } from './history.ts'
import type { Notice } from './interface.ts'
import type { Journal } from './journal.ts'
import type { Lanes } from './lanes.ts'
import type { Contact, Device } from './model.ts'
import type { Sessions } from './sessions.ts'
import type { SettingsTable } from './settings.ts'

export interface ChangedKeysParts {
  readonly contacts: Contacts
  readonly sessions: Sessions
  readonly lanes: Lanes
  readonly history: History
  readonly settings: SettingsTable
  readonly journal: Journal
  readonly onContactsChanged: () => void
}

/**
 * Keys of people that are no longer those we knew. Sending to them stops (`isOpen`) until the person here has looked; the
 * key to be looked at is kept, so that what is trusted is what was shown.
 */
export class ChangedKeys {
  readonly #context: Context
  readonly #parts: ChangedKeysParts

  constructor(context: Context, parts: ChangedKeysParts) {
    this.#context = context
    this.#parts = parts
  }

  /**
   * A device shows its session key: by the certificate of its link, of a message, or in a prekey bundle that it signed. The
   * first one is pinned. False: it is another than the pinned one, and must not be used.
   */
  show(device: Device, sessionKey: Uint8Array): boolean {
    const { contacts, settings } = this.#parts
    const { contact } = device
    if (device.sessionKey === undefined) {
      device.sessionKey = sessionKey
      contacts.saveDevice(device)
      return true
    }
    if (equalBytes(device.sessionKey, sessionKey)) {
      settings.remove(sessionKeyName(device))
      return true
    }
    this.#context.drop('session-key-changed')
    if (contact.state !== 'contact' && contact.state !== 'request') return false
    const shown = bytesToHex(sessionKey)
    if (contact.changed !== undefined && settings.read(sessionKeyName(device)) === shown) return false
    settings.write(sessionKeyName(device), shown)
    // A changed account key asks for more, so it stays what the person is told.
    this.#mark(contact, contact.changed ?? 'session-key', 'session-key-changed')
    return false
  }

  /**
   * A device shows its account, whose verified list has it. Whoever knew it as a device of another account is marked: that
   * person has a new account, or somebody has their device.
   */
  showAccount(peerId: PeerId, accountKey: Uint8Array): 'known' | 'changed' {
    const { contacts, settings } = this.#parts
    const account = keyToAccountId(accountKey)
    let outcome: 'known' | 'changed' = 'known'
    for (const device of contacts.devicesOf(peerId)) {
      const { contact } = device
      if (contact.account === account) {
        // It is back under the account that we know it by: there is nothing else to trust.
        settings.remove(accountKeyName(contact))
        continue
      }
      if (device.state !== 'listed' || (contact.state !== 'contact' && contact.state !== 'request')) continue
      // They are two people to us: which of them has the device is theirs to settle.
      if (contacts.byAccount(account)?.state === 'contact') continue
      outcome = 'changed'
      this.#context.drop('account-key-changed')
      // The first one shown is the one that may be being looked at.
      if (this.pendingAccountKey(contact) !== undefined) continue
      settings.write(accountKeyName(contact), bytesToHex(accountKey))
      this.#mark(contact, 'account-key', 'account-key-changed')
    }
    return outcome
  }

  /** Whether a device that shows this account is known under another, and that is not settled. */
  isQuestioned(peerId: PeerId, account: AccountId): boolean {
    const isOther = ({ contact }: Device): boolean =>
      contact.account !== account && this.pendingAccountKey(contact) !== undefined
    return this.#parts.contacts.devicesOf(peerId).some(isOther)
  }

  /** The account key that a contact's device shows now, if it is another than the contact's. */
  pendingAccountKey(contact: Contact): Uint8Array | undefined {
    const shown = this.#parts.settings.read(accountKeyName(contact))
    return shown === undefined ? undefined : hexToBytes(shown)
  }

  /** The person has looked: what was shown is what counts from now on, and sending goes on. */
  trust(contact: Contact): void {
    const { contacts, sessions, lanes, settings } = this.#parts
    const accountKey = this.pendingAccountKey(contact)
    if (accountKey) this.#rekey(contact, accountKey)
    for (const device of contact.devices) {
      const shown = settings.read(sessionKeyName(device))
      if (shown === undefined) continue
      lanes.detach(device)
      sessions.forget(device)
      device.sessionKey = hexToBytes(shown)
      device.startMark = undefined
      contacts.saveDevice(device)
    }
    this.#forget(contact)
    contact.changed = undefined
    contact.verified = false
    contacts.save(contact)
    lanes.oweHelloToAll(contact)
    this.#parts.onContactsChanged()
  }

  /** A person is removed: what was shown of them goes, and the sessions. */
  removed(contact: Contact): void {
    this.#forget(contact)
    for (const device of contact.devices) this.#parts.sessions.forget(device)
  }

  #forget(contact: Contact): void {
    const { settings } = this.#parts
    settings.remove(accountKeyName(contact))
    for (const device of contact.devices) settings.remove(sessionKeyName(device))
  }

  #mark(contact: Contact, changed: NonNullable<Contact['changed']>, notice: Notice): void {
    const { contacts, journal } = this.#parts
    contact.changed = changed
    contact.verified = false
    contacts.save(contact)
    journal.notice(notice, contact.account)
    journal.contactChanged(contact.id, contactView(contact))
  }

  /** The person goes on under another account: which devices they have is told by its list. */
  #rekey(contact: Contact, accountKey: Uint8Array): void {
    const { contacts, sessions, lanes, journal } = this.#parts
    const before: AccountId = contact.account
    if (!this.#makeRoom(contact, keyToAccountId(accountKey))) return
    for (const device of contact.devices) {
      lanes.detach(device)
      // What a session binds names the account.
      sessions.forget(device)
      if (device.state !== 'revoked') device.state = 'claimed'
      device.sessionKey = undefined
      device.startMark = undefined
      contacts.saveDevice(device)
    }
    contact.deviceList = []
    contact.forked = false
    contacts.rekey(contact, accountKey)
    journal.contactRemoved(before)
  }

  /** What the account did here before its device was known is the same person's. False: they are somebody else to us. */
  #makeRoom(contact: Contact, account: AccountId): boolean {
    const { contacts, lanes, history } = this.#parts
    const other = contacts.byAccount(account)
    if (other === undefined) return true
    if (other.state === 'contact' || other.state === 'blocked') return false
    this.#context.store.run('UPDATE OR IGNORE messages SET contact = ? WHERE contact = ?', [contact.id, other.id])
    contact.messageCount += other.messageCount
    contact.unreadCount += other.unreadCount
    for (const device of other.devices) lanes.detach(device)
    history.removeAll(other)
    contacts.remove(other)
    return true
  }
}

function accountKeyName(contact: Contact): string {
  return `changedAccount.${contact.id}`
}

function sessionKeyName(device: Device): string {
  return `changedSession.${device.id}`
}
