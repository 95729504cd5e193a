import { type FrameType, fragmentPayload } from '@miaou/protocol'

interface BulkMessage {
  readonly frameType: FrameType
  readonly payload: Uint8Array
}

/**
 * Payloads too large for one frame, waiting to travel as fragments. Only a few fragments are under way at a time (each
 * is followed by a ping, its pong makes room), so that a small frame never waits behind more than those.
 */
export class BulkQueue {
  readonly #bytesMax: number
  #waiting: BulkMessage[] = []
  #bytes = 0
  #fragments: Uint8Array[] = []
  #nextId = 0

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  get isEmpty(): boolean {
    return this.#fragments.length === 0 && this.#waiting.length === 0
  }

  /** False when the queue is full: the payload was not taken. */
  push(frameType: FrameType, payload: Uint8Array): boolean {
    if (this.#bytes + payload.length > this.#bytesMax) return false
    this.#bytes += payload.length
    this.#waiting.push({ frameType, payload })
    return true
  }

  /** The payload of the next fragment frame. */
  next(): Uint8Array | undefined {
    if (this.#fragments.length === 0) {
      const message = this.#waiting.shift()
      if (message === undefined) return undefined
      this.#bytes -= message.payload.length
      this.#fragments = fragmentPayload(this.#nextId, message.frameType, message.payload)
      this.#nextId = (this.#nextId + 1) >>> 0
    }
    return this.#fragments.shift()
  }

  /** The rest of the message that has begun: it must end on the link it began on. */
  takeBegun(): readonly Uint8Array[] {
    const rest = this.#fragments
    this.#fragments = []
    return rest
  }

  /** The messages that have not begun: they may travel on another link. */
  takeWaiting(): readonly BulkMessage[] {
    const waiting = this.#waiting
    this.#waiting = []
    this.#bytes = 0
    return waiting
  }
}
