import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import { isolated } from '../../../lab/src/outside.ts'
import type { ContenderKind } from './contender.ts'
import type { Turn } from './inside.ts'
import { nameOfPair, type Pair, type PairResult, parsePairResult } from './pair.ts'

/** A turn that takes longer hangs: guess, twice what the most patient contender waits. */
const turnMsMax = 120_000

export interface PairsOptions {
  readonly pairs: readonly Pair[]
  readonly contenders: readonly ContenderKind[]
  readonly repeats: number
  readonly onResult: (result: PairResult) => void
}

/** Every contender in turns through every pair, in one world after the other, a new one for each repeat. */
export async function runPairs({ pairs, contenders, repeats, onResult }: PairsOptions): Promise<void> {
  for (let round = 0; round < repeats; round++) {
    let world: WorldProcess | undefined
    for (const pair of pairs) {
      for (const contender of contenders) {
        process.stderr.write(`${repeats > 1 ? `${round + 1}/${repeats} ` : ''}${nameOfPair(pair)}, ${contender} …`)
        const startedAt = performance.now()
        let result: PairResult
        try {
          world ??= await WorldProcess.start()
          result = await world.take({ contender, round, ...pair })
        } catch (error) {
          // The world broke: the next turn gets a new one.
          const fault = error instanceof Error ? error.message : String(error)
          result = { type: 'pair', peer: contender, round, ...pair, outcome: 'no connection', fault }
          await world?.end()
          world = undefined
        }
        process.stderr.write(` ${((performance.now() - startedAt) / 1_000).toFixed(1)} s ${renderTurn(result)}\n`)
        onResult(result)
      }
    }
    await world?.end()
  }
}

function renderTurn({ outcome, way, firstMessageMs, bestPathMs, fault }: PairResult): string {
  if (outcome === 'no connection') return `no connection: ${fault?.split('\n')[0]}`
  const ms = (value: number | undefined) => (value === undefined ? '–' : `${value.toFixed(0)} ms`)
  return `${outcome} (${way}), first message ${ms(firstMessageMs)}, best path ${ms(bestPathMs)}`
}

/** A world in a process of its own, with everything it starts: when it ends, nothing of it is left. */
class WorldProcess {
  readonly #child: ChildProcess
  readonly #ended: Promise<string>
  #onMessage: (message: unknown) => void = () => undefined

  private constructor() {
    const [program = '', ...words] = isolated(process.execPath, join(import.meta.dirname, 'inside.ts'))
    // What its programs print is not of ours: standard output holds figures.
    const child = spawn(program, words, { stdio: ['ignore', 2, 2, 'ipc'] })
    this.#child = child
    child.on('message', (message) => this.#onMessage(message))
    this.#ended = new Promise((resolve) => {
      child.once('error', (error) => resolve(error.message))
      child.once('exit', (code, signal) => resolve(`the world ended with ${signal ?? code}`))
    })
  }

  static async start(): Promise<WorldProcess> {
    const world = new WorldProcess()
    await world.#answer()
    return world
  }

  async take(turn: Turn): Promise<PairResult> {
    const answer = this.#answer()
    this.#child.send(turn)
    const result = parsePairResult(await answer)
    if (result === undefined) throw new Error('the world gave no result')
    return result
  }

  async end(): Promise<void> {
    if (this.#child.connected) this.#child.send('end')
    // What hangs is ended with all its processes: guess, a program that is killed needs no second.
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), 10_000)
    await this.#ended
    clearTimeout(timer)
  }

  async #answer(): Promise<unknown> {
    let timer: NodeJS.Timeout | undefined
    try {
      return await Promise.race([
        new Promise((resolve) => {
          this.#onMessage = resolve
        }),
        this.#ended.then((why) => Promise.reject(new Error(why))),
        new Promise((_, reject) => {
          timer = setTimeout(() => reject(new Error(`no answer after ${turnMsMax / 1_000} s`)), turnMsMax)
        }),
      ])
    } finally {
      clearTimeout(timer)
    }
  }
}
