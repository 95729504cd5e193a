import {
  equalBytes,
  err,
  keyToPeerId,
  type Now,
  ok,
  type PeerId,
  peerIdToKey,
  type Random,
  type Result,
  textToBytes,
} from '@miaou/core'
import { type Crypto, type KeyPair, NoiseHandshake, type NoiseKeys } from '@miaou/crypto'
import {
  type DeviceCertificate,
  decodeFrame,
  decodeHandshakeMessage,
  encodeFrame,
  encodeHandshakeMessage,
  frameTypes,
  handshakePrologue,
  negotiateFeatures,
  type PseudonymCertificate,
  protocolVersion,
  verifyCertificate,
} from '@miaou/protocol'
import type { LinkError } from './interface.ts'
import { bucketSize } from './link-limits.ts'
import type { ChannelBinding } from './ports.ts'
import { frameErrorText } from './sealed-channel.ts'

/** Who a link says we are: a device, or a pseudonym towards those who serve us (DECISIONS, "Which identity a link shows"). */
export interface LinkIdentity {
  readonly peerId: PeerId
  /** Of that peer id's key, over `linkKey`. */
  readonly certificate: Uint8Array
  /** X25519: the static key of the Noise handshake. */
  readonly linkKey: KeyPair
}

/** Who proved to be at the other end. */
export interface LinkPeer {
  readonly peerId: PeerId
  readonly certificate: DeviceCertificate | PseudonymCertificate
  readonly certificateBytes: Uint8Array
  /** What both ends offer. */
  readonly features: readonly string[]
}

export interface LinkHandshakeOptions {
  readonly crypto: Crypto
  readonly random: Random
  readonly identity: LinkIdentity
  readonly features: readonly string[]
  readonly role: 'initiator' | 'responder'
  readonly padded: boolean
  /** Bytes that the pipe adds around a message before its size shows (0): padding leaves room for them. */
  readonly reserved?: number
  readonly bytesMax: number
  /** The peer that was dialled; undefined when anybody may answer. */
  readonly expected: PeerId | undefined
  readonly binding: ChannelBinding | undefined
  /** 32 bytes that whoever calls must know before anything is shown to it (L35); undefined: anybody may call. */
  readonly psk?: Uint8Array | undefined
  /** Whether a link that shows a pseudonym is admitted. */
  readonly pseudonymsAdmitted: boolean
}

/** `reply`: to be written. `peer`: the other end has proved who it is. */
export interface HandshakeStep {
  readonly reply?: Uint8Array
  readonly peer?: LinkPeer
}

const noPeerId = new Uint8Array(32)
const callingLabel = textToBytes('miaou circuit calling key')
const noSalt = new Uint8Array(0)

/**
 * What whoever calls `responder` over a circuit must know (L35): its peer id, which its contacts have and its relays have
 * not. Without it a relay could call its own clients, and Noise XX would show it who they are.
 */
export function callingKey(crypto: Crypto, responder: PeerId): Uint8Array {
  return crypto.hkdfSha256(peerIdToKey(responder), noSalt, callingLabel, 32)
}

/**
 * Noise XX in Handshake (0x01) and HandshakeAck (0x02) frames over one pipe: e → ← e,ee,s,es → s,se, with the second and
 * third message carrying who the sender is (spec/links L10–L19). Any error ends the handshake, and the pipe with it.
 */
export class LinkHandshake {
  readonly #options: LinkHandshakeOptions
  readonly #noise: NoiseHandshake
  #index = 0

  constructor(options: LinkHandshakeOptions) {
    this.#options = options
    this.#noise = NoiseHandshake.start({
      crypto: options.crypto,
      pattern: 'XX',
      role: options.role,
      prologue: handshakePrologue(protocolVersion),
      staticKey: options.identity.linkKey,
      ...(options.psk === undefined ? {} : { psk: options.psk }),
      ephemeralSecret: options.random.bytes(32),
    })
  }

  /** The initiator's first message. It carries nothing: it travels in the clear. */
  start(now: Now): Uint8Array {
    return this.#write(now, new Uint8Array(0))
  }

  /** Takes the next message of the other end. The initiator goes on with `finish`, once the peer is welcome. */
  receive(now: Now, bytes: Uint8Array): Result<HandshakeStep, LinkError> {
    const message = this.#readFrame(bytes)
    if (!message.ok) return message
    const payload = this.#noise.readMessage(message.value)
    if (!payload.ok) return err({ type: 'bad-handshake', detail: `Noise: ${payload.error.type}` })
    this.#index += 1
    if (this.#index === 1) {
      if (payload.value.length > 0) return err({ type: 'bad-handshake', detail: 'the first message carries data' })
      return ok({ reply: this.#write(now, this.#introduction(now)) })
    }
    const peer = this.#verify(payload.value)
    return peer.ok ? ok({ peer: peer.value }) : peer
  }

  /** The initiator's last message. */
  finish(now: Now): Uint8Array {
    return this.#write(now, this.#introduction(now))
  }

  /** Once, after the last message. */
  split(): NoiseKeys {
    return this.#noise.split()
  }

  #write(now: Now, payload: Uint8Array): Uint8Array {
    const { crypto, padded, reserved = 0 } = this.#options
    const type = this.#index === 1 ? frameTypes.handshakeAck : frameTypes.handshake
    const frame = encodeFrame(
      {
        type,
        sequence: this.#index,
        peerId: noPeerId,
        timestamp: wallTime(now),
        payload: this.#noise.writeMessage(payload),
      },
      (bytes) => crypto.blake3(bytes),
    )
    this.#index += 1
    if (!padded) return frame
    // The size would tell a device's certificate from a pseudonym's.
    const inBucket = new Uint8Array(bucketSize(frame.length, reserved))
    inBucket.set(frame)
    return inBucket
  }

  #readFrame(bytes: Uint8Array): Result<Uint8Array, LinkError> {
    const { crypto, padded, bytesMax } = this.#options
    if (bytes.length > bytesMax) return err({ type: 'bad-handshake', detail: `${bytes.length} bytes are too many` })
    const frame = decodeFrame(bytes, (data) => crypto.blake3(data), { padded })
    if (!frame.ok) {
      if (frame.error.type === 'unsupported-version') {
        return err({ type: 'unsupported-version', version: frame.error.version })
      }
      return err({ type: 'bad-handshake', detail: frameErrorText(frame.error) })
    }
    const { type, sequence, peerId, payload } = frame.value
    const expectedType = this.#index === 1 ? frameTypes.handshakeAck : frameTypes.handshake
    if (type !== expectedType || sequence !== this.#index) {
      return err({ type: 'bad-handshake', detail: `frame type ${type}, sequence ${sequence} is out of turn` })
    }
    if (!equalBytes(peerId, noPeerId)) return err({ type: 'bad-handshake', detail: 'a peer id in the clear' })
    return ok(payload)
  }

  #introduction(now: Now): Uint8Array {
    const { identity, features, binding } = this.#options
    return encodeHandshakeMessage({
      protocolVersion,
      peerId: peerIdToKey(identity.peerId),
      certificate: identity.certificate,
      features,
      timestamp: wallTime(now),
      ...(binding === undefined ? {} : { binding }),
    })
  }

  #verify(payload: Uint8Array): Result<LinkPeer, LinkError> {
    const { crypto, identity, features, expected, binding, pseudonymsAdmitted } = this.#options
    const decoded = decodeHandshakeMessage(payload)
    if (!decoded.ok) return err({ type: 'bad-handshake', detail: `handshake message: ${decoded.error.type}` })
    const message = decoded.value
    if (message.protocolVersion !== protocolVersion) {
      return err({ type: 'unsupported-version', version: message.protocolVersion })
    }
    const verified = verifyCertificate(crypto, message.certificate)
    if (!verified.ok) return err({ type: 'bad-certificate', detail: verified.error.type })
    const certificate = verified.value
    const remoteStatic = this.#noise.remoteStatic
    if (remoteStatic === undefined || !equalBytes(certificate.linkKey, remoteStatic)) {
      return err({ type: 'bad-certificate', detail: 'it certifies another link key' })
    }
    if (!equalBytes(certificate.deviceKey, message.peerId)) {
      return err({ type: 'bad-certificate', detail: 'it certifies another peer id' })
    }
    if (certificate.kind === 'pseudonym' && !pseudonymsAdmitted) {
      return err({ type: 'bad-certificate', detail: 'a pseudonym, where a device is wanted' })
    }
    const peerId = keyToPeerId(message.peerId)
    if (peerId === identity.peerId) return err({ type: 'self' })
    if (expected !== undefined && peerId !== expected) return err({ type: 'wrong-peer', expected, actual: peerId })
    if (!isSameBinding(binding, message.binding)) return err({ type: 'channel-binding-mismatch' })
    return ok({
      peerId,
      certificate,
      certificateBytes: message.certificate,
      features: negotiateFeatures(features, message.features),
    })
  }
}

/** A clock that was never set may stand before 1970; frames hold no negative time. */
export function wallTime(now: Now): number {
  return Math.max(0, Math.trunc(now.wall))
}

/** Crosswise: what is local there is remote here. Both or neither end must see a binding. */
function isSameBinding(ours: ChannelBinding | undefined, theirs: ChannelBinding | undefined): boolean {
  if (ours === undefined || theirs === undefined) return ours === theirs
  return equalBytes(ours.local, theirs.remote) && equalBytes(ours.remote, theirs.local)
}
