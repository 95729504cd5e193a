import type { ContactRef } from './interface.ts'
import type { Path } from './path.ts'
import { Walk, type WalkContext } from './walk.ts'

/** Times that the contacts are asked before joining has failed: one datagram may get lost, and two. Own choice. */
const rounds = 3

/** Walks to oneself from given contacts: row C19. */
export class BootstrapWalk extends Walk {
  readonly #id: number
  readonly #given: readonly ContactRef[]
  readonly #onJoined: () => void
  #round = 1

  /** `given`: contacts to join through. `onJoined`: the walk has ended, and somebody answered. */
  constructor(context: WalkContext, id: number, given: readonly ContactRef[], onJoined: () => void) {
    super(context, context.core.self)
    this.#id = id
    this.#given = given
    this.#onJoined = onJoined
  }

  /** All that were given are asked, though they be more than k. */
  override isWithin(live: number, distance: number): boolean {
    return live < this.#given.length || super.isWithin(live, distance)
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
    if (reached.length === 0 && this.#round < rounds) {
      this.#round++
      this.paths.length = 0
      this.start(1, this.#given)
      return
    }
    this.observeDensity(reached)
    this.finish()
    if (reached.length === 0) {
      core.reply(this.#id, { type: 'failed', error: { type: 'bootstrap-failed', asked: this.#given.length } })
      return
    }
    core.reply(this.#id, { type: 'bootstrapped', contacts: core.table.size, cost: this.cost() })
    this.#onJoined()
  }
}
