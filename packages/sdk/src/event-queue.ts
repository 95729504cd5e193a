/** Events waiting for their reader; 1,000 of ≤ 100 kB bound a stream's memory (own choice). */
export const eventsBufferedMax = 1_000

interface Waiter<T> {
  readonly resolve: (result: IteratorResult<T, undefined>) => void
  readonly reject: (error: unknown) => void
}

/** A bounded queue between a producer that pushes and one reader that pulls. */
export class EventQueue<T> {
  readonly #countMax: number
  readonly #items: T[] = []
  #waiter: Waiter<T> | undefined
  #end: { readonly error?: unknown } | undefined

  constructor(countMax: number = eventsBufferedMax) {
    this.#countMax = countMax
  }

  get size(): number {
    return this.#items.length
  }

  get isEnded(): boolean {
    return this.#end !== undefined
  }

  /** False when the queue is full or has ended: the item was not taken. */
  push(item: T): boolean {
    if (this.#end !== undefined) return false
    if (this.#waiter !== undefined) {
      const { resolve } = this.#waiter
      this.#waiter = undefined
      resolve({ done: false, value: item })
      return true
    }
    if (this.#items.length >= this.#countMax) return false
    this.#items.push(item)
    return true
  }

  /** What is queued is still read; then the reader's `next` ends, or throws `error`. */
  end(error?: unknown): void {
    if (this.#end !== undefined) return
    this.#end = error === undefined ? {} : { error }
    if (this.#waiter === undefined) return
    const waiter = this.#waiter
    this.#waiter = undefined
    if (error === undefined) waiter.resolve({ done: true, value: undefined })
    else waiter.reject(error)
  }

  /** One reader at a time. */
  next(): Promise<IteratorResult<T, undefined>> {
    const item = this.#items.shift()
    if (item !== undefined) return Promise.resolve({ done: false, value: item })
    if (this.#end === undefined) return new Promise((resolve, reject) => (this.#waiter = { resolve, reject }))
    const { error } = this.#end
    // The error is told once; whoever asks again gets the end.
    this.#end = {}
    return error === undefined ? Promise.resolve({ done: true, value: undefined }) : Promise.reject(error)
  }
}
