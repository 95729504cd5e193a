import { bytesToText } from '@miaou/core'
import { NoiseHandshake } from '@miaou/crypto'
import { describe, expect, test } from 'vitest'
import { datagramsPrologue } from '../src/datagrams/wire.ts'
import { at, type Datagram, libsodium, Node, opens, request, settle } from './datagrams-nodes.ts'

const alice = (limits = {}) => new Node('alice', { host: '203.0.113.1', port: 4001 }, limits)
const bob = (limits = {}) => new Node('bob', { host: '198.51.100.2', port: 4002 }, limits)
const now = at(1_000)
const closed = (text: string) => request(text).fill(0x63, 0, 1)

/** Two nodes with a session that both have proven. */
function warmPair(limits = {}): [Node, Node] {
  const [a, b] = [alice(limits), bob(limits)]
  b.reply = ({ payload }) => (opens(payload) ? request('answer') : undefined)
  settle(now, [a, b], a, a.send(now, b, request('first')))
  settle(now, [a, b], a, a.send(now, b, request('second')))
  a.messages.length = 0
  b.messages.length = 0
  return [a, b]
}

function only(datagrams: readonly Datagram[]): Uint8Array {
  expect(datagrams).toHaveLength(1)
  return datagrams[0]?.bytes ?? new Uint8Array(0)
}

describe('handshake', () => {
  test('[D10] [D21] the first request and its answer travel inside the handshake', () => {
    const [a, b] = [alice(), bob()]
    b.reply = ({ payload }) => request(`re ${bytesToText(payload)}`)
    const first = a.send(now, b, request('ping'))
    expect(first.map(({ bytes }) => bytes.length)).toEqual([1_200])
    expect(settle(now, [a, b], a, first)).toBe(2)
    expect(b.messages).toMatchObject([{ isProven: false, payload: request('ping'), key: a.key, endpoint: a.endpoint }])
    expect(a.messages).toMatchObject([{ isProven: true, payload: request('re oping'), key: b.key }])
  })

  test('[D2] the handshake is Noise IK under the prologue: a bare responder of the library reads it', () => {
    const [a, b] = [alice(), bob()]
    const bytes = only(a.send(now, b, request('ping')))
    const staticKey = libsodium.x25519KeyPair(libsodium.sha256(new TextEncoder().encode('static bob')))
    const ephemeralSecret = new Uint8Array(32).fill(9)
    const options = { crypto: libsodium, pattern: 'IK', role: 'responder', staticKey, ephemeralSecret } as const
    const responder = NoiseHandshake.start({ ...options, prologue: datagramsPrologue })
    const read = responder.readMessage(bytes.subarray(5, 1_168))
    expect(responder.remoteStatic).toEqual(a.key)
    expect(read.ok && read.value.subarray(8, 15)).toEqual(Uint8Array.of(0, 5, ...request('ping')))
  })

  test('[D10] payloads that may not open wait for the session, at most queuedMax of them', () => {
    const [a, b] = [alice({ queuedMax: 4 }), bob()]
    const first = a.send(now, b, closed('store'), 1)
    for (let token = 2; token <= 4; token++) expect(a.send(now, b, request(`${token}`), token)).toEqual([])
    expect(a.failures).toEqual([])
    expect(a.send(now, b, request('5'), 5)).toEqual([])
    expect(a.failures).toEqual([{ type: 'failed', token: 5, reason: 'queue-full' }])
    settle(now, [a, b], a, first)
    expect(b.messages.map(({ payload, isProven }) => [bytesToText(payload), isProven])).toEqual([
      ['cstore', true],
      ['o2', true],
      ['o3', true],
      ['o4', true],
    ])
  })

  test('[D10] [D13] sizes: 1,057 bytes open, 1,058 wait, 1,171 pass, 1,172 fail; an answer of 1,143 in a response', () => {
    for (const [size, heardFirst] of [
      [1_057, false],
      [1_058, true],
      [1_171, true],
    ] as const) {
      const [a, b] = [alice(), bob()]
      settle(now, [a, b], a, a.send(now, b, new Uint8Array(size).fill(0x6f)))
      expect(b.messages.map(({ payload, isProven }) => [payload.length, isProven])).toEqual([[size, heardFirst]])
    }
    const [a, b] = [alice(), bob()]
    a.send(now, b, new Uint8Array(1_172), 7)
    expect(a.failures).toEqual([{ type: 'failed', token: 7, reason: 'too-large' }])
    b.reply = () => new Uint8Array(1_143)
    settle(now, [a, b], a, a.send(now, b, request('big')))
    expect(a.messages.map(({ payload }) => payload.length)).toEqual([1_143])
    const c = new Node('carol', { host: '203.0.113.9', port: 1 })
    b.reply = () => new Uint8Array(1_144)
    settle(now, [c, b], c, c.send(now, b, request('big')))
    expect(c.messages).toEqual([])
    expect(b.engine.counters()).toMatchObject({ 'answer-too-large': 1 })
  })

  test('[D13] a key of small order fails at once', () => {
    const a = alice()
    const input = { type: 'send', key: new Uint8Array(32), endpoint: bob().endpoint, payload: request('x') } as const
    expect(a.engine.handle(now, { ...input, opens: true, token: 3 })).toEqual([
      { type: 'failed', token: 3, reason: 'weak-key' },
    ])
  })

  test('[D21] without an answer the response goes at the next wake, which is due at once', () => {
    const [a, b] = [alice(), bob()]
    expect(b.receive(now, a.endpoint, only(a.send(now, b, request('x'))))).toEqual([])
    expect(b.engine.deadline()).toBeLessThanOrEqual(now.mono)
    const sent = b.wake(now)
    expect(sent.map(({ bytes }) => bytes.length)).toEqual([57])
    expect(b.engine.deadline()).toBeGreaterThan(now.mono)
    expect(a.receive(now, b.endpoint, only(sent))).toEqual([])
    expect(a.engine.counters()).toMatchObject({ established: 1 })
    expect(b.engine.handle(now, { type: 'answer', session: -1, payload: request('late') })).toEqual([])
    expect(b.engine.counters()).toMatchObject({ 'answer-late': 1 })
  })

  test('[D11] an initiation is repeated once, then given up', () => {
    const [a, b] = [alice(), bob()]
    const first = only(a.send(now, b, request('x')))
    const again = a.engine.deadline()
    expect(again - now.mono).toBe(1_000)
    expect(a.wake(at(again - 1))).toEqual([])
    expect(only(a.wake(at(again)))).toEqual(first)
    expect(a.wake(at(a.engine.deadline()))).toEqual([])
    expect(a.engine.counters()).toMatchObject({ 'handshake-timeout': 1 })
    expect(a.engine.held().pending).toBe(0)
    expect(a.engine.deadline()).toBe(Number.POSITIVE_INFINITY)
  })

  test('[D12] an altered response costs the handshake, and the repetition begins another', () => {
    const [a, b] = [alice(), bob()]
    b.reply = () => request('answer')
    const answer = only(b.receive(now, a.endpoint, only(a.send(now, b, request('x')))))
    answer[40] = (answer[40] as number) ^ 1
    a.receive(now, b.endpoint, answer)
    expect(a.engine.counters()).toMatchObject({ 'bad-response': 1 })
    const later = at(a.engine.deadline())
    settle(later, [a, b], a, a.wake(later))
    expect(a.messages.map(({ payload }) => payload)).toEqual([request('answer')])
  })

  test('[D14] both open at once: two sessions, each side is heard and proven', () => {
    const [a, b] = [alice(), bob()]
    a.reply = b.reply = ({ payload }) => (bytesToText(payload)?.startsWith('oask') ? request('answer') : undefined)
    const [fromA, fromB] = [a.send(now, b, request('ask a')), b.send(now, a, request('ask b'))]
    const [toA, toB] = [
      fromA.flatMap(({ bytes }) => b.receive(now, a.endpoint, bytes)),
      fromB.flatMap(({ bytes }) => a.receive(now, b.endpoint, bytes)),
    ]
    settle(now, [a, b], b, toA)
    settle(now, [a, b], a, toB)
    for (const node of [a, b]) expect(node.messages.map(({ payload }) => bytesToText(payload))).toContain('oanswer')
    for (let round = 0; round < 3; round++) {
      settle(now, [a, b], a, a.send(now, b, request(`ask ${round}`)))
      settle(now, [a, b], b, b.send(now, a, request(`ask ${round}`)))
    }
    expect(a.messages.filter(({ isProven }) => isProven)).toHaveLength(7)
    expect(b.messages.filter(({ isProven }) => isProven)).toHaveLength(7)
    expect(a.engine.held().sessions).toBe(2)
  })
})

describe('what a first datagram may do', () => {
  test('[D20] altered at any byte, cut at any length or meant for another key, it opens nothing', () => {
    const b = bob({ handshakesBurst: 1e6, prefixHandshakesBurst: 1e6 })
    const bytes = only(alice().send(now, b, request('x')))
    // The cookie, the last 16 bytes, is no part of what is proven: without the right one it is as if none were there.
    for (let index = 0; index < 1_184; index++) {
      const altered = bytes.slice()
      altered[index] = (altered[index] as number) ^ 0x40
      expect(b.receive(now, alice().endpoint, altered)).toEqual([])
    }
    for (let size = 0; size < bytes.length; size++) b.receive(now, alice().endpoint, bytes.subarray(0, size))
    const c = new Node('carol', { host: '192.0.2.3', port: 9 })
    expect(c.receive(now, alice().endpoint, bytes)).toEqual([])
    expect([b.messages, c.messages]).toEqual([[], []])
    expect(c.engine.counters()).toEqual({ 'bad-mac': 1 })
  })

  test('[D23] only payloads that may open are taken out of it', () => {
    const [a, b] = [alice(), bob()]
    const input = { type: 'send', key: b.key, endpoint: b.endpoint, payload: closed('store'), token: 1 } as const
    const sent = a.engine.handle(now, { ...input, opens: true })
    const bytes = sent[0]?.type === 'datagram' ? sent[0].bytes : new Uint8Array(0)
    expect(b.receive(now, a.endpoint, bytes)).toEqual([])
    expect(b.messages).toEqual([])
    expect(b.engine.counters()).toEqual({ 'not-opening': 1 })
  })

  test('[D20] a node does not open a session with itself', () => {
    const [a, twin] = [alice(), new Node('alice', { host: '203.0.113.1', port: 4002 })]
    twin.receive(now, a.endpoint, only(a.send(now, twin, request('x'))))
    expect([twin.messages, twin.engine.counters()]).toEqual([[], { self: 1 }])
  })

  test('[D24] [D25] replayed it opens nothing: from its source it gets the same response, from elsewhere none', () => {
    const [a, b] = [alice(), bob()]
    b.reply = () => request('answer')
    const first = only(a.send(now, b, request('x')))
    const response = only(b.receive(now, a.endpoint, first))
    expect(only(b.receive(now, a.endpoint, first))).toEqual(response)
    expect(b.receive(now, { host: '192.0.2.66', port: 1 }, first)).toEqual([])
    expect(b.messages).toHaveLength(1)
    expect(b.receive(at(now.mono + 3_000), a.endpoint, first)).toEqual([])
    expect(b.engine.counters()).toMatchObject({ 'repeated-initiation': 1, 'replayed-initiation': 2 })
    expect(b.engine.held().sessions).toBe(1)
  })

  test('[D26] an old one, forgotten but of a peer with a later session, needs a cookie', () => {
    const [a, b] = [alice(), bob({ replaysMax: 1 })]
    const old = only(a.send(now, b, request('old')))
    b.receive(now, a.endpoint, old)
    b.wake(now)
    for (let count = 0; count < 2; count++) {
      const other = new Node(`other ${count}`, { host: '192.0.2.7', port: 70 + count })
      settle(now, [other, b], other, other.send(now, b, request('x')))
    }
    b.messages.length = 0
    expect(b.receive(now, a.endpoint, old).map(({ bytes }) => bytes.length)).toEqual([37])
    expect(b.messages).toEqual([])
    expect(b.engine.counters()).toMatchObject({ 'stale-stamp': 1 })
    // A peer whose clock was set back gets through with it.
    const late = new Node('alice', a.endpoint)
    const past = at(now.mono, 1_000)
    settle(past, [late, b], late, late.send(past, b, request('back')))
    expect(b.messages.map(({ payload }) => bytesToText(payload))).toEqual(['oback'])
  })
})

describe('sessions', () => {
  test('[D40] [D42] warm: one datagram a request and one an answer, both proven', () => {
    const [a, b] = warmPair()
    for (let count = 0; count < 3; count++) {
      const sent = a.send(now, b, request(`${count}`))
      expect(sent.map(({ bytes }) => bytes.length)).toEqual([29 + 2])
      expect(settle(now, [a, b], a, sent)).toBe(2)
    }
    expect(b.messages.map(({ isProven }) => isProven)).toEqual([true, true, true])
    expect(a.messages).toHaveLength(3)
  })

  test('[D40] altered at any byte or cut anywhere, a datagram says nothing', () => {
    const [a, b] = warmPair({ hintsBurst: 0, hintsPerSecond: 0 })
    const bytes = only(a.send(now, b, request('x')))
    for (let index = 0; index < bytes.length; index++) {
      const altered = bytes.slice()
      altered[index] = (altered[index] as number) ^ 1
      expect(b.receive(now, a.endpoint, altered)).toEqual([])
      expect(b.receive(now, a.endpoint, bytes.subarray(0, index))).toEqual([])
    }
    expect(b.messages).toEqual([])
    b.receive(now, a.endpoint, bytes)
    expect(b.messages).toHaveLength(1)
  })

  test('[D41] each counter counts once, within a window of 128', () => {
    const [a, b] = warmPair()
    b.reply = () => undefined
    const sent = Array.from({ length: 300 }, (_, count) => only(a.send(now, b, request(`${count}`))))
    const give = (index: number) => b.receive(now, a.endpoint, sent[index] ?? new Uint8Array(0))
    give(0)
    give(200)
    for (const index of [0, 200, 72]) give(index)
    expect(b.messages).toHaveLength(2)
    for (let index = 199; index >= 73; index--) give(index)
    expect(b.messages).toHaveLength(129)
    for (let index = 0; index < 300; index++) give(index)
    expect(b.messages).toHaveLength(129 + 99)
  })

  test('[D43] from another address it is no session: the other end is told so, and opens anew', () => {
    const [a, b] = warmPair()
    const moved = { host: '203.0.113.77', port: 5 }
    const told = b.receive(now, moved, only(a.send(now, b, request('x'))))
    expect(told.map(({ to, bytes }) => [to, bytes.length])).toEqual([[moved, 5]])
    expect(b.messages).toEqual([])
    expect(b.engine.counters()).toMatchObject({ moved: 1 })
    const anew = a.receive(now, b.endpoint, only(told))
    expect(b.receive(now, moved, only(anew))[0]?.to).toEqual(moved)
    expect(b.messages).toMatchObject([{ endpoint: moved, isProven: false, payload: request('x') }])
  })

  test('[D44] a responder sends on an unproven session within what it received, then opens its own', () => {
    const [a, b] = [alice(), bob()]
    settle(now, [a, b], a, a.send(now, b, request('x')))
    const sizes = Array.from({ length: 3 }, () => b.send(now, a, request('y'.repeat(500)))[0]?.bytes.length)
    expect(sizes).toEqual([530, 530, 1_200])
  })

  test('[D45] after its lifetime a session is not sent on; it is heard for the grace', () => {
    const [a, b] = warmPair({ sessionMs: 10_000, graceMs: 1_000 })
    const last = only(a.send(at(10_999), b, request('x')))
    expect(a.send(at(11_000), b, request('y'))[0]?.bytes.length).toBe(1_200)
    b.receive(at(12_000), a.endpoint, last)
    expect(b.messages).toHaveLength(1)
    const [c, d] = warmPair({ sessionMs: 10_000, graceMs: 1_000 })
    d.receive(at(12_001), c.endpoint, only(c.send(at(10_999), d, request('x'))))
    expect(d.messages).toEqual([])
  })

  test('[D45] after messagesMax datagrams the next one opens anew', () => {
    const [a, b] = [alice({ messagesMax: 3 }), bob()]
    b.reply = () => request('answer')
    settle(now, [a, b], a, a.send(now, b, request('first')))
    const sizes = Array.from({ length: 4 }, () => a.send(now, b, request('x'))[0]?.bytes.length)
    expect(sizes).toEqual([31, 31, 31, 1_200])
  })

  test('[D46] idle sessions are forgotten', () => {
    const [a, b] = warmPair()
    for (const node of [a, b]) {
      for (let step = 0; node.engine.deadline() < Number.POSITIVE_INFINITY; step++) {
        expect(step).toBeLessThan(9)
        node.wake(at(node.engine.deadline()))
      }
      expect(node.engine.held().sessions).toBe(0)
    }
    expect(a.engine.counters()).toMatchObject({ 'session-expired': 1 })
  })

  test('[D46] the least recently used session makes room; strangers take no room of the proven', () => {
    const b = bob({ sessionsMax: 2, unprovenMax: 2 })
    const nodes = Array.from({ length: 6 }, (_, n) => new Node(`n${n}`, { host: `192.0.${n}.1`, port: 10 }))
    const all = [b, ...nodes]
    const [first, second, third, ...strangers] = nodes as [Node, Node, Node, ...Node[]]
    for (const node of [first, second]) settle(now, all, b, b.send(now, node, request('x')))
    settle(now, all, b, b.send(now, first, request('again')))
    for (const node of strangers) settle(now, all, node, node.send(now, b, request('x')))
    expect(b.engine.held().sessions).toBe(4)
    settle(now, all, b, b.send(now, third, request('x')))
    expect(b.send(now, first, request('x'))[0]?.bytes.length).toBe(31)
    expect(b.send(now, second, request('x'))[0]?.bytes.length).toBe(1_200)
  })

  test('[D46] one key at one endpoint has two sessions of each kind at most', () => {
    const [a, b] = [alice(), bob()]
    for (let count = 0; count < 5; count++) {
      a.restart()
      const later = at(1_000 + count)
      settle(later, [a, b], a, a.send(later, b, request('x')))
      settle(later, [a, b], a, a.send(later, b, request('y')))
    }
    expect(b.engine.held().sessions).toBe(2)
    expect(b.engine.counters()).toMatchObject({ 'session-replaced': 3 })
  })
})

describe('one network', () => {
  /** `count` nodes with keys of their own behind one address, each with a proven session. */
  function crowd(b: Node, count: number, host: (n: number) => string): void {
    for (let n = 0; n < count; n++) {
      const from = new Node(`crowd ${n}`, { host: host(n), port: 1_000 + n })
      for (const text of ['x', 'y']) settle(now, [from, b], from, from.send(now, b, request(text)))
    }
  }

  test('[D46] a sender with any number of keys and ports displaces its like, and nobody else', () => {
    const limits = { sessionsMax: 20, prefixSessionsMax: 5, prefixHandshakesBurst: 1_000 }
    for (const [host, held] of [
      [() => '192.0.2.7', 6],
      [(n: number) => `192.0.2.${n + 1}`, 6],
      [(n: number) => `2001:db8:0:${n}::1`, 6],
      // Many networks are many senders, as far as anybody can tell; this machine is trusted with all.
      [(n: number) => `192.0.${n + 3}.1`, 20],
      [() => '127.0.0.1', 20],
    ] as const) {
      const [a, b] = warmPair(limits)
      crowd(b, 40, host)
      expect(b.engine.held().sessions, host(0)).toBe(held)
      expect(only(b.send(now, a, request('x'))).length, host(0)).toBe(held === 6 ? 31 : 1_200)
    }
  })

  test('[D48] payloads beyond its rate are dropped; others are heard', () => {
    const limits = { prefixMessagesBurst: 3, prefixMessagesPerSecond: 1 }
    const [a, b] = warmPair(limits)
    const other = new Node('other', { host: '192.0.2.1', port: 1 })
    settle(now, [other, b], other, other.send(now, b, request('first')))
    b.messages.length = 0
    for (let n = 0; n < 9; n++) settle(now, [a, b], a, a.send(now, b, request('x')))
    // One of the three was the second request of the pair.
    expect(b.messages).toHaveLength(2)
    expect(b.engine.counters()).toMatchObject({ 'over-rate': 7 })
    settle(now, [other, b], other, other.send(now, b, request('heard')))
    expect(bytesToText(b.messages.at(-1)?.payload ?? new Uint8Array(0))).toBe('oheard')
    const later = at(now.mono + 1_000)
    settle(later, [a, b], a, a.send(later, b, request('heard again')))
    expect(bytesToText(b.messages.at(-1)?.payload ?? new Uint8Array(0))).toBe('oheard again')
  })
})

describe('a session that the other end has lost', () => {
  test('[D50] [D52] after a restart of the responder the hint brings a new session and the request again', () => {
    const [a, b] = warmPair()
    b.restart()
    b.reply = () => request('answer')
    expect(settle(now, [a, b], a, a.send(now, b, request('x')))).toBe(4)
    expect(b.messages.map(({ payload }) => bytesToText(payload))).toEqual(['ox'])
    expect(a.messages.map(({ payload }) => bytesToText(payload))).toEqual(['oanswer'])
    expect(settle(now, [a, b], a, a.send(now, b, request('y')))).toBe(2)
  })

  test('[D51] a hint is believed only from the session’s endpoint, for its index, when something is unanswered', () => {
    const [a, b] = warmPair()
    const sent = only(a.send(now, b, request('x')))
    const hint = Uint8Array.of(5, ...sent.subarray(1, 5))
    expect(a.receive(now, { host: '192.0.2.1', port: 4002 }, hint)).toEqual([])
    expect(a.receive(now, b.endpoint, Uint8Array.of(5, 1, 2, 3, 4))).toEqual([])
    settle(now, [a, b], b, b.receive(now, a.endpoint, sent))
    expect(a.receive(now, b.endpoint, hint)).toEqual([])
    expect(a.engine.counters()).toMatchObject({ 'hint-ignored': 3 })
    const again = only(a.send(now, b, request('y')))
    expect(a.receive(now, b.endpoint, hint).map(({ bytes }) => bytes.length)).toEqual([1_200])
    expect(a.receive(now, b.endpoint, hint)).toEqual([])
    // It was a lie: the session still works, and what is heard on it clears the doubt.
    settle(now, [a, b], b, b.receive(now, a.endpoint, again))
    expect(a.send(now, b, request('z'))[0]?.bytes.length).toBe(31)
  })

  test('[D51] a hint for a session that is not proven sends nothing: its initiator may have spoofed both', () => {
    const [a, b] = [alice(), bob()]
    b.reply = () => request('answer')
    const first = only(a.send(now, b, request('x')))
    // The answer, and a request of b's on the session: within what came from there.
    b.receive(now, a.endpoint, first)
    expect(only(b.send(now, a, request('ping'))).length).toBeLessThan(100)
    const hint = Uint8Array.of(5, ...first.subarray(1, 5))
    expect(b.receive(now, a.endpoint, hint)).toEqual([])
    expect(b.engine.counters()).toMatchObject({ 'hint-ignored': 1 })
  })

  test('[D53] without a hint, the next request after a silence makes a new session', () => {
    const [a, b] = warmPair()
    b.restart()
    b.reply = () => request('answer')
    expect(only(a.send(now, b, request('lost'))).length).toBe(29 + 5)
    const soon = at(now.mono + 5_000)
    expect(only(a.send(soon, b, request('lost'))).length).toBe(29 + 5)
    const later = at(soon.mono + 5_001)
    settle(later, [a, b], a, a.send(later, b, request('found')))
    expect(a.messages.map(({ payload }) => bytesToText(payload))).toEqual(['oanswer'])
    expect(a.engine.counters()).toMatchObject({ 'session-silent': 1 })
    // Whoever answers keeps its session, however long ago.
    const muchLater = at(later.mono + 60_000)
    expect(only(a.send(muchLater, b, request('x'))).length).toBeLessThan(100)
  })

  test('[D50] hints are few', () => {
    const b = bob({ hintsBurst: 3, hintsPerSecond: 1 })
    const stray = new Uint8Array(40).fill(4, 0, 1)
    const told = Array.from({ length: 9 }, () => b.receive(now, alice().endpoint, stray).length)
    expect(told.reduce((sum, count) => sum + count, 0)).toBe(3)
    expect(b.receive(at(now.mono + 1_000), alice().endpoint, stray)).toHaveLength(1)
  })
})

describe('cookies', () => {
  const busy = { handshakesBurst: 0, handshakesPerSecond: 0 }

  test('[D30] [D33] [D34] over budget a first datagram costs a cookie; with it the request is answered', () => {
    const [a, b] = [alice(), bob(busy)]
    b.reply = () => request('answer')
    const first = a.send(now, b, request('x'))
    const reply = only(b.receive(now, a.endpoint, only(first)))
    expect(reply.length).toBe(37)
    const again = only(a.receive(now, b.endpoint, reply))
    expect(again.subarray(0, 1_184)).toEqual(only(first).subarray(0, 1_184))
    settle(now, [a, b], b, b.receive(now, a.endpoint, again))
    expect(a.messages.map(({ payload }) => bytesToText(payload))).toEqual(['oanswer'])
  })

  test('[D33] a cookie is bound to address, port and ephemeral key, and lasts two periods at most', () => {
    const cases = [
      ['same', a(), 0, true],
      ['port', { ...a(), port: 9 }, 0, false],
      ['host', { host: '203.0.113.2', port: 4001 }, 0, false],
      ['a period later', a(), 120_000, true],
      ['two periods later', a(), 240_000, false],
    ] as const
    for (const [name, source, later, isTaken] of cases) {
      const [from, b] = [alice(), bob(busy)]
      const reply = only(b.receive(now, from.endpoint, only(from.send(now, b, request('x')))))
      const again = only(from.receive(now, b.endpoint, reply))
      b.receive(at(now.mono + later), source, again)
      expect(b.messages.length, name).toBe(isTaken ? 1 : 0)
      const other = only(from.send(now, { ...b, endpoint: { host: '198.51.100.2', port: 99 } } as Node, request('x')))
      other.set(again.subarray(1_184), 1_184)
      b.messages.length = 0
      b.receive(at(now.mono + later), from.endpoint, other)
      expect(b.messages, name).toEqual([])
    }
  })

  test('[D34] a cookie that belongs to no initiation of ours, or a second one, is dropped', () => {
    const [from, b] = [alice(), bob(busy)]
    const reply = only(b.receive(now, from.endpoint, only(from.send(now, b, request('x')))))
    const spoofed = reply.slice().fill(0, 5, 6)
    expect(from.receive(now, b.endpoint, spoofed)).toEqual([])
    expect(from.receive(now, { host: '192.0.2.1', port: 1 }, reply)).toEqual([])
    expect(from.receive(now, b.endpoint, reply)).toHaveLength(1)
    expect(from.receive(now, b.endpoint, reply)).toEqual([])
    expect(from.engine.counters()).toMatchObject({ 'cookie-unexpected': 3 })
  })

  test('[D31] [D32] whoever spoofs the addresses of a network does not keep it out', () => {
    const b = bob()
    b.reply = () => request('answer')
    // Spoofed: they have no cookie, since it goes to where they are not.
    for (let n = 0; n < 200; n++) {
      const spoofer = new Node(`spoofer ${n}`, { host: `203.0.113.${n + 2}`, port: 10 })
      b.receive(now, spoofer.endpoint, only(spoofer.send(now, b, request('x'))))
    }
    expect(b.engine.counters()).toMatchObject({ responded: 100, 'cookie-demanded': 100 })
    const a = alice()
    settle(now, [a, b], a, a.send(now, b, request('x')))
    expect(a.messages.map(({ payload }) => bytesToText(payload))).toEqual(['oanswer'])
  })

  test('[D31] one network cannot spend the whole budget; loopback is excepted', () => {
    const limits = { prefixHandshakesBurst: 2, prefixHandshakesPerSecond: 0 }
    const sizes = (host: (n: number) => string) => {
      const b = bob(limits)
      b.reply = () => request('answer')
      return Array.from({ length: 4 }, (_, n) => {
        const from = new Node(`n${n}`, { host: host(n), port: 10 + n })
        return b.receive(now, from.endpoint, only(from.send(now, b, request('x'))))[0]?.bytes.length
      })
    }
    expect(sizes((n) => `192.0.2.${n + 1}`)).toEqual([64, 64, 37, 37])
    expect(sizes((n) => `192.0.${n + 2}.1`)).toEqual([64, 64, 64, 64])
    expect(sizes((n) => `2001:db8:1:${n}::1`)).toEqual([64, 64, 37, 37])
    expect(sizes((n) => `2001:db8:${n}::1`)).toEqual([64, 64, 64, 64])
    expect(sizes(() => '127.0.0.1')).toEqual([64, 64, 64, 64])
  })

  function a() {
    return alice().endpoint
  }
})
