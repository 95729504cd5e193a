import { createReadStream, writeFileSync } from 'node:fs'
import { bytesToHex, bytesToText, hexToBytes, parsePeerId, peerIdToKey } from '@miaou/core'
import type { OverlayFound, OverlayPut, OverlayPutSigned } from '@miaou/sdk'
import { MiaouError } from '@miaou/sdk/client'
import type { Context } from '../context.ts'
import { type ExitCode, exitCodes } from '../exit-code.ts'
import { type Session, withSession } from '../session.ts'
import { formatTable } from '../terminal/format.ts'
import { round } from '../terminal/live.ts'
import { costWords } from '../terminal/overlay.ts'
import { pause, withProgress } from '../terminal/progress.ts'
import { sanitise } from '../terminal/sanitise.ts'
import { findPeer } from './network.ts'

/** Name of the record in which a device publishes a public key (rows I07, I08). */
const signingName = 'signing'
/** How long a peer that just started listens for nodes on the network, ms: mDNS answers within a second (RFC 6762). */
const browseMs = 1_500
/** How long a command waits for its node to join, ms: a few rounds of requests that nobody answers (guess). */
const joinMsMax = 20_000
const stepMs = 50
/** Bytes of a whole record (spec/overlay O13): the peer knows how many of them the value may have. */
const recordSizeMax = 1_000

export interface PutOptions {
  /** Name of a signed record. */
  readonly salt?: string
  /** Where the value is; `-`: the input. */
  readonly file?: string
}

/** Row I07, and any other value. One word is stored under its hash; a record of one's own has a name. */
export async function put(context: Context, words: readonly string[], options: PutOptions): Promise<ExitCode> {
  const [first = '', second] = words
  const isSigning = first === signingName && options.salt === undefined && options.file === undefined
  if (isSigning && words.length === 2) return putKey(context, second ?? '')
  const isOneValue = words.length === (options.file === undefined ? 1 : 0)
  if (!isOneValue || isSigning) throw new MiaouError('bad-request', { detail: context.text('dht.usage-put') })
  const value = await readValue(context, first, options.file)
  return withJoinedSession(context, async (session) => {
    const { overlay } = session.client
    if (options.salt !== undefined) return putSigned(context, session, options.salt, value)
    const done = await withProgress(context, context.text('dht.storing'), overlay.putValue(value))
    context.out.object(done)
    printPut(context, session, done)
    return exitCodes.ok
  })
}

function putKey(context: Context, key: string): Promise<ExitCode> {
  return withJoinedSession(context, async (session) => {
    const value = hexToBytes(key)
    if (value?.length === 32) return putSigned(context, session, signingName, value)
    const own = (await session.client.keys.list()).find(({ keyId, kind }) => keyId === key && kind === 'signing')
    const publicKey = own?.publicKey === undefined ? undefined : hexToBytes(own.publicKey)
    if (publicKey === undefined) throw new MiaouError('bad-request', { detail: context.text('dht.usage-key', { key }) })
    return putSigned(context, session, signingName, publicKey)
  })
}

async function putSigned(context: Context, session: Session, name: string, value: Uint8Array): Promise<ExitCode> {
  const { out, text } = context
  const done = await withProgress(context, text('dht.storing'), session.client.overlay.putSigned(name, value))
  out.object(done)
  printPut(context, session, done)
  if (!done.kept) out.note(text('dht.not-kept'))
  return exitCodes.ok
}

function printPut({ out, text }: Context, { daemon }: Session, done: OverlayPut | OverlayPutSigned): void {
  const isSigned = 'peerId' in done
  out.line(
    formatTable([
      [text('dht.key'), done.key],
      ...(isSigned
        ? [
            [text('dht.signed-by'), done.peerId],
            [text('dht.version'), String(done.sequence)],
          ]
        : []),
      [text('dht.copies'), text('dht.copies-at', { count: done.replicas })],
      [text('dht.took'), costWords(text, done.cost)],
    ]),
  )
  out.note(text(isSigned ? 'dht.public-signed' : 'dht.public'))
  if (daemon === undefined) out.note(text('dht.lasts'))
}

async function readValue({ io }: Context, word: string, file: string | undefined): Promise<Uint8Array> {
  if (file === '-' || (file === undefined && word === '-')) return readBytes(io.stdin)
  if (file === undefined) return new TextEncoder().encode(word)
  try {
    return await readBytes(createReadStream(file))
  } catch (cause) {
    if (cause instanceof MiaouError) throw cause
    throw new MiaouError('bad-request', { detail: cause instanceof Error ? cause.message : file }, { cause })
  }
}

/** Everything a stream has, as long as a record could hold it: a device or a pipe may never end. */
async function readBytes(stream: NodeJS.ReadableStream): Promise<Uint8Array> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of stream) {
    const bytes = Buffer.from(chunk)
    chunks.push(bytes)
    size += bytes.length
    if (size > recordSizeMax) throw new MiaouError('record-too-large', { size, sizeMax: recordSizeMax })
  }
  return new Uint8Array(Buffer.concat(chunks))
}

export interface GetOptions {
  readonly salt?: string
  /** The bytes as they are, to the output. */
  readonly raw: boolean
  /** New file for the bytes. */
  readonly out?: string
}

/** Row I08, and what is stored under any key. */
export async function get(context: Context, words: readonly string[], options: GetOptions): Promise<ExitCode> {
  const [target = '', second = ''] = words
  const name = options.salt ?? (second === signingName ? second : undefined)
  const isKey = isHex32(target)
  const isUsed = target !== '' && (isKey ? name === undefined : name !== undefined)
  const isTooMuch = second !== '' && (options.salt !== undefined || second !== signingName)
  if (!isUsed || isTooMuch) throw new MiaouError('bad-request', { detail: context.text('dht.usage-get') })
  return withJoinedSession(context, async (session) => {
    const { overlay } = session.client
    const search = async () =>
      name === undefined ? overlay.get(target) : overlay.getSigned(await findPeer(session, target), name)
    const found = await withProgress(context, context.text('dht.searching'), search())
    printFound(context, found, { ...options, isText: name !== signingName })
    return exitCodes.ok
  })
}

function printFound(
  context: Context,
  { record, size, cost }: OverlayFound,
  { raw, out: file, isText }: GetOptions & { readonly isText: boolean },
): void {
  const { io, out, text } = context
  const bytes = hexToBytes(record.value) ?? new Uint8Array(0)
  const words = isText ? bytesToText(bytes) : undefined
  out.object({ record, size, cost, ...(words === undefined ? {} : { text: words }) })
  if (file !== undefined) writeNew(context, file, bytes)
  else if (raw && !out.isJson) io.stdout.write(bytes)
  else {
    out.line(words === undefined ? record.value : sanitise(words))
    if (isText && words === undefined) out.note(text('dht.not-text'))
  }
  out.note(text('dht.found', { count: cost.requests, ms: round(cost.ms) }))
  if (record.type === 'signed') {
    out.note(text('dht.found-signed', { peerId: record.peerId, version: String(record.sequence) }))
  }
}

function writeNew({ out, text }: Context, file: string, bytes: Uint8Array): void {
  try {
    writeFileSync(file, bytes, { mode: 0o600, flag: 'wx' })
  } catch (cause) {
    throw new MiaouError('bad-request', { detail: cause instanceof Error ? cause.message : file }, { cause })
  }
  out.note(text('dht.written', { count: bytes.length, file }))
}

/** Nodes closest to a node id, a key of a record, or the id of a peer (its 32 bytes). */
export function find(context: Context, target: string): Promise<ExitCode> {
  return withJoinedSession(context, async (session) => {
    const { out, text } = context
    const wanted = isHex32(target) ? target : await peerKeyHex(session, target)
    const searching = session.client.overlay.findNode(wanted)
    const { contacts, cost } = await withProgress(context, text('dht.searching'), searching)
    for (const contact of contacts) out.object(contact)
    out.line(text('dht.closest', { count: contacts.length }))
    out.line(formatTable(contacts.map(({ nodeId, node }) => [shortNodeId(nodeId), node])))
    out.note(costWords(text, cost))
    return exitCodes.ok
  })
}

async function peerKeyHex(session: Session, target: string): Promise<string> {
  const peerId = parsePeerId(await findPeer(session, target))
  if (peerId === undefined) throw new MiaouError('unknown-peer', { peerId: target })
  return bytesToHex(peerIdToKey(peerId))
}

export function pingNode(context: Context, node: string, count: number): Promise<ExitCode> {
  return withSession(context, async ({ client }) => {
    const { out, text } = context
    for (let i = 0; i < count; i++) {
      const answer = await withProgress(context, text('dht.waiting'), client.overlay.ping(node))
      out.object(answer)
      const facts = { node: node.slice(node.indexOf('@') + 1), ms: round(answer.ms) }
      const { endpoint, observed } = answer
      if (endpoint !== undefined) out.line(text('dht.punched', { ...facts, node: `${node.slice(0, 8)}…`, endpoint }))
      else
        out.line(observed === undefined ? text('dht.pong', facts) : text('dht.pong-observed', { ...facts, observed }))
    }
    return exitCodes.ok
  })
}

export function bootstrap(context: Context, nodes: readonly string[]): Promise<ExitCode> {
  return withSession(context, async ({ client }) => {
    const { out, text } = context
    const joining = client.overlay.bootstrap(nodes)
    const joined = await withProgress(context, text('dht.joining'), joining)
    // Who knows others already joins through them too: whether those named are there shows only when they are asked.
    const silent = await silentOnes(client, nodes)
    for (const node of silent) out.note(text('dht.silent', { node }))
    if (silent.length === nodes.length) throw new MiaouError('node-silent')
    out.object(joined)
    out.line(text('dht.joined', { count: joined.contacts }))
    out.note(costWords(text, joined.cost))
    return exitCodes.ok
  })
}

async function silentOnes({ overlay }: Session['client'], nodes: readonly string[]): Promise<readonly string[]> {
  const answers = await Promise.allSettled(nodes.map((node) => overlay.ping(node)))
  return nodes.filter((_, index) => answers[index]?.status === 'rejected')
}

/** As `withSession`, once the node has joined the overlay, or it is plain that it cannot now. */
export function withJoinedSession(context: Context, body: (session: Session) => Promise<ExitCode>): Promise<ExitCode> {
  return withSession(context, async (session) => {
    await withProgress(context, context.text('dht.joining'), joining(session))
    return body(session)
  })
}

async function joining({ client }: Session): Promise<void> {
  const { uptimeMs } = await client.network.info()
  for (let waitedMs = 0; waitedMs < joinMsMax; waitedMs += stepMs) {
    const { state, bootstrap } = await client.overlay.info()
    if (state.type !== 'running' || bootstrap.type === 'bootstrapped') return
    // Nobody to ask, but who is on the network may not have been heard of yet.
    const isNew = uptimeMs + waitedMs < browseMs
    if (bootstrap.type !== 'trying' && !isNew) return
    await pause(stepMs)
  }
}

function isHex32(text: string): boolean {
  return /^[0-9a-f]{64}$/i.test(text)
}

/** For display only, never for comparison. */
function shortNodeId(nodeId: string): string {
  return `${nodeId.slice(0, 4)}…${nodeId.slice(-4)}`
}
