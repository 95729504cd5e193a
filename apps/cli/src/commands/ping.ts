import type { Ping } from '@miaou/sdk'
import { MiaouError } from '@miaou/sdk/client'
import type { Context } from '../context.ts'
import { type ExitCode, exitCodes } from '../exit-code.ts'
import { summarise } from '../peer/pings.ts'
import { type Session, withSession } from '../session.ts'
import { shortId } from '../terminal/format.ts'
import { round } from '../terminal/live.ts'
import { pathWords } from '../terminal/path.ts'
import { withProgress } from '../terminal/progress.ts'
import { findPeer } from './network.ts'
import { reach } from './reach.ts'

export interface PingOptions {
  readonly count: number
  readonly timeoutMs: number
}

/** One line a round trip, as it comes, then what they are together. Ends 5 when all were lost. */
export function ping(context: Context, target: string, { count, timeoutMs }: PingOptions): Promise<ExitCode> {
  return withSession(context, async (session) => {
    const { out, text } = context
    const { client } = session
    const peerId = await findPeer(session, target)
    await withProgress(context, text('ping.connecting'), linked(session, peerId, timeoutMs))
    const peer = shortId(peerId)
    const results: Ping['results'][number][] = []
    for (let i = 0; i < count; i++) {
      const answer = await pingOnce(session, peerId, timeoutMs)
      results.push(answer === undefined ? {} : { latencyMs: answer.latencyMs })
      const summary = summarise(results)
      if (answer !== undefined && summary !== undefined) {
        out.object({ ...answer, ...summary })
        out.line(text('ping.answer', { peer, latencyMs: round(answer.latencyMs) }))
      } else {
        out.object({ peerId, lost: true, sent: results.length, received: summary?.received ?? 0 })
        out.line(text('ping.lost', { peer, seconds: timeoutMs / 1000 }))
      }
    }
    const summary = summarise(results)
    if (summary === undefined) throw new MiaouError('silent', { forMs: timeoutMs })
    const view = (await client.network.peers()).find((known) => known.peerId === peerId)
    if (view !== undefined) out.line(text('ping.path', { peer, path: pathWords(text, view) }))
    if (count > 1) out.line(summaryWords(context, summary))
    return exitCodes.ok
  })
}

/** Undefined when it was lost. */
async function pingOnce({ client }: Session, peerId: string, timeoutMs: number): Promise<Ping | undefined> {
  try {
    return await client.network.ping(peerId, timeoutMs)
  } catch (error) {
    if (error instanceof MiaouError && error.code === 'silent') return undefined
    throw error
  }
}

function summaryWords({ text }: Context, summary: NonNullable<ReturnType<typeof summarise>>): string {
  const { sent: count, received, minMs, medianMs, maxMs } = summary
  return text('ping.summary', {
    count,
    received,
    loss: round((100 * (count - received)) / count),
    minMs: round(minMs),
    medianMs: round(medianMs),
    maxMs: round(maxMs),
  })
}

async function linked(session: Session, peerId: string, timeoutMs: number): Promise<void> {
  const peers = await session.client.network.peers()
  const isLinked = peers.some(
    (peer) => peer.peerId === peerId && (peer.state === 'connected' || peer.state === 'upgrading'),
  )
  if (!isLinked) await reach(session, peerId, timeoutMs)
}
