import { describe, expect, it } from 'vitest'
import { Vocabulary } from '../src/mailbox/large-store.ts'
import { type Report, renderReport, replaceBetweenMarks } from '../src/mailbox/report.ts'

const report: Report = {
  command: 'npm run bench:mailbox',
  date: '2026-01-02',
  loadBefore: 0.25,
  loadAfter: 1.5,
  minutes: 3,
  isShort: false,
  figures: [
    {
      name: 'deposits',
      value: 6_000,
      min: 5_500,
      max: 7_000,
      rounds: 3,
      unit: '1/s',
      goal: { atLeast: 5_000 },
      command: '',
      detail: 'all',
    },
    { name: 'open', value: 600, unit: 'ms', goal: { atMost: 500 }, command: '' },
    { name: 'bytes', value: 12, unit: 'bytes', command: '' },
  ],
}

describe('figures of mailboxes', () => {
  it('stand in a table with their goals, and what they are below it', () => {
    const lines = renderReport(report).split('\n')
    expect(
      lines.filter((line) => line.startsWith('| `')).map((line) => line.split('|').map((cell) => cell.trim())),
    ).toEqual([
      ['', '`deposits`, 1/s', '≥ 5,000', '6,000 (5,500–7,000)', '3', 'yes', ''],
      ['', '`open`, ms', '≤ 500', '600', '', 'NO', ''],
      ['', '`bytes`, bytes', '', '12.0', '', '', ''],
    ])
    expect(lines.at(-1)).toBe('- `deposits`: all')
    expect(lines.join(' ')).toContain('load of the last minute 0.3 before, 1.5 after')
  })

  it('stand in a document between their marks, and nowhere else', () => {
    const text = 'before\n<!-- mailboxes -->\nold\n<!-- end of mailboxes -->\nafter\n'
    expect(replaceBetweenMarks(text, 'new')).toBe(
      'before\n<!-- mailboxes -->\n\nnew\n\n<!-- end of mailboxes -->\nafter\n',
    )
    expect(replaceBetweenMarks('no marks', 'new')).toBeUndefined()
  })
})

describe('the vocabulary of the large store', () => {
  it('is the same each time, and its first words are the commonest', () => {
    const [one, other] = [new Vocabulary(1_000), new Vocabulary(1_000)]
    expect(one.words).toEqual(other.words)
    expect(new Set(one.words).size).toBe(1_000)
    const written = Array.from({ length: 2_000 }, () => one.sentence()).flatMap((sentence) => sentence.split(' '))
    const countOf = (rank: number): number => written.filter((word) => word === one.words[rank]).length
    expect(countOf(0)).toBeGreaterThan(countOf(10))
    expect(countOf(10)).toBeGreaterThan(countOf(500))
  })
})
