import type { PeerHost } from './peer-handle.ts'

export interface TerminalInput extends NodeJS.ReadableStream {
  readonly isTTY?: boolean
  setRawMode?(isRaw: boolean): unknown
}

export interface TerminalOutput extends NodeJS.WritableStream {
  readonly isTTY?: boolean
  readonly columns?: number
  readonly rows?: number
}

/** Everything the program takes from its surroundings: a test gives its own. */
export interface Io {
  /** Without the program's own name. */
  readonly argv: readonly string[]
  readonly env: Readonly<Record<string, string | undefined>>
  readonly stdin: TerminalInput
  readonly stdout: TerminalOutput
  readonly stderr: TerminalOutput
  /** Wall-clock ms. */
  now(): number
  /** Local time minus UTC at that time, minutes. */
  timeZoneOffset(ms: number): number
  /** Calls `listener` when the process is asked to end; the returned function takes it back. */
  onInterrupt(listener: () => void): () => void
  /** Loaded only when a peer must run in this process: it brings the database and the cryptography. */
  loadHost(): Promise<PeerHost>
}

/** Readline resets the terminal when it closes; where the window is gone that fails (EIO) and must not end the process. */
function withTolerantRawMode(stdin: TerminalInput): TerminalInput {
  const setRawMode = stdin.setRawMode?.bind(stdin)
  if (setRawMode === undefined) return stdin
  stdin.setRawMode = (isRaw) => {
    try {
      setRawMode(isRaw)
    } catch {
      // There is no terminal any more.
    }
    return stdin
  }
  return stdin
}

/** The real surroundings. */
export function processIo(): Io {
  return {
    argv: process.argv.slice(2),
    env: process.env,
    stdin: withTolerantRawMode(process.stdin),
    stdout: process.stdout,
    stderr: process.stderr,
    now: () => Date.now(),
    timeZoneOffset: (ms) => -new Date(ms).getTimezoneOffset(),
    onInterrupt: (listener) => {
      const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
      for (const signal of signals) process.on(signal, listener)
      return () => {
        for (const signal of signals) process.off(signal, listener)
      }
    },
    loadHost: async () => (await import('./host.ts')).host,
  }
}
