import { assert, type Now } from '@miaou/core'
import { type FrameType, frameTypes } from '@miaou/protocol'
import { type Connection, type Pipe, transportRanks } from './connection.ts'
import type { Dialling } from './dialling.ts'
import type { CloseReason, LinkError } from './interface.ts'
import type { LinkPeer } from './link-handshake.ts'
import type { LinkNews, NetworkState } from './network-state.ts'
import type { Upgrading } from './upgrading.ts'

// 2^9 times the first wait is above the longest one.
const blockedFailures = 10

/** Which link carries a connection, and how traffic moves from one to another (spec/links L50–L59, L80–L85). */
export class Linking {
  readonly #state: NetworkState
  readonly #dialling: Dialling
  readonly #upgrading: Upgrading

  constructor(state: NetworkState, dialling: Dialling, upgrading: Upgrading) {
    this.#state = state
    this.#dialling = dialling
    this.#upgrading = upgrading
  }

  /** Acts on what links said, in the order they said it. */
  drain(now: Now): void {
    for (let news = this.#state.news.shift(); news !== undefined; news = this.#state.news.shift()) {
      if (this.#state.pipes.has(news.pipe.id)) this.#act(now, news)
    }
  }

  #act(now: Now, { pipe, output }: LinkNews): void {
    switch (output.type) {
      case 'proven':
        this.#proven(now, pipe, output.peer)
        return
      case 'up':
        this.#up(now, pipe)
        return
      case 'frame':
        this.#frame(now, pipe, output.channel, output.frameType, output.payload)
        return
      case 'pong':
        if (pipe.peerId !== undefined) {
          this.#state.emit({ type: 'pong', id: output.id, peerId: pipe.peerId, latencyMs: output.latencyMs })
        }
        return
      case 'refused':
        this.#state.report(output.error, pipe, this.#state.connectionOf(pipe))
        return
      case 'remote-retired':
        this.#remoteRetired(now, pipe, output.reason)
        return
      case 'ended':
        this.over(now, pipe, output.reason, output.error)
    }
  }

  #proven(now: Now, pipe: Pipe, peer: LinkPeer): void {
    const link = pipe.link
    assert(link !== undefined, 'a proof comes from a link')
    const connection = this.#state.connectionWith(peer.peerId)
    pipe.peerId = peer.peerId
    const refusal = this.#refusal(connection)
    if (refusal !== undefined) {
      this.#state.count('links-refused')
      this.#state.relay(pipe, link.refuse(now, refusal))
    } else if (pipe.role === 'initiator' && this.#isSuperfluous(pipe, connection)) {
      this.#dropSuperfluous(now, pipe, connection)
    } else {
      if (connection.race?.pipes.has(pipe)) this.#dialling.decide(connection, pipe)
      this.#state.relay(pipe, link.accept(now))
    }
  }

  /** Why a peer that has proved who it is gets no link. */
  #refusal(connection: Connection): CloseReason | undefined {
    if (connection.isBlocked) return 'blocked'
    const { linksMax } = this.#state.settings.limits
    if (connection.active !== undefined || this.#state.linkedCount() < linksMax) return undefined
    return connection.isWanted && this.#stranger() !== undefined ? undefined : 'too-many-links'
  }

  #stranger(): Connection | undefined {
    for (const connection of this.#state.connections.values()) {
      if (connection.active !== undefined && !connection.isWanted) return connection
    }
    return undefined
  }

  /**
   * Whether the initiator has a link as good already: then it ends here, before the other end knows of the new one. A
   * suspect link is not as good as any.
   */
  #isSuperfluous(pipe: Pipe, connection: Connection): boolean {
    const { active } = connection
    if (active !== undefined && !active.link?.isRemoteRetired && !active.link?.isSuspect) {
      if (transportRanks[active.transport] >= transportRanks[pipe.transport]) return true
    }
    for (const other of this.#state.pipes.values()) {
      if (other === pipe || other.peerId !== pipe.peerId || !other.link?.isConfirming) continue
      if (transportRanks[other.transport] >= transportRanks[pipe.transport]) return true
    }
    return false
  }

  #dropSuperfluous(now: Now, pipe: Pipe, connection: Connection): void {
    const { active } = connection
    this.#state.count('duplicates-dropped')
    this.#state.drop(pipe)
    if (pipe.source === 'address') {
      this.#dialling.learn(connection, [pipe.address], true)
      // Whoever asked for that address is connected with the peer that is there.
      if (active !== undefined) this.#established(active, connection, now.mono - pipe.startedAt)
    } else if (pipe.source === 'upgrade') this.#upgrading.end(connection)
    else this.#dialling.pipeFailed(now, connection, pipe, undefined)
  }

  #up(now: Now, pipe: Pipe): void {
    if (pipe.peerId === undefined || !pipe.link?.isUp) return
    const connection = this.#state.connectionWith(pipe.peerId)
    this.#state.handshakesIn.delete(pipe)
    pipe.upOrder = this.#state.nextOrder()
    pipe.upAt = now.mono
    if (connection.upgrade?.pipe === pipe) {
      this.#upgrading.end(connection)
      connection.notBetter = undefined
    }
    if (pipe.address !== '' && pipe.role === 'initiator') this.#dialling.learn(connection, [pipe.address], true)
    connection.features = pipe.link.peer?.features ?? []
    const { active } = connection
    if (active === undefined) this.#first(now, pipe, connection)
    else if (this.#supersedes(pipe, active)) this.#replace(now, pipe, active, connection)
    else this.#retire(now, pipe, connection, 'duplicate')
    if (connection.active === pipe && pipe.transport === 'circuit') {
      // The other end dials, too: a moment later only what it could not reach is left.
      connection.nextBetterAt = Math.max(connection.nextBetterAt, now.mono + this.#state.settings.limits.backoffMinMs)
    }
    this.#dialling.prune(connection)
    this.#cutExcess(now, connection)
  }

  #first(now: Now, pipe: Pipe, connection: Connection): void {
    if (this.#state.linkedCount() >= this.#state.settings.limits.linksMax) {
      const stranger = this.#stranger()
      if (stranger !== undefined && stranger !== connection) {
        this.#state.count('links-displaced')
        this.closeAll(now, stranger, 'too-many-links')
      }
    }
    connection.active = pipe
    connection.hasBeenLinked = true
    connection.connectedAt = now.wall
    connection.error = undefined
    connection.nextTryAt = undefined
    this.#linkUp(pipe, connection)
    this.#established(pipe, connection, now.mono - pipe.startedAt)
    if (this.#isAwaiting(connection)) connection.holdUntil = now.mono + this.#state.settings.limits.holdMs
  }

  #linkUp(pipe: Pipe, connection: Connection): void {
    const { peer } = pipe.link ?? {}
    assert(peer !== undefined, 'a link that is up knows its peer')
    const { certificate } = peer
    const isDevice = certificate.kind === 'device'
    this.#state.emit({
      type: 'link-up',
      peerId: connection.peerId,
      accountKey: isDevice ? certificate.accountKey : new Uint8Array(0),
      sessionKey: isDevice ? certificate.sessionKey : new Uint8Array(0),
      certificate: peer.certificateBytes,
      features: peer.features,
    })
  }

  #established(pipe: Pipe, connection: Connection, setupMs: number): void {
    const latencyMs = pipe.link?.latencyMs
    this.#state.emit({
      type: 'event',
      event: {
        type: 'connection-established',
        connectionId: connection.connectionId,
        peerId: connection.peerId,
        transport: pipe.transport,
        setupMs,
        ...(latencyMs === undefined ? {} : { latencyMs }),
      },
    })
  }

  /**
   * Which of two links stays, so that both ends decide alike (spec/links L52): the better transport; else the one that
   * the smaller peer id made; else the newer. An initiator never finishes a link while it has one as good, so a link
   * whose pipe opened after the standing one was up tells that the other end has lost that one: it is replaced.
   */
  #supersedes(pipe: Pipe, active: Pipe): boolean {
    if (active.link?.isRemoteRetired) return true
    const rank = transportRanks[pipe.transport] - transportRanks[active.transport]
    if (rank > 0 || isStale(active, pipe)) return true
    if (rank < 0) return false
    if (pipe.role === active.role) return true
    const isOurs = pipe.role === 'initiator'
    return this.#state.connectionOf(pipe)?.offers === isOurs
  }

  #replace(now: Now, pipe: Pipe, old: Pipe, connection: Connection): void {
    const isStaleOld = isStale(old, pipe) && transportRanks[pipe.transport] <= transportRanks[old.transport]
    // We dialled because the old one was suspect, and it still is.
    const isRescue = pipe.source === 'dial' && old.link?.isSuspect === true
    const reason = pipe.transport === old.transport ? 'duplicate' : 'upgraded'
    connection.active = pipe
    connection.error = undefined
    this.#retire(now, old, connection, reason, pipe)
    // Nothing more is awaited on a link that an end has lost.
    if (isStaleOld || isRescue) {
      old.isLost = true
      this.#dialling.doubtRelay(now, connection, old)
    }
    // Whoever dialled beside a circuit has lost it, or found a better way: only that end knows.
    if (old.isLost || (old.transport === 'circuit' && pipe.source === 'inbound')) {
      this.#tellLoss(connection, old)
      this.#upgrading.linkLost(now, connection, old)
    }
    this.#releaseWhenAlone(now, connection)
    this.#established(pipe, connection, now.mono - pipe.startedAt)
  }

  /** What was sent on a replaced link may be lost: the layers above send it again, before what is new. */
  #tellLoss(connection: Connection, pipe: Pipe): void {
    const { active, peerId } = connection
    if (!active?.link?.isUp || pipe.isLossTold) return
    pipe.isLossTold = true
    this.#state.emit({ type: 'link-down', peerId, reason: 'pipe-lost' })
    this.#linkUp(active, connection)
  }

  /** Frames of the new link wait for the next one of the old `pipe`; by a relay, which may be gone, not long. */
  #await(now: Now, connection: Connection, pipe: Pipe): void {
    const { limits, linkLimits } = this.#state.settings
    const { probeMs, probeRttFactor } = linkLimits
    const beforeSuspicion = Math.max(probeRttFactor * (pipe.link?.latencyMs ?? 0), probeMs)
    const wait = pipe.transport === 'circuit' ? Math.min(limits.holdMs, beforeSuspicion) : limits.holdMs
    pipe.awaitedUntil = now.mono + wait
    if (connection.holdUntil !== undefined) connection.holdUntil = Math.max(connection.holdUntil, pipe.awaitedUntil)
  }

  /** Says the last word on `pipe`; what it had not begun to send goes to `heir`. */
  #retire(now: Now, pipe: Pipe, connection: Connection, reason: 'upgraded' | 'duplicate', heir?: Pipe): void {
    const { link } = pipe
    if (!link?.isUp) return
    this.#state.count('links-retired')
    const { outputs, leftover } = link.retire(now, reason)
    this.#state.relay(pipe, outputs)
    for (const { frameType, payload } of leftover.messages) {
      if (heir?.link?.isUp) this.#state.relay(heir, heir.link.send(now, frameType, payload, false) ?? [])
    }
    for (const id of leftover.pingIds) if (heir?.link?.isUp) this.#state.relay(heir, heir.link.ping(now, id) ?? [])
    pipe.endBy = now.mono + this.#state.settings.limits.retireMs
    connection.retiring.add(pipe)
    if (link.isRemoteRetired) this.over(now, pipe, reason, undefined)
    else {
      connection.holdUntil ??= now.mono
      this.#await(now, connection, pipe)
    }
  }

  #remoteRetired(now: Now, pipe: Pipe, reason: CloseReason): void {
    const connection = this.#state.connectionOf(pipe)
    const link = pipe.link
    if (connection === undefined || link === undefined) return
    if (link.isRetired) {
      this.over(now, pipe, reason, undefined)
      return
    }
    pipe.endBy = now.mono + this.#state.settings.limits.retireMs
    for (const other of this.#state.pipes.values()) {
      if (other !== pipe && other.peerId === pipe.peerId && other.link?.isConfirming) return
    }
    // No other link is on its way: the two ends disagree, and a fresh one heals it.
    this.over(now, pipe, reason, undefined)
  }

  #frame(now: Now, pipe: Pipe, channel: number, frameType: FrameType, payload: Uint8Array): void {
    const connection = this.#state.connectionOf(pipe)
    if (connection === undefined) return
    // What was sent before still comes: what was sent after goes on waiting (until the old link is cut).
    if (connection.retiring.has(pipe) && !pipe.isLost) this.#await(now, connection, pipe)
    const isHeld = connection.active === pipe || connection.held.some((frame) => frame.pipe === pipe)
    if (connection.holdUntil === undefined || !isHeld || channel !== 0) {
      this.#deliver(now, connection, frameType, payload)
      return
    }
    connection.held.push({ pipe, frameType, payload })
    connection.heldBytes += payload.length
    const { holdFramesMax, holdBytesMax } = this.#state.settings.limits
    if (connection.held.length >= holdFramesMax || connection.heldBytes >= holdBytesMax) {
      this.#state.count('hold-overflow')
      this.#release(now, connection)
    }
  }

  #deliver(now: Now, connection: Connection, frameType: FrameType, payload: Uint8Array): void {
    if (frameType === frameTypes.signal) {
      this.#upgrading.receive(now, connection, payload)
      return
    }
    connection.messagesReceived += 1
    this.#state.emit({ type: 'frame', peerId: connection.peerId, frameType, payload })
  }

  #release(now: Now, connection: Connection): void {
    connection.holdUntil = undefined
    connection.heldBytes = 0
    // A link that was replaced while its frames were held sent them before its heir sent any.
    const frames = connection.held.splice(0).sort((a, b) => a.pipe.upOrder - b.pipe.upOrder)
    for (const { frameType, payload } of frames) this.#deliver(now, connection, frameType, payload)
  }

  #releaseWhenAlone(now: Now, connection: Connection): void {
    if (connection.holdUntil !== undefined && !this.#isAwaiting(connection)) this.#release(now, connection)
  }

  /** Whether frames sent before those of the link in use may still come: on a replaced link, or on a lesser new one. */
  #isAwaiting({ active, retiring, peerId }: Connection): boolean {
    for (const { isLost } of retiring) if (!isLost) return true
    for (const pipe of this.#state.pipes.values()) {
      if (pipe === active || pipe.peerId !== peerId || !pipe.link?.isConfirming || active === undefined) continue
      if (transportRanks[pipe.transport] <= transportRanks[active.transport]) return true
    }
    return false
  }

  #cutExcess(now: Now, connection: Connection): void {
    for (const pipe of connection.retiring) {
      if (connection.retiring.size < this.#state.settings.limits.linksPerPeerMax) return
      this.#state.count('links-cut')
      this.over(now, pipe, 'duplicate', undefined)
    }
  }

  /** Timers of one connection that concern its links. */
  wake(now: Now, connection: Connection): void {
    for (const pipe of connection.retiring) {
      if (pipe.isLost || now.mono < pipe.awaitedUntil) continue
      pipe.isLost = true
      this.#tellLoss(connection, pipe)
    }
    if (connection.holdUntil === undefined) return
    if (now.mono < connection.holdUntil && this.#isAwaiting(connection)) return
    if (connection.held.length > 0) this.#state.count('hold-timeout')
    this.#release(now, connection)
  }

  /**
   * A pipe came to its end: because its link ended, because the transport said so (`isClosed`), or because it did not
   * open in time. Everything that hung on it is settled here.
   */
  over(now: Now, pipe: Pipe, reason: CloseReason, error: LinkError | undefined, isClosed = false): void {
    const wasRetiredThere = pipe.link?.isRemoteRetired === true
    if (isClosed) {
      this.#state.pipes.delete(pipe.id)
      this.#state.handshakesIn.delete(pipe)
      pipe.link?.pipeClosed()
    } else this.#state.drop(pipe)
    const connection = this.#state.connectionOf(pipe)
    if (connection?.active === pipe) this.#lost(now, pipe, connection, reason, error)
    else if (connection?.retiring.delete(pipe)) {
      this.#closed(pipe, connection, reason)
      // It ended before the other end had said its last word there.
      if (!wasRetiredThere) this.#tellLoss(connection, pipe)
      this.#releaseWhenAlone(now, connection)
    } else {
      this.#neverUp(now, pipe, connection, reason, error)
      if (connection !== undefined) this.#releaseWhenAlone(now, connection)
    }
  }

  #lost(now: Now, pipe: Pipe, connection: Connection, reason: CloseReason, error: LinkError | undefined): void {
    connection.active = undefined
    this.#release(now, connection)
    if (error !== undefined) this.#state.report(error, pipe, connection)
    const { backoffMinMs, steadyAfterMs } = this.#state.settings.limits
    const lifeMs = now.mono - pipe.upAt
    if (lifeMs >= steadyAfterMs) connection.failures = 0
    // A link that we ended at its last sequence number, or that another should have replaced, failed nobody; a short
    // life is a failure all the same, or two peers who disagree would dial without end. One that stood long and broke is
    // missed: somebody may be in the middle of a word.
    const isBroken = error === undefined ? reason === 'pipe-lost' : error.type === 'broken' || error.type === 'silent'
    // A tampered message ends a link as a protocol error.
    if (isBroken || reason === 'protocol-error') this.#dialling.doubtRelay(now, connection, pipe)
    const isElsewhere = pipe.transport === 'circuit' && this.#dialling.hasSoundCircuit(now, connection)
    const atOnce = isBroken ? lifeMs >= steadyAfterMs || isElsewhere : error === undefined && lifeMs >= backoffMinMs
    if (!atOnce) connection.failures += 1
    // Asking often changes nothing there.
    if (reason === 'blocked') connection.failures = Math.max(connection.failures, blockedFailures)
    this.#closed(pipe, connection, reason)
    this.#state.emit({ type: 'link-down', peerId: connection.peerId, reason })
    connection.connectedAt = undefined
    this.#upgrading.linkLost(now, connection, pipe)
    this.#dialling.schedule(now, connection, atOnce)
  }

  #closed(pipe: Pipe, connection: Connection, reason: CloseReason): void {
    const { connectionId, peerId } = connection
    this.#state.emit({
      type: 'event',
      event: { type: 'connection-closed', connectionId, peerId, transport: pipe.transport, reason },
    })
  }

  #neverUp(
    now: Now,
    pipe: Pipe,
    connection: Connection | undefined,
    reason: CloseReason,
    error: LinkError | undefined,
  ): void {
    const cause: LinkError = error ?? { type: 'broken', detail: reason }
    switch (pipe.source) {
      case 'dial':
        if (connection !== undefined) this.#dialling.pipeFailed(now, connection, pipe, cause)
        return
      case 'upgrade':
        if (connection?.upgrade?.pipe === pipe) this.#upgrading.fail(now, connection, cause)
        return
      case 'address':
        this.#state.report(cause, pipe, connection)
        return
      default:
        // A stranger that says nothing is counted, not told of: it could say nothing ten thousand times.
        if (error === undefined) return
        if (error.type === 'handshake-timeout' || error.type === 'broken') this.#state.count(error.type)
        else this.#state.report(error, pipe, connection)
    }
  }

  /** Ends everything with a peer. */
  closeAll(now: Now, connection: Connection, reason: CloseReason): void {
    this.#dialling.end(connection, true)
    if (connection.upgrade !== undefined) {
      const { pipe } = connection.upgrade
      this.#upgrading.end(connection)
      this.#state.drop(pipe)
    }
    // Nobody sends anything again to a peer that is left.
    for (const pipe of connection.retiring) pipe.isLossTold = true
    for (const pipe of [...this.#state.pipes.values()]) {
      if (pipe.peerId !== connection.peerId) continue
      this.#relayWrites(pipe, now, reason)
      this.over(now, pipe, reason, undefined)
    }
    connection.nextTryAt = undefined
  }

  /** Says goodbye on a link; its end is settled by the caller. */
  #relayWrites(pipe: Pipe, now: Now, reason: CloseReason): void {
    const outputs = pipe.link?.close(now, reason) ?? []
    this.#state.relay(
      pipe,
      outputs.filter(({ type }) => type === 'write'),
    )
  }
}

/** Whether the standing link was up here before the new one's pipe even opened. */
function isStale(active: Pipe, pipe: Pipe): boolean {
  return active.upOrder < pipe.openedOrder
}
