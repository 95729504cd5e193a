/** What operations of one kind took. */
export class Tally {
  /** Of each that was done, ms. */
  readonly ms: number[] = []
  asked = 0
  requests = 0
  /** The first thing that went wrong. */
  fault: string | undefined

  get done(): number {
    return this.ms.length
  }

  /** Counts one operation, which resolves with the time it took; done by then or failed. */
  async take(operation: Promise<number>, limitMs: number): Promise<void> {
    this.asked += 1
    const { promise: late, reject } = Promise.withResolvers<never>()
    const timer = setTimeout(() => reject(new Error(`no answer within ${limitMs} ms`)), limitMs)
    try {
      this.ms.push(await Promise.race([operation, late]))
    } catch (cause) {
      this.fault ??= cause instanceof Error ? cause.message : String(cause)
    } finally {
      clearTimeout(timer)
    }
  }

  /** Both together. */
  and(other: Tally): Tally {
    const sum = new Tally()
    sum.ms.push(...this.ms, ...other.ms)
    sum.asked = this.asked + other.asked
    sum.requests = this.requests + other.requests
    sum.fault = this.fault ?? other.fault
    return sum
  }
}
