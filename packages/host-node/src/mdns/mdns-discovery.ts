import type { Result } from '@miaou/core'
import type { Advertisement, DiscoveredPeer, Discovery, DiscoveryError } from '@miaou/network'
import { webSocketAddress } from '../websocket/addresses.ts'
import { MdnsBrowser, type MdnsBrowserOptions } from './mdns-browser.ts'
import { type MdnsRecord, peerService } from './service.ts'
import { advertisementToText, type ServiceText } from './txt.ts'

/** Discovery of peers by multicast DNS (rows C01 to C09). */
export class MdnsDiscovery implements Discovery {
  readonly method = 'mdns'
  readonly #browser: MdnsBrowser<ServiceText>

  constructor(options: Partial<MdnsBrowserOptions> = {}) {
    this.#browser = new MdnsBrowser(peerService, options)
  }

  start(self: Advertisement | undefined): Promise<Result<undefined, DiscoveryError>> {
    return this.#browser.start(toRecord(self))
  }

  advertise(self: Advertisement | undefined): Promise<void> {
    return this.#browser.advertise(toRecord(self))
  }

  /** The addresses of this machine changed; begins where `start` had found no interface. */
  networkChanged(): Promise<Result<undefined, DiscoveryError>> {
    return this.#browser.networkChanged()
  }

  collectPeers(): void {
    this.#browser.collect()
  }

  discoveredPeers(): readonly DiscoveredPeer[] {
    return this.#browser.instances().map(({ instanceName, text, addresses }) => ({
      instanceName,
      ...(text.peerId === undefined ? {} : { peerId: text.peerId }),
      version: text.version,
      features: text.features,
      hints: text.hints,
      addresses: addresses.map(({ host, port }) => webSocketAddress(host, port)),
    }))
  }

  onNews(listener: () => void): void {
    this.#browser.onNews(listener)
  }

  stop(): Promise<void> {
    return this.#browser.stop()
  }
}

function toRecord(self: Advertisement | undefined): MdnsRecord | undefined {
  if (self === undefined) return undefined
  return { instanceName: self.instanceName, port: self.port, text: advertisementToText(self) }
}
