import { isIP } from 'node:net'
import {
  type AddressScope,
  addressScope,
  type Endpoint,
  endpointScope,
  formatEndpoint,
  isLoopback,
  isPrivate,
  isPublic,
  packAddress,
  packEndpoint,
  parseEndpoint,
  unpackEndpoint,
} from '@miaou/protocol'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

const port = fc.integer({ min: 1, max: 65_535 })
const ipv4 = fc.ipV4()
/** Addresses with runs of zeros, in every position. */
const groups = fc.array(fc.oneof(fc.constant(0), fc.nat(0xffff), fc.nat(15)), { minLength: 8, maxLength: 8 })
const ipv6 = groups.map((parts) => parts.map((part) => part.toString(16)).join(':'))

/** The URL parser's spelling of an IPv6 address, which follows RFC 5952 too: an oracle that is not ours. */
function urlSpelling(address: string): string {
  return new URL(`http://[${address}]/`).hostname.slice(1, -1)
}

function scopeOf(host: string): AddressScope | undefined {
  return endpointScope({ host, port: 1 })
}

describe('text of endpoints', () => {
  test.each([
    ['203.0.113.5:4000', { host: '203.0.113.5', port: 4000 }],
    ['127.0.0.1:1', { host: '127.0.0.1', port: 1 }],
    ['[2001:db8::1]:65535', { host: '2001:db8::1', port: 65_535 }],
    ['[::1]:4000', { host: '::1', port: 4000 }],
  ])('[O2] %s', (text, endpoint) => {
    expect(parseEndpoint(text)).toEqual(endpoint)
    expect(formatEndpoint(endpoint)).toBe(text)
  })

  test.each([
    ['2001:DB8:0:0:0:0:0:1', '2001:db8::1'],
    ['2001:0db8::0001', '2001:db8::1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['2001:db8::0:1', '2001:db8::1'],
    ['2001:0:0:1:0:0:0:1', '2001:0:0:1::1'],
    ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['2001:db8:1:2:3:4:5::', '2001:db8:1:2:3:4:5:0'],
    ['2001:db8::', '2001:db8::'],
    ['2001:db8::192.0.2.1', '2001:db8::c000:201'],
    ['::ffff:203.0.113.5', '203.0.113.5'],
    ['::FFFF:cb00:7105', '203.0.113.5'],
    ['0:0:0:0:0:ffff:203.0.113.5', '203.0.113.5'],
  ])('[O2] %s is written %s', (spelling, canonical) => {
    expect(parseEndpoint(`[${spelling}]:7`)).toEqual({ host: canonical, port: 7 })
  })

  test.each([
    '',
    ':',
    '203.0.113.5',
    '203.0.113.5:',
    ':4000',
    '203.0.113.5:0',
    '203.0.113.5:65536',
    '203.0.113.5:04000',
    '203.0.113.5:+400',
    '203.0.113.5:4e3',
    '203.0.113.5:4000 ',
    ' 203.0.113.5:4000',
    '203.0.113:4000',
    '203.0.113.5.6:4000',
    '203.0.113.256:4000',
    '203.0.113.05:4000',
    '203.0.113.:4000',
    '0xcb.0.113.5:4000',
    '[203.0.113.5]:4000',
    'example.org:4000',
    '2001:db8::1:4000',
    '[2001:db8::1]',
    '[2001:db8::1]4000',
    '[2001:db8::1:4000',
    '2001:db8::1]:4000',
    '[2001:db8::1%eth0]:4000',
    '[fe80::1%1]:4000',
    '[2001:db8:::1]:4000',
    '[2001::db8::1]:4000',
    '[:2001:db8::1]:4000',
    '[2001:db8::1:]:4000',
    '[1:2:3:4:5:6:7]:4000',
    '[1:2:3:4:5:6:7:8:9]:4000',
    '[1:2:3:4::5:6:7:8]:4000',
    '[20011:db8::1]:4000',
    '[2001:db8::g]:4000',
    '[2001:db8::203.0.113]:4000',
    '[2001:db8::203.0.113.5:1]:4000',
    '[1:2:3:4:5:6:7:203.0.113.5]:4000',
    `[${'0'.repeat(50)}::1]:4000`,
  ])('[O2] %j is refused', (text) => {
    expect(parseEndpoint(text)).toBeUndefined()
  })

  test('[O2] any IPv4 endpoint comes back from its text', () => {
    fc.assert(
      fc.property(ipv4, port, (host, port) => {
        const parsed = parseEndpoint(`${host}:${port}`)
        if (scopeOf(host) === undefined) expect(parsed).toBeUndefined()
        else expect(parsed).toEqual({ host, port })
      }),
    )
  })

  test('[O2] any IPv6 address is spelled as the URL parser spells it', () => {
    fc.assert(
      fc.property(ipv6, port, (address, port) => {
        const parsed = parseEndpoint(`[${address}]:${port}`)
        if (parsed?.host.includes(':')) expect(parsed).toEqual({ host: urlSpelling(address), port })
        else expect(scopeOf(address)).toBe(parsed === undefined ? undefined : scopeOf(parsed.host))
      }),
      { numRuns: 500 },
    )
  })

  test('[O2] what is no address for the socket layer is none here', () => {
    const noise = fc.string({ unit: fc.constantFrom(...'0123456789abcf:.%'), maxLength: 24 })
    fc.assert(
      fc.property(fc.oneof(noise, ipv6, fc.ipV6(), ipv4), (host) => {
        if (isIP(host) === 0) expect(packEndpoint({ host, port: 1 })).toBeUndefined()
        else if (!host.includes('%'))
          expect(packEndpoint({ host, port: 1 }) !== undefined).toBe(scopeOf(host) !== undefined)
      }),
      { numRuns: 1000 },
    )
  })
})

describe('packed endpoints', () => {
  test('[O1] 6 bytes for IPv4, 18 for IPv6', () => {
    expect(packEndpoint({ host: '203.0.113.5', port: 0x0fa0 })).toEqual(Uint8Array.of(203, 0, 113, 5, 0x0f, 0xa0))
    const packed = packEndpoint({ host: '2001:db8::1', port: 65_535 })
    expect(packed).toEqual(Uint8Array.of(0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 255, 255))
  })

  test('[O1] what is packed comes back, at any offset', () => {
    fc.assert(
      fc.property(fc.oneof(ipv4, ipv6), port, fc.nat(40), (host, port, offset) => {
        const target = new Uint8Array(offset + 18)
        const size = packAddress(host, port, target, offset)
        expect(target.subarray(0, offset).every((byte) => byte === 0)).toBe(true)
        if (size === 0) return
        const endpoint = unpackEndpoint(target, offset, size === 6 ? 4 : 6)
        expect(endpoint).toEqual(parseEndpoint(host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`))
        expect(packEndpoint(endpoint as Endpoint)).toEqual(target.slice(offset, offset + size))
      }),
    )
  })

  test('[O1] truncated bytes are no endpoint', () => {
    for (const host of ['203.0.113.5', '2001:db8::1']) {
      const packed = packEndpoint({ host, port: 4000 }) as Uint8Array
      const family = packed.length === 6 ? 4 : 6
      for (let size = 0; size < packed.length; size++) {
        expect(unpackEndpoint(packed.slice(0, size), 0, family)).toBeUndefined()
      }
      expect(unpackEndpoint(packed, 1, family)).toBeUndefined()
    }
    expect(unpackEndpoint(new Uint8Array(0))).toBeUndefined()
  })

  test('[O2] [O3] an IPv4 address has one packed form', () => {
    expect(packEndpoint({ host: '::ffff:203.0.113.5', port: 9 })).toEqual(
      packEndpoint({ host: '203.0.113.5', port: 9 }),
    )
    const mapped = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 203, 0, 113, 5, 0, 9)
    expect(unpackEndpoint(mapped)).toBeUndefined()
    expect(addressScope(mapped, 0, 6)).toBeUndefined()
  })

  test('a target without room is our own bug', () => {
    expect(() => packAddress('203.0.113.5', 1, new Uint8Array(17), 0)).toThrow()
  })
})

describe('scopes of addresses', () => {
  test.each([
    ['loopback', ['127.0.0.1', '127.255.255.255', '::1', '::ffff:127.0.0.1']],
    ['private', ['10.0.0.0', '10.255.255.255', '172.16.0.1', '172.31.255.255', '192.168.0.1', '169.254.7.7']],
    ['private', ['100.64.0.0', '100.127.255.255', '192.0.0.8', 'fc00::1', 'fdff::1', 'fe80::1', 'febf::1', 'fec0::1']],
    ['public', ['1.0.0.0', '9.255.255.255', '11.0.0.0', '172.15.0.1', '172.32.0.1', '192.167.0.1', '192.169.0.1']],
    [
      'public',
      ['100.63.255.255', '100.128.0.0', '126.0.0.1', '128.0.0.1', '169.253.0.1', '192.0.1.1', '223.255.255.255'],
    ],
    ['public', ['2001:db8::1', '2606:4700::1111', 'fbff::1', 'fe7f::1', '64:ff9b::1', '203.0.113.5', '198.18.0.1']],
  ] as const)('[O3] %s: %s', (scope, hosts) => {
    expect(hosts.map(scopeOf)).toEqual(hosts.map(() => scope))
    const is = hosts.map((host) => [isLoopback, isPrivate, isPublic].map((of) => of({ host, port: 1 })))
    const expected = [scope === 'loopback', scope === 'private', scope === 'public']
    expect(is).toEqual(hosts.map(() => expected))
  })

  test.each([
    '0.0.0.0',
    '0.255.255.255',
    '224.0.0.1',
    '239.255.255.255',
    '240.0.0.1',
    '255.255.255.255',
    '::',
    '::2',
    '::203.0.113.5',
    '::ffff:0.0.0.0',
    '::ffff:224.0.0.1',
    '100::1',
    'ff02::1',
    'ff0e::1',
  ])('[O3] no node is at %s', (host) => {
    expect(scopeOf(host)).toBeUndefined()
    expect(packEndpoint({ host, port: 4000 })).toBeUndefined()
    expect([isLoopback, isPrivate, isPublic].some((is) => is({ host, port: 4000 }))).toBe(false)
  })

  test.each([0, -1, 65_536, 0.5, Number.NaN])('[O3] no node has port %d', (port) => {
    expect(packEndpoint({ host: '203.0.113.5', port })).toBeUndefined()
    expect(addressScope(Uint8Array.of(203, 0, 113, 5, 0, 0), 0, 4)).toBeUndefined()
  })
})
