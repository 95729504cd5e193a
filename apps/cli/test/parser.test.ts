import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { openApiDocument } from '../src/api/openapi-document.ts'
import { commandNames, toSpaced } from '../src/command-names.ts'
import { languageOf } from '../src/context.ts'
import { editDistance, suggest } from '../src/peer/suggest.ts'
import { qrCode } from '../src/terminal/qr.ts'
import { sanitise, sanitiseLine } from '../src/terminal/sanitise.ts'
import { runCli } from './cli-runner.ts'
import { FakeNetwork, fakeHost } from './fake-peer.ts'

const host = fakeHost(new FakeNetwork())

describe('spellings', () => {
  test('each hyphenated command is the documented one', () => {
    for (const [hyphenated, spaced] of commandNames) {
      expect(toSpaced([hyphenated, 'x', '-l', '2'])).toEqual([...spaced, 'x', '-l', '2'])
      expect(toSpaced(['--home', 'net-start', '--json', hyphenated])).toEqual([
        '--home',
        'net-start',
        '--json',
        ...spaced,
      ])
    }
    expect(toSpaced(['net', 'unified', 'list-peers'])).toEqual(['net', 'list-peers', '--follow'])
    expect(toSpaced(['contacts', 'verify', 'Bob'])).toEqual(['contacts', 'verify', 'Bob'])
    expect(toSpaced(['send', 'Bob', 'net-start'])).toEqual(['send', 'Bob', 'net-start'])
    expect(toSpaced([])).toEqual([])
  })

  test('both spellings of every command have help with an example, in both languages', async () => {
    const names = [
      ...commandNames.flatMap(([hyphenated, spaced]) => [[hyphenated], spaced.filter((word) => !word.startsWith('-'))]),
      ...[
        'start',
        'up',
        'id',
        'recover',
        'rename',
        'invite',
        'settings',
        'contacts',
        'send',
        'recv',
        'history',
        'search',
        'chat',
        'export',
        'sign',
        'verify',
      ].map((name) => [name]),
    ]
    for (const name of names) {
      for (const [language, title] of [
        ['en', 'Examples:'],
        ['fr', 'Exemples :'],
      ] as const) {
        const ran = await runCli(host, ['--lang', language, ...name, '--help'])
        expect(ran.code, name.join(' ')).toBe(0)
        expect(ran.stdout, name.join(' ')).toContain(title)
        expect(ran.stdout).toMatch(/\n {2}(date \| )?miaou /)
      }
    }
  })

  test('what does not exist is a usage error', async () => {
    for (const argv of [
      ['dance'],
      ['net', 'dance'],
      ['id', '--nope'],
      ['up', '--port', 'x'],
      ['history', 'Bob', '--limit', '201'],
      ['sign', 'k'],
    ]) {
      const ran = await runCli(host, ['--lang', 'en', ...argv])
      expect(ran.code, argv.join(' ')).toBe(2)
      expect(ran.stderr).toMatch(/error:/)
    }
  })
})

test('the committed OpenAPI document is the one the table makes', async () => {
  const committed: unknown = JSON.parse(readFileSync(new URL('../../../spec/openapi.json', import.meta.url), 'utf8'))
  expect(JSON.parse(JSON.stringify(await openApiDocument()))).toEqual(committed)
})

test('an old Node gets one clear line', () => {
  const bin = fileURLToPath(new URL('../bin/miaou.js', import.meta.url))
  const source = readFileSync(bin, 'utf8')
  expect(source).not.toMatch(/^\s*(import\s+[^(]|export\s)|\bconst\b|\blet\b|\?\.|\?\?|`/m)
  const old = spawnSync(process.execPath, [
    '--input-type=module',
    '--eval',
    `Object.defineProperty(process.versions, 'node', { value: '20.11.1' }); await import(${JSON.stringify(bin)})`,
  ])
  expect(old.stderr.toString()).toMatch(/^Miaou needs Node >= 22\.18, this is 20\.11\.1\. [^\n]*\n$/)
  expect(old.status).toBe(1)
})

describe('did you mean', () => {
  test('swaps, gaps and doubles count one', () => {
    expect(editDistance('Bob', 'Bbo')).toBe(1)
    expect(editDistance('Alice', 'Alce')).toBe(1)
    expect(editDistance('Alice', 'Allice')).toBe(1)
    expect(editDistance('', 'abc')).toBe(3)
  })

  test('is a metric as far as people care', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 12 }), fc.string({ maxLength: 12 }), (a, b) => {
        expect(editDistance(a, b)).toBe(editDistance(b, a))
        expect(editDistance(a, b) === 0).toBe(a === b)
        expect(editDistance(a, b)).toBeLessThanOrEqual(Math.max(a.length, b.length))
      }),
    )
  })

  test('offers the nearest few, nothing far away', () => {
    expect(suggest('alcie', ['Alice', 'Bob', 'Alicia'], 3)).toEqual(['Alice'])
    expect(suggest('Zacharias', ['Alice', 'Bob'], 3)).toEqual([])
  })
})

describe('what others wrote', () => {
  test('nothing of it reaches the terminal as a command', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 60 }), (text) => {
        // biome-ignore lint/suspicious/noControlCharactersInRegex: looking for exactly those
        expect(sanitise(text)).not.toMatch(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/u)
        expect(sanitiseLine(text)).not.toMatch(/[\n\t]/)
      }),
    )
  })

  test('ordinary text in every script stays as it is', () => {
    for (const text of ['Zoé ❤️', 'שלום', 'नमस्ते', '👩‍👩‍👧', 'a\nb']) expect(sanitise(text)).toBe(text)
    expect(sanitiseLine('a\r\nb\tc')).toBe('a⏎b c')
  })
})

test('a QR code is drawn where it fits and left out where it does not', () => {
  const code = qrCode(`miaou:invite/${'A'.repeat(280)}`, 80)
  expect(code).toBeDefined()
  for (const line of code?.split('\n') ?? []) expect([...line].length).toBeLessThanOrEqual(80)
  expect(qrCode('x'.repeat(280), 40)).toBeUndefined()
})

test('the locale chooses the language', () => {
  const language = (env: Record<string, string>) => languageOf({ env })
  expect(language({})).toBe('en')
  expect(language({ LANG: 'fr_CA.UTF-8' })).toBe('fr')
  expect(language({ LANG: 'fr_FR', LC_ALL: 'en_GB' })).toBe('en')
  expect(language({ LANG: 'de_DE' })).toBe('en')
})
