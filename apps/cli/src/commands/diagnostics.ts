import type { DiagnosisPart, Diagnostic } from '@miaou/sdk'
import type { Context } from '../context.ts'
import { type ExitCode, exitCodes } from '../exit-code.ts'
import { isLinked } from '../peer/path-reasons.ts'
import { type Session, withSession } from '../session.ts'
import { formatTable } from '../terminal/format.ts'
import { round } from '../terminal/live.ts'
import { withProgress } from '../terminal/progress.ts'
import { sanitiseLine } from '../terminal/sanitise.ts'
import { wrapWords } from '../terminal/wrap.ts'
import { findPeer } from './network.ts'
import { reach } from './reach.ts'

/** In the order they are shown: what is said while a part runs, and its title. */
const parts = [
  { part: 'home', running: 'diagnostics.running-home', title: 'diagnostics.home' },
  { part: 'reach', running: 'diagnostics.running-reach', title: 'diagnostics.reach' },
  { part: 'bandwidth', running: 'diagnostics.running-bandwidth', title: 'diagnostics.bandwidth' },
  { part: 'paths', running: 'diagnostics.running-paths', title: 'diagnostics.paths' },
] as const satisfies readonly { readonly part: DiagnosisPart; readonly [phrase: string]: string }[]
/** A link that is only being made for the question gets this long, ms (own choice: what `net connect` waits). */
const connectMs = 15_000

/** Row I16, part by part, so that somebody who waits sees what is known so far. `target`: the way to this peer alone. */
export function diagnostics(context: Context, target: string): Promise<ExitCode> {
  return withSession(context, async (session) => {
    const { text } = context
    const peer = target === '' ? undefined : await findPeer(session, target)
    if (peer !== undefined) await withProgress(context, text('ping.connecting'), tryToLink(session, peer))
    const checks: Diagnostic[] = []
    for (const { part, running, title } of parts) {
      const work = session.client.network.diagnostics({ part, ...(peer === undefined ? {} : { peer }) })
      const found = await withProgress(context, text(running), work)
      for (const check of found) context.out.object(check)
      context.out.line(context.out.styles.bold(text(title)))
      printChecks(context, found)
      checks.push(...found)
    }
    printAdvice(context, checks)
    return checks.some(({ state }) => state === 'failed') ? exitCodes.error : exitCodes.ok
  })
}

/** Why it cannot be linked is what the diagnosis tells. */
async function tryToLink(session: Session, peerId: string): Promise<void> {
  const view = (await session.client.network.peers()).find((known) => known.peerId === peerId)
  if (view !== undefined && isLinked(view)) return
  await reach(session, peerId, connectMs).catch(() => undefined)
}

function printChecks(context: Context, checks: readonly Diagnostic[]): void {
  const { out, text } = context
  if (checks.length === 0) out.line(`  ${text('diagnostics.nobody')}`)
  else out.line(formatTable(checks.map((check) => checkRow(context, check))))
  for (const check of checks) {
    // What the router does takes more words than a table has room for.
    if (isNatType(check)) printProse(context, text.finding(check.code, check.facts))
    if (check.why !== undefined) printProse(context, whyWords(context, check.why))
    if (check.connectivity !== undefined) printConnectivity(context, check.connectivity)
  }
  out.line()
}

function checkRow({ out, text }: Context, check: Diagnostic): string[] {
  const { styles } = out
  const { name, state, ms, code, facts } = check
  const marks = {
    ok: styles.good('✓'),
    warning: styles.accent('!'),
    failed: styles.bad('✗'),
    'not-configured': styles.soft('–'),
  }
  return [
    `  ${marks[state]}`,
    name,
    text.diagnosis(state),
    ms === undefined ? '' : `${round(ms)} ms`,
    isNatType(check) ? code.slice('nat-'.length) : sanitiseLine(text.finding(code, facts)),
  ]
}

/** Known well enough for a word in the table and an explanation under it. */
function isNatType({ name, state }: Diagnostic): boolean {
  return name === 'nat' && state !== 'not-configured'
}

/** Set under what it belongs to; broken only where somebody reads it. */
function printProse({ io, out }: Context, words: string, indent = '    '): void {
  const line = `${indent}${sanitiseLine(words)}`
  out.line(io.stdout.isTTY === true ? wrapWords(line, out.columns) : line)
}

/** What failed was told in English; where it is an error with a code, it has words in every language. */
function whyWords({ text }: Context, why: NonNullable<Diagnostic['why']>): string {
  return text.finding(why.code, whyFacts(text, why))
}

function whyFacts(text: Context['text'], { facts, error }: NonNullable<Diagnostic['why']>): Diagnostic['facts'] {
  return error === undefined ? facts : { ...facts, detail: text.error(error.type, error).message }
}

const bestPhrases = {
  direct: 'diagnostics.best-direct',
  'hole-punching': 'diagnostics.best-hole-punching',
  relay: 'diagnostics.best-relay',
} as const

/** Row D11. */
function printConnectivity(
  { out, text }: Context,
  { candidates, optimalTransport }: NonNullable<Diagnostic['connectivity']>,
): void {
  out.line(`    ${text(bestPhrases[optimalTransport])}`)
  if (candidates.length === 0) return
  out.line(`    ${text('diagnostics.candidates')}`)
  // A priority is no quantity: its digits are not grouped.
  const rows = candidates.map(({ type, address, priority, foundation }) => [
    `      ${type}`,
    sanitiseLine(address),
    String(priority),
    sanitiseLine(foundation),
  ])
  out.line(formatTable(rows))
}

/** What somebody can do, each thing once, the worst first. */
function printAdvice(context: Context, checks: readonly Diagnostic[]): void {
  const { out, text } = context
  const order = { failed: 0, warning: 1, 'not-configured': 2, ok: 3 }
  const sorted = [...checks].sort((a, b) => order[a.state] - order[b.state])
  const advice = sorted.flatMap(({ code, facts, why }) => [
    text.advice(code, facts),
    why === undefined ? undefined : text.advice(why.code, whyFacts(text, why)),
  ])
  const lines = [...new Set(advice.filter((words) => words !== undefined))]
  if (lines.length === 0) return
  out.line(out.styles.bold(text('diagnostics.what-to-do')))
  for (const line of lines) printProse(context, line, '  ')
}
