import { assert, type Clock, equalBytes, err, type Jitter, ok, type Random, type Result } from '@miaou/core'
import type { Crypto, KeyPair } from '@miaou/crypto'
import {
  createRecordRules,
  decodeRecord,
  type Endpoint,
  encodeRecord,
  endpointScope,
  recordSizeMax,
  valueRecordOverhead,
} from '@miaou/protocol'
import { ContactTable } from '../kademlia/contact-table.ts'
import type {
  ContactRef,
  KademliaCommand,
  KademliaInput,
  KademliaMessage,
  KademliaReply,
  RecordRules,
} from '../kademlia/interface.ts'
import { Kademlia, type KademliaInfo } from '../kademlia/kademlia.ts'
import { defaultP2PConfig, type P2PConfig } from './config.ts'
import { type DhtMessage, fromDhtMessage, toDhtMessage } from './dht-message.ts'
import { type P2PError, toP2PError } from './errors.ts'
import type { GossipMessage } from './gossip-message.ts'
import { NodeId } from './node-id.ts'
import { PeerGossip } from './peer-gossip.ts'
import { internPeer, type PeerInfo, readPeer } from './peer-info.ts'

/** Port: how a node reaches its peers. It proves their ids, and settles every request in a time of its own. */
export interface P2PNetwork {
  /**
   * Resolves with the answer, with undefined when none came, and for a Store, which has none (row E18), when it arrived.
   * Rejects with what the operating system said.
   */
  request(to: PeerInfo, message: DhtMessage): Promise<DhtMessage | undefined>
  /** Hands bytes to the peer's `handleGossip`, or loses them. */
  gossip(to: PeerInfo, bytes: Uint8Array): void
}

export interface P2PNodeOptions {
  readonly crypto: Crypto
  readonly random: Random
  readonly jitter: Jitter
  readonly clock: Clock
  readonly network: P2PNetwork
  /** Ed25519: the node's id is the SHA-256 of its public key, and the pair signs what the node publishes. */
  readonly key: KeyPair
  readonly addr: Endpoint
  readonly config?: Partial<P2PConfig>
  /** Takes each gossip message once, signature checked. */
  readonly deliver?: (message: GossipMessage) => void
}

/** Rows of the contact table: a full routing table, its replacements and the lookups in flight several times over. */
const contactsMax = 32_768
/** Peers that one message names at most, and its sender. */
const peersPerMessage = 21

/**
 * A node as the exercise names it (row E20), over the engines `Kademlia` and `Gossip`: what it adds is promises. It takes
 * senders as proved: whoever calls `handleDhtMessage` and `handleGossip` vouches that the sender holds the key of its id
 * and receives at its address (in the product, secure datagrams do; DECISIONS "Overlay").
 */
export class P2PNode {
  readonly id: NodeId
  readonly addr: Endpoint
  readonly #options: P2PNodeOptions
  readonly #contacts: ContactTable
  readonly #rules: RecordRules
  readonly #dht: Kademlia
  readonly #gossip: PeerGossip
  readonly #commands = new Map<number, (reply: KademliaReply) => void>()
  #nextCommand = 1
  #lastIo: string | undefined

  constructor(options: P2PNodeOptions) {
    const { crypto, random, jitter, clock, key, addr } = options
    const config = { ...defaultP2PConfig, ...options.config }
    this.#options = options
    this.id = NodeId.fromPublicKey(crypto, key.publicKey)
    this.addr = addr
    // A contact's key is its id: see `internPeer`.
    this.#contacts = new ContactTable({ crypto: { sha256: (id) => id.slice() }, contactsMax, salt: random.bytes(8) })
    this.#rules = createRecordRules(crypto)
    const { k, alpha, refreshInterval: refreshIntervalMs, replicationFactor } = config
    this.#dht = new Kademlia({
      crypto,
      random,
      jitter,
      contacts: this.#contacts,
      self: this.id.toBytes(),
      records: this.#rules,
      config: { k, alpha, refreshIntervalMs, replicationFactor, mode: 'server' },
      now: clock.now().mono,
    })
    this.#gossip = new PeerGossip(options, this.info(), this.#contacts, config.gossipTtl)
  }

  /** How others name this node. */
  info(): PeerInfo {
    return { id: this.id, addr: this.addr, lastSeen: this.#options.clock.now().mono }
  }

  /** Peers in the routing table, the most recently heard first, at most 200 (row E12: with their times). */
  peers(): PeerInfo[] {
    return this.#dht.contacts().map((ref) => readPeer(this.#contacts, ref, this.#dht.measures(ref)))
  }

  dhtInfo(): KademliaInfo {
    return this.#dht.info()
  }

  /** Joins through peers: the number of contacts then known, or `BootstrapFailed` when none of them answered. */
  async bootstrap(peers: readonly PeerInfo[]): Promise<Result<number, P2PError>> {
    const reachable = peers.filter(({ addr }) => endpointScope(addr) !== undefined)
    this.#contacts.reserve(reachable.length)
    const contacts = reachable.map((peer) => internPeer(this.#contacts, peer))
    const result = await this.#command({ type: 'bootstrap', contacts }, (reply) =>
      reply.type === 'bootstrapped' ? reply.contacts : undefined,
    )
    if (result.ok) this.#mingle()
    return result
  }

  /**
   * Takes a request of a peer and returns the answer; none for a Store (row E18) and for what is no request. The sender
   * of a request enters the routing table (row E17), if there is room.
   */
  handleDhtMessage(message: DhtMessage, from: PeerInfo): DhtMessage | undefined {
    if (endpointScope(from.addr) === undefined) return undefined
    return this.#receive(from, message, 0)
  }

  /** The k nodes nearest to `target` that answer, the nearest first: an iterative lookup. */
  findNode(target: NodeId): Promise<Result<PeerInfo[], P2PError>> {
    return this.#command({ type: 'find-node', target: target.toBytes() }, (reply) =>
      reply.type === 'found-nodes' ? reply.contacts.map((ref) => readPeer(this.#contacts, ref)) : undefined,
    )
  }

  /**
   * Stores a value with the k nodes nearest to its key and republishes it: the number of those that took it before
   * `store` was done; 0 for a node without contacts, which keeps it until it has some. `key` must be the SHA-256 of
   * `value`, or `value` an encoded signed record (protocol `signRecord`) with that key: everything else is `NotStorable`.
   */
  async store(key: NodeId, value: Uint8Array): Promise<Result<number, P2PError>> {
    const record = this.#toRecord(key, value)
    if (record === undefined) return err({ type: 'NotStorable' })
    const isAlone = this.#dht.info().contacts === 0
    const result = await this.#command({ type: 'put', record, republish: true }, (reply) =>
      reply.type === 'stored' ? reply.stored : undefined,
    )
    return isAlone && !result.ok ? ok(0) : result
  }

  /** The value under a key, or of the newest signed record under it; `NotFound` where nobody who was asked has one. */
  async get(key: NodeId): Promise<Result<Uint8Array, P2PError>> {
    const isAlone = this.#dht.info().contacts === 0
    const result = await this.#command({ type: 'get', key: key.toBytes() }, (reply) =>
      reply.type === 'found-value' ? reply.record.slice() : undefined,
    )
    if (!result.ok) return isAlone ? err({ type: 'NotFound' }) : result
    const record = decodeRecord(result.value)
    return record.ok ? ok(record.value.value) : err({ type: 'NotFound' })
  }

  /** The round trip to a peer in ms; `Timeout` when it does not answer. */
  ping(peer: PeerInfo): Promise<Result<number, P2PError>> {
    this.#contacts.reserve(1)
    const contact = internPeer(this.#contacts, peer)
    return this.#command({ type: 'ping', contact }, (reply) => (reply.type === 'pong' ? reply.ms : undefined))
  }

  /** Publishes a signed message to everybody; returns the peers to whom it went first (row E24). */
  gossip(payload: Uint8Array): Result<PeerInfo[], P2PError> {
    return this.#gossip.publish(payload)
  }

  /**
   * Takes the bytes of a gossip message from a peer. A first sight is delivered, forwarded, and answered with the peers
   * that it was forwarded to, possibly none; undefined for a duplicate (E22), a spent ttl (E23) and everything invalid.
   */
  handleGossip(bytes: Uint8Array, from: PeerInfo): PeerInfo[] | undefined {
    if (endpointScope(from.addr) === undefined) return undefined
    return this.#gossip.receive(bytes, from)
  }

  /** Does what is due: timeouts, refresh (E05), republishing, expiry. Early calls change nothing. */
  maintenance(): void {
    this.#handle({ type: 'wake' })
    this.#gossip.wake()
    this.#mingle()
  }

  /** Monotonic ms at which `maintenance` is due next. */
  deadline(): number {
    return Math.min(this.#dht.deadline(), this.#gossip.deadline())
  }

  /** Ends what is under way with `NetworkError`; the node is of no use any more. */
  stop(): void {
    this.#handle({ type: 'stop' })
  }

  /** Gossip flows between peers that the routing table has met. */
  #mingle(): void {
    this.#gossip.mingle(this.peers())
  }

  #toRecord(key: NodeId, value: Uint8Array): Uint8Array | undefined {
    const bytes = key.toBytes()
    const isContent = equalBytes(this.#options.crypto.sha256(value), bytes)
    if (isContent && value.length > 0 && value.length + valueRecordOverhead <= recordSizeMax) {
      return encodeRecord({ type: 'value', value })
    }
    const checked = this.#rules.check(value)
    return checked?.sequence !== undefined && equalBytes(checked.key, bytes) ? value.slice() : undefined
  }

  #command<T>(command: KademliaCommand, read: (reply: KademliaReply) => T | undefined): Promise<Result<T, P2PError>> {
    const id = this.#nextCommand++
    this.#lastIo = undefined
    const { promise, resolve } = Promise.withResolvers<Result<T, P2PError>>()
    this.#commands.set(id, (reply) => {
      const value = read(reply)
      if (value !== undefined) return resolve(ok(value))
      assert(reply.type === 'failed', 'a command is answered in its own terms')
      resolve(err(toP2PError(reply.error, this.#lastIo)))
    })
    this.#handle({ type: 'command', id, command })
    return promise
  }

  /** A peer's message: the engine's answer to it, in the exercise's terms. */
  #receive(from: PeerInfo, message: DhtMessage, transaction: number): DhtMessage | undefined {
    // So many lookups at once that their candidates fill all rows: the message is lost, as any may be.
    if (!this.#contacts.tryReserve(peersPerMessage)) return undefined
    const ref = internPeer(this.#contacts, from)
    const received = fromDhtMessage(message, transaction, this.#contacts)
    return this.#handle({ type: 'message', from: ref, isProven: true, message: received })
  }

  /** Runs the engine. Refs are read before anything is sent: what comes back at once may reuse their rows. */
  #handle(input: KademliaInput): DhtMessage | undefined {
    let answer: DhtMessage | undefined
    const requests: (() => void)[] = []
    for (const output of this.#dht.handle(this.#options.clock.now(), input)) {
      if (output.type === 'reply') this.#settle(output.id, output.reply)
      if (output.type !== 'send') continue
      if (output.isReply) answer = this.#read(output.message)
      else requests.push(this.#prepare(output.to, output.message))
    }
    for (const request of requests) request()
    return answer
  }

  #settle(id: number, reply: KademliaReply): void {
    const settle = this.#commands.get(id)
    this.#commands.delete(id)
    settle?.(reply)
  }

  #read(message: KademliaMessage): DhtMessage | undefined {
    return toDhtMessage(message, this.#contacts, (record) => this.#rules.check(record)?.key)
  }

  #prepare(to: ContactRef, message: KademliaMessage): () => void {
    const peer = readPeer(this.#contacts, to)
    const request = this.#read(message)
    const { transaction } = message
    if (request === undefined) return () => this.#handle({ type: 'failed', transaction })
    return () => void this.#request(peer, request, transaction)
  }

  async #request(peer: PeerInfo, request: DhtMessage, transaction: number): Promise<void> {
    let answer: DhtMessage | undefined
    try {
      answer = await this.#options.network.request(peer, request)
    } catch (cause) {
      this.#lastIo = String(cause)
      this.#handle({ type: 'failed', transaction })
      return
    }
    if (answer !== undefined) this.#receive(peer, answer, transaction)
    else if (request.type === 'Store') this.#stored(peer, transaction)
    else this.#handle({ type: 'unanswered', transaction })
  }

  /** A Store that arrived counts as done: the exercise has no answer to it. */
  #stored(peer: PeerInfo, transaction: number): void {
    this.#contacts.reserve(1)
    const from = internPeer(this.#contacts, peer)
    const message = { type: 'store-response', transaction, isServer: true, status: 'stored' } as const
    this.#handle({ type: 'message', from, isProven: true, message })
  }
}
