import { directPath, type NatMode, natModes } from '../../../lab/src/net/nat.ts'

/** Two homes: A is dialled by B. */
export interface Pair {
  readonly a: NatMode
  readonly b: NatMode
}

/** How two got to each other, once. */
export interface PairResult extends Pair {
  readonly type: 'pair'
  /** `miaou`, or name and version of a rival. */
  readonly peer: string
  /** Of the repeats, from 0: contenders are compared within one. */
  readonly round: number
  /** How the bytes went in the end, by the meter between the homes. */
  readonly outcome: Outcome
  /** Transport of that path, as the contender calls it. */
  readonly way?: string
  /** Whether a relay carried the first message. */
  readonly isFirstRelayed?: boolean
  /** Ours alone, ms from the dial until both had their first link: what comes after it is the contact and its keys. */
  readonly firstLinkMs?: number
  /** Ms from the dial, both being up, until the first message has arrived. */
  readonly firstMessageMs?: number
  /** Ms from the dial until both have the best path they got to. */
  readonly bestPathMs?: number
  /** Why there was no connection. */
  readonly fault?: string
}

const outcomes = ['direct', 'relayed', 'no connection'] as const
export type Outcome = (typeof outcomes)[number]

/** The pairs of every run; `--long` takes all 36. */
export const shortPairs: readonly Pair[] = [
  { a: 'none', b: 'none' },
  { a: 'full', b: 'full' },
  { a: 'addr', b: 'addr' },
  { a: 'port', b: 'port' },
  { a: 'port', b: 'sym' },
  { a: 'sym', b: 'sym' },
  { a: 'noudp', b: 'noudp' },
]

export const allPairs: readonly Pair[] = natModes.flatMap((a) => natModes.map((b) => ({ a, b })))

export function nameOfPair({ a, b }: Pair): string {
  return `${a}–${b}`
}

/** The pair of a name, with a hyphen or a dash; undefined where it names none. */
export function parsePair(name: string): Pair | undefined {
  return allPairs.find((pair) => nameOfPair(pair) === name.replace('-', '–'))
}

/** Whether the NATs allow UDP between the two homes, so that a direct path is expected. */
export function canBeDirect({ a, b }: Pair): boolean {
  return directPath(a, b) === 'udp'
}

function isOf<T extends string>(values: readonly T[], value: unknown): value is T {
  return values.some((each) => each === value)
}

const isOptional = (value: unknown, type: 'string' | 'boolean' | 'number'): boolean =>
  value === undefined || (type === 'number' ? Number.isFinite(value) : typeof value === type)

/** What a process said, as a result; undefined where it is something else. */
export function parsePairResult(value: unknown): PairResult | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const found = value as Partial<Record<keyof PairResult, unknown>>
  if (found.type !== 'pair' || typeof found.peer !== 'string' || !Number.isInteger(found.round)) return undefined
  if (!isOf(natModes, found.a) || !isOf(natModes, found.b) || !isOf(outcomes, found.outcome)) return undefined
  const isWhole =
    isOptional(found.way, 'string') &&
    isOptional(found.fault, 'string') &&
    isOptional(found.isFirstRelayed, 'boolean') &&
    isOptional(found.firstLinkMs, 'number') &&
    isOptional(found.firstMessageMs, 'number') &&
    isOptional(found.bestPathMs, 'number')
  return isWhole ? (value as PairResult) : undefined
}
