import type { Now, PeerId } from '@miaou/core'
import { circuitScheme, parseCircuitAddress } from '@miaou/protocol'
import { backoff } from './backoff.ts'
import { type Connection, type DialRace, type Pipe, relayUrlOf, transportRanks } from './connection.ts'
import type { LinkError } from './interface.ts'
import type { Link } from './link.ts'
import type { NetworkState } from './network-state.ts'
import type { TransportKind } from './ports.ts'

/** How telling an error is about the peer that was dialled: the most telling one explains the failed race. */
const telling: Readonly<Partial<Record<LinkError['type'], number>>> = {
  refused: 5,
  'unsupported-version': 4,
  'channel-binding-mismatch': 4,
  'bad-certificate': 3,
  'bad-handshake': 3,
  'wrong-peer': 2,
  self: 2,
  'handshake-timeout': 1,
}

/** Who is dialled, where and when: races over the addresses of a peer, backoff, turns (spec/links L60–L66). */
export class Dialling {
  readonly #state: NetworkState
  // Races that somebody waits for, and those beside a link that is well: neither kind takes the turns of the other.
  #races = 0
  #background = 0

  constructor(state: NetworkState) {
    this.#state = state
  }

  /**
   * Adds addresses in front of those known; true when one was new. `isTrusted`: the peer itself named them (an invite),
   * or was met there. Anybody on the LAN can tell others, which push out each other but not these.
   */
  learn(connection: Connection, addresses: readonly string[], isTrusted = false): boolean {
    const { addressesMax, circuitAddressesMin } = this.#state.settings.limits
    const known = addresses.filter((address) => {
      if (addressToTransport(address) === undefined) this.#state.count('bad-address')
      return this.isDialable(address)
    })
    const dialable = known.slice(0, addressesMax)
    const fresh = dialable.filter((address) => !connection.addresses.includes(address))
    if (isTrusted) {
      const trustedMax = Math.ceil(addressesMax / 2)
      connection.trusted = [...new Set([...dialable, ...connection.trusted])].slice(0, trustedMax)
    }
    const all = [...new Set([...dialable, ...connection.addresses])]
    const circuits = all.filter(isCircuit).slice(0, circuitAddressesMin)
    while (all.length > addressesMax) {
      const last = all.findLastIndex((address) => !connection.trusted.includes(address) && !circuits.includes(address))
      all.splice(last < 0 ? -1 : last, 1)
    }
    connection.addresses = all
    if (connection.race !== undefined) {
      const room = addressesMax - connection.race.queue.length - connection.race.pipes.size
      connection.race.queue.push(...fresh.slice(0, Math.max(0, room)))
    }
    return fresh.length > 0
  }

  /** Whether this host dials such addresses: one that hides its own knows no straight way. */
  isDialable(address: string): boolean {
    const transport = addressToTransport(address)
    return transport !== undefined && !(this.#state.settings.relayOnly && transport === 'websocket')
  }

  /**
   * Dials a wanted peer as soon as it may: at once, or after a failure that is not a second old. One that is linked by a
   * circuit is dialled straight when something new is known of it (`isFresh`).
   */
  hasten(now: Now, connection: Connection, isFresh = true): void {
    const { backoffMinMs } = this.#state.settings.limits
    if (isFresh && connection.active !== undefined) {
      connection.nextBetterAt = Math.max(now.mono, connection.betterTriedAt + backoffMinMs)
    }
    if (!this.#isDialled(connection)) return
    const earliest = connection.lastTryAt + backoffMinMs
    connection.nextTryAt = Math.max(now.mono, earliest)
    this.startDue(now, connection)
  }

  /** Starts the race of a connection whose time has come, if it is its turn. */
  startDue(now: Now, connection: Connection): void {
    const { nextTryAt } = connection
    if (!this.#isDialled(connection) || nextTryAt === undefined || nextTryAt > now.mono) return
    if (connection.addresses.length === 0) {
      connection.nextTryAt = undefined
      connection.error = { type: 'no-address' }
    } else if (this.hasTurn(connection)) {
      this.start(now, connection)
    }
  }

  /** Whether another peer may be dialled now; `connection`: this one, which may have a link. */
  hasTurn({ active }: Connection): boolean {
    const { dialsMax } = this.#state.settings.limits
    return (isWell(active) ? this.#background : this.#races) < dialsMax
  }

  start(now: Now, connection: Connection, isBackground = false): void {
    connection.nextTryAt = undefined
    if (isBackground) this.#background += 1
    else this.#races += 1
    connection.race = {
      isBackground,
      startedAt: now.mono,
      queue: this.#queue(now, connection),
      pipes: new Set(),
      nextStartAt: now.mono,
      soundAt: now.mono,
      error: undefined,
    }
    this.advance(now, connection)
  }

  /** Dials the next address when its time has come, and ends the race when nothing is left of it. */
  advance(now: Now, connection: Connection): void {
    this.prune(connection)
    const { race } = connection
    if (race === undefined) return
    while (race.queue.length > 0 && now.mono >= race.nextStartAt) {
      const address = race.queue.shift()
      if (address === undefined) break
      race.pipes.add(this.dial(now, address, 'dial', connection.peerId))
      if (this.#doubt(now, connection, address) === 0) race.soundAt = now.mono
      this.#startNextAt(now, connection, race, now.mono + this.#state.settings.limits.staggerMs)
    }
    if (race.queue.length > 0 || race.pipes.size > 0) return
    if (connection.active === undefined) this.#fail(now, connection, race)
    else {
      this.end(connection)
      if (!connection.active.link?.isSuspect) connection.notBetter ??= race.error
    }
  }

  /**
   * While a link stands that can be trusted, only those dials of a race go on that lead to a better one; a race that has
   * none is over, and nobody's failure.
   */
  prune(connection: Connection): void {
    const { race, active } = connection
    if (race === undefined || active === undefined || !isWell(active)) return
    const rank = transportRanks[active.transport]
    const queue = race.queue.filter((address) => rankOf(address) > rank)
    race.queue.splice(0, race.queue.length, ...queue)
    for (const pipe of race.pipes) {
      if (transportRanks[pipe.transport] > rank && !pipe.link?.isUp) continue
      race.pipes.delete(pipe)
      if (!(pipe.link?.isConfirming || pipe.link?.isUp)) this.#state.drop(pipe)
    }
    if (race.queue.length === 0 && race.pipes.size === 0) this.end(connection)
    else if (!race.isBackground) {
      const { dialsMax } = this.#state.settings.limits
      if (this.#background >= dialsMax) this.end(connection)
      else {
        race.isBackground = true
        this.#races -= 1
        this.#background += 1
      }
    }
  }

  /**
   * When a peer that is linked is dialled all the same, monotonic ms: because its link is suspect, or because it goes by
   * a relay while a straight address is known. Infinity for never.
   */
  backgroundAt(connection: Connection): number {
    const { active, race, isWanted, isHeld, addresses } = connection
    const never = Number.POSITIVE_INFINITY
    if (active === undefined || !isWanted || isHeld || addresses.length === 0) return never
    if (active.link?.isRemoteRetired) return never
    // A suspect link does not wait for a race that is only for a better way.
    if (race !== undefined && !(race.isBackground && active.link?.isSuspect)) return never
    if (active.link?.isSuspect) return Math.max(connection.nextRescueAt, this.#unansweredAt(active.link))
    const hasBetter = active.transport === 'circuit' && addresses.some((address) => !isCircuit(address))
    return hasBetter ? connection.nextBetterAt : never
  }

  /** Until when a suspect link may answer its probe before anybody is dialled: it is the first runner of the race. */
  #unansweredAt({ suspectSince, latencyMs = 0 }: Link): number {
    const { rescueAfterMs, rescueRttFactor } = this.#state.settings.limits
    return suspectSince + Math.max(rescueAfterMs, rescueRttFactor * latencyMs)
  }

  /** Starts the race of a linked peer whose time has come, if it is its turn. The waits double: nothing here can storm. */
  startBackground(now: Now, connection: Connection): void {
    if (now.mono < this.backgroundAt(connection) || !this.hasTurn(connection)) return
    const { limits } = this.#state.settings
    const { active } = connection
    if (active?.link?.isSuspect) {
      this.#state.count('rescues')
      this.#state.relay(active, active.link.press(now))
      // A calm time forgets the rescues before it.
      if (now.mono - connection.nextRescueAt > limits.rescueBackoffMaxMs) connection.rescues = 0
      connection.rescues += 1
      connection.nextRescueAt = now.mono + this.#backoff(connection.rescues, limits.rescueBackoffMaxMs)
    } else {
      connection.betterFailures += 1
      connection.betterTriedAt = now.mono
      const { upgradeBackoffMinMs: minMs, upgradeBackoffMaxMs: maxMs, backoffJitter: jitterShare } = limits
      const wait = backoff(connection.betterFailures, { minMs, maxMs, jitterShare }, this.#state.settings.jitter)
      connection.nextBetterAt = now.mono + wait
    }
    this.end(connection)
    this.start(now, connection, isWell(active))
  }

  /** The network changed: what is under way left by the old one, and begins anew. */
  networkChanged(now: Now, connection: Connection): void {
    const { staggerMs, backoffMinMs } = this.#state.settings.limits
    connection.failures = 0
    connection.rescues = 0
    connection.betterFailures = 0
    connection.doubtedRelays.clear()
    connection.nextRescueAt = now.mono
    connection.nextBetterAt = Math.max(now.mono, connection.betterTriedAt + backoffMinMs)
    const { race } = connection
    if (race !== undefined && now.mono - race.startedAt >= staggerMs) {
      this.end(connection)
      if (connection.active === undefined) this.start(now, connection)
    }
    if (connection.nextTryAt !== undefined) connection.nextTryAt = now.mono
  }

  dial(now: Now, address: string, source: 'dial' | 'address', peerId: PeerId | undefined): Pipe {
    const transport = addressToTransport(address) ?? 'websocket'
    const pipe: Pipe = {
      id: this.#state.settings.nextPipe(),
      transport,
      role: 'initiator',
      source,
      address,
      startedAt: now.mono,
      peerId,
      link: undefined,
      openedOrder: 0,
      upOrder: 0,
      upAt: 0,
      endBy: now.mono + this.#state.settings.limits.openTimeoutMs,
      path: undefined,
      isLost: false,
      awaitedUntil: Number.POSITIVE_INFINITY,
      isLossTold: false,
    }
    this.#state.pipes.set(pipe.id, pipe)
    this.#state.emit({ type: 'dial', pipe: pipe.id, transport, address })
    return pipe
  }

  /** A pipe of the race is gone: the next address is dialled at once. */
  pipeFailed(now: Now, connection: Connection, pipe: Pipe, error: LinkError | undefined): void {
    const { race } = connection
    if (race === undefined || !race.pipes.delete(pipe)) return
    if (error !== undefined && (telling[error.type] ?? 0) >= (telling[race.error?.type ?? 'broken'] ?? 0)) {
      race.error = error
    }
    this.#startNextAt(now, connection, race, now.mono)
    this.advance(now, connection)
  }

  /** The next address is dialled at `soonest`; a doubted circuit leaves a start to those before it. */
  #startNextAt(now: Now, connection: Connection, race: DialRace, soonest: number): void {
    const [next] = race.queue
    race.nextStartAt = soonest
    if (next === undefined || !isCircuit(next) || this.#doubt(now, connection, next) === 0) return
    for (const { transport, address } of race.pipes) {
      if (transport !== 'circuit' || this.#doubt(now, connection, address) > 0) continue
      race.nextStartAt = Math.max(soonest, race.soundAt + this.#state.settings.limits.doubtedDelayMs)
    }
  }

  /** A circuit broke, or was lost: its relay comes last for a time. */
  doubtRelay(now: Now, connection: Connection, { transport, address }: Pipe): void {
    const relay = transport === 'circuit' ? relayUrlOf(address) : undefined
    if (relay === undefined) return
    const { doubtedRelays } = connection
    const { relayDoubtMs, addressesMax } = this.#state.settings.limits
    doubtedRelays.delete(relay)
    doubtedRelays.set(relay, now.mono + relayDoubtMs)
    const [oldest] = doubtedRelays.keys()
    if (doubtedRelays.size > addressesMax && oldest !== undefined) doubtedRelays.delete(oldest)
  }

  /** Whether a circuit is known by a relay that nobody doubts. */
  hasSoundCircuit(now: Now, connection: Connection): boolean {
    return connection.addresses.some((address) => isCircuit(address) && this.#doubt(now, connection, address) === 0)
  }

  /**
   * How doubtful an address is, 0 for not at all: the way of the suspect link itself is worse than the other ways by its
   * relay, these are worse than those of relays over which a circuit broke, the latest of which is the worst.
   */
  #doubt(now: Now, { active, doubtedRelays }: Connection, address: string): number {
    if (active?.link?.isSuspect) {
      if (address === active.address) return Number.POSITIVE_INFINITY
      const relay = active.transport === 'circuit' ? relayUrlOf(active.address) : undefined
      if (relay !== undefined && isCircuit(address) && relayUrlOf(address) === relay) return Number.MAX_VALUE
    }
    if (doubtedRelays.size === 0 || !isCircuit(address)) return 0
    const until = doubtedRelays.get(relayUrlOf(address) ?? '') ?? 0
    return until > now.mono ? until : 0
  }

  /**
   * The race is decided: every pipe of it but `winner`, and those that lead to a better transport, is closed. It is over
   * once that link is up, and nothing better is under way.
   */
  decide(connection: Connection, winner: Pipe): void {
    const { race } = connection
    if (race === undefined) return
    const rank = transportRanks[winner.transport]
    race.queue.splice(0, race.queue.length, ...race.queue.filter((address) => rankOf(address) > rank))
    for (const pipe of race.pipes) {
      // What the other end may hold the keys of already, the rule for duplicates decides about.
      if (pipe === winner || transportRanks[pipe.transport] > rank || pipe.link?.isConfirming) continue
      race.pipes.delete(pipe)
      this.#state.drop(pipe)
    }
  }

  /**
   * The race is over: a link stands, or nobody wants one. A pipe whose keys the other end may hold already is left
   * open, unless `isForced`: the rule for duplicates decides about it.
   */
  end(connection: Connection, isForced = false): void {
    const { race } = connection
    if (race === undefined) return
    connection.race = undefined
    if (race.isBackground) this.#background -= 1
    else this.#races -= 1
    for (const pipe of race.pipes) {
      if (isForced || !(pipe.link?.isConfirming || pipe.link?.isUp)) this.#state.drop(pipe)
    }
  }

  /** The connection lost its link or could not make one: when to try again. `atOnce`: it is nobody's failure. */
  schedule(now: Now, connection: Connection, atOnce: boolean): void {
    connection.lastTryAt = now.mono
    connection.nextTryAt = undefined
    // What was only for a better way is not a race over all of them.
    if (connection.race?.isBackground) this.end(connection)
    if (!this.#isDialled(connection)) return
    if (connection.addresses.length === 0) return
    connection.nextTryAt = now.mono + (atOnce ? 0 : this.#backoff(connection.failures))
  }

  #fail(now: Now, connection: Connection, race: DialRace): void {
    this.end(connection)
    connection.failures += 1
    this.#state.report(race.error ?? { type: 'unreachable', detail: 'no address answered' }, undefined, connection)
    this.schedule(now, connection, false)
  }

  /**
   * The order in which the addresses of a peer are tried: straight ones and circuits by turns, so that neither waits for
   * a list of the other that leads nowhere. Doubted circuits come last, where there are others.
   */
  #queue(now: Now, connection: Connection): string[] {
    const doubts = new Map(connection.addresses.map((address) => [address, this.#doubt(now, connection, address)]))
    const sorted = [...doubts].sort(([, a], [, b]) => (a === b ? 0 : a - b)).map(([address]) => address)
    const straight = sorted.filter((address) => !isCircuit(address))
    const circuits = sorted.filter(isCircuit)
    const sound = circuits.filter((address) => doubts.get(address) === 0)
    const inTurns = sound.length === 0 ? circuits : sound
    const turns = Math.max(inTurns.length, straight.length)
    const order = Array.from({ length: turns }, (_, i) => [straight[i], inTurns[i]]).flat()
    return [...new Set([...order, ...circuits])].filter((address) => address !== undefined)
  }

  #backoff(failures: number, maxMs = this.#state.settings.limits.backoffMaxMs): number {
    const { limits, jitter } = this.#state.settings
    const options = { minMs: limits.backoffMinMs, maxMs, jitterShare: limits.backoffJitter }
    return backoff(failures, options, jitter)
  }

  #isDialled({ isWanted, isHeld, active, race }: Connection): boolean {
    return isWanted && !isHeld && active === undefined && race === undefined
  }
}

/** The transport that dials an address, or undefined when none does. */
export function addressToTransport(address: string): TransportKind | undefined {
  if (/^wss?:\/\//.test(address)) return 'websocket'
  if (/^memory:/.test(address)) return 'memory'
  if (parseCircuitAddress(address) !== undefined) return 'circuit'
  return undefined
}

/** Whether a link stands that nobody doubts. */
function isWell(active: Pipe | undefined): boolean {
  return active !== undefined && !active.link?.isSuspect && !active.link?.isRemoteRetired
}

function isCircuit(address: string): boolean {
  return address.startsWith(circuitScheme)
}

/** Rank of the link that an address leads to. */
function rankOf(address: string): number {
  return transportRanks[isCircuit(address) ? 'circuit' : 'websocket']
}
