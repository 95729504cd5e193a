import { buffer as readBytes } from 'node:stream/consumers'
import { bytesToText, hexToBytes } from '@miaou/core'
import type { GossipInfo } from '@miaou/sdk'
import { formatNumber } from '@miaou/text'
import type { Context } from '../context.ts'
import { type ExitCode, exitCodes } from '../exit-code.ts'
import { type Session, withServedSession, withSession } from '../session.ts'
import { formatTable, formatWhen } from '../terminal/format.ts'
import { createNames } from '../terminal/live.ts'
import { interruptSignal, pause, withProgress } from '../terminal/progress.ts'
import { sanitise, sanitiseLine } from '../terminal/sanitise.ts'

/** Between two looks at who is there, ms. */
const stepMs = 50

/** `words`: what is told; `-`: the input, its bytes as they are. `waitSeconds`: for a first neighbour. */
export async function publish(context: Context, topic: string, words: string, waitSeconds: number): Promise<ExitCode> {
  const { io, out, text } = context
  const payload = words === '-' ? new Uint8Array(await readBytes(io.stdin)) : words
  return withSession(context, async (session) => {
    const { gossip } = session.client
    // A peer that was just started is linked with nobody yet; who runs all the time is told at once.
    const waitMs = session.daemon === undefined ? waitSeconds * 1_000 : 0
    await withProgress(context, text('gossip.waiting'), someWhoWants(session, topic, waitMs))
    const published = await gossip.publish(topic, payload)
    out.object(published)
    out.line(
      published.neighbours === 0
        ? text('gossip.published-unheard', { topic })
        : text('gossip.published', { topic, count: published.neighbours }),
    )
    out.note(text('gossip.fleeting'))
    return exitCodes.ok
  })
}

/** Until a neighbour wants the topic, or time is up. */
async function someWhoWants({ client }: Session, topic: string, waitMs: number): Promise<void> {
  for (let waitedMs = 0; waitedMs < waitMs; waitedMs += stepMs) {
    const { topics } = await client.gossip.info()
    if (topics.some((each) => each.topic === topic && each.neighbours > 0)) return
    await pause(stepMs)
  }
}

/** Prints what is told in a topic, until stopped. */
export function follow(context: Context, topic: string): Promise<ExitCode> {
  return withServedSession(context, 'daemon', async ({ client }) => {
    const { out, text } = context
    const { styles } = out
    const { signal, end } = interruptSignal(context)
    const events = client.events({ fleeting: false, topics: [topic] })
    signal.addEventListener('abort', () => void events.return?.(), { once: true })
    out.note(text('gossip.following', { topic: sanitiseLine(topic) }))
    try {
      for await (const { at, event } of events) {
        if (event.type !== 'gossip') continue
        const words = bytesToText(hexToBytes(event.payload) ?? new Uint8Array(0))
        out.object({ at, ...event, ...(words === undefined ? {} : { text: words }) })
        const when = formatWhen(context, at)
        const indent = ' '.repeat(when.length + 2)
        const body = sanitise(words ?? event.payload).replaceAll('\n', `\n${indent}`)
        out.line(`${styles.soft(when)}  ${styles.accent(shortKey(event.origin))}: ${body}`)
      }
      return exitCodes.ok
    } finally {
      end()
      await events.return?.()
    }
  })
}

/** Who takes part with us, in which topics, and what was dropped. */
export function gossipInfo(context: Context): Promise<ExitCode> {
  return withSession(context, async ({ client }) => {
    const { out, text } = context
    const info = await client.gossip.info()
    out.object(info)
    const names = createNames(await client.contacts.list())
    const neighbours = info.neighbours.map(({ peerId }) => sanitiseLine(names.peer(peerId)))
    out.line(
      formatTable([
        [text('gossip.published-as'), info.publicKey],
        [text('gossip.neighbours'), neighbours.length === 0 ? text('gossip.nobody') : neighbours.join(', ')],
      ]),
    )
    if (info.topics.length > 0) out.line(`\n${text('gossip.topics')}\n${formatTable(topicRows(context, info))}`)
    const counters = Object.entries(info.counters).filter(([, count]) => count > 0)
    if (counters.length > 0) {
      const lines = counters.map(([reason, count]) => [`  ${sanitiseLine(reason)}`, formatNumber(text.language, count)])
      out.line(`\n${text('gossip.counters')}\n${formatTable(lines)}`)
    }
    if (neighbours.length === 0) out.note(`\n${text('gossip.todo-alone')}`)
    return exitCodes.ok
  })
}

function topicRows({ text }: Context, { topics }: GossipInfo): string[][] {
  return topics.map(({ topic, isFollowed, neighbours }) => [
    `  ${sanitiseLine(topic)}`,
    text(isFollowed ? 'gossip.followed' : 'gossip.relayed'),
    text('gossip.wanted-by', { count: neighbours }),
  ])
}

/** For display only, never for comparison. */
function shortKey(key: string): string {
  return `${key.slice(0, 4)}…${key.slice(-4)}`
}
