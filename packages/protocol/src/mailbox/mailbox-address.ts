import { assert, base64urlToBytes, bytesToBase64url, concatBytes, textToBytes } from '@miaou/core'
import { isRelayUrl } from '../circuit/circuit-address.ts'

type Sha256 = (bytes: Uint8Array) => Uint8Array

/** Where a mailbox service is dialled, and who must answer there. */
export interface MailboxAddress {
  /** `ws://host:port` or `wss://host`, as the URL of a relay. */
  readonly url: string
  /** 16 bytes: `mailboxIdOf` its service key. */
  readonly mailboxId: Uint8Array
}

/** Where messages for one device can be left: its box at a mailbox service. Nothing in it tells whose it is. */
export interface BoxAddress {
  readonly mailbox: MailboxAddress
  /** 16 bytes: `boxIdOf` the pseudonym that keeps it. */
  readonly box: Uint8Array
}

export const mailboxIdSize = 16
export const boxIdSize = 16

const mailboxIdLabel = textToBytes('miaou mailbox id')
const boxIdLabel = textToBytes('miaou box id')
// 16 bytes in base64url.
const idTextLength = 22

/** Who a mailbox is, in an address: the first 16 bytes of SHA-256(label ‖ its service key). `key`: Ed25519, 32 bytes. */
export function mailboxIdOf(key: Uint8Array, sha256: Sha256): Uint8Array {
  assert(key.length === 32, 'a mailbox has a 32-byte key')
  return sha256(concatBytes(mailboxIdLabel, key)).slice(0, mailboxIdSize)
}

/** The box of a pseudonym: the first 16 bytes of SHA-256(label ‖ its key); the mailbox computes it from the proved key. */
export function boxIdOf(pseudonymKey: Uint8Array, sha256: Sha256): Uint8Array {
  assert(pseudonymKey.length === 32, 'a pseudonym has a 32-byte key')
  return sha256(concatBytes(boxIdLabel, pseudonymKey)).slice(0, boxIdSize)
}

/** `<mailbox id>@wss://mail.example.org`. */
export function formatMailboxAddress({ url, mailboxId }: MailboxAddress): string {
  assert(mailboxId.length === mailboxIdSize, 'a mailbox id has 16 bytes')
  return `${bytesToBase64url(mailboxId)}@${url}`
}

/** The mailbox that `formatMailboxAddress` would write so, or undefined. */
export function parseMailboxAddress(text: string): MailboxAddress | undefined {
  const at = text.indexOf('@')
  const mailboxId = at === idTextLength ? base64urlToBytes(text.slice(0, at)) : undefined
  const url = text.slice(at + 1)
  if (mailboxId?.length !== mailboxIdSize || !isRelayUrl(url)) return undefined
  return { url, mailboxId }
}

/** `<box id>.<mailbox id>@wss://mail.example.org`. */
export function formatBoxAddress({ mailbox, box }: BoxAddress): string {
  assert(box.length === boxIdSize, 'a box id has 16 bytes')
  return `${bytesToBase64url(box)}.${formatMailboxAddress(mailbox)}`
}

/** The box that `formatBoxAddress` would write so, or undefined. */
export function parseBoxAddress(text: string): BoxAddress | undefined {
  const box = text[idTextLength] === '.' ? base64urlToBytes(text.slice(0, idTextLength)) : undefined
  const mailbox = parseMailboxAddress(text.slice(idTextLength + 1))
  if (box?.length !== boxIdSize || mailbox === undefined) return undefined
  return { mailbox, box }
}
