/**
 * What the overlay stores (DECISIONS "Overlay"): a content-addressed value, key = SHA-256(value), or a signed record,
 * key = SHA-256(publicKey ‖ salt). `salt`: ≤ 64 bytes. `sequence`: below 2^53. `signature`: 64 bytes, under a label.
 */
export type OverlayRecord =
  | { readonly type: 'value'; readonly value: Uint8Array }
  | {
      readonly type: 'signed'
      readonly publicKey: Uint8Array
      readonly salt: Uint8Array
      readonly sequence: number
      readonly value: Uint8Array
      readonly signature: Uint8Array
    }
