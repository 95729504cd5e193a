import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  befriend,
  type Daemon,
  delivered,
  Household,
  receivedTexts,
  temporaryFolder,
  until,
} from '@miaou/testkit/processes'
import { exitCodes, jsonErrorShape, jsonShapes } from 'miaou'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

// Relays between real processes: `miaou up --serve relay`, peers that hide their address, and relays that die.

/** A peer that shows its address to nobody: all it can use are relays. The overlay is off: the invite has to do. */
function startHidden(house: Household, name: string, relays: readonly string[]): Promise<Daemon> {
  return house.start(name, ['--relay-only', ...relays.flatMap((relay) => ['--relay', relay])])
}

async function startRelay(house: Household, name: string): Promise<{ daemon: Daemon; address: string }> {
  const daemon = await house.start(name, ['--serve', 'relay', '--stun-port', '0'])
  const address = (await daemon.client.network.info()).serving?.relay?.address
  if (address === undefined) throw new Error(`no relay: ${daemon.output()}`)
  return { daemon, address }
}

/** Until the peer holds so many reservations. */
function reserved({ client }: Daemon, count: number): Promise<true> {
  return until(`${count} reservations`, async () =>
    (await client.network.info()).reservations.length >= count ? true : undefined,
  )
}

const pathTo = async (from: Daemon, to: Daemon) => {
  const { peerId } = await to.client.identity.get()
  return (await from.client.network.peers()).find((view) => view.peerId === peerId)
}

describe('two peers that hide their addresses, and two relays', () => {
  const house = new Household()
  let first: { daemon: Daemon; address: string }
  let second: { daemon: Daemon; address: string }
  let ann: Daemon
  let ben: Daemon

  beforeAll(async () => {
    ;[first, second] = await Promise.all([startRelay(house, 'first'), startRelay(house, 'second')])
    ann = await startHidden(house, 'Ann', [first.address, second.address])
    // Ben learns of relays from Ann's invite alone.
    ben = await startHidden(house, 'Ben', [])
    await reserved(ann, 2)
    await befriend({ client: ann.client, name: 'Ann' }, { client: ben.client, name: 'Ben' })
  })

  afterAll(() => house.end())

  test('Q04 C13 a message goes through a relay that the invite names, and no address is told', async () => {
    const { invite } = await ann.client.invites.create()
    expect(invite.length).toBeLessThan(300)
    await ann.client.messages.send('Ben', 'through the relay')
    await delivered(ann.client, 'Ben', 1)
    expect(await receivedTexts(ben.client, 'Ann')).toEqual(['through the relay'])
    expect((await ann.client.network.info()).addresses).toEqual([])
    expect(await pathTo(ben, ann)).toMatchObject({ transport: 'circuit', path: { kind: 'relayed' } })
    expect((await pathTo(ben, ann))?.addresses.every((address) => address.startsWith('circuit:'))).toBe(true)
  })

  test('who is invited keeps reservations at the relays that it met, and its contact learns of them', async () => {
    await reserved(ben, 1)
    const own = (await ben.client.network.info()).reservations
    await until('Ann to know the way to Ben', async () => {
      const known = (await pathTo(ann, ben))?.addresses ?? []
      return own.some((address) => known.includes(address)) ? true : undefined
    })
  })

  test('the relay knows pseudonyms: neither peer id nor account of its clients stands in its memory or its log', async () => {
    const { serving } = await first.daemon.client.network.info()
    expect(serving?.relay?.reservations).toBeGreaterThanOrEqual(1)
    const { peerId, account } = await ann.client.identity.get()
    const told = JSON.stringify([await first.daemon.client.network.info(), await first.daemon.client.network.peers()])
    for (const text of [told, first.daemon.output()]) {
      expect(text).not.toContain(peerId)
      expect(text).not.toContain(account)
    }
  })

  test('a relay killed in mid-conversation: the other takes over, nothing is lost, nothing comes twice', async () => {
    const texts = Array.from({ length: 60 }, (_, index) => `message ${index}`)
    const via = (await pathTo(ann, ben))?.path?.via ?? ''
    const inUse = first.address.endsWith(via) ? first : second
    expect(inUse.address.endsWith(via)).toBe(true)
    const before = (await receivedTexts(ben.client, 'Ann')).length
    for (const [index, text] of texts.entries()) {
      await ann.client.messages.send('Ben', text)
      if (index === 20) await inUse.daemon.kill()
    }
    await delivered(ann.client, 'Ben', before + texts.length, 60_000)
    expect((await receivedTexts(ben.client, 'Ann')).slice(before)).toEqual(texts)
  })

  test('I16 the diagnosis says which path is in use, and why it is no better one', async () => {
    const diagnosis = await house.run('Ben', ['net', 'diagnostics', 'Ann'])
    expect(diagnosis.code).toBe(exitCodes.ok)
    expect(diagnosis.stdout).toMatch(/Ann: through the relay ws:\/\/127\.0\.0\.1:\d+, encrypted end to end/)
    expect(diagnosis.stdout).toMatch(/relay only/)
    const json = await house.run('Ben', ['--json', 'net', 'diagnostics', 'Ann'])
    for (const line of json.stdout.trim().split('\n'))
      expect(() => jsonShapes['net diagnostics']?.parse(JSON.parse(line))).not.toThrow()
  })
})

describe('relays by command', () => {
  const house = new Household()
  afterAll(() => house.end())

  test('one that is added is kept over a restart, and removed', async () => {
    const relay = await startRelay(house, 'relay')
    let ann = await house.start('Ann')
    expect((await house.run('Ann', ['relay', 'add', relay.address])).code).toBe(exitCodes.ok)
    await reserved(ann, 1)
    await ann.stop()
    ann = await house.start('Ann')
    await reserved(ann, 1)
    const list = await house.run('Ann', ['relay', 'list'])
    expect(list.stdout).toContain(relay.address)
    expect((await house.run('Ann', ['relay', 'remove', relay.address])).code).toBe(exitCodes.ok)
    await until('the reservation to go', async () =>
      (await ann.client.network.info()).reservations.length === 0 ? true : undefined,
    )
  })

  test.each([
    ['an address that is none', ['up', '--no-passphrase', '--relay', 'wss://relay.example.org']],
    ['a service that does not exist', ['up', '--no-passphrase', '--serve', 'bakery']],
    ['a relay that hides', ['up', '--no-passphrase', '--serve', 'relay', '--relay-only']],
    ['a certificate without its key', ['up', '--no-passphrase', '--tls-cert', '/nowhere/cert.pem']],
    ['files that are not there', ['up', '--no-passphrase', '--tls-cert', '/nowhere/cert', '--tls-key', '/nowhere/key']],
  ])('%s is refused with what to do', async (name, args) => {
    const refused = await house.run(`bad-${name.length}`, ['--json', ...args])
    expect(refused.code).not.toBe(exitCodes.ok)
    const answer: unknown = JSON.parse(refused.stderr.trim().split('\n').at(-1) ?? '')
    expect(jsonErrorShape.parse(answer)).toEqual(answer)
    expect(answer).toMatchObject({ error: { message: expect.stringMatching(/.{12}/) } })
  })
})

describe('a relay of TLS', () => {
  const house = new Household()
  const folder = temporaryFolder()
  afterAll(async () => {
    await house.end()
    folder.remove()
  })

  test('with a certificate it answers wss, and clients that trust the certificate meet there', async () => {
    const { cert, key } = await selfSigned(folder.path)
    const relay = await house.start('relay', [
      '--serve',
      'relay',
      '--stun-port',
      '0',
      '--tls-cert',
      cert,
      '--tls-key',
      key,
    ])
    const info = await relay.client.network.info()
    // TLS is taken on the same port.
    const address = (info.serving?.relay?.address ?? '').replace('@ws:', '@wss:')
    const environment = { NODE_EXTRA_CA_CERTS: cert }
    const ann = await house.start('Ann', ['--relay-only', '--relay', address], { environment })
    const ben = await house.start('Ben', ['--relay-only', '--relay', address], { environment })
    await reserved(ann, 1)
    await befriend({ client: ann.client, name: 'Ann' }, { client: ben.client, name: 'Ben' })
    await ann.client.messages.send('Ben', 'over TLS')
    await delivered(ann.client, 'Ben', 1)
    // Who does not trust it is told so.
    const cat = await house.start('Cat', ['--relay-only', '--relay', address])
    await until('the reason', async () => {
      const [entry] = (await cat.client.network.info()).relays
      return /certificate|self-signed/i.test(entry?.error ?? '') ? true : undefined
    })
  })
})

/** A certificate for 127.0.0.1 by openssl, which Debian has. */
async function selfSigned(folder: string): Promise<{ readonly cert: string; readonly key: string }> {
  const { execFileSync } = await import('node:child_process')
  const [cert, key, config] = [join(folder, 'cert.pem'), join(folder, 'key.pem'), join(folder, 'openssl.cnf')]
  writeFileSync(config, '[req]\ndistinguished_name=dn\n[dn]\n')
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1']
  const request = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2']
  execFileSync('openssl', [...request, ...subject, '-config', config, '-keyout', key, '-out', cert], {
    stdio: 'ignore',
  })
  return { cert, key }
}
