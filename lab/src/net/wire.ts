import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'

/** What a cable does to what passes. Up: from its first end to its second. */
export interface WireSettings {
  /** One way, ms. */
  readonly delayMs?: number
  /** Share of the packets that are lost, 0 to 1. */
  readonly loss?: number
  /** 0: unlimited. */
  readonly bitsPerSecondUp?: number
  readonly bitsPerSecondDown?: number
  /** What may wait for the rate, bytes. */
  readonly bufferBytes?: number
  readonly seed?: number
}

/** Debian's own, not one that a version manager put first on the path. */
export const python = '/usr/bin/python3'

/** A cable with a delay, loss and a rate: see `wire.py` beside this file. */
export class Wire {
  readonly #child: ChildProcess
  readonly #waiting: ((error?: Error) => void)[] = []

  private constructor(ends: readonly [string, string, string, string]) {
    const program = join(import.meta.dirname, 'wire.py')
    const child = spawn(python, [program, ...ends], { stdio: ['pipe', 'pipe', 'inherit'] })
    this.#child = child
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      for (const line of chunk.split('\n')) if (line !== '') this.#waiting.shift()?.()
    })
    child.once('close', (code) => {
      for (const done of this.#waiting.splice(0)) done(new Error(`wire.py ended with ${code}`))
    })
  }

  /** `ends`: namespace and name of the device on each side; both are down and without an address. */
  static async lay(ends: readonly [string, string, string, string], settings: WireSettings): Promise<Wire> {
    const wire = new Wire(ends)
    await wire.#said()
    await wire.set(settings)
    return wire
  }

  async set(settings: WireSettings): Promise<void> {
    this.#child.stdin?.write(`${JSON.stringify(settings)}\n`)
    await this.#said()
  }

  #said(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push((error) => (error === undefined ? resolve() : reject(error)))
    })
  }
}
