import { bytesToHex, type PeerId, type Random, textToBytes } from '@miaou/core'
import type { Crypto } from '@miaou/crypto'
import type { MessagingOutput } from '@miaou/messaging'
import type { Advertisement, DiscoveredPeer } from '@miaou/network'

type Visibility = Extract<MessagingOutput, { readonly type: 'visibility' }>

/** 6 bytes: a stranger's hint matches by chance once in 2^48; the handshake decides in the end. */
const hintSize = 6
/** What fits three TXT strings beside the other fields; more contacts than that find us by other ways. */
const hintsMax = 48
/** Hints are filled up with random ones to a multiple of this, so that their number does not tell the contacts'. */
const hintsStep = 16

export interface SeenPeer {
  readonly peerId: PeerId
  readonly addresses: readonly string[]
  readonly features: readonly string[]
}

/**
 * Who is on the LAN, and what the LAN learns of us. With `discoverable: contacts` the advertisement carries a random
 * name and, per contact, HMAC(hint key, name): only who was given the key recognises us (DECISIONS "mDNS").
 */
export class Neighbourhood {
  readonly #crypto: Crypto
  readonly #random: Random
  readonly #self: { readonly peerId: PeerId; readonly features: readonly string[]; readonly version: string }
  readonly #hiddenName: string
  #visibility: Visibility = { type: 'visibility', discoverable: 'off', hintKeys: [], recognise: [] }
  #port: number | undefined
  #seen: ReadonlyMap<PeerId, SeenPeer> = new Map()
  #discovered: readonly DiscoveredPeer[] = []

  constructor(
    crypto: Crypto,
    random: Random,
    self: { readonly peerId: PeerId; readonly features: readonly string[]; readonly version: string },
  ) {
    this.#crypto = crypto
    this.#random = random
    this.#self = self
    this.#hiddenName = bytesToHex(random.bytes(8))
  }

  listening(port: number): Advertisement | undefined {
    this.#port = port
    return this.#advertisement()
  }

  setVisibility(visibility: Visibility): Advertisement | undefined {
    this.#visibility = visibility
    this.#seen = this.#recogniseAll()
    return this.#advertisement()
  }

  /** Takes a discovery's whole list; tells who is new, gone, or has new ways to be reached. */
  update(discovered: readonly DiscoveredPeer[]): { seen: SeenPeer[]; changed: SeenPeer[]; gone: PeerId[] } {
    const before = this.#seen
    this.#discovered = discovered
    this.#seen = this.#recogniseAll()
    const seen: SeenPeer[] = []
    const changed: SeenPeer[] = []
    for (const peer of this.#seen.values()) {
      const known = before.get(peer.peerId)
      if (known === undefined) seen.push(peer)
      else if (known.addresses.join() !== peer.addresses.join()) changed.push(peer)
    }
    return { seen, changed, gone: [...before.keys()].filter((peerId) => !this.#seen.has(peerId)) }
  }

  seenPeers(): readonly SeenPeer[] {
    return [...this.#seen.values()]
  }

  #recogniseAll(): Map<PeerId, SeenPeer> {
    const seen = new Map<PeerId, SeenPeer>()
    for (const { peerId, instanceName, hints, addresses, features } of this.#discovered) {
      const recognised = peerId ?? this.#recognise(instanceName, hints)
      if (recognised === undefined || recognised === this.#self.peerId) continue
      seen.set(recognised, { peerId: recognised, addresses, features })
    }
    return seen
  }

  #recognise(instanceName: string, hints: readonly string[]): PeerId | undefined {
    if (hints.length === 0) return undefined
    return this.#visibility.recognise.find(({ key }) => hints.includes(this.#hint(key, instanceName)))?.peerId
  }

  #hint(key: Uint8Array, instanceName: string): string {
    const mac = this.#crypto.hmacSha256(key, textToBytes(`Miaou-v0.2.0-mdns-hint\0${instanceName}`))
    return bytesToHex(mac.subarray(0, hintSize))
  }

  #advertisement(): Advertisement | undefined {
    const { discoverable, hintKeys } = this.#visibility
    if (this.#port === undefined || discoverable === 'off') return undefined
    const common = { version: this.#self.version, features: this.#self.features, port: this.#port }
    if (discoverable === 'everyone') {
      return { ...common, instanceName: this.#self.peerId, peerId: this.#self.peerId, hints: [] }
    }
    const hints = hintKeys.slice(0, hintsMax).map((key) => this.#hint(key, this.#hiddenName))
    while (hints.length === 0 || hints.length % hintsStep !== 0) hints.push(bytesToHex(this.#random.bytes(hintSize)))
    // In the order of their value, which is random: the order of contacts shows nothing.
    return { ...common, instanceName: this.#hiddenName, hints: hints.sort() }
  }
}
