import { Kademlia } from '../../../packages/overlay/src/kademlia/kademlia.ts'
import type { CreateEngine } from './world.ts'

/** The product's engine, as it is. */
export const createKademlia: CreateEngine = (world, node, config) => {
  const { contacts } = world.population
  return new Kademlia({
    crypto: world.crypto,
    random: world.random,
    jitter: world.jitter,
    contacts,
    self: contacts.id(world.population.ref(node)),
    records: world.records,
    config,
    now: world.time,
  })
}
