import { type Crypto, createLibsodiumCrypto } from '@miaou/crypto'
import { createNobleCrypto } from '@miaou/crypto/noble'

/** The product's backend and the oracle, for tests that run under both. */
export const libsodium: Crypto = await createLibsodiumCrypto()
export const noble: Crypto = createNobleCrypto()
export const backends: readonly Crypto[] = [libsodium, noble]
