import type { Now } from '@miaou/core'
import { candidateLengthMax, decodeSignal, encodeSignal, frameTypes, type Signal, sdpLengthMax } from '@miaou/protocol'
import { backoff } from './backoff.ts'
import {
  type CandidateFacts,
  filterSdp,
  isEndOfCandidates,
  parseCandidate,
  placeScope,
  withoutOrigin,
  withoutRelated,
} from './candidates.ts'
import type { Connection, Pipe, Upgrade } from './connection.ts'
import { hostOfPipe } from './connection.ts'
import type { LinkError } from './interface.ts'
import type { NetworkState } from './network-state.ts'
import type { IceCandidate, SessionDescription } from './ports.ts'

/** Why an answerer takes its answer back (spec/signals S5). */
const networkChangedReason = 'network-changed'

/** WebRTC links made by signalling over the links that stand (spec/links L70–L79). */
export class Upgrading {
  readonly #state: NetworkState
  #nextAttempt = 1
  #count = 0

  constructor(state: NetworkState) {
    this.#state = state
  }

  /** When an offer is due for a connection: monotonic ms, Infinity for never. */
  dueAt(connection: Connection): number {
    const { active, retiring, upgrade } = connection
    const never = Number.POSITIVE_INFINITY
    if (!this.#state.settings.webrtc || !connection.offers || active === undefined || upgrade !== undefined)
      return never
    if (active.transport === 'webrtc' || !this.#hasRoom(connection)) return never
    // An offer on a link that is ending, or suspect, would be lost.
    if (active.link?.isRemoteRetired || active.link?.isSuspect) return never
    for (const { isLost } of retiring) if (!isLost) return never
    return connection.nextUpgradeAt
  }

  /** The network changed: what was gathered for an attempt is of the old one. */
  networkChanged(now: Now, connection: Connection): void {
    connection.upgradeFailures = 0
    connection.nextUpgradeAt = now.mono
    const attempt = connection.upgrade?.attempt ?? 0
    this.#abandon(connection)
    if (connection.offers || connection.active === undefined || connection.active.transport === 'webrtc') return
    const { connectionId } = connection
    this.#send(now, connection, { type: 'refuse', connectionId, attempt, reason: networkChangedReason })
  }

  /** The answerer's network changed: what it told of the old one is of no use. */
  #otherChanged(now: Now, connection: Connection): void {
    this.#abandon(connection)
    connection.upgradeFailures = 0
    const { offerRefillMs } = this.#state.settings.limits
    connection.nextUpgradeAt = Math.max(now.mono, connection.upgradeTriedAt + offerRefillMs)
  }

  /**
   * A link is gone. An attempt that waits for an answer has lost its documents, perhaps: it begins anew on the next link.
   * So does one that is older than the link which has replaced a lost one: the other end may have moved, and its word that
   * it did was lost too. The fall of a WebRTC link that stood long is nobody's failure.
   */
  linkLost(now: Now, connection: Connection, pipe: Pipe): void {
    const { steadyAfterMs, upgradeBackoffMinMs } = this.#state.settings.limits
    const { upgrade, active } = connection
    const isOlder = pipe.isLost && active !== undefined && upgrade !== undefined && upgrade.pipe !== active
    if (upgrade?.role === 'offerer' && (!upgrade.isAnswered || isOlder)) this.#abandon(connection)
    if (pipe.transport === 'webrtc') {
      // One short life may be bad luck; two in a row are a path that does not hold.
      const wait = connection.upgradeFailures === 0 ? 0 : this.#backoff(connection)
      const wasSteady = now.mono - pipe.upAt >= steadyAfterMs
      connection.upgradeFailures = wasSteady ? 0 : connection.upgradeFailures + 1
      connection.nextUpgradeAt = now.mono + (wasSteady ? 0 : wait)
    } else {
      // Another link may mean another network at the other end.
      const earliest = Math.max(now.mono, connection.upgradeTriedAt + upgradeBackoffMinMs)
      connection.nextUpgradeAt = Math.min(connection.nextUpgradeAt, earliest)
    }
  }

  #abandon(connection: Connection): void {
    if (connection.upgrade === undefined) return
    const { pipe } = connection.upgrade
    this.end(connection)
    this.#state.drop(pipe)
  }

  /** Strangers fill at most half of the room: some could open attempts and never finish them. */
  #hasRoom({ isWanted }: Connection): boolean {
    const { upgradesMax } = this.#state.settings.limits
    return this.#count < (isWanted ? upgradesMax : Math.ceil(upgradesMax / 2))
  }

  /** Whether an offer of theirs comes within their allowance (a leaky bucket); it is then used up. */
  #takeOffer(now: Now, connection: Connection): boolean {
    const { offersBurst, offerRefillMs } = this.#state.settings.limits
    const refilledAt = Math.max(now.mono, connection.offersRefilledAt) + offerRefillMs
    if (refilledAt - now.mono > offersBurst * offerRefillMs) return false
    connection.offersRefilledAt = refilledAt
    return true
  }

  /** Offers where an offer is due; gives up an attempt whose time is over. */
  wake(now: Now, connection: Connection): void {
    const { upgrade } = connection
    if (upgrade !== undefined && now.mono >= upgrade.deadline) {
      const { upgradeTimeoutMs } = this.#state.settings.limits
      this.fail(now, connection, { type: 'unreachable', detail: `no WebRTC link within ${upgradeTimeoutMs} ms` })
    }
    if (now.mono < this.dueAt(connection)) return
    connection.upgradeTriedAt = now.mono
    const attempt = this.#nextAttempt
    this.#nextAttempt = (this.#nextAttempt + 1) >>> 0
    const { pipe } = this.#begin(now, connection, 'offerer', attempt)
    this.#state.emit({ type: 'offer', pipe: pipe.id })
  }

  /** A Signal frame of the peer. */
  receive(now: Now, connection: Connection, payload: Uint8Array): void {
    const decoded = decodeSignal(payload)
    if (!decoded.ok || decoded.value.connectionId !== connection.connectionId) {
      this.#state.count('bad-signal')
      return
    }
    const signal = decoded.value
    if (signal.type === 'offer') {
      this.#receiveOffer(now, connection, signal.attempt, { type: 'offer', sdp: signal.sdp })
      return
    }
    if (signal.type === 'refuse' && signal.reason === networkChangedReason && connection.offers) {
      this.#otherChanged(now, connection)
      return
    }
    const { upgrade } = connection
    // Late documents of an attempt that was given up are common, and harmless.
    if (upgrade === undefined || upgrade.attempt !== signal.attempt) return
    if (signal.type === 'candidate') this.#receiveCandidate(connection, upgrade, signal)
    else if (upgrade.role !== 'offerer' || upgrade.isAnswered) this.#state.count('bad-signal')
    else if (signal.type === 'refuse') {
      this.fail(now, connection, { type: 'unreachable', detail: `WebRTC refused: ${signal.reason}` })
    } else {
      upgrade.isAnswered = true
      const sdp = this.#theirSdp(connection, upgrade, signal.sdp)
      this.#state.emit({ type: 'answer', pipe: upgrade.pipe.id, answer: { type: 'answer', sdp } })
    }
  }

  /** What our transport wants the other end to know. */
  describe(now: Now, connection: Connection, description: SessionDescription): void {
    const { upgrade } = connection
    if (upgrade === undefined) return
    const sdp = this.#ownSdp(description.sdp)
    if (sdp.length > sdpLengthMax) {
      this.fail(now, connection, { type: 'broken', detail: `an SDP of ${sdp.length} characters` })
      return
    }
    this.#send(now, connection, { ...this.#base(connection, upgrade), type: description.type, sdp })
  }

  tellCandidate(now: Now, connection: Connection, candidate: IceCandidate): void {
    const { upgrade } = connection
    if (upgrade === undefined || candidate.candidate.length > candidateLengthMax) return
    const line = isEndOfCandidates(candidate) ? '' : this.#ownCandidate(candidate.candidate)
    if (line === undefined) return
    const { sdpMid, sdpMLineIndex } = candidate
    const told = { type: 'candidate', candidate: line, sdpMid, sdpMLineIndex } as const
    this.#send(now, connection, { ...this.#base(connection, upgrade), ...told })
  }

  /** What of our own candidate is told; undefined for nothing: who hides behind relays tells relays' addresses only. */
  #ownCandidate(candidate: string): string | undefined {
    if (!this.#state.settings.relayOnly) return candidate
    if (parseCandidate(candidate)?.type === 'relay') return withoutRelated(candidate)
    this.#state.count('candidates-withheld')
    return undefined
  }

  #ownSdp(sdp: string): string {
    if (!this.#state.settings.relayOnly) return sdp
    return withoutOrigin(filterSdp(sdp, (candidate) => this.#ownCandidate(candidate)))
  }

  /** The attempt led nowhere: the link that stands stays, another attempt follows later. */
  fail(now: Now, connection: Connection, error: LinkError): void {
    if (connection.upgrade === undefined) return
    const { pipe } = connection.upgrade
    this.end(connection)
    this.#state.drop(pipe)
    connection.upgradeFailures += 1
    connection.notBetter = error
    this.#state.report(error, pipe, connection)
    connection.nextUpgradeAt = now.mono + this.#backoff(connection)
  }

  #backoff({ upgradeFailures }: Connection): number {
    const { limits, jitter } = this.#state.settings
    const { upgradeBackoffMinMs: minMs, upgradeBackoffMaxMs: maxMs, backoffJitter: jitterShare } = limits
    return backoff(upgradeFailures, { minMs, maxMs, jitterShare }, jitter)
  }

  /** The attempt is over; its pipe is the caller's. */
  end(connection: Connection): void {
    if (connection.upgrade === undefined) return
    connection.upgrade = undefined
    this.#count -= 1
  }

  #receiveOffer(now: Now, connection: Connection, attempt: number, offer: SessionDescription): void {
    if (connection.offers) {
      this.#state.count('offers-dropped')
      return
    }
    const known = connection.upgrade
    if (known?.attempt === attempt) {
      this.#state.count('bad-signal')
      return
    }
    if (known !== undefined) {
      this.end(connection)
      this.#state.drop(known.pipe)
    }
    const { webrtc } = this.#state.settings
    const isWelcome = this.#hasRoom(connection) && this.#takeOffer(now, connection)
    const refusal = !webrtc ? 'unavailable' : isWelcome ? undefined : 'busy'
    if (refusal !== undefined) {
      this.#state.count('offers-refused')
      this.#send(now, connection, { type: 'refuse', connectionId: connection.connectionId, attempt, reason: refusal })
      return
    }
    const upgrade = this.#begin(now, connection, 'answerer', attempt)
    const sdp = this.#theirSdp(connection, upgrade, offer.sdp)
    this.#state.emit({ type: 'accept', pipe: upgrade.pipe.id, offer: { type: 'offer', sdp } })
  }

  #theirSdp(connection: Connection, upgrade: Upgrade, sdp: string): string {
    return filterSdp(sdp, (candidate) => (this.#admits(connection, upgrade, candidate) ? candidate : undefined))
  }

  #receiveCandidate(connection: Connection, upgrade: Upgrade, signal: IceCandidate): void {
    if (isEndOfCandidates(signal)) {
      if (upgrade.hasEnded) return
      upgrade.hasEnded = true
    } else if (!this.#admits(connection, upgrade, signal.candidate)) return
    const { candidate, sdpMid, sdpMLineIndex } = signal
    this.#state.emit({ type: 'add-candidate', pipe: upgrade.pipe.id, candidate: { candidate, sdpMid, sdpMLineIndex } })
  }

  /** Whether a candidate of theirs may be used; every other is counted (spec/links L75–L77). */
  #admits(connection: Connection, upgrade: Upgrade, candidate: string): boolean {
    if (upgrade.candidates >= this.#state.settings.limits.candidatesMax) {
      this.#state.count('candidates-dropped')
      return false
    }
    upgrade.candidates += 1
    const facts = parseCandidate(candidate)
    if (facts !== undefined && this.#isPlausible(connection, upgrade, facts)) return true
    this.#state.count('candidates-refused')
    return false
  }

  /**
   * Checking a candidate sends datagrams to it. So a stranger names few addresses, and of a private network only the one
   * from which it talks to us; a contact a few private ones, since only the two together know which network they share.
   */
  #isPlausible(
    { active, isWanted }: Connection,
    { hosts }: Upgrade,
    { address, scope, protocol, port }: CandidateFacts,
  ): boolean {
    const place = active === undefined ? undefined : hostOfPipe(active)
    const where = place === undefined ? undefined : placeScope(place)
    const { privateHostsMax, strangerHostsMax } = this.#state.settings.limits
    switch (scope) {
      case 'unusable':
        return false
      case 'loopback':
      case 'link-local':
        // From the same machine, or the same cable.
        if (where !== scope) return false
        break
      case 'private':
        if (!isWanted && place !== address) return false
        break
      case 'local-name':
        if (!isWanted && where !== 'private' && where !== 'loopback') return false
        break
      case 'public':
        if (isWanted) return port > 0
    }
    // Connecting by TCP is a step that a stranger does not get for nothing.
    if (port === 0 || (!isWanted && protocol === 'tcp')) return false
    if (!hosts.has(address) && hosts.size >= (isWanted ? privateHostsMax : strangerHostsMax)) return false
    hosts.add(address)
    return true
  }

  #begin(now: Now, connection: Connection, role: 'offerer' | 'answerer', attempt: number): Upgrade {
    const { nextPipe, limits } = this.#state.settings
    const deadline = now.mono + limits.upgradeTimeoutMs
    const pipe: Pipe = {
      id: nextPipe(),
      transport: 'webrtc',
      role: role === 'offerer' ? 'initiator' : 'responder',
      source: 'upgrade',
      address: '',
      startedAt: now.mono,
      peerId: connection.peerId,
      link: undefined,
      openedOrder: 0,
      upOrder: 0,
      upAt: 0,
      endBy: Number.POSITIVE_INFINITY,
      path: undefined,
      isLost: false,
      awaitedUntil: Number.POSITIVE_INFINITY,
      isLossTold: false,
    }
    this.#state.pipes.set(pipe.id, pipe)
    this.#count += 1
    connection.upgrade = {
      attempt,
      role,
      pipe,
      deadline,
      isAnswered: false,
      candidates: 0,
      hosts: new Set(),
      hasEnded: false,
    }
    return connection.upgrade
  }

  #base(connection: Connection, upgrade: Upgrade): { readonly connectionId: string; readonly attempt: number } {
    return { connectionId: connection.connectionId, attempt: upgrade.attempt }
  }

  #send(now: Now, connection: Connection, signal: Signal): void {
    const pipe = connection.active
    if (!pipe?.link?.isUp) return
    this.#state.relay(pipe, pipe.link.send(now, frameTypes.signal, encodeSignal(signal), false) ?? [])
  }
}
