import { type ChildProcess, spawn } from 'node:child_process'
import { connect as connectSocket, createServer, type Server } from 'node:net'
import { join } from 'node:path'
import type { AgentAnswer, AgentRequest, AgentResults } from './agent-words.ts'
import { inNamespace, ip, sysctl } from './commands.ts'

/** Where the agents of a lab listen: in the lab's own `/run`, which no other process sees. */
const socketPath = (name: string) => `/run/agent-${name}`

/** A computer of the lab: a network namespace, and a helper in it that is started when it is first needed. */
export class Host {
  readonly name: string
  readonly #forwards = new Map<number, Server>()
  #agent: Promise<ChildProcess> | undefined
  readonly #waiting = new Map<number, (answer: AgentAnswer) => void>()
  #requests = 0

  private constructor(name: string) {
    this.name = name
  }

  static async create(name: string): Promise<Host> {
    await ip(undefined, [`netns add ${name}`])
    await sysctl(name, {
      'ipv4/conf/all/accept_redirects': 0,
      'ipv6/conf/all/accept_dad': 0,
      'ipv6/conf/default/accept_dad': 0,
      'ipv6/conf/default/accept_ra': 0,
    })
    await ip(name, ['link set lo up'])
    return new Host(name)
  }

  /** Has the helper in this namespace do something; rejects when it could not. */
  async ask<K extends keyof AgentResults>(request: Extract<AgentRequest, { type: K }>): Promise<AgentResults[K]> {
    const agent = await this.#startAgent()
    const id = ++this.#requests
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, (answer) => {
        // The agent answers each request with the result of its own type.
        if ('result' in answer) resolve(answer.result as AgentResults[K])
        else reject(new Error(`${this.name}, ${request.type}: ${answer.error}`))
      })
      agent.send({ id, request })
    })
  }

  /** From now on a port of the lab's own loopback leads to the same port of this host's loopback. */
  async forward(port: number): Promise<void> {
    if (this.#forwards.has(port)) return
    await this.#startAgent()
    const server = createServer((socket) => {
      const inside = connectSocket(socketPath(this.name), () => {
        inside.write(`${port}\n`)
        socket.pipe(inside).pipe(socket)
      })
      inside.on('error', () => socket.destroy())
      inside.on('close', () => socket.destroy())
      socket.on('error', () => inside.destroy())
      socket.on('close', () => inside.destroy())
    })
    this.#forwards.set(port, server)
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(port, '127.0.0.1', resolve)
    })
  }

  end(): void {
    for (const server of this.#forwards.values()) server.close()
    void this.#agent?.then((agent) => agent.kill('SIGKILL'))
  }

  #startAgent(): Promise<ChildProcess> {
    this.#agent ??= new Promise((resolve, reject) => {
      const [program = '', ...words] = [
        ...inNamespace(this.name),
        process.execPath,
        join(import.meta.dirname, 'agent.ts'),
        socketPath(this.name),
      ]
      const child = spawn(program, words, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
      child.once('error', reject)
      child.once('exit', (code, signal) => {
        const error = `its helper ended with ${signal ?? code}`
        for (const done of this.#waiting.values()) done({ id: 0, error })
        this.#waiting.clear()
        reject(new Error(error))
      })
      child.on('message', (message: AgentAnswer | 'ready') => {
        if (message === 'ready') {
          resolve(child)
          return
        }
        this.#waiting.get(message.id)?.(message)
        this.#waiting.delete(message.id)
      })
    })
    return this.#agent
  }
}
