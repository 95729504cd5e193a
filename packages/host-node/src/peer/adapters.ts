import type { Discovery, PipeId, SignalledTransport, Transport, TransportEvent, TransportHost } from '@miaou/network'
import { MdnsDiscovery } from '../mdns/mdns-discovery.ts'
import { createWebRtcTransport, type WebRtcKind } from '../webrtc/create.ts'
import { WebSocketTransport } from '../websocket/websocket-transport.ts'

export interface AdapterOptions {
  /** Port to listen on; default 9999 or the next free one. With `portIsExact`, a taken port is an error. */
  readonly port?: number
  readonly portIsExact?: boolean
  /** Talk and listen on 127.0.0.1 only, mDNS included: for tests and demos. Default false. */
  readonly loopbackOnly?: boolean
  /** Which WebRTC to use; default: wrtc where its binary is, else werift. */
  readonly webrtc?: WebRtcKind
  /** ICE servers as RTCConfiguration writes them; none by default (no host that is not ours is contacted). */
  readonly iceServers?: readonly { readonly urls: string; readonly username?: string; readonly credential?: string }[]
}

/** The platform's side of one peer: its transports and its discovery. */
export class Adapters {
  readonly websocket: Transport & { readonly kind: 'websocket' }
  readonly webrtc: SignalledTransport | undefined
  readonly webrtcKind: WebRtcKind
  readonly discovery: Discovery
  readonly #owners = new Map<PipeId, Transport>()

  constructor(parts: Pick<Adapters, 'websocket' | 'webrtc' | 'webrtcKind' | 'discovery'>) {
    this.websocket = parts.websocket
    this.webrtc = parts.webrtc
    this.webrtcKind = parts.webrtcKind
    this.discovery = parts.discovery
  }

  /** A host for `transport` that remembers whose each pipe is. */
  hostFor(transport: Transport, host: TransportHost): TransportHost {
    const emit = (event: TransportEvent): void => {
      if (event.type === 'opened') this.#owners.set(event.pipe, transport)
      if (event.type === 'closed') this.#owners.delete(event.pipe)
      host.emit(event)
    }
    return { emit, nextPipe: host.nextPipe }
  }

  /** The transport to open a pipe with. */
  claim(pipe: PipeId, transport: Transport): void {
    this.#owners.set(pipe, transport)
  }

  of(pipe: PipeId): Transport | undefined {
    return this.#owners.get(pipe)
  }
}

export async function createAdapters(options: AdapterOptions): Promise<Adapters> {
  const { loopbackOnly = false, port, portIsExact = false, iceServers = [] } = options
  const websocket = new WebSocketTransport({
    host: loopbackOnly ? '127.0.0.1' : '0.0.0.0',
    portIsExact,
    ...(port === undefined ? {} : { port }),
  })
  const { kind, transport } = await createWebRtcTransport({
    loopbackOnly,
    iceServers,
    ...(options.webrtc === undefined ? {} : { kind: options.webrtc }),
  })
  return new Adapters({
    websocket,
    webrtc: transport,
    webrtcKind: kind,
    discovery: new MdnsDiscovery({ loopbackOnly }),
  })
}
