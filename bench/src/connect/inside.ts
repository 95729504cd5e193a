/**
 * The process of one world, alone in namespaces of its own (started by `pairs.ts`). Its parent names a contender and a pair
 * over IPC, one at a time; it answers each with a result, and ends when it is told `end`. The servers of a contender are
 * started with its first pair.
 */
import { execFileSync } from 'node:child_process'
import type { Contender, ContenderKind, Start } from './contender.ts'
import { startOwn } from './own.ts'
import type { Pair, PairResult } from './pair.ts'
import { startHyperdht, startLibp2p } from './rivals.ts'
import { World } from './world.ts'

export interface Turn extends Pair {
  readonly contender: ContenderKind
  readonly round: number
}

const starts: Readonly<Record<ContenderKind, Start>> = {
  miaou: startOwn,
  libp2p: startLibp2p,
  hyperdht: startHyperdht,
}

// A `/run` of its own: the names of network namespaces, the homes and the sockets of the helpers stay in this lab.
execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', '/run'])
const world = await World.build()
const contenders = new Map<ContenderKind, Contender>()

async function take({ contender: kind, round, a, b }: Turn): Promise<PairResult> {
  const pair = { a, b }
  let peer: string = kind
  try {
    await world.become(pair)
    const contender = contenders.get(kind) ?? (await starts[kind](world))
    contenders.set(kind, contender)
    peer = contender.name
    return { type: 'pair', peer, round, ...pair, ...(await contender.meet(pair)) }
  } catch (error) {
    const fault = error instanceof Error ? error.message : String(error)
    return { type: 'pair', peer, round, ...pair, outcome: 'no connection', fault: fault.slice(0, 500) }
  }
}

process.on('message', async (turn: Turn | 'end') => {
  if (turn !== 'end') {
    process.send?.(await take(turn))
    return
  }
  await Promise.all([...contenders.values()].map((contender) => contender.end()))
  world.end()
  process.exit(0)
})
process.on('disconnect', () => process.exit(1))
process.send?.('ready')
