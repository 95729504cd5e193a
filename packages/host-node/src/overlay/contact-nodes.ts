import { bytesToHex } from '@miaou/core'
import type { OverlayHint } from '@miaou/peer'
import type { NodeAddress } from './saved-contacts.ts'

/** Nodes remembered at most: two addresses of half as many contacts. Guess: a join asks 32. */
const nodesMax = 32

/** The nodes that linked contacts told of, the latest first. Claims: who it is shows in the handshake. */
export class ContactNodes {
  readonly #hints = new Map<string, OverlayHint>()
  #heardCount = 0

  /** Claims taken so far. */
  get heardCount(): number {
    return this.#heardCount
  }

  add(hints: readonly OverlayHint[]): void {
    this.#heardCount += hints.length
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

  /** They and those of the LAN take turns: neither can keep the other out. */
  besides(onLan: readonly NodeAddress[]): NodeAddress[] {
    const told = this.nodes()
    const met: NodeAddress[] = []
    for (let i = 0; i < Math.max(told.length, onLan.length); i++) {
      met.push(...told.slice(i, i + 1), ...onLan.slice(i, i + 1))
    }
    return met
  }
}
