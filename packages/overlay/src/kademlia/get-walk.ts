import { equalBytes } from '@miaou/core'
import type { ContactRef, KademliaMessage, KademliaReply } from './interface.ts'
import type { Path } from './path.ts'
import type { RequestOwner } from './requests.ts'
import { Walk, type WalkContext } from './walk.ts'

/** A signed record as one holder has it. */
interface Version {
  readonly from: ContactRef
  readonly token: Uint8Array
  readonly record: Uint8Array
  readonly sequence: number
}

/** What becomes of the stores that bring old holders up to date is nobody's concern. */
const nobody: RequestOwner = { answered: () => undefined, late: () => undefined, failed: () => undefined }

/** Finds a record: the first valid content-addressed value, or the newest of a quorum of signed ones. */
export class GetWalk extends Walk {
  readonly #id: number
  readonly #versions: Version[] = []

  readonly #held: Uint8Array | undefined

  /** `held`: a signed record under the key that this node holds itself: found where no newer one is. */
  constructor(context: WalkContext, key: Uint8Array, id: number, held: Uint8Array | undefined) {
    super(context, key)
    this.#id = id
    this.#held = held
  }

  override mark(mark: (ref: ContactRef) => void): void {
    super.mark(mark)
    for (const { from } of this.#versions) mark(from)
  }

  stopped(): void {
    this.#reply({ type: 'failed', error: { type: 'stopped' } })
  }

  protected override coversRegions(): boolean {
    return true
  }

  /** Nothing was found by whoever is asked this: "not found" is said after all the paths there are. */
  protected override insists(): boolean {
    return this.#versions.length === 0
  }

  protected question(path: Path, to: ContactRef): boolean {
    if (path.detour !== undefined) return this.context.requests.findNode(to, path.detour, path)
    return this.context.requests.findValue(to, this.target, path)
  }

  protected taken(_path: Path, from: ContactRef, message: KademliaMessage): boolean {
    if (message.type !== 'find-value-response' || message.record === undefined) return true
    const { record, token } = message
    const checked = this.core.rules.check(record)
    if (checked === undefined || !equalBytes(checked.key, this.target) || message.contacts.length > 0) {
      this.core.counters.add('records-wrong')
      this.context.requests.lied(from)
      return false
    }
    if (checked.sequence === undefined) {
      // A copy: the message is a view into a datagram.
      this.#found(record.slice())
      return true
    }
    // One node at two endpoints is one holder of the quorum.
    if (this.#versions.some((version) => this.#isSameNode(version.from, from))) return true
    this.#versions.push({ from, token: token.slice(), record: record.slice(), sequence: checked.sequence })
    if (this.#versions.length >= this.core.config.replicationFactor) this.#conclude()
    return true
  }

  protected arrived(): void {
    this.observeDensity(this.reached(this.core.config.k))
    if (this.#versions.length > 0) {
      this.#conclude()
      return
    }
    if (this.#held !== undefined) {
      this.#found(this.#held)
      return
    }
    this.finish()
    this.#reply({ type: 'failed', error: { type: 'not-found', cost: this.cost() } })
  }

  #isSameNode(a: ContactRef, b: ContactRef): boolean {
    return this.core.contacts.compareDistances(this.target, a, b) === 0
  }

  #found(record: Uint8Array): void {
    this.finish()
    this.#reply({ type: 'found-value', record, cost: this.cost() })
  }

  /** The newest wins, and those who showed an older one are given it: at most a quorum of stores. */
  #conclude(): void {
    let newest: Version | undefined
    for (const version of this.#versions) {
      if (newest === undefined || version.sequence > newest.sequence) newest = version
    }
    if (newest === undefined) return
    const { record, sequence } = this.#newerOf(newest)
    this.#found(record)
    for (const version of this.#versions) {
      if (version.sequence < sequence) this.context.requests.store(version.from, version.token, record, 0, nobody)
    }
  }

  /** What this node holds itself counts too. */
  #newerOf(found: Version): { readonly record: Uint8Array; readonly sequence: number } {
    const sequence = this.#held === undefined ? undefined : this.core.rules.check(this.#held)?.sequence
    if (this.#held === undefined || sequence === undefined || sequence <= found.sequence) return found
    return { record: this.#held, sequence }
  }

  #reply(reply: KademliaReply): void {
    this.core.reply(this.#id, reply)
  }
}
