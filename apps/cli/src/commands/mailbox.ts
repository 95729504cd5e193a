import type { Mailbox, Serving } from '@miaou/sdk'
import { formatNumber } from '@miaou/text'
import type { Context } from '../context.ts'
import { type ExitCode, exitCodes } from '../exit-code.ts'
import { type Session, withHome, withSession } from '../session.ts'
import { formatTable } from '../terminal/format.ts'
import { round } from '../terminal/live.ts'
import { pause, withProgress } from '../terminal/progress.ts'
import { sanitiseLine } from '../terminal/sanitise.ts'
import { isPrivateUrl } from './relay.ts'

/** Between two looks at how far a mailbox got, ms. */
const lookMs = 100
/** How long a peer that just started takes to try its mailboxes at all, ms (guess: far above what reading them takes). */
const startMs = 500

/** Own mailboxes in use or tried. Without a daemon they get `waitMs` to answer. */
export function listMailboxes(context: Context, waitMs: number): Promise<ExitCode> {
  return withSession(context, async (session) => {
    const wait = session.daemon === undefined ? waitMs : 0
    const mailboxes = await withProgress(context, context.text('mailbox.waiting'), settledMailboxes(session, wait))
    const { out, text } = context
    for (const mailbox of mailboxes) out.object(mailbox)
    if (mailboxes.length === 0) out.line(text('mailbox.none'))
    else out.line(mailboxTable(context, mailboxes))
    return exitCodes.ok
  })
}

/** Until each mailbox has answered or failed, at most `waitMs`. */
async function settledMailboxes({ client }: Session, waitMs: number): Promise<readonly Mailbox[]> {
  for (let waitedMs = 0; ; waitedMs += lookMs) {
    const mailboxes = await client.mailboxes.list()
    const isSettled = mailboxes.every(({ state }) => state !== 'connecting' && state !== 'connected')
    const isStarted = mailboxes.length > 0 || waitedMs >= startMs
    if ((isSettled && isStarted) || waitedMs >= waitMs) return mailboxes
    await pause(lookMs)
  }
}

const statePhrases = {
  connecting: 'mailbox.connecting',
  connected: 'mailbox.connected',
  registered: 'mailbox.registered',
  refused: 'mailbox.refused',
  unreachable: 'mailbox.unreachable',
} as const
const sourcePhrases = {
  config: 'mailbox.by-config',
  added: 'mailbox.by-added',
  contact: 'mailbox.by-contact',
} as const

/** One line of a listing: mark, address, how it stands, round trip. */
function mailboxRow({ out, text }: Context, mailbox: Mailbox): string[] {
  const { styles } = out
  const { state, latencyMs, error } = mailbox
  const isBad = state === 'refused' || state === 'unreachable'
  const mark = state === 'registered' ? styles.good('●') : isBad ? styles.bad('✗') : styles.soft('○')
  const words = text(statePhrases[state])
  return [
    mark,
    sanitiseLine(mailbox.mailbox),
    isBad && error !== undefined ? `${words}: ${sanitiseLine(error)}` : words,
    latencyMs === undefined ? '' : `${round(latencyMs)} ms`,
  ]
}

/** The lines under it: who named it and, where it is linked, what it sees of us; then what it has for us. */
function detailLines({ out, text }: Context, { state, source, stock, throughRelay }: Mailbox): string[] {
  const isLinked = state === 'registered' || state === 'connected'
  const way = isLinked ? [text(throughRelay ? 'mailbox.through-relay' : 'mailbox.straight')] : []
  const has =
    stock === undefined
      ? []
      : [
          text('mailbox.waiting-count', { count: stock.waiting }),
          text('mailbox.tokens', { count: stock.tokens }),
          text('mailbox.bundles', { count: stock.oneTimeBundles }),
        ]
  return [[text(sourcePhrases[source]), ...way], has]
    .filter((parts) => parts.length > 0)
    .map((parts) => out.styles.soft(parts.join(', ')))
}

function mailboxTable(context: Context, mailboxes: readonly Mailbox[]): string {
  const lines = formatTable(mailboxes.map((mailbox) => mailboxRow(context, mailbox))).split('\n')
  return mailboxes
    .flatMap((mailbox, index) => [lines[index] ?? '', ...detailLines(context, mailbox).map((line) => `   ${line}`)])
    .join('\n')
}

/** Rows of a table of facts; where there is none they say what that means. */
export function mailboxRows(context: Context, mailboxes: readonly Mailbox[]): string[][] {
  const title = context.text('info.mailboxes')
  if (mailboxes.length === 0) return [[title, context.text('mailbox.none-short')]]
  return mailboxes.flatMap((mailbox, index) => [
    [
      index === 0 ? title : '',
      mailboxRow(context, mailbox)
        .filter((cell) => cell !== '')
        .join('  '),
    ],
    ...detailLines(context, mailbox).map((line) => ['', line]),
  ])
}

/** Kept in the home, whether or not a peer runs; the mailbox itself is asked only by one that stays. */
export function addMailbox(context: Context, mailbox: string): Promise<ExitCode> {
  return withHome(context, async ({ client }) => {
    printChanged(context, await client.mailboxes.add(mailbox), 'mailbox.added')
    return exitCodes.ok
  })
}

export function removeMailbox(context: Context, mailbox: string): Promise<ExitCode> {
  return withHome(context, async ({ client }) => {
    printChanged(context, await client.mailboxes.remove(mailbox), 'mailbox.removed')
    return exitCodes.ok
  })
}

function printChanged(
  context: Context,
  mailboxes: readonly Mailbox[],
  phrase: 'mailbox.added' | 'mailbox.removed',
): void {
  for (const mailbox of mailboxes) context.out.object(mailbox)
  context.out.line(context.text(phrase))
}

/** The mailbox of one's own: what to hand out, and what it keeps. */
export function mailboxInfo(context: Context): Promise<ExitCode> {
  return withHome(context, async ({ client }) => {
    const { out, text } = context
    const { serving = {} } = await client.network.info()
    out.object(serving)
    const { mailbox } = serving
    if (mailbox === undefined) {
      out.line(text('mailbox.serves-not'))
      return exitCodes.ok
    }
    out.line(formatTable(servingRows(context, mailbox)))
    const counters = Object.entries(mailbox.counters).filter(([, count]) => count > 0)
    if (counters.length > 0) {
      const lines = counters.map(([reason, count]) => [`  ${sanitiseLine(reason)}`, formatNumber(text.language, count)])
      out.line(`\n${text('relay.counters')}\n${formatTable(lines)}`)
    }
    out.note(`\n${handOutMailboxWords(context, mailbox.address)}`)
    return exitCodes.ok
  })
}

function servingRows({ text }: Context, mailbox: NonNullable<Serving['mailbox']>): string[][] {
  const { limits, boxes, envelopes, bytes } = mailbox
  return [
    [text('relay.address'), sanitiseLine(mailbox.address)],
    [text('mailbox.boxes'), text('relay.of-most', { count: boxes, countMax: limits.boxesMax })],
    [text('mailbox.envelopes'), formatNumber(text.language, envelopes)],
    [text('mailbox.bytes'), text('relay.bytes-of', { count: bytes, countMax: limits.bytesMax })],
    [text('mailbox.per-box'), text('relay.bytes', { count: limits.bytesPerBoxMax })],
  ]
}

/** What to tell friends; where the address is one of this network only, that too. */
export function handOutMailboxWords({ text }: Pick<Context, 'text'>, address: string): string {
  const url = address.slice(address.indexOf('@') + 1)
  const words = text('mailbox.hand-out', { mailbox: address })
  return isPrivateUrl(url) ? `${words}\n${text('relay.not-public', { url })}` : words
}
