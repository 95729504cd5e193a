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
import { formatIceUrl, type IceUrl, parseIceUrl } from '../nat/ice-url.ts'
import { localAddresses } from '../websocket/addresses.ts'
import { WebRtcAdapter } from './adapter.ts'
import { defaultWebRtcOptions, type IceServer, type WebRtcOptions } from './options.ts'
import { chooseServer } from './server-choice.ts'
import type { PeerConnectionConfiguration, PeerConnectionFactory, PeerConnectionLike } from './w3c.ts'

// A STUN server that does not answer in this time is left out: werift would wait for it, and does not answer an offer
// before. Guess: above most round trips.
const stunTimeoutMs = 500
// Seconds for a server that answered a moment ago.
const stunGatherTimeoutS = 1
const turnConnectTimeoutS = 3

/** WebRTC in pure TypeScript, in this process: for machines that libwebrtc's binary does not run on. */
export class WeriftTransport implements SignalledTransport {
  readonly kind = 'webrtc'
  #options: WebRtcOptions
  #adapter: WebRtcAdapter | undefined

  constructor(options: Partial<WebRtcOptions> = {}) {
    this.#options = { ...defaultWebRtcOptions, ...options }
  }

  /** Replaces the STUN and TURN servers, for connections made from now on. */
  setIceServers(servers: readonly IceServer[]): void {
    this.#options = { ...this.#options, iceServers: servers }
    this.#adapter?.setIceServers(servers)
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
    const picking = pickServers(iceServers, rest.iceTransportPolicy)
    const connection = new RTCPeerConnection({
      ...rest,
      ...extra,
      iceServers: [],
      iceStunGatherTimeout: stunGatherTimeoutS,
      iceTurnConnectTimeout: turnConnectTimeoutS,
      maxMessageSize: options.messageSizeMax,
    })
    const setLocalDescription = connection.setLocalDescription.bind(connection)
    /** As W3C describes it: done when the description is set; werift's own waits until everything is gathered. */
    const setAndTrickle: PeerConnectionLike['setLocalDescription'] = async (description) => {
      const { stun, turn } = await picking
      connection.setConfiguration({ iceServers: [stun, turn].filter((server) => server !== undefined) })
      // Where it is given no STUN server, werift asks one of its own choice.
      if (stun === undefined) for (const transport of connection.iceTransports) delete transport.connection.stunServer
      const gathers = new Promise<void>((resolve) => {
        connection.onicegatheringstatechange = () => resolve()
      })
      await Promise.race([setLocalDescription(description), gathers])
    }
    return Object.assign(connection, { setLocalDescription: setAndTrickle })
  }
}

interface WeriftServer {
  readonly urls: string
  readonly username?: string
  readonly credential?: string
}

/**
 * werift uses one STUN server and one TURN server: those that are reached from here. Where only relays are allowed a TURN
 * server stays in any case: without one, werift would use every path.
 */
async function pickServers(
  servers: PeerConnectionConfiguration['iceServers'],
  icePolicy: 'all' | 'relay',
): Promise<{ readonly stun: WeriftServer | undefined; readonly turn: WeriftServer | undefined }> {
  const all = servers.flatMap(({ urls, ...credentials }) =>
    (typeof urls === 'string' ? [urls] : urls).flatMap((text) => {
      const way = parseIceUrl(text)
      return way === undefined ? [] : [{ way, server: { urls: formatIceUrl(way), ...credentials } }]
    }),
  )
  const turns = all.filter(({ way }) => way.kind === 'turn')
  const stuns = icePolicy === 'relay' ? [] : all.filter(({ way }) => way.kind === 'stun')
  const [stunWay, turnWay] = await Promise.all([
    chooseServer(waysOf(stuns), { timeoutMs: stunTimeoutMs }),
    chooseServer(waysOf(turns)),
  ])
  return {
    stun: stuns.find(({ way }) => way === stunWay)?.server,
    turn: turns.find(({ way }) => way === turnWay)?.server ?? (icePolicy === 'relay' ? turns[0]?.server : undefined),
  }
}

function waysOf(servers: readonly { readonly way: IceUrl }[]): readonly IceUrl[] {
  return servers.map(({ way }) => way)
}
