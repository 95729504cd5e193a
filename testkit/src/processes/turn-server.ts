import { type ChildProcess, spawn } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { temporaryFolder } from './environment.ts'
import { until } from './until.ts'

const program = 'turnserver'
const user = 'miaou'
const password = 'of-this-test-only'

/** Whether coturn is installed (Debian's package `coturn`). */
export const hasTurnServer: boolean = (process.env['PATH'] ?? '')
  .split(':')
  .some((folder) => existsSync(join(folder, program)))

/** A coturn of its own on loopback, with one user. */
export class TurnServer {
  readonly iceServer: { readonly urls: string; readonly username: string; readonly credential: string }
  readonly #child: ChildProcess
  readonly #folder: { readonly remove: () => void }
  #output = ''

  private constructor(port: number) {
    const folder = temporaryFolder()
    this.#folder = folder
    this.iceServer = { urls: `turn:127.0.0.1:${port}`, username: user, credential: password }
    const place = ['-n', '-L', '127.0.0.1', '-E', '127.0.0.1', '-p', String(port), '--allow-loopback-peers']
    const access = ['--lt-cred-mech', '-u', `${user}:${password}`, '-r', 'test']
    const files = ['--log-file', 'stdout', '--pidfile', join(folder.path, 'pid'), '--userdb', join(folder.path, 'db')]
    const less = ['--no-cli', '--no-tls', '--no-dtls', '--verbose']
    this.#child = spawn(program, [...place, ...access, ...files, ...less], { stdio: ['ignore', 'pipe', 'pipe'] })
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.on('data', (bytes: Buffer) => {
        this.#output += bytes.toString()
      })
    }
  }

  /** Resolves when it answers. */
  static async start(): Promise<TurnServer> {
    const server = new TurnServer(await freePort())
    try {
      await until('coturn to answer', () => server.#answers())
    } catch (cause) {
      await server.stop()
      throw new Error(server.#output, { cause })
    }
    return server
  }

  /** Allocations made so far under its user's name. */
  allocationCount(): number {
    return [...this.#output.matchAll(new RegExp(`user <${user}>: incoming packet ALLOCATE processed, success`, 'g'))]
      .length
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      this.#child.kill('SIGKILL')
      await once(this.#child, 'exit')
    }
    this.#folder.remove()
  }

  /** A binding request of RFC 8489: 20 bytes, its cookie included. */
  async #answers(): Promise<true | undefined> {
    if (this.#child.exitCode !== null) throw new Error('coturn ended')
    const socket = createSocket('udp4')
    try {
      const request = new Uint8Array(20)
      request.set([0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42])
      const heard = new Promise<true>((resolve) => socket.once('message', () => resolve(true)))
      socket.on('error', () => undefined)
      socket.send(request, Number(this.iceServer.urls.split(':').at(-1)), '127.0.0.1')
      return await Promise.race([heard, new Promise<undefined>((resolve) => setTimeout(resolve, 200, undefined))])
    } finally {
      socket.close()
    }
  }
}

async function freePort(): Promise<number> {
  const socket = createSocket('udp4')
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  const { port } = socket.address()
  socket.close()
  return port
}
