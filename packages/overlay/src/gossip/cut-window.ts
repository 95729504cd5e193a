/**
 * Which message may cut branches just now. Two messages under way at once can cut one loop at two places and so part the
 * tree. Every node therefore lets, of the messages of one window, only the one with the lowest id cut: ids are hashes,
 * so that all nodes choose the same one without a word.
 */
export class CutWindow {
  readonly #windowMs: number
  /** Ascending keys: the first is the lowest of the window. */
  readonly #lowest: { readonly key: string; readonly at: number }[] = []

  constructor(windowMs: number) {
    this.#windowMs = windowMs
  }

  /** A message came first. `now`: monotonic ms. */
  add(now: number, key: string): void {
    while ((this.#lowest.at(-1)?.key ?? '') > key) this.#lowest.pop()
    this.#lowest.push({ key, at: now })
    this.#expire(now)
  }

  /** Whether a second copy of a message may cut. */
  mayCut(now: number, key: string): boolean {
    this.#expire(now)
    return key <= (this.#lowest[0]?.key ?? key)
  }

  #expire(now: number): void {
    const lowest = this.#lowest
    let gone = 0
    while (gone < lowest.length && (lowest[gone]?.at ?? now) < now - this.#windowMs) gone += 1
    if (gone > 0) lowest.splice(0, gone)
  }
}
