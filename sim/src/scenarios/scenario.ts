import type { SimOptions } from '../options.ts'
import type { Progress } from '../report/progress.ts'
import type { Case, ScenarioResult } from '../report/result.ts'
import type { World } from '../world/world.ts'

/** What a scenario gets beside its options. */
export interface ScenarioContext {
  readonly options: SimOptions
  readonly progress: Progress
}

export interface Scenario {
  readonly name: string
  /** One line for `--help`. */
  readonly summary: string
  /** The flags it heeds, beside `--nodes`, `--seed`, `--loss` and the outputs. */
  readonly flags: readonly string[]
  /** Sizes of `all --short`: small enough for CI, large enough to be a network. */
  readonly short: Partial<SimOptions>
  readonly run: (context: ScenarioContext) => ScenarioResult
}

/** Gathers cases and what their worlds found into one result. */
export class ResultBuilder {
  readonly #name: string
  readonly #options: SimOptions
  readonly #cases: Case[] = []
  readonly #traces: string[] = []
  readonly #checks: Record<string, number> = {}
  readonly #violations: ScenarioResult['violations'][number][] = []
  #events = 0

  constructor(name: string, options: SimOptions) {
    this.#name = name
    this.#options = options
  }

  add(one: Case): void {
    this.#cases.push(one)
  }

  /** What a world did and its checkers found, once its last case was added. */
  end(world: Pick<World, 'trace' | 'checks' | 'events'>): void {
    this.#traces.push(world.trace.digest())
    this.#events += world.events
    for (const [name, count] of Object.entries(world.checks.counts)) {
      this.#checks[name] = (this.#checks[name] ?? 0) + count
    }
    this.#violations.push(...world.checks.violations)
  }

  build(): ScenarioResult {
    return {
      scenario: this.#name,
      nodes: this.#options.nodes,
      seed: this.#options.seed,
      cases: this.#cases,
      trace: this.#traces.join('-'),
      events: this.#events,
      checks: this.#checks,
      violations: this.#violations,
    }
  }
}
