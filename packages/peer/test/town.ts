import { type AccountId, keyToAccountId, keyToPeerId, type PeerId, type Result } from '@miaou/core'
import { openSqliteStore } from '@miaou/host-node'
import {
  type CommandError,
  type CommandResults,
  type MessagingCommand,
  type MessagingIdentity,
  migrate,
  type SqlRow,
  type SqlValue,
  type Store,
  StoreFailure,
} from '@miaou/messaging'
import type { NetworkIdentity, PipeId, TransportEvent } from '@miaou/network'
import { Gossip } from '@miaou/overlay'
import { signDeviceCertificate, signDeviceListEntry } from '@miaou/protocol'
import { MemoryHub, type MemoryTransport } from '@miaou/testkit'
import {
  type GossipCommand,
  type GossipNews,
  type GossipResult,
  gossipFeature,
  linkedGossipOptions,
  Peer,
  type PeerInput,
  type PeerOutput,
} from '../src/index.ts'
import { crypto, SeededRandom } from './ports.ts'

export const startWall = 1_760_000_000_000

export function unwrap<T, E>(result: Result<T, E>): T {
  if (!result.ok) throw new Error(`unexpected ${JSON.stringify(result.error)}`)
  return result.value
}

/** A store that can be told to fail, and that writes down what was asked of it. */
export class TestStore implements Store {
  readonly #inner: Store
  /** Transactions that were begun. */
  transactionCount = 0
  /** Which writes fail, and as what. */
  refuses: (parameters: readonly SqlValue[]) => Error | undefined = () => undefined
  /** What the commit of a transaction fails with. */
  commitFailure: Error | undefined

  constructor(pageCountMax?: number) {
    const store = openSqliteStore({ path: ':memory:', ...(pageCountMax === undefined ? {} : { pageCountMax }) })
    this.#inner = unwrap(store)
    unwrap(migrate(this.#inner))
    // These homes speak at once: what is held back at random is messaging's own to test.
    this.#inner.run("INSERT OR IGNORE INTO settings (name, value) VALUES ('jitterMs', '0')", [])
  }

  run(sql: string, parameters: readonly SqlValue[] = []): { changes: number; lastInsertRowid: number } {
    const failure = this.refuses(parameters)
    if (failure !== undefined) throw failure
    return this.#inner.run(sql, parameters)
  }

  get(sql: string, parameters: readonly SqlValue[] = []): SqlRow | undefined {
    return this.#inner.get(sql, parameters)
  }

  all(sql: string, parameters: readonly SqlValue[] = []): readonly SqlRow[] {
    return this.#inner.all(sql, parameters)
  }

  script(sql: string): void {
    this.#inner.script(sql)
  }

  transaction<T>(body: () => T): T {
    this.transactionCount += 1
    return this.#inner.transaction(() => {
      const value = body()
      if (this.commitFailure !== undefined) throw this.commitFailure
      return value
    })
  }

  close(): void {
    this.#inner.close()
  }
}

/** Refuses to store a text, as a disk does that has room for everything else. */
export function refuseText(text: string, kind: 'full' | 'io' = 'full'): TestStore['refuses'] {
  return (parameters) =>
    parameters.some((value) => typeof value === 'string' && value.includes(text))
      ? new StoreFailure(kind, `refused: ${kind}`)
      : undefined
}

type Reply<C extends MessagingCommand> = Result<CommandResults[C['type']], CommandError>

/** One peer on the memory network, with a store of its own. */
export class Home {
  readonly peerId: PeerId
  readonly account: AccountId
  readonly store: TestStore
  readonly address: string
  peer: Peer
  /** Everything the peer put out, in order. */
  readonly outputs: PeerOutput[] = []
  readonly #town: Town
  readonly #name: string
  readonly #random: SeededRandom
  readonly #identity: ReturnType<typeof identityOf>
  #transport: MemoryTransport
  #queue: PeerInput[] = []
  #commandId = 0
  #isRunning = true

  constructor(town: Town, name: string, seed: number, pageCountMax?: number) {
    const random = new SeededRandom(seed)
    const identity = identityOf(name, random)
    this.#town = town
    this.peerId = identity.network.peerId
    this.account = keyToAccountId(identity.messaging.accountKey)
    this.address = `ws://${name}:9999`
    this.store = new TestStore(pageCountMax)
    this.#name = name
    this.#random = random
    this.#identity = identity
    this.peer = this.#createPeer()
    this.#transport = this.#openTransport()
  }

  /** The process dies without a word: what is under way to it is lost, and the other ends see their links stand. */
  kill(): void {
    this.#isRunning = false
    this.#queue = []
    this.#town.hub.unregister(this.#name)
  }

  /** A new process over the same store. */
  restart(): void {
    if (this.#isRunning) this.kill()
    this.#isRunning = true
    this.peer = this.#createPeer()
    this.#transport = this.#openTransport()
    this.handle({ type: 'listening', port: 9999 }, { type: 'wake' })
  }

  /** One batch, whose outputs are returned and then performed. */
  handle(...inputs: readonly PeerInput[]): PeerOutput[] {
    const outputs = this.peer.handle(this.#town.now, inputs)
    for (const output of outputs) this.#perform(output)
    this.outputs.push(...outputs)
    return outputs
  }

  /** Handles `first` and what the network has brought, in one batch; false when there was nothing. */
  step(...first: readonly PeerInput[]): boolean {
    if (!this.#isRunning) return false
    const inputs = [...first, ...this.#queue.splice(0)]
    if (this.peer.deadline() <= this.#town.now.mono) inputs.push({ type: 'wake' })
    if (inputs.length === 0) return false
    this.handle(...inputs)
    return true
  }

  input<C extends MessagingCommand>(command: C): Extract<PeerInput, { type: 'command' }> {
    return { type: 'command', id: ++this.#commandId, command }
  }

  ask<C extends MessagingCommand>(command: C): Reply<C> {
    const input = this.input(command)
    return replyTo<C>(this.handle(input), input.id)
  }

  gossip(command: GossipCommand): GossipResult {
    const id = ++this.#commandId
    const outputs = this.handle({ type: 'gossip', id, command })
    const reply = outputs.find((output) => output.type === 'gossip-reply' && output.id === id)
    if (reply?.type !== 'gossip-reply') throw new Error('no reply to a command of gossip')
    return reply.result
  }

  /** What was heard in topics followed here. */
  news(): GossipNews[] {
    return this.outputs.flatMap((output) =>
      output.type === 'event' && output.event.type === 'gossip' ? [output.event] : [],
    )
  }

  texts(other: Home): string[] {
    return unwrap(this.ask({ type: 'messages-list', account: other.account })).map(({ text }) => text)
  }

  #createPeer(): Peer {
    return new Peer({
      crypto,
      random: this.#random,
      jitter: this.#random,
      store: this.store,
      network: this.#identity.network,
      messaging: this.#identity.messaging,
      features: this.#town.hasGossip ? ['chat', gossipFeature] : ['chat'],
      webrtc: false,
      nextPipe: this.#town.nextPipe,
      ...(this.#town.hasGossip ? { gossip: this.#createGossip() } : {}),
    })
  }

  #createGossip(): Gossip {
    const key = crypto.ed25519KeyPair(this.#random.bytes(32))
    return new Gossip({ crypto, jitter: this.#random, key, options: linkedGossipOptions })
  }

  #openTransport(): MemoryTransport {
    // It stands in for WebSocket, whose addresses invites can carry.
    const transport = this.#town.hub.transport(this.#name, { kind: 'websocket', channels: 1, padded: true })
    void transport.start({
      emit: (event) => {
        if (this.#transport !== transport) return
        this.#queue.push({ type: 'network', input: { type: 'transport', event: asWebSocket(event) } })
      },
      nextPipe: this.#town.nextPipe,
    })
    return transport
  }

  #perform(output: PeerOutput): void {
    if (output.type === 'dial') {
      this.#transport.dial(output.pipe, output.address.replace(/^ws:\/\/([^:]+):\d+$/, 'memory:$1'))
    } else if (output.type === 'write') this.#transport.send(output.pipe, output.channel, output.bytes)
    else if (output.type === 'close') this.#transport.close(output.pipe)
  }
}

/** A WebSocket tells from where it came. */
function asWebSocket(event: TransportEvent): TransportEvent {
  if (event.type !== 'opened') return event
  return { ...event, remoteAddress: event.remoteAddress.replace(/^memory:(.*)$/, 'ws://$1:50000') }
}

/** The reply to a command; the engine answers each with the result of its own type. */
export function replyTo<C extends MessagingCommand>(outputs: readonly PeerOutput[], id: number): Reply<C> {
  const replies = outputs.filter((output) => output.type === 'reply').filter((reply) => reply.id === id)
  const [reply] = replies
  if (reply === undefined || replies.length > 1) throw new Error(`${replies.length} replies to command ${id}`)
  return reply.result as Reply<C>
}

/** Peers on one memory network and one clock that a test moves. */
export class Town {
  /** Whether its peers take part in gossip. */
  readonly hasGossip: boolean
  readonly hub = new MemoryHub()
  readonly homes: Home[] = []
  now = { mono: 0, wall: startWall }
  #pipeCount = 0

  constructor(options: { readonly hasGossip?: boolean } = {}) {
    this.hasGossip = options.hasGossip ?? false
  }

  readonly nextPipe = (): PipeId => ++this.#pipeCount as PipeId

  add(name: string, pageCountMax?: number): Home {
    const home = new Home(this, name, this.homes.length + 1, pageCountMax)
    this.homes.push(home)
    home.handle({ type: 'listening', port: 9999 }, { type: 'wake' })
    return home
  }

  advance(ms: number): void {
    this.now = { mono: this.now.mono + ms, wall: this.now.wall + ms }
  }

  /** Delivers until nothing moves. A town that never rests is a fault of the engines: they must not feed each other. */
  settle(): void {
    for (let round = 0; round < 1000; round++) {
      let hasMoved = this.hub.flush() > 0
      for (const home of this.homes) hasMoved = home.step() || hasMoved
      if (!hasMoved) return
    }
    throw new Error('the town does not come to rest')
  }
}

/** Makes two homes contacts of each other by an invite, and waits until their link stands. */
export function befriend(town: Town, host: Home, guest: Home): void {
  const { invite } = unwrap(host.ask({ type: 'invite-create', addresses: [host.address], uses: 1 }))
  unwrap(guest.ask({ type: 'contact-add-invite', invite }))
  town.settle()
}

function identityOf(
  name: string,
  random: SeededRandom,
): { readonly network: NetworkIdentity; readonly messaging: MessagingIdentity } {
  const account = crypto.ed25519KeyPair(random.bytes(32))
  const device = crypto.ed25519KeyPair(random.bytes(32))
  const linkKey = crypto.x25519KeyPair(random.bytes(32))
  const sessionKey = crypto.x25519KeyPair(random.bytes(32))
  const certificate = signDeviceCertificate(crypto, device.secretKey, {
    accountKey: account.publicKey,
    linkKey: linkKey.publicKey,
    sessionKey: sessionKey.publicKey,
    createdAt: startWall,
  })
  const entry = signDeviceListEntry(crypto, account.secretKey, {
    action: 'add',
    accountKey: account.publicKey,
    deviceKey: device.publicKey,
    deviceName: name,
    height: 0,
    previous: new Uint8Array(32),
    signer: 'account',
    rights: [],
    createdAt: startWall,
  })
  return {
    network: { peerId: keyToPeerId(device.publicKey), certificate, linkKey },
    messaging: {
      accountKey: account.publicKey,
      deviceKey: device,
      certificate,
      sessionKey,
      deviceList: [entry],
      name,
    },
  }
}
