import { decodeSignal, sdpLengthMax } from '@miaou/protocol'
import { describe, expect, test } from 'vitest'
import { addressScope, filterSdp, hostOfAddress, parseCandidate } from '../src/candidates.ts'
import type { NetworkOptions } from '../src/connection-manager.ts'
import type { PipeId } from '../src/ports.ts'
import { alice, at, bob } from './link-pair.ts'
import { type PipeFacts, signalled, typesOf } from './network-host.ts'

const line = (address: string, { type = 'host', port = 4000, protocol = 'udp' } = {}) =>
  `candidate:1 1 ${protocol} 2122260223 ${address} ${port} typ ${type}`

/** Bob, who gets candidates from alice over a link from `remoteAddress`. */
function answering(remoteAddress: string, isWanted: boolean, facts: PipeFacts = {}) {
  const here = signalled(bob, alice, {}, { remoteAddress, ...facts })
  if (isWanted) here.host.want([alice.peerId])
  const accepted = here.signal({ type: 'offer', sdp: 'v=0' })
  expect(typesOf(accepted)).toEqual(['accept'])
  const isAdmitted = (candidate: string): boolean =>
    here.signal({ type: 'candidate', candidate, sdpMid: '0', sdpMLineIndex: 0 }).length > 0
  return { ...here, isAdmitted }
}

describe('addresses', () => {
  test.each([
    ['203.0.113.7', 'public'],
    ['100.63.255.255', 'public'],
    ['100.64.0.1', 'private'],
    ['100.127.255.255', 'private'],
    ['100.128.0.1', 'public'],
    ['10.1.2.3', 'private'],
    ['172.15.0.1', 'public'],
    ['172.16.0.1', 'private'],
    ['172.31.255.255', 'private'],
    ['172.32.0.1', 'public'],
    ['192.168.0.1', 'private'],
    ['127.0.0.1', 'loopback'],
    ['127.255.255.254', 'loopback'],
    ['169.254.169.254', 'link-local'],
    ['0.0.0.0', 'unusable'],
    ['0.1.2.3', 'unusable'],
    ['224.0.0.251', 'unusable'],
    ['240.0.0.1', 'unusable'],
    ['255.255.255.255', 'unusable'],
    ['1.2.3', 'unusable'],
    ['1.2.3.256', 'unusable'],
    ['0177.0.0.1', 'unusable'],
    ['2130706433', 'unusable'],
    ['::', 'unusable'],
    ['::1', 'loopback'],
    ['0:0:0:0:0:0:0:1', 'loopback'],
    ['::127.0.0.1', 'unusable'],
    ['::ffff:127.0.0.1', 'loopback'],
    ['::ffff:7f00:1', 'loopback'],
    ['::ffff:10.0.0.1', 'private'],
    ['64:ff9b::a00:1', 'private'],
    ['64:ff9b::203.0.113.7', 'public'],
    ['fe80::1', 'link-local'],
    ['febf::1', 'link-local'],
    ['fec0::1', 'private'],
    ['fc00::1', 'private'],
    ['fdff::1', 'private'],
    ['ff02::fb', 'unusable'],
    ['2001:db8::7', 'public'],
    ['1:2:3:4:5:6:7:8', 'public'],
    ['1:2:3:4:5:6:7:8:9', 'unusable'],
    ['1::2::3', 'unusable'],
    ['12345::1', 'unusable'],
    ['a.local', 'local-name'],
    ['0a1b2c3d-1234.local', 'local-name'],
    ['a.b.local', 'unusable'],
    ['router.example', 'unusable'],
    ['localhost', 'unusable'],
  ])('[L75] %s is %s', (address, scope) => {
    expect(addressScope(address)).toBe(scope)
  })

  test('[L75] lines that are no candidates', () => {
    expect(parseCandidate(line('203.0.113.7', { type: 'srflx' }))).toEqual({
      type: 'srflx',
      protocol: 'udp',
      address: '203.0.113.7',
      port: 4000,
      scope: 'public',
    })
    const bad = ['', 'candidate:', 'c', line('203.0.113.7', { port: 65_536 }), line('203.0.113.7', { type: 'odd' })]
    for (const text of [...bad, `${line('10.0.0.1')}x`, line('10.0.0.1', { protocol: 'sctp' }), line('a b')]) {
      expect(parseCandidate(text), text).toBeUndefined()
    }
  })

  test('hosts of addresses', () => {
    expect(hostOfAddress('ws://192.168.1.7:9999')).toBe('192.168.1.7')
    expect(hostOfAddress('wss://relay.example.org/x')).toBe('relay.example.org')
    expect(hostOfAddress('ws://[FE80::1]:9')).toBe('fe80::1')
    expect(hostOfAddress('[2001:db8::1]:9')).toBe('2001:db8::1')
    expect(hostOfAddress('10.0.0.1:9')).toBe('10.0.0.1')
    expect(hostOfAddress('memory:x y')).toBeUndefined()
  })
})

describe('whose candidates are used', () => {
  const far = 'ws://203.0.113.9:5000'

  test('[L75] nobody has us knock at loopback, link-local, unspecified or multicast addresses, or at names', () => {
    const { isAdmitted, host } = answering(far, true)
    const bad = ['127.0.0.1', '::1', '169.254.169.254', 'fe80::1', '0.0.0.0', '::', '224.0.0.1', 'ff02::1', 'x.example']
    for (const address of [...bad, '::ffff:127.0.0.1', 'localhost'])
      expect(isAdmitted(line(address)), address).toBe(false)
    expect(isAdmitted(line('203.0.113.9', { port: 0 }))).toBe(false)
    expect(host.counter('candidates-refused')).toBe(12)
    expect(isAdmitted(line('203.0.113.9'))).toBe(true)
  })

  test('[L75] loopback over loopback, link-local over link-local, also by a relay there', () => {
    expect(answering('ws://127.0.0.1:5000', false).isAdmitted(line('127.0.0.1'))).toBe(true)
    expect(answering('ws://localhost:5000', false).isAdmitted(line('127.0.0.1'))).toBe(true)
    expect(answering('ws://[::1]:5000', false).isAdmitted(line('127.0.0.1'))).toBe(true)
    expect(answering('ws://127.0.0.1:5000', false).isAdmitted(line('169.254.1.1'))).toBe(false)
    expect(answering('ws://[fe80::2]:5000', true).isAdmitted(line('fe80::1'))).toBe(true)
    const circuit = { transport: 'circuit' } as const
    expect(answering('ws://127.0.0.1:5000', true, circuit).isAdmitted(line('127.0.0.1'))).toBe(true)
    expect(answering(far, true, circuit).isAdmitted(line('127.0.0.1'))).toBe(false)
  })

  test('[L76] a contact behind the same NAT names its private addresses, eight of them', () => {
    const { isAdmitted, host } = answering('ws://relay.example.org', true, { transport: 'circuit' })
    const taken = Array.from({ length: 20 }, (_, i) => isAdmitted(line(`192.168.1.${i}`)))
    expect(taken).toEqual(Array.from({ length: 20 }, (_, i) => i < 8))
    expect(host.counter('candidates-refused')).toBe(12)
    // Another port of a known one costs nothing more, and public ones have room.
    expect(isAdmitted(line('192.168.1.7', { port: 9, protocol: 'tcp' }))).toBe(true)
    expect(isAdmitted(line('4ab1.local'))).toBe(false)
    expect(isAdmitted(line('203.0.113.9', { type: 'srflx' }))).toBe(true)
    // A new attempt counts anew.
    expect(typesOf(answering(far, true).signal({ type: 'offer', sdp: 'v=0', attempt: 2 }))).toContain('accept')
  })

  test('[L76] a stranger names the one private address it talks from, few others, and none by TCP', () => {
    const near = answering('ws://192.168.1.7:5000', false)
    expect(near.isAdmitted(line('192.168.1.7'))).toBe(true)
    expect(near.isAdmitted(line('192.168.1.1'))).toBe(false)
    expect(near.isAdmitted(line('10.0.0.1'))).toBe(false)
    expect(near.isAdmitted(line('b1.local'))).toBe(true)
    const distant = answering(far, false)
    expect(distant.isAdmitted(line('b1.local'))).toBe(false)
    expect(distant.isAdmitted(line('192.168.1.7'))).toBe(false)
    expect(distant.isAdmitted(line('203.0.113.9', { protocol: 'tcp' }))).toBe(false)
    const taken = Array.from({ length: 10 }, (_, i) => distant.isAdmitted(line(`203.0.113.${i}`)))
    expect(taken.filter(Boolean)).toHaveLength(4)
  })

  test('[L77] what an SDP carries is judged by the same rule', () => {
    const { host, signal } = signalled(bob, alice, {}, { remoteAddress: far })
    const sdp = [
      'v=0',
      'o=- 1 2 IN IP4 10.0.0.1',
      'm=application 22 UDP/DTLS/SCTP webrtc-datachannel',
      'c=IN IP4 10.0.0.1',
      'a=rtcp:22 IN IP4 10.0.0.1',
      'a=remote-candidates:1 10.0.0.1 22',
      `a=${line('10.0.0.1')}`,
      `a=${line('203.0.113.9')} generation 0`,
      `A=${line('10.0.0.1')}`,
      `a=${line('127.0.0.1')}`,
      'a=mid:0',
      '',
    ].join('\r\n')
    const [accept] = signal({ type: 'offer', sdp })
    if (accept?.type !== 'accept') throw new Error('the offer is accepted')
    expect(accept.offer.sdp.split('\r\n')).toEqual([
      'v=0',
      'o=- 1 2 IN IP4 10.0.0.1',
      'm=application 9 UDP/DTLS/SCTP webrtc-datachannel',
      'c=IN IP4 0.0.0.0',
      `a=${line('203.0.113.9')} generation 0`,
      'a=mid:0',
      '',
    ])
    expect(host.counter('candidates-refused')).toBe(3)
  })

  test('[L72] an SDP full of candidates brings no more of them than documents do', () => {
    const { host, signal } = signalled(bob, alice)
    host.want([alice.peerId])
    const many = Array.from({ length: 400 }, (_, i) => `a=${line('203.0.113.9', { port: 1_000 + i })}`).join('\r\n')
    const [accept] = signal({ type: 'offer', sdp: `v=0\r\n${many}\r\n` })
    if (accept?.type !== 'accept') throw new Error('the offer is accepted')
    expect(accept.offer.sdp.match(/a=candidate/g)).toHaveLength(64)
    expect(host.counter('candidates-dropped')).toBe(336)
  })

  test('[S1] an SDP of 1 MB is no document, at our end nor at theirs', () => {
    const { host, signal } = signalled(bob, alice)
    const huge = 'a'.repeat(1_000_000)
    expect(() => signal({ type: 'offer', sdp: huge })).toThrow('bounded')
    const text = JSON.stringify({
      type: 'offer',
      connectionId: `conn_${alice.peerId}_${bob.peerId}`,
      attempt: 1,
      sdp: huge,
    })
    expect(decodeSignal(new TextEncoder().encode(text)).ok).toBe(false)
    expect(host.network.views()[0]?.state).toBe('connected')
    const offering = signalled(alice, bob).host
    const description = { type: 'offer', sdp: 'a'.repeat(sdpLengthMax + 1) } as const
    const outputs = offering.event({ type: 'description', pipe: 1 as PipeId, description })
    expect(typesOf(outputs)).toEqual(['close', 'connection-error'])
  })
})

describe('a host that hides its address', () => {
  const relayed: Partial<NetworkOptions> = { relayOnly: true }
  const relay = 'candidate:3 1 udp 41885439 198.51.100.1 50000 typ relay raddr 203.0.113.5 rport 4000 generation 0'

  /** What alice tells bob of an own description or candidate: the documents in her Signal frames. */
  function told(options: Partial<NetworkOptions>) {
    const here = signalled(alice, bob, options, { transport: 'circuit' })
    const documents = (outputs: ReturnType<typeof here.host.event>) =>
      outputs
        .flatMap((output) => (output.type === 'write' ? here.remote.receive(at(0), 0, output.bytes) : []))
        .flatMap((heard) => (heard.type === 'frame' ? [decodeSignal(heard.payload)] : []))
        .map((decoded) => (decoded.ok ? decoded.value : undefined))
    return { ...here, documents }
  }

  test('[L78] of its own candidates only those of relays are told, without what the relay sees', () => {
    const { host, documents } = told(relayed)
    const tell = (candidate: string) =>
      documents(
        host.event({ type: 'candidate', pipe: 1 as PipeId, candidate: { candidate, sdpMid: '0', sdpMLineIndex: 0 } }),
      )
    for (const type of ['host', 'srflx', 'prflx']) expect(tell(line('203.0.113.5', { type }))).toEqual([])
    expect(tell('nonsense 203.0.113.5')).toEqual([])
    expect(host.counter('candidates-withheld')).toBe(4)
    const [document] = tell(relay)
    expect(document).toMatchObject({
      type: 'candidate',
      candidate: expect.stringContaining('198.51.100.1 50000 typ relay'),
    })
    expect(JSON.stringify(document)).not.toContain('203.0.113.5')
    expect(tell('')).toMatchObject([{ type: 'candidate', candidate: '' }])
  })

  test('[L78] nor does its SDP name another', () => {
    const sdp = [
      'v=0',
      'o=- 46117 2 IN IP4 203.0.113.5',
      's=-',
      'm=application 4000 UDP/DTLS/SCTP webrtc-datachannel',
      'c=IN IP4 203.0.113.5',
      'a=rtcp:4000 IN IP4 203.0.113.5',
      `a=${line('203.0.113.5')}`,
      `a=${relay}`,
      'a=mid:0',
      '',
    ].join('\r\n')
    const { host, documents } = told(relayed)
    const [document] = documents(
      host.event({ type: 'description', pipe: 1 as PipeId, description: { type: 'offer', sdp } }),
    )
    expect(JSON.stringify(document)).toContain('198.51.100.1 50000 typ relay')
    expect(JSON.stringify(document)).not.toContain('203.0.113.5')
    expect(host.counter('candidates-withheld')).toBe(1)
    const open = told({})
    const [plain] = open.documents(
      open.host.event({ type: 'description', pipe: 1 as PipeId, description: { type: 'offer', sdp } }),
    )
    expect(plain).toMatchObject({ sdp })
  })

  test('[L78] a pipe whose path shows it is closed', () => {
    const { host, signal } = signalled(alice, bob, relayed, { transport: 'circuit' })
    signal({ type: 'answer', sdp: 'v=1' })
    const path = { kind: 'direct', localCandidate: 'srflx udp 203.0.113.5:4000' } as const
    expect(typesOf(host.event({ type: 'path', pipe: 1 as PipeId, path }))).toEqual(['close', 'connection-error'])
    expect(host.network.views()[0]).toMatchObject({ transport: 'circuit', state: 'connected' })
  })

  test('[L67] no WebSocket with a peer is dialled, taken or told', () => {
    const { host } = signalled(alice, bob, relayed, { transport: 'circuit' })
    const way = 'circuit:AAAAAAAAAAAAAAAAAAAAAA.AAAAAAAAAAAAAAAAAAAAAA@wss://relay.example.org'
    const outputs = host.want([alice.peerId, 'ws://1'], [bob.peerId, 'ws://2', way])
    expect(outputs.filter(({ type }) => type === 'dial')).toEqual([])
    expect(host.network.view(bob.peerId)?.addresses).toEqual([way])
    host.do({ type: 'disconnect', peerId: bob.peerId, reason: 'bye' })
    const dials = host.connect(bob.peerId, 'wss://3')
    expect(dials).toEqual([expect.objectContaining({ type: 'dial', transport: 'circuit', address: way })])
    const [refused] = host.do({ type: 'connect-address', address: 'ws://9' })
    expect(refused).toMatchObject({ event: { type: 'connection-error', address: 'ws://9' } })
    expect(host.counter('refused-dial')).toBe(1)
    expect(host.opened(700, 'in')).toEqual([{ type: 'close', pipe: 700 }])
    expect(host.counter('links-refused')).toBe(1)
  })
})

describe('filterSdp', () => {
  test('[L77] leaves everything else as it is', () => {
    const sdp = 'v=0\r\no=- 1 2 IN IP4 0.0.0.0\r\ns=-\r\na=fingerprint:sha-256 AA\r\n'
    expect(filterSdp(sdp, () => undefined)).toBe(sdp)
    expect(filterSdp('a=candidate:x\nv=0', () => undefined)).toBe('v=0')
  })
})
