import type { ByteReader, Result } from '@miaou/core'
import {
  assert,
  base64urlToBytes,
  bytesToBase64url,
  bytesToText,
  concatBytes,
  equalBytes,
  err,
  ok,
  textToBytes,
} from '@miaou/core'
import { circuitScheme } from './circuit/circuit-address.ts'
import type { BoxAddress } from './mailbox/mailbox-address.ts'
import { isName } from './name.ts'
import { boxEntryKind, boxToEntry, entryToBox } from './records/mailbox-entry.ts'
import { encodeWay, isWay, readWay, wayForms } from './records/way.ts'
import { decodeStructure, startStructure, writeExtensions } from './structure.ts'

/** What a person hands to another so that the two can meet (spec/invite V1). */
export interface Invite {
  /** Ed25519, 32 bytes; whether it is admissible shows when a certificate is verified. */
  readonly accountKey: Uint8Array
  readonly deviceKey: Uint8Array
  /** What the person calls themselves; in an invite at most 30 bytes of UTF-8, cut at a character. */
  readonly name: string
  /** `ws://…`, `wss://…` or `circuit:…`, their URLs at most 64 characters each, at most 6. */
  readonly addresses: readonly string[]
  /** Where messages can be left while the device is away; none, or one that fits beside the rest. */
  readonly boxes?: readonly BoxAddress[]
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
/** Characters of an address, of its relay's URL for a circuit. */
export const inviteAddressLengthMax = 64
/** So that six IPv4 addresses, or one of 64 characters, or a circuit at a relay of 20, fit beside the name. */
export const inviteNameSizeMax = 30
/** To what a name is cut at most, so that one circuit and one address fit beside it (own choice: most given names). */
export const inviteNameSizeMin = 12
/** Tags of its extensions: 1 a box, as in records (W1). */
export const inviteTags = { box: 1 } as const
/** First bytes of SHA-256 over all that comes before. */
export const inviteCheckSize = 4
/** Form byte of an address: as in records. */
export const inviteAddressForms: typeof wayForms = wayForms

// What a mail program may add around a link is far less than this.
const inviteTextLengthMax = 4096

/** Whether an address may stand in an invite. */
export function isInviteAddress(address: string): boolean {
  return isWay(address, inviteAddressLengthMax)
}

/**
 * The invite link. A name longer than 30 bytes is cut. Addresses that do not fit are left out, the last ones first, but one
 * circuit and one address of a listener stay as long as cutting the name to 12 bytes makes room for them.
 */
export function encodeInvite(invite: Invite, sha256: Sha256): string {
  assert(isName(invite.name), 'a name is checked before it is written')
  assert(invite.addresses.every(isInviteAddress), 'addresses are checked before they are written')
  const { name, addresses, box } = fit(invite)
  const payload = encodePayload(invite, name, addresses, box)
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
  const sizeMax = invitePayloadSizeMax - inviteCheckSize
  const knownTags = [inviteTags.box]
  const decoded = decodeStructure({ what: 'invite', sizeMax, read, knownTags }, payload)
  if (decoded.ok) {
    const boxes = decoded.value.extensions.flatMap(({ bytes }) => entryToBox({ kind: boxEntryKind, bytes }) ?? [])
    return ok({ ...decoded.value.value, ...(boxes.length > 0 && { boxes }) })
  }
  return err({ type: decoded.error.type === 'malformed' ? 'damaged-invite' : 'newer-invite' })
}

function findPayload(text: string): string | undefined {
  if (text.length > inviteTextLengthMax) return undefined
  const compact = text.replace(/\s+/g, '')
  if (compact.slice(0, invitePrefix.length).toLowerCase() === invitePrefix) return compact.slice(invitePrefix.length)
  const hash = compact.indexOf('#')
  return /^https?:\/\//i.test(compact) && hash > 0 ? compact.slice(hash + 1) : undefined
}

/** What of the name and of the addresses goes in. Whoever is on another network needs a circuit, and it comes first. */
function fit(invite: Invite): {
  readonly name: string
  readonly addresses: readonly string[]
  readonly box: Uint8Array | undefined
} {
  const isCircuit = (address: string): boolean => address.startsWith(circuitScheme)
  const all = [...new Set(invite.addresses)]
  const firsts = [all.find(isCircuit), all.find((address) => !isCircuit(address))]
  const order = [...new Set([...firsts.filter((address) => address !== undefined), ...all])]
  const fixedSize = encodePayload(invite, '', []).length + inviteCheckSize
  const sizeOf = (address: string): number => encodeWay(address).length
  let room = invitePayloadSizeMax - fixedSize - inviteNameSizeMin
  // The two that matter are chosen beside the shortest name, all others beside the name that is then left.
  const chosen = new Set<string>()
  const choose = (address: string): void => {
    if (chosen.size === inviteAddressesMax || sizeOf(address) > room) return
    chosen.add(address)
    room -= sizeOf(address)
  }
  for (const address of order.slice(0, 2)) if (firsts.includes(address)) choose(address)
  const name = cutName(invite.name, Math.min(inviteNameSizeMax, room + inviteNameSizeMin))
  room += inviteNameSizeMin - textToBytes(name).length
  // Who is away is reached by a box alone: it goes before a second way to who is there.
  const box = (invite.boxes ?? []).map((each) => boxToEntry(each).bytes).find((bytes) => bytes.length + 4 <= room)
  if (box !== undefined) room -= box.length + 4
  for (const address of order) if (!chosen.has(address)) choose(address)
  return { name, addresses: all.filter((address) => chosen.has(address)), box }
}

function cutName(name: string, sizeMax: number): string {
  let cut = ''
  for (const character of name) {
    if (textToBytes(cut + character).length > sizeMax) break
    cut += character
  }
  return cut
}

function encodePayload(invite: Invite, name: string, addresses: readonly string[], box?: Uint8Array): Uint8Array {
  const { accountKey, deviceKey, locatorKey, token } = invite
  for (const key of [accountKey, deviceKey, locatorKey]) assert(key.length === 32, 'keys have 32 bytes')
  assert(token.length === 16, 'a token has 16 bytes')
  const nameBytes = textToBytes(name)
  const writer = startStructure().bytes(accountKey).bytes(deviceKey).bytes(locatorKey).bytes(token)
  writer.u8(nameBytes.length).bytes(nameBytes).u8(addresses.length)
  for (const address of addresses) writer.bytes(encodeWay(address))
  return writeExtensions(writer, box === undefined ? [] : [{ tag: inviteTags.box, bytes: box }]).finish()
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
    // A form that only a newer program knows: one way less to reach them.
    const address = readWay(reader, inviteAddressLengthMax)
    if (address !== undefined && !addresses.includes(address)) addresses.push(address)
  }
  return { accountKey, deviceKey, name: name ?? '', addresses, locatorKey, token }
}
