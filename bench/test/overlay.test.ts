import { describe, expect, it } from 'vitest'
import { judge } from '../src/overlay/goals.ts'
import {
  type Measurement,
  median,
  parseMeasurement,
  quantile,
  type Summary,
  summarise,
} from '../src/overlay/measurement.ts'
import { planRound } from '../src/overlay/plan.ts'
import { type DhtNetwork, DhtScenario, defaultScenarioOptions } from '../src/overlay/scenario.ts'
import { pick, sample, seeded } from '../src/overlay/seeded.ts'
import { formatFree, renderFigures, renderGoals, renderNotes } from '../src/overlay/table.ts'
import { Tally } from '../src/overlay/tally.ts'

const figure: Measurement = { metric: 'warm-put-p50-ms', peer: 'miaou', value: 3, nodes: 256 }

function summaryOf(rest: Partial<Summary>): Summary {
  const value = rest.value ?? 3
  const empty = { nodes: undefined, samples: undefined, note: undefined }
  return { metric: 'warm-put-p50-ms', peer: 'miaou', value, least: value, most: value, repeats: 1, ...empty, ...rest }
}

describe('measurements', () => {
  it('reads back the line it prints', () => {
    expect(parseMeasurement(JSON.stringify(figure))).toEqual(figure)
  })

  it.each([
    '',
    'listening',
    '3',
    'null',
    '[]',
    '{"metric":"a","value":1}',
    '{"metric":"a","peer":"b"}',
    '{"metric":"a","peer":"b","value":"1"}',
    '{"metric":"a","peer":"b","value":null}',
    '{"metric":"a","peer":"b","value":1,"nodes":"256"}',
    '{"metric":"a","peer":"b","value":1,"note":7}',
  ])('is no measurement: %s', (line) => {
    expect(parseMeasurement(line)).toBeUndefined()
  })

  it('takes the median of an odd and of an even number of values', () => {
    expect(median([9, 1, 5])).toBe(5)
    expect(median([9, 1, 5, 7])).toBe(6)
    expect(median([])).toBeNaN()
  })

  it('takes quantiles by nearest rank', () => {
    const values = Array.from({ length: 20 }, (_, index) => 20 - index)
    expect(quantile(values, 0.5)).toBe(10)
    expect(quantile(values, 0.95)).toBe(19)
    expect(quantile(values, 1)).toBe(20)
    expect(quantile([4], 0.95)).toBe(4)
    expect(quantile([], 0.5)).toBeNaN()
  })

  it('takes the repeats of one figure together, and nothing else', () => {
    const summaries = summarise([
      { ...figure, value: 3 },
      { ...figure, value: 9 },
      { ...figure, value: 4 },
      { ...figure, value: 7, nodes: 32 },
      { ...figure, value: 8, peer: 'hyperdht' },
    ])
    expect(
      summaries.map(({ peer, nodes, value, least, most, repeats }) => [peer, nodes, value, least, most, repeats]),
    ).toEqual([
      ['miaou', 256, 4, 3, 9, 3],
      ['miaou', 32, 7, 7, 7, 1],
      ['hyperdht', 256, 8, 8, 8, 1],
    ])
  })
})

describe('goals', () => {
  function outcomeOf(summaries: readonly Summary[], metric: string) {
    return judge(summaries).find(({ goal }) => goal.metric === metric)
  }

  it('compares with the best rival of as many nodes; more is worse where the goal is a most', () => {
    const metric = 'warm-put-p50-ms'
    const outcome = outcomeOf(
      [
        summaryOf({ metric, value: 2, nodes: 256 }),
        summaryOf({ metric, value: 6, nodes: 256, peer: 'slow' }),
        summaryOf({ metric, value: 5, nodes: 256, peer: 'quick' }),
        summaryOf({ metric, value: 1, nodes: 32, peer: 'small' }),
      ],
      metric,
    )
    expect(outcome?.rival?.peer).toBe('quick')
    expect(outcome?.ratio).toBe(2.5)
    expect(outcome?.isMet).toBe(true)
  })

  it('more is better where the goal is a least', () => {
    const metric = 'table-adds-per-s'
    const outcome = outcomeOf(
      [summaryOf({ metric, value: 1e6 }), summaryOf({ metric, value: 4e6, peer: 'quick' })],
      metric,
    )
    expect(outcome?.ratio).toBe(0.25)
    expect(outcome?.isMet).toBe(false)
  })

  it('is met at the bound itself', () => {
    expect(outcomeOf([summaryOf({ value: 4 })], 'warm-put-p50-ms')?.isMet).toBe(true)
    expect(outcomeOf([summaryOf({ value: 4.01 })], 'warm-put-p50-ms')?.isMet).toBe(false)
  })

  it('says nothing about what was not measured', () => {
    const outcome = outcomeOf([], 'warm-put-p50-ms')
    expect(outcome).toMatchObject({ own: undefined, rival: undefined, ratio: undefined, isMet: undefined })
  })

  it('judges only the sections that were asked for', () => {
    expect(judge([], ['micro']).map(({ goal }) => goal.section)).toEqual(['micro', 'micro'])
  })
})

describe('table', () => {
  it('shows goal, both figures with their spread, ratio and verdict', () => {
    const own = summaryOf({ value: 3, least: 2.5, most: 3.5, repeats: 3, nodes: 256 })
    const rival = summaryOf({ value: 6, peer: 'hyperdht 6', nodes: 256 })
    const line = renderGoals(judge([own, rival], ['dht']))
      .split('\n')
      .find((each) => each.includes('put p50'))
    expect(line?.split('|').map((cell) => cell.trim())).toEqual([
      '',
      'put p50, warm',
      '≤ 4 ms',
      '3.00 (2.50–3.50)',
      '6.00: hyperdht 6, N 256',
      '× 2.00',
      'yes',
      '',
    ])
  })

  it('says so where a goal is missed or was not measured', () => {
    const text = renderGoals(judge([summaryOf({ value: 5 })], ['dht']))
    expect(text).toMatch(/put p50, warm .* NO +\|/)
    expect(text).toMatch(/get p50, warm .*not measured/)
  })

  it('has a column for each contender, ours first, and names another number of nodes', () => {
    const text = renderFigures([
      summaryOf({ peer: 'libp2p', value: 150, nodes: 32 }),
      summaryOf({ value: 3, nodes: 256 }),
    ])
    const rows = text.split('\n').map((line) => line.split('|').map((cell) => cell.trim()))
    expect(rows[0]).toEqual(['', 'figure, N 256', 'miaou', 'libp2p', ''])
    expect(rows[2]).toEqual(['', 'warm-put-p50-ms', '3.00', '150 [N 32]', ''])
  })

  it('tells figures apart whatever their size', () => {
    expect([0, 0.1234, 1.234, 12.34, 123.4, 1234.5].map(formatFree)).toEqual([
      '0',
      '0.123',
      '1.23',
      '12.3',
      '123',
      '1,235',
    ])
  })

  it('lists notes', () => {
    expect(renderNotes([summaryOf({}), summaryOf({ note: 'cold', nodes: 8 })])).toBe(
      '- warm-put-p50-ms, miaou, N 8: cold',
    )
  })
})

describe('plan', () => {
  const options = {
    nodes: 256,
    seed: 7,
    isShort: false,
    sections: ['dht', 'gossip', 'micro', 'floor'],
    withRivals: true,
  } as const

  it('runs no rival that was not asked for', () => {
    expect(planRound({ ...options, withRivals: false }).filter(({ isRival }) => isRival)).toEqual([])
    expect(planRound(options).filter(({ isRival }) => isRival)).not.toEqual([])
  })

  it('runs only the sections that were asked for', () => {
    expect(new Set(planRound({ ...options, sections: ['dht'] }).map(({ section }) => section))).toEqual(
      new Set(['dht']),
    )
  })

  it('gives every contender the same seed, and libp2p fewer nodes', () => {
    const scenarios = planRound(options).filter(({ program }) => program.endsWith('dht.ts'))
    const flagOf = (flags: readonly string[], name: string) => flags[flags.indexOf(name) + 1]
    expect(scenarios.map(({ flags }) => [flagOf(flags, '--peer'), flagOf(flags, '--nodes')])).toEqual([
      ['miaou', '256'],
      ['miaou', '256'],
      ['hyperdht', '256'],
      ['bittorrent-dht', '256'],
      ['libp2p-kad-dht', '32'],
    ])
    expect(new Set(scenarios.map(({ flags }) => flagOf(flags, '--seed')))).toEqual(new Set(['7']))
  })
})

describe('seeded draws', () => {
  it('repeat with the seed and differ with another', () => {
    const draws = (seed: number) => Array.from({ length: 5 }, seeded(seed))
    expect(draws(7)).toEqual(draws(7))
    expect(draws(7)).not.toEqual(draws(8))
    expect(draws(7).every((value) => value >= 0 && value < 1)).toBe(true)
  })

  it('takes each of a sample once', () => {
    const all = Array.from({ length: 10 }, (_, index) => index)
    expect(sample(seeded(1), all, 10).toSorted((a, b) => a - b)).toEqual(all)
    expect(sample(seeded(1), all, 20)).toHaveLength(10)
    expect(() => pick(seeded(1), [])).toThrow('nothing to pick from')
  })
})

describe('tally', () => {
  it('counts what was done, what failed and why', async () => {
    const tally = new Tally()
    await tally.take(Promise.resolve(2), 60_000)
    await tally.take(Promise.reject(new Error('not found')), 60_000)
    await tally.take(Promise.reject(new Error('later')), 60_000)
    expect(tally).toMatchObject({ asked: 3, done: 1, ms: [2], fault: 'not found' })
  })

  it('gives up after the limit', async () => {
    const tally = new Tally()
    await tally.take(new Promise(() => undefined), 1)
    expect(tally).toMatchObject({ asked: 1, done: 0, fault: 'no answer within 1 ms' })
  })
})

/** A network of maps: node 3 loses what it is given, the dead never answer. */
class FakeNetwork implements DhtNetwork {
  readonly peer = 'fake'
  readonly stored = new Map<string, Uint8Array>()
  readonly log: string[] = []
  sent = 0
  requests = () => this.sent
  put = async (index: number, value: Uint8Array) => {
    this.sent += 10
    this.log.push(`put ${index}`)
    const key = Buffer.from(value).toString('hex')
    if (index !== 3) this.stored.set(key, value)
    return key
  }
  get = async (index: number, key: unknown) => {
    this.sent += 2
    this.log.push(`get ${index}`)
    return typeof key === 'string' ? this.stored.get(key) : undefined
  }
  kill = async (index: number) => {
    this.log.push(`kill ${index}`)
  }
}

describe('scenario', () => {
  const options = { ...defaultScenarioOptions, nodes: 10, puts: 30, gets: 60 }

  async function runScenario(network: DhtNetwork): Promise<Map<string, Measurement>> {
    const measurements = await new DhtScenario(network, options).run(0)
    return new Map(measurements.map((each) => [each.metric, each]))
  }

  it('counts requests and failures of each phase', async () => {
    globalThis.gc ??= (() => undefined) as NonNullable<typeof globalThis.gc>
    const found = await runScenario(new FakeNetwork())
    expect(found.get('first-put-requests')?.value).toBe(10)
    expect(found.get('warm-get-requests')?.value).toBe(2)
    expect(found.get('dead-put-success')).toMatchObject({ value: 1, samples: 10 })
    expect(found.get('dead-get-success')?.samples).toBe(20 + 20)
    const first = found.get('first-get-success')
    expect(first?.value).toBeLessThan(1)
    expect(first?.note).toMatch(/failed: not found/)
    expect(found.has('cold-put-p50-ms')).toBe(false)
  })

  it('lets nobody ask who is dead, spares node 0, and does the same for the same seed', async () => {
    const [one, other] = [new FakeNetwork(), new FakeNetwork()]
    await runScenario(one)
    await runScenario(other)
    expect(one.log).toEqual(other.log)
    const dead = one.log.filter((line) => line.startsWith('kill')).map((line) => line.slice(5))
    expect(dead).toHaveLength(2)
    expect(dead).not.toContain('0')
    const after = one.log.slice(one.log.findLastIndex((line) => line.startsWith('kill')) + 1)
    expect(after.filter((line) => dead.includes(line.slice(4)))).toEqual([])
  })

  it('warms those that keep sessions for the puts to come', async () => {
    const network = new FakeNetwork()
    const touched: number[] = []
    const touch = async (index: number) => {
      touched.push(index)
    }
    await runScenario(Object.assign(network, { touch }))
    const puts = network.log.filter((line) => line.startsWith('put'))
    // Thirty first ones, then thirty that were walked to before, and ten with dead nodes.
    expect(puts.slice(30, 60)).toEqual(touched.slice(0, 30).map((index) => `put ${index}`))
    expect(puts.slice(60)).toEqual(touched.slice(30, 40).map((index) => `put ${index}`))
  })

  it('lets a node forget before each cold operation', async () => {
    const network = new FakeNetwork()
    const forgot: string[] = []
    const forget = async (index: number) => {
      forgot.push(`${network.log.length} ${index}`)
    }
    const measurements = await new DhtScenario(Object.assign(network, { forget }), options).runCold()
    expect(forgot).toEqual(network.log.map((line, at) => `${at} ${line.slice(4)}`))
    expect(measurements.find(({ metric }) => metric === 'cold-put-success')?.samples).toBe(10)
    expect(await new DhtScenario(new FakeNetwork(), options).runCold()).toEqual([])
  })

  it('counts a put by its answer, and waits for what it still asks', async () => {
    const network = new FakeNetwork()
    const settle = async () => {
      network.log.push('settled')
    }
    const measurements = await new DhtScenario(Object.assign(network, { settle }), options).run(0)
    expect(network.log.slice(0, 2)).toEqual([expect.stringMatching(/^put/), 'settled'])
    expect(measurements.find(({ metric }) => metric === 'first-put-all-asked-p50-ms')?.samples).toBe(30)
  })
})
