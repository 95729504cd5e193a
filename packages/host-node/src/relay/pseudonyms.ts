import { concatBytes, keyToPeerId, textToBytes } from '@miaou/core'
import type { Crypto, KeyPair } from '@miaou/crypto'
import type { Keyring } from '@miaou/keyring'
import type { LinkIdentity } from '@miaou/network'
import { signPseudonymCertificate } from '@miaou/protocol'

/** Purposes of the home's data key (spec/relay-service R5, R6). */
const servicePurpose = 'relay-service'
const clientPurpose = 'relay-pseudonyms'
const servedLabel = textToBytes('miaou relay service')
const pseudonymLabel = textToBytes('miaou relay pseudonym')
const none = new Uint8Array(0)

/** As whom this home serves as a relay: always the same one, and nothing in it tells whose home it is. */
export function relayServiceIdentity(crypto: Crypto, keyring: Pick<Keyring, 'storeKey'>): LinkIdentity {
  return pseudonym(crypto, keyring.storeKey(servicePurpose), servedLabel)
}

/** Ed25519: signs the service record of that relay. */
export function relayServiceKey(crypto: Crypto, keyring: Pick<Keyring, 'storeKey'>): KeyPair {
  const seeds = crypto.hkdfSha256(keyring.storeKey(servicePurpose), none, servedLabel, 64)
  const key = crypto.ed25519KeyPair(seeds.slice(0, 32))
  crypto.wipe(seeds)
  return key
}

/**
 * As whom this home shows itself to each relay (`relayId`: 16 bytes): the same over restarts, another for each, so that
 * two relays do not know their common clients.
 */
export function createPseudonyms(
  crypto: Crypto,
  keyring: Pick<Keyring, 'storeKey'>,
): (relayId: Uint8Array) => LinkIdentity {
  const secret = keyring.storeKey(clientPurpose)
  return (relayId) => pseudonym(crypto, secret, concatBytes(pseudonymLabel, relayId))
}

/** From 32 secret bytes. The certificate has no date of its own: when a home was made is nobody's business. */
export function pseudonym(crypto: Crypto, secret: Uint8Array, info: Uint8Array): LinkIdentity {
  const seeds = crypto.hkdfSha256(secret, none, info, 64)
  const device = crypto.ed25519KeyPair(seeds.subarray(0, 32))
  const linkKey = crypto.x25519KeyPair(seeds.slice(32))
  crypto.wipe(seeds)
  const certificate = signPseudonymCertificate(crypto, device.secretKey, { linkKey: linkKey.publicKey, createdAt: 0 })
  return { peerId: keyToPeerId(device.publicKey), certificate, linkKey }
}
