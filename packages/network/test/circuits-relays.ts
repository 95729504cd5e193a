import { RelayService, type RelayServiceOptions } from '../src/circuit/relay-service.ts'
import type { World, WorldRelay } from './circuits-world.ts'
import { crypto, SeededRandom, testPseudonym } from './identities.ts'
import { RelayDouble } from './relay-double.ts'

export function addService(world: World, seed: number, options: Partial<RelayServiceOptions> = {}): WorldRelay {
  const identity = testPseudonym(seed)
  const random = new SeededRandom(seed)
  const services = { nextPipe: () => world.takePipe() }
  return world.addRelay(identity, new RelayService({ crypto, random, identity, services, ...options }))
}

export function addDouble(world: World, seed: number): { readonly relay: WorldRelay; readonly double: RelayDouble } {
  const double = new RelayDouble(testPseudonym(seed))
  return { relay: world.addRelay(double.identity, double), double }
}
