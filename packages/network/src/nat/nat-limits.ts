/** Bounds and times of finding out how a NAT behaves (spec/nat.md). */
export interface NatLimits {
  /** Wait before the first repetition of a request, doubled each time, ms. RFC 8489 §6.2.1. */
  readonly rtoMs: number
  /** Times a request is sent. RFC 8489 says 7 (39.5 s); own choice: somebody waits for the result. */
  readonly requestsMax: number
  /** Wait after the last request, in `rtoMs`. RFC 8489 says 16; own choice, as above. */
  readonly lastWaitRtos: number
  /** Servers asked. As the configuration allows. */
  readonly serversMax: number
  /** Servers by which filtering is tested. Own choice: an answer is proof, more servers only prove it again. */
  readonly filteringServersMax: number
}

export const defaultNatLimits: NatLimits = {
  rtoMs: 500,
  requestsMax: 4,
  lastWaitRtos: 2,
  serversMax: 16,
  filteringServersMax: 2,
}
