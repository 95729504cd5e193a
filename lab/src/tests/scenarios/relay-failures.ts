import { Conversation } from '../../world/conversation.ts'
import { pathTo } from '../../world/friends.ts'
import { expect, type Figures, type LabTest } from '../lab-test.ts'
import type { Stage } from '../stage.ts'
import { relayOf, type Setting, set } from './setting.ts'

/** What befalls the relay that carries two people. */
type Fault = (setting: Setting, relay: ReturnType<typeof relayOf>) => Promise<unknown>

async function loseRelay(stage: Stage, fault: Fault): Promise<Figures> {
  const setting = await set(stage, { a: 'sym', b: 'sym', path: { kind: 'relayed' }, isAcquainted: true })
  const { relays, anna, bert } = setting
  const conversation = await Conversation.start(anna, bert)
  const relay = relayOf(relays, (await pathTo(anna, bert))?.via)
  const lostAt = performance.now()
  await fault(setting, relay)
  const goneAt = performance.now()
  const talkingAt = await conversation.talkingSince(goneAt)
  const unansweredAt = conversation.firstWrittenSince(lostAt)
  const now = relayOf(relays, (await pathTo(anna, bert))?.via)
  expect(now !== relay, 'they still say that the lost relay carries them')
  const counts = await conversation.end()
  return { talkingAgainMs: Math.round(talkingAt - unansweredAt), ...counts }
}

/** How long nobody notices who has nothing to say: the keep-alive tells. */
async function loseIdleRelay(stage: Stage): Promise<Figures> {
  const { lab, relays, anna, bert } = await set(stage, {
    a: 'sym',
    b: 'sym',
    path: { kind: 'relayed' },
    isAcquainted: true,
  })
  const relay = relayOf(relays, (await pathTo(anna, bert))?.via)
  const lostAt = performance.now()
  for (const place of relay.places) await lab.net.silence(place)
  const noticedAt = await anna.daemon.events.until(
    'a new link',
    ({ at, event }) =>
      event.type === 'connection-established' && event.peerId === bert.peerId && at > lostAt ? at : undefined,
    120_000,
  )
  return { idleNoticedMs: Math.round(noticedAt - lostAt) }
}

export const relayFailures: readonly LabTest[] = [
  {
    name: 'relay killed',
    group: 'scenario',
    shows: 'the relay of a conversation is killed: another takes over, nothing is lost or doubled',
    run: (stage) => loseRelay(stage, (_, relay) => relay.daemon.kill()),
  },
  {
    name: 'relay dies silently',
    group: 'scenario',
    shows: 'the relay of a conversation is cut off without a word: another takes over, nothing is lost or doubled',
    run: (stage) =>
      loseRelay(stage, async ({ lab }, relay) => {
        for (const place of relay.places) await lab.net.silence(place)
      }),
  },
  {
    name: 'relay dies silently, idle',
    group: 'scenario',
    isLong: true,
    shows: 'the same while nobody writes: only the keep-alive tells',
    run: loseIdleRelay,
  },
]
