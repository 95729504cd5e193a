import { concatBytes, textToBytes } from '@miaou/core'
import type { Crypto } from '@miaou/crypto'
import { type DatagramsOutput, defaultDatagramsLimits, SecureDatagrams } from '@miaou/network'
import type { Endpoint } from '@miaou/protocol'
import { sampleBytes } from './samples.ts'
import type { FuzzTarget, Outcome } from './target.ts'

interface Side {
  readonly engine: SecureDatagrams
  readonly key: Uint8Array
  readonly endpoint: Endpoint
}

const request = Uint8Array.of(0x6f, 1, 2, 3)
const now = { mono: 1, wall: 1_700_000_000_000 }

/**
 * Any bytes to the secure datagrams, as they come from the other end's address to two engines that have a session and
 * a handshake under way. Accepted is what gives a message; an altered datagram must give none.
 */
export function datagramTargets(crypto: Crypto): readonly FuzzTarget[] {
  let drawn = 0
  const random = { bytes: (size: number) => sampleBytes(crypto, `datagram ${drawn++}`, size) }
  const opens = (payload: Uint8Array) => payload[0] === request[0]
  const side = (name: string, port: number): Side => {
    const staticKey = crypto.x25519KeyPair(sampleBytes(crypto, `datagrams ${name}`, 32))
    const engine = new SecureDatagrams({ crypto, random, staticKey, opens })
    return { engine, key: staticKey.publicKey, endpoint: { host: '203.0.113.5', port } }
  }
  const [a, b] = [side('a', 1), side('b', 2)]
  // Where b is, so that both are heard from there.
  const [asked, asking] = [side('asked', 2), side('asking', 2)]
  converse(a, b)
  // Not delivered yet: a request and an answer of the session, an initiation of a's with its response, one of another's.
  const seeds = [...open(a, b), ...open(b, a), ...respond(asked, a, open(a, asked)), ...open(asking, a)]
  let clock = now.mono
  return [
    {
      name: 'secure-datagrams',
      seeds,
      decode: (bytes) => {
        clock += 1
        const before = a.engine.counters()
        const heard = hear(b, a.endpoint, bytes, clock) ?? hear(a, b.endpoint, bytes, clock)
        return heard ?? { ok: false, error: { type: reasonSince(before, a.engine.counters()) } }
      },
      repair: (bytes) => repairMac(crypto, a.key, bytes),
      isSealed: true,
      sizeMax: 1_300,
      // An initiation costs agreements.
      weight: 0.2,
      slackBytes: 262_144,
    },
  ]
}

type Counts = Readonly<Record<string, number>>

/** The first counter that rose: what the fuzzer tells refusals apart by. */
function reasonSince(before: Counts, after: Counts): string {
  return Object.keys(after).find((name) => after[name] !== before[name]) ?? 'nothing-heard'
}

function datagramsOf(outputs: readonly DatagramsOutput[]): Uint8Array[] {
  return outputs.flatMap((output) => (output.type === 'datagram' ? [output.bytes] : []))
}

function open(from: Side, to: Side): Uint8Array[] {
  const { key, endpoint } = to
  return datagramsOf(from.engine.handle(now, { type: 'send', key, endpoint, payload: request, opens: true, token: 1 }))
}

/** Hands these datagrams over and gives what comes back once requests are answered. */
function respond(to: Side, from: Side, datagrams: readonly Uint8Array[]): Uint8Array[] {
  return datagrams.flatMap((bytes) =>
    to.engine.handle(now, { type: 'datagram', from: from.endpoint, bytes }).flatMap((heard) => {
      if (heard.type !== 'message') return []
      return datagramsOf(to.engine.handle(now, { type: 'answer', session: heard.session, payload: request }))
    }),
  )
}

/** Makes a session between the two, proven by both. */
function converse(a: Side, b: Side): void {
  for (let round = 0; round < 2; round++) respond(a, b, respond(b, a, open(a, b)))
}

/** An initiation's `mac1` made right, so that mutations reach the handshake. */
export function repairMac(crypto: Crypto, key: Uint8Array, bytes: Uint8Array): Uint8Array {
  if (bytes[0] !== 1 || bytes.length !== 1_200) return bytes
  const repaired = bytes.slice()
  const macKey = crypto.sha256(concatBytes(textToBytes('Miaou-v0.2.0-overlay-mac1'), key))
  repaired.set(crypto.hmacSha256(macKey, repaired.subarray(0, 85)).subarray(0, 16), 1_168)
  return repaired
}

function hear(side: Side, from: Endpoint, bytes: Uint8Array, mono: number): Outcome | undefined {
  const outputs = side.engine.handle({ ...now, mono }, { type: 'datagram', from, bytes })
  if (side.engine.deadline() <= mono) side.engine.handle({ ...now, mono }, { type: 'wake' })
  const sent = datagramsOf(outputs).reduce((sum, { length }) => sum + length, 0)
  const { sessions, owed, prefixes, responses } = side.engine.held()
  const limits = defaultDatagramsLimits
  if (sessions > limits.sessionsMax + limits.unprovenMax || owed > limits.owedMax) throw new Error('too much is held')
  if (prefixes > limits.prefixesMax || responses > limits.responsesMax) throw new Error('too much is remembered')
  // A hint may make a node open anew, at an address that is proven; nothing else is answered with more.
  if (sent > bytes.length && bytes[0] !== 5) throw new Error('an answer is larger than its question')
  const message = outputs.find((output) => output.type === 'message')
  return message === undefined ? undefined : { ok: true, value: message.payload }
}
