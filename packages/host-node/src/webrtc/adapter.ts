import { ok, type Result } from '@miaou/core'
import type {
  ChannelIndex,
  IceCandidate,
  PipeId,
  PipePath,
  SessionDescription,
  SignalledTransport,
  TransportError,
  TransportEvent,
  TransportHost,
} from '@miaou/network'
import { hasTurnServer, toConnectionServers } from './ice-servers.ts'
import type { IceServer, WebRtcOptions } from './options.ts'
import { isSamePath, pathOf, remoteAddressOf, type StatsReport } from './path.ts'
import { checkSdp, isAllowedCandidate, limitMessageSize, toldCandidate, withoutCandidates } from './sdp.ts'
import { SendQueue } from './send-queue.ts'
import type { DataChannelLike, PeerConnectionFactory, PeerConnectionLike } from './w3c.ts'

/**
 * The two text messages a pipe knows, both on `miaou-messages`; all else is binary. `close`: I have sent everything.
 * `closed`: I have received everything, your `close` included. Closing the channel alone loses what is under way
 * (libwebrtc's wrapper drops received messages when the stream is reset).
 */
const closeText = 'close'
const closedText = 'closed'
// Messages that may arrive between the first channel's opening and the second's. Guess.
const earlyMax = 64
// Statistics take about a millisecond; an opening does not wait for them longer than this.
const statisticsTimeoutMs = 200
// Guess: a connection that is closed may wait for its statistics so long.
const lateStatisticsMs = 5_000

type Timer = ReturnType<typeof setTimeout>

interface Pipe {
  readonly id: PipeId
  readonly direction: 'in' | 'out'
  readonly connection: PeerConnectionLike
  readonly channels: readonly [DataChannelLike, DataChannelLike]
  readonly queues: readonly [SendQueue, SendQueue]
  /** `lingering`: its last event is out, the connection stays until the other end knows. */
  state: 'opening' | 'open' | 'closing' | 'lingering' | 'ended'
  isAsked: boolean
  hasRemote: boolean
  hasToldDescription: boolean
  hasToldEnd: boolean
  otherHasClosed: boolean
  candidateCount: number
  localFingerprint: Uint8Array | undefined
  remoteFingerprint: Uint8Array | undefined
  /** Candidates that wait for the remote description: libwebrtc loses those set before. */
  remoteCandidates: IceCandidate[]
  /** Candidates that wait until our description is told. */
  localCandidates: IceCandidate[]
  early: { readonly channel: ChannelIndex; readonly bytes: Uint8Array }[]
  timer: Timer | undefined
  gatheringTimer: Timer | undefined
  /** As last told. */
  path: PipePath | undefined
  pathLooks: number
  pathTimer: Timer | undefined
  /** Statistics that were asked for and are not there yet. */
  statistics: Promise<unknown> | undefined
}

/** Transport over anything of the shape of W3C WebRTC: both channels negotiated in advance as streams 0 and 1. */
export class WebRtcAdapter implements SignalledTransport {
  readonly kind = 'webrtc'
  readonly #options: WebRtcOptions
  readonly #createConnection: PeerConnectionFactory
  readonly #pipes = new Map<PipeId, Pipe>()
  #iceServers: readonly IceServer[]
  #host: TransportHost | undefined
  #whenEmpty: (() => void) | undefined

  constructor(createConnection: PeerConnectionFactory, options: WebRtcOptions) {
    this.#createConnection = createConnection
    this.#options = options
    this.#iceServers = options.iceServers
  }

  /** Replaces the STUN and TURN servers, for connections made from now on. */
  setIceServers(servers: readonly IceServer[]): void {
    this.#iceServers = servers
  }

  async start(host: TransportHost): Promise<Result<readonly string[], TransportError>> {
    this.#host = host
    return ok([])
  }

  /** WebRTC has no addresses: every dial ends in `bad-address`. */
  dial(pipe: PipeId, address: string): void {
    this.#emitLater({ type: 'closed', pipe, error: { type: 'bad-address', address } })
  }

  offer(id: PipeId): void {
    const pipe = this.#create(id, 'out')
    if (pipe !== undefined) this.#run(pipe, () => this.#describe(pipe, 'offer'))
  }

  accept(id: PipeId, offer: SessionDescription): void {
    const pipe = this.#create(id, 'in')
    if (pipe === undefined) return
    this.#run(pipe, async () => {
      if (await this.#setRemote(pipe, 'offer', offer)) await this.#describe(pipe, 'answer')
    })
  }

  answer(id: PipeId, answer: SessionDescription): void {
    const pipe = this.#pipes.get(id)
    if (pipe?.state !== 'opening' || pipe.direction !== 'out' || pipe.hasRemote) return
    this.#run(pipe, async () => {
      await this.#setRemote(pipe, 'answer', answer)
    })
  }

  addCandidate(id: PipeId, candidate: IceCandidate): void {
    const pipe = this.#pipes.get(id)
    if (pipe === undefined || (pipe.state !== 'opening' && pipe.state !== 'open')) return
    if (!isAllowedCandidate(candidate.candidate, this.#options)) return
    if (++pipe.candidateCount > this.#options.candidatesMax) return
    if (pipe.hasRemote) this.#addRemoteCandidate(pipe, candidate)
    else pipe.remoteCandidates.push(candidate)
  }

  send(id: PipeId, channel: ChannelIndex, bytes: Uint8Array): void {
    const pipe = this.#pipes.get(id)
    if (pipe?.state !== 'open') return
    const { messageSizeMax: sizeMax, bufferedMax } = this.#options
    if (bytes.length > sizeMax) {
      this.#failLater(pipe, { type: 'too-large', size: bytes.length, sizeMax })
      return
    }
    const queue = pipe.queues[channel]
    queue.send(bytes)
    if (queue.bufferedBytes > bufferedMax) {
      this.#failLater(pipe, { type: 'broken', detail: `the other end left ${bufferedMax} bytes unread` })
    }
  }

  close(id: PipeId): void {
    const pipe = this.#pipes.get(id)
    if (pipe?.state === 'opening') {
      this.#failLater(pipe, undefined)
    } else if (pipe?.state === 'open') {
      pipe.state = 'closing'
      pipe.queues[0].send(closeText)
      const afterMs = this.#options.closeTimeoutMs
      this.#setTimer(pipe, afterMs, () => {
        this.#end(pipe, pipe.otherHasClosed ? undefined : { type: 'timeout', afterMs })
      })
    }
  }

  /** Closes every connection without a word to the host: nobody is there to hear it. */
  abandon(): void {
    this.#host = undefined
    for (const pipe of [...this.#pipes.values()]) this.#end(pipe)
  }

  async stop(): Promise<void> {
    for (const id of [...this.#pipes.keys()]) this.close(id)
    // Whoever is there answers within a round trip; whoever was killed must not hold up our end.
    for (const pipe of this.#pipes.values()) {
      this.#setTimer(pipe, Math.min(this.#options.closeTimeoutMs, this.#options.lastCloseTimeoutMs), () =>
        this.#end(pipe),
      )
    }
    if (this.#pipes.size > 0) {
      await new Promise<void>((resolve) => {
        this.#whenEmpty = resolve
      })
    }
    this.#host = undefined
  }

  #create(id: PipeId, direction: 'in' | 'out'): Pipe | undefined {
    const { icePolicy, subprotocol, pipesMax, connectionTimeoutMs } = this.#options
    if (this.#pipes.size >= pipesMax) {
      this.#emitLater({ type: 'closed', pipe: id, error: { type: 'too-many-pipes', pipesMax } })
      return undefined
    }
    // Nothing is left to a library that finds no relay.
    if (icePolicy === 'relay' && !hasTurnServer(this.#iceServers)) {
      const detail = 'only relayed paths are allowed, and there is no TURN server'
      this.#emitLater({ type: 'closed', pipe: id, error: { type: 'unavailable', detail } })
      return undefined
    }
    let pipe: Pipe
    try {
      const connection = this.#createConnection({
        iceServers: toConnectionServers(this.#iceServers),
        iceTransportPolicy: icePolicy,
        bundlePolicy: 'max-compat',
        rtcpMuxPolicy: 'require',
      })
      const common = { protocol: subprotocol, negotiated: true } as const
      const messages = connection.createDataChannel('miaou-messages', { ...common, id: 0, ordered: true })
      const signals = connection.createDataChannel('miaou-signals', {
        ...common,
        id: 1,
        ordered: false,
        maxRetransmits: 3,
      })
      const onError = (detail: string) => this.#failLater(pipe, { type: 'broken', detail })
      pipe = {
        id,
        direction,
        connection,
        channels: [messages, signals],
        queues: [new SendQueue(messages, onError), new SendQueue(signals, onError)],
        state: 'opening',
        isAsked: false,
        hasRemote: false,
        hasToldDescription: false,
        hasToldEnd: false,
        otherHasClosed: false,
        candidateCount: 0,
        localFingerprint: undefined,
        remoteFingerprint: undefined,
        remoteCandidates: [],
        localCandidates: [],
        early: [],
        timer: undefined,
        gatheringTimer: undefined,
        path: undefined,
        pathLooks: 0,
        pathTimer: undefined,
        statistics: undefined,
      }
    } catch (error) {
      this.#emitLater({ type: 'closed', pipe: id, error: { type: 'unavailable', detail: detailOf(error) } })
      return undefined
    }
    this.#pipes.set(id, pipe)
    this.#listen(pipe)
    this.#setTimer(pipe, connectionTimeoutMs, () => this.#end(pipe, { type: 'timeout', afterMs: connectionTimeoutMs }))
    return pipe
  }

  // Handlers are set before any SDP: channels can open before a handler set late.
  #listen(pipe: Pipe): void {
    const { connection, channels } = pipe
    connection.onicecandidate = (event: { candidate?: Partial<IceCandidate> | null }) => {
      this.#tellCandidate(pipe, event.candidate?.candidate ?? '')
    }
    connection.onconnectionstatechange = () => {
      const { connectionState } = connection
      if (connectionState !== 'failed' && connectionState !== 'closed') return
      if (pipe.state === 'opening') this.#end(pipe, { type: 'unreachable', detail: 'no network path worked' })
      else this.#lose(pipe, `the connection ${connectionState === 'failed' ? 'failed' : 'was closed'}`)
    }
    // Both channels exist in advance: whatever else the other end opens is shut.
    connection.ondatachannel = (event: { channel: DataChannelLike }) => event.channel.close()
    for (const channel of [0, 1] as const) {
      const dataChannel = channels[channel]
      dataChannel.binaryType = 'arraybuffer'
      dataChannel.onopen = () => this.#openWhenReady(pipe)
      dataChannel.onclose = () => this.#lose(pipe, 'the other end closed the channel')
      dataChannel.onmessage = (event: { data: unknown }) => this.#receive(pipe, channel, event.data)
    }
  }

  // Runs what talks to the library; whatever it throws ends the pipe.
  #run(pipe: Pipe, action: () => Promise<void>): void {
    action().catch((error: unknown) => this.#end(pipe, { type: 'broken', detail: detailOf(error) }))
  }

  async #describe(pipe: Pipe, type: 'offer' | 'answer'): Promise<void> {
    const { connection } = pipe
    const created = type === 'offer' ? await connection.createOffer() : await connection.createAnswer()
    if (pipe.state !== 'opening') return
    const { gatheringTimeoutMs } = this.#options
    pipe.gatheringTimer = setTimeout(() => this.#tellCandidate(pipe, ''), gatheringTimeoutMs)
    await connection.setLocalDescription({ type, sdp: created.sdp ?? '' })
    if (pipe.state !== 'opening') return
    const checked = checkSdp(connection.localDescription?.sdp ?? created.sdp ?? '', {
      ...this.#options,
      candidatesMax: Number.POSITIVE_INFINITY,
    })
    if (!checked.ok) throw new Error(`own ${type}: ${checked.error}`)
    pipe.localFingerprint = checked.value.fingerprint
    pipe.hasToldDescription = true
    // Candidates that the library has put in already are told one by one as well.
    const sdp = limitMessageSize(withoutCandidates(checked.value.sdp), this.#options.messageSizeMax)
    this.#emit({ type: 'description', pipe: pipe.id, description: { type, sdp } })
    for (const candidate of pipe.localCandidates.splice(0)) {
      this.#emit({ type: 'candidate', pipe: pipe.id, candidate })
    }
    this.#openWhenReady(pipe)
  }

  /** False when the description is refused: the pipe has ended. */
  async #setRemote(pipe: Pipe, type: 'offer' | 'answer', description: SessionDescription): Promise<boolean> {
    const checked = checkSdp(description.sdp, this.#options)
    const problem = description.type !== type ? `an ${type} was due` : checked.ok ? undefined : checked.error
    if (problem !== undefined || !checked.ok) {
      this.#failLater(pipe, { type: 'broken', detail: `the other end's description: ${problem}` })
      return false
    }
    pipe.remoteFingerprint = checked.value.fingerprint
    pipe.candidateCount += checked.value.candidateCount
    await pipe.connection.setRemoteDescription({ type, sdp: checked.value.sdp })
    if (pipe.state !== 'opening') return false
    pipe.hasRemote = true
    for (const candidate of pipe.remoteCandidates.splice(0)) this.#addRemoteCandidate(pipe, candidate)
    this.#openWhenReady(pipe)
    return true
  }

  #addRemoteCandidate(pipe: Pipe, { candidate }: IceCandidate): void {
    // There is one section, so its names need not be believed. A candidate the library refuses is none.
    Promise.resolve()
      .then(() => (pipe.state === 'ended' ? undefined : addTo(pipe.connection, candidate)))
      .catch(() => undefined)
  }

  #tellCandidate(pipe: Pipe, text: string): void {
    if (pipe.state === 'ended' || pipe.hasToldEnd) return
    if (text === '') {
      pipe.hasToldEnd = true
      clearTimeout(pipe.gatheringTimer)
    }
    const told = text === '' ? text : toldCandidate(text, this.#options)
    if (told === undefined) return
    const candidate: IceCandidate = { candidate: told, sdpMid: '0', sdpMLineIndex: 0 }
    if (pipe.state !== 'opening' && pipe.state !== 'open') return
    if (pipe.hasToldDescription) this.#emit({ type: 'candidate', pipe: pipe.id, candidate })
    else pipe.localCandidates.push(candidate)
  }

  #openWhenReady(pipe: Pipe): void {
    const { localFingerprint: local, remoteFingerprint: remote, channels } = pipe
    if (pipe.state !== 'opening' || pipe.isAsked || local === undefined || remote === undefined) return
    if (channels.some(({ readyState }) => readyState !== 'open')) return
    pipe.isAsked = true
    const open = (report: StatsReport | undefined) => {
      if (pipe.state !== 'opening') return
      const remoteAddress = (report === undefined ? undefined : remoteAddressOf(report)) ?? 'unknown'
      pipe.state = 'open'
      clearTimeout(pipe.timer)
      this.#emit({
        type: 'opened',
        pipe: pipe.id,
        transport: 'webrtc',
        direction: pipe.direction,
        channels: 2,
        padded: false,
        remoteAddress,
        binding: { local, remote },
      })
      this.#tellPath(pipe, report)
      for (const { channel, bytes } of pipe.early.splice(0)) this.#deliver(pipe, channel, bytes)
      if (pipe.otherHasClosed) this.#acknowledgeClose(pipe)
    }
    const giveUp = setTimeout(() => open(undefined), statisticsTimeoutMs)
    this.#askStatistics(pipe).then((report) => {
      clearTimeout(giveUp)
      open(report)
    })
  }

  async #askStatistics(pipe: Pipe): Promise<StatsReport | undefined> {
    const asked = pipe.connection.getStats().catch(() => undefined)
    pipe.statistics = asked
    const report = await asked
    pipe.statistics = undefined
    return report
  }

  // Tells the path where it is another than before, and looks again later.
  #tellPath(pipe: Pipe, report: StatsReport | undefined): void {
    const path = report === undefined ? undefined : pathOf(report)
    if (path !== undefined && !isSamePath(path, pipe.path)) {
      pipe.path = path
      this.#emit({ type: 'path', pipe: pipe.id, path })
    }
    const { pathDelaysMs } = this.#options
    const delayMs = pathDelaysMs[Math.min(pipe.pathLooks++, pathDelaysMs.length - 1)]
    if (delayMs === undefined) return
    pipe.pathTimer = setTimeout(() => {
      this.#askStatistics(pipe).then((next) => {
        if (pipe.state === 'open') this.#tellPath(pipe, next)
      })
    }, delayMs)
  }

  #receive(pipe: Pipe, channel: ChannelIndex, data: unknown): void {
    if (pipe.state === 'ended' || pipe.state === 'lingering') return
    if (typeof data === 'string') {
      this.#receiveText(pipe, channel, data)
      return
    }
    const bytes = bytesOf(data)
    if (bytes === undefined || bytes.length > this.#options.messageSizeMax) {
      this.#end(pipe, { type: 'broken', detail: `the other end sent a message above ${this.#options.messageSizeMax}` })
    } else if (pipe.state !== 'opening') {
      this.#deliver(pipe, channel, bytes)
    } else if (pipe.early.length < earlyMax) {
      pipe.early.push({ channel, bytes })
    } else {
      this.#end(pipe, { type: 'broken', detail: `the other end sent over ${earlyMax} messages before opening` })
    }
  }

  #deliver(pipe: Pipe, channel: ChannelIndex, bytes: Uint8Array): void {
    if (pipe.state === 'open' || pipe.state === 'closing') {
      this.#emit({ type: 'message', pipe: pipe.id, channel, bytes })
    }
  }

  #receiveText(pipe: Pipe, channel: ChannelIndex, text: string): void {
    if (channel === 0 && text === closeText) {
      pipe.otherHasClosed = true
      if (pipe.state !== 'opening') this.#acknowledgeClose(pipe)
    } else if (channel === 0 && text === closedText && pipe.state === 'closing') {
      this.#end(pipe)
    } else {
      this.#end(pipe, { type: 'broken', detail: 'the other end sent text' })
    }
  }

  // The other end has sent all it had. The connection stays until it knows that we know, within a bound.
  #acknowledgeClose(pipe: Pipe): void {
    try {
      pipe.channels[0].send(closedText)
    } catch {
      this.#end(pipe)
      return
    }
    if (pipe.state === 'closing') return
    pipe.state = 'lingering'
    for (const queue of pipe.queues) queue.stop()
    this.#setTimer(pipe, this.#options.closeTimeoutMs, () => this.#end(pipe))
    this.#emit({ type: 'closed', pipe: pipe.id })
  }

  #lose(pipe: Pipe, detail: string): void {
    this.#end(pipe, pipe.otherHasClosed ? undefined : { type: 'broken', detail })
  }

  #failLater(pipe: Pipe, error: TransportError | undefined): void {
    queueMicrotask(() => this.#end(pipe, error))
  }

  // Everything that must be done, or libwebrtc keeps the connection's memory: handlers off, channels shut, closed.
  #end(pipe: Pipe, error?: TransportError): void {
    if (pipe.state === 'ended') return
    const isTold = pipe.state === 'lingering'
    pipe.state = 'ended'
    clearTimeout(pipe.timer)
    clearTimeout(pipe.gatheringTimer)
    clearTimeout(pipe.pathTimer)
    const { connection, channels, queues } = pipe
    connection.onicecandidate = null
    connection.onconnectionstatechange = null
    connection.ondatachannel = null
    for (const queue of queues) queue.stop()
    for (const channel of channels) {
      channel.onopen = null
      channel.onclose = null
      channel.onmessage = null
    }
    // A library that throws while closing has nothing left for us to free.
    const shut = (one: { close(): unknown }): void => {
      Promise.resolve(attempt(() => one.close())).catch(() => undefined)
    }
    for (const channel of channels) shut(channel)
    // Native code that still gathers statistics of a connection must not find it gone.
    if (pipe.statistics === undefined) shut(connection)
    else {
      const late = new Promise((resolve) => setTimeout(resolve, lateStatisticsMs).unref())
      void Promise.race([pipe.statistics, late]).then(() => shut(connection))
    }
    this.#pipes.delete(pipe.id)
    if (!isTold) this.#emit({ type: 'closed', pipe: pipe.id, ...(error === undefined ? {} : { error }) })
    if (this.#pipes.size === 0) this.#whenEmpty?.()
  }

  #setTimer(pipe: Pipe, delayMs: number, action: () => void): void {
    clearTimeout(pipe.timer)
    pipe.timer = setTimeout(action, delayMs)
  }

  #emit(event: TransportEvent): void {
    this.#host?.emit(event)
  }

  #emitLater(event: TransportEvent): void {
    queueMicrotask(() => this.#emit(event))
  }
}

function addTo(connection: PeerConnectionLike, candidate: string): Promise<unknown> {
  return connection.addIceCandidate({ candidate, sdpMid: '0', sdpMLineIndex: 0 })
}

// Plain bytes of what a library hands out: an ArrayBuffer, or a view of one.
function bytesOf(data: unknown): Uint8Array | undefined {
  if (data instanceof ArrayBuffer) return new Uint8Array(data)
  return ArrayBuffer.isView(data) ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength) : undefined
}

function attempt(action: () => unknown): unknown {
  try {
    return action()
  } catch {
    return undefined
  }
}

function detailOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
