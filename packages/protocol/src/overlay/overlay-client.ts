import { assert, base64urlToBytes, bytesToBase64url, equalBytes, err, ok, type Result } from '@miaou/core'
import { type DecodeError, tailSizeMax } from '../structure.ts'
import {
  type Endpoint,
  endpointScope,
  formatEndpoint,
  packEndpoint,
  parseEndpoint,
  unpackEndpoint,
} from './endpoint.ts'
import {
  contactKeySize,
  contactSizeV4,
  contactSizeV6,
  packedContactsSize,
  readContacts,
  writeContacts,
} from './packed-contacts.ts'

/** Servers that one client names: as many as it keeps. */
export const overlayRendezvousMax = 3

/** A node that strangers do not reach, and through whom it is reached all the same (spec/overlay O18). */
export interface OverlayClient {
  /** X25519, 32 bytes. */
  readonly publicKey: Uint8Array
  /** 1 to 3, at public addresses. IPv4 ones first, as they travel. */
  readonly rendezvous: readonly { readonly publicKey: Uint8Array; readonly endpoint: Endpoint }[]
}

/** For records and frames: 72 to 184 bytes. Asserts what `OverlayClient` states. */
export function encodeOverlayClient(client: OverlayClient): Uint8Array {
  assert(isClient(client), 'a client names one to three servers at public addresses')
  const packed = client.rendezvous.map(({ publicKey, endpoint }) => {
    const address = packEndpoint(endpoint)
    assert(address !== undefined, 'a public endpoint can be packed')
    const contact = new Uint8Array(contactKeySize + address.length)
    contact.set(publicKey)
    contact.set(address, contactKeySize)
    return contact
  })
  const contacts = { v4: join(packed, contactSizeV4), v6: join(packed, contactSizeV6) }
  const bytes = new Uint8Array(contactKeySize + packedContactsSize(contacts))
  bytes.set(client.publicKey)
  writeContacts(contacts, bytes, contactKeySize)
  return bytes
}

/** The client in `bytes`, its arrays copied. A claim: whoever answers proves the key. */
export function decodeOverlayClient(bytes: Uint8Array): Result<OverlayClient, DecodeError> {
  const malformed = err({ type: 'malformed', what: 'overlay client' } as const)
  const contacts = bytes.length < contactKeySize ? undefined : readContacts(bytes, contactKeySize)
  if (contacts === undefined) return malformed
  if (bytes.length - contactKeySize - packedContactsSize(contacts) > tailSizeMax) return malformed
  const rendezvous: { publicKey: Uint8Array; endpoint: Endpoint }[] = []
  for (const [packed, size, family] of [
    [contacts.v4, contactSizeV4, 4],
    [contacts.v6, contactSizeV6, 6],
  ] as const) {
    for (let at = 0; at < packed.length; at += size) {
      const endpoint = unpackEndpoint(packed, at + contactKeySize, family)
      if (endpoint === undefined) return malformed
      rendezvous.push({ publicKey: packed.slice(at, at + contactKeySize), endpoint })
    }
  }
  const client = { publicKey: bytes.slice(0, contactKeySize), rendezvous }
  return isClient(client) ? ok(client) : malformed
}

/** `<client's key>@<server's key>@<endpoint>`, one text for each server. */
export function overlayClientToTexts({ publicKey, rendezvous }: OverlayClient): string[] {
  return rendezvous.map((server) =>
    [bytesToBase64url(publicKey), bytesToBase64url(server.publicKey), formatEndpoint(server.endpoint)].join('@'),
  )
}

/** Undefined for what is no such text. */
export function textToOverlayClient(text: string): OverlayClient | undefined {
  const [clientText = '', serverText = '', endpointText = '', ...rest] = text.split('@')
  const [publicKey, serverKey] = [base64urlToBytes(clientText), base64urlToBytes(serverText)]
  const endpoint = parseEndpoint(endpointText)
  if (rest.length > 0 || publicKey === undefined || serverKey === undefined || endpoint === undefined) return undefined
  const client = { publicKey, rendezvous: [{ publicKey: serverKey, endpoint }] }
  return isClient(client) ? client : undefined
}

function isClient({ publicKey, rendezvous }: OverlayClient): boolean {
  if (publicKey.length !== contactKeySize) return false
  if (rendezvous.length < 1 || rendezvous.length > overlayRendezvousMax) return false
  return rendezvous.every(
    (server) =>
      server.publicKey.length === contactKeySize &&
      !equalBytes(server.publicKey, publicKey) &&
      endpointScope(server.endpoint) === 'public',
  )
}

function join(contacts: readonly Uint8Array[], size: number): Uint8Array {
  const ofFamily = contacts.filter(({ length }) => length === size)
  const bytes = new Uint8Array(ofFamily.length * size)
  for (const [index, contact] of ofFamily.entries()) bytes.set(contact, index * size)
  return bytes
}
