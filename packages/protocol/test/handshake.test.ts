import {
  decodeHandshakeMessage,
  defaultFeatures,
  encodeHandshakeMessage,
  handshakePrologue,
  negotiateFeatures,
  verifyCertificate,
} from '@miaou/protocol'
import { describe, expect, test } from 'vitest'
import { createWireSamples } from '../../../testkit/src/fuzz/samples.ts'
import { libsodium } from './backends.ts'

const { handshakes } = createWireSamples(libsodium)
const message = handshakes[0]
if (message === undefined) throw new Error('no sample')
const decodeWith = (features: readonly string[]) => {
  const bytes = encodeHandshakeMessage({ ...message, features: features.map((feature) => 'x'.repeat(feature.length)) })
  let at = 2 + 1 + 32 + 2 + message.certificate.length + 8 + 1
  for (const feature of features) {
    bytes.set(Buffer.from(feature), at + 1)
    at += 1 + feature.length
  }
  return decodeHandshakeMessage(bytes)
}

describe('handshake message', () => {
  test('[H4] B19 carries version, peer id, certificate, features, time and channel binding', () => {
    expect(decodeHandshakeMessage(encodeHandshakeMessage(message))).toEqual({ ok: true, value: message })
  })

  test('B20 the offered list is chat, files, groups; what both offer is used', () => {
    expect(defaultFeatures).toEqual(['chat', 'files', 'groups'])
    expect(negotiateFeatures(defaultFeatures, ['groups', 'chat', 'later'])).toEqual(['chat', 'groups'])
    expect(negotiateFeatures(defaultFeatures, [])).toEqual([])
  })

  test('[H4] B21 the signature of the pair is that of the certificate inside', () => {
    const verified = verifyCertificate(libsodium, message.certificate)
    expect(verified.ok && verified.value.deviceKey).toEqual(message.peerId)
  })

  test('[H4] features with other characters, and the same twice, are refused', () => {
    expect(decodeWith(['chat', 'files']).ok).toBe(true)
    for (const bad of [['Chat'], ['a b'], ['é'], ['chat', 'chat'], ['a\0']]) expect(decodeWith(bad).ok).toBe(false)
  })

  test('[H4] 16 features fit, 17 do not; 32 characters fit, 33 do not', () => {
    const many = Array.from({ length: 16 }, (_, index) => `feature-${index}`)
    expect(decodeHandshakeMessage(encodeHandshakeMessage({ ...message, features: many })).ok).toBe(true)
    expect(() => encodeHandshakeMessage({ ...message, features: [...many, 'one-more'] })).toThrow()
    const long = 'f'.repeat(32)
    const bytes = encodeHandshakeMessage({ ...message, features: [long] })
    expect(decodeHandshakeMessage(bytes).ok).toBe(true)
    const countAt = 2 + 1 + 32 + 2 + message.certificate.length + 8
    expect(decodeHandshakeMessage(bytes.with(countAt, 17)).ok).toBe(false)
    const longer = Uint8Array.from([...bytes.slice(0, countAt + 1), 33, 0x66, ...bytes.slice(countAt + 2)])
    expect(decodeHandshakeMessage(longer).ok).toBe(false)
  })

  test('[H4] a flag that is not known is refused', () => {
    const bytes = encodeHandshakeMessage({ ...message, features: [] })
    const flagsAt = 2 + 1 + 32 + 2 + message.certificate.length + 8 + 1
    expect(decodeHandshakeMessage(bytes.with(flagsAt, 3)).ok).toBe(false)
  })

  test('[H2] the prologue ends with the version', () => {
    expect(handshakePrologue(2).at(-1)).toBe(2)
    expect(handshakePrologue(3)).not.toEqual(handshakePrologue(2))
  })
})
