import type { PeerId } from '@miaou/core'
import { circuitScheme, type FrameType, isRelayUrl, parseCircuitAddress, parseRelayAddress } from '@miaou/protocol'
import { hostOfAddress, placeScope } from './candidates.ts'
import type { ConnectionState, ConnectionStats, ConnectionView, LinkError, WhyNotBetter } from './interface.ts'
import type { Link } from './link.ts'
import type { PipeId, PipePath, TransportKind } from './ports.ts'

/** ARCHITECTURE, "Links": webrtc > websocket > circuit. */
export const transportRanks: Readonly<Record<TransportKind, number>> = {
  webrtc: 3,
  websocket: 2,
  memory: 2,
  circuit: 1,
}

/** One raw pipe that the engine dialled, offered, or was given. Times in monotonic ms. */
export interface Pipe {
  readonly id: PipeId
  readonly transport: TransportKind
  readonly role: 'initiator' | 'responder'
  readonly source: 'inbound' | 'dial' | 'address' | 'upgrade'
  /** As dialled, or the address it came from; empty for WebRTC until it is open. */
  readonly address: string
  /** When it was dialled, offered, or opened by the other end. */
  readonly startedAt: number
  /** The peer that was dialled, or the one that proved to be there. */
  peerId: PeerId | undefined
  /** From `opened` on. */
  link: Link | undefined
  /** Places in the order of events: when the pipe opened, when the link was up. */
  openedOrder: number
  upOrder: number
  upAt: number
  /** When the engine loses patience: with a pipe that does not open, with a replaced link that does not end. */
  endBy: number
  /** As its transport told. */
  path: PipePath | undefined
  /** It was replaced because its other end is not to be reached on it: nothing waits for its end. */
  isLost: boolean
  /** Replaced: until when the other end's next word on it is awaited. */
  awaitedUntil: number
  /** The layers above were told that what was sent on it may be lost. */
  isLossTold: boolean
}

/** A race of dials to the addresses of one peer (RFC 8305 "happy eyeballs"). */
export interface DialRace {
  /** Beside a link that is well: for a better way only. */
  isBackground: boolean
  readonly startedAt: number
  /** Addresses not tried yet. */
  readonly queue: string[]
  readonly pipes: Set<Pipe>
  nextStartAt: number
  /** When the last address was dialled that nobody doubts. */
  soundAt: number
  /** The most telling failure so far. */
  error: LinkError | undefined
}

/** A WebRTC link in the making. */
export interface Upgrade {
  readonly attempt: number
  readonly role: 'offerer' | 'answerer'
  readonly pipe: Pipe
  readonly deadline: number
  isAnswered: boolean
  candidates: number
  /** Private addresses (of a stranger: all) among them, and local names. */
  readonly hosts: Set<string>
  /** The other end has told its last candidate. */
  hasEnded: boolean
}

export interface HeldFrame {
  readonly pipe: Pipe
  readonly frameType: FrameType
  readonly payload: Uint8Array
}

/** Everything the engine knows of its connection with one peer. */
export class Connection {
  readonly peerId: PeerId
  readonly connectionId: string
  /** Of the two ends, whether ours makes the WebRTC offer. */
  readonly offers: boolean
  /** Best first. */
  addresses: readonly string[] = []
  /** Those that the peer named itself, or where it was met; newest first. */
  trusted: readonly string[] = []
  isWanted = false
  /** Closed by us on purpose: not dialled until asked to. */
  isHeld = false
  isBlocked = false
  /** The link that sends. */
  active: Pipe | undefined
  /** Links that said their last word and still listen. */
  readonly retiring: Set<Pipe> = new Set()
  race: DialRace | undefined
  failures = 0
  lastTryAt: number = Number.NEGATIVE_INFINITY
  nextTryAt: number | undefined
  /** Dials beside a suspect link: how many in a row, and from when on the next may begin. */
  rescues = 0
  nextRescueAt: number = Number.NEGATIVE_INFINITY
  /** Dials of straight addresses beside a circuit. */
  betterFailures = 0
  betterTriedAt: number = Number.NEGATIVE_INFINITY
  nextBetterAt: number = Number.NEGATIVE_INFINITY
  /** URLs of relays over which a circuit broke, the latest last, and until when that counts: monotonic ms. */
  readonly doubtedRelays: Map<string, number> = new Map()
  /** Why the last attempt at a better link failed. */
  notBetter: LinkError | undefined
  upgrade: Upgrade | undefined
  upgradeFailures = 0
  upgradeTriedAt: number = Number.NEGATIVE_INFINITY
  nextUpgradeAt: number = Number.NEGATIVE_INFINITY
  /** When the allowance for their offers would be whole again. */
  offersRefilledAt: number = Number.NEGATIVE_INFINITY
  /** Frames of the new link that wait for the end of the old one. */
  readonly held: HeldFrame[] = []
  heldBytes = 0
  holdUntil: number | undefined
  error: LinkError | undefined
  hasBeenLinked = false
  features: readonly string[] = []
  connectedAt: number | undefined
  bytesSent = 0
  bytesReceived = 0
  messagesSent = 0
  messagesReceived = 0

  constructor(peerId: PeerId, connectionId: string, offers: boolean) {
    this.peerId = peerId
    this.connectionId = connectionId
    this.offers = offers
  }

  /** Whether forgetting it loses nothing but the memory of how it ended. */
  get isForgettable(): boolean {
    return (
      !this.isWanted &&
      this.active === undefined &&
      this.retiring.size === 0 &&
      this.race === undefined &&
      this.upgrade === undefined
    )
  }

  get state(): ConnectionState {
    if (this.active !== undefined) return this.upgrade === undefined ? 'connected' : 'upgrading'
    if (this.race !== undefined) {
      return [...this.race.pipes].some(({ link }) => link !== undefined) ? 'handshaking' : 'dialing'
    }
    if (this.nextTryAt !== undefined) return 'waiting'
    return this.hasBeenLinked ? 'closed' : 'idle'
  }

  stats(): ConnectionStats {
    const { bytesSent, bytesReceived, messagesSent, messagesReceived, connectedAt, state: currentState } = this
    const counted = { bytesSent, bytesReceived, messagesSent, messagesReceived, currentState }
    return connectedAt === undefined ? counted : { ...counted, connectedAt }
  }

  view(): ConnectionView {
    const { active, error, nextTryAt } = this
    const latencyMs = active?.link?.latencyMs
    const path = active === undefined ? undefined : pathOf(active)
    const isUpgradable = active !== undefined && active.transport !== 'webrtc'
    return {
      peerId: this.peerId,
      state: this.state,
      connectionId: this.connectionId,
      addresses: this.addresses,
      features: this.features,
      stats: this.stats(),
      ...(active === undefined ? {} : { transport: active.transport }),
      ...(latencyMs === undefined ? {} : { latencyMs }),
      ...(error === undefined ? {} : { error }),
      ...(nextTryAt === undefined || active !== undefined ? {} : { nextTryAt }),
      ...(path === undefined ? {} : { path }),
      ...(active?.link?.isSuspect ? { isSuspect: true } : {}),
      ...(isUpgradable ? { whyNotBetter: this.#whyNotBetter() } : {}),
    }
  }

  #whyNotBetter(): WhyNotBetter {
    const { notBetter, upgrade, upgradeFailures, nextUpgradeAt, offers } = this
    return {
      failures: upgradeFailures,
      ...(notBetter === undefined ? {} : { error: notBetter }),
      ...(upgrade === undefined && offers && notBetter !== undefined ? { nextTryAt: nextUpgradeAt } : {}),
    }
  }
}

/** Where a pipe goes to, as a host: the peer, or the relay of a circuit. Undefined where nothing tells. */
export function hostOfPipe({ transport, address }: Pipe): string | undefined {
  return hostOfAddress(transport === 'circuit' ? (relayUrlOf(address) ?? address) : address)
}

/** How a pipe goes: as its transport told, else what its kind and its address tell. */
function pathOf(pipe: Pipe): PipePath | undefined {
  if (pipe.path !== undefined) return pipe.path
  if (pipe.transport === 'circuit') {
    const via = relayUrlOf(pipe.address)
    return via === undefined ? { kind: 'relayed' } : { kind: 'relayed', via }
  }
  const host = pipe.transport === 'websocket' ? hostOfPipe(pipe) : undefined
  if (host === undefined) return undefined
  const scope = placeScope(host)
  return { kind: scope === 'public' || scope === 'unusable' ? 'direct' : 'lan' }
}

/** The relay of a circuit, by its address: as dialled, or, where the other end dialled, `circuit:<relay>` or its URL. */
export function relayUrlOf(address: string): string | undefined {
  const relayText = address.startsWith(circuitScheme) ? address.slice(circuitScheme.length) : address
  const relay = parseCircuitAddress(address)?.relay ?? parseRelayAddress(relayText)
  return relay?.url ?? (isRelayUrl(address) ? address : undefined)
}
