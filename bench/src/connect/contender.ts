import type { Pair, PairResult } from './pair.ts'
import type { World } from './world.ts'

/** How two peers of a contender fared; pair and round are not theirs to name. */
export type Fared = Omit<PairResult, 'type' | 'peer' | 'round' | 'a' | 'b'>

/** One of those that are measured: its public servers run from its start to the end of its world. */
export interface Contender {
  /** `miaou`, or name and version of a rival. */
  readonly name: string
  /** Two new peers in the homes, that meet. Rejects when they could not be brought up or did not connect. */
  meet(pair: Pair): Promise<Fared>
  end(): Promise<void>
}

export const contenderKinds = ['miaou', 'libp2p', 'hyperdht'] as const
export type ContenderKind = (typeof contenderKinds)[number]

/** Starts the servers of a contender in a world. */
export type Start = (world: World) => Promise<Contender>

/** How many bytes tell by which way two send: own choice, what no try to connect amounts to. */
export const weightBytes = 30_000

/** Whether what passed the meter was the weight. */
export function wasDirect(bytesBefore: number, bytesAfter: number): boolean {
  return bytesAfter - bytesBefore > weightBytes / 2
}
