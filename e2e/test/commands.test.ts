import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { befriend, type CommandOptions, type Daemon, Household, linked, until } from '@miaou/testkit/processes'
import { commandNames, exitCodes, jsonErrorShape, jsonShapes } from 'miaou'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

// Rows I01–I06, I09–I16 and G18: every command as a process of its own, in both spellings, with a daemon and without.
const house = new Household()
// biome-ignore lint/suspicious/noControlCharactersInRegex: looking for exactly that
const escapePattern = /\u001b/
const nonce = '000000000000000000000001'

afterAll(() => house.end())

/** Runs a command with `--json`: every line has the shape of spec/cli.md, and nothing else is said. */
async function objects(name: string, shape: string, argv: readonly string[]): Promise<Record<string, unknown>[]> {
  const ran = await house.run(name, ['--json', ...argv])
  expect(ran, `${argv.join(' ')}: ${ran.stderr}`).toMatchObject({ code: 0, stderr: '' })
  const lines = ran.stdout.split('\n').filter((line) => line !== '')
  return lines.map((line) => {
    const parsed: unknown = JSON.parse(line)
    expect(jsonShapes[shape]?.parse(parsed)).toEqual(parsed)
    return parsed as Record<string, unknown>
  })
}

/** Runs a command for people: it ends 0, says something, and without a terminal nothing is coloured. */
async function words(name: string, argv: readonly string[], options: CommandOptions = {}): Promise<string> {
  const ran = await house.run(name, argv, { environment: { NO_COLOR: undefined }, ...options })
  expect(ran.code, `${argv.join(' ')}: ${ran.stderr}`).toBe(0)
  expect(ran.stdout + ran.stderr).not.toMatch(escapePattern)
  expect(ran.stdout).not.toBe('')
  return ran.stdout
}

/** Runs a command that fails; gives its error, which has a code, a message and what to do next. */
async function failure(
  name: string,
  argv: readonly string[],
  options: CommandOptions = {},
): Promise<{ readonly exit: number | null; readonly code: string; readonly message: string; readonly hint: string }> {
  const ran = await house.run(name, ['--json', ...argv], options)
  expect(ran.stdout).toBe('')
  const answer: unknown = JSON.parse(ran.stderr)
  expect(jsonErrorShape.parse(answer)).toEqual(answer)
  const { error } = answer as { error: { code: string; message: string; hint: string } }
  expect(error.message).not.toBe('')
  expect(error.hint).not.toBe('')
  return { exit: ran.code, ...error }
}

async function makeHome(name: string): Promise<void> {
  await objects(name, 'id', ['id', '--no-passphrase', '--name', name])
}

describe('with a daemon', () => {
  let alice: Daemon
  let bob: Daemon
  let bobPeerId: string

  beforeAll(async () => {
    ;[alice, bob] = await Promise.all([house.start('Alice'), house.start('Bob'), makeHome('Carol')])
    await befriend({ client: alice.client, name: 'Alice' }, { client: bob.client, name: 'Bob' })
    bobPeerId = await linked(alice.client, bob.client)
  })

  test('id, rename, invite, settings', async () => {
    expect(await objects('Alice', 'id', ['id'])).toEqual([await alice.client.identity.get()])
    expect(await words('Alice', ['id'])).toContain((await alice.client.identity.get()).peerId)
    expect(await objects('Alice', 'rename', ['rename', 'Alice A.'])).toMatchObject([{ name: 'Alice A.' }])
    expect(await objects('Alice', 'invite', ['invite', '--many', '3'])).toMatchObject([{ uses: 3 }])
    expect(await objects('Alice', 'settings', ['settings', 'typing', 'off'])).toMatchObject([{ typing: false }])
    expect(await objects('Alice', 'settings', ['settings', 'discoverable', 'contacts'])).toMatchObject([
      { discoverable: 'contacts' },
    ])
    await words('Alice', ['settings', 'discoverable', 'everyone'])
    expect(await objects('Alice', 'settings', ['settings'])).toMatchObject([{ discoverable: 'everyone' }])
  })

  test('contacts add, list, rename, verify, block, unblock, remove', async () => {
    const [invite] = await objects('Carol', 'invite', ['invite'])
    const add = ['contacts', 'add', String(invite?.['invite']), '--as', 'Caroline']
    expect(await objects('Alice', 'contacts add', add)).toMatchObject([{ name: 'Caroline', state: 'contact' }])
    const listed = await objects('Alice', 'contacts list', ['contacts'])
    expect(listed.map(({ name }) => name).sort()).toEqual(['Bob', 'Caroline'])
    expect(await words('Alice', ['contacts', 'list'])).toMatch(/Bob[\s\S]*Caroline|Caroline[\s\S]*Bob/)
    const rename = ['contacts', 'rename', 'Caroline', 'Carol']
    expect(await objects('Alice', 'contacts rename', rename)).toMatchObject([{ name: 'Carol' }])
    const [number] = await objects('Alice', 'contacts verify', ['contacts', 'verify', 'Carol', '--yes'])
    expect(number).toMatchObject({ verified: true })
    expect(await words('Alice', ['contacts', 'verify', 'Bob'])).toContain(
      (await bob.client.contacts.safetyNumber('Alice')).safetyNumber,
    )
    await objects('Alice', 'contacts verify', ['contacts', 'verify', 'Carol', '--undo'])
    expect(await objects('Alice', 'contacts block', ['contacts', 'block', 'Carol'])).toMatchObject([
      { state: 'blocked' },
    ])
    expect((await failure('Alice', ['send', 'Carol', 'hello'])).code).toBe('blocked-contact')
    expect(await objects('Alice', 'contacts unblock', ['contacts', 'unblock', 'Carol'])).toMatchObject([
      { state: 'contact' },
    ])
    await objects('Alice', 'contacts remove', ['contacts', 'remove', 'Carol'])
    expect(await objects('Alice', 'contacts list', ['contacts', 'list'])).toHaveLength(1)
  })

  test('contacts accept: somebody who is none wrote first', async () => {
    const { peerId } = await alice.client.identity.get()
    const steps = await objects('Carol', 'net connect', ['net-connect', peerId, '-m', 'Hello, I am Carol'])
    expect(steps.map(({ step }) => step)).toEqual(
      expect.arrayContaining(['search', 'mdns', 'addresses', 'offer', 'answer', 'connected', 'ping', 'message']),
    )
    expect(await words('Alice', ['contacts'])).toMatch(/Carol .*wants to talk with you/)
    expect(await objects('Alice', 'contacts accept', ['contacts', 'accept', 'Carol'])).toMatchObject([
      { state: 'contact' },
    ])
  })

  test('send, recv, history, search, export [I05, I06, G18]', async () => {
    expect(await objects('Alice', 'send', ['send', 'Bob', 'one', 'red', 'bicycle', '--wait', '30'])).toMatchObject([
      { text: 'one red bicycle', state: 'delivered' },
    ])
    expect(await words('Alice', ['net-send', '-t', 'Bob', '-m', 'two', '--wait', '30'])).toMatch(/delivered/)
    const piped = await house.run('Alice', ['send', 'Bob', '-', '--wait', '30'], { input: 'three\n' })
    expect(piped.stdout).toMatch(/delivered/)
    // The same key never sends twice.
    for (const _ of [1, 2]) await objects('Alice', 'send', ['send', 'Bob', 'four', '--key', 'k4', '--wait', '30'])
    const received = await objects('Bob', 'recv', ['recv'])
    expect(received.map(({ text }) => text)).toEqual(['one red bicycle', 'two', 'three', 'four'])
    expect(await objects('Bob', 'recv', ['recv'])).toEqual([])
    expect(await objects('Alice', 'history', ['history', 'Bob', '--limit', '2'])).toMatchObject([
      { text: 'three' },
      { text: 'four' },
    ])
    expect(await words('Alice', ['net-history', '-p', 'Bob', '-l', '1'])).toMatch(/^\d\d:\d\d:\d\d → me \(.*\) four/)
    expect(await objects('Bob', 'search', ['search', 'bicycle'])).toMatchObject([{ text: 'one red bicycle' }])
    expect(await objects('Bob', 'search', ['search', 'nothing', 'like', 'it'])).toEqual([])
    const file = join(house.home('Bob'), 'export.jsonl')
    await house.run('Bob', ['export', '--out', file])
    expect(statSync(file).mode & 0o777).toBe(0o600)
    const lines = readFileSync(file, 'utf8').trimEnd().split('\n')
    for (const line of lines) expect(() => jsonShapes['export']?.parse(JSON.parse(line))).not.toThrow()
    expect(lines.filter((line) => line.includes('"type":"message"'))).toHaveLength(4)
    const whole: unknown = JSON.parse(await words('Bob', ['export', '--format', 'json']))
    expect(whole).toMatchObject({ format: 'miaou-export-1', identity: { name: 'Bob' } })
  })

  test('key-generate, key-list, key-export, sign, verify, aead-encrypt, aead-decrypt [I09–I11]', async () => {
    for (const kind of ['signing', 'agreement', 'aead']) {
      expect(await objects('Alice', 'key generate', ['key-generate', '--kind', kind, '--id', kind])).toMatchObject([
        { keyId: kind, kind },
      ])
    }
    expect(await objects('Alice', 'key list', ['key-list'])).toHaveLength(3)
    expect(await objects('Alice', 'key list', ['key', 'list'])).toHaveLength(3)
    const [exported] = await objects('Alice', 'key export', ['key-export', 'signing'])
    const [{ signature } = {}] = await objects('Alice', 'sign', ['sign', 'signing', 'the text'])
    expect(await objects('Alice', 'sign', ['key-sign', 'signing', 'the text'])).toMatchObject([{ signature }])
    // Anybody can check it, with nothing but the public key.
    const check = [String(exported?.['publicKey']), 'the text', String(signature)]
    expect(await objects('Bob', 'verify', ['verify', ...check])).toEqual([{ valid: true }])
    expect(await objects('Bob', 'verify', ['key', 'verify', ...check])).toEqual([{ valid: true }])
    const wrong = await house.run('Bob', ['verify', check[0] ?? '', 'another text', check[2] ?? ''])
    expect([wrong.code, wrong.stdout]).toEqual([exitCodes.error, expect.stringMatching(/NOT right/)])
    const [{ secret } = {}] = await objects('Alice', 'key export', ['key', 'export', 'aead', '--secret'])
    const encrypt = [nonce, 'header', 'the text']
    const [{ ciphertext } = {}] = await objects('Alice', 'aead encrypt', ['aead-encrypt', 'aead', ...encrypt])
    expect(await objects('Bob', 'aead encrypt', ['aead', 'encrypt', String(secret), ...encrypt])).toEqual([
      { ciphertext },
    ])
    const decrypt = [String(secret), nonce, 'header', String(ciphertext)]
    expect(await objects('Bob', 'aead decrypt', ['aead-decrypt', ...decrypt])).toMatchObject([{ text: 'the text' }])
    expect(await words('Bob', ['aead', 'decrypt', ...decrypt])).toBe('the text\n')
    const other = await failure('Bob', ['aead', 'decrypt', String(secret), nonce, 'another header', String(ciphertext)])
    expect(other).toMatchObject({ exit: exitCodes.error, code: 'wrong-key-or-data' })
  })

  test('net-info, net-list-peers, net-ping, net-connect, net-diagnostics [I01, I03, I13–I16]', async () => {
    for (const spelling of [['net-info'], ['net', 'info']]) {
      expect(await objects('Alice', 'net info', spelling)).toMatchObject([{ natType: 'unknown', queuedMessages: 0 }])
    }
    const info = await words('Alice', ['net-info'])
    for (const fact of ['This device', 'Addresses', 'NAT', 'Connected peers', 'Messages waiting', 'Running for']) {
      expect(info).toContain(fact)
    }
    for (const spelling of [['net-list-peers'], ['net', 'list-peers']]) {
      const peers = await objects('Alice', 'net list-peers', spelling)
      expect(peers).toContainEqual(expect.objectContaining({ peerId: bobPeerId, name: 'Bob', transport: 'webrtc' }))
    }
    // Row I14: count, status mark, short id, first address, latency.
    const listed = await words('Alice', ['net-list-peers'])
    expect(listed).toMatch(/^\d+ peers?\n/)
    const short = `${bobPeerId.slice(8, 12)}…${bobPeerId.slice(-4)}`
    expect(listed).toMatch(new RegExp(`● +${short} +Bob +ws://127\\.0\\.0\\.1:\\d+ +[\\d.]+ ms +${bobPeerId}`))
    for (const spelling of [['net-ping'], ['net', 'ping']]) {
      expect(await objects('Alice', 'net ping', [...spelling, 'Bob', '--count', '2'])).toHaveLength(2)
    }
    expect(await words('Alice', ['net-ping', bobPeerId])).toMatch(/answered in [\d.]+ ms/)
    const [, , , ...steps] = await objects('Alice', 'net connect', ['net', 'connect', 'Bob'])
    expect(steps).toMatchObject([
      { step: 'standing' },
      { step: 'connected', peerId: bobPeerId, transport: 'webrtc' },
      { step: 'ping' },
    ])
    for (const spelling of [['net-diagnostics'], ['net', 'diagnostics']]) {
      const checks = await objects('Alice', 'net diagnostics', spelling)
      expect(checks.map(({ name }) => name)).toEqual(expect.arrayContaining(['mdns', 'webrtc', 'stun', 'turn', 'dns']))
    }
    const diagnosis = await words('Alice', ['net-diagnostics'])
    for (const name of ['store', 'websocket', 'stun', 'turn', 'dns']) expect(diagnosis).toContain(name)
  })

  test.each(commandNames)('%s is the same command in its other spelling', async (hyphenated, spaced) => {
    const own = await words('Alice', [hyphenated, '--help'])
    // `--help` behind an option such as --follow is the help of the command too.
    expect(own).toBe(await words('Alice', [...spaced, '--help']))
    expect(own).toMatch(/^Usage: miaou/)
  })

  test('a second peer in a home says so, and how to be a second person', async () => {
    for (const argv of [['up'], ['net', 'start'], ['net-start', '--duration', '1'], ['start']]) {
      const error = await failure('Alice', argv)
      expect(error).toMatchObject({ exit: exitCodes.home, code: 'home-in-use' })
      expect(error.message).toContain(String(alice.pid))
      expect(error.hint).toContain('npm start -- --profile bob')
    }
    expect(alice.isRunning).toBe(true)
  })

  test('exit codes: usage, unconfirmed, not found, unreachable', async () => {
    const codeOf = async (argv: readonly string[]) => (await house.run('Alice', argv)).code
    expect(await codeOf(['no-such-command'])).toBe(exitCodes.usage)
    expect(await codeOf(['send', 'Bob', 'hello', '--no-such-option'])).toBe(exitCodes.usage)
    expect(await codeOf(['history', 'Bob', '--limit', '9999'])).toBe(exitCodes.usage)
    expect((await failure('Alice', ['send', 'Bob', ''])).exit).toBe(exitCodes.usage)
    const typo = await failure('Alice', ['send', 'Bbo', 'hello'])
    expect(typo).toMatchObject({ exit: exitCodes.notFound, hint: expect.stringMatching(/^Did you mean Bob\?/) })
    const peerTypo = `${bobPeerId.slice(0, 20)}${bobPeerId[20] === 'x' ? 'y' : 'x'}${bobPeerId.slice(21, -1)}`
    const noPeer = await failure('Alice', ['net', 'ping', peerTypo])
    expect(noPeer).toMatchObject({
      exit: exitCodes.notFound,
      hint: expect.stringContaining(`Did you mean ${bobPeerId}`),
    })
    expect((await failure('Alice', ['sign', 'no-such-key', 'x'])).exit).toBe(exitCodes.notFound)
    // Carol runs no daemon.
    expect(await codeOf(['send', 'Carol', 'are you there?', '--confirm', '--wait', '0'])).toBe(exitCodes.notDelivered)
    expect((await failure('Alice', ['net', 'ping', 'Carol', '--timeout', '1'])).exit).toBe(exitCodes.unreachable)
  })

  test('French and English', async () => {
    const french = { environment: { LANG: 'fr_FR.UTF-8' } }
    expect((await house.run('Bob', ['recv'], french)).stdout).toBe('Rien de nouveau.\n')
    expect((await house.run('Bob', ['recv', '--lang', 'en'], french)).stdout).toBe('Nothing new.\n')
    expect((await house.run('Bob', ['--help'], french)).stdout).toMatch(/sans serveur/)
    expect((await house.run('Bob', ['--help'])).stdout).toMatch(/no server/)
    expect((await failure('Bob', ['send', 'Nobody', 'x'], french)).message).toMatch(/s’appelle|contacts/)
  })
})

describe('without a daemon', () => {
  beforeAll(async () => {
    await Promise.all([makeHome('Dora'), makeHome('Emil')])
  })

  test('the commands start the peer for themselves', async () => {
    const [identity] = await objects('Dora', 'id', ['id'])
    expect(identity).toMatchObject({ name: 'Dora' })
    const [made] = await objects('Emil', 'invite', ['invite'])
    await objects('Dora', 'contacts add', ['contacts', 'add', String(made?.['invite'])])
    expect(await objects('Dora', 'contacts list', ['contacts'])).toMatchObject([{ name: 'Emil' }])
    expect(await words('Dora', ['send', 'Emil', 'a red bicycle', '--wait', '0'])).toMatch(
      /waiting[\s\S]*goes out when Miaou runs: miaou up/,
    )
    expect(await objects('Dora', 'history', ['history', 'Emil'])).toMatchObject([{ state: 'queued' }])
    expect(await objects('Dora', 'search', ['search', 'bicycle'])).toHaveLength(1)
    expect(await objects('Dora', 'recv', ['recv', '--wait', '0'])).toEqual([])
    expect(await objects('Dora', 'export', ['export'])).toHaveLength(3)
    await objects('Dora', 'settings', ['settings', 'presence', 'off'])
    await objects('Dora', 'rename', ['rename', 'Dorothea'])
    const numbers = await objects('Dora', 'contacts verify', ['contacts', 'verify', 'Emil'])
    expect(numbers).toMatchObject([{ verified: false }])
    await objects('Dora', 'contacts block', ['contacts', 'block', 'Emil'])
    await objects('Dora', 'contacts remove', ['contacts', 'remove', 'Emil'])
  })

  test('keys are kept between commands', async () => {
    await objects('Dora', 'key generate', ['key', 'generate', '--id', 'release'])
    const [{ signature } = {}] = await objects('Dora', 'sign', ['sign', 'release', 'text'])
    const check = ['verify', 'release', 'text', String(signature)]
    expect(await objects('Dora', 'verify', check)).toEqual([{ valid: true }])
    await objects('Dora', 'key generate', ['key', 'generate', '--kind', 'aead', '--id', 'box'])
    const [{ ciphertext } = {}] = await objects('Dora', 'aead encrypt', ['aead', 'encrypt', 'box', nonce, '', 'text'])
    const decrypt = ['aead', 'decrypt', 'box', nonce, '', String(ciphertext)]
    expect(await objects('Dora', 'aead decrypt', decrypt)).toMatchObject([{ text: 'text' }])
  })

  test('the network commands look around by themselves; net start ends by itself [I02]', async () => {
    expect(await objects('Dora', 'net info', ['net', 'info'])).toMatchObject([{ connectedPeers: 0 }])
    const running = house.open('Emil', ['net-start', '--duration', '20', '--json'])
    const [, peerId = ''] = await running.said(/"peerId":"(\w+)"/)
    const peers = await objects('Dora', 'net list-peers', ['net', 'list-peers'])
    expect(peers).toContainEqual(expect.objectContaining({ peerId, seenBy: 'mdns' }))
    expect(await objects('Dora', 'net ping', ['net', 'ping', peerId])).toMatchObject([{ peerId }])
    expect((await running.kill('SIGINT')).code).toBe(0)
    await objects('Dora', 'net start', ['net', 'start', '--duration', '0'])
    await objects('Dora', 'net diagnostics', ['net', 'diagnostics'])
  })
})

describe('the passphrase of a home', () => {
  const passphrase = 'correct horse battery staple'
  const variable = { environment: { MIAOU_PASSPHRASE: passphrase } }

  test('by file and by variable; wrong; none without a terminal', async () => {
    const file = join(house.home('Alice'), 'passphrase')
    writeFileSync(file, `${passphrase}\n`)
    const wordsFile = join(house.home('Alice'), 'words')
    const made = ['id', '--json', '--name', 'Greta', '--passphrase-file', file, '--words-file', wordsFile]
    expect((await house.run('Greta', made)).code).toBe(0)
    expect(statSync(wordsFile).mode & 0o777).toBe(0o600)
    expect(readFileSync(wordsFile, 'utf8').trim().split(' ')).toHaveLength(24)
    expect((await house.run('Greta', ['id'], variable)).stdout).toMatch(/Greta/)

    const wrong = await failure('Greta', ['id'], { environment: { MIAOU_PASSPHRASE: 'Correct horse' } })
    expect(wrong).toMatchObject({ exit: exitCodes.home, code: 'wrong-passphrase' })
    const none = await failure('Greta', ['id'])
    expect(none).toMatchObject({ exit: exitCodes.home, code: 'passphrase-needed' })
    expect(none.hint).toMatch(/--passphrase-file .*MIAOU_PASSPHRASE/)
    // A home that is to be made asks the same; nothing is left behind.
    const fresh = await failure('Hugo', ['up'])
    expect(fresh).toMatchObject({ exit: exitCodes.home, code: 'passphrase-needed' })
    expect(fresh.hint).toMatch(/--no-passphrase/)

    const daemon = await house.start('Greta', [], { protection: 'passphrase', ...variable })
    // With a daemon the commands need none.
    expect((await house.run('Greta', ['id'])).code).toBe(0)
    expect(await daemon.stop()).toBe(0)
  })
})

test('colours on a terminal, none with NO_COLOR', async () => {
  await makeHome('Ida')
  const coloured = house.terminal('Ida', ['net', 'diagnostics'])
  expect(await coloured.ended).toBe(0)
  expect(coloured.raw).toMatch(escapePattern)
  const plain = house.terminal('Ida', ['net', 'diagnostics'], { environment: { NO_COLOR: '1' } })
  expect(await plain.ended).toBe(0)
  expect(plain.raw).not.toMatch(escapePattern)
  await until('its words', () => (/webrtc/.test(plain.text) ? true : undefined))
})
