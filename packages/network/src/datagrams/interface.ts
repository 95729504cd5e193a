import type { Endpoint } from '@miaou/protocol'

/** What the sockets and the layer above tell the secure datagrams. */
export type DatagramsInput =
  | { readonly type: 'datagram'; readonly from: Endpoint; readonly bytes: Uint8Array }
  /**
   * To whoever holds `key` (X25519, 32 bytes) at `endpoint`. `opens`: the payload may travel inside a first datagram
   * (only Ping, FindNode and FindValue may); others wait for the session, bounded. `token`: named in `failed`.
   */
  | {
      readonly type: 'send'
      readonly key: Uint8Array
      readonly endpoint: Endpoint
      readonly payload: Uint8Array
      readonly opens: boolean
      readonly token: number
    }
  /**
   * Over the session that a `message` named; inside the handshake's answer where that is still owed. Dropped where the
   * session is gone.
   */
  | { readonly type: 'answer'; readonly session: number; readonly payload: Uint8Array }
  /**
   * The initiation to `key` at `endpoint` once more, where one is under way, or the last request of a session on which
   * nothing was heard since. How often is the caller's to bound.
   */
  | { readonly type: 'repeat'; readonly key: Uint8Array; readonly endpoint: Endpoint }
  /** 9 bytes to whoever is at `to`: so that the own NAT lets in what comes from there. `nonce`: 8 bytes. */
  | { readonly type: 'opener'; readonly to: Endpoint; readonly nonce: Uint8Array }
  | { readonly type: 'wake' }

export type DatagramsOutput =
  /** At most 1,200 bytes. */
  | { readonly type: 'datagram'; readonly to: Endpoint; readonly bytes: Uint8Array }
  /**
   * `isProven`: this endpoint has made a round trip under this key. False for the payload of a first datagram: answer
   * it, and remember nothing of its sender.
   */
  | {
      readonly type: 'message'
      readonly session: number
      readonly key: Uint8Array
      readonly endpoint: Endpoint
      readonly isProven: boolean
      readonly payload: Uint8Array
    }
  | { readonly type: 'failed'; readonly token: number; readonly reason: DatagramsFailure }
  /** An opener came. Anybody can send one: it says nothing but that whoever knows this nonce is behind `from`. */
  | { readonly type: 'opener'; readonly from: Endpoint; readonly nonce: Uint8Array }

export type DatagramsFailure = 'weak-key' | 'queue-full' | 'too-large'
