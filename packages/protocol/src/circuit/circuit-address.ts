import { assert, base64urlToBytes, bytesToBase64url, concatBytes, textToBytes } from '@miaou/core'

type Sha256 = (bytes: Uint8Array) => Uint8Array

/** Where a relay is dialled, and who must answer there. */
export interface RelayAddress {
  /** `ws://host:port` or `wss://host`, in the form that `URL` writes, without a slash at its end. */
  readonly url: string
  /** 16 bytes: `relayIdOf` its key. */
  readonly relayId: Uint8Array
}

/** A way to a peer through a relay: who holds a reservation there is called by its id, never by a peer id. */
export interface CircuitAddress {
  readonly relay: RelayAddress
  /** 16 bytes: `reservationIdOf` the pseudonym that holds it. */
  readonly reservation: Uint8Array
}

export const relayIdSize = 16
export const reservationIdSize = 16
/** Most characters of a relay's URL: own choice, a long host name and a short path. */
export const relayUrlLengthMax = 128
/** Before a circuit address, as `ws:` is before that of a socket. */
export const circuitScheme = 'circuit:'

const relayIdLabel = textToBytes('miaou relay id')
const reservationLabel = textToBytes('miaou reservation id')
// 16 bytes in base64url.
const idTextLength = 22
const urlPattern = /^wss?:\/\/[A-Za-z0-9.:[\]%/_~-]+$/

/** Who a relay is, in an address: the first 16 bytes of SHA-256(label ‖ its service key). `key`: Ed25519, 32 bytes. */
export function relayIdOf(key: Uint8Array, sha256: Sha256): Uint8Array {
  assert(key.length === 32, 'a relay has a 32-byte key')
  return sha256(concatBytes(relayIdLabel, key)).slice(0, relayIdSize)
}

/**
 * The reservation of a pseudonym: the first 16 bytes of SHA-256(label ‖ its key). It looks random, survives restarts of
 * both ends, and nobody else can take it: the relay computes it from the key that the link has proved.
 */
export function reservationIdOf(pseudonymKey: Uint8Array, sha256: Sha256): Uint8Array {
  assert(pseudonymKey.length === 32, 'a pseudonym has a 32-byte key')
  return sha256(concatBytes(reservationLabel, pseudonymKey)).slice(0, reservationIdSize)
}

/** `<relay id>@wss://relay.example.org`. */
export function formatRelayAddress({ url, relayId }: RelayAddress): string {
  assert(relayId.length === relayIdSize, 'a relay id has 16 bytes')
  return `${bytesToBase64url(relayId)}@${url}`
}

/** The relay that `formatRelayAddress` would write so, or undefined. */
export function parseRelayAddress(text: string): RelayAddress | undefined {
  const at = text.indexOf('@')
  const relayId = at === idTextLength ? base64urlToBytes(text.slice(0, at)) : undefined
  const url = text.slice(at + 1)
  if (relayId?.length !== relayIdSize || !isRelayUrl(url)) return undefined
  return { url, relayId }
}

/** `circuit:<reservation id>.<relay id>@wss://relay.example.org`. */
export function formatCircuitAddress({ relay, reservation }: CircuitAddress): string {
  assert(reservation.length === reservationIdSize, 'a reservation id has 16 bytes')
  return `${circuitScheme}${bytesToBase64url(reservation)}.${formatRelayAddress(relay)}`
}

/** The way that `formatCircuitAddress` would write so, or undefined. */
export function parseCircuitAddress(text: string): CircuitAddress | undefined {
  if (!text.startsWith(circuitScheme)) return undefined
  const rest = text.slice(circuitScheme.length)
  const reservation = rest[idTextLength] === '.' ? base64urlToBytes(rest.slice(0, idTextLength)) : undefined
  const relay = parseRelayAddress(rest.slice(idTextLength + 1))
  if (reservation?.length !== reservationIdSize || relay === undefined) return undefined
  return { relay, reservation }
}

/** Whether a relay can be dialled there: `ws:` or `wss:`, a host, no user, query or fragment, at most 128 characters. */
export function isRelayUrl(url: string): boolean {
  return url.length <= relayUrlLengthMax && urlPattern.test(url) && !url.endsWith('/')
}
