import type { ByteReader, Result } from '@miaou/core'
import {
  assert,
  ByteWriter,
  base64urlToBytes,
  bytesToBase64url,
  bytesToText,
  concatBytes,
  equalBytes,
  err,
  ok,
  textToBytes,
} from '@miaou/core'
import { isName } from './name.ts'
import { decodeStructure, startStructure, writeExtensions } from './structure.ts'

/** What a person hands to another so that the two can meet (spec/invite V1). */
export interface Invite {
  /** Ed25519, 32 bytes; whether it is admissible shows when a certificate is verified. */
  readonly accountKey: Uint8Array
  readonly deviceKey: Uint8Array
  /** What the person calls themselves; in an invite at most 30 bytes of UTF-8, cut at a character. */
  readonly name: string
  /** `ws://…` or `wss://…`, at most 64 characters each, at most 6. */
  readonly addresses: readonly string[]
  /** 32 bytes: where the account's records are found. */
  readonly locatorKey: Uint8Array
  /** 16 bytes: lets the first message in, once. */
  readonly token: Uint8Array
}

/** `damaged-invite`: a typo or a lost part. `newer-invite`: whole, but made by a newer program. */
export type InviteError =
  | { readonly type: 'not-an-invite' }
  | { readonly type: 'damaged-invite' }
  | { readonly type: 'newer-invite' }

type Sha256 = (bytes: Uint8Array) => Uint8Array

export const invitePrefix = 'miaou:invite/'
/** An invite has fewer characters than this (DECISIONS "Invite"). */
export const inviteLengthLimit = 300
/** Most bytes behind the base64url of 299 − 13 characters. */
export const invitePayloadSizeMax = 214
export const inviteAddressesMax = 6
export const inviteAddressLengthMax = 64
/** So that six IPv4 addresses, or one of 64 characters, fit beside the name. */
export const inviteNameSizeMax = 30
/** First bytes of SHA-256 over all that comes before. */
export const inviteCheckSize = 4
/** Form byte of an address. */
export const inviteAddressForms = { ipv4: 1, ws: 2, wss: 3 } as const

// What a mail program may add around a link is far less than this.
const inviteTextLengthMax = 4096
const addressPattern = /^wss?:\/\/[A-Za-z0-9.:[\]%/_~-]+$/
const ipv4Pattern = /^ws:\/\/(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3}):(\d{1,5})$/

/** Whether an address may stand in an invite. */
export function isInviteAddress(address: string): boolean {
  return address.length <= inviteAddressLengthMax && addressPattern.test(address)
}

/** The invite link. A name longer than 30 bytes is cut; addresses that do not fit are left out, the last ones first. */
export function encodeInvite(invite: Invite, sha256: Sha256): string {
  assert(isName(invite.name), 'a name is checked before it is written')
  assert(invite.addresses.every(isInviteAddress), 'addresses are checked before they are written')
  const name = cutName(invite.name)
  let addresses = invite.addresses.slice(0, inviteAddressesMax)
  let payload = encodePayload(invite, name, addresses)
  while (payload.length + inviteCheckSize > invitePayloadSizeMax) {
    addresses = addresses.slice(0, -1)
    payload = encodePayload(invite, name, addresses)
  }
  const check = sha256(payload).subarray(0, inviteCheckSize)
  return invitePrefix + bytesToBase64url(concatBytes(payload, check))
}

/**
 * The invite a person pasted: the link, with space around or line breaks in it, or a web address with the same payload
 * behind its `#`. Never throws.
 */
export function parseInvite(text: string, sha256: Sha256): Result<Invite, InviteError> {
  const payloadText = findPayload(text)
  if (payloadText === undefined) return err({ type: 'not-an-invite' })
  const bytes = base64urlToBytes(payloadText)
  if (bytes === undefined || bytes.length <= inviteCheckSize) return err({ type: 'damaged-invite' })
  const payload = bytes.slice(0, bytes.length - inviteCheckSize)
  const check = bytes.subarray(payload.length)
  if (!equalBytes(check, sha256(payload).subarray(0, inviteCheckSize))) return err({ type: 'damaged-invite' })
  const decoded = decodeStructure({ what: 'invite', sizeMax: invitePayloadSizeMax - inviteCheckSize, read }, payload)
  if (decoded.ok) return ok(decoded.value.value)
  return err({ type: decoded.error.type === 'malformed' ? 'damaged-invite' : 'newer-invite' })
}

function findPayload(text: string): string | undefined {
  if (text.length > inviteTextLengthMax) return undefined
  const compact = text.replace(/\s+/g, '')
  if (compact.slice(0, invitePrefix.length).toLowerCase() === invitePrefix) return compact.slice(invitePrefix.length)
  const hash = compact.indexOf('#')
  return /^https?:\/\//i.test(compact) && hash > 0 ? compact.slice(hash + 1) : undefined
}

function cutName(name: string): string {
  let cut = ''
  for (const character of name) {
    if (textToBytes(cut + character).length > inviteNameSizeMax) break
    cut += character
  }
  return cut
}

function encodePayload(invite: Invite, name: string, addresses: readonly string[]): Uint8Array {
  const { accountKey, deviceKey, locatorKey, token } = invite
  for (const key of [accountKey, deviceKey, locatorKey]) assert(key.length === 32, 'keys have 32 bytes')
  assert(token.length === 16, 'a token has 16 bytes')
  const nameBytes = textToBytes(name)
  const writer = startStructure().bytes(accountKey).bytes(deviceKey).bytes(locatorKey).bytes(token)
  writer.u8(nameBytes.length).bytes(nameBytes).u8(addresses.length)
  for (const address of addresses) writeAddress(writer, address)
  return writeExtensions(writer).finish()
}

function writeAddress(writer: ByteWriter, address: string): void {
  const ipv4 = ipv4ToBytes(address)
  if (ipv4 !== undefined) {
    writer.u8(inviteAddressForms.ipv4).u8(ipv4.length).bytes(ipv4)
    return
  }
  const isSecure = address.startsWith('wss://')
  const rest = textToBytes(address.slice(isSecure ? 6 : 5))
  writer
    .u8(isSecure ? inviteAddressForms.wss : inviteAddressForms.ws)
    .u8(rest.length)
    .bytes(rest)
}

function ipv4ToBytes(address: string): Uint8Array | undefined {
  const fields = ipv4Pattern.exec(address)?.slice(1).map(Number)
  if (fields === undefined) return undefined
  const [a = 0, b = 0, c = 0, d = 0, port = 0] = fields
  const bytes = new ByteWriter(6).u8(a).u8(b).u8(c).u8(d).u16(port).finish()
  // Leading zeros and numbers that do not fit have another spelling: those keep their text form.
  return bytesToAddress(inviteAddressForms.ipv4, bytes) === address ? bytes : undefined
}

function bytesToAddress(form: number, bytes: Uint8Array): string | undefined {
  if (form === inviteAddressForms.ipv4) {
    const [a = 0, b = 0, c = 0, d = 0, high = 0, low = 0] = bytes
    return bytes.length === 6 ? `ws://${a}.${b}.${c}.${d}:${high * 256 + low}` : undefined
  }
  return `${form === inviteAddressForms.wss ? 'wss' : 'ws'}://${bytesToText(bytes) ?? ' '}`
}

function read(reader: ByteReader): Invite {
  const accountKey = reader.bytes(32)
  const deviceKey = reader.bytes(32)
  const locatorKey = reader.bytes(32)
  const token = reader.bytes(16)
  const name = bytesToText(reader.bytes(reader.u8()))
  if (name === undefined || !isName(name) || textToBytes(name).length > inviteNameSizeMax) reader.fail()
  const count = reader.u8()
  if (count > inviteAddressesMax) reader.fail()
  const addresses: string[] = []
  for (let index = 0; index < count && !reader.failed; index++) {
    const form = reader.u8()
    const bytes = reader.bytes(reader.u8())
    // A form that only a newer program knows: one way less to reach them.
    if (form < inviteAddressForms.ipv4 || form > inviteAddressForms.wss) continue
    const address = bytesToAddress(form, bytes)
    if (address !== undefined && isInviteAddress(address)) addresses.push(address)
    else reader.fail()
  }
  return { accountKey, deviceKey, name: name ?? '', addresses, locatorKey, token }
}
