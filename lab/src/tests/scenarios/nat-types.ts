import { until } from '@miaou/testkit/processes'
import type { NatMode } from '../../net/nat.ts'
import type { Lab } from '../../world/lab.ts'
import { Turn, turnServers } from '../../world/turn.ts'
import { expect, type LabTest } from '../lab-test.ts'

/** What a peer behind each mode must call it (rows D12, D13). */
const names: Readonly<Record<NatMode, string>> = {
  none: 'none',
  full: 'full-cone',
  addr: 'restricted-cone',
  port: 'port-restricted',
  sym: 'symmetric',
  noudp: 'blocked',
}

/** What a peer on a host says of its NAT, asked again until it says something. */
async function natTypeOn(lab: Lab, host: string, mode: NatMode): Promise<string> {
  const daemon = await lab.daemon(host, { name: `natted-${mode}`, config: { iceServers: turnServers.stun } })
  const natType = await until('the type of a NAT', async () => {
    const told = (await daemon.client.network.info()).natType
    return told === 'unknown' ? undefined : told
  })
  await lab.kill(daemon)
  return natType
}

export const natTypes: readonly LabTest[] = [
  {
    name: 'NAT types told',
    group: 'scenario',
    shows: 'with a STUN server that has two addresses (coturn), a peer names its own NAT',
    run: async (stage) => {
      const lab = await stage.build({ a: 'none', b: 'full' })
      await Turn.start()
      const told: Record<string, string> = {}
      for (const [a, b] of [
        ['none', 'full'],
        ['addr', 'port'],
        ['sym', 'noudp'],
      ] as const) {
        await Promise.all([lab.a.setMode(a), lab.b.setMode(b)])
        const both = await Promise.all([natTypeOn(lab, 'a1', a), natTypeOn(lab, 'b1', b)])
        told[a] = both[0]
        told[b] = both[1]
      }
      const wrong = Object.entries(names).filter(([mode, name]) => told[mode] !== name)
      expect(wrong.length === 0, `they say ${JSON.stringify(told)}`)
      return told
    },
  },
]
