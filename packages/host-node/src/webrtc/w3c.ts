/**
 * The part of W3C WebRTC that the adapter uses, so that libwebrtc's wrapper, werift and a browser's own class all fit.
 * Handlers are written as properties: all three call those.
 */
export interface PeerConnectionLike {
  readonly connectionState: string
  readonly localDescription: { readonly sdp: string } | null
  ondatachannel: unknown
  onicecandidate: unknown
  onconnectionstatechange: unknown
  createDataChannel(label: string, options: DataChannelOptions): DataChannelLike
  createOffer(): Promise<{ type: 'offer' | 'answer' | 'pranswer' | 'rollback'; sdp?: string }>
  createAnswer(): Promise<{ type: 'offer' | 'answer' | 'pranswer' | 'rollback'; sdp?: string }>
  setLocalDescription(description: { type: 'offer' | 'answer'; sdp: string }): Promise<unknown>
  setRemoteDescription(description: { type: 'offer' | 'answer'; sdp: string }): Promise<unknown>
  addIceCandidate(candidate: { candidate: string; sdpMid: string; sdpMLineIndex: number }): Promise<unknown>
  getStats(): Promise<{ forEach(visit: (entry: unknown) => void): void }>
  close(): unknown
}

export interface DataChannelOptions {
  readonly ordered: boolean
  readonly protocol: string
  readonly negotiated: true
  readonly id: number
  readonly maxRetransmits?: number
}

export interface DataChannelLike {
  readonly readyState: string
  readonly bufferedAmount: number
  binaryType?: string
  onopen?: unknown
  onclose?: unknown
  onmessage?: unknown
  onbufferedamountlow?: unknown
  send(data: string | Uint8Array): void
  close(): void
}

/** Makes a connection from a configuration in the shape of `RTCConfiguration`. */
export type PeerConnectionFactory = (configuration: PeerConnectionConfiguration) => PeerConnectionLike

export interface PeerConnectionConfiguration {
  readonly iceServers: { urls: string | string[]; username?: string; credential?: string }[]
  readonly iceTransportPolicy: 'all' | 'relay'
  readonly bundlePolicy: 'max-compat'
  readonly rtcpMuxPolicy: 'require'
}
