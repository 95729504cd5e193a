import { setTimeout as wait } from 'node:timers/promises'
import { median } from '../../median.ts'
import { Conversation } from '../../world/conversation.ts'
import { pathTo } from '../../world/friends.ts'
import { expect, type LabTest } from '../lab-test.ts'
import { set } from './setting.ts'

/** How long two people talk over a bad cable, ms (own choice: 150 messages). */
const talkMs = 8_000

export const impairments: readonly LabTest[] = [
  {
    name: '200 ms and 5 % loss',
    group: 'scenario',
    shows: 'home A’s line delays by 100 ms each way and loses one packet in twenty',
    run: async (stage) => {
      const { anna, bert, meeting, bestPathMs } = await set(stage, {
        a: 'port',
        b: 'port',
        homeA: { wire: { delayMs: 100, loss: 0.05 } },
        path: { kind: 'direct' },
      })
      const conversation = await Conversation.start(anna, bert)
      await wait(talkMs)
      const counts = await conversation.end()
      const delays = conversation.delays()
      return {
        firstMessageMs: Math.round(meeting.firstMessageMs),
        bestPathMs,
        medianMs: Math.round(median(delays)),
        slowestMs: Math.round(Math.max(...delays)),
        ...counts,
      }
    },
  },
  {
    name: '2 Mbit/s shared with a flow',
    group: 'scenario',
    shows: 'home A sends 2 Mbit/s at most, and another computer there takes all it gets',
    run: async (stage) => {
      const { lab, anna, bert } = await set(stage, {
        a: 'port',
        b: 'port',
        // A buffer of 200 ms (own choice: the worse home routers have more).
        homeA: { wire: { delayMs: 10, bitsPerSecondUp: 2_000_000, bufferBytes: 50_000 } },
        path: { kind: 'direct' },
      })
      const sink = { address: '192.0.2.31', port: 7000 }
      await lab.host('stun').ask({ type: 'sink', at: sink })
      await lab.host('a2').ask({ type: 'flood', to: sink })
      const conversation = await Conversation.start(anna, bert)
      await wait(talkMs)
      const stayed = (await pathTo(anna, bert))?.kind === 'direct'
      const bytes = await lab.host('a2').ask({ type: 'still' })
      const counts = await conversation.end()
      expect(stayed, 'the direct path was given up under load')
      const delays = conversation.delays()
      return {
        medianMs: Math.round(median(delays)),
        slowestMs: Math.round(Math.max(...delays)),
        flowMbitPerSecond: Number(((bytes * 8) / talkMs / 1000).toFixed(2)),
        ...counts,
      }
    },
  },
]
