import type { OverlayInfo } from '@miaou/sdk'
import { formatNumber } from '@miaou/text'
import type { Context } from '../context.ts'
import { type ExitCode, exitCodes } from '../exit-code.ts'
import { formatTable } from '../terminal/format.ts'
import { overlayAdvice, overlayWords } from '../terminal/overlay.ts'
import { sanitiseLine } from '../terminal/sanitise.ts'
import { withJoinedSession } from './dht.ts'

/** Longest bar of a K-bucket: k contacts (row E02). */
const barMax = 20

/** Who this node is, how others reach it, whom it knows, and what it dropped. */
export function dhtInfo(context: Context): Promise<ExitCode> {
  return withJoinedSession(context, async ({ client }) => {
    const { out, text } = context
    const info = await client.overlay.info()
    out.object(info)
    out.line(formatTable(rows(context, info)))
    if (info.nodes.length > 0) out.line(`\n${text('dht.address')}\n${info.nodes.map((node) => `  ${node}`).join('\n')}`)
    const { clients = [] } = info
    if (clients.length > 0)
      out.line(`\n${text('dht.client-address')}\n${clients.map((node) => `  ${node}`).join('\n')}`)
    if (info.buckets.length > 0) out.line(`\n${text('dht.buckets')}\n${formatTable(bucketRows(context, info))}`)
    const counters = Object.entries(info.counters).filter(([, count]) => count > 0)
    if (counters.length > 0) {
      const lines = counters.map(([reason, count]) => [`  ${sanitiseLine(reason)}`, formatNumber(text.language, count)])
      out.line(`\n${text('dht.counters')}\n${formatTable(lines)}`)
    }
    const advice = overlayAdvice(text, info)
    if (advice !== undefined) out.note(`\n${advice}`)
    return exitCodes.ok
  })
}

function rows({ text, out }: Context, info: OverlayInfo): string[][] {
  const { styles } = out
  const isJoined = info.bootstrap.type === 'bootstrapped'
  const state = overlayWords(text, { state: info.state.type, bootstrap: info.bootstrap.type, contacts: info.contacts })
  const detail = info.state.type === 'unavailable' ? [['', sanitiseLine(info.state.detail)]] : []
  return [
    [text('dht.state'), isJoined ? styles.good(state) : state],
    ...detail,
    [text('dht.node-id'), info.nodeId],
    ...(info.observed === undefined ? [] : [[text('dht.observed'), info.observed]]),
    [text('dht.mode'), text(info.mode === 'server' ? 'dht.mode-server' : 'dht.mode-client')],
    [text('dht.network-size'), text('dht.about', { count: Math.round(info.networkSize) })],
    [
      text('dht.records'),
      text('dht.records-size', {
        count: info.records.count,
        bytes: info.records.bytes,
      }),
    ],
    [text('dht.own-records'), String(info.ownRecords)],
    [text('dht.sessions'), String(info.sessions)],
  ]
}

/** The farthest first, as the table is filled. */
function bucketRows({ text, out }: Context, { buckets }: OverlayInfo): string[][] {
  return buckets.map(({ bucket, contacts }) => [
    `  ${String(bucket).padStart(3)}`,
    out.styles.accent('█'.repeat(Math.min(contacts, barMax)).padEnd(barMax)),
    text('dht.bucket-contacts', { count: contacts }),
  ])
}
