import type { PeerView, Relay } from '@miaou/sdk'
import { MiaouError } from '@miaou/sdk/client'
import { formatDuration } from '@miaou/text'
import type { Context } from '../context.ts'
import { type ExitCode, exitCodeOf, exitCodes } from '../exit-code.ts'
import { isLinked } from '../peer/path-reasons.ts'
import { suggest } from '../peer/suggest.ts'
import { type Session, withServedSession, withSession } from '../session.ts'
import { formatState, formatTable, shortId } from '../terminal/format.ts'
import { LinkStory } from '../terminal/link-story.ts'
import { createNames, formatEvent, type Names, round } from '../terminal/live.ts'
import { overlayLine } from '../terminal/overlay.ts'
import { mappingWords, natWords, pathNote, pathWords } from '../terminal/path.ts'
import { interruptSignal, pause, withProgress } from '../terminal/progress.ts'
import { sanitiseLine } from '../terminal/sanitise.ts'
import { mailboxRows } from './mailbox.ts'
import { settled } from './messages.ts'
import { relayWords } from './relay.ts'

/** How long a peer that just started listens for others on the network, ms: mDNS answers within a second (RFC 6762). */
const browseMs = 1_500
/** Shown for a latency that was not measured (row C17). */
const unknownLatencyMs = 9999

/** Row I14. `follow`: keeps the service up and goes on telling who comes and goes (row I12). */
export function listPeers(context: Context, follow: boolean): Promise<ExitCode> {
  const run = async (session: Session): Promise<ExitCode> => {
    const list = async (signal?: AbortSignal) => {
      if (session.daemon === undefined) {
        await withProgress(context, context.text('peers.looking'), pause(browseMs, signal))
      }
      printPeers(context, await session.client.network.peers())
      if (follow) context.out.note(context.text('peers.following'))
    }
    // Whoever connects while the list is made is told after it.
    if (follow) await watch(context, session, { first: list })
    else await list()
    return exitCodes.ok
  }
  return follow ? withServedSession(context, 'daemon', run) : withSession(context, run)
}

function printPeers({ out, text }: Context, peers: readonly PeerView[]): void {
  for (const peer of peers) out.object(peer)
  out.line(text('peers.count', { count: peers.length }))
  if (peers.length === 0) {
    out.line(text('peers.none'))
    return
  }
  const { styles } = out
  out.line(
    formatTable(
      peers.map((peer) => [
        peer.state === 'connected' || peer.state === 'upgrading' ? styles.good('●') : styles.soft('○'),
        shortId(peer.peerId),
        sanitiseLine(peer.name ?? ''),
        peer.addresses[0] === undefined ? '-' : sanitiseLine(peer.addresses[0]),
        `${round(peer.latencyMs ?? unknownLatencyMs)} ms`,
        peer.peerId,
        styles.soft(pathWords(text, peer)),
      ]),
    ),
  )
}

/** News after which an id may have another name. */
const renaming: ReadonlySet<string> = new Set([
  'contact-changed',
  'contact-removed',
  'invite-used',
  'connection-established',
  'peer-seen',
])

export interface WatchOptions {
  readonly until?: AbortSignal
  /** Done before the first event is printed; what happens meanwhile is not missed. */
  readonly first?: (signal: AbortSignal) => Promise<void>
}

/** Prints what happens until the process is asked to end, `until` aborts, or the peer stops. */
export async function watch(context: Context, { client }: Session, options: WatchOptions = {}): Promise<void> {
  const { until, first } = options
  const { signal, end } = interruptSignal(context)
  const events = client.events()
  const stop = () => void events.return?.()
  for (const ending of [signal, until]) ending?.addEventListener('abort', stop, { once: true })
  if (signal.aborted || until?.aborted === true) stop()
  let names: Names | undefined
  const story = new LinkStory()
  try {
    await first?.(signal)
    for await (const event of events) {
      context.out.object(event)
      if (context.out.isJson) continue
      // Asked anew only when somebody new may have come: under load there are thousands of events a second.
      if (names === undefined || renaming.has(event.event.type)) {
        const peers = await client.network.peers()
        names = createNames(await client.contacts.list(), peers)
        story.look(peers)
      }
      const line = formatEvent(context, event, names, story)
      if (line !== undefined) context.out.line(line)
    }
  } finally {
    end()
    await events.return?.()
  }
}

export function info(context: Context): Promise<ExitCode> {
  return withSession(context, async ({ client }) => {
    const { out, text } = context
    const facts = await client.network.info()
    out.object(facts)
    const [first = '-', ...others] = facts.addresses
    out.line(
      formatTable([
        [text('info.peer'), facts.peerId],
        [text('info.addresses'), first],
        ...others.map((address) => ['', address]),
        [text('info.nat'), natWords(text, facts.natType)],
        [text('info.mapping'), mappingWords(text, facts.portMapping)],
        ...(facts.relayOnly ? [[text('info.relay-only'), text('info.relay-only-on')]] : []),
        ...(facts.publicUrl === undefined ? [] : [[text('info.public-url'), sanitiseLine(facts.publicUrl)]]),
        ...relayRows(context, facts.relays),
        ...mailboxRows(context, facts.mailboxes),
        ...(facts.serving?.relay === undefined ? [] : [[text('up.serves'), facts.serving.relay.address]]),
        ...(facts.serving?.mailbox === undefined ? [] : [[text('up.serves-mailbox'), facts.serving.mailbox.address]]),
        [text('info.connected'), String(facts.connectedPeers)],
        [text('info.queued'), String(facts.queuedMessages)],
        [text('info.uptime'), formatDuration(text.language, facts.uptimeMs)],
        [text('info.webrtc'), facts.webrtc],
        [text('info.discoverable'), facts.discoverable],
        [text('info.overlay'), overlayLine(text, facts.overlay)],
      ]),
    )
    return exitCodes.ok
  })
}

function relayRows(context: Context, relays: readonly Relay[]): string[][] {
  const title = context.text('info.relays')
  if (relays.length === 0) return [[title, context.text('info.relays-none')]]
  return relays.map((relay, index) => [index === 0 ? title : '', relayWords(context, relay)])
}

/** A peer id, the name of a contact or of a peer seen, or the start of an id. */
export async function findPeer({ client }: Session, target: string): Promise<string> {
  if (/^12D3KooW[1-9A-HJ-NP-Za-km-z]{44}$/.test(target)) return target
  const peers = await client.network.peers()
  const contacts = await client.contacts.list()
  const wanted = target.toLowerCase()
  const contact = contacts.find(({ name, account }) => account === target || name.toLowerCase() === wanted)
  const [device] = contact?.devices ?? []
  if (device !== undefined) return device
  const matching = peers.filter(
    ({ peerId, name }) => name?.toLowerCase() === wanted || (target.length >= 4 && isStart(peerId, target)),
  )
  const [only] = matching
  if (only !== undefined && matching.length === 1) return only.peerId
  const known = [...peers.map(({ peerId }) => peerId), ...contacts.map(({ name }) => name)]
  throw new MiaouError('unknown-peer', { peerId: target, suggestions: suggest(target, known, 3) })
}

function isStart(peerId: string, text: string): boolean {
  return peerId.startsWith(text) || peerId.slice(8).startsWith(text)
}

export interface ConnectOptions {
  readonly timeoutMs: number
  /** Sent once connected: whoever answers becomes a contact. */
  readonly message?: string
  /** Waits before each new look at the network, ms (row I04). */
  readonly retryMs: readonly number[]
}

/** Row I04: every step is told as it happens. */
export function connectPeer(context: Context, target: string, options: ConnectOptions): Promise<ExitCode> {
  return withSession(context, async (session) => {
    const { out, text } = context
    const { client } = session
    const step = (name: string, words: string, facts: object = {}) => {
      out.object({ step: name, ...facts })
      out.line(words)
    }
    const isAddress = /^(wss?:\/\/|circuit:)/i.test(target)
    step('search', text('connect.search', { target }))
    step('mdns', text('connect.mdns'))
    const found = isAddress
      ? { peerId: target, addresses: [target] }
      : await search(session, target, options, step, text)
    const count = found.addresses.length
    step('addresses', text('connect.addresses', { count }), { count, addresses: found.addresses })
    try {
      const before = await client.network.peers()
      const connected = await client.network.connect(found.peerId, options.timeoutMs)
      const { peerId } = connected
      // Nothing was dialled or offered where a link stands already, and nothing must be said of it.
      const standing = before.find((known) => known.peerId === peerId && isLinked(known))
      if (standing !== undefined) step('standing', text('connect.standing'))
      const isSettled = standing?.state === 'connected'
      if (!isSettled) await upgrade(session, peerId, options.timeoutMs, step, text)
      const peer = (await client.network.peers()).find((known) => known.peerId === peerId) ?? connected
      const facts = { transport: peer.transport ?? '?', setupMs: round(connected.setupMs) }
      const words = isSettled ? text('connect.connected-before', facts) : text('connect.connected', facts)
      const path = peer.path === undefined ? {} : { path: peer.path }
      step('connected', `${words}${pathNote(text, peer)}`, { peerId, ...facts, ...path })
      const { latencyMs } = await client.network.ping(peerId, options.timeoutMs)
      step('ping', text('connect.ping', { latencyMs: round(latencyMs) }), { latencyMs })
      if (options.message === undefined) return exitCodes.ok
      const { account } = await client.contacts.add({ peerId })
      const events = client.events({ fleeting: false })
      const sent = await client.messages.send(account, options.message)
      const message = await settled(client, events, sent, options.timeoutMs)
      step('message', `${text('connect.message')} ${formatState(context, message)}`, { message })
      return exitCodes.ok
    } catch (error) {
      if (!(error instanceof MiaouError)) throw error
      out.error(error)
      return exitCodeOf(error.code)
    }
  })
}

type Step = (name: string, words: string, facts?: object) => void

/** Looks at who is on the network, again after each wait, until the peer shows. */
async function search(
  session: Session,
  target: string,
  { retryMs }: ConnectOptions,
  step: Step,
  text: Context['text'],
): Promise<{ readonly peerId: string; readonly addresses: readonly string[] }> {
  for (let attempt = 0; ; attempt++) {
    try {
      const peerId = await findPeer(session, target)
      const peer = (await session.client.network.peers()).find((known) => known.peerId === peerId)
      if (peer !== undefined && (peer.addresses.length > 0 || peer.state === 'connected')) return peer
      if (attempt >= retryMs.length) throw new MiaouError('unknown-peer', { peerId })
    } catch (error) {
      const isUnknown = error instanceof MiaouError && error.code === 'unknown-peer'
      if (!isUnknown || attempt >= retryMs.length) throw error
    }
    const waitMs = retryMs[attempt] ?? 0
    step('retry', text('connect.retry', { attempt: attempt + 1, seconds: waitMs / 1000 }), {
      attempt: attempt + 1,
      waitMs,
    })
    await pause(waitMs)
  }
}

/** Offer and answer travel inside the first link; the smaller peer id offers. */
async function upgrade(
  { client }: Session,
  peerId: string,
  timeoutMs: number,
  step: Step,
  text: Context['text'],
): Promise<void> {
  const peer = (await client.network.peers()).find((known) => known.peerId === peerId)
  if (peer?.transport === 'webrtc') return
  const isOurs = peer?.shouldInitiate ?? true
  step('offer', text(isOurs ? 'connect.offer-made' : 'connect.offer-awaited'), { by: isOurs ? 'us' : 'them' })
  const { upgraded } = await client.network.upgraded(peerId, timeoutMs)
  if (upgraded)
    step('answer', text(isOurs ? 'connect.answer-received' : 'connect.answer-made'), { by: isOurs ? 'them' : 'us' })
  else {
    const view = (await client.network.peers()).find((known) => known.peerId === peerId)
    step('no-webrtc', text('connect.not-upgraded', { path: view === undefined ? '?' : pathWords(text, view) }))
  }
}
