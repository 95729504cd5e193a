/**
 * The scenario that every DHT runs: N nodes in one process on 127.0.0.1, one operation at a time.
 *
 * - `first`: puts and gets by random nodes, whatever sessions joining has left.
 * - `warm`: new puts, and the gets of `first` again, so that there is a session for each pair that a get touches. Where a
 *   put will go, a contender that keeps sessions has walked before, without storing (`touch`). The puts are new ones
 *   because bittorrent-dht skips the walk of a put that it has made before.
 * - `dead`: 20 % of the nodes fall silent at once; gets of the keys of `first` straight away, then new puts, and gets of
 *   what they stored. Warm as above as far as it goes: the gets were made, the walks to the new keys were walked, before
 *   the nodes died; whoever is asked in the place of a dead node is a stranger.
 * - `cold`, in a run of its own because it leaves contacts in doubt: puts and gets, each by a node that has just forgotten
 *   its sessions. Only for contenders that keep any.
 */
import { type Measurement, quantile } from './measurement.ts'
import { cpuUs, residentMb } from './process-cost.ts'
import { type Draw, drawBytes, pick, sample, seeded } from './seeded.ts'
import { Tally } from './tally.ts'

/** A running network of one contender. `index`: 0 to nodes − 1; node 0 is the one that the others joined through. */
export interface DhtNetwork {
  /** Name and version, as the table shows it. */
  readonly peer: string
  /** Requests that all nodes have sent so far, background included. */
  requests(): number
  /** Stores `value`; resolves with what `get` takes when the contender itself calls the put done. */
  put(index: number, value: Uint8Array): Promise<unknown>
  /** The value; undefined where the lookup ended without one. */
  get(index: number, key: unknown): Promise<Uint8Array | undefined>
  /** Falls silent without a goodbye, as a machine without power does. */
  kill(index: number): Promise<void>
  /** Resolves when the last put has asked all that it wants to ask; absent where `put` waits for that itself. */
  settle?(): Promise<void>
  /** Walks, without storing, to where a put of this value will go; absent where there are no sessions to warm. */
  touch?(index: number, value: Uint8Array): Promise<void>
  /** Drops this node's sessions and keeps its contacts, as a restart does; absent where there are no sessions. */
  forget?(index: number): Promise<void>
  /** What belongs beside the memory: sessions held, … */
  facts?(): Readonly<Record<string, number>>
}

/** What a contender's module exports. */
export interface DhtContender {
  build(nodes: number, seed: number): Promise<DhtNetwork>
}

export interface ScenarioOptions {
  readonly nodes: number
  /** In `first` and `warm`: enough that V8 has compiled in `first` what runs in `warm`. */
  readonly puts: number
  readonly gets: number
  /** In `cold` and `dead`, where an operation may wait for seconds; at most a third of the others. */
  readonly latePutsMax: number
  readonly lateGetsMax: number
  readonly seed: number
  /** Share of the nodes that die, 0–1. */
  readonly deadShare: number
  /** An operation that takes longer has failed, ms. */
  readonly operationMsMax: number
  /** Puts, and gets, of a phase start nothing more after this, ms: who is slow shows fewer operations, not another scenario. */
  readonly phaseMsMax: number
}

export const defaultScenarioOptions: ScenarioOptions = {
  nodes: 256,
  puts: 300,
  gets: 900,
  latePutsMax: 20,
  lateGetsMax: 67,
  seed: 7,
  deadShare: 0.2,
  operationMsMax: 30_000,
  phaseMsMax: 60_000,
}

/** Bytes of a stored value. */
const valueSize = 100

interface Put {
  readonly by: number
  readonly value: Uint8Array
}

interface Stored extends Put {
  readonly key: unknown
}

interface Get {
  readonly by: number
  readonly stored: Stored
}

/** A random node stores a random value, `count` times. */
function drawPuts(draw: Draw, nodes: readonly number[], count: number): Put[] {
  return Array.from({ length: count }, () => ({ by: pick(draw, nodes), value: drawBytes(draw, valueSize) }))
}

/** Somebody else than who stored it asks for it. */
function drawGet(draw: Draw, nodes: readonly number[], stored: Stored): Get {
  return {
    by: pick(
      draw,
      nodes.filter((index) => index !== stored.by),
    ),
    stored,
  }
}

function drawGets(draw: Draw, nodes: readonly number[], stored: readonly Stored[], count: number): Get[] {
  if (stored.length === 0) return []
  return Array.from({ length: count }, () => drawGet(draw, nodes, pick(draw, stored)))
}

export class DhtScenario {
  readonly #network: DhtNetwork
  readonly #options: ScenarioOptions

  constructor(network: DhtNetwork, options: ScenarioOptions) {
    this.#network = network
    this.#options = options
  }

  /** `beforeMb`: resident before the first node was made. */
  async run(beforeMb: number): Promise<Measurement[]> {
    const { nodes, puts, gets, seed } = this.#options
    const all = Array.from({ length: nodes }, (_, index) => index)
    const nodeMb = async (): Promise<number> => ((await residentMb()) - beforeMb) / nodes
    const draw = seeded(seed)
    const measurements = [this.#figure('node-mb', await nodeMb(), this.#facts())]

    let asks: readonly Get[] = []
    const first = await this.#phase('first', async () => {
      const put = await this.#puts(drawPuts(draw, all, puts))
      asks = drawGets(draw, all, put.stored, gets)
      return { put, get: await this.#gets(asks) }
    })
    const again = drawPuts(draw, all, puts)
    await this.#touch(again)
    const warm = await this.#phase('warm', async () => ({ put: await this.#puts(again), get: await this.#gets(asks) }))
    measurements.push(...first.measurements, ...warm.measurements)
    measurements.push(this.#figure('node-warm-mb', await nodeMb(), this.#facts()))
    measurements.push(...(await this.#dead(seeded(seed + 2), all, first.stored)))
    return measurements
  }

  #late(): { readonly puts: number; readonly gets: number } {
    const { puts, gets, latePutsMax, lateGetsMax } = this.#options
    return { puts: Math.min(latePutsMax, Math.ceil(puts / 3)), gets: Math.min(lateGetsMax, Math.ceil(gets / 3)) }
  }

  /** Puts and gets without any session on the side of the node that asks; nothing where there are none to forget. */
  async runCold(): Promise<Measurement[]> {
    const { nodes, seed } = this.#options
    const { puts, gets } = this.#late()
    const forget = this.#network.forget?.bind(this.#network)
    if (forget === undefined) return []
    const all = Array.from({ length: nodes }, (_, index) => index)
    const draw = seeded(seed)
    const { measurements } = await this.#phase('cold', async () => {
      const put = await this.#puts(drawPuts(draw, all, puts), forget)
      return { put, get: await this.#gets(drawGets(draw, all, put.stored, gets), forget) }
    })
    return measurements
  }

  async #dead(draw: Draw, all: readonly number[], stored: readonly Stored[]): Promise<Measurement[]> {
    const { nodes, deadShare } = this.#options
    const { puts, gets } = this.#late()
    const dead = new Set(sample(draw, all.slice(1), Math.floor(nodes * deadShare)))
    const alive = all.filter((index) => !dead.has(index))
    const oldGets = sample(draw, stored, gets).map((each) => drawGet(draw, alive, each))
    const newPuts = drawPuts(draw, alive, puts)
    // Of what has no key yet: planned by value.
    const newGets = drawGets(
      draw,
      alive,
      newPuts.map((put) => ({ ...put, key: undefined })),
      gets,
    )
    await this.#gets(oldGets)
    await this.#touch([...newPuts, ...newGets.map(({ by, stored: { value } }) => ({ by, value }))])

    await Promise.all([...dead].map((index) => this.#network.kill(index)))
    const old = new Tally()
    const { measurements } = await this.#phase('dead', async () => {
      await this.#get(old, oldGets)
      const put = await this.#puts(newPuts)
      const storedOf = new Map(put.stored.map((each) => [each.value, each]))
      const got = await this.#gets(
        newGets.flatMap((get) => {
          const found = storedOf.get(get.stored.value)
          return found === undefined ? [] : [{ by: get.by, stored: found }]
        }),
      )
      return { put, get: old.and(got) }
    })
    return [...measurements, ...this.#figuresOf('dead-get-old', old)]
  }

  async #touch(puts: readonly Put[]): Promise<void> {
    for (const { by, value } of puts) await this.#network.touch?.(by, value)
  }

  async #phase(
    name: string,
    operate: () => Promise<{
      put: { tally: Tally; stored: readonly Stored[]; askedMs: readonly number[] }
      get: Tally
    }>,
  ): Promise<{ stored: readonly Stored[]; measurements: Measurement[] }> {
    const factsAtStart = this.#network.facts?.()
    const cpuAtStart = cpuUs()
    const requestsAtStart = this.#network.requests()
    const { put, get } = await operate()
    const requests = this.#network.requests() - requestsAtStart
    const cpuPerRequest = (cpuUs() - cpuAtStart) / requests
    const asked = put.askedMs
    const measurements = [
      this.#figure(`${name}-cpu-per-request-us`, cpuPerRequest, this.#facts(factsAtStart), requests),
      ...this.#figuresOf(`${name}-put`, put.tally),
      ...(asked.length === 0
        ? []
        : [this.#figure(`${name}-put-all-asked-p50-ms`, quantile(asked, 0.5), undefined, asked.length)]),
      ...this.#figuresOf(`${name}-get`, get),
    ]
    return { stored: put.stored, measurements }
  }

  async #puts(
    planned: readonly Put[],
    prepare?: (index: number) => Promise<void>,
  ): Promise<{ tally: Tally; stored: readonly Stored[]; askedMs: readonly number[] }> {
    const tally = new Tally()
    const stored: Stored[] = []
    const askedMs: number[] = []
    const startedAts: number[] = []
    const requestsAtStart = this.#network.requests()
    await this.#each(
      planned,
      tally,
      async ({ by, value }) => {
        await prepare?.(by)
        const startedAt = performance.now()
        const key = await this.#network.put(by, value)
        const ms = performance.now() - startedAt
        stored.push({ key, value, by })
        startedAts.push(startedAt)
        return ms
      },
      async () => {
        const startedAt = startedAts.at(-1)
        if (this.#network.settle === undefined || startedAt === undefined) return
        // A put that never ends asking is as good as one that did: what counts is its answer.
        const asked = new Tally()
        await asked.take(
          this.#network.settle().then(() => performance.now() - startedAt),
          this.#options.operationMsMax,
        )
        askedMs.push(...asked.ms)
      },
    )
    tally.requests = this.#network.requests() - requestsAtStart
    return { tally, stored, askedMs }
  }

  async #gets(asks: readonly Get[], prepare?: (index: number) => Promise<void>): Promise<Tally> {
    const tally = new Tally()
    await this.#get(tally, asks, prepare)
    return tally
  }

  async #get(tally: Tally, asks: readonly Get[], prepare?: (index: number) => Promise<void>): Promise<void> {
    const requestsAtStart = this.#network.requests()
    await this.#each(asks, tally, async ({ by, stored }) => {
      await prepare?.(by)
      const startedAt = performance.now()
      const value = await this.#network.get(by, stored.key)
      const ms = performance.now() - startedAt
      if (value === undefined) throw new Error('not found')
      if (Buffer.compare(value, stored.value) !== 0) throw new Error('another value')
      return ms
    })
    tally.requests += this.#network.requests() - requestsAtStart
  }

  /** One at a time; `operate` resolves with the time that counts, ms. What `settle` waits for does not count. */
  async #each<T>(
    list: readonly T[],
    tally: Tally,
    operate: (item: T) => Promise<number>,
    settle?: () => Promise<void>,
  ): Promise<void> {
    const endAt = performance.now() + this.#options.phaseMsMax
    for (const item of list) {
      if (performance.now() > endAt) return
      await tally.take(operate(item), this.#options.operationMsMax)
      await settle?.()
    }
  }

  #figuresOf(name: string, tally: Tally): Measurement[] {
    if (tally.asked === 0) return []
    const failed = tally.asked - tally.done
    const note = tally.fault === undefined ? undefined : `${failed} failed: ${tally.fault}`
    const figures = [
      this.#figure(`${name}-success`, tally.done / tally.asked, note, tally.asked),
      this.#figure(`${name}-requests`, tally.requests / tally.asked, undefined, tally.asked),
    ]
    if (tally.done === 0) return figures
    return [
      ...figures,
      this.#figure(`${name}-p50-ms`, quantile(tally.ms, 0.5), undefined, tally.done),
      this.#figure(`${name}-p95-ms`, quantile(tally.ms, 0.95), undefined, tally.done),
    ]
  }

  /** The contender's facts, and by how much they went up since `before`. */
  #facts(before: Readonly<Record<string, number>> = {}): string | undefined {
    const facts = Object.entries(this.#network.facts?.() ?? {}).map(([name, value]) => {
      const since = value - (before[name] ?? value)
      return `${name} ${value}${since > 0 ? ` (+${since})` : ''}`
    })
    return facts.length === 0 ? undefined : facts.join(', ')
  }

  #figure(metric: string, value: number, note?: string, samples?: number): Measurement {
    return {
      metric,
      peer: this.#network.peer,
      value,
      nodes: this.#options.nodes,
      ...(samples === undefined ? {} : { samples }),
      ...(note === undefined ? {} : { note }),
    }
  }
}
