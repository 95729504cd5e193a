import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { formatDay, formatDuration, formatTime, formatTimestamp, isSameDay } from '../src/index.ts'

const november = Date.UTC(2026, 10, 28, 23, 5)

describe('dates and times', () => {
  test('agree with the calendar of the platform, over four centuries and every zone', () => {
    const zones = fc.integer({ min: -12 * 60, max: 14 * 60 })
    const times = fc.integer({ min: Date.UTC(1800, 0, 1), max: Date.UTC(2200, 0, 1) })
    fc.assert(
      fc.property(times, zones, (ms, offset) => {
        const expected = new Date(ms + offset * 60_000).toISOString()
        expect(formatTimestamp(ms, offset)).toBe(`${expected.slice(0, 10)} ${expected.slice(11, 16)}`)
      }),
    )
  })

  test('days in words', () => {
    expect(formatDay('en', november, 0, november)).toBe('28 November')
    expect(formatDay('fr', november, 0, november)).toBe('28 novembre')
    expect(formatDay('fr', november, 60, november)).toBe('29 novembre')
    expect(formatDay('fr', Date.UTC(2027, 7, 1), 0, november)).toBe('1er août 2027')
    expect(formatTime(november, 0)).toBe('23:05')
    expect(isSameDay(november, november + 3_600_000, 0)).toBe(false)
    expect(isSameDay(november, november + 3_600_000, 120)).toBe(true)
  })

  test('durations', () => {
    expect(formatDuration('en', 0)).toBe('0 s')
    expect(formatDuration('en', 45_000)).toBe('45 s')
    expect(formatDuration('en', 3_600_000)).toBe('1 h')
    expect(formatDuration('en', 11_520_000)).toBe('3 h 12 min')
    expect(formatDuration('fr', 187_200_000)).toBe('2 j 4 h')
  })
})
