import { concatBytes, textToBytes } from '@miaou/core'
import {
  type Crypto,
  decodePqxdhHeader,
  decodeRatchetState,
  encodePqxdhHeader,
  encodeRatchetState,
  NoiseHandshake,
  type PqxdhHeader,
  type RatchetState,
  startRatchetInitiator,
  startRatchetResponder,
} from '@miaou/crypto'
import { createKeyring, MemoryStorage, openKeyring, parseKeyExport, type Stretch } from '@miaou/keyring'
import { handshakePrologue } from '@miaou/protocol'
import { sampleBytes, sampleTime } from './samples.ts'
import { defineTarget, type FuzzTarget, type Outcome } from './target.ts'

/** Decoders of the crypto and keyring packages that meet bytes of strangers or of a damaged disk. */
export function cryptoTargets(crypto: Crypto): readonly FuzzTarget[] {
  return [...sessionTargets(crypto), ...noiseTargets(crypto), ...keyringTargets(crypto)]
}

function sessionTargets(crypto: Crypto): readonly FuzzTarget[] {
  const bytes = (name: string, size = 32) => sampleBytes(crypto, name, size)
  const header: PqxdhHeader = {
    generation: 1,
    identityKey: bytes('identity'),
    ephemeralKey: bytes('ephemeral'),
    signedPrekeyId: 1,
    oneTimePrekeyId: 2,
    kemPrekeyId: 3,
    kemOneTime: true,
    kemCiphertext: bytes('ciphertext', 1088),
  }
  const ratchetKey = crypto.x25519KeyPair(bytes('ratchet'))
  let drawn = 0
  const random = { bytes: (size: number) => bytes(`draw ${drawn++}`, size) }
  const secret = bytes('secret')
  const states = [
    startRatchetInitiator({ crypto, random, secret, remoteRatchetKey: ratchetKey.publicKey }),
    startRatchetResponder({ crypto, secret, ratchetKey }),
  ]
  return [
    defineTarget<PqxdhHeader>({
      name: 'pqxdh-header',
      seeds: [header, { ...header, oneTimePrekeyId: undefined, kemOneTime: false }].map(encodePqxdhHeader),
      decode: decodePqxdhHeader,
      encode: encodePqxdhHeader,
      sizeMax: 1300,
      weight: 1,
    }),
    defineTarget<RatchetState>({
      name: 'ratchet-state',
      seeds: states.map(encodeRatchetState),
      decode: decodeRatchetState,
      encode: encodeRatchetState,
      sizeMax: 600,
      weight: 1,
    }),
  ]
}

function noiseTargets(crypto: Crypto): readonly FuzzTarget[] {
  const start = (role: 'initiator' | 'responder') =>
    NoiseHandshake.start({
      crypto,
      pattern: 'XX',
      role,
      prologue: handshakePrologue(2),
      staticKey: crypto.x25519KeyPair(sampleBytes(crypto, `${role} static`, 32)),
      ephemeralSecret: sampleBytes(crypto, `${role} ephemeral`, 32),
    })
  const [initiator, responder] = [start('initiator'), start('responder')]
  const first = initiator.writeMessage(new Uint8Array(0))
  responder.readMessage(first)
  const second = responder.writeMessage(sampleBytes(crypto, 'payload', 300))
  return [
    {
      name: 'noise-first',
      seeds: [first],
      decode: (bytes) => start('responder').readMessage(bytes),
      sizeMax: 400,
      weight: 0.2,
    },
    {
      name: 'noise-second',
      seeds: [second],
      decode: (bytes) => {
        const handshake = start('initiator')
        handshake.writeMessage(new Uint8Array(0))
        return handshake.readMessage(bytes)
      },
      isSealed: true,
      sizeMax: 700,
      weight: 0.2,
    },
  ]
}

/** The files of a keyring, whole and with their checksum made right again; Argon2id is replaced by a hash. */
function keyringTargets(crypto: Crypto): readonly FuzzTarget[] {
  let drawn = 0
  const random = { bytes: (size: number) => sampleBytes(crypto, `keyring ${drawn++}`, size) }
  const stretch: Stretch = (passphrase, salt, _cost, size) => crypto.hkdfSha256(passphrase, salt, salt, size)
  const storage = new MemoryStorage()
  const options = { crypto, random, passphrase: sampleBytes(crypto, 'passphrase', 8), stretch }
  const created = createKeyring({ ...options, storage })
  if (!created.ok) throw new Error(`the sample keyring is refused: ${created.error.type}`)
  const put = created.value.put('sample', 'device', sampleBytes(crypto, 'secret', 32), { createdAt: sampleTime })
  const exported = created.value.exportKey('sample')
  if (!put.ok || !exported.ok) throw new Error('the sample key is refused')
  const files = storage.names().map((name) => ({ name, bytes: storage.load(name) ?? new Uint8Array(0) }))
  const openWith = (changed: string, bytes: Uint8Array): Outcome => {
    const copy = new MemoryStorage()
    for (const file of files) copy.store(file.name, file.name === changed ? bytes : file.bytes)
    const opened = openKeyring({ ...options, storage: copy })
    return opened.ok ? opened.value.get('sample') : opened
  }
  const repair = (bytes: Uint8Array) => {
    if (bytes.length < 32) return bytes
    const body = bytes.slice(0, bytes.length - 32)
    return concatBytes(body, crypto.sha256(body))
  }
  const fileTargets = files.map(
    ({ name, bytes: seed }): FuzzTarget => ({
      name: name.startsWith('key-') ? 'keyring-entry' : name,
      seeds: [seed],
      decode: (bytes) => openWith(name, bytes),
      repair,
      isSealed: true,
      sizeMax: 600,
      weight: 0.3,
    }),
  )
  const keyExport: FuzzTarget = {
    name: 'key-export',
    seeds: [textToBytes(exported.value)],
    decode: (bytes) => parseKeyExport(crypto, Buffer.from(bytes).toString('utf8')),
    sizeMax: 600,
    weight: 0.5,
    isText: true,
  }
  return [...fileTargets, keyExport]
}
