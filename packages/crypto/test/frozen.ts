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
  sealMessage,
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
  'sealed.json': sealedMessages,
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

/** `drawn`: what the random generator gave, 64 bytes for the encapsulation and then the padding. */
function sealedMessages(crypto: Crypto): unknown {
  const seed = counting(0x30)
  const { publicKey } = crypto.xwingKeyPair(seed)
  const keyId = 0x0102_0304
  const cases = ['', 'Miaou ! 🐈', 'x'.repeat(257)].map((text) => {
    const drawn: Uint8Array[] = []
    const random = {
      bytes: (size: number): Uint8Array => {
        const bytes = crypto.hkdfSha256(seed, counting(drawn.length), textToBytes(text), size)
        // The generator's own array is wiped after use.
        drawn.push(bytes.slice())
        return bytes
      },
    }
    const sealed = sealMessage({ crypto, random, publicKey, keyId, content: textToBytes(text) })
    if (!sealed.ok) throw new Error('our own key was refused')
    return {
      content: bytesToHex(textToBytes(text)),
      drawn: drawn.map(bytesToHex),
      sealed: bytesToHex(sealed.value),
    }
  })
  return { suite: 'X-Wing, HKDF-SHA256, ChaCha20-Poly1305', seed: bytesToHex(seed), keyId, cases }
}
