import { type ChildProcess, spawn } from 'node:child_process'
import { bin, cleanEnvironment, confine } from './environment.ts'
import { until } from './until.ts'

export interface CommandResult {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

export interface CommandOptions {
  /** Laid over the clean one; an undefined value takes a variable away. */
  readonly environment?: NodeJS.ProcessEnv
  /** What the command reads; without it its input is at its end. */
  readonly input?: string
  /** Program and arguments that run the command in their turn, such as `unshare -m`. */
  readonly wrapper?: readonly string[]
}

/** A `miaou` with arguments, in a process of its own. */
export class RunningCommand {
  /** Settles when the process has ended and all it said is here. */
  readonly ended: Promise<CommandResult>
  readonly #child: ChildProcess
  #stdout = ''
  #stderr = ''
  #hasEnded = false

  constructor(home: string, args: readonly string[], options: CommandOptions = {}) {
    confine(home)
    const [program = process.execPath, ...words] = [...(options.wrapper ?? []), process.execPath, bin, ...args]
    const child = spawn(program, words, {
      env: { ...cleanEnvironment(home), ...options.environment },
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    this.#child = child
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      this.#stdout += chunk
    })
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      this.#stderr += chunk
    })
    // A command that reads nothing may be gone before its input is written.
    child.stdin.on('error', () => undefined)
    child.stdin.end(options.input ?? '')
    this.ended = new Promise((resolve, reject) => {
      child.on('error', reject)
      child.on('close', (code, signal) => {
        this.#hasEnded = true
        resolve({ code, signal, stdout: this.#stdout, stderr: this.#stderr })
      })
    })
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  get stdout(): string {
    return this.#stdout
  }

  get stderr(): string {
    return this.#stderr
  }

  get hasEnded(): boolean {
    return this.#hasEnded
  }

  /** Waits until stdout has a match; rejects when the process ends without. */
  async said(pattern: RegExp, withinMs = 60_000): Promise<RegExpExecArray> {
    try {
      return await until(
        `${pattern} in what miaou says`,
        () => {
          const match = pattern.exec(this.#stdout)
          if (match === null && this.#hasEnded) throw new Error(`miaou ended without ${pattern}`)
          return match ?? undefined
        },
        { withinMs },
      )
    } catch (cause) {
      throw new Error(`${cause instanceof Error ? cause.message : cause}: ${this.#stdout}${this.#stderr}`, { cause })
    }
  }

  kill(signal: NodeJS.Signals): Promise<CommandResult> {
    this.#child.kill(signal)
    return this.ended
  }
}

/** Runs `miaou` with arguments to its end. */
export function runMiaou(home: string, args: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
  return new RunningCommand(home, args, options).ended
}
