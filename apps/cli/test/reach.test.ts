import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { keyToPeerId, ok } from '@miaou/core'
import type { MiaouEvent, PeerView } from '@miaou/sdk'
import { createText } from '@miaou/text'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { exitCodes } from '../src/exit-code.ts'
import { jsonErrorShape, jsonShapes } from '../src/json-shapes.ts'
import { explainPath } from '../src/peer/path-reasons.ts'
import { summarise } from '../src/peer/pings.ts'
import type { PeerHost } from '../src/peer-handle.ts'
import { LinkStory } from '../src/terminal/link-story.ts'
import { type Ran, type RunOptions, runCli } from './cli-runner.ts'
import { FakeNetwork, FakePeer, fakeHost } from './fake-peer.ts'
import { connectivity, otherRelayText, relayEntry, relayText, serving } from './fake-reach.ts'

let folder: string
let network: FakeNetwork
let host: PeerHost
let bob: FakePeer

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'miaou-reach-'))
  network = new FakeNetwork()
  host = fakeHost(network)
  bob = new FakePeer(network, '/bob', 'Bob')
  await miaou('id', '--no-passphrase', '--name', 'Alice')
  alice().makeContact(bob, 'contact')
})

afterEach(() => rmSync(folder, { recursive: true, force: true }))

function miaou(...argv: string[]): Promise<Ran> {
  return run(argv)
}

function run(argv: readonly string[], options: RunOptions = {}): Promise<Ran> {
  return runCli(host, ['--home', join(folder, 'alice'), ...argv], options)
}

function alice(): FakePeer {
  const found = [...network.peers.values()].find(({ name }) => name !== 'Bob')
  if (found === undefined) throw new Error('no Alice')
  return found
}

/** The objects of a command, each held to its shape. */
async function objects(name: string, ...argv: string[]): Promise<unknown[]> {
  const all = (await miaou('--json', ...argv)).objects()
  for (const object of all) expect(jsonShapes[name]?.parse(object)).toEqual(object)
  return all
}

async function failure(...argv: string[]): Promise<{ code: string; exit: number; message: string; hint: string }> {
  const ran = await miaou('--json', ...argv)
  const error = JSON.parse(ran.stderr)
  expect(jsonErrorShape.parse(error)).toEqual(error)
  return { ...error.error, exit: ran.code }
}

describe('[CLI24] relays', () => {
  test('add keeps one, list shows how it stands, remove takes the address or its first 22 characters', async () => {
    expect((await miaou('relay', 'list')).stdout).toMatch(/^No relay is known\. Add one/)
    expect(await objects('relay add', 'relay', 'add', relayText)).toMatchObject([
      { relay: relayText, source: 'added', state: 'reserved', address: expect.stringMatching(/^circuit:/) },
    ])
    alice().reach.entries.push(
      relayEntry(`${'B'.repeat(21)}A@ws://192.0.2.5:9999`, { state: 'refused', error: 'too many \u001b[31mpeers' }),
    )
    const listed = await miaou('relay-list')
    expect(listed.stdout).toMatch(/● +A{22}@wss:\/\/relay\.example\.org +in use +21 ms +added/)
    expect(listed.stdout).toMatch(/✗ +B{21}A@\S+ +does not take us: too many ‹1B›\[31mpeers/)
    expect(await objects('relay list', 'relay', 'list')).toHaveLength(2)
    expect(await objects('relay remove', 'relay', 'remove', relayText.slice(0, 22))).toHaveLength(1)
    expect((await miaou('relay', 'add', relayText)).stdout).toMatch(/^Kept\./)
    expect((await miaou('relay-remove', relayText)).stdout).toBe('Used no longer.\n')
  })

  test('an address that begins with a hyphen is no option, as a word and as a value', async () => {
    expect(await objects('relay add', 'relay', 'add', otherRelayText)).toMatchObject([{ relay: otherRelayText }])
    expect((await miaou('up', '--duration', '0', '--relay', otherRelayText)).code).toBe(exitCodes.usage)
    expect((await miaou('net', 'start', '--duration', '0', '--relay', otherRelayText)).code).toBe(exitCodes.ok)
    expect(alice().startedWith?.relays).toEqual([relayEntry(otherRelayText).relay])
  })

  test('errors say what to do', async () => {
    alice().reach.entries = [relayEntry(relayText)]
    expect(await failure('relay', 'add', 'wss://relay.example.org')).toMatchObject({
      code: 'bad-relay',
      exit: exitCodes.usage,
      hint: expect.stringMatching(/miaou relay info/),
    })
    expect(await failure('relay', 'remove', relayText)).toMatchObject({ code: 'configured-relay' })
    expect(await failure('relay', 'remove', 'nonsense')).toMatchObject({
      code: 'unknown-relay',
      exit: exitCodes.notFound,
    })
    alice().reach.addedMax = 0
    expect(await failure('relay', 'add', relayText)).toMatchObject({ code: 'too-many' })
  })

  test('list waits for one that has not answered yet, and no longer than asked', async () => {
    alice().reach.entries = [relayEntry(relayText, { state: 'connecting' })]
    expect((await miaou('relay', 'list', '--wait', '0')).stdout).toMatch(/○ .*connecting …/)
    const running = objects('relay list', 'relay', 'list')
    alice().reach.entries = [relayEntry(relayText)]
    expect(await running).toMatchObject([{ state: 'reserved' }])
  })

  test('info: the address to hand out, the counters; the home alone answers where nothing is served', async () => {
    expect((await miaou('relay', 'info')).stdout).toMatch(/^This Miaou is no relay\. To be one: miaou up --serve relay/)
    expect(await objects('relay info', 'relay', 'info')).toEqual([{}])
    alice().reach.changes = { serving: serving() }
    const shown = await miaou('relay-info')
    expect(shown.stdout).toMatch(/Address +A{22}@wss:\/\/relay\.example\.org\n/)
    expect(shown.stdout).toMatch(
      /Peers +2 of 1000\nCircuits +1 of 4000\nCarried today +1,234,567 bytes of 10,000,000,000/,
    )
    expect(shown.stdout).toMatch(/STUN +UDP port 3478/)
    expect(shown.stdout).toMatch(/circuits-opened +3/)
    expect(shown.stdout).not.toMatch(/quota-spent/)
    expect(shown.stderr).toMatch(/They type: miaou relay add A{22}@wss:\/\/relay\.example\.org/)
    expect(await objects('relay info', 'relay', 'info')).toMatchObject([{ relay: { address: relayText } }])
  })

  test.each([
    ['ws://192.168.1.7:9999', true],
    ['ws://10.0.0.1:9999', true],
    ['ws://172.20.0.1:9999', true],
    ['ws://127.0.0.1:9999', true],
    ['ws://[fd00::1]:9999', true],
    ['ws://172.32.0.1:9999', false],
    ['ws://203.0.113.7:9999', false],
    ['wss://localhost.example.org', false],
    ['ws://[2001:db8::1]:9999', false],
  ])('info: whether %s is one of this network only: %s', async (url, isPrivate) => {
    alice().reach.changes = { serving: serving(`${'A'.repeat(22)}@${url}`) }
    expect((await miaou('relay', 'info')).stderr.includes('--public-url')).toBe(isPrivate)
  })
})

describe('[CLI22] options of a run', () => {
  test('what is given reaches the host', async () => {
    const argv = ['--relay', relayText, '--relay', otherRelayText, '--stun-port', '0', '--no-port-mapping']
    expect((await miaou('net', 'start', '--duration', '0', ...argv, '--relay-only')).code).toBe(0)
    expect(alice().startedWith).toMatchObject({
      relays: [relayEntry(relayText).relay, relayEntry(otherRelayText).relay],
      stunPort: 0,
      portMapping: false,
      relayOnly: true,
    })
    const serve = ['--serve', 'relay', '--public-url', 'wss://relay.example.org', '--tls-cert', '/c', '--tls-key', '/k']
    expect((await miaou('net', 'start', '--duration', '0', ...serve)).code).toBe(0)
    expect(alice().startedWith).toMatchObject({
      serve: { relay: {} },
      publicUrl: 'wss://relay.example.org',
      tls: { cert: '/c', key: '/k' },
    })
    expect(alice().startedWith).not.toHaveProperty('portMapping')
    expect((await miaou('net', 'start', '--duration', '0', '--serve', 'relay', '--behind-proxy')).code).toBe(0)
    expect(alice().startedWith).toMatchObject({ behindProxy: true })
  })

  test.each([
    [['--serve', 'relay,directory'], 'not-served-yet'],
    [['--serve', 'reley'], 'cannot-serve'],
    [['--serve', 'relay,'], 'cannot-serve'],
    [['--public-url', 'https://relay.example.org'], 'bad-public-url'],
    [['--public-url', 'wss://relay.example.org/'], 'bad-public-url'],
    [['--relay', 'wss://relay.example.org'], 'bad-relay'],
    [['--mailbox', 'wss://mail.example.org'], 'bad-mailbox'],
    [['--relay-only', '--serve', 'mailbox'], 'options-conflict'],
    [['--tls-cert', 'cert.pem'], 'tls-needs-both'],
    [['--tls-key', 'key.pem'], 'tls-needs-both'],
    [['--relay-only', '--serve', 'relay'], 'options-conflict'],
    [['--relay-only', '--public-url', 'wss://relay.example.org'], 'options-conflict'],
    [['--behind-proxy', '--tls-cert', 'c', '--tls-key', 'k'], 'options-conflict'],
  ])('%j is %s, in both languages', async (argv, code) => {
    for (const command of [['up'], ['net', 'start', '--duration', '0'], ['start']]) {
      expect(await failure(...command, ...argv)).toMatchObject({ code, exit: exitCodes.usage })
    }
    expect((await miaou('--lang', 'fr', 'up', ...argv)).stderr).toMatch(/^Pas fait\./)
    expect(alice().isRunning).toBe(false)
  })

  test('[CLI23] up: what the router does, the relays, and the address to hand out', async () => {
    alice().reach.entries = [relayEntry(relayText)]
    alice().reach.changes = { natType: 'full-cone', serving: serving(), publicUrl: 'wss://relay.example.org' }
    const ran = await miaou('net', 'start', '--duration', '0')
    expect(ran.stdout).toMatch(/Way to others +full cone: direct connections work with nearly everybody\n/)
    expect(ran.stdout).toMatch(/Relays +● +A{22}@wss/)
    expect(ran.stdout).toMatch(/Relay for others +A{22}@wss:\/\/relay\.example\.org\n/)
    expect(ran.stdout).toMatch(/Public address +wss:\/\/relay\.example\.org\n/)
    expect(ran.stderr).toMatch(/Give your friends this address/)
    const [ready] = await objects('net start', 'net', 'start', '--duration', '0')
    expect(ready).toMatchObject({ type: 'ready', relay: relayText, natType: 'full-cone', relayOnly: false })
  })

  test('[CLI23] up: tells when a relay begins and ceases to carry us, and what the router turns out to do', async () => {
    alice().reach.entries = [relayEntry(relayText, { state: 'connecting' })]
    let output = () => ''
    let interrupt: () => void = () => undefined
    const running = run(['up'], {
      onStart: (stop, read) => {
        interrupt = stop
        output = read
      },
    })
    await expect.poll(output).toMatch(/connecting …/)
    alice().reach.entries = [relayEntry(relayText)]
    await expect.poll(output, { timeout: 10_000 }).toMatch(/Others reach you through the relay A{22}@/)
    alice().reach.changes = { natType: 'full-cone' }
    alice().reach.entries = [relayEntry(relayText, { state: 'unreachable', error: 'connection refused' })]
    await expect.poll(output, { timeout: 10_000 }).toMatch(/no longer carries you: connection refused/)
    expect(output()).toMatch(/ {2}Way to others: full cone: /)
    interrupt()
    expect((await running).code).toBe(0)
  })
})

describe('net info (row I15)', () => {
  test('NAT type, mapping, relays, relay only', async () => {
    alice().reach.entries = [relayEntry(relayText), relayEntry(otherRelayText, { source: 'added', circuits: 2 })]
    alice().reach.changes = {
      natType: 'symmetric',
      portMapping: { state: 'mapped', external: '198.51.100.4:9999', protocol: 'nat-pmp' },
    }
    const shown = await miaou('net', 'info')
    expect(shown.stdout).toMatch(/NAT +symmetric: direct connections work with some people, relays with all\n/)
    expect(shown.stdout).toMatch(/Router +lets others in at 198\.51\.100\.4:9999 \(nat-pmp\)\n/)
    expect(shown.stdout).toMatch(/Relays +● {2}A{22}.*\n +● {2}-B{20}A@.* 2 conversations +added\n/)
    alice().reach.changes = { relayOnly: true }
    expect((await miaou('net', 'info')).stdout).toMatch(/Address shown +to nobody: everything goes through relays\n/)
  })

  test.each(['none', 'full-cone', 'restricted-cone', 'port-restricted', 'symmetric', 'blocked', 'unknown'] as const)(
    '[D13] %s has words in both languages',
    async (natType) => {
      alice().reach.changes = { natType }
      expect(await objects('net info', 'net', 'info')).toMatchObject([{ natType }])
      for (const language of ['en', 'fr']) {
        expect((await miaou('--lang', language, 'net', 'info')).stdout).toMatch(/\nNAT +\p{L}/u)
      }
    },
  )

  test.each(['off', 'searching', 'none', 'failed'] as const)('mapping %s has words', async (state) => {
    alice().reach.changes = { portMapping: { state, error: 'not authorised' } }
    expect((await miaou('net', 'info')).stdout).toMatch(/\nRouter +\w/)
  })
})

describe('net ping', () => {
  test('[CLI25] the path, and min, median, max and loss over all', async () => {
    alice().linkChanges = { transport: 'circuit', path: { kind: 'relayed', via: 'wss://relay.example.org' } }
    alice().lostPings = 1
    const shown = await miaou('net', 'ping', 'Bob', '-c', '4', '--timeout', '2')
    expect(shown.code).toBe(0)
    expect(shown.stdout).toMatch(/did not answer within 2 s\n/)
    expect(shown.stdout.match(/answered in 1\.5 ms/g)).toHaveLength(3)
    expect(shown.stdout).toMatch(/: through relay wss:\/\/relay\.example\.org\n/)
    expect(shown.stdout).toMatch(/4 sent, 3 answered, 25 % lost; round trip 1\.5\/1\.5\/1\.5 ms \(min\/median\/max\)\n/)
    alice().lostPings = 1
    expect(await objects('net ping', 'net', 'ping', 'Bob', '-c', '2')).toMatchObject([
      { lost: true, sent: 1, received: 0 },
      { latencyMs: 1.5, sent: 2, received: 1, path: { kind: 'relayed' } },
    ])
  })

  test('all lost is an error', async () => {
    alice().lostPings = 3
    const ran = await miaou('--json', 'net', 'ping', 'Bob', '-c', '3')
    expect(ran.code).toBe(exitCodes.unreachable)
    expect(JSON.parse(ran.stderr).error.code).toBe('silent')
  })

  test('[API15] the median of an even number is between the two in the middle', () => {
    const of = (...times: number[]) => summarise(times.map((latencyMs) => ({ latencyMs })))?.medianMs
    expect([of(3), of(1, 2), of(9, 1, 2), of(4, 1, 2, 9)]).toEqual([3, 1.5, 2, 3])
    expect(summarise([{}, {}])).toBeUndefined()
  })
})

describe('net connect', () => {
  test('a link that stands over anything: nothing is said to be offered, no time is told', async () => {
    for (const transport of ['webrtc', 'circuit', 'websocket'] as const) {
      alice().linkChanges = { transport }
      const ran = await miaou('net', 'connect', bob.peerId)
      expect(ran.stdout).not.toMatch(/offer made|answer received| 0 ms|No WebRTC/i)
      expect(ran.stdout).toMatch(new RegExp(`Linked already.*\\nConnected before, over ${transport}`))
      expect(await objects('net connect', 'net', 'connect', bob.peerId)).toMatchObject([
        { step: 'search' },
        { step: 'mdns' },
        { step: 'addresses' },
        { step: 'standing' },
        { step: 'connected', transport },
        { step: 'ping' },
      ])
    }
  })

  test('the path is told where it is known', async () => {
    alice().linkChanges = { path: { kind: 'lan' } }
    expect((await miaou('net', 'connect', bob.peerId)).stdout).toMatch(
      /Connected before, over memory \(straight, this network\)/,
    )
  })
})

test('[CLI25] list-peers says how each link goes', async () => {
  for (const [changes, words] of [
    [{ transport: 'webrtc', path: { kind: 'lan' } }, 'straight, this network'],
    [{ transport: 'webrtc', path: { kind: 'direct' } }, 'straight'],
    [{ transport: 'webrtc', path: { kind: 'relayed', via: 'turn:192.0.2.1' } }, 'through TURN turn:192.0.2.1'],
    [{ transport: 'circuit', path: { kind: 'relayed', via: 'wss://r' } }, 'through relay wss://r'],
    [{ transport: 'websocket' }, 'straight, open port'],
    [{ state: 'idle' }, '-'],
  ] as const) {
    alice().linkChanges = changes
    expect((await miaou('net', 'list-peers')).stdout).toContain(`${bob.peerId}  ${words}\n`)
  }
})

describe('[CLI26] net diagnostics (rows D11, I16)', () => {
  test('STUN, TURN and DNS with ms, the router, the candidates, bandwidth in Mbit/s', async () => {
    alice().reach.entries = [relayEntry(relayText)]
    alice().reach.connectivity = connectivity
    alice().reach.speed = ok({ latencyMs: 20, downBytesPerSecond: 1_250_000, upBytesPerSecond: 500_000 })
    const ran = await miaou('net', 'diagnostics')
    for (const line of [
      /✓ +dns +works +4 ms +stun\.example\.org is 192\.0\.2\.1\n/,
      /✗ +dns +does not work +9 ms +no address behind turn\.example\.org: not found\n/,
      /✓ +stun +works +21 ms +stun:stun\.example\.org:3478 sees this machine as 198\.51\.100\.4:4000\n/,
      /✗ +stun +does not work +stun:192\.0\.2\.9:3478 does not answer/,
      /✓ +turn +works +45 ms /,
      /! +nat +could be better +symmetric\n/,
      /\n {4}Your router gives each destination another port \(symmetric\)\..*through a relay, encrypted\.\n/,
      /Best way to others: a relay\n/,
      /host +192\.168\.1\.7:50000 +2130706431 +1\n +server-reflexive +198\.51\.100\.4:4000 +1694498815 +2\n/,
      /✓ +relay +works +21 ms +others reach you through A{22}@/,
      /✓ +clock +works +differs by 12 ms/,
      /✓ +bandwidth +works +20 ms +10 Mbit\/s down, 4 Mbit\/s up/,
      /✓ +path +works .*\S+…\S+: linked; how it goes is not known/,
      /What to do\n/,
      /To do better: switch on UPnP or NAT-PMP/,
    ]) {
      expect(ran.stdout).toMatch(line)
    }
    expect(ran.code).toBe(exitCodes.error)
    const checks = await objects('net diagnostics', 'net', 'diagnostics')
    expect(checks).toContainEqual(
      expect.objectContaining({
        name: 'nat',
        code: 'nat-symmetric',
        advice: expect.stringMatching(/^To do better/),
        connectivity: expect.objectContaining({ natType: 'symmetric', optimalTransport: 'relay' }),
      }),
    )
    expect(checks).toContainEqual(
      expect.objectContaining({ bandwidth: { relay: relayText, latencyMs: 20, downMbps: 10, upMbps: 4 } }),
    )
  })

  test('in French, without a word of English from us', async () => {
    alice().reach.connectivity = connectivity
    const { stdout } = await miaou('--lang', 'fr', 'net', 'diagnostics')
    expect(stdout).toMatch(/Ton routeur donne à chaque destination un autre port \(symétrique\)/)
    expect(stdout).toMatch(/\nQue faire\n/)
    expect(stdout).not.toMatch(/\b(your|through|answer|differs)\b/)
  })

  test('nothing configured is no failure, and says what to do', async () => {
    const ran = await miaou('net', 'diagnostics')
    expect(ran.code).toBe(0)
    for (const name of ['dns', 'stun', 'turn', 'nat', 'relay', 'bandwidth']) {
      expect(ran.stdout).toMatch(new RegExp(`– +${name} +not set up`))
    }
    expect(ran.stdout).toMatch(/there is no server to ask/)
    expect(ran.stdout).toMatch(/docs\/relay\.md/)
  })

  test('what the host says without a code is shown as it is', async () => {
    expect(await objects('net diagnostics', 'net', 'diagnostics')).toContainEqual(
      expect.objectContaining({ name: 'clock', code: 'noted', detail: 'as the host says it' }),
    )
  })

  test('relays that fail, a clock that is off, relay only with nobody to carry', async () => {
    alice().reach.entries = [
      relayEntry(relayText, { state: 'unreachable', error: 'refused', clockOffsetMs: -90_000 }),
      relayEntry(otherRelayText, { state: 'refused', error: 'quota' }),
    ]
    alice().reach.changes = { relayOnly: true, serving: serving() }
    const ran = await miaou('net', 'diagnostics')
    expect(ran.code).toBe(exitCodes.error)
    expect(ran.stdout).toMatch(/✗ +relay .*does not answer: refused\n/)
    expect(ran.stdout).toMatch(/✗ +relay .*does not take us: quota\n/)
    expect(ran.stdout).toMatch(/✗ +relay .*relay only\): nobody can reach it\n/)
    expect(ran.stdout).toMatch(/! +clock .*differs by -90,000 ms .*one of the two is wrong\n/)
    expect(ran.stdout).toMatch(/✓ +serving .*carries 2 peers, 1 circuits\n/)
  })

  test('a relayed peer: why it is not a better path', async () => {
    alice().reach.changes = { natType: 'symmetric' }
    alice().linkChanges = {
      transport: 'circuit',
      path: { kind: 'relayed', via: 'wss://r' },
      whyNotBetter: { failures: 3, error: { type: 'unreachable', detail: 'no pair works' } },
    }
    const ran = await miaou('net', 'diagnostics', 'Bob')
    expect(ran.code).toBe(0)
    expect(ran.stdout).toMatch(/! +path .*\S+…\S+: through the relay wss:\/\/r, encrypted end to end\n/)
    expect(ran.stdout).toMatch(/3 attempts failed\.\n/)
    expect(ran.stdout).toMatch(/one of you can switch on UPnP/)
    alice().reach.changes = {}
    const checks = await objects('net diagnostics', 'net', 'diagnostics', 'Bob')
    expect(checks.filter((check) => Object(check).name === 'path')).toMatchObject([
      {
        peerId: bob.peerId,
        code: 'path-relay',
        why: { code: 'why-failed', facts: { count: 3 }, error: { type: 'unreachable' } },
      },
    ])
    expect((await miaou('--lang', 'fr', 'net', 'diagnostics', 'Bob')).stdout).toMatch(
      /3 essais de connexion directe ont échoué\. L’autre côté est injoignable/,
    )
  })

  test('a peer that cannot be linked is a failure with its reason', async () => {
    bob.isRunning = false
    const ran = await miaou('net', 'diagnostics', bob.peerId)
    expect(ran.code).toBe(exitCodes.error)
    expect(ran.stdout).toMatch(/✗ +path .*: not linked\n +No way to this peer is known\.\n/)
    const unknown = await miaou('net', 'diagnostics', 'Nobody')
    expect(unknown.code).toBe(exitCodes.notFound)
  })
})

describe('why a path is what it is', () => {
  const view: PeerView = {
    peerId: keyToPeerId(new Uint8Array(32).fill(1)),
    state: 'connected',
    transport: 'circuit',
    addresses: [],
    features: [],
    stats: { bytesSent: 0, bytesReceived: 0, messagesSent: 0, messagesReceived: 0, currentState: 'connected' },
    seenBy: 'contact',
    shouldInitiate: true,
    path: { kind: 'relayed', via: 'wss://r' },
    whyNotBetter: { failures: 2, error: { type: 'silent', forMs: 1 } },
  }
  const surroundings = { natType: 'unknown', relayOnly: false, name: 'Bob' } as const

  test.each([
    [{}, {}, 'path-relay', 'why-failed', 'warning'],
    [{}, { natType: 'symmetric' }, 'path-relay', 'why-own-symmetric', 'warning'],
    [{}, { natType: 'port-restricted' }, 'path-relay', 'why-both-nats', 'warning'],
    [{}, { natType: 'blocked' }, 'path-relay', 'why-own-blocked', 'warning'],
    [{}, { relayOnly: true }, 'path-relay', 'why-relay-only', 'ok'],
    [{ isSuspect: true }, {}, 'path-relay', 'why-suspect', 'warning'],
    [{ whyNotBetter: { failures: 0 } }, { natType: 'symmetric' }, 'path-relay', 'why-trying', 'warning'],
    [{ transport: 'webrtc' }, {}, 'path-turn', 'why-failed', 'warning'],
    [{ transport: 'webrtc', path: { kind: 'direct' } }, {}, 'path-direct', undefined, 'ok'],
    [{ transport: 'webrtc', path: { kind: 'lan' }, isSuspect: true }, {}, 'path-lan', 'why-suspect', 'ok'],
    [{ state: 'waiting', error: { type: 'silent', forMs: 9 } }, {}, 'path-none', 'why-unreachable', 'failed'],
    [{ state: 'idle' }, {}, 'path-none', 'why-no-address', 'failed'],
  ] as const)('%j with %j: %s, %s', (changes, around, code, why, state) => {
    const reason = explainPath({ ...view, ...changes }, { ...surroundings, ...around })
    expect([reason.code, reason.why?.code, reason.state]).toEqual([code, why, state])
  })
})

describe('[CLI25] the story of links', () => {
  const text = createText('en')
  const peerId = keyToPeerId(new Uint8Array(32).fill(1))
  type Established = Extract<MiaouEvent['event'], { readonly type: 'connection-established' }>
  const established = (transport: Established['transport']): Established => ({
    type: 'connection-established',
    connectionId: 'c',
    peerId,
    transport,
    setupMs: 3,
  })
  const look = (story: LinkStory, transport: PeerView['transport'], path: NonNullable<PeerView['path']>) =>
    story.look([
      {
        peerId,
        state: 'connected',
        ...(transport === undefined ? {} : { transport }),
        path,
        addresses: [],
        features: [],
        stats: { bytesSent: 0, bytesReceived: 0, messagesSent: 0, messagesReceived: 0, currentState: 'connected' },
        seenBy: 'contact',
        shouldInitiate: true,
      },
    ])

  test('relayed first, then straight; lost, and relayed again with the reason', () => {
    const story = new LinkStory()
    look(story, 'circuit', { kind: 'relayed', via: 'wss://r' })
    expect(story.established(text, established('circuit'), 1, 'Bob')).toEqual({ note: ' (through relay wss://r)' })
    look(story, 'webrtc', { kind: 'direct' })
    expect(story.established(text, established('webrtc'), 2, 'Bob')).toEqual({ note: ' (now straight)' })
    const closed = { type: 'connection-closed', connectionId: 'c', peerId } as const
    // A link that is not the one in use ends without a word.
    story.closed({ ...closed, transport: 'circuit', reason: 'pipe-lost' }, 3)
    story.closed({ ...closed, transport: 'webrtc', reason: 'silent' }, 4)
    look(story, 'circuit', { kind: 'relayed', via: 'wss://r' })
    expect(story.established(text, established('circuit'), 5, 'Bob')).toEqual({
      sentence: 'With Bob now through relay wss://r: no answer any more',
    })
  })

  test('superseded before it was given up: it had stopped answering; long after a loss it is a new link', () => {
    const story = new LinkStory()
    look(story, 'webrtc', { kind: 'lan' })
    expect(story.established(text, established('webrtc'), 1, 'Bob')).toEqual({ note: ' (straight, this network)' })
    look(story, 'circuit', { kind: 'relayed', via: 'wss://r' })
    expect(story.established(text, established('circuit'), 2, 'Bob')).toMatchObject({
      sentence: expect.stringMatching(/no answer any more$/),
    })
    const later = new LinkStory()
    later.established(text, established('webrtc'), 1, 'Bob')
    later.closed({ type: 'connection-closed', connectionId: 'c', peerId, transport: 'webrtc', reason: 'bye' }, 2)
    expect(later.established(text, established('circuit'), 100_000, 'Bob')).toMatchObject({
      note: ' (through relay ?)',
    })
  })

  test('an attempt that fails beside a link is told once, and not as if there was none', () => {
    const story = new LinkStory()
    expect([story.failed(undefined), story.failed(peerId)]).toEqual(['unlinked', 'unlinked'])
    story.established(text, established('circuit'), 1, 'Bob')
    expect([story.failed(peerId), story.failed(peerId)]).toEqual(['not-better', 'known'])
    story.closed({ type: 'connection-closed', connectionId: 'c', peerId, transport: 'circuit', reason: 'silent' }, 2)
    expect(story.failed(peerId)).toBe('unlinked')
  })

  test('the last thousand peers are remembered, no more', () => {
    const story = new LinkStory()
    const ids = Array.from({ length: 1_001 }, (_, i) => {
      const key = new Uint8Array(32)
      new DataView(key.buffer).setUint32(0, i)
      return keyToPeerId(key)
    })
    for (const id of ids) story.established(text, { ...established('webrtc'), peerId: id }, 1, 'x')
    const tell = (id = '') => story.established(text, { ...established('circuit'), peerId: id }, 2, 'x')
    expect(tell(ids[1_000])).toHaveProperty('sentence')
    expect(tell(ids[0])).toHaveProperty('note')
  })
})
