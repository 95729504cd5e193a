import { writeFileSync } from 'node:fs'
import type { BootstrapNode, ReachSettings } from '@miaou/host-node'
import type { MiaouClient } from '@miaou/sdk'
import { connect, MiaouError } from '@miaou/sdk/client'
import { type ApiFile, readApiFile, removeApiFile, writeApiFile } from './api/api-file.ts'
import type { Context } from './context.ts'
import { createLog } from './log.ts'
import { attemptsMax, hasTerminal, newName, newPassphrase, openingPassphrase } from './passphrase.ts'
import { peerConnection } from './peer/connection.ts'
import type { PeerHandle, PeerHost, StartPeerOptions } from './peer-handle.ts'
import { toStartError } from './start-errors.ts'
import { ask } from './terminal/prompt.ts'

/** A way to the peer of the home. */
export interface Session {
  readonly client: MiaouClient
  /** The daemon that answers; undefined when the peer runs in this process. */
  readonly daemon: ApiFile | undefined
  close(): Promise<void>
}

/** What a peer started by a command may be told. */
export interface PeerOptions
  extends Pick<StartPeerOptions, 'port' | 'portIsExact' | 'loopbackOnly' | 'offline' | 'overlayPort'>,
    Omit<ReachSettings, 'relays' | 'mailboxes'> {
  /** Relays to use in this run besides the configured ones, as their owners hand them out. */
  readonly relayAddresses?: readonly string[]
  /** Mailboxes to use in this run besides the configured ones, as their owners hand them out. */
  readonly mailboxAddresses?: readonly string[]
  /** Nodes to join the overlay through, as `dht info` shows them. */
  readonly bootstrap?: readonly string[]
}

/** The running daemon of the home, else a peer in this process for the duration of the command. */
export async function openSession(context: Context, options: PeerOptions = {}): Promise<Session> {
  const daemon = await findDaemon(context.home)
  if (daemon !== undefined) {
    const { httpConnection } = await import('@miaou/sdk/http')
    const client = connect(httpConnection({ ...daemon, relocate: async () => readApiFile(context.home) }))
    return { client, daemon, close: () => client.close() }
  }
  const peer = await startPeer(context, options)
  const client = connect(peerConnection(peer, { isOwner: true }))
  return { client, daemon: undefined, close: () => client.close() }
}

/** Runs a command's body over a session and closes it, whatever happens. */
export async function withSession<T>(
  context: Context,
  body: (session: Session) => Promise<T>,
  options: PeerOptions = {},
): Promise<T> {
  const session = await openSession(context, options)
  try {
    return await body(session)
  } finally {
    await session.close()
  }
}

/**
 * As `withSession`, for what lasts: a peer of this process is served to the other commands of the home meanwhile, which
 * would find the home in use otherwise.
 */
export async function withServedSession<T>(
  context: Context,
  kind: ApiFile['kind'],
  body: (session: Session) => Promise<T>,
  options: PeerOptions = {},
): Promise<T> {
  if ((await findDaemon(context.home)) !== undefined) return withSession(context, body, options)
  const peer = await startPeer(context, options)
  const client = connect(peerConnection(peer, { isOwner: true }))
  let api: Awaited<ReturnType<typeof serve>> | undefined
  try {
    api = await serve(peer, kind)
    return await body({ client, daemon: undefined, close: () => client.close() })
  } finally {
    await api?.close()
    await client.close()
  }
}

/** As `withSession`, for what the home alone answers: without a daemon nothing listens, nothing is sent, nobody is sought. */
export function withHome<T>(context: Context, body: (session: Session) => Promise<T>): Promise<T> {
  return withSession(context, body, { offline: true })
}

/** The peer that already serves this home. A file that a killed process left behind answers nobody. */
export async function findDaemon(home: string): Promise<ApiFile | undefined> {
  const file = readApiFile(home)
  if (file === undefined || !isAlive(file.pid)) return undefined
  const { httpConnection } = await import('@miaou/sdk/http')
  const client = connect(httpConnection({ ...file, timeoutMs: 5_000 }))
  try {
    await client.identity.get()
    return file
  } catch (error) {
    if (error instanceof MiaouError && (error.code === 'no-peer' || error.code === 'unauthorised')) return undefined
    throw error
  } finally {
    await client.close()
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    // EPERM: it lives, as somebody else's.
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
}

/** Starts the peer of the home in this process, making the home first where there is none. */
export async function startPeer(context: Context, options: PeerOptions = {}): Promise<PeerHandle> {
  const { io, home, out, text } = context
  const host = await io.loadHost()
  const passphrase = stateOf(home, host) === 'absent' ? (await createHome(context, host)).passphrase : undefined
  if (stateOf(home, host) === 'open') return start(context, host, options, undefined)
  if (passphrase !== undefined) return start(context, host, options, passphrase)
  for (let attempt = 1; ; attempt++) {
    const { bytes, isAsked } = await openingPassphrase(context)
    try {
      return await start(context, host, options, bytes)
    } catch (error) {
      const isWrong = error instanceof MiaouError && error.code === 'wrong-passphrase'
      if (!isWrong || !isAsked || attempt >= attemptsMax) throw error
      out.note(text('passphrase.wrong'))
    }
  }
}

/** What is in the place of a home. Throws where the system does not let us look: a file there, or another's folder. */
export function stateOf(home: string, host: PeerHost): ReturnType<PeerHost['homeState']> {
  try {
    return host.homeState(home)
  } catch (cause) {
    if (!(cause instanceof Error && 'code' in cause)) throw cause
    throw new MiaouError('home-unwritable', { home, detail: cause.message }, { cause })
  }
}

async function start(
  context: Context,
  host: PeerHost,
  { bootstrap = [], relayAddresses = [], mailboxAddresses = [], ...options }: PeerOptions,
  passphrase: Uint8Array | undefined,
): Promise<PeerHandle> {
  const nodes = bootstrap.length === 0 ? {} : { bootstrapNodes: await readNodes(bootstrap) }
  const relays = relayAddresses.length === 0 ? {} : { relays: await readRelays(relayAddresses) }
  const mailboxes = mailboxAddresses.length === 0 ? {} : { mailboxes: await readMailboxes(mailboxAddresses) }
  if (options.publicUrl !== undefined) await checkPublicUrl(options.publicUrl)
  const started = await host.startPeer({
    home: context.home,
    passphrase,
    log: createLog(context),
    ...options,
    ...nodes,
    ...relays,
    ...mailboxes,
  })
  if (!started.ok) throw toStartError(started.error, context)
  return started.value
}

async function readNodes(texts: readonly string[]): Promise<BootstrapNode[]> {
  const { parseBootstrapNode } = await import('@miaou/host-node/overlay')
  return texts.map((text) => {
    const node = parseBootstrapNode(text)
    if (!node.ok) throw new MiaouError('bad-node', { node: text, detail: node.error })
    return node.value
  })
}

async function readRelays(texts: readonly string[]): Promise<NonNullable<ReachSettings['relays']>> {
  const { parseRelayAddress } = await import('@miaou/host-node/overlay')
  return texts.map((text) => {
    const relay = parseRelayAddress(text)
    if (relay === undefined) throw new MiaouError('bad-relay', { relay: text })
    return relay
  })
}

async function readMailboxes(texts: readonly string[]): Promise<NonNullable<ReachSettings['mailboxes']>> {
  const { parseMailboxAddress } = await import('@miaou/host-node/overlay')
  return texts.map((text) => {
    const mailbox = parseMailboxAddress(text)
    if (mailbox === undefined) throw new MiaouError('bad-mailbox', { mailbox: text })
    return mailbox
  })
}

async function checkPublicUrl(url: string): Promise<void> {
  const { isRelayUrl } = await import('@miaou/host-node/overlay')
  if (!isRelayUrl(url)) throw new MiaouError('bad-public-url', { url })
}

/** A home just made, and what opens it: undefined for no passphrase. */
interface NewHome {
  readonly passphrase: Uint8Array | undefined
  readonly account: string
  readonly peerId: string
  readonly name: string
}

/** Makes a home. With recovery words it is a new device of their account. */
export async function createHome(context: Context, host: PeerHost, known?: string): Promise<NewHome> {
  const { home, io, out, text, options } = context
  if (hasTerminal(context)) out.note(text('home.welcome'))
  // Asked first on a terminal; without one the name follows by itself.
  const name = await newName(context)
  const passphrase = await newPassphrase(context)
  const created = await host.createHome({
    home,
    passphrase,
    name,
    language: text.language,
    ...(known === undefined ? {} : { words: known }),
  })
  if (!created.ok) throw toStartError(created.error, context)
  const { words, account, peerId } = created.value
  const made = { passphrase, account, peerId, name }
  out.note(text('home.created', { home }))
  // Who typed the words has them.
  if (known !== undefined) return made
  if (options.wordsFile !== undefined) {
    writeFileSync(options.wordsFile, `${words.join(' ')}\n`, { mode: 0o600, flag: 'wx' })
    out.note(text('words.written', { file: options.wordsFile }))
  } else if (hasTerminal(context)) {
    out.note(`\n${text('words.explain')}\n\n${wordTable(words)}\n`)
    await ask(io, `${text('words.continue')} `)
  } else {
    out.note(text('words.not-shown'))
  }
  return made
}

/** Four numbered columns of six. */
function wordTable(words: readonly string[]): string {
  const rows = Math.ceil(words.length / 4)
  const cell = (index: number) => `${String(index + 1).padStart(2)} ${words[index] ?? ''}`.padEnd(18)
  return Array.from({ length: rows }, (_, row) =>
    [0, 1, 2, 3]
      .map((column) => cell(row + column * rows))
      .join('')
      .trimEnd(),
  ).join('\n')
}

/** Serves the peer of this process to the other commands of the same home; the returned function ends that. */
export async function serve(
  peer: PeerHandle,
  kind: ApiFile['kind'],
  port = 0,
): Promise<{ url: string; close: () => Promise<void> }> {
  const { startApi } = await import('./api/server.ts')
  const api = await startApi(peer, { port })
  writeApiFile(peer.home, { url: api.url, token: api.token, pid: process.pid, kind })
  return {
    url: api.url,
    close: async () => {
      removeApiFile(peer.home, api.token)
      await api.close()
    },
  }
}
