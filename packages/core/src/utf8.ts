// Universal in Node, browsers and workers, yet absent from the ES library that pure packages compile with.
declare class TextEncoder {
  encode(text: string): Uint8Array<ArrayBuffer>
}
declare class TextDecoder {
  constructor(label: 'utf-8', options: { fatal: boolean; ignoreBOM: boolean })
  decode(bytes: Uint8Array): string
}

const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** UTF-8 of a text; unpaired surrogates become U+FFFD. */
export function textToBytes(text: string): Uint8Array {
  return encoder.encode(text)
}

/** Text of well-formed UTF-8, or undefined: malformed bytes are refused, never repaired. */
export function bytesToText(bytes: Uint8Array): string | undefined {
  try {
    return decoder.decode(bytes)
  } catch {
    return undefined
  }
}
