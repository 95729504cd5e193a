// Microseconds of CPU, one JSON line each, with libsodium alone and with node:crypto beside it:
// `node packages/host-node/test/measure-crypto.ts`. The least of five rounds: other work only adds.
import { textToBytes } from '@miaou/core'
import { type Crypto, createLibsodiumCrypto } from '@miaou/crypto'
import { SecureDatagrams } from '@miaou/network'
import type { Endpoint } from '@miaou/protocol'
import { createNodeCrypto } from '../src/crypto/node-crypto.ts'
import { systemRandom as random } from '../src/peer/system.ts'

const payload = textToBytes('o'.padEnd(60, 'x'))
const answer = new Uint8Array(700).fill(7)
const now = { mono: 0, wall: 1_700_000_000_000 }

for (const [name, crypto] of [
  ['libsodium', await createLibsodiumCrypto()],
  ['node', await createNodeCrypto()],
] as const) {
  measurePrimitives(name, crypto)
  measureDatagrams(name, crypto)
}

function measurePrimitives(name: string, crypto: Crypto): void {
  const [key, nonce, ad] = [new Uint8Array(32).fill(1), new Uint8Array(12), new Uint8Array(0)]
  const point = crypto.x25519KeyPair(new Uint8Array(32).fill(2)).publicKey
  for (const size of [60, 200, 1_000]) {
    const data = new Uint8Array(size).fill(7)
    const sealed = crypto.chacha20Poly1305Seal(key, nonce, ad, data)
    measure(name, `seal ${size} B`, 5_000, () => crypto.chacha20Poly1305Seal(key, nonce, ad, data))
    measure(name, `open ${size} B`, 5_000, () => crypto.chacha20Poly1305Open(key, nonce, ad, sealed))
    measure(name, `sha256 ${size} B`, 5_000, () => crypto.sha256(data))
  }
  measure(name, 'hmac 85 B', 5_000, () => crypto.hmacSha256(key, new Uint8Array(85)))
  measure(name, 'x25519, both keys known', 300, () => crypto.x25519(key, point))
  measure(name, 'x25519 key pair', 300, () => crypto.x25519KeyPair(random.bytes(32)))
}

function measureDatagrams(name: string, crypto: Crypto): void {
  const a: Endpoint = { host: '203.0.113.1', port: 4001 }
  const b: Endpoint = { host: '198.51.100.2', port: 4002 }
  const bKey = crypto.x25519KeyPair(random.bytes(32))
  const opens = () => true
  const limits = {
    handshakesPerSecond: 1e9,
    handshakesBurst: 1e9,
    prefixHandshakesBurst: 1e9,
    prefixMessagesBurst: 1e9,
    prefixSessionsMax: 1_024,
  }
  const responder = new SecureDatagrams({ crypto, random, staticKey: bKey, opens, limits })
  const initiator = () =>
    new SecureDatagrams({ crypto, random, staticKey: crypto.x25519KeyPair(random.bytes(32)), opens })
  const rpc = (engine: SecureDatagrams) => {
    const input = { type: 'send', key: bKey.publicKey, endpoint: b, payload, opens: true, token: 1 } as const
    for (const sent of engine.handle(now, input)) {
      if (sent.type !== 'datagram') continue
      for (const heard of responder.handle(now, { type: 'datagram', from: a, bytes: sent.bytes })) {
        if (heard.type !== 'message') continue
        const { session } = heard
        for (const back of responder.handle(now, { type: 'answer', session, payload: answer })) {
          if (back.type === 'datagram') engine.handle(now, { type: 'datagram', from: b, bytes: back.bytes })
        }
      }
    }
  }
  const engines = Array.from({ length: 1_300 }, initiator)
  measure(name, 'cold RPC, both ends', 200, () => rpc(engines.pop() ?? initiator()))
  const warm = initiator()
  measure(name, 'warm RPC, both ends (60 B asked, 700 B answered)', 5_000, () => rpc(warm))
  measureFlood(name, crypto)
}

/** What one spoofed first datagram costs whose `mac1` is right, once the budget is spent; and one whose `mac1` is not. */
function measureFlood(name: string, crypto: Crypto): void {
  const bKey = crypto.x25519KeyPair(random.bytes(32))
  const opens = () => true
  const limits = { handshakesBurst: 0, handshakesPerSecond: 0 }
  const victim = new SecureDatagrams({ crypto, random, staticKey: bKey, opens, limits })
  const attacker = new SecureDatagrams({ crypto, random, staticKey: crypto.x25519KeyPair(random.bytes(32)), opens })
  const endpoint = { host: '198.51.100.2', port: 4002 }
  const sent = attacker.handle(now, { type: 'send', key: bKey.publicKey, endpoint, payload, opens: true, token: 1 })
  const bytes = sent[0]?.type === 'datagram' ? sent[0].bytes : new Uint8Array(1_200)
  const wrong = new Uint8Array(1_200).fill(1)
  const from = Array.from({ length: 4_096 }, (_, at) => ({ host: `203.0.${at >> 8}.${at & 255}`, port: 5000 }))
  let next = 0
  const spoof = (datagram: Uint8Array) => {
    const source = from[next++ % from.length] ?? endpoint
    victim.handle(now, { type: 'datagram', from: source, bytes: datagram })
  }
  measure(name, 'spoofed initiation, cookie demanded', 5_000, () => spoof(bytes))
  measure(name, 'spoofed initiation, wrong mac1', 5_000, () => spoof(wrong))
}

function measure(backend: string, operation: string, count: number, run: () => unknown): void {
  let least = Number.POSITIVE_INFINITY
  for (let round = 0; round < 6; round++) {
    const start = process.cpuUsage()
    for (let done = 0; done < count; done++) run()
    const { user, system } = process.cpuUsage(start)
    least = Math.min(least, (user + system) / count)
  }
  console.log(JSON.stringify({ backend, operation, microseconds: Number(least.toFixed(2)) }))
}
