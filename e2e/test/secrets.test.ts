import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { befriend, delivered, Household, linked } from '@miaou/testkit/processes'
import { afterAll, expect, test } from 'vitest'

// Secrets stay where they belong: a whole run of commands, good and bad, is searched for each of them, and so are the
// files of the homes.
const house = new Household()
const passphrase = 'nine lives and a tail'
const privateText = 'meet me at the old mill at midnight'

afterAll(() => house.end())

function filesUnder(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
}

test('no output holds a token, a passphrase, recovery words or a secret key; no file holds a text in the clear', async () => {
  const outputs: string[] = []
  const environment = { MIAOU_PASSPHRASE: passphrase, MIAOU_DEBUG: '1' }
  const run = async (argv: readonly string[], options = { environment }) => {
    const ran = await house.run('Alice', argv, options)
    outputs.push(ran.stdout, ran.stderr)
    return ran
  }
  const wordsFile = `${house.home('Alice')}.words`
  await run(['id', '--name', 'Alice', '--words-file', wordsFile])
  const words = readFileSync(wordsFile, 'utf8').trim()
  expect(words.split(' ')).toHaveLength(24)

  const start = () => house.start('Alice', [], { protection: 'passphrase', environment })
  const [alice, bob] = await Promise.all([start(), house.start('Bob', [], { environment: { MIAOU_DEBUG: '1' } })])
  await befriend({ client: alice.client, name: 'Alice' }, { client: bob.client, name: 'Bob' })
  await linked(alice.client, bob.client)
  await bob.client.messages.send('Alice', privateText)
  await delivered(bob.client, 'Alice', 1)
  await run(['key', 'generate', '--id', 'release'])
  await run(['key', 'generate', '--kind', 'aead', '--id', 'box'])
  // Asked for in so many words: the one output that may hold it, and the only one that is not searched.
  const secrets = await Promise.all(
    ['release', 'box'].map(async (keyId) => Buffer.from(await alice.client.keys.exportSecret(keyId))),
  )

  for (const argv of [
    ['id'],
    ['contacts'],
    ['settings'],
    ['history', 'Bob'],
    ['export'],
    ['key', 'list'],
    ['key', 'export', 'release'],
    ['sign', 'release', 'text'],
    ['aead', 'encrypt', 'box', '000000000000000000000001', '', 'text'],
    ['aead', 'encrypt', 'release', '000000000000000000000001', '', 'text'],
    ['net', 'info'],
    ['net', 'list-peers'],
    ['net', 'diagnostics'],
    ['dht', 'info'],
    ['dht', 'put', 'signing', 'release'],
    ['dht', 'find', '0'.repeat(64)],
    ['send', 'Nobody', 'text'],
    ['up'],
    ['--json', 'up'],
    ['no-such-command'],
  ]) {
    await run(argv)
  }
  const tokens = [alice.api.token, bob.api.token]
  expect(await alice.stop()).toBe(0)
  // Starts that fail are where programs grow talkative.
  await run(['up'], { environment: { ...environment, MIAOU_PASSPHRASE: 'nine lives and a tale' } })
  writeFileSync(join(house.home('Alice'), 'config.json'), '{"iceServers":[{"urls":"turn:a:1","credential":"hunter2"')
  await run(['up'])
  outputs.push(alice.output(), bob.output())

  const all = outputs.join('\n')
  // What is searched is what was said.
  expect(all).toContain((await bob.client.identity.get()).peerId)
  expect(all.length).toBeGreaterThan(5_000)
  const list = words.split(' ')
  const threeInARow = list.slice(2).map((_, i) => list.slice(i, i + 3).join(' '))
  const forbidden = [
    ...tokens,
    passphrase,
    'nine lives and a tale',
    'hunter2',
    words,
    ...threeInARow,
    ...secrets.flatMap((secret) => [secret.toString('hex'), secret.toString('base64'), secret.toString('base64url')]),
  ]
  for (const [i, secret] of forbidden.entries()) expect(all.includes(secret), `secret ${i} in an output`).toBe(false)

  // At rest: the token only in api.json (Bob still runs), nothing else anywhere, in the home with a passphrase.
  for (const file of filesUnder(house.home('Alice'))) {
    if (file.endsWith('config.json')) continue
    const bytes = readFileSync(file)
    for (const secret of [passphrase, words, privateText, ...tokens]) {
      expect(bytes.includes(secret), `${secret} in ${file}`).toBe(false)
    }
    for (const secret of secrets) expect(bytes.includes(secret), `a secret key in ${file}`).toBe(false)
  }
})
