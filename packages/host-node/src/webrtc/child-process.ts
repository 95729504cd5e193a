import { type ChildProcess, spawn } from 'node:child_process'
import { getCompileCacheDir } from 'node:module'
import { dirname } from 'node:path'
import type { Duplex } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { type ChildCall, type ChildReport, parseReport } from './child-protocol.ts'
import { type FrameKind, FrameReader, FrameWriter, frameKind } from './frames.ts'
import type { WebRtcOptions } from './options.ts'

export interface ChildHandlers {
  readonly onReport: (pipe: number, report: ChildReport) => void
  readonly onMessage: (pipe: number, channel: 0 | 1, bytes: Uint8Array) => void
  /** Called once, when the process is gone or no longer to be trusted; `detail` says why in words. */
  readonly onGone: (detail: string) => void
}

export interface ChildLimits {
  /** Bytes that may wait for the child before it counts as hung. */
  readonly unreadMax: number
  /** The child is asked for a sign of life this often, and killed when none came since the last time but one. */
  readonly watchdogMs: number
  /** Time in which a child that was told to stop must be gone. */
  readonly stopTimeoutMs: number
}

/** Characters kept of what the child writes to its standard error. */
const complaintMax = 2048

/** One run of the WebRTC child, from its start to its end. */
export class WebRtcChild {
  readonly #process: ChildProcess
  readonly #writer: FrameWriter
  readonly #handlers: ChildHandlers
  readonly #limits: ChildLimits
  readonly #watchdog: NodeJS.Timeout
  readonly #exited: Promise<void>
  #complaint = ''
  #isGone = false
  #silentRounds = 0

  constructor(options: WebRtcOptions, limits: ChildLimits, handlers: ChildHandlers) {
    this.#handlers = handlers
    this.#limits = limits
    // Compiled, this file and the child's end in .js; run from the sources, both end in .ts.
    const program = new URL(import.meta.url.endsWith('.ts') ? './child.ts' : './child.js', import.meta.url)
    this.#process = spawn(process.execPath, ['--expose-gc', fileURLToPath(program)], {
      stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
      env: childEnvironment(),
      windowsHide: true,
    })
    const stream = this.#process.stdio[3] as Duplex
    this.#writer = new FrameWriter(stream)
    const reader = new FrameReader(({ kind, pipe, body }) => {
      if (this.#isGone) return
      this.#silentRounds = 0
      if (kind !== frameKind.control) {
        handlers.onMessage(pipe, kind === frameKind.messages ? 0 : 1, body)
        return
      }
      const report = parseReport(body)
      if (report !== undefined) handlers.onReport(pipe, report)
    })
    stream.on('data', (chunk: Buffer) => {
      if (!reader.push(chunk)) this.#leave('sent bytes that are no frames')
    })
    // How the process ended says more than that its pipe broke: it is ended if it has not, and its end is awaited.
    stream.on('error', () => this.#process.kill('SIGKILL'))
    stream.on('end', () => this.#process.kill('SIGKILL'))
    this.#process.stderr?.on('data', (chunk: Buffer) => {
      this.#complaint = (this.#complaint + chunk.toString()).slice(-complaintMax)
    })
    this.#process.on('error', (error) => this.#leave(`did not start: ${error.message}`))
    this.#exited = new Promise((resolve) => {
      this.#process.once('error', () => resolve())
      this.#process.once('close', (code, signal) => {
        this.#leave(signal === null ? `ended with code ${code}` : `was ended by ${signal}`)
        resolve()
      })
    })
    this.#watchdog = setInterval(() => this.#watch(), limits.watchdogMs).unref()
    this.call(0, { call: 'start', options })
  }

  /** Process id, for diagnostics and tests. */
  get pid(): number | undefined {
    return this.#process.pid
  }

  call(pipe: number, call: ChildCall): void {
    if (!this.#isGone) this.#writer.writeControl(pipe, call)
  }

  send(pipe: number, kind: FrameKind, bytes: Uint8Array): void {
    if (this.#isGone) return
    this.#writer.write(kind, pipe, bytes)
    if (this.#writer.bufferedBytes > this.#limits.unreadMax) setImmediate(() => this.#leave('does not read'))
  }

  /** Lets the child close its pipes; resolves when the process is gone. */
  async stop(): Promise<void> {
    this.call(0, { call: 'stop' })
    const deadline = setTimeout(() => this.#process.kill('SIGKILL'), this.#limits.stopTimeoutMs)
    await this.#exited
    clearTimeout(deadline)
  }

  #watch(): void {
    if (this.#silentRounds >= 2) {
      this.#leave('no longer answers')
      return
    }
    this.#silentRounds++
    this.call(0, { call: 'ping' })
  }

  // Nothing more is heard from this run: whatever is left of the process is ended.
  #leave(detail: string): void {
    if (this.#isGone) return
    this.#isGone = true
    clearInterval(this.#watchdog)
    this.#process.kill('SIGKILL')
    const complaint = this.#complaint.trim()
    this.#handlers.onGone(`the WebRTC process ${detail}${complaint === '' ? '' : `: ${complaint}`}`)
  }
}

// The child gets nothing of the peer's environment: secrets may stand there. Windows needs its system folder. Where the
// peer keeps compiled code, the child does too (its folder is one below the one that Node is given).
function childEnvironment(): NodeJS.ProcessEnv {
  const { SystemRoot } = process.env
  const compiled = getCompileCacheDir()
  return {
    MALLOC_ARENA_MAX: '2',
    ...(SystemRoot === undefined ? {} : { SystemRoot }),
    ...(compiled === undefined ? {} : { NODE_COMPILE_CACHE: dirname(compiled) }),
  }
}
