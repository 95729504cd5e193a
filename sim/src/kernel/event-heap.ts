/**
 * Times with one 32-bit payload each, earliest first: a 4-ary heap in two typed arrays, that is three levels for a
 * hundred events and no object for any of them. Equal times come out in an order that only depends on the pushes.
 */
export class EventHeap {
  #times: Float64Array
  #payloads: Int32Array
  #size = 0
  /** The payload's time, set by `pop`. */
  time = 0

  constructor(capacity = 1024) {
    this.#times = new Float64Array(capacity)
    this.#payloads = new Int32Array(capacity)
  }

  get size(): number {
    return this.#size
  }

  /** Time of the earliest, Infinity when empty. */
  peek(): number {
    return this.#size === 0 ? Number.POSITIVE_INFINITY : (this.#times[0] as number)
  }

  push(time: number, payload: number): void {
    if (this.#size === this.#times.length) this.#grow()
    const times = this.#times
    const payloads = this.#payloads
    let at = this.#size++
    while (at > 0) {
      const parent = (at - 1) >> 2
      if ((times[parent] as number) <= time) break
      times[at] = times[parent] as number
      payloads[at] = payloads[parent] as number
      at = parent
    }
    times[at] = time
    payloads[at] = payload
  }

  /** Payload of the earliest; its time is in `time`. Only when `size` > 0. */
  pop(): number {
    const times = this.#times
    const payloads = this.#payloads
    const result = payloads[0] as number
    this.time = times[0] as number
    const size = --this.#size
    const time = times[size] as number
    const payload = payloads[size] as number
    let at = 0
    for (;;) {
      const first = 4 * at + 1
      if (first >= size) break
      const last = Math.min(first + 4, size)
      let least = first
      for (let child = first + 1; child < last; child++) {
        if ((times[child] as number) < (times[least] as number)) least = child
      }
      if ((times[least] as number) >= time) break
      times[at] = times[least] as number
      payloads[at] = payloads[least] as number
      at = least
    }
    times[at] = time
    payloads[at] = payload
    return result
  }

  #grow(): void {
    const times = new Float64Array(this.#times.length * 2)
    times.set(this.#times)
    this.#times = times
    const payloads = new Int32Array(this.#payloads.length * 2)
    payloads.set(this.#payloads)
    this.#payloads = payloads
  }
}
