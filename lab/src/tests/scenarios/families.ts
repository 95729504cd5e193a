import { carriedDirectly } from '../../world/friends.ts'
import { expect, type LabTest } from '../lab-test.ts'
import { type SettingOptions, set } from './setting.ts'

/** Two people meet and are to reach a path; how long that took. */
function meeting(name: string, shows: string, options: SettingOptions): LabTest {
  return {
    name,
    group: 'scenario',
    shows,
    run: async (stage) => {
      const { lab, anna, bert, meeting: met, bestPathMs } = await set(stage, options)
      const between = options.path?.kind === 'direct'
      expect((await carriedDirectly(lab, anna, bert)) === between, 'what the meter counts is not the path they say')
      return { firstMessageMs: Math.round(met.firstMessageMs), bestPathMs }
    },
  }
}

export const families: readonly LabTest[] = [
  meeting('double NAT', 'home A’s provider translates once more (port in front of port)', {
    a: 'port',
    b: 'port',
    carrier: 'port',
    path: { kind: 'direct' },
  }),
  meeting('two behind one NAT', 'both are in home A: the way over the LAN must win', {
    a: 'port',
    b: 'port',
    hosts: ['a1', 'a2'],
    path: { kind: 'lan' },
  }),
  meeting('same private prefix', 'both homes use 192.168.1.0/24, and both computers 192.168.1.11', {
    a: 'port',
    b: 'port',
    homeB: { lan4: '192.168.1' },
    path: { kind: 'direct' },
  }),
  meeting('IPv6 only', 'neither home has IPv4; both have a firewall', {
    a: 'port',
    b: 'port',
    families: 'v6',
    ipv6Relays: true,
    path: { kind: 'direct' },
  }),
  meeting('dual stack', 'IPv4 behind symmetric NATs, IPv6 behind firewalls: IPv6 goes directly', {
    a: 'sym',
    b: 'sym',
    families: 'both',
    path: { kind: 'direct' },
  }),
]
