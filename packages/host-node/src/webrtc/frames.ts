import type { Writable } from 'node:stream'

/**
 * What passes between the peer's process and its WebRTC child: `size u32 ‖ kind u8 ‖ pipe u32 ‖ body`, big-endian, where
 * size counts kind, pipe and body.
 */
export interface Frame {
  readonly kind: FrameKind
  readonly pipe: number
  readonly body: Uint8Array
}

export const frameKind = { control: 0, messages: 1, signals: 2 } as const
export type FrameKind = (typeof frameKind)[keyof typeof frameKind]

const headerSize = 9
// The largest body: an SDP of 64 KiB in JSON, every character escaped to two.
const frameSizeMax = 256 * 1024
// A half holds the largest frame and what came before it.
const intakeSize = 1024 * 1024
// Bodies up to this size are copied into the batch; larger ones are written as they are. Measured in bench/webrtc-path.
const copiedMax = 16 * 1024
const batchSize = 64 * 1024
// Measured in bench/webrtc-path: question and answer over one pipe stay below it.
const flushesPerMs = 4

/** Joins the frames of one turn of the event loop into few large writes. */
export class FrameWriter {
  readonly #stream: Writable
  #batch = Buffer.allocUnsafe(batchSize)
  #used = 0
  #written = 0
  #isPlanned = false
  #countedSinceMs = 0
  #flushCount = 0

  constructor(stream: Writable) {
    this.#stream = stream
  }

  /** Bytes that the other process has not taken yet. */
  get bufferedBytes(): number {
    return this.#stream.writableLength + this.#used - this.#written
  }

  /** `body` must not change afterwards. */
  write(kind: FrameKind, pipe: number, body: Uint8Array): void {
    const isCopied = body.length <= copiedMax
    const size = headerSize + (isCopied ? body.length : 0)
    if (this.#used + size > batchSize) this.#renew()
    this.#used = writeHeader(this.#batch, this.#used, kind, pipe, body.length)
    if (isCopied) {
      this.#batch.set(body, this.#used)
      this.#used += body.length
    } else {
      this.#pass()
      this.#stream.write(body)
    }
    if (this.#isPlanned) return
    this.#isPlanned = true
    this.#stream.cork()
    if (this.#isBusy()) setTimeout(() => this.flush(), 1)
    // At the end of what runs now, not of the turn: what else the turn has to do need not be waited for.
    else queueMicrotask(() => this.flush())
  }

  writeControl(pipe: number, value: unknown): void {
    this.write(frameKind.control, pipe, Buffer.from(JSON.stringify(value)))
  }

  flush(): void {
    if (!this.#isPlanned) return
    this.#isPlanned = false
    this.#pass()
    this.#stream.uncork()
  }

  // libwebrtc's wrapper hands out each message in a turn of its own: without a short wait a stream of small ones would
  // cost one system call and one wake-up each. A few writes a millisecond go at once, so that a question and its answer
  // do not wait.
  #isBusy(): boolean {
    const now = performance.now()
    if (now - this.#countedSinceMs >= 1) {
      this.#countedSinceMs = now
      this.#flushCount = 0
    }
    return ++this.#flushCount > flushesPerMs
  }

  #pass(): void {
    if (this.#used > this.#written) this.#stream.write(this.#batch.subarray(this.#written, this.#used))
    this.#written = this.#used
  }

  // The stream may still hold the old batch: a new one is filled.
  #renew(): void {
    this.#pass()
    this.#batch = Buffer.allocUnsafe(batchSize)
    this.#used = 0
    this.#written = 0
  }
}

function writeHeader(target: Buffer, at: number, kind: FrameKind, pipe: number, bodySize: number): number {
  const afterSize = target.writeUInt32BE(bodySize + 5, at)
  target[afterSize] = kind
  return target.writeUInt32BE(pipe, afterSize + 1)
}

/**
 * Cuts a stream into frames, within one buffer that the stream is read into. The body of a frame is a view of that
 * buffer, good until the callback returns.
 */
export class FrameIntake {
  readonly #onFrame: (frame: Frame) => void
  readonly #buffer: Buffer = Buffer.allocUnsafeSlow(intakeSize)
  #start = 0
  #end = 0
  #failed = false

  constructor(onFrame: (frame: Frame) => void) {
    this.#onFrame = onFrame
  }

  /** Where the next bytes go: at least half of the buffer. */
  space(): Uint8Array {
    if (this.#end > intakeSize / 2) {
      this.#buffer.copyWithin(0, this.#start, this.#end)
      this.#end -= this.#start
      this.#start = 0
    }
    return this.#buffer.subarray(this.#end)
  }

  /** Takes `size` bytes that were read into `space()`. False once the stream was no sequence of frames. */
  taken(size: number): boolean {
    this.#end += size
    while (!this.#failed && this.#end - this.#start >= 4) {
      const frameSize = this.#buffer.readUInt32BE(this.#start)
      if (!isFrameSize(frameSize)) {
        this.#failed = true
        break
      }
      const next = this.#start + 4 + frameSize
      if (next > this.#end) break
      const frame = parseFrame(this.#buffer.subarray(this.#start + 4, next))
      this.#start = next
      if (frame === undefined) this.#failed = true
      else this.#onFrame(frame)
    }
    if (this.#start === this.#end) {
      this.#start = 0
      this.#end = 0
    }
    return !this.#failed
  }
}

/** Cuts a stream into frames. Bodies are views of memory that is not used again. */
export class FrameReader {
  readonly #onFrame: (frame: Frame) => void
  #rest: Buffer = Buffer.alloc(0)
  /** A frame that began in an earlier chunk and is being filled. */
  #partial: Buffer | undefined
  #filled = 0
  #failed = false

  constructor(onFrame: (frame: Frame) => void) {
    this.#onFrame = onFrame
  }

  /** False once the stream was no sequence of frames: nothing after it can be believed. */
  push(chunk: Buffer): boolean {
    let at = 0
    if (this.#partial !== undefined) {
      at = this.#fill(chunk, 0)
      if (this.#partial !== undefined) return true
    }
    let bytes = chunk
    if (this.#rest.length > 0) {
      bytes = Buffer.concat([this.#rest, chunk.subarray(at)])
      at = 0
      this.#rest = Buffer.alloc(0)
    }
    while (!this.#failed && bytes.length - at >= 4) {
      const size = bytes.readUInt32BE(at)
      if (!isFrameSize(size)) {
        this.#failed = true
        break
      }
      at += 4
      if (bytes.length - at >= size) {
        this.#take(bytes.subarray(at, at + size))
        at += size
      } else {
        this.#partial = Buffer.allocUnsafeSlow(size)
        this.#filled = 0
        this.#fill(bytes, at)
        at = bytes.length
      }
    }
    this.#rest = bytes.subarray(at)
    return !this.#failed
  }

  #fill(chunk: Buffer, at: number): number {
    const partial = this.#partial as Buffer
    const size = Math.min(partial.length - this.#filled, chunk.length - at)
    chunk.copy(partial, this.#filled, at, at + size)
    this.#filled += size
    if (this.#filled === partial.length) {
      this.#partial = undefined
      this.#take(partial)
    }
    return at + size
  }

  #take(bytes: Buffer): void {
    const frame = parseFrame(bytes)
    if (frame === undefined) this.#failed = true
    else this.#onFrame(frame)
  }
}

function isFrameSize(size: number): boolean {
  return size >= 5 && size <= frameSizeMax
}

/** A frame without its size, or undefined where its kind is none. */
function parseFrame(bytes: Buffer): Frame | undefined {
  const kind = bytes[0]
  if (kind !== frameKind.control && kind !== frameKind.messages && kind !== frameKind.signals) return undefined
  // A plain view: `slice` of a Buffer would share memory where that of a Uint8Array copies.
  const body = new Uint8Array(bytes.buffer, bytes.byteOffset + 5, bytes.length - 5)
  return { kind, pipe: bytes.readUInt32BE(1), body }
}
