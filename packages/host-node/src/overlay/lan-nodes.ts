import { bytesToHex, equalBytes, type Random } from '@miaou/core'
import { advertisedVersion } from '@miaou/peer'
import { formatEndpoint, parseEndpoint } from '@miaou/protocol'
import { MdnsBrowser, type MdnsBrowserOptions } from '../mdns/mdns-browser.ts'
import { type OverlayServiceText, overlayService, overlayServiceToText } from '../mdns/overlay-service.ts'
import { ownNetworks } from './own-networks.ts'
import type { NodeAddress } from './saved-contacts.ts'

export interface LanNodesOptions {
  /** The node's own overlay key: told, and not met. */
  readonly publicKey: Uint8Array
  readonly random: Random
  readonly loopbackOnly: boolean
  /** Something was heard: `nodes` may answer more. */
  readonly onNews: () => void
  readonly browser?: Partial<MdnsBrowserOptions>
}

/** Nodes remembered at most: more than fit a bootstrap are of no use. Guess. */
const nodesMax = 64
/** Of one node: an address of each family and of each network it may share with us. Guess. */
const addressesMax = 4

/**
 * The nodes of the overlay on the LAN, by a service of its own under a random name drawn once a start: what is told there
 * names neither peer nor account. Who watches the network still sees that both services come from one address.
 */
export class LanNodes {
  readonly #options: LanNodesOptions
  readonly #browser: MdnsBrowser<OverlayServiceText>
  readonly #instanceName: string
  #isTold = false

  constructor(options: LanNodesOptions) {
    this.#options = options
    this.#instanceName = bytesToHex(options.random.bytes(8))
    this.#browser = new MdnsBrowser(overlayService, {
      peersMax: nodesMax,
      addressesMax,
      loopbackOnly: options.loopbackOnly,
      ...options.browser,
    })
    this.#browser.onNews(() => {
      this.#browser.collect()
      options.onNews()
    })
  }

  /** Listens and asks. A network without multicast is no reason not to run: its reason in words, else undefined. */
  async start(): Promise<string | undefined> {
    const started = await this.#browser.start(undefined)
    if (started.ok) return undefined
    return 'detail' in started.error ? started.error.detail : started.error.type
  }

  /** Tells the network of this node, whose sockets have `port`; undefined: falls silent. */
  async tell(port: number | undefined): Promise<void> {
    if ((port !== undefined) === this.#isTold) return
    this.#isTold = port !== undefined
    if (port === undefined) return this.#browser.advertise(undefined)
    const { publicKey } = this.#options
    const text = overlayServiceToText({ version: advertisedVersion, publicKey })
    return this.#browser.advertise({ instanceName: this.#instanceName, port, text })
  }

  /** The nodes heard of, each with its addresses, best first. Claims: who it is shows in the handshake. */
  nodes(): NodeAddress[] {
    const isOwnNetwork = ownNetworks()
    return this.#browser
      .instances()
      .filter(({ text }) => !equalBytes(text.publicKey, this.#options.publicKey))
      .flatMap(({ text, addresses }) =>
        addresses.flatMap((address) => {
          const endpoint = parseEndpoint(formatEndpoint(address))
          const isMeant = endpoint !== undefined && isOwnNetwork(endpoint)
          return isMeant ? [{ publicKey: text.publicKey, endpoint }] : []
        }),
      )
  }

  /** Says goodbye and closes everything. */
  stop(): Promise<void> {
    return this.#browser.stop()
  }
}
