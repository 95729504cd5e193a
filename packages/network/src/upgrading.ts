import type { Now } from '@miaou/core'
import { candidateLengthMax, decodeSignal, encodeSignal, frameTypes, type Signal, sdpLengthMax } from '@miaou/protocol'
import { backoff } from './backoff.ts'
import type { Connection, Pipe, Upgrade } from './connection.ts'
import type { LinkError } from './interface.ts'
import type { NetworkState } from './network-state.ts'
import type { IceCandidate, SessionDescription } from './ports.ts'

/** WebRTC links made by signalling over the links that stand (spec/links L70–L78). */
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
    const { webrtc } = this.#state.settings
    if (!webrtc || active === undefined || upgrade !== undefined || retiring.size > 0) return Number.POSITIVE_INFINITY
    if (active.transport === 'webrtc' || active.link?.isRemoteRetired || !this.#hasRoom(connection)) {
      return Number.POSITIVE_INFINITY
    }
    return connection.offers ? connection.nextUpgradeAt : Number.POSITIVE_INFINITY
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
    const { upgrade } = connection
    // Late documents of an attempt that was given up are common, and harmless.
    if (upgrade === undefined || upgrade.attempt !== signal.attempt) return
    if (signal.type === 'candidate') this.#receiveCandidate(upgrade, signal)
    else if (upgrade.role !== 'offerer' || upgrade.isAnswered) this.#state.count('bad-signal')
    else if (signal.type === 'refuse') {
      this.fail(now, connection, { type: 'unreachable', detail: `WebRTC refused: ${signal.reason}` })
    } else {
      upgrade.isAnswered = true
      this.#state.emit({ type: 'answer', pipe: upgrade.pipe.id, answer: { type: 'answer', sdp: signal.sdp } })
    }
  }

  /** What our transport wants the other end to know. */
  describe(now: Now, connection: Connection, description: SessionDescription): void {
    const { upgrade } = connection
    if (upgrade === undefined) return
    if (description.sdp.length > sdpLengthMax) {
      this.fail(now, connection, { type: 'broken', detail: `an SDP of ${description.sdp.length} characters` })
      return
    }
    this.#send(now, connection, { ...this.#base(connection, upgrade), ...description })
  }

  tellCandidate(now: Now, connection: Connection, candidate: IceCandidate): void {
    const { upgrade } = connection
    if (upgrade === undefined || candidate.candidate.length > candidateLengthMax) return
    this.#send(now, connection, { ...this.#base(connection, upgrade), ...candidate, type: 'candidate' })
  }

  /** The attempt led nowhere: the link that stands stays, another attempt follows later. */
  fail(now: Now, connection: Connection, error: LinkError): void {
    if (connection.upgrade === undefined) return
    const { pipe } = connection.upgrade
    this.end(connection)
    this.#state.drop(pipe)
    connection.upgradeFailures += 1
    this.#state.report(error, pipe, connection)
    const { limits, jitter } = this.#state.settings
    const wait = backoff(
      connection.upgradeFailures,
      { minMs: limits.upgradeBackoffMinMs, maxMs: limits.upgradeBackoffMaxMs, jitterShare: limits.backoffJitter },
      jitter,
    )
    connection.nextUpgradeAt = now.mono + wait
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
    const { pipe } = this.#begin(now, connection, 'answerer', attempt)
    this.#state.emit({ type: 'accept', pipe: pipe.id, offer })
  }

  #receiveCandidate(upgrade: Upgrade, signal: IceCandidate): void {
    if (upgrade.candidates >= this.#state.settings.limits.candidatesMax) {
      this.#state.count('candidates-dropped')
      return
    }
    upgrade.candidates += 1
    const { candidate, sdpMid, sdpMLineIndex } = signal
    this.#state.emit({ type: 'add-candidate', pipe: upgrade.pipe.id, candidate: { candidate, sdpMid, sdpMLineIndex } })
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
    }
    this.#state.pipes.set(pipe.id, pipe)
    this.#count += 1
    connection.upgrade = { attempt, role, pipe, deadline, isAnswered: false, candidates: 0 }
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
