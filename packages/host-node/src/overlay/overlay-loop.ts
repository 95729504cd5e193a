import type { Clock, Now } from '@miaou/core'

/** setTimeout's largest delay, ms. */
const timeoutMsMax = 2 ** 31 - 1

/** What the loop needs of an engine. `Input` includes `wake`. */
export interface LoopEngine<Input, Output> {
  handle(now: Now, input: Input | { readonly type: 'wake' }): readonly Output[]
  /** Monotonic ms of the next wake, Infinity for none. */
  deadline(): number
}

export interface OverlayLoopOptions<Input, Output> {
  readonly engine: LoopEngine<Input, Output>
  readonly clock: Clock
  readonly perform: (output: Output) => void
  /** An invariant of ours broke: the loop has stopped. */
  readonly onCrash: (error: unknown) => void
  /** Inputs that one turn may bring; further ones are dropped. Guess: four times what Node reads from two sockets. */
  readonly inputsPerTurnMax?: number
}

const inputsPerTurnMaxDefault = 256

/**
 * The only caller of the overlay's engine. What arrives in one turn of the event loop is one batch with one reading of
 * the clock; nothing here waits for the disk. The queue never holds more than one turn brings.
 */
export class OverlayLoop<Input extends object, Output> {
  readonly #options: OverlayLoopOptions<Input, Output>
  readonly #inputsMax: number
  readonly #drain = (): void => this.drain()
  #inputs: Input[] = []
  #isWakeDue = false
  #isScheduled = false
  #isStopped = false
  #timer: NodeJS.Timeout | undefined
  #timerAt = Number.POSITIVE_INFINITY
  #droppedCount = 0

  constructor(options: OverlayLoopOptions<Input, Output>) {
    this.#options = options
    this.#inputsMax = options.inputsPerTurnMax ?? inputsPerTurnMaxDefault
  }

  /** Inputs dropped because one turn brought too many. */
  get droppedCount(): number {
    return this.#droppedCount
  }

  /** Something that may be lost, as datagrams may. */
  offer(input: Input): void {
    if (this.#inputs.length >= this.#inputsMax) this.#droppedCount += 1
    else this.push(input)
  }

  /** Something that must not be lost: commands of our own, which are few. */
  push(input: Input): void {
    if (this.#isStopped) return
    this.#inputs.push(input)
    this.#schedule()
  }

  /** Handles all that is queued, now: what comes meanwhile waits for the next turn. */
  drain(): void {
    this.#isScheduled = false
    if (this.#isStopped) return
    const { engine, clock, perform, onCrash } = this.#options
    const inputs = this.#inputs
    this.#inputs = []
    try {
      const now = clock.now()
      for (const input of inputs) for (const output of engine.handle(now, input)) perform(output)
      // Last: after a pause of the process, answers that came in time must not find their requests timed out.
      if (this.#isWakeDue && !this.#isStopped) {
        this.#isWakeDue = false
        for (const output of engine.handle(now, { type: 'wake' })) perform(output)
      }
      if (!this.#isStopped) this.#arm(now.mono)
    } catch (error) {
      this.stop()
      onCrash(error)
    }
  }

  stop(): void {
    this.#isStopped = true
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#inputs = []
  }

  #schedule(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    setImmediate(this.#drain)
  }

  /**
   * A timer that fires too early does no harm, one set anew for each answer costs: it is replaced only by an earlier one.
   */
  #arm(mono: number): void {
    const deadline = this.#options.engine.deadline()
    if (deadline >= this.#timerAt) return
    clearTimeout(this.#timer)
    this.#timerAt = deadline
    this.#timer = setTimeout(
      () => {
        this.#timer = undefined
        this.#timerAt = Number.POSITIVE_INFINITY
        this.#isWakeDue = true
        this.#schedule()
      },
      Math.min(timeoutMsMax, Math.max(0, Math.ceil(deadline - mono))),
    )
  }
}
