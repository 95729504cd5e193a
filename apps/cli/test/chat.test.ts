import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { exitCodes } from '../src/exit-code.ts'
import type { Io } from '../src/io.ts'
import type { PeerHost } from '../src/peer-handle.ts'
import { run } from '../src/run.ts'
import { runCli } from './cli-runner.ts'
import { FakeNetwork, FakePeer, fakeHost } from './fake-peer.ts'

let folder: string
let network: FakeNetwork
let host: PeerHost
let bob: FakePeer

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'miaou-chat-'))
  network = new FakeNetwork()
  host = fakeHost(network)
  bob = new FakePeer(network, '/bob', 'Bob')
})

afterEach(() => rmSync(folder, { recursive: true, force: true }))

/** A person at a terminal of 80 × 24, without colour: what they see, what they type, how it ended. */
class Person {
  seen = ''
  readonly ended: Promise<number>
  readonly #stdin = new PassThrough()

  constructor(argv: readonly string[], env: Readonly<Record<string, string>> = {}) {
    const terminal = () => {
      const stream = new PassThrough()
      stream.on('data', (chunk) => {
        this.seen += String(chunk)
      })
      return Object.assign(stream, { isTTY: true, columns: 80, rows: 24 })
    }
    const io: Io = {
      argv: ['--home', join(folder, 'alice'), ...argv],
      env: { NO_COLOR: '1', ...env },
      stdin: Object.assign(this.#stdin, { isTTY: true, setRawMode: () => undefined }),
      stdout: terminal(),
      stderr: terminal(),
      now: () => 1_795_000_060_000,
      timeZoneOffset: () => 0,
      onInterrupt: () => () => undefined,
      loadHost: async () => host,
    }
    this.ended = run(io, '0.0.0-test')
  }

  /** Waits until the words are seen; what was seen before them is forgotten. */
  async see(words: string | RegExp): Promise<string> {
    await expect.poll(() => this.seen, { timeout: 10_000 }).toMatch(words)
    const seen = this.seen
    const at = typeof words === 'string' ? seen.indexOf(words) + words.length : seen.search(words) + 1
    this.seen = seen.slice(at)
    return seen
  }

  type(line: string): void {
    this.#stdin.write(`${line}\r`)
  }
}

function alice(): FakePeer {
  const found = [...network.peers.values()].find(({ name }) => name === 'Alice')
  if (found === undefined) throw new Error('no Alice')
  return found
}

async function begin(): Promise<Person> {
  const person = new Person(['start'])
  await person.see('What shall others call you?')
  person.type('Alice')
  await person.see('New passphrase:')
  person.type('s3cret-s3cret')
  await person.see('Once more:')
  person.type('s3cret-s3cret')
  const seen = await person.see('on paper.')
  expect(seen).toMatch(/ 1 word1 .* 7 word7 .*13 word13 .*19 word19/)
  expect(seen).not.toContain('s3cret')
  person.type('')
  await person.see('/help shows the rest.')
  return person
}

describe('miaou start', () => {
  test('from nothing to a conversation, and what is said in it', async () => {
    const person = await begin()
    await person.see(/1 {2}\S+…\S+ +on this network/)
    person.type('1')
    await person.see('— Bob —')
    person.type('hello Bob')
    await person.see('✓✓ delivered  hello Bob')
    expect(bob.messages.map(({ text }) => text)).toEqual(['hello Bob'])
    alice().receive(bob, 'hi \u001b[31mAlice')
    await person.see('Bob: hi ‹1B›[31mAlice')
    await expect.poll(() => alice().messages.at(-1)?.state).toBe('read')
    alice().emit({ type: 'fleeting', event: { type: 'typing', account: bob.account, typing: true } })
    await person.see('Bob is typing …')
    person.type('/verify')
    await person.see('12345 67890')
    person.type('/verify yes')
    await person.see('Bob is verified.')
    person.type('/rename Robert')
    await person.see('You see them as Robert now.')
    person.type('/history 1')
    await person.see('Robert: hi')
    person.type('/nonsense')
    await person.see('There is no /nonsense.')
    person.type('/id')
    await person.see(alice().peerId)
    person.type('/quit')
    expect(await person.ended).toBe(exitCodes.ok)
    expect(alice().isRunning).toBe(false)
  })

  test('a pasted invite; a request that is accepted, one that is blocked', async () => {
    const carol = new FakePeer(network, '/carol', 'Carol')
    const person = await begin()
    person.type(`miaou:invite/${bob.account}`)
    await person.see('Bob is a contact now.')
    person.type('/back')
    await person.see('1  Bob')
    const request = { ...alice().makeContact(carol, 'request') }
    alice().store({ type: 'contact-changed', contact: request })
    await person.see(/Carol \(\S+\) wants to talk with you: \/accept or \/block/)
    person.type('/accept')
    await person.see('You and Carol can talk now.')
    person.type('/block')
    await person.see('Carol is blocked')
    person.type('nobody at all')
    await person.see('Nobody among your contacts is called nobody at all.')
    person.type('/quit')
    expect(await person.ended).toBe(exitCodes.ok)
  })

  test('a passphrase that differs is asked again; a wrong one three times at most', async () => {
    const first = new Person(['start'])
    await first.see('What shall others call you?')
    first.type('Alice')
    await first.see('New passphrase:')
    first.type('one')
    await first.see('Once more:')
    first.type('two')
    await first.see('The two are not the same.')
    first.type('')
    await first.see('An empty passphrase protects nothing.')
    first.type('right')
    await first.see('Once more:')
    first.type('right')
    await first.see('on paper.')
    first.type('')
    await first.see('> ')
    first.type('/quit')
    await first.ended
    const second = new Person(['id'])
    for (let i = 0; i < 3; i++) {
      await second.see('Passphrase:')
      second.type('wrong')
    }
    expect(await second.ended).toBe(exitCodes.home)
    await second.see('The passphrase is wrong.')
  })

  test('a second window on the same home: the command for a second person', async () => {
    const person = await begin()
    expect(JSON.parse(readFileSync(join(folder, 'alice', 'api.json'), 'utf8')).kind).toBe('chat')
    const second = new Person(['start'])
    expect(await second.ended).toBe(exitCodes.home)
    await second.see('npm start -- --profile bob')
    person.type('/quit')
    await person.ended
  })

  test('without a terminal: needs to know about the passphrase', async () => {
    const ran = await runCli(host, ['--home', join(folder, 'new'), 'start'])
    expect([ran.code, ran.stderr]).toEqual([exitCodes.home, expect.stringMatching(/--no-passphrase/)])
  })
})

describe('miaou recover', () => {
  test('asks for the words until they are right, then for name and passphrase', async () => {
    const words = Array.from({ length: 24 }, (_, i) => `word${i + 1}`).join(' ')
    const person = new Person(['recover'])
    await person.see('in their order:')
    person.type('word1 word2')
    await person.see('There are 24 recovery words; these are 2.')
    await person.see('in their order:')
    person.type(words)
    await person.see('What shall others call you?')
    person.type('Alice')
    for (const question of ['New passphrase:', 'Once more:']) {
      await person.see(question)
      person.type('s3cret-s3cret')
    }
    const seen = await person.see('Your account is back')
    expect(seen).not.toMatch(/on paper|s3cret/)
    expect(await person.ended).toBe(exitCodes.ok)
  })
})

describe('miaou chat', () => {
  test('lines from a pipe go one by one, in order, and it ends when all are confirmed', async () => {
    const home = ['--home', join(folder, 'alice')]
    await runCli(host, [...home, '--no-passphrase', '--name', 'Alice', 'id'])
    alice().makeContact(bob, 'contact')
    const lines = Array.from({ length: 20 }, (_, index) => `line ${index}`)
    const ran = await runCli(host, [...home, 'chat', 'Bob'], { stdin: `${lines.join('\n')}\n` })
    expect(ran.code).toBe(0)
    expect(bob.messages.map(({ text }) => text)).toEqual(lines)
    expect(ran.stdout.match(/✓✓ delivered/g)).toHaveLength(lines.length)
  })

  test('nobody of that name', async () => {
    const home = ['--home', join(folder, 'alice')]
    await runCli(host, [...home, '--no-passphrase', '--name', 'Alice', 'id'])
    const ran = await runCli(host, [...home, 'chat', 'Bob'], { stdin: 'hello\n' })
    expect([ran.code, ran.stdout]).toEqual([exitCodes.notFound, ''])
  })
})

describe('what happens while nobody is linked', () => {
  const until = 1_795_270_000_000

  test('[CLI28, CLI29] a message that mailboxes hold, a notice, a key that changed and is trusted', async () => {
    const person = await begin()
    person.type(`miaou:invite/${bob.account}`)
    await person.see('Bob is a contact now.')
    bob.isRunning = false
    person.type('are you there')
    await person.see('· waiting')
    const message = alice().messages.at(-1)
    if (message === undefined) throw new Error('no message')
    alice().changeMessage(message.id, { state: 'held', heldBy: [{ mailbox: 'M'.repeat(22), until }] })
    await person.see('◦ held by 1 mailbox until 21 November 14:06')
    alice().store({ type: 'notice', notice: 'session-renewed', account: bob.account })
    await person.see('Session with Bob renewed; nothing is lost.')
    const contact = { ...alice().makeContact(bob, 'contact'), changed: 'session-key' as const }
    alice().contacts.set(bob.account, contact)
    alice().store({ type: 'contact-changed', contact })
    alice().store({ type: 'notice', notice: 'session-key-changed', account: bob.account })
    await person.see(/A key of Bob changed: [^.]*\.[\s\S]*or\s+\/trust\./)
    person.type('/trust')
    await person.see('The same? Type: /trust yes')
    expect(alice().contacts.get(bob.account)?.changed).toBe('session-key')
    person.type('/trust yes')
    await person.see('Messages to Bob go out again.')
    expect(alice().contacts.get(bob.account)).not.toHaveProperty('changed')
    person.type('/trust')
    await person.see('No key of Bob changed')
    person.type('/quit')
    expect(await person.ended).toBe(exitCodes.ok)
  })

  test('[CLI31] a request with its note, reported; a conversation whose key changed says so when it opens', async () => {
    const carol = new FakePeer(network, '/carol', 'Carol')
    const person = await begin()
    const request = { ...alice().makeContact(carol, 'request'), note: 'Carol from the \u001b[31mchoir' }
    alice().contacts.set(carol.account, request)
    alice().store({ type: 'contact-changed', contact: request })
    await person.see('“Carol from the ‹1B›[31mchoir”')
    await person.see('Type a number or a name')
    alice().store({ type: 'contact-changed', contact: request })
    await person.see(/\/accept or \/block[\s\S]*“Carol from the ‹1B›\[31mchoir”/)
    person.type('/report insults')
    await person.see('Whom do you mean?')
    person.type('Carol')
    await person.see('— Carol —')
    person.type('/report insults')
    await person.see('Carol is blocked')
    await person.see('miaou contacts report Carol --out <file>')
    expect(alice().commands.at(-1)).toMatchObject({ type: 'contact-report', reason: 'insults' })
    alice().contacts.set(bob.account, { ...alice().makeContact(bob, 'contact'), changed: 'account-key' })
    person.type('/to Bob')
    await person.see('A key of Bob changed: nothing is sent until you looked: /trust')
    person.type('/quit')
    expect(await person.ended).toBe(exitCodes.ok)
  })

  test('in French too', async () => {
    const person = await begin()
    person.type('/quit')
    await person.ended
    alice().contacts.set(bob.account, { ...alice().makeContact(bob, 'contact'), changed: 'account-key' })
    const french = new Person(['--lang', 'fr', 'chat', 'Bob'], { MIAOU_PASSPHRASE: 's3cret-s3cret' })
    await french.see('Une clé de Bob a changé : rien ne part')
    french.type('/trust')
    await french.see('Les mêmes ? Tape : /trust oui')
    french.type('/trust oui')
    await french.see('Les messages à Bob partent à nouveau.')
    alice().store({ type: 'notice', notice: 'copy-detected' })
    await french.see('Cet appareil semble être une copie')
    french.type('/quit')
    expect(await french.ended).toBe(exitCodes.ok)
  })
})
