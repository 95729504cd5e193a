import type { Relay, Serving } from '@miaou/sdk'
import { formatNumber } from '@miaou/text'
import type { Context } from '../context.ts'
import { type ExitCode, exitCodes } from '../exit-code.ts'
import { type Session, withHome, withSession } from '../session.ts'
import { formatTable } from '../terminal/format.ts'
import { round } from '../terminal/live.ts'
import { pause, withProgress } from '../terminal/progress.ts'
import { sanitiseLine } from '../terminal/sanitise.ts'

/** Between two looks at how far a relay got, ms. */
const lookMs = 100
/** How long a peer that just started takes to try its relays at all, ms (guess: far above what reading them takes). */
const startMs = 500

/** The relays in use or tried. Without a daemon they get `waitMs` to answer. */
export function listRelays(context: Context, waitMs: number): Promise<ExitCode> {
  return withSession(context, async (session) => {
    const wait = session.daemon === undefined ? waitMs : 0
    const relays = await withProgress(context, context.text('relay.waiting'), settledRelays(session, wait))
    printRelays(context, relays)
    return exitCodes.ok
  })
}

function printRelays(context: Context, relays: readonly Relay[]): void {
  const { out, text } = context
  for (const relay of relays) out.object(relay)
  if (relays.length === 0) out.line(text('relay.none'))
  else out.line(formatTable(relays.map((relay) => relayRow(context, relay))))
}

/** Until each relay has answered or failed, at most `waitMs`. */
async function settledRelays({ client }: Session, waitMs: number): Promise<readonly Relay[]> {
  for (let waitedMs = 0; ; waitedMs += lookMs) {
    const relays = await client.relays.list()
    const isSettled = relays.every(({ state }) => state !== 'connecting' && state !== 'connected')
    const isStarted = relays.length > 0 || waitedMs >= startMs
    if ((isSettled && isStarted) || waitedMs >= waitMs) return relays
    await pause(lookMs)
  }
}

const statePhrases = {
  connecting: 'relay.connecting',
  connected: 'relay.connected',
  reserved: 'relay.reserved',
  refused: 'relay.refused',
  unreachable: 'relay.unreachable',
} as const
const sourcePhrases = {
  config: 'relay.by-config',
  added: 'relay.by-added',
  invite: 'relay.by-invite',
  contact: 'relay.by-contact',
  overlay: 'relay.by-overlay',
} as const

/** One line of a listing: mark, address, how it stands, round trip, conversations over it, who named it. */
function relayRow({ out, text }: Context, relay: Relay): string[] {
  const { styles } = out
  const { state, latencyMs, circuits, source, error } = relay
  const isBad = state === 'refused' || state === 'unreachable'
  const mark = state === 'reserved' ? styles.good('●') : isBad ? styles.bad('✗') : styles.soft('○')
  const words = text(statePhrases[state])
  return [
    mark,
    sanitiseLine(relay.relay),
    isBad && error !== undefined ? `${words}: ${sanitiseLine(error)}` : words,
    latencyMs === undefined ? '' : `${round(latencyMs)} ms`,
    circuits === 0 ? '' : text('relay.circuits', { count: circuits }),
    styles.soft(text(sourcePhrases[source])),
  ]
}

/** The same as one text, for a place that is no table. */
export function relayWords(context: Context, relay: Relay): string {
  return relayRow(context, relay)
    .filter((cell) => cell !== '')
    .join('  ')
}

/** Kept in the home, whether or not a peer runs; the relay itself is asked only by one that stays. */
export function addRelay(context: Context, relay: string): Promise<ExitCode> {
  return withHome(context, async ({ client }) => {
    printChanged(context, await client.relays.add(relay), 'relay.added')
    return exitCodes.ok
  })
}

export function removeRelay(context: Context, relay: string): Promise<ExitCode> {
  return withHome(context, async ({ client }) => {
    printChanged(context, await client.relays.remove(relay), 'relay.removed')
    return exitCodes.ok
  })
}

function printChanged(context: Context, relays: readonly Relay[], phrase: 'relay.added' | 'relay.removed'): void {
  for (const relay of relays) context.out.object(relay)
  context.out.line(context.text(phrase))
}

/** The relay of one's own: what to hand out, and what it carries. */
export function relayInfo(context: Context): Promise<ExitCode> {
  return withHome(context, async ({ client }) => {
    const { out, text } = context
    const { serving = {} } = await client.network.info()
    out.object(serving)
    const { relay } = serving
    if (relay === undefined) {
      out.line(text('relay.serves-not'))
      return exitCodes.ok
    }
    out.line(formatTable(servingRows(context, relay)))
    const counters = Object.entries(relay.counters).filter(([, count]) => count > 0)
    if (counters.length > 0) {
      const lines = counters.map(([reason, count]) => [`  ${sanitiseLine(reason)}`, formatNumber(text.language, count)])
      out.line(`\n${text('relay.counters')}\n${formatTable(lines)}`)
    }
    out.note(`\n${handOutWords(context, relay.address)}`)
    return exitCodes.ok
  })
}

function servingRows({ text }: Context, relay: NonNullable<Serving['relay']>): string[][] {
  const { limits, bytesToday, stunPort } = relay
  return [
    [text('relay.address'), sanitiseLine(relay.address)],
    [
      text('relay.reservations'),
      text('relay.of-most', { count: relay.reservations, countMax: limits.reservationsMax }),
    ],
    [text('relay.open-circuits'), text('relay.of-most', { count: relay.circuits, countMax: limits.circuitsMax })],
    [
      text('relay.bytes-today'),
      limits.bytesPerDay === 0
        ? text('relay.bytes', { count: bytesToday })
        : text('relay.bytes-of', { count: bytesToday, countMax: limits.bytesPerDay }),
    ],
    ...(limits.bytesPerSecond === 0
      ? []
      : [[text('relay.speed-max'), text('relay.bytes-per-second', { count: limits.bytesPerSecond })]]),
    // A port is no quantity: its digits are not grouped.
    [
      text('relay.stun'),
      stunPort === undefined ? text('relay.stun-off') : text('relay.stun-port', { port: String(stunPort) }),
    ],
  ]
}

/** What to tell friends; where the address is one of this network only, that too. */
export function handOutWords({ text }: Pick<Context, 'text'>, address: string): string {
  const url = address.slice(address.indexOf('@') + 1)
  const words = text('relay.hand-out', { relay: address })
  return isPrivateUrl(url) ? `${words}\n${text('relay.not-public', { url })}` : words
}

/** Whether only this machine or its network reaches the host of a URL (RFC 1918, RFC 4193, RFC 3927, loopback). */
export function isPrivateUrl(url: string): boolean {
  const host = /^wss?:\/\/(\[[^\]]*\]|[^/:]*)/.exec(url)?.[1] ?? ''
  return /^(localhost$|127\.|10\.|192\.168\.|169\.254\.|172\.(1[6-9]|2\d|3[01])\.|\[(::1\]|f[cd]|fe80))/i.test(host)
}
