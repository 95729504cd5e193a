import { describe, expect, it } from 'vitest'
import type { Observation } from '../src/net/agent-words.ts'
import { classify } from '../src/tests/self-test.ts'

const own = '192.168.1.11'
const outside = (port: number) => ({ address: '203.0.113.101', port })
const observation = (changes: Partial<Observation>): Observation => ({
  mapped: [outside(7), outside(7), outside(7), outside(7)],
  fromOtherAddress: false,
  fromOtherPort: false,
  arrived: 7,
  ...changes,
})

describe('classify', () => {
  it('[D12] tells the mapping by whether the outside port changes', () => {
    expect(classify(observation({}), own)['mapping']).toBe('endpoint-independent')
    const changing = [outside(7), outside(8), outside(9), outside(10)]
    expect(classify(observation({ mapped: changing }), own)['mapping']).toBe('address-and-port-dependent')
    expect(classify(observation({}), '203.0.113.101')['mapping']).toBe('none')
  })

  it('[D12] tells the filter by who may answer', () => {
    expect(classify(observation({}), own)['filtering']).toBe('address-and-port-dependent')
    expect(classify(observation({ fromOtherPort: true }), own)['filtering']).toBe('address-dependent')
    const open = observation({ fromOtherPort: true, fromOtherAddress: true })
    expect(classify(open, own)['filtering']).toBe('endpoint-independent')
  })

  it('calls it blocked when nothing arrived', () => {
    expect(classify(observation({ arrived: 0 }), own)).toEqual({ udp: 'blocked' })
  })
})
