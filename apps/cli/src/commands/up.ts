import type { Mailbox, MiaouClient, NetworkInfo, Relay } from '@miaou/sdk'
import { connect } from '@miaou/sdk/client'
import type { Context } from '../context.ts'
import { type ExitCode, exitCodes } from '../exit-code.ts'
import { peerConnection } from '../peer/connection.ts'
import { findDaemon, type PeerOptions, serve, startPeer } from '../session.ts'
import { runningError } from '../start-errors.ts'
import { formatTable, formatWhen } from '../terminal/format.ts'
import { overlayLine } from '../terminal/overlay.ts'
import { natWords } from '../terminal/path.ts'
import { sanitiseLine } from '../terminal/sanitise.ts'
import { handOutMailboxWords, mailboxRows } from './mailbox.ts'
import { watch } from './network.ts'
import { handOutWords, relayWords } from './relay.ts'

export interface UpOptions extends PeerOptions {
  /** Seconds; until it is asked to end where there is none. */
  readonly duration?: number
  readonly apiPort?: number
}

/** The peer in the foreground, with its API: `miaou up`, `miaou net start` (row I02). */
export async function up(context: Context, options: UpOptions): Promise<ExitCode> {
  const { out, text, home } = context
  const running = await findDaemon(home)
  if (running !== undefined) throw runningError(running.pid, context)
  const { duration, apiPort, ...peerOptions } = options
  const peer = await startPeer(context, peerOptions)
  const until = new AbortController()
  // From now on an end is an orderly one, also before anything is shown.
  const stopListening = context.io.onInterrupt(() => until.abort())
  const timer = duration === undefined ? undefined : setTimeout(() => until.abort(), duration * 1000)
  let api: Awaited<ReturnType<typeof serve>> | undefined
  let stopTelling: (() => void) | undefined
  try {
    api = await serve(peer, 'daemon', apiPort)
    const client = connect(peerConnection(peer, { isOwner: false }))
    const { name, account, peerId } = await client.identity.get()
    const { addresses, overlay, natType, reservations, relays, mailboxes, relayOnly, serving, publicUrl } =
      await client.network.info()
    const facts = { account, peerId, name, addresses, url: api.url, home, overlay, natType, reservations, relayOnly }
    const served = serving?.relay?.address
    const keeping = serving?.mailbox?.address
    out.object({
      type: 'ready',
      ...facts,
      ...(served === undefined ? {} : { relay: served }),
      ...(keeping === undefined ? {} : { mailbox: keeping }),
      ...(publicUrl === undefined ? {} : { publicUrl }),
    })
    const [first = '-', ...others] = addresses
    out.line(
      formatTable([
        [text('id.name'), out.styles.bold(sanitiseLine(name))],
        [text('id.account'), account],
        [text('id.peer'), peerId],
        [text('up.listens'), first],
        ...others.map((address) => ['', address]),
        ...(publicUrl === undefined ? [] : [[text('info.public-url'), sanitiseLine(publicUrl)]]),
        [text('up.path'), relayOnly ? text('info.relay-only-on') : natWords(text, natType)],
        ...relays.map((relay, index) => [index === 0 ? text('info.relays') : '', relayWords(context, relay)]),
        ...mailboxRows(context, mailboxes),
        ...(served === undefined ? [] : [[text('up.serves'), out.styles.bold(served)]]),
        ...(keeping === undefined ? [] : [[text('up.serves-mailbox'), out.styles.bold(keeping)]]),
        [text('info.overlay'), overlayLine(text, overlay)],
        [text('up.api'), api.url],
        [text('id.home'), home],
      ]),
    )
    if (served !== undefined) out.note(handOutWords(context, served))
    if (keeping !== undefined) out.note(handOutMailboxWords(context, keeping))
    out.note(duration === undefined ? text('up.stop-hint') : text('up.duration', { seconds: duration }))
    const isJoined = overlay.bootstrap === 'bootstrapped'
    stopTelling = tellProgress(context, client, { isJoined, natType, relays, mailboxes })
    await watch(context, { client, daemon: undefined, close: () => client.close() }, { until: until.signal })
    await client.close()
    out.note(text('up.stopping'))
    return exitCodes.ok
  } finally {
    clearTimeout(timer)
    stopTelling?.()
    stopListening()
    await api?.close()
    await peer.stop()
  }
}

/** First and longest wait between two looks, ms (own choice): who is on the network shows within a second. */
const lookMs = 500
const lookMsMax = 10_000

interface Told {
  readonly isJoined: boolean
  readonly natType: NetworkInfo['natType']
  readonly relays: readonly Relay[]
  readonly mailboxes: readonly Mailbox[]
}

/**
 * A line for people once the overlay is joined, what the router does is known or changes, a relay begins or ceases to carry us, and
 * a mailbox to keep messages for us. The returned function ends that.
 */
function tellProgress(context: Context, client: MiaouClient, start: Told): () => void {
  const { out, text } = context
  let timer: NodeJS.Timeout | undefined
  let isDone = false
  let told = start
  const tell = (words: string): void => {
    out.line(`${out.styles.soft(formatWhen(context, context.io.now()))}  ${words}`)
  }
  const look = async (waitMs: number): Promise<void> => {
    const { overlay, natType, relays, mailboxes, relayOnly } = await client.network.info()
    const isJoined = overlay.bootstrap === 'bootstrapped'
    if (isJoined && !told.isJoined) tell(text('live.overlay-joined', { count: overlay.contacts }))
    if (natType !== told.natType && natType !== 'unknown' && !relayOnly) {
      tell(text('live.nat', { words: natWords(text, natType) }))
    }
    for (const words of relayNews(text, told.relays, relays)) tell(words)
    for (const words of mailboxNews(text, told.mailboxes, mailboxes)) tell(words)
    told = {
      isJoined: told.isJoined || isJoined,
      natType: natType === 'unknown' ? told.natType : natType,
      relays,
      mailboxes,
    }
    lookLater(Math.min(2 * waitMs, lookMsMax))
  }
  // A client that closes meanwhile ends the looking.
  const lookLater = (waitMs: number): void => {
    if (isDone) return
    timer = setTimeout(() => void look(waitMs).catch(() => undefined), waitMs).unref()
  }
  if (!out.isJson) lookLater(lookMs)
  return () => {
    isDone = true
    clearTimeout(timer)
  }
}

/** What changed between two looks at the relays. One that is only being tried again is no news yet. */
function relayNews(text: Context['text'], before: readonly Relay[], after: readonly Relay[]): string[] {
  const wasReserved = new Set(before.filter(({ state }) => state === 'reserved').map(({ relay }) => relay))
  return after.flatMap(({ relay, state, error }) => {
    if (state === 'reserved') return wasReserved.has(relay) ? [] : [text('live.relay-reserved', { relay })]
    if (!wasReserved.has(relay)) return []
    return [text('live.relay-lost', { relay, reason: error ?? text('close.pipe-lost') })]
  })
}

/** As `relayNews`. */
function mailboxNews(text: Context['text'], before: readonly Mailbox[], after: readonly Mailbox[]): string[] {
  const wasKeeping = new Set(before.filter(({ state }) => state === 'registered').map(({ mailbox }) => mailbox))
  return after.flatMap(({ mailbox, state, error }) => {
    if (state === 'registered') return wasKeeping.has(mailbox) ? [] : [text('live.mailbox-registered', { mailbox })]
    if (!wasKeeping.has(mailbox)) return []
    return [text('live.mailbox-lost', { mailbox, reason: error ?? text('close.pipe-lost') })]
  })
}
