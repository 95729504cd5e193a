import { createHmac } from 'node:crypto'
import { inspect } from 'node:util'
import { describe, expect, test } from 'vitest'
import { formatIceUrl, iceUrlWays, parseIceUrl } from '../src/nat/ice-url.ts'
import {
  iceServersAt,
  iceServersMax,
  iceServersRenewAt,
  iceTextLengthMax,
  iceUrlsMax,
  parseIceServers,
  turnPeriodMs,
} from '../src/peer/ice-servers.ts'

const parsed = (value: unknown) => {
  const result = parseIceServers(value)
  if (!result.ok) throw new Error(result.error)
  return result.value
}
const problem = (value: unknown) => {
  const result = parseIceServers(value)
  return result.ok ? undefined : result.error
}
const secret = 'a very secret text'
const turn = { urls: 'turn:turn.example.net', username: 'ann', credential: secret }

describe('entries of iceServers', () => {
  test('[D03, D20] STUN and TURN, one URL or several, with fixed credentials', () => {
    const settings = parsed([
      { urls: 'stun:stun.example.net' },
      { ...turn, urls: ['turn:turn.example.net:3478?transport=udp', 'turns:turn.example.net'] },
    ])
    expect(iceServersAt(settings, 0)).toEqual([
      { urls: ['stun:stun.example.net:3478'] },
      {
        urls: ['turn:turn.example.net:3478?transport=udp', 'turns:turn.example.net:5349?transport=tcp'],
        username: 'ann',
        credential: secret,
      },
    ])
    expect(iceServersRenewAt(settings, 0)).toBe(Number.POSITIVE_INFINITY)
  })

  test('a secret makes credentials for a time, renewed a whole period before they end', () => {
    const settings = parsed([{ urls: 'turn:203.0.113.11', secret, username: 'home' }])
    const now = 1_800_000_000_000
    const [server] = iceServersAt(settings, now)
    const [expiry, name] = server?.username?.split(':') ?? []
    expect(name).toBe('home')
    expect(server?.credential).toBe(
      createHmac('sha1', secret)
        .update(server?.username ?? '')
        .digest('base64'),
    )
    const renewAt = iceServersRenewAt(settings, now)
    expect(Number(expiry) * 1000 - renewAt).toBe(turnPeriodMs)
    expect(renewAt).toBeGreaterThan(now)
    expect(iceServersAt(settings, renewAt - 1)).toEqual(iceServersAt(settings, now))
    expect(iceServersAt(settings, renewAt)).not.toEqual(iceServersAt(settings, now))
  })

  test.each([
    ['no list', {}],
    ['an entry that is none', [null]],
    ['no urls', [{}]],
    ['an empty list of urls', [{ urls: [] }]],
    ['another scheme', [{ urls: 'http://host' }]],
    ['a path', [{ urls: 'stun:host/path' }]],
    ['an unknown field', [{ ...turn, password: secret }]],
    ['no credentials', [{ urls: 'turn:host' }]],
    ['no password', [{ urls: 'turn:host', username: 'ann' }]],
    ['secret and credential', [{ ...turn, secret }]],
    ['credentials for STUN', [{ ...turn, urls: 'stun:host' }]],
    ['a name that ends the expiry', [{ urls: 'turn:host', secret, username: 'a:b' }]],
    ['control characters', [{ ...turn, credential: `${secret}\n` }]],
    ['a number', [{ ...turn, credential: 7 }]],
    ['too many', Array.from({ length: iceServersMax + 1 }, () => turn)],
    ['too many urls', [{ ...turn, urls: Array.from({ length: iceUrlsMax + 1 }, () => 'turn:host') }]],
    ['too long', [{ ...turn, credential: secret.repeat(iceTextLengthMax) }]],
  ])('refused: %s, and no secret in the words', (_, value) => {
    expect(problem(value)).toMatch(/^"iceServers"/)
    expect(problem(value)).not.toContain(secret)
  })

  test('the error names the entry; at the bounds all is well', () => {
    expect(problem([turn, { urls: 'stun:a b' }])).toContain('entry 2')
    const most = Array.from({ length: iceUrlsMax }, () => 'turn:host')
    expect(parsed(Array.from({ length: iceServersMax }, () => ({ ...turn, urls: most })))).toHaveLength(iceServersMax)
    expect(parsed([{ ...turn, credential: 'x'.repeat(iceTextLengthMax) }])).toHaveLength(1)
  })

  test('what is printed by mistake shows no secret', () => {
    const settings = parsed([turn, { urls: 'turn:host', secret }])
    expect(inspect(settings, { depth: 9 }) + JSON.stringify(settings)).not.toContain(secret)
  })
})

describe('URLs of servers', () => {
  test.each([
    ['stun:host', 'stun:host:3478'],
    ['stun:203.0.113.1:19302', 'stun:203.0.113.1:19302'],
    ['turn:[2001:db8::1]', 'turn:[2001:db8::1]:3478'],
    ['turn:host:1?transport=tcp', 'turn:host:1?transport=tcp'],
    ['turns:host?transport=tcp', 'turns:host:5349?transport=tcp'],
  ])('%s', (text, full) => {
    const url = parseIceUrl(text)
    expect(url && formatIceUrl(url)).toBe(full)
  })

  test.each([
    '',
    'stun:',
    'stun://host',
    'turn:host:0',
    'turn:host:65536',
    'turn:host?transport=sctp',
    'turns:host?transport=udp',
    'stuns:host',
    'turn:user@host',
    'turn:1.2.3',
    'turn:[::1',
    'turn:[zz::1]',
    'turn:a..b',
    `turn:${'a'.repeat(400)}`,
  ])('none: %s', (text) => {
    expect(parseIceUrl(text)).toBeUndefined()
  })

  test('a turn URL without a transport stands for UDP and TCP', () => {
    const url = parseIceUrl('turn:host')
    expect(url && iceUrlWays(url).map(formatIceUrl)).toEqual([
      'turn:host:3478?transport=udp',
      'turn:host:3478?transport=tcp',
    ])
  })
})
