import { join } from 'node:path'
import { equalBytes, err, nodeIdToBytes, ok, type Result } from '@miaou/core'
import type { KeyPair } from '@miaou/crypto'
import type { OverlayHint, OwnOverlayNode } from '@miaou/peer'
import {
  OverlayNode,
  type OverlayNodeCommand,
  type OverlayNodeInput,
  type OverlayNodeOutput,
  type OverlayNodeReply,
} from '@miaou/peer/overlay'
import {
  decodeRecord,
  type Endpoint,
  encodeRecord,
  isLoopback,
  type OverlayClient,
  overlayRendezvousMax,
  recordSaltSizeMax,
  recordSizeMax,
  signedRecordKey,
  signedRecordOverhead,
  signRecord,
  valueRecordOverhead,
} from '@miaou/protocol'
import { Pending } from '../peer/pending.ts'
import type { BootstrapNode } from './bootstrap-node.ts'
import { Bootstrapper } from './bootstrapper.ts'
import { ClientNodes } from './client-nodes.ts'
import { ContactNodes } from './contact-nodes.ts'
import type {
  OverlayContact,
  OverlayError,
  OverlayFound,
  OverlayHandle,
  OverlayInfo,
  OverlayPunchError,
  OverlayPut,
  OverlayPutSigned,
} from './handle.ts'
import { LanNodes } from './lan-nodes.ts'
import { nodesToAsk } from './nodes-to-ask.ts'
import type { OverlayHostOptions } from './overlay-host-options.ts'
import { OverlayLoop } from './overlay-loop.ts'
import { OwnNode } from './own-node.ts'
import { OwnRecords, ownRecordsSizeMax } from './own-records.ts'
import { replyError } from './reply-error.ts'
import { type Resolved, resolveNodes } from './resolve.ts'
import { type NodeAddress, SavedContacts, savedContactsSizeMax } from './saved-contacts.ts'
import { SealedDocument } from './sealed-document.ts'
import type { OverlaySide } from './side.ts'
import { UdpSockets } from './udp-sockets.ts'

/** How often the host looks whether something is to be done that no datagram starts. Guess. */
const careIntervalMs = 10_000
/** A datagram to a node that does not know yet where it is makes the host look so soon. Guess. */
const careSoonMs = 200
/** Nodes asked where they see us: one may be gone, one may be behind the same NAT. Guess. */
const witnessesMax = 3
/** Nodes asked for relays at a time (spec/overlay O66): own choice, some are behind the same owner. */
const servicesAskedMax = 8

type Answer = Result<OverlayNodeReply, OverlayError>

/**
 * The overlay of one peer: the sockets, the node, and what brings it in and back. The node is driven by a loop of its
 * own: no datagram waits for the store, no message for a datagram.
 */
export class OverlayHost implements OverlaySide {
  readonly #options: OverlayHostOptions
  readonly #keyPair: KeyPair
  readonly #node: OverlayNode
  readonly #loop: OverlayLoop<OverlayNodeInput, OverlayNodeOutput>
  readonly #sockets: UdpSockets
  readonly #bootstrapper: Bootstrapper
  readonly #contactNodes = new ContactNodes()
  readonly #clientNodes = new ClientNodes()
  readonly #ownNode: OwnNode
  readonly #lan: LanNodes | undefined
  readonly #saved: SavedContacts
  readonly #own: OwnRecords
  readonly #answers = new Pending<Answer>()
  /** Why there is no socket. */
  #unavailable: string | undefined
  #careTimer: NodeJS.Timeout | undefined
  #soonTimer: NodeJS.Timeout | undefined
  /** Whether this node knows others, and how they see it. */
  #isSettled = false
  /** Those through whom it joined last. */
  #joinedThrough: readonly NodeAddress[] = []
  #isTold = false
  #isPublishing = false
  #stopping: Promise<void> | undefined

  constructor(options: OverlayHostOptions) {
    const { crypto, random, jitter, clock, log, loopbackOnly = false, mode, node = {} } = options
    this.#options = options
    this.#keyPair = options.keyPair
    this.#ownNode = new OwnNode(options.tellsContacts ?? true)
    this.#node = new OverlayNode({
      crypto,
      random,
      jitter,
      keyPair: this.#keyPair,
      ...node,
      kademlia: { ...(mode === undefined ? {} : { mode }), ...node.kademlia },
    })
    this.#loop = new OverlayLoop({
      engine: this.#node,
      clock,
      perform: (output) => this.#perform(output),
      onCrash: (error) => {
        // The node is not to be asked for anything any more, its contacts included.
        this.#stopping ??= this.#close()
        options.onCrash(error)
      },
    })
    this.#sockets = new UdpSockets({ ...options.sockets, loopbackOnly }, (from, bytes) => {
      this.#loop.offer({ type: 'datagram', from, bytes })
      if (!this.#isSettled) this.#soonTimer ??= setTimeout(() => this.#care(), careSoonMs).unref()
    })
    this.#saved = new SavedContacts(this.#document('overlay-contacts', 'MOVC', savedContactsSizeMax), log)
    this.#own = new OwnRecords(this.#document('overlay-records', 'MOVR', ownRecordsSizeMax), log)
    const { publicKey } = this.#keyPair
    if (options.lan !== false) {
      this.#lan = new LanNodes({ publicKey, random, loopbackOnly, onNews: () => void this.#bootstrapper.heard() })
    }
    this.#bootstrapper = new Bootstrapper({
      nodes: options.bootstrap,
      saved: () => this.#saved.all,
      met: () => this.#contactNodes.besides(this.#lan?.nodes() ?? []),
      resolve: (nodes) => this.#resolve(nodes),
      join: async (addresses) => (await this.#join(addresses)).ok,
      contactsCount: () => this.#node.info().kademlia.contacts,
      clock,
      jitter,
      log,
      ...(options.bootstrapLimits === undefined ? {} : { limits: options.bootstrapLimits }),
    })
  }

  /** Opens the sockets and begins to join. Whatever fails here is told by `info`: the peer runs on without the overlay. */
  async start(port: number): Promise<void> {
    const { log, deviceKey } = this.#options
    const opened = await this.#sockets.start(this.#options.port ?? port)
    if (this.#stopping !== undefined) return this.#sockets.stop()
    if (!opened.ok) {
      const { error } = opened
      this.#unavailable =
        error.type === 'unavailable'
          ? error.detail
          : `UDP ports ${error.port} to ${error.port + error.portsTried - 1} are in use`
      log.write('warn', 'overlay-unavailable', { detail: this.#unavailable })
      return
    }
    log.write('info', 'overlay-listening', { port: this.#sockets.port })
    this.#saved.load()
    this.#own.load(deviceKey.publicKey)
    this.#loop.push({ type: 'listening', endpoints: this.#sockets.endpoints() })
    this.#tellContacts()
    this.#careTimer = setInterval(() => this.#care(), careIntervalMs).unref()
    const problem = await this.#lan?.start()
    if (problem !== undefined) log.write('warn', 'overlay-without-lan', { detail: problem })
    if (this.#isTold && this.#stopping === undefined) await this.#lan?.tell(this.#sockets.port)
    void this.#bootstrapper.run()
  }

  /** Whether the LAN is told of this node: as `discoverable` says. */
  setDiscoverable(isTold: boolean): void {
    this.#isTold = isTold
    if (this.#sockets.port !== 0) void this.#lan?.tell(isTold ? this.#sockets.port : undefined)
  }

  onOwnNode(listener: (node: OwnOverlayNode) => void): void {
    this.#ownNode.onNews(listener)
  }

  hint(hints: readonly OverlayHint[]): void {
    if (this.#refusal() !== undefined) return
    const { loopbackOnly = false } = this.#options
    const own = this.#others(hints).filter(({ endpoint }) => !loopbackOnly || isLoopback(endpoint))
    if (own.length === 0) return
    this.#contactNodes.add(own)
    void this.#bootstrapper.heard()
  }

  /** Addresses came or went: what is told of oneself changes, and an empty table is filled at once. */
  networkChanged(): void {
    if (this.#refusal() !== undefined) return
    this.#loop.push({ type: 'listening', endpoints: this.#sockets.endpoints() })
    this.#tellContacts()
    void this.#bootstrapper.check(true)
  }

  info(): OverlayInfo {
    const { nodeId, kademlia, sessions, counters } = this.#node.info()
    const { contacts, buckets, networkSize, isServer, observed, records, recordBytes } = kademlia
    return {
      state: this.#state(),
      nodeId,
      publicKey: this.#keyPair.publicKey,
      endpoints: this.#sockets.port === 0 ? [] : this.#sockets.endpoints(),
      observed,
      mode: isServer ? 'server' : 'client',
      bootstrap: this.#bootstrapper.state(),
      contacts,
      buckets: buckets
        .filter((each) => each.contacts > 0)
        .map((each) => ({ bucket: each.bucket, contacts: each.contacts })),
      networkSize,
      records: { count: records, bytes: recordBytes },
      ownRecords: this.#own.count,
      sessions,
      counters: { ...counters, ...this.#hostCounters() },
    }
  }

  contacts(limit = 20): readonly OverlayContact[] {
    return this.#node.contacts().slice(0, limit)
  }

  async putValue(value: Uint8Array): Promise<Result<OverlayPut, OverlayError>> {
    const refused = this.#refusal() ?? checkValue(value, valueRecordOverhead)
    if (refused !== undefined) return err(refused)
    return this.#put(encodeRecord({ type: 'value', value }))
  }

  async putRecord(record: Uint8Array): Promise<Result<OverlayPut, OverlayError>> {
    const refused = this.#refusal()
    return refused === undefined ? this.#put(record, false) : err(refused)
  }

  async putSigned(salt: Uint8Array, value: Uint8Array): Promise<Result<OverlayPutSigned, OverlayError>> {
    const { crypto, clock, deviceKey } = this.#options
    const refused = this.#refusal() ?? checkSalt(salt) ?? checkValue(value, signedRecordOverhead + salt.length)
    if (refused !== undefined) return err(refused)
    if (!this.#own.hasRoomFor(salt)) return err({ type: 'too-many-own-records', recordsMax: this.#own.recordsMax })
    const sequence = this.#own.nextSequence(salt, clock.now().wall)
    const record = signRecord(crypto, { ...deviceKey, salt, sequence, value })
    // On disk before it is sent: a sequence that went out never comes twice.
    const isKept = this.#own.keep(salt, sequence, record)
    const put = await this.#put(record)
    if (!put.ok) return put
    this.#own.published(record)
    return ok({ ...put.value, publicKey: deviceKey.publicKey, sequence, isKept })
  }

  async get(key: Uint8Array): Promise<Result<OverlayFound, OverlayError>> {
    const reply = await this.#ask({ type: 'get', key })
    if (!reply.ok) return reply
    if (reply.value.type !== 'found-value') return err({ type: 'bad-record' })
    const { record: bytes, cost } = reply.value
    const record = decodeRecord(bytes)
    return record.ok ? ok({ record: record.value, size: bytes.length, cost }) : err({ type: 'bad-record' })
  }

  async getSigned(publicKey: Uint8Array, salt: Uint8Array): Promise<Result<OverlayFound, OverlayError>> {
    const refused = this.#refusal() ?? checkSalt(salt)
    if (refused !== undefined) return err(refused)
    return this.get(signedRecordKey(this.#options.crypto, publicKey, salt))
  }

  async findNode(target: Uint8Array): ReturnType<OverlayHandle['findNode']> {
    const reply = await this.#ask({ type: 'find-node', target })
    if (!reply.ok) return reply
    if (reply.value.type !== 'found-nodes') return err({ type: 'no-contacts' })
    const { contacts, cost } = reply.value
    return ok({ contacts, cost })
  }

  async ping(publicKey: Uint8Array, endpoint: Endpoint): ReturnType<OverlayHandle['ping']> {
    const reply = await this.#ask({ type: 'ping', contact: { publicKey, endpoint } })
    if (reply.ok && reply.value.type === 'pong') {
      const { ms, observed } = reply.value
      return ok({ ms, observed })
    }
    const error: OverlayError = reply.ok ? { type: 'timeout' } : reply.error
    const rendezvous = error.type === 'timeout' ? this.#clientNodes.rendezvousOf(publicKey) : []
    if (rendezvous.length === 0) return err(error)
    const punched = await this.punch(publicKey, rendezvous)
    return punched.ok ? ok({ ms: punched.value.ms, observed: punched.value.observed }) : err(error)
  }

  async punch(publicKey: Uint8Array, rendezvous: OverlayClient['rendezvous']): ReturnType<OverlayHandle['punch']> {
    let last: OverlayPunchError = { type: 'punch-failed', reason: 'unknown-target' }
    for (const server of rendezvous.slice(0, overlayRendezvousMax)) {
      const reply = await this.#ask({ type: 'punch', publicKey, rendezvous: server })
      if (!reply.ok) last = reply.error
      else if (reply.value.type === 'punched') {
        const { endpoint, ms, observed } = reply.value
        return ok({ endpoint, ms, observed })
      } else if (reply.value.type === 'punch-failed') last = reply.value
    }
    return err(last)
  }

  rendezvous(): OverlayClient['rendezvous'] {
    return this.#refusal() === undefined ? this.#node.rendezvous() : []
  }

  addClients(clients: readonly OverlayClient[]): void {
    this.#clientNodes.add(clients)
  }

  async services(): Promise<readonly Uint8Array[]> {
    const { random, jitter } = this.#options
    const found = await this.findNode(random.bytes(32))
    if (!found.ok) return []
    const nodes = nodesToAsk(this.#others(found.value.contacts), servicesAskedMax, jitter)
    const answers = await Promise.all(nodes.map((contact) => this.#ask({ type: 'services', contact })))
    return answers.flatMap((answer) => (answer.ok && answer.value.type === 'services' ? answer.value.records : []))
  }

  setServices(own: Uint8Array | undefined, known: readonly Uint8Array[]): void {
    if (this.#refusal() === undefined) this.#loop.push({ type: 'services', own, known })
  }

  async bootstrap(nodes: readonly BootstrapNode[]): ReturnType<OverlayHandle['bootstrap']> {
    const refused = this.#refusal()
    if (refused !== undefined) return err(refused)
    const { addresses } = await this.#resolve(nodes)
    const [first] = nodes
    if (addresses.length === 0 && first !== undefined) {
      return err({ type: 'unresolved', address: first.addresses[0] ?? '' })
    }
    const reply = await this.#join(addresses)
    if (!reply.ok) return reply
    if (reply.value.type !== 'bootstrapped') return err({ type: 'no-contacts' })
    const { contacts, cost } = reply.value
    return ok({ contacts, cost })
  }

  /** Says goodbye to the LAN, keeps the contacts and closes everything. */
  stop(): Promise<void> {
    this.#stopping ??= this.#shutDown()
    return this.#stopping
  }

  #shutDown(): Promise<void> {
    if (this.#sockets.port !== 0) this.#saved.save(this.#node.contacts())
    this.#loop.push({ type: 'stop' })
    this.#loop.drain()
    return this.#close()
  }

  async #close(): Promise<void> {
    clearInterval(this.#careTimer)
    clearTimeout(this.#soonTimer)
    this.#bootstrapper.stop()
    this.#loop.stop()
    this.#answers.settleAll(err({ type: 'stopped' }))
    await Promise.all([this.#sockets.stop(), this.#lan?.stop()])
  }

  #perform(output: OverlayNodeOutput): void {
    switch (output.type) {
      case 'datagram':
        this.#sockets.send(output.to, output.bytes)
        return
      case 'reply':
        this.#answers.settle(
          output.id,
          output.reply.type === 'failed' ? err(replyError(output.reply.error)) : ok(output.reply),
        )
        return
      case 'event':
        if (output.event.type === 'mode') {
          this.#options.log.write('info', 'overlay-mode', { isServer: output.event.isServer })
          this.#tellContacts()
          if (output.event.isServer) void this.#announce()
        }
    }
  }

  /** The answer always comes: the engine gives each of its requests a time. */
  #ask(command: OverlayNodeCommand): Promise<Answer> {
    const refused = this.#refusal()
    if (refused !== undefined) return Promise.resolve(err(refused))
    return this.#answers.wait(
      (id) => this.#loop.push({ type: 'command', id, command }),
      Number.POSITIVE_INFINITY,
      () => err({ type: 'stopped' }),
    )
  }

  async #put(record: Uint8Array, republish = true): Promise<Result<OverlayPut, OverlayError>> {
    const reply = await this.#ask({ type: 'put', record, republish })
    if (!reply.ok) return reply
    if (reply.value.type !== 'stored') return err({ type: 'bad-record' })
    const { key, stored: replicas, cost } = reply.value
    return ok({ key, replicas, size: record.length, cost })
  }

  /** One after the other: this is not urgent, and shall not use up what a person may ask for. */
  async #publishOwn(): Promise<void> {
    if (this.#isPublishing) return
    this.#isPublishing = true
    for (const record of this.#own.due()) {
      if (this.#node.info().kademlia.contacts === 0) break
      if ((await this.#put(record)).ok) this.#own.published(record)
    }
    this.#isPublishing = false
  }

  #care(): void {
    clearTimeout(this.#soonTimer)
    this.#soonTimer = undefined
    if (this.#refusal() !== undefined) return
    const { contacts, observed } = this.#node.info().kademlia
    this.#isSettled = contacts > 0 && observed !== undefined
    if (contacts > 0 && observed === undefined) this.#askWhere(this.#node.contacts())
    this.#tellContacts()
    this.#saved.saveNowAndThen(() => this.#node.contacts(), this.#options.clock.now().mono)
    void this.#bootstrapper.check()
    void this.#publishOwn()
  }

  async #join(addresses: readonly NodeAddress[]): Promise<Answer> {
    const contacts = this.#others(addresses)
    const reply = await this.#ask({ type: 'bootstrap', contacts })
    if (!reply.ok) return reply
    this.#joinedThrough = contacts
    void this.#publishOwn()
    if (this.#node.info().kademlia.observed === undefined) this.#askWhere(contacts)
    return reply
  }

  /**
   * A pong says how others see this node. One that sees itself so too is no client: whoever asks it may keep it. The engine
   * asks whoever it hears at a proven address; of two nodes that know nobody else, these pings are what proves one.
   */
  #askWhere(nodes: readonly NodeAddress[]): void {
    for (const { publicKey, endpoint } of nodes.slice(0, witnessesMax)) void this.ping(publicKey, endpoint)
  }

  /** To be done when this node became a server: those whom it asked as a client may keep it from now on. */
  async #announce(): Promise<void> {
    if (this.#joinedThrough.length > 0) await this.#ask({ type: 'bootstrap', contacts: this.#joinedThrough })
    await this.findNode(nodeIdToBytes(this.#node.nodeId))
  }

  #resolve(nodes: readonly BootstrapNode[]): Promise<Resolved> {
    const { loopbackOnly = false, resolve } = this.#options
    return resolveNodes(nodes, { ...resolve, loopbackOnly })
  }

  #tellContacts(): void {
    if (this.#refusal() !== undefined || this.#sockets.port === 0) return
    const { isServer, observed } = this.#node.info().kademlia
    const endpoints = this.#sockets.endpoints()
    const rendezvous = this.#node.rendezvous()
    const servers = rendezvous.length === 0 ? {} : { rendezvous }
    this.#ownNode.update({ publicKey: this.#keyPair.publicKey, endpoints, observed, isServer, ...servers })
  }

  /** A list may name this node itself. */
  #others<Node extends NodeAddress>(addresses: readonly Node[]): readonly Node[] {
    return addresses.filter(({ publicKey }) => !equalBytes(publicKey, this.#keyPair.publicKey))
  }

  #document(name: 'overlay-contacts' | 'overlay-records', magic: string, bodySizeMax: number): SealedDocument {
    const { crypto, random, home, keyring } = this.#options
    return new SealedDocument({
      crypto,
      random,
      path: join(home, name),
      key: keyring.storeKey(name),
      magic,
      bodySizeMax,
    })
  }

  #refusal(): OverlayError | undefined {
    if (this.#stopping !== undefined) return { type: 'stopped' }
    if (this.#unavailable === undefined) return undefined
    return { type: 'overlay-off', reason: 'no-udp', detail: this.#unavailable }
  }

  #state(): OverlayInfo['state'] {
    if (this.#stopping !== undefined) return { type: 'stopped' }
    return this.#unavailable === undefined ? { type: 'running' } : { type: 'unavailable', detail: this.#unavailable }
  }

  #hostCounters(): Record<string, number> {
    const counters: Record<string, number> = Object.fromEntries(this.#sockets.counters())
    const { heardCount } = this.#contactNodes
    if (heardCount > 0) counters['hints-of-contacts'] = heardCount
    if (this.#loop.droppedCount > 0) counters['turn-full'] = this.#loop.droppedCount
    return counters
  }
}

function checkSalt(salt: Uint8Array): OverlayError | undefined {
  if (salt.length <= recordSaltSizeMax) return undefined
  return { type: 'salt-too-long', size: salt.length, sizeMax: recordSaltSizeMax }
}

function checkValue(value: Uint8Array, overhead: number): OverlayError | undefined {
  const size = overhead + value.length
  if (value.length === 0) return { type: 'empty-value' }
  return size > recordSizeMax ? { type: 'record-too-large', size, sizeMax: recordSizeMax } : undefined
}
