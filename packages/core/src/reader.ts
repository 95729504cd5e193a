import { bytesToText } from './utf8.ts'

/**
 * Reads big-endian fields from bytes that a stranger wrote. Never throws: the first read past the end or over a limit
 * marks the reader as failed, later reads give zeros, and the decoder asks `finished()` once at the end.
 */
export class ByteReader {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  #offset = 0
  #failed = false

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  /** True after a read that could not be satisfied. */
  get failed(): boolean {
    return this.#failed
  }

  get offset(): number {
    return this.#offset
  }

  get remaining(): number {
    return this.#bytes.length - this.#offset
  }

  /** True when nothing failed and every byte was read. */
  finished(): boolean {
    return !this.#failed && this.remaining === 0
  }

  /** Marks the bytes as invalid: for rules that a decoder checks itself. */
  fail(): void {
    this.#failed = true
  }

  #take(size: number): number | undefined {
    if (this.#failed || size > this.remaining) {
      this.#failed = true
      return undefined
    }
    const at = this.#offset
    this.#offset += size
    return at
  }

  u8(): number {
    const at = this.#take(1)
    return at === undefined ? 0 : this.#view.getUint8(at)
  }

  u16(): number {
    const at = this.#take(2)
    return at === undefined ? 0 : this.#view.getUint16(at)
  }

  u32(): number {
    const at = this.#take(4)
    return at === undefined ? 0 : this.#view.getUint32(at)
  }

  /** An unsigned 64-bit integer as a number; above 2^53 - 1 it fails. */
  u64(): number {
    const at = this.#take(8)
    if (at === undefined) return 0
    const value = this.#view.getUint32(at) * 0x1_0000_0000 + this.#view.getUint32(at + 4)
    if (value > Number.MAX_SAFE_INTEGER) {
      this.#failed = true
      return 0
    }
    return value
  }

  /** `size` bytes, copied so that they outlive the buffer they came in. Zeros after a failure. */
  bytes(size: number): Uint8Array {
    const at = this.#take(size)
    // A failed read must not allocate what a hostile length field asks for.
    if (at === undefined) return new Uint8Array(Math.min(size, 64))
    return this.#bytes.slice(at, at + size)
  }

  /** Bytes behind a u16 length of at most `sizeMax`. */
  bytes16(sizeMax: number): Uint8Array {
    const size = this.u16()
    if (size > sizeMax) this.#failed = true
    return this.#failed ? new Uint8Array(0) : this.bytes(size)
  }

  /** Bytes behind a u32 length of at most `sizeMax`. */
  bytes32(sizeMax: number): Uint8Array {
    const size = this.u32()
    if (size > sizeMax) this.#failed = true
    return this.#failed ? new Uint8Array(0) : this.bytes(size)
  }

  /** Well-formed UTF-8 behind a u16 length of at most `sizeMax` bytes. */
  text16(sizeMax: number): string {
    const text = bytesToText(this.bytes16(sizeMax))
    if (text === undefined) this.#failed = true
    return text ?? ''
  }

  /** All bytes not read yet, at most `sizeMax` of them. */
  rest(sizeMax: number): Uint8Array {
    if (this.remaining > sizeMax) this.#failed = true
    return this.#failed ? new Uint8Array(0) : this.bytes(this.remaining)
  }
}
