import { frameTypes } from '@miaou/protocol'
import { describe, expect, test } from 'vitest'
import { Link } from '../src/link.ts'
import { shouldInitiateConnection } from '../src/network-state.ts'
import type { PipeId } from '../src/ports.ts'
import { type TestIdentity, testIdentity } from './identities.ts'
import { alice, at, bob, carol, linkOptions } from './link-pair.ts'
import { dialsOf, errorsOf, Host, signalled, typesOf } from './network-host.ts'

describe('dialling', () => {
  test('[L61] addresses are tried 250 ms apart, at once when one fails, the newest first', () => {
    const host = new Host()
    expect(host.connect(bob.peerId, 'ws://1', 'ws://2', 'ws://3', 'ws://4')).toEqual([
      { type: 'dial', pipe: 1, transport: 'websocket', address: 'ws://1' },
    ])
    expect(host.network.views()[0]?.state).toBe('dialing')
    expect(host.network.deadline()).toBe(250)
    expect(dialsOf(host.wakeAt(249))).toEqual([])
    expect(dialsOf(host.wakeAt(250))).toEqual(['ws://2'])
    host.now = 300
    expect(dialsOf(host.failed(1))).toEqual(['ws://3'])
    expect(host.network.deadline()).toBe(550)
    expect(dialsOf(host.wakeAt(550))).toEqual(['ws://4'])
    expect(host.network.deadline()).toBe(10_250)
  })

  test('[L61] the first pipe that proves to be the peer wins; the others are closed', () => {
    const host = new Host()
    host.connect(bob.peerId, 'ws://1', 'ws://2', 'ws://3')
    host.wakeAt(250)
    const remote = new Link(linkOptions({ role: 'responder', channels: 1 }), at(250))
    const [hello] = host.opened(2)
    expect(host.network.views()[0]?.state).toBe('handshaking')
    expect(hello?.type).toBe('write')
    const [ack] = remote.receive(at(250), 0, hello?.type === 'write' ? hello.bytes : new Uint8Array(0))
    const bytes = ack?.type === 'write' ? ack.bytes : new Uint8Array(0)
    const outputs = host.event({ type: 'message', pipe: 2 as PipeId, channel: 0, bytes })
    expect(typesOf(outputs)).toEqual(['close', 'write'])
    expect(outputs[0]).toEqual({ type: 'close', pipe: 1 })
    expect(host.network.deadline()).toBe(10_250)
  })

  test('[L62] wrong peers, strangers and silence are passed over; the most telling error explains the failure', () => {
    const host = new Host()
    host.connect(bob.peerId, 'ws://1', 'ws://2')
    const [hello] = host.opened(1)
    const remote = new Link(linkOptions({ role: 'responder', identity: carol, channels: 1 }), at(0))
    const [ack] = remote.receive(at(0), 0, hello?.type === 'write' ? hello.bytes : new Uint8Array(0))
    const bytes = ack?.type === 'write' ? ack.bytes : new Uint8Array(0)
    const outputs = host.event({ type: 'message', pipe: 1 as PipeId, channel: 0, bytes })
    expect(typesOf(outputs)).toEqual(['close', 'dial'])
    expect(errorsOf(host.failed(2))).toEqual(['wrong-peer'])
    expect(host.network.views()[0]).toMatchObject({
      state: 'idle',
      error: { type: 'wrong-peer', expected: bob.peerId, actual: carol.peerId },
    })
  })

  test('[L63] a wanted peer is dialled again after 1, 2, 4 … s, at most 5 min', () => {
    const host = new Host()
    expect(dialsOf(host.want([bob.peerId, 'ws://1']))).toEqual(['ws://1'])
    const waits: number[] = []
    for (let pipe = 1; pipe <= 11; pipe++) {
      expect(errorsOf(host.failed(pipe))).toEqual(['unreachable'])
      expect(host.network.views()[0]?.state).toBe('waiting')
      waits.push((host.network.views()[0]?.nextTryAt ?? 0) - host.now)
      expect(host.network.deadline()).toBe(host.network.views()[0]?.nextTryAt)
      expect(dialsOf(host.wakeAt(host.network.deadline()))).toEqual(['ws://1'])
    }
    expect(waits).toEqual([1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300].map((seconds) => seconds * 1_000))
  })

  test('[L63] waits are spread by lot over ± a quarter', () => {
    const waits = [0, 0.999].map((lot) => {
      const host = new Host({ jitter: { next: () => lot } })
      host.want([bob.peerId, 'ws://1'])
      host.failed(1)
      return Math.round(host.network.views()[0]?.nextTryAt ?? 0)
    })
    expect(waits).toEqual([750, 1_250])
  })

  test('[L64] new addresses and a changed network end the wait', () => {
    const host = new Host()
    host.want([bob.peerId, 'ws://1'])
    for (let pipe = 1; pipe <= 5; pipe++) {
      host.failed(pipe)
      host.wakeAt(host.network.deadline())
    }
    host.failed(6)
    host.now += 5_000
    const learnt = { type: 'addresses', peerId: bob.peerId, addresses: ['ws://2'] } as const
    expect(dialsOf(host.do(learnt))).toEqual(['ws://2'])
    host.failed(7)
    host.failed(8)
    expect(dialsOf(host.do({ type: 'network-changed' }))).toEqual(['ws://2'])
  })

  test('[L64] the same news over and over does not dial in a loop', () => {
    const host = new Host()
    host.want([bob.peerId, 'ws://1'])
    host.failed(1)
    const learnt = { type: 'addresses', peerId: bob.peerId, addresses: ['ws://1'] } as const
    expect(dialsOf(host.do(learnt))).toEqual([])
    expect(host.network.deadline()).toBe(1_000)
  })

  test('[L65] at most 16 addresses are kept, and unknown forms are counted', () => {
    const host = new Host()
    const addresses = Array.from({ length: 30 }, (_, i) => `ws://${i}`)
    host.connect(bob.peerId, 'gopher://x', ...addresses)
    expect(host.network.views()[0]?.addresses).toEqual(addresses.slice(0, 16))
    expect(host.counter('bad-address')).toBe(1)
    let dialled = 1
    for (let pipe = 1; pipe < 40; pipe++) dialled += dialsOf(host.failed(pipe)).length
    expect(dialled).toBe(16)
  })

  test('[L66] at most 32 peers are dialled at a time; the others get their turn', () => {
    const host = new Host()
    const peers = Array.from({ length: 40 }, (_, i) => [testIdentity(500 + i).peerId, `ws://${i}`] as const)
    expect(dialsOf(host.want(...peers)).length).toBe(32)
    expect(host.network.deadline()).toBeGreaterThan(host.now)
    expect(dialsOf(host.failed(1))).toEqual(['ws://32'])
    expect(dialsOf(host.failed(2))).toEqual(['ws://33'])
  })

  test('[L61] a pipe that never opens is given up after 10 s', () => {
    const host = new Host()
    host.connect(bob.peerId, 'ws://1')
    const outputs = host.wakeAt(10_000)
    expect(typesOf(outputs)).toEqual(['close', 'connection-error'])
    // It opens all the same, too late: nobody knows it any more.
    expect(host.opened(1)).toEqual([{ type: 'close', pipe: 1 }])
  })

  test('[L65] addresses that anybody on the LAN tells do not push out those of an invite', () => {
    const host = new Host()
    host.want([bob.peerId, 'ws://true'])
    for (let round = 0; round < 5; round++) {
      const addresses = Array.from({ length: 16 }, (_, i) => `ws://false-${round}-${i}`)
      host.do({ type: 'addresses', peerId: bob.peerId, addresses })
    }
    const [view] = host.network.views()
    expect(view?.addresses).toHaveLength(16)
    expect(view?.addresses).toContain('ws://true')
    expect(view?.addresses[0]).toBe('ws://false-4-0')
    // Those of many invites are bounded, too.
    host.want([bob.peerId, ...Array.from({ length: 40 }, (_, i) => `ws://invite-${i}`)])
    expect(host.network.views()[0]?.addresses).toHaveLength(16)
  })

  test('[L60] a peer without an address says so', () => {
    const host = new Host()
    expect(errorsOf(host.connect(bob.peerId))).toEqual(['no-address'])
    host.want([carol.peerId])
    expect(host.network.views().map(({ error }) => error?.type)).toEqual(['no-address', 'no-address'])
    expect(host.network.deadline()).toBe(Number.POSITIVE_INFINITY)
  })

  test('[L60] an address is dialled without knowing who answers; its failure names it', () => {
    const host = new Host()
    expect(dialsOf(host.do({ type: 'connect-address', address: 'ws://9' }))).toEqual(['ws://9'])
    const [failed] = host.failed(1)
    expect(failed).toMatchObject({ type: 'event', event: { type: 'connection-error', address: 'ws://9' } })
    const [odd] = host.do({ type: 'connect-address', address: 'nonsense' })
    expect(odd).toMatchObject({ event: { type: 'connection-error', address: 'nonsense' } })
    const busy = new Host({ limits: { dialsMax: 1 } })
    busy.do({ type: 'connect-address', address: 'ws://1' })
    const [refused] = busy.do({ type: 'connect-address', address: 'ws://2' })
    expect(refused).toMatchObject({ event: { type: 'connection-error', address: 'ws://2' } })
    expect(busy.counter('refused-dial')).toBe(1)
    expect(host.network.sizes().pipes).toBe(0)
  })

  test('we are not dialled by ourselves', () => {
    const host = new Host()
    expect(errorsOf(host.connect(alice.peerId, 'ws://1'))).toEqual(['self'])
    expect(host.want([alice.peerId, 'ws://1'])).toEqual([])
    expect(host.network.views()).toEqual([])
  })
})

describe('links that others make', () => {
  test('[L50] a link is told of once, with who is there; views and counters say the rest', () => {
    const host = new Host()
    const { outputs, remote } = host.admit(500, bob)
    expect(typesOf(outputs)).toEqual(['write', 'write', 'link-up', 'connection-established'])
    expect(outputs.find(({ type }) => type === 'link-up')).toEqual({
      type: 'link-up',
      peerId: bob.peerId,
      accountKey: bob.accountKey,
      sessionKey: bob.sessionKey,
      certificate: bob.certificate,
      features: ['chat'],
    })
    const bytes = remote.send(at(0), frameTypes.directMessage, Uint8Array.of(7), false)?.[0]
    if (bytes?.type !== 'write') throw new Error('nothing sent')
    const event = { type: 'message', pipe: 500 as PipeId, channel: 0, bytes: bytes.bytes } as const
    expect(host.event(event)).toEqual([
      { type: 'frame', peerId: bob.peerId, frameType: frameTypes.directMessage, payload: Uint8Array.of(7) },
    ])
    const send = { type: 'send', peerId: bob.peerId, frameType: frameTypes.directMessage, fleeting: false } as const
    expect(typesOf(host.do({ ...send, payload: new Uint8Array(3) }))).toEqual(['write'])
    const [view] = host.network.views()
    expect(view).toMatchObject({ peerId: bob.peerId, state: 'connected', transport: 'websocket', features: ['chat'] })
    expect(view?.latencyMs).toBe(0)
    expect(view?.stats).toMatchObject({
      messagesSent: 1,
      messagesReceived: 1,
      connectedAt: 1_700_000_000_000,
      currentState: 'connected',
    })
    expect(view?.stats.bytesSent).toBeGreaterThan(100)
    expect(view?.connectionId).toBe(`conn_${alice.peerId}_${bob.peerId}`)
  })

  test('[L90] a send to a peer without a link is dropped and counted', () => {
    const host = new Host()
    const send = { type: 'send', peerId: bob.peerId, frameType: frameTypes.directMessage, fleeting: false } as const
    expect(host.do({ ...send, payload: new Uint8Array(3) })).toEqual([])
    expect(host.do({ type: 'ping', peerId: bob.peerId, id: 1 })).toEqual([])
    expect(host.counter('unlinked-send')).toBe(2)
    host.admit(500, bob)
    expect(host.do({ ...send, payload: new Uint8Array(2_000_000) })).toEqual([])
    expect(host.counter('refused-send')).toBe(1)
  })

  test('[L51] of many handshakes only 64 are waited for: 10,000 silent pipes cost no more', () => {
    const host = new Host()
    for (let pipe = 1_000; pipe < 11_000; pipe++) {
      const closes = host.opened(pipe, 'in').filter(({ type }) => type === 'close')
      expect(closes).toEqual(pipe < 1_064 ? [] : [{ type: 'close', pipe: pipe - 64 }])
    }
    expect(host.network.sizes()).toEqual({ connections: 0, pipes: 64, handshakesIn: 64 })
    expect(host.counter('handshakes-dropped')).toBe(10_000 - 64)
    // Somebody honest still gets in.
    expect(typesOf(host.admit(20_000, bob).outputs)).toContain('link-up')
    expect(typesOf(host.wakeAt(10_000)).filter((type) => type === 'close').length).toBe(63)
    expect(host.network.sizes()).toEqual({ connections: 1, pipes: 1, handshakesIn: 0 })
    expect(host.counter('handshake-timeout')).toBe(63)
  })

  test('[L53] at the limit a stranger is told that we are busy, and makes room for a wanted peer', () => {
    const host = new Host({ limits: { linksMax: 2 } })
    const [dave, erin] = [testIdentity(901), testIdentity(902)]
    host.want([erin.peerId])
    host.admit(500, bob)
    host.admit(501, carol)
    const refused = host.admit(502, dave)
    expect(typesOf(refused.outputs)).not.toContain('link-up')
    expect(typesOf(refused.outputs).at(-1)).toBe('close')
    expect(host.counter('links-refused')).toBe(1)
    const admitted = host.admit(503, erin)
    expect(typesOf(admitted.outputs)).toContain('link-up')
    expect(admitted.outputs).toContainEqual({ type: 'link-down', peerId: bob.peerId, reason: 'too-many-links' })
  })

  test('[L54] a blocked peer is refused and hears nothing but busy; one that we left may come back', () => {
    const host = new Host()
    const { remote } = host.admit(500, bob)
    const outputs = host.do({ type: 'disconnect', peerId: bob.peerId, reason: 'blocked' })
    expect(typesOf(outputs)).toEqual(['write', 'close', 'connection-closed', 'link-down'])
    const [goodbye] = outputs
    expect(remote.receive(at(0), 0, goodbye?.type === 'write' ? goodbye.bytes : new Uint8Array(0))).toEqual([
      { type: 'ended', reason: 'busy', error: { type: 'refused', reason: 'busy' } },
    ])
    expect(typesOf(host.admit(501, bob).outputs)).not.toContain('link-up')
    host.admit(502, carol)
    host.do({ type: 'disconnect', peerId: carol.peerId, reason: 'bye' })
    expect(typesOf(host.admit(503, carol).outputs)).toContain('link-up')
    host.connect(bob.peerId, 'ws://bob')
    expect(typesOf(host.admit(504, bob).outputs)).toContain('link-up')
  })

  test('[L54] a peer that is blocked no more, and wanted again, is linked again', () => {
    const host = new Host()
    host.want([bob.peerId, 'ws://bob'])
    host.admit(500, bob)
    host.want()
    host.do({ type: 'disconnect', peerId: bob.peerId, reason: 'blocked' })
    expect(typesOf(host.admit(501, bob).outputs)).not.toContain('link-up')
    host.want([bob.peerId, 'ws://bob'])
    expect(typesOf(host.admit(502, bob).outputs)).toContain('link-up')
  })

  test('[L63] a link that breaks is dialled again; one that we ended is not', () => {
    const host = new Host()
    host.want([bob.peerId, 'ws://bob'])
    host.admit(500, bob)
    const broken = host.event({ type: 'closed', pipe: 500 as PipeId, error: { type: 'broken', detail: 'reset' } })
    expect(typesOf(broken)).toEqual(['connection-error', 'connection-closed', 'link-down'])
    expect(host.network.views()[0]).toMatchObject({ state: 'waiting', error: { type: 'broken' } })
    expect(dialsOf(host.wakeAt(host.network.deadline()))).toEqual(['ws://bob'])
    host.admit(501, bob)
    host.do({ type: 'disconnect', peerId: bob.peerId, reason: 'bye' })
    expect(host.network.deadline()).toBe(Number.POSITIVE_INFINITY)
    expect(host.network.views()[0]?.state).toBe('closed')
  })

  test('[L63] a link that stood for 10 s is dialled anew at once when it breaks; a younger one after a second', () => {
    const redials = (lifeMs: number) => {
      const host = new Host()
      host.want([bob.peerId, 'ws://bob'])
      host.failed(1)
      host.admit(500, bob)
      host.now = lifeMs
      return dialsOf(host.event({ type: 'closed', pipe: 500 as PipeId, error: { type: 'broken', detail: 'reset' } }))
    }
    expect(redials(10_000)).toEqual(['ws://bob'])
    expect(redials(9_999)).toEqual([])
  })

  test('[L55] strangers that fail are counted by reason, and told of when they said something', () => {
    const host = new Host()
    host.opened(500, 'in')
    const outputs = host.event({ type: 'message', pipe: 500 as PipeId, channel: 0, bytes: new Uint8Array(100) })
    expect(typesOf(outputs)).toEqual(['close', 'connection-error'])
    expect(host.counter('unsupported-version')).toBe(1)
    host.opened(501, 'in')
    expect(host.event({ type: 'closed', pipe: 501 as PipeId })).toEqual([])
    expect(host.event({ type: 'message', pipe: 999 as PipeId, channel: 0, bytes: new Uint8Array(9) })).toEqual([])
    expect(host.counter('unknown-pipe')).toBe(1)
    expect(host.network.sizes()).toEqual({ connections: 0, pipes: 0, handshakesIn: 0 })
  })

  test('[L54] stop says goodbye on every link and closes every pipe', () => {
    const host = new Host()
    host.admit(500, bob)
    host.connect(carol.peerId, 'ws://carol')
    host.opened(501, 'in')
    const outputs = host.do({ type: 'stop' })
    expect(outputs.filter(({ type }) => type === 'close').length).toBe(3)
    expect(outputs).toContainEqual({ type: 'link-down', peerId: bob.peerId, reason: 'shutdown' })
    expect(host.network.deadline()).toBe(Number.POSITIVE_INFINITY)
    expect(host.opened(502, 'in')).toEqual([{ type: 'close', pipe: 502 }])
    expect(host.connect(carol.peerId, 'ws://carol')).toEqual([])
  })

  test('[L56] peers neither wanted nor linked are remembered up to a bound', () => {
    const host = new Host()
    for (let i = 0; i < 400; i++) {
      host.do({ type: 'addresses', peerId: testIdentity(1_000 + i).peerId, addresses: ['ws://x'] })
    }
    expect(host.network.sizes().connections).toBe(256)
  })

  test('[L53] a thousand peers wanted above the bound are ignored', () => {
    const host = new Host({ limits: { wantedMax: 3, dialsMax: 1 } })
    const peers = Array.from({ length: 5 }, (_, i) => [testIdentity(800 + i).peerId, 'ws://x'] as const)
    host.want(...peers)
    expect(host.network.sizes().connections).toBe(3)
  })
})

describe('upgrades', () => {
  test('[L71] the smaller peer id offers over the link, each document in a Signal frame', () => {
    const host = new Host({ webrtc: true })
    const { outputs } = host.admit(500, bob)
    expect(outputs).toContainEqual({ type: 'offer', pipe: 1 })
    expect(host.network.views()[0]?.state).toBe('upgrading')
    const description = { type: 'offer', sdp: 'v=0' } as const
    expect(typesOf(host.event({ type: 'description', pipe: 1 as PipeId, description }))).toEqual(['write'])
    const candidate = { candidate: 'candidate:1', sdpMid: '0', sdpMLineIndex: 0 }
    expect(typesOf(host.event({ type: 'candidate', pipe: 1 as PipeId, candidate }))).toEqual(['write'])
  })

  test('row C17: of two peers exactly one should initiate', () => {
    expect(shouldInitiateConnection(alice.peerId, bob.peerId)).toBe(true)
    expect(shouldInitiateConnection(bob.peerId, alice.peerId)).toBe(false)
  })

  test('[L71] the offer of the larger peer id is dropped', () => {
    const { host, signal } = signalled(alice, bob)
    expect(signal({ type: 'offer', sdp: 'v=0' })).toEqual([])
    expect(host.counter('offers-dropped')).toBe(1)
  })

  test('[L72] the larger peer id accepts, or refuses where WebRTC is not to be had', () => {
    const { signal } = signalled(bob, alice)
    expect(signal({ type: 'offer', sdp: 'v=0' })).toEqual([
      { type: 'accept', pipe: 1, offer: { type: 'offer', sdp: 'v=0' } },
    ])
    const candidate = 'candidate:1 1 udp 2122260223 203.0.113.7 4000 typ srflx raddr 10.0.0.7 rport 4000'
    expect(signal({ type: 'candidate', candidate, sdpMid: null, sdpMLineIndex: null })).toEqual([
      { type: 'add-candidate', pipe: 1, candidate: { candidate, sdpMid: null, sdpMLineIndex: null } },
    ])
    // A new attempt replaces the one before.
    expect(typesOf(signal({ type: 'offer', sdp: 'v=0', attempt: 2 }))).toEqual(['close', 'accept'])
    const without = signalled(bob, alice, { webrtc: false })
    expect(typesOf(without.signal({ type: 'offer', sdp: 'v=0' }))).toEqual(['write'])
    expect(without.host.counter('offers-refused')).toBe(1)
  })

  test('[L72] a peer that offers without end is told busy after four, and then heard once in 5 s', () => {
    const { host, signal } = signalled(bob, alice)
    const offer = (attempt: number) => typesOf(signal({ type: 'offer', sdp: 'v=0', attempt })).includes('accept')
    expect([1, 2, 3, 4, 5, 6].map(offer)).toEqual([true, true, true, true, false, false])
    expect(host.counter('offers-refused')).toBe(2)
    host.now = 5_000
    expect([7, 8].map(offer)).toEqual([true, false])
  })

  test('[L72] strangers whose attempts never end leave half of the room to those who are wanted', () => {
    const { host, signal } = signalled(bob, alice, { limits: { upgradesMax: 2 } })
    expect(typesOf(signal({ type: 'offer', sdp: 'v=0' }))).toEqual(['accept'])
    const upgradesWith = (identity: TestIdentity, pipe: number) =>
      typesOf(host.admit(pipe, identity).outputs).includes('offer')
    const [first, second] = [1, 2, 3, 4, 5, 6, 7, 8]
      .map((i) => testIdentity(700 + i))
      .filter(({ peerId }) => shouldInitiateConnection(bob.peerId, peerId))
    if (first === undefined || second === undefined) throw new Error('half of all keys are larger')
    host.want([second.peerId])
    expect(upgradesWith(first, 501)).toBe(false)
    expect(upgradesWith(second, 502)).toBe(true)
  })

  test('[L82] frames of a new link wait as long as frames still come on the old one', () => {
    const { host, signal, remote: old } = signalled(bob, alice)
    signal({ type: 'offer', sdp: 'v=0' })
    const [ours, theirs] = [new Uint8Array(32).fill(1), new Uint8Array(32).fill(2)]
    const facts = { transport: 'webrtc', channels: 2, padded: false, remoteAddress: '', direction: 'in' } as const
    host.event({ type: 'opened', pipe: 1 as PipeId, ...facts, binding: { local: ours, remote: theirs } })
    const fresh = new Link(linkOptions({ identity: alice, binding: { local: theirs, remote: ours } }), at(0))
    host.shakeHands(1, fresh)
    expect(host.network.views()[0]?.transport).toBe('webrtc')
    const heard: (number | undefined)[] = []
    const say = (pipe: number, link: Link, number: number) => {
      for (const output of host.hear(pipe, link, frameTypes.directMessage, Uint8Array.of(number))) {
        if (output.type === 'frame') heard.push(output.payload[0])
      }
    }
    say(1, fresh, 9)
    for (let i = 1; i <= 3; i++) {
      host.now += 1_500
      host.wakeAt(host.now)
      say(500, old, i)
    }
    expect(heard).toEqual([1, 2, 3])
    const released = host.wakeAt(host.now + 2_000)
    expect(released.flatMap((output) => (output.type === 'frame' ? [output.payload[0]] : []))).toEqual([9])
  })

  test('[L72] one attempt passes on at most 64 candidates', () => {
    const { host, signal } = signalled(bob, alice)
    host.want([alice.peerId])
    signal({ type: 'offer', sdp: 'v=0' })
    let passed = 0
    for (let i = 0; i < 100; i++) {
      const candidate = `candidate:1 1 udp 1 203.0.113.7 ${4_000 + i} typ srflx`
      passed += signal({ type: 'candidate', candidate, sdpMid: '0', sdpMLineIndex: 0 }).length
    }
    expect(passed).toBe(64)
    expect(host.counter('candidates-dropped')).toBe(36)
  })

  test('[L73] refused or failed, the link stays and another attempt follows after 10 s, 20 s …', () => {
    const { host, signal } = signalled(alice, bob)
    expect(host.network.views()[0]?.state).toBe('upgrading')
    const refused = signal({ type: 'refuse', reason: 'unavailable' })
    expect(typesOf(refused)).toEqual(['close', 'connection-error'])
    expect(host.network.views()[0]).toMatchObject({ state: 'connected', error: { type: 'unreachable' } })
    expect(host.network.deadline()).toBe(10_000)
    expect(host.wakeAt(9_999)).toEqual([])
    expect(host.wakeAt(10_000)).toContainEqual({ type: 'offer', pipe: 2 })
    signal({ type: 'refuse', reason: 'unavailable', attempt: 2 })
    expect(host.network.deadline()).toBe(30_000)
  })

  test('[L73] an attempt that takes 20 s is given up', () => {
    const { host } = signalled(alice, bob, { linkLimits: { silentMs: 1_000_000 } })
    expect(typesOf(host.wakeAt(20_000))).toEqual(expect.arrayContaining(['close', 'connection-error']))
    expect(host.network.views()[0]?.state).toBe('connected')
  })

  test('[L74] answers are taken once, and signals of other connections or attempts not at all', () => {
    const { host, signal } = signalled(alice, bob)
    expect(signal({ type: 'answer', sdp: 'v=0', attempt: 9 })).toEqual([])
    const foreign = `conn_${alice.peerId}_${carol.peerId}`
    expect(signal({ type: 'answer', sdp: 'v=0', connectionId: foreign })).toEqual([])
    expect(host.counter('bad-signal')).toBe(1)
    expect(signal({ type: 'answer', sdp: 'v=1' })).toEqual([
      { type: 'answer', pipe: 1, answer: { type: 'answer', sdp: 'v=1' } },
    ])
    expect(signal({ type: 'answer', sdp: 'v=2' })).toEqual([])
    expect(host.counter('bad-signal')).toBe(2)
  })

  test('[L16] an SDP swapped by the one who carries it shows in the fingerprints: the pipe is closed, the link stays', () => {
    const { host, signal } = signalled(alice, bob)
    signal({ type: 'answer', sdp: 'v=1' })
    const [ours, theirs, mallory] = [1, 2, 3].map((fill) => new Uint8Array(32).fill(fill))
    if (ours === undefined || theirs === undefined || mallory === undefined) throw new Error('three were made')
    const facts = { transport: 'webrtc', channels: 2, padded: false, remoteAddress: '' } as const
    const binding = { local: ours, remote: mallory }
    const opened = host.event({ type: 'opened', pipe: 1 as PipeId, direction: 'out', ...facts, binding })
    const [hello] = opened
    const remote = new Link(
      linkOptions({ identity: bob, role: 'responder', binding: { local: theirs, remote: mallory } }),
      at(0),
    )
    const [ack] = remote.receive(at(0), 0, hello?.type === 'write' ? hello.bytes : new Uint8Array(0))
    const bytes = ack?.type === 'write' ? ack.bytes : new Uint8Array(0)
    const outputs = host.event({ type: 'message', pipe: 1 as PipeId, channel: 0, bytes })
    expect(typesOf(outputs)).toEqual(['close', 'connection-error'])
    expect(errorsOf(outputs)).toEqual(['channel-binding-mismatch'])
    expect(host.network.views()[0]).toMatchObject({ state: 'connected', error: { type: 'channel-binding-mismatch' } })
  })

  test('[L16] a WebRTC pipe without fingerprints is closed', () => {
    const { host } = signalled(alice, bob)
    const facts = { transport: 'webrtc', channels: 2, padded: false, remoteAddress: '' } as const
    const outputs = host.event({ type: 'opened', pipe: 1 as PipeId, direction: 'out', ...facts })
    expect(errorsOf(outputs)).toEqual(['channel-binding-mismatch'])
  })
})
