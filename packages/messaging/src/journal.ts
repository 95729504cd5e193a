import type { AccountId, Result } from '@miaou/core'
import { accountIdToKey, err, keyToAccountId, ok } from '@miaou/core'
import type { Context } from './context.ts'
import type { CommandError, MessagingEvent, Notice, StoredEvent } from './interface.ts'
import { bytesOf, maybeBytesOf, numberOf } from './row.ts'
import type { SqlRow, SqlValue } from './store.ts'
import type { ContactView, MessageView, Settings } from './views.ts'

const kinds = {
  'message-received': 1,
  'message-state': 2,
  'contact-changed': 3,
  'contact-removed': 4,
  'invite-used': 5,
  'settings-changed': 6,
  notice: 7,
} as const satisfies Record<MessagingEvent['type'], number>

/** `ref` of a notice. */
const noticeCodes: Readonly<Record<Notice, number>> = {
  'session-renewed': 1,
  'contact-restored': 2,
  'copy-detected': 3,
  'account-key-changed': 4,
  'session-key-changed': 5,
}

/** Where an event, read again, finds what it speaks of: as it is then, not as it was. */
export interface JournalSources {
  messageAt(position: number): MessageView | undefined
  contactById(id: number): ContactView | undefined
  settings(): Settings
}

// So that a steady stream of events costs one deletion in a hundred events, not one each.
const pruneStep = 100

/** The bounded list of events from which a client resumes. A row names what changed; texts stay in their own table. */
export class Journal {
  readonly #context: Context
  readonly #sources: JournalSources
  #newest = 0
  #oldest = 1
  /** Messages whose state changed in this batch, by position: told once, at its end. */
  readonly #changed = new Map<number, () => MessageView | undefined>()

  constructor(context: Context, sources: JournalSources) {
    this.#context = context
    this.#sources = sources
  }

  load(): void {
    const row = this.#context.store.get(
      'SELECT coalesce(max(cursor), 0) AS newest, coalesce(min(cursor), 1) AS oldest FROM events',
    )
    this.#newest = row === undefined ? 0 : numberOf(row, 'newest')
    this.#oldest = row === undefined ? 1 : numberOf(row, 'oldest')
    this.#changed.clear()
  }

  messageReceived(message: MessageView): void {
    this.#add({ type: 'message-received', message }, message.position, null)
  }

  /** `view` is asked for once, at the end of the batch. */
  messageChanged(position: number, view: () => MessageView | undefined): void {
    this.#changed.set(position, view)
  }

  contactChanged(id: number, contact: ContactView): void {
    this.#add({ type: 'contact-changed', contact }, id, null)
  }

  contactRemoved(account: AccountId): void {
    this.#add({ type: 'contact-removed', account }, null, accountIdToKey(account))
  }

  inviteUsed(account: AccountId): void {
    this.#add({ type: 'invite-used', account }, null, accountIdToKey(account))
  }

  settingsChanged(settings: Settings): void {
    this.#add({ type: 'settings-changed', settings }, null, null)
  }

  /** One quiet line; `account`: whom it is about, or who told. */
  notice(notice: Notice, account: AccountId | undefined): void {
    const event = { type: 'notice', notice, ...(account && { account }) } as const
    this.#add(event, noticeCodes[notice], account === undefined ? null : accountIdToKey(account))
  }

  /** As `notice`, unless the same was told within that many ms of wall clock. */
  noticeOnce(notice: Notice, account: AccountId | undefined, withinMs: number): void {
    const { store, now } = this.#context
    const key = account === undefined ? null : accountIdToKey(account)
    // One that is dated later than now was told before the clock went back.
    const known = store.get('SELECT 1 FROM events WHERE kind = ? AND ref = ? AND account IS ? AND at > ? AND at <= ?', [
      kinds.notice,
      noticeCodes[notice],
      key,
      now.wall - withinMs,
      now.wall,
    ])
    if (!known) this.notice(notice, account)
  }

  flush(): void {
    for (const [position, view] of this.#changed) {
      const message = view()
      if (message) this.#add({ type: 'message-state', message }, position, null)
    }
    this.#changed.clear()
    const { store, limits } = this.#context
    const oldest = this.#newest - limits.eventsMax + 1
    if (oldest - this.#oldest < Math.min(pruneStep, limits.eventsMax)) return
    store.run('DELETE FROM events WHERE cursor < ?', [oldest])
    this.#oldest = oldest
  }

  /**
   * At most `limit` events after `cursor`, oldest first. A cursor ahead of the newest is of a later life of this home
   * (its disk was restored from a copy), but for the largest number, which asks for none.
   */
  since(cursor: number, limit: number): Result<{ events: readonly StoredEvent[]; newest: number }, CommandError> {
    const isAhead = cursor > this.#newest && cursor < Number.MAX_SAFE_INTEGER
    if (isAhead || cursor + 1 < this.#oldest) return err({ type: 'cursor-expired', oldest: this.#oldest - 1 })
    const rows = this.#context.store.all('SELECT * FROM events WHERE cursor > ? ORDER BY cursor LIMIT ?', [
      cursor,
      limit,
    ])
    const events: StoredEvent[] = []
    for (const row of rows) {
      const event = this.#read(row)
      if (event) events.push({ cursor: numberOf(row, 'cursor'), at: numberOf(row, 'at'), event })
    }
    return ok({ events, newest: this.#newest })
  }

  #add(event: MessagingEvent, ref: SqlValue, account: SqlValue): void {
    const { store, now } = this.#context
    this.#newest += 1
    const at = Math.round(now.wall)
    store.run('INSERT INTO events (cursor, at, kind, ref, account) VALUES (?, ?, ?, ?, ?)', [
      this.#newest,
      at,
      kinds[event.type],
      ref,
      account,
    ])
    this.#context.output({ type: 'event', stored: { cursor: this.#newest, at, event } })
  }

  #read(row: SqlRow): MessagingEvent | undefined {
    switch (numberOf(row, 'kind')) {
      case kinds['message-received']:
      case kinds['message-state']: {
        const message = this.#sources.messageAt(numberOf(row, 'ref'))
        const type = numberOf(row, 'kind') === kinds['message-received'] ? 'message-received' : 'message-state'
        return message && { type, message }
      }
      case kinds['contact-changed']: {
        const contact = this.#sources.contactById(numberOf(row, 'ref'))
        return contact && { type: 'contact-changed', contact }
      }
      case kinds['contact-removed']:
        return { type: 'contact-removed', account: keyToAccountId(bytesOf(row, 'account')) }
      case kinds['invite-used']:
        return { type: 'invite-used', account: keyToAccountId(bytesOf(row, 'account')) }
      case kinds.notice:
        return readNotice(row)
      default:
        return { type: 'settings-changed', settings: this.#sources.settings() }
    }
  }
}

function readNotice(row: SqlRow): MessagingEvent | undefined {
  const code = numberOf(row, 'ref')
  const notice = (Object.keys(noticeCodes) as Notice[]).find((each) => noticeCodes[each] === code)
  const account = maybeBytesOf(row, 'account')
  return notice && { type: 'notice', notice, ...(account && { account: keyToAccountId(account) }) }
}
