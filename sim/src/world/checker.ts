import { defaultKademliaConfig } from '../../../packages/overlay/src/kademlia/config.ts'
import type { KademliaMessage } from '../../../packages/overlay/src/kademlia/interface.ts'
import type { Watcher, World } from './world.ts'

/** A record whose whereabouts are checked. */
interface CheckedRecord {
  readonly key: Uint8Array
}

/** Gets of one record after which it counts as lost, each from another node. */
const attempts = 3

/**
 * Looks over the shoulder of some nodes: what they were told, by whom, and what they keep in their tables. Looks at every
 * message to a watched node, and at its whole state whenever `check` is called.
 */
export class Checker implements Watcher {
  readonly #world: World
  /** Who has proven themselves to each watched node. Contacts of a filled table have, by decree. */
  readonly #proven = new Map<number, Set<number>>()

  constructor(world: World) {
    this.#world = world
  }

  /** Watches one more running node. */
  watch(node: number): void {
    if (this.#proven.has(node) || !this.#world.isHonestUp(node)) return
    this.#proven.set(node, new Set(this.#world.engines[node]?.contacts() ?? []))
  }

  heard(node: number, from: number, isProven: boolean, _message: KademliaMessage): void {
    if (isProven) this.#proven.get(node)?.add(from)
  }

  /** Looks at the state of every watched node that still runs as it did. */
  check(): void {
    for (const node of this.#proven.keys()) {
      const engine = this.#world.engines[node]
      if (engine === undefined || !this.#world.isHonestUp(node)) this.#proven.delete(node)
      else this.#checkNode(node)
    }
  }

  /** Gets each record that a running honest node holds, from up to three nodes; finding it from none is a loss. */
  checkRecords(records: readonly CheckedRecord[], most = 100): void {
    const world = this.#world
    const random = world.stream('checking records')
    for (const { key } of records.slice(0, most)) {
      if (!world.someoneNearHolds(key)) continue
      world.checks.looked('lost-records')
      let isFound = false
      for (let attempt = 0; attempt < attempts && !isFound; attempt++) {
        let asker = random.below(world.options.nodes)
        while (!world.isHonestUp(asker) || world.network.isBehindNat(asker)) asker = random.below(world.options.nodes)
        let isOver = false
        world.command(asker, { type: 'get', key, paths: 4 }, (reply) => {
          isOver = true
          isFound = reply.type === 'found-value'
        })
        world.run(world.time + 60_000, () => isOver)
      }
      if (!isFound) world.checks.violated('lost-records', world.time, `a held record was not found ${attempts} times`)
    }
  }

  #checkNode(node: number): void {
    const { checks, engines, time, network } = this.#world
    const engine = engines[node]
    if (engine === undefined) return
    const limits = { ...defaultKademliaConfig, ...this.#world.options.config }
    const info = engine.info()
    checks.looked('table-bounds', info.buckets.length)
    for (const { bucket, contacts, replacements } of info.buckets) {
      if (contacts <= limits.k && replacements <= limits.replacementsMax) continue
      checks.violated(
        'table-bounds',
        time,
        `bucket ${bucket} of node ${node}: ${contacts} and ${replacements} to spare`,
      )
    }
    const proven = this.#proven.get(node)
    const contacts = engine.contacts()
    checks.looked('proven-contacts', contacts.length)
    checks.looked('client-contacts', contacts.length)
    for (const contact of contacts) {
      if (contact === node || proven?.has(contact) !== true) {
        checks.violated('proven-contacts', time, `node ${node} keeps ${contact}, which never proved itself to it`)
      }
      if (network.isBehindNat(contact)) {
        checks.violated('client-contacts', time, `node ${node} keeps ${contact}, which is a client`)
      }
    }
    checks.looked('bounded-state')
    const sizes: readonly (readonly [string, number, number])[] = [
      ['requests in flight', info.requestsInFlight, limits.requestsMax],
      ['operations', info.operations, limits.operationsMax],
      ['background walks', info.backgroundWalks, limits.backgroundWalksMax],
      ['records', info.records, limits.recordsMax],
      ['bytes of records', info.recordBytes, limits.recordBytesMax],
      ['published records', info.published, limits.publishedMax],
    ]
    for (const [name, size, most] of sizes) {
      if (size > most) checks.violated('bounded-state', time, `node ${node}: ${size} ${name}, at most ${most}`)
    }
  }
}

/** Watches `count` of the running honest nodes, spread over the network. */
export function watch(world: World, count: number): Checker {
  const checker = new Checker(world)
  const random = world.stream('watching')
  for (let i = 0; i < 4 * count; i++) {
    if (i >= count && i % 4 !== 0) continue
    checker.watch(random.below(world.options.nodes))
  }
  world.watcher = checker
  return checker
}
