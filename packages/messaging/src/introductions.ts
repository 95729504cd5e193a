import { bytesToHex, equalBytes } from '@miaou/core'
import { type BoxAddress, encodeInvite, type Hello, type Invite, isInviteAddress } from '@miaou/protocol'
import { type Contacts, contactView } from './contacts.ts'
import type { Context } from './context.ts'
import { learnFromHello } from './device-ways.ts'
import type { Hellos } from './hellos.ts'
import type { Journal } from './journal.ts'
import type { Lanes } from './lanes.ts'
import type { Contact, Device } from './model.ts'
import { numberOf } from './row.ts'
import type { SettingsTable } from './settings.ts'

export interface IntroductionParts {
  readonly contacts: Contacts
  readonly lanes: Lanes
  readonly settings: SettingsTable
  readonly journal: Journal
  readonly hellos: Hellos
  readonly onContactsChanged: () => void
  /** Own boxes, best first. */
  readonly boxes: () => readonly BoxAddress[]
  /** An invite was made: who holds it may write to us through mailboxes. */
  readonly onInvitesChanged: () => void
}

/** How two accounts become contacts: invites and hellos. */
export class Introductions {
  readonly #context: Context
  readonly #parts: IntroductionParts

  constructor(context: Context, parts: IntroductionParts) {
    this.#context = context
    this.#parts = parts
  }

  /** Makes a contact of somebody known. They learn it by our hello. */
  befriend(contact: Contact): void {
    const { contacts, lanes, journal, onContactsChanged } = this.#parts
    contact.state = 'contact'
    contact.ownHintKey ??= this.#context.random.bytes(32)
    contacts.save(contact)
    lanes.oweHelloToAll(contact)
    onContactsChanged()
    journal.contactChanged(contact.id, contactView(contact))
  }

  /** True when the hello is taken; false when it must wait until the person here accepts. */
  hello(device: Device, hello: Hello): boolean {
    const { contact } = device
    const { contacts, hellos, onContactsChanged } = this.#parts
    // Also of who is none yet: an answer must be able to reach them.
    const isNews = learnFromHello(this.#context, contacts, device, hello, hellos.nearest)
    if (isNews && contact.state === 'contact') onContactsChanged()
    if (contact.state !== 'contact') {
      if (!hello.inviteToken || !this.#redeem(hello.inviteToken)) {
        this.#request(contact, hello)
        return false
      }
      this.#parts.settings.write(inviteUsedName(contact), bytesToHex(hello.inviteToken))
      this.#learn(contact, hello)
      this.befriend(contact)
      this.#parts.journal.inviteUsed(contact.account)
    } else if (this.#learn(contact, hello)) {
      this.#parts.contacts.save(contact)
      this.#parts.onContactsChanged()
      this.#parts.journal.contactChanged(contact.id, contactView(contact))
    }
    if (hello.accepted) this.#parts.lanes.accepted(device)
    return true
  }

  /** Makes a request of a stranger: the caller saves it. False when there are as many as may be. */
  takeRequest(contact: Contact): boolean {
    if (this.#parts.contacts.count('request') >= this.#context.limits.requestsMax) {
      this.#context.drop('too-many-requests')
      return false
    }
    contact.state = 'request'
    return true
  }

  /** Our record changed: contacts that are not linked must learn where to leave messages now. */
  ownRecord(record: Uint8Array): void {
    const { contacts, hellos, lanes } = this.#parts
    if (!hellos.ownRecord(record)) return
    for (const contact of contacts.shown()) if (contact.state === 'contact') lanes.oweHelloToAll(contact)
  }

  /** The store was read again: should the record have come in a transaction that failed, nobody was told of it yet. */
  load(): void {
    this.ownRecord(this.#parts.hellos.lastRecord)
  }

  /** A device's answer to our hello. */
  helloAnswered(device: Device, isAccepted: boolean): void {
    this.#parts.lanes.helloAnswered(device, isAccepted)
    if (isAccepted) this.#parts.hellos.forgetNote(device.contact)
    if (!isAccepted || !device.contact.inviteToken) return
    device.contact.inviteToken = undefined
    this.#parts.contacts.save(device.contact)
  }

  /** Undefined when there are as many unused invites as may be. `uses` ≥ 1. */
  createInvite(addresses: readonly string[], uses: number): string | undefined {
    const { store, random, now, limits, crypto, identity } = this.#context
    this.maintain()
    const row = store.get('SELECT count(*) AS count FROM invites')
    if (row !== undefined && numberOf(row, 'count') >= limits.invitesMax) return undefined
    const token = random.bytes(16)
    store.run('INSERT INTO invites (token, uses, uses_left, expires_at) VALUES (?, ?, ?, ?)', [
      token,
      uses,
      uses,
      Math.round(now.wall + limits.inviteLifetimeMs),
    ])
    // Its tokens go to the boxes.
    this.#parts.onInvitesChanged()
    const invite: Invite = {
      accountKey: identity.accountKey,
      deviceKey: identity.deviceKey.publicKey,
      name: this.#parts.settings.selfName(),
      addresses,
      boxes: this.#parts.boxes().filter(({ mailbox }) => isInviteAddress(mailbox.url)),
      locatorKey: this.#parts.settings.locatorKey(),
      token,
    }
    return encodeInvite(invite, (bytes) => crypto.sha256(bytes))
  }

  /** Deletes invites whose time is over. */
  maintain(): void {
    const { store, now, limits } = this.#context
    const latest = Math.round(now.wall + limits.inviteLifetimeMs)
    store.run('DELETE FROM invites WHERE expires_at <= ?', [now.wall])
    store.run('UPDATE invites SET expires_at = ? WHERE expires_at > ?', [latest, latest])
  }

  /** A hello with a note is a request of its own; the note of one that waits may be written anew. */
  #request(contact: Contact, { note, name }: Hello): void {
    if (note === undefined || contact.state === 'blocked') return
    if (contact.state === 'stranger' ? !this.takeRequest(contact) : contact.note === note) return
    contact.note = note
    contact.name = name
    this.#parts.contacts.save(contact)
    this.#parts.journal.contactChanged(contact.id, contactView(contact))
  }

  #learn(contact: Contact, hello: Hello): boolean {
    const isKnown = contact.hintKey !== undefined && equalBytes(contact.hintKey, hello.hintKey)
    if (isKnown && contact.name === hello.name) return false
    contact.hintKey = hello.hintKey
    contact.name = hello.name
    return true
  }

  #redeem(token: Uint8Array): boolean {
    const { store, now } = this.#context
    const { changes } = store.run(
      'UPDATE invites SET uses_left = uses_left - 1 WHERE token = ? AND uses_left > 0 AND expires_at > ?',
      [token, now.wall],
    )
    if (changes === 0) this.#context.drop('invite-unknown')
    else store.run('DELETE FROM invites WHERE token = ? AND uses_left = 0', [token])
    return changes > 0
  }
}

/** The setting that holds the token of the invite of ours that brought a person: whoever blocks them revokes it. */
export function inviteUsedName(contact: Contact): string {
  return `inviteUsed.${contact.id}`
}
