import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Figure } from '../figure.ts'

/** After this the bench of the relay hangs, ms: guess, several times what it takes on two cores. */
const relayMsMax = 900_000

/** The figure on a line of a bench's output; undefined where the line is something else. */
export function parseFigure(line: string): Figure | undefined {
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch {
    return undefined
  }
  if (typeof value !== 'object' || value === null) return undefined
  const found = value as Partial<Record<keyof Figure, unknown>>
  if (typeof found.name !== 'string' || typeof found.unit !== 'string') return undefined
  if (!Number.isFinite(found.value)) return undefined
  return value as Figure
}

/** The bench of the relay by itself (bench/src/relay); false when it failed. */
export async function runRelay(isShort: boolean, onFigure: (figure: Figure) => void): Promise<boolean> {
  const flags = isShort ? ['--short'] : []
  const child = spawn(process.execPath, [join(import.meta.dirname, '..', 'relay', 'main.ts'), ...flags], {
    stdio: ['ignore', 'pipe', 'inherit'],
    // A group of its own: what hangs is ended with the processes it started.
    detached: true,
  })
  let figures = 0
  createInterface({ input: child.stdout }).on('line', (line) => {
    const figure = parseFigure(line)
    if (figure === undefined) {
      process.stderr.write(`${line}\n`)
      return
    }
    figures += 1
    process.stderr.write(`${figure.name} … ${figure.value} ${figure.unit}\n`)
    onFigure(figure)
  })
  const timer = setTimeout(() => {
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
  }, relayMsMax)
  return new Promise((resolve) => {
    child.on('error', ({ message }) => process.stderr.write(`relay: ${message}\n`))
    child.on('close', (code) => {
      clearTimeout(timer)
      resolve(code === 0 && figures > 0)
    })
  })
}
