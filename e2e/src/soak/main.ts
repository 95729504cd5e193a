/**
 * `npm run soak -- --peers 20 --mailboxes 3 --minutes 10 --kill`: real daemons, real links, on loopback only. Peers write
 * to each other while processes are killed and frozen at random; then all come back and the ledger is drawn up: what was
 * accepted is delivered or visibly pending, nothing is lost, nothing doubled. Exit 0 when it balances.
 */
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { temporaryFolder, until } from '@miaou/testkit/processes'
import { seededNumbers } from '../../../testkit/src/seeded.ts'
import { Actor } from './actor.ts'
import { balance, type Ledger, type LedgerRow } from './ledger.ts'

const usage = `npm run soak -- [--peers N] [--mailboxes N] [--minutes N] [--kill] [--seed S] [--contacts N] [--json]
  --peers      people, each a daemon (default 4)
  --mailboxes  daemons that serve as mailbox and relay (default 2)
  --minutes    of writing (default 1); then everybody comes back and what is pending arrives
  --kill       SIGKILL and SIGSTOP at random, mailboxes included
  --contacts   friends of each (default 3)
  --seed       the same seed makes the same plan (default: another one each time)`

const { values } = parseArgs({
  options: {
    peers: { type: 'string', default: '4' },
    mailboxes: { type: 'string', default: '2' },
    minutes: { type: 'string', default: '1' },
    contacts: { type: 'string', default: '3' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000_000) },
    kill: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
  },
})
const flags = {
  peers: Number(values.peers),
  mailboxes: Number(values.mailboxes),
  minutes: Number(values.minutes),
  contacts: Number(values.contacts),
  seed: Number(values.seed),
}
if (!Object.values(flags).every((value) => Number.isFinite(value) && value >= 0) || flags.peers < 2) {
  process.stderr.write(`${usage}\n`)
  process.exit(2)
}

/** From one send of the whole company to the next, ms on average. */
const sendEveryMs = 120
/** From one kill or freeze to the next, ms on average, for ten processes; more processes make it shorter. */
const harmEveryMs = 4_000
/** How long a killed or frozen process is away, ms at most. */
const awayMsMax = 15_000
/** How long an answer is waited for, ms: a frozen peer answers when it is thawed. */
const answerMsMax = 120_000
/** How long everything may take to settle once all are back, ms. */
const settleMsMax = 300_000

interface Pair {
  readonly from: Actor
  readonly to: Actor
  readonly accepted: string[]
}

const random = seededNumbers(flags.seed)
const pick = <T>(list: readonly T[]): T => {
  const chosen = list[Math.floor(random() * list.length)]
  if (chosen === undefined) throw new Error('nothing to choose from')
  return chosen
}
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))
const say = (text: string) => process.stdout.write(values.json ? '' : `${text}\n`)

async function main(): Promise<boolean> {
  const folder = temporaryFolder()
  const actors: Actor[] = []
  const startedAt = performance.now()
  const seconds = () => ((performance.now() - startedAt) / 1000).toFixed(0)
  try {
    say(`seed ${flags.seed}: ${flags.peers} peers, ${flags.mailboxes} mailboxes, ${flags.minutes} min`)
    const servers = await startServers(folder.path, actors)
    const peers = await startPeers(folder.path, actors, servers)
    const pairs = await befriend(peers)
    say(`${seconds()} s: ${pairs.length / 2} friendships, all met once`)
    const end = performance.now() + flags.minutes * 60_000
    const harm = values.kill ? harmUntil(end, [...peers, ...servers]) : Promise.resolve()
    await Promise.all([writeUntil(end, pairs), harm, report(end, pairs, seconds)])
    say(`${seconds()} s: everybody comes back`)
    for (const actor of actors) actor.thaw()
    await Promise.all(actors.map((actor) => actor.start()))
    await settle(pairs)
    const ledger = balance(await Promise.all(pairs.map(draw)))
    print(ledger, actors, await depositsAt(servers), seconds())
    return ledger.findings.length === 0
  } finally {
    for (const actor of actors) actor.retire()
    await Promise.all(actors.map((actor) => actor.kill()))
    folder.remove()
  }
}

async function startServers(path: string, actors: Actor[]): Promise<Actor[]> {
  const servers = Array.from(
    { length: flags.mailboxes },
    (_, i) =>
      new Actor(`mailbox${i + 1}`, join(path, `mailbox${i + 1}`), ['--serve', 'relay,mailbox', '--stun-port', '0']),
  )
  actors.push(...servers)
  for (const server of servers) await server.keepPort()
  return servers
}

async function startPeers(path: string, actors: Actor[], servers: readonly Actor[]): Promise<Actor[]> {
  const serving = await Promise.all(
    servers.map(async (server) => (await (await server.start()).network.info()).serving),
  )
  const relays = serving.flatMap((each) => (each?.relay === undefined ? [] : [each.relay.address]))
  const mailboxes = serving.flatMap((each) => (each?.mailbox === undefined ? [] : [each.mailbox.address]))
  const peers = Array.from({ length: flags.peers }, (_, i) => {
    const name = `peer${i + 1}`
    // Two mailboxes each, so that a killed one is not all there is.
    const mine = [0, 1].map((n) => mailboxes[(i + n) % mailboxes.length]).filter((each) => each !== undefined)
    const relay = relays[i % relays.length]
    return new Actor(name, join(path, name), [
      ...['--name', name],
      ...[...new Set(mine)].flatMap((mailbox) => ['--mailbox', mailbox]),
      ...(relay === undefined ? [] : ['--relay', relay]),
    ])
  })
  actors.push(...peers)
  for (const peer of peers) await peer.start()
  return peers
}

/** A ring, and chords across it, until each has as many friends as asked for. */
async function befriend(peers: readonly Actor[]): Promise<Pair[]> {
  const pairs: Pair[] = []
  for (let step = 1; step <= Math.min(Math.ceil(flags.contacts / 2), peers.length - 1); step++) {
    for (const [i, from] of peers.entries()) {
      const to = peers[(i + step) % peers.length]
      if (to === undefined || to === from || pairs.some((pair) => pair.from === to && pair.to === from)) continue
      await acquaint(from, to)
      pairs.push({ from, to, accepted: [] }, { from: to, to: from, accepted: [] })
    }
  }
  return pairs
}

async function acquaint(from: Actor, to: Actor): Promise<void> {
  const { invite } = await from.insist('an invite', (client) => client.invites.create(), answerMsMax)
  await to.insist('a contact', (client) => client.contacts.add({ invite, name: from.name }), answerMsMax)
  const account = (await to.insist('who it is', (client) => client.identity.get(), answerMsMax)).account
  await until(
    `${from.name} to know ${to.name}`,
    async () => {
      const contacts = await from.client?.contacts.list()
      return contacts?.find((contact) => contact.account === account && contact.state === 'contact')
    },
    { withinMs: answerMsMax, everyMs: 100 },
  )
  await from.insist('a name', (client) => client.contacts.rename(account, to.name), answerMsMax)
}

/** Each pair writes by itself, one message after the other, so that the order of its texts is known. */
async function writeUntil(end: number, pairs: readonly Pair[]): Promise<void> {
  await Promise.all(
    pairs.map(async (pair) => {
      for (let number = 1; performance.now() < end; number++) {
        await pause(random() * 2 * sendEveryMs * pairs.length)
        if (performance.now() >= end) return
        const text = `${pair.from.name} to ${pair.to.name}, number ${number}${random() < 0.1 ? ` ${'x'.repeat(Math.floor(random() * 8_000))}` : ''}`
        const send = pair.from.insist(
          'a send',
          (client) => client.messages.send(pair.to.name, text, { key: text.slice(0, 60) }),
          answerMsMax + awayMsMax,
        )
        await send
        pair.accepted.push(text)
      }
    }),
  )
}

async function harmUntil(end: number, actors: readonly Actor[]): Promise<void> {
  const away: Promise<void>[] = []
  const failures: unknown[] = []
  const every = (harmEveryMs * 10) / actors.length
  while (performance.now() < end) {
    await pause(random() * 2 * every)
    const up = actors.filter((actor) => actor.isUp)
    // Somebody must be there to be harmed next.
    if (up.length <= actors.length / 2) continue
    const harm = random() < 0.6 ? killFor : freezeFor
    // Judged at the end: one who does not come back must not end the soak before it has cleaned up.
    away.push(harm(pick(up), random() * awayMsMax).catch((error: unknown) => void failures.push(error)))
  }
  await Promise.all(away)
  if (failures.length > 0) throw failures[0]
}

async function killFor(actor: Actor, ms: number): Promise<void> {
  await actor.kill()
  await pause(ms)
  await actor.start()
}

async function freezeFor(actor: Actor, ms: number): Promise<void> {
  actor.freeze()
  await pause(ms)
  actor.thaw()
}

async function report(end: number, pairs: readonly Pair[], seconds: () => string): Promise<void> {
  while (performance.now() + 30_000 < end) {
    await pause(30_000)
    say(`${seconds()} s: ${pairs.reduce((sum, { accepted }) => sum + accepted.length, 0)} accepted`)
  }
}

/** Until nothing is under way any more, or for as long as that may take: what is left is told as pending. */
async function settle(pairs: readonly Pair[]): Promise<void> {
  const isUnderWay = ({ state }: { readonly state: string }) => ['queued', 'sent', 'held'].includes(state)
  await until(
    'everything to arrive',
    async () => {
      const rows = await Promise.all(pairs.map(sentBy))
      return rows.flat().some(isUnderWay) ? undefined : true
    },
    { withinMs: settleMsMax, everyMs: 2_000 },
  ).catch(() => undefined)
}

const sentBy = ({ from, to }: Pair) => listAll(from, to, 'out')

async function listAll(actor: Actor, other: Actor, direction: 'in' | 'out') {
  const messages: { readonly text: string; readonly state: string; readonly reason?: string | undefined }[] = []
  for (let after = 0; ; ) {
    const page = await actor.insist(
      'the history',
      (client) => client.messages.list({ with: other.name, after, limit: 200 }),
      answerMsMax,
    )
    messages.push(...page.filter((message) => message.direction === direction))
    const last = page.at(-1)
    if (last === undefined) return messages
    after = last.position
  }
}

async function draw(pair: Pair): Promise<LedgerRow> {
  const [sent, received] = await Promise.all([sentBy(pair), listAll(pair.to, pair.from, 'in')])
  return {
    from: pair.from.name,
    to: pair.to.name,
    accepted: pair.accepted,
    sent: sent.map(({ text, state, reason }) => ({ text, state, ...(reason === undefined ? {} : { reason }) })),
    received: received.map(({ text }) => text),
  }
}

/** Envelopes that the mailboxes took since each was started last. */
async function depositsAt(servers: readonly Actor[]): Promise<number> {
  let deposits = 0
  for (const server of servers) {
    const { serving } = await server.insist('its counters', (client) => client.network.info(), answerMsMax)
    deposits += serving?.mailbox?.counters['deposits'] ?? 0
  }
  return deposits
}

function print(ledger: Ledger, actors: readonly Actor[], deposits: number, seconds: string): void {
  const kills = actors.reduce((sum, actor) => sum + actor.kills, 0)
  const freezes = actors.reduce((sum, actor) => sum + actor.freezes, 0)
  const { findings, ...counts } = ledger
  const lost = findings.filter((line) => line.startsWith('lost') || line.startsWith('untrue')).length
  const doubled = findings.filter((line) => line.startsWith('doubled')).length
  const order = findings.filter((line) => line.startsWith('order')).length
  const summary = { ...flags, ...counts, lost, doubled, order, kills, freezes, deposits, seconds: Number(seconds) }
  if (values.json) console.log(JSON.stringify({ type: 'summary', ...summary, findings: findings.slice(0, 20) }))
  say(
    `${kills} killed, ${freezes} frozen, ${deposits} envelopes taken by mailboxes since their last start, ${seconds} s`,
  )
  for (const finding of findings.slice(0, 20)) say(finding.slice(0, 200))
  say(
    `accepted ${counts.accepted} = delivered ${counts.delivered} + pending ${counts.pending} + ended ${counts.ended}; ` +
      `${lost} lost, ${doubled} doubled, ${order} out of order`,
  )
}

main().then(
  (isBalanced) => {
    process.exitCode = isBalanced ? 0 : 1
  },
  (error: unknown) => {
    console.error('The soak failed:', error)
    process.exitCode = 1
  },
)
