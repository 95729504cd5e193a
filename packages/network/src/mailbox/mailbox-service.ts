import { bytesToHex, type Now, peerIdToKey, type Random } from '@miaou/core'
import type { Crypto } from '@miaou/crypto'
import { boxIdOf, decodeMailboxMessage, type FrameType, frameTypes } from '@miaou/protocol'
import { parseClientAddress } from '../circuit/relay-service-groups.ts'
import type { CloseReason } from '../interface.ts'
import { Link, type LinkOutput } from '../link.ts'
import type { LinkIdentity } from '../link-handshake.ts'
import { defaultLinkLimits, type LinkLimits } from '../link-limits.ts'
import type { PipeId, TransportEvent } from '../ports.ts'
import type { MailboxServiceInput, MailboxServiceOutput } from './interface.ts'
import { MailboxClient } from './mailbox-service-client.ts'
import { MailboxServiceCounters } from './mailbox-service-counters.ts'
import { MailboxGroups } from './mailbox-service-groups.ts'
import { defaultMailboxServiceLimits, type MailboxServiceLimits } from './mailbox-service-limits.ts'
import { MailboxRequests, type RequestsHost } from './mailbox-service-requests.ts'

export interface MailboxServiceOptions {
  readonly crypto: Crypto
  readonly random: Random
  /** The service key: a pseudonym, so that serving does not tell who runs it. */
  readonly identity: LinkIdentity
  readonly limits?: Partial<MailboxServiceLimits>
  readonly linkLimits?: Partial<LinkLimits>
}

/** What a mailbox shows of its links: numbers, nothing of whom. */
export interface MailboxServiceView {
  readonly links: number
  /** Boxes whose owner is here. */
  readonly owners: number
  /** Operations that wait for the disk. */
  readonly pending: number
}

type Opened = Extract<TransportEvent, { type: 'opened' }>

/**
 * The service's half of mailboxes: keeps sealed messages for pseudonyms until they acknowledge them. It can read none of
 * them, and knows of who leaves one neither name nor, behind a relay, address. All that must outlive it goes through
 * `queue` outputs, and is answered once it is durable. Without clock and I/O. Rules: spec/mailbox.md.
 */
export class MailboxService implements RequestsHost {
  readonly #options: MailboxServiceOptions
  readonly #limits: MailboxServiceLimits
  readonly #linkLimits: LinkLimits
  readonly #clients = new Map<PipeId, MailboxClient>()
  readonly #handshaking = new Set<MailboxClient>()
  /** Links by the box of their pseudonym, oldest first. */
  readonly #linksByBox = new Map<string, Set<MailboxClient>>()
  readonly #groups: MailboxGroups
  readonly #counters = new MailboxServiceCounters()
  readonly #requests: MailboxRequests
  #outputs: MailboxServiceOutput[] = []
  /** Of the call at hand. */
  #now: Now = { mono: 0, wall: 0 }
  #expireAt = Number.NEGATIVE_INFINITY
  #sweepAt = Number.POSITIVE_INFINITY
  #sweptAt = Number.NEGATIVE_INFINITY
  #isStopping = false

  constructor(options: MailboxServiceOptions) {
    this.#options = options
    this.#limits = { ...defaultMailboxServiceLimits, ...options.limits }
    this.#linkLimits = { ...defaultLinkLimits, ...options.linkLimits }
    this.#groups = new MailboxGroups(this.#limits)
    this.#requests = new MailboxRequests(this, options.crypto, this.#limits, this.#counters)
  }

  /** Of the call at hand. */
  get now(): Now {
    return this.#now
  }

  /** Every effect is in the returned list. Nothing that a client sends makes it throw. */
  handle(now: Now, input: MailboxServiceInput): MailboxServiceOutput[] {
    this.#outputs = []
    this.#now = now
    switch (input.type) {
      case 'transport':
        this.#heard(input.event)
        break
      case 'drained':
        this.#drained(input.pipe)
        break
      case 'queued':
        this.#requests.queued(input.batch, input.results)
        break
      case 'wake':
        break
      case 'stop':
        this.#stop()
        break
    }
    if (now.mono >= this.#expireAt && !this.#isStopping) {
      this.#expireAt = now.mono + this.#limits.expireMs
      this.#requests.expire()
    }
    if (now.mono >= this.#sweepAt) this.#sweep()
    for (let next = this.#requests.nextBatch(); next !== undefined; next = this.#requests.nextBatch()) {
      this.#outputs.push({ type: 'queue', ...next })
    }
    return this.#outputs
  }

  /** Monotonic ms of the next wake, Infinity for none. */
  deadline(): number {
    return this.#isStopping ? Number.POSITIVE_INFINITY : Math.min(this.#sweepAt, this.#expireAt)
  }

  counters(): Readonly<Record<string, number>> {
    return this.#counters.snapshot()
  }

  view(): MailboxServiceView {
    return { links: this.#clients.size, owners: this.#requests.ownerCount, pending: this.#requests.pendingCount }
  }

  #heard(event: TransportEvent): void {
    if (event.type === 'opened') {
      this.#admit(event)
      return
    }
    const client = this.#clients.get(event.pipe)
    if (client === undefined) {
      if (event.type === 'message') this.#counters.count('unknown-pipe')
      return
    }
    if (event.type === 'message') this.#take(client, client.link.receive(this.#now, event.channel, event.bytes))
    if (event.type === 'closed') {
      client.link.pipeClosed()
      this.#forget(client)
    }
    this.watch(client)
  }

  #admit(event: Opened): void {
    const { clientsMax, clientsPerGroupMax, handshakesMax } = this.#limits
    const { group: groupName } = parseClientAddress(event.remoteAddress)
    const isFull = this.#clients.size >= clientsMax || this.#groups.countOf(groupName) >= clientsPerGroupMax
    if (isFull || this.#isStopping) {
      this.#counters.count('links-refused')
      this.#outputs.push({ type: 'close', pipe: event.pipe })
      return
    }
    if (this.#handshaking.size >= handshakesMax) {
      const [oldest] = this.#handshaking
      if (oldest !== undefined) this.#cut(oldest)
      this.#counters.count('handshakes-dropped')
    }
    const { crypto, random, identity } = this.#options
    const link = new Link(
      {
        crypto,
        random,
        identity,
        features: [],
        role: 'responder',
        padded: event.padded,
        expected: undefined,
        binding: event.binding,
        pseudonymsAdmitted: true,
        channels: event.channels,
        limits: this.#linkLimits,
      },
      this.#now,
    )
    const group = this.#groups.enter(groupName)
    const options = { groupName, group, now: this.#now.mono, limits: this.#limits }
    const client = new MailboxClient(event.pipe, link, options)
    this.#clients.set(event.pipe, client)
    this.#handshaking.add(client)
    this.#counters.count('links-accepted')
    this.watch(client)
  }

  /** Carries out what a link says. */
  #take(client: MailboxClient, outputs: readonly LinkOutput[]): void {
    for (const output of outputs) {
      // The link may have ended meanwhile, with the rest of its outputs.
      if (!this.#clients.has(client.pipe)) return
      switch (output.type) {
        case 'write':
          client.sent(output.bytes.length)
          this.#outputs.push({ type: 'write', pipe: client.pipe, channel: output.channel, bytes: output.bytes })
          if (client.unsent > this.#limits.unsentCutMax) this.#cut(client)
          break
        case 'proven':
          this.#prove(client)
          break
        case 'up':
          client.isUp = true
          client.uselessSince = this.#now.mono
          this.#handshaking.delete(client)
          break
        case 'frame':
          this.#receive(client, output.frameType, output.payload)
          break
        case 'refused':
          this.#counters.count('bad-messages')
          break
        case 'remote-retired':
          this.end(client, 'bye')
          break
        case 'ended':
          if (!client.isUp) this.#counters.count('handshakes-failed')
          this.#outputs.push({ type: 'close', pipe: client.pipe })
          this.#forget(client)
          break
        case 'pong':
          break
      }
    }
  }

  /** A client shows a pseudonym; who shows a device by mistake is not let in, so that nobody learns it. */
  #prove(client: MailboxClient): void {
    const { peer } = client.link
    if (peer?.certificate.kind !== 'pseudonym') {
      this.#counters.count('devices-refused')
      this.#take(client, client.link.refuse(this.#now, 'protocol-error'))
      return
    }
    const key = peerIdToKey(peer.peerId)
    const box = boxIdOf(key, (bytes) => this.#options.crypto.sha256(bytes))
    const name = bytesToHex(box)
    const links = this.#linksByBox.get(name) ?? new Set()
    if (links.size >= this.#limits.linksPerClientMax) {
      const [oldest] = links
      this.#counters.count('links-displaced')
      if (oldest !== undefined) this.end(oldest, 'bye')
    }
    client.proved = { key, box, name }
    // Anew: ending the oldest may have emptied the entry.
    this.#linksByBox.set(name, (this.#linksByBox.get(name) ?? links).add(client))
    this.#take(client, client.link.accept(this.#now))
    // What is needed of it is kept above.
    client.link.forgetPeer()
  }

  #receive(client: MailboxClient, frameType: FrameType, payload: Uint8Array): void {
    const decoded = frameType === frameTypes.mailboxControl ? decodeMailboxMessage(payload) : undefined
    if (decoded?.ok === true) this.#requests.receive(client, decoded.value)
    else this.bad(client, 'bad-messages')
  }

  /** For requests, as what follows. */
  bad(client: MailboxClient, name: 'bad-messages' | 'bad-signatures'): void {
    this.#counters.count(name)
    client.badMessages += 1
    if (client.badMessages >= this.#limits.badMessagesMax) this.end(client, 'protocol-error')
  }

  /** Sends messages in order, in few frames. */
  send(client: MailboxClient, payloads: readonly Uint8Array[]): void {
    if (!client.link.isUp || !this.isHere(client)) return
    const frames = payloads.map((payload) => ({ frameType: frameTypes.mailboxControl, payload }))
    this.#take(client, client.link.sendAll(this.#now, frames).outputs)
    this.watch(client)
  }

  isHere(client: MailboxClient): boolean {
    return this.#clients.get(client.pipe) === client
  }

  #drained(pipe: PipeId): void {
    const client = this.#clients.get(pipe)
    if (client === undefined) return
    client.drained()
    this.#requests.pump(client)
  }

  /** Closes a link with a word. */
  end(client: MailboxClient, reason: CloseReason): void {
    if (this.#clients.has(client.pipe)) this.#take(client, client.link.close(this.#now, reason))
  }

  /** Closes a link without a word: it would not be read. */
  #cut(client: MailboxClient): void {
    this.#counters.count('links-cut')
    client.link.pipeClosed()
    this.#outputs.push({ type: 'close', pipe: client.pipe })
    this.#forget(client)
  }

  #forget(client: MailboxClient): void {
    if (!this.#clients.delete(client.pipe)) return
    this.#handshaking.delete(client)
    this.#requests.left(client)
    this.#groups.leave(client.groupName, client.group)
    const name = client.proved?.name ?? ''
    const links = this.#linksByBox.get(name)
    links?.delete(client)
    if (links?.size === 0) this.#linksByBox.delete(name)
  }

  #stop(): void {
    this.#isStopping = true
    this.#requests.stop()
    for (const client of [...this.#clients.values()]) this.end(client, 'shutdown')
  }

  /** A timer of this client may be due earlier than what is looked at next. */
  watch(client: MailboxClient): void {
    if (!this.#clients.has(client.pipe)) return
    const dueAt = Math.min(client.link.deadline(), this.#dueAt(client))
    if (dueAt < this.#sweepAt) this.#sweepAt = Math.max(dueAt, this.#sweptAt + this.#limits.sweepMs)
  }

  /** When the client itself, not its link, has something due. */
  #dueAt(client: MailboxClient): number {
    if (!client.isUp) return Number.POSITIVE_INFINITY
    if (client.push !== undefined) return Math.min(client.push.touchAt, client.push.retryAt)
    return client.uselessSince + this.#limits.uselessMs
  }

  #sweep(): void {
    const { mono } = this.#now
    this.#sweptAt = mono
    this.#sweepAt = Number.POSITIVE_INFINITY
    for (const client of [...this.#clients.values()]) {
      if (client.link.deadline() <= mono) this.#take(client, client.link.wake(this.#now))
      if (!this.isHere(client)) continue
      if (client.isUp && client.push === undefined && mono >= client.uselessSince + this.#limits.uselessMs) {
        this.#counters.count('links-useless')
        this.end(client, 'bye')
        continue
      }
      this.#requests.due(client)
      this.watch(client)
    }
  }
}
