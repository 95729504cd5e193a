/**
 * A store with a million messages: opening it up to the first batch of the engine, a page of history, searches; each as the
 * engine answers a command, its transaction included. `--messages N` (1000000), `--opens N` (11), `--asks N` (200),
 * `--dir FOLDER` (of the database; the system's folder for temporary files).
 */
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { MessagingCommand } from '@miaou/messaging'
import { printFigure, spread } from '../figure.ts'
import { makeLargeStore, openLargeStore } from './large-store.ts'

const { values: flags } = parseArgs({
  options: {
    messages: { type: 'string', default: '1000000' },
    opens: { type: 'string', default: '11' },
    asks: { type: 'string', default: '200' },
    dir: { type: 'string', default: tmpdir() },
  },
})
const [count, opens, asks] = [Number(flags.messages), Number(flags.opens), Number(flags.asks)]
const command = `node bench/src/mailbox/store.ts --messages ${count} --opens ${opens} --asks ${asks}`

const folder = mkdtempSync(join(flags.dir, 'miaou-bench-store-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
const startedAt = performance.now()
const store = makeLargeStore(join(folder, 'miaou.db'), count, (done) => {
  if (done % 200_000 === 0) process.stderr.write(`store: ${done} messages written\n`)
})
const megabytes = Math.round(statSync(store.path).size / 1e6)
process.stderr.write(`store: made in ${Math.round((performance.now() - startedAt) / 1_000)} s, ${megabytes} MB\n`)
const about = `${count} messages, ${megabytes} MB, encrypted`

const openMs: number[] = []
for (let round = 0; round < opens; round++) {
  const from = performance.now()
  const { close } = openLargeStore(store)
  openMs.push(performance.now() - from)
  close()
}
printFigure({ name: 'store-open', ...spread(openMs), unit: 'ms', goal: { atMost: 500 }, command, detail: about })

const { person, close } = openLargeStore(store)

interface Found {
  readonly position: number
}

/** Asks again and again, each time with another command; the first hundredth warms up. */
function measure(name: string, detail: string, goal: number, commandOf: (turn: number) => MessagingCommand): void {
  const ms: number[] = []
  let found = 0
  const warmUp = Math.ceil(asks / 100)
  for (let turn = 0; turn < asks + warmUp; turn++) {
    const asked = commandOf(turn)
    const from = performance.now()
    const { value } = person.ask(asked)
    const took = performance.now() - from
    if (turn < warmUp) continue
    ms.push(took)
    found += (value as readonly Found[]).length
  }
  const means = `${detail}; ${Math.round(found / asks)} found; ${about}`
  printFigure({ name, ...spread(ms), unit: 'ms', goal: { atMost: goal }, command, detail: means })
}

const contacts = person.ask({ type: 'contacts-list' }).value as readonly { readonly account: never }[]
const pageOf = (turn: number): number => 1 + ((turn * 7_919_777) % count)
const account = (turn: number): never => (contacts[turn % contacts.length] as { readonly account: never }).account
measure('store-page-newest', 'the newest 20 of a conversation', 5, (turn) => ({
  type: 'messages-list',
  account: account(turn),
  limit: 20,
}))
measure('store-page-before', '20 somewhere in a conversation', 5, (turn) => ({
  type: 'messages-list',
  account: account(turn),
  limit: 20,
  before: pageOf(turn),
}))
measure('store-page-unread', 'what is unread of a conversation', 5, (turn) => ({
  type: 'messages-list',
  account: account(turn),
  limit: 20,
  unread: true,
}))

const { words } = store.vocabulary
/** A word of about this place among the commonest. */
const word = (rank: number): string => words[rank % words.length] ?? ''
const search = (query: string, limit = 20): MessagingCommand => ({ type: 'messages-search', query, limit })
measure('store-search-rare', 'a rare word, whole', 20, (turn) => search(`${word(20_000 + turn * 101)} `))
measure('store-search-common', 'one of the ten commonest words, whole', 20, (turn) => search(`${word(turn % 10)} `))
measure('store-search-unfinished-rare', 'a rare word, unfinished', 20, (turn) => search(word(20_000 + turn * 101)))
measure('store-search-unfinished-common', 'one of the ten commonest words, unfinished', 20, (turn) =>
  search(word(turn % 10)),
)
measure('store-search-two-letters', 'two letters', 20, (turn) => search(word(turn % 50).slice(0, 2)))
measure('store-search-one-letter', 'one letter', 20, (turn) => search(word(turn % 50).slice(0, 1)))
measure('store-search-two-words', 'two common words, the last one unfinished', 20, (turn) =>
  search(`${word(turn % 10)} ${word(10 + (turn % 40))}`),
)
measure('store-search-common-and-rare', 'a common word and a rare one', 20, (turn) =>
  search(`${word(turn % 10)} ${word(5_000 + turn * 101)}`),
)
measure('store-search-two-rare', 'two rare words, found nowhere together', 20, (turn) =>
  search(`${word(1_000 + turn * 13)} ${word(2_000 + turn * 17)} `),
)
measure('store-search-phrase', 'a phrase of two common words', 20, (turn) => search(`"${word(turn % 10)} ${word(3)}"`))
measure('store-search-of-one', 'a common word with one of twenty people', 20, (turn) => ({
  type: 'messages-search',
  query: `${word(turn % 50)} `,
  account: account(turn),
  limit: 20,
}))
close()
