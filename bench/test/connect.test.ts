import { describe, expect, it } from 'vitest'
import { allTests } from '../../lab/src/tests/all.ts'
import type { LabResult } from '../../lab/src/tests/lab-test.ts'
import {
  allPairs,
  canBeDirect,
  nameOfPair,
  type PairResult,
  parsePair,
  parsePairResult,
  shortPairs,
} from '../src/connect/pair.ts'
import { recoveryFigures } from '../src/connect/recovery.ts'
import { parseFigure } from '../src/connect/relay.ts'
import { machine, type Report, renderReport, replaceBetweenMarks } from '../src/connect/report.ts'
import { pairRows, ratioTo, recoveryRows, relayRows, spreadOf } from '../src/connect/rows.ts'
import { renderPairs, renderRows } from '../src/connect/table.ts'

function resultOf(rest: Partial<PairResult>): PairResult {
  return {
    type: 'pair',
    peer: 'miaou',
    round: 0,
    a: 'port',
    b: 'port',
    outcome: 'direct',
    way: 'webrtc',
    isFirstRelayed: true,
    firstMessageMs: 300,
    bestPathMs: 600,
    ...rest,
  }
}

function lostOf(rest: Partial<PairResult>): PairResult {
  return { type: 'pair', peer: 'miaou', round: 0, a: 'port', b: 'port', ...rest, outcome: 'no connection' }
}

describe('pairs', () => {
  it('are found by name, with a hyphen or a dash', () => {
    expect(parsePair('port-sym')).toEqual({ a: 'port', b: 'sym' })
    expect(parsePair('noudp–none')).toEqual({ a: 'noudp', b: 'none' })
    expect(parsePair('port')).toBeUndefined()
    expect(parsePair('port-symm')).toBeUndefined()
  })

  it('are all 36 in the long run, and those of the short one are among them', () => {
    expect(new Set(allPairs.map(nameOfPair)).size).toBe(36)
    expect(allPairs).toEqual(expect.arrayContaining([...shortPairs]))
  })

  it('can be direct unless a symmetric NAT meets a filter by port, or UDP is blocked', () => {
    const hopeless = allPairs.filter((pair) => !canBeDirect(pair)).map(nameOfPair)
    expect(hopeless.filter((name) => !name.includes('noudp'))).toEqual(['port–sym', 'sym–port', 'sym–sym'])
    expect(hopeless).toHaveLength(3 + 11)
  })
})

describe('what a world says', () => {
  it('is a result where every field is right', () => {
    const result = resultOf({ firstLinkMs: 120, fault: 'none' })
    expect(parsePairResult(result)).toEqual(result)
    expect(
      parsePairResult({ type: 'pair', peer: 'x', round: 1, a: 'sym', b: 'sym', outcome: 'no connection' }),
    ).toBeDefined()
  })

  it.each([
    'ready',
    null,
    {},
    { ...resultOf({}), type: 'figure' },
    { ...resultOf({}), peer: 3 },
    { ...resultOf({}), round: '1' },
    { ...resultOf({}), a: 'cone' },
    { ...resultOf({}), outcome: 'perhaps' },
    { ...resultOf({}), firstMessageMs: '300' },
    { ...resultOf({}), bestPathMs: Number.NaN },
    { ...resultOf({}), isFirstRelayed: 'yes' },
    { ...resultOf({}), way: 7 },
  ])('is none: %j', (value) => {
    expect(parsePairResult(value)).toBeUndefined()
  })

  it('of the relay is a figure or something else', () => {
    const line = '{"name":"memory","value":3,"unit":"MB","command":"x"}'
    expect(parseFigure(line)).toMatchObject({ name: 'memory', value: 3 })
    for (const other of [
      '',
      'listening',
      '3',
      'null',
      '{"name":"a","unit":"s"}',
      '{"name":"a","value":"1","unit":"s"}',
    ])
      expect(parseFigure(other)).toBeUndefined()
  })
})

describe('sums', () => {
  it('are median, least and most; nothing of nothing', () => {
    expect(spreadOf([9, 1, 5])).toEqual({ value: 5, least: 1, most: 9, samples: 3 })
    expect(spreadOf([])).toBeUndefined()
  })

  it('count who talked, and who talked directly where the NATs let them', () => {
    const [exchanged, direct] = pairRows([
      resultOf({}),
      resultOf({ a: 'sym', b: 'sym', outcome: 'relayed' }),
      resultOf({ peer: 'rival' }),
      lostOf({ peer: 'rival', a: 'sym', b: 'sym' }),
    ])
    expect(exchanged).toMatchObject({ own: { value: 2, samples: 2 }, isMet: true })
    expect(exchanged?.rivals).toMatchObject([{ peer: 'rival', spread: { value: 1, samples: 2 } }])
    expect(direct).toMatchObject({ own: { value: 1, samples: 1 }, isMet: true })
  })

  it('a pair of ours that did not connect misses the goal', () => {
    expect(pairRows([resultOf({}), lostOf({})])[0]).toMatchObject({ own: { value: 1, samples: 2 }, isMet: false })
  })

  it('take the first message over the relay from those turns alone in which a relay carried it', () => {
    const rows = pairRows([resultOf({}), resultOf({ a: 'none', b: 'none', isFirstRelayed: false, firstMessageMs: 50 })])
    const of = (label: string) => rows.find((row) => row.label.startsWith(label))
    expect(of('first message, where')?.own).toMatchObject({ value: 300, samples: 1 })
    expect(of('first message, by')?.own).toMatchObject({ value: 175, samples: 2 })
  })

  it('hold goals at the bound itself', () => {
    const bestOf = (bestPathMs: number) =>
      pairRows([resultOf({ bestPathMs })]).find(({ label }) => label === 'best path')
    expect(bestOf(2_000)?.isMet).toBe(true)
    expect(bestOf(2_001)?.isMet).toBe(false)
  })

  it('compare within one pair and one round, and where both have the figure', () => {
    const take = ({ firstMessageMs }: PairResult) => firstMessageMs
    const results = [
      resultOf({ round: 0, firstMessageMs: 100 }),
      resultOf({ round: 1, firstMessageMs: 200 }),
      resultOf({ round: 2, firstMessageMs: 100 }),
      resultOf({ peer: 'rival', round: 0, firstMessageMs: 50 }),
      resultOf({ peer: 'rival', round: 1, firstMessageMs: 800 }),
      lostOf({ peer: 'rival', round: 2 }),
      resultOf({ peer: 'rival', round: 3, firstMessageMs: 1 }),
      resultOf({ peer: 'rival', round: 0, a: 'sym', firstMessageMs: 1 }),
    ]
    expect(ratioTo(results, 'rival', take)).toBe((0.5 + 4) / 2)
    expect(ratioTo(results, 'nobody', take)).toBeUndefined()
  })

  it('take figures of scenarios that passed, and tell of those that failed', () => {
    const of = (passed: boolean, talkingAgainMs: number): LabResult => {
      return {
        name: 'relay dies silently',
        group: 'scenario',
        passed,
        seconds: 1,
        figures: passed ? { talkingAgainMs } : {},
      }
    }
    const [row] = recoveryRows([of(true, 900), of(false, 0), of(true, 1_100)])
    expect(row).toMatchObject({ own: { value: 1_000, samples: 2 }, isMet: true })
    expect(row?.note).toBe('relay dies silently: 1 of 3 failed')
    expect(recoveryRows([])).toEqual([])
  })

  it('ask the lab for scenarios that it has', () => {
    const names = allTests.map(({ name }) => name)
    expect(names).toEqual(expect.arrayContaining(recoveryFigures.map(({ scenario }) => scenario)))
  })

  it('tell the settings of one figure apart', () => {
    const figure = { name: 'memory', value: 3, unit: 'MB', goal: { atMost: 20 }, command: 'x' }
    const labels = relayRows([
      { ...figure, detail: 'one' },
      { ...figure, value: 30, detail: 'eight' },
      { ...figure, name: 'CPU', detail: 'UDP' },
    ])
    expect(labels.map(({ label, isMet, note }) => [label, isMet, note])).toEqual([
      ['memory (one)', true, undefined],
      ['memory (eight)', false, undefined],
      ['CPU', true, 'UDP'],
    ])
  })
})

describe('tables', () => {
  const cellsOf = (text: string) => text.split('\n').map((line) => line.split('|').map((cell) => cell.trim()))
  const results = [
    resultOf({ bestPathMs: 500 }),
    resultOf({ round: 1, bestPathMs: 700 }),
    resultOf({ peer: 'rival 1.0', bestPathMs: 1_200 }),
    lostOf({ peer: 'rival 1.0', round: 1 }),
  ]

  it('show goal, both figures with their spread, the ratio and the verdict', () => {
    const rows = cellsOf(renderRows(pairRows(results)))
    expect(rows[0]).toEqual(['', 'figure', 'goal', 'Miaou', 'rival 1.0', 'met', ''])
    expect(rows[2]).toEqual(['', 'pairs that exchanged a message', 'all', '2 of 2', '1 of 2', 'yes', ''])
    expect(rows.find(([, label]) => label === 'best path, ms')).toEqual([
      '',
      'best path, ms',
      '≤ 2,000 ms',
      '600 (500–700)',
      '1,200: × 2.40',
      'yes',
      '',
    ])
  })

  it('show every pair with what became of it', () => {
    const both = [...results, lostOf({ a: 'sym', b: 'sym', peer: 'rival 1.0' })]
    expect(cellsOf(renderPairs(both)).slice(2)).toEqual([
      ['', 'port–port', 'direct (webrtc), 300 / 600', 'direct (webrtc) or no connection, 300 / 1,200', ''],
      ['', 'sym–sym', '', 'no connection', ''],
    ])
  })

  it('stand in a document between their marks, and nowhere else', () => {
    const text = 'before\n<!-- connecting -->\nold\n<!-- end of connecting -->\nafter\n'
    expect(replaceBetweenMarks(text, 'new')).toBe(
      'before\n<!-- connecting -->\n\nnew\n\n<!-- end of connecting -->\nafter\n',
    )
    expect(replaceBetweenMarks('no marks', 'new')).toBeUndefined()
  })

  it('name the commit, the command, the load and the repeats', () => {
    const report: Report = {
      commit: 'abc1234',
      command: 'npm run bench:connect',
      date: '2026-01-02',
      machine,
      loadBefore: 0.25,
      loadAfter: 1.5,
      minutes: 12,
      repeats: 3,
      isShort: false,
      pairs: results,
      recovery: [],
      relay: [],
    }
    const text = renderReport(report)
    for (const part of [
      '`npm run bench:connect` at abc1234 on 2026-01-02',
      '12 minutes',
      '0.3 before, 1.5 after',
      'Medians of 3',
    ])
      expect(text).toContain(part)
    expect(text).not.toContain('short run')
    expect(renderReport({ ...report, isShort: true })).toContain('A short run')
  })
})
