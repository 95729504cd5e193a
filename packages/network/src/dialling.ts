import type { Now, PeerId } from '@miaou/core'
import { backoff } from './backoff.ts'
import type { Connection, DialRace, Pipe } from './connection.ts'
import type { LinkError } from './interface.ts'
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
  #races = 0

  constructor(state: NetworkState) {
    this.#state = state
  }

  /**
   * Adds addresses in front of those known; true when one was new. `isTrusted`: the peer itself named them (an invite),
   * or was met there. Anybody on the LAN can tell others, which push out each other but not these.
   */
  learn(connection: Connection, addresses: readonly string[], isTrusted = false): boolean {
    const { addressesMax } = this.#state.settings.limits
    const known = addresses.filter((address) => {
      const isDialable = addressToTransport(address) !== undefined
      if (!isDialable) this.#state.count('bad-address')
      return isDialable
    })
    const dialable = known.slice(0, addressesMax)
    const fresh = dialable.filter((address) => !connection.addresses.includes(address))
    if (isTrusted) {
      const trustedMax = Math.ceil(addressesMax / 2)
      connection.trusted = [...new Set([...dialable, ...connection.trusted])].slice(0, trustedMax)
    }
    const all = [...new Set([...dialable, ...connection.addresses])]
    while (all.length > addressesMax) {
      const last = all.findLastIndex((address) => !connection.trusted.includes(address))
      all.splice(last < 0 ? -1 : last, 1)
    }
    connection.addresses = all
    if (connection.race !== undefined) {
      const room = addressesMax - connection.race.queue.length - connection.race.pipes.size
      connection.race.queue.push(...fresh.slice(0, Math.max(0, room)))
    }
    return fresh.length > 0
  }

  /** Dials a wanted peer as soon as it may: at once, or after a failure that is not a second old. */
  hasten(now: Now, connection: Connection): void {
    if (!this.#isDialled(connection)) return
    const earliest = connection.lastTryAt + this.#state.settings.limits.backoffMinMs
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
    } else if (this.hasTurn()) {
      this.start(now, connection)
    }
  }

  /** Whether another peer may be dialled now. */
  hasTurn(): boolean {
    return this.#races < this.#state.settings.limits.dialsMax
  }

  start(now: Now, connection: Connection): void {
    connection.nextTryAt = undefined
    this.#races += 1
    connection.race = {
      startedAt: now.mono,
      queue: [...connection.addresses],
      pipes: new Set(),
      nextStartAt: now.mono,
      error: undefined,
    }
    this.advance(now, connection)
  }

  /** Dials the next address when its time has come, and ends the race when nothing is left of it. */
  advance(now: Now, connection: Connection): void {
    const { race } = connection
    if (race === undefined) return
    while (race.queue.length > 0 && now.mono >= race.nextStartAt) {
      const address = race.queue.shift()
      if (address === undefined) break
      race.pipes.add(this.dial(now, address, 'dial', connection.peerId))
      race.nextStartAt = now.mono + this.#state.settings.limits.staggerMs
    }
    if (race.queue.length === 0 && race.pipes.size === 0) this.#fail(now, connection, race)
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
    race.nextStartAt = now.mono
    this.advance(now, connection)
  }

  /** The race is decided: every pipe of it but `winner` is closed. It is over once that link is up. */
  decide(connection: Connection, winner: Pipe): void {
    const { race } = connection
    if (race === undefined) return
    race.queue.length = 0
    for (const pipe of race.pipes) {
      if (pipe === winner) continue
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
    this.#races -= 1
    for (const pipe of race.pipes) {
      if (isForced || !(pipe.link?.isConfirming || pipe.link?.isUp)) this.#state.drop(pipe)
    }
  }

  /** The connection lost its link or could not make one: when to try again. `atOnce`: it is nobody's failure. */
  schedule(now: Now, connection: Connection, atOnce: boolean): void {
    connection.lastTryAt = now.mono
    connection.nextTryAt = undefined
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

  #backoff(failures: number): number {
    const { limits, jitter } = this.#state.settings
    const options = { minMs: limits.backoffMinMs, maxMs: limits.backoffMaxMs, jitterShare: limits.backoffJitter }
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
  return undefined
}
