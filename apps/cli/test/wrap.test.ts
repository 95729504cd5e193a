import { expect, test } from 'vitest'
import { wrapWords } from '../src/terminal/wrap.ts'

test('lines break at spaces, within the width, and lose no word', () => {
  const words = 'A passphrase keeps your messages closed on this machine. You need it each time Miaou starts.'
  const lines = wrapWords(words, 40).split('\n')
  expect(lines.every((line) => line.length <= 40)).toBe(true)
  expect(lines.join(' ')).toBe(words)
  expect(wrapWords('short', 40)).toBe('short')
})

test('an invite, a table and a QR code stay whole; an indent is kept', () => {
  const invite = `miaou:invite/${'x'.repeat(200)}`
  expect(wrapWords(invite, 40)).toBe(invite)
  const table = `${'id'.padEnd(30)}${'name'.padEnd(30)}`
  expect(wrapWords(table, 40)).toBe(table)
  const code = '█ ▄▄▄▄▄ █▀ '.repeat(6)
  expect(wrapWords(code, 40)).toBe(code)
  expect(wrapWords('  one two three', 9)).toBe('  one two\n  three')
})

test('a message is set under its first word, also where its writer put two spaces', () => {
  expect(wrapWords('14:05  bob: one  two three', 20)).toBe('14:05  bob: one  two\n       three')
  const soft = (words: string) => `\u001b[2m${words}\u001b[0m`
  expect(wrapWords(`${soft('2026-11-21 14:05')}  bob: one two`, 26)).toBe(
    `${soft('2026-11-21 14:05')}  bob: one\n${' '.repeat(18)}two`,
  )
})

test('colours have no width, wide characters have two columns', () => {
  expect(wrapWords('\u001b[31mone\u001b[0m two', 7)).toBe('\u001b[31mone\u001b[0m two')
  expect(wrapWords('🐈🐈 🐈🐈', 8)).toBe('🐈🐈\n🐈🐈')
})
