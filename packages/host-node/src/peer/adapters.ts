import { networkInterfaces } from 'node:os'
import type { Result } from '@miaou/core'
import type {
  Discovery,
  DiscoveryError,
  PipeId,
  SignalledTransport,
  Transport,
  TransportEvent,
  TransportHost,
} from '@miaou/network'
import { type AddressScope, wayScope } from '@miaou/protocol'
import type { IceServer } from '../webrtc/options.ts'
import { tlsFromFiles } from '../websocket/tls-files.ts'
import type { WebSocketChannel, WebSocketChannelOptions } from '../websocket/websocket-transport.ts'
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
  /** Nobody is dialled or answered directly: no listener, no LAN, WebRTC through TURN alone. */
  readonly relayOnly?: boolean
  /** Paths of a certificate and its key (PEM): the listener speaks TLS beside plain HTTP. */
  readonly tls?: { readonly cert: string; readonly key: string }
  /** A proxy on this machine names in X-Forwarded-For who it speaks for. */
  readonly behindProxy?: boolean
  /** A renewed certificate cannot be used; the former one stays. */
  readonly onTlsError?: (detail: string) => void
}

/** `warmUp`: gets ready to make a pipe, for a transport that needs time for its first. */
export type WebRtcTransport = SignalledTransport & {
  warmUp?(): void
  /** Replaces the STUN and TURN servers, for connections made from now on. */
  setIceServers?(servers: readonly IceServer[]): void
}

/** `addresses`: what others can dial now, for a transport that listens on interfaces that come and go. */
export type WebSocketSide = Transport & {
  readonly kind: 'websocket'
  addresses?(): readonly string[]
  /** Speaks another subprotocol as well; a peer that stays offline has none. */
  channel?(options: WebSocketChannelOptions): WebSocketChannel
  /** `nearest`: how near the address may be that it leads to; undefined for any. */
  dial(pipe: PipeId, address: string, nearest?: AddressScope): void
}

/** `networkChanged`: looks at the machine's interfaces now, and begins where `start` found none. */
export type LanDiscovery = Discovery & { networkChanged?(): Promise<Result<undefined, DiscoveryError>> }

/** Addresses that were typed, at most; guess: the one typed longest ago is forgotten. */
const chosenMax = 64

/** Where the bytes of a pipe go. */
export type PipeOwner = Pick<Transport, 'send' | 'close'>

/** The platform's side of one peer: its transports and its discovery. */
export class Adapters {
  readonly websocket: WebSocketSide
  readonly webrtc: WebRtcTransport
  readonly webrtcLibrary: WebRtcLibrary
  readonly discovery: LanDiscovery
  readonly #owners = new Map<PipeId, PipeOwner>()
  /** Addresses that a person typed. */
  readonly #chosen = new Set<string>()
  #isStopping = false

  constructor(parts: Pick<Adapters, 'websocket' | 'webrtc' | 'webrtcLibrary' | 'discovery'>) {
    this.websocket = parts.websocket
    this.webrtc = parts.webrtc
    this.webrtcLibrary = parts.webrtcLibrary
    this.discovery = parts.discovery
  }

  /** A host for `transport` that remembers whose each pipe is. */
  hostFor(transport: PipeOwner, host: TransportHost): TransportHost {
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
  claim(pipe: PipeId, transport: PipeOwner): void {
    this.#owners.set(pipe, transport)
  }

  /** A pipe that was claimed is no more. */
  release(pipe: PipeId): void {
    this.#owners.delete(pipe)
  }

  /** A person says that somebody is at this address, wherever it leads to. */
  choose(address: string): void {
    this.#chosen.delete(address)
    this.#chosen.add(address)
    for (const oldest of this.#chosen) {
      if (this.#chosen.size <= chosenMax) break
      this.#chosen.delete(oldest)
    }
  }

  /**
   * Opens a pipe to an address; what the upgrade of its link needs is started meanwhile. A name that others told of leads
   * no nearer than it says (spec/records W22).
   */
  dial(pipe: PipeId, address: string): void {
    this.warmUp()
    this.claim(pipe, this.websocket)
    this.websocket.dial(pipe, address, this.#chosen.has(address) ? undefined : wayScope(address))
  }

  /** Somebody is there to talk to: the first conversation must not wait for a process to load. */
  warmUp(): void {
    if (!this.#isStopping) this.webrtc.warmUp?.()
  }

  async stop(): Promise<void> {
    this.#isStopping = true
    await Promise.all([this.discovery.stop(), this.websocket.stop(), this.webrtc.stop()])
  }

  of(pipe: PipeId): PipeOwner | undefined {
    return this.#owners.get(pipe)
  }
}

/** Loads what it makes: a peer that stays offline starts in a third of the time. */
export async function createAdapters(options: AdapterOptions): Promise<Adapters> {
  const { offline = false, loopbackOnly = false, port, portIsExact = false } = options
  const { relayOnly = false, tls, behindProxy = false, onTlsError } = options
  if (offline) {
    return new Adapters({
      websocket: new SilentTransport('websocket'),
      webrtc: new SilentTransport('webrtc'),
      webrtcLibrary: options.webrtc ?? 'wrtc',
      discovery: new SilentDiscovery(),
    })
  }
  const [{ WebSocketTransport }, { createWebRtcTransport, hasWrtcBinary }, { MdnsDiscovery }] = await Promise.all([
    import('../websocket/websocket-transport.ts'),
    import('../webrtc/webrtc-transport.ts'),
    import('../mdns/mdns-discovery.ts'),
  ])
  const websocket = new WebSocketTransport({
    listens: !relayOnly,
    host: loopbackOnly ? '127.0.0.1' : everyInterface(),
    portIsExact,
    tls: tls && tlsFromFiles(tls.cert, tls.key),
    onTlsError,
    trustedProxies: behindProxy ? ['127.0.0.1', '::1'] : [],
    ...(port === undefined ? {} : { port }),
  })
  const library = options.webrtc ?? (hasWrtcBinary() ? 'wrtc' : 'werift')
  return new Adapters({
    websocket,
    webrtc: createWebRtcTransport({ library, loopbackOnly, icePolicy: relayOnly ? 'relay' : 'all' }),
    webrtcLibrary: library,
    // Who hides its address from peers does not call out on the LAN either.
    discovery: relayOnly ? new SilentDiscovery() : new MdnsDiscovery({ loopbackOnly }),
  })
}

/** Changes with the addresses of this machine, and with nothing else. */
export function interfacesText(): string {
  return Object.values(networkInterfaces())
    .flatMap((addresses) => (addresses ?? []).map(({ address }) => address))
    .sort()
    .join()
}

/** Both families where the machine has IPv6 at all: a listener on `::` takes IPv4, too. */
function everyInterface(): string {
  const hasIpv6 = Object.values(networkInterfaces()).some((list) => list?.some(({ family }) => family === 'IPv6'))
  return hasIpv6 ? '::' : '0.0.0.0'
}
