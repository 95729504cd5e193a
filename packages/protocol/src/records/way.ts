import { type ByteReader, ByteWriter, bytesToText, concatBytes, textToBytes } from '@miaou/core'
import {
  circuitScheme,
  formatCircuitAddress,
  parseCircuitAddress,
  relayIdSize,
  reservationIdSize,
} from '../circuit/circuit-address.ts'
import { type AddressScope, endpointScope, parseEndpoint } from '../overlay/endpoint.ts'

/** Form byte of a way to a peer (spec/records W2); what follows is a size (u8) and so many bytes. */
export const wayForms = { ipv4: 1, ws: 2, wss: 3, circuitIpv4: 4, circuitWs: 5, circuitWss: 6 } as const

const scopeRanks: Readonly<Record<AddressScope, number>> = { loopback: 0, private: 1, public: 2 }
const idsSize = reservationIdSize + relayIdSize
const directPattern = /^wss?:\/\/[A-Za-z0-9.:[\]%/_~-]+$/
const ipv4Pattern = /^ws:\/\/(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3}):(\d{1,5})$/

/** Whether bytes can carry it: `ws://…`, `wss://…` or `circuit:…`, the URL in it at most `urlLengthMax` characters. */
export function isWay(way: string, urlLengthMax: number): boolean {
  const circuit = parseCircuitAddress(way)
  if (circuit !== undefined) return circuit.relay.url.length <= urlLengthMax
  return way.length <= urlLengthMax && directPattern.test(way)
}

/** Form, size and bytes of a way that `isWay` admits. A WebSocket at an IPv4 address takes 8 bytes, a circuit there 40. */
export function encodeWay(way: string): Uint8Array {
  const circuit = parseCircuitAddress(way)
  if (circuit === undefined) {
    const { form, bytes } = packUrl(way)
    return concatBytes(Uint8Array.of(form, bytes.length), bytes)
  }
  const { form, bytes } = packUrl(circuit.relay.url)
  const { circuitIpv4, ipv4 } = wayForms
  const head = Uint8Array.of(form + circuitIpv4 - ipv4, idsSize + bytes.length)
  return concatBytes(head, circuit.reservation, circuit.relay.relayId, bytes)
}

/** The way that comes next; undefined for a form that only a newer program knows. Fails the reader where it is none. */
export function readWay(reader: ByteReader, urlLengthMax: number): string | undefined {
  const form = reader.u8()
  const bytes = reader.bytes(reader.u8())
  if (reader.failed || form < wayForms.ipv4 || form > wayForms.circuitWss) return undefined
  const way = form < wayForms.circuitIpv4 ? unpackUrl(form, bytes) : unpackCircuit(form, bytes)
  if (way !== undefined && isWay(way, urlLengthMax)) return way
  reader.fail()
  return undefined
}

/**
 * Who reaches what a way names, its relay for a circuit: a name counts as everybody's, unless it is one that no public
 * name server knows.
 */
export function wayScope(way: string): AddressScope {
  const url = parseCircuitAddress(way)?.relay.url ?? way
  const [, authority = ''] = /^wss?:\/\/([^/]+)/.exec(url) ?? []
  const endpoint = parseEndpoint(authority) ?? parseEndpoint(`${authority}:443`)
  const scope = endpoint && endpointScope(endpoint)
  if (scope !== undefined) return scope
  const host = authority.replace(/:\d*$/, '').toLowerCase().replace(/\.$/, '')
  if (host === 'localhost' || host.endsWith('.localhost')) return 'loopback'
  // A literal that no node has, a zone, what a resolver reads as an IPv4 address (WHATWG URL §3.5), a name of the network.
  const isNumber = /[%[\]:]|(^|\.)(\d+|0x[\da-f]*)$/.test(host)
  const isLocal = isNumber || !host.includes('.') || /\.(local|lan|home|internal|home\.arpa)$/.test(host)
  return isLocal ? 'private' : 'public'
}

/** Whether what a way names is as far away as `nearest`, or farther: nearer ones would make us knock at our own doors. */
export function isWayWithin(way: string, nearest: AddressScope): boolean {
  return scopeRanks[wayScope(way)] >= scopeRanks[nearest]
}

/** The nearest of the relays in `ways`, or `scope` where that is nearer: who shares it with us may name others there. */
export function nearestRelayScope(ways: readonly string[], scope: AddressScope = 'public'): AddressScope {
  let nearest = scope
  for (const way of ways) {
    if (way.startsWith(circuitScheme) && !isWayWithin(way, nearest)) nearest = wayScope(way)
  }
  return nearest
}

function packUrl(url: string): { readonly form: number; readonly bytes: Uint8Array } {
  const ipv4 = ipv4ToBytes(url)
  if (ipv4 !== undefined) return { form: wayForms.ipv4, bytes: ipv4 }
  const isSecure = url.startsWith('wss://')
  return { form: isSecure ? wayForms.wss : wayForms.ws, bytes: textToBytes(url.slice(isSecure ? 6 : 5)) }
}

/** `form`: one of the three direct ones. */
function unpackUrl(form: number, bytes: Uint8Array): string | undefined {
  if (form === wayForms.ipv4) {
    const [a = 0, b = 0, c = 0, d = 0, high = 0, low = 0] = bytes
    return bytes.length === 6 ? `ws://${a}.${b}.${c}.${d}:${high * 256 + low}` : undefined
  }
  return `${form === wayForms.wss ? 'wss' : 'ws'}://${bytesToText(bytes) ?? ' '}`
}

function unpackCircuit(form: number, bytes: Uint8Array): string | undefined {
  if (bytes.length <= idsSize) return undefined
  const url = unpackUrl(form - wayForms.circuitIpv4 + wayForms.ipv4, bytes.subarray(idsSize))
  const reservation = bytes.slice(0, reservationIdSize)
  const relayId = bytes.slice(reservationIdSize, idsSize)
  return url && formatCircuitAddress({ relay: { url, relayId }, reservation })
}

function ipv4ToBytes(address: string): Uint8Array | undefined {
  const fields = ipv4Pattern.exec(address)?.slice(1).map(Number)
  if (fields === undefined) return undefined
  const [a = 0, b = 0, c = 0, d = 0, port = 0] = fields
  const bytes = new ByteWriter(6).u8(a).u8(b).u8(c).u8(d).u16(port).finish()
  // Leading zeros and numbers that do not fit have another spelling: those keep their text form.
  return unpackUrl(wayForms.ipv4, bytes) === address ? bytes : undefined
}
