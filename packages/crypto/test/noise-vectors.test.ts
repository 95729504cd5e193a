import { bytesToHex } from '@miaou/core'
import { describe, expect, test } from 'vitest'
import { ChannelCipher, type Crypto, NoiseHandshake, type NoiseOptions, type NoisePatternName } from '../src/index.ts'
import { backends } from './backends.ts'
import { hasPublishedVectors, hex, publishedNote, readPublished } from './published.ts'

interface NoiseVector {
  protocol_name: string
  init_prologue: string
  init_static?: string
  init_ephemeral: string
  init_remote_static?: string
  resp_prologue: string
  resp_static: string
  resp_ephemeral: string
  handshake_hash: string
  messages: { payload: string; ciphertext: string }[]
}

const vectors = hasPublishedVectors ? readPublished<{ vectors: NoiseVector[] }>('noise.json').vectors : []
const covered = vectors.filter((vector) => vector.protocol_name.endsWith('_25519_ChaChaPoly_SHA256'))

describe.skipIf(!hasPublishedVectors)(`[A09] published Noise vectors${publishedNote}`, () => {
  test('all but the BLAKE2s one are covered: no suite of ours has BLAKE2s', () => {
    expect(covered.map((vector) => vector.protocol_name.split('_')[1]).sort()).toEqual(['IK', 'NK', 'XK', 'XX'])
    expect(vectors.length - covered.length).toBe(1)
  })

  for (const crypto of backends) {
    test.each(covered.map((vector) => [vector.protocol_name, vector] as const))(`${crypto.name}: %s`, (_, vector) => {
      const [initiator, responder] = startBoth(crypto, vector)
      let turn = 0
      for (const { payload, ciphertext } of vector.messages) {
        if (initiator.finished) break
        const [writer, reader] = turn++ % 2 === 0 ? [initiator, responder] : [responder, initiator]
        expect(bytesToHex(writer.writeMessage(hex(payload)))).toBe(ciphertext)
        expect(reader.readMessage(hex(ciphertext))).toEqual({ ok: true, value: hex(payload) })
      }
      expect(bytesToHex(initiator.handshakeHash)).toBe(vector.handshake_hash)
      expect(responder.handshakeHash).toEqual(initiator.handshakeHash)
      expect(responder.finished).toBe(true)
      checkTransport(crypto, vector, turn, initiator, responder)
    })
  }
})

function startBoth(crypto: Crypto, vector: NoiseVector): [NoiseHandshake, NoiseHandshake] {
  const pattern = vector.protocol_name.split('_')[1] as NoisePatternName
  const initiatorOptions: NoiseOptions = {
    crypto,
    pattern,
    role: 'initiator',
    prologue: hex(vector.init_prologue),
    ephemeralSecret: hex(vector.init_ephemeral),
    ...(vector.init_static === undefined ? {} : { staticKey: crypto.x25519KeyPair(hex(vector.init_static)) }),
  }
  const responder = NoiseHandshake.start({
    crypto,
    pattern,
    role: 'responder',
    prologue: hex(vector.resp_prologue),
    ephemeralSecret: hex(vector.resp_ephemeral),
    staticKey: crypto.x25519KeyPair(hex(vector.resp_static)),
  })
  if (vector.init_remote_static === undefined) return [NoiseHandshake.start(initiatorOptions), responder]
  const initiator = NoiseHandshake.startTo(initiatorOptions, hex(vector.init_remote_static))
  if (!initiator.ok) throw new Error('the remote static key of the vector was refused')
  return [initiator.value, responder]
}

/** The messages after the handshake: each direction counts its own nonces from zero, the associated data is empty. */
function checkTransport(
  crypto: Crypto,
  vector: NoiseVector,
  handshakeMessages: number,
  initiator: NoiseHandshake,
  responder: NoiseHandshake,
): void {
  const [ours, theirs] = [initiator.split(), responder.split()]
  expect(theirs).toEqual({ send: ours.receive, receive: ours.send })
  const sequences = [0, 0]
  vector.messages.slice(handshakeMessages).forEach(({ payload, ciphertext }, index) => {
    const direction = (handshakeMessages + index) % 2
    const cipher = new ChannelCipher({ crypto, key: direction === 0 ? ours.send : ours.receive })
    const sequence = sequences[direction] ?? 0
    sequences[direction] = sequence + 1
    expect(bytesToHex(cipher.seal(sequence, new Uint8Array(0), hex(payload)))).toBe(ciphertext)
    expect(cipher.open(sequence, new Uint8Array(0), hex(ciphertext))).toEqual(hex(payload))
  })
}
