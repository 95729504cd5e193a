import { mutate } from './mutate.ts'
import { FuzzRandom } from './random.ts'
import type { FuzzTarget, Outcome } from './target.ts'
import { isEqual, shapeOf, sizeOf } from './value.ts'

/** What the fuzzer found: an input that breaks a promise of the decoder. */
export interface FuzzFinding {
  readonly target: string
  readonly promise: 'never-throws' | 'same-again' | 'bounded-allocation' | 'bounded-size' | 'only-what-was-signed'
  readonly detail: string
  readonly case: number
  /** The input, in hexadecimal. */
  readonly input: string
}

export interface FuzzReport {
  readonly target: string
  readonly cases: number
  readonly accepted: number
  readonly refused: Readonly<Record<string, number>>
  /** Inputs kept because they reached a new pattern. */
  readonly corpus: number
  readonly findings: readonly FuzzFinding[]
}

export interface FuzzOptions {
  readonly cases: number
  readonly seed: number
  readonly allocations: { readonly start: () => void; readonly bytes: () => number }
  /** Stop at the first finding. */
  readonly stopAtFinding?: boolean
}

const corpusMax = 512
const findingsMax = 8
const slackBytesDefault = 65_536

/** Runs `cases` inputs through one decoder. The same seed gives the same inputs and the same report. */
export function fuzzTarget(target: FuzzTarget, options: FuzzOptions): FuzzReport {
  return new Run(target, options).run()
}

class Run {
  readonly #target: FuzzTarget
  readonly #options: FuzzOptions
  readonly #random: FuzzRandom
  readonly #corpus: Uint8Array[]
  /** The part of the corpus that is accepted: what mutation mostly starts from, since refused inputs stay refused. */
  readonly #acceptedCorpus: Uint8Array[]
  readonly #seedTexts: ReadonlySet<string>
  readonly #seen = new Set<string>()
  readonly #refused: Record<string, number> = {}
  readonly #findings: FuzzFinding[] = []
  #accepted = 0
  #case = 0

  constructor(target: FuzzTarget, options: FuzzOptions) {
    this.#target = target
    this.#options = options
    this.#random = new FuzzRandom(options.seed)
    this.#corpus = [...target.seeds]
    this.#acceptedCorpus = [...target.seeds]
    this.#seedTexts = new Set(target.seeds.map((seed) => toHex(seed)))
  }

  run(): FuzzReport {
    const { cases, stopAtFinding } = this.#options
    // The seeds themselves come first: a seed that is refused would make all that follows worthless.
    for (const seed of this.#target.seeds) this.#try(seed, false)
    if (this.#accepted < this.#target.seeds.length) throw new Error(`${this.#target.name}: a seed is refused`)
    while (this.#case < cases && this.#findings.length < (stopAtFinding ? 1 : findingsMax)) this.#next()
    return {
      target: this.#target.name,
      cases: this.#case,
      accepted: this.#accepted,
      refused: this.#refused,
      corpus: this.#corpus.length,
      findings: this.#findings,
    }
  }

  #next(): void {
    const { repair, isText, sizeMax } = this.#target
    const random = this.#random
    const base = random.pick(random.below(4) === 0 ? this.#corpus : this.#acceptedCorpus)
    const mutated = mutate(random, base, random.pick(this.#corpus), { isText, sizeMax })
    const isRepaired = repair !== undefined && random.below(4) !== 0
    this.#try(isRepaired ? repair(mutated) : mutated, isRepaired)
  }

  #try(input: Uint8Array, isRepaired: boolean): void {
    this.#case += 1
    const { allocations } = this.#options
    const copy = input.slice()
    allocations.start()
    let outcome: Outcome
    try {
      outcome = this.#target.decode(input)
    } catch (error) {
      this.#find('never-throws', String(error), input)
      return
    }
    const allocated = allocations.bytes()
    if (allocated > 64 * input.length + (this.#target.slackBytes ?? slackBytesDefault)) {
      this.#find('bounded-allocation', `${allocated} bytes for an input of ${input.length}`, input)
    }
    if (!isEqual(copy, input)) this.#find('same-again', 'the decoder changed its input', copy)
    if (outcome.ok) this.#checkAccepted(input, outcome.value, isRepaired)
    else this.#refused[outcome.error.type] = (this.#refused[outcome.error.type] ?? 0) + 1
    this.#keep(input, outcome)
  }

  #checkAccepted(input: Uint8Array, value: unknown, isRepaired: boolean): void {
    this.#accepted += 1
    const { encode, decode, comparable, isSealed } = this.#target
    // A text may stand as UTF-16 and a hash be added: twice the input and a little is all a value may hold.
    if (sizeOf(value) > 4 * input.length + 1024) {
      this.#find('bounded-size', `a value of ${sizeOf(value)} bytes from ${input.length}`, input)
    }
    if (isSealed && !isRepaired && !this.#seedTexts.has(toHex(input)) && !this.#isRepairedCorpus(input)) {
      this.#find('only-what-was-signed', 'an altered structure is accepted', input)
    }
    if (encode === undefined) return
    let again: Outcome
    try {
      again = decode(encode(value))
    } catch (error) {
      this.#find('same-again', `encoding an accepted value throws: ${String(error)}`, input)
      return
    }
    const part = comparable ?? ((whole: unknown) => whole)
    if (!again.ok || !isEqual(part(again.value), part(value))) {
      this.#find('same-again', again.ok ? 'another value' : `refused: ${again.error.type}`, input)
    }
  }

  /** Inputs that were repaired (and so validly signed) may be in the corpus and come back unaltered. */
  #isRepairedCorpus(input: Uint8Array): boolean {
    const text = toHex(input)
    return this.#corpus.some((kept) => toHex(kept) === text)
  }

  #keep(input: Uint8Array, outcome: Outcome): void {
    const signature = outcome.ok ? shapeOf(outcome.value) : `refused ${shapeOf(outcome.error)}`
    if (this.#seen.has(signature) || this.#seen.size >= 8 * corpusMax) return
    this.#seen.add(signature)
    if (this.#corpus.length >= corpusMax) return
    this.#corpus.push(input)
    if (outcome.ok) this.#acceptedCorpus.push(input)
  }

  #find(promise: FuzzFinding['promise'], detail: string, input: Uint8Array): void {
    if (this.#findings.length >= findingsMax) return
    const text = toHex(input)
    this.#findings.push({ target: this.#target.name, promise, detail, case: this.#case, input: text })
  }
}

function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex')
}
