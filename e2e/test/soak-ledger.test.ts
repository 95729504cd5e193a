import { describe, expect, test } from 'vitest'
import { balance, type LedgerRow } from '../src/soak/ledger.ts'

const sound: LedgerRow = {
  from: 'ann',
  to: 'ben',
  accepted: ['one', 'two', 'three', 'four'],
  sent: [
    { text: 'one', state: 'read' },
    { text: 'two', state: 'delivered' },
    { text: 'three', state: 'held' },
    { text: 'four', state: 'expired' },
  ],
  received: ['one', 'two'],
}

describe('the ledger of a soak', () => {
  test('accepted is delivered, visibly pending or visibly ended', () => {
    expect(balance([sound])).toEqual({ accepted: 4, delivered: 2, pending: 1, ended: 1, findings: [] })
  })

  test('one that arrived before its receipt is pending and no finding', () => {
    expect(balance([{ ...sound, received: ['one', 'two', 'three'] }]).findings).toEqual([])
  })

  test.each([
    ['lost', { sent: sound.sent.slice(1), received: ['two'] }],
    ['untrue', { received: ['one'] }],
    ['doubled', { received: ['one', 'two', 'two'] }],
    ['order', { received: ['two', 'one'] }],
    ['unasked', { received: ['one', 'two', 'nine'] }],
  ] as const)('[planted] %s is found', (word, wrong) => {
    const { findings } = balance([{ ...sound, ...wrong }])
    expect(findings).not.toEqual([])
    expect(findings.every((line) => line.startsWith(word))).toBe(true)
  })
})
