import { bytesToHex, textToBytes } from '@miaou/core'
import {
  ChannelCipher,
  type Crypto,
  deriveChannelKey,
  deriveFromEntropy,
  entropyToWords,
  NoiseHandshake,
  type NoiseOptions,
  safetyNumber,
} from '../src/index.ts'
import { hex } from './published.ts'

/**
 * Our own vectors, in vectors/: written once by `node packages/crypto/test/freeze.ts` and recomputed by the tests with
 * both backends. A difference means that peers of two versions no longer understand each other: never freeze again
 * without raising the version of what changed.
 */
export const frozenVectors: Readonly<Record<string, (crypto: Crypto) => unknown>> = {
  'noise-xx.json': noiseXx,
  'channel-keys.json': channelKeys,
  'safety-number.json': safetyNumbers,
  'recovery.json': recovery,
}

/** 32 bytes counting up from `first`. */
function counting(first: number): Uint8Array {
  return Uint8Array.from({ length: 32 }, (_, index) => (first + index) & 0xff)
}

function noiseXx(crypto: Crypto): unknown {
  const prologue = textToBytes('Miaou-v0.2.0-handshake')
  const [initiatorStatic, initiatorEphemeral] = [counting(0x00), counting(0x20)]
  const [responderStatic, responderEphemeral] = [counting(0x40), counting(0x60)]
  const side = (role: NoiseOptions['role'], secret: Uint8Array, ephemeralSecret: Uint8Array): NoiseHandshake =>
    NoiseHandshake.start({
      crypto,
      pattern: 'XX',
      role,
      prologue,
      staticKey: crypto.x25519KeyPair(secret),
      ephemeralSecret,
    })
  const initiator = side('initiator', initiatorStatic, initiatorEphemeral)
  const responder = side('responder', responderStatic, responderEphemeral)
  const messages = ['', 'responder payload', 'initiator payload'].map((payload, index) => {
    const [writer, reader] = index % 2 === 0 ? [initiator, responder] : [responder, initiator]
    const message = writer.writeMessage(textToBytes(payload))
    if (!reader.readMessage(message).ok) throw new Error('our own message was refused')
    return { payload: bytesToHex(textToBytes(payload)), message: bytesToHex(message) }
  })
  const handshakeHash = bytesToHex(responder.handshakeHash)
  const keys = initiator.split()
  return {
    protocol: 'Noise_XX_25519_ChaChaPoly_SHA256',
    prologue: bytesToHex(prologue),
    initiatorStatic: bytesToHex(initiatorStatic),
    initiatorEphemeral: bytesToHex(initiatorEphemeral),
    responderStatic: bytesToHex(responderStatic),
    responderEphemeral: bytesToHex(responderEphemeral),
    messages,
    handshakeHash,
    initiatorToResponder: bytesToHex(keys.send),
    responderToInitiator: bytesToHex(keys.receive),
  }
}

function channelKeys(crypto: Crypto): unknown {
  const splitKey = counting(0x80)
  const plaintext = textToBytes('a frame')
  const ad = textToBytes('ad')
  const vectors = ['miaou-messages', 'miaou-signals', 'pipe'].flatMap((channel) =>
    (['initiator-to-responder', 'responder-to-initiator'] as const).map((direction) => {
      const key = deriveChannelKey(crypto, splitKey, channel, direction)
      const cipher = new ChannelCipher({ crypto, key })
      const sealed = [0, 1, 0x0102_0304_0506].map((sequence) => ({
        sequence,
        sealed: bytesToHex(cipher.seal(sequence, ad, plaintext)),
      }))
      return { channel, direction, key: bytesToHex(key), sealed }
    }),
  )
  return { splitKey: bytesToHex(splitKey), ad: bytesToHex(ad), plaintext: bytesToHex(plaintext), vectors }
}

function safetyNumbers(crypto: Crypto): unknown {
  const keys = [0x00, 0x40, 0xc0].map((first) => crypto.ed25519KeyPair(counting(first)).publicKey)
  const pairs = keys.flatMap((a, index) => keys.slice(index).map((b) => [a, b] as const))
  return pairs.map(([a, b]) => ({ a: bytesToHex(a), b: bytesToHex(b), number: safetyNumber(crypto, a, b) }))
}

function recovery(crypto: Crypto): unknown {
  const entropies = ['00'.repeat(32), 'ff'.repeat(32), bytesToHex(counting(0x11))]
  return entropies.map((entropy) => {
    const { accountSeed, capsuleKey, locator } = deriveFromEntropy(crypto, hex(entropy))
    return {
      entropy,
      english: entropyToWords(hex(entropy), 'en').join(' '),
      french: entropyToWords(hex(entropy), 'fr').join(' '),
      accountSeed: bytesToHex(accountSeed),
      accountKey: bytesToHex(crypto.ed25519KeyPair(accountSeed).publicKey),
      capsuleKey: bytesToHex(capsuleKey),
      locator: bytesToHex(locator),
    }
  })
}
