import { Violation } from './ledger.ts'
import type { PlantedFault } from './planted.ts'
import { Schedule, type ScheduleStats } from './schedule.ts'

/** Steps of one schedule. Own choice: more schedules find more than longer ones do. */
export const defaultSteps = 60

export interface Finding {
  readonly seed: number
  readonly rule: string
}

export interface Batch {
  /** First seed, how many, and how far apart: several processes share a range. */
  readonly first: number
  readonly count: number
  readonly stride: number
  readonly steps: number
  readonly fault?: PlantedFault | undefined
}

export interface BatchResult {
  readonly schedules: number
  /** Sums over all schedules that held. */
  readonly stats: ScheduleStats
  readonly findings: readonly Finding[]
}

export function emptyStats(): ScheduleStats {
  return { accepted: 0, crashes: 0, full: 0, jumps: 0, restores: 0, wipes: 0, frames: 0, requests: 0, calmHours: 0 }
}

export function addStats(sum: ScheduleStats, more: ScheduleStats): void {
  for (const name of Object.keys(sum) as (keyof ScheduleStats)[]) sum[name] += more[name]
}

/** One schedule: what happened in it, or what it found. An engine that throws is a finding too. */
export function runOne(seed: number, steps: number, fault?: PlantedFault): ScheduleStats | Finding {
  try {
    return new Schedule({ seed, steps, fault }).run()
  } catch (thrown) {
    const detail = thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown)
    return { seed, rule: thrown instanceof Violation ? thrown.message : detail }
  }
}

/** `tell`: after each schedule; returns whether to go on. */
export function runBatch(
  { first, count, stride, steps, fault }: Batch,
  tell: (schedules: number, found: Finding | undefined) => boolean = () => true,
): BatchResult {
  const stats = emptyStats()
  const findings: Finding[] = []
  let schedules = 0
  for (let index = 0; index < count; index++) {
    const result = runOne(first + index * stride, steps, fault)
    schedules += 1
    const found = 'rule' in result ? result : undefined
    if (found) findings.push(found)
    if (!('rule' in result)) addStats(stats, result)
    if (!tell(schedules, found)) break
  }
  return { schedules, stats, findings }
}
