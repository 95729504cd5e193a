import { directPath, type NatMode, natModes } from '../net/nat.ts'
import { carriedDirectly, meet, pathTo, patienceMs, person, untilPath, type WantedPath } from '../world/friends.ts'
import type { Lab } from '../world/lab.ts'
import { type LabRelay, reserved, startRelay } from '../world/relay.ts'
import { expect, type Figures, type LabTest, ReportedError } from './lab-test.ts'
import type { Stage } from './stage.ts'

/** What a pair of homes is told, and what is really there: a planted fault makes them differ. */
export interface PairOptions {
  readonly a: NatMode
  readonly b: NatMode
  /** What the pair is expected to manage; default: what the NATs allow. */
  readonly expected?: ReturnType<typeof directPath>
  readonly withinMs?: number
  /** What is broken once both are up: for tests of this test. */
  readonly sabotage?: () => Promise<void>
}

/** Where UDP goes, WebRTC over it is better than TCP, which may come first. */
const wantedPaths: Readonly<Record<ReturnType<typeof directPath>, WantedPath>> = {
  udp: { kind: 'direct', transport: 'webrtc' },
  tcp: { kind: 'direct' },
  none: { kind: 'relayed' },
}

let pairs = 0

/** Two new people behind routers of these kinds: A invites, B opens the invite and writes, and both look how it goes. */
export async function meetAcross(lab: Lab, relays: readonly LabRelay[], options: PairOptions): Promise<Figures> {
  const { a, b, expected = directPath(a, b), withinMs = patienceMs, sabotage } = options
  await Promise.all([lab.a.setMode(a), lab.b.setMode(b)])
  const id = ++pairs
  const config = { relays: relays.map(({ address }) => address) }
  const daemons = await Promise.all([
    lab.daemon('a1', { name: `anna${id}`, config }),
    lab.daemon('b1', { name: `bert${id}`, config }),
  ])
  try {
    await Promise.all(daemons.map((daemon) => reserved(daemon, relays.length)))
    const [anna, bert] = await Promise.all([person(daemons[0]), person(daemons[1])])
    await sabotage?.()
    const { firstMessageMs, openedAt } = await meet(anna, bert, withinMs)
    const pathAtFirst = (await pathTo(bert, anna))?.kind ?? 'unknown'
    const bestAt = await untilPath(anna, bert, wantedPaths[expected], withinMs)
    const path = await pathTo(bert, anna)
    expect(path?.kind !== undefined, 'the link was lost')
    const isDirect = await carriedDirectly(lab, bert, anna)
    expect(isDirect === (path.kind === 'direct'), `the peers say ${path.kind}, the meter says the opposite`)
    return {
      path: path.kind,
      transport: path.transport,
      pathAtFirst,
      firstMessageMs: Math.round(firstMessageMs),
      bestPathMs: Math.round(Math.max(bestAt - openedAt, 0)),
      natTypeA: (await anna.daemon.client.network.info()).natType,
    }
  } catch (error) {
    // Told now: once the two are stopped there is nothing left to look into.
    throw new ReportedError(error, await lab.report())
  } finally {
    await Promise.all(daemons.map((daemon) => lab.kill(daemon)))
  }
}

/** Two relays for all pairs of one lab. */
export async function relaysOf(stage: Stage, lab: Lab): Promise<readonly LabRelay[]> {
  stage.relays ??= await Promise.all([startRelay(lab, 'pub1'), startRelay(lab, 'pub2')])
  return stage.relays
}

function pairTest(a: NatMode, b: NatMode): LabTest {
  return {
    name: `${a}–${b}`,
    group: 'matrix',
    session: 'matrix',
    shows: `A behind ${a} invites B behind ${b}`,
    run: async (stage) => {
      const lab = await stage.build({ a, b })
      return meetAcross(lab, await relaysOf(stage, lab), { a, b })
    },
  }
}

export const matrixTests: readonly LabTest[] = natModes.flatMap((a) => natModes.map((b) => pairTest(a, b)))
