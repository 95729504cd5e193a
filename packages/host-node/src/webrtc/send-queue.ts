import type { DataChannelLike } from './w3c.ts'

// libwebrtc closes a channel that holds more than 16 MiB; 2 MiB keep the line busy over a poll. Measured in
// bench/webrtc-path.
const highWater = 2 * 1024 * 1024
// libwebrtc's wrapper never fires `bufferedamountlow`, so a full channel is asked again after this time. Each question
// stops the network thread for a moment: rarer is cheaper.
const pollMs = 4

/** Feeds a data channel no faster than it drains, and holds the rest. */
export class SendQueue {
  readonly #channel: DataChannelLike
  readonly #onError: (detail: string) => void
  #waiting: (Uint8Array | string)[] = []
  #next = 0
  #waitingBytes = 0
  /** Upper estimate of what the channel holds: asking it costs a hop to another thread. */
  #estimate = 0
  #timer: ReturnType<typeof setTimeout> | undefined

  constructor(channel: DataChannelLike, onError: (detail: string) => void) {
    this.#channel = channel
    this.#onError = onError
    channel.onbufferedamountlow = () => this.#pump()
  }

  /** Bytes not sent yet, as far as is known. */
  get bufferedBytes(): number {
    return this.#waitingBytes + this.#estimate
  }

  /** `data` is the caller's again afterwards: what has to wait is copied. */
  send(data: Uint8Array | string): void {
    if (this.#waiting.length === 0 && this.#estimate < highWater) {
      this.#pass(data)
      return
    }
    this.#waiting.push(typeof data === 'string' ? data : data.slice())
    this.#waitingBytes += data.length
    if (this.#timer === undefined) this.#pump()
  }

  /** Drops what waits. */
  stop(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#channel.onbufferedamountlow = null
    this.#waiting = []
    this.#next = 0
    this.#waitingBytes = 0
  }

  #pump(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    while (this.#next < this.#waiting.length) {
      if (this.#estimate >= highWater) this.#estimate = this.#channel.bufferedAmount
      if (this.#estimate >= highWater) {
        this.#timer = setTimeout(() => this.#pump(), pollMs)
        break
      }
      const data = this.#waiting[this.#next] as Uint8Array | string
      this.#waiting[this.#next++] = ''
      this.#waitingBytes -= data.length
      this.#pass(data)
    }
    if (this.#next === this.#waiting.length) {
      this.#waiting = []
      this.#next = 0
    } else if (this.#next > 1024) {
      this.#waiting = this.#waiting.slice(this.#next)
      this.#next = 0
    }
  }

  #pass(data: Uint8Array | string): void {
    this.#estimate += data.length
    try {
      this.#channel.send(data)
    } catch (error) {
      this.stop()
      this.#onError(error instanceof Error ? error.message : String(error))
    }
  }
}
