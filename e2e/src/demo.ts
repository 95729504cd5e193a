/**
 * `npm run demo`: two real peers in two processes and two homes, on loopback only. Discovery, connection, messages both
 * ways, a SIGKILL in mid-conversation and a restart; every message is counted on both sides. `--file TEXT` sends every
 * line of a file and compares. `--json`: one JSON object a line. Exit 0 when nothing was lost or doubled.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { Message, MiaouClient } from '@miaou/sdk'
import { Daemon, delivered, history, temporaryFolder, until } from '@miaou/testkit/processes'

const linesMax = 20_000
const { values: flags } = parseArgs({
  options: { file: { type: 'string' }, json: { type: 'boolean', default: false } },
})

type Steps = <T>(name: string, run: () => Promise<T>, detail?: (value: T) => string) => Promise<T>

/** Prints each step with the time it took. */
function createSteps(): Steps {
  let number = 0
  return async (name, run, detail) => {
    number += 1
    const startedAt = performance.now()
    const value = await run()
    const ms = Math.round((performance.now() - startedAt) * 10) / 10
    const text = detail?.(value)
    if (flags.json)
      console.log(JSON.stringify({ step: number, name, ms, ...(text === undefined ? {} : { detail: text }) }))
    else
      console.log(
        // A note has a line of its own: 80 columns hold no more.
        `${String(number).padStart(2)}. ${name.padEnd(52)} ${`${ms} ms`.padStart(12)}${text ? `\n    ${text}` : ''}`,
      )
    return value
  }
}

/** Throws unless `received` is exactly `sent`, each once, in order. */
function compare(what: string, sent: readonly string[], received: readonly Message[]): string {
  const texts = received.map(({ text }) => text)
  const wrong = sent.findIndex((text, i) => texts[i] !== text)
  if (wrong >= 0 || texts.length !== sent.length) {
    const around = [...sent.slice(wrong, wrong + 3), '…', ...texts.slice(wrong, wrong + 3)].join(' | ')
    throw new Error(`${what}: ${sent.length} sent, ${texts.length} received, first difference at ${wrong}: ${around}`)
  }
  return `${sent.length} sent, ${texts.length} received, 0 lost, 0 doubled`
}

async function main(): Promise<void> {
  const step = createSteps()
  const folder = temporaryFolder()
  const daemons: Daemon[] = []
  const start = async (name: string): Promise<Daemon> => {
    const daemon = await Daemon.start(join(folder.path, name), ['--name', name])
    daemons.push(daemon)
    return daemon
  }
  try {
    const alice = await step('Alice starts', () => start('alice'))
    let bob = await step('Bob starts', () => start('bob'))
    const bobPeerId = (await bob.client.identity.get()).peerId
    await step('mDNS: each sees the other', () =>
      until('both to see each other', async () => {
        const sees = await Promise.all(
          [alice, bob].map(async ({ client }) => (await client.network.peers()).length > 0),
        )
        return sees.every(Boolean) ? true : undefined
      }),
    )
    await step(
      'Alice connects to Bob',
      () => alice.client.network.connect(bobPeerId),
      (link) => link.transport ?? '',
    )
    await step(
      'the link becomes WebRTC',
      () => alice.client.network.upgraded(bobPeerId),
      ({ upgraded }) => {
        if (!upgraded) throw new Error('the link did not become WebRTC')
        return 'DTLS fingerprints bound to the handshake'
      },
    )
    await step('Alice adds Bob, writes; Bob accepts', async () => {
      await alice.client.contacts.add({ peerId: bobPeerId, name: 'Bob' })
      await alice.client.messages.send('Bob', 'Hello Bob')
      const request = await until('the request', async () =>
        (await bob.client.contacts.list()).find(({ state }) => state === 'request'),
      )
      await bob.client.contacts.accept(request.account)
      await bob.client.contacts.rename(request.account, 'Alice')
      await delivered(alice.client, 'Bob', 1)
    })
    const numbers = await Promise.all([
      alice.client.contacts.safetyNumber('Bob'),
      bob.client.contacts.safetyNumber('Alice'),
    ])
    if (numbers[0].safetyNumber !== numbers[1].safetyNumber) throw new Error('the safety numbers differ')

    const fromAlice = ['Hello Bob', ...texts()]
    const fromBob = Array.from({ length: 50 }, (_, i) => `Bob, line ${i + 1}`)
    await step(`${fromAlice.length - 1} messages there, ${fromBob.length} back`, async () => {
      await Promise.all([
        sendInOrder(alice.client, 'Bob', fromAlice.slice(1)),
        sendInOrder(bob.client, 'Alice', fromBob),
      ])
      await delivered(alice.client, 'Bob', fromAlice.length, 300_000)
      await delivered(bob.client, 'Alice', fromBob.length)
    })
    await step('Bob is killed while Alice writes on', async () => {
      await Promise.all([sendInOrder(alice.client, 'Bob', moreTexts), bob.kill()])
    })
    fromAlice.push(...moreTexts)
    bob = await step('Bob starts again', () => start('bob'))
    await step('everything arrives', () => delivered(alice.client, 'Bob', fromAlice.length, 60_000))
    await step(
      'compared on both sides',
      async () => {
        const there = compare('to Bob', fromAlice, await history(bob.client, 'Alice', 'in'))
        compare('to Alice', fromBob, await history(alice.client, 'Bob', 'in'))
        return there
      },
      (text) => text,
    )
    await step('both stop', async () => {
      const codes = await Promise.all([alice.stop(), bob.stop()])
      if (codes.some((code) => code !== 0)) throw new Error(`exit codes ${codes.join()}`)
    })
  } finally {
    await Promise.all(daemons.map((daemon) => daemon.kill()))
    folder.remove()
  }
}

const moreTexts = Array.from({ length: 100 }, (_, i) => `while Bob is away, line ${i + 1}`)

function texts(): string[] {
  if (flags.file === undefined) return Array.from({ length: 100 }, (_, i) => `Alice, line ${i + 1}: bonjour 🐈`)
  const lines = readFileSync(flags.file, 'utf8').split('\n')
  if (lines.at(-1) === '') lines.pop()
  if (lines.length > linesMax) throw new Error(`--file takes at most ${linesMax} lines, this one has ${lines.length}`)
  // An empty line is no message: it is sent as the sign for one.
  return lines.map((line) => (line === '' ? '␤' : line))
}

/** Each call returns once its message is stored; the next one starts then, so that the order is the file's. */
async function sendInOrder(client: MiaouClient, who: string, all: readonly string[]): Promise<void> {
  for (const text of all) await client.messages.send(who, text)
}

main().catch((error: unknown) => {
  console.error(`The demo failed: ${error instanceof Error ? error.message : String(error)}`)
  process.exitCode = 1
})
