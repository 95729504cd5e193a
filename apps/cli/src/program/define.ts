import { resolve } from 'node:path'
import { MiaouError } from '@miaou/sdk/client'
import type { PhraseKey, Text } from '@miaou/text'
import { type Command, InvalidArgumentError } from 'commander'
import { type Context, createContext, type GlobalOptions } from '../context.ts'
import type { ExitCode } from '../exit-code.ts'
import type { Io } from '../io.ts'
import type { PeerOptions } from '../session.ts'

/** The options of one command line, by kind. */
export interface Given {
  text(name: string): string | undefined
  number(name: string): number | undefined
  numbers(name: string): readonly number[] | undefined
  /** An option that may be given more than once. */
  texts(name: string): readonly string[] | undefined
  flag(name: string): boolean
  /** Whether `--no-<name>` was given. */
  isRefused(name: string): boolean
}

export type Run = (context: Context, words: readonly string[], given: Given) => Promise<ExitCode>

export interface CommandMore {
  readonly parent?: Command
  /** Shown under the help, a line each. */
  readonly examples: readonly string[]
  readonly options?: (command: Command) => void
}

/** Adds a command: `name <word> [word]`, the key of its help, what it does. */
export type Define = (nameAndWords: string, help: PhraseKey, run: Run, more: CommandMore) => void

export interface Group {
  readonly define: Define
  readonly program: Command
  readonly text: Text
}

export function createDefine(io: Io, program: Command, text: Text, finish: (code: ExitCode) => void): Define {
  return (nameAndWords, help, run, { parent = program, examples, options }) => {
    // Phrases of help have no places to fill.
    const describe: (key: PhraseKey) => string = (key) => text(key as 'help.up')
    const command = parent.command(nameAndWords).description(describe(help))
    command.copyInheritedSettings(program)
    command.helpOption('-h, --help', text('help.help'))
    options?.(command)
    command.addHelpText('after', ['', text('help.examples'), ...examples.map((example) => `  ${example}`)].join('\n'))
    command.action(async (...parsed: unknown[]) => {
      const words = parsed.slice(0, command.registeredArguments.length).flat()
      const all: GlobalOptions & Record<string, unknown> = command.optsWithGlobals()
      finish(await run(createContext(io, all), words.map(toWord), toGiven(all)))
    })
  }
}

function toWord(word: unknown): string {
  return word === undefined ? '' : String(word)
}

function toGiven(options: Readonly<Record<string, unknown>>): Given {
  return {
    text: (name) => (typeof options[name] === 'string' ? options[name] : undefined),
    number: (name) => (typeof options[name] === 'number' ? options[name] : undefined),
    numbers: (name) => {
      const value = options[name]
      return Array.isArray(value) && value.every((item) => typeof item === 'number') ? value : undefined
    },
    texts: (name) => {
      const value = options[name]
      return Array.isArray(value) && value.every((item) => typeof item === 'string') ? value : undefined
    },
    flag: (name) => options[name] === true,
    isRefused: (name) => options[name] === false,
  }
}

/** An object with the field where there is a value, else without: for exact optional fields. */
export function optional<K extends string, V>(name: K, value: V | undefined): { readonly [P in K]?: V } {
  const fields: { [P in K]?: V } = {}
  if (value !== undefined) fields[name] = value
  return fields
}

/** A day: beyond it the process is a daemon. */
const secondsMax = 86_400

export function parseSeconds(value: string): number {
  const parsed = Number(value)
  if (value.trim() === '' || !Number.isFinite(parsed) || parsed < 0 || parsed > secondsMax) {
    throw new InvalidArgumentError(`0–${secondsMax}`)
  }
  return parsed
}

/** `1,2,3`: at most ten waits. */
export function parseSecondsList(value: string): readonly number[] {
  const parts = value.split(',')
  if (parts.length > 10) throw new InvalidArgumentError('1,2,3')
  return parts.map(parseSeconds)
}

export function parseCount(countMax: number): (value: string) => number {
  return (value) => {
    const parsed = Number(value)
    if (!Number.isSafeInteger(parsed) || parsed < 1 || parsed > countMax)
      throw new InvalidArgumentError(`1–${countMax}`)
    return parsed
  }
}

export function parsePort(value: string): number {
  const parsed = Number(value)
  if (value.trim() === '' || !Number.isInteger(parsed) || parsed < 0 || parsed > 65_535) {
    throw new InvalidArgumentError('0–65535')
  }
  return parsed
}

export function addListenOptions(command: Command, text: Text): void {
  command
    .option('--port <port>', text('help.port'), parsePort)
    .option('--loopback', text('help.loopback'))
    .option('--overlay-port <port>', text('help.overlay-port'), parsePort)
    .option('--bootstrap <node>', text('help.bootstrap'), repeated)
  addReachOptions(command, text)
}

export function listenOptions(given: Given): PeerOptions {
  const port = given.number('port')
  return {
    ...(port === undefined ? {} : { port, portIsExact: true }),
    ...(given.flag('loopback') ? { loopbackOnly: true } : {}),
    ...optional('overlayPort', given.number('overlayPort')),
    ...optional('bootstrap', given.texts('bootstrap')),
    ...reachOptions(given),
  }
}

/** The options by which others reach this peer, and it them, through routers and relays. */
function addReachOptions(command: Command, text: Text): void {
  command
    .option('--relay <address>', text('help.relay-address'), repeated)
    .option('--mailbox <address>', text('help.mailbox-address'), repeated)
    .option('--relay-only', text('help.relay-only'))
    .option('--serve <service,…>', text('help.serve'), parseWords)
    .option('--public-url <url>', text('help.public-url'))
    .option('--tls-cert <file>', text('help.tls-cert'))
    .option('--tls-key <file>', text('help.tls-key'))
    .option('--behind-proxy', text('help.behind-proxy'))
    .option('--stun-port <port>', text('help.stun-port'), parsePort)
    .option('--no-port-mapping', text('help.no-port-mapping'))
}

function reachOptions(given: Given): PeerOptions {
  const [cert, key] = [given.text('tlsCert'), given.text('tlsKey')]
  if ((cert === undefined) !== (key === undefined)) throw new MiaouError('tls-needs-both')
  const serve = given.texts('serve')
  for (const service of serve ?? []) checkService(service)
  if (given.flag('relayOnly')) {
    const service = serve?.[0]
    const publicUrl = given.text('publicUrl') === undefined ? undefined : '--public-url'
    const conflict = service === undefined ? publicUrl : `--serve ${service}`
    if (conflict !== undefined) throw new MiaouError('options-conflict', { first: '--relay-only', second: conflict })
  }
  if (given.flag('behindProxy') && cert !== undefined) {
    throw new MiaouError('options-conflict', { first: '--behind-proxy', second: '--tls-cert' })
  }
  return {
    ...optional('relayAddresses', given.texts('relay')),
    ...(given.flag('relayOnly') ? { relayOnly: true } : {}),
    ...optional('mailboxAddresses', given.texts('mailbox')),
    ...serveOption(serve),
    ...optional('publicUrl', given.text('publicUrl')),
    ...(cert === undefined || key === undefined ? {} : { tls: { cert: resolve(cert), key: resolve(key) } }),
    ...(given.flag('behindProxy') ? { behindProxy: true } : {}),
    ...optional('stunPort', given.number('stunPort')),
    ...(given.isRefused('portMapping') ? { portMapping: false } : {}),
  }
}

function serveOption(services: readonly string[] = []): Pick<PeerOptions, 'serve'> {
  if (services.length === 0) return {}
  return {
    serve: {
      ...(services.includes('relay') ? { relay: {} } : {}),
      ...(services.includes('mailbox') ? { mailbox: {} } : {}),
    },
  }
}

/** What other versions will serve: named so that nobody takes it for a typing mistake. */
const laterServices: readonly string[] = ['directory', 'turn', 'sfu']

function checkService(service: string): void {
  if (service === 'relay' || service === 'mailbox') return
  throw new MiaouError(laterServices.includes(service) ? 'not-served-yet' : 'cannot-serve', { service })
}

function parseWords(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, ...value.split(',').map((word) => word.trim())]
}

function repeated(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value]
}
