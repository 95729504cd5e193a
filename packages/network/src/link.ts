import { assert, type Now, peerIdToKey } from '@miaou/core'
import {
  type BundledFrame,
  bundledFrameOverhead,
  bundleSizeMax,
  type DisconnectReason,
  decodeBundle,
  decodeDisconnect,
  decodeFragment,
  decodeKeepAlive,
  encodeBundle,
  encodeDisconnect,
  encodeKeepAlive,
  type Frame,
  type FrameType,
  fragmentedSizeMax,
  fragmentSizeMax,
  frameTypes,
  isBundleable,
  isFragmentable,
  protocolVersion,
  Reassembler,
} from '@miaou/protocol'
import { BulkQueue } from './bulk-queue.ts'
import type { CloseReason, LinkError } from './interface.ts'
import {
  LinkHandshake,
  type LinkHandshakeOptions,
  type LinkIdentity,
  type LinkPeer,
  wallTime,
} from './link-handshake.ts'
import type { LinkLimits } from './link-limits.ts'
import { Liveness } from './liveness.ts'
import type { ChannelIndex } from './ports.ts'
import { SealedChannel } from './sealed-channel.ts'

export interface LinkOptions extends Omit<LinkHandshakeOptions, 'bytesMax'> {
  readonly channels: 1 | 2
  readonly limits: LinkLimits
}

export type LinkOutput =
  | { readonly type: 'write'; readonly channel: ChannelIndex; readonly bytes: Uint8Array }
  /** The other end has shown who it is: the manager answers with `accept` or `refuse`. */
  | { readonly type: 'proven'; readonly peer: LinkPeer }
  /** Both ends hold the keys and know it. */
  | { readonly type: 'up' }
  | {
      readonly type: 'frame'
      readonly channel: ChannelIndex
      readonly frameType: FrameType
      readonly payload: Uint8Array
    }
  | { readonly type: 'pong'; readonly id: number; readonly latencyMs: number }
  /** A message was refused; the link stays (row B23). */
  | { readonly type: 'refused'; readonly error: LinkError }
  /** The other end sends nothing more on this link; another one carries on. */
  | { readonly type: 'remote-retired'; readonly reason: 'upgraded' | 'duplicate' }
  /** The last output: the pipe is to be closed, after what was written is flushed. */
  | { readonly type: 'ended'; readonly reason: CloseReason; readonly error?: LinkError }

/** A frame of the layers above. */
export interface OutgoingFrame {
  readonly frameType: FrameType
  readonly payload: Uint8Array
}

/** What a retired link had not begun to send: it goes out on the link that takes over. */
export interface Leftover {
  readonly messages: readonly OutgoingFrame[]
  readonly pingIds: readonly number[]
}

type LinkState = 'handshaking' | 'proven' | 'confirming' | 'up' | 'retired' | 'ended'

/**
 * One pipe from its opening to its end: handshake, sealed frames, fragments, keep-alive. Without clock and I/O: every
 * effect is in the returned list, `deadline()` says when `wake` is due (monotonic ms). Rules: spec/links.md.
 */
export class Link {
  readonly #options: LinkOptions
  readonly #liveness: Liveness
  readonly #timeoutAt: number
  readonly #openedAt: number
  #state: LinkState = 'handshaking'
  #handshake: LinkHandshake | undefined
  #handshakeSentAt: number | undefined
  #peer: LinkPeer | undefined
  #channels: readonly SealedChannel[] = []
  #reassembler: Reassembler | undefined
  #badMessages = 0
  #nextNonce = 0
  #probe: { readonly nonce: number; readonly sentAt: number } | undefined
  // Pings of the manager (id) and those that follow a fragment (no id), by nonce.
  #pings: Map<number, { readonly sentAt: number; readonly id: number | undefined }> | undefined
  // As #pings, made when it is needed: a relay has thousands of links that need none.
  #bulk: BulkQueue | undefined
  #fragmentsInFlight = 0
  #isRemoteRetired = false

  constructor(options: LinkOptions, now: Now) {
    this.#options = options
    this.#liveness = new Liveness(options.limits, now.mono)
    this.#openedAt = now.mono
    this.#timeoutAt = now.mono + options.limits.handshakeTimeoutMs
  }

  /** Who is at the other end, from `proven` on. */
  get peer(): LinkPeer | undefined {
    return this.#peer
  }

  /** Frees what was learnt of the other end, where nobody asks for it any more. */
  forgetPeer(): void {
    assert(this.#channels.length > 0 || this.#state === 'ended', 'who is to be proven is not forgotten')
    this.#peer = undefined
  }

  /** Smoothed round trip in ms. */
  get latencyMs(): number | undefined {
    return this.#liveness.rtt
  }

  get isUp(): boolean {
    return this.#state === 'up'
  }

  /** Our last message of the handshake is out, the first sealed one of the other end not yet in. */
  get isConfirming(): boolean {
    return this.#state === 'confirming'
  }

  /** Something is unanswered for longer than it should be, or the network changed, and nothing was heard since. */
  get isSuspect(): boolean {
    return this.#state === 'up' && this.#liveness.isSuspect
  }

  /** Monotonic ms since when it is suspect, while it is. */
  get suspectSince(): number {
    return this.#liveness.suspectSince
  }

  get isRetired(): boolean {
    return this.#state === 'retired'
  }

  get isRemoteRetired(): boolean {
    return this.#isRemoteRetired
  }

  /** Refused messages so far. */
  get badMessages(): number {
    return this.#badMessages
  }

  /** The initiator speaks first. */
  start(now: Now): LinkOutput[] {
    if (this.#options.role === 'responder') return []
    this.#handshake = this.#newHandshake()
    this.#handshakeSentAt = now.mono
    return [write(0, this.#handshake.start(now))]
  }

  receive(now: Now, channel: ChannelIndex, bytes: Uint8Array): LinkOutput[] {
    if (this.#state === 'ended') return []
    if (this.#state === 'handshaking') return this.#receiveHandshake(now, channel, bytes)
    assert(this.#state !== 'proven', 'a proven peer is accepted or refused before the next message')
    const sealed = this.#channels[channel]
    const opened = sealed?.open(bytes) ?? { error: { type: 'undecryptable', channel } as const }
    if ('error' in opened) return this.#refuseMessage(now, opened.error)
    return this.#checkSequences(now, this.#receiveFrame(now, channel, opened.frame))
  }

  /** The proven peer is welcome. The responder is up at once, the initiator when the other end is first heard. */
  accept(now: Now): LinkOutput[] {
    assert(this.#state === 'proven' && this.#handshake !== undefined, 'only a proven peer is accepted')
    if (this.#options.role === 'initiator') {
      const last = this.#handshake.finish(now)
      this.#openChannels()
      this.#state = 'confirming'
      return [write(0, last)]
    }
    this.#openChannels()
    this.#state = 'up'
    // The first sealed message tells the initiator that it is up, too.
    return [{ type: 'up' }, ...this.#sendProbe(now, 0)]
  }

  /** The proven peer is not welcome. Only the responder can say why: the initiator has shown nothing yet. */
  refuse(now: Now, reason: CloseReason): LinkOutput[] {
    assert(this.#state === 'proven', 'only a proven peer is refused')
    const outputs: LinkOutput[] = []
    if (this.#options.role === 'responder') {
      this.#openChannels()
      outputs.push(...this.#disconnect(now, reason))
    }
    return [...outputs, ...this.#end(reason)]
  }

  /**
   * Sends a frame of the layers above. `fleeting`: on the unordered channel where there is one; it may be lost.
   * Undefined when it was refused: above the largest size, or too many large ones wait.
   */
  send(now: Now, frameType: FrameType, payload: Uint8Array, fleeting: boolean): LinkOutput[] | undefined {
    assert(this.#state === 'up', 'only a link that is up sends')
    // Messages of circuits are cut by who sends them; those of mailboxes fit a frame whole, and must not be overtaken.
    const isWhole = frameType === frameTypes.circuitData || frameType === frameTypes.mailboxControl
    if (payload.length > fragmentSizeMax && !isWhole) {
      this.#bulk ??= new BulkQueue(this.#options.limits.bulkBytesMax)
      if (!isFragmentable(frameType) || payload.length > fragmentedSizeMax || !this.#bulk.push(frameType, payload))
        return undefined
      return this.#checkSequences(now, this.#pump(now))
    }
    const channel = fleeting && this.#options.channels === 2 ? 1 : 0
    return this.#checkSequences(now, this.#seal(now, channel, frameType, payload))
  }

  /**
   * Sends frames of the layers above on the ordered channel, in order; what fits shares one sealed message, so that a
   * burst of small frames costs few of them.
   */
  sendAll(
    now: Now,
    frames: readonly OutgoingFrame[],
  ): { readonly outputs: LinkOutput[]; readonly refusedCount: number } {
    const outputs: LinkOutput[] = []
    const sizeMax = bundleSizeMax - (this.#options.reserved ?? 0)
    let refusedCount = 0
    let bundle: BundledFrame[] = []
    let size = 0
    const finish = (): void => {
      const [only] = bundle
      // A seal near the last sequence number ends the link: what is left then is refused.
      if (this.#state !== 'up') refusedCount += bundle.length
      else if (only !== undefined && bundle.length === 1)
        outputs.push(...this.#sealChecked(now, only.type, only.payload))
      else if (only !== undefined) outputs.push(...this.#sealChecked(now, frameTypes.bundle, encodeBundle(bundle)))
      bundle = []
      size = 0
    }
    for (const { frameType, payload } of frames) {
      const bundledSize = payload.length + bundledFrameOverhead
      if (size + bundledSize > sizeMax) finish()
      if (bundledSize <= sizeMax && isBundleable(frameType)) {
        bundle.push({ type: frameType, payload })
        size += bundledSize
        continue
      }
      const sent = this.#state === 'up' ? this.send(now, frameType, payload, false) : undefined
      if (sent === undefined) refusedCount += 1
      else outputs.push(...sent)
    }
    finish()
    return { outputs, refusedCount }
  }

  /** Measures a round trip on the ordered channel; the answer is a `pong` with `id`. Undefined: too many are open. */
  ping(now: Now, id: number): LinkOutput[] | undefined {
    assert(this.#state === 'up', 'only a link that is up is measured')
    if ((this.#pings?.size ?? 0) >= this.#options.limits.pingsMax) return undefined
    return this.#checkSequences(now, this.#sendPing(now, 0, id))
  }

  /** Says the last word on this link and goes on listening: another link with the peer carries on. */
  retire(now: Now, reason: 'upgraded' | 'duplicate'): { readonly outputs: LinkOutput[]; readonly leftover: Leftover } {
    assert(this.#state === 'up', 'only a link that is up is retired')
    const outputs: LinkOutput[] = []
    for (const fragment of this.#bulk?.takeBegun() ?? [])
      outputs.push(...this.#seal(now, 0, frameTypes.fragment, fragment))
    outputs.push(...this.#disconnect(now, reason))
    const pingIds = [...(this.#pings?.values() ?? [])].flatMap(({ id }) => (id === undefined ? [] : [id]))
    this.#pings = undefined
    this.#state = 'retired'
    this.#liveness.stop()
    return { outputs, leftover: { messages: this.#bulk?.takeWaiting() ?? [], pingIds } }
  }

  /** Ends the link, telling the other end why where that is possible. */
  close(now: Now, reason: CloseReason, error?: LinkError): LinkOutput[] {
    if (this.#state === 'ended') return []
    const canTell = this.#state === 'up' || this.#state === 'confirming'
    return [...(canTell ? this.#disconnect(now, reason) : []), ...this.#end(reason, error)]
  }

  /** The pipe is gone: frees everything. */
  pipeClosed(): void {
    this.#end('pipe-lost')
  }

  /** The network changed: the other end must answer now. */
  doubt(now: Now): LinkOutput[] {
    if (this.#state !== 'up') return []
    this.#liveness.doubt(now.mono)
    return this.wake(now)
  }

  /** A suspect link is asked once more, on the other channel: a single probe may be lost on a link that is well. */
  press(now: Now): LinkOutput[] {
    if (!this.isSuspect) return []
    this.#liveness.press(now.mono)
    return this.wake(now)
  }

  deadline(): number {
    switch (this.#state) {
      case 'handshaking':
      case 'proven':
      case 'confirming':
        return this.#timeoutAt
      case 'up':
        return Math.min(this.#liveness.deadline(), this.#reassembler?.deadline() ?? Number.POSITIVE_INFINITY)
      default:
        return Number.POSITIVE_INFINITY
    }
  }

  wake(now: Now): LinkOutput[] {
    if (now.mono < this.deadline()) return []
    if (this.#state !== 'up') {
      return this.#end('handshake-timeout', { type: 'handshake-timeout', afterMs: now.mono - this.#openedAt })
    }
    this.#reassembler?.expire(now.mono)
    const due = this.#liveness.wake(now.mono)
    if (due === undefined) return []
    if (due.type === 'silent') {
      return this.#end('silent', { type: 'silent', forMs: this.#liveness.silentFor(now.mono) })
    }
    return this.#checkSequences(now, this.#sendProbe(now, due.probe))
  }

  #newHandshake(): LinkHandshake {
    return new LinkHandshake({ ...this.#options, bytesMax: this.#options.limits.handshakeBytesMax })
  }

  #receiveHandshake(now: Now, channel: ChannelIndex, bytes: Uint8Array): LinkOutput[] {
    // The unordered channel may overtake the end of the handshake; what it carries may be lost.
    if (channel !== 0) return []
    // A pipe that never says anything costs no key agreement.
    this.#handshake ??= this.#newHandshake()
    const step = this.#handshake.receive(now, bytes)
    if (!step.ok) return this.#end('protocol-error', step.error)
    const { reply, peer } = step.value
    if (this.#handshakeSentAt !== undefined) this.#liveness.measured(now.mono - this.#handshakeSentAt)
    if (reply !== undefined) {
      this.#handshakeSentAt = now.mono
      return [write(0, reply)]
    }
    assert(peer !== undefined, 'a handshake step replies or proves')
    this.#peer = peer
    this.#state = 'proven'
    return [{ type: 'proven', peer }]
  }

  #openChannels(): void {
    const { crypto, role, padded, reserved = 0, identity, channels, limits } = this.#options
    assert(this.#handshake !== undefined && this.#peer !== undefined, 'keys follow the proof')
    const keys = this.#handshake.split()
    const shared = {
      crypto,
      keys,
      role,
      padded,
      reserved,
      protocolVersion,
      replayWindow: limits.replayWindow,
      localKey: keyOf(identity),
      remoteKey: this.#peer.certificate.deviceKey,
    }
    const indices: readonly ChannelIndex[] = channels === 2 ? [0, 1] : [0]
    this.#channels = indices.map((channel) => new SealedChannel({ ...shared, channel }))
    crypto.wipe(keys.send)
    crypto.wipe(keys.receive)
    this.#handshake = undefined
  }

  #receiveFrame(now: Now, channel: ChannelIndex, frame: Frame): LinkOutput[] {
    if (frame.type === frameTypes.disconnect) return this.#receiveDisconnect(now, frame.payload)
    const outputs: LinkOutput[] = []
    if (this.#state === 'confirming') {
      this.#state = 'up'
      outputs.push({ type: 'up' })
    }
    if (frame.type === frameTypes.keepAlive) return [...outputs, ...this.#receiveKeepAlive(now, channel, frame.payload)]
    this.#liveness.heard(now.mono)
    switch (frame.type) {
      case frameTypes.handshake:
      case frameTypes.handshakeAck:
        return [
          ...outputs,
          ...this.#refuseMessage(now, { type: 'bad-frame', detail: 'a handshake on a standing link' }),
        ]
      case frameTypes.fragment:
        return [...outputs, ...this.#receiveFragment(now, frame.payload)]
      case frameTypes.bundle:
        return [...outputs, ...this.#receiveBundle(now, channel, frame.payload)]
      default:
        return [...outputs, { type: 'frame', channel, frameType: frame.type, payload: frame.payload }]
    }
  }

  #receiveDisconnect(now: Now, payload: Uint8Array): LinkOutput[] {
    const decoded = decodeDisconnect(payload)
    if (!decoded.ok) return this.#refuseMessage(now, { type: 'bad-frame', detail: 'disconnect' })
    const { reason } = decoded.value
    if ((reason === 'upgraded' || reason === 'duplicate') && this.#state !== 'confirming') {
      this.#isRemoteRetired = true
      this.#liveness.stop()
      return [{ type: 'remote-retired', reason }]
    }
    return this.#end(reason, { type: 'refused', reason })
  }

  #receiveKeepAlive(now: Now, channel: ChannelIndex, payload: Uint8Array): LinkOutput[] {
    const decoded = decodeKeepAlive(payload)
    if (!decoded.ok) return this.#refuseMessage(now, { type: 'bad-frame', detail: 'keep-alive' })
    const { kind, nonce } = decoded.value
    if (kind === 'ping') {
      this.#liveness.heard(now.mono)
      // After our Disconnect nothing follows. A pong asks for no answer, so it is not counted as something sent.
      if (this.#state !== 'up') return []
      return [this.#sealOne(now, channel, frameTypes.keepAlive, encodeKeepAlive({ kind: 'pong', nonce }))]
    }
    if (this.#probe?.nonce === nonce) {
      const { sentAt } = this.#probe
      this.#probe = undefined
      this.#liveness.measured(now.mono - sentAt)
      this.#liveness.heard(now.mono, sentAt)
      return []
    }
    const ping = this.#pings?.get(nonce)
    this.#liveness.heard(now.mono, ping?.sentAt)
    if (ping === undefined) return []
    this.#pings?.delete(nonce)
    const latencyMs = now.mono - ping.sentAt
    if (ping.id === undefined) {
      this.#fragmentsInFlight -= 1
      return this.#pump(now)
    }
    this.#liveness.measured(latencyMs)
    return [{ type: 'pong', id: ping.id, latencyMs }]
  }

  #receiveFragment(now: Now, payload: Uint8Array): LinkOutput[] {
    const decoded = decodeFragment(payload)
    if (!decoded.ok) return this.#refuseMessage(now, { type: 'bad-frame', detail: 'fragment' })
    this.#reassembler ??= new Reassembler()
    const whole = this.#reassembler.add(now.mono, decoded.value)
    if (!whole.ok) return this.#refuseMessage(now, { type: 'bad-frame', detail: `fragment: ${whole.error.type}` })
    if (whole.value === undefined) return []
    return [{ type: 'frame', channel: 0, frameType: whole.value.type, payload: whole.value.payload }]
  }

  #receiveBundle(now: Now, channel: ChannelIndex, payload: Uint8Array): LinkOutput[] {
    const decoded = decodeBundle(payload)
    if (!decoded.ok) return this.#refuseMessage(now, { type: 'bad-frame', detail: 'bundle' })
    return decoded.value.map(({ type, payload }) => ({ type: 'frame', channel, frameType: type, payload }))
  }

  #refuseMessage(now: Now, error: LinkError): LinkOutput[] {
    this.#badMessages += 1
    const outputs: LinkOutput[] = [{ type: 'refused', error }]
    if (this.#badMessages >= this.#options.limits.badMessagesMax)
      outputs.push(...this.close(now, 'protocol-error', error))
    return outputs
  }

  /** Sends fragments while there is room, each followed by the ping whose pong makes room again. */
  #pump(now: Now): LinkOutput[] {
    const outputs: LinkOutput[] = []
    while (this.#state === 'up' && this.#fragmentsInFlight < this.#options.limits.fragmentsInFlightMax) {
      const fragment = this.#bulk?.next()
      if (fragment === undefined) break
      this.#fragmentsInFlight += 1
      outputs.push(...this.#seal(now, 0, frameTypes.fragment, fragment), ...this.#sendPing(now, 0, undefined))
    }
    return outputs
  }

  #sendPing(now: Now, channel: ChannelIndex, id: number | undefined): LinkOutput[] {
    const nonce = this.#takeNonce()
    this.#pings ??= new Map()
    this.#pings.set(nonce, { sentAt: now.mono, id })
    return this.#seal(now, channel, frameTypes.keepAlive, encodeKeepAlive({ kind: 'ping', nonce }))
  }

  /** Probes alternate between the channels: the unordered one is not stuck behind data, the ordered one loses nothing. */
  #sendProbe(now: Now, probe: number): LinkOutput[] {
    const nonce = this.#takeNonce()
    this.#probe = { nonce, sentAt: now.mono }
    const channel = this.#options.channels === 2 && probe % 2 === 1 ? 1 : 0
    return this.#seal(now, channel, frameTypes.keepAlive, encodeKeepAlive({ kind: 'ping', nonce }))
  }

  #takeNonce(): number {
    const nonce = this.#nextNonce
    this.#nextNonce = (this.#nextNonce + 1) >>> 0
    return nonce
  }

  #disconnect(now: Now, reason: CloseReason): LinkOutput[] {
    const told = disconnectReason(reason)
    return told === undefined ? [] : [this.#sealOne(now, 0, frameTypes.disconnect, encodeDisconnect({ reason: told }))]
  }

  #seal(now: Now, channel: ChannelIndex, type: FrameType, payload: Uint8Array): LinkOutput[] {
    this.#liveness.sent(now.mono)
    return [this.#sealOne(now, channel, type, payload)]
  }

  #sealChecked(now: Now, type: FrameType, payload: Uint8Array): LinkOutput[] {
    return this.#checkSequences(now, this.#seal(now, 0, type, payload))
  }

  #sealOne(now: Now, channel: ChannelIndex, type: FrameType, payload: Uint8Array): LinkOutput {
    const sealed = this.#channels[channel]
    assert(sealed !== undefined, 'a link seals on a channel that it has')
    return write(channel, sealed.seal(type, payload, wallTime(now)))
  }

  /** Ends a link whose sequence comes near its limit: the next handshake brings fresh keys. */
  #checkSequences(now: Now, outputs: LinkOutput[]): LinkOutput[] {
    const { sequenceMax } = this.#options.limits
    if (this.#state !== 'up' || this.#channels.every(({ nextSequence }) => nextSequence < sequenceMax)) return outputs
    return [...outputs, ...this.close(now, 'bye')]
  }

  #end(reason: CloseReason, error?: LinkError): LinkOutput[] {
    if (this.#state === 'ended') return []
    this.#state = 'ended'
    for (const channel of this.#channels) channel.wipe()
    this.#channels = []
    this.#handshake = undefined
    this.#reassembler = undefined
    this.#pings = undefined
    this.#bulk = undefined
    return [error === undefined ? { type: 'ended', reason } : { type: 'ended', reason, error }]
  }
}

const keys = new WeakMap<LinkIdentity, Uint8Array>()

/** The key that a peer id spells: of one identity all links have the same. */
function keyOf(identity: LinkIdentity): Uint8Array {
  const known = keys.get(identity) ?? peerIdToKey(identity.peerId)
  keys.set(identity, known)
  return known
}

/** What the other end is told; undefined where it could not hear it. */
function disconnectReason(reason: CloseReason): DisconnectReason | undefined {
  switch (reason) {
    case 'silent':
    case 'pipe-lost':
    case 'handshake-timeout':
      return undefined
    case 'too-many-links':
    // Who is blocked is not told: it looks like a peer that has as many links as it can.
    case 'blocked':
      return 'busy'
    default:
      return reason
  }
}

function write(channel: ChannelIndex, bytes: Uint8Array): LinkOutput {
  return { type: 'write', channel, bytes }
}
