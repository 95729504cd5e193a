import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { type Measurement, parseMeasurement } from './measurement.ts'
import type { Job } from './plan.ts'

/** What a process printed; `fault` says in one sentence why its figures are not whole. */
export interface JobResult {
  readonly measurements: readonly Measurement[]
  readonly fault: string | undefined
}

/** Runs one process to its end. What is no measurement, and what it says on standard error, goes to standard error. */
export function runJob(job: Job): Promise<JobResult> {
  const child = spawn(process.execPath, ['--expose-gc', job.program, ...job.flags], {
    stdio: ['ignore', 'pipe', 'inherit'],
    // A group of its own: what hangs is ended with the processes it started.
    detached: true,
  })
  const measurements: Measurement[] = []
  createInterface({ input: child.stdout }).on('line', (line) => {
    const measurement = parseMeasurement(line)
    if (measurement === undefined) process.stderr.write(`${line}\n`)
    else measurements.push(measurement)
  })
  let isLate = false
  const timer = setTimeout(() => {
    isLate = true
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
  }, job.timeoutMs)
  return new Promise((resolve) => {
    child.on('error', ({ message }) => resolve({ measurements, fault: `it did not start: ${message}` }))
    child.on('close', (code) => {
      clearTimeout(timer)
      resolve({ measurements, fault: faultOf(job, isLate, code, measurements.length) })
    })
  })
}

function faultOf(job: Job, isLate: boolean, code: number | null, count: number): string | undefined {
  if (isLate) return `no end after ${job.timeoutMs / 1000} s`
  if (code !== 0) return `it ended with ${code ?? 'a signal'}`
  return count === 0 ? 'it printed no measurement' : undefined
}
