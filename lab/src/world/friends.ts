import type { LabDaemon } from '../daemons/lab-daemon.ts'
import type { Lab } from './lab.ts'

/** How a link goes, as the product says it. */
export type PathKind = 'lan' | 'direct' | 'relayed'

/** A path that is waited for; over any transport unless it names one. */
export interface WantedPath {
  readonly kind: PathKind
  readonly transport?: 'webrtc'
}

/** Two people who became contacts, and how that went. Times are ms since the invited opened the invite. */
export interface Meeting {
  readonly firstMessageMs: number
  /** The lab's monotonic ms at which the invited opened the invite. */
  readonly openedAt: number
}

/** How long a test waits for what must come, ms: guess, the longest ICE attempt and a redial after it. */
export const patienceMs = 30_000

/** A person of the lab: the daemon, and the peer id others know it by. */
export interface Person {
  readonly daemon: LabDaemon
  readonly peerId: string
  readonly account: string
}

export async function person(daemon: LabDaemon): Promise<Person> {
  const { peerId, account } = await daemon.client.identity.get()
  return { daemon, peerId, account }
}

/** `host` makes an invite, `guest` opens it and writes; resolves when the inviter has the message. */
export async function meet(host: Person, guest: Person, withinMs: number = patienceMs): Promise<Meeting> {
  const { invite } = await host.daemon.client.invites.create()
  const openedAt = performance.now()
  await guest.daemon.client.contacts.add({ invite, name: host.daemon.name })
  await guest.daemon.client.messages.send(host.account, 'first')
  const arrivedAt = await host.daemon.events.until(
    `the first message of ${guest.daemon.name} to ${host.daemon.name}`,
    ({ at, event }) => (event.type === 'message-received' && event.message.text === 'first' ? at : undefined),
    withinMs,
  )
  return { firstMessageMs: arrivedAt - openedAt, openedAt }
}

/** How the link from one to the other goes now; undefined without one. */
export async function pathTo(
  from: Person,
  to: Person,
): Promise<{ kind?: PathKind; transport: string; via?: string } | undefined> {
  const view = (await from.daemon.client.network.peers()).find(({ peerId }) => peerId === to.peerId)
  if (view?.transport === undefined || view.state === 'idle' || view.state === 'waiting') return undefined
  const { path, transport } = view
  return {
    transport,
    ...(path === undefined ? {} : { kind: path.kind }),
    ...(path?.via === undefined ? {} : { via: path.via }),
  }
}

/**
 * Waits until the path between two is as wanted, as both of them say; resolves to the lab's ms at which the link came up
 * on which it goes, as the one who learnt it later saw it.
 */
export async function untilPath(
  one: Person,
  other: Person,
  wanted: WantedPath,
  withinMs: number = patienceMs,
): Promise<number> {
  const [here, there] = await Promise.all([
    sideUntilPath(one, other, wanted, withinMs),
    sideUntilPath(other, one, wanted, withinMs),
  ])
  return Math.max(here, there)
}

async function sideUntilPath(from: Person, to: Person, wanted: WantedPath, withinMs: number): Promise<number> {
  const { events } = from.daemon
  const deadline = performance.now() + withinMs
  for (let heard = 0; ; ) {
    // Looked at again after each event about this peer's links: the list tells the path, the event that it changed.
    const known = events.seen.length
    const path = await pathTo(from, to)
    if (path?.kind === wanted.kind && (wanted.transport ?? path.transport) === path.transport) {
      const established = events.seen
        .slice(0, Math.max(known, events.seen.length))
        .findLast(
          ({ event }) =>
            event.type === 'connection-established' && event.peerId === to.peerId && event.transport === path.transport,
        )
      return established?.at ?? performance.now()
    }
    heard = Math.max(heard, known)
    try {
      heard = await events.until(
        `${from.daemon.name} to have a path to ${to.daemon.name} that is ${wanted.kind}${wanted.transport === undefined ? '' : ` over ${wanted.transport}`}`,
        ({ event }) =>
          event.type === 'connection-established' || event.type === 'connection-closed' ? known + 1 : undefined,
        deadline - performance.now(),
        heard,
      )
    } catch (cause) {
      throw new Error(
        `${cause instanceof Error ? cause.message : cause}; it is ${JSON.stringify(await pathTo(from, to))}`,
      )
    }
  }
}

/** A text so long that what carries it cannot be taken for a try to connect. */
const weight = 'miaou '.repeat(2_000)

/**
 * Whether what two say to each other goes directly, told by the meter between their homes and not by themselves: most of
 * a long message must pass there, or next to nothing.
 */
export async function carriedDirectly(lab: Lab, one: Person, other: Person): Promise<boolean> {
  const before = await lab.directBytes()
  const sent = await one.daemon.client.messages.send(other.account, weight)
  await one.daemon.events.until(
    `a receipt for a long message of ${one.daemon.name}`,
    ({ event }) =>
      event.type === 'message-state' &&
      event.message.id === sent.id &&
      event.message.state !== 'queued' &&
      event.message.state !== 'sent'
        ? true
        : undefined,
    patienceMs,
  )
  return (await lab.directBytes()) - before > weight.length / 2
}
