import { bytesToHex } from '@miaou/core'
import type { OverlayClient } from '@miaou/protocol'

/** Clients remembered at most: guess, more than a person has contacts with devices behind NATs. */
export const clientNodesMax = 512

/** Nodes that strangers do not reach, and through whom they are reached: the ones told of latest. Claims. */
export class ClientNodes {
  readonly #clients = new Map<string, OverlayClient>()

  /** A later claim takes the place of an earlier one about the same key. */
  add(clients: readonly OverlayClient[]): void {
    for (const client of clients) {
      const name = bytesToHex(client.publicKey)
      this.#clients.delete(name)
      this.#clients.set(name, client)
      const [oldest] = this.#clients.keys()
      if (this.#clients.size > clientNodesMax && oldest !== undefined) this.#clients.delete(oldest)
    }
  }

  /** Empty for a node of which nothing of the kind was told. */
  rendezvousOf(publicKey: Uint8Array): OverlayClient['rendezvous'] {
    return this.#clients.get(bytesToHex(publicKey))?.rendezvous ?? []
  }
}
