/**
 * `npm run bench`: every bench in a process of its own, one after the other. Standard output holds their JSON lines and
 * nothing else; progress and errors go to standard error. Ends with 1 when a bench failed, with 2 when it was called wrongly.
 * `--only NAME` (may be given several times), `--short`: tiny counts, to see that every bench still runs.
 */
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'
import { benches } from './benches.ts'

const { values: flags } = parseArgs({
  options: { short: { type: 'boolean', default: false }, only: { type: 'string', multiple: true, default: [] } },
})

function isJsonObject(line: string): boolean {
  try {
    const value: unknown = JSON.parse(line)
    return typeof value === 'object' && value !== null
  } catch {
    return false
  }
}

/** Runs one bench to its end; false when it failed, said nothing, or said something that is no figure. */
function run(name: string, flagsOfBench: readonly string[], timeoutMs: number): Promise<boolean> {
  const child = spawn(process.execPath, [join(import.meta.dirname, `${name}.ts`), ...flagsOfBench], {
    stdio: ['ignore', 'pipe', 'inherit'],
    // A group of its own: a bench that hangs is ended with the processes it started.
    detached: true,
  })
  let figures = 0
  let strange = 0
  createInterface({ input: child.stdout }).on('line', (line) => {
    if (isJsonObject(line)) {
      figures += 1
      process.stdout.write(`${line}\n`)
    } else {
      strange += 1
      process.stderr.write(`${name}: not a figure: ${line}\n`)
    }
  })
  const end = (): void => {
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
  }
  const timer = setTimeout(() => {
    process.stderr.write(`${name}: no end after ${timeoutMs / 1000} s\n`)
    end()
  }, timeoutMs)
  return new Promise((resolve) => {
    child.on('error', (cause) => process.stderr.write(`${name}: ${cause.message}\n`))
    child.on('close', (code) => {
      clearTimeout(timer)
      resolve(code === 0 && figures > 0 && strange === 0)
    })
  })
}

const unknown = flags.only.filter((name) => !benches.some((bench) => bench.name === name))
if (unknown.length > 0) {
  const names = benches.map(({ name }) => name).join(', ')
  process.stderr.write(`There is no bench ${unknown.join(', ')}. The benches are: ${names}.\n`)
  process.exit(2)
}

const failed: string[] = []
for (const bench of benches) {
  if (flags.only.length > 0 && !flags.only.includes(bench.name)) continue
  const startedAt = performance.now()
  process.stderr.write(`${bench.name} …\n`)
  const ended = await run(bench.name, flags.short ? bench.short : [], flags.short ? 60_000 : bench.timeoutMs)
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1)
  process.stderr.write(`${bench.name}: ${ended ? 'done' : 'FAILED'} in ${seconds} s\n`)
  if (!ended) failed.push(bench.name)
}
if (failed.length > 0) process.stderr.write(`Failed: ${failed.join(', ')}\n`)
process.exitCode = failed.length === 0 ? 0 : 1
