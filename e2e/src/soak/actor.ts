import type { MiaouClient } from '@miaou/sdk'
import { Daemon, until } from '@miaou/testkit/processes'

/** One peer or mailbox of a soak: a daemon that is killed, frozen and started again, and what was asked of it. */
export class Actor {
  readonly name: string
  readonly home: string
  #args: readonly string[]
  #daemon: Daemon | undefined
  #starting: Promise<Daemon> | undefined
  #isFrozen = false
  #isRetired = false
  kills = 0
  freezes = 0

  constructor(name: string, home: string, args: readonly string[]) {
    this.name = name
    this.home = home
    this.#args = args
  }

  get isUp(): boolean {
    return this.#daemon !== undefined && !this.#isFrozen
  }

  get client(): MiaouClient | undefined {
    return this.isUp ? this.#daemon?.client : undefined
  }

  /** The soak is over: nobody starts it again. */
  retire(): void {
    this.#isRetired = true
  }

  async start(): Promise<MiaouClient> {
    if (this.#isRetired) throw new Error(`the soak ended before ${this.name} was back`)
    if (this.#daemon === undefined) {
      this.#starting ??= Daemon.start(this.home, this.#args)
      this.#daemon = await this.#starting
      this.#starting = undefined
    }
    return this.#daemon.client
  }

  /** From now on it listens where it does now: others were told of that address. */
  async keepPort(): Promise<void> {
    const [address] = (await (await this.start()).network.info()).addresses
    if (address !== undefined) this.#args = [...this.#args, '--port', new URL(address).port]
  }

  /** What a power cut does. */
  async kill(): Promise<void> {
    const daemon = this.#daemon
    this.#daemon = undefined
    this.thaw(daemon)
    if (daemon === undefined) return
    this.kills += 1
    await daemon.kill()
  }

  freeze(): void {
    if (this.#daemon === undefined || this.#isFrozen) return
    this.#isFrozen = true
    this.freezes += 1
    process.kill(this.#daemon.pid, 'SIGSTOP')
  }

  thaw(daemon: Daemon | undefined = this.#daemon): void {
    if (!this.#isFrozen) return
    this.#isFrozen = false
    if (daemon?.isRunning === true) process.kill(daemon.pid, 'SIGCONT')
  }

  /** Calls its API until it answers: a call cut off by a kill is made again, under the same key where it changes something. */
  insist<T>(what: string, call: (client: MiaouClient) => Promise<T>, withinMs: number): Promise<T> {
    return until(
      `${what} by ${this.name}`,
      async () => {
        const client = this.client
        if (client === undefined) return undefined
        try {
          return { value: await call(client) }
        } catch (error) {
          if (this.client === client && !isCutOff(error)) throw error
          return undefined
        }
      },
      { withinMs, everyMs: 50 },
    ).then(({ value }) => value)
  }
}

/** An answer that the end of the process swallowed, or that it has not started to give. */
function isCutOff(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  return ['no-peer', 'unauthorised', 'stopped', 'closed', 'timeout'].includes(code)
}
