export interface Endpoint {
  readonly address: string
  readonly port: number
}

/** What a socket behind a NAT learns from a reflector, as RFC 5780 asks it (§4.3, §4.4). */
export interface Observation {
  /** The endpoint each of the reflector's sockets saw; absent: no answer came from that one. */
  readonly mapped: readonly (Endpoint | undefined)[]
  /** Whether an answer from another address, and from the same address but another port, came in. */
  readonly fromOtherAddress: boolean
  readonly fromOtherPort: boolean
  /** How many datagrams of this observation reached the reflector, as it says over TCP. */
  readonly arrived: number
}

export type AgentRequest =
  /** Answers UDP at two addresses with two ports each, and TCP at the first of them. */
  | {
      readonly type: 'reflect'
      readonly addresses: readonly [string, string]
      readonly ports: readonly [number, number]
    }
  | {
      readonly type: 'observe'
      readonly addresses: readonly [string, string]
      readonly ports: readonly [number, number]
    }
  /** Answers TCP at one place. */
  | { readonly type: 'answer'; readonly at: Endpoint }
  /** Whether a TCP connection opens, and what the other end calls us. */
  | { readonly type: 'dial'; readonly to: Endpoint; readonly withinMs: number }
  /** Takes everything that comes over TCP and throws it away. */
  | { readonly type: 'sink'; readonly at: Endpoint }
  /** Writes to a sink as fast as it takes, until told `still`. */
  | { readonly type: 'flood'; readonly to: Endpoint }
  | { readonly type: 'still' }
  /** Sends one datagram; `heard` counts those that came to a port. */
  | { readonly type: 'throw'; readonly to: Endpoint; readonly from: number }
  | { readonly type: 'listen'; readonly port: number }
  | { readonly type: 'heard'; readonly port: number }

export interface AgentResults {
  readonly reflect: null
  readonly observe: Observation
  readonly answer: null
  readonly dial: { readonly opened: boolean; readonly seenAs: string | undefined }
  readonly sink: null
  readonly flood: null
  /** Bytes written in all. */
  readonly still: number
  readonly throw: null
  readonly listen: null
  readonly heard: number
}

export type AgentAnswer =
  | { readonly id: number; readonly result: AgentResults[keyof AgentResults] }
  | { readonly id: number; readonly error: string }
