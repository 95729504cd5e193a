import { bytesToHex } from '@miaou/core'
import type { OwnOverlayNode } from '@miaou/peer'

/** What linked contacts are to be told of this node, said on whenever it differs from what was said last. */
export class OwnNode {
  readonly #isTold: boolean
  #listener: (node: OwnOverlayNode) => void = () => undefined
  /** As JSON. */
  #said: string | undefined

  /** `isTold`: whether contacts are told at all. */
  constructor(isTold: boolean) {
    this.#isTold = isTold
  }

  onNews(listener: (node: OwnOverlayNode) => void): void {
    this.#listener = listener
  }

  update(node: OwnOverlayNode): void {
    if (!this.#isTold) return
    const { endpoints, observed, isServer, rendezvous = [] } = node
    const servers = rendezvous.map(({ publicKey, endpoint }) => [bytesToHex(publicKey), endpoint])
    const text = JSON.stringify([endpoints, observed, isServer, servers])
    if (text === this.#said) return
    this.#said = text
    this.#listener(node)
  }
}
