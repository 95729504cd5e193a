import { type ChildProcess, fork } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'

/** The processes below `pid`, itself first. Linux only, as is all that reads /proc here. */
export function processTree(pid: number): number[] {
  const children = readdirSync(`/proc/${pid}/task`).flatMap((task) =>
    readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number),
  )
  return [pid, ...children.flatMap(processTree)]
}

/** CPU time used so far by these processes, ms (clock ticks of 10 ms). */
export function cpuMsOf(pids: readonly number[]): number {
  return pids
    .map((pid) => {
      const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
      return (Number(fields[11]) + Number(fields[12])) * 10
    })
    .reduce((sum, value) => sum + value, 0)
}

/** Proportional set size of a process and those below it, MB. */
export function pssMbOf(pid: number): number {
  const kib = processTree(pid).map((each) =>
    Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${each}/smaps_rollup`, 'utf8'))?.[1]),
  )
  return kib.reduce((sum, value) => sum + value, 0) / 1024
}

/** A program of this folder in a process of its own, told and heard over its IPC channel. */
export class Remote<To extends object, From extends { readonly type: string }> {
  readonly #child: ChildProcess
  readonly #inbox: From[] = []
  readonly #ended: Promise<number | null>
  /** Those who wait for a message, of whatever type. */
  #waiting: (() => void)[] = []
  #isEnded = false

  /** `nodeFlags`: of the process, such as `--expose-gc`. */
  constructor(program: string, args: readonly string[], nodeFlags: readonly string[] = []) {
    this.#child = fork(new URL(program, import.meta.url), [...args], { execArgv: [...process.execArgv, ...nodeFlags] })
    this.#child.on('message', (message: From) => {
      this.#inbox.push(message)
      this.#wake()
    })
    this.#ended = new Promise((resolve) => {
      this.#child.on('exit', (code) => {
        this.#isEnded = true
        this.#wake()
        resolve(code)
      })
    })
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  tell(message: To): void {
    this.#child.send(message)
  }

  /** The next message of this type; fails when the process ends before it. */
  async hear<T extends From['type']>(type: T): Promise<Extract<From, { type: T }>> {
    for (;;) {
      const index = this.#inbox.findIndex((message) => message.type === type)
      if (index >= 0) return this.#inbox.splice(index, 1)[0] as Extract<From, { type: T }>
      if (this.#isEnded) throw new Error(`the process ended where '${type}' was due`)
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
    }
  }

  /** Resolves when the process is gone. */
  ended(): Promise<number | null> {
    return this.#ended
  }

  kill(): void {
    if (!this.#isEnded) this.#child.kill('SIGKILL')
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve()
  }
}
