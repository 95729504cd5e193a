import { assert, ByteWriter, concatBytes, textToBytes } from '@miaou/core'
import type { Crypto } from '@miaou/crypto'
import { boxIdSize } from './mailbox-address.ts'

/** Bytes of a delivery token. */
export const deliveryTokenSize = 16
/** Bytes of what a mailbox knows of a token. */
export const tokenHashSize = 16
/** Bytes of the secret that a device gives each device of a contact. */
export const depositSecretSize = 32
/** Numbers a contact may use of a box ahead of the highest it used (DECISIONS "Sealed sender"). */
export const deliveryTokenWindow = 64
/** Tokens that each use of an invite is worth (own choice: a first message, its repetition, and two more). */
export const inviteTokensPerUse = 4

const tokenLabel = textToBytes('miaou delivery token')
const tokenHashLabel = textToBytes('miaou delivery token hash')
const inviteSecretInfo = textToBytes('Miaou-v0.2.0-invite-deposit')
const noSalt = new Uint8Array(0)

/**
 * What pays for a deposit (spec/mailbox MB20): the first 16 bytes of HMAC-SHA256(secret, label ‖ box ‖ number u32). Who
 * does not know the secret can tell neither that two tokens belong together nor whose they are.
 */
export function depositToken(
  crypto: Pick<Crypto, 'hmacSha256'>,
  secret: Uint8Array,
  box: Uint8Array,
  number: number,
): Uint8Array {
  assert(secret.length === depositSecretSize && box.length === boxIdSize, 'a secret has 32 bytes, a box id 16')
  const data = new ByteWriter(64).bytes(tokenLabel).bytes(box).u32(number).finish()
  return crypto.hmacSha256(secret, data).slice(0, deliveryTokenSize)
}

/** What the mailbox is given for a token: the first 16 bytes of SHA-256(label ‖ token). */
export function tokenHash(crypto: Pick<Crypto, 'sha256'>, token: Uint8Array): Uint8Array {
  assert(token.length === deliveryTokenSize, 'a token has 16 bytes')
  return crypto.sha256(concatBytes(tokenHashLabel, token)).slice(0, tokenHashSize)
}

/** The deposit secret of those who hold an invite, 32 bytes. `inviteToken`: its 16 bytes. */
export function inviteDepositSecret(crypto: Pick<Crypto, 'hkdfSha256'>, inviteToken: Uint8Array): Uint8Array {
  assert(inviteToken.length === 16, 'an invite has a token of 16 bytes')
  return crypto.hkdfSha256(inviteToken, noSalt, inviteSecretInfo, depositSecretSize)
}
