import { Lab, type LabOptions } from '../world/lab.ts'
import type { LabRelay } from '../world/relay.ts'

/** What a lab process keeps from one test to the next: at most one world. */
export class Stage {
  readonly options: StageOptions
  lab: Lab | undefined
  relays: readonly LabRelay[] | undefined

  constructor(options: StageOptions) {
    this.options = options
  }

  /** Builds the world of a test. One in each process: the names of its namespaces are fixed. */
  async build(options: LabOptions): Promise<Lab> {
    this.lab ??= await Lab.build(options)
    return this.lab
  }

  async end(): Promise<void> {
    await this.lab?.end()
  }
}

export interface StageOptions {
  /** Whole outages instead of short ones. */
  readonly isLong: boolean
}
