import type { PipeId, TransportEvent } from '@miaou/network'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { WebRtcAdapter } from '../src/webrtc/adapter.ts'
import { defaultWebRtcOptions, type WebRtcOptions } from '../src/webrtc/options.ts'
import type {
  DataChannelLike,
  DataChannelOptions,
  PeerConnectionConfiguration,
  PeerConnectionLike,
} from '../src/webrtc/w3c.ts'

const pipe = 1 as PipeId
const sdp = `${[
  'v=0',
  'o=- 1 2 IN IP4 127.0.0.1',
  's=-',
  't=0 0',
  'm=application 9 UDP/DTLS/SCTP webrtc-datachannel',
  'c=IN IP4 0.0.0.0',
  'a=ice-ufrag:abcd',
  'a=ice-pwd:aaaaaaaaaaaaaaaaaaaaaaaa',
  `a=fingerprint:sha-256 ${Array.from({ length: 32 }, () => 'AB').join(':')}`,
  'a=setup:actpass',
  'a=mid:0',
  'a=sctp-port:5000',
].join('\r\n')}\r\n`

/** A WebRTC library that notes what it is asked for, and never gathers or connects. */
class NotedLibrary {
  readonly configurations: PeerConnectionConfiguration[] = []
  readonly channels: (DataChannelOptions & { readonly label: string })[] = []

  readonly create = (configuration: PeerConnectionConfiguration): PeerConnectionLike => {
    this.configurations.push(configuration)
    return {
      connectionState: 'new',
      localDescription: { sdp },
      ondatachannel: null,
      onicecandidate: null,
      onconnectionstatechange: null,
      createDataChannel: (label, options): DataChannelLike => {
        this.channels.push({ label, ...options })
        return { readyState: 'connecting', bufferedAmount: 0, send: () => undefined, close: () => undefined }
      },
      createOffer: async () => ({ type: 'offer', sdp }),
      createAnswer: async () => ({ type: 'answer', sdp }),
      setLocalDescription: async () => undefined,
      setRemoteDescription: async () => undefined,
      addIceCandidate: async () => undefined,
      getStats: async () => new Map(),
      close: () => undefined,
    }
  }
}

let library: NotedLibrary
let events: TransportEvent[]

async function offer(options: Partial<WebRtcOptions> = {}): Promise<WebRtcAdapter> {
  const adapter = new WebRtcAdapter(library.create, { ...defaultWebRtcOptions, ...options })
  await adapter.start({ emit: (event) => events.push(event), nextPipe: () => pipe })
  adapter.offer(pipe)
  return adapter
}

beforeEach(() => {
  vi.useFakeTimers()
  library = new NotedLibrary()
  events = []
})

afterEach(() => {
  vi.useRealTimers()
})

describe('what a WebRTC library is asked for', () => {
  test('[D02] two channels: messages reliable and in order, signals with three retransmits and in any order', async () => {
    await offer()
    const common = { protocol: 'miaou-v0.2.0', negotiated: true }
    expect(library.channels).toEqual([
      { ...common, label: 'miaou-messages', id: 0, ordered: true },
      { ...common, label: 'miaou-signals', id: 1, ordered: false, maxRetransmits: 3 },
    ])
  })

  test('[D05] policy all, bundle max-compat, RTCP mux required; no server unless one is configured', async () => {
    await offer()
    expect(library.configurations).toEqual([
      { iceServers: [], iceTransportPolicy: 'all', bundlePolicy: 'max-compat', rtcpMuxPolicy: 'require' },
    ])
  })

  test('[D05, D20] relay only, and the servers as they are configured', async () => {
    const turn = { urls: 'turn:turn.miaou.chat:3478?transport=tcp', username: 'miaou-user', credential: 'secret' }
    const stun = { urls: ['stun:stun.miaou.chat:3478', 'stun:stun.l.google.com:19302'] }
    await offer({ icePolicy: 'relay', iceServers: [turn, stun] })
    expect(library.configurations).toMatchObject([
      { iceTransportPolicy: 'relay', iceServers: [{ ...turn, urls: [turn.urls] }, stun] },
    ])
  })
})

describe('[D19] what it is given to do it', () => {
  test('15 s to connect: at the bound the pipe ends in a timeout, not before', async () => {
    await offer()
    await vi.advanceTimersByTimeAsync(14_999)
    expect(events.filter(({ type }) => type === 'closed')).toEqual([])
    await vi.advanceTimersByTimeAsync(1)
    expect(events.at(-1)).toEqual({ type: 'closed', pipe, error: { type: 'timeout', afterMs: 15_000 } })
  })

  test('10 s to gather: then the end of the candidates is told, whatever the library still looks for', async () => {
    const end = { type: 'candidate', pipe, candidate: { candidate: '', sdpMid: '0', sdpMLineIndex: 0 } }
    await offer()
    await vi.advanceTimersByTimeAsync(9_999)
    expect(events.map(({ type }) => type)).toEqual(['description'])
    await vi.advanceTimersByTimeAsync(1)
    expect(events.at(-1)).toEqual(end)
  })
})
