import { concatBytes, keyToPeerId, type Random, textToBytes } from '@miaou/core'
import type { Crypto } from '@miaou/crypto'
import type { Keyring } from '@miaou/keyring'
import type { LinkIdentity } from '@miaou/network'
import { signPseudonymCertificate } from '@miaou/protocol'

/** Purpose of the home's data key (spec/mailbox). */
const ownerPurpose = 'mailbox-pseudonyms'
const ownerLabel = textToBytes('miaou box owner')
const none = new Uint8Array(0)

/** As whom a link with a mailbox is made, and the Ed25519 seed that signs acknowledgements there. */
export interface BoxPseudonym extends LinkIdentity {
  readonly signingKey: Uint8Array
}

/** As whom this home keeps its box at each mailbox (`mailboxId`: 16 bytes): the same over restarts, another for each. */
export function createBoxPseudonyms(
  crypto: Crypto,
  keyring: Pick<Keyring, 'storeKey'>,
): (mailboxId: Uint8Array) => BoxPseudonym {
  const secret = keyring.storeKey(ownerPurpose)
  return (mailboxId) => {
    const seeds = crypto.hkdfSha256(secret, none, concatBytes(ownerLabel, mailboxId), 64)
    return pseudonym(crypto, seeds)
  }
}

/** As whom one deposit is made: never again. */
export function freshPseudonym(crypto: Crypto, random: Random): LinkIdentity {
  const { signingKey: _signingKey, ...identity } = pseudonym(crypto, random.bytes(64))
  return identity
}

/** The certificate has no date of its own: when it was made is nobody's business. Wipes `seeds`, 64 bytes. */
function pseudonym(crypto: Crypto, seeds: Uint8Array): BoxPseudonym {
  const signingKey = seeds.slice(0, 32)
  const device = crypto.ed25519KeyPair(signingKey)
  const linkKey = crypto.x25519KeyPair(seeds.slice(32))
  crypto.wipe(seeds)
  const certificate = signPseudonymCertificate(crypto, device.secretKey, { linkKey: linkKey.publicKey, createdAt: 0 })
  return { peerId: keyToPeerId(device.publicKey), certificate, linkKey, signingKey }
}
