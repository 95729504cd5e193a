import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { textToBytes } from '@miaou/core'
import { connect, type MiaouClient } from '@miaou/sdk'
import { httpConnection } from '@miaou/sdk/http'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { type ApiServer, startApi } from '../src/api/server.ts'
import { exitCodes } from '../src/exit-code.ts'
import { jsonErrorShape, jsonShapes } from '../src/json-shapes.ts'
import { PeerFeed } from '../src/peer/feed.ts'
import type { PeerHost } from '../src/peer-handle.ts'
import { type Ran, type RunOptions, runCli } from './cli-runner.ts'
import { FakeNetwork, FakePeer, fakeHost } from './fake-peer.ts'

// The commands and the API of gossip over a network in memory. Real engines meet in e2e/test/gossip.test.ts.

let network: FakeNetwork
let bob: FakePeer

beforeEach(() => {
  network = new FakeNetwork()
  bob = new FakePeer(network, '/bob', 'Bob')
})

describe('[CLI19] [CLI20] the commands', () => {
  let folder: string
  let host: PeerHost

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'miaou-gossip-'))
    host = fakeHost(network)
    await miaou(['id', '--no-passphrase', '--name', 'Alice'])
  })

  afterEach(() => rmSync(folder, { recursive: true, force: true }))

  function miaou(argv: readonly string[], options: RunOptions = {}): Promise<Ran> {
    return runCli(host, ['--home', join(folder, 'alice'), ...argv], options)
  }

  /** Runs `gossip follow`, has Bob publish once it follows, and interrupts it when a line came. */
  async function followed(argv: readonly string[], topic: string, payload: Uint8Array): Promise<Ran> {
    const running: { interrupt?: () => void; output?: () => string } = {}
    const ran = miaou(argv, {
      onStart: (interrupt, output) => Object.assign(running, { interrupt, output }),
    })
    await vi.waitFor(() => expect([...network.gossips].some((gossip) => gossip.topics.has(topic))).toBe(true))
    await bob.gossip.publish(topic, payload)
    await vi.waitFor(() => expect(running.output?.()).toContain('\n'))
    running.interrupt?.()
    return ran
  }

  test('follow prints time, short key and text, made safe, until it is interrupted', async () => {
    const ran = await followed(['gossip', 'follow', 'garden'], 'garden', textToBytes('ripe\u001b[2J\nplums'))
    expect(ran.code).toBe(exitCodes.ok)
    expect(ran.stdout).toMatch(/^\d[\d :-]+ {2}0b0b…0b0b: ripe‹1B›\[2J\n +plums\n$/)
    expect(ran.stderr).toContain('Following “garden”')
    // Nobody follows any more.
    expect([...network.gossips].flatMap(({ topics }) => [...topics.keys()])).toEqual([])
  })

  test('follow --json prints its shape, with text where it is one', async () => {
    for (const [payload, text] of [
      [textToBytes('plums'), 'plums'],
      [Uint8Array.of(0xff), undefined],
    ] as const) {
      const ran = await followed(['--json', 'gossip-follow', 'garden'], 'garden', payload)
      const [object] = ran.objects() as { text?: string }[]
      expect(jsonShapes['gossip follow']?.parse(object)).toEqual(object)
      expect(object?.text).toBe(text)
    }
  })

  test('publish takes its text or the input, and info tells who one is', async () => {
    await bob.gossip.subscribe('garden')
    const heard: Uint8Array[] = []
    bob.onEvent((event) => {
      if (event.type === 'gossip') heard.push(event.payload)
    })
    const words = await miaou(['gossip', 'publish', 'garden', 'ripe'])
    expect(words).toMatchObject({ code: exitCodes.ok, stdout: expect.stringContaining('1 linked peer') })
    expect(words.stderr).toContain('Nothing is kept')
    const piped = await miaou(['--json', 'gossip-publish', 'garden', '-', '--wait', '0'], { stdin: 'ripe\n' })
    const [object] = piped.objects()
    expect(jsonShapes['gossip publish']?.parse(object)).toEqual(object)
    expect(heard.map((bytes) => new TextDecoder().decode(bytes))).toEqual(['ripe', 'ripe\n'])
    const unheard = await miaou(['gossip', 'publish', 'other', 'x', '--wait', '0'])
    expect(unheard.stdout).toContain('no linked peer follows “other” now')
    const info = await miaou(['--json', 'gossip', 'info'])
    expect(jsonShapes['gossip info']?.parse(info.objects()[0])).toEqual(info.objects()[0])
    expect((await miaou(['gossip', 'info'])).stdout).toContain('0b'.repeat(32))
  })

  test('what goes wrong has a code and an exit code', async () => {
    const failure = async (...argv: string[]): Promise<unknown[]> => {
      const ran = await miaou(['--json', ...argv, ...(argv[1] === 'publish' ? ['--wait', '0'] : [])])
      const answer = JSON.parse(ran.stderr) as { error: { code: string } }
      expect(jsonErrorShape.parse(answer)).toEqual(answer)
      return [answer.error.code, ran.code]
    }
    expect(await failure('gossip', 'publish', 'two words', 'x')).toEqual(['bad-topic', exitCodes.usage])
    expect(await failure('gossip', 'follow', 'two words')).toEqual(['bad-topic', exitCodes.usage])
    expect(await failure('gossip', 'publish', 'garden', 'x'.repeat(60_001))).toEqual(['too-large', exitCodes.error])
    network.gossips.delete(bob.gossip)
    for (const other of [...network.gossips]) network.gossips.delete(other)
    expect(await failure('gossip', 'publish', 'garden', 'x')).toEqual(['no-neighbours', exitCodes.unreachable])
  })
})

describe('[EV8] the API', () => {
  let alice: FakePeer
  let api: ApiServer
  let client: MiaouClient

  beforeEach(async () => {
    alice = new FakePeer(network, '/alice', 'Alice')
    api = await startApi(alice)
    client = connect(httpConnection(api))
  })

  afterEach(async () => {
    await client.close()
    await api.close()
  })

  async function following(topic: string, count: number | undefined): Promise<void> {
    await vi.waitFor(() => expect(alice.gossip.topics.get(topic)).toBe(count))
  }

  test('a topic is followed for as long as a stream asks for it, and no longer', async () => {
    const [first, second] = [client.gossip.follow('garden'), client.gossip.follow('garden', 'cats')]
    const news = [first.next(), second.next()]
    await following('garden', 2)
    await following('cats', 1)
    expect(await connect(httpConnection(api)).gossip.publish('cats', 'x')).toMatchObject({ neighbours: 0 })
    await bob.gossip.publish('garden', Uint8Array.of(0, 255))
    for (const each of news) {
      expect((await each).value).toMatchObject({
        topic: 'garden',
        origin: '0b'.repeat(32),
        payload: Uint8Array.of(0, 255),
      })
    }
    // One that waits for the next message can be ended.
    const waiting = first.next()
    await first.return?.()
    expect((await waiting).done).toBe(true)
    await following('garden', 1)
    await client.close()
    await following('garden', undefined)
    await following('cats', undefined)
  })

  test('a stream without topics hears nothing of them', async () => {
    const events = client.events()
    const next = events.next()
    await vi.waitFor(() => expect(alice.listenerCount).toBe(1))
    await alice.gossip.subscribe('garden')
    await bob.gossip.publish('garden', Uint8Array.of(1))
    alice.emit({ type: 'peer-gone', peerId: bob.peerId })
    expect((await next).value).toMatchObject({ event: { type: 'peer-gone' } })
    await events.return?.()
  })

  test('topics that cannot be followed end the stream with the reason, and leave none followed', async () => {
    await expect(client.gossip.follow('two words').next()).rejects.toMatchObject({ code: 'bad-topic' })
    await expect(client.gossip.follow('a', 'b', 'c', 'd').next()).rejects.toMatchObject({
      code: 'too-many',
      facts: { what: 'topics', countMax: 3 },
    })
    await vi.waitFor(() => expect(alice.gossip.topics.size).toBe(0))
  })

  test('while 100 messages wait for a slow reader, further ones are dropped', async () => {
    const feed = new PeerFeed(alice, { topics: ['garden'] })
    await feed.start()
    for (let i = 0; i < 150; i++) await bob.gossip.publish('garden', Uint8Array.of(i))
    const heard: string[] = []
    for (let i = 0; i < 100; i++) {
      const { value } = await feed.next()
      if (value?.event.type === 'gossip') heard.push(value.event.payload)
    }
    expect(heard.at(-1)).toBe('63')
    await bob.gossip.publish('garden', Uint8Array.of(200))
    expect((await feed.next()).value).toMatchObject({ event: { payload: 'c8' } })
    await feed.return()
  })
})
