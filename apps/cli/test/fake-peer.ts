import { createHash, randomBytes } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import {
  type AccountId,
  bytesToMessageId,
  err,
  keyToAccountId,
  keyToPeerId,
  type MessageId,
  ok,
  type PeerId,
  type Result,
} from '@miaou/core'
import type { PeerView } from '@miaou/host-node'
import type {
  CommandError,
  CommandResults,
  ContactView,
  MessageView,
  MessagingCommand,
  MessagingEvent,
  Settings,
  StoredEvent,
} from '@miaou/messaging'
import type { PeerEvent, PeerHandle, PeerHost, StartPeerOptions } from '../src/peer-handle.ts'
import { FakeGossip } from './fake-gossip.ts'
import { FakeOverlay, type FakeRecords } from './fake-overlay.ts'
import { FakeReach } from './fake-reach.ts'

type Answer<C extends MessagingCommand> = Result<CommandResults[C['type']], CommandError>

/** Peers that reach each other by a call: what the API and the commands need of a peer, and no more. */
export class FakeNetwork {
  readonly peers = new Map<PeerId, FakePeer>()
  readonly records: FakeRecords = new Map()
  readonly gossips = new Set<FakeGossip>()

  byAccount(account: AccountId): FakePeer | undefined {
    return [...this.peers.values()].find((peer) => peer.account === account && peer.isRunning)
  }
}

export class FakePeer implements PeerHandle {
  readonly account: AccountId
  readonly peerId: PeerId
  readonly home: string
  readonly startedAt = 1_795_000_000_000
  readonly network: PeerHandle['network']
  readonly overlay: FakeOverlay
  readonly gossip: FakeGossip
  readonly reach: FakeReach = new FakeReach()
  /** Whether its links stand before anybody connects. */
  isLinked = true
  /** Laid over what `network.peers` tells of each. */
  linkChanges: Partial<PeerView> = {}
  /** What the command that runs it asked for. */
  startedWith: StartPeerOptions | undefined
  uptimeMs = 65_000
  /** How often it was asked for its facts. */
  infoCount = 0
  /** Round trips that are lost, before one is answered. */
  lostPings = 0
  readonly keys: PeerHandle['keys']
  readonly contacts = new Map<AccountId, ContactView>()
  readonly messages: MessageView[] = []
  readonly stored: StoredEvent[] = []
  /** Stored events below this cursor are pruned. */
  oldest = 1
  isRunning = true
  name: string
  /** Commands seen, for tests that count. */
  readonly commands: MessagingCommand[] = []
  readonly #network: FakeNetwork
  readonly #listeners = new Set<(event: PeerEvent) => void>()
  readonly #byKey = new Map<string, MessageId>()
  #settings: Settings = {
    readReceipts: true,
    typing: true,
    presence: true,
    discoverable: 'everyone',
    jitterMs: 20,
    coverTraffic: 'off',
  }

  constructor(network: FakeNetwork, home: string, name: string) {
    const seed = (label: string) => new Uint8Array(createHash('sha256').update(`${label} ${home}`).digest())
    this.#network = network
    this.home = home
    this.name = name
    this.account = keyToAccountId(seed('account'))
    this.peerId = keyToPeerId(seed('device'))
    network.peers.set(this.peerId, this)
    this.network = this.#networkFace()
    this.overlay = new FakeOverlay(seed('device'), network.records)
    this.gossip = new FakeGossip(network.gossips, (event) => this.emit(event))
    this.keys = fakeKeys()
  }

  command<C extends MessagingCommand>(command: C): Promise<Answer<C>> {
    this.commands.push(command)
    // The answer to a command has the type that its name says; a switch over the name cannot tell the compiler.
    return Promise.resolve(this.#answer(command) as Answer<C>)
  }

  onEvent(listener: (event: PeerEvent) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Streams and commands that listen now. */
  get listenerCount(): number {
    return this.#listeners.size
  }

  async stop(): Promise<void> {
    this.isRunning = false
  }

  emit(event: PeerEvent): void {
    for (const listener of [...this.#listeners]) listener(event)
  }

  store(event: MessagingEvent): void {
    const stored = { cursor: (this.stored.at(-1)?.cursor ?? 0) + 1, at: 1_795_000_000_000, event }
    this.stored.push(stored)
    this.emit({ type: 'stored', stored })
  }

  makeContact(other: FakePeer, state: ContactView['state'], name = other.name): ContactView {
    const known = this.contacts.get(other.account)
    const contact: ContactView = known ?? {
      account: other.account,
      name,
      state,
      verified: false,
      devices: [other.peerId],
      forked: false,
      unreadCount: 0,
      addedAt: 1_795_000_000_000,
    }
    this.contacts.set(other.account, contact)
    return contact
  }

  receive(from: FakePeer, text: string): void {
    const contact = this.makeContact(from, 'request')
    this.#patch(contact.account, { unreadCount: contact.unreadCount + 1 })
    const message = this.#message(from.account, 'in', text, 'delivered')
    this.store({ type: 'message-received', message })
  }

  #message(contact: AccountId, direction: 'in' | 'out', text: string, state: MessageView['state']): MessageView {
    const message: MessageView = {
      id: bytesToMessageId(randomBytes(16)),
      contact,
      direction,
      text,
      sentAt: 1_795_000_000_000,
      storedAt: 1_795_000_000_000,
      state,
      ...(state === 'queued' ? { reason: 'recipient-offline' as const, expiresAt: 1_795_600_000_000 } : {}),
      deliveries: [],
      position: this.messages.length + 1,
    }
    this.messages.push(message)
    return message
  }

  /** What happened to one of the messages, as a running peer would tell. */
  changeMessage(id: MessageId, change: Partial<MessageView>): void {
    const index = this.messages.findIndex((message) => message.id === id)
    const before = this.messages[index]
    if (before === undefined) throw new Error(`there is no message ${id}`)
    const message = { ...before, ...change }
    this.messages[index] = message
    this.store({ type: 'message-state', message })
  }

  #patch(account: AccountId, change: Partial<ContactView>): ContactView | undefined {
    const contact = this.contacts.get(account)
    if (contact === undefined) return undefined
    const changed = { ...contact, ...change }
    this.contacts.set(account, changed)
    return changed
  }

  #change(account: AccountId, change: Partial<ContactView>): Result<ContactView, CommandError> {
    const changed = this.#patch(account, change)
    return changed === undefined ? err({ type: 'unknown-contact', account }) : ok(changed)
  }

  #answer(command: MessagingCommand): Result<CommandResults[keyof CommandResults], CommandError> {
    switch (command.type) {
      case 'identity':
        return ok({ account: this.account, peerId: this.peerId, name: this.name })
      case 'rename-self':
        this.name = command.name
        return ok({ account: this.account, peerId: this.peerId, name: this.name })
      case 'contacts-list':
        return ok([...this.contacts.values()])
      case 'contact-add-invite': {
        const account = /^miaou:invite\/(z\w+)$/.exec(command.invite)?.[1]
        const other = account === undefined ? undefined : this.#network.byAccount(account as AccountId)
        if (other === undefined) return err({ type: 'not-an-invite' })
        if (other === this) return err({ type: 'own-invite' })
        other.makeContact(this, 'contact')
        if (command.note !== undefined) other.#patch(this.account, { note: command.note })
        return ok(this.makeContact(other, 'contact', command.name))
      }
      case 'contact-add-peer': {
        const other = this.#network.peers.get(command.peerId)
        if (other === undefined) return err({ type: 'unknown-peer', peerId: command.peerId })
        return ok(this.makeContact(other, 'contact', command.name))
      }
      case 'contact-accept':
        return this.#change(command.account, { state: 'contact' })
      case 'contact-block':
        return this.#change(command.account, { state: command.blocked ? 'blocked' : 'contact' })
      case 'contact-verify':
        return this.#change(command.account, { verified: command.verified })
      case 'contact-trust': {
        const contact = this.contacts.get(command.account)
        if (contact === undefined) return err({ type: 'unknown-contact', account: command.account })
        if (contact.changed === undefined) return err({ type: 'wrong-state', state: contact.state })
        const { changed: _changed, ...rest } = contact
        this.contacts.set(command.account, rest)
        return ok(rest)
      }
      case 'contact-report': {
        const contact = this.#patch(command.account, { state: 'blocked' })
        if (contact === undefined) return err({ type: 'unknown-contact', account: command.account })
        const theirs = this.messages.filter((message) => message.contact === command.account)
        return ok({
          account: contact.account,
          name: contact.name,
          reason: command.reason ?? '',
          at: 1_795_000_000_000,
          ...(contact.note === undefined ? {} : { note: contact.note }),
          messages: theirs
            .filter(({ direction }) => direction === 'in')
            .map(({ text, sentAt, storedAt }) => ({ text, sentAt, storedAt })),
        })
      }
      case 'contact-rename':
        return this.#change(command.account, { name: command.name })
      case 'contact-remove':
        return this.contacts.delete(command.account)
          ? ok({ removed: true as const })
          : err({ type: 'unknown-contact', account: command.account })
      case 'safety-number':
        return ok({
          safetyNumber: '12345 67890 12345 67890 12345 67890',
          verified: this.contacts.get(command.account)?.verified ?? false,
        })
      case 'invite-create':
        return ok({ invite: `miaou:invite/${this.account}`, uses: command.uses })
      case 'message-send':
        return this.#send(command.account, command.text, command.key)
      case 'message-cancel':
        return this.#setState(command.id, 'cancelled')
      case 'message-resend':
        return this.#setState(command.id, 'queued')
      case 'message-get': {
        const message = this.messages.find(({ id }) => id === command.id)
        return message === undefined ? err({ type: 'unknown-message', id: command.id }) : ok(message)
      }
      case 'messages-list': {
        const { account, before = Infinity, after = -Infinity, unread = false, limit = 20 } = command
        const matching = this.messages.filter(
          (message) =>
            (account === undefined || message.contact === account) &&
            message.position < before &&
            message.position > after &&
            (!unread || (message.direction === 'in' && message.state === 'delivered')),
        )
        return ok(command.after === undefined && !unread ? matching.slice(-limit) : matching.slice(0, limit))
      }
      case 'messages-search':
        return ok(this.messages.filter(({ text }) => text.includes(command.query)))
      case 'messages-read': {
        const read = this.messages.filter(
          (message) =>
            message.contact === command.account &&
            message.direction === 'in' &&
            message.state === 'delivered' &&
            message.position <= command.upTo,
        )
        for (const { id } of read) this.#setState(id, 'read')
        this.#patch(command.account, { unreadCount: 0 })
        return ok({ count: read.length })
      }
      case 'typing':
        return ok({ sent: this.#network.byAccount(command.account) !== undefined })
      case 'settings-get':
        return ok(this.#settings)
      case 'settings-set':
        this.#settings = { ...this.#settings, ...command.settings }
        return ok(this.#settings)
      case 'events-since': {
        const newest = this.stored.at(-1)?.cursor ?? 0
        if (command.cursor < this.oldest - 1) return err({ type: 'cursor-expired', oldest: this.oldest })
        const events = this.stored.filter(({ cursor }) => cursor > command.cursor).slice(0, command.limit)
        return ok({ events, newest })
      }
      case 'stats':
        return ok({
          queued: this.messages.filter(({ state }) => state === 'queued').length,
          contacts: this.contacts.size,
          messages: this.messages.length,
          dropped: {},
        })
    }
  }

  #send(account: AccountId, text: string, key: string | undefined): Result<MessageView, CommandError> {
    const sent = key === undefined ? undefined : this.messages.find(({ id }) => id === this.#byKey.get(key))
    if (sent !== undefined) return ok(sent)
    if (text === '') return err({ type: 'empty-text' })
    const other = this.#network.byAccount(account)
    const message = this.#message(account, 'out', text, 'queued')
    if (key !== undefined) this.#byKey.set(key, message.id)
    if (other !== undefined) {
      setImmediate(() => {
        other.receive(this, text)
        this.#setState(message.id, 'delivered')
      })
    }
    return ok(message)
  }

  #setState(id: MessageId, state: MessageView['state']): Result<MessageView, CommandError> {
    const index = this.messages.findIndex((message) => message.id === id)
    const before = this.messages[index]
    if (before === undefined) return err({ type: 'unknown-message', id })
    const { reason: _reason, expiresAt: _expiresAt, ...rest } = before
    const message = { ...rest, state }
    this.messages[index] = message
    if (message.direction === 'out') this.store({ type: 'message-state', message })
    return ok(message)
  }

  #look(): PeerId {
    this.infoCount++
    return this.peerId
  }

  #networkFace(): PeerHandle['network'] {
    const view = (other: FakePeer) => ({
      peerId: other.peerId,
      ...(this.isLinked ? { state: 'connected' as const, transport: 'memory' as const } : { state: 'idle' as const }),
      addresses: ['ws://127.0.0.1:9999'],
      latencyMs: 1.25,
      features: ['chat'],
      stats: {
        bytesSent: 0,
        bytesReceived: 0,
        messagesSent: 0,
        messagesReceived: 0,
        currentState: 'connected' as const,
      },
    })
    const others = () => [...this.#network.peers.values()].filter((peer) => peer !== this && peer.isRunning)
    return {
      info: () => ({
        peerId: this.#look(),
        addresses: ['ws://127.0.0.1:9999'],
        connectedPeers: others().length,
        uptimeMs: this.uptimeMs,
        counters: {},
        webrtc: 'werift',
        discoverable: 'everyone',
        ...this.reach.info(),
      }),
      peers: () =>
        others().map((peer) => ({ ...view(peer), seenBy: 'mdns', shouldInitiate: true, ...this.linkChanges })),
      connect: async (target) => {
        const other = others().find(({ peerId }) => peerId === target)
        const setupMs = this.isLinked ? 0 : 3
        if (other === undefined) return err({ type: 'no-address' })
        this.isLinked = true
        return ok({ ...view(other), setupMs })
      },
      upgraded: async () => false,
      disconnect: () => undefined,
      ping: async (peerId, timeoutMs) => {
        if (!others().some((peer) => peer.peerId === peerId)) return err({ type: 'no-address' })
        if (this.lostPings === 0) return ok({ latencyMs: 1.5 })
        this.lostPings--
        return err({ type: 'silent', forMs: timeoutMs })
      },
      diagnostics: async () => [
        { name: 'store', state: 'ok', ms: 1, code: 'store-sound', facts: {} },
        { name: 'clock', state: 'ok', detail: 'as the host says it' },
      ],
      ...this.reach.face,
    }
  }
}

/** Keys whose "signatures" are hashes: the real ones are tested where they are made. */
function fakeKeys(): PeerHandle['keys'] {
  const keys = new Map<
    string,
    { keyId: string; kind: 'signing' | 'agreement' | 'aead'; createdAt: number; publicKey?: Uint8Array }
  >()
  const digest = (...parts: readonly (string | Uint8Array)[]) => {
    const hash = createHash('sha512')
    for (const part of parts) hash.update(part)
    return new Uint8Array(hash.digest())
  }
  const publicKeyOf = (keyId: string) => digest(keyId).slice(0, 32)
  return {
    list: () => ok([...keys.values()]),
    generate: (kind, keyId = `key-${keys.size + 1}`) => {
      if (keys.has(keyId)) return err({ type: 'key-exists', keyId })
      const key = {
        keyId,
        kind,
        createdAt: 1_795_000_000_000,
        ...(kind === 'aead' ? {} : { publicKey: publicKeyOf(keyId) }),
      }
      keys.set(keyId, key)
      return ok(key)
    },
    sign: (keyId, message) =>
      keys.has(keyId) ? ok(digest(publicKeyOf(keyId), message)) : err({ type: 'unknown-key', keyId }),
    verify: (publicKey, message, signature) =>
      ok(Buffer.from(digest(publicKey, message)).equals(Buffer.from(signature))),
    aeadEncrypt: (_key, _nonce, _ad, plaintext) => ok(new Uint8Array([...plaintext, ...new Uint8Array(16)])),
    aeadDecrypt: (_key, _nonce, _ad, ciphertext) =>
      ciphertext.length < 16 ? err({ type: 'undecryptable' }) : ok(ciphertext.slice(0, -16)),
    exportSecret: (keyId) => (keys.has(keyId) ? ok(new Uint8Array(32).fill(7)) : err({ type: 'unknown-key', keyId })),
    remove: (keyId) => (keys.delete(keyId) ? ok(undefined) : err({ type: 'unknown-key', keyId })),
  }
}

/** A host whose homes live as long as the test. */
export function fakeHost(network: FakeNetwork, passphrases: Map<string, string> = new Map()): PeerHost {
  const homes = new Map<string, FakePeer>()
  const decode = (bytes: Uint8Array | undefined) => (bytes === undefined ? '' : Buffer.from(bytes).toString())
  return {
    homeState: (home) => {
      const passphrase = passphrases.get(home)
      return passphrase === undefined ? 'absent' : passphrase === '' ? 'open' : 'locked'
    },
    checkRecoveryWords: (words) => {
      const count = words.split(/\s+/).filter((word) => word !== '').length
      if (count !== 24) return { type: 'word-count', count }
      return words.includes('nope') ? { type: 'unknown-word', word: 'nope', position: 3 } : undefined
    },
    createHome: async ({ home, passphrase, name }) => {
      mkdirSync(home, { recursive: true })
      passphrases.set(home, decode(passphrase))
      const peer = new FakePeer(network, home, name)
      peer.isRunning = false
      homes.set(home, peer)
      return ok({
        account: peer.account,
        peerId: peer.peerId,
        words: Array.from({ length: 24 }, (_, i) => `word${i + 1}`),
      })
    },
    startPeer: async (options) => {
      const { home, passphrase } = options
      const peer = homes.get(home)
      if (peer === undefined) return err({ type: 'home-absent', home })
      if (decode(passphrase) !== passphrases.get(home)) return err({ type: 'wrong-passphrase' })
      if (peer.isRunning) return err({ type: 'home-in-use', home, pid: 4711, since: undefined, apiUrl: undefined })
      peer.isRunning = true
      peer.startedWith = options
      return ok(peer)
    },
  }
}
