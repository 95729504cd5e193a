import type { Core } from './core.ts'
import { bucketIndex, readWord } from './distance.ts'
import type { ContactRef, KademliaMessage, LookupCost } from './interface.ts'
import { distanceOf, expectedWithin, type NetworkSizes } from './network-sizes.ts'
import { done, Path, type PathStatus } from './path.ts'
import type { Requests } from './requests.ts'
import { answered, distanceHead, fresh, slow } from './shortlist.ts'

/** 1–8 paths: issue 3. */
export const pathsMax = 8
/**
 * Where the k nearest lie within the space of 0.4 k expected nodes, something is wrong: own choice. The space of the k
 * nearest errs by 22 %, the estimate of the network's size by up to 24 %: that is 2.8 deviations. So it is where the nearest half of them lies within the space of k / 8, or the nearest quarter within k / 32 (as seldom
 * by chance: 3 in 10,000 for k = 20): one honest node among those who crowd must not hide them.
 */
const denseShares: readonly (readonly [part: number, expected: number])[] = [
  [1, 0.4],
  [1 / 2, 1 / 8],
  [1 / 4, 1 / 32],
]
/** Below so many nodes, in multiples of k, no end of a walk says anything. Own choice. */
const networkFactorMin = 3
/** Subtrees of 1/2, 1/4, 1/8 and 1/16 of the region: of the rest, the walk itself finds what there is. Own choice. */
const detourCount = 4
/**
 * Nearer to the target than where so many nodes are expected, those of a crowd are not asked the way round it: they would
 * name one another. Own choice, by simulation (`sim sybil`): few honest nodes lie there, and the walk itself asks them.
 */
const crowdShare = 1
/** The own table's nearest to a detour's end, in multiples of k: the crowd may fill the first ones. */
const detourSeedsFactor = 4

/** What walks share. */
export interface WalkContext {
  readonly core: Core
  readonly requests: Requests
  readonly sizes: NetworkSizes
  /** A put found this node itself among the k nearest to its key. `ageMinutes`: as in a store. */
  keep(key: Uint8Array, record: Uint8Array, ageMinutes: number): void
  /** A walk has ended; called once each. */
  ended(walk: Walk): void
}

/** A node that answered, or whose late answer is waited for. */
export interface Reached {
  readonly ref: ContactRef
  readonly distance: number
  readonly hasAnswered: boolean
}

/** An iterative lookup (Kademlia §2.3) over one or several disjoint paths (S/Kademlia §4.4). */
export abstract class Walk {
  readonly core: Core
  readonly target: Uint8Array
  protected readonly context: WalkContext
  protected readonly paths: Path[] = []
  #isFinished = false
  /** Nodes asked by any path, where there are several. */
  #claimed: Set<ContactRef> | undefined
  /** 53-bit distance within which all nodes are asked, though they be more than k; −1: no more than the k nearest. */
  #region = -1
  /** 53-bit distance within which nobody is asked the way round a crowd; −1 where there is none. */
  #crowd = -1
  #requests = 0
  #timeouts = 0
  #hops = 0
  readonly #startedAt: number

  constructor(context: WalkContext, target: Uint8Array) {
    this.context = context
    this.core = context.core
    // A copy, whatever kind of array it is: its detours change bits of further copies.
    this.target = Uint8Array.from(target)
    this.#startedAt = context.core.mono
  }

  get isFinished(): boolean {
    return this.#isFinished
  }

  /** Starts from the own table's nearest and `others`, dealt out to `pathCount` paths. False when there are none. */
  start(pathCount: number, others: readonly ContactRef[] = []): boolean {
    const { core } = this
    const { k, alpha, contactsPerPrefixMax } = core.config
    core.table.markBucketUsed(bucketIndex(core.self, this.target), core.mono)
    const seeds: ContactRef[] = []
    core.table.closest(this.target, k, seeds, { prefixMax: contactsPerPrefixMax })
    const count = Math.max(1, Math.min(pathCount, seeds.length + others.length))
    for (let i = 0; i < count; i++) this.paths.push(new Path(this, Math.max(alpha, others.length)))
    if (count > 1) this.#claimed = new Set()
    let next = 0
    for (const ref of [...others, ...seeds]) {
      if (!core.isSelf(ref) && this.paths[next % count]?.list.insert(ref, 1) === true) next++
    }
    if (next === 0) return false
    this.advance()
    return true
  }

  /** Whether a path has to ask the candidate that `live` nearer ones precede. */
  isWithin(live: number, distance: number): boolean {
    const { k, regionMax } = this.core.config
    return live < k || (distance <= this.#region && live < regionMax)
  }

  /** A node is asked by one path only. */
  claim(ref: ContactRef): boolean {
    if (this.#claimed === undefined) return true
    if (this.#claimed.has(ref)) return false
    this.#claimed.add(ref)
    return true
  }

  /** Whether an answer is to be expected, at which all paths go on. */
  isBusy(): boolean {
    return this.paths.some((path) => path.isBusy)
  }

  /** A node that was claimed could not be asked now. */
  release(ref: ContactRef): void {
    this.#claimed?.delete(ref)
  }

  /** Sends the walk's question. False when too many requests are in flight. */
  ask(path: Path, to: ContactRef): boolean {
    if (!this.question(path, to)) return false
    this.#requests++
    return true
  }

  /** An answer to the walk's question. False when it is wrong: the node counts as failed. */
  take(path: Path, from: ContactRef, depth: number, message: KademliaMessage): boolean {
    if (message.type !== 'find-node-response' && message.type !== 'find-value-response') return false
    const { core } = this
    const { contacts, token } = message
    if (contacts.length > core.config.contactsPerAnswerMax || token.length !== 8) {
      core.counters.add('answers-malformed')
      this.context.requests.lied(from)
      return false
    }
    this.#hops = Math.max(this.#hops, depth)
    for (const ref of contacts) if (!core.isSelf(ref)) this.#learn(path, ref, depth + 1)
    if (path.detour !== undefined) this.#learn(path, from, depth)
    return this.taken(path, from, message)
  }

  lost(ref: ContactRef): void {
    this.countTimeout()
    if (this.#claimed !== undefined) for (const path of this.paths) path.lost(ref)
  }

  countTimeout(): void {
    this.#timeouts++
  }

  /** Whether one of the nearest that is silent is asked once more. */
  asksTwice(): boolean {
    return false
  }

  /** Goes on where it can, and ends where nothing is left. */
  advance(): void {
    let status: PathStatus = done
    for (const path of this.paths) {
      path.step()
      const pathStatus = path.status()
      if (pathStatus < status) status = pathStatus
    }
    this.progressed(status)
    if (status !== done || this.#isFinished) return
    if (this.#widen()) this.advance()
    else this.arrived()
  }

  cost(): LookupCost {
    return {
      requests: this.#requests,
      timeouts: this.#timeouts,
      hops: this.#hops,
      ms: this.core.mono - this.#startedAt,
    }
  }

  mark(mark: (ref: ContactRef) => void): void {
    for (const path of this.paths) path.list.mark(mark)
    for (const ref of this.#claimed ?? []) mark(ref)
  }

  /** The engine stops: the one who waits is told. */
  abstract stopped(): void

  protected abstract question(path: Path, to: ContactRef): boolean

  /** What an answer holds beside contacts. False when it is wrong. */
  protected abstract taken(path: Path, from: ContactRef, message: KademliaMessage): boolean

  /** After each step. */
  protected progressed(_status: PathStatus): void {
    // Only a put does something on the way.
  }

  /** All paths have ended: each of their closest has answered or failed. */
  protected abstract arrived(): void

  protected countRequest(): void {
    this.#requests++
  }

  protected finish(): void {
    this.#isFinished = true
    this.context.ended(this)
  }

  /** Most nodes that this walk's end may count. */
  protected closestMax(): number {
    return this.#region < 0 ? this.core.config.k : this.core.config.regionMax
  }

  /** Whether nodes that crowd at the target are a reason to cover its region. */
  protected coversRegions(): boolean {
    return false
  }

  /**
   * Where the k nearest lie within the space of more than so many times k expected nodes, they are farther from the target
   * than plausible, and other ways are tried. By default 3: the space of the k nearest errs by 22 %, the estimate of the
   * network's size by up to 24 %, and that is five deviations.
   */
  protected sparseFrom(): number {
    return 3
  }

  /** Whether a plausible end is still no reason to give up: over more paths, a liar met on one of them decides nothing. */
  protected insists(): boolean {
    return false
  }

  protected observeDensity(reached: readonly Reached[]): void {
    const { k } = this.core.config
    const last = reached[k - 1]
    // Those who crowd at one target say nothing of how many there are elsewhere.
    if (k >= 3 && last !== undefined && this.#region < 0) this.context.sizes.observe(last.distance, k)
  }

  #learn(path: Path, ref: ContactRef, depth: number): void {
    if (path.detour === undefined) path.list.insert(ref, depth)
    else {
      this.#insertOutsideCrowd(path, ref, depth)
      this.paths[0]?.list.insert(ref, depth)
    }
  }

  #insertOutsideCrowd(path: Path, ref: ContactRef, depth: number): void {
    if ((this.paths[0]?.list.distanceOf(ref) ?? 0) > this.#crowd) path.list.insert(ref, depth)
  }

  /**
   * The walk has ended where ids are much denser, or much sparser, than in the rest of the network: somebody chose ids to
   * crowd round the target, or only liars were met. Goes on elsewhere; false when the end is plausible, or nothing is left
   * to try.
   */
  #widen(): boolean {
    const { k, regionMax } = this.core.config
    const { least, most } = this.context.sizes.range()
    const reached = this.reached(k)
    const distance = reached[k - 1]?.distance ?? Number.POSITIVE_INFINITY
    const isSparse = least >= networkFactorMin * k && expectedWithin(distance, least) > this.sparseFrom() * k
    if (isSparse) return this.#addPaths('walks-too-sparse')
    const isDense = denseShares.some(([part, expected]) => {
      const last = reached[Math.ceil(part * k) - 1]
      return last !== undefined && expectedWithin(last.distance, most) < expected * k
    })
    const isCovered = this.#region >= 0 || !this.coversRegions() || most < networkFactorMin * k
    if (!isDense || isCovered) return this.insists() && this.#addPaths('walks-repeated')
    this.core.counters.add('walks-too-dense')
    this.#region = distanceOf(k, most)
    this.#crowd = distanceOf(crowdShare, most)
    for (const path of this.paths) path.grow(regionMax)
    this.#addDetours()
    return true
  }

  /**
   * Walks to the subtrees round the target's own within the region: asked for the target itself, nodes answer with those
   * who crowd there, and never name the others.
   */
  #addDetours(): void {
    const { core } = this
    const { k, alpha } = core.config
    const depth = Math.max(0, Math.min(255 - detourCount, 52 - Math.floor(Math.log2(Math.max(1, this.#region)))))
    for (let bit = depth; bit < depth + detourCount; bit++) {
      const detour = Uint8Array.from(this.target)
      detour[bit >> 3] = (detour[bit >> 3] as number) ^ (0x80 >> (bit & 7))
      const path = new Path(this, alpha, detour)
      const seeds: ContactRef[] = []
      core.table.closest(detour, detourSeedsFactor * k, seeds)
      for (const ref of seeds) this.#insertOutsideCrowd(path, ref, 1)
      this.paths.push(path)
    }
  }

  /** As many paths again, from contacts that no path has asked: 8 paths at most. */
  #addPaths(reason: 'walks-too-sparse' | 'walks-repeated'): boolean {
    const { core } = this
    const { k, alpha } = core.config
    const before = this.paths.length
    const count = Math.min(before, pathsMax - before)
    if (count <= 0) return false
    this.#claimed ??= this.#asked()
    const seeds: ContactRef[] = []
    core.table.closest(this.target, pathsMax * k, seeds)
    const others = seeds.filter((ref) => this.#claimed?.has(ref) !== true)
    if (others.length === 0) return false
    core.counters.add(reason)
    const added = Array.from({ length: count }, () => new Path(this, alpha))
    for (const path of added) path.isOtherWay = this.insists() && reason === 'walks-too-sparse'
    others.forEach((ref, i) => {
      added[i % count]?.list.insert(ref, 1)
    })
    this.paths.push(...added)
    return true
  }

  #asked(): Set<ContactRef> {
    const refs = new Set<ContactRef>()
    for (const { list } of this.paths) {
      for (let at = 0; at < list.size; at++) if (list.state(at) !== fresh) refs.add(list.ref(at))
    }
    return refs
  }

  /** The nearest of all paths that answered or are waited for, nearest first; `count` at most. */
  protected reached(count: number): Reached[] {
    const { contacts } = this.core
    const target0 = readWord(this.target, 0)
    const target1 = readWord(this.target, 4)
    const reached: Reached[] = []
    for (const { list, detour } of this.paths) {
      if (detour !== undefined) continue
      for (let at = 0; at < list.size; at++) {
        const state = list.state(at)
        if (state !== answered && state !== slow) continue
        const ref = list.ref(at)
        reached.push({ ref, distance: distanceHead(contacts, target0, target1, ref), hasAnswered: state === answered })
      }
    }
    if (this.paths.length > 1) {
      reached.sort((a, b) => a.distance - b.distance || contacts.compareDistances(this.target, a.ref, b.ref))
    }
    return reached.slice(0, count)
  }
}
