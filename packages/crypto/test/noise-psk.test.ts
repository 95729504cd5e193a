import { bytesToHex, hexToBytes } from '@miaou/core'
import { describe, expect, test } from 'vitest'
import { createLibsodiumCrypto } from '../src/libsodium.ts'
import { createNobleCrypto } from '../src/noble.ts'
import { NoiseHandshake } from '../src/noise/handshake.ts'

/** `Noise_NKpsk0_25519_ChaChaPoly_SHA256` of the published vectors of cacophony: the modifier that circuits use with XX. */
const vector = {
  prologue: '4a6f686e2047616c74',
  psk: '54686973206973206d7920417573747269616e20706572737065637469766521',
  initiatorEphemeral: '893e28b9dc6ca8d611ab664754b8ceb7bac5117349a4439a6b0569da977c464a',
  responderStatic: '4a3acbfdb163dec651dfa3194dece676d437029c62a408b4c5ea9114246e4893',
  responderEphemeral: 'bbdb4cdbd309f1a1f2e1456967fe288cadd6f712d65dc7b7793d5e63da6b375b',
  messages: [
    {
      payload: '4c756477696720766f6e204d69736573',
      ciphertext:
        'ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c7944190fec41487219f2069c3ba7b7f9521437045935231f0ed399dfd4baf6bd825b',
    },
    {
      payload: '4d757272617920526f746862617264',
      ciphertext:
        '95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f14480884385010e0c56e886e6da0c69aee7388bcf4000cc357af5ebd11a46a169a3712c',
    },
  ],
} as const

const bytes = (hex: string): Uint8Array => hexToBytes(hex) ?? new Uint8Array(0)
const backends = [await createLibsodiumCrypto(), await createNobleCrypto()] as const

describe.each([
  ['libsodium', backends[0]],
  ['noble', backends[1]],
] as const)('[L35] pre-shared keys, by %s', (_, crypto) => {
  const common = { crypto, prologue: bytes(vector.prologue), psk: bytes(vector.psk) }

  test('psk0 gives the published messages', () => {
    const staticKey = crypto.x25519KeyPair(bytes(vector.responderStatic))
    const ephemeralSecret = bytes(vector.initiatorEphemeral)
    const started = NoiseHandshake.startTo(
      { ...common, pattern: 'NK', role: 'initiator', ephemeralSecret },
      staticKey.publicKey,
    )
    if (!started.ok) throw new Error(started.error.type)
    const responder = NoiseHandshake.start({
      ...common,
      pattern: 'NK',
      role: 'responder',
      staticKey,
      ephemeralSecret: bytes(vector.responderEphemeral),
    })
    const [first, second] = vector.messages
    expect(bytesToHex(started.value.writeMessage(bytes(first.payload)))).toBe(first.ciphertext)
    expect(responder.readMessage(bytes(first.ciphertext))).toEqual({ ok: true, value: bytes(first.payload) })
    expect(bytesToHex(responder.writeMessage(bytes(second.payload)))).toBe(second.ciphertext)
    expect(started.value.readMessage(bytes(second.ciphertext))).toEqual({ ok: true, value: bytes(second.payload) })
  })

  test('XX: with one key both end with the same keys; with another, or none, the first message does not open', () => {
    const side = (role: 'initiator' | 'responder', fill: number, psk?: Uint8Array): NoiseHandshake =>
      NoiseHandshake.start({
        crypto,
        pattern: 'XX',
        role,
        prologue: new Uint8Array(0),
        staticKey: crypto.x25519KeyPair(new Uint8Array(32).fill(fill)),
        ephemeralSecret: new Uint8Array(32).fill(fill + 1),
        ...(psk === undefined ? {} : { psk }),
      })
    const nothing = new Uint8Array(0)
    const key = new Uint8Array(32).fill(9)
    const [caller, called] = [side('initiator', 1, key), side('responder', 3, key)]
    for (const [from, to] of [
      [caller, called],
      [called, caller],
      [caller, called],
    ] as const) {
      expect(to.readMessage(from.writeMessage(nothing)).ok).toBe(true)
    }
    expect(caller.split().send).toEqual(called.split().receive)
    expect(key).toEqual(new Uint8Array(32).fill(9))
    for (const psk of [new Uint8Array(32).fill(8), undefined]) {
      const first = side('initiator', 1, psk).writeMessage(nothing)
      expect(side('responder', 3, key).readMessage(first)).toMatchObject({ ok: false })
    }
  })
})
