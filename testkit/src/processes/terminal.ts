import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { stripVTControlCharacters } from 'node:util'
import { bin, cleanEnvironment, confine } from './environment.ts'
import { descendants } from './process-tree.ts'
import { until } from './until.ts'

/** Whether this machine has `script` (util-linux), which gives a program a pseudo terminal. */
export function hasPseudoTerminals(): boolean {
  return spawnSync('script', ['--version']).status === 0
}

export interface TerminalOptions {
  readonly columns?: number
  readonly rows?: number
  readonly environment?: NodeJS.ProcessEnv
}

/** `miaou` on a pseudo terminal, with somebody who types. */
export class Terminal {
  /** Settles to the exit code of `miaou`. */
  readonly ended: Promise<number | null>
  readonly #child: ChildProcess
  #raw = ''
  #readTo = 0
  #hasEnded = false

  constructor(home: string, args: readonly string[], options: TerminalOptions = {}) {
    confine(home)
    const { columns = 80, rows = 50 } = options
    const words = [process.execPath, bin, ...args].map((word) => `'${word}'`).join(' ')
    // `script` itself has no terminal here, hence the size by hand; exec, so that the shell is not in between.
    const command = `stty cols ${columns} rows ${rows} && exec ${words}`
    const { NO_COLOR: _, ...environment } = cleanEnvironment(home)
    const child = spawn('script', ['-q', '-e', '-f', '-c', command, '/dev/null'], {
      env: { ...environment, TERM: 'xterm-256color', SHELL: '/bin/sh', ...options.environment },
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    this.#child = child
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      this.#raw += chunk
    })
    child.stdin.on('error', () => undefined)
    this.ended = new Promise((resolve, reject) => {
      child.on('error', reject)
      child.on('close', (code) => {
        this.#hasEnded = true
        resolve(code)
      })
    })
  }

  /** Everything that appeared, with the control sequences. */
  get raw(): string {
    return this.#raw
  }

  /** Everything that appeared, as text; what was typed over is still in it. */
  get text(): string {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: a sequence of which the rest is still to come
    return stripVTControlCharacters(this.#raw.replace(/\u001b(\[[\d;?]*)?$/, '')).replaceAll('\r', '')
  }

  /** Waits for a match in what has appeared since the last match. */
  async shows(pattern: RegExp, withinMs = 60_000): Promise<RegExpExecArray> {
    return until(
      `${pattern} on the terminal`,
      () => {
        const match = pattern.exec(this.text.slice(this.#readTo))
        if (match !== null) {
          this.#readTo += match.index + match[0].length
          return match
        }
        if (this.#hasEnded) throw new Error(`it ended without ${pattern}:\n${this.text}`)
        return undefined
      },
      { withinMs },
    ).catch((cause: unknown) => {
      throw new Error(`${cause instanceof Error ? cause.message : cause}\n${this.text}`, { cause })
    })
  }

  /** Types a line and Enter. */
  type(line: string): void {
    this.press(`${line}\r`)
  }

  press(keys: string): void {
    this.#child.stdin?.write(keys)
  }

  /** The process of `miaou` itself. */
  get pid(): number | undefined {
    return descendants(this.#child.pid ?? 0).find(({ command }) => command.includes(bin))?.pid
  }

  /** The window is closed: the program loses its terminal. */
  hangUp(): void {
    this.#child.kill('SIGKILL')
  }

  async end(): Promise<void> {
    const { pid } = this
    if (pid !== undefined && !this.#hasEnded) process.kill(pid, 'SIGKILL')
    this.#child.kill('SIGKILL')
    await this.ended
  }
}
