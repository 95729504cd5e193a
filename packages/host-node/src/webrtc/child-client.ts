import { ok, type Result } from '@miaou/core'
import type {
  ChannelIndex,
  IceCandidate,
  PipeId,
  SessionDescription,
  SignalledTransport,
  TransportError,
  TransportEvent,
  TransportHost,
} from '@miaou/network'
import { type ChildLimits, WebRtcChild } from './child-process.ts'
import { type ChildReport, pipeOf } from './child-protocol.ts'
import { frameKind } from './frames.ts'
import { defaultWebRtcOptions, type IceServer, type WebRtcOptions } from './options.ts'
import { checkSdp, toldCandidate, withoutCandidates } from './sdp.ts'

export interface ChildWebRtcOptions extends WebRtcOptions, ChildLimits {}

export const defaultChildWebRtcOptions: ChildWebRtcOptions = {
  ...defaultWebRtcOptions,
  // Guess: four pipes at their bound.
  unreadMax: 64 * 1024 * 1024,
  // Guess: above any pause of a healthy child on a busy machine. Thrice this, at most, until a hung one is given up.
  watchdogMs: 10_000,
  // Above the time an orderly close may take.
  stopTimeoutMs: 4_000,
}

interface Pipe {
  state: 'opening' | 'open' | 'closing'
  readonly direction: 'in' | 'out'
  localFingerprint: Uint8Array | undefined
  remoteFingerprint: Uint8Array | undefined
}

/**
 * WebRTC in a process of its own, started on first use and again after it died. A crash of it closes its pipes with
 * `broken` and costs nothing else. The channel binding is read from the descriptions here, not taken from the child.
 */
export class ChildWebRtcTransport implements SignalledTransport {
  readonly kind = 'webrtc'
  readonly #options: ChildWebRtcOptions
  readonly #pipes = new Map<PipeId, Pipe>()
  #iceServers: readonly IceServer[]
  #host: TransportHost | undefined
  #child: WebRtcChild | undefined

  constructor(options: Partial<ChildWebRtcOptions> = {}) {
    this.#options = { ...defaultChildWebRtcOptions, ...options }
    this.#iceServers = this.#options.iceServers
  }

  /** Replaces the STUN and TURN servers, for connections made from now on. */
  setIceServers(servers: readonly IceServer[]): void {
    this.#iceServers = servers
    this.#child?.call(0, { call: 'ice-servers', servers })
  }

  /** Process id of the child, undefined while none runs. */
  get childPid(): number | undefined {
    return this.#child?.pid
  }

  async start(host: TransportHost): Promise<Result<readonly string[], TransportError>> {
    this.#host = host
    return ok([])
  }

  /** Starts the child ahead of the first pipe, which then opens sooner. */
  warmUp(): void {
    this.#useChild()
  }

  /** WebRTC has no addresses: every dial ends in `bad-address`. */
  dial(pipe: PipeId, address: string): void {
    this.#emitLater({ type: 'closed', pipe, error: { type: 'bad-address', address } })
  }

  offer(id: PipeId): void {
    if (this.#add(id, 'out') !== undefined) this.#useChild().call(id, { call: 'offer' })
  }

  accept(id: PipeId, offer: SessionDescription): void {
    const pipe = this.#add(id, 'in')
    if (pipe === undefined) return
    const description = this.#checkRemote(id, pipe, 'offer', offer)
    if (description !== undefined) this.#useChild().call(id, { call: 'accept', description })
  }

  answer(id: PipeId, answer: SessionDescription): void {
    const pipe = this.#pipes.get(id)
    if (pipe?.state !== 'opening' || pipe.direction !== 'out' || pipe.remoteFingerprint !== undefined) return
    const description = this.#checkRemote(id, pipe, 'answer', answer)
    if (description !== undefined) this.#child?.call(id, { call: 'answer', description })
  }

  addCandidate(id: PipeId, candidate: IceCandidate): void {
    if (!this.#pipes.has(id) || candidate.candidate.length > 1024) return
    this.#child?.call(id, { call: 'candidate', candidate })
  }

  send(id: PipeId, channel: ChannelIndex, bytes: Uint8Array): void {
    if (this.#pipes.get(id)?.state !== 'open') return
    const sizeMax = this.#options.messageSizeMax
    if (bytes.length > sizeMax) {
      this.#refuse(id, { type: 'too-large', size: bytes.length, sizeMax })
      return
    }
    this.#child?.send(id, channel === 0 ? frameKind.messages : frameKind.signals, bytes)
  }

  close(id: PipeId): void {
    const pipe = this.#pipes.get(id)
    if (pipe === undefined || pipe.state === 'closing') return
    pipe.state = 'closing'
    this.#child?.call(id, { call: 'close' })
  }

  async stop(): Promise<void> {
    const child = this.#child
    await child?.stop()
    // Microtasks first: an event promised by a call must come before the end.
    await Promise.resolve()
    this.#host = undefined
  }

  #add(id: PipeId, direction: 'in' | 'out'): Pipe | undefined {
    const { pipesMax } = this.#options
    if (this.#pipes.size >= pipesMax) {
      this.#emitLater({ type: 'closed', pipe: id, error: { type: 'too-many-pipes', pipesMax } })
      return undefined
    }
    const pipe: Pipe = { state: 'opening', direction, localFingerprint: undefined, remoteFingerprint: undefined }
    this.#pipes.set(id, pipe)
    return pipe
  }

  // A bad description is refused before the child sees it.
  #checkRemote(
    id: PipeId,
    pipe: Pipe,
    type: 'offer' | 'answer',
    description: SessionDescription,
  ): SessionDescription | undefined {
    const checked = checkSdp(description.sdp, this.#options)
    if (description.type === type && checked.ok) {
      pipe.remoteFingerprint = checked.value.fingerprint
      return { type, sdp: checked.value.sdp }
    }
    const problem = checked.ok ? `an ${type} was due` : checked.error
    this.#refuse(id, { type: 'broken', detail: `the other end's description: ${problem}` })
    return undefined
  }

  // Ends a pipe from this side: the child closes it silently.
  #refuse(id: PipeId, error: TransportError): void {
    if (!this.#pipes.delete(id)) return
    this.#child?.call(id, { call: 'close' })
    this.#emitLater({ type: 'closed', pipe: id, error })
  }

  #useChild(): WebRtcChild {
    if (this.#child !== undefined) return this.#child
    const child: WebRtcChild = new WebRtcChild({ ...this.#options, iceServers: this.#iceServers }, this.#options, {
      onReport: (pipe, report) => this.#hear(pipeOf(pipe), report),
      onMessage: (number, channel, bytes) => {
        const pipe = pipeOf(number)
        const state = this.#pipes.get(pipe)?.state
        if (state === 'open' || state === 'closing') this.#emit({ type: 'message', pipe, channel, bytes })
      },
      onGone: (detail) => {
        if (this.#child === child) this.#loseChild(detail)
      },
    })
    this.#child = child
    return child
  }

  #loseChild(detail: string): void {
    this.#child = undefined
    const pipes = [...this.#pipes.entries()]
    this.#pipes.clear()
    for (const [pipe, { state }] of pipes) {
      const error: TransportError = { type: 'broken', detail }
      this.#emit({ type: 'closed', pipe, ...(state === 'closing' ? {} : { error }) })
    }
  }

  #hear(id: PipeId, report: ChildReport): void {
    if (report.report === 'unavailable') {
      this.#closeAll({ type: 'unavailable', detail: report.detail })
      return
    }
    const pipe = this.#pipes.get(id)
    if (pipe === undefined) return
    switch (report.report) {
      case 'opened':
        this.#open(id, pipe, report.remoteAddress)
        break
      case 'description':
        this.#describe(id, pipe, report.description)
        break
      case 'candidate':
        this.#tellCandidate(id, report.candidate)
        break
      case 'path':
        if (pipe.state === 'open') this.#emit({ type: 'path', pipe: id, path: report.path })
        break
      case 'closed':
        this.#pipes.delete(id)
        this.#emit({ type: 'closed', pipe: id, ...(report.error === undefined ? {} : { error: report.error }) })
        break
      case 'pong':
        break
    }
  }

  #open(id: PipeId, pipe: Pipe, remoteAddress: string): void {
    const { localFingerprint: local, remoteFingerprint: remote, direction } = pipe
    if (pipe.state !== 'opening' || local === undefined || remote === undefined) return
    pipe.state = 'open'
    this.#emit({
      type: 'opened',
      pipe: id,
      transport: 'webrtc',
      direction,
      channels: 2,
      padded: false,
      remoteAddress,
      binding: { local, remote },
    })
  }

  #describe(id: PipeId, pipe: Pipe, description: SessionDescription): void {
    const checked = checkSdp(description.sdp, { ...this.#options, candidatesMax: Number.POSITIVE_INFINITY })
    if (!checked.ok || pipe.localFingerprint !== undefined) return
    pipe.localFingerprint = checked.value.fingerprint
    const { type } = description
    this.#emit({ type: 'description', pipe: id, description: { type, sdp: withoutCandidates(checked.value.sdp) } })
  }

  // The rule for what is told holds here too, whatever the child says.
  #tellCandidate(pipe: PipeId, { candidate: text, ...rest }: IceCandidate): void {
    const candidate = text === '' ? text : toldCandidate(text, this.#options)
    if (candidate !== undefined) this.#emit({ type: 'candidate', pipe, candidate: { candidate, ...rest } })
  }

  #closeAll(error: TransportError): void {
    const pipes = [...this.#pipes.keys()]
    this.#pipes.clear()
    for (const pipe of pipes) this.#emit({ type: 'closed', pipe, error })
  }

  #emit(event: TransportEvent): void {
    this.#host?.emit(event)
  }

  #emitLater(event: TransportEvent): void {
    queueMicrotask(() => this.#emit(event))
  }
}
