import type { Discovery, PipeId, SignalledTransport, Transport, TransportEvent, TransportHost } from '@miaou/network'
import type { IceServer } from './config.ts'
import { SilentDiscovery, SilentTransport } from './offline.ts'

export type WebRtcLibrary = 'wrtc' | 'werift'

export interface AdapterOptions {
  /** Opens the home and nothing else: no listener, no discovery, no dialling. For what the store alone answers. */
  readonly offline?: boolean
  /** Port to listen on; default 9999 or the next free one. With `portIsExact`, a taken port is an error. */
  readonly port?: number
  readonly portIsExact?: boolean
  /** Talk and listen on 127.0.0.1 only, mDNS included: for tests and demos. Default false. */
  readonly loopbackOnly?: boolean
  /** Which WebRTC library to use; default: wrtc where its binary is, else werift. */
  readonly webrtc?: WebRtcLibrary
  /** None by default: no host that is not ours is contacted. */
  readonly iceServers?: readonly IceServer[]
}

/** `warmUp`: gets ready to make a pipe, for a transport that needs time for its first. */
export type WebRtcTransport = SignalledTransport & { warmUp?(): void }

/** `addresses`: what others can dial now, for a transport that listens on interfaces that come and go. */
export type WebSocketSide = Transport & { readonly kind: 'websocket'; addresses?(): readonly string[] }

/** The platform's side of one peer: its transports and its discovery. */
export class Adapters {
  readonly websocket: WebSocketSide
  readonly webrtc: WebRtcTransport
  readonly webrtcLibrary: WebRtcLibrary
  readonly iceServersCount: number
  readonly discovery: Discovery
  readonly #owners = new Map<PipeId, Transport>()
  #isStopping = false

  constructor(parts: Pick<Adapters, 'websocket' | 'webrtc' | 'webrtcLibrary' | 'iceServersCount' | 'discovery'>) {
    this.websocket = parts.websocket
    this.webrtc = parts.webrtc
    this.webrtcLibrary = parts.webrtcLibrary
    this.iceServersCount = parts.iceServersCount
    this.discovery = parts.discovery
  }

  /** A host for `transport` that remembers whose each pipe is. */
  hostFor(transport: Transport, host: TransportHost): TransportHost {
    const emit = (event: TransportEvent): void => {
      if (event.type === 'opened') {
        this.#owners.set(event.pipe, transport)
        // A link that may be upgraded: the process that will do so loads while the handshake runs.
        this.warmUp()
      }
      if (event.type === 'closed') this.#owners.delete(event.pipe)
      host.emit(event)
    }
    return { emit, nextPipe: host.nextPipe }
  }

  /** The transport to open a pipe with. */
  claim(pipe: PipeId, transport: Transport): void {
    this.#owners.set(pipe, transport)
  }

  /** Opens a pipe to an address; what the upgrade of its link needs is started meanwhile. */
  dial(pipe: PipeId, address: string): void {
    this.warmUp()
    this.claim(pipe, this.websocket)
    this.websocket.dial(pipe, address)
  }

  /** Somebody is there to talk to: the first conversation must not wait for a process to load. */
  warmUp(): void {
    if (!this.#isStopping) this.webrtc.warmUp?.()
  }

  async stop(): Promise<void> {
    this.#isStopping = true
    await Promise.all([this.discovery.stop(), this.websocket.stop(), this.webrtc.stop()])
  }

  of(pipe: PipeId): Transport | undefined {
    return this.#owners.get(pipe)
  }
}

/** Loads what it makes: a peer that stays offline starts in a third of the time. */
export async function createAdapters(options: AdapterOptions): Promise<Adapters> {
  const { offline = false, loopbackOnly = false, port, portIsExact = false, iceServers = [] } = options
  if (offline) {
    return new Adapters({
      websocket: new SilentTransport('websocket'),
      webrtc: new SilentTransport('webrtc'),
      webrtcLibrary: options.webrtc ?? 'wrtc',
      iceServersCount: iceServers.length,
      discovery: new SilentDiscovery(),
    })
  }
  const [{ WebSocketTransport }, { createWebRtcTransport, hasWrtcBinary }, { MdnsDiscovery }] = await Promise.all([
    import('../websocket/websocket-transport.ts'),
    import('../webrtc/webrtc-transport.ts'),
    import('../mdns/mdns-discovery.ts'),
  ])
  const websocket = new WebSocketTransport({
    host: loopbackOnly ? '127.0.0.1' : '0.0.0.0',
    portIsExact,
    ...(port === undefined ? {} : { port }),
  })
  const library = options.webrtc ?? (hasWrtcBinary() ? 'wrtc' : 'werift')
  return new Adapters({
    websocket,
    webrtc: createWebRtcTransport({ library, loopbackOnly, iceServers }),
    webrtcLibrary: library,
    iceServersCount: iceServers.length,
    discovery: new MdnsDiscovery({ loopbackOnly }),
  })
}
