import { assert } from '@miaou/core'

/** Where a node of the overlay receives datagrams: one address of one family. */
export interface Endpoint {
  /** Canonical text of an IPv4 or IPv6 address (RFC 5952), never a name. */
  readonly host: string
  /** 1–65,535. */
  readonly port: number
}

export type AddressFamily = 4 | 6

/** Who reaches an address: this machine, its network, or everybody. */
export type AddressScope = 'loopback' | 'private' | 'public'

/** IPv4 address and port. */
export const packedEndpointSizeV4 = 6
/** IPv6 address and port. */
export const packedEndpointSizeV6 = 18

// Longest text of an IPv6 address (45 characters), its brackets, a colon and five digits.
const textLengthMax = 53
const scratch = new Uint8Array(packedEndpointSizeV6)

/**
 * The endpoint that `203.0.113.5:4000` or `[2001:db8::1]:4000` spells, its host made canonical (spec/overlay O2), or
 * undefined: for names, for zones (`%eth0`), and for addresses and ports that no node can have (O3).
 */
export function parseEndpoint(text: string): Endpoint | undefined {
  if (text.length > textLengthMax) return undefined
  const colon = text.lastIndexOf(':')
  const portText = text.slice(colon + 1)
  if (colon < 0 || !/^[1-9]\d{0,4}$/.test(portText)) return undefined
  const isBracketed = text.startsWith('[')
  if (isBracketed && text[colon - 1] !== ']') return undefined
  const host = isBracketed ? text.slice(1, colon - 1) : text.slice(0, colon)
  if (isBracketed !== host.includes(':')) return undefined
  const size = packAddress(host, Number(portText), scratch, 0)
  return size === 0 ? undefined : unpackEndpoint(scratch, 0, sizeToFamily(size))
}

/** `203.0.113.5:4000` or `[2001:db8::1]:4000`. */
export function formatEndpoint({ host, port }: Endpoint): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

/** 6 or 18 bytes (spec/overlay O1), or undefined where `packAddress` gives 0. */
export function packEndpoint({ host, port }: Endpoint): Uint8Array | undefined {
  const size = packAddress(host, port, scratch, 0)
  return size === 0 ? undefined : scratch.slice(0, size)
}

/**
 * Writes address and port at `offset` of `target`, which has room for 18 bytes, and returns how many it wrote: 6 for
 * IPv4 (also when it is spelled as IPv6), 18 for IPv6, 0 when `host` is no address, or one that no node can have (O3).
 * What is at `offset` is then undefined. `host`: any spelling, as the socket of the host gives it.
 */
export function packAddress(host: string, port: number, target: Uint8Array, offset: number): 0 | 6 | 18 {
  assert(target.length - offset >= packedEndpointSizeV6, 'there is room for an endpoint')
  if (!(port > 0 && port <= 0xffff)) return 0
  let size: 6 | 18 = packedEndpointSizeV4
  if (!readIpv4(host, 0, target, offset)) {
    if (!readIpv6(host, target, offset)) return 0
    // One address has one packed form, or one node would count as two.
    if (isMapped(target, offset)) target.copyWithin(offset, offset + 12, offset + 16)
    else size = packedEndpointSizeV6
  }
  target[offset + size - 2] = port >> 8
  target[offset + size - 1] = port
  return addressScope(target, offset, sizeToFamily(size)) === undefined ? 0 : size
}

/**
 * The endpoint packed at `offset`, or undefined when bytes are missing or no node can have it (O3). `family` is told by
 * the length when `packed` holds one endpoint and nothing else.
 */
export function unpackEndpoint(
  packed: Uint8Array,
  offset = 0,
  family: AddressFamily = packed.length === packedEndpointSizeV4 ? 4 : 6,
): Endpoint | undefined {
  const size = family === 4 ? packedEndpointSizeV4 : packedEndpointSizeV6
  if (packed.length - offset < size || addressScope(packed, offset, family) === undefined) return undefined
  const host = family === 4 ? formatIpv4(packed, offset) : formatIpv6(packed, offset)
  return { host, port: readU16(packed, offset + size - 2) }
}

/** Scope of the endpoint packed at `offset`; undefined when no node can have it (O3). Allocates nothing. */
export function addressScope(packed: Uint8Array, offset: number, family: AddressFamily): AddressScope | undefined {
  const size = family === 4 ? packedEndpointSizeV4 : packedEndpointSizeV6
  if (readU16(packed, offset + size - 2) === 0) return undefined
  return family === 4 ? scopeOfIpv4(packed, offset) : scopeOfIpv6(packed, offset)
}

/** Scope of an endpoint; undefined when no node can have it. */
export function endpointScope({ host, port }: Endpoint): AddressScope | undefined {
  const size = packAddress(host, port, scratch, 0)
  return size === 0 ? undefined : addressScope(scratch, 0, sizeToFamily(size))
}

export function isLoopback(endpoint: Endpoint): boolean {
  return endpointScope(endpoint) === 'loopback'
}

/** Reached inside one network only (spec/overlay O3). */
export function isPrivate(endpoint: Endpoint): boolean {
  return endpointScope(endpoint) === 'private'
}

export function isPublic(endpoint: Endpoint): boolean {
  return endpointScope(endpoint) === 'public'
}

/** RFC 6890, and RFC 1122 §3.2.1.3 for what is no address of a node. */
function scopeOfIpv4(bytes: Uint8Array, at: number): AddressScope | undefined {
  const [a, b] = [bytes[at] as number, bytes[at + 1] as number]
  // "This network", multicast, reserved and broadcast.
  if (a === 0 || a >= 224) return undefined
  if (a === 127) return 'loopback'
  const isPrivateUse = a === 10 || (a === 172 && b >> 4 === 1) || (a === 192 && b === 168)
  const isLinkLocal = a === 169 && b === 254
  const isShared = a === 100 && b >> 6 === 1
  const isProtocolAssignment = a === 192 && b === 0 && bytes[at + 2] === 0
  return isPrivateUse || isLinkLocal || isShared || isProtocolAssignment ? 'private' : 'public'
}

/** RFC 4291, RFC 4193, RFC 6666. */
function scopeOfIpv6(bytes: Uint8Array, at: number): AddressScope | undefined {
  const [a, b] = [bytes[at] as number, bytes[at + 1] as number]
  if (a === 0xff) return undefined
  if (a === 0) return isLoopbackIpv6(bytes, at) ? 'loopback' : isZero(bytes, at, 10) ? undefined : 'public'
  // 100::/64: thrown away by routers.
  if (a === 1 && b === 0 && isZero(bytes, at + 2, 6)) return undefined
  const isUniqueLocal = (a & 0xfe) === 0xfc
  // Link local, and the site local of old.
  const isLocal = a === 0xfe && b >= 0x80
  return isUniqueLocal || isLocal ? 'private' : 'public'
}

function isLoopbackIpv6(bytes: Uint8Array, at: number): boolean {
  return bytes[at + 15] === 1 && isZero(bytes, at, 15)
}

/** ::ffff:0:0/96: an IPv4 address in the spelling of a dual-stack socket. */
function isMapped(bytes: Uint8Array, at: number): boolean {
  return bytes[at + 10] === 0xff && bytes[at + 11] === 0xff && isZero(bytes, at, 10)
}

function isZero(bytes: Uint8Array, at: number, size: number): boolean {
  for (let i = at; i < at + size; i++) if (bytes[i] !== 0) return false
  return true
}

/** Four decimal numbers without leading zeros from `from` to the end of the text. */
function readIpv4(text: string, from: number, target: Uint8Array, offset: number): boolean {
  let at = from
  for (let part = 0; part < 4; part++) {
    if (part > 0 && text.charCodeAt(at++) !== 0x2e) return false
    let value = 0
    const start = at
    for (; at < start + 3; at++) {
      const digit = text.charCodeAt(at) - 0x30
      if (!(digit >= 0 && digit <= 9)) break
      value = value * 10 + digit
    }
    const hasLeadingZero = at - start > 1 && text.charCodeAt(start) === 0x30
    if (at === start || value > 255 || hasLeadingZero) return false
    target[offset + part] = value
  }
  return at === text.length
}

/** RFC 4291 §2.2, all three forms; no zone. */
function readIpv6(text: string, target: Uint8Array, offset: number): boolean {
  let at = 0
  let filled = 0
  let gap = -1
  if (text.startsWith('::')) {
    gap = 0
    at = 2
  }
  while (at < text.length) {
    const start = at
    let value = 0
    for (; at < start + 4; at++) {
      const digit = hexDigit(text.charCodeAt(at))
      if (digit < 0) break
      value = value * 16 + digit
    }
    if (at === start || filled === 16) return false
    if (text.charCodeAt(at) === 0x2e) {
      if (filled > 12 || !readIpv4(text, start, target, offset + filled)) return false
      filled += 4
      break
    }
    target[offset + filled] = value >> 8
    target[offset + filled + 1] = value
    filled += 2
    if (at === text.length) break
    if (text.charCodeAt(at++) !== 0x3a || at === text.length) return false
    if (text.charCodeAt(at) === 0x3a) {
      if (gap >= 0) return false
      gap = filled
      at += 1
    }
  }
  if (gap < 0) return filled === 16
  // A gap stands for one group or more.
  if (filled > 14) return false
  target.copyWithin(offset + gap + 16 - filled, offset + gap, offset + filled)
  target.fill(0, offset + gap, offset + gap + 16 - filled)
  return true
}

/** Value of a hexadecimal digit's character code, -1 for another one (and for NaN, behind the end). */
function hexDigit(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30
  const lower = code | 0x20
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1
}

function formatIpv4(bytes: Uint8Array, at: number): string {
  return `${bytes[at]}.${bytes[at + 1]}.${bytes[at + 2]}.${bytes[at + 3]}`
}

/** RFC 5952 §4: lower case, no leading zeros, the first longest run of two zero groups or more as `::`. */
function formatIpv6(bytes: Uint8Array, at: number): string {
  let [runStart, runSize] = [-1, 1]
  for (let group = 0, size = 0; group < 8; group++) {
    size = readU16(bytes, at + 2 * group) === 0 ? size + 1 : 0
    if (size > runSize) [runStart, runSize] = [group + 1 - size, size]
  }
  let text = ''
  for (let group = 0; group < 8; group++) {
    if (group === runStart) {
      text += '::'
      group += runSize - 1
      continue
    }
    const isFirst = group === 0 || text.endsWith(':')
    text += (isFirst ? '' : ':') + readU16(bytes, at + 2 * group).toString(16)
  }
  return text
}

function readU16(bytes: Uint8Array, at: number): number {
  return ((bytes[at] as number) << 8) | (bytes[at + 1] as number)
}

function sizeToFamily(size: 6 | 18): AddressFamily {
  return size === packedEndpointSizeV4 ? 4 : 6
}
