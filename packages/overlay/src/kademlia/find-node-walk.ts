import type { ContactRef, KademliaError, KademliaReply } from './interface.ts'
import type { Path } from './path.ts'
import { Walk, type WalkContext } from './walk.ts'

/** Finds the k nodes nearest to a target. `id`: the command to answer; undefined for a walk of the engine's own. */
export class FindNodeWalk extends Walk {
  readonly id: number | undefined

  constructor(context: WalkContext, target: Uint8Array, id: number | undefined) {
    super(context, target)
    this.id = id
  }

  stopped(): void {
    this.#reply({ type: 'failed', error: { type: 'stopped' } })
  }

  /** Who looks for one node wants that one: of a record there are 20 holders. */
  override asksTwice(): boolean {
    return this.id !== undefined
  }

  /** The engine's own refreshing is not worth a second way. */
  protected override sparseFrom(): number {
    return this.id === undefined ? Number.POSITIVE_INFINITY : super.sparseFrom()
  }

  protected question(path: Path, to: ContactRef): boolean {
    return this.context.requests.findNode(to, path.detour ?? this.target, path)
  }

  protected taken(): boolean {
    return true
  }

  protected arrived(): void {
    const reached = this.reached(this.core.config.k)
    this.observeDensity(reached)
    this.finish()
    if (this.id === undefined) return
    if (reached.length === 0) {
      this.#reply({ type: 'failed', error: this.noAnswer() })
      return
    }
    this.#reply({ type: 'found-nodes', contacts: reached.map(({ ref }) => ref), cost: this.cost() })
  }

  protected noAnswer(): KademliaError {
    return { type: 'timeout' }
  }

  #reply(reply: KademliaReply): void {
    if (this.id !== undefined) this.core.reply(this.id, reply)
  }
}
