import { hash } from 'node:crypto'
import { isIP, isIPv6 } from 'node:net'
import { base64urlToBytes, bytesToBase64url, bytesToNodeId, err, type NodeId, ok, type Result } from '@miaou/core'
import { type Endpoint, formatEndpoint } from '@miaou/protocol'

/** A node to join the overlay through (row C14). */
export interface BootstrapNode {
  /** SHA-256 of `publicKey`. */
  readonly id: NodeId
  /** `host:port` or `[IPv6]:port` (row C15), names or IP addresses, at most 8. */
  readonly addresses: readonly string[]
  /** X25519, 32 bytes. Without it nobody could tell the node from whoever answers at its address. */
  readonly publicKey: Uint8Array
  /** 0 to 1, as whoever wrote the list judges it; the higher are asked first. Default 0.5 (guess: nothing is known). */
  readonly reliabilityScore: number
  /** Milliseconds since the Unix epoch, as whoever wrote the list saw it; undefined: unknown. */
  readonly lastSeen: number | undefined
}

/** `host`: a name, or an IP address without brackets. */
export interface BootstrapAddress {
  readonly host: string
  readonly port: number
}

const addressesMax = 8
const reliabilityDefault = 0.5
/** A DNS name has at most 253 characters (RFC 1035 §2.3.4), a label 63 of them. */
const hostPattern = /^(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*\.?$/i
const nodeFields: readonly string[] = ['id', 'address', 'addresses', 'publicKey', 'reliabilityScore', 'lastSeen']

/**
 * One entry of a list: `<public key, base64url>@host:port`, or an object of row C14's names (`address` for one of
 * `addresses`; all but `publicKey` and an address may be left out). The error says in words what is wrong.
 */
export function parseBootstrapNode(entry: unknown): Result<BootstrapNode, string> {
  if (typeof entry === 'string') {
    const at = entry.indexOf('@')
    if (at < 0) return err('it needs the form "<public key>@host:port"')
    return toNode({ publicKey: entry.slice(0, at), addresses: [entry.slice(at + 1)] })
  }
  if (typeof entry !== 'object' || entry === null || Array.isArray(entry)) {
    return err('it must be a text "<public key>@host:port" or an object')
  }
  const unknown = Object.keys(entry).find((field) => !nodeFields.includes(field))
  if (unknown !== undefined) return err(`"${unknown}" is no field of it; there are: ${nodeFields.join(', ')}`)
  return toNode(entry)
}

/** `<public key, base64url>@host:port`: what `parseBootstrapNode` reads. */
export function bootstrapText(publicKey: Uint8Array, endpoint: Endpoint): string {
  return `${bytesToBase64url(publicKey)}@${formatEndpoint(endpoint)}`
}

/** Undefined for what is no `host:port`. */
export function parseBootstrapAddress(text: string): BootstrapAddress | undefined {
  const [, bracketed, plain, digits] = /^(?:\[([0-9a-f:.]+)\]|([^:[\]]+)):(\d{1,5})$/i.exec(text) ?? []
  const port = Number(digits)
  if (digits === undefined || port < 1 || port > 65_535) return undefined
  if (bracketed !== undefined) return isIPv6(bracketed) ? { host: bracketed, port } : undefined
  if (plain === undefined || !hostPattern.test(plain)) return undefined
  // Four numbers that are no address would be looked up as a name.
  return /^[\d.]+$/.test(plain) && isIP(plain) !== 4 ? undefined : { host: plain, port }
}

interface NodeFields {
  readonly id?: unknown
  readonly address?: unknown
  readonly addresses?: unknown
  readonly publicKey?: unknown
  readonly reliabilityScore?: unknown
  readonly lastSeen?: unknown
}

function toNode(fields: NodeFields): Result<BootstrapNode, string> {
  const { address, publicKey: keyText, reliabilityScore = reliabilityDefault, lastSeen } = fields
  const publicKey = typeof keyText === 'string' ? base64urlToBytes(keyText) : undefined
  if (publicKey?.length !== 32) return err('"publicKey" must be 32 bytes in base64url (43 characters)')
  const id = bytesToNodeId(hash('sha256', publicKey, 'buffer'))
  if (fields.id !== undefined && fields.id !== id) return err(`"id" must be ${id}, the SHA-256 of "publicKey"`)
  const addresses: unknown = fields.addresses ?? (address === undefined ? [] : [address])
  if (!isTextList(addresses) || addresses.length < 1 || addresses.length > addressesMax) {
    return err(`it needs 1 to ${addressesMax} addresses`)
  }
  const wrong = addresses.find((text) => parseBootstrapAddress(text) === undefined)
  if (wrong !== undefined) return err('an address must be "host:port" or "[IPv6 address]:port", port 1 to 65535')
  if (typeof reliabilityScore !== 'number' || !(reliabilityScore >= 0 && reliabilityScore <= 1)) {
    return err('"reliabilityScore" must be a number from 0 to 1')
  }
  if (lastSeen !== undefined && !(typeof lastSeen === 'number' && Number.isFinite(lastSeen) && lastSeen >= 0)) {
    return err('"lastSeen" must be milliseconds since 1970')
  }
  return ok({ id, addresses, publicKey, reliabilityScore, lastSeen })
}

function isTextList(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((entry) => typeof entry === 'string')
}
