import type { AccountId, PeerId } from '@miaou/core'
import { keyToAccountId, keyToPeerId } from '@miaou/core'
import { formatBoxAddress, parseBoxAddress } from '@miaou/protocol'
import { codeToContact, contactCodes } from './codes.ts'
import type { Context } from './context.ts'
import type { Contact, Device } from './model.ts'
import { bytesOf, maybeBytesOf, maybeNumberOf, numberOf, packList, textOf, unpackList } from './row.ts'
import type { SqlRow } from './store.ts'
import type { ContactView } from './views.ts'

const deviceCodes = { claimed: 0, listed: 1, revoked: 2 } as const
const changedCodes = { none: 0, 'account-key': 1, 'session-key': 2 } as const
const changedNames = [undefined, 'account-key', 'session-key'] as const
const deviceNames = ['claimed', 'listed', 'revoked'] as const

/** People and their devices: all in memory (bounded by `contactsMax`), written through to the store. */
export class Contacts {
  readonly #context: Context
  #byAccount = new Map<AccountId, Contact>()
  #byId = new Map<number, Contact>()
  #devicesById = new Map<number, Device>()
  readonly #touched = new Set<Contact>()

  constructor(context: Context) {
    this.#context = context
  }

  /** Reads the truth again: at the start, and after a transaction that failed. */
  load(): void {
    this.#byAccount = new Map()
    this.#byId = new Map()
    this.#devicesById = new Map()
    this.#touched.clear()
    for (const row of this.#context.store.all('SELECT * FROM contacts ORDER BY id')) this.#keep(rowToContact(row))
    for (const row of this.#context.store.all('SELECT * FROM devices ORDER BY id')) {
      const contact = this.#byId.get(numberOf(row, 'contact'))
      if (contact) this.#keepDevice(rowToDevice(row, contact))
    }
  }

  byAccount(account: AccountId): Contact | undefined {
    return this.#byAccount.get(account)
  }

  byId(id: number): Contact | undefined {
    return this.#byId.get(id)
  }

  /** The device of that account: another account may list the same key, which makes it no device of theirs. */
  device(account: AccountId, peerId: PeerId): Device | undefined {
    return this.#byAccount.get(account)?.devices.find((device) => device.peerId === peerId)
  }

  /** Every row of one device: of an account that lists it, or of more than one. */
  devicesOf(peerId: PeerId): Device[] {
    const devices: Device[] = []
    for (const device of this.#devicesById.values()) if (device.peerId === peerId) devices.push(device)
    return devices
  }

  deviceById(id: number): Device | undefined {
    return this.#devicesById.get(id)
  }

  devices(): Iterable<Device> {
    return this.#devicesById.values()
  }

  /** Everyone the person knows of: strangers are not shown. */
  shown(): Contact[] {
    return [...this.#byAccount.values()].filter(({ state }) => state !== 'stranger')
  }

  count(state: Contact['state']): number {
    let count = 0
    for (const contact of this.#byAccount.values()) if (contact.state === state) count += 1
    return count
  }

  /** The stranger known longest, of those who are not linked if there is one. */
  oldestStranger(): Contact | undefined {
    let oldest: Contact | undefined
    for (const contact of this.#byAccount.values()) {
      if (contact.state !== 'stranger') continue
      if (contact.devices.every(({ lane }) => lane === undefined)) return contact
      oldest ??= contact
    }
    return oldest
  }

  /** Messages kept, with everybody. */
  messageCount(): number {
    let count = 0
    for (const contact of this.#byAccount.values()) count += contact.messageCount
    return count
  }

  get size(): number {
    return this.#byAccount.size
  }

  add(accountKey: Uint8Array, state: Contact['state'], name: string): Contact {
    const { store, now } = this.#context
    const { lastInsertRowid } = store.run(
      `INSERT INTO contacts (account, state, name, alias, verified, forked, device_list, unread_count, message_count, added_at)
       VALUES (?, ?, ?, '', 0, 0, ?, 0, 0, ?)`,
      [accountKey, contactCodes[state], name, packList([]), now.wall],
    )
    return this.#keep({
      id: lastInsertRowid,
      account: keyToAccountId(accountKey),
      accountKey,
      state,
      name,
      alias: '',
      verified: false,
      forked: false,
      changed: undefined,
      note: '',
      deviceList: [],
      ownHintKey: undefined,
      hintKey: undefined,
      inviteToken: undefined,
      unreadCount: 0,
      messageCount: 0,
      addedAt: now.wall,
      lastMessageAt: undefined,
      devices: [],
    })
  }

  /** Writes all fields of a person. */
  save(contact: Contact): void {
    for (const device of contact.devices) this.#context.touch(device, true)
    const { account, ...fields } = contact
    this.#context.store.run(
      `UPDATE contacts SET state = ?, name = ?, alias = ?, verified = ?, forked = ?, changed = ?, note = ?, device_list = ?, own_hint_key = ?,
       hint_key = ?, invite_token = ?, unread_count = ?, message_count = ?, last_message_at = ? WHERE id = ?`,
      [
        contactCodes[fields.state],
        fields.name,
        fields.alias,
        fields.verified ? 1 : 0,
        fields.forked ? 1 : 0,
        changedCodes[fields.changed ?? 'none'],
        fields.note,
        packList(fields.deviceList),
        fields.ownHintKey ?? null,
        fields.hintKey ?? null,
        fields.inviteToken ?? null,
        fields.unreadCount,
        fields.messageCount,
        fields.lastMessageAt ?? null,
        fields.id,
      ],
    )
  }

  /** Counts one more message; written once a batch, by `flush`. */
  countMessage(contact: Contact, unread: boolean): void {
    contact.messageCount += 1
    if (unread) contact.unreadCount += 1
    contact.lastMessageAt = this.#context.now.wall
    this.#touched.add(contact)
  }

  flush(): void {
    for (const contact of this.#touched) {
      this.#context.store.run(
        'UPDATE contacts SET unread_count = ?, message_count = ?, last_message_at = ? WHERE id = ?',
        [contact.unreadCount, contact.messageCount, contact.lastMessageAt ?? null, contact.id],
      )
    }
    this.#touched.clear()
  }

  addDevice(contact: Contact, key: Uint8Array, state: Device['state']): Device {
    const { lastInsertRowid } = this.#context.store.run(
      "INSERT INTO devices (key, contact, state, addresses) VALUES (?, ?, ?, '')",
      [key, contact.id, deviceCodes[state]],
    )
    return this.#keepDevice({
      ...emptyDevice,
      id: lastInsertRowid,
      peerId: keyToPeerId(key),
      key,
      contact,
      state,
      sessionKey: undefined,
      addresses: [],
      ways: [],
      waysSequence: 0,
      locatorKey: undefined,
      mailboxes: [],
      bundleKey: undefined,
      sealingKey: undefined,
      depositSecret: undefined,
      ownDepositSecret: undefined,
      startMark: undefined,
      helloId: undefined,
    })
  }

  saveDevice(device: Device): void {
    this.#context.touch(device, true)
    this.#context.store.run(
      `UPDATE devices SET state = ?, session_key = ?, addresses = ?, ways = ?, ways_sequence = ?, locator_key = ?,
       mailboxes = ?, bundle_key = ?, sealing_key = ?, sealing_key_id = ?, sealing_key_at = ?, deposit_secret = ?,
       own_deposit_secret = ?, start_mark = ?, hello_id = ? WHERE id = ?`,
      [
        deviceCodes[device.state],
        device.sessionKey ?? null,
        device.addresses.join('\n'),
        device.ways.join('\n'),
        device.waysSequence,
        device.locatorKey ?? null,
        device.mailboxes.map(formatBoxAddress).join('\n'),
        device.bundleKey ?? null,
        device.sealingKey?.key ?? null,
        device.sealingKey?.id ?? null,
        device.sealingKey?.at ?? null,
        device.depositSecret ?? null,
        device.ownDepositSecret ?? null,
        device.startMark ?? null,
        device.helloId ?? null,
        device.id,
      ],
    )
  }

  /** Forgets a device: only one that an invite claimed wrongly. */
  removeDevice(device: Device): void {
    const { store } = this.#context
    store.run('DELETE FROM devices WHERE id = ?', [device.id])
    for (const table of ['owed_receipts', 'holdings', 'deposit_counters']) {
      store.run(`DELETE FROM ${table} WHERE device = ?`, [device.id])
    }
    this.#devicesById.delete(device.id)
    const index = device.contact.devices.indexOf(device)
    if (index >= 0) device.contact.devices.splice(index, 1)
  }

  /** Forgets a person and the sessions with them; what was written is the history's to remove. */
  remove(contact: Contact): void {
    const { store } = this.#context
    for (const device of [...contact.devices]) {
      store.run('DELETE FROM skipped_keys WHERE session IN (SELECT row FROM sessions WHERE device = ?)', [device.id])
      store.run('DELETE FROM sessions WHERE device = ?', [device.id])
      this.removeDevice(device)
    }
    store.run('DELETE FROM contacts WHERE id = ?', [contact.id])
    this.#byAccount.delete(contact.account)
    this.#byId.delete(contact.id)
    this.#touched.delete(contact)
  }

  /** The same person under another account, which nobody else here has. */
  rekey(contact: Contact, accountKey: Uint8Array): void {
    this.#context.store.run('UPDATE contacts SET account = ? WHERE id = ?', [accountKey, contact.id])
    this.#byAccount.delete(contact.account)
    contact.accountKey = accountKey
    contact.account = keyToAccountId(accountKey)
    this.#byAccount.set(contact.account, contact)
  }

  #keep(contact: Contact): Contact {
    this.#byAccount.set(contact.account, contact)
    this.#byId.set(contact.id, contact)
    return contact
  }

  #keepDevice(device: Device): Device {
    this.#devicesById.set(device.id, device)
    device.contact.devices.push(device)
    return device
  }
}

export function displayName(contact: Contact): string {
  return contact.alias === '' ? contact.name : contact.alias
}

/** A person as shown. Strangers are never shown; should one be, it looks like a request. */
export function contactView(contact: Contact): ContactView {
  const mailboxes = contact.devices.reduce((sum, device) => sum + device.mailboxes.length, 0)
  return {
    account: contact.account,
    name: displayName(contact),
    state: contact.state === 'stranger' ? 'request' : contact.state,
    verified: contact.verified,
    devices: contact.devices.filter(({ state }) => state !== 'revoked').map(({ peerId }) => peerId),
    forked: contact.forked,
    ...(contact.changed && { changed: contact.changed }),
    ...(contact.note !== '' && { note: contact.note }),
    ...(mailboxes > 0 && { mailboxes }),
    unreadCount: contact.unreadCount,
    addedAt: contact.addedAt,
    ...(contact.lastMessageAt === undefined ? {} : { lastMessageAt: contact.lastMessageAt }),
  }
}

const emptyDevice = { sessions: undefined, lane: undefined, failures: 0, restarts: 0, restartAt: 0 }

function rowToContact(row: SqlRow): Contact {
  const accountKey = bytesOf(row, 'account')
  return {
    id: numberOf(row, 'id'),
    account: keyToAccountId(accountKey),
    accountKey,
    state: codeToContact(numberOf(row, 'state')),
    name: textOf(row, 'name'),
    alias: textOf(row, 'alias'),
    verified: numberOf(row, 'verified') === 1,
    forked: numberOf(row, 'forked') === 1,
    changed: changedNames[numberOf(row, 'changed')],
    note: textOf(row, 'note'),
    deviceList: unpackList(bytesOf(row, 'device_list')),
    ownHintKey: maybeBytesOf(row, 'own_hint_key'),
    hintKey: maybeBytesOf(row, 'hint_key'),
    inviteToken: maybeBytesOf(row, 'invite_token'),
    unreadCount: numberOf(row, 'unread_count'),
    messageCount: numberOf(row, 'message_count'),
    addedAt: numberOf(row, 'added_at'),
    lastMessageAt: maybeNumberOf(row, 'last_message_at'),
    devices: [],
  }
}

function rowToDevice(row: SqlRow, contact: Contact): Device {
  const key = bytesOf(row, 'key')
  return {
    ...emptyDevice,
    id: numberOf(row, 'id'),
    peerId: keyToPeerId(key),
    key,
    contact,
    state: deviceNames[numberOf(row, 'state')] ?? 'revoked',
    sessionKey: maybeBytesOf(row, 'session_key'),
    addresses: linesOf(row, 'addresses'),
    ways: linesOf(row, 'ways'),
    waysSequence: numberOf(row, 'ways_sequence'),
    locatorKey: maybeBytesOf(row, 'locator_key'),
    mailboxes: linesOf(row, 'mailboxes').flatMap((line) => parseBoxAddress(line) ?? []),
    bundleKey: maybeBytesOf(row, 'bundle_key'),
    sealingKey: sealingKeyOf(row),
    depositSecret: maybeBytesOf(row, 'deposit_secret'),
    ownDepositSecret: maybeBytesOf(row, 'own_deposit_secret'),
    startMark: maybeBytesOf(row, 'start_mark'),
    helloId: maybeBytesOf(row, 'hello_id'),
  }
}

function sealingKeyOf(row: SqlRow): Device['sealingKey'] {
  const key = maybeBytesOf(row, 'sealing_key')
  return key && { key, id: numberOf(row, 'sealing_key_id'), at: numberOf(row, 'sealing_key_at') }
}

function linesOf(row: SqlRow, column: string): string[] {
  return textOf(row, column)
    .split('\n')
    .filter((line) => line !== '')
}
