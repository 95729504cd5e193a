import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { ownName } from './measurement.ts'
import type { DhtContender } from './scenario.ts'

/** A package of its own with its own lock and no workspace: what is in it is never a dependency of Miaou. */
export const rivalsFolder = join(import.meta.dirname, '..', '..', 'peers', 'overlay')

/** The rivals of the DHT scenario, each a module of `bench/peers/overlay`. */
export interface Rival {
  readonly name: string
  /** More than this takes it minutes to build or does not stand up in one process. */
  readonly nodesMax: number
  /** It is 50 to 100 times slower than the others: one turn tells as much as three. */
  readonly isSlow: boolean
}

export const rivals: readonly Rival[] = [
  { name: 'hyperdht', nodesMax: 1_024, isSlow: false },
  { name: 'bittorrent-dht', nodesMax: 1_024, isSlow: false },
  { name: 'libp2p-kad-dht', nodesMax: 32, isSlow: true },
]

/** The module of a contender; fails where a rival is not installed. */
export async function loadContender(name: string): Promise<DhtContender> {
  if (name === ownName) return import('./own-network.ts')
  const rival = rivals.find((each) => each.name === name)
  if (rival === undefined) {
    throw new Error(`no contender ${name}: ${[ownName, ...rivals.map((each) => each.name)].join(', ')}`)
  }
  const contender: DhtContender = await import(pathToFileURL(join(rivalsFolder, `${name}.mjs`)).href)
  return contender
}
