import { Household, overlayJoined, until } from '@miaou/testkit/processes'
import { afterEach, beforeEach, expect, test } from 'vitest'

// Row X02: the end-to-end scripts by their names, between real processes as people start them in terminals. The rows
// that each shows stand behind the name.
let house: Household

beforeEach(() => {
  house = new Household()
})

afterEach(() => house.end())

/** The id of the device of a home. */
async function peerIdOf(name: string): Promise<string> {
  const { stdout } = await house.run(name, ['id', '--json', '--no-passphrase', '--name', name])
  return (JSON.parse(stdout) as { peerId: string }).peerId
}

test('test_mdns_demo.sh [C02–C09, I12, I17]', async () => {
  const [alice, bob] = await Promise.all([peerIdOf('alice'), peerIdOf('bob')])
  const startedAt = performance.now()
  const terminals = ['alice', 'bob'].map((name) => house.open(name, ['net', 'unified', 'list-peers']))
  const [one, two] = terminals
  if (one === undefined || two === undefined) throw new Error('two terminals')
  // Whoever is there before the list is printed stands in it, who comes later is told in a line: the id is in both.
  await Promise.all([one.said(new RegExp(bob)), two.said(new RegExp(alice))])
  const discoveryMs = performance.now() - startedAt
  // Row C09: the time is measured and reported (its size is the bench's).
  console.log(`[C09] both started and saw each other within ${Math.round(discoveryMs)} ms`)
  expect(discoveryMs).toBeGreaterThan(0)
  // Two ends in good order: its goodbye is noticed by the other, before anything times out.
  const { code } = await two.kill('SIGINT')
  expect(code).toBe(0)
  await one.said(new RegExp(`${bob.slice(8, 12)}…${bob.slice(-4)} left this network`))
  const ended = await one.kill('SIGINT')
  expect(ended.code).toBe(0)
  expect(ended.stderr).not.toMatch(/Not done/)
})

test('test_e2e_messaging.sh [G01–G11, G18, G19, I05, I06, X02]', async () => {
  const long = 'The quick brown fox jumps over the lazy dog, twice. And then it rests for a while.'
  const [alice] = await Promise.all([house.start('Alice'), house.start('Bob').then((daemon) => daemon.stop())])
  // Bob opens the invite while Alice runs; afterwards she is off.
  const { invite } = await alice.client.invites.create()
  const added = await house.run('Bob', ['contacts', 'add', invite])
  expect(added.stdout).toMatch(/Alice is a contact now/)
  let bob = await house.start('Bob')
  await until('Alice to know Bob', async () =>
    (await alice.client.contacts.list()).find(({ name, state }) => name === 'Bob' && state === 'contact'),
  )
  await alice.stop()

  const sent = await house.run('Bob', ['send', 'Alice', long, '--wait', '0'])
  expect(sent.code).toBe(0)
  expect(sent.stdout).toMatch(/waiting/)
  // A power cut: what was told to be sent is there after it.
  await bob.kill()
  bob = await house.start('Bob')
  const again = await house.start('Alice')
  await until('the receipt', async () => {
    const [message] = await bob.client.messages.list({ with: 'Alice' })
    return message?.state === 'delivered' ? true : undefined
  })
  await again.kill()
  await house.start('Alice')

  const first = await house.run('Alice', ['recv'])
  expect(first.stdout.split(long)).toHaveLength(2)
  const second = await house.run('Alice', ['recv'])
  expect(second.stdout).toBe('Nothing new.\n')

  const { stdout } = await house.run('Alice', ['history', 'Bob'])
  // HH:MM:SS, direction, sender with short id, the first 50 characters.
  expect(stdout).toMatch(/^(\S+ )?\d\d:\d\d:\d\d ← Bob \(\w{4}…\w{4}\) .{50}…\n$/)
  expect(stdout).toContain(`${long.slice(0, 50)}…`)
  const { account } = await bob.client.identity.get()
  expect(stdout).toContain(`(${account.slice(4, 8)}…${account.slice(-4)})`)
  const full = await house.run('Alice', ['history', 'Bob', '--full'])
  expect(full.stdout).toContain(long)
})

test('test_e2e_dht.sh [E27, I07, I08, C19, X02]', async () => {
  // Nothing is configured: the nodes find each other by mDNS.
  const [alice, bob, carol] = await Promise.all([house.start('Alice'), house.start('Bob'), house.start('Carol')])
  await overlayJoined(alice.client, bob.client, carol.client)

  const put = await house.run('Alice', ['dht-put', 'A cat sleeps on the server'])
  expect(put.code, put.stderr).toBe(0)
  const [, key = ''] = /^Key +([0-9a-f]{64})$/m.exec(put.stdout) ?? []
  expect(put.stdout).toMatch(/^Copies +at \d+ nodes? so far$/m)
  for (const name of ['Bob', 'Carol']) {
    expect(await house.run(name, ['dht-get', key])).toMatchObject({ code: 0, stdout: 'A cat sleeps on the server\n' })
  }

  // Rows I07 and I08: a public key, published under the device's own signature, found by its peer id.
  const made = await house.run('Alice', ['key-generate', '--json', '--id', 'signing'])
  const { publicKey } = JSON.parse(made.stdout) as { publicKey: string }
  const { peerId } = await alice.client.identity.get()
  const published = await house.run('Alice', ['dht-put', 'signing', publicKey])
  expect(published).toMatchObject({ code: 0, stdout: expect.stringContaining(peerId) })
  const looked = await house.run('Carol', ['dht-get', peerId, 'signing'])
  expect(looked).toMatchObject({ code: 0, stdout: `${publicKey}\n` })
  expect(looked.stderr).toContain(`Signed by ${peerId}`)

  // The K-buckets, and the line that another node joins by.
  const { stdout: info } = await house.run('Bob', ['dht-info'])
  expect(info).toMatch(/joined, \d+ other nodes? known/)
  expect(info).toMatch(/K-buckets.*\n( +\d+ +█+ +\d+ nodes?\n)+/)
  expect(info).toMatch(/\n {2}[\w-]{43}@127\.0\.0\.1:\d+\n/)
  const { buckets, contacts } = await bob.client.overlay.info()
  expect(buckets.reduce((sum, bucket) => sum + bucket.contacts, 0)).toBe(contacts)
  expect(contacts).toBeGreaterThanOrEqual(2)
})

test('test_e2e_net_connect.sh [I04, I12, I18, C09, D31]', async () => {
  const [alice] = await Promise.all([peerIdOf('alice'), peerIdOf('bob')])
  // Terminal 2 starts first, so that it has to look again; then terminal 1 keeps the service up.
  const connecting = house.open('bob', [
    'net-connect',
    alice,
    '-m',
    'Hello from terminal 2',
    '--retry',
    '1,1,1,1,1,1,1,1',
  ])
  await connecting.said(/Not seen yet, attempt 1/)
  const listing = house.open('alice', ['net', 'unified', 'list-peers'])
  const { code, stdout, stderr } = await connecting.ended
  expect(stderr).toBe('')
  expect(code).toBe(0)
  const steps = [
    `Searching for ${alice}`,
    'mDNS started',
    'Not seen yet, attempt 1: again in 1 s',
    /\d+ address(es)? found/,
    /Offer made|The other side makes the offer/,
    /Answer (received|made)/,
    /Connection up: webrtc, in [\d.]+ ms/,
    /Round trip [\d.]+ ms/,
    /Message sent: .*(sent|delivered|read)/,
  ]
  let position = 0
  for (const step of steps) {
    const found = stdout.slice(position).search(step instanceof RegExp ? step : new RegExp(quote(step)))
    expect(found, `${step} in ${stdout}`).toBeGreaterThanOrEqual(0)
    position += found
  }
  const latency = Number(/Round trip ([\d.]+) ms/.exec(stdout)?.[1])
  expect(latency).toBeGreaterThan(0)
  // Row I17: terminal 1 shows the connection live, its time and the message's arrival.
  await listing.said(/Connected with .*: webrtc, in [\d.]+ ms/)
  await listing.said(/wants to talk with you/)
  // The service that terminal 1 keeps up answers the other commands of its home.
  const accepted = await house.run('alice', ['contacts', 'accept', 'bob'])
  expect(accepted.stdout).toMatch(/You and bob can talk now/)
  expect((await listing.kill('SIGINT')).code).toBe(0)
  // Row I18: then `send`, by name, without connecting by hand.
  const receiving = house.open('alice', ['recv', '--follow'])
  await receiving.said(/Hello from terminal 2/)
  const sent = await house.run('bob', ['send', 'alice', 'And by name', '--wait', '30'])
  expect(sent.stdout).toMatch(/delivered|read/)
  await receiving.said(/bob: And by name/)
  expect((await receiving.kill('SIGINT')).code).toBe(0)
})

function quote(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
}
