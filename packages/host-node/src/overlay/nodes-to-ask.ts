import type { Jitter } from '@miaou/core'
import { isPublic, packEndpoint } from '@miaou/protocol'
import type { NodeAddress } from './saved-contacts.ts'

/**
 * Some of `nodes`, drawn by lot: of public addresses one of each /24 (IPv4) or /48 (IPv6), so that nobody with many
 * addresses of one network gives more than one answer.
 */
export function nodesToAsk<Node extends NodeAddress>(nodes: readonly Node[], countMax: number, jitter: Jitter): Node[] {
  const drawn = nodes.map((node) => ({ node, lot: jitter.next() })).sort((a, b) => a.lot - b.lot)
  const networks = new Set<string>()
  const chosen: Node[] = []
  for (const { node } of drawn) {
    const network = networkOf(node)
    if (chosen.length >= countMax) break
    if (network !== undefined && networks.has(network)) continue
    if (network !== undefined) networks.add(network)
    chosen.push(node)
  }
  return chosen
}

/** Undefined for addresses of one's own machine or network: any two of them may be neighbours. */
function networkOf({ endpoint }: NodeAddress): string | undefined {
  const packed = isPublic(endpoint) ? packEndpoint(endpoint) : undefined
  return packed?.slice(0, packed.length === 6 ? 3 : 6).join()
}
