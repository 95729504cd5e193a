import type { Contact, Message, MessageState } from '@miaou/sdk'
import { formatDay, formatTime, formatTimestamp, isSameDay } from '@miaou/text'
import type { Context } from '../context.ts'
import { sanitise, sanitiseLine } from './sanitise.ts'

/** One sign a state, so that a glance is enough; the word stands beside it wherever there is room. */
const marks: Readonly<Record<MessageState, string>> = {
  queued: '·',
  sent: '✓',
  held: '◦',
  delivered: '✓✓',
  read: '✓✓',
  refused: '✗',
  expired: '✗',
  cancelled: '–',
}

/** `✓✓ delivered`, with the reason and the next try where they say more. */
export function formatState(context: Context, message: Message): string {
  const { text, out } = context
  const { state } = message
  const isBad = state === 'refused' || state === 'expired'
  const style = isBad ? out.styles.bad : state === 'delivered' || state === 'read' ? out.styles.good : out.styles.soft
  const words = style(`${marks[state]} ${heldWords(context, message) ?? text.state(state)}`)
  const why = reasonWords(context, message)
  return why === undefined ? words : `${words} (${why})`
}

/** `held by 2 mailboxes until 27 November 14:00`, the first of them to give up; undefined while nobody is known to. */
function heldWords(context: Context, { state, heldBy = [] }: Message): string | undefined {
  if (state !== 'held' || heldBy.length === 0) return undefined
  const when = formatMoment(context, Math.min(...heldBy.map(({ until }) => until)))
  return context.text('held.by', { count: heldBy.length, when })
}

/** Of a message that a mailbox holds everybody knows why it waits. */
const obviousWhileHeld: ReadonlySet<Message['reason']> = new Set(['recipient-offline', 'awaiting-receipt'])

/** A next try that is nearer is not told, ms: times are shown to the minute. */
const nextTryShownMs = 60_000

/** Why a message is where it is, and when it is tried again; undefined where the state says it all. */
function reasonWords(context: Context, { state, reason, nextTryAt }: Message): string | undefined {
  const { text, io } = context
  if (state === 'delivered' || state === 'read') return undefined
  const isObvious = reason === undefined || reason === state || (state === 'held' && obviousWhileHeld.has(reason))
  const why = isObvious ? undefined : text.reason(reason)
  const isWaiting = state === 'queued' || state === 'sent'
  if (!isWaiting || nextTryAt === undefined || nextTryAt - io.now() < nextTryShownMs) return why
  const when = formatWhen(context, nextTryAt)
  return why === undefined ? text('waiting.next-try', { when }) : text('waiting.reason-next-try', { reason: why, when })
}

/** Not sent again by itself: the person must look first. */
const stopped: ReadonlySet<Message['reason']> = new Set(['key-changed', 'device-list-fork'])

/** Where a message that waits goes from here, as one sentence. */
export function formatOutlook({ text, io }: Context, message: Message): string | undefined {
  if (message.state === 'held') return text('held.next')
  if (message.state !== 'queued' || message.expiresAt === undefined || stopped.has(message.reason)) return undefined
  const now = io.now()
  return text('send.until', { day: formatDay(text.language, message.expiresAt, io.timeZoneOffset(now), now) })
}

/** `14:05`, with the date when it is not today. */
export function formatWhen({ io }: Context, ms: number): string {
  const offset = io.timeZoneOffset(ms)
  return isSameDay(ms, io.now(), offset) ? formatTime(ms, offset) : formatTimestamp(ms, offset)
}

/** `27 November 14:05`. */
export function formatMoment({ text, io }: Context, ms: number): string {
  const offset = io.timeZoneOffset(ms)
  return `${formatDay(text.language, ms, offset, io.now())} ${formatTime(ms, offset)}`
}

/** A message as a listing shows it; further lines of its text are set under the first. */
export function formatMessage(context: Context, message: Message, name: string): string {
  const { text, out } = context
  const { styles } = out
  const isOwn = message.direction === 'out'
  const when = formatWhen(context, message.sentAt)
  const who = isOwn ? text('message.me') : sanitiseLine(name)
  const indent = ' '.repeat(when.length + 2)
  const body = sanitise(message.text).replaceAll('\n', `\n${indent}`)
  const state = isOwn ? `\n${indent}${formatState(context, message)}` : ''
  return `${styles.soft(when)}  ${isOwn ? styles.soft(who) : styles.accent(who)}: ${body}${state}`
}

/** Row G18: the characters of a text that a line of the history shows. */
const excerptMax = 50

/** `14:05:09 → me (Ab3d…9xYz) the first 50 characters  ✓✓ read`; the arrow says whether it went out or came in. */
export function formatMessageLine(
  context: Context,
  message: Message,
  sender: { readonly id: string; readonly name: string },
): string {
  const { styles } = context.out
  const isOwn = message.direction === 'out'
  const seconds = String(Math.floor(message.sentAt / 1000) % 60).padStart(2, '0')
  const when = `${formatWhen(context, message.sentAt)}:${seconds}`
  const name = isOwn ? styles.soft(sender.name) : styles.accent(sanitiseLine(sender.name))
  // Whole characters, as people count them: an emoji of several code points is one.
  const characters = [...new Intl.Segmenter().segment(sanitiseLine(message.text))].map(({ segment }) => segment)
  const excerpt = `${characters.slice(0, excerptMax).join('')}${characters.length > excerptMax ? '…' : ''}`
  const state = isOwn ? `  ${formatState(context, message)}` : ''
  return `${styles.soft(when)} ${isOwn ? '→' : '←'} ${name} (${shortId(sender.id)}) ${excerpt}${state}`
}

/** First and last characters of a peer id or an account id: for display only, never for comparison. */
export function shortId(id: string): string {
  const rest = id.startsWith('12D3KooW') ? id.slice(8) : id.startsWith('z6Mk') ? id.slice(4) : id
  return `${rest.slice(0, 4)}…${rest.slice(-4)}`
}

/** Names by account, for showing messages. */
export function namesOf(contacts: readonly Contact[]): (account: string) => string {
  const byAccount = new Map(contacts.map(({ account, name }) => [account, name]))
  return (account) => byAccount.get(account) || shortId(account)
}

/** Rows under each other, columns as wide as their widest cell; the last column is free. */
export function formatTable(rows: readonly (readonly string[])[]): string {
  const widths: number[] = []
  for (const row of rows) {
    for (const [column, cell] of row.entries()) widths[column] = Math.max(widths[column] ?? 0, width(cell))
  }
  return rows
    .map((row) =>
      row
        .map((cell, column) =>
          column === row.length - 1 ? cell : cell + ' '.repeat((widths[column] ?? 0) - width(cell)),
        )
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

/** Visible width of a text without line breaks: colours take no room. */
function width(text: string): number {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: our own colours begin with ESC
  return [...text.replace(/\u001b\[\d+m/g, '')].length
}
