import { join } from 'node:path'
import type { Clock, Jitter, Log, PeerId, Random } from '@miaou/core'
import type { Crypto, KeyPair } from '@miaou/crypto'
import type { Keyring } from '@miaou/keyring'
import { type ConnectionView, defaultRelayLimits, type PipeId, type RelayView } from '@miaou/network'
import {
  type OwnOverlayNode,
  ownClientForWorld,
  ownContactForWorld,
  type PeerInput,
  type PeerOutput,
} from '@miaou/peer'
import type { MailboxHost } from '../mailbox/mailbox-host.ts'
import type { StunAnswerer } from '../nat/stun-answerer.ts'
import { SealedDocument } from '../overlay/sealed-document.ts'
import type { OverlaySide } from '../overlay/side.ts'
import { LastResort } from '../records/last-resort.ts'
import { RecordsHost } from '../records/records-host.ts'
import { relayServiceKey } from '../relay/pseudonyms.ts'
import type { RelayHost } from '../relay/relay-host.ts'
import type { IceServer } from '../webrtc/options.ts'
import type { NameLookup } from '../websocket/dial-scope.ts'
import type { Adapters } from './adapters.ts'
import { AddedRelays, addedRelaysSizeMax } from './added-relays.ts'
import type { MailboxServing, PortMapping, RelayServing, Serving } from './handle.ts'
import { type IceServerSetting, iceServersAt, iceServersRenewAt, turnPeriodMs } from './ice-servers.ts'
import { KnownMailboxes, knownMailboxesSizeMax } from './known-mailboxes.ts'
import { MailboxUse } from './mailbox-use.ts'
import { type CreatePortMapper, MappedPorts } from './mapped-ports.ts'
import { NatWatch } from './nat-watch.ts'
import { OfferedServers } from './offered-servers.ts'
import type { ReachSettings } from './reach-settings.ts'
import { RelayUse } from './relay-use.ts'

/** Of a service record (spec/records). */
const serviceUrlsMax = 3

export interface ReachOptions {
  readonly settings: ReachSettings & {
    readonly loopbackOnly?: boolean
    readonly iceServers?: readonly IceServerSetting[]
  }
  /** Whether this device may be found in the overlay at all. */
  readonly usesOverlay: boolean
  readonly home: string
  readonly crypto: Crypto
  readonly random: Random
  readonly jitter: Jitter
  readonly clock: Clock
  readonly log: Log
  readonly keyring: Pick<Keyring, 'storeKey'>
  /** Ed25519: signs the record of this device. */
  readonly deviceKey: KeyPair
  readonly adapters: Adapters
  readonly overlay: Pick<OverlaySide, 'info' | 'putRecord' | 'get' | 'services' | 'setServices' | 'addClients'>
  /** Undefined: this peer serves nobody. */
  readonly relayHost: Pick<RelayHost, 'relayId' | 'relayAddress' | 'isBroken' | 'start' | 'stop' | 'view'> | undefined
  /** Undefined: this peer keeps nobody's messages. */
  readonly mailboxHost: MailboxHost | undefined
  /** Answers STUN beside it. */
  readonly stun: Pick<StunAnswerer, 'port' | 'counters' | 'stop'> | undefined
  /** Undefined: no router is asked for anything. */
  readonly createPortMapper: CreatePortMapper | undefined
  /** Resolves the names of relays that others named; by default the system's resolver. */
  readonly lookup?: NameLookup
  readonly nextPipe: () => PipeId
  readonly push: (input: PeerInput) => void
  readonly connection: (peerId: PeerId) => ConnectionView | undefined
  readonly relays: () => readonly RelayView[]
}

/**
 * How others reach this peer, and it them, where no address does: the relays it uses and is, the records that say where it
 * is, the servers that help WebRTC.
 */
export class Reach {
  readonly use: RelayUse
  readonly mail: MailboxUse
  readonly nat: NatWatch
  readonly #options: ReachOptions
  readonly #records: RecordsHost
  readonly #bundles: LastResort
  readonly #ports: MappedPorts
  readonly #offered: OfferedServers
  #listening: readonly string[] = []
  /** Wall-clock ms from which, and until which, the passwords in use are those of their time. */
  #credentialsHold: { readonly from: number; readonly until: number } = { from: 0, until: Number.POSITIVE_INFINITY }

  constructor(options: ReachOptions) {
    this.#options = options
    const { settings, usesOverlay, crypto, random, jitter, clock, log, home, keyring, deviceKey } = options
    const { adapters, overlay, relayHost, mailboxHost, nextPipe, push, connection, relays } = options
    const configured = settings.relays ?? []
    const added = new AddedRelays(
      new SealedDocument({
        crypto,
        random,
        path: join(home, 'relays'),
        key: keyring.storeKey('added-relays'),
        magic: 'MRLY',
        bodySizeMax: addedRelaysSizeMax,
      }),
      log,
    )
    added.load()
    this.#records = new RecordsHost({
      crypto,
      random,
      jitter,
      clock,
      log,
      home,
      keyring,
      deviceKey,
      overlay: {
        isReady: () => overlay.info().contacts > 0,
        putRecord: (record) => overlay.putRecord(record),
        get: (key) => overlay.get(key),
      },
      serviceSource: overlay,
      onServices: (own, known) => overlay.setServices(own, known),
      onOverlayClient: (client) => overlay.addClients([client]),
      usesOverlay,
      showsAddresses: settings.relayOnly !== true,
      loopbackOnly: settings.loopbackOnly ?? false,
      configuredRelays: () => [...added.all, ...configured],
      connection,
      relays,
      onOwnWays: (ways) => push({ type: 'own-ways', ways }),
      onFound: (found) => {
        push({ type: 'device-ways', ...found })
        this.mail.learn(found.peerId, found.mailboxes)
      },
      onCandidates: () => this.use.refresh(),
    })
    this.nat = new NatWatch({
      servers: () => this.iceServers,
      loopbackOnly: settings.loopbackOnly ?? false,
      isWatching: settings.relayOnly !== true,
    })
    this.#ports = new MappedPorts(options.createPortMapper, () => this.#tellAddresses())
    this.#offered = new OfferedServers({
      nearestFor: (host) => this.use.nearestForHost(host),
      onChange: () => this.#setIceServers(),
      ...(options.lookup === undefined ? {} : { lookup: options.lookup }),
    })
    this.use = new RelayUse({
      configured,
      added,
      learnt: () =>
        this.#records
          .relayCandidates()
          .flatMap(({ relay, source }) => (source === 'config' ? [] : [{ relay, source }])),
      ownRelayId: relayHost?.relayId,
      loopbackOnly: settings.loopbackOnly ?? false,
      adapters,
      nextPipe,
      push,
    })
    const knownMailboxes = new KnownMailboxes(
      new SealedDocument({
        crypto,
        random,
        path: join(home, 'mailboxes'),
        key: keyring.storeKey('known-mailboxes'),
        magic: 'MMBX',
        bodySizeMax: knownMailboxesSizeMax,
      }),
      log,
    )
    knownMailboxes.load()
    this.mail = new MailboxUse({
      configured: settings.mailboxes ?? [],
      known: knownMailboxes,
      ownMailboxId: mailboxHost?.mailboxId,
      loopbackOnly: settings.loopbackOnly ?? false,
      nearestRelay: () => this.use.nearest,
      adapters,
      nextPipe,
      push,
      onBoxes: (boxes) => this.#records.setBoxes(boxes),
    })
    this.#bundles = new LastResort({
      crypto,
      clock,
      jitter,
      isReady: () => usesOverlay && overlay.info().contacts > 0,
      putRecord: (record) => overlay.putRecord(record),
      get: (key) => overlay.get(key),
      onKey: (key) => this.#records.setBundleKey(key),
    })
  }

  /** Where others dial this peer's listener, best first: none where it hides. */
  get addresses(): readonly string[] {
    const { publicUrl, relayOnly } = this.#options.settings
    if (relayOnly === true) return []
    const mapped = this.#ports.address
    const outside = [publicUrl, mapped].filter((address) => address !== undefined)
    return [...new Set([...outside, ...this.#listening])]
  }

  /** What the router does for us. */
  get portMapping(): PortMapping {
    return this.#ports.view()
  }

  /** STUN and TURN servers in use: those configured, then those that relays offer. */
  get iceServers(): readonly IceServer[] {
    const { settings, clock } = this.#options
    return [...iceServersAt(settings.iceServers ?? [], clock.now().wall), ...this.#offered.all]
  }

  /** `listening`: the addresses of the listener. */
  start(listening: readonly string[]): void {
    const { adapters, relayHost, mailboxHost } = this.#options
    this.#listening = listening
    relayHost?.start()
    mailboxHost?.start()
    this.use.start(adapters.websocket)
    this.mail.start(adapters.websocket)
    this.#records.start()
    this.#tellAddresses()
    this.#setIceServers()
  }

  /** Once the overlay has its port: has the router let others in. `udpPort`: of the overlay, 0 for none. */
  mapPorts(udpPort: number): void {
    const [address] = this.#listening
    const { stun } = this.#options
    if (address !== undefined) this.#ports.start(portOf(address), [udpPort, stun?.port ?? 0])
  }

  /** What the peer wants done about relays and records. */
  perform(
    output: Extract<
      PeerOutput,
      {
        readonly type:
          | 'relay-dial'
          | 'reservations'
          | 'ice-servers'
          | 'measured'
          | 'heard-ways'
          | 'wanted'
          | 'mailbox-dial'
          | 'boxes'
          | 'find-bundle'
          | 'last-resort'
      }
    >,
  ): void {
    switch (output.type) {
      case 'ice-servers':
        this.#offered.set(output.servers)
        this.#setIceServers()
        return
      case 'heard-ways':
        this.#records.heard(output.ways)
        this.mail.learn(output.ways.peerId, output.ways.mailboxes)
        return
      case 'wanted':
        this.#records.setWanted(output.peers, output.ownLocatorKey)
        return
      case 'mailbox-dial':
      case 'boxes':
        this.mail.perform(output)
        return
      case 'last-resort':
        this.#bundles.publish(output.bytes)
        return
      case 'find-bundle':
        void this.#findBundle(output.id, output.bundleKey)
        return
      case 'reservations':
        this.#records.setCircuits(output.addresses)
        void this.#offered.refresh()
    }
    this.use.perform(output)
  }

  /** The addresses of this machine changed. */
  networkChanged(listening: readonly string[]): void {
    this.#listening = listening
    this.#records.networkChanged()
    this.nat.networkChanged()
    this.#ports.networkChanged()
    void this.#offered.refresh()
    this.#tellAddresses()
  }

  /** To be called now and then: passwords for a time follow the wall clock, which jumps, and on which machines sleep. */
  checkClock(): void {
    const { clock, relayHost } = this.#options
    if (relayHost?.isBroken === true) this.#records.setService(undefined)
    this.#bundles.care()
    const { wall } = clock.now()
    if (wall < this.#credentialsHold.from || wall >= this.#credentialsHold.until) this.#setIceServers()
  }

  /** What this peer does for others, undefined where it does nothing. */
  servings(): Serving | undefined {
    const relay = this.serving()
    const mailbox = this.#servingMail()
    if (relay === undefined && mailbox === undefined) return undefined
    return { ...(relay && { relay }), ...(mailbox && { mailbox }) }
  }

  #servingMail(): MailboxServing | undefined {
    const [url] = this.addresses
    const { mailboxHost } = this.#options
    if (mailboxHost === undefined || mailboxHost.isBroken || url === undefined) return undefined
    return { address: mailboxHost.mailboxAddress(url), ...mailboxHost.view() }
  }

  /** As a relay. */
  serving(): RelayServing | undefined {
    const { relayHost, stun } = this.#options
    const [url] = this.addresses
    if (relayHost === undefined || relayHost.isBroken || url === undefined) return undefined
    const { reservations, circuits, bytesToday, counters } = relayHost.view()
    const quotas = this.#options.settings.serve?.relay
    const limits = {
      reservationsMax: quotas?.reservations || defaultRelayLimits.reservationsMax,
      circuitsMax: quotas?.circuits || defaultRelayLimits.circuitsMax,
      bytesPerSecond: quotas?.bytesPerSecond || defaultRelayLimits.bytesPerSecond,
      bytesPerDay: quotas?.bytesPerDay || defaultRelayLimits.bytesPerDay,
    }
    const stunCounters = Object.fromEntries(
      [...(stun?.counters() ?? [])].map(([name, count]) => [`stun-${name}`, count]),
    )
    return {
      address: relayHost.relayAddress(url),
      reservations,
      circuits,
      bytesToday,
      limits,
      ...(stun === undefined ? {} : { stunPort: stun.port }),
      counters: { ...counters, ...stunCounters },
    }
  }

  /** Where the own node of the overlay is, as records may say. */
  setOverlayNode(node: OwnOverlayNode | undefined): void {
    this.#records.setOverlayContact(node && ownContactForWorld(node))
    this.#records.setOverlayClient(node && ownClientForWorld(node))
  }

  async stop(): Promise<void> {
    this.nat.stop()
    this.#offered.stop()
    this.#records.stop()
    const { relayHost, mailboxHost, stun } = this.#options
    const services = [relayHost?.stop(), mailboxHost?.stop(), stun?.stop()]
    await Promise.all([this.use.stop(), this.mail.stop(), ...services, this.#ports.stop()])
  }

  async #findBundle(id: number, bundleKey: Uint8Array): Promise<void> {
    const bytes = await this.#bundles.find(bundleKey)
    this.#options.push({ type: 'found-bundle', id, bytes })
  }

  #tellAddresses(): void {
    this.#records.setAddresses(this.addresses)
    this.#tellService()
  }

  /** Announces the relay by a record of its own, which says nothing of whose it is. */
  #tellService(): void {
    const { crypto, keyring, relayHost } = this.#options
    const serving = this.serving()
    if (relayHost === undefined || serving === undefined) return
    this.#records.setService({
      key: relayServiceKey(crypto, keyring),
      urls: this.addresses.slice(0, serviceUrlsMax),
      terms: relayHost.view().terms,
      capacity: Math.min(serving.limits.reservationsMax, 0xffff_ffff),
      latency: 0,
      region: '',
    })
  }

  #setIceServers(): void {
    const { settings, clock, adapters } = this.#options
    const { wall } = clock.now()
    const until = iceServersRenewAt(settings.iceServers ?? [], wall)
    this.#credentialsHold = { from: Number.isFinite(until) ? until - turnPeriodMs : 0, until }
    adapters.webrtc.setIceServers?.(this.iceServers)
    this.nat.serversChanged()
  }
}

function portOf(address: string): number {
  return Number(new URL(address).port)
}
