import { describe, expect, it } from 'vitest'
import { median } from '../src/median.ts'
import { renderTables } from '../src/tables.ts'
import { allTests } from '../src/tests/all.ts'
import type { LabResult } from '../src/tests/lab-test.ts'

const pair = (name: string, figures: LabResult['figures'], passed = true): LabResult => ({
  name,
  group: 'matrix',
  passed,
  seconds: 1,
  figures,
})

describe('tables of the lab', () => {
  it('shows a pair by its path and times, one that failed as failed, and one that did not run as a dash', () => {
    const table = renderTables([
      pair('none–port', { path: 'direct', transport: 'webrtc', firstMessageMs: 100, bestPathMs: 300 }),
      pair('none–noudp', { path: 'direct', transport: 'websocket', firstMessageMs: 90, bestPathMs: 80 }),
      pair('sym–sym', {}, false),
    ])
    expect(table).toContain('| **none** | – | – | – | direct, 100 / 300 | – | direct (TCP), 90 / 80 |')
    expect(table).toContain('| **sym** | – | – | – | – | **failed** | – |')
    expect(table).toContain('2 of 3 pairs')
  })

  it('takes the middle of an odd number of figures, and the mean of the two middle ones of an even number', () => {
    expect(median([9, 1, 5])).toBe(5)
    expect(median([4, 1, 2, 9])).toBe(3)
    expect(median([])).toBeNaN()
  })
})

describe('the tests of the lab', () => {
  it('have names of their own', () => {
    const names = allTests.map(({ name }) => name)
    expect(new Set(names).size).toBe(names.length)
  })

  it('hold all 36 pairs', () => {
    expect(allTests.filter(({ group }) => group === 'matrix')).toHaveLength(36)
  })
})
