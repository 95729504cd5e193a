import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { Household, hasPseudoTerminals, type Terminal, until } from '@miaou/testkit/processes'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'

// Two people at two terminals, as the README shows it. In CI a machine without `script` fails instead of passing over.
const isPossible = hasPseudoTerminals() || process.env['CI'] === 'true'
const passphrase = 'nine lives and a tail'
let house: Household

beforeEach(() => {
  house = new Household()
})

afterEach(() => house.end())

/** A newcomer's first start, up to the prompt; gives the invite on the screen. */
async function begin(terminal: Terminal, name: string): Promise<string> {
  await terminal.shows(/Welcome to Miaou/)
  await terminal.shows(/What shall others call you\?/)
  terminal.type(name)
  await terminal.shows(/New passphrase:/)
  terminal.type(passphrase)
  await terminal.shows(/Once more:/)
  terminal.type(passphrase)
  await terminal.shows(/24 words/)
  await terminal.shows(/Press Enter/)
  terminal.type('')
  await terminal.shows(new RegExp(`Hello ${name}`))
  const [invite] = await terminal.shows(/miaou:invite\/[\w-]+(?=\n)/)
  await terminal.shows(/\/help shows the rest/)
  return invite
}

/** What every orderly end leaves behind: the home is free and no address of an API stands in it. */
function isFree(name: string): boolean {
  return ['api.json', 'running.json'].every((file) => !existsSync(join(house.home(name), file)))
}

describe.skipIf(!isPossible)('miaou start on a terminal', () => {
  test('name, passphrase twice, 24 words; the invite pasted by another; both type and see; /quit', async () => {
    const alice = house.terminal('alice', ['start'])
    const invite = await begin(alice, 'Alice')
    // The words stand numbered on the screen, the passphrase nowhere, and nothing but the link is wider than 80.
    const table = alice.text.slice(alice.text.indexOf('whoever has them'))
    const numbered = [...table.matchAll(/(?<!\S)(\d\d?) ([a-z]{3,8})(?!\S)/g)].map(([, number]) => Number(number))
    expect(numbered.sort((a, b) => a - b)).toEqual(Array.from({ length: 24 }, (_, i) => i + 1))
    expect(alice.raw).not.toContain(passphrase)
    const lines = alice.text.split('\n')
    const code = lines.filter((line) => /[█▀▄]{4}/.test(line))
    expect(code.length).toBeGreaterThan(20)
    for (const line of code) expect([...line].length).toBeLessThanOrEqual(80)
    expect(lines.length).toBeLessThan(3 * 50)

    const bob = house.terminal('bob', ['start'])
    await begin(bob, 'Bob')
    bob.type(invite)
    await bob.shows(/Alice is a contact now/)
    await bob.shows(/— Alice —/)
    bob.type('Bonjour Alice 🐈')
    await bob.shows(/✓✓ (delivered|read) +Bonjour Alice 🐈/)
    await alice.shows(/— Bob —/)
    await alice.shows(/Bob: Bonjour Alice 🐈/)
    alice.type('Salut Bob')
    await bob.shows(/Alice: Salut Bob/)
    await alice.shows(/✓✓ read +Salut Bob/)

    // A state changes: it waits while Alice is away, and arrives when she is back.
    alice.type('/quit')
    expect(await alice.ended).toBe(0)
    expect(isFree('alice')).toBe(true)
    await bob.shows(/Connection with Alice closed/)
    bob.type('are you still there?')
    await bob.shows(/· waiting .*are you still there\?/)
    const again = house.terminal('alice', ['start'])
    await again.shows(/Passphrase:/)
    again.type('wrong')
    await again.shows(/Try again/)
    again.type(passphrase)
    await bob.shows(/✓✓ (delivered|read) +are you still there\?/)
    again.type('Bob')
    await again.shows(/Bob: are you still there\?/)
    bob.press('\u0003')
    expect(await bob.ended).toBe(0)
    again.type('/quit')
    expect(await again.ended).toBe(0)
  })

  test('two passphrases that differ are asked again; a low window gets no half of a code', async () => {
    const low = house.terminal('low', ['start', '--name', 'Low'], { rows: 24 })
    await low.shows(/New passphrase:/)
    low.type('one')
    await low.shows(/Once more:/)
    low.type('two')
    await low.shows(/not the same/)
    for (const question of [/New passphrase:/, /Once more:/]) {
      await low.shows(question)
      low.type('three')
    }
    await low.shows(/Press Enter/)
    low.type('')
    await low.shows(/miaou:invite\//)
    expect(low.text).not.toMatch(/[█▀▄]{4}/)
    await low.shows(/Nobody is here yet|on this network/)
    low.type('/quit')
    expect(await low.ended).toBe(0)
  })

  test('the second window of a home says how to be a second person', async () => {
    const first = house.terminal('alice', ['start', '--no-passphrase', '--name', 'Alice'])
    await first.shows(/Press Enter/)
    first.type('')
    await first.shows(/\/help shows the rest/)
    const second = house.terminal('alice', ['start'])
    await second.shows(/already running[\s\S]*npm start -- --profile bob/)
    expect(await second.ended).toBe(6)
    first.type('/quit')
    expect(await first.ended).toBe(0)
  })

  const endings = ['SIGINT', 'SIGTERM', 'hangup'] as const
  const moments = [
    ['while it looks around', /\/help shows the rest/],
    ['in the conversation', /Nobody is here yet|Type a number/],
  ] as const
  const cases = endings.flatMap((ending) => moments.map(([moment, sign]) => [ending, moment, sign] as const))

  test.each(cases)('%s %s ends it in good order', async (ending, _moment, sign) => {
    const terminal = house.terminal('alice', ['start', '--no-passphrase', '--name', 'Alice'])
    await terminal.shows(/Press Enter/)
    terminal.type('')
    await terminal.shows(sign)
    expect(isFree('alice')).toBe(false)
    await endAndExpectFree(terminal, ending)
  })

  test('a daemon whose terminal is closed ends in good order', async () => {
    const terminal = house.terminal('alice', ['up', '--no-passphrase', '--name', 'Alice'])
    await terminal.shows(/Press Enter/)
    terminal.type('')
    await terminal.shows(/Stop with Ctrl-C/)
    await endAndExpectFree(terminal, 'hangup')
  })

  async function endAndExpectFree(terminal: Terminal, ending: (typeof endings)[number]): Promise<void> {
    const { pid } = terminal
    if (pid === undefined) throw new Error('no process of miaou')
    if (ending === 'hangup') terminal.hangUp()
    else process.kill(pid, ending)
    const code = await terminal.ended
    if (ending !== 'hangup') expect(code).toBe(0)
    await until('the process to end', () => (existsSync(`/proc/${pid}`) ? undefined : true))
    expect(isFree('alice')).toBe(true)
  }
})
