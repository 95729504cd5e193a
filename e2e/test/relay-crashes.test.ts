import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { befriend, confine, type Daemon, delivered, Household, receivedTexts, until } from '@miaou/testkit/processes'
import { exitCodes } from 'miaou'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'

// What happens to relays and to those who use them when processes are killed, clocks jump and disks refuse.

const dayMs = 86_400_000
const jumpingClock = new URL('../../testkit/src/processes/jumping-clock.ts', import.meta.url).href
let house: Household

beforeEach(() => {
  house = new Household()
})

afterEach(() => house.end())

async function startRelay(args: readonly string[] = [], options = {}): Promise<{ daemon: Daemon; address: string }> {
  const daemon = await house.start('relay', ['--serve', 'relay', '--stun-port', '0', ...args], options)
  return { daemon, address: (await daemon.client.network.info()).serving?.relay?.address ?? '' }
}

const hidden = (address: string) => ['--relay-only', '--relay', address]

function reservation({ client }: Daemon): Promise<string> {
  return until('a reservation', async () => (await client.network.info()).reservations[0])
}

async function friends(address: string, annOptions = {}): Promise<readonly [Daemon, Daemon]> {
  const ann = await house.start('Ann', hidden(address), annOptions)
  await reservation(ann)
  const ben = await house.start('Ben', hidden(address))
  await reservation(ben)
  await befriend({ client: ann.client, name: 'Ann' }, { client: ben.client, name: 'Ben' })
  return [ann, ben]
}

describe('a process killed at any moment', () => {
  test('[R6] who reserves: killed at once and in the middle of a conversation, it is found at the same reservation', async () => {
    const { address } = await startRelay()
    let [ann, ben] = await friends(address)
    const before = await reservation(ann)
    await ben.client.messages.send('Ann', 'before')
    await delivered(ben.client, 'Ann', 1)
    const sending = Array.from({ length: 20 }, (_, at) => ben.client.messages.send('Ann', `during ${at}`))
    await ann.kill()
    await Promise.all(sending)
    // Killed again while it reserves.
    ann = await house.start('Ann', hidden(address))
    await ann.kill()
    ann = await house.start('Ann', hidden(address))
    expect(await reservation(ann)).toBe(before)
    await delivered(ben.client, 'Ann', 21, 60_000)
    expect(await receivedTexts(ann.client, 'Ben')).toEqual(['before', ...sending.map((_, at) => `during ${at}`)])
  })

  test('[R5] the relay: killed while it carries, started again it is the same relay, and everybody comes back', async () => {
    const first = await startRelay()
    const [ann, ben] = await friends(first.address)
    const before = await reservation(ann)
    await ann.client.messages.send('Ben', 'before')
    await delivered(ann.client, 'Ben', 1)
    const sending = Array.from({ length: 20 }, (_, at) => ann.client.messages.send('Ben', `during ${at}`))
    await first.daemon.kill()
    await Promise.all(sending)
    const port = first.address.slice(first.address.lastIndexOf(':') + 1)
    const second = await startRelay(['--port', port])
    expect(second.address).toBe(first.address)
    await delivered(ann.client, 'Ben', 21, 60_000)
    expect(await receivedTexts(ben.client, 'Ann')).toEqual(['before', ...sending.map((_, at) => `during ${at}`)])
    expect(await reservation(ann)).toBe(before)
  })

  test('an orderly end comes by itself: at once after the start, while a dial hangs, and with circuits open', async () => {
    const { daemon: relay, address } = await startRelay()
    const [ann, ben] = await friends(address)
    const eve = await house.start('Eve', hidden(address))
    for (const daemon of [eve, ann, ben, relay]) expect(await daemon.stop()).toBe(exitCodes.ok)
  })
})

describe('a wall clock that jumps', () => {
  test.each([
    ['a day back', -dayMs],
    ['a day on', dayMs],
  ])('%s, at the relay and at who uses it: both go on, and others still come in', async (_what, stepMs) => {
    const environment = { NODE_OPTIONS: `--import=${jumpingClock}`, MIAOU_TEST_CLOCK_MS: String(stepMs) }
    const { daemon: relay, address } = await startRelay([], { environment })
    const [ann, ben] = await friends(address, { environment })
    const before = await reservation(ann)
    await ann.client.messages.send('Ben', 'before')
    await delivered(ann.client, 'Ben', 1)
    process.kill(relay.pid, 'SIGUSR2')
    await ann.client.messages.send('Ben', 'the relay jumped')
    await delivered(ann.client, 'Ben', 2)
    process.kill(ann.pid, 'SIGUSR2')
    await ann.client.messages.send('Ben', 'both jumped')
    await ben.client.messages.send('Ann', 'I did not')
    await Promise.all([delivered(ann.client, 'Ben', 3), delivered(ben.client, 'Ann', 1)])
    expect(await reservation(ann)).toBe(before)
    // A newcomer, and one who was away, find both.
    await ben.stop()
    const again = await house.start('Ben', hidden(address))
    await ann.client.messages.send('Ben', 'welcome back')
    await delivered(ann.client, 'Ben', 4, 60_000)
    expect(await receivedTexts(again.client, 'Ann')).toHaveLength(4)
  })
})

test('a clock ten years on: the relay and who uses it hold what they have, and newcomers come in', async () => {
  const environment = { NODE_OPTIONS: `--import=${jumpingClock}`, MIAOU_TEST_CLOCK_MS: String(3_650 * dayMs) }
  const { daemon: relay, address } = await startRelay([], { environment })
  const [ann, ben] = await friends(address, { environment })
  const before = await reservation(ann)
  for (const { pid } of [relay, ann]) process.kill(pid, 'SIGUSR2')
  // Texts of so long ago are refused (messaging Q26); the way is what counts here.
  const { peerId } = await ben.client.identity.get()
  expect(await ann.client.network.ping(peerId)).toMatchObject({ peerId })
  expect(await reservation(ann)).toBe(before)
  const cat = await house.start('Cat', hidden(address))
  await reservation(cat)
  await befriend({ client: ben.client, name: 'Ben' }, { client: cat.client, name: 'Cat' })
  await cat.client.messages.send('Ben', 'hello')
  await delivered(cat.client, 'Ben', 1)
})

test('documents of relays that can be neither read nor written: said, and nothing else is lost', async () => {
  const { address } = await startRelay()
  confine(house.home('Ann'))
  for (const name of ['relays', 'known-relays', 'own-record']) mkdirSync(join(house.home('Ann'), name))
  const [ann, ben] = await friends(address)
  await ann.client.messages.send('Ben', 'all the same')
  await delivered(ann.client, 'Ben', 1)
  expect(await receivedTexts(ben.client, 'Ann')).toEqual(['all the same'])
  const added = await house.run('Ann', ['relay', 'add', address])
  expect(added.code).not.toBe(exitCodes.ok)
  expect(added.stderr).toContain(house.home('Ann'))
  expect(await ann.stop()).toBe(exitCodes.ok)
})

test('secrets of TURN servers, and what is made of them, stand in no output, no answer and no file but the configuration', async () => {
  const secret = 'a secret shared with coturn'
  const password = 'a fixed password of turn'
  const turn = [{ url: 'turn:3478?transport=udp', secret }]
  confine(house.home('relay'))
  const write = (name: string, more: object) =>
    writeFileSync(
      join(house.home(name), 'config.json'),
      JSON.stringify({ loopbackOnly: true, port: 0, portMapping: false, ...more }),
    )
  write('relay', { serve: { relay: { turn } } })
  const { daemon: relay, address } = await startRelay()
  confine(house.home('Ann'))
  const servers = [
    { urls: 'turn:127.0.0.1:9?transport=udp', secret },
    { urls: 'turn:127.0.0.1:9?transport=tcp', username: 'ann', credential: password },
  ]
  write('Ann', { iceServers: servers })
  const environment = { MIAOU_DEBUG: '1' }
  const [ann, ben] = await friends(address, { environment })
  await ann.client.messages.send('Ben', 'hello')
  await delivered(ann.client, 'Ben', 1)
  const outputs: string[] = []
  for (const name of ['Ann', 'relay']) {
    for (const argv of [
      ['net', 'info'],
      ['net', 'diagnostics'],
      ['relay', 'list'],
      ['net', 'list-peers'],
    ]) {
      for (const args of [argv, ['--json', ...argv]]) {
        const ran = await house.run(name, args, { environment })
        outputs.push(ran.stdout, ran.stderr)
      }
    }
  }
  const infos = await Promise.all([ann, ben, relay].map(({ client }) => client.network.info()))
  outputs.push(JSON.stringify(infos), ...[ann, ben, relay].map((daemon) => daemon.output()))
  const files = ['Ann', 'Ben', 'relay'].flatMap((name) =>
    readdirSync(house.home(name), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && entry.name !== 'config.json')
      .map((entry) => readFileSync(join(entry.parentPath, entry.name), 'latin1')),
  )
  const all = [...outputs, ...files].join('\n')
  for (const word of [secret, password]) expect(all).not.toContain(word)
  // What is made of a secret: an HMAC-SHA1 in base64, beside a name that begins with the second at which it ends.
  expect(outputs.join('\n')).not.toMatch(/"credential"|[^A-Za-z0-9+/_-][A-Za-z0-9+/]{27}=(?!=)/)
})
