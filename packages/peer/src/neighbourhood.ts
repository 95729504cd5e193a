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
/** Addresses of one peer, as many as a discovery gives of one instance. */
const addressesMax = 16

export interface SeenPeer {
  readonly peerId: PeerId
  readonly addresses: readonly string[]
  readonly features: readonly string[]
}

/** How the list of peers on the LAN changed. `changed`: other ways to be reached than before. */
export interface Sightings {
  readonly seen: readonly SeenPeer[]
  readonly changed: readonly SeenPeer[]
  readonly gone: readonly PeerId[]
}

/**
 * Who is on the LAN, and what the LAN learns of us. With `discoverable: contacts` the advertisement carries a random
 * name and, per contact, HMAC(hint key, name): only who was given the key recognises us (DECISIONS "mDNS").
 */
export class Neighbourhood {
  readonly #crypto: Crypto
  readonly #self: { readonly peerId: PeerId; readonly features: readonly string[]; readonly version: string }
  readonly #hiddenName: string
  /**
   * Drawn once: fresh ones in each advertisement of one name would show which hints stay, and so how many are real.
   */
  readonly #padding: readonly string[]
  #visibility: Visibility = { type: 'visibility', discoverable: 'off', hintKeys: [], recognise: [] }
  #port: number | undefined
  #seen: ReadonlyMap<PeerId, SeenPeer> = new Map()
  #discovered: readonly DiscoveredPeer[] = []
  /**
   * Whose hints an instance shows, so that each is compared with the contacts' keys once: anybody on the LAN can make
   * news, and a comparison costs one HMAC a contact.
   */
  #recognised: ReadonlyMap<string, PeerId | undefined> = new Map()

  constructor(
    crypto: Crypto,
    random: Random,
    self: { readonly peerId: PeerId; readonly features: readonly string[]; readonly version: string },
  ) {
    this.#crypto = crypto
    this.#self = self
    this.#hiddenName = bytesToHex(random.bytes(8))
    this.#padding = Array.from({ length: hintsStep }, () => bytesToHex(random.bytes(hintSize)))
  }

  listening(port: number): Advertisement | undefined {
    this.#port = port
    return this.#advertisement()
  }

  /** Whoever is recognised by a new key is news, although the LAN told nothing new. */
  setVisibility(visibility: Visibility): Sightings & { readonly advertisement: Advertisement | undefined } {
    this.#visibility = visibility
    this.#recognised = new Map()
    return { ...this.#compare(), advertisement: this.#advertisement() }
  }

  /** Takes a discovery's whole list; tells who is new, gone, or has new ways to be reached. */
  update(discovered: readonly DiscoveredPeer[]): Sightings {
    this.#discovered = discovered
    return this.#compare()
  }

  seenPeers(): readonly SeenPeer[] {
    return [...this.#seen.values()]
  }

  #compare(): Sightings {
    const before = this.#seen
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

  #recogniseAll(): Map<PeerId, SeenPeer> {
    const recognised = new Map<string, PeerId | undefined>()
    const instancesByPeer = new Map<PeerId, DiscoveredPeer[]>()
    for (const instance of this.#discovered) {
      const peerId = instance.peerId ?? this.#recogniseOnce(instance, recognised)
      if (peerId === undefined || peerId === this.#self.peerId) continue
      const instances = instancesByPeer.get(peerId) ?? []
      // An honest instance has the name of its peer. Whoever claims that peer under another name comes after it, so
      // that the true addresses cannot be pushed out.
      if (instance.instanceName === peerId) instances.unshift(instance)
      else instances.push(instance)
      instancesByPeer.set(peerId, instances)
    }
    this.#recognised = recognised
    const seen = new Map<PeerId, SeenPeer>()
    for (const [peerId, instances] of instancesByPeer) {
      const addresses = [...new Set(instances.flatMap((instance) => instance.addresses))].slice(0, addressesMax)
      seen.set(peerId, { peerId, addresses, features: instances[0]?.features ?? [] })
    }
    return seen
  }

  #recogniseOnce(
    { instanceName, hints }: DiscoveredPeer,
    recognised: Map<string, PeerId | undefined>,
  ): PeerId | undefined {
    if (hints.length === 0) return undefined
    const shown = `${instanceName} ${hints.join()}`
    const peerId = this.#recognised.has(shown) ? this.#recognised.get(shown) : this.#recognise(instanceName, hints)
    recognised.set(shown, peerId)
    return peerId
  }

  #recognise(instanceName: string, hints: readonly string[]): PeerId | undefined {
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
    const filled = Math.max(1, Math.ceil(hints.length / hintsStep)) * hintsStep
    hints.push(...this.#padding.slice(0, filled - hints.length))
    // In the order of their value, which is random: the order of contacts shows nothing.
    return { ...common, instanceName: this.#hiddenName, hints: hints.sort() }
  }
}
