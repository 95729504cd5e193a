import { spawn } from 'node:child_process'
import { delimiter, join } from 'node:path'

export const root: string = join(import.meta.dirname, '../..')

/** One part of a check or test run: a program whose exit code tells whether it passed. */
export interface Part {
  readonly name: string
  /** Program and arguments; a name from node_modules/.bin works. */
  readonly command: readonly string[]
  readonly env?: Readonly<Record<string, string>>
}

/** A part that hangs is ended, so that the others still run. Guess: four times what the slowest takes on two cores. */
const timeoutMs = 20 * 60_000

export interface PartResult {
  readonly name: string
  readonly passed: boolean
  readonly seconds: number
  /** Exit code, or the signal that ended it. */
  readonly ending: string
}

/** Puts the project's own Node and tools first, for scripts that are not started by npm. */
export function projectEnv(extra: Readonly<Record<string, string>> = {}): NodeJS.ProcessEnv {
  const bins = [join(root, 'node_modules', 'node', 'bin'), join(root, 'node_modules', '.bin')]
  return { ...process.env, ...extra, PATH: [...bins, process.env['PATH'] ?? ''].join(delimiter) }
}

/** Runs one part with its output shown as it comes, and no input. */
export async function runPart(part: Part): Promise<PartResult> {
  const started = performance.now()
  const [program = '', ...args] = part.command
  process.stdout.write(`\n── ${part.name}: ${part.command.join(' ')}\n`)
  const ending = await new Promise<string>((resolve) => {
    const child = spawn(program, args, {
      cwd: root,
      env: projectEnv(part.env),
      stdio: ['ignore', 'inherit', 'inherit'],
      shell: process.platform === 'win32',
    })
    let isLate = false
    const timer = setTimeout(() => {
      isLate = true
      child.kill('SIGKILL')
    }, timeoutMs)
    child.once('error', (error) => resolve(error.message))
    child.once('close', (code, signal) =>
      resolve(isLate ? `no end after ${timeoutMs / 60_000} min` : (signal ?? String(code))),
    )
    child.once('exit', () => clearTimeout(timer))
  })
  const seconds = (performance.now() - started) / 1000
  const passed = ending === '0'
  process.stdout.write(`── ${part.name}: ${passed ? 'passed' : `FAILED (${ending})`} in ${seconds.toFixed(1)} s\n`)
  return { name: part.name, passed, seconds, ending }
}

/** Runs every part, also after one has failed: one run shows everything that is wrong. */
export async function runParts(parts: readonly Part[]): Promise<PartResult[]> {
  const results: PartResult[] = []
  for (const part of parts) results.push(await runPart(part))
  return results
}

/** One line a part, aligned. */
export function summarise(results: readonly PartResult[]): string {
  const width = Math.max(...results.map(({ name }) => name.length))
  return results
    .map(
      ({ name, passed, seconds }) =>
        `${name.padEnd(width)}  ${seconds.toFixed(1).padStart(7)} s  ${passed ? 'passed' : 'FAILED'}`,
    )
    .join('\n')
}
