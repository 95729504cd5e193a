export { createLibsodiumCrypto } from './libsodium.ts'
export type { Argon2Cost, Crypto, Encapsulation, KeyPair } from './suite.ts'
