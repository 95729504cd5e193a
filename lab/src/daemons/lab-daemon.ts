import { existsSync, mkdirSync, readFileSync, realpathSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { connect, type MiaouClient } from '@miaou/sdk'
import { httpConnection } from '@miaou/sdk/http'
import { type ApiPlace, RunningCommand, until } from '@miaou/testkit/processes'
import { inNamespace } from '../net/commands.ts'
import type { Host } from '../net/host.ts'
import { EventLog } from './event-log.ts'

export interface LabDaemonOptions {
  /** Name of the person and of the home. */
  readonly name: string
  /** Its `config.json`. */
  readonly config?: object
  readonly args?: readonly string[]
  /** As where libwebrtc's binary is missing: the peer takes werift. */
  readonly withoutNativeWebRtc?: boolean
  /** Path of a certificate (PEM) that it trusts beside the usual ones. */
  readonly trusted?: string
}

/** The package of libwebrtc's binary; `ip netns exec` gives each daemon mounts of its own, in which it can be hidden. */
const nativeWebRtc = join(
  realpathSync(join(import.meta.dirname, '../../../node_modules/@roamhq')),
  `wrtc-${process.platform}-${process.arch}`,
)
const hidden = ['sh', '-ec', `mount -t tmpfs tmpfs '${nativeWebRtc}' && exec "$@"`, 'sh'] as const

/** Homes lie in the lab's own `/run`: memory, gone with the lab. */
const homesPath = '/run/homes'
/** Ports of the daemons' APIs, one each: the lab reaches them under the same number on its own loopback. */
let nextApiPort = 20_000

/** A real `miaou up` in a host's namespace, and a client of its API outside. */
export class LabDaemon {
  readonly name: string
  readonly host: Host
  readonly client: MiaouClient
  readonly events: EventLog
  readonly #command: RunningCommand

  private constructor(name: string, host: Host, client: MiaouClient, events: EventLog, command: RunningCommand) {
    this.name = name
    this.host = host
    this.client = client
    this.events = events
    this.#command = command
  }

  /** Starts it (again) and resolves when its API answers. */
  static async start(host: Host, options: LabDaemonOptions): Promise<LabDaemon> {
    const { name, config = {}, args = [], withoutNativeWebRtc = false, trusted } = options
    const home = join(homesPath, name)
    mkdirSync(home, { recursive: true, mode: 0o700 })
    writeFileSync(join(home, 'config.json'), JSON.stringify(config))
    const port = nextApiPort++
    const command = new RunningCommand(
      home,
      ['up', '--no-passphrase', '--json', '--name', name, '--api-port', `${port}`, ...args],
      {
        wrapper: [...inNamespace(host.name), ...(withoutNativeWebRtc ? hidden : [])],
        environment: trusted === undefined ? {} : { NODE_EXTRA_CA_CERTS: trusted },
      },
    )
    try {
      const [api] = await Promise.all([untilReady(home, command), host.forward(port)])
      const client = connect(httpConnection({ url: api.url, token: api.token }))
      return new LabDaemon(name, host, client, await EventLog.open(client), command)
    } catch (cause) {
      await command.kill('SIGKILL')
      const why = cause instanceof Error ? cause.message : String(cause)
      throw new Error(`${name}: ${why}: ${command.stdout}${command.stderr}`, { cause })
    }
  }

  get pid(): number {
    return this.#command.pid
  }

  /** Everything it has said, on both outputs. */
  readonly output = (): string => this.#command.stdout + this.#command.stderr

  async kill(): Promise<void> {
    await this.client.close()
    await this.#command.kill('SIGKILL')
  }
}

async function untilReady(home: string, command: RunningCommand): Promise<ApiPlace> {
  const path = join(home, 'api.json')
  return until(
    'miaou up',
    () => {
      if (command.hasEnded) throw new Error('miaou up ended')
      if (!existsSync(path)) return undefined
      const api = JSON.parse(readFileSync(path, 'utf8')) as ApiPlace
      return api.pid === command.pid ? api : undefined
    },
    { withinMs: 60_000 },
  )
}
