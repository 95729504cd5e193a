import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  closeReasonSchema,
  diagnosticCodes,
  diagnosticSchema,
  errorKinds,
  messageStateSchema,
  stateReasonSchema,
} from '@miaou/sdk'
import { describe, expect, test } from 'vitest'
import { createText, formatNumber, isOne, type Language, type Phrase, phrases } from '../src/index.ts'

const languages: readonly Language[] = ['en', 'fr']
const keys = Object.keys(phrases.en)

function texts(phrase: Phrase): string[] {
  return typeof phrase === 'string' ? [phrase] : [phrase.one, phrase.other]
}

function places(phrase: Phrase): string[] {
  return [
    ...new Set(texts(phrase).flatMap((text) => [...text.matchAll(/\{(\w+)\}/g)].map(([, name]) => name ?? ''))),
  ].sort()
}

/** Every text of the sources that show phrases. */
function sources(): string {
  const root = new URL('../../../', import.meta.url).pathname
  const folders = ['apps', 'packages/host-node/src', 'packages/host-browser/src', 'packages/text/src/text.ts']
  const read = (path: string): string[] => {
    if (/\.tsx?$/.test(path)) return [readFileSync(path, 'utf8')]
    const entries = readEntries(path).filter((name) => name !== 'node_modules' && name !== 'dist' && name !== 'test')
    return entries.flatMap((name) => read(join(path, name)))
  }
  return folders.flatMap((folder) => read(join(root, folder))).join('\n')
}

function readEntries(path: string): string[] {
  try {
    return readdirSync(path)
  } catch {
    return []
  }
}

describe('both languages', () => {
  test('have the same keys, none of them empty', () => {
    expect(Object.keys(phrases.fr).sort()).toEqual([...keys].sort())
    for (const language of languages) {
      for (const [key, phrase] of Object.entries(phrases[language])) {
        expect(
          texts(phrase).every((text) => text.trim() !== ''),
          `${language} ${key}`,
        ).toBe(true)
      }
    }
  })

  test('fill the same places', () => {
    const differing = Object.entries(phrases.en).filter(([key, phrase]) => {
      const french = Object.entries(phrases.fr).find(([other]) => other === key)?.[1]
      return french === undefined || places(french).join() !== places(phrase).join()
    })
    expect(differing).toEqual([])
  })

  test('speak without shouting', () => {
    for (const language of languages) {
      for (const [key, phrase] of Object.entries(phrases[language])) {
        expect(texts(phrase).join(' '), `${language} ${key}`).not.toMatch(/!/)
      }
    }
  })
})

describe('words for every code', () => {
  const errorKeys = keys.filter((key) => key.startsWith('error.'))

  test('each error of the API says what happened and what to do', () => {
    for (const code of Object.keys(errorKinds)) {
      expect(errorKeys, code).toContain(`error.${code}`)
      expect(errorKeys, code).toContain(`error.${code}.hint`)
    }
  })

  test('no words for a code that does not exist, no place that the code has no fact for', () => {
    for (const key of errorKeys) {
      const code = key.replace(/^error\./, '').replace(/\.(hint|suggest)$/, '')
      const kind = Object.entries(errorKinds).find(([known]) => known === code)?.[1]
      expect(kind, key).toBeDefined()
      const phrase = Object.entries(phrases.en).find(([known]) => known === key)?.[1] ?? ''
      expect(kind?.facts, key).toEqual(expect.arrayContaining(places(phrase)))
    }
  })

  test('each finding of the diagnosis has words, in the places that its facts fill; advice is for findings', () => {
    const codes = Object.keys(diagnosticCodes)
    const written = keys.filter((key) => key.startsWith('check.'))
    expect(written.sort()).toEqual(codes.map((code) => `check.${code}`).sort())
    const english: Readonly<Record<string, Phrase>> = phrases.en
    for (const [code, facts] of Object.entries<readonly string[]>(diagnosticCodes)) {
      const used = [`check.${code}`, `advice.${code}`].flatMap((key) => places(english[key] ?? ''))
      expect(facts, code).toEqual(expect.arrayContaining(used))
    }
    for (const key of keys.filter((known) => known.startsWith('advice.'))) {
      expect(codes, key).toContain(key.slice('advice.'.length))
    }
  })

  test.each([
    ['state', messageStateSchema.options],
    ['reason', stateReasonSchema.options],
    ['close', closeReasonSchema.options],
    ['diagnosis', diagnosticSchema.shape.state.options],
  ])('each %s has words, and nothing else has', (prefix, names) => {
    const written = keys.filter((key) => key.startsWith(`${prefix}.`))
    expect(written.sort()).toEqual(names.map((name) => `${prefix}.${name}`).sort())
  })
})

test('every phrase is used somewhere', () => {
  const text = sources()
  // Looked up by a code at run time; the tests above hold their lists complete.
  const isLookedUp = (key: string) => /^(error|state|reason|close|diagnosis|check|advice)\./.test(key)
  const unused = keys.filter((key) => !isLookedUp(key) && !text.includes(`'${key}'`))
  expect(unused).toEqual([])
})

describe('the diagnosis', () => {
  test('says what a symmetric router means and what to do, in both languages', () => {
    const [english, french] = [createText('en'), createText('fr')]
    expect(english.finding('nat-symmetric', {})).toMatch(/another port \(symmetric\).*through a relay, encrypted\.$/)
    expect(english.advice('nat-symmetric', {})).toMatch(/^To do better:/)
    expect(french.finding('nat-symmetric', {})).toMatch(/symétrique/)
    expect(french.advice('nat-symmetric', {})).toMatch(/^Pour faire mieux/)
  })

  test('numbers are written as the language does; where nothing is to be done there is no advice', () => {
    const facts = { relay: 'wss://r', downMbps: 12.5, upMbps: 1 }
    expect(createText('fr').finding('bandwidth-measured', facts)).toMatch(/^12,5 Mbit\/s en descente/)
    expect(createText('en').advice('bandwidth-measured', facts)).toBeUndefined()
  })

  test('a code of a later version reads as its detail, cleaned', () => {
    const text = createText('en', (words) => words.toUpperCase())
    expect(text.finding('nat-of-tomorrow', { detail: 'odd' })).toBe('ODD')
    expect(text.advice('nat-of-tomorrow', {})).toBeUndefined()
  })
})

describe('filling', () => {
  test('numbers, plurals and places', () => {
    const [english, french] = [createText('en'), createText('fr')]
    expect(english('peers.count', { count: 1 })).toBe('1 peer')
    expect(english('peers.count', { count: 0 })).toBe('0 peers')
    expect(french('peers.count', { count: 0 })).toBe('0 pair')
    expect(french('peers.count', { count: 2 })).toBe('2 pairs')
    expect(english('peers.count', { count: 12_345 })).toBe('12,345 peers')
    expect(french('peers.count', { count: 12_345 })).toBe('12\u202f345 pairs')
    expect(isOne('fr', 1)).toBe(true)
    expect([formatNumber('en', 9999), formatNumber('fr', 1.5), formatNumber('en', -1234567)]).toEqual([
      '9999',
      '1,5',
      '-1,234,567',
    ])
  })

  test('what others wrote is cleaned, our own words are not', () => {
    const text = createText('en', (words) => words.toUpperCase())
    expect(text('contacts.added', { name: 'bob' })).toBe('BOB is a contact now.')
  })

  test('an error with suggestions offers them; an unknown code is a mistake of ours', () => {
    const text = createText('en')
    const { message, hint } = text.error('unknown-contact', { account: 'Bbo', suggestions: ['Bob', 'Bo'] })
    expect(message).toContain('Bbo')
    expect(hint).toMatch(/^Did you mean Bob, Bo\?/)
    expect(text.error('unknown-contact', { account: 'x', suggestions: [] }).hint).not.toMatch(/Did you mean/)
    expect(text.error('refused', { reason: 'shutdown' }).message).toBe(
      'The other side closed the connection: their Miaou stopped.',
    )
    expect(text.error('nope', {})).toEqual(text.error('internal', {}))
  })
})
