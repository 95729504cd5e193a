import type { ContactRef, KademliaMessage } from '../../../packages/overlay/src/kademlia/interface.ts'
import type { RandomStream } from '../kernel/random-stream.ts'
import { IdIndex } from './id-index.ts'
import { Population } from './population.ts'

/**
 * How a node behaves. `silent`: never answers. `lying`: answers with random contacts and bytes that are no record.
 * `colluding`: answers only with the colluders nearest to what is asked, says it has nothing and takes every record
 * without keeping it. Ids of colluders are as chance gave them, unless they were ground. `flooding`: see `Flood`.
 */
export type Role = 'honest' | 'silent' | 'lying' | 'colluding' | 'flooding'

export const roleNames: readonly Role[] = ['honest', 'silent', 'lying', 'colluding', 'flooding']

export const honest = 0

/** Contacts in an answer: k of the product. */
const contactsInAnswer = 20

/** The answers of nodes that are not honest. */
export class Adversary {
  readonly #population: Population
  readonly #random: RandomStream
  readonly #token = new Uint8Array(8)
  #colluders: IdIndex | undefined

  constructor(population: Population, random: RandomStream) {
    this.#population = population
    this.#random = random
  }

  /** Who colludes from now on. */
  setColluders(nodes: Uint32Array): void {
    this.#colluders = new IdIndex(this.#population.high, this.#population.low, nodes)
  }

  /** The colluders nearest to a point: what each of them answers. */
  colludersNear(point: Uint8Array, count: number = contactsInAnswer): ContactRef[] {
    const [high, low] = Population.words(point)
    return (this.#colluders?.closest(high, low, count) ?? []).map((node) => this.#population.ref(node))
  }

  /** What a node of this role says to a message, undefined for nothing. */
  answer(role: Role, from: number, message: KademliaMessage): KademliaMessage | undefined {
    if (role === 'silent' || role === 'honest') return undefined
    const { transaction } = message
    const head = { transaction, isServer: true }
    switch (message.type) {
      case 'ping':
        return { ...head, type: 'pong', observed: this.#population.contacts.endpoint(this.#population.ref(from)) }
      case 'find-node':
        return {
          ...head,
          type: 'find-node-response',
          token: this.#token,
          contacts: this.#contacts(role, message.target),
        }
      case 'find-value':
        return {
          ...head,
          type: 'find-value-response',
          token: this.#token,
          record: role === 'lying' && this.#random.chance(0.25) ? this.#random.bytes(100) : undefined,
          contacts: this.#contacts(role, message.key),
        }
      case 'store':
        return { ...head, type: 'store-response', status: 'stored' }
      default:
        return undefined
    }
  }

  #contacts(role: Role, point: Uint8Array): ContactRef[] {
    if (role === 'colluding') return this.colludersNear(point)
    return this.#random.sample(this.#population.count, contactsInAnswer).map((node) => this.#population.ref(node))
  }
}
