// Microseconds of CPU per operation, one JSON line each: `node packages/crypto/test/measure.ts`. It is what the choice
// of library per primitive rests on; figures of whole messages are the business of bench/.
import { ChannelCipher, type Crypto, NoiseHandshake, type NoiseOptions } from '../src/index.ts'
import { backends } from './backends.ts'

const durationMs = 300

for (const crypto of backends) {
  for (const size of [100, 300]) measurePrimitives(crypto, new Uint8Array(size).fill(7))
  measureKeys(crypto)
}

function measurePrimitives(crypto: Crypto, data: Uint8Array): void {
  const key = new Uint8Array(32).fill(1)
  const ad = new Uint8Array(16)
  const cipher = new ChannelCipher({ crypto, key })
  const sealed = cipher.seal(5, ad, data)
  const nonce = new Uint8Array(24)
  measure(crypto, 'sha256', data.length, () => crypto.sha256(data))
  measure(crypto, 'blake3', data.length, () => crypto.blake3(data))
  measure(crypto, 'hmac-sha256', data.length, () => crypto.hmacSha256(key, data))
  measure(crypto, 'hkdf-sha256 to 64 bytes', data.length, () => crypto.hkdfSha256(data, key, ad, 64))
  measure(crypto, 'channel seal', data.length, () => cipher.seal(5, ad, data))
  measure(crypto, 'channel open', data.length, () => cipher.open(5, ad, sealed))
  measure(crypto, 'xchacha20-poly1305 seal', data.length, () => crypto.xchacha20Poly1305Seal(key, nonce, ad, data))
}

function measureKeys(crypto: Crypto): void {
  const seed = new Uint8Array(32).fill(1)
  const body = new Uint8Array(200)
  const { publicKey } = crypto.ed25519KeyPair(seed)
  const signature = crypto.ed25519Sign(body, seed)
  const point = crypto.x25519KeyPair(new Uint8Array(32).fill(2)).publicKey
  measure(crypto, 'ed25519 sign', body.length, () => crypto.ed25519Sign(body, seed))
  measure(crypto, 'ed25519 verify', body.length, () => crypto.ed25519Verify(signature, body, publicKey))
  measure(crypto, 'x25519', 32, () => crypto.x25519(seed, point))
  for (const pattern of ['XX', 'IK'] as const) {
    measure(crypto, `${pattern} handshake, both ends`, 0, () => shakeHands(crypto, pattern))
  }
}

function shakeHands(crypto: Crypto, pattern: 'XX' | 'IK'): void {
  const options = (role: NoiseOptions['role'], fill: number): NoiseOptions => ({
    crypto,
    pattern,
    role,
    prologue: new Uint8Array(0),
    staticKey: crypto.x25519KeyPair(new Uint8Array(32).fill(fill)),
    ephemeralSecret: new Uint8Array(32).fill(fill + 1),
  })
  const responderOptions = options('responder', 20)
  const responder = NoiseHandshake.start(responderOptions)
  const remote = responderOptions.staticKey?.publicKey ?? new Uint8Array(32)
  const started = pattern === 'IK' ? NoiseHandshake.startTo(options('initiator', 10), remote) : undefined
  const initiator = started?.ok ? started.value : NoiseHandshake.start(options('initiator', 10))
  for (let index = 0; !(initiator.finished && responder.finished); index++) {
    const [writer, reader] = index % 2 === 0 ? [initiator, responder] : [responder, initiator]
    reader.readMessage(writer.writeMessage(new Uint8Array(0)))
  }
}

function measure(crypto: Crypto, operation: string, bytes: number, run: () => unknown): void {
  run()
  const start = process.cpuUsage()
  const end = Date.now() + durationMs
  let count = 0
  for (; Date.now() < end; count++) run()
  const { user, system } = process.cpuUsage(start)
  const microseconds = Number(((user + system) / count).toFixed(2))
  console.log(JSON.stringify({ backend: crypto.name, operation, bytes, microseconds }))
}
