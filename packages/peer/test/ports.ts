import { type Crypto, createLibsodiumCrypto } from '@miaou/crypto'

export { SeededRandom } from '../../../testkit/src/seeded.ts'

export const crypto: Crypto = await createLibsodiumCrypto()
