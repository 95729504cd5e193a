/** Answers that callers wait for, by id; each is settled once, by its answer, its time limit or the end of the peer. */
export class Pending<T> {
  readonly #waiting = new Map<number, { readonly resolve: (value: T) => void; timer: NodeJS.Timeout | undefined }>()
  #nextId = 1

  /** `timeoutMs`: Infinity for none. `onTimeout` makes the answer when time is up. */
  wait(start: (id: number) => void, timeoutMs: number, onTimeout: () => T): Promise<T> {
    const id = this.#nextId++
    return new Promise<T>((resolve) => {
      const timer = Number.isFinite(timeoutMs) ? setTimeout(() => this.settle(id, onTimeout()), timeoutMs) : undefined
      this.#waiting.set(id, { resolve, timer })
      start(id)
    })
  }

  settle(id: number, value: T): void {
    const waiting = this.#waiting.get(id)
    if (waiting === undefined) return
    this.#waiting.delete(id)
    clearTimeout(waiting.timer)
    waiting.resolve(value)
  }

  settleAll(value: T): void {
    for (const id of [...this.#waiting.keys()]) this.settle(id, value)
  }
}
