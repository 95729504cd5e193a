/**
 * Delivery after coming online: one writes `--messages N` (1000) texts to somebody whose daemon is off, two mailboxes hold
 * them, and the writer leaves; then the other's daemon starts. Times until the last text is in the event stream of the API:
 * from the moment at which the first mailbox has the link and pushes, from the ready API, and from the start of the
 * process. `--rounds N` (3), `--size CHARACTERS` (100), `--profile FOLDER` (V8 CPU profiles of the recipient).
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import type { MiaouClient } from '@miaou/sdk'
import { befriend, type Daemon, delivered, Household, overlayJoined, until } from '@miaou/testkit/processes'
import { printFigure, spread } from '../figure.ts'
import { cpuMsOf, Remote } from '../processes.ts'
import type { FromMailbox, ToMailbox } from './mailbox-process.ts'

const { values: flags } = parseArgs({
  options: {
    messages: { type: 'string', default: '1000' },
    rounds: { type: 'string', default: '3' },
    size: { type: 'string', default: '100' },
    profile: { type: 'string' },
  },
})
const [count, rounds, size] = [Number(flags.messages), Number(flags.rounds), Number(flags.size)]
const command = `node bench/src/mailbox/delivery.ts --messages ${count} --rounds ${rounds}`

type Mailbox = Remote<ToMailbox, FromMailbox>

/** Sent at the same time by the writer: so many that they share deposits, for which there are 64 tokens a box. */
const sendsAtOnce = 200
/** What a peer has to tell of itself is told within it, on a quiet machine within one second. Guess. */
const settleMs = 4_000
/** Guess: many times what it takes where the machine is busy with other work. */
const withinMs = 300_000

interface Round {
  readonly sinceLink: number
  readonly sinceReady: number
  readonly sinceStart: number
  /** Of the recipient's daemon, from its start on. */
  readonly cpuMs: number
}

function nowMs(): number {
  return performance.timeOrigin + performance.now()
}

/** Until it keeps two boxes with so many tokens. */
async function registered(client: MiaouClient, tokens: number): Promise<void> {
  await until('two boxes', async () => {
    const mailboxes = await client.mailboxes.list()
    const supplied = mailboxes.filter(({ state, stock }) => state === 'registered' && (stock?.tokens ?? 0) >= tokens)
    return supplied.length === 2 ? true : undefined
  })
}

/** Until all of them are held by two mailboxes. */
async function held(client: MiaouClient): Promise<void> {
  const isHeld = async (): Promise<true | undefined> => {
    let found = 0
    for (let before: number | undefined; ; ) {
      const page = await client.messages.list({ with: 'Ben', limit: 200, ...(before === undefined ? {} : { before }) })
      found += page.filter(({ state, heldBy }) => state === 'held' && heldBy?.length === 2).length
      const [first] = page
      if (first === undefined) break
      before = first.position
    }
    return found >= count ? true : undefined
  }
  await until(`${count} texts to be held by two mailboxes`, isHeld, { withinMs, everyMs: 500 })
}

/** Whether two mailboxes hold a text within 15 s: after a link has ended it is tried directly first. */
async function isHeldSoon(client: MiaouClient, id: string): Promise<boolean> {
  const isHeld = async (): Promise<true | undefined> =>
    (await client.messages.get(id)).heldBy?.length === 2 ? true : undefined
  try {
    return await until('the text to be held', isHeld, { withinMs: 15_000, everyMs: 100 })
  } catch {
    return false
  }
}

async function sendAll(client: MiaouClient): Promise<void> {
  let next = 0
  const lane = async (): Promise<void> => {
    for (let number = next++; number < count; number = next++) {
      await client.messages.send('Ben', `text ${number} `.padEnd(size, 'm'))
    }
  }
  await Promise.all(Array.from({ length: sendsAtOnce }, lane))
}

/** Wall-clock ms at which the last of the texts, with the one that asked, came out of the event stream. */
async function lastArrives({ client }: Daemon, after: number): Promise<number> {
  const events = client.events({ after, fleeting: false })
  let received = 0
  for await (const { event } of events) {
    if (event.type === 'message-received') received += 1
    if (received === count + 1) break
  }
  const at = nowMs()
  await events.return?.()
  return at
}

/** Cursor of the newest event so far. */
async function newestCursor(client: MiaouClient): Promise<number> {
  const events = client.events({ after: 0, fleeting: false })
  // What follows now is the last one there is.
  await client.settings.set({ readReceipts: false })
  await client.settings.set({ readReceipts: true })
  let cursor = 0
  let seen = 0
  for await (const { cursor: at, event } of events) {
    cursor = at ?? cursor
    if (event.type === 'settings-changed') seen += 1
    if (seen === 2) break
  }
  await events.return?.()
  return cursor
}

async function run(): Promise<Round> {
  const folder = mkdtempSync(join(tmpdir(), 'miaou-bench-delivery-'))
  const house = new Household()
  const mailboxes: Mailbox[] = ['first', 'second'].map(
    (name) => new Remote('./mailbox/mailbox-process.ts', [join(folder, name)]),
  )
  try {
    const addresses = await Promise.all(mailboxes.map(async (mailbox) => (await mailbox.hear('listening')).address))
    const boxes = addresses.flatMap((address) => ['--mailbox', address])
    // Somebody else of the overlay, who keeps Ben's record while he is away.
    const carl = await house.start('Carl')
    const ann = await house.start('Ann', boxes)
    let ben = await house.start('Ben', boxes)
    await Promise.all([registered(ann.client, 0), registered(ben.client, 0)])
    await befriend({ client: ann.client, name: 'Ann' }, { client: ben.client, name: 'Ben' })
    await ann.client.messages.send('Ben', 'while we are both here')
    await delivered(ann.client, 'Ben', 1)
    await registered(ben.client, 1)
    await overlayJoined(ann.client, ben.client, carl.client)
    let after = 0
    // The record that names both boxes is told a moment after they are there: a text that both hold proves it.
    for (let tries = 1; ; tries++) {
      await registered(ben.client, 1)
      await sleep(settleMs)
      after = await newestCursor(ben.client)
      await ben.stop()
      const { id } = await ann.client.messages.send('Ben', 'are your boxes known?')
      if (await isHeldSoon(ann.client, id)) break
      if (tries === 4) throw new Error('no text was held')
      ben = await house.start('Ben', boxes)
      await delivered(ann.client, 'Ben', 1 + tries)
    }
    const startedAt = performance.now()
    await sendAll(ann.client)
    const sentAt = performance.now()
    await held(ann.client)
    const [sendMs, holdMs] = [sentAt - startedAt, performance.now() - startedAt]
    process.stderr.write(`delivery: sent in ${Math.round(sendMs)} ms, held in ${Math.round(holdMs)} ms\n`)
    await ann.stop()
    for (const mailbox of mailboxes) mailbox.tell({ type: 'watch' })
    const linkedAt = Promise.race(mailboxes.map((mailbox) => mailbox.hear('registered')))
    const from = nowMs()
    const environment =
      flags.profile === undefined ? {} : { NODE_OPTIONS: `--cpu-prof --cpu-prof-dir=${flags.profile}` }
    ben = await house.start('Ben', boxes, { environment })
    const ready = nowMs()
    const last = await lastArrives(ben, after)
    const cpuMs = cpuMsOf([ben.pid])
    const { at } = await linkedAt
    if (flags.profile !== undefined) await ben.stop()
    return { sinceLink: last - at, sinceReady: last - ready, sinceStart: last - from, cpuMs }
  } finally {
    await house.end()
    for (const mailbox of mailboxes) mailbox.kill()
    rmSync(folder, { recursive: true, force: true })
  }
}

const measured: Round[] = []
for (let round = 0; round < rounds; round++) {
  const result = await run()
  process.stderr.write(`delivery: ${Math.round(result.sinceLink)} ms since the link\n`)
  measured.push(result)
}
const detail = `${count} texts of ${size} characters, held by two mailboxes; until the last is in the event stream`
const print = (name: string, from: string, take: (round: Round) => number, goal?: { readonly atMost: number }): void =>
  printFigure({
    name,
    ...spread(measured.map(take)),
    unit: 'ms',
    ...(goal === undefined ? {} : { goal }),
    command,
    detail: `${detail}, from ${from}`,
  })
print('delivery-since-link', 'the first link with a mailbox', ({ sinceLink }) => sinceLink, { atMost: 1_000 })
print('delivery-since-ready', 'the ready API', ({ sinceReady }) => sinceReady)
print('delivery-since-start', 'the start of the process', ({ sinceStart }) => sinceStart)
print('delivery-cpu', 'the start of the process: CPU of the daemon', ({ cpuMs }) => cpuMs)
