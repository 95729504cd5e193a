import type { MiaouClient } from '@miaou/sdk'
import { connect } from '@miaou/sdk/client'
import type { Context } from '../context.ts'
import { type ExitCode, exitCodes } from '../exit-code.ts'
import { peerConnection } from '../peer/connection.ts'
import { findDaemon, type PeerOptions, serve, startPeer } from '../session.ts'
import { runningError } from '../start-errors.ts'
import { formatTable, formatWhen } from '../terminal/format.ts'
import { overlayLine } from '../terminal/overlay.ts'
import { sanitiseLine } from '../terminal/sanitise.ts'
import { watch } from './network.ts'

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
    const { addresses, overlay } = await client.network.info()
    out.object({ type: 'ready', account, peerId, name, addresses, url: api.url, home, overlay })
    const [first = '-', ...others] = addresses
    out.line(
      formatTable([
        [text('id.name'), out.styles.bold(sanitiseLine(name))],
        [text('id.account'), account],
        [text('id.peer'), peerId],
        [text('up.listens'), first],
        ...others.map((address) => ['', address]),
        [text('info.overlay'), overlayLine(text, overlay)],
        [text('up.api'), api.url],
        [text('id.home'), home],
      ]),
    )
    out.note(duration === undefined ? text('up.stop-hint') : text('up.duration', { seconds: duration }))
    stopTelling = overlay.bootstrap === 'bootstrapped' ? undefined : tellJoining(context, client)
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
const joinLookMs = 500
const joinLookMsMax = 60_000

/** One line for people once the overlay is joined; the returned function ends that. */
function tellJoining(context: Context, client: MiaouClient): () => void {
  const { out, text } = context
  let timer: NodeJS.Timeout | undefined
  let isDone = false
  const look = async (waitMs: number): Promise<void> => {
    const { state, bootstrap, contacts } = (await client.network.info()).overlay
    if (state !== 'running') return
    if (bootstrap !== 'bootstrapped') lookLater(Math.min(2 * waitMs, joinLookMsMax))
    else
      out.line(
        `${out.styles.soft(formatWhen(context, context.io.now()))}  ${text('live.overlay-joined', { count: contacts })}`,
      )
  }
  // A client that closes meanwhile ends the looking.
  const lookLater = (waitMs: number): void => {
    if (isDone) return
    timer = setTimeout(() => void look(waitMs).catch(() => undefined), waitMs).unref()
  }
  if (!out.isJson) lookLater(joinLookMs)
  return () => {
    isDone = true
    clearTimeout(timer)
  }
}
