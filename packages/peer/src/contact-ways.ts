import { type AccountId, equalBytes, keyToAccountId, type Now, type PeerId, peerIdToKey } from '@miaou/core'
import type { Crypto } from '@miaou/crypto'
import type { ContactView } from '@miaou/messaging'
import {
  type AddressScope,
  type BoxAddress,
  contactWaysSizeMax,
  type DeviceRecord,
  decodeContactWays,
  decodeDeviceRecord,
  encodeContactWays,
  entryToBox,
  frameTypes,
  isWayWithin,
  locatorKeySize,
  nearestRelayScope,
  type OverlayClient,
  verifyDeviceRecord,
  wayScope,
} from '@miaou/protocol'
import { type AcceptedDevices, acceptedDevices } from './accepted-devices.ts'
import { placeOfLink } from './overlay-telling.ts'

/** What linked contacts are told of how this device is reached, beside its locator key. */
export interface OwnWays {
  /** Signed by this device; empty when there is no way to tell of. */
  readonly record: Uint8Array
  /** Signed service records of relays that this device met, at most 4. */
  readonly services: readonly Uint8Array[]
}

export type ContactWaysInput =
  | {
      readonly type: 'link-up'
      readonly peerId: PeerId
      readonly accountKey: Uint8Array
      /** As dialled, or where the other end came from; undefined where the transport does not tell. */
      readonly address: string | undefined
    }
  | { readonly type: 'link-down'; readonly peerId: PeerId }
  /** Of the type contactWays. */
  | { readonly type: 'frame'; readonly peerId: PeerId; readonly payload: Uint8Array }
  /** Where the own records are found now, 32 bytes. */
  | { readonly type: 'own-locator'; readonly key: Uint8Array }
  /** Undefined: contacts are told nothing. */
  | { readonly type: 'own-ways'; readonly ways: OwnWays | undefined }

export type ContactWaysOutput =
  | {
      readonly type: 'send'
      readonly peerId: PeerId
      readonly frameType: typeof frameTypes.contactWays
      readonly payload: Uint8Array
      readonly fleeting: false
    }
  | ({ readonly type: 'ways' } & HeardWays)

/** What the device of a contact said of itself, on a link that proved it. */
export interface HeardWays {
  readonly peerId: PeerId
  /** 32 bytes: where its records are found. */
  readonly locatorKey: Uint8Array
  /** Of its record; 0 when it told of no way. */
  readonly sequence: number
  /** Best first, and only such as can be meant for us. */
  readonly addresses: readonly string[]
  /** Where messages for it can be left. */
  readonly mailboxes: readonly BoxAddress[]
  /** 32 bytes: where the overlay has the manifest of its last-resort bundle. */
  readonly bundleKey?: Uint8Array
  /** Service records as told: nothing of them is verified yet. At most 4. */
  readonly services: readonly Uint8Array[]
  /** Its node of the overlay behind a NAT: a claim. */
  readonly overlayClient?: OverlayClient | undefined
}

export interface ContactWaysLimits {
  /** Links whose first frame waits for their acceptance as contacts. */
  readonly heldMax: number
  /** Frames taken from one link at once, and milliseconds for one more. */
  readonly framesBurst: number
  readonly frameMs: number
}

/** Guesses. Ways change when a machine moves or a relay goes; each frame costs two signatures at most. */
export const defaultContactWaysLimits: ContactWaysLimits = { heldMax: 64, framesBurst: 8, frameMs: 10_000 }

interface Link {
  readonly account: AccountId
  readonly scope: AddressScope
  isAccepted: boolean
  /** The latest that came before we had accepted the other end. */
  held: Uint8Array | undefined
  /** What it was told last. */
  told: Uint8Array | undefined
  /** Sequence of the last record taken from it. */
  sequence: number
  /** Monotonic ms at which its allowance is whole again. */
  wholeAt: number
}

/**
 * What linked contacts tell each other of how they are reached: where their records are found, and the record of the
 * device itself (spec/records W10 to W14). Of links with strangers, with requests and with blocked people nothing is taken,
 * and nothing goes there. Memory only.
 */
export class ContactWaysExchange {
  readonly #crypto: Crypto
  readonly #contacts: () => readonly ContactView[]
  readonly #limits: ContactWaysLimits
  readonly #links = new Map<PeerId, Link>()
  readonly #counters = new Map<string, number>()
  #locatorKey: Uint8Array | undefined
  #ways: OwnWays | undefined
  /** The nearest of the relays and mailboxes of our own: a contact may name what is as near. */
  #ownScope: AddressScope = 'public'
  #outputs: ContactWaysOutput[] = []

  /** `contacts`: as committed. */
  constructor(crypto: Crypto, contacts: () => readonly ContactView[], limits: Partial<ContactWaysLimits> = {}) {
    this.#crypto = crypto
    this.#contacts = contacts
    this.#limits = { ...defaultContactWaysLimits, ...limits }
  }

  handle(now: Now, input: ContactWaysInput): ContactWaysOutput[] {
    switch (input.type) {
      case 'link-up':
        this.#up(now, input)
        break
      case 'link-down':
        this.#links.delete(input.peerId)
        break
      case 'frame':
        this.#frame(now, input.peerId, input.payload)
        break
      case 'own-locator':
        if (input.key.length === locatorKeySize) this.#locatorKey = input.key
        this.#tellAll()
        break
      case 'own-ways':
        this.#ways = input.ways
        this.#ownScope = input.ways === undefined ? 'public' : nearestRelay(input.ways.record)
        this.#tellAll()
    }
    return this.#take()
  }

  /** Contacts came, went, were accepted or blocked. */
  refresh(now: Now): ContactWaysOutput[] {
    if (this.#links.size > 0) {
      const accepted = acceptedDevices(this.#contacts())
      for (const [peerId, link] of this.#links) this.#judge(now, peerId, link, accepted)
    }
    return this.#take()
  }

  /** What was dropped, by reason. */
  counters(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#counters)
  }

  #up(now: Now, { peerId, accountKey, address }: Extract<ContactWaysInput, { type: 'link-up' }>): void {
    const link: Link = {
      account: keyToAccountId(accountKey),
      scope: placeOfLink(address).scope,
      isAccepted: false,
      held: undefined,
      told: undefined,
      sequence: 0,
      wholeAt: now.mono,
    }
    this.#links.set(peerId, link)
    this.#judge(now, peerId, link, acceptedDevices(this.#contacts()))
  }

  #judge(now: Now, peerId: PeerId, link: Link, accepted: AcceptedDevices): void {
    const isAccepted = accepted.get(link.account)?.has(peerId) ?? false
    if (isAccepted === link.isAccepted) return
    link.isAccepted = isAccepted
    if (!isAccepted) {
      link.told = undefined
      return
    }
    const { held } = link
    link.held = undefined
    this.#tell(peerId, link)
    if (held !== undefined) this.#hear(now, peerId, link, held)
  }

  #frame(now: Now, peerId: PeerId, payload: Uint8Array): void {
    const link = this.#links.get(peerId)
    if (link === undefined) this.#count('ways-no-link')
    else if (link.isAccepted) this.#hear(now, peerId, link, payload)
    else this.#hold(link, payload)
  }

  /** The other end may have accepted us a moment before we accept it: what it said last is kept until then. */
  #hold(link: Link, payload: Uint8Array): void {
    let held = 0
    if (link.held === undefined) for (const each of this.#links.values()) if (each.held !== undefined) held += 1
    if (held >= this.#limits.heldMax || payload.length > contactWaysSizeMax) this.#count('ways-held-full')
    else link.held = payload
  }

  #hear(now: Now, peerId: PeerId, link: Link, payload: Uint8Array): void {
    const { framesBurst, frameMs } = this.#limits
    if (link.wholeAt > now.mono + (framesBurst - 1) * frameMs) {
      this.#count('ways-rate')
      return
    }
    link.wholeAt = Math.max(link.wholeAt, now.mono) + frameMs
    const ways = decodeContactWays(payload)
    if (!ways.ok) {
      this.#count('ways-malformed')
      return
    }
    const { locatorKey, record: bytes, services } = ways.value
    const record = bytes.length === 0 ? undefined : this.#verify(peerId, bytes)
    if (record === 'refused') return
    if (record !== undefined && record.sequence < link.sequence) {
      this.#count('ways-stale')
      return
    }
    link.sequence = record?.sequence ?? link.sequence
    const addresses = record?.ways.filter((way) => this.#isForUs(way, link)) ?? []
    if (addresses.length < (record?.ways.length ?? 0)) this.#count('ways-elsewhere')
    const { sequence = 0, overlayClient, bundleKey } = record ?? {}
    const mailboxes = boxesOf(record, (way) => this.#isForUs(way, link))
    const heard = { peerId, locatorKey, sequence, addresses, mailboxes, services, overlayClient }
    this.#outputs.push({ type: 'ways', ...heard, ...(bundleKey && { bundleKey }) })
  }

  #verify(peerId: PeerId, bytes: Uint8Array): DeviceRecord | 'refused' {
    const record = verifyDeviceRecord(this.#crypto, bytes, peerIdToKey(peerId))
    if (record.ok) return record.value
    this.#count(`ways-${record.error.type}`)
    return 'refused'
  }

  /**
   * An address of the other's machine or network heard from outside would make us knock at our own. Who shares a relay on
   * this machine or network with us may name others there.
   */
  #isForUs(way: string, link: Link): boolean {
    return isWayWithin(way, link.scope) || isWayWithin(way, this.#ownScope)
  }

  #tellAll(): void {
    for (const [peerId, link] of this.#links) this.#tell(peerId, link)
  }

  #tell(peerId: PeerId, link: Link): void {
    if (!link.isAccepted || this.#ways === undefined || this.#locatorKey === undefined) return
    const payload = encodeContactWays({ locatorKey: this.#locatorKey, ...this.#ways })
    if (link.told !== undefined && equalBytes(payload, link.told)) return
    link.told = payload
    this.#outputs.push({ type: 'send', peerId, frameType: frameTypes.contactWays, payload, fleeting: false })
  }

  #take(): ContactWaysOutput[] {
    const outputs = this.#outputs
    this.#outputs = []
    return outputs
  }

  #count(reason: string): void {
    this.#counters.set(reason, (this.#counters.get(reason) ?? 0) + 1)
  }
}

function nearestRelay(record: Uint8Array): AddressScope {
  const decoded = record.length === 0 ? undefined : decodeDeviceRecord(record)
  if (!decoded?.ok) return 'public'
  let nearest = nearestRelayScope(decoded.value.value.ways)
  for (const { mailbox } of boxesOf(decoded.value.value, () => true)) {
    if (!isWayWithin(mailbox.url, nearest)) nearest = wayScope(mailbox.url)
  }
  return nearest
}

/** The boxes that a record names and that can be meant for us. */
export function boxesOf(record: DeviceRecord | undefined, isForUs: (way: string) => boolean): BoxAddress[] {
  return (record?.mailboxes ?? []).flatMap((entry) => {
    const box = entryToBox(entry)
    return box && isForUs(box.mailbox.url) ? [box] : []
  })
}
