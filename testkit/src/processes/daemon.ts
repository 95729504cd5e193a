import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect, type MiaouClient } from '@miaou/sdk'
import { httpConnection } from '@miaou/sdk/http'
import { until } from './until.ts'

const bin = new URL('../../../apps/cli/bin/miaou.js', import.meta.url).pathname

/** The environment of every process a test starts: no home of the person who runs the tests, English, no colours. */
function cleanEnvironment(home: string): NodeJS.ProcessEnv {
  const { PATH, TMPDIR } = process.env
  return { PATH, ...(TMPDIR === undefined ? {} : { TMPDIR }), HOME: home, LANG: 'en_GB.UTF-8', NO_COLOR: '1' }
}

export interface CommandResult {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

/** A home whose peers talk to this machine only, on any free port: no test disturbs a network. */
function confine(home: string): void {
  const path = join(home, 'config.json')
  if (existsSync(path)) return
  mkdirSync(home, { recursive: true, mode: 0o700 })
  writeFileSync(path, JSON.stringify({ loopbackOnly: true, port: 0 }))
}

/** Runs `miaou` with arguments to its end. The home is made without a passphrase. */
export function runMiaou(
  home: string,
  args: readonly string[],
  options: { readonly environment?: NodeJS.ProcessEnv; readonly input?: string } = {},
): Promise<CommandResult> {
  confine(home)
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [bin, ...args], {
      env: { ...cleanEnvironment(home), MIAOU_HOME: home, ...options.environment },
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    let stdout = ''
    let stderr = ''
    child.stdout.on('data', (chunk: Buffer) => {
      stdout += chunk.toString()
    })
    child.stderr.on('data', (chunk: Buffer) => {
      stderr += chunk.toString()
    })
    child.on('error', reject)
    child.on('close', (code, signal) => resolve({ code, signal, stdout, stderr }))
    child.stdin.end(options.input ?? '')
  })
}

/** A folder of its own for a test, removed by the returned function. */
export function temporaryFolder(): { readonly path: string; readonly remove: () => void } {
  const path = mkdtempSync(join(tmpdir(), 'miaou-e2e-'))
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) }
}

/** A `miaou up` of its own, talking to loopback only, with a client of its API. */
export class Daemon {
  readonly home: string
  readonly client: MiaouClient
  readonly #child: ChildProcess
  readonly #closed: Promise<number | null>
  readonly output: () => string

  private constructor(
    home: string,
    client: MiaouClient,
    child: ChildProcess,
    closed: Promise<number | null>,
    output: () => string,
  ) {
    this.home = home
    this.client = client
    this.#child = child
    this.#closed = closed
    this.output = output
  }

  /** Starts it on `home` (made when missing) and returns when its API answers. */
  static async start(home: string, args: readonly string[] = []): Promise<Daemon> {
    confine(home)
    const child = spawn(process.execPath, [bin, 'up', '--no-passphrase', '--json', ...args], {
      env: { ...cleanEnvironment(home), MIAOU_HOME: home },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let output = ''
    const collect = (chunk: Buffer): void => {
      // Enough to explain a failure, not enough to fill the memory.
      output = (output + chunk.toString()).slice(-20_000)
    }
    child.stdout?.on('data', collect)
    child.stderr?.on('data', collect)
    let isClosed = false
    const closed = new Promise<number | null>((resolve) => {
      child.on('close', (code) => {
        isClosed = true
        resolve(code)
      })
    })
    const apiPath = join(home, 'api.json')
    const api = await until(`miaou up in ${home}`, () => {
      if (isClosed) throw new Error(`miaou up ended: ${output}`)
      if (!existsSync(apiPath)) return undefined
      const file = JSON.parse(readFileSync(apiPath, 'utf8')) as { url: string; token: string; pid: number }
      return file.pid === child.pid ? file : undefined
    })
    const client = connect(httpConnection({ url: api.url, token: api.token }))
    return new Daemon(home, client, child, closed, () => output)
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  /** Orderly end; resolves to the exit code. */
  async stop(): Promise<number | null> {
    await this.client.close()
    this.#child.kill('SIGTERM')
    return this.#closed
  }

  /** What a power cut does to the process. */
  async kill(): Promise<void> {
    await this.client.close()
    this.#child.kill('SIGKILL')
    await this.#closed
  }
}
