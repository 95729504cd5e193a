import { describe, expect, it } from 'vitest'
import { directPath, natModes, natRules } from '../src/net/nat.ts'

describe('directPath', () => {
  it('[D13] leaves to relays what no hole can be made for: two symmetric NATs, or one and a port-restricted, or no UDP', () => {
    const relayed = natModes.flatMap((a) => natModes.filter((b) => directPath(a, b) === 'none').map((b) => `${a}–${b}`))
    expect(relayed).toEqual([
      'full–noudp',
      'addr–noudp',
      'port–sym',
      'port–noudp',
      'sym–port',
      'sym–sym',
      'sym–noudp',
      'noudp–full',
      'noudp–addr',
      'noudp–port',
      'noudp–sym',
      'noudp–noudp',
    ])
  })

  it('knows that TCP goes where UDP does not and one side has no NAT', () => {
    expect(directPath('none', 'noudp')).toBe('tcp')
    expect(directPath('noudp', 'none')).toBe('tcp')
  })

  it('is the same from both sides', () => {
    for (const a of natModes) for (const b of natModes) expect(directPath(a, b)).toBe(directPath(b, a))
  })
})

describe('natRules', () => {
  const rules = (mode: (typeof natModes)[number], ipv6 = false) => natRules({ wan: 'wan0', lan: 'lan0', mode, ipv6 })

  it('replaces what was there', () => {
    for (const mode of natModes) expect(rules(mode)).toMatch(/^flush ruleset/)
  })

  it('translates in every mode but none, and drops UDP in noudp alone', () => {
    for (const mode of natModes) {
      expect(rules(mode).includes('masquerade')).toBe(mode !== 'none')
      expect(rules(mode).includes('meta l4proto udp drop')).toBe(mode === 'noudp')
      expect(rules(mode).includes('fully-random')).toBe(mode === 'sym')
    }
  })

  it('never translates IPv6, and lets in only answers', () => {
    expect(rules('full', true)).toContain('ct state established,related accept\n    meta l4proto icmpv6 accept')
    expect(rules('full', true).split('table ip6')[1]).not.toContain('masquerade')
    expect(rules('none', true)).not.toContain('ip6')
  })
})
