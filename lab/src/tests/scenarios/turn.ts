import { pathTo } from '../../world/friends.ts'
import { Turn, turnServers } from '../../world/turn.ts'
import { expect, type LabTest } from '../lab-test.ts'
import { set } from './setting.ts'

function overTurn(transport: 'tcp' | 'tls'): LabTest {
  return {
    name: `UDP blocked, TURN over ${transport.toUpperCase()}`,
    group: 'scenario',
    shows: `home B lets no UDP out: WebRTC goes over the TURN server by ${transport.toUpperCase()}`,
    run: async (stage) => {
      await stage.build({ a: 'port', b: 'noudp' })
      await Turn.start()
      const { anna, bert, meeting, bestPathMs } = await set(stage, {
        a: 'port',
        b: 'noudp',
        // libwebrtc trusts the authorities it was built with and no other: whose own certificate shall count takes werift.
        bert: transport === 'tls' ? { withoutNativeWebRtc: true, trusted: Turn.certificate } : {},
        configs: [{}, { iceServers: [...turnServers.udp, ...turnServers[transport]] }],
        path: { kind: 'relayed' },
      })
      const turnedAt = await bert.daemon.events.until(
        'a WebRTC link',
        ({ at, event }) =>
          event.type === 'connection-established' && event.peerId === anna.peerId && event.transport === 'webrtc'
            ? at
            : undefined,
        30_000,
      )
      const path = await pathTo(bert, anna)
      expect(path?.kind === 'relayed', `the path is ${JSON.stringify(path)}`)
      return {
        firstMessageMs: Math.round(meeting.firstMessageMs),
        bestPathMs,
        turnMs: Math.round(turnedAt - meeting.openedAt),
        via: path.via ?? 'unknown',
      }
    },
  }
}

export const turnScenarios: readonly LabTest[] = [overTurn('tcp'), overTurn('tls')]
