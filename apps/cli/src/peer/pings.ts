import type { PeerId } from '@miaou/core'
import type { Ping } from '@miaou/sdk'
import { MiaouError } from '@miaou/sdk/client'
import type { PeerHandle } from '../peer-handle.ts'

/** Round trips one after the other. A lost one is one of the results; only when all are lost it is an error. */
export async function measurePings(peer: PeerHandle, peerId: PeerId, count: number, timeoutMs: number): Promise<Ping> {
  const results: Ping['results'][number][] = []
  for (let i = 0; i < count; i++) {
    const answer = await peer.network.ping(peerId, timeoutMs)
    if (answer.ok) results.push({ latencyMs: answer.value.latencyMs })
    else if (answer.error.type === 'silent') results.push({})
    else {
      const { type, ...facts } = answer.error
      throw new MiaouError(type, facts)
    }
  }
  const summary = summarise(results)
  if (summary === undefined) throw new MiaouError('silent', { forMs: timeoutMs })
  const view = peer.network.peers().find((known) => known.peerId === peerId)
  return {
    peerId,
    latencyMs: summary.medianMs,
    ...summary,
    results,
    ...(view?.transport === undefined ? {} : { transport: view.transport }),
    ...(view?.path === undefined ? {} : { path: view.path }),
  }
}

/** Undefined when every one was lost. */
export function summarise(
  results: readonly { readonly latencyMs?: number }[],
): Pick<Ping, 'sent' | 'received' | 'minMs' | 'medianMs' | 'maxMs'> | undefined {
  const times = results.flatMap(({ latencyMs }) => (latencyMs === undefined ? [] : [latencyMs])).sort((a, b) => a - b)
  const [minMs] = times
  const maxMs = times.at(-1)
  if (minMs === undefined || maxMs === undefined) return undefined
  const middle = times.length / 2
  const [low = minMs, high = maxMs] = [times[Math.ceil(middle) - 1], times[Math.floor(middle)]]
  return { sent: results.length, received: times.length, minMs, medianMs: (low + high) / 2, maxMs }
}
