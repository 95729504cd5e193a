import { setTimeout as wait } from 'node:timers/promises'
import { Conversation } from '../../world/conversation.ts'
import { pathTo } from '../../world/friends.ts'
import { expect, type LabTest } from '../lab-test.ts'
import { set } from './setting.ts'

/** Longer than an attempt to upgrade takes where nothing stands in its way, ms (own choice). */
const watchMs = 6_000

export const privacy: readonly LabTest[] = [
  {
    name: 'relay only',
    group: 'scenario',
    shows: 'Anna hides her address: by the meter between the homes not one packet goes directly, though all could',
    run: async (stage) => {
      const { lab, anna, bert, meeting } = await set(stage, {
        a: 'none',
        b: 'none',
        configs: [{ relayOnly: true }, {}],
        path: { kind: 'relayed' },
      })
      const conversation = await Conversation.start(anna, bert)
      await wait(watchMs)
      const counts = await conversation.end()
      const path = await pathTo(bert, anna)
      const packets = await lab.directPackets()
      expect(packets === 0, `${packets} packets went between the homes`)
      expect(path?.kind === 'relayed', `the path is ${JSON.stringify(path)}`)
      return { firstMessageMs: Math.round(meeting.firstMessageMs), directPackets: packets, ...counts }
    },
  },
]
