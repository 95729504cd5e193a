import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { canMount, Household, inMountNamespace } from '@miaou/testkit/processes'
import { exitCodes } from 'miaou'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

// Issue 2, "Bad input": a home that is damaged, closed or badly set up says what is wrong and what to do next, and a
// damaged one is told from a wrong passphrase.
const house = new Household()
const passphrase = 'nine lives and a tail'
const right = { environment: { MIAOU_PASSPHRASE: passphrase } }
const wrong = { environment: { MIAOU_PASSPHRASE: 'nine lives and a tale' } }
const messageCount = 30

interface Outcome {
  readonly exit: number | null
  readonly code: string
  readonly message: string
  readonly hint: string
  readonly stdout: string
}

/** Runs a command; its error, or empty words where there was none. */
async function outcome(name: string, argv: readonly string[], options = right): Promise<Outcome> {
  const ran = await house.run(name, ['--json', ...argv], options)
  const none = { code: '', message: '', hint: '' }
  const { error } = ran.code === 0 ? { error: none } : (JSON.parse(ran.stderr) as { error: typeof none })
  return { exit: ran.code, ...error, stdout: ran.stdout }
}

/** A copy of the prepared home with one thing changed. */
let copies = 0
function copy(): string {
  copies += 1
  const name = `copy-${copies}`
  cpSync(house.home('whole'), house.home(name), { recursive: true })
  return name
}

function flipBit(path: string, at: number): void {
  const bytes = readFileSync(path)
  bytes[at] = (bytes[at] ?? 0) ^ 0x10
  writeFileSync(path, bytes)
}

function expectDamaged(result: Outcome, what: string): void {
  expect(result, what).toMatchObject({ exit: exitCodes.home, code: 'home-damaged' })
  expect(result.hint).toMatch(/passphrase was not refused.*24 words/)
}

beforeAll(async () => {
  await outcome('whole', ['id', '--name', 'Minette'])
  await house.run('other', ['id', '--no-passphrase', '--name', 'Other'])
  const { stdout } = await house.run('other', ['invite'])
  const daemon = await house.start('whole', [], { protection: 'passphrase', ...right })
  await daemon.client.contacts.add({ invite: stdout.trim(), name: 'Other' })
  for (let i = 0; i < messageCount; i++) await daemon.client.messages.send('Other', `${i} ${'x'.repeat(2_000)}`)
  await daemon.stop()
})

afterAll(() => house.end())

describe('a wrong passphrase, and files with one wrong bit', () => {
  test('a wrong passphrase is called that', async () => {
    expect(await outcome('whole', ['up'], wrong)).toMatchObject({ exit: exitCodes.home, code: 'wrong-passphrase' })
  })

  test('each file of the keys: damaged with the right passphrase, and never opened', async () => {
    const files = readdirSync(join(house.home('whole'), 'keys'))
    expect(files.length).toBeGreaterThan(5)
    const unread: string[] = []
    for (const file of files) {
      const name = copy()
      const path = join(house.home(name), 'keys', file)
      flipBit(path, Math.floor(statSync(path).size * 0.7))
      const result = await outcome(name, ['net', 'info'])
      if (result.exit === 0) unread.push(file)
      else expectDamaged(result, file)
    }
    // The account's key and its capsule are needed for certifying devices only: a start does not touch them.
    expect(unread).toHaveLength(2)
  })

  test('the lock of the keys: every part of it', async () => {
    const file = 'keys/keyring-lock'
    const { size } = statSync(join(house.home('whole'), file))
    for (let at = 0; at < size; at += Math.ceil(size / 12)) {
      const name = copy()
      flipBit(join(house.home(name), file), at)
      const result = await outcome(name, ['net', 'info'])
      // A version byte that is changed may say that a newer Miaou wrote it; the passphrase is never blamed.
      expect(result, `byte ${at}`).toMatchObject({ exit: exitCodes.home })
      expect(['home-damaged', 'home-newer'], `byte ${at}`).toContain(result.code)
    }
  })

  test('files of the keys that are cut short, empty or gone', async () => {
    for (const spoil of [
      (path: string) => truncateSync(path, 20),
      (path: string) => truncateSync(path, 0),
      (path: string) => rmSync(path),
    ]) {
      const name = copy()
      const folder = join(house.home(name), 'keys')
      for (const file of readdirSync(folder)) if (file.startsWith('key-')) spoil(join(folder, file))
      expectDamaged(await outcome(name, ['net', 'info']), spoil.toString())
    }
  })

  test('the database: no wrong message is ever shown, and the passphrase is not blamed', async () => {
    const { size } = statSync(join(house.home('whole'), 'miaou.db'))
    expect(size).toBeGreaterThan(100_000)
    const offsets = [0, 16, 100, 4_096 + 50, size / 4, size / 2, (size * 3) / 4, size - 20].map(Math.floor)
    let damagedCount = 0
    for (const offset of offsets) {
      const name = copy()
      flipBit(join(house.home(name), 'miaou.db'), offset)
      const result = await outcome(name, ['history', 'Other', '--limit', '200'])
      if (result.exit === 0) {
        const texts = result.stdout
          .trim()
          .split('\n')
          .map((line) => (JSON.parse(line) as { text: string }).text)
        expect(texts, `byte ${offset}`).toEqual(
          Array.from({ length: messageCount }, (_, i) => `${i} ${'x'.repeat(2_000)}`),
        )
      } else {
        damagedCount += 1
        expect(['home-damaged', 'store-failed'], `byte ${offset}: ${result.message}`).toContain(result.code)
        expect(result.hint).not.toBe('')
      }
    }
    expect(damagedCount).toBeGreaterThan(2)
  })

  test('the database cut in half, or replaced by that of another home', async () => {
    const cut = copy()
    const path = join(house.home(cut), 'miaou.db')
    truncateSync(path, Math.floor(statSync(path).size / 2))
    expect(['home-damaged', 'store-failed']).toContain((await outcome(cut, ['history', 'Other'])).code)
    const swapped = copy()
    cpSync(join(house.home('other'), 'miaou.db'), join(house.home(swapped), 'miaou.db'))
    expectDamaged(await outcome(swapped, ['history', 'Other']), 'another database')
  })
})

describe('the place of a home', () => {
  test('config.json that is none: named, with the place in it, and without quoting what may be secret', async () => {
    const cases = [
      ['{', /JSON/],
      ['{"iceServers":[{"urls":"turn:a:1","username":"u","credential":"hunter2"}', /JSON/],
      ['[]', /object/],
      ['{"prot":9999}', /prot.*port/],
      ['{"port":"9999"}', /port.*65535/],
      ['{"port":70000}', /port/],
      ['{"loopbackOnly":"yes"}', /loopbackOnly/],
      ['{"iceServers":[{"urls":"http://example.org"}]}', /iceServers/],
    ] as const
    for (const [config, reason] of cases) {
      const name = copy()
      writeFileSync(join(house.home(name), 'config.json'), config)
      const result = await outcome(name, ['up'])
      expect(result, config).toMatchObject({ exit: exitCodes.home, code: 'bad-config' })
      expect(result.message).toContain(join(house.home(name), 'config.json'))
      expect(result.message).toMatch(reason)
      expect(result.message).not.toContain('hunter2')
      expect(result.hint).not.toBe('')
    }
  })

  test('a home that is a file', async () => {
    writeFileSync(house.home('file'), 'not a folder')
    const result = await house.run('whole', ['--json', '--home', house.home('file'), 'id', '--no-passphrase'])
    expect(result.code).toBe(exitCodes.home)
    expect(JSON.parse(result.stderr)).toMatchObject({ error: { code: 'home-unwritable' } })
  })

  test.skipIf(!canMount())('a home that is read-only', async () => {
    const name = copy()
    const home = house.home(name)
    const wrapper = inMountNamespace(`mount --bind '${home}' '${home}' && mount -o remount,bind,ro '${home}'`)
    for (const argv of [['up'], ['id']]) {
      const ran = await house.run(name, ['--json', ...argv], { ...right, wrapper })
      expect(ran.code, ran.stderr).toBe(exitCodes.home)
      const { error } = JSON.parse(ran.stderr) as { error: { code: string; hint: string } }
      expect(error.code).toBe('home-unwritable')
      expect(error.hint).toMatch(/permissions/)
    }
    // And one that is to be made where nothing can be written.
    mkdirSync(house.home('closed'))
    const closed = inMountNamespace(
      `mount --bind '${house.home('closed')}' '${house.home('closed')}' && mount -o remount,bind,ro '${house.home('closed')}'`,
    )
    const fresh = await house.run(
      'closed-inner',
      ['--json', '--home', join(house.home('closed'), 'inner'), 'id', '--no-passphrase'],
      {
        wrapper: closed,
      },
    )
    expect(JSON.parse(fresh.stderr)).toMatchObject({ error: { code: 'home-unwritable' } })
  })
})
