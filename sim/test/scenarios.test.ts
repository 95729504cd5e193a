import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parseOptions, type SimOptions } from '../src/options.ts'
import { silent } from '../src/report/progress.ts'
import { failuresOf } from '../src/report/result.ts'
import { scenarios } from '../src/scenarios/index.ts'
import { type Fault, faults } from '../src/world/faults.ts'

const base: SimOptions = {
  scenario: 'lookup',
  nodes: 200,
  seed: 7,
  lookups: 40,
  paths: undefined,
  dead: undefined,
  evil: undefined,
  loss: undefined,
  minutes: 1,
  plant: undefined,
  json: false,
  out: 'build/sim',
  short: true,
}

function run(name: string, options: Partial<SimOptions> = {}) {
  const scenario = scenarios.find((one) => one.name === name)
  if (scenario === undefined) throw new Error(`no scenario ${name}`)
  return scenario.run({ options: { ...base, ...options, scenario: name }, progress: silent })
}

describe('same seed, same trace', () => {
  // Churn draws on everything: sessions, restarts, clock jumps, adversaries, puts and gets.
  it('twice the same in one process, another for another seed', () => {
    const first = run('churn')
    expect(run('churn')).toEqual(first)
    expect(run('churn', { seed: 8 }).trace).not.toBe(first.trace)
  })

  it('the same in a process of its own', () => {
    const main = join(import.meta.dirname, '../src/main.ts')
    const flags = ['lookup', '--nodes', '200', '--seed', '7', '--lookups', '40', '--json', '--out', 'build/sim/test']
    const { stdout } = spawnSync(process.execPath, [main, ...flags], { encoding: 'utf8' })
    expect(JSON.parse(stdout)).toMatchObject({ type: 'simulation', trace: run('lookup').trace })
  })
})

describe('every scenario', () => {
  it.each(scenarios.map(({ name }) => name))('%s runs small, and no checker finds anything', (name) => {
    const result = run(name, { lookups: 10 })
    expect(result.violations).toEqual([])
    expect(result.cases.length).toBeGreaterThan(0)
    expect(result.events).toBeGreaterThan(0)
  })

  it.each(['lookup', 'durability', 'flood', 'partition'])('[E20] %s reaches its goals on a small network', (name) => {
    expect(failuresOf(run(name, { nodes: 400 }))).toEqual([])
  })
})

describe('planted faults are found', () => {
  const found: Readonly<Record<Fault, readonly [scenario: string, check: string]>> = {
    'overfull-bucket': ['lookup', 'table-bounds'],
    'unproven-contact': ['lookup', 'proven-contacts'],
    'client-contact': ['join', 'client-contacts'],
    'lost-record': ['durability', 'lost-records'],
    'wrong-transaction': ['lookup', 'transactions'],
    'growing-state': ['lookup', 'bounded-state'],
    'opener-flood': ['nat', 'openers'],
    'restricted-server': ['nat', 'restricted-servers'],
  }

  it.each(faults.map((fault) => [fault, ...found[fault]] as const))('%s, in %s, by %s', (fault, scenario, check) => {
    const result = run(scenario, { plant: fault })
    expect(new Set(result.violations.map((violation) => violation.check))).toContain(check)
    expect(failuresOf(result)).not.toEqual([])
  })
})

describe('command line', () => {
  const names = ['lookup', 'gossip']

  it('takes numbers within their ranges and gives defaults to the rest', () => {
    const parsed = parseOptions(['lookup', '--nodes', '500', '--seed=3', '--dead', '0.2', '--json'], names)
    expect(parsed).toMatchObject({ ok: true, value: { nodes: 500, seed: 3, dead: 0.2, json: true, lookups: 2_000 } })
    expect(parseOptions(['all', '--short'], names)).toMatchObject({ ok: true, value: { scenario: 'all', short: true } })
    expect(parseOptions([], names)).toEqual({ ok: true, value: 'help' })
    expect(parseOptions(['lookup', '--help'], names)).toEqual({ ok: true, value: 'help' })
  })

  it.each([
    [['lookup', '--nodes', '31'], /--nodes is a whole number from 32/],
    [['lookup', '--nodes', '3000000'], /to 2000000/],
    [['lookup', '--nodes', '1e3.5'], /--nodes/],
    [['lookup', '--nodes', ''], /--nodes/],
    [['lookup', '--dead', '1'], /--dead is a number from 0 to 0.95/],
    [['lookup', '--paths', '9'], /--paths/],
    [['lookup', '--frobnicate'], /frobnicate/],
    [['surf'], /There is no scenario “surf”.*lookup, gossip/],
    [['lookup', 'gossip'], /One scenario at a time/],
    [['--short'], /Say which scenario/],
  ])('says what is wrong with %j', (args, message) => {
    const parsed = parseOptions(args, names)
    expect(parsed.ok ? '' : parsed.error.message).toMatch(message)
  })
})
