import type { AccountId, Jitter, Now, PeerId, Random } from '@miaou/core'
import type { Crypto } from '@miaou/crypto'
import {
  type CommandError,
  Messaging,
  type MessagingIdentity,
  type MessagingInput,
  type MessagingOutput,
  type Store,
  StoreFailure,
} from '@miaou/messaging'
import {
  type Advertisement,
  type CircuitsEngine,
  type CircuitsInput,
  type ConnectionView,
  type MailboxesEngine,
  type MailboxView,
  Network,
  type NetworkIdentity,
  type NetworkInput,
  type PipeId,
  type RelayView,
} from '@miaou/network'
import { frameTypes } from '@miaou/protocol'
import { ContactLinks, type ContactLinksInput, type ContactLinksOutput } from './contact-links.ts'
import { ContactWaysExchange, type ContactWaysInput, type ContactWaysOutput } from './contact-ways.ts'
import type { GossipEngine, GossipView } from './gossip-interface.ts'
import type { PeerInput, PeerOutput } from './interface.ts'
import { Neighbourhood, type SeenPeer, type Sightings } from './neighbourhood.ts'
import { Post } from './post.ts'
import { RelayedNetwork, type RelayedOutput } from './relayed-network.ts'

/** Row C04: what a peer says of itself on the LAN. */
export const advertisedVersion = '0.2.0'

/**
 * Inputs of one batch that are tried and fail before the rest is refused untried: after each failure messaging reads its
 * people from the store again, which a full disk must not multiply by the size of a batch. Guess.
 */
const failuresPerBatchMax = 8

/** How far the clocks may part before messaging must hear of it, ms. As messaging itself. */
const leapMs = 1_000

/** Frames that are no matter of messaging. */
const besideMessages: ReadonlySet<number> = new Set([
  frameTypes.gossip,
  frameTypes.overlayContact,
  frameTypes.contactWays,
])

export interface PeerOptions {
  readonly crypto: Crypto
  readonly random: Random
  readonly jitter: Jitter
  readonly store: Store
  readonly network: NetworkIdentity
  readonly messaging: MessagingIdentity
  /** Feature names offered to other peers (row B20), only those that exist. */
  readonly features: readonly string[]
  /** Whether this host can make WebRTC pipes. */
  readonly webrtc: boolean
  /** Numbers for pipes that this peer opens; shared with the transports. */
  readonly nextPipe: () => PipeId
  /** Whether this host hides its address from peers; false by default. */
  readonly relayOnly?: boolean
  /** Makes circuits through relays; undefined for a peer that uses none. */
  readonly circuits?: CircuitsEngine
  /** Keeps boxes at mailboxes and leaves messages there; undefined for a peer that uses none. */
  readonly mailboxes?: MailboxesEngine
  /** Where `features` has `gossip`: the engine, made with `linkedGossipOptions`. */
  readonly gossip?: GossipEngine
}

/**
 * One peer: the network, messaging and gossip engines composed. A batch of inputs is handled in three stages: links first
 * (memory only), then messaging in one store transaction, then what else linked contacts exchange (memory only); outputs
 * come back only after the commit, so that nothing was sent that a crash could undo.
 */
export class Peer {
  readonly #store: Store
  readonly #network: RelayedNetwork
  readonly #messaging: Messaging
  readonly #neighbourhood: Neighbourhood
  readonly #contactLinks: ContactLinks
  readonly #contactWays: ContactWaysExchange
  readonly #post: Post
  /** What the last stage of the batch has to handle. */
  #beside: (ContactLinksInput | ContactWaysInput)[] = []
  #haveContactsChanged = false
  /** Wall clock minus monotonic clock at the last wake of messaging, ms. */
  #leadMs = Number.NEGATIVE_INFINITY
  /** Transactions that failed, by kind. */
  readonly #failures = new Map<string, number>()
  /** As JSON: what the host was told last. Undefined is silence, which a host begins with. */
  #advertised: string | undefined

  constructor(options: PeerOptions) {
    const { crypto, random, jitter, store, features, webrtc, relayOnly = false } = options
    this.#store = store
    this.#network = new RelayedNetwork(
      new Network({ crypto, random, jitter, identity: options.network, features, webrtc, relayOnly }, options.nextPipe),
      options.circuits,
      options.mailboxes,
    )
    this.#post = new Post(options.mailboxes !== undefined)
    this.#messaging = new Messaging({ crypto, random, jitter, store, identity: options.messaging })
    this.#neighbourhood = new Neighbourhood(crypto, random, {
      peerId: options.network.peerId,
      features,
      version: advertisedVersion,
    })
    this.#contactLinks = new ContactLinks(() => this.#messaging.contacts(), options.gossip)
    this.#contactWays = new ContactWaysExchange(crypto, () => this.#messaging.contacts())
  }

  /** Handles inputs in order; `now` is read once for the batch. Outputs are in the order they must happen. */
  handle(now: Now, inputs: readonly PeerInput[]): PeerOutput[] {
    const outputs: PeerOutput[] = []
    let pending: MessagingInput[] = []
    for (const input of inputs) this.#admit(now, input, outputs, pending)
    // What is asked of the network can end a link, which the layers above must hear of in turn.
    while (pending.length > 0 || this.#beside.length > 0) {
      const followUps: MessagingInput[] = []
      if (pending.length > 0) {
        for (const output of gatherSends(this.#commit(now, pending))) this.#release(now, output, outputs, followUps)
      }
      this.#serveContactLinks(now, outputs, followUps)
      pending = followUps
    }
    return outputs
  }

  /** Monotonic ms of the next wake, Infinity for none. An early or repeated wake changes nothing. */
  deadline(): number {
    return Math.min(this.#network.deadline(), this.#messaging.deadline(), this.#contactLinks.deadline())
  }

  connections(): readonly ConnectionView[] {
    return this.#network.views()
  }

  connection(peerId: PeerId): ConnectionView | undefined {
    return this.#network.view(peerId)
  }

  /** The relays in use, best first. */
  relays(): readonly RelayView[] {
    return this.#network.relays()
  }

  /** Own boxes, best first. */
  mailboxes(): readonly MailboxView[] {
    return this.#network.mailboxes()
  }

  seenPeers(): readonly SeenPeer[] {
    return this.#neighbourhood.seenPeers()
  }

  /** The devices of contacts, and whose each is. */
  contactsByDevice(): ReadonlyMap<PeerId, { readonly account: AccountId; readonly name: string }> {
    return new Map(
      this.#messaging
        .contacts()
        .flatMap(({ account, name, devices }) => devices.map((peerId) => [peerId, { account, name }] as const)),
    )
  }

  /** What was dropped or failed, by reason, since the start. */
  counters(): Readonly<Record<string, number>> {
    const counters: Record<string, number> = {
      ...this.#network.counters(),
      ...this.#contactLinks.counters(),
      ...this.#contactWays.counters(),
    }
    for (const [reason, count] of this.#failures) counters[`store-${reason}`] = count
    return counters
  }

  /** Undefined for a peer without gossip. */
  gossip(): GossipView | undefined {
    return this.#contactLinks.gossip()
  }

  #admit(now: Now, input: PeerInput, outputs: PeerOutput[], messagingInputs: MessagingInput[]): void {
    switch (input.type) {
      case 'network':
        this.#drive(now, input.input, outputs, messagingInputs)
        return
      case 'circuits':
        this.#driveCircuits(now, input.input, outputs, messagingInputs)
        return
      case 'mailboxes':
        for (const output of this.#network.handleMailboxes(now, input.input))
          this.#route(output, outputs, messagingInputs)
        return
      case 'found-bundle':
        messagingInputs.push({ ...input, type: 'bundle' })
        return
      case 'command':
        messagingInputs.push(input)
        return
      case 'gossip':
      case 'overlay-node':
      case 'own-ways':
        this.#beside.push(input)
        if (input.type === 'own-ways') {
          messagingInputs.push({ type: 'own-record', record: input.ways?.record ?? new Uint8Array(0) })
        }
        return
      case 'device-ways':
        messagingInputs.push(input)
        return
      case 'wake':
        this.#beside.push(input)
        if (this.#isForGossipAlone(now)) return
        this.#leadMs = now.wall - now.mono
        this.#drive(now, input, outputs, messagingInputs)
        messagingInputs.push(input)
        return
      case 'listening':
        this.#advertise(this.#neighbourhood.listening(input.port), outputs)
        return
      case 'discovered':
        this.#meet(now, this.#neighbourhood.update(input.peers), outputs, messagingInputs)
    }
  }

  /** A wake that costs no transaction. Not where the clocks parted: messaging has to look at its deadlines then. */
  #isForGossipAlone(now: Now): boolean {
    const sleepsUntil = Math.min(this.#network.deadline(), this.#messaging.deadline())
    const isSteady = Math.abs(now.wall - now.mono - this.#leadMs) < leapMs
    return isSteady && this.#contactLinks.deadline() <= now.mono && sleepsUntil > now.mono
  }

  /** What linked contacts exchange beside messages, by the contacts there are after the commit. */
  #serveContactLinks(now: Now, outputs: PeerOutput[], followUps: MessagingInput[]): void {
    const inputs = this.#beside
    this.#beside = []
    if (this.#haveContactsChanged) {
      this.#haveContactsChanged = false
      this.#perform(now, this.#contactLinks.refresh(now), outputs, followUps)
      this.#perform(now, this.#contactWays.refresh(now), outputs, followUps)
    }
    for (const input of inputs) {
      if (isForWays(input)) this.#perform(now, this.#contactWays.handle(now, input), outputs, followUps)
      if (isForLinks(input)) this.#perform(now, this.#contactLinks.handle(now, input), outputs, followUps)
    }
  }

  #perform(
    now: Now,
    asked: readonly (ContactLinksOutput | ContactWaysOutput)[],
    outputs: PeerOutput[],
    followUps: MessagingInput[],
  ): void {
    for (const output of asked) {
      if (output.type === 'send') this.#drive(now, output, outputs, followUps)
      else if (output.type === 'ways') {
        const { type: _type, ...ways } = output
        followUps.push({ ...ways, type: 'device-ways' })
        outputs.push({ type: 'heard-ways', ways })
      } else outputs.push(output)
    }
  }

  #meet(now: Now, sightings: Sightings, outputs: PeerOutput[], messagingInputs: MessagingInput[]): void {
    const { seen, changed, gone } = sightings
    for (const { peerId, addresses } of [...seen, ...changed]) {
      this.#drive(now, { type: 'addresses', peerId, addresses }, outputs, messagingInputs)
    }
    for (const { peerId } of seen) outputs.push({ type: 'event', event: { type: 'peer-seen', peerId } })
    for (const peerId of gone) outputs.push({ type: 'event', event: { type: 'peer-gone', peerId } })
  }

  /** Only what differs: each new advertisement says goodbye to the LAN first, and others would see us go and come. */
  #advertise(advertisement: Advertisement | undefined, outputs: PeerOutput[]): void {
    const text = JSON.stringify(advertisement)
    if (text === this.#advertised) return
    this.#advertised = text
    outputs.push({ type: 'advertise', advertisement })
  }

  #drive(now: Now, input: NetworkInput, outputs: PeerOutput[], messagingInputs: MessagingInput[]): void {
    for (const output of this.#network.handle(now, input)) this.#route(output, outputs, messagingInputs)
  }

  #driveCircuits(now: Now, input: CircuitsInput, outputs: PeerOutput[], messagingInputs: MessagingInput[]): void {
    for (const output of this.#network.handleCircuits(now, input)) this.#route(output, outputs, messagingInputs)
  }

  #route(output: RelayedOutput, outputs: PeerOutput[], messagingInputs: MessagingInput[]): void {
    switch (output.type) {
      case 'link-up': {
        const { type, peerId, accountKey, features } = output
        const address = this.#network.remoteAddress(peerId)
        this.#beside.push({ type, peerId, accountKey, features, address })
        messagingInputs.push(output)
        return
      }
      case 'frame':
        if (besideMessages.has(output.frameType)) this.#beside.push(output)
        else messagingInputs.push(output)
        return
      case 'link-down':
        this.#beside.push({ type: 'link-down', peerId: output.peerId })
        messagingInputs.push({ type: 'link-down', peerId: output.peerId })
        return
      case 'event':
        outputs.push({ type: 'event', event: { type: 'network', event: output.event } })
        return
      case 'boxes':
        outputs.push(output)
        messagingInputs.push(output)
        return
      case 'bundle': {
        const bundleKey = this.#post.takeBundleKey(output.id)
        if (output.bytes === undefined && bundleKey) outputs.push({ type: 'find-bundle', id: output.id, bundleKey })
        else messagingInputs.push(output)
        return
      }
      case 'fetched':
      case 'deposited':
      case 'checked':
      case 'stale-start':
        messagingInputs.push(output)
        return
      default:
        outputs.push(output)
    }
  }

  /** All inputs in one transaction; where that fails, each in its own, so that one cannot take others down with it. */
  #commit(now: Now, inputs: readonly MessagingInput[]): MessagingOutput[] {
    const together = this.#attempt(now, inputs)
    if (together instanceof StoreFailure && inputs.length > 1) {
      return this.#commitEach(now, inputs)
    }
    const [only] = inputs
    if (!(together instanceof StoreFailure)) return together
    return only === undefined ? [] : this.#refuse(only, together)
  }

  #commitEach(now: Now, inputs: readonly MessagingInput[]): MessagingOutput[] {
    let outputs: MessagingOutput[] = []
    let failuresCount = 0
    let failure: StoreFailure | undefined
    for (const input of inputs) {
      outputs = withoutSendsTo(input, outputs)
      const isLossless = input.type === 'frame' || input.type === 'command'
      if (failure !== undefined && failuresCount >= failuresPerBatchMax && isLossless) {
        outputs.push(...this.#refuse(input, failure))
        continue
      }
      const alone = this.#attempt(now, [input])
      if (alone instanceof StoreFailure) {
        failure = alone
        failuresCount += 1
        outputs.push(...this.#refuse(input, alone))
      } else outputs.push(...alone)
    }
    return outputs
  }

  #attempt(now: Now, inputs: readonly MessagingInput[]): MessagingOutput[] | StoreFailure {
    try {
      return this.#store.transaction(() => {
        let outputs: MessagingOutput[] = []
        for (const input of inputs) {
          outputs = withoutSendsTo(input, outputs)
          outputs.push(...this.#messaging.handle(now, input))
        }
        outputs.push(...this.#messaging.flush(now))
        return outputs
      })
    } catch (failure) {
      if (!(failure instanceof StoreFailure)) throw failure
      this.#messaging.rollback()
      this.#failures.set(failure.kind, (this.#failures.get(failure.kind) ?? 0) + 1)
      return failure
    }
  }

  /** A frame that could not be stored gets no receipt, so its sender keeps it; a command gets its error. */
  #refuse(input: MessagingInput, failure: StoreFailure): MessagingOutput[] {
    if (input.type !== 'command') return []
    const error: CommandError =
      failure.kind === 'full' ? { type: 'disk-full' } : { type: 'store-failed', detail: failure.message }
    return [{ type: 'reply', id: input.id, result: { ok: false, error } }]
  }

  #release(now: Now, output: MessagingOutput | SendAll, outputs: PeerOutput[], followUps: MessagingInput[]): void {
    switch (output.type) {
      case 'reply':
        outputs.push(output)
        return
      case 'event':
        outputs.push({ type: 'event', event: { type: 'stored', stored: output.stored } })
        return
      case 'fleeting':
        outputs.push({ type: 'event', event: output })
        return
      case 'visibility': {
        const { advertisement, ...sightings } = this.#neighbourhood.setVisibility(output)
        this.#advertise(advertisement, outputs)
        this.#meet(now, sightings, outputs, followUps)
        return
      }
      case 'unlink':
        this.#drive(now, { type: 'disconnect', peerId: output.peerId, reason: 'blocked' }, outputs, followUps)
        return
      case 'wanted':
        // Told whenever somebody became a contact or is none any more.
        this.#haveContactsChanged = true
        this.#beside.push({ type: 'own-locator', key: output.ownLocatorKey })
        this.#drive(now, output, outputs, followUps)
        outputs.push(output)
        return
      case 'last-resort':
        outputs.push(output)
        return
      case 'start':
      case 'supply':
      case 'acknowledge':
      case 'deposit':
      case 'check':
      case 'fetch-bundle': {
        const asked = this.#post.ask(output)
        if (asked.type === 'answer') followUps.push(asked.answer)
        else if (asked.type === 'find') outputs.push(asked.find)
        else if (asked.type === 'input') {
          for (const each of this.#network.handleMailboxes(now, asked.input)) this.#route(each, outputs, followUps)
        }
        return
      }
      default:
        this.#drive(now, output, outputs, followUps)
    }
  }
}

function isForWays(input: ContactLinksInput | ContactWaysInput): input is ContactWaysInput {
  if (input.type === 'frame') return !('frameType' in input) || input.frameType === frameTypes.contactWays
  return input.type !== 'gossip' && input.type !== 'overlay-node' && input.type !== 'wake'
}

function isForLinks(input: ContactLinksInput | ContactWaysInput): input is ContactLinksInput {
  if (input.type === 'frame') return 'frameType' in input && input.frameType !== frameTypes.contactWays
  return input.type !== 'own-locator' && input.type !== 'own-ways'
}

type SendAll = Extract<NetworkInput, { readonly type: 'send-all' }>

/**
 * What was written for a link that this batch then saw end: another link may stand already, and on it such a frame would
 * overtake those that the dead link swallowed. Messaging writes all of it again for the new link, in order.
 */
function withoutSendsTo(input: MessagingInput, outputs: MessagingOutput[]): MessagingOutput[] {
  if (input.type !== 'link-down') return outputs
  return outputs.filter((output) => output.type !== 'send' || output.peerId !== input.peerId)
}

/** Sends to one device that follow each other become one input: the link packs them together. The order stays. */
function gatherSends(outputs: readonly MessagingOutput[]): (MessagingOutput | SendAll)[] {
  const gathered: (MessagingOutput | SendAll)[] = []
  let frames: SendAll['frames'][number][] = []
  let peerId: PeerId | undefined
  for (const output of outputs) {
    if (output.type !== 'send' || output.fleeting) {
      gathered.push(output)
      // An event changes nothing for the network: sends around it stay together.
      if (output.type !== 'event' && output.type !== 'reply') peerId = undefined
      continue
    }
    if (output.peerId !== peerId) {
      peerId = output.peerId
      frames = []
      gathered.push({ type: 'send-all', peerId, frames })
    }
    frames.push({ frameType: output.frameType, payload: output.payload })
  }
  return gathered
}
