import { err, ok, type Result } from '@miaou/core'
import { contactSizeV4, contactSizeV6, peekGossipId } from '@miaou/protocol'
import { chooseFanOut } from '../gossip/fan-out.ts'
import { Gossip } from '../gossip/gossip.ts'
import { defaultGossipOptions } from '../gossip/gossip-options.ts'
import type { GossipInput, GossipOutput, NeighbourId } from '../gossip/interface.ts'
import type { ContactTable } from '../kademlia/contact-table.ts'
import type { P2PError } from './errors.ts'
import { exerciseTopic, readGossipMessage } from './gossip-message.ts'
import type { P2PNodeOptions } from './p2p-node.ts'
import { internPeer, type PeerInfo, readPeer } from './peer-info.ts'

/**
 * The gossip engine among peers: a peer is a neighbour from the first message that goes either way. A hint is a packed
 * contact. Everybody reads the one topic of the exercise.
 */
export class PeerGossip {
  readonly #options: P2PNodeOptions
  readonly #contacts: ContactTable
  readonly #engine: Gossip
  /** As many as the engine admits. */
  readonly #neighbours = new Map<NeighbourId, PeerInfo>()

  constructor(options: P2PNodeOptions, self: PeerInfo, contacts: ContactTable, ttl: number) {
    const { crypto, jitter, key } = options
    this.#options = options
    this.#contacts = contacts
    this.#engine = new Gossip({ crypto, jitter, key, hint: this.#hintOf(self), options: { ttl } })
    this.#handle({ type: 'subscribe', topic: exerciseTopic })
  }

  /** Makes neighbours of some peers, drawn at random, while there are fewer than the engine wants. */
  mingle(peers: readonly PeerInfo[]): void {
    const missing = defaultGossipOptions.activeTarget - this.#neighbours.size
    const strangers = peers.filter((peer) => !this.#neighbours.has(nameOf(peer)))
    for (const peer of chooseFanOut(strangers, Math.max(0, missing), this.#options.jitter)) this.#meet(peer, true)
  }

  publish(payload: Uint8Array): Result<PeerInfo[], P2PError> {
    const { outputs, forwardedTo } = this.#handle({ type: 'publish', id: 0, topic: exerciseTopic, payload })
    for (const output of outputs) {
      if (output.type === 'reply' && !output.result.ok)
        return err({ type: 'NetworkError', io: output.result.error.type })
    }
    return ok(forwardedTo)
  }

  receive(bytes: Uint8Array, from: PeerInfo): PeerInfo[] | undefined {
    if (!this.#neighbours.has(nameOf(from))) this.#meet(from, false)
    const { outputs, forwardedTo } = this.#handle({ type: 'message', from: nameOf(from), bytes })
    if (!outputs.some(({ type }) => type === 'deliver')) return undefined
    const message = readGossipMessage(bytes)
    if (message !== undefined) this.#options.deliver?.(message)
    return forwardedTo
  }

  wake(): void {
    this.#handle({ type: 'wake' })
  }

  deadline(): number {
    return this.#engine.deadline()
  }

  #meet(peer: PeerInfo, isOutgoing: boolean): void {
    const neighbour = nameOf(peer)
    this.#neighbours.set(neighbour, peer)
    this.#handle({ type: 'neighbour-up', neighbour, hint: this.#hintOf(peer), isOutgoing })
  }

  /** Runs the engine; returns its outputs, and the peers that a message of data was sent to. */
  #handle(input: GossipInput): { outputs: GossipOutput[]; forwardedTo: PeerInfo[] } {
    const outputs = this.#engine.handle(this.#options.clock.now(), input)
    const forwardedTo: PeerInfo[] = []
    for (const output of outputs) {
      if (output.type === 'connect') this.#connect(output.hint)
      if (output.type === 'disconnect') this.#part(output.neighbour)
      if (output.type !== 'send') continue
      const peer = this.#neighbours.get(output.to)
      if (peer === undefined) continue
      if (peekGossipId(output.bytes) !== undefined) forwardedTo.push(peer)
      this.#options.network.gossip(peer, output.bytes)
    }
    return { outputs, forwardedTo }
  }

  #connect(hint: Uint8Array): void {
    if (hint.length !== contactSizeV4 && hint.length !== contactSizeV6) return
    this.#contacts.reserve(1)
    const ref = this.#contacts.intern(hint, 0, hint.length === contactSizeV4 ? 4 : 6)
    if (ref !== undefined) this.#meet(readPeer(this.#contacts, ref), true)
  }

  #part(neighbour: NeighbourId): void {
    if (this.#neighbours.delete(neighbour)) this.#handle({ type: 'neighbour-down', neighbour })
  }

  #hintOf(peer: PeerInfo): Uint8Array {
    this.#contacts.reserve(1)
    const hint = new Uint8Array(contactSizeV6)
    return hint.slice(0, this.#contacts.pack(internPeer(this.#contacts, peer), hint, 0))
  }
}

function nameOf({ id }: PeerInfo): NeighbourId {
  return id.toString() as NeighbourId
}
