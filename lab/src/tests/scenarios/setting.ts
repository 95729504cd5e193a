import { until } from '@miaou/testkit/processes'
import type { LabDaemonOptions } from '../../daemons/lab-daemon.ts'
import { type Meeting, meet, type Person, patienceMs, person, untilPath, type WantedPath } from '../../world/friends.ts'
import type { Lab, LabOptions } from '../../world/lab.ts'
import { type LabRelay, reserved, startRelay } from '../../world/relay.ts'
import type { Stage } from '../stage.ts'

export interface SettingOptions extends LabOptions {
  /** Host of each of the two; default a1 and b1. */
  readonly hosts?: readonly [string, string]
  /** The path they are on when the scenario begins; without, whatever came with the first message. */
  readonly path?: WantedPath
  /** Laid over the configuration of both, and of one of them. */
  readonly config?: object
  readonly configs?: readonly [object, object]
  /** They know how to find each other again: what those know who have been up for more than some seconds. */
  readonly isAcquainted?: boolean
  /** Of the second of the two: see LabDaemonOptions. */
  readonly bert?: Pick<LabDaemonOptions, 'withoutNativeWebRtc' | 'trusted'>
  /** Relays have IPv6 alone. */
  readonly ipv6Relays?: boolean
  readonly withinMs?: number
}

/** Two friends who have met, and the world around them. */
export interface Setting {
  readonly lab: Lab
  readonly relays: readonly LabRelay[]
  readonly anna: Person
  readonly bert: Person
  readonly meeting: Meeting
  /** Ms from the opened invite until the path asked for. */
  readonly bestPathMs: number
}

/** Builds the world of a scenario: two relays, and two people who have met and are on the path it begins with. */
export async function set(stage: Stage, options: SettingOptions): Promise<Setting> {
  const { hosts = ['a1', 'b1'], path, config = {}, configs = [{}, {}], ipv6Relays = false } = options
  const lab = await stage.build(options)
  const relays = await Promise.all([
    startRelay(lab, 'pub1', { ipv6: ipv6Relays }),
    startRelay(lab, 'pub2', { ipv6: ipv6Relays }),
  ])
  const base = { relays: relays.map(({ address }) => address), ...config }
  const people: readonly [LabDaemonOptions, LabDaemonOptions] = [
    { name: 'anna', config: { ...base, ...configs[0] } },
    { name: 'bert', config: { ...base, ...configs[1] }, ...options.bert },
  ]
  const daemons = await Promise.all([lab.daemon(hosts[0], people[0]), lab.daemon(hosts[1], people[1])])
  await Promise.all(daemons.map((daemon) => reserved(daemon, relays.length)))
  const [anna, bert] = await Promise.all([person(daemons[0]), person(daemons[1])])
  const meeting = await meet(anna, bert, options.withinMs ?? patienceMs)
  const bestAt =
    path === undefined ? meeting.openedAt : await untilPath(anna, bert, path, options.withinMs ?? patienceMs)
  if (options.isAcquainted)
    await Promise.all([knowsWays(anna, bert, relays.length), knowsWays(bert, anna, relays.length)])
  return { lab, relays, anna, bert, meeting, bestPathMs: Math.max(0, Math.round(bestAt - meeting.openedAt)) }
}

/** Waits until one knows ways to the other through so many relays. */
async function knowsWays(from: Person, to: Person, count: number): Promise<void> {
  await until(
    `${from.daemon.name} to know how to find ${to.daemon.name}`,
    async () => {
      const view = (await from.daemon.client.network.peers()).find(({ peerId }) => peerId === to.peerId)
      const ways = view?.addresses.filter((address) => address.startsWith('circuit:')) ?? []
      return ways.length >= count ? true : undefined
    },
    { everyMs: 100 },
  )
}

/** The relay that carries two people now. */
export function relayOf(relays: readonly LabRelay[], via: string | undefined): LabRelay {
  const relay = relays.find(({ places }) => places.some((place) => via?.includes(place)))
  if (relay === undefined) throw new Error(`no relay of the lab carries them: ${via}`)
  return relay
}
