import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

/** A package of its own with its own lock and no workspace: what is in it is never a dependency of Miaou. */
const clientFolder = join(import.meta.dirname, '..', '..', 'peers', 'nats')

/** What a message is when NATS acknowledges it: written through to the disk, or in the system's cache. */
export type Durability = 'each on the disk' | 'as shipped'

/**
 * The version of nats-server, where it and its client are to be had: the server is put in by `apt-get install` where this
 * user may, the client by `npm ci`. Undefined, with the reason on standard error, where not.
 */
export function prepareNats(): string | undefined {
  const version = natsVersion() ?? installServer()
  if (version === undefined) return without('there is no nats-server (Debian: apt-get install nats-server)')
  if (existsSync(join(clientFolder, 'node_modules', '.package-lock.json'))) return version
  process.stderr.write('Installing the client of NATS into bench/peers/nats (once, about 2 MB) …\n')
  const { status } = spawnSync('npm', ['ci', '--ignore-scripts', '--prefix', clientFolder], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  return status === 0 ? version : without('npm ci --prefix bench/peers/nats failed')
}

function without(reason: string): undefined {
  process.stderr.write(`NO NATS: ${reason}. Only our figures follow.\n`)
  return undefined
}

function natsVersion(): string | undefined {
  try {
    return execFileSync('nats-server', ['--version'], { encoding: 'utf8' }).replace('nats-server: v', '').trim()
  } catch {
    return undefined
  }
}

function installServer(): string | undefined {
  if (process.getuid?.() !== 0) return undefined
  process.stderr.write('Installing nats-server …\n')
  spawnSync('apt-get', ['install', '--yes', '--quiet', 'nats-server'], { stdio: ['ignore', 'ignore', 'inherit'] })
  return natsVersion()
}

/** A single nats-server with JetStream on files, on loopback. */
export class NatsServer {
  readonly url: string
  readonly #child: ChildProcess

  private constructor(url: string, child: ChildProcess) {
    this.url = url
    this.#child = child
  }

  /**
   * Equal durability: servers from 2.10 on have `sync_interval: always`; before, the folder is marked as synchronous
   * (`chattr +S`, ext4 and others), so that every write of a message is on the disk before it is acknowledged. Undefined
   * where neither can be had.
   */
  static async start(folder: string, durability: Durability): Promise<NatsServer | undefined> {
    const store = join(folder, 'jetstream')
    mkdirSync(store, { recursive: true })
    const port = 20_000 + (process.pid % 20_000)
    const config = join(folder, 'nats.conf')
    const write = (more: string): void =>
      writeFileSync(config, `listen: "127.0.0.1:${port}"\njetstream { store_dir: ${JSON.stringify(store)} ${more} }\n`)
    write(durability === 'as shipped' ? '' : ', sync_interval: always')
    if (spawnSync('nats-server', ['-t', '-c', config]).status !== 0) {
      write('')
      if (spawnSync('chattr', ['+S', store], { stdio: 'ignore' }).status !== 0) return undefined
    }
    const child = spawn('nats-server', ['-c', config], { stdio: 'ignore' })
    const server = new NatsServer(`nats://127.0.0.1:${port}`, child)
    for (let tries = 0; !(await isListening(port)); tries++) {
      if (tries > 200 || child.exitCode !== null) throw new Error('nats-server does not listen')
      await sleep(50)
    }
    return server
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null) return
    const ended = once(this.#child, 'exit')
    this.#child.kill('SIGKILL')
    await ended
  }
}

function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.on('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.on('error', () => resolve(false))
  })
}
