import { err, type Result } from '@miaou/core'
import type {
  ChannelIndex,
  IceCandidate,
  PipeId,
  SessionDescription,
  SignalledTransport,
  TransportError,
  TransportHost,
} from '@miaou/network'
import { localAddresses } from '../websocket/addresses.ts'
import { WebRtcAdapter } from './adapter.ts'
import { defaultWebRtcOptions, type WebRtcOptions } from './options.ts'
import type { PeerConnectionFactory, PeerConnectionLike } from './w3c.ts'

/** WebRTC in pure TypeScript, in this process: for machines that libwebrtc's binary does not run on. */
export class WeriftTransport implements SignalledTransport {
  readonly kind = 'webrtc'
  readonly #options: WebRtcOptions
  #adapter: WebRtcAdapter | undefined

  constructor(options: Partial<WebRtcOptions> = {}) {
    this.#options = { ...defaultWebRtcOptions, ...options }
  }

  /** Loads the library; `unavailable` where it is not installed. */
  async start(host: TransportHost): Promise<Result<readonly string[], TransportError>> {
    let createConnection: PeerConnectionFactory
    try {
      createConnection = await loadWerift(this.#options)
    } catch (error) {
      return err({ type: 'unavailable', detail: error instanceof Error ? error.message : String(error) })
    }
    this.#adapter = new WebRtcAdapter(createConnection, this.#options)
    return this.#adapter.start(host)
  }

  dial(pipe: PipeId, address: string): void {
    this.#adapter?.dial(pipe, address)
  }

  offer(pipe: PipeId): void {
    this.#adapter?.offer(pipe)
  }

  accept(pipe: PipeId, offer: SessionDescription): void {
    this.#adapter?.accept(pipe, offer)
  }

  answer(pipe: PipeId, answer: SessionDescription): void {
    this.#adapter?.answer(pipe, answer)
  }

  addCandidate(pipe: PipeId, candidate: IceCandidate): void {
    this.#adapter?.addCandidate(pipe, candidate)
  }

  send(pipe: PipeId, channel: ChannelIndex, bytes: Uint8Array): void {
    this.#adapter?.send(pipe, channel, bytes)
  }

  close(pipe: PipeId): void {
    this.#adapter?.close(pipe)
  }

  async stop(): Promise<void> {
    await this.#adapter?.stop()
  }
}

async function loadWerift(options: WebRtcOptions): Promise<PeerConnectionFactory> {
  const { RTCPeerConnection } = await import('werift')
  // werift gathers no loopback address by itself: without a network two peers of one machine would not meet.
  const isAlone = localAddresses().every(({ isLoopback }) => isLoopback)
  const loopback = { iceAdditionalHostAddresses: ['127.0.0.1'] }
  const onlyLoopback = { ...loopback, iceInterfaceAddresses: { udp4: '127.0.0.1' }, iceUseIpv6: false }
  const extra = options.loopbackOnly ? onlyLoopback : isAlone ? loopback : {}
  return (configuration) => {
    const { iceServers, ...rest } = configuration
    // werift takes one URL a server.
    const servers = iceServers.flatMap(({ urls, ...credentials }) =>
      (typeof urls === 'string' ? [urls] : urls).map((url) => ({ urls: url, ...credentials })),
    )
    return new RTCPeerConnection({
      ...rest,
      ...extra,
      iceServers: servers,
      maxMessageSize: options.messageSizeMax,
    }) as PeerConnectionLike
  }
}
