import type { Jitter } from '@miaou/core'

/**
 * Up to `count` of the peers, drawn at random, in the order drawn; all of them when there are no more (row E24).
 * `isExcluded`: who gets nothing (the origin, the one it came from).
 */
export function chooseFanOut<Peer>(
  peers: Iterable<Peer>,
  count: number,
  jitter: Jitter,
  isExcluded: (peer: Peer) => boolean = () => false,
): Peer[] {
  const candidates: Peer[] = []
  for (const peer of peers) if (!isExcluded(peer)) candidates.push(peer)
  const size = Math.min(count, candidates.length)
  for (let i = 0; i < size; i++) {
    const j = i + Math.floor(jitter.next() * (candidates.length - i))
    const drawn = candidates[j] as Peer
    candidates[j] = candidates[i] as Peer
    candidates[i] = drawn
  }
  candidates.length = size
  return candidates
}
