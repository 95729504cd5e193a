import type { ContactRef } from './interface.ts'
import type { Path } from './path.ts'
import { Walk, type WalkContext } from './walk.ts'

/** Walks to oneself from given contacts: row C19. */
export class BootstrapWalk extends Walk {
  readonly #id: number
  readonly #asked: number
  readonly #onJoined: () => void

  /** `asked`: contacts that were given. `onJoined`: the walk has ended, and somebody answered. */
  constructor(context: WalkContext, id: number, asked: number, onJoined: () => void) {
    super(context, context.core.self)
    this.#id = id
    this.#asked = asked
    this.#onJoined = onJoined
  }

  /** All that were given are asked, though they be more than k. */
  override isWithin(live: number, distance: number): boolean {
    return live < this.#asked || super.isWithin(live, distance)
  }

  stopped(): void {
    this.core.reply(this.#id, { type: 'failed', error: { type: 'stopped' } })
  }

  protected question(path: Path, to: ContactRef): boolean {
    return this.context.requests.findNode(to, this.target, path)
  }

  protected taken(): boolean {
    return true
  }

  protected arrived(): void {
    const { core } = this
    const reached = this.reached(core.config.k)
    this.observeDensity(reached)
    this.finish()
    if (reached.length === 0) {
      core.reply(this.#id, { type: 'failed', error: { type: 'bootstrap-failed', asked: this.#asked } })
      return
    }
    core.reply(this.#id, { type: 'bootstrapped', contacts: core.table.size, cost: this.cost() })
    this.#onJoined()
  }
}
