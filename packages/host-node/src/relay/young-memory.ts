import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

type MinorCollector = (options: { readonly type: 'minor' }) => void

/**
 * Bytes of messages between two collections (own choice, measured: docs/decisions/0030): some 10 MB of memory come and go
 * meanwhile, which the processor's cache still holds half of.
 */
const collectEvery = 2_500_000

/**
 * Collects the memory of messages soon after they passed. It lies outside the heap, where the engine counts it and reacts
 * by collecting everything, some 30 ms each time, every few hundred messages: more than half of a relay's time. What just
 * passed is young, and to collect only the young takes 1 to 3 ms.
 */
export class YoungMemory {
  readonly #collect: MinorCollector | undefined
  #bytes = 0
  #isDue = false

  constructor(collect: MinorCollector | undefined = collector()) {
    this.#collect = collect
  }

  /** A message came. After the turn of the event loop that handles it, what it left behind may be collected. */
  used(bytes: number): void {
    this.#bytes += bytes
    if (this.#bytes < collectEvery || this.#isDue || this.#collect === undefined) return
    this.#isDue = true
    setImmediate(() => {
      this.#isDue = false
      this.#bytes = 0
      this.#collect?.({ type: 'minor' })
    })
  }
}

let known: { readonly collect: MinorCollector | undefined } | undefined

/** V8's own function, which only a new context gets to see; undefined where there is none. One for the process. */
function collector(): MinorCollector | undefined {
  if (known !== undefined) return known.collect
  setFlagsFromString('--expose-gc')
  const found: unknown = runInNewContext('typeof gc === "function" ? gc : undefined')
  setFlagsFromString('--no-expose-gc')
  // What V8 calls gc takes these options.
  known = { collect: typeof found === 'function' ? (found as MinorCollector) : undefined }
  return known.collect
}
