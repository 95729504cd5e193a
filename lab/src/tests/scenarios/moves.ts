import { setTimeout as wait } from 'node:timers/promises'
import { Conversation } from '../../world/conversation.ts'
import { carriedDirectly, pathTo, untilPath } from '../../world/friends.ts'
import { expect, type Figures, type LabTest } from '../lab-test.ts'
import type { Stage } from '../stage.ts'
import { set } from './setting.ts'

/** How long a router is away when it reboots, ms: own choice, so that the figure is the recovery and not the outage. */
const rebootMs = 2_000
/** How long a cable is out, ms: the whole minute only in the long run. */
const outageMs = { short: 8_000, long: 60_000 } as const

async function rebootRouter(stage: Stage): Promise<Figures> {
  const { lab, anna, bert } = await set(stage, { a: 'port', b: 'port', path: { kind: 'direct' }, isAcquainted: true })
  const conversation = await Conversation.start(anna, bert)
  await lab.a.reboot('203.0.113.102', () => wait(rebootMs))
  const backAt = performance.now()
  const talkingAt = await conversation.talkingSince(backAt)
  const directAt = await untilPath(anna, bert, { kind: 'direct' })
  const counts = await conversation.end()
  expect(await carriedDirectly(lab, anna, bert), 'they say direct, the meter says the opposite')
  return {
    outageMs: rebootMs,
    talkingAgainMs: Math.round(talkingAt - backAt),
    directAgainMs: Math.max(0, Math.round(directAt - backAt)),
    ...counts,
  }
}

async function moveLaptop(stage: Stage): Promise<Figures> {
  // Both in home A, on its LAN; then Anna's laptop goes to home B.
  const { lab, anna, bert } = await set(stage, {
    a: 'port',
    b: 'port',
    hosts: ['a1', 'a2'],
    path: { kind: 'lan', transport: 'webrtc' },
    isAcquainted: true,
  })
  const conversation = await Conversation.start(anna, bert)
  const laptop = lab.host('a1')
  await lab.a.leave(laptop)
  await lab.b.enter(laptop)
  const movedAt = performance.now()
  const talkingAt = await conversation.talkingSince(movedAt)
  const directAt = await untilPath(anna, bert, { kind: 'direct' })
  const counts = await conversation.end()
  return {
    talkingAgainMs: Math.round(talkingAt - movedAt),
    directAgainMs: Math.max(0, Math.round(directAt - movedAt)),
    ...counts,
  }
}

async function pullCable(stage: Stage): Promise<Figures> {
  const { lab, anna, bert } = await set(stage, { a: 'port', b: 'port', path: { kind: 'direct' }, isAcquainted: true })
  const conversation = await Conversation.start(anna, bert)
  const outage = stage.options.isLong ? outageMs.long : outageMs.short
  await lab.a.plug('a1', false)
  await wait(outage)
  await lab.a.plug('a1', true)
  const backAt = performance.now()
  const talkingAt = await conversation.talkingSince(backAt)
  const counts = await conversation.end()
  return { outageMs: outage, talkingAgainMs: Math.round(talkingAt - backAt), ...counts }
}

async function moveIdleLaptop(stage: Stage): Promise<Figures> {
  const { lab, anna, bert } = await set(stage, {
    a: 'port',
    b: 'port',
    hosts: ['a1', 'a2'],
    path: { kind: 'lan', transport: 'webrtc' },
    isAcquainted: true,
  })
  const laptop = lab.host('a1')
  await lab.a.leave(laptop)
  await lab.b.enter(laptop)
  const movedAt = performance.now()
  const linkedAt = await bert.daemon.events.until(
    'a new link',
    ({ at, event }) =>
      event.type === 'connection-established' && event.peerId === anna.peerId && at > movedAt ? at : undefined,
    60_000,
  )
  return { idleLinkedMs: Math.round(linkedAt - movedAt), path: (await pathTo(bert, anna))?.kind ?? 'unknown' }
}

export const moves: readonly LabTest[] = [
  {
    name: 'router reboots',
    group: 'scenario',
    shows: 'home A’s router forgets everything and comes back with another address',
    run: rebootRouter,
  },
  {
    name: 'laptop moves',
    group: 'scenario',
    shows: 'a laptop goes from LAN A, where its friend is, to LAN B',
    run: moveLaptop,
  },
  {
    name: 'laptop moves, idle',
    group: 'scenario',
    shows: 'the same while nobody writes',
    run: moveIdleLaptop,
  },
  {
    name: 'cable pulled',
    group: 'scenario',
    shows: 'a computer is without its cable for a while (60 s with --long)',
    run: pullCable,
  },
]
