import { webcrypto } from 'node:crypto'
import type { Random, Result } from '@miaou/core'
import {
  type Crypto,
  createLibsodiumCrypto,
  decodeRatchetState,
  encodeRatchetState,
  MemorySkippedKeys,
  pqxdhInitiate,
  pqxdhRespond,
  ratchetDecrypt,
  ratchetEncrypt,
  startRatchetInitiator,
  startRatchetResponder,
} from '@miaou/crypto'
import type { Libsignal, PrivateKey, PublicKey, Stored } from './libsignal.ts'

/** One side of a session in memory; its state goes through bytes at every step, as it does where it is stored. */
export interface SessionSide {
  encrypt(plaintext: Uint8Array): Uint8Array | Promise<Uint8Array>
  decrypt(message: Uint8Array): Uint8Array | Promise<Uint8Array>
}

/** Two sides that have both heard each other: no message carries a prekey header any more. */
export interface SessionPair {
  readonly alice: SessionSide
  readonly bob: SessionSide
}

export interface Contender {
  readonly name: string
  /** Generates prekeys, agrees on a session and sends one message each way. */
  start(): Promise<SessionPair>
}

const hello = new TextEncoder().encode('hello')
// Two accounts and two devices of 32 bytes, and the suite: what `spec/sessions.md` binds.
const associatedData = new Uint8Array(129).fill(7)

function must<T>(result: Result<T, object>): T {
  if (!result.ok) throw new Error(JSON.stringify(result.error))
  return result.value
}

class OwnSide implements SessionSide {
  readonly #crypto: Crypto
  readonly #random: Random
  readonly #skipped = new MemorySkippedKeys()
  #state: Uint8Array

  constructor(crypto: Crypto, random: Random, state: Uint8Array) {
    this.#crypto = crypto
    this.#random = random
    this.#state = state
  }

  encrypt(plaintext: Uint8Array): Uint8Array {
    const before = must(decodeRatchetState(this.#state))
    const options = { crypto: this.#crypto, random: this.#random, state: before, plaintext, ad: associatedData }
    const { state, message } = ratchetEncrypt(options)
    this.#state = encodeRatchetState(state)
    return message
  }

  decrypt(message: Uint8Array): Uint8Array {
    const decrypted = must(
      ratchetDecrypt({
        crypto: this.#crypto,
        random: this.#random,
        state: must(decodeRatchetState(this.#state)),
        skipped: this.#skipped,
        message,
        ad: associatedData,
        now: { mono: 0, wall: 0 },
      }),
    )
    this.#skipped.apply(decrypted)
    this.#state = encodeRatchetState(decrypted.state)
    return decrypted.plaintext
  }
}

/** Ours: PQXDH and the ratchet with encrypted headers on libsodium. */
export async function ownContender(): Promise<Contender> {
  const crypto = await createLibsodiumCrypto()
  const random: Random = { bytes: (size) => webcrypto.getRandomValues(new Uint8Array(size)) }
  return {
    name: 'miaou',
    async start() {
      const keyPair = () => crypto.x25519KeyPair(random.bytes(32))
      const [aliceIdentity, identity, signedPrekey, oneTimePrekey] = [keyPair(), keyPair(), keyPair(), keyPair()]
      const kemPrekey = crypto.mlkem768KeyPair(random.bytes(64))
      const bundle = {
        identityKey: identity.publicKey,
        signedPrekey: { id: 1, publicKey: signedPrekey.publicKey },
        oneTimePrekey: { id: 2, publicKey: oneTimePrekey.publicKey },
        kemPrekey: { id: 3, publicKey: kemPrekey.publicKey, oneTime: true },
      }
      const { secret, header } = must(
        pqxdhInitiate({ crypto, random, identity: aliceIdentity, bundle, associatedData }),
      )
      const started = startRatchetInitiator({ crypto, random, secret, remoteRatchetKey: signedPrekey.publicKey })
      const alice = new OwnSide(crypto, random, encodeRatchetState(started))
      const keys = { identity, signedPrekey, oneTimePrekey, kemPrekey }
      const heard = must(pqxdhRespond({ crypto, ...keys, header, associatedData }))
      const answering = startRatchetResponder({ crypto, secret: heard.secret, ratchetKey: signedPrekey })
      const bob = new OwnSide(crypto, random, encodeRatchetState(answering))
      bob.decrypt(alice.encrypt(hello))
      alice.decrypt(bob.encrypt(hello))
      return { alice, bob }
    },
  }
}

interface SignalStores {
  readonly sessions: object
  readonly identities: object
  readonly prekeys: object
  readonly signedPrekeys: object
  readonly kemPrekeys: object
}

/** In-memory stores of one device, as libsignal asks for them. One conversation: no look-up by address. */
function signalStores(library: Libsignal, identity: PrivateKey, prekeys: readonly Stored[]): SignalStores {
  const [prekey, signedPrekey, kemPrekey] = prekeys
  let session: Uint8Array | undefined
  let known: PublicKey | null = null
  class Sessions extends library.SessionStore {
    async saveSession(_: unknown, record: Stored): Promise<void> {
      session = record.serialize()
    }
    async getSession(): Promise<Stored | null> {
      return session === undefined ? null : library.SessionRecord.deserialize(session)
    }
    async getExistingSessions(): Promise<Stored[]> {
      return session === undefined ? [] : [library.SessionRecord.deserialize(session)]
    }
  }
  class Identities extends library.IdentityKeyStore {
    async getIdentityKey(): Promise<PrivateKey> {
      return identity
    }
    async getLocalRegistrationId(): Promise<number> {
      return 1
    }
    async saveIdentity(_: unknown, key: PublicKey): Promise<number> {
      known = key
      return 0
    }
    async isTrustedIdentity(): Promise<boolean> {
      return true
    }
    async getIdentity(): Promise<PublicKey | null> {
      return known
    }
  }
  class Prekeys extends library.PreKeyStore {
    async getPreKey(): Promise<Stored | undefined> {
      return prekey
    }
    async removePreKey(): Promise<void> {
      return undefined
    }
  }
  class SignedPrekeys extends library.SignedPreKeyStore {
    async getSignedPreKey(): Promise<Stored | undefined> {
      return signedPrekey
    }
  }
  class KemPrekeys extends library.KyberPreKeyStore {
    async getKyberPreKey(): Promise<Stored | undefined> {
      return kemPrekey
    }
    async markKyberPreKeyUsed(): Promise<void> {
      return undefined
    }
  }
  return {
    sessions: new Sessions(),
    identities: new Identities(),
    prekeys: new Prekeys(),
    signedPrekeys: new SignedPrekeys(),
    kemPrekeys: new KemPrekeys(),
  }
}

/** libsignal-client by its own functions. */
export function signalContender(library: Libsignal): Contender {
  return {
    name: 'libsignal',
    async start() {
      const [aliceKey, bobKey] = [library.PrivateKey.generate(), library.PrivateKey.generate()]
      const [prekey, signedPrekey] = [library.PrivateKey.generate(), library.PrivateKey.generate()]
      const kem = library.KEMKeyPair.generate()
      const signature = bobKey.sign(signedPrekey.getPublicKey().serialize())
      const kemSignature = bobKey.sign(kem.getPublicKey().serialize())
      const aliceAt = library.ProtocolAddress.new('7e2e1b6a-0d51-4c6a-9d8b-1f0a5c3e0001', 1)
      const bobAt = library.ProtocolAddress.new('7e2e1b6a-0d51-4c6a-9d8b-1f0a5c3e0002', 1)
      const aliceStores = signalStores(library, aliceKey, [])
      const bobStores = signalStores(library, bobKey, [
        library.PreKeyRecord.new(1, prekey.getPublicKey(), prekey),
        library.SignedPreKeyRecord.new(2, 0, signedPrekey.getPublicKey(), signedPrekey, signature),
        library.KyberPreKeyRecord.new(3, 0, kem, kemSignature),
      ])
      const bundle = library.PreKeyBundle.new(
        1,
        1,
        1,
        prekey.getPublicKey(),
        2,
        signedPrekey.getPublicKey(),
        signature,
        bobKey.getPublicKey(),
        3,
        kem.getPublicKey(),
        kemSignature,
      )
      const side = (stores: SignalStores, own: object, other: object): SessionSide => ({
        encrypt: async (text) =>
          (await library.signalEncrypt(text, other, own, stores.sessions, stores.identities)).serialize(),
        decrypt: (bytes) =>
          library.signalDecrypt(
            library.SignalMessage.deserialize(bytes),
            other,
            own,
            stores.sessions,
            stores.identities,
          ),
      })
      const alice = side(aliceStores, aliceAt, bobAt)
      const bob = side(bobStores, bobAt, aliceAt)
      await library.processPreKeyBundle(bundle, bobAt, aliceAt, aliceStores.sessions, aliceStores.identities)
      const first = library.PreKeySignalMessage.deserialize(await alice.encrypt(hello))
      const { sessions, identities, prekeys, signedPrekeys, kemPrekeys } = bobStores
      await library.signalDecryptPreKey(first, aliceAt, bobAt, sessions, identities, prekeys, signedPrekeys, kemPrekeys)
      await alice.decrypt(await bob.encrypt(hello))
      return { alice, bob }
    },
  }
}
