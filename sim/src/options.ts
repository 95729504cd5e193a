import { parseArgs } from 'node:util'
import { err, ok, type Result } from '@miaou/core'

/** What a run is asked for. Not every scenario uses every field; `--help` says which. */
export interface SimOptions {
  readonly scenario: string
  readonly nodes: number
  readonly seed: number
  /** Operations measured. */
  readonly lookups: number
  /** Disjoint paths, undefined for the scenario's own list. */
  readonly paths: number | undefined
  /** Share of nodes killed. */
  readonly dead: number | undefined
  /** Share of adversaries. */
  readonly evil: number | undefined
  /** Share of datagrams lost. */
  readonly loss: number | undefined
  /** Virtual minutes of the part that is measured. */
  readonly minutes: number | undefined
  /** Fault planted into the engines, for the checkers. */
  readonly plant: string | undefined
  readonly json: boolean
  /** Folder of the CSV and SVG files. */
  readonly out: string
  readonly short: boolean
}

export interface UsageError {
  readonly type: 'usage'
  readonly message: string
}

/** Bounds of the numbers: what the kernel can hold, or what has a meaning. */
const ranges = {
  nodes: [32, 2_000_000],
  seed: [0, Number.MAX_SAFE_INTEGER],
  lookups: [1, 10_000_000],
  paths: [1, 8],
  dead: [0, 0.95],
  evil: [0, 0.95],
  loss: [0, 0.5],
  minutes: [1, 100_000],
} as const

type NumberName = keyof typeof ranges

const whole: readonly string[] = ['nodes', 'seed', 'lookups', 'paths']

/** The command line; `help` when it was asked for or nothing was said. */
export function parseOptions(
  args: readonly string[],
  scenarios: readonly string[],
): Result<SimOptions | 'help', UsageError> {
  let parsed: ReturnType<typeof parse>
  try {
    parsed = parse(args)
  } catch (error) {
    return usage(error instanceof Error ? error.message : `${error}`)
  }
  const { values, positionals } = parsed
  const [scenario, ...rest] = positionals
  if (values.help || (scenario === undefined && args.length === 0)) return ok('help')
  if (scenario === undefined) return usage('Say which scenario.')
  if (rest.length > 0) return usage(`One scenario at a time: “${rest.join(' ')}” is too much.`)
  if (scenario !== 'all' && !scenarios.includes(scenario)) {
    return usage(`There is no scenario “${scenario}”. There are: ${scenarios.join(', ')}, all.`)
  }
  const numbers = new Map<NumberName, number>()
  for (const name of Object.keys(ranges) as NumberName[]) {
    const text = values[name]
    if (text === undefined) continue
    const number = readNumber(name, text)
    if (!number.ok) return number
    numbers.set(name, number.value)
  }
  return ok({
    scenario,
    nodes: numbers.get('nodes') ?? (values.short ? 500 : 10_000),
    seed: numbers.get('seed') ?? 1,
    lookups: numbers.get('lookups') ?? (values.short ? 200 : 2_000),
    paths: numbers.get('paths'),
    dead: numbers.get('dead'),
    evil: numbers.get('evil'),
    loss: numbers.get('loss'),
    minutes: numbers.get('minutes'),
    plant: values.plant,
    json: values.json,
    out: values.out,
    short: values.short,
  })
}

function parse(args: readonly string[]) {
  const text = { type: 'string' } as const
  const flag = { type: 'boolean', default: false } as const
  return parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      nodes: text,
      seed: text,
      lookups: text,
      paths: text,
      dead: text,
      evil: text,
      loss: text,
      minutes: text,
      plant: text,
      out: { type: 'string', default: 'build/sim' },
      json: flag,
      short: flag,
      help: { ...flag, short: 'h' },
    },
  })
}

function readNumber(name: NumberName, text: string): Result<number, UsageError> {
  const [least, most] = ranges[name]
  const number = Number(text)
  const isRight = text.trim() !== '' && number >= least && number <= most
  if (isRight && (!whole.includes(name) || Number.isSafeInteger(number))) return ok(number)
  const kind = whole.includes(name) ? 'a whole number' : 'a number'
  return usage(`--${name} is ${kind} from ${least} to ${most}, not “${text}”.`)
}

function usage(message: string): Result<never, UsageError> {
  return err({ type: 'usage', message })
}
