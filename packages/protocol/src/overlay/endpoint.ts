/** Where a node of the overlay receives datagrams: one address of one family. */
export interface Endpoint {
  /** Canonical text of an IPv4 or IPv6 address (RFC 5952), never a name. */
  readonly host: string
  /** 1–65,535. */
  readonly port: number
}
