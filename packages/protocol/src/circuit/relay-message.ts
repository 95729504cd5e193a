import type { Result } from '@miaou/core'
import { assert, ByteReader, ByteWriter, err, ok, textToBytes } from '@miaou/core'
import { packedEndpointSizeV4, packedEndpointSizeV6 } from '../overlay/endpoint.ts'
import { codeToName, type DecodeError, tailSizeMax } from '../structure.ts'
import { isRelayUrl, relayUrlLengthMax, reservationIdSize } from './circuit-address.ts'

/**
 * What a peer and a relay say to each other, in `relayControl` frames of a link between a pseudonym and the relay's
 * service key (spec/circuits.md). `request`: u32, chosen by who asks. `circuit`: u32, chosen by the relay, unique on that
 * link while the circuit lives.
 */
export type RelayMessage =
  /** Client: keep a reservation under the id that follows from this link's pseudonym; again before it expires. */
  | { readonly type: 'reserve'; readonly request: number }
  /** Client: give it up. */
  | { readonly type: 'release' }
  | {
      readonly type: 'reserved'
      readonly request: number
      /** Seconds from now. */
      readonly expiresIn: number
      /** The relay's wall clock, ms. */
      readonly timestamp: number
      /** The client's address as the relay sees it (packed endpoint, 6 or 18 bytes; empty where a proxy hides it). */
      readonly observed: Uint8Array
      readonly limits: RelayTerms
      /** STUN and TURN servers on the relay's own host: at most 4. */
      readonly iceServers: readonly RelayIceServer[]
    }
  /** Client: a circuit to who holds that reservation. */
  | { readonly type: 'open'; readonly request: number; readonly reservation: Uint8Array }
  /** Client: a circuit to the mailbox service at a URL that `isRelayUrl` admits, which the relay dials for it. */
  | { readonly type: 'open-service'; readonly request: number; readonly url: string }
  /** `window`: bytes (`circuitChunkCost`) that each end may send before the first `credit`. */
  | { readonly type: 'opened'; readonly request: number; readonly circuit: number; readonly window: number }
  /** To who holds the reservation: somebody opened a circuit; it is open at once, `close` refuses it. */
  | { readonly type: 'incoming'; readonly circuit: number; readonly window: number }
  | { readonly type: 'refused'; readonly request: number; readonly reason: RelayRefusal; readonly retryIn: number }
  /** Both directions: nothing more comes on that circuit. */
  | { readonly type: 'close'; readonly circuit: number; readonly reason: CircuitCloseReason }
  /** Both directions, passed on by the relay: so many more bytes (`circuitChunkCost`) may be sent to me there. */
  | { readonly type: 'credit'; readonly circuit: number; readonly bytes: number }
  /**
   * Client: send me so many bytes of filler (`circuitData` on circuit 0), at most `measureBytesMax`. The relay may send
   * fewer; its `measured` with this request and the bytes it sent ends them.
   */
  | { readonly type: 'measure-down'; readonly request: number; readonly bytes: number }
  /** Client, after its filler on circuit 0; the relay answers `measured`. */
  | { readonly type: 'measure-up'; readonly request: number }
  /** `bytes`: filler sent for `measure-down`; for `measure-up` that received since the last `measured`. */
  | { readonly type: 'measured'; readonly request: number; readonly bytes: number }

/** What a relay gives each of those who reserve: told so that a client can say why something is slow. */
export interface RelayTerms {
  readonly circuitsMax: number
  /** Bytes a second, 0 for no limit told. */
  readonly bytesPerSecond: number
  readonly bytesPerDay: number
}

/** `scheme`: of the URL. Its host is the relay's own, so that no relay can send its clients elsewhere. */
export interface RelayIceServer {
  readonly scheme: 'stun' | 'turn' | 'turns'
  readonly port: number
  readonly transport: 'udp' | 'tcp'
  /** Empty for STUN; at most 128 bytes each. */
  readonly username: string
  readonly credential: string
}

export type RelayRefusal =
  /** Nobody holds that reservation now. */
  | 'no-reservation'
  | 'too-many-circuits'
  | 'too-many-reservations'
  /** The bytes of the day are used up. */
  | 'quota'
  | 'busy'
  | 'not-offered'
  /** Nothing that speaks the service's protocol answers there. */
  | 'unreachable'
  /** This relay does not dial such a place for who asks. */
  | 'not-allowed'

export type CircuitCloseReason =
  | 'bye'
  /** The other end's link with the relay is gone. */
  | 'peer-gone'
  | 'quota'
  | 'flow-control'
  | 'protocol-error'
  | 'idle'
  | 'shutdown'
  | 'busy'

/** First byte of a message (spec/circuits C2). */
export const relayMessageKinds = {
  reserve: 1,
  release: 2,
  reserved: 3,
  open: 4,
  opened: 5,
  incoming: 6,
  refused: 7,
  close: 8,
  credit: 9,
  'measure-down': 10,
  'measure-up': 11,
  measured: 12,
  'open-service': 13,
} as const

/** Reason byte of `refused`; one that only a newer relay knows reads as `busy`. */
export const relayRefusals = {
  'no-reservation': 1,
  'too-many-circuits': 2,
  'too-many-reservations': 3,
  quota: 4,
  busy: 5,
  'not-offered': 6,
  unreachable: 7,
  'not-allowed': 8,
} as const

/** Reason byte of `close`; one that only a newer end knows reads as `bye`. */
export const circuitCloseReasons = {
  bye: 1,
  'peer-gone': 2,
  quota: 3,
  'flow-control': 4,
  'protocol-error': 5,
  idle: 6,
  shutdown: 7,
  busy: 8,
} as const

/** Scheme byte of a STUN or TURN server. */
export const relayIceSchemes = { stun: 1, turn: 2, turns: 3 } as const
/** Transport byte of a STUN or TURN server. */
export const relayIceTransports = { udp: 1, tcp: 2 } as const

/** STUN and TURN servers in one `reserved` (own choice: both schemes over both transports). */
export const relayIceServersMax = 4
/** Bytes of a user name and of a credential each (own choice: coturn's time-limited ones have some 40). */
export const relayIceSecretSizeMax = 128
/** Largest message: a `reserved` with every field full, and a tail. */
export const relayMessageSizeMax = 1_177
/** Un-credited bytes of a circuit in one direction (own choice: 5 MB/s at a round trip of 50 ms). */
export const circuitWindowSize = 262_144
/** Bytes of filler that one `measure-down` may ask for (own choice: half a second at 1 MB/s). */
export const measureBytesMax = 524_288

/** Bytes of a message. Asserts what a caller of ours can get wrong; text fields are bounded in bytes. */
export function encodeRelayMessage(message: RelayMessage): Uint8Array {
  const writer = new ByteWriter(64).u8(relayMessageKinds[message.type])
  switch (message.type) {
    case 'release':
      break
    case 'reserve':
    case 'measure-up':
      writer.u32(message.request)
      break
    case 'reserved':
      writeReserved(writer, message)
      break
    case 'open':
      assert(message.reservation.length === reservationIdSize, 'a reservation id has 16 bytes')
      writer.u32(message.request).bytes(message.reservation)
      break
    case 'open-service':
      assert(isRelayUrl(message.url), 'a service has a URL as relays have')
      writer.u32(message.request).text16(message.url)
      break
    case 'opened':
      writer.u32(message.request).u32(message.circuit).u32(message.window)
      break
    case 'incoming':
      writer.u32(message.circuit).u32(message.window)
      break
    case 'refused':
      writer.u32(message.request).u8(relayRefusals[message.reason]).u32(message.retryIn)
      break
    case 'close':
      writer.u32(message.circuit).u8(circuitCloseReasons[message.reason])
      break
    case 'credit':
      writer.u32(message.circuit).u32(message.bytes)
      break
    case 'measure-down':
    case 'measured':
      writer.u32(message.request).u32(message.bytes)
      break
  }
  return writer.finish()
}

/** The message in `bytes`. Never throws. */
export function decodeRelayMessage(bytes: Uint8Array): Result<RelayMessage, DecodeError> {
  const malformed = err({ type: 'malformed', what: 'relay message' } as const)
  if (bytes.length > relayMessageSizeMax) return malformed
  const reader = new ByteReader(bytes)
  const message = readMessage(reader, codeToName(relayMessageKinds, reader.u8()))
  reader.rest(tailSizeMax)
  return message !== undefined && reader.finished() ? ok(message) : malformed
}

function readMessage(reader: ByteReader, type: RelayMessage['type'] | undefined): RelayMessage | undefined {
  switch (type) {
    case 'release':
      return { type }
    case 'reserve':
    case 'measure-up':
      return { type, request: reader.u32() }
    case 'reserved':
      return readReserved(reader)
    case 'open':
      return { type, request: reader.u32(), reservation: reader.bytes(reservationIdSize) }
    case 'open-service': {
      const request = reader.u32()
      const url = reader.text16(relayUrlLengthMax)
      if (!isRelayUrl(url)) reader.fail()
      return { type, request, url }
    }
    case 'opened':
      return { type, request: reader.u32(), circuit: readCircuit(reader), window: reader.u32() }
    case 'incoming':
      return { type, circuit: readCircuit(reader), window: reader.u32() }
    case 'refused': {
      const request = reader.u32()
      return { type, request, reason: codeToName(relayRefusals, reader.u8()) ?? 'busy', retryIn: reader.u32() }
    }
    case 'close':
      return { type, circuit: readCircuit(reader), reason: codeToName(circuitCloseReasons, reader.u8()) ?? 'bye' }
    case 'credit':
      return { type, circuit: readCircuit(reader), bytes: reader.u32() }
    case 'measure-down': {
      const request = reader.u32()
      const bytes = reader.u32()
      if (bytes > measureBytesMax) reader.fail()
      return { type, request, bytes }
    }
    case 'measured':
      return { type, request: reader.u32(), bytes: reader.u32() }
    default:
      return undefined
  }
}

/** Circuit 0 is that of filler: nobody opens or closes it. */
function readCircuit(reader: ByteReader): number {
  const circuit = reader.u32()
  if (circuit === 0) reader.fail()
  return circuit
}

type Reserved = Extract<RelayMessage, { type: 'reserved' }>

function writeReserved(writer: ByteWriter, message: Reserved): void {
  const { observed, limits, iceServers } = message
  assert(isObserved(observed), 'an observed endpoint has 0, 6 or 18 bytes')
  assert(iceServers.length <= relayIceServersMax, 'a relay names few servers')
  writer.u32(message.request).u32(message.expiresIn).u64(message.timestamp).u8(observed.length).bytes(observed)
  writer.u32(limits.circuitsMax).u64(limits.bytesPerSecond).u64(limits.bytesPerDay).u8(iceServers.length)
  for (const { scheme, port, transport, username, credential } of iceServers) {
    writer.u8(relayIceSchemes[scheme]).u16(port).u8(relayIceTransports[transport])
    for (const text of [username, credential]) {
      const secret = textToBytes(text)
      assert(secret.length <= relayIceSecretSizeMax, 'a user name or credential is short')
      writer.bytes16(secret)
    }
  }
}

function readReserved(reader: ByteReader): Reserved {
  const request = reader.u32()
  const expiresIn = reader.u32()
  const timestamp = reader.u64()
  const observed = reader.bytes(reader.u8())
  if (!isObserved(observed)) reader.fail()
  const limits = { circuitsMax: reader.u32(), bytesPerSecond: reader.u64(), bytesPerDay: reader.u64() }
  const count = reader.u8()
  if (count > relayIceServersMax) reader.fail()
  const iceServers: RelayIceServer[] = []
  while (!reader.failed && iceServers.length < count) {
    const scheme = codeToName(relayIceSchemes, reader.u8())
    const port = reader.u16()
    const transport = codeToName(relayIceTransports, reader.u8())
    const username = reader.text16(relayIceSecretSizeMax)
    const credential = reader.text16(relayIceSecretSizeMax)
    if (scheme === undefined || transport === undefined || port === 0) reader.fail()
    else iceServers.push({ scheme, port, transport, username, credential })
  }
  return { type: 'reserved', request, expiresIn, timestamp, observed, limits, iceServers }
}

function isObserved({ length }: Uint8Array): boolean {
  return length === 0 || length === packedEndpointSizeV4 || length === packedEndpointSizeV6
}
