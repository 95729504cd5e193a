import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { OverlayInfo } from '@miaou/sdk'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { toSpaced } from '../src/command-names.ts'
import { exitCodes } from '../src/exit-code.ts'
import { jsonErrorShape, jsonShapes } from '../src/json-shapes.ts'
import type { PeerHost } from '../src/peer-handle.ts'
import { type Ran, type RunOptions, runCli } from './cli-runner.ts'
import { FakeNetwork, FakePeer, fakeHost } from './fake-peer.ts'

// Rows I07, I08, E27: the commands of the overlay over an overlay in memory. Real nodes meet in e2e/test/overlay.test.ts.

/** SHA-256 of "Hello", and an Ed25519 public key (RFC 8032 §7.1, TEST 1). */
const helloKey = '185f8db32271fe25f561a6fc938b2e264306ec304eda518007d1764826381969'
const publicKey = 'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a'

let folder: string
let network: FakeNetwork
let host: PeerHost
let bob: FakePeer

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'miaou-dht-'))
  network = new FakeNetwork()
  host = fakeHost(network)
  bob = new FakePeer(network, '/bob', 'Bob')
  await miaou('id', '--no-passphrase', '--name', 'Alice')
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

/** A node as others name it. */
async function nodeName(): Promise<string> {
  const [info] = (await miaou('--json', 'dht', 'info')).objects() as OverlayInfo[]
  return info?.nodes[0] ?? ''
}

describe('--json: every command prints its shape', () => {
  const cases: readonly (readonly [name: string, argv: readonly string[]])[] = [
    ['dht put', ['dht-put', 'Hello']],
    ['dht put', ['dht', 'put', 'signing', publicKey]],
    ['dht put', ['dht', 'put', '--salt', 'status', 'Away until Monday']],
    ['dht get', ['dht-get', helloKey]],
    ['dht get', ['dht', 'get', '{peer}', 'signing']],
    ['dht get', ['dht', 'get', '{peer}', '--salt', 'status']],
    ['dht info', ['dht-info']],
    ['dht find', ['dht', 'find', helloKey]],
    ['dht find', ['dht', 'find', '{peer}']],
    ['dht ping', ['dht', 'ping', '{node}', '-c', '2']],
    ['dht bootstrap', ['dht', 'bootstrap', '{node}']],
  ]

  test.each(cases)('%s: %j', async (name, argv) => {
    await bob.overlay.putValue(new TextEncoder().encode('Hello'))
    for (const salt of ['signing', 'status']) {
      await bob.overlay.putSigned(new TextEncoder().encode(salt), new TextEncoder().encode('x'.repeat(32)))
    }
    const node = await nodeName()
    const filled = argv.map((word) => word.replace('{peer}', bob.peerId).replace('{node}', node))
    const ran = await miaou('--json', ...filled)
    expect(ran.stderr).toBe('')
    expect(ran.code).toBe(exitCodes.ok)
    expect(ran.objects().length).toBeGreaterThan(0)
    for (const object of ran.objects()) expect(jsonShapes[name]?.parse(object)).toEqual(object)
  })

  test('no shape of the overlay is left without a command that shows it', () => {
    const shown = new Set(cases.map(([name]) => name))
    expect(Object.keys(jsonShapes).filter((name) => name.startsWith('dht ') && !shown.has(name))).toEqual([])
  })

  test.each([
    [['dht', 'put', ''], 'empty-value', exitCodes.usage],
    [['dht', 'put', 'x'.repeat(998)], 'record-too-large', exitCodes.error],
    [['dht', 'put', '--salt', 's'.repeat(65), 'x'], 'salt-too-long', exitCodes.error],
    [['dht', 'put'], 'bad-request', exitCodes.usage],
    [['dht', 'put', 'two', 'words'], 'bad-request', exitCodes.usage],
    [['dht', 'put', 'signing'], 'bad-request', exitCodes.usage],
    [['dht', 'put', 'signing', 'no-such-key'], 'bad-request', exitCodes.usage],
    [['dht', 'put', 'signing', '00'.repeat(32)], 'bad-public-key', exitCodes.usage],
    [['dht', 'get', '00'.repeat(32)], 'not-found', exitCodes.notFound],
    [['dht', 'get', 'Nobody', 'signing'], 'unknown-peer', exitCodes.notFound],
    [['dht', 'get', 'Nobody'], 'bad-request', exitCodes.usage],
    [['dht', 'get', 'Nobody', 'status'], 'bad-request', exitCodes.usage],
    [['dht', 'get', '00'.repeat(32), 'signing'], 'bad-request', exitCodes.usage],
    [['dht', 'find', 'Nobody'], 'unknown-peer', exitCodes.notFound],
    [['dht', 'ping', 'not-a-node'], 'bad-node', exitCodes.usage],
    [['dht', 'bootstrap', 'not-a-node'], 'bad-node', exitCodes.usage],
    [['up', '--bootstrap', 'not-a-node'], 'bad-node', exitCodes.usage],
    [['dht', 'ping', `${'A'.repeat(43)}@127.0.0.1:9`], 'node-silent', exitCodes.unreachable],
    [['dht', 'ping', `${'A'.repeat(43)}@${'E'.repeat(43)}@203.0.113.5:9`], 'unknown-client', exitCodes.unreachable],
    [['dht', 'bootstrap', `${'A'.repeat(43)}@127.0.0.1:9`], 'bootstrap-failed', exitCodes.unreachable],
  ])('errors: %j gives %s', async (argv, code, exitCode) => {
    const ran = await miaou('--json', ...argv)
    expect(ran.stdout).toBe('')
    const error = JSON.parse(ran.stderr)
    expect(jsonErrorShape.parse(error)).toEqual(error)
    expect([error.error.code, ran.code]).toEqual([code, exitCode])
  })
})

test('D16: a node behind a router, in words', async () => {
  const node = `${'A'.repeat(43)}@${'E'.repeat(43)}@203.0.113.5:4000`
  const server = { publicKey: new Uint8Array(32).fill(7), endpoint: { host: '203.0.113.5', port: 4000 } }
  alice().overlay.servers = [server]
  const info = await miaou('dht', 'info')
  expect(info.stdout).toMatch(
    /\nBehind a router it is reached as .*\n {2}[\w-]{43}@BwcH[\w-]{39}@203\.0\.113\.5:4000\n/,
  )
  const punched = { endpoint: { host: '198.51.100.7', port: 9 }, ms: 80, observed: undefined }
  alice().overlay.punch = async () => ({ ok: true, value: punched })
  const reached = await miaou('dht', 'ping', node)
  expect(reached.stdout).toBe('AAAAAAAA… was reached through its router at 198.51.100.7:9 in 80 ms\n')
  const inFrench = await miaou('--lang', 'fr', 'dht', 'ping', node)
  expect(inFrench.stdout).toBe('AAAAAAAA… a été joint à travers son routeur à 198.51.100.7:9 en 80 ms\n')
})

describe('put and get', () => {
  test('a value goes under its hash, in both languages', async () => {
    const put = await miaou('dht', 'put', 'Hello')
    expect(put.stdout).toMatch(
      new RegExp(`^Key +${helloKey}\nCopies +at 2 nodes so far\nTook +3 requests, 2\\.5 ms\n$`),
    )
    expect(put.stderr).toMatch(/Whoever has the key can read it.*\n.*To keep it: miaou up\.\n$/)
    const got = await miaou('dht', 'get', helloKey)
    expect([got.code, got.stdout, got.stderr]).toEqual([0, 'Hello\n', 'Found with 3 requests, 2.5 ms.\n'])
    const french = await miaou('--lang', 'fr', 'dht', 'put', 'Hello')
    expect(french.stdout).toMatch(/^Clé +185f8db3/)
    expect((await miaou('--lang', 'fr', 'dht', 'get', helloKey)).stderr).toBe('Trouvé avec 3 requêtes, 2,5 ms.\n')
  })

  test('from a file and from the input, the bytes as they are', async () => {
    const file = join(folder, 'value')
    writeFileSync(file, 'Hello')
    expect((await miaou('--json', 'dht', 'put', '--file', file)).objects()).toMatchObject([{ key: helloKey }])
    for (const argv of [
      ['dht', 'put', '-'],
      ['dht', 'put', '--file', '-'],
    ]) {
      const ran = await run(['--json', ...argv], { stdin: 'Hello' })
      expect(ran.objects()).toMatchObject([{ key: helloKey }])
    }
    // What never ends is not waited for.
    expect(await miaou('--json', 'dht', 'put', '--file', '/dev/zero')).toMatchObject({
      code: exitCodes.error,
      stderr: expect.stringContaining('record-too-large'),
    })
    const missing = await miaou('dht', 'put', '--file', join(folder, 'none'))
    expect([missing.code, missing.stdout]).toEqual([exitCodes.usage, ''])
  })

  test('what a stranger stored cannot drive the terminal; --raw and --out give its bytes', async () => {
    const hostile = '\u001b]0;owned\u0007ok'
    const put = await bob.overlay.putValue(new TextEncoder().encode(hostile))
    const key = put.ok ? Buffer.from(put.value.key).toString('hex') : ''
    expect((await miaou('dht', 'get', key)).stdout).toBe('‹1B›]0;owned‹07›ok\n')
    expect((await miaou('dht', 'get', key, '--raw')).stdout).toBe(hostile)
    const file = join(folder, 'out')
    const written = await miaou('dht', 'get', key, '--out', file)
    expect(written.stdout).toBe('')
    expect(readFileSync(file, 'utf8')).toBe(hostile)
    expect(statSync(file).mode & 0o777).toBe(0o600)
    // Nothing that exists is overwritten.
    expect((await miaou('dht', 'get', key, '--out', file)).code).toBe(exitCodes.usage)
  })

  test('bytes that are no text are shown in hexadecimal', async () => {
    const put = await bob.overlay.putValue(Uint8Array.of(0xff, 0x00))
    const key = put.ok ? Buffer.from(put.value.key).toString('hex') : ''
    const got = await miaou('dht', 'get', key)
    expect(got.stdout).toBe('ff00\n')
    expect(got.stderr).toMatch(/no text: shown in hexadecimal/)
    expect((await miaou('--json', 'dht', 'get', key)).objects()).toEqual([expect.not.objectContaining({ text: '' })])
  })

  test('signing: published by one, found by the other under its peer id (rows I07, I08)', async () => {
    const put = await miaou('dht-put', 'signing', publicKey)
    expect(put.stdout).toMatch(new RegExp(`\nSigned by +${alice().peerId}\nVersion +7\n`))
    const value = Buffer.from(publicKey, 'hex')
    await bob.overlay.putSigned(new TextEncoder().encode('signing'), value)
    const got = await miaou('dht-get', bob.peerId, 'signing')
    expect(got.stdout).toBe(`${publicKey}\n`)
    expect(got.stderr).toContain(`Signed by ${bob.peerId}, version 7.`)
    // A contact by name is as good as its id.
    alice().makeContact(bob, 'contact')
    expect((await miaou('dht', 'get', 'Bob', 'signing')).stdout).toBe(`${publicKey}\n`)
  })

  test('a node whose key begins with a hyphen is no option', () => {
    const node = `-${'A'.repeat(42)}@127.0.0.1:9`
    expect(toSpaced(['dht-ping', node, '-c', '2'])).toEqual(['dht', 'ping', '-c', '2', '--', node])
    expect(toSpaced(['up', '--bootstrap', node])).toEqual(['up', '--bootstrap', node])
    expect(toSpaced(['dht', 'ping', '--', node])).toEqual(['dht', 'ping', '--', node])
  })
})

describe('dht info', () => {
  test('says who, where, how far, whom and what was dropped, within 80 columns', async () => {
    for (const language of ['en', 'fr']) {
      const { stdout } = await miaou('--lang', language, 'dht', 'info')
      for (const line of stdout.split('\n')) expect([...line].length, line).toBeLessThanOrEqual(80)
    }
    const { stdout } = await miaou('dht', 'info')
    expect(stdout).toContain('joined, 2 other nodes known')
    expect(stdout).toContain(alice().overlay.info().nodeId)
    expect(stdout).toMatch(/\n {2}[\w-]{43}@127\.0\.0\.1:41234\n/)
    expect(stdout).toMatch(/\n {2}255 {2}██ +2 nodes\n/)
    expect(stdout).toMatch(/Counted since the start\n {2}bad-token {2}1\n$/)
  })

  test.each([
    [
      { bootstrap: { type: 'alone' }, contacts: 0 },
      /no other node known yet/,
      /miaou dht bootstrap <key>@<host>:<port>/,
    ],
    [
      { bootstrap: { type: 'failed', asked: 2, unresolved: 1, nextTryInMs: 4_200 }, contacts: 0 },
      /nobody answered/,
      /None of the 3 nodes asked answered. Next try in 5 s/,
    ],
    [{ state: { type: 'off', reason: 'disabled' } }, /switched off/, /"enabled": true/],
    [{ state: { type: 'unavailable', detail: 'bind EACCES' } }, /no UDP socket[\s\S]*bind EACCES/, /^$/],
  ] as const)('the state in words, and what to do: %j', async (changes, state, advice) => {
    alice().overlay.changes = changes
    const ran = await miaou('dht', 'info')
    expect(ran.code).toBe(0)
    expect(ran.stdout).toMatch(state)
    expect(ran.stderr).toMatch(advice)
  })

  test('net info and net diagnostics have a line on the overlay', async () => {
    expect((await miaou('net', 'info')).stdout).toMatch(/\nOverlay +UDP port 41234: joined, 2 other nodes known\n/)
    const check = async () =>
      (await miaou('--json', 'net', 'diagnostics')).objects().find((each) => Object(each).name === 'overlay')
    expect(await check()).toMatchObject({ state: 'ok', detail: 'UDP port 41234, 2 nodes known' })
    alice().overlay.changes = { bootstrap: { type: 'alone' }, contacts: 0 }
    expect(await check()).toMatchObject({ state: 'not-configured' })
    alice().overlay.changes = { bootstrap: { type: 'failed', asked: 2, unresolved: 1, nextTryInMs: 1 }, contacts: 0 }
    expect(await check()).toMatchObject({ state: 'failed', detail: 'UDP port 41234, none of 3 nodes answered' })
    expect((await miaou('net', 'diagnostics')).code).toBe(exitCodes.error)
    alice().overlay.changes = { state: { type: 'off', reason: 'disabled' } }
    expect(await check()).toMatchObject({ state: 'not-configured' })
  })

  test('up shows the port, and tells when the overlay is joined', async () => {
    alice().overlay.changes = { bootstrap: { type: 'alone' }, contacts: 0 }
    const ran = await run(['up'], {
      onStart: (interrupt, output) => {
        const looking = setInterval(() => {
          if (/no other node known yet/.test(output())) alice().overlay.changes = {}
          if (!/Overlay joined: 2 other nodes known/.test(output())) return
          clearInterval(looking)
          interrupt()
        }, 10)
      },
    })
    expect(ran.code).toBe(exitCodes.ok)
    expect(ran.stdout).toMatch(/\nOverlay +UDP port 41234: no other node known yet\n/)
  })
})
