import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { connect, type MiaouClient } from '@miaou/sdk'
import { httpConnection } from '@miaou/sdk/http'
import { type CommandOptions, RunningCommand } from './command.ts'
import { until } from './until.ts'

export interface DaemonOptions extends CommandOptions {
  /** Where the home of a process in another mount namespace is seen from here; by default where it is. */
  readonly seenAt?: (pid: number) => string
  /** By default the home is made without a passphrase. */
  readonly protection?: 'none' | 'passphrase'
}

/** Where a running peer serves its API, and what it asks for. */
export interface ApiPlace {
  readonly url: string
  readonly token: string
  readonly pid: number
}

/** A `miaou up` of its own, talking to loopback only, with a client of its API. */
export class Daemon {
  readonly home: string
  readonly api: ApiPlace
  readonly client: MiaouClient
  readonly #command: RunningCommand

  private constructor(home: string, api: ApiPlace, command: RunningCommand) {
    this.home = home
    this.api = api
    this.client = connect(httpConnection({ url: api.url, token: api.token }))
    this.#command = command
  }

  /** Starts it on `home` (made when missing) and returns when its API answers. */
  static async start(home: string, args: readonly string[] = [], options: DaemonOptions = {}): Promise<Daemon> {
    const protection = options.protection === 'passphrase' ? [] : ['--no-passphrase']
    const command = new RunningCommand(home, ['up', ...protection, '--json', ...args], options)
    const apiPath = join(options.seenAt?.(command.pid) ?? home, 'api.json')
    try {
      const api = await until(
        `miaou up in ${home}`,
        () => {
          if (command.hasEnded) throw new Error('miaou up ended')
          if (!existsSync(apiPath)) return undefined
          const file = JSON.parse(readFileSync(apiPath, 'utf8')) as ApiPlace
          return file.pid === command.pid ? file : undefined
        },
        { withinMs: 60_000 },
      )
      return new Daemon(home, api, command)
    } catch (cause) {
      await command.kill('SIGKILL')
      throw new Error(`${cause instanceof Error ? cause.message : cause}: ${command.stdout}${command.stderr}`, {
        cause,
      })
    }
  }

  get pid(): number {
    return this.#command.pid
  }

  get isRunning(): boolean {
    return !this.#command.hasEnded
  }

  /** Everything it has said, on both outputs. */
  output(): string {
    return this.#command.stdout + this.#command.stderr
  }

  /** Orderly end; resolves to the exit code. */
  async stop(): Promise<number | null> {
    await this.client.close()
    return (await this.#command.kill('SIGTERM')).code
  }

  /** What a power cut does to the process. */
  async kill(): Promise<void> {
    await this.client.close()
    await this.#command.kill('SIGKILL')
  }
}
