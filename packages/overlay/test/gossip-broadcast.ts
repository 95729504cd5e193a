import { GossipNetwork, type NetworkOptions, type Node } from './gossip-network.ts'

/** What became of some messages. */
export interface Broadcast {
  /** Mean and least share of the live nodes, as far as links lead to them, that had a message. */
  readonly share: number
  readonly least: number
  /** Data messages that came to a live node for each one that had to; and that were sent, also to the dead. */
  readonly copies: number
  readonly sent: number
  /** Other messages sent for each delivery. */
  readonly control: number
  /** Time to the last node in times of flooding: mean and worst. */
  readonly ratio: number
  readonly worst: number
  /** Mean time to the last node, ms. */
  readonly lastMs: number
}

export const topic = 't'

/** Nodes that all read the topic, linked at random, with their greetings done. */
export function settledNetwork(options: NetworkOptions, degree = 8): GossipNetwork {
  const network = new GossipNetwork(options)
  network.subscribeAll(topic)
  network.linkRandomly(degree)
  network.run(5_000)
  return network
}

/** Publishes from nodes drawn by lot among `from` (all that live) and watches where it comes. */
export function broadcast(
  network: GossipNetwork,
  name: string,
  count: number,
  gapMs = 200,
  from?: readonly Node[],
): Broadcast {
  network.dataReceived = 0
  network.dataSent = 0
  network.controlSent = 0
  const sent: { readonly text: string; readonly by: Node; readonly at: number; readonly flooding: Float64Array }[] = []
  for (let number = 0; number < count; number++) {
    const candidates = from ?? network.live()
    const by = candidates[network.jitter.below(candidates.length)] as Node
    const text = `${name} ${number}`
    sent.push({ text, by, at: network.now, flooding: network.floodingTimes(by) })
    network.publish(by, topic, text)
    network.run(gapMs)
  }
  network.run(10_000)
  const reached = sent.map(({ text, by, at, flooding }) => {
    const { share, lastAt } = network.reach(text, by, ({ index }) => Number.isFinite(flooding[index]))
    const floodingMs = flooding.reduce((last, time) => (Number.isFinite(time) ? Math.max(last, time) : last), 0)
    return { share, lastMs: lastAt - at, ratio: (lastAt - at) / floodingMs }
  })
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length
  const due = count * (network.live().length - 1)
  return {
    share: mean(reached.map(({ share }) => share)),
    least: Math.min(...reached.map(({ share }) => share)),
    copies: network.dataReceived / due,
    sent: network.dataSent / due,
    control: network.controlSent / due,
    ratio: mean(reached.map(({ ratio }) => ratio)),
    worst: Math.max(...reached.map(({ ratio }) => ratio)),
    lastMs: mean(reached.map(({ lastMs }) => lastMs)),
  }
}

/** Nodes drawn by lot die at once; their neighbours learn of it after `noticedMs`. */
export function killShare(network: GossipNetwork, share: number, noticedMs: number): void {
  for (const node of network.live()) if (network.jitter.next() < share) network.kill(node, noticedMs)
}
