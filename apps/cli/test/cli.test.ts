import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { exitCodes } from '../src/exit-code.ts'
import { jsonErrorShape, jsonShapes } from '../src/json-shapes.ts'
import type { PeerHost } from '../src/peer-handle.ts'
import { type Ran, type RunOptions, runCli } from './cli-runner.ts'
import { FakeNetwork, FakePeer, fakeHost } from './fake-peer.ts'

let folder: string
let network: FakeNetwork
let host: PeerHost
let bob: FakePeer

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'miaou-cli-'))
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

/** Alice's peer, which runs only while a command does. */
function alice(): FakePeer {
  const found = [...network.peers.values()].find(({ name }) => name !== 'Bob')
  if (found === undefined) throw new Error('no Alice')
  return found
}

function knowEachOther(): void {
  alice().makeContact(bob, 'contact')
  bob.makeContact(alice(), 'contact')
}

describe('--json: every command prints its shape, one object a line', () => {
  const nonce = '000000000000000000000001'
  const cases: readonly (readonly [name: string, argv: readonly string[]])[] = [
    ['id', ['id']],
    ['rename', ['rename', 'Alicia']],
    ['invite', ['invite', '--many', '3']],
    ['settings', ['settings']],
    ['settings', ['settings', 'typing', 'off']],
    ['settings', ['settings', 'discoverable', 'contacts']],
    ['settings', ['settings', 'jitterMs', '500']],
    ['settings', ['settings', 'cover', 'low']],
    ['contacts list', ['contacts']],
    ['contacts list', ['contacts', 'list']],
    ['contacts add', ['contacts', 'add', '{invite}', '--as', 'Robert']],
    ['contacts add', ['contacts', 'add', '{peer}']],
    ['contacts add', ['contacts', 'add', '{invite}', '--note', 'Alice from the choir']],
    ['contacts accept', ['contacts', 'accept', 'Bob']],
    ['contacts block', ['contacts', 'block', 'Bob']],
    ['contacts unblock', ['contacts', 'unblock', 'Bob']],
    ['contacts rename', ['contacts', 'rename', 'Bob', 'Robert']],
    ['contacts verify', ['contacts', 'verify', 'Bob']],
    ['contacts verify', ['contacts', 'verify', 'Bob', '--yes']],
    ['contacts verify', ['contacts', 'verify', 'Bob', '--undo']],
    ['contacts remove', ['contacts', 'remove', 'Bob']],
    ['send', ['send', 'Bob', 'hello', 'there']],
    ['send', ['send', '-t', 'Bob', '-m', 'hello']],
    ['recv', ['recv', '--wait', '0']],
    ['history', ['history', 'Bob', '-l', '5']],
    ['search', ['search', 'hello']],
    ['export', ['export']],
    ['net list-peers', ['net', 'list-peers']],
    ['net connect', ['net', 'connect', '{peer}', '-m', 'hello']],
    ['net info', ['net', 'info']],
    ['net ping', ['net', 'ping', 'Bob', '-c', '2']],
    ['net diagnostics', ['net', 'diagnostics']],
    ['net start', ['net', 'start', '--duration', '0']],
    ['up', ['net', 'start', '--duration', '0']],
    ['key generate', ['key', 'generate', '--id', 'k2']],
    ['key list', ['key', 'list']],
    ['key export', ['key', 'export', 'k1']],
    ['key export', ['key', 'export', 'k1', '--secret']],
    ['sign', ['sign', 'k1', 'text']],
    ['aead encrypt', ['aead', 'encrypt', 'k1', nonce, 'aad', 'the text']],
    ['aead decrypt', ['aead', 'decrypt', 'k1', nonce, 'aad', `${'61'.repeat(3)}${'00'.repeat(16)}`]],
  ]

  test.each(cases)('%s: %j', async (name, argv) => {
    knowEachOther()
    alice().receive(bob, 'hello from Bob')
    alice().keys.generate('signing', 'k1')
    const filled = argv.map((word) =>
      word.replace('{invite}', `miaou:invite/${bob.account}`).replace('{peer}', bob.peerId),
    )
    const ran = await miaou('--json', ...filled)
    expect(ran.stderr).toBe('')
    expect(ran.code).toBe(exitCodes.ok)
    const objects = ran.objects()
    expect(objects.length).toBeGreaterThan(0)
    for (const object of objects) expect(jsonShapes[name]?.parse(object)).toEqual(object)
  })

  test('no shape is left without a command that shows it', () => {
    const shown = new Set([...cases.map(([name]) => name), 'start', 'verify', 'recover'])
    // Those of the overlay: dht.test.ts; of gossip: gossip.test.ts; of relays: reach.test.ts; the others: mailbox.test.ts.
    const isElsewhere = (name: string) =>
      /^(dht|gossip|relay|mailbox|contacts (requests|trust|report)$)( |$)?/.test(name)
    expect(Object.keys(jsonShapes).filter((name) => !isElsewhere(name) && !shown.has(name))).toEqual([])
  })

  test('verify says right and wrong, and ends 0 and 1', async () => {
    const [key] = (await miaou('--json', 'key-generate', '--id', 'k1')).objects()
    const { publicKey } = key as { publicKey: string }
    const [signed] = (await miaou('--json', 'sign', 'k1', 'text')).objects()
    const { signature } = signed as { signature: string }
    const right = await miaou('--json', 'verify', publicKey, 'text', signature)
    const wrong = await miaou('--json', 'verify', 'k1', 'other', signature)
    expect([right.code, ...right.objects()]).toEqual([0, { valid: true }])
    expect([wrong.code, ...wrong.objects()]).toEqual([1, { valid: false }])
  })

  test.each([
    [['send', 'Bbo', 'x'], 'unknown-contact', exitCodes.notFound],
    [['contacts', 'add', 'rubbish'], 'not-an-invite', exitCodes.error],
    [['sign', 'nope', 'x'], 'unknown-key', exitCodes.notFound],
    [['net', 'ping', '12D3KooWEQyD8gW4Q4CUZq453tKcYruCyLxp9ywJzvNhMaavuuDv'], 'no-address', exitCodes.unreachable],
    [['settings', 'nonsense', 'on'], 'bad-request', exitCodes.usage],
    [['contacts', 'dance', 'Bob'], 'bad-request', exitCodes.usage],
    [['send', 'Bob', ''], 'empty-text', exitCodes.usage],
    [['--profile', 'x', 'id'], 'home-and-profile', exitCodes.usage],
  ])('errors: %j gives %s', async (argv, code, exitCode) => {
    knowEachOther()
    const ran = await miaou('--json', ...argv)
    expect(ran.stdout).toBe('')
    const error = JSON.parse(ran.stderr)
    expect(jsonErrorShape.parse(error)).toEqual(error)
    expect([error.error.code, ran.code]).toEqual([code, exitCode])
  })
})

describe('send and recv', () => {
  test('delivered: says so and ends 0', async () => {
    knowEachOther()
    const ran = await miaou('send', 'bob', 'hello')
    expect([ran.code, ran.stdout.trim()]).toEqual([0, '✓✓ delivered'])
    expect(bob.messages.map(({ text }) => text)).toEqual(['hello'])
  })

  test('not reachable: waits, says where it is and what to do, ends 0, or 3 with --confirm', async () => {
    knowEachOther()
    bob.isRunning = false
    const ran = await miaou('send', 'Bob', 'hello', '--wait', '0')
    expect(ran.code).toBe(0)
    expect(ran.stdout).toMatch(/waiting \(their devices are offline/)
    expect(ran.stdout).toMatch(/until 25 November/)
    expect(ran.stdout).toMatch(/miaou up/)
    expect((await miaou('send', 'Bob', 'again', '--wait', '0', '--confirm')).code).toBe(exitCodes.notDelivered)
  })

  test('text from the input', async () => {
    knowEachOther()
    await run(['send', 'Bob', '-'], { stdin: 'line one\nline two\n' })
    expect(bob.messages.map(({ text }) => text)).toEqual(['line one\nline two'])
  })

  test('recv prints once, and nothing that a terminal would obey', async () => {
    knowEachOther()
    alice().receive(bob, 'evil \u001b[2J\u202etext\u0007')
    const first = await miaou('recv', '--wait', '0')
    expect(first.stdout).toContain('Bob: evil ‹1B›[2J‹202E›text‹07›')
    expect((await miaou('recv', '--wait', '0')).stdout.trim()).toBe('Nothing new.')
  })

  test('recv --follow stays until it is stopped', async () => {
    knowEachOther()
    let interrupt: () => void = () => undefined
    let output = () => ''
    const running = run(['recv', '--follow', '--json'], {
      onStart: (stop, read) => {
        interrupt = stop
        output = read
      },
    })
    await expect.poll(() => alice().listenerCount).toBe(1)
    alice().receive(bob, 'one')
    alice().receive(bob, 'two')
    await expect.poll(() => output().trim().split('\n').length).toBe(2)
    interrupt()
    const ran = await running
    expect([ran.code, ran.objects()]).toMatchObject([0, [{ text: 'one' }, { text: 'two' }]])
  })

  test('who: a name, whatever its case; an id; nearly a name', async () => {
    knowEachOther()
    for (const who of ['Bob', 'BOB', bob.account, bob.peerId, bob.account.slice(0, 12)]) {
      expect((await miaou('history', who)).code, who).toBe(0)
    }
    const ran = await miaou('history', 'Bpb')
    expect(ran.stderr).toMatch(/Did you mean Bob\?/)
  })
})

describe('net connect (row I04)', () => {
  test('tells each step', async () => {
    alice().isLinked = false
    const ran = await miaou('net-connect', bob.peerId, '-m', 'hello')
    expect(ran.code).toBe(0)
    const steps = [
      /^Searching for 12D3KooW/,
      /mDNS/,
      /^1 address found/,
      /^Offer made/,
      /^No WebRTC connection within the time: it stays linked$/,
      /^Connection up: memory, in 3 ms/,
      /^Round trip 1\.5 ms/,
      /^Message sent: ✓✓ delivered/,
    ]
    const lines = ran.stdout.trim().split('\n')
    expect(lines).toHaveLength(steps.length)
    for (const [index, step] of steps.entries()) expect(lines[index]).toMatch(step)
  })

  test('one that is not there: looks again after each wait, then says so', async () => {
    const stranger = '12D3KooWEQyD8gW4Q4CUZq453tKcYruCyLxp9ywJzvNhMaavuuDv'
    const ran = await miaou('net', 'connect', stranger, '--retry', '0.01,0.02', '--json')
    expect(ran.code).toBe(exitCodes.notFound)
    expect(ran.objects()).toMatchObject([
      { step: 'search' },
      { step: 'mdns' },
      { step: 'retry', attempt: 1, waitMs: 10 },
      { step: 'retry', attempt: 2, waitMs: 20 },
    ])
    expect(JSON.parse(ran.stderr).error.code).toBe('unknown-peer')
  })
})

describe('rows of the command line', () => {
  const stranger = '12D3KooWEQyD8gW4Q4CUZq453tKcYruCyLxp9ywJzvNhMaavuuDv'

  afterEach(() => {
    vi.useRealTimers()
  })

  test('[C08] net connect looks again after 1, 2 and 3 s, three times', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const running = miaou('net', 'connect', stranger, '--json')
    let ended = false
    void running.then(() => {
      ended = true
    })
    while (!ended) {
      await vi.advanceTimersByTimeAsync(1_000)
      await new Promise((resolve) => setImmediate(resolve))
    }
    const ran = await running
    const retries = ran.objects().filter((object) => (object as { step: string }).step === 'retry')
    expect(retries).toMatchObject([{ waitMs: 1_000 }, { waitMs: 2_000 }, { waitMs: 3_000 }])
    expect(ran.code).toBe(exitCodes.notFound)
  })

  test('[I13] the options of the design: -p, -t, -m, -l', async () => {
    knowEachOther()
    expect((await miaou('net', 'connect', '-p', bob.peerId, '-m', 'hello')).code).toBe(0)
    expect((await miaou('net-connect', '--peer-id', bob.peerId)).code).toBe(0)
    expect((await miaou('net', 'ping', '-p', bob.peerId)).stdout).toMatch(/answered in/)
    expect((await miaou('net-send', '-t', 'Bob', '-m', 'hello')).code).toBe(0)
    expect((await miaou('net-send', '--to', 'Bob', '--message', 'again')).code).toBe(0)
    const listed = await miaou('net-history', '-p', 'Bob', '-l', '2', '--json')
    expect(listed.objects()).toMatchObject([{ text: 'hello' }, { text: 'again' }])
    expect((await miaou('history', '--peer', 'Bob', '--limit', '1', '--json')).objects()).toHaveLength(1)
  })

  test('[G18] history shows 20 unless another number is asked for', async () => {
    knowEachOther()
    for (let i = 0; i < 25; i++) alice().receive(bob, `message ${i}`)
    expect((await miaou('history', 'Bob', '--json')).objects()).toHaveLength(20)
  })

  test('[C17] a latency that was not measured shows as 9999', async () => {
    const peers = alice().network.peers()
    vi.spyOn(alice().network, 'peers').mockReturnValue(peers.map(({ latencyMs: _, ...peer }) => peer))
    expect((await miaou('net-list-peers')).stdout).toMatch(/ 9999 ms /)
  })

  test('what takes over a second says so, what is quicker is silent', async () => {
    let answer: (checks: []) => void = () => undefined
    vi.spyOn(alice().network, 'diagnostics').mockImplementation(
      () =>
        new Promise((resolve) => {
          answer = resolve
        }),
    )
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const running = miaou('net', 'diagnostics')
    while (vi.getTimerCount() === 0) await new Promise((resolve) => setImmediate(resolve))
    await vi.advanceTimersByTimeAsync(1_000)
    answer([])
    expect((await running).stderr).toMatch(/Checking/)
    vi.useRealTimers()
    vi.restoreAllMocks()
    expect((await miaou('net', 'diagnostics')).stderr).toBe('')
  })

  test('--no-passphrase warns', async () => {
    const ran = await runCli(host, ['--home', join(folder, 'bare'), '--no-passphrase', 'id'])
    expect(ran.stderr).toMatch(/whoever can read the files of this home can read your messages/)
  })
})

describe('homes', () => {
  test('no terminal and no passphrase: says what to give', async () => {
    const ran = await runCli(host, ['--home', join(folder, 'new'), 'id'])
    expect(ran.code).toBe(exitCodes.home)
    expect(ran.stderr).toMatch(/--passphrase-file.*MIAOU_PASSPHRASE.*--no-passphrase/)
  })

  test('a passphrase from a file or a variable; a wrong one', async () => {
    const file = join(folder, 'passphrase')
    writeFileSync(file, 'correct horse\n')
    const home = ['--home', join(folder, 'locked')]
    expect((await runCli(host, [...home, '--passphrase-file', file, 'id'])).code).toBe(0)
    expect((await runCli(host, [...home, 'id'], { env: { MIAOU_PASSPHRASE: 'correct horse' } })).code).toBe(0)
    const wrong = await runCli(host, [...home, 'id'], { env: { MIAOU_PASSPHRASE: 'battery' } })
    expect([wrong.code, wrong.stderr]).toEqual([exitCodes.home, expect.stringMatching(/passphrase is wrong/)])
    expect((await runCli(host, [...home, '--passphrase-file', join(folder, 'none'), 'id'])).code).toBe(exitCodes.usage)
  })

  test('the words of a new home go to a file of the owner, never to an output that nobody watches', async () => {
    const file = join(folder, 'words')
    const home = ['--home', join(folder, 'new'), '--no-passphrase']
    const ran = await runCli(host, [...home, '--words-file', file, 'id'])
    expect(readFileSync(file, 'utf8').trim().split(' ')).toHaveLength(24)
    expect(statSync(file).mode & 0o777).toBe(0o600)
    expect(ran.stdout + ran.stderr).not.toMatch(/word\d/)
    const without = await runCli(host, ['--home', join(folder, 'other'), '--no-passphrase', 'id'])
    expect(without.stderr).toMatch(/--words-file/)
    expect(without.stdout + without.stderr).not.toMatch(/word\d/)
  })

  test('words from a file or the input make a home of their account; what is wrong with them is said', async () => {
    const file = join(folder, 'words')
    const words = Array.from({ length: 24 }, (_, i) => `word${i + 1}`).join(' ')
    writeFileSync(file, `${words}\n`)
    const home = (name: string) => [
      '--home',
      join(folder, name),
      '--no-passphrase',
      '--name',
      'Ada',
      '--json',
      'recover',
    ]
    const [made] = (await runCli(host, [...home('one'), '--from', file])).objects()
    expect(jsonShapes['recover']?.parse(made)).toEqual({ ...(made as object), name: 'Ada' })
    const piped = await runCli(host, [...home('two'), '--from', '-'], { stdin: words })
    expect(piped.code).toBe(0)
    expect(piped.stdout + piped.stderr).not.toMatch(/word\d/)
    for (const [text, code] of [
      ['word1 word2', 'word-count'],
      [words.replace('word3', 'nope'), 'unknown-word'],
    ] as const) {
      const wrong = await runCli(host, [...home('three'), '--from', '-'], { stdin: text })
      expect([wrong.code, JSON.parse(wrong.stderr).error.code]).toEqual([exitCodes.usage, code])
    }
    const again = await runCli(host, [...home('one'), '--from', file])
    expect([again.code, JSON.parse(again.stderr).error.code]).toEqual([exitCodes.home, 'home-exists'])
    const blind = await runCli(host, home('three'))
    expect(blind.stderr).toMatch(/--from <file>/)
  })

  test('in use: names the process and the command for a second person', async () => {
    alice().isRunning = true
    const ran = await miaou('id')
    expect(ran.code).toBe(exitCodes.home)
    expect(ran.stderr).toMatch(/process 4711/)
    expect(ran.stderr).toMatch(/npm start -- --profile bob/)
  })

  test('a running daemon answers the other commands of its home', async () => {
    const home = join(folder, 'alice')
    let interrupt: () => void = () => undefined
    const daemon = run(['up', '--json'], {
      onStart: (stop) => {
        interrupt = stop
      },
    })
    await expect.poll(() => existsSync(join(home, 'api.json'))).toBe(true)
    expect(statSync(join(home, 'api.json')).mode & 0o777).toBe(0o600)
    const id = await miaou('id', '--json')
    expect(id.objects()).toMatchObject([{ name: 'Alice' }])
    expect((await miaou('up')).stderr).toMatch(/already running/)
    interrupt()
    expect((await daemon).code).toBe(0)
    expect(existsSync(join(home, 'api.json'))).toBe(false)
    expect(alice().isRunning).toBe(false)
  })
})

describe('for people', () => {
  test('French by locale, by option; English otherwise', async () => {
    const french = await run(['recv', '--wait', '0'], { env: { LANG: 'fr_FR.UTF-8' } })
    expect(french.stdout.trim()).toBe('Rien de nouveau.')
    expect((await miaou('recv', '--wait', '0', '--lang', 'fr')).stdout.trim()).toBe('Rien de nouveau.')
    const english = await run(['recv', '--wait', '0'], { env: { LC_ALL: 'C', LANG: 'fr_FR.UTF-8' } })
    expect(english.stdout.trim()).toBe('Nothing new.')
  })

  test('no colour where nobody sees it', async () => {
    knowEachOther()
    await miaou('send', 'Bob', 'hello')
    const ran = await miaou('history', 'Bob')
    // biome-ignore lint/suspicious/noControlCharactersInRegex: looking for exactly that
    expect(ran.stdout).not.toMatch(/\u001b/)
  })

  test('an invite: the link alone on stdout, the code within 80 columns', async () => {
    const ran = await miaou('invite')
    expect(ran.stdout.trim()).toMatch(/^miaou:invite\/\S+$/)
    expect(ran.stderr).toMatch(/█/)
    for (const line of ran.stderr.split('\n').filter((text) => text.includes('█')))
      expect([...line].length).toBeLessThanOrEqual(80)
  })

  test('an export holds everything, in a file of the owner that is never overwritten', async () => {
    knowEachOther()
    for (let i = 0; i < 450; i++) alice().receive(bob, `message ${i}`)
    const file = join(folder, 'export.json')
    const ran = await miaou('export', '--format', 'json', '--out', file)
    expect(ran.stderr).toMatch(/450 messages/)
    expect(statSync(file).mode & 0o777).toBe(0o600)
    const document = JSON.parse(readFileSync(file, 'utf8'))
    expect(document.messages).toHaveLength(450)
    expect(document).toMatchObject({
      format: 'miaou-export-1',
      identity: { name: 'Alice' },
      contacts: [{ name: 'Bob' }],
    })
    expect((await miaou('export', '--out', file)).code).toBe(exitCodes.usage)
  })
})
