import { createLibsodiumCrypto } from '../src/libsodium.ts'
import { createNobleCrypto } from '../src/noble.ts'
import type { Crypto } from '../src/suite.ts'

/** The product's backend and the oracle, for tests that run under both. */
export const libsodium: Crypto = await createLibsodiumCrypto()
export const noble: Crypto = createNobleCrypto()
export const backends: readonly Crypto[] = [libsodium, noble]
