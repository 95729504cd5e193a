import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { parseConfig } from '../src/peer/config.ts'

describe('config.json of a home', () => {
  test('[D03] the shipped example contacts nobody', () => {
    const text = readFileSync(new URL('../../../docs/config.example.json', import.meta.url), 'utf8')
    expect(parseConfig(text, 'x')).toEqual({ ok: true, value: {} })
  })

  test('[D03, D04, D20] its commented servers parse once uncommented', () => {
    const text = readFileSync(new URL('../../../docs/config.example.json', import.meta.url), 'utf8')
    const body = text.slice(text.indexOf('{\n') + 2)
    const config = parseConfig(`{${body.replace(/^ *\/\/ ?/gm, '')}`, 'x')
    expect(config).toMatchObject({
      ok: true,
      value: {
        port: 9999,
        loopbackOnly: true,
        iceServers: [
          { urls: ['stun:stun.miaou.chat:3478'] },
          { urls: ['stun:stun.l.google.com:19302'] },
          { urls: ['stun:stun1.l.google.com:19302'] },
          { urls: [expect.stringContaining('turn:turn.miaou.chat:3478')], credentials: { username: 'miaou-user' } },
        ],
        mailboxes: [{ url: 'wss://mail.example.org' }],
        serve: { mailbox: { boxes: 1_000, bytes: 10_000_000_000, bytesPerBox: 67_108_864 } },
      },
    })
  })

  test.each([
    ['not JSON', '{'],
    ['a list', '[]'],
    ['an unknown setting', '{"prot": 1}'],
    ['a port out of range', '{"port": 70000}'],
    ['a loopbackOnly that is text', '{"loopbackOnly": "yes"}'],
    ['a port that is text', '{"port": "9999"}'],
    ['a server of another scheme', '{"iceServers": [{"urls": "http://x"}]}'],
    ['a TURN server without credentials', '{"iceServers": [{"urls": "turn:x:3478"}]}'],
    ['a relay that is only a host', '{"relays": ["wss://relay.example.org"]}'],
    ['too many relays', JSON.stringify({ relays: Array(9).fill('AAAAAAAAAAAAAAAAAAAAAA@wss://relay.example.org') })],
    ['relays that are no list', '{"relays": "AAAAAAAAAAAAAAAAAAAAAA@wss://relay.example.org"}'],
    ['a mailbox that is only a host', '{"mailboxes": ["wss://mail.example.org"]}'],
    [
      'too many mailboxes',
      JSON.stringify({ mailboxes: Array(9).fill('AAAAAAAAAAAAAAAAAAAAAA@wss://mail.example.org') }),
    ],
    ['mailboxes that are no list', '{"mailboxes": true}'],
    ['a mailbox quota that does not exist', '{"serve": {"mailbox": {"turn": []}}}'],
    ['a mailbox quota of nothing', '{"serve": {"mailbox": {"bytes": 0}}}'],
    ['a mailbox quota that is no whole number', '{"serve": {"mailbox": {"boxes": 1.5}}}'],
    ['a mailbox that is text', '{"serve": {"mailbox": "yes"}}'],
    ['a flag that is text', '{"relayOnly": "yes"}'],
    ['a service that does not exist', '{"serve": {"directory": true}}'],
    ['a quota that does not exist', '{"serve": {"relay": {"circuit": 3}}}'],
    ['TURN on another host', '{"serve": {"relay": {"turn": [{"url": "turn:x:1?transport=udp", "secret": "s"}]}}}'],
    ['TURN without its secret', '{"serve": {"relay": {"turn": [{"url": "turn:3478?transport=udp"}]}}}'],
    ['a quota below zero', '{"serve": {"relay": {"circuits": -1}}}'],
    ['a public address that is no WebSocket', '{"publicUrl": "https://relay.example.org"}'],
    ['a certificate without its key', '{"tls": {"cert": "cert.pem"}}'],
    ['a STUN port out of range', '{"stunPort": 70000}'],
    ['too many servers', JSON.stringify({ iceServers: Array(9).fill({ urls: 'stun:x:3478' }) })],
  ])('%s is refused with the path and the reason', (_, text) => {
    const config = parseConfig(text, '/home/config.json')
    expect(config).toMatchObject({ ok: false, error: { type: 'bad-config', path: '/home/config.json' } })
  })

  test('the settings of mailboxes', () => {
    const settings = {
      mailboxes: ['AAAAAAAAAAAAAAAAAAAAAA@wss://mail.example.org', 'AQEBAQEBAQEBAQEBAQEBAQ@ws://203.0.113.5:9999'],
      serve: { relay: { circuits: 10 }, mailbox: { boxes: 5, bytes: 1_000_000, bytesPerBox: 100_000 } },
    }
    const mailboxes = [
      { url: 'wss://mail.example.org', mailboxId: new Uint8Array(16) },
      { url: 'ws://203.0.113.5:9999', mailboxId: new Uint8Array(16).fill(1) },
    ]
    expect(parseConfig(JSON.stringify(settings), 'x')).toEqual({ ok: true, value: { ...settings, mailboxes } })
    expect(parseConfig('{"serve": {"mailbox": true}}', 'x')).toEqual({ ok: true, value: { serve: { mailbox: {} } } })
    expect(parseConfig('{"serve": {"mailbox": false}}', 'x')).toEqual({ ok: true, value: { serve: {} } })
  })

  test('the settings of relays and routers', () => {
    const settings = {
      relays: ['AAAAAAAAAAAAAAAAAAAAAA@wss://relay.example.org', 'AQEBAQEBAQEBAQEBAQEBAQ@ws://203.0.113.5:9999'],
      relayOnly: true,
      serve: { relay: { circuits: 10, bytesPerDay: 1_000_000 } },
      publicUrl: 'wss://relay.example.org',
      tls: { cert: 'cert.pem', key: 'key.pem' },
      behindProxy: true,
      stunPort: 0,
      portMapping: false,
    }
    const relays = [
      { url: 'wss://relay.example.org', relayId: new Uint8Array(16) },
      { url: 'ws://203.0.113.5:9999', relayId: new Uint8Array(16).fill(1) },
    ]
    expect(parseConfig(JSON.stringify(settings), 'x')).toEqual({ ok: true, value: { ...settings, relays } })
    const turn = [{ url: 'turns:5349?transport=tcp', secret: 'shared' }]
    expect(parseConfig(JSON.stringify({ serve: { relay: { circuits: 1, turn } } }), 'x')).toEqual({
      ok: true,
      value: {
        serve: { relay: { circuits: 1, turn: [{ scheme: 'turns', port: 5349, transport: 'tcp', secret: 'shared' }] } },
      },
    })
    expect(parseConfig('{"serve": {"relay": true}}', 'x')).toEqual({ ok: true, value: { serve: { relay: {} } } })
    expect(parseConfig('{"serve": {"relay": false}}', 'x')).toEqual({ ok: true, value: { serve: {} } })
  })

  test('[D20] the reason a file is refused does not quote the passwords in it', () => {
    for (const text of ['{"iceServers":[{"credential":"hunter2" oops}]}', '{"credential": hunter2}', 'hunter2']) {
      const config = parseConfig(text, 'x')
      expect(config.ok).toBe(false)
      expect(JSON.stringify(config)).not.toContain('hunter2')
    }
  })
})
