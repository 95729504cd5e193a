import { connect } from '@miaou/sdk/client'
import type { Context } from '../context.ts'
import { type ExitCode, exitCodes } from '../exit-code.ts'
import { peerConnection } from '../peer/connection.ts'
import { findDaemon, type PeerOptions, serve, startPeer } from '../session.ts'
import { runningError } from '../start-errors.ts'
import { formatTable } from '../terminal/format.ts'
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
  try {
    api = await serve(peer, 'daemon', apiPort)
    const client = connect(peerConnection(peer, { isOwner: false }))
    const { name, account, peerId } = await client.identity.get()
    const { addresses } = await client.network.info()
    out.object({ type: 'ready', account, peerId, name, addresses, url: api.url, home })
    const [first = '-', ...others] = addresses
    out.line(
      formatTable([
        [text('id.name'), out.styles.bold(sanitiseLine(name))],
        [text('id.account'), account],
        [text('id.peer'), peerId],
        [text('up.listens'), first],
        ...others.map((address) => ['', address]),
        [text('up.api'), api.url],
        [text('id.home'), home],
      ]),
    )
    out.note(duration === undefined ? text('up.stop-hint') : text('up.duration', { seconds: duration }))
    await watch(context, { client, daemon: undefined, close: () => client.close() }, { until: until.signal })
    await client.close()
    out.note(text('up.stopping'))
    return exitCodes.ok
  } finally {
    clearTimeout(timer)
    stopListening()
    await api?.close()
    await peer.stop()
  }
}
