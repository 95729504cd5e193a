import { join } from 'node:path'
import {
  bytesToHex,
  type Clock,
  equalBytes,
  type Jitter,
  type Log,
  type Now,
  type PeerId,
  peerIdToKey,
  type Random,
} from '@miaou/core'
import type { Crypto, KeyPair } from '@miaou/crypto'
import type { Keyring } from '@miaou/keyring'
import type { WantedPeer } from '@miaou/messaging'
import type { ConnectionView, RelayView } from '@miaou/network'
import { boxesOf, type HeardWays, type OwnWays } from '@miaou/peer'
import {
  type AddressScope,
  type BoxAddress,
  boxToEntry,
  boxUrlLengthMax,
  type CircuitAddress,
  contactServicesMax,
  decodeOverlayContact,
  deriveRecordLocator,
  deviceRecordUrlLengthMax,
  encodeOverlayClient,
  formatBoxAddress,
  formatCircuitAddress,
  isRecordFresh,
  isWay,
  isWayWithin,
  nearestRelayScope,
  type OverlayClient,
  openDeviceRecord,
  type PackedContacts,
  parseCircuitAddress,
  type RelayAddress,
  type RelayTerms,
  recordEntriesMax,
  recordLifetimeMs,
  relayIdOf,
  sealDeviceRecord,
  serviceRecordKey,
  serviceRecordSalt,
  signRecord,
  signServiceRecord,
  wayScope,
} from '@miaou/protocol'
import { SealedDocument } from '../overlay/sealed-document.ts'
import { KnownRelays, knownRelaysSizeMax, type RelayOrigin } from './known-relays.ts'
import { OwnRecord, ownRecordSizeMax } from './own-record.ts'
import type { RecordOverlay, ServiceSource } from './ports.ts'
import { type LookupLimits, RecordLookups } from './record-lookups.ts'

/** What this home serves as a relay, as its service record says. */
export interface OwnService {
  /** Ed25519: the relay's own key, never the device's. */
  readonly key: KeyPair
  /** Where others dial it, best first: 1 to 3. */
  readonly urls: readonly string[]
  readonly terms: RelayTerms
  /** Reservations it keeps, in all. */
  readonly capacity: number
  /** ms, 0 when not measured. */
  readonly latency: number
  /** At most 32 bytes; empty: not told. */
  readonly region: string
}

/** A way to a contact that its record in the overlay named. */
export interface FoundWays {
  readonly peerId: PeerId
  readonly sequence: number
  readonly addresses: readonly string[]
  readonly mailboxes: readonly BoxAddress[]
  readonly bundleKey?: Uint8Array
}

/** A relay to keep a reservation at, and who named it. */
export interface RelayCandidate {
  readonly relay: RelayAddress
  readonly source: 'config' | RelayOrigin
}

export interface RecordLimits {
  /** From a change of ways to the record that says so, ms: what changes together is said once. */
  readonly settleMs: number
  /** Records at once, as after a start, when relays answer one after the other; half of what contacts take. */
  readonly burst: number
  /** Then, ms from one record to the next: contacts take no more (`defaultContactWaysLimits`). */
  readonly gapMs: number
  /** How often records are signed and stored anew, ms. */
  readonly refreshMs: number
  /** First wait after a record that could not be stored, ms; it doubles up to `refreshMs`. */
  readonly retryMs: number
  /** Relays handed to the engine of circuits. */
  readonly candidatesMax: number
  /** Least time between two questions to the overlay for service records, ms, while relays are wanted. */
  readonly serviceIntervalMs: number
  /** The same at first, ms, while no relay serves us at all: it doubles up to `serviceIntervalMs`. */
  readonly serviceRetryMs: number
  /** Reservations beyond which no further relay is looked for. */
  readonly reservationsEnough: number
}

/** DECISIONS "Records" and "Storing": refreshMs. Guesses: the others. */
export const defaultRecordLimits: RecordLimits = {
  settleMs: 500,
  burst: 4,
  gapMs: 10_000,
  refreshMs: 3_600_000,
  retryMs: 30_000,
  candidatesMax: 16,
  serviceIntervalMs: 300_000,
  serviceRetryMs: 15_000,
  reservationsEnough: 3,
}

export interface RecordsHostOptions {
  readonly crypto: Crypto
  readonly random: Random
  readonly jitter: Jitter
  readonly clock: Clock
  readonly log: Log
  readonly home: string
  readonly keyring: Pick<Keyring, 'storeKey'>
  /** Ed25519: signs the record of this device. */
  readonly deviceKey: KeyPair
  readonly overlay: RecordOverlay
  readonly serviceSource?: ServiceSource
  /** Whether records are stored in the overlay at all, and looked up there. */
  readonly usesOverlay: boolean
  /** Whether records name network addresses and the node of the overlay: not where everything goes through relays. */
  readonly showsAddresses: boolean
  /** Relays of this machine are for us: a peer that stays on it. */
  readonly loopbackOnly?: boolean
  /** Relays that a person chose, best first. */
  readonly configuredRelays: () => readonly RelayAddress[]
  readonly connection: (peerId: PeerId) => ConnectionView | undefined
  /** As the engine of circuits sees them. */
  readonly relays: () => readonly RelayView[]
  /** What whoever asks in the overlay is to be told: the own relay, and those known (spec/overlay O65). */
  readonly onServices?: (own: Uint8Array | undefined, known: readonly Uint8Array[]) => void
  /** Where the node of a contact behind a NAT is reached, as it says. */
  readonly onOverlayClient?: (client: OverlayClient) => void
  /** What linked contacts are to be told. */
  readonly onOwnWays: (ways: OwnWays) => void
  readonly onFound: (found: FoundWays) => void
  /** Relays at which reservations are wanted, best first, whenever the list changes. */
  readonly onCandidates: (candidates: readonly RelayCandidate[]) => void
  readonly limits?: Partial<RecordLimits>
  readonly lookupLimits?: Partial<LookupLimits>
}

/** A wall clock that went so far apart from the monotonic one, ms: the machine slept, or its clock was set. Guess. */
const clockJumpMs = 600_000

/** How often the node of the overlay is told which relays it may tell of, ms: records expire. Guess. */
const tellServicesIntervalMs = 60_000

/** How often the host looks whether something is due, ms. */
const careIntervalMs = 1_000

/**
 * The records of one peer: signs its own and stores it where contacts look, looks up those of contacts who cannot be
 * reached, and remembers relays (spec/records W15 to W21). Nothing here is fatal: a peer without works as long as the ways
 * it knows are true.
 */
export class RecordsHost {
  readonly #options: RecordsHostOptions
  readonly #limits: RecordLimits
  readonly #own: OwnRecord
  readonly #lookups: RecordLookups
  readonly #known: KnownRelays
  readonly #counters = new Map<string, number>()
  #circuits: readonly CircuitAddress[] = []
  #addresses: readonly string[] = []
  #boxes: readonly BoxAddress[] = []
  #bundleKey: Uint8Array | undefined
  #overlayContact: PackedContacts | undefined
  #overlayClient: OverlayClient | undefined
  #service: OwnService | undefined
  #locatorKey: Uint8Array | undefined
  /** Monotonic ms at which the records are to be signed anew. */
  #signAt = Number.NEGATIVE_INFINITY
  /** Monotonic ms at which the allowance of records is whole again. */
  #wholeAt = Number.NEGATIVE_INFINITY
  #signed: { readonly record: Uint8Array; readonly service: Uint8Array | undefined } | undefined
  /** Monotonic ms at which they are to be stored in the overlay. */
  #publishAt = Number.POSITIVE_INFINITY
  #publishTries = 0
  #publishedAt: number | undefined
  #isPublishing = false
  #isLookingUp = false
  #isAsking = false
  #asked = 0
  /** Questions since a relay served us last, or the network changed. */
  #askTries = 0
  /** Monotonic ms at which the overlay's node is told anew what it may tell. */
  #tellAt = Number.NEGATIVE_INFINITY
  #askAt = Number.NEGATIVE_INFINITY
  #wasReady = false
  /** What each relay was seen to be last: its news is what scores it. */
  #seen: ReadonlyMap<string, RelayView['state']> = new Map()
  #candidatesText: string | undefined
  /** Wall clock minus monotonic clock when it was last looked at, ms. */
  #lead: number | undefined
  #timer: NodeJS.Timeout | undefined
  #isStopped = false

  constructor(options: RecordsHostOptions) {
    const { crypto, jitter, log, deviceKey, limits, lookupLimits } = options
    this.#options = options
    this.#limits = { ...defaultRecordLimits, ...limits }
    this.#own = new OwnRecord(crypto, deviceKey, this.#document('own-record', 'MODR', ownRecordSizeMax), log)
    this.#known = new KnownRelays(crypto, this.#document('known-relays', 'MOKR', knownRelaysSizeMax), log)
    this.#lookups = new RecordLookups(jitter, lookupLimits)
  }

  /** Reads what is remembered, tells the relays to try, and goes on by itself. */
  start(): void {
    this.#own.load()
    this.#known.load()
    this.#tellCandidates()
    this.#timer = setInterval(() => this.care(), careIntervalMs).unref()
  }

  stop(): void {
    if (this.#isStopped) return
    this.#isStopped = true
    clearInterval(this.#timer)
    if (this.#known.size > 0) this.#known.save()
  }

  /** Own reservations, best first: the whole list. */
  setCircuits(circuits: readonly CircuitAddress[]): void {
    this.#circuits = circuits
    this.#change()
  }

  /** Where this peer's listener is reached from outside and on its networks, best first: the whole list. */
  setAddresses(addresses: readonly string[]): void {
    this.#addresses = addresses
    this.#change()
  }

  /** Where messages for this device can be left, best first: the whole list, at most 4 are told. */
  setBoxes(boxes: readonly BoxAddress[]): void {
    const next = boxes.slice(0, recordEntriesMax)
    if (next.map(formatBoxAddress).join() === this.#boxes.map(formatBoxAddress).join()) return
    this.#boxes = next
    this.#change()
  }

  /** 32 bytes: where the overlay has the manifest of the own last-resort bundle. */
  setBundleKey(key: Uint8Array): void {
    if (this.#bundleKey !== undefined && equalBytes(key, this.#bundleKey)) return
    this.#bundleKey = key
    this.#change()
  }

  /** `contact`: payload of an `overlayContact` frame for the world (`ownContactFor`), undefined for none. */
  setOverlayContact(contact: Uint8Array | undefined): void {
    const decoded = contact && decodeOverlayContact(contact)
    this.#overlayContact = decoded?.ok ? decoded.value : undefined
    this.#change()
  }

  /** How the own node of the overlay is reached from behind a NAT; undefined: it is not. */
  setOverlayClient(client: OverlayClient | undefined): void {
    if (textOf(client) === textOf(this.#overlayClient)) return
    this.#overlayClient = client
    this.#change()
  }

  /** Undefined: this home is no relay. */
  setService(service: OwnService | undefined): void {
    if (service === undefined && this.#service === undefined) return
    this.#service = service
    this.#tellCandidates()
    this.#change()
  }

  /** Whom to reach, and where the own records are to be found. */
  setWanted(peers: readonly WantedPeer[], ownLocatorKey: Uint8Array): void {
    const { wall } = this.#options.clock.now()
    this.#lookups.want(peers)
    for (const { addresses, waysSequence } of peers) {
      this.#known.meet(addresses.flatMap(relayOf), waysSequence === 0 ? 'invite' : 'contact', wall)
    }
    if (this.#locatorKey === undefined || !equalBytes(this.#locatorKey, ownLocatorKey)) {
      this.#locatorKey = ownLocatorKey
      this.#change()
    }
    this.#tellCandidates()
  }

  /** A linked contact told of itself and of relays it met. */
  heard({ services, overlayClient }: HeardWays): void {
    if (overlayClient !== undefined) this.#options.onOverlayClient?.(overlayClient)
    const { wall } = this.#options.clock.now()
    for (const service of services) this.#learn(service, 'contact', wall)
    this.#tellCandidates()
  }

  /** Addresses came or went: who is missed is looked up anew, at once. */
  networkChanged(): void {
    this.#lookups.forget()
    this.#askAt = Number.NEGATIVE_INFINITY
    this.#askTries = 0
  }

  /** Relays to keep reservations at: those a person chose, those of contacts and invites, then those of strangers. */
  relayCandidates(): readonly RelayCandidate[] {
    const own = this.#service && this.#relayIdOf(this.#service.key.publicKey)
    const byId = new Map<string, RelayCandidate>()
    const add = (relay: RelayAddress, source: RelayCandidate['source']): void => {
      const name = bytesToHex(relay.relayId)
      // A reservation at one's own relay would be no way around one's own router.
      const isOwn = own !== undefined && equalBytes(own, relay.relayId)
      if (!isOwn && !byId.has(name)) byId.set(name, { relay, source })
    }
    for (const relay of this.#options.configuredRelays()) add(relay, 'config')
    for (const { relay, origin } of this.#known.all()) add(relay, origin)
    return [...byId.values()].slice(0, this.#limits.candidatesMax)
  }

  /** For `net info` and the diagnosis. */
  info(): RecordsInfo {
    return {
      sequence: this.#own.sequence,
      ways: this.#ways().length,
      publishedAt: this.#publishedAt,
      knownRelays: this.#known.size,
      counters: Object.fromEntries(this.#counters),
    }
  }

  /** Does what is due. The timer calls it each second; a test calls it itself. */
  care(): void {
    if (this.#isStopped) return
    const now = this.#options.clock.now()
    this.#checkClock(now)
    const isReady = this.#options.usesOverlay && this.#options.overlay.isReady()
    if (isReady && !this.#wasReady) this.#lookups.forget()
    this.#wasReady = isReady
    this.#score(now)
    if (now.mono >= this.#signAt && this.#locatorKey !== undefined) this.#sign(now)
    if (this.#options.usesOverlay && now.mono >= this.#tellAt) this.#tellServices(now)
    if (isReady) {
      if (now.mono >= this.#publishAt) void this.#publish()
      void this.#lookUp(now)
      void this.#askForRelays(now)
    }
    this.#known.saveNowAndThen(now.mono)
  }

  /** Records are good for a day by the wall clock: what was signed before it jumped may be of no use after. */
  #checkClock({ mono, wall }: Now): void {
    const lead = wall - mono
    if (this.#lead !== undefined && Math.abs(lead - this.#lead) > clockJumpMs) this.#change()
    this.#lead = lead
  }

  /** What changes within a moment is said once. */
  #change(): void {
    const { mono } = this.#options.clock.now()
    const { settleMs, burst, gapMs } = this.#limits
    const settled = Math.max(mono + settleMs, this.#wholeAt - (burst - 1) * gapMs)
    this.#signAt = this.#signAt > mono ? Math.min(this.#signAt, settled) : settled
  }

  #ways(): readonly string[] {
    const { showsAddresses } = this.#options
    const circuits = this.#circuits.map(formatCircuitAddress)
    const all = showsAddresses ? [...circuits, ...this.#addresses] : circuits
    return all.filter((way) => isWay(way, deviceRecordUrlLengthMax))
  }

  #sign(now: Now): void {
    const { showsAddresses, onOwnWays } = this.#options
    const overlayContact = showsAddresses ? this.#overlayContact : undefined
    const overlayClient = showsAddresses ? this.#overlayClient : undefined
    const mailboxes = this.#boxes.filter(({ mailbox }) => mailbox.url.length <= boxUrlLengthMax).map(boxToEntry)
    const bundleKey = this.#bundleKey
    const facts = { ways: this.#ways(), overlayContact, overlayClient, bundleKey, mailboxes }
    const record = this.#own.sign(facts, now.wall)
    const service = this.#service && this.#signService(this.#service, now.wall)
    this.#signed = { record, service }
    this.#wholeAt = Math.max(this.#wholeAt, now.mono) + this.#limits.gapMs
    this.#signAt = now.mono + this.#limits.refreshMs
    this.#publishAt = now.mono
    this.#tellAt = now.mono
    this.#publishTries = 0
    const met = this.#known.toPassOn(contactServicesMax, now.wall)
    onOwnWays({ record, services: [...(service === undefined ? [] : [service]), ...met].slice(0, contactServicesMax) })
  }

  /** Strangers are told of relays that are of use to them: those of one's own network are none of their business. */
  #tellServices({ mono, wall }: Now): void {
    const nearest = this.#options.loopbackOnly === true ? 'loopback' : 'public'
    const isTellable = (url: string): boolean => isWayWithin(url, nearest)
    const own = this.#service?.urls.some(isTellable) === true ? this.#signed?.service : undefined
    this.#tellAt = mono + tellServicesIntervalMs
    this.#options.onServices?.(own, this.#known.toTell(wall, isTellable))
  }

  #signService({ key, urls, terms, capacity, latency, region }: OwnService, wall: number): Uint8Array {
    const createdAt = Math.floor(wall)
    const facts = { urls, terms, capacity, latency, region, createdAt, expiresAt: createdAt + recordLifetimeMs }
    // A relay's clock alone gives its sequence: it signs once an hour, so a clock set back by less costs nothing.
    return signServiceRecord(this.#options.crypto, key.secretKey, { kind: 'relay', sequence: createdAt, ...facts })
  }

  /** Stores the records where they are looked for; without a way or a mailbox to tell of there is nothing to find. */
  async #publish(): Promise<void> {
    const { crypto, random, overlay, deviceKey, clock } = this.#options
    const signed = this.#signed
    if (this.#isPublishing || signed === undefined || this.#locatorKey === undefined) return
    this.#isPublishing = true
    this.#publishAt = Number.POSITIVE_INFINITY
    const records: Uint8Array[] = []
    if (this.#ways().length + this.#boxes.length > 0) {
      const locator = deriveRecordLocator(crypto, this.#locatorKey, deviceKey.publicKey)
      const facts = { nonce: random.bytes(24), sequence: this.#own.sequence }
      records.push(sealDeviceRecord(crypto, locator, signed.record, facts))
    }
    if (this.#service !== undefined && signed.service !== undefined) {
      const { publicKey, secretKey } = this.#service.key
      const facts = { salt: serviceRecordSalt, sequence: Math.floor(clock.now().wall), value: signed.service }
      records.push(signRecord(crypto, { publicKey, secretKey, ...facts }))
    }
    let isStored = true
    for (const record of records) if (!(await overlay.putRecord(record)).ok) isStored = false
    this.#isPublishing = false
    const now = clock.now()
    if (isStored && records.length > 0) this.#publishedAt = now.wall
    if (isStored) return
    this.#count('publish-failed')
    const { retryMs, refreshMs } = this.#limits
    // A record signed meanwhile is due already.
    const waitMs = Math.min(refreshMs, retryMs * 2 ** Math.min(20, this.#publishTries++))
    this.#publishAt = Math.min(this.#publishAt, now.mono + waitMs)
  }

  async #lookUp({ mono }: Now): Promise<void> {
    if (this.#isLookingUp) return
    const peer = this.#lookups.next(mono, (peerId) => isLost(this.#options.connection(peerId)))
    if (peer === undefined) return
    this.#isLookingUp = true
    this.#count('lookups')
    const { crypto, overlay, clock, onFound } = this.#options
    const deviceKey = peerIdToKey(peer.peerId)
    const locator = deriveRecordLocator(crypto, peer.locatorKey, deviceKey)
    const found = await overlay.get(locator.key)
    this.#isLookingUp = false
    if (this.#isStopped) return
    if (!found.ok) {
      this.#count('lookup-nothing')
      return
    }
    const record = openDeviceRecord(crypto, locator, found.value.record, deviceKey)
    if (!record.ok) {
      this.#count(`lookup-${record.error.type}`)
      return
    }
    const { createdAt, sequence, ways, overlayClient } = record.value
    if (!isRecordFresh(createdAt, clock.now().wall)) this.#count('lookup-expired')
    else if (sequence <= peer.waysSequence) this.#count('lookup-stale')
    else {
      const nearest = this.#nearest()
      this.#count('lookup-found')
      if (overlayClient !== undefined) this.#options.onOverlayClient?.(overlayClient)
      const isWithin = (way: string): boolean => isWayWithin(way, nearest)
      onFound({
        peerId: peer.peerId,
        sequence,
        addresses: ways.filter(isWithin),
        mailboxes: boxesOf(record.value, isWithin),
        ...(record.value.bundleKey && { bundleKey: record.value.bundleKey }),
      })
    }
  }

  /** While too few relays serve us: those that were lost say under their own key where they are, and nodes name others. */
  async #askForRelays(now: Now): Promise<void> {
    const { overlay, serviceSource, relays } = this.#options
    const reservations = relays().filter(({ state }) => state === 'reserved').length
    if (this.#isAsking || now.mono < this.#askAt || reservations >= this.#limits.reservationsEnough) return
    this.#isAsking = true
    const { serviceIntervalMs, serviceRetryMs } = this.#limits
    // Who has just come up may have asked nodes that have just come up as well.
    const tries = reservations > 0 ? 20 : Math.min(20, this.#askTries++)
    if (reservations > 0) this.#askTries = 0
    this.#askAt = now.mono + Math.min(serviceIntervalMs, serviceRetryMs * 2 ** tries)
    const heard: Uint8Array[] = []
    const lostKeys = this.#known.lostKeys()
    const lost = lostKeys[this.#asked++ % lostKeys.length]
    if (lost !== undefined) {
      const found = await overlay.get(serviceRecordKey(this.#options.crypto, lost))
      if (found.ok) heard.push(found.value.record.value)
    }
    heard.push(...((await serviceSource?.services()) ?? []))
    this.#isAsking = false
    if (this.#isStopped) return
    for (const service of heard) this.#learn(service, 'overlay', this.#options.clock.now().wall)
    this.#tellCandidates()
  }

  #learn(service: Uint8Array, origin: RelayOrigin, wall: number): void {
    const isNews = this.#known.learn(service, origin, this.#nearest(), wall)
    if (isNews) this.#tellAt = Number.NEGATIVE_INFINITY
    this.#count(isNews ? 'relay-learnt' : 'relay-refused')
  }

  /** Relays nearer than this are not for us: strangers would have us knock at doors of our own network. */
  #nearest(): AddressScope {
    if (this.#options.loopbackOnly === true) return 'loopback'
    let nearest = nearestRelayScope(this.#circuits.map(formatCircuitAddress))
    for (const { url } of this.#options.configuredRelays()) if (!isWayWithin(url, nearest)) nearest = wayScope(url)
    return nearest
  }

  #score({ wall }: Now): void {
    const seen = new Map<string, RelayView['state']>()
    for (const { relay, state } of this.#options.relays()) {
      const name = bytesToHex(relay.relayId)
      seen.set(name, state)
      if (this.#seen.get(name) === state) continue
      if (state === 'reserved') this.#known.worked(relay.relayId, wall)
      else if (state === 'unreachable' || state === 'refused') this.#known.failed(relay.relayId)
    }
    this.#seen = seen
  }

  #tellCandidates(): void {
    const candidates = this.relayCandidates()
    const text = candidates.map(({ relay }) => `${bytesToHex(relay.relayId)} ${relay.url}`).join('\n')
    if (text === this.#candidatesText) return
    this.#candidatesText = text
    this.#options.onCandidates(candidates)
  }

  #relayIdOf(serviceKey: Uint8Array): Uint8Array {
    return relayIdOf(serviceKey, (bytes) => this.#options.crypto.sha256(bytes))
  }

  #document(name: 'own-record' | 'known-relays', magic: string, bodySizeMax: number): SealedDocument {
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

  #count(reason: string): void {
    this.#counters.set(reason, (this.#counters.get(reason) ?? 0) + 1)
  }
}

export interface RecordsInfo {
  /** Of the own record signed last, 0 for none. */
  readonly sequence: number
  /** Ways that it names, or would name now. */
  readonly ways: number
  /** Wall-clock ms at which the overlay took it last. */
  readonly publishedAt: number | undefined
  readonly knownRelays: number
  readonly counters: Readonly<Record<string, number>>
}

/** No link stands or is being made, and the ways that are known have failed, or there are none. */
function isLost(view: ConnectionView | undefined): boolean {
  if (view === undefined) return true
  const isQuiet = view.state === 'idle' || view.state === 'waiting' || view.state === 'closed'
  return isQuiet && (view.error !== undefined || view.addresses.length === 0)
}

function textOf(client: OverlayClient | undefined): string {
  return client === undefined ? '' : bytesToHex(encodeOverlayClient(client))
}

function relayOf(address: string): RelayAddress[] {
  const circuit = parseCircuitAddress(address)
  return circuit === undefined ? [] : [circuit.relay]
}
