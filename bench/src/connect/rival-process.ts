import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { inNamespace } from '../../../lab/src/net/commands.ts'
import { rivalsFolder } from './install-rivals.ts'

/** What a rival's program tells; times are ms of the machine's monotonic clock. */
export type Told =
  | {
      readonly type: 'ready'
      readonly address?: string
      readonly peer?: string
      readonly relay?: string
    }
  | { readonly type: 'message'; readonly at: number; readonly way: string; readonly isDirect: boolean }
  | { readonly type: 'direct'; readonly at: number; readonly way: string }
  | { readonly type: 'weighing'; readonly way: string }
  | { readonly type: 'received'; readonly bytes: number }
  | { readonly type: 'fault'; readonly error: string }

type Asked =
  | { readonly type: 'expect'; readonly peer: string }
  | { readonly type: 'dial'; readonly peer: string; readonly address?: string }
  | { readonly type: 'weigh'; readonly bytes: number }

/** Ms of the machine's monotonic clock, as the rivals read it. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6
}

/** A program of bench/peers/connect in a namespace. */
export class RivalProcess {
  readonly told: Told[] = []
  readonly #child: ChildProcess
  readonly #waiting = new Set<() => void>()
  #ended: string | undefined

  constructor(namespace: string, program: string, args: readonly string[]) {
    const [ip = '', ...words] = [...inNamespace(namespace), process.execPath, join(rivalsFolder, program), ...args]
    this.#child = spawn(ip, words, { stdio: ['pipe', 'pipe', 'inherit'] })
    createInterface({ input: this.#child.stdout ?? process.stdin }).on('line', (line) => {
      this.told.push(JSON.parse(line) as Told)
      this.#wake()
    })
    this.#child.stdin?.on('error', () => undefined)
    this.#child.once('exit', (code, signal) => {
      this.#ended = `${program} ended with ${signal ?? code}`
      this.#wake()
    })
  }

  ask(request: Asked): void {
    this.#child.stdin?.write(`${JSON.stringify(request)}\n`)
  }

  /** The first thing told for which `probe` gives something; undefined when `withinMs` is over or the program ended. */
  until<T>(probe: (told: Told) => T | undefined, withinMs: number): Promise<T | undefined> {
    let next = 0
    return new Promise((resolve) => {
      const end = (found: T | undefined): void => {
        clearTimeout(timer)
        this.#waiting.delete(check)
        resolve(found)
      }
      const check = (): void => {
        while (next < this.told.length) {
          const one = this.told[next++]
          const found = one === undefined ? undefined : probe(one)
          if (found !== undefined) {
            end(found)
            return
          }
        }
        if (this.#ended !== undefined) end(undefined)
      }
      const timer = setTimeout(() => end(undefined), withinMs)
      this.#waiting.add(check)
      check()
    })
  }

  /** Why it does not do what it should: its last fault, or how it ended. */
  get fault(): string | undefined {
    return this.told.findLast((each) => each.type === 'fault')?.error ?? this.#ended
  }

  kill(): void {
    this.#child.kill('SIGKILL')
  }

  #wake(): void {
    for (const check of [...this.#waiting]) check()
  }
}
