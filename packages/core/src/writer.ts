import { assert } from './assert.ts'
import { textToBytes } from './utf8.ts'

/** Writes big-endian fields into a growing buffer: the counterpart of `ByteReader`. */
export class ByteWriter {
  #bytes: Uint8Array
  #view: DataView
  #size = 0

  /** `capacity`: bytes allocated at first; the buffer doubles when it is full. */
  constructor(capacity = 1024) {
    this.#bytes = new Uint8Array(capacity)
    this.#view = new DataView(this.#bytes.buffer)
  }

  get size(): number {
    return this.#size
  }

  #reserve(size: number): number {
    const at = this.#size
    this.#size += size
    if (this.#size > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(this.#size, this.#bytes.length * 2))
      grown.set(this.#bytes)
      this.#bytes = grown
      this.#view = new DataView(grown.buffer)
    }
    return at
  }

  u8(value: number): this {
    const at = this.#reserve(1)
    this.#view.setUint8(at, value)
    return this
  }

  u16(value: number): this {
    const at = this.#reserve(2)
    this.#view.setUint16(at, value)
    return this
  }

  u32(value: number): this {
    const at = this.#reserve(4)
    this.#view.setUint32(at, value)
    return this
  }

  /** A non-negative safe integer as an unsigned 64-bit field. */
  u64(value: number): this {
    assert(Number.isSafeInteger(value) && value >= 0, 'a u64 field holds a safe non-negative integer')
    const at = this.#reserve(8)
    this.#view.setUint32(at, Math.floor(value / 0x1_0000_0000))
    this.#view.setUint32(at + 4, value >>> 0)
    return this
  }

  bytes(bytes: Uint8Array): this {
    const at = this.#reserve(bytes.length)
    this.#bytes.set(bytes, at)
    return this
  }

  bytes16(bytes: Uint8Array): this {
    assert(bytes.length <= 0xffff, 'bytes16 holds at most 65,535 bytes')
    return this.u16(bytes.length).bytes(bytes)
  }

  bytes32(bytes: Uint8Array): this {
    return this.u32(bytes.length).bytes(bytes)
  }

  text16(text: string): this {
    return this.bytes16(textToBytes(text))
  }

  /** The bytes written so far, as an array of their own. */
  finish(): Uint8Array {
    return this.#bytes.slice(0, this.#size)
  }
}
