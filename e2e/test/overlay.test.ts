import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Daemon, Household, overlayJoined, until } from '@miaou/testkit/processes'
import { exitCodes, jsonErrorShape, jsonShapes } from 'miaou'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'

// The overlay between real daemons on loopback (rows C13, C19, E27, I07, I08). `test_e2e_dht.sh` is in scripts.test.ts.

/** An Ed25519 public key (RFC 8032 §7.1, TEST 1). */
const publicKey = 'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a'

async function nodeOf({ client }: Daemon): Promise<string> {
  const { nodes } = await client.overlay.info()
  const node = nodes.find((name) => name.includes('@127.0.0.1:'))
  if (node === undefined) throw new Error('the node has no socket')
  return node
}

describe('a record outlives', () => {
  let house: Household

  beforeEach(() => {
    house = new Household()
  })

  afterEach(() => house.end())

  test('three real daemons share a record after one of them is killed', async () => {
    const [alice, bob, carol] = await Promise.all([house.start('Alice'), house.start('Bob'), house.start('Carol')])
    await overlayJoined(alice.client, bob.client, carol.client)
    const { key } = await alice.client.overlay.putValue('outlives its author')
    const { peerId } = await alice.client.identity.get()
    await alice.client.overlay.putSigned('signing', Buffer.from(publicKey, 'hex'))
    for (const { client } of [bob, carol]) {
      await until('both records at both others', async () =>
        (await client.overlay.info()).records.count >= 2 ? true : undefined,
      )
    }
    process.kill(alice.pid, 'SIGKILL')
    await until('Alice to be gone', () => (alice.isRunning ? undefined : true))
    // Those who were there, and one who never met her and must ask.
    const dora = await house.start('Dora')
    await overlayJoined(bob.client, carol.client, dora.client)
    for (const name of ['Bob', 'Carol', 'Dora']) {
      const got = await house.run(name, ['dht', 'get', key])
      expect(got, got.stderr).toMatchObject({ code: 0, stdout: 'outlives its author\n' })
      const signed = await house.run(name, ['dht-get', peerId, 'signing'])
      expect(signed, signed.stderr).toMatchObject({ code: 0, stdout: `${publicKey}\n` })
    }
    expect((await dora.client.overlay.get(key)).cost.requests).toBeGreaterThanOrEqual(1)
  })

  test('signed records of one’s own are published again after a restart, and replaced by the next sequence', async () => {
    let [alice, bob] = await Promise.all([house.start('Alice'), house.start('Bob')])
    await overlayJoined(alice.client, bob.client)
    const { peerId } = await alice.client.identity.get()
    const first = await alice.client.overlay.putSigned('status', 'asleep')
    expect(first).toMatchObject({ peerId, kept: true })
    // Both end, and with them every copy; then there is one who never had it.
    await Promise.all([alice.stop(), bob.stop()])
    const [carol, again] = await Promise.all([house.start('Carol'), house.start('Alice')])
    alice = again
    await overlayJoined(alice.client, carol.client)
    const found = await until('the record to be published again', () =>
      carol.client.overlay.getSigned(peerId, 'status').catch(() => undefined),
    )
    expect(found.record).toMatchObject({ peerId, sequence: first.sequence, value: hex('asleep') })
    const second = await alice.client.overlay.putSigned('status', 'awake')
    expect(second.sequence).toBeGreaterThan(first.sequence)
    bob = await house.start('Bob')
    await overlayJoined(alice.client, bob.client, carol.client)
    for (const { client } of [bob, carol]) {
      const { record } = await client.overlay.getSigned(peerId, 'status')
      expect(record).toMatchObject({ sequence: second.sequence, value: hex('awake') })
    }
  })

  test('contacts survive a restart: joined through --bootstrap once, through memory afterwards', async () => {
    await Promise.all([house.makeHidden('Alice'), house.makeHidden('Bob')])
    const bob = await house.start('Bob')
    const node = await nodeOf(bob)
    let alice = await house.start('Alice', ['--bootstrap', node])
    await overlayJoined(alice.client, bob.client)
    expect(await alice.stop()).toBe(0)
    // What is kept of others is sealed.
    expect(readFileSync(join(house.home('Alice'), 'overlay-contacts')).includes(node.slice(0, 43))).toBe(false)
    alice = await house.start('Alice')
    await overlayJoined(alice.client, bob.client)
  })

  test('joined through config.json, at the port that was asked for', async () => {
    await house.makeHidden('Bob')
    const bob = await house.start('Bob', ['--overlay-port', '0'])
    await house.makeHidden('Alice', { bootstrap: [await nodeOf(bob)] })
    const alice = await house.start('Alice')
    await overlayJoined(alice.client, bob.client)
    // A port that is free now: the one Bob leaves.
    const { port } = (await bob.client.network.info()).overlay
    await bob.stop()
    const back = await house.start('Bob', ['--overlay-port', String(port)])
    expect((await back.client.network.info()).overlay.port).toBe(port)
    expect(await nodeOf(back)).toMatch(new RegExp(`@127\\.0\\.0\\.1:${port}$`))
  })
})

describe('the commands', () => {
  const house = new Household()
  let alice: Daemon
  let bob: Daemon

  beforeAll(async () => {
    ;[alice, bob] = await Promise.all([house.start('Alice'), house.start('Bob')])
    await overlayJoined(alice.client, bob.client)
  })

  afterAll(() => house.end())

  /** Runs a command with `--json`: every line has the shape of spec/cli.md, and nothing else is said. */
  async function objects(shape: string, argv: readonly string[]): Promise<Record<string, unknown>[]> {
    const ran = await house.run('Alice', ['--json', ...argv])
    expect(ran, `${argv.join(' ')}: ${ran.stderr}`).toMatchObject({ code: 0, stderr: '' })
    return ran.stdout.split('\n').flatMap((line) => {
      if (line === '') return []
      const parsed: unknown = JSON.parse(line)
      expect(jsonShapes[shape]?.parse(parsed)).toEqual(parsed)
      return [parsed as Record<string, unknown>]
    })
  }

  async function failure(name: string, argv: readonly string[]): Promise<[code: string, exit: number | null]> {
    const ran = await house.run(name, ['--json', ...argv])
    expect(ran.stdout).toBe('')
    const answer = JSON.parse(ran.stderr) as { error: { code: string } }
    expect(jsonErrorShape.parse(answer)).toEqual(answer)
    return [answer.error.code, ran.code]
  }

  test('dht put, get, info, find, ping, bootstrap in both spellings', async () => {
    const node = await nodeOf(bob)
    const { nodeId } = await bob.client.overlay.info()
    const { peerId } = await bob.client.identity.get()
    for (const dht of [['dht'], ['dht-']]) {
      const command = (name: string) => (dht[0] === 'dht' ? ['dht', name] : [`dht-${name}`])
      const [put] = await objects('dht put', [...command('put'), 'Hello'])
      const got = await objects('dht get', [...command('get'), String(put?.['key'])])
      expect(got).toMatchObject([{ text: 'Hello', record: { type: 'value', value: hex('Hello') } }])
      expect(await objects('dht info', command('info'))).toMatchObject([
        { state: { type: 'running' }, bootstrap: { type: 'bootstrapped' }, mode: 'server' },
      ])
      expect(await objects('dht find', [...command('find'), nodeId])).toContainEqual(
        expect.objectContaining({ nodeId }),
      )
      await objects('dht find', [...command('find'), peerId])
      expect(await objects('dht ping', [...command('ping'), node, '-c', '2'])).toMatchObject([{ node }, { node }])
      await objects('dht bootstrap', [...command('bootstrap'), node])
    }
  })

  test('a key of one’s own by its id, a record under a name of one’s own', async () => {
    const key = await alice.client.keys.generate('signing', 'release')
    await objects('dht put', ['dht', 'put', 'signing', 'release'])
    const { peerId } = await alice.client.identity.get()
    expect((await bob.client.overlay.getSigned(peerId, 'signing')).record.value).toBe(key.publicKey)
    await objects('dht put', ['dht', 'put', '--salt', 'status', 'Away until Monday'])
    const got = await house.run('Bob', ['dht', 'get', peerId, '--salt', 'status'])
    expect(got.stdout).toBe('Away until Monday\n')
  })

  test('bytes go in and come out as they are', async () => {
    const bytes = Buffer.from(Array.from({ length: 997 }, (_, i) => (i * 7) % 256))
    const [file, out] = [join(house.home('Alice'), 'bytes'), join(house.home('Alice'), 'again')]
    writeFileSync(file, bytes)
    const [put] = await objects('dht put', ['dht', 'put', '--file', file])
    const got = await house.run('Alice', ['dht', 'get', String(put?.['key']), '--out', out])
    expect(got.code, got.stderr).toBe(0)
    expect(readFileSync(out).equals(bytes)).toBe(true)
  })

  test('what goes wrong has a code, an exit code and a next step', async () => {
    const dead = `${(await nodeOf(bob)).slice(0, 43)}@127.0.0.1:9`
    expect(await failure('Alice', ['dht', 'get', '00'.repeat(32)])).toEqual(['not-found', exitCodes.notFound])
    expect(await failure('Alice', ['dht', 'put', 'x'.repeat(998)])).toEqual(['record-too-large', exitCodes.error])
    expect(await failure('Alice', ['dht-put', 'signing'])).toEqual(['bad-request', exitCodes.usage])
    // The neutral element: anybody could sign for it.
    expect(await failure('Alice', ['dht-put', 'signing', `01${'00'.repeat(31)}`])).toEqual([
      'bad-public-key',
      exitCodes.usage,
    ])
    expect(await failure('Alice', ['dht', 'ping', dead])).toEqual(['node-silent', exitCodes.unreachable])
    expect(await failure('Alice', ['dht', 'bootstrap', dead])).toEqual(['node-silent', exitCodes.unreachable])
    expect(await failure('Alice', ['dht', 'ping', 'somewhere:9999'])).toEqual(['bad-node', exitCodes.usage])
    const french = await house.run('Alice', ['dht', 'get', '00'.repeat(32)], { environment: { LANG: 'fr_FR.UTF-8' } })
    expect(french.stderr).toMatch(/Rien n’est déposé sous cette clé/)
  })

  test('an overlay that is switched off says so, everywhere', async () => {
    await house.makeHidden('Carol', { enabled: false })
    const carol = await house.start('Carol')
    expect((await carol.client.network.info()).overlay).toEqual({
      state: 'off',
      bootstrap: 'alone',
      contacts: 0,
    })
    expect(await failure('Carol', ['dht', 'put', 'Hello'])).toEqual(['overlay-off', exitCodes.error])
    const info = await house.run('Carol', ['dht', 'info'])
    expect(info.stdout).toMatch(/^State +switched off$/m)
    expect(info.stderr).toContain('"enabled": true')
  })

  test('miaou id starts without the engines of the overlay', async () => {
    const told = "({ load: (url, context, next) => (console.error('loaded', url), next(url, context)) })"
    const watcher = `import { registerHooks } from 'node:module'; registerHooks${told}`
    const environment = { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(watcher)}` }
    const loadedBy = async (argv: readonly string[]) => {
      const ran = await house.run('Emil', [...argv, '--no-passphrase', '--name', 'Emil'], { environment })
      expect(ran.code, ran.stderr).toBe(0)
      return ran.stderr.split('\n').filter((line) => /loaded .*packages\/overlay\//.test(line))
    }
    expect(await loadedBy(['id'])).toEqual([])
    // The watcher sees what is loaded.
    expect((await loadedBy(['dht', 'info'])).length).toBeGreaterThan(0)
  })

  test('without a daemon the commands join for themselves', async () => {
    const { key } = await alice.client.overlay.putValue('for whoever passes by')
    const got = await house.run('Dora', ['dht', 'get', key, '--no-passphrase', '--name', 'Dora'])
    expect(got, got.stderr).toMatchObject({ code: 0, stdout: 'for whoever passes by\n' })
    const put = await house.run('Dora', ['dht', 'put', 'signing', publicKey])
    expect(put.code, put.stderr).toBe(0)
    expect(put.stderr).toMatch(/To keep it: miaou up\./)
    const [, peerId = ''] = /^Signed by +(\w+)$/m.exec(put.stdout) ?? []
    expect((await bob.client.overlay.getSigned(peerId, 'signing')).record.value).toBe(publicKey)
  })
})

function hex(text: string): string {
  return Buffer.from(text).toString('hex')
}
