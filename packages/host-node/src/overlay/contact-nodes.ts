import { bytesToHex } from '@miaou/core'
import type { OverlayHint } from '@miaou/peer'

/** Nodes remembered at most: two addresses of half as many contacts. Guess: a join asks 32. */
const nodesMax = 32

/** The nodes that linked contacts told of, the latest first. Claims: who it is shows in the handshake. */
export class ContactNodes {
  readonly #hints = new Map<string, OverlayHint>()

  add(hints: readonly OverlayHint[]): void {
    for (const hint of hints) {
      const { host, port } = hint.endpoint
      const name = `${bytesToHex(hint.publicKey)} ${host} ${port}`
      this.#hints.delete(name)
      this.#hints.set(name, hint)
    }
    for (const name of this.#hints.keys()) {
      if (this.#hints.size <= nodesMax) break
      this.#hints.delete(name)
    }
  }

  nodes(): OverlayHint[] {
    return [...this.#hints.values()].reverse()
  }
}
