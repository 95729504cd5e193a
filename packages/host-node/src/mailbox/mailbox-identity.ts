import { textToBytes } from '@miaou/core'
import type { Crypto } from '@miaou/crypto'
import type { Keyring } from '@miaou/keyring'
import type { LinkIdentity } from '@miaou/network'
import { pseudonym } from '../relay/pseudonyms.ts'

/** Purpose of the home's data key (spec/mailbox MB31). */
const servicePurpose = 'mailbox-service'
const servedLabel = textToBytes('miaou mailbox service')

/** As whom this home serves as a mailbox: always the same one, and nothing in it tells whose home it is. */
export function mailboxServiceIdentity(crypto: Crypto, keyring: Pick<Keyring, 'storeKey'>): LinkIdentity {
  return pseudonym(crypto, keyring.storeKey(servicePurpose), servedLabel)
}
