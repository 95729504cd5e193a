import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import type { LabResult } from './tests/lab-test.ts'

/** Program and arguments that run another program in namespaces of its own: network, mounts, process ids. */
export function isolated(...command: readonly string[]): readonly string[] {
  // Without root a user namespace gives the rights, where the system allows one.
  const asRoot = process.getuid?.() === 0 ? [] : ['--user', '--map-root-user']
  return ['unshare', ...asRoot, '--net', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc', ...command]
}

/** A lab in a process of its own, with everything it starts: when it ends, nothing of it is left. */
export class LabProcess {
  readonly #child: ChildProcess
  readonly #ended: Promise<string>
  #onMessage: (message: unknown) => void = () => undefined

  private constructor(isLong: boolean) {
    const [program = '', ...words] = isolated(
      process.execPath,
      join(import.meta.dirname, 'inside.ts'),
      ...(isLong ? ['--long'] : []),
    )
    const child = spawn(program, words, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
    this.#child = child
    child.on('message', (message) => this.#onMessage(message))
    this.#ended = new Promise((resolve) => {
      child.once('error', (error) => resolve(error.message))
      child.once('exit', (code, signal) => resolve(`the lab ended with ${signal ?? code}`))
    })
  }

  static async start(isLong: boolean): Promise<LabProcess> {
    const lab = new LabProcess(isLong)
    await lab.#answer()
    return lab
  }

  /** Runs a test; rejects when the lab itself breaks. */
  async run(name: string): Promise<LabResult> {
    const answer = this.#answer()
    this.#child.send(name)
    return (await answer) as LabResult
  }

  async end(): Promise<void> {
    if (this.#child.connected) this.#child.send('end')
    // What hangs is ended with all its processes: guess, a daemon that is killed needs no second.
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), 10_000)
    await this.#ended
    clearTimeout(timer)
  }

  #answer(): Promise<unknown> {
    return Promise.race([
      new Promise((resolve) => {
        this.#onMessage = resolve
      }),
      this.#ended.then((why) => Promise.reject(new Error(why))),
    ])
  }
}
