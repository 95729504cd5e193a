import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Message, MiaouClient } from '@miaou/sdk'
import { type CommandOptions, type CommandResult, RunningCommand } from './command.ts'
import { Daemon, type DaemonOptions } from './daemon.ts'
import { temporaryFolder } from './environment.ts'
import { Terminal, type TerminalOptions } from './terminal.ts'
import { until } from './until.ts'

/** The processes of one test, ended and removed together. */
export class Household {
  readonly #folder = temporaryFolder()
  readonly #daemons: Daemon[] = []
  readonly #commands: RunningCommand[] = []
  readonly #terminals: Terminal[] = []

  home(name: string): string {
    return join(this.#folder.path, name)
  }

  /** Starts (again) the daemon of a name. */
  async start(name: string, args: readonly string[] = [], options: DaemonOptions = {}): Promise<Daemon> {
    const daemon = await Daemon.start(this.home(name), ['--name', name, ...args], options)
    this.#daemons.push(daemon)
    return daemon
  }

  /** Makes the home of a name of which the LAN is not told. `overlay`: that of its `config.json`. */
  async makeHidden(name: string, overlay?: object): Promise<void> {
    const home = this.home(name)
    mkdirSync(home, { recursive: true, mode: 0o700 })
    writeFileSync(
      join(home, 'config.json'),
      JSON.stringify({ loopbackOnly: true, port: 0, ...(overlay && { overlay }) }),
    )
    const made = await this.run(name, ['settings', 'discoverable', 'off', '--no-passphrase', '--name', name])
    if (made.code !== 0) throw new Error(made.stderr)
  }

  /** Runs a command of a name to its end. */
  run(name: string, args: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
    return this.open(name, args, options).ended
  }

  /** Starts a command that stays. */
  open(name: string, args: readonly string[], options: CommandOptions = {}): RunningCommand {
    const command = new RunningCommand(this.home(name), args, options)
    this.#commands.push(command)
    return command
  }

  /** Starts a command on a terminal of its own. */
  terminal(name: string, args: readonly string[], options: TerminalOptions = {}): Terminal {
    const terminal = new Terminal(this.home(name), args, options)
    this.#terminals.push(terminal)
    return terminal
  }

  async end(): Promise<void> {
    await Promise.all([
      ...this.#daemons.map((daemon) => daemon.kill()),
      ...this.#commands.map((command) => command.kill('SIGKILL')),
      ...this.#terminals.map((terminal) => terminal.end()),
    ])
    this.#folder.remove()
  }
}

/** Makes contacts of two running peers by an invite; each knows the other under the given name. */
export async function befriend(
  inviter: { readonly client: MiaouClient; readonly name: string },
  invited: { readonly client: MiaouClient; readonly name: string },
): Promise<void> {
  const { invite } = await inviter.client.invites.create()
  await invited.client.contacts.add({ invite, name: inviter.name })
  const account = (await invited.client.identity.get()).account
  await until('the inviter to know the invited', async () =>
    (await inviter.client.contacts.list()).find(
      (contact) => contact.account === account && contact.state === 'contact',
    ),
  )
  await inviter.client.contacts.rename(account, invited.name)
}

/**
 * Waits until a peer has said in a record how it is reached. Before, it takes no mailbox on its own machine from others: it
 * does not know yet that it is one of those who are reached there.
 */
export async function recorded({ home }: Daemon): Promise<true> {
  return until('a record of its own', () => (existsSync(join(home, 'own-record')) ? true : undefined))
}

/** Waits until the two are linked over WebRTC, as `from` sees it. */
export async function linked(from: MiaouClient, to: MiaouClient): Promise<string> {
  const { peerId } = await to.identity.get()
  await until('a link', async () => {
    const peer = (await from.network.peers()).find((view) => view.peerId === peerId)
    return peer?.transport === 'webrtc' && peer.state === 'connected' ? true : undefined
  })
  return peerId
}

/** Everything one side holds of a direction, oldest first. */
export async function history(client: MiaouClient, who: string, direction: 'in' | 'out'): Promise<Message[]> {
  const all: Message[] = []
  for (let after = 0; ; ) {
    const page = await client.messages.list({ with: who, limit: 200, after })
    all.push(...page)
    const last = page.at(-1)
    if (last === undefined) return all.filter((message) => message.direction === direction)
    after = last.position
  }
}

/** Waits until everything `client` sent to `who` (`count` messages) has a receipt. */
export async function delivered(client: MiaouClient, who: string, count: number, withinMs = 30_000): Promise<void> {
  await until(
    `${count} receipts`,
    async () => {
      const sent = await history(client, who, 'out')
      const arrived = sent.filter(({ state }) => state === 'delivered' || state === 'read')
      return sent.length === count && arrived.length === count ? true : undefined
    },
    { withinMs },
  )
}

/** The texts `client` has from `who`, oldest first. */
export async function receivedTexts(client: MiaouClient, who: string): Promise<string[]> {
  return (await history(client, who, 'in')).map(({ text }) => text)
}
