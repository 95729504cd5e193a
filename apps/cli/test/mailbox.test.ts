import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { MessageView } from '@miaou/messaging'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { exitCodes } from '../src/exit-code.ts'
import { jsonErrorShape, jsonShapes } from '../src/json-shapes.ts'
import type { PeerHost } from '../src/peer-handle.ts'
import { type Ran, type RunOptions, runCli } from './cli-runner.ts'
import { FakeNetwork, FakePeer, fakeHost } from './fake-peer.ts'
import { mailboxEntry, mailboxText, otherMailboxText, relayText, serving, servingMailbox } from './fake-reach.ts'

let folder: string
let network: FakeNetwork
let host: PeerHost
let bob: FakePeer

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'miaou-mailbox-'))
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

function widest(text: string): number {
  return Math.max(...text.split('\n').map((line) => line.length))
}

describe('[CLI27] mailboxes', () => {
  test('add keeps one, list shows how it stands and what it has, remove takes the address or its first 22', async () => {
    expect((await miaou('mailbox', 'list')).stdout).toMatch(/^You use no mailbox: .* waits at the sender only\./)
    expect((await miaou('--lang', 'fr', 'mailbox', 'list')).stdout).toMatch(/^Tu n’as pas de boîte aux lettres/)
    expect(await objects('mailbox add', 'mailbox', 'add', mailboxText)).toMatchObject([
      { mailbox: mailboxText, source: 'added', state: 'connecting' },
    ])
    expect((await miaou('mailbox', 'add', mailboxText)).stdout).toMatch(/^Kept\./)
    alice().reach.mailboxes = [
      mailboxEntry(mailboxText, { source: 'added' }),
      mailboxEntry(otherMailboxText, { state: 'refused', error: 'too many \u001b[31mboxes', throughRelay: false }),
    ]
    const { stdout } = await miaou('mailbox-list')
    expect(stdout).toMatch(/● +M{21}A@wss:\/\/mail\.example\.org +in use +31 ms\n/)
    expect(stdout).toMatch(/\n {3}added, through a relay\n {3}2 waiting, 1920 tokens, 32 bundles\n/)
    expect(stdout).toMatch(/✗ +-N{20}A@\S+ +does not take us: too many ‹1B›\[31mboxes/)
    expect((await miaou('--lang', 'fr', 'mailbox', 'list')).stdout).toMatch(
      /2 en attente, 1920 jetons, 32 lots de clés\n/,
    )
    const [entry] = await objects('mailbox list', 'mailbox', 'list')
    expect(entry).toMatchObject({
      box: expect.stringMatching(/^[\w-]{22}$/),
      stock: { waiting: 2 },
      throughRelay: true,
    })
    expect(await objects('mailbox remove', 'mailbox', 'remove', mailboxText.slice(0, 22))).toHaveLength(1)
    await miaou('mailbox', 'add', mailboxText)
    expect((await miaou('mailbox-remove', mailboxText)).stdout).toBe('Used no longer.\n')
    await miaou('mailbox', 'add', mailboxText)
    expect((await miaou('--lang', 'fr', 'mailbox', 'remove', mailboxText)).stdout).toBe('Elle ne sert plus.\n')
  })

  test('one that sees our address is told as such; on a terminal of 80 columns a line each is enough', async () => {
    alice().reach.mailboxes = [mailboxEntry(mailboxText, { throughRelay: false })]
    const { stdout } = await miaou('mailbox', 'list')
    expect(stdout).toMatch(/line, straight: it sees your address\n/)
    expect(widest(stdout)).toBeLessThanOrEqual(80)
  })

  test('one that a contact uses is told as such, and is nothing to remove', async () => {
    alice().reach.mailboxes = [mailboxEntry(mailboxText, { source: 'contact' })]
    expect((await miaou('mailbox', 'list')).stdout).toMatch(/\n {3}a contact uses it, through a relay\n/)
    const error = await failure('mailbox', 'remove', mailboxText)
    expect(error).toMatchObject({ code: 'unknown-mailbox', hint: expect.stringMatching(/once you chose two/) })
  })

  test('list waits for one that has not answered yet, and no longer than asked', async () => {
    alice().reach.mailboxes = [mailboxEntry(mailboxText, { state: 'connecting' })]
    expect((await miaou('mailbox', 'list', '--wait', '0')).stdout).toMatch(/○ .*connecting …/)
    const running = objects('mailbox list', 'mailbox', 'list')
    alice().reach.mailboxes = [mailboxEntry(mailboxText)]
    expect(await running).toMatchObject([{ state: 'registered' }])
  })

  test('errors say what to do; an address that begins with a hyphen is no option', async () => {
    expect(await objects('mailbox add', 'mailbox', 'add', otherMailboxText)).toMatchObject([
      { mailbox: otherMailboxText },
    ])
    alice().reach.mailboxes = [mailboxEntry(mailboxText)]
    expect(await failure('mailbox', 'add', 'wss://mail.example.org')).toMatchObject({
      code: 'bad-mailbox',
      exit: exitCodes.usage,
      hint: expect.stringMatching(/miaou mailbox info/),
    })
    expect(await failure('mailbox', 'remove', mailboxText)).toMatchObject({ code: 'configured-mailbox', exit: 1 })
    expect(await failure('mailbox', 'remove', 'nonsense')).toMatchObject({
      code: 'unknown-mailbox',
      exit: exitCodes.notFound,
    })
    alice().reach.addedMax = 0
    expect(await failure('mailbox', 'add', mailboxText)).toMatchObject({ code: 'too-many' })
    expect((await miaou('--lang', 'fr', 'mailbox', 'add', 'x')).stderr).toMatch(/n’est pas l’adresse d’une boîte/)
  })

  test('info: the address to hand out, what is kept, the counters', async () => {
    expect((await miaou('mailbox', 'info')).stdout).toMatch(/^This Miaou is no mailbox\. To be one: miaou up --serve/)
    expect(await objects('mailbox info', 'mailbox', 'info')).toEqual([{}])
    alice().reach.changes = { serving: { ...servingMailbox(), ...serving() } }
    const shown = await miaou('mailbox-info')
    expect(shown.stdout).toMatch(/Address +M{21}A@wss:\/\/mail\.example\.org\nBoxes +12 of 1000\nMessages kept +340\n/)
    expect(shown.stdout).toMatch(/On disk +1,500,000 bytes of 10,000,000,000\nFor one box at most +67,108,864 bytes\n/)
    expect(shown.stdout).toMatch(/envelopes-accepted +2345/)
    expect(shown.stdout).not.toMatch(/token-spent/)
    expect(shown.stderr).toMatch(/They type: miaou mailbox add M{21}A@wss:\/\/mail\.example\.org/)
    expect(widest(shown.stdout)).toBeLessThanOrEqual(80)
    expect(await objects('mailbox info', 'mailbox', 'info')).toMatchObject([
      { mailbox: { address: mailboxText }, relay: { address: relayText } },
    ])
    expect((await miaou('--lang', 'fr', 'mailbox', 'info')).stdout).toMatch(/Messages gardés +340/)
    alice().reach.changes = { serving: servingMailbox(`${'M'.repeat(21)}A@ws://192.168.1.7:9999`) }
    expect((await miaou('mailbox', 'info')).stderr).toMatch(/only if they reach ws:\/\/192\.168\.1\.7:9999/)
  })

  test('[CLI22] --serve mailbox and --mailbox reach the host', async () => {
    const start = ['net', 'start', '--duration', '0']
    expect((await miaou(...start, '--serve', 'relay,mailbox', '--mailbox', otherMailboxText)).code).toBe(0)
    expect(alice().startedWith).toMatchObject({
      serve: { relay: {}, mailbox: {} },
      mailboxes: [mailboxEntry(otherMailboxText).mailbox],
    })
    expect((await miaou(...start, '--serve', 'mailbox')).code).toBe(0)
    expect(alice().startedWith?.serve).toEqual({ mailbox: {} })
  })

  test('[CLI23] up and net info: own mailboxes, the one that is served, or that there is none', async () => {
    expect((await miaou('net', 'info')).stdout).toMatch(/Mailboxes +none: messages for you wait at the sender only\n/)
    alice().reach.mailboxes = [mailboxEntry(mailboxText)]
    alice().reach.changes = { serving: servingMailbox(otherMailboxText) }
    for (const argv of [
      ['net', 'info'],
      ['net', 'start', '--duration', '0'],
    ]) {
      const { stdout } = await miaou(...argv)
      expect(stdout).toMatch(
        /Mailboxes +● +M{21}A@wss:\/\/mail\.example\.org {2}in use {2}31 ms\n +config\.json or command line, through a relay\n +2 waiting, /,
      )
      expect(stdout).toMatch(/Mailbox for others +-N{20}A@ws:\/\/203\.0\.113\.8:9999\n/)
    }
    const [ready] = await objects('net start', 'net', 'start', '--duration', '0')
    expect(ready).toMatchObject({ type: 'ready', mailbox: otherMailboxText })
    expect(await objects('net info', 'net', 'info')).toMatchObject([{ mailboxes: [{ mailbox: mailboxText }] }])
  })

  test('[CLI23] up tells when a mailbox begins and ceases to keep messages', async () => {
    alice().reach.mailboxes = [mailboxEntry(mailboxText, { state: 'connecting' })]
    let output = () => ''
    let interrupt: () => void = () => undefined
    const running = run(['up'], {
      onStart: (stop, read) => {
        interrupt = stop
        output = read
      },
    })
    await expect.poll(output).toMatch(/connecting …/)
    alice().reach.mailboxes = [mailboxEntry(mailboxText)]
    await expect.poll(output, { timeout: 10_000 }).toMatch(/kept at the mailbox M{21}A@\S+ while you are away/)
    alice().reach.mailboxes = [mailboxEntry(mailboxText, { state: 'unreachable', error: 'connection refused' })]
    await expect.poll(output, { timeout: 10_000 }).toMatch(/no longer keeps messages for you: connection refused/)
    interrupt()
    expect((await running).code).toBe(0)
  })

  test('[CLI26] net diagnostics: what each mailbox has, and what it means to have none', async () => {
    const none = await miaou('net', 'diagnostics')
    expect(none.stdout).toMatch(/mailbox .*messages for you wait at the sender only/)
    expect(none.stdout).toMatch(/To be written to while you are away: miaou mailbox add/)
    alice().reach.mailboxes = [
      mailboxEntry(mailboxText),
      mailboxEntry(otherMailboxText, { state: 'unreachable', error: 'connection refused' }),
    ]
    alice().reach.changes = { serving: servingMailbox() }
    const checks = await objects('net diagnostics', 'net', 'diagnostics')
    expect(checks).toEqual(
      expect.arrayContaining([
        expect.objectContaining({
          code: 'mailbox-registered',
          facts: { mailbox: mailboxText, count: 2, tokens: 1_920 },
        }),
        expect.objectContaining({ code: 'mailbox-unreachable', state: 'failed', advice: expect.any(String) }),
        expect.objectContaining({ code: 'serving-mailbox', state: 'ok' }),
      ]),
    )
  })
})

test('[CLI26] the diagnosis of a peer that only just started waits for its mailboxes to be named and to answer', async () => {
  alice().uptimeMs = 0
  const running = objects('net diagnostics', 'net', 'diagnostics')
  await expect.poll(() => alice().infoCount).toBeGreaterThan(2)
  alice().reach.mailboxes = [mailboxEntry(mailboxText, { state: 'connecting' })]
  alice().uptimeMs = 65_000
  const looks = alice().infoCount
  await expect.poll(() => alice().infoCount).toBeGreaterThan(looks + 2)
  alice().reach.mailboxes = [mailboxEntry(mailboxText)]
  expect(await running).toEqual(expect.arrayContaining([expect.objectContaining({ code: 'mailbox-registered' })]))
})

describe('[CLI28] states', () => {
  const until = 1_795_270_000_000
  const held = { state: 'held', reason: 'recipient-offline', heldBy: [holder(until + 60_000), holder(until)] } as const

  function holder(at: number): { mailbox: string; until: number } {
    return { mailbox: mailboxText.slice(0, 22), until: at }
  }

  /** What became of the message that is being sent, as soon as there is one. */
  async function become(change: Partial<MessageView>): Promise<void> {
    await expect.poll(() => alice().messages.length).toBeGreaterThan(0)
    const [message] = alice().messages
    if (message !== undefined) alice().changeMessage(message.id, change)
  }

  test('send ends 0 once mailboxes hold it, and says how many, until when, and what follows', async () => {
    bob.isRunning = false
    const running = miaou('send', 'Bob', 'hello', '--wait', '60')
    await become(held)
    const ran = await running
    expect(ran.code).toBe(exitCodes.ok)
    expect(ran.stdout).toBe(
      '◦ held by 2 mailboxes until 21 November 14:06\nIt is delivered as soon as they are online, whether or not Miaou runs here.\n',
    )
    expect((await miaou('history', 'Bob')).stdout).toMatch(/hello {2}◦ held by 2 mailboxes until 21 November 14:06\n/)
    expect((await miaou('--lang', 'fr', 'history', 'Bob')).stdout).toMatch(
      /◦ gardé par 2 boîtes aux lettres jusqu’au 21 novembre 14:06\n/,
    )
    expect(await objects('history', 'history', 'Bob')).toMatchObject([{ state: 'held', heldBy: [{}, { until }] }])
  })

  test('send --confirm waits for the receipt all the same', async () => {
    bob.isRunning = false
    const running = miaou('send', 'Bob', 'hello', '--wait', '3', '--confirm')
    await become(held)
    expect((await running).code).toBe(exitCodes.notDelivered)
    const confirmed = miaou('send', 'Bob', 'again', '--wait', '60', '--confirm')
    await expect.poll(() => alice().messages.length).toBe(2)
    const message = alice().messages.at(-1)
    if (message === undefined) throw new Error('no message')
    alice().changeMessage(message.id, held)
    alice().changeMessage(message.id, { state: 'delivered' })
    expect((await confirmed).code).toBe(exitCodes.ok)
  })

  test.each([
    [
      'no-mailbox',
      /waiting \(they are offline and use no mailbox: it goes out when both are online\)/,
      /n’ont pas de boîte/,
    ],
    ['no-prekeys', /gave no key for a first message/, /sans clé pour un premier message/],
    ['mailboxes-unreachable', /none of their mailboxes answers/, /aucune de ses boîtes/],
    ['mailboxes-full', /take no more for now/, /ne prennent plus rien/],
    ['key-changed', /a key of theirs changed: .*miaou contacts trust/, /une de ses clés a changé/],
  ] as const)('%s says what follows, in both languages', async (reason, english, french) => {
    bob.isRunning = false
    const running = miaou('send', 'Bob', 'hello', '--wait', '0.2')
    await become({ reason })
    expect((await running).stdout).toMatch(english)
    expect((await miaou('--lang', 'fr', 'history', 'Bob', '--full')).stdout).toMatch(french)
  })

  test('when it is tried next, where that is a minute ahead at least', async () => {
    bob.isRunning = false
    await miaou('send', 'Bob', 'hello', '--wait', '0')
    await become({ reason: 'mailboxes-unreachable', nextTryAt: 1_795_000_360_000 })
    expect((await miaou('history', 'Bob')).stdout).toMatch(/by itself; next try 11:12\)\n/)
    expect((await miaou('--lang', 'fr', 'history', 'Bob')).stdout).toMatch(/ ; prochain essai 11:12\)\n/)
    await become({ nextTryAt: 1_795_000_100_000 })
    expect((await miaou('history', 'Bob')).stdout).not.toMatch(/next try/)
  })

  test('what does not go out by itself is not said to', async () => {
    bob.isRunning = false
    const running = miaou('send', 'Bob', 'hello', '--wait', '0.2')
    await become({ reason: 'key-changed' })
    expect((await running).stdout).not.toMatch(/goes out by itself/)
  })
})

describe('[CLI29] notices', () => {
  test.each([
    [{ notice: 'session-renewed' }, /Session with Bob renewed; nothing is lost\./, /Session avec Bob renouvelée/],
    [{ notice: 'contact-restored' }, /A device of Bob came back from an older copy/, /d’une copie plus ancienne/],
    [
      { notice: 'copy-detected' },
      /older state \(Bob knows a later one\).*end one of the two/,
      /Bob en connaît un plus récent/,
    ],
    [{ notice: 'account-key-changed' }, /A key of Bob changed.*miaou contacts trust Bob/, /Une clé de Bob a changé/],
    [{ notice: 'session-key-changed' }, /A key of Bob changed: sending stopped/, /envoi arrêté/],
  ] as const)('%j: one line of recv --follow and of up, in both languages', async (notice, english, french) => {
    for (const [language, words] of [
      ['en', english],
      ['fr', french],
    ] as const) {
      let output = () => ''
      let interrupt: () => void = () => undefined
      const onStart: RunOptions['onStart'] = (stop, read) => {
        interrupt = stop
        output = read
      }
      const up = run(['--lang', language, 'up'], { onStart })
      await expect.poll(output).toMatch(/API|Interface/)
      await expect.poll(() => alice().listenerCount).toBeGreaterThan(0)
      alice().store({ type: 'notice', ...notice, account: bob.account })
      await expect.poll(output).toMatch(words)
      const line = output()
        .split('\n')
        .filter((shown) => words.test(shown))
      expect(line).toHaveLength(1)
      interrupt()
      await up
    }
  })

  test('recv --follow tells it beside the messages, on stderr', async () => {
    let interrupt: () => void = () => undefined
    const running = run(['recv', '--follow'], {
      onStart: (stop) => {
        interrupt = stop
      },
    })
    await expect.poll(() => alice().listenerCount).toBeGreaterThan(0)
    await expect.poll(() => alice().commands.filter(({ type }) => type === 'messages-list').length).toBeGreaterThan(0)
    alice().store({ type: 'notice', notice: 'copy-detected' })
    alice().receive(bob, 'hello')
    await expect.poll(() => alice().messages.at(-1)?.state).toBe('read')
    interrupt()
    const ran = await running
    expect(ran.stderr).toMatch(/This device seems to be a copy, or was set back to an older state; its keys/)
    expect(ran.stdout).toMatch(/Bob: hello\n$/)
    expect(ran.stdout).not.toMatch(/copy/)
  })
})

describe('[CLI30] contacts trust', () => {
  beforeEach(() => {
    alice().contacts.set(bob.account, { ...alice().makeContact(bob, 'contact'), changed: 'account-key' })
  })

  test('shows the safety number; nothing changes until the person says that it is the same', async () => {
    expect((await miaou('contacts')).stdout).toMatch(/Bob .*a key changed: sending stopped\n/)
    const shown = await miaou('contacts', 'trust', 'Bob')
    expect(shown.code).toBe(exitCodes.error)
    expect(shown.stdout).toMatch(/12345 67890[\s\S]*A key of Bob changed\.[\s\S]*Nothing is sent to Bob until/)
    expect(shown.stderr).toMatch(/miaou contacts trust Bob --yes\n$/)
    expect(await objects('contacts trust', 'contacts', 'trust', 'Bob')).toMatchObject([{ trusted: false }])
    expect(alice().contacts.get(bob.account)?.changed).toBe('account-key')
    const done = await miaou('contacts', 'trust', 'Bob', '--yes')
    expect([done.code, done.stdout]).toEqual([exitCodes.ok, expect.stringMatching(/Messages to Bob go out again\.\n$/)])
    expect(alice().contacts.get(bob.account)).not.toHaveProperty('changed')
  })

  test('where no key changed there is nothing to trust', async () => {
    expect(await objects('contacts trust', 'contacts', 'trust', 'Bob', '--yes')).toMatchObject([{ trusted: true }])
    const again = await miaou('--lang', 'fr', 'contacts', 'trust', 'Bob')
    expect([again.code, again.stdout]).toEqual([0, 'Aucune clé de Bob n’a changé : les messages partent.\n'])
    expect(await failure('contacts', 'trust', 'Nobody')).toMatchObject({ code: 'unknown-contact', exit: 4 })
  })
})

describe('[CLI31] requests, notes and reports', () => {
  test('a note goes with an invite and is shown with the request', async () => {
    await miaou('contacts', 'add', `miaou:invite/${bob.account}`, '--note', 'Alice from the choir')
    expect(bob.contacts.get(alice().account)?.note).toBe('Alice from the choir')
    expect(await failure('contacts', 'add', `miaou:invite/${bob.account}`, '--note', 'x'.repeat(281))).toMatchObject({
      code: 'bad-request',
      exit: exitCodes.usage,
    })
    expect((await miaou('contacts', 'add', 'x', '--note', 'x'.repeat(281))).stderr).toMatch(/--note: 281 > 280/)
    expect(await failure('contacts', 'add', bob.peerId, '--note', 'hello')).toMatchObject({ code: 'options-conflict' })
    expect((await miaou('contacts', 'requests')).stdout).toBe('Nobody waits for an answer.\n')
    alice().contacts.delete(bob.account)
    const request = { ...alice().makeContact(bob, 'request'), note: `Bob \u001b[31m${'word '.repeat(30)}end` }
    alice().contacts.set(bob.account, request)
    for (const argv of [['contacts'], ['contacts', 'requests']]) {
      const { stdout } = await miaou(...argv)
      expect(stdout).toMatch(/Bob .*wants to talk with you\n {2}“Bob ‹1B›\[31mword/)
      expect(widest(stdout)).toBeLessThanOrEqual(80)
    }
    expect((await miaou('contacts', 'requests')).stderr).toMatch(/accept <name>, block <name>, or report <name>/)
    expect((await miaou('--lang', 'fr', 'contacts', 'requests')).stdout).toMatch(/« Bob/)
    expect(await objects('contacts requests', 'contacts', 'requests')).toMatchObject([{ state: 'request' }])
  })

  test('report blocks, and says that it proves nothing', async () => {
    alice().receive(bob, 'an \u001b[31minsult')
    const shown = await miaou('contacts', 'report', 'Bob', '--reason', 'insults')
    expect(shown.code).toBe(exitCodes.ok)
    expect(shown.stdout).toMatch(
      /^Bob is blocked[\s\S]*proves nothing[\s\S]*insults[\s\S]*1 message of theirs:\n.*an ‹1B›\[31minsult/,
    )
    expect(alice().contacts.get(bob.account)?.state).toBe('blocked')
    expect((await miaou('--lang', 'fr', 'contacts', 'report', 'Bob')).stdout).toMatch(/ne prouve donc rien/)
    expect(await objects('contacts report', 'contacts', 'report', 'Bob')).toMatchObject([
      { account: bob.account, reason: '', messages: [{}] },
    ])
  })

  test('--out keeps it in a new file; where that cannot be, nobody is blocked', async () => {
    const file = join(folder, 'report.json')
    const ran = await miaou('contacts', 'report', 'Bob', '--out', file)
    expect(ran.stdout).toMatch(/The report is in .*report\.json\. .*proves nothing/)
    expect(JSON.parse(readFileSync(file, 'utf8'))).toMatchObject({ account: bob.account, messages: [] })
    expect(statSync(file).mode & 0o777).toBe(0o600)
    await miaou('contacts', 'unblock', 'Bob')
    expect(await failure('contacts', 'report', 'Bob', '--out', file)).toMatchObject({ code: 'bad-request' })
    expect(alice().contacts.get(bob.account)?.state).toBe('contact')
    const other = join(folder, 'other.json')
    expect(await failure('contacts', 'report', 'Nobody', '--out', other)).toMatchObject({ code: 'unknown-contact' })
    expect(existsSync(other)).toBe(false)
    const reason = 'x'.repeat(281)
    expect(await failure('contacts', 'report', 'Bob', '--reason', reason)).toMatchObject({ code: 'bad-request' })
    expect(alice().contacts.get(bob.account)?.state).toBe('contact')
  })
})

describe('[CLI32] settings of jitter and cover traffic', () => {
  test('are shown and set, in their bounds', async () => {
    expect(await objects('settings', 'settings')).toMatchObject([{ jitterMs: 20, coverTraffic: 'off' }])
    expect(await objects('settings', 'settings', 'jitter', '500')).toMatchObject([{ jitterMs: 500 }])
    expect(await objects('settings', 'settings', 'jitter-ms', 'off')).toMatchObject([{ jitterMs: 0 }])
    expect(await objects('settings', 'settings', 'coverTraffic', 'high')).toMatchObject([{ coverTraffic: 'high' }])
    for (const wrong of [
      ['jitterMs', '10001'],
      ['jitterMs', '-1'],
      ['jitterMs', ''],
      ['jitterMs', '1.5'],
      ['cover', 'some'],
    ]) {
      expect(await failure('settings', ...wrong), wrong.join(' ')).toMatchObject({ code: 'bad-request', exit: 2 })
    }
    expect((await miaou('--lang', 'fr', 'settings')).stdout).toMatch(/coverTraffic +high +leurres par jour : low 48/)
  })
})
