/**
 * What the way through our WebRTC child costs: libwebrtc alone between two processes (`raw`) beside our transport
 * between two processes (`path`), interleaved in one run. Loopback only.
 *
 *   node bench/src/webrtc-path.ts [--rounds 5] [--megabytes 128] [--messages 20000] [--opens 5]
 *
 * Prints one JSON line a figure: what each carries, the processor time it takes (steadier on a busy machine), and the
 * median over the rounds of path ÷ raw, so that a load that comes and goes weighs on both.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import type { IceCandidate, SessionDescription } from '@miaou/network'
import { median, printFigure, spread } from './figure.ts'

export type Signal =
  | { readonly type: 'description'; readonly description: SessionDescription }
  | { readonly type: 'candidate'; readonly candidate: IceCandidate }

export type Command =
  | { readonly do: 'open'; readonly isOfferer: boolean }
  | { readonly do: 'signal'; readonly signal: Signal }
  | { readonly do: 'echo' }
  | { readonly do: 'push'; readonly count: number; readonly size: number; readonly windowCount: number }
  | { readonly do: 'cpu' }
  | { readonly do: 'close' }
  | { readonly do: 'exit' }

export type Report =
  | { readonly type: 'done'; readonly ms: number }
  | { readonly type: 'signal'; readonly signal: Signal }

type Mode = 'raw' | 'path'

/** One end in a process of its own. */
class End {
  readonly #process: ChildProcess
  readonly ready: Promise<number>
  other: End | undefined
  #finish: (ms: number) => void = () => undefined

  constructor(mode: Mode) {
    this.#process = fork(fileURLToPath(new URL('./webrtc-peer.ts', import.meta.url)), [mode])
    this.ready = this.#nextDone()
    this.#process.on('message', (report: Report) => {
      if (report.type === 'done') this.#finish(report.ms)
      else this.other?.tell({ do: 'signal', signal: report.signal })
    })
  }

  tell(command: Command): void {
    this.#process.send(command)
  }

  run(command: Command): Promise<number> {
    const done = this.#nextDone()
    this.tell(command)
    return done
  }

  #nextDone(): Promise<number> {
    return new Promise((resolve) => {
      this.#finish = resolve
    })
  }
}

class Pair {
  readonly a: End
  readonly b: End

  constructor(mode: Mode) {
    this.a = new End(mode)
    this.b = new End(mode)
    this.a.other = this.b
    this.b.other = this.a
  }

  /** Milliseconds from the offer to open, seen by the offerer. */
  async open(): Promise<number> {
    const accepted = this.b.run({ do: 'open', isOfferer: false })
    const ms = await this.a.run({ do: 'open', isOfferer: true })
    await accepted
    return ms
  }

  async close(): Promise<void> {
    await Promise.all([this.a.run({ do: 'close' }), this.b.run({ do: 'close' })])
  }

  /** Time, and processor time of both ends, of `count` messages, in ms. */
  async push(count: number, size: number, windowCount: number): Promise<{ ms: number; cpuMs: number }> {
    await this.b.run({ do: 'echo' })
    const beforeMs = await this.#cpuMs()
    const ms = await this.a.run({ do: 'push', count, size, windowCount })
    return { ms, cpuMs: (await this.#cpuMs()) - beforeMs }
  }

  async #cpuMs(): Promise<number> {
    return (await this.a.run({ do: 'cpu' })) + (await this.b.run({ do: 'cpu' }))
  }

  exit(): void {
    this.a.tell({ do: 'exit' })
    this.b.tell({ do: 'exit' })
  }
}

const command = 'node bench/src/webrtc-path.ts'

function print(name: string, unit: string, raw: readonly number[], path: readonly number[]): void {
  const detail = 'two processes, loopback'
  printFigure({ name: `webrtc-path/${name}/raw`, ...spread(raw), unit, command, detail })
  printFigure({ name: `webrtc-path/${name}/path`, ...spread(path), unit, command, detail })
}

function printRatio(name: string, raw: readonly number[], path: readonly number[]): void {
  const ratios = path.map((value, round) => value / (raw[round] ?? Number.NaN))
  const goal = { atLeast: 0.8 }
  printFigure({ name: `webrtc-path/${name}/ratio`, ...spread(ratios), unit: 'path ÷ raw', goal, command })
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      rounds: { type: 'string', default: '5' },
      megabytes: { type: 'string', default: '128' },
      messages: { type: 'string', default: '20000' },
      opens: { type: 'string', default: '5' },
    },
  })
  const largeCount = Number(values.megabytes) * 16
  // Acknowledgements cover 16 messages each.
  const smallCount = Math.ceil(Number(values.messages) / 16) * 16
  const pairs = { raw: new Pair('raw'), path: new Pair('path') }
  const byMode = (): Record<Mode, number[]> => ({ raw: [], path: [] })
  const figures = { open: byMode(), large: byMode(), largeCpu: byMode(), small: byMode(), smallCpu: byMode() }
  for (const mode of ['raw', 'path'] as const) await Promise.all([pairs[mode].a.ready, pairs[mode].b.ready])
  // The first opening loads the library and lets V8 compile what is hot: not counted.
  for (const mode of ['raw', 'path'] as const) {
    await pairs[mode].open()
    await pairs[mode].push(Math.min(largeCount, 512), 65_536, 128)
    await pairs[mode].push(Math.min(smallCount, 8000), 100, 1024)
    await pairs[mode].close()
  }
  for (let round = 0; round < Number(values.rounds); round++) {
    for (const mode of ['raw', 'path'] as const) {
      const pair = pairs[mode]
      const openMs: number[] = []
      for (let i = 0; i < Number(values.opens); i++) {
        openMs.push(await pair.open())
        await pair.close()
      }
      figures.open[mode].push(median(openMs))
      await pair.open()
      const large = await pair.push(largeCount, 65_536, 128)
      figures.large[mode].push((largeCount * 65_536) / 1e6 / (large.ms / 1000))
      figures.largeCpu[mode].push((large.cpuMs * 1000) / largeCount)
      const small = await pair.push(smallCount, 100, 1024)
      figures.small[mode].push(smallCount / (small.ms / 1000))
      figures.smallCpu[mode].push((small.cpuMs * 1000) / smallCount)
      await pair.close()
    }
  }
  for (const [name, unit, rate, cpu] of [
    ['throughput of 64 KiB messages', 'MB/s', figures.large, figures.largeCpu],
    ['messages of 100 bytes', '1/s', figures.small, figures.smallCpu],
  ] as const) {
    print(name, unit, rate.raw, rate.path)
    print(`${name}, processor time of both ends`, 'µs a message', cpu.raw, cpu.path)
    printRatio(name, rate.raw, rate.path)
  }
  print('offer to open', 'ms', figures.open.raw, figures.open.path)
  pairs.raw.exit()
  pairs.path.exit()
}

if (import.meta.main) await main()
