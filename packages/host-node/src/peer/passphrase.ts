import * as nodeCrypto from 'node:crypto'
import type { Crypto } from '@miaou/crypto'
import type { Stretch } from '@miaou/keyring'

type Argon2Sync = (
  algorithm: 'argon2id',
  parameters: {
    message: Uint8Array
    nonce: Uint8Array
    parallelism: number
    tagLength: number
    memory: number
    passes: number
  },
) => Uint8Array

/**
 * Argon2id that gives its 64 MiB back: Node's own from 24.7 on, libsodium's before (whose WebAssembly memory stays
 * allocated until the process ends). A test holds the two against each other.
 */
export function hostStretch(crypto: Crypto): Stretch {
  const argon2Sync = 'argon2Sync' in nodeCrypto ? (nodeCrypto.argon2Sync as Argon2Sync) : undefined
  if (argon2Sync === undefined) return (passphrase, salt, cost, size) => crypto.argon2id(passphrase, salt, cost, size)
  return (passphrase, salt, cost, size) =>
    new Uint8Array(
      argon2Sync('argon2id', {
        message: passphrase,
        nonce: salt,
        parallelism: cost.parallelism,
        tagLength: size,
        memory: cost.memoryKiB,
        passes: cost.passes,
      }),
    )
}
