/** A message of ours as its sender's home has it. */
export interface SentRow {
  readonly text: string
  readonly state: string
  readonly reason?: string
}

/** What became of the messages of one sender to one recipient. */
export interface LedgerRow {
  readonly from: string
  readonly to: string
  /** Texts the sender's API took, in the order of its answers. */
  readonly accepted: readonly string[]
  /** As the sender's home has them, oldest first. */
  readonly sent: readonly SentRow[]
  /** Texts at the recipient, oldest first. */
  readonly received: readonly string[]
}

export interface Ledger {
  readonly accepted: number
  readonly delivered: number
  /** Visible at the sender with a state that says that they are still on their way. */
  readonly pending: number
  /** Came to an end that the sender sees, without having arrived. */
  readonly ended: number
  /** `lost`, `doubled`, `order`, `untrue`, `unasked`: what must not be; a line each. */
  readonly findings: readonly string[]
}

const arrived = new Set(['delivered', 'read'])
const underWay = new Set(['queued', 'sent', 'held'])

/** Adds up all conversations. Nothing accepted may be missing from its sender's home or, told delivered, at its recipient. */
export function balance(rows: readonly LedgerRow[]): Ledger {
  const findings: string[] = []
  let [accepted, delivered, pending, ended] = [0, 0, 0, 0]
  for (const row of rows) {
    const where = `${row.from} to ${row.to}`
    accepted += row.accepted.length
    const sent = new Map(row.sent.map((message) => [message.text, message]))
    const counts = countTexts(row.received)
    for (const text of row.accepted) {
      const message = sent.get(text)
      const count = counts.get(text) ?? 0
      if (message === undefined) findings.push(`lost: ${where}: "${text}" was accepted, its sender has forgotten it`)
      else if (arrived.has(message.state)) {
        delivered += 1
        if (count === 0) findings.push(`untrue: ${where}: "${text}" is told ${message.state} and is not there`)
      } else if (underWay.has(message.state)) pending += 1
      else ended += 1
    }
    for (const [text, count] of counts) {
      if (count > 1) findings.push(`doubled: ${where}: "${text}" is there ${count} times`)
      if (!sent.has(text)) findings.push(`unasked: ${where}: "${text}" came, and nobody sent it`)
    }
    findings.push(...misplaced(row).map((text) => `order: ${where}: "${text}" came before an earlier one`))
  }
  if (accepted !== delivered + pending + ended + findings.filter((line) => line.startsWith('lost')).length) {
    findings.push(`lost: ${accepted} accepted are not ${delivered} delivered, ${pending} pending and ${ended} ended`)
  }
  return { accepted, delivered, pending, ended, findings }
}

/** Texts at the recipient that stand before one that was sent earlier. */
function misplaced({ sent, received }: LedgerRow): string[] {
  const places = new Map(sent.map(({ text }, index) => [text, index]))
  let least = Number.POSITIVE_INFINITY
  const wrong: string[] = []
  for (const text of [...received].reverse()) {
    const place = places.get(text)
    if (place === undefined) continue
    if (place > least) wrong.push(text)
    least = Math.min(least, place)
  }
  return wrong
}

function countTexts(texts: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>()
  for (const text of texts) counts.set(text, (counts.get(text) ?? 0) + 1)
  return counts
}
