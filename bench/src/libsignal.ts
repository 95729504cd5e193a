/**
 * libsignal-client as the benches see it: the shapes of what they call, and its loading from `bench/peers`, a package of
 * its own that is no workspace, so that the AGPL library is never a dependency of Miaou and never shipped.
 */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'

type Opaque<Name extends string> = { readonly __name?: Name }
export type Address = Opaque<'address'>
export type PublicKey = Opaque<'public'> & { serialize(): Uint8Array }
export type PrivateKey = Opaque<'private'> & { getPublicKey(): PublicKey; sign(message: Uint8Array): Uint8Array }
type KemKeyPair = Opaque<'kem'> & { getPublicKey(): KemPublicKey }
type KemPublicKey = Opaque<'kem-public'> & { serialize(): Uint8Array }
type Bundle = Opaque<'bundle'>
type Ciphertext = Opaque<'ciphertext'>
export interface Stored {
  serialize(): Uint8Array
}
type Class<T, A extends readonly unknown[] = []> = new (...args: A) => T

interface Statics<T> {
  deserialize(bytes: Uint8Array): T
}

export interface Libsignal {
  readonly PrivateKey: { generate(): PrivateKey }
  readonly KEMKeyPair: { generate(): KemKeyPair }
  readonly ProtocolAddress: { new: (name: string, device: number) => Address }
  readonly SessionRecord: Statics<Stored>
  readonly PreKeyRecord: { new: (id: number, publicKey: PublicKey, privateKey: PrivateKey) => Stored }
  readonly SignedPreKeyRecord: {
    new: (id: number, at: number, publicKey: PublicKey, privateKey: PrivateKey, signature: Uint8Array) => Stored
  }
  readonly KyberPreKeyRecord: { new: (id: number, at: number, keys: KemKeyPair, signature: Uint8Array) => Stored }
  readonly PreKeyBundle: {
    new: (
      registrationId: number,
      deviceId: number,
      prekeyId: number,
      prekey: PublicKey,
      signedPrekeyId: number,
      signedPrekey: PublicKey,
      signedPrekeySignature: Uint8Array,
      identityKey: PublicKey,
      kemPrekeyId: number,
      kemPrekey: KemPublicKey,
      kemPrekeySignature: Uint8Array,
    ) => Bundle
  }
  readonly SignalMessage: Statics<Ciphertext>
  readonly PreKeySignalMessage: Statics<Ciphertext>
  readonly SessionStore: Class<object>
  readonly IdentityKeyStore: Class<object>
  readonly PreKeyStore: Class<object>
  readonly SignedPreKeyStore: Class<object>
  readonly KyberPreKeyStore: Class<object>
  processPreKeyBundle(bundle: Bundle, to: Address, from: Address, sessions: object, identities: object): Promise<void>
  signalEncrypt(
    message: Uint8Array,
    to: Address,
    from: Address,
    sessions: object,
    identities: object,
  ): Promise<{ serialize(): Uint8Array }>
  signalDecrypt(
    message: Ciphertext,
    from: Address,
    to: Address,
    sessions: object,
    identities: object,
  ): Promise<Uint8Array>
  signalDecryptPreKey(
    message: Ciphertext,
    from: Address,
    to: Address,
    sessions: object,
    identities: object,
    prekeys: object,
    signedPrekeys: object,
    kemPrekeys: object,
  ): Promise<Uint8Array>
}

export const libsignalName = '@signalapp/libsignal-client 0.103.0'
const folder = join(import.meta.dirname, '..', 'peers')

/** The library, installed on first use; undefined, with the reason on stderr, where it is not to be had. */
export function loadLibsignal(): Libsignal | undefined {
  if (!existsSync(join(folder, 'node_modules', '@signalapp'))) {
    console.error(`installing ${libsignalName} into bench/peers`)
    const { status } = spawnSync('npm', ['ci', '--prefix', folder], { stdio: ['ignore', 'ignore', 'inherit'] })
    if (status !== 0) {
      console.error(`SKIPPED: npm ci --prefix bench/peers failed; no figures of ${libsignalName}`)
      return undefined
    }
  }
  try {
    const library: Libsignal = createRequire(join(folder, 'package.json'))('@signalapp/libsignal-client')
    return library
  } catch (cause) {
    console.error(`SKIPPED: ${libsignalName} does not load here: ${String(cause)}`)
    return undefined
  }
}
