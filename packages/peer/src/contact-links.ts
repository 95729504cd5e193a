import { type AccountId, equalBytes, keyToAccountId, type Now, type PeerId } from '@miaou/core'
import type { ContactView } from '@miaou/messaging'
import { decodeOverlayContact, type FrameType, frameTypes, gossipKinds } from '@miaou/protocol'
import { type AcceptedDevices, acceptedDevices } from './accepted-devices.ts'
import type { GossipCommand, GossipEngine, GossipNews, GossipResult, GossipView } from './gossip-interface.ts'
import { gossipFeature } from './gossip-interface.ts'
import { LinkGossip, type LinkGossipOutput } from './link-gossip.ts'
import {
  hintsFrom,
  type LinkPlace,
  type OverlayHint,
  type OwnOverlayNode,
  ownContactFor,
  placeOfLink,
} from './overlay-telling.ts'

export type ContactLinksInput =
  | {
      readonly type: 'link-up'
      readonly peerId: PeerId
      readonly accountKey: Uint8Array
      readonly features: readonly string[]
      /** As dialled, or where the other end came from; undefined where the transport does not tell. */
      readonly address: string | undefined
    }
  | { readonly type: 'link-down'; readonly peerId: PeerId }
  /** Of the types gossip and overlayContact. */
  | { readonly type: 'frame'; readonly peerId: PeerId; readonly frameType: FrameType; readonly payload: Uint8Array }
  | { readonly type: 'gossip'; readonly id: number; readonly command: GossipCommand }
  /** Undefined: contacts are told of no node. */
  | { readonly type: 'overlay-node'; readonly node: OwnOverlayNode | undefined }
  | { readonly type: 'wake' }

export type ContactLinksOutput =
  | {
      readonly type: 'send'
      readonly peerId: PeerId
      readonly frameType: FrameType
      readonly payload: Uint8Array
      readonly fleeting: false
    }
  | { readonly type: 'gossip-reply'; readonly id: number; readonly result: GossipResult }
  | { readonly type: 'overlay-hints'; readonly peerId: PeerId; readonly hints: readonly OverlayHint[] }
  | { readonly type: 'event'; readonly event: GossipNews }

export interface ContactLinksLimits {
  /** Links whose first frames wait for their acceptance as contacts. */
  readonly heldMax: number
  /** Bytes of a greeting that waits. A longest one has 8.7 KB. */
  readonly heldSizeMax: number
  /** Told nodes taken from one link at once, and milliseconds for one more. */
  readonly hintsBurst: number
  readonly hintMs: number
}

/** Guesses. A node's addresses change when its machine moves. */
export const defaultContactLinksLimits: ContactLinksLimits = {
  heldMax: 64,
  heldSizeMax: 16_384,
  hintsBurst: 4,
  hintMs: 60_000,
}

interface Link {
  readonly account: AccountId
  readonly offersGossip: boolean
  readonly place: LinkPlace
  isAccepted: boolean
  /** What came before we had accepted the other end: the latest of each kind. */
  heldHello: Uint8Array | undefined
  heldContact: Uint8Array | undefined
  /** What it was told of our node last. */
  told: Uint8Array | undefined
  /** Monotonic ms at which the allowance of its told nodes is whole again. */
  hintsWholeAt: number
}

/**
 * What flows between linked contacts beside messages: gossip, and the way to each other's node of the overlay. Of links
 * with strangers, with requests and with blocked people nothing is taken and nothing goes there. Memory only.
 */
export class ContactLinks {
  readonly #contacts: () => readonly ContactView[]
  readonly #limits: ContactLinksLimits
  readonly #gossip: LinkGossip | undefined
  readonly #links = new Map<PeerId, Link>()
  readonly #counters = new Map<string, number>()
  #node: OwnOverlayNode | undefined
  #outputs: ContactLinksOutput[] = []

  /** `contacts`: as committed. `gossip`: undefined for a peer without. */
  constructor(
    contacts: () => readonly ContactView[],
    gossip: GossipEngine | undefined,
    limits: Partial<ContactLinksLimits> = {},
  ) {
    this.#contacts = contacts
    this.#gossip = gossip && new LinkGossip(gossip)
    this.#limits = { ...defaultContactLinksLimits, ...limits }
  }

  handle(now: Now, input: ContactLinksInput): ContactLinksOutput[] {
    switch (input.type) {
      case 'link-up':
        this.#up(now, input)
        break
      case 'link-down':
        this.#down(now, input.peerId)
        break
      case 'frame':
        this.#frame(now, input.peerId, input.frameType, input.payload)
        break
      case 'gossip':
        this.#command(now, input.id, input.command)
        break
      case 'overlay-node':
        this.#node = input.node
        for (const [peerId, link] of this.#links) this.#tell(peerId, link)
        break
      case 'wake':
        this.#perform(this.#gossip?.wake(now))
    }
    return this.#take()
  }

  /** Contacts came, went, were accepted or blocked. */
  refresh(now: Now): ContactLinksOutput[] {
    if (this.#links.size > 0) {
      const accepted = acceptedDevices(this.#contacts())
      for (const [peerId, link] of this.#links) this.#judge(now, peerId, link, accepted)
    }
    return this.#take()
  }

  /** Monotonic ms of the next wake, Infinity for none. An early or repeated wake changes nothing. */
  deadline(): number {
    return this.#gossip?.deadline() ?? Number.POSITIVE_INFINITY
  }

  /** What was dropped, by reason. */
  counters(): Readonly<Record<string, number>> {
    const counters: Record<string, number> = Object.fromEntries(this.#counters)
    for (const [reason, count] of Object.entries(this.#gossip?.counters() ?? {})) {
      if (/^(dropped|refused|disconnected)-/.test(reason)) counters[`gossip-${reason}`] = count
    }
    return counters
  }

  /** Undefined for a peer without gossip. */
  gossip(): GossipView | undefined {
    return this.#gossip?.view()
  }

  #up(now: Now, { peerId, accountKey, features, address }: Extract<ContactLinksInput, { type: 'link-up' }>): void {
    this.#down(now, peerId)
    const link: Link = {
      account: keyToAccountId(accountKey),
      offersGossip: features.includes(gossipFeature),
      place: placeOfLink(address),
      isAccepted: false,
      heldHello: undefined,
      heldContact: undefined,
      told: undefined,
      hintsWholeAt: now.mono,
    }
    this.#links.set(peerId, link)
    this.#judge(now, peerId, link, acceptedDevices(this.#contacts()))
  }

  #down(now: Now, peerId: PeerId): void {
    if (this.#links.delete(peerId)) this.#perform(this.#gossip?.part(now, peerId))
  }

  #judge(now: Now, peerId: PeerId, link: Link, accepted: AcceptedDevices): void {
    const isAccepted = accepted.get(link.account)?.has(peerId) ?? false
    if (isAccepted === link.isAccepted) return
    link.isAccepted = isAccepted
    if (!isAccepted) {
      link.told = undefined
      this.#perform(this.#gossip?.part(now, peerId))
      return
    }
    const { heldHello, heldContact } = link
    link.heldHello = undefined
    link.heldContact = undefined
    this.#tell(peerId, link)
    if (link.offersGossip) this.#perform(this.#gossip?.join(now, peerId))
    if (heldContact !== undefined) this.#hint(now, peerId, link, heldContact)
    if (heldHello !== undefined) this.#perform(this.#gossip?.hear(now, peerId, heldHello))
  }

  #frame(now: Now, peerId: PeerId, frameType: FrameType, payload: Uint8Array): void {
    const link = this.#links.get(peerId)
    if (link === undefined) this.#count('no-link')
    else if (!link.isAccepted) this.#hold(link, frameType, payload)
    else if (frameType === frameTypes.overlayContact) this.#hint(now, peerId, link, payload)
    else if (this.#gossip === undefined || !link.offersGossip) this.#count('gossip-unexpected')
    else this.#perform(this.#gossip.hear(now, peerId, payload))
  }

  /**
   * The other end of a link may have accepted us a moment before we accept it, and greets once: what it said first is kept
   * until then.
   */
  #hold(link: Link, frameType: FrameType, payload: Uint8Array): void {
    const { heldMax, heldSizeMax } = this.#limits
    const isContact = frameType === frameTypes.overlayContact
    const isHello = payload[0] === gossipKinds.hello
    if (!isContact && !isHello) {
      // A neighbour that left greets again when it comes back.
      if (payload[0] === gossipKinds.leave) link.heldHello = undefined
      this.#count('gossip-of-stranger')
      return
    }
    const isHolding = link.heldHello !== undefined || link.heldContact !== undefined
    let held = 0
    if (!isHolding) {
      for (const { heldHello, heldContact } of this.#links.values()) {
        if (heldHello !== undefined || heldContact !== undefined) held += 1
      }
    }
    if (held >= heldMax || payload.length > heldSizeMax) this.#count('held-full')
    else if (isContact) link.heldContact = payload
    else link.heldHello = payload
  }

  #tell(peerId: PeerId, link: Link): void {
    if (!link.isAccepted || this.#node === undefined) return
    const payload = ownContactFor(this.#node, link.place)
    if (payload === undefined || (link.told !== undefined && equalBytes(payload, link.told))) return
    link.told = payload
    this.#outputs.push({ type: 'send', peerId, frameType: frameTypes.overlayContact, payload, fleeting: false })
  }

  #hint(now: Now, peerId: PeerId, link: Link, payload: Uint8Array): void {
    const { hintsBurst, hintMs } = this.#limits
    if (link.hintsWholeAt > now.mono + (hintsBurst - 1) * hintMs) {
      this.#count('overlay-contact-rate')
      return
    }
    link.hintsWholeAt = Math.max(link.hintsWholeAt, now.mono) + hintMs
    const contacts = decodeOverlayContact(payload)
    if (!contacts.ok) {
      this.#count('malformed-overlay-contact')
      return
    }
    const hints = hintsFrom(contacts.value, link.place)
    if (hints.length === 0) this.#count('overlay-contact-elsewhere')
    else this.#outputs.push({ type: 'overlay-hints', peerId, hints })
  }

  #command(now: Now, id: number, command: GossipCommand): void {
    if (this.#gossip !== undefined) {
      this.#perform(this.#gossip.command(now, id, command))
      return
    }
    const isPublish = command.type === 'publish'
    const result: GossipResult = isPublish
      ? { ok: false, error: { type: 'no-neighbours' } }
      : { ok: true, value: undefined }
    this.#outputs.push({ type: 'gossip-reply', id, result })
  }

  #perform(outputs: readonly LinkGossipOutput[] = []): void {
    for (const output of outputs) {
      switch (output.type) {
        case 'send': {
          const { to: peerId, bytes: payload } = output
          this.#outputs.push({ type: 'send', peerId, frameType: frameTypes.gossip, payload, fleeting: false })
          break
        }
        case 'reply':
          this.#outputs.push({ type: 'gossip-reply', id: output.id, result: output.result })
          break
        case 'news':
          this.#outputs.push({ type: 'event', event: output.news })
      }
    }
  }

  #take(): ContactLinksOutput[] {
    const outputs = this.#outputs
    this.#outputs = []
    return outputs
  }

  #count(reason: string): void {
    this.#counters.set(reason, (this.#counters.get(reason) ?? 0) + 1)
  }
}
