import {
  compareBytes,
  err,
  keyToAccountId,
  type Log,
  ok,
  type PeerId,
  parsePeerId,
  peerIdToKey,
  type Result,
} from '@miaou/core'
import type { Crypto } from '@miaou/crypto'
import type { Keyring } from '@miaou/keyring'
import {
  type CommandError,
  type CommandResults,
  type MessagingCommand,
  type MigrationError,
  migrate,
  StoreFailure,
} from '@miaou/messaging'
import type {
  Advertisement,
  ConnectionView,
  DiscoveryError,
  LinkError,
  PipeId,
  TransportError,
  TransportHost,
} from '@miaou/network'
import { type GossipEngine, gossipFeature, Peer, type PeerEvent, type PeerOutput } from '@miaou/peer'
import { type HomeLock, type LockHomeError, lockHome } from '../home/lock.ts'
import { toHomeRefused } from '../home/refused.ts'
import type { BootstrapNode } from '../overlay/bootstrap-node.ts'
import { createOverlay } from '../overlay/create.ts'
import { type OverlaySettings, settingsOfRun } from '../overlay/settings.ts'
import type { OverlaySide } from '../overlay/side.ts'
import { openSqliteStore, type SqliteStore, type StoreError } from '../store/sqlite-store.ts'
import { type AdapterOptions, type Adapters, createAdapters, interfacesText } from './adapters.ts'
import { type Config, type ConfigError, loadConfig } from './config.ts'
import { Connects } from './connects.ts'
import { runDiagnostics } from './diagnostics.ts'
import { DriveLoop } from './drive-loop.ts'
import { createGossipEngine, GossipFace, gossipKeyPair } from './gossip-face.ts'
import type { NetworkInfo, PeerHandle, PeerView, Stopped } from './handle.ts'
import { databasePath, type OpenHomeError, openHome } from './home.ts'
import type { PeerIdentity } from './identity.ts'
import { Pending } from './pending.ts'
import { Reach } from './reach.ts'
import type { ReachSettings } from './reach-settings.ts'
import { createRelaying, type Relaying, reachSettingsOfRun } from './reach-start.ts'
import { systemClock, systemJitter, systemRandom } from './system.ts'
import { openUserKeys } from './user-keys.ts'

/** What `config.json` in the home sets is used where an option is absent. */
export interface StartPeerOptions extends AdapterOptions, ReachSettings {
  readonly home: string
  /** UTF-8; undefined for a home made without one. */
  readonly passphrase: Uint8Array | undefined
  /** UDP port of the overlay in this run, in place of the configured one; 0 for any. */
  readonly overlayPort?: number
  /** Nodes that this run joins the overlay through besides the configured ones. */
  readonly bootstrapNodes?: readonly BootstrapNode[]
  readonly log?: Log
  /** Called when an invariant of ours broke; by default the process ends with the error. */
  readonly onCrash?: (error: unknown) => void
}

export type StartError =
  | LockHomeError
  | OpenHomeError
  | MigrationError
  | ConfigError
  | { readonly type: 'store'; readonly error: StoreError }
  | { readonly type: 'listen'; readonly error: TransportError }

/** Feature names this version offers (row B20): the ones that exist. */
const features: readonly string[] = ['chat', gossipFeature]

/** How often the network interfaces are compared, ms: a changed address is acted on within this time. */
const interfacesPollMs = 1_000

const silentLog: Log = { write: () => undefined }

/** Opens a home, starts its peer and returns when it listens. The home is locked until `stop`. */
export async function startPeer(options: StartPeerOptions): Promise<Result<PeerHandle, StartError>> {
  const config = loadConfig(options.home)
  if (!config.ok) return config
  const reachSettings = reachSettingsOfRun(options.home, config.value, options)
  if (!reachSettings.ok) return reachSettings
  const lock = lockHome(options.home)
  if (!lock.ok) return lock
  const opened = await openHome(options.home, options.passphrase).catch((thrown: unknown) => {
    // What the system refuses to read or write; anything else is a bug of ours.
    if (thrown instanceof Error && 'code' in thrown) return err(toHomeRefused(options.home, thrown))
    lock.value.release()
    throw thrown
  })
  if (!opened.ok) return release(lock.value, opened)
  const { crypto, keyring, identity } = opened.value
  const store = openSqliteStore({ path: databasePath(options.home), key: keyring.storeKey('database') })
  if (!store.ok) return release(lock.value, err({ type: 'store', error: store.error }))
  const migrated = bringUpToDate(store.value)
  if (!migrated.ok) {
    store.value.close()
    return release(lock.value, migrated)
  }
  const log = options.log ?? silentLog
  const settings = { ...config.value, ...options, ...reachSettings.value }
  const onTlsError = (detail: string): void => log.write('warn', 'tls-certificate-unusable', { detail })
  const adapters = await createAdapters({ ...settings, onTlsError })
  const gossipKey = gossipKeyPair(crypto, keyring)
  const overlaySettings = settingsOfRun(config.value.overlay, settings)
  const [overlay, gossip, relaying] = await Promise.all([
    createOverlay({
      ...config.value,
      ...options,
      overlay: overlaySettings,
      crypto,
      random: systemRandom,
      jitter: systemJitter,
      clock: systemClock,
      log,
      keyring,
      deviceKey: identity.messaging.deviceKey,
      // Who hides does not call out on the LAN.
      ...(settings.relayOnly === true ? { lan: false } : {}),
      onCrash: options.onCrash ?? rethrow,
    }),
    // Who never has a link has nobody to gossip with.
    options.offline === true ? undefined : createGossipEngine(crypto, gossipKey),
    createRelaying({ settings, home: options.home, keyring, log, adapters }),
  ])
  const parts = { crypto, keyring, identity, store: store.value, lock: lock.value }
  const beside = { overlay, gossip, gossipKey: gossipKey.publicKey, ...relaying }
  const host = new PeerHost({ ...settings, overlay: overlaySettings }, parts, adapters, beside)
  const started = await host.start()
  if (!started.ok) {
    await host.stop()
    return started
  }
  return ok(host)
}

/** The first transaction of a start: the one that meets a full disk. */
function bringUpToDate(store: SqliteStore): ReturnType<typeof migrate> | Result<never, StartError> {
  try {
    return migrate(store)
  } catch (thrown) {
    if (!(thrown instanceof StoreFailure)) throw thrown
    const { path } = store
    const { kind, message: detail } = thrown
    if (kind === 'full') return err({ type: 'store', error: { type: 'full', path } })
    if (kind === 'damaged') return err({ type: 'store', error: { type: 'damaged', path, keyCheck: 'right', detail } })
    return err({ type: 'store', error: { type: 'io', path, code: kind, detail } })
  }
}

function release<E>(lock: HomeLock, failure: E): E {
  lock.release()
  return failure
}

interface Opened {
  readonly crypto: Crypto
  readonly keyring: Keyring
  readonly identity: PeerIdentity
  readonly store: SqliteStore
  readonly lock: HomeLock
}

/** What the peer does beside messages. */
interface Beside extends Relaying {
  readonly overlay: OverlaySide
  readonly gossip: GossipEngine | undefined
  readonly gossipKey: Uint8Array
}

/** What one run was told, and `config.json` where it was told nothing. */
type Settings = StartPeerOptions & Pick<Config, 'iceServers'> & { readonly overlay: OverlaySettings }

class PeerHost implements PeerHandle {
  readonly account: PeerHandle['account']
  readonly peerId: PeerId
  readonly home: string
  readonly startedAt: number
  readonly keys: PeerHandle['keys']
  readonly network: PeerHandle['network']
  readonly overlay: OverlaySide
  readonly gossip: GossipFace
  readonly #opened: Opened
  readonly #peer: Peer
  readonly #loop: DriveLoop
  readonly #adapters: Adapters
  readonly #settings: Settings
  readonly #reach: Reach
  readonly #commands = new Pending<Result<CommandResults[keyof CommandResults], CommandError | Stopped>>()
  readonly #pings = new Pending<Result<{ readonly latencyMs: number }, LinkError | Stopped>>()
  readonly #connects: Connects
  readonly #listeners = new Set<(event: PeerEvent) => void>()
  readonly #log: Log
  readonly #startedMono = systemClock.now().mono
  #addresses: readonly string[] = []
  #discoveryError: string | undefined
  #discoverable: NetworkInfo['discoverable'] = 'off'
  #interfacesTimer: NodeJS.Timeout | undefined
  #nextPipe = 1
  #stopping: Promise<void> | undefined

  constructor(options: Settings, opened: Opened, adapters: Adapters, beside: Beside) {
    const { crypto, keyring, identity, store } = opened
    this.#opened = opened
    this.#settings = options
    this.#log = options.log ?? silentLog
    this.account = keyToAccountId(identity.messaging.accountKey)
    this.peerId = identity.network.peerId
    this.home = options.home
    this.startedAt = systemClock.now().wall
    this.keys = openUserKeys(crypto, systemRandom, keyring, () => systemClock.now().wall)
    const nextPipe = (): PipeId => this.#nextPipe++ as PipeId
    this.#adapters = adapters
    const { overlay, gossip, gossipKey, createCircuits, createMailboxes } = beside
    const circuits = createCircuits?.(nextPipe)
    const mailboxes = createMailboxes?.(nextPipe)
    this.overlay = overlay
    this.gossip = new GossipFace(
      gossipKey,
      () => this.#peer.gossip(),
      (id, command) => this.#loop.push({ type: 'gossip', id, command }),
    )
    this.#peer = new Peer({
      crypto,
      random: systemRandom,
      jitter: systemJitter,
      store,
      network: identity.network,
      messaging: identity.messaging,
      features,
      webrtc: true,
      nextPipe,
      relayOnly: options.relayOnly ?? false,
      ...(circuits === undefined ? {} : { circuits }),
      ...(mailboxes === undefined ? {} : { mailboxes }),
      ...(gossip === undefined ? {} : { gossip }),
    })
    this.#loop = new DriveLoop({
      peer: this.#peer,
      clock: systemClock,
      log: this.#log,
      perform: (output) => this.#perform(output),
      onSlept: () => this.#networkChanged(),
      onCrash: options.onCrash ?? rethrow,
    })
    this.#connects = new Connects((peerId) => this.#view(peerId))
    this.#reach = new Reach({
      settings: options,
      usesOverlay: options.overlay.enabled,
      home: options.home,
      crypto,
      random: systemRandom,
      jitter: systemJitter,
      clock: systemClock,
      log: this.#log,
      keyring,
      deviceKey: identity.messaging.deviceKey,
      adapters,
      ...beside,
      nextPipe,
      push: (input) => this.#loop.push(input),
      connection: (peerId) => this.#view(peerId),
      relays: () => this.#peer.relays(),
    })
    this.network = this.#networkFace()
    this.overlay.onOwnNode((node) => {
      this.#loop.push({ type: 'overlay-node', node })
      this.#reach.setOverlayNode(node)
    })
  }

  async start(): Promise<Result<undefined, StartError>> {
    const transportHost: TransportHost = {
      emit: (event) => this.#loop.push({ type: 'network', input: { type: 'transport', event } }),
      nextPipe: () => this.#nextPipe++ as PipeId,
    }
    const { websocket, webrtc, discovery } = this.#adapters
    const listening = await websocket.start(this.#adapters.hostFor(websocket, transportHost))
    if (!listening.ok) return err({ type: 'listen', error: listening.error })
    this.#addresses = listening.value
    const joining = this.overlay.start(portOf(listening.value))
    await webrtc.start(this.#adapters.hostFor(webrtc, transportHost))
    if (this.#settings.offline !== true) this.#reach.start(listening.value)
    discovery.onNews(() => this.#collect())
    // Browsing starts at once; what is advertised follows from the settings, which the first wake reads. A LAN without
    // multicast is no reason not to run: the diagnosis says it.
    const discovering = await discovery.start(undefined)
    this.#noteDiscovery(discovering)
    await joining
    if (this.#settings.offline !== true) this.#reach.mapPorts(this.overlay.info().endpoints[0]?.port ?? 0)
    this.#loop.push({ type: 'listening', port: portOf(this.#addresses) })
    this.#loop.push({ type: 'wake' })
    this.#watchInterfaces()
    return ok(undefined)
  }

  command<C extends MessagingCommand>(command: C): Promise<Result<CommandResults[C['type']], CommandError | Stopped>> {
    const stopped = (): Result<never, Stopped> => err({ type: 'stopped' })
    if (this.#stopping !== undefined) return Promise.resolve(stopped())
    const answer = this.#commands.wait(
      (id) => this.#loop.push({ type: 'command', id, command }),
      Number.POSITIVE_INFINITY,
      stopped,
    )
    // The engine answers a command with the result of its own type (`CommandResults`).
    return answer as Promise<Result<CommandResults[C['type']], CommandError | Stopped>>
  }

  onEvent(listener: (event: PeerEvent) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#shutDown()
    return this.#stopping
  }

  async #shutDown(): Promise<void> {
    clearInterval(this.#interfacesTimer)
    this.#connects.stop()
    // Goodbyes are written before the transports close; closing flushes them.
    this.#loop.push({ type: 'network', input: { type: 'stop' } })
    this.#loop.drain()
    this.#loop.stop()
    await this.#reach.stop()
    await Promise.all([this.#adapters.stop(), this.overlay.stop()])
    this.#commands.settleAll(err({ type: 'stopped' }))
    this.#pings.settleAll(err({ type: 'stopped' }))
    this.gossip.stop()
    this.#opened.store.close()
    this.#opened.keyring.close()
    this.#opened.lock.release()
  }

  #perform(output: PeerOutput): void {
    const { webrtc } = this.#adapters
    switch (output.type) {
      case 'dial':
        this.#adapters.dial(output.pipe, output.address)
        return
      case 'write':
        this.#adapters.of(output.pipe)?.send(output.pipe, output.channel, output.bytes)
        return
      case 'close':
        this.#adapters.of(output.pipe)?.close(output.pipe)
        return
      case 'offer':
        this.#adapters.claim(output.pipe, webrtc)
        webrtc.offer(output.pipe)
        return
      case 'accept':
        this.#adapters.claim(output.pipe, webrtc)
        webrtc.accept(output.pipe, output.offer)
        return
      case 'answer':
        webrtc.answer(output.pipe, output.answer)
        return
      case 'add-candidate':
        webrtc.addCandidate(output.pipe, output.candidate)
        return
      case 'pong':
        this.#pings.settle(output.id, ok({ latencyMs: output.latencyMs }))
        return
      case 'reply':
        this.#commands.settle(output.id, output.result)
        return
      case 'gossip-reply':
        this.gossip.settle(output.id, output.result)
        return
      case 'relay-dial':
      case 'reservations':
      case 'ice-servers':
      case 'measured':
      case 'heard-ways':
      case 'wanted':
      case 'mailbox-dial':
      case 'boxes':
      case 'find-bundle':
      case 'last-resort':
        this.#reach.perform(output)
        return
      case 'overlay-hints':
        this.overlay.hint(output.hints)
        return
      case 'advertise':
        this.#discoverable = this.#settings.relayOnly === true ? 'off' : visibilityOf(output.advertisement)
        this.overlay.setDiscoverable(this.#settings.relayOnly !== true && output.advertisement !== undefined)
        void this.#adapters.discovery.advertise(output.advertisement)
        return
      case 'event':
        this.#publish(output.event)
        return
    }
  }

  #publish(event: PeerEvent): void {
    if (event.type === 'network') this.#connects.heard(event.event)
    for (const listener of [...this.#listeners]) {
      try {
        listener(event)
      } catch (error) {
        // A client's fault is not the peer's: the others still hear of the event.
        const text = error instanceof Error ? (error.stack ?? error.message) : String(error)
        this.#log.write('error', 'event-listener-failed', { event: event.type, error: text })
      }
    }
  }

  #collect(): void {
    if (this.#stopping !== undefined) return
    const { discovery } = this.#adapters
    discovery.collectPeers()
    const peers = discovery.discoveredPeers()
    if (peers.length > 0) this.#adapters.warmUp()
    this.#loop.push({ type: 'discovered', peers })
  }

  #networkFace(): PeerHandle['network'] {
    return {
      info: () => this.#info(),
      peers: () => this.#peers(),
      connect: (target, timeoutMs) => this.#connect(target, timeoutMs),
      upgraded: (peerId, timeoutMs) => this.#upgraded(peerId, timeoutMs),
      disconnect: (peerId) =>
        this.#loop.push({ type: 'network', input: { type: 'disconnect', peerId, reason: 'bye' } }),
      ping: (peerId, timeoutMs) => this.#ping(peerId, timeoutMs),
      diagnostics: () => this.#diagnose(),
      connectivity: () => this.#reach.nat.connectivity(),
      relays: () => this.#reach.use.views(this.#peer.relays()),
      addRelay: (relay) => (this.#stopping === undefined ? this.#reach.use.add(relay) : err({ type: 'stopped' })),
      removeRelay: (relay) => (this.#stopping === undefined ? this.#reach.use.remove(relay) : err({ type: 'stopped' })),
      mailboxes: () => this.#reach.mail.views(this.#peer.mailboxes()),
      addMailbox: (box) => (this.#stopping === undefined ? this.#reach.mail.add(box) : err({ type: 'stopped' })),
      removeMailbox: (box) => (this.#stopping === undefined ? this.#reach.mail.remove(box) : err({ type: 'stopped' })),
      measure: (relay) =>
        this.#stopping === undefined ? this.#reach.use.measure(relay) : Promise.resolve(err({ type: 'stopped' })),
    }
  }

  #info(): NetworkInfo {
    const serving = this.#reach.servings()
    const { publicUrl } = this.#settings
    return {
      peerId: this.peerId,
      addresses: this.#reach.addresses,
      natType: this.#reach.nat.natType,
      connectedPeers: this.#peer.connections().filter(isConnected).length,
      uptimeMs: Math.round(systemClock.now().mono - this.#startedMono),
      counters: this.#peer.counters(),
      webrtc: this.#adapters.webrtcLibrary,
      discoverable: this.#discoverable,
      relays: this.#reach.use.views(this.#peer.relays()),
      reservations: this.#reach.use.reservations,
      relayOnly: this.#settings.relayOnly ?? false,
      portMapping: this.#reach.portMapping,
      mailboxes: this.#reach.mail.views(this.#peer.mailboxes()),
      ...(serving === undefined ? {} : { serving }),
      ...(publicUrl === undefined ? {} : { publicUrl }),
    }
  }

  #peers(): PeerView[] {
    const seen = new Map(this.#peer.seenPeers().map((peer) => [peer.peerId, peer]))
    const own = peerIdToKey(this.peerId)
    const views = new Map(this.#peer.connections().map((view) => [view.peerId, view]))
    const contacts = this.#peer.contactsByDevice()
    // A stranger who has left is nobody any more: the engine only remembers the way.
    const isThere = ({ peerId, state }: ConnectionView) =>
      seen.has(peerId) || contacts.has(peerId) || (state !== 'idle' && state !== 'closed')
    const linked = [...views.values()].filter(isThere).map(({ peerId }) => peerId)
    return [...new Set([...linked, ...seen.keys(), ...contacts.keys()])].map((peerId) => {
      const view = views.get(peerId) ?? unlinked(peerId)
      const contact = contacts.get(peerId)
      return {
        ...view,
        addresses: view.addresses.length > 0 ? view.addresses : (seen.get(peerId)?.addresses ?? []),
        features: view.features.length > 0 ? view.features : (seen.get(peerId)?.features ?? []),
        seenBy: seen.has(peerId) ? 'mdns' : contact === undefined ? 'link' : 'contact',
        shouldInitiate: compareBytes(own, peerIdToKey(peerId)) < 0,
        ...(contact ?? {}),
      }
    })
  }

  #view(peerId: PeerId): ConnectionView | undefined {
    return this.#peer.connection(peerId)
  }

  #ping(peerId: PeerId, timeoutMs: number): ReturnType<PeerHandle['network']['ping']> {
    if (this.#stopping !== undefined) return Promise.resolve(err({ type: 'stopped' }))
    return this.#pings.wait(
      (id) => this.#loop.push({ type: 'network', input: { type: 'ping', peerId, id } }),
      timeoutMs,
      () => err({ type: 'silent', forMs: timeoutMs }),
    )
  }

  #connect(target: PeerId | string, timeoutMs: number): ReturnType<PeerHandle['network']['connect']> {
    if (this.#stopping !== undefined) return Promise.resolve(err({ type: 'stopped' }))
    const peerId = parsePeerId(target)
    const waiting = this.#connects.wait(peerId ?? target, timeoutMs)
    const view = peerId === undefined ? undefined : this.#view(peerId)
    if (view !== undefined && isConnected(view)) this.#connects.already(view)
    else if (peerId === undefined) {
      this.#adapters.choose(target)
      this.#loop.push({ type: 'network', input: { type: 'connect-address', address: target } })
    } else {
      const addresses = this.#peer.seenPeers().find((peer) => peer.peerId === peerId)?.addresses ?? []
      this.#loop.push({ type: 'network', input: { type: 'connect', peerId, addresses } })
    }
    return waiting
  }

  async #upgraded(peerId: PeerId, timeoutMs: number): Promise<boolean> {
    if (this.#view(peerId)?.transport === 'webrtc') return true
    return (await this.#connects.wait(peerId, timeoutMs, 'webrtc')).ok
  }

  #diagnose(): ReturnType<PeerHandle['network']['diagnostics']> {
    const discovery = this.#adapters.discovery
    return runDiagnostics({
      store: this.#opened.store,
      keyring: this.#opened.keyring,
      addresses: this.#addresses,
      webrtc: this.#adapters.webrtcLibrary,
      discovery: {
        error: this.#discoveryError,
        method: discovery.method,
        seen: discovery.discoveredPeers().length,
        discoverable: this.#discoverable,
      },
      iceServersCount: this.#reach.iceServers.length,
      relayOnly: this.#settings.relayOnly ?? false,
    })
  }

  /** A laptop that changes its network keeps its links only if somebody notices. */
  #watchInterfaces(): void {
    let before = interfacesText()
    this.#interfacesTimer = setInterval(() => {
      this.#loop.checkClocks()
      this.#reach.checkClock()
      const text = interfacesText()
      if (text === before) return
      before = text
      this.#loop.push({ type: 'network', input: { type: 'network-changed' } })
      this.#networkChanged()
    }, interfacesPollMs)
    this.#interfacesTimer.unref()
  }

  #noteDiscovery(result: Result<undefined, DiscoveryError>): void {
    const { error } = result.ok ? {} : result
    this.#discoveryError = error && ('detail' in error ? error.detail : 'name taken')
  }

  /** What runs beside the peer hears of new addresses, or of a sleep after which everything may have changed. */
  #networkChanged(): void {
    // An invite made from now on must name the ways that are true now.
    this.#addresses = this.#adapters.websocket.addresses?.() ?? this.#addresses
    this.#reach.networkChanged(this.#addresses)
    this.overlay.networkChanged()
    void this.#adapters.discovery.networkChanged?.().then((looked) => this.#noteDiscovery(looked))
  }
}

function isConnected(view: ConnectionView): boolean {
  return view.state === 'connected' || view.state === 'upgrading'
}

function unlinked(peerId: PeerId): ConnectionView {
  const stats = { bytesSent: 0, bytesReceived: 0, messagesSent: 0, messagesReceived: 0, currentState: 'idle' } as const
  return { peerId, state: 'idle', addresses: [], features: [], stats }
}

function visibilityOf(advertisement: Advertisement | undefined): NetworkInfo['discoverable'] {
  if (advertisement === undefined) return 'off'
  return advertisement.peerId === undefined ? 'contacts' : 'everyone'
}

function portOf(addresses: readonly string[]): number {
  const [first] = addresses
  return first === undefined ? 0 : Number(new URL(first).port)
}

function rethrow(error: unknown): never {
  throw error
}
