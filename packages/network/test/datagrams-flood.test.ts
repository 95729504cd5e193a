import { type Crypto, NoiseHandshake } from '@miaou/crypto'
import type { Endpoint } from '@miaou/protocol'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { makeMac1, makeMacKey } from '../src/datagrams/outgoing-handshakes.ts'
import { defaultDatagramsLimits } from '../src/index.ts'
import { at, libsodium, Node, request, settle } from './datagrams-nodes.ts'

/** libsodium that counts its agreements: what a flood must not buy. */
function countingCrypto(): { crypto: Crypto; agreements: () => number } {
  let count = 0
  const crypto = new Proxy(libsodium, {
    get: (target, name: keyof Crypto) => {
      if (name === 'x25519') {
        return (secret: Uint8Array, key: Uint8Array) => {
          count += 1
          return target.x25519(secret, key)
        }
      }
      const value = target[name]
      return typeof value === 'function' ? (value as (...input: unknown[]) => unknown).bind(target) : value
    },
  })
  return { crypto, agreements: () => count }
}

/** First datagrams that cost a spoofer nothing: a random ephemeral key and the `mac1` that anybody can make. */
function spoof(macKey: Uint8Array, seed: number): { from: Endpoint; bytes: Uint8Array } {
  const bytes = new Uint8Array(1_200).fill(7)
  bytes[0] = 1
  new DataView(bytes.buffer).setUint32(5, seed)
  new DataView(bytes.buffer).setUint32(9, Math.imul(seed, 0x9e37_79b1))
  bytes.set(makeMac1(libsodium, macKey, bytes), 1_168)
  const host = `${11 + (seed % 89)}.${(seed >> 4) & 255}.${(seed >> 12) & 255}.${1 + (seed % 200)}`
  return { from: { host, port: 1_024 + (seed % 60_000) }, bytes }
}

describe('a flood of spoofed first datagrams', () => {
  test('[D30] [D32] [D33] 20,000 a second for 3 s: honest requests are answered, few agreements, bounded memory', () => {
    const { crypto, agreements } = countingCrypto()
    const victim = new Node('victim', { host: '198.51.100.2', port: 4002 }, {}, crypto)
    victim.reply = () => request('answer')
    const warm = new Node('warm', { host: '203.0.113.1', port: 4001 })
    settle(at(0), [warm, victim], warm, warm.send(at(0), victim, request('x')))
    const macKey = makeMacKey(libsodium, victim.key)
    const before = agreements()
    let answers = 0
    let newcomers = 0
    for (let ms = 1; ms <= 3_000; ms++) {
      const now = at(ms)
      for (let count = 0; count < 20; count++) {
        const { from, bytes } = spoof(macKey, ms * 20 + count)
        for (const { bytes: sent } of victim.receive(now, from, bytes)) expect(sent.length).toBeLessThanOrEqual(37)
      }
      if (ms % 50 !== 0) continue
      warm.messages.length = 0
      settle(now, [warm, victim], warm, warm.send(now, victim, request('warm')))
      answers += warm.messages.length
      const cold = new Node(`cold ${ms}`, { host: `203.0.${(ms / 50) % 200}.9`, port: 4000 })
      settle(now, [cold, victim], cold, cold.send(now, victim, request('cold')))
      newcomers += cold.messages.length
      if (victim.engine.deadline() <= ms) victim.wake(now)
    }
    expect([answers, newcomers]).toEqual([60, 60])
    // Of the spoofed ones: the open budget, one agreement each, which shows that the tag is wrong.
    const { handshakesBurst, handshakesPerSecond } = defaultDatagramsLimits
    expect(agreements() - before).toBeLessThanOrEqual(handshakesBurst + 3 * handshakesPerSecond + 60 * 4)
    const { pending, owed, prefixes, responses, sessions } = victim.engine.held()
    expect(prefixes).toBeLessThanOrEqual(defaultDatagramsLimits.prefixesMax)
    expect(responses).toBeLessThanOrEqual(defaultDatagramsLimits.responsesMax)
    expect([pending, owed]).toEqual([0, 0])
    expect(sessions).toBeLessThanOrEqual(61)
    expect(victim.engine.counters()['cookie-demanded']).toBeGreaterThan(50_000)
  })

  test('planted fault: without the budget of cookies the newcomers are not answered', () => {
    const limits = { cookieHandshakesBurst: 0, cookieHandshakesPerSecond: 0 }
    const victim = new Node('victim', { host: '198.51.100.2', port: 4002 }, limits)
    const macKey = makeMacKey(libsodium, victim.key)
    for (let seed = 0; seed < 600; seed++) {
      const { from, bytes } = spoof(macKey, seed)
      victim.receive(at(1), from, bytes)
    }
    const cold = new Node('cold', { host: '203.0.113.9', port: 4000 })
    settle(at(1), [cold, victim], cold, cold.send(at(1), victim, request('cold')))
    expect(victim.messages).toEqual([])
    expect(victim.engine.counters()).toMatchObject({ 'over-budget': 1 })
  })

  test('[D20] without the mac of our key, or unsized, not even a cookie is made', () => {
    const { crypto, agreements } = countingCrypto()
    const victim = new Node('victim', { host: '198.51.100.2', port: 4002 }, {}, crypto)
    for (let seed = 0; seed < 1_000; seed++) {
      const { from, bytes } = spoof(new Uint8Array(32), seed)
      expect(victim.receive(at(1), from, bytes)).toEqual([])
    }
    expect(agreements()).toBe(0)
    expect(victim.engine.counters()).toEqual({ 'bad-mac': 1_000 })
  })

  test('[D24] prefixes, ephemerals and responses are bounded tables', () => {
    const limits = { prefixesMax: 3, replaysMax: 4, responsesMax: 2, unprovenMax: 5, handshakesBurst: 1e3 }
    const victim = new Node('victim', { host: '198.51.100.2', port: 4002 }, limits)
    for (let n = 0; n < 20; n++) {
      const from = new Node(`n${n}`, { host: `192.0.${n + 3}.1`, port: 10 })
      settle(at(1), [from, victim], from, from.send(at(1), victim, request('x')))
    }
    const held = victim.engine.held()
    expect(held).toMatchObject({ prefixes: 3, responses: 2, sessions: 5 })
    expect(held.ephemerals).toBeLessThanOrEqual(8)
  })

  test('[D10] handshakes under way and answers owed are bounded: the oldest make room', () => {
    const a = new Node('a', { host: '203.0.113.1', port: 4001 }, { pendingMax: 3 })
    const b = new Node('b', { host: '198.51.100.2', port: 4002 }, { owedMax: 2 })
    for (let n = 0; n < 5; n++) a.send(at(1), new Node(`n${n}`, { host: '192.0.2.1', port: 10 + n }), request('x'))
    expect(a.engine.held().pending).toBe(3)
    expect(a.engine.counters()).toMatchObject({ 'pending-evicted': 2 })
    let sent = 0
    for (let n = 0; n < 5; n++) {
      const from = new Node(`n${n}`, { host: `192.0.2.${n + 1}`, port: 10 })
      for (const { bytes } of from.send(at(1), b, request('x'))) sent += b.receive(at(1), from.endpoint, bytes).length
    }
    expect([sent, b.engine.held().owed]).toEqual([3, 2])
  })
})

describe('amplification', () => {
  // What an address may do: whole initiations, replays, data and hints of its own, junk.
  const step = fc.record({
    kind: fc.constantFrom('open', 'replay', 'junk', 'data', 'cookie', 'send-back', 'wake'),
    source: fc.nat(2),
    size: fc.nat(1_300),
    type: fc.nat(6),
  })

  function play(steps: readonly { kind: string; source: number; size: number; type: number }[], isFaulty: boolean) {
    const victim = new Node('victim', { host: '198.51.100.2', port: 4002 }, { handshakesBurst: 3 })
    victim.reply = () => new Uint8Array(1_143)
    const sources = [0, 1, 2].map((n) => ({ host: `192.0.2.${n + 1}`, port: 10 }))
    const senders = sources.map((endpoint, n) => new Node(`s${n}`, endpoint))
    const balance = new Map<string, number>()
    const seen: Uint8Array[] = []
    let worst = 0
    let now = 1
    for (const { kind, source, size, type } of steps) {
      now += 7
      const from = sources[source] as Endpoint
      let bytes = new Uint8Array(size).fill(type, 0, 1)
      const sender = senders[source] as Node
      // The other ends keep nothing: no address here is ever proven.
      if (kind === 'open') sender.restart()
      if (kind === 'open') bytes = sender.send(at(now), victim, request('x'))[0]?.bytes.slice() ?? bytes
      else if (kind === 'replay') bytes = seen[size % Math.max(1, seen.length)]?.slice() ?? bytes
      seen.push(bytes)
      const sent = kind === 'wake' || kind === 'send-back' ? victim.wake(at(now)) : victim.receive(at(now), from, bytes)
      if (kind !== 'wake' && kind !== 'send-back') {
        balance.set(from.host, (balance.get(from.host) ?? 0) + bytes.length)
      } else if (kind === 'send-back') {
        // Own requests go there too: within the credit, or as a handshake of ours, which is not their doing.
        for (const datagram of victim.send(at(now), sender, new Uint8Array(size % 1_000).fill(0x6f))) {
          if (datagram.bytes.length !== 1_200) sent.push(datagram)
        }
      }
      for (const { to, bytes: out } of sent) {
        const left = (balance.get(to.host) ?? 0) - out.length - (isFaulty ? 1_200 : 0)
        balance.set(to.host, left)
        worst = Math.min(worst, left)
      }
    }
    return worst
  }

  test('[D22] [D44] an unproven address never gets more bytes than came from it', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        expect(play(steps, false)).toBe(0)
      }),
      { numRuns: 60, seed: 3 },
    )
  })

  test('planted fault: a response too large is noticed', () => {
    expect(play([{ kind: 'open', source: 0, size: 0, type: 0 }], true)).toBeLessThan(0)
  })
})

test('[D2] the handshake of the library refuses another prologue', () => {
  const key = libsodium.x25519KeyPair(new Uint8Array(32).fill(1))
  const ephemeralSecret = new Uint8Array(32).fill(2)
  const options = { crypto: libsodium, pattern: 'IK', staticKey: key, ephemeralSecret } as const
  const prologue = new Uint8Array(1)
  const started = NoiseHandshake.startTo({ ...options, role: 'initiator', prologue }, key.publicKey)
  if (!started.ok) throw new Error('a good key is refused')
  const other = NoiseHandshake.start({ ...options, role: 'responder', prologue: new Uint8Array(2) })
  expect(other.readMessage(started.value.writeMessage(prologue)).ok).toBe(false)
})
