import type { AccountId, MessageId, PeerId, Result } from '@miaou/core'
import { err, hexToBytes, keyToAccountId, ok, parseAccountId, parseMessageId, textToBytes } from '@miaou/core'
import { safetyNumber } from '@miaou/crypto'
import {
  inviteDepositSecret,
  isInviteAddress,
  isName,
  isNote,
  nameSizeMax,
  noteLengthMax,
  parseInvite,
  textSizeMax,
} from '@miaou/protocol'
import type { ChangedKeys } from './changed-keys.ts'
import { type Contacts, contactView } from './contacts.ts'
import type { Context } from './context.ts'
import { learnFromInvite } from './device-ways.ts'
import type { Hellos } from './hellos.ts'
import type { History } from './history.ts'
import type { Inbox } from './inbox.ts'
import type { CommandError, CommandResults, MessagingCommand } from './interface.ts'
import { type Introductions, inviteUsedName } from './introductions.ts'
import type { Journal } from './journal.ts'
import type { Lanes } from './lanes.ts'
import type { Links } from './links.ts'
import type { Contact } from './model.ts'
import type { Outbox } from './outbox.ts'
import type { SettingsTable } from './settings.ts'
import type { SqlRow } from './store.ts'
import type { ContactReport, ContactView, IdentityView, MessageView, Settings } from './views.ts'

export interface CommandParts {
  readonly contacts: Contacts
  readonly links: Links
  readonly lanes: Lanes
  readonly outbox: Outbox
  readonly inbox: Inbox
  readonly history: History
  readonly introductions: Introductions
  readonly hellos: Hellos
  readonly settings: SettingsTable
  readonly journal: Journal
  readonly changedKeys: ChangedKeys
  /** Somebody must not find our boxes open any more: their tokens are withdrawn. */
  readonly onTokensRevoked: () => void
  readonly onContactsChanged: () => void
}

type CommandResult<T> = Result<T, CommandError>

// Most events of one reply, and most uses of one invite (own choices).
const eventsPerReplyMax = 1000
const inviteUsesMax = 1000
const idempotencyKeyLengthMax = 64

/** Messages in a report, and characters of its reason. Own choices. */
const reportMessagesMax = 20
const reportReasonMax = 280

/** What a person asks. Each command is one function; errors are facts, the words for them are others' matter. */
export class Commands {
  readonly #context: Context
  readonly #parts: CommandParts

  constructor(context: Context, parts: CommandParts) {
    this.#context = context
    this.#parts = parts
  }

  run(command: MessagingCommand): CommandResult<CommandResults[keyof CommandResults]> {
    const { contacts, settings, history, journal, links, inbox } = this.#parts
    switch (command.type) {
      case 'identity':
        return ok(this.#identity())
      case 'rename-self':
        return this.#renameSelf(command.name)
      case 'contacts-list':
        return ok(contacts.shown().map(contactView))
      case 'contact-add-invite':
        return this.#addInvite(command.invite, command.name, command.note)
      case 'contact-add-peer':
        return this.#addPeer(command.peerId, command.name)
      case 'contact-accept':
        return this.#with(command.account, (contact) => this.#accept(contact))
      case 'contact-block':
        return this.#with(command.account, (contact) => this.#block(contact, command.blocked))
      case 'contact-verify':
        return this.#with(command.account, (contact) => {
          contact.verified = command.verified
          return this.#changed(contact)
        })
      case 'contact-trust':
        return this.#with(command.account, (contact) => this.#trust(contact))
      case 'contact-report':
        return this.#with(command.account, (contact) => this.#report(contact, command.reason ?? ''))
      case 'contact-rename':
        return this.#with(command.account, (contact) => {
          if (!isName(command.name)) return err({ type: 'bad-name', sizeMax: nameSizeMax })
          contact.alias = command.name.trim()
          return this.#changed(contact)
        })
      case 'contact-remove':
        return this.#with(command.account, (contact) => this.#remove(contact))
      case 'safety-number':
        return this.#safetyNumber(command.account)
      case 'invite-create':
        return this.#createInvite(command.addresses, command.uses)
      case 'message-send':
        return this.#with(command.account, (contact) => this.#send(contact, command.text, command.key))
      case 'message-cancel':
        return this.#cancel(command.id)
      case 'message-resend':
        return this.#resend(command.id)
      case 'message-get':
        return this.#withMessage(command.id, (row) => ok(history.view(row)))
      case 'messages-list':
        return this.#list(command)
      case 'messages-search':
        return this.#search(command)
      case 'messages-read':
        return this.#with(command.account, (contact) => ok({ count: inbox.markRead(contact, command.upTo) }))
      case 'typing':
        return this.#with(command.account, (contact) => ok({ sent: links.sendTyping(contact, command.typing) }))
      case 'settings-get':
        return ok(settings.get())
      case 'settings-set':
        return ok(this.#setSettings(command.settings))
      case 'events-since':
        return journal.since(command.cursor, Math.max(1, Math.min(eventsPerReplyMax, Math.trunc(command.limit))))
      case 'stats':
        return ok(this.#stats())
    }
  }

  /** The person has looked at what changed; whatever waited goes out. */
  #trust(contact: Contact): CommandResult<ContactView> {
    if (contact.changed === undefined) return err({ type: 'wrong-state', state: 'unchanged' })
    const { changedKeys, links } = this.#parts
    changedKeys.trust(contact)
    const view = this.#changed(contact)
    for (const link of links.all()) {
      if (link.account === contact.account && link.list) links.adopt(contact, link.list)
    }
    return view
  }

  #report(contact: Contact, reason: string): CommandResult<ContactReport> {
    const messages = this.#parts.history
      .list({ contact, limit: reportMessagesMax })
      .filter(({ direction }) => direction === 'in')
      .map(({ text, sentAt, storedAt }) => ({ text, sentAt, storedAt }))
    const blocked = this.#block(contact, true)
    if (!blocked.ok) return blocked
    return ok({
      account: contact.account,
      name: contact.name,
      reason: reason.slice(0, reportReasonMax),
      at: Math.round(this.#context.now.wall),
      ...(contact.note !== '' && { note: contact.note }),
      messages,
    })
  }

  #identity(): IdentityView {
    const { account, peerId } = this.#context
    return { account, peerId, name: this.#parts.settings.selfName() }
  }

  #renameSelf(name: string): CommandResult<IdentityView> {
    const { settings, links } = this.#parts
    const trimmed = name.trim()
    if (trimmed === '' || !isName(trimmed)) return err({ type: 'bad-name', sizeMax: nameSizeMax })
    settings.write('selfName', trimmed)
    links.announce()
    this.#sayHelloToAll()
    return ok(this.#identity())
  }

  #sayHelloToAll(): void {
    const { contacts, lanes } = this.#parts
    for (const contact of contacts.shown()) if (contact.state === 'contact') lanes.oweHelloToAll(contact)
  }

  #addInvite(text: string, name: string | undefined, note: string | undefined): CommandResult<ContactView> {
    const { contacts, links } = this.#parts
    const invite = parseInvite(text, (bytes) => this.#context.crypto.sha256(bytes))
    if (!invite.ok) return invite
    const { accountKey, deviceKey, token } = invite.value
    const account = keyToAccountId(accountKey)
    const isAdmissible =
      this.#context.crypto.ed25519IsAdmissible(accountKey) && this.#context.crypto.ed25519IsAdmissible(deviceKey)
    if (!isAdmissible) return err({ type: 'damaged-invite' })
    if (account === this.#context.account) return err({ type: 'own-invite' })
    if (name !== undefined && !isName(name)) return err({ type: 'bad-name', sizeMax: nameSizeMax })
    if (note !== undefined && note !== '' && !isNote(note)) {
      return err({ type: 'too-many', what: 'note characters', countMax: noteLengthMax })
    }
    const known = this.#findOrAdd(account, accountKey, invite.value.name)
    if (!known.ok) return known
    const contact = known.value
    if (name !== undefined) contact.alias = name.trim()
    const device =
      contact.devices.find(({ key }) => key.every((byte, index) => byte === deviceKey[index])) ??
      contacts.addDevice(contact, deviceKey, 'claimed')
    const mayCount = contact.state !== 'contact' || contact.hintKey === undefined
    const depositSecret = mayCount ? inviteDepositSecret(this.#context.crypto, token) : undefined
    learnFromInvite(this.#context, device, invite.value, depositSecret)
    contacts.saveDevice(device)
    if (mayCount) contact.inviteToken = token
    if (note !== undefined) this.#parts.hellos.setNote(contact, note)
    const link = links.get(device.peerId)
    if (link?.account === account && link.list) links.adopt(contact, link.list)
    this.#parts.introductions.befriend(contact)
    return ok(contactView(contact))
  }

  #addPeer(peerId: PeerId, name: string | undefined): CommandResult<ContactView> {
    const { links } = this.#parts
    const link = links.get(peerId)
    if (!link?.list || link.account === this.#context.account) return err({ type: 'unknown-peer', peerId })
    if (name !== undefined && !isName(name)) return err({ type: 'bad-name', sizeMax: nameSizeMax })
    const known = this.#findOrAdd(link.account, link.accountKey, link.name)
    if (!known.ok) return known
    const contact = known.value
    if (name !== undefined) contact.alias = name.trim()
    const wasContact = contact.state === 'contact'
    contact.state = 'contact'
    links.adopt(contact, link.list)
    if (!wasContact || contact.ownHintKey === undefined) this.#parts.introductions.befriend(contact)
    else if (name !== undefined) return this.#changed(contact)
    return ok(contactView(contact))
  }

  #findOrAdd(account: AccountId, accountKey: Uint8Array, name: string): CommandResult<Contact> {
    const { contacts } = this.#parts
    const known = contacts.byAccount(account)
    if (known?.state === 'blocked') return err({ type: 'blocked-contact', account })
    if (known) return ok(known)
    const { contactsMax: countMax } = this.#context.limits
    if (contacts.size >= countMax) return err({ type: 'too-many', what: 'contacts', countMax })
    return ok(contacts.add(accountKey, 'contact', name))
  }

  #accept(contact: Contact): CommandResult<ContactView> {
    if (contact.state === 'blocked') return err({ type: 'blocked-contact', account: contact.account })
    if (contact.state !== 'contact') this.#parts.introductions.befriend(contact)
    return ok(contactView(contact))
  }

  #block(contact: Contact, blocked: boolean): CommandResult<ContactView> {
    const { links, lanes, contacts, settings } = this.#parts
    if (blocked === (contact.state === 'blocked')) return ok(contactView(contact))
    if (!blocked) {
      // What they were before is not remembered: who is let in again is a contact.
      contact.state = 'contact'
      contacts.save(contact)
      this.#parts.introductions.befriend(contact)
      for (const link of links.all()) {
        if (link.account === contact.account && link.list) links.adopt(contact, link.list)
      }
      return ok(contactView(contact))
    }
    contact.state = 'blocked'
    this.#withdraw(contact)
    for (const device of contact.devices) lanes.detach(device)
    for (const link of links.all()) {
      if (link.account === contact.account) this.#context.output({ type: 'unlink', peerId: link.peerId })
    }
    // They knew where our records are found. All others must hear of the new place, also those who are not linked.
    settings.renewLocatorKey()
    this.#sayHelloToAll()
    this.#parts.onContactsChanged()
    return this.#changed(contact)
  }

  /** What let them write to us without us: their delivery tokens, and the invite of ours that they came with. */
  #withdraw(contact: Contact): void {
    const { store } = this.#context
    const { contacts, settings, onTokensRevoked } = this.#parts
    for (const device of contact.devices) {
      device.ownDepositSecret = undefined
      contacts.saveDevice(device)
      store.run('DELETE FROM box_tokens WHERE device = ?', [device.id])
    }
    const invite = hexToBytes(settings.read(inviteUsedName(contact)) ?? '')
    if (invite?.length) {
      store.run('DELETE FROM invites WHERE token = ?', [invite])
      store.run('DELETE FROM box_tokens WHERE invite = ?', [invite])
      settings.remove(inviteUsedName(contact))
    }
    onTokensRevoked()
  }

  #remove(contact: Contact): CommandResult<{ removed: true }> {
    const { lanes, contacts, history, outbox, inbox, journal, onContactsChanged } = this.#parts
    for (const device of contact.devices) lanes.detach(device)
    this.#withdraw(contact)
    this.#parts.changedKeys.removed(contact)
    this.#parts.hellos.forgetNote(contact)
    inbox.removeAll(contact)
    history.removeAll(contact)
    contacts.remove(contact)
    outbox.recount()
    inbox.load()
    onContactsChanged()
    journal.contactRemoved(contact.account)
    return ok({ removed: true })
  }

  #safetyNumber(account: AccountId): CommandResult<CommandResults['safety-number']> {
    return this.#with(account, (contact) =>
      ok({
        safetyNumber: safetyNumber(
          this.#context.crypto,
          this.#context.identity.accountKey,
          // What is to be looked at is what would be trusted.
          this.#parts.changedKeys.pendingAccountKey(contact) ?? contact.accountKey,
        ),
        verified: contact.verified,
      }),
    )
  }

  #createInvite(addresses: readonly string[], uses: number): CommandResult<CommandResults['invite-create']> {
    const count = Math.max(1, Math.min(inviteUsesMax, Math.trunc(uses)))
    const invite = this.#parts.introductions.createInvite(addresses.filter(isInviteAddress), count)
    if (invite === undefined)
      return err({ type: 'too-many', what: 'invites', countMax: this.#context.limits.invitesMax })
    return ok({ invite, uses: count })
  }

  #send(contact: Contact, text: string, key: string | undefined): CommandResult<MessageView> {
    const { outbox, lanes, history } = this.#parts
    if (contact.state === 'blocked') return err({ type: 'blocked-contact', account: contact.account })
    if (contact.state !== 'contact') return err({ type: 'wrong-state', state: contact.state })
    if (text === '') return err({ type: 'empty-text' })
    const size = textToBytes(text).length
    if (size > textSizeMax) return err({ type: 'text-too-long', size, sizeMax: textSizeMax })
    if (key !== undefined) {
      if (key.length > idempotencyKeyLengthMax) {
        return err({ type: 'too-many', what: 'key characters', countMax: idempotencyKeyLengthMax })
      }
      const known = history.byKey(key)
      if (known) {
        const view = history.view(known)
        return view.contact === contact.account && view.text === text ? ok(view) : err({ type: 'key-reused' })
      }
    }
    const { queuedMax } = this.#context.limits
    if (outbox.pendingCount >= queuedMax) return err({ type: 'queue-full', countMax: queuedMax })
    const view = outbox.accept(contact, text, key)
    if (view.state !== 'queued') return ok(view)
    for (const device of contact.devices) if (device.lane?.hasMore) lanes.pump(device)
    return ok(history.at(view.position) ?? view)
  }

  #cancel(id: MessageId): CommandResult<MessageView> {
    return this.#withMessage(id, (row) => {
      const { ok: isDone, view } = this.#parts.outbox.cancel(row)
      return isDone ? ok(view) : err({ type: 'wrong-state', state: view.state })
    })
  }

  #resend(id: MessageId): CommandResult<MessageView> {
    return this.#withMessage(id, (row) => {
      const { contacts, outbox, lanes, history } = this.#parts
      const { ok: isDone, view } = outbox.resend(row)
      if (!isDone) return err({ type: 'wrong-state', state: view.state })
      for (const device of contacts.byAccount(view.contact)?.devices ?? []) lanes.pump(device)
      return ok(history.at(view.position) ?? view)
    })
  }

  #list(command: Extract<MessagingCommand, { type: 'messages-list' }>): CommandResult<readonly MessageView[]> {
    const { account, limit, before, after, unread } = command
    if (account === undefined) return ok(this.#parts.history.list({ limit, before, after, unread }))
    return this.#with(account, (contact) => ok(this.#parts.history.list({ contact, limit, before, after, unread })))
  }

  #search(command: Extract<MessagingCommand, { type: 'messages-search' }>): CommandResult<readonly MessageView[]> {
    const { account, query, limit } = command
    if (account === undefined) return this.#parts.history.search(query, undefined, limit)
    return this.#with(account, (contact) => this.#parts.history.search(query, contact, limit))
  }

  #setSettings(changes: Partial<Settings>): Settings {
    const { settings, journal, lanes, links, onContactsChanged } = this.#parts
    const before = settings.get()
    const after = settings.set(changes)
    if (before.discoverable !== after.discoverable) onContactsChanged()
    if (!before.presence && after.presence) for (const device of lanes.linked()) links.sendPresence(device)
    journal.settingsChanged(after)
    return after
  }

  #stats(): CommandResults['stats'] {
    const { outbox, contacts } = this.#parts
    return {
      queued: outbox.pendingCount,
      contacts: contacts.shown().length,
      messages: contacts.messageCount(),
      dropped: Object.fromEntries(this.#context.drops),
    }
  }

  #changed(contact: Contact): CommandResult<ContactView> {
    this.#parts.contacts.save(contact)
    const view = contactView(contact)
    this.#parts.journal.contactChanged(contact.id, view)
    return ok(view)
  }

  #with<T>(account: AccountId, body: (contact: Contact) => CommandResult<T>): CommandResult<T> {
    const parsed = parseAccountId(account)
    const contact = parsed && this.#parts.contacts.byAccount(parsed)
    if (!contact || contact.state === 'stranger') return err({ type: 'unknown-contact', account })
    return body(contact)
  }

  #withMessage<T>(id: MessageId, body: (row: SqlRow) => CommandResult<T>): CommandResult<T> {
    const parsed = parseMessageId(id)
    const row = parsed && this.#parts.history.byId(parsed)
    return row ? body(row) : err({ type: 'unknown-message', id })
  }
}
