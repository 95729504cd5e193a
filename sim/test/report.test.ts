import { describe, expect, it } from 'vitest'
import { failuresOf, type ScenarioResult } from '../src/report/result.ts'
import { histogram, summarise } from '../src/report/samples.ts'
import { resultToSvg } from '../src/report/svg.ts'
import { resultToCsv, resultToText } from '../src/report/text.ts'

const result: ScenarioResult = {
  scenario: 'lookup',
  nodes: 1_000,
  seed: 1,
  cases: [
    {
      name: 'get <& "put", both',
      figures: [
        { name: 'found %', value: 99.95, digits: 1, goal: { at: 'least', bound: 99.9 } },
        { name: 'RPCs', value: 12.5, goal: { at: 'most', bound: 9 } },
      ],
      series: [
        { name: 'hops', unit: '', values: [1, 2, 2, 3] },
        { name: 'latency', unit: 'ms', values: [10, 20, 900] },
      ],
    },
    { name: 'empty', figures: [{ name: 'other', value: 1 }], series: [{ name: 'hops', unit: '', values: [] }] },
  ],
  trace: '0123456789abcdef',
  events: 12_345,
  checks: { transactions: 5 },
  violations: [{ check: 'transactions', at: 1.5, message: 'wrong' }],
}

describe('figures', () => {
  it('are summarised by rank, and zero where there is nothing', () => {
    expect(summarise([3, 1, 2, 4])).toEqual({ count: 4, mean: 2.5, p50: 3, p95: 4, p99: 4, max: 4 })
    expect(summarise([])).toEqual({ count: 0, mean: 0, p50: 0, p95: 0, p99: 0, max: 0 })
  })

  it('are binned with the tail in the last bin', () => {
    expect(histogram([0, 1, 5, 99], 2, 4)).toEqual([2, 2])
    expect(histogram([1], 3, 0)).toEqual([1, 0, 0])
  })

  it('that miss their goal and violations fail a run', () => {
    expect(failuresOf(result)).toEqual([
      'lookup, get <& "put", both: RPCs is 12.5, should be at most 9',
      'lookup: transactions: wrong',
    ])
  })
})

describe('reports', () => {
  it('the table is aligned and marks what was missed', () => {
    const lines = resultToText(result).split('\n')
    expect(lines[0]).toBe('lookup: 1,000 nodes, seed 1, trace 0123456789abcdef, 12,345 events')
    expect(lines[2]).toBe('lookup              found %    RPCs  other')
    expect(lines[3]).toBe('get <& "put", both    100.0  12.50!')
    expect(lines[4]).toBe('empty                                 1.00')
    expect(lines.join('\n')).toContain('violations: 1')
  })

  it('CSV is quoted where it must be', () => {
    expect(resultToCsv(result).split('\r\n')).toEqual([
      'scenario,nodes,seed,case,found %,RPCs,other',
      'lookup,1000,1,"get <& ""put"", both",99.95,12.5,',
      'lookup,1000,1,empty,,,1',
      '',
    ])
  })

  it('the picture is well formed, in two themes, and draws what has values', () => {
    const svg = resultToSvg(result)
    expect(svg).toContain('prefers-color-scheme:dark')
    expect(svg.match(/<polyline/g)).toHaveLength(2)
    expect(svg).toContain('get &lt;&amp; &quot;put&quot;, both')
    expect(svg).not.toMatch(/NaN|undefined|Infinity/)
    expect(svg.match(/<text/g)?.length).toBe(svg.match(/<\/text>/g)?.length)
  })
})
