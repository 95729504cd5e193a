import { writeFileSync } from 'node:fs'
import { text as readAll } from 'node:stream/consumers'
import type { Message, MiaouClient, MiaouEvent } from '@miaou/sdk'
import { MiaouError } from '@miaou/sdk/client'
import type { Context } from '../context.ts'
import { type ExitCode, exitCodes } from '../exit-code.ts'
import { type Session, withHome, withServedSession, withSession } from '../session.ts'
import { formatMessage, formatMessageLine, formatOutlook, formatState, namesOf } from '../terminal/format.ts'
import { createNames, noticeWords } from '../terminal/live.ts'
import { interruptSignal, pause, withProgress } from '../terminal/progress.ts'
import { contactOrPeer } from './contacts.ts'

/** How long `send` still waits for the receipt once a mailbox has the message, ms: guess, a few round trips. */
const heldMs = 1_500
/** The most a page of the history holds (messaging engine). */
const pageSize = 200

export interface SendOptions {
  /** Seconds to wait for the receipt. */
  readonly wait: number
  /** End with `notDelivered` when there is none. */
  readonly confirm?: boolean
  readonly key?: string
}

export async function send(context: Context, who: string, words: string, options: SendOptions): Promise<ExitCode> {
  const { io, out, text } = context
  const body = words === '-' ? (await readAll(io.stdin)).replace(/\r?\n$/, '') : words
  return withSession(context, async (session) => {
    const to = await withProgress(context, text('send.looking', { name: who }), contactOrPeer(session, who))
    const key = options.key === undefined ? {} : { key: options.key }
    const events = session.client.events({ fleeting: false })
    const started = await session.client.messages.send(to, body, key)
    const message = await withProgress(
      context,
      text('send.waiting', { name: who }),
      settled(session.client, events, started, options.wait * 1000, options.confirm === true ? Infinity : heldMs),
    )
    out.object(message)
    out.line(formatState(context, message))
    const outlook = formatOutlook(context, message)
    if (outlook !== undefined) out.line(outlook)
    if (message.state === 'queued' && session.daemon === undefined) out.line(text('send.needs-up'))
    if (message.state === 'refused' || message.state === 'expired') return exitCodes.error
    return options.confirm === true && !isConfirmed(message) ? exitCodes.notDelivered : exitCodes.ok
  })
}

function isConfirmed({ state }: Message): boolean {
  return state === 'delivered' || state === 'read'
}

function isSettled(message: Message): boolean {
  return isConfirmed(message) || ['refused', 'expired', 'cancelled'].includes(message.state)
}

/** The message once nothing more is to come, or as it is when time is up: `heldMs` after a mailbox took it, at most. */
export async function settled(
  client: MiaouClient,
  events: AsyncIterableIterator<MiaouEvent>,
  message: Message,
  timeoutMs: number,
  heldMs: number = Number.POSITIVE_INFINITY,
): Promise<Message> {
  const stop = () => void events.return?.()
  const timer = setTimeout(stop, timeoutMs)
  let heldTimer: NodeJS.Timeout | undefined
  let latest = message
  const look = (next: Message): void => {
    latest = next
    if (next.state === 'held' && Number.isFinite(heldMs)) heldTimer ??= setTimeout(stop, heldMs)
  }
  try {
    // The state may have moved between the answer and the first event.
    look(await client.messages.get(message.id))
    if (isSettled(latest)) return latest
    for await (const { event } of events) {
      if (event.type !== 'message-state' || event.message.id !== message.id) continue
      look(event.message)
      if (isSettled(latest)) break
    }
    return latest
  } finally {
    clearTimeout(timer)
    clearTimeout(heldTimer)
    await events.return?.()
  }
}

export interface ReceiveOptions {
  readonly follow?: boolean
  /** Seconds to listen where no daemon has listened all the time. */
  readonly wait: number
}

/** Prints what is unread, oldest first, and marks it read. */
export function recv(context: Context, options: ReceiveOptions): Promise<ExitCode> {
  const run = async (session: Session): Promise<ExitCode> => {
    const { out, text } = context
    const { client } = session
    const { signal, end } = interruptSignal(context)
    const events = client.events({ fleeting: false })
    try {
      let count = await printUnread(context, client)
      if (options.follow === true) {
        out.note(text('recv.following'))
        signal.addEventListener('abort', () => void events.return?.(), { once: true })
        for await (const { event } of events) {
          if (event.type === 'message-received') count += await printUnread(context, client)
          else if (event.type === 'notice') {
            out.note(noticeWords(text, event, createNames(await client.contacts.list())))
          }
        }
        return exitCodes.ok
      }
      if (session.daemon === undefined && options.wait > 0) {
        out.note(text('recv.listening', { seconds: options.wait }))
        await pause(options.wait * 1000, signal)
        count += await printUnread(context, client)
      }
      if (count === 0) out.line(text('recv.none'))
      return exitCodes.ok
    } finally {
      end()
      await events.return?.()
    }
  }
  return options.follow === true ? withServedSession(context, 'daemon', run) : withSession(context, run)
}

async function printUnread(context: Context, client: MiaouClient): Promise<number> {
  let count = 0
  for (;;) {
    const unread = await client.messages.list({ unread: true, limit: pageSize })
    if (unread.length === 0) return count
    const contacts = await client.contacts.list()
    const nameOf = namesOf(contacts)
    for (const message of unread) {
      context.out.object(message)
      context.out.line(formatMessage(context, message, nameOf(message.contact)))
    }
    count += unread.length
    const last = new Map(unread.map(({ contact, position }) => [contact, position]))
    let readCount = 0
    for (const [contact, position] of last) readCount += (await client.messages.read(contact, position)).count
    // What cannot be marked must not be printed for ever.
    if (readCount === 0) return count
  }
}

export interface HistoryOptions {
  readonly limit: number
  readonly before?: number
  /** Whole texts instead of one line a message. */
  readonly isFull: boolean
}

export function history(context: Context, who: string, options: HistoryOptions): Promise<ExitCode> {
  return withHome(context, async (session) => {
    const before = options.before === undefined ? {} : { before: options.before }
    const messages = await session.client.messages.list({ with: who, limit: options.limit, ...before })
    if (options.isFull || context.out.isJson) await print(context, session, messages, 'history.none')
    else await printLines(context, session, messages)
    const [oldest] = messages
    if (oldest !== undefined && messages.length === options.limit) {
      context.out.note(context.text('history.more', { who, position: oldest.position }))
    }
    return exitCodes.ok
  })
}

export function search(
  context: Context,
  query: string,
  options: { readonly with?: string; readonly limit: number },
): Promise<ExitCode> {
  return withHome(context, async (session) => {
    const messages = await session.client.messages.search(query, options)
    await print(context, session, messages, 'search.none')
    return exitCodes.ok
  })
}

async function print(
  context: Context,
  { client }: Session,
  messages: readonly Message[],
  none: 'history.none' | 'search.none',
): Promise<void> {
  const nameOf = namesOf(await client.contacts.list())
  if (messages.length === 0) context.out.line(context.text(none))
  for (const message of messages) {
    context.out.object(message)
    context.out.line(formatMessage(context, message, nameOf(message.contact)))
  }
}

/** Row G18: one line a message. */
async function printLines(context: Context, { client }: Session, messages: readonly Message[]): Promise<void> {
  const { account } = await client.identity.get()
  const nameOf = namesOf(await client.contacts.list())
  if (messages.length === 0) context.out.line(context.text('history.none'))
  for (const message of messages) {
    const isOwn = message.direction === 'out'
    const sender = isOwn ? account : message.contact
    const name = isOwn ? context.text('message.me') : nameOf(message.contact)
    context.out.line(formatMessageLine(context, message, { id: sender, name }))
  }
}

export interface ExportOptions {
  readonly with?: string
  readonly format: 'jsonl' | 'json'
  /** Made with mode 0600; must not exist. */
  readonly out?: string
}

/** Everything a person may want to keep: who they are, their contacts, every message. */
export function exportAll(context: Context, options: ExportOptions): Promise<ExitCode> {
  return withHome(context, async ({ client }) => {
    const { io, out, text } = context
    const identity = await client.identity.get()
    const contacts = await client.contacts.list()
    const messages = await allMessages(client, options.with)
    const lines =
      options.format === 'json'
        ? [
            JSON.stringify(
              { format: 'miaou-export-1', exportedAt: io.now(), identity, contacts, messages },
              undefined,
              2,
            ),
          ]
        : [
            { type: 'identity', identity },
            ...contacts.map((contact) => ({ type: 'contact', contact })),
            ...messages.map((message) => ({ type: 'message', message })),
          ].map((entry) => JSON.stringify(entry))
    const content = lines.map((line) => `${line}\n`).join('')
    if (options.out === undefined) io.stdout.write(content)
    else {
      try {
        writeFileSync(options.out, content, { mode: 0o600, flag: 'wx' })
      } catch (cause) {
        const detail = cause instanceof Error ? cause.message : options.out
        throw new MiaouError('bad-request', { detail }, { cause })
      }
      out.note(text('export.done', { count: messages.length, file: options.out }))
    }
    return exitCodes.ok
  })
}

async function allMessages(client: MiaouClient, who: string | undefined): Promise<readonly Message[]> {
  const all: Message[] = []
  let after = -1
  for (;;) {
    const page = await client.messages.list({ ...(who === undefined ? {} : { with: who }), after, limit: pageSize })
    const fresh = page.filter(({ position }) => position > after)
    if (fresh.length === 0) return all
    all.push(...fresh)
    after = fresh.at(-1)?.position ?? after
  }
}
