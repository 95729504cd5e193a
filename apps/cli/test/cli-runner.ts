import { PassThrough } from 'node:stream'
import type { Io } from '../src/io.ts'
import type { PeerHost } from '../src/peer-handle.ts'
import { run } from '../src/run.ts'

export interface Ran {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
  /** Each line of stdout, parsed. */
  objects(): unknown[]
}

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>
  readonly stdin?: string
  /** Given the function that interrupts the command. */
  readonly onStart?: (interrupt: () => void, output: () => string) => void
}

/** Runs one command line in this process, with its own streams and surroundings. */
export async function runCli(host: PeerHost, argv: readonly string[], options: RunOptions = {}): Promise<Ran> {
  const streams = { stdout: new PassThrough(), stderr: new PassThrough() }
  const texts = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const) {
    streams[name].on('data', (chunk) => {
      texts[name] += String(chunk)
    })
  }
  const stdin = new PassThrough()
  stdin.end(options.stdin ?? '')
  const listeners = new Set<() => void>()
  const io: Io = {
    argv,
    env: options.env ?? {},
    stdin,
    ...streams,
    now: () => 1_795_000_060_000,
    timeZoneOffset: () => 0,
    onInterrupt: (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    loadHost: async () => host,
  }
  options.onStart?.(
    () => {
      for (const listener of [...listeners]) listener()
    },
    () => texts.stdout,
  )
  const code = await run(io, '0.0.0-test')
  return {
    code,
    ...texts,
    objects: () =>
      texts.stdout
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line)),
  }
}
