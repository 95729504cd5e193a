import { createHash, createHmac, randomBytes } from 'node:crypto'
import {
  type Endpoint,
  encodeStunMessage,
  type StunAttribute,
  type StunMessage,
  stunAttribute,
  stunAttributes,
  stunEndpoint,
  stunErrorCode,
  stunMethods,
  stunTransactionSize,
} from '@miaou/protocol'
import type { IceUrl } from './ice-url.ts'
import { openStunChannel, type StunChannel } from './stun-channel.ts'

export interface TurnCredentials {
  readonly username: string
  readonly credential: string
}

export interface TurnCheckLimits {
  /** Time for the whole check, ms. */
  readonly timeoutMs: number
  /** First repetition over UDP, doubled each time (RFC 8489 §6.2.1). */
  readonly rtoMs: number
}

export const defaultTurnCheckLimits: TurnCheckLimits = { timeoutMs: 5_000, rtoMs: 500 }

export type TurnCheck =
  /** `ms`: until the relay was ready, connecting included. */
  | { readonly ok: true; readonly ms: number; readonly relayed: Endpoint; readonly mapped?: Endpoint }
  | { readonly ok: false; readonly detail: string }

const integritySize = 20
/** UDP (RFC 8656 §14.7). */
const udpTransport = Uint8Array.of(17, 0, 0, 0)

/**
 * Asks a TURN server for a relay as a connection would (RFC 8656 §7), and gives it back. `address`: where the name of
 * the URL leads. The detail says what is wrong: nothing there, the credentials, or the certificate.
 */
export async function checkTurn(
  way: IceUrl,
  address: string,
  credentials: TurnCredentials,
  limits: Partial<TurnCheckLimits> = {},
): Promise<TurnCheck> {
  const { timeoutMs, rtoMs } = { ...defaultTurnCheckLimits, ...limits }
  const startedAt = performance.now()
  const signal = AbortSignal.timeout(timeoutMs)
  const channel = await openStunChannel(way, address, signal, rtoMs)
  if (!channel.ok) return { ok: false, detail: channel.error }
  try {
    return await allocate(channel.value, credentials, startedAt)
  } finally {
    channel.value.close()
  }
}

async function allocate(channel: StunChannel, credentials: TurnCredentials, startedAt: number): Promise<TurnCheck> {
  const transport: StunAttribute = { type: stunAttributes.requestedTransport, value: udpTransport }
  let signing: Signing | undefined
  // The first is refused with a realm and a nonce; a nonce may be stale once.
  for (let round = 0; round < 3; round++) {
    const answer = await channel.ask(request(stunMethods.allocate, [transport], signing))
    if (!answer.ok) return { ok: false, detail: answer.error }
    const message = answer.value
    const relayed = stunEndpoint(message, stunAttributes.xorRelayedAddress)
    if (message.class === 'success' && relayed !== undefined) {
      const ms = performance.now() - startedAt
      const nothing: StunAttribute = { type: stunAttributes.lifetime, value: new Uint8Array(4) }
      if (signing !== undefined) channel.tell(request(stunMethods.refresh, [nothing], signing))
      const mapped = stunEndpoint(message, stunAttributes.xorMappedAddress)
      return { ok: true, ms, relayed, ...(mapped === undefined ? {} : { mapped }) }
    }
    const error = stunErrorCode(message)
    if (error === undefined) return { ok: false, detail: 'it is no TURN server' }
    const next = signingOf(message, credentials)
    const mayRetry = (error.code === 401 && signing === undefined) || error.code === 438
    if (!mayRetry || next === undefined) return { ok: false, detail: wordsOf(error.code, error.reason) }
    signing = next
  }
  return { ok: false, detail: wordsOf(438, 'Stale Nonce') }
}

interface Signing {
  readonly key: Uint8Array
  readonly attributes: readonly StunAttribute[]
}

/** The long-term credentials for a realm (RFC 8489 §9.2). */
function signingOf(refusal: StunMessage, { username, credential }: TurnCredentials): Signing | undefined {
  const realm = stunAttribute(refusal, stunAttributes.realm)
  const nonce = stunAttribute(refusal, stunAttributes.nonce)
  if (realm === undefined || nonce === undefined) return undefined
  const key = createHash('md5').update(`${username}:`).update(realm).update(`:${credential}`).digest()
  return {
    key: Uint8Array.from(key),
    attributes: [
      { type: stunAttributes.username, value: new TextEncoder().encode(username) },
      { type: stunAttributes.realm, value: realm },
      { type: stunAttributes.nonce, value: nonce },
    ],
  }
}

function request(method: number, attributes: readonly StunAttribute[], signing: Signing | undefined): Uint8Array {
  const common = {
    class: 'request',
    method,
    transaction: Uint8Array.from(randomBytes(stunTransactionSize)),
    hasFingerprint: false,
  } as const
  if (signing === undefined) return encodeStunMessage({ ...common, attributes })
  const bytes = encodeStunMessage({
    ...common,
    attributes: [
      ...attributes,
      ...signing.attributes,
      { type: stunAttributes.messageIntegrity, value: new Uint8Array(integritySize) },
    ],
  })
  // Over everything before the attribute, with a length that counts it (RFC 8489 §14.5).
  const signed = bytes.subarray(0, bytes.length - integritySize - 4)
  bytes.set(createHmac('sha1', signing.key).update(signed).digest(), bytes.length - integritySize)
  return bytes
}

function wordsOf(code: number, reason: string): string {
  if (code === 401) return 'wrong username or password'
  if (code === 486) return 'its quota for this user is reached'
  if (code === 508) return 'it has no relay left'
  return `refuses: ${code} ${reason}`.trim()
}
