/**
 * The figures a person feels, between two real `miaou up` on loopback: discovery, dial to WebRTC, round trip of a text to
 * its receipt, start-up, idle memory and CPU. One JSON line a figure.
 * `--rounds N` (5), `--messages N` (300), `--idle-seconds N` (10), `--settle-seconds N` (20): idle is what comes after V8 has
 * given back what the start and the messages left behind, some 17 s later.
 */
import { parseArgs } from 'node:util'
import { befriend, Household, linked, runMiaou, until } from '@miaou/testkit/processes'
import { printFigure, spread } from './figure.ts'
import { cpuMsOf, processTree, pssMbOf } from './processes.ts'

const { values: flags } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    messages: { type: 'string', default: '300' },
    'idle-seconds': { type: 'string', default: '10' },
    'settle-seconds': { type: 'string', default: '20' },
  },
})
const rounds = Number(flags.rounds)
const messageCount = Number(flags.messages)
const idleMs = Number(flags['idle-seconds']) * 1000
const settleMs = Number(flags['settle-seconds']) * 1000
const command = 'node bench/src/end-to-end.ts'

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

async function measureStart(): Promise<void> {
  const house = new Household()
  try {
    const first = await house.start('solo')
    await first.stop()
    const idMs: number[] = []
    const upMs: number[] = []
    for (let round = 0; round < rounds; round++) {
      let startedAt = performance.now()
      const { code, stderr } = await runMiaou(house.home('solo'), ['id', '--json'])
      if (code !== 0) throw new Error(`miaou id failed: ${stderr}`)
      idMs.push(performance.now() - startedAt)
      startedAt = performance.now()
      const daemon = await house.start('solo')
      upMs.push(performance.now() - startedAt)
      await daemon.stop()
    }
    printFigure({ name: 'start-id', ...spread(idMs), unit: 'ms', goal: { atMost: 400 }, command })
    printFigure({ name: 'start-up-to-ready', ...spread(upMs), unit: 'ms', goal: { atMost: 1000 }, command })
    const idle = await house.start('solo')
    await sleep(settleMs)
    const cpuBefore = cpuMsOf(processTree(idle.pid))
    await sleep(idleMs)
    const cpu = ((cpuMsOf(processTree(idle.pid)) - cpuBefore) / idleMs) * 100
    printFigure({
      name: 'idle-memory-alone',
      ...spread([pssMbOf(idle.pid)]),
      unit: 'MB PSS',
      goal: { atMost: 120 },
      command,
    })
    printFigure({ name: 'idle-cpu-alone', ...spread([cpu]), unit: '% of a core', goal: { atMost: 0.5 }, command })
    await idle.stop()
  } finally {
    await house.end()
  }
}

async function measureDiscovery(): Promise<void> {
  const seenMs: number[] = []
  const linkMs: number[] = []
  const rtcMs: number[] = []
  for (let round = 0; round < rounds; round++) {
    const house = new Household()
    try {
      const alice = await house.start('alice')
      const startedAt = performance.now()
      const bob = await house.start('bob')
      const { peerId } = await bob.client.identity.get()
      await until(
        'both to see each other',
        async () => {
          const lists = await Promise.all([alice.client.network.peers(), bob.client.network.peers()])
          return lists.every((list) => list.length > 0) ? true : undefined
        },
        { everyMs: 5 },
      )
      seenMs.push(performance.now() - startedAt)
      const dialedAt = performance.now()
      const established: { transport: string; setupMs: number }[] = []
      const events = alice.client.events()
      const reading = (async () => {
        for await (const { event } of events) if (event.type === 'connection-established') established.push(event)
      })()
      await alice.client.network.connect(peerId)
      linkMs.push(performance.now() - dialedAt)
      await alice.client.network.upgraded(peerId)
      rtcMs.push(performance.now() - dialedAt)
      await events.return?.()
      await reading
    } finally {
      await house.end()
    }
  }
  const detail =
    'from the start of the second process (which includes its own start-up) to both lists holding the other'
  printFigure({ name: 'mdns-both-known', ...spread(seenMs), unit: 'ms', goal: { atMost: 8000 }, command, detail })
  printFigure({ name: 'dial-to-first-link', ...spread(linkMs), unit: 'ms', command })
  printFigure({ name: 'dial-to-webrtc', ...spread(rtcMs), unit: 'ms', goal: { atMost: 200 }, command })
}

/** When each message was seen delivered; the receipt can be heard before the call that sent it has answered. */
class Receipts {
  readonly #at = new Map<string, number>()
  readonly #waiting = new Map<string, (at: number) => void>()

  heard(id: string): void {
    const at = performance.now()
    const resolve = this.#waiting.get(id)
    if (resolve === undefined) this.#at.set(id, at)
    else resolve(at)
  }

  of(id: string): Promise<number> {
    const at = this.#at.get(id)
    return at === undefined ? new Promise((resolve) => this.#waiting.set(id, resolve)) : Promise.resolve(at)
  }
}

async function measureMessages(): Promise<void> {
  const house = new Household()
  try {
    const [alice, bob] = await Promise.all([house.start('alice'), house.start('bob')])
    await befriend({ client: alice.client, name: 'Alice' }, { client: bob.client, name: 'Bob' })
    await linked(alice.client, bob.client)
    const text = 'm'.repeat(100)
    const receipts = new Receipts()
    const events = alice.client.events()
    const reading = (async () => {
      for await (const { event } of events) {
        if (event.type === 'message-state' && event.message.state === 'delivered') receipts.heard(event.message.id)
      }
    })()
    const roundTripMs: number[] = []
    for (let i = 0; i < messageCount; i++) {
      const startedAt = performance.now()
      const { id } = await alice.client.messages.send('Bob', text)
      roundTripMs.push((await receipts.of(id)) - startedAt)
    }
    printFigure({ name: 'round-trip-100-bytes', ...spread(roundTripMs), unit: 'ms', goal: { atMost: 5 }, command })
    await events.return?.()
    await reading
    await sleep(settleMs)
    printFigure({
      name: 'idle-memory-linked',
      ...spread([pssMbOf(alice.pid)]),
      unit: 'MB PSS',
      goal: { atMost: 120 },
      command,
    })
  } finally {
    await house.end()
  }
}

await measureStart()
await measureDiscovery()
await measureMessages()
