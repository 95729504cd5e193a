import type { LookupCost, OverlayInfo, OverlaySummary } from '@miaou/sdk'
import type { Text } from '@miaou/text'
import { round } from './live.ts'

/** Whether the overlay is joined, in a few words. */
export function overlayWords(text: Text, { state, bootstrap, contacts }: Omit<OverlaySummary, 'port'>): string {
  if (state === 'off') return text('overlay.off')
  if (state !== 'running') return text('overlay.unavailable')
  switch (bootstrap) {
    case 'bootstrapped':
      return text('overlay.bootstrapped', { count: contacts })
    case 'alone':
      return text('overlay.alone')
    case 'trying':
      return text('overlay.trying')
    case 'failed':
      return text('overlay.failed')
  }
}

/** The same with the port where there is one. A port is no quantity: its digits are not grouped. */
export function overlayLine(text: Text, summary: OverlaySummary): string {
  const state = overlayWords(text, summary)
  return summary.port === undefined ? state : text('overlay.port', { port: String(summary.port), state })
}

/** What somebody whose node is alone can do about it; undefined where nothing is amiss. */
export function overlayAdvice(text: Text, { state, bootstrap }: OverlayInfo): string | undefined {
  if (state.type === 'off') return text('dht.todo-off')
  if (state.type !== 'running') return undefined
  if (bootstrap.type === 'alone') return text('dht.todo-alone')
  if (bootstrap.type !== 'failed') return undefined
  const { asked, unresolved, nextTryInMs } = bootstrap
  return text('dht.todo-failed', { count: asked + unresolved, seconds: Math.ceil(nextTryInMs / 1_000) })
}

export function costWords(text: Text, { requests, ms }: LookupCost): string {
  return text('dht.cost', { count: requests, ms: round(ms) })
}
