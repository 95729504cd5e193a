import { ByteReader } from '@miaou/core'
import { ChannelCipher, type ChannelDirection, type Crypto, deriveChannelKey, type NoiseKeys } from '@miaou/crypto'
import {
  decodeFrame,
  encodeFrame,
  type Frame,
  type FrameError,
  type FrameType,
  frameSizeMin,
  frameTypes,
  pipeMessageSizeMax,
} from '@miaou/protocol'
import { bucketSize } from './link-limits.ts'
import type { ChannelIndex } from './ports.ts'
import { ReplayWindow } from './replay-window.ts'

/** Row D02's labels, which also name the keys. */
export const channelNames: readonly [string, string] = ['miaou-messages', 'miaou-signals']

/** Sequence number, u64, before a sealed frame, in bytes. */
const sequenceSize = 8

/** Sequence number and tag around a sealed frame, in bytes. */
export const sealOverhead: number = sequenceSize + 16

/** Frames are written here and sealed from here in one step: memory outside the heap for each cost more than sealing. */
const scratch = new Uint8Array(pipeMessageSizeMax)

/** Type and size (u32) before the payload of a bare message. */
const bareHeaderSize = 5

export interface SealedChannelOptions {
  readonly crypto: Crypto
  readonly keys: NoiseKeys
  readonly role: 'initiator' | 'responder'
  readonly channel: ChannelIndex
  readonly protocolVersion: number
  readonly padded: boolean
  /** Bytes that the pipe adds around a message before its size shows: buckets leave room for them. */
  readonly reserved?: number
  readonly replayWindow: number
  /** Whose frames these are: the peer id field of what is sent, and the only one accepted. 32 bytes each. */
  readonly localKey: Uint8Array
  readonly remoteKey: Uint8Array
}

export type OpenError =
  /** Wrong size, tag or sequence: forged, altered, repeated, or out of order where order is promised. */
  | { readonly type: 'undecryptable'; readonly channel: ChannelIndex }
  /** Authentic, yet no frame of that peer. */
  | { readonly type: 'bad-frame'; readonly detail: string }

/**
 * One channel of a link after the handshake: keys and sequences of both directions. A pipe message is
 * `sequence u64 ‖ AEAD(frame ‖ padding)` (spec/links L20).
 */
export class SealedChannel {
  readonly #options: Omit<SealedChannelOptions, 'keys'>
  readonly #send: ChannelCipher
  readonly #receive: ChannelCipher
  readonly #window: ReplayWindow | undefined
  #nextSent = 0
  #nextReceived = 0

  constructor(options: SealedChannelOptions) {
    // A relay has thousands of idle links: what they hold is counted in arrays (docs/decisions/0030).
    const { keys, ...rest } = options
    this.#options = rest
    const { crypto, role, channel } = rest
    const name = channelNames[channel]
    const outward: ChannelDirection = role === 'initiator' ? 'initiator-to-responder' : 'responder-to-initiator'
    const inward: ChannelDirection = role === 'initiator' ? 'responder-to-initiator' : 'initiator-to-responder'
    this.#send = new ChannelCipher({ crypto, key: deriveChannelKey(crypto, keys.send, name, outward) })
    this.#receive = new ChannelCipher({ crypto, key: deriveChannelKey(crypto, keys.receive, name, inward) })
    this.#window = channel === 0 ? undefined : new ReplayWindow(options.replayWindow)
  }

  /** Sequence of the next message to be sent. */
  get nextSequence(): number {
    return this.#nextSent
  }

  /** The pipe message of one frame. `wall`: ms since the Unix epoch, shown to the other end only. */
  seal(type: FrameType, payload: Uint8Array, wall: number): Uint8Array {
    const { crypto, channel, protocolVersion, localKey, padded, reserved = 0 } = this.#options
    const sequence = this.#nextSent++
    const isBare = type === frameTypes.circuitData
    const size = (isBare ? bareHeaderSize : frameSizeMin) + payload.length
    const sizeMin = padded ? bucketSize(size + sealOverhead, reserved) - sealOverhead : size
    const plaintext = isBare
      ? writeBare(type, payload, sizeMin)
      : encodeFrame(
          { type, sequence, peerId: localKey, timestamp: wall, payload },
          (bytes) => crypto.blake3(bytes),
          sizeMin,
          scratch,
        )
    const message = this.#send.seal(sequence, additionalData(protocolVersion, channel), plaintext, sequenceSize)
    const view = new DataView(message.buffer, message.byteOffset)
    view.setUint32(0, Math.floor(sequence / 0x1_0000_0000))
    view.setUint32(4, sequence >>> 0)
    return message
  }

  /** The frame inside a pipe message. A refused message changes nothing: the genuine next one still opens. */
  open(message: Uint8Array): { readonly frame: Frame } | { readonly error: OpenError } {
    const { crypto, channel, protocolVersion, padded, remoteKey } = this.#options
    const undecryptable = { error: { type: 'undecryptable', channel } } as const
    if (message.length < sealOverhead || message.length > pipeMessageSizeMax) return undecryptable
    const reader = new ByteReader(message)
    const sequence = reader.u64()
    if (reader.failed || !this.#isExpected(sequence)) return undecryptable
    const ad = additionalData(protocolVersion, channel)
    const plaintext = this.#receive.open(sequence, ad, message.subarray(sequenceSize))
    if (plaintext === undefined) return undecryptable
    this.#nextReceived = sequence + 1
    this.#window?.mark(sequence)
    if (plaintext[0] === frameTypes.circuitData) return this.#openBare(sequence, plaintext)
    const frame = decodeFrame(plaintext, (bytes) => crypto.blake3(bytes), { padded })
    if (!frame.ok) return { error: { type: 'bad-frame', detail: frameErrorText(frame.error) } }
    if (frame.value.sequence !== sequence) return { error: { type: 'bad-frame', detail: 'sequence differs' } }
    if (!crypto.equal(frame.value.peerId, remoteKey)) return { error: { type: 'bad-frame', detail: 'peer id differs' } }
    return { frame: frame.value }
  }

  /** What is bare has no fields of its own: the cipher has proved sequence and sender. The payload is a view. */
  #openBare(sequence: number, plaintext: Uint8Array): { readonly frame: Frame } | { readonly error: OpenError } {
    const { remoteKey } = this.#options
    const isWhole = plaintext.length > bareHeaderSize
    const size = isWhole ? new DataView(plaintext.buffer, plaintext.byteOffset).getUint32(1) : 0
    if (!isWhole || size > plaintext.length - bareHeaderSize) {
      return { error: { type: 'bad-frame', detail: 'incomplete bare message' } }
    }
    const payload = plaintext.subarray(bareHeaderSize, bareHeaderSize + size)
    return { frame: { type: frameTypes.circuitData, sequence, peerId: remoteKey, timestamp: 0, payload } }
  }

  #isExpected(sequence: number): boolean {
    return this.#window === undefined ? sequence === this.#nextReceived : this.#window.isFresh(sequence)
  }

  wipe(): void {
    this.#send.wipe()
    this.#receive.wipe()
  }
}

/**
 * Circuit data travels bare (spec/links L29): type u8, size u32, payload, zeros. Frame header and checksum inside the
 * cipher would tell nothing new, and to hash each chunk twice a hop is a third of a relay's work (decision 0030).
 */
function writeBare(type: FrameType, payload: Uint8Array, sizeMin: number): Uint8Array {
  const size = Math.max(sizeMin, bareHeaderSize + payload.length)
  scratch[0] = type
  new DataView(scratch.buffer).setUint32(1, payload.length)
  scratch.set(payload, bareHeaderSize)
  return scratch.fill(0, bareHeaderSize + payload.length, size).subarray(0, size)
}

const sharedAd = new Uint8Array(2)

/** Of the call at hand. */
function additionalData(protocolVersion: number, channel: ChannelIndex): Uint8Array {
  sharedAd[0] = protocolVersion
  sharedAd[1] = channel
  return sharedAd
}

/** A frame error in words, for diagnostics. */
export function frameErrorText(error: FrameError): string {
  switch (error.type) {
    case 'frame-too-small':
      return `frame too small: ${error.size} bytes`
    case 'unsupported-version':
      return `protocol version ${error.version} is not supported`
    case 'incomplete-frame':
      return `incomplete frame: ${error.size} of ${error.expected} bytes`
    case 'checksum-mismatch':
      return 'checksum mismatch'
    case 'unknown-type':
      return `unknown frame type ${error.value}`
    case 'trailing-bytes':
      return 'bytes after the frame'
    default:
      return 'no frame'
  }
}
