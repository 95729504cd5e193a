import { LabDaemon } from '../../../lab/src/daemons/lab-daemon.ts'
import { directPath } from '../../../lab/src/net/nat.ts'
import { meet, type Person, pathTo, person, untilPath, type WantedPath } from '../../../lab/src/world/friends.ts'
import { reserved } from '../../../lab/src/world/relay.ts'
import { ownName } from '../overlay/measurement.ts'
import { type Contender, type Fared, wasDirect, weightBytes } from './contender.ts'
import { canBeDirect, type Pair } from './pair.ts'
import { hosts, publicAddresses, type World } from './world.ts'

const relayPort = 9_999
/** How long a path is waited for, ms: guess, several times the longest of the lab's matrix. */
const patienceMs = 30_000

/** The best path that the NATs of a pair allow, as the lab's matrix has it: WebRTC where UDP goes, even after direct TCP. */
const bestPaths: Readonly<Record<ReturnType<typeof directPath>, WantedPath>> = {
  udp: { kind: 'direct', transport: 'webrtc' },
  tcp: { kind: 'direct' },
  none: { kind: 'relayed' },
}

let people = 0

/** Real daemons: a relay on a public host, and two people who have it in their configuration. */
export async function startOwn(world: World): Promise<Contender> {
  const relay = await LabDaemon.start(hostOf(world, 'pub1'), {
    name: 'relay',
    config: {
      port: relayPort,
      publicUrl: `ws://${publicAddresses.pub1}:${relayPort}`,
      serve: { relay: true },
      portMapping: false,
    },
  })
  const address = (await relay.client.network.info()).serving?.relay?.address
  if (address === undefined) throw new Error(`the relay does not serve: ${relay.output()}`)

  return {
    name: ownName,
    async meet(pair) {
      const number = ++people
      const config = { relays: [address] }
      const daemons = await Promise.all([
        LabDaemon.start(hostOf(world, hosts.a), { name: `anna${number}`, config }),
        LabDaemon.start(hostOf(world, hosts.b), { name: `bert${number}`, config }),
      ])
      try {
        await Promise.all(daemons.map((daemon) => reserved(daemon, 1)))
        const [anna, bert] = await Promise.all([person(daemons[0]), person(daemons[1])])
        return await measure(world, pair, anna, bert)
      } finally {
        await Promise.all(daemons.map((daemon) => daemon.kill()))
      }
    },
    end: () => relay.kill(),
  }
}

async function measure(world: World, pair: Pair, anna: Person, bert: Person): Promise<Fared> {
  const { firstMessageMs, openedAt } = await meet(anna, bert, patienceMs)
  const isFirstRelayed = linksBetween(bert, anna, openedAt + firstMessageMs).at(-1)?.transport === 'circuit'
  const firstLinks = [linksBetween(bert, anna)[0]?.at, linksBetween(anna, bert)[0]?.at].map((at) => at ?? Number.NaN)
  const directMs = await untilPath(anna, bert, bestPaths[directPath(pair.a, pair.b)], patienceMs).then(
    (at) => Math.max(0, at - openedAt),
    // It stays as it is: told by the outcome, not by a failure.
    () => undefined,
  )
  const way = (await pathTo(bert, anna))?.transport
  const before = await world.directBytes()
  await weigh(bert, anna)
  const outcome = wasDirect(before, await world.directBytes()) ? 'direct' : 'relayed'
  // Over a relay the first message is the first use of the best path, as it is with the rivals.
  const bestPathMs = outcome === 'direct' || canBeDirect(pair) ? directMs : firstMessageMs
  return {
    outcome,
    firstLinkMs: Math.max(...firstLinks) - openedAt,
    firstMessageMs,
    isFirstRelayed,
    ...(bestPathMs === undefined ? {} : { bestPathMs }),
    ...(way === undefined ? {} : { way }),
  }
}

/** The links that have come up from one to the other, until some time. */
function linksBetween(
  from: Person,
  to: Person,
  until = Number.POSITIVE_INFINITY,
): readonly { at: number; transport: string }[] {
  return from.daemon.events.seen.flatMap(({ at, event }) =>
    event.type === 'connection-established' && event.peerId === to.peerId && at <= until
      ? [{ at, transport: event.transport }]
      : [],
  )
}

async function weigh(from: Person, to: Person): Promise<void> {
  const sent = await from.daemon.client.messages.send(to.account, 'm'.repeat(weightBytes))
  await from.daemon.events.until(
    'a receipt for a long message',
    ({ event }) => {
      if (event.type !== 'message-state' || event.message.id !== sent.id) return undefined
      return event.message.state === 'queued' || event.message.state === 'sent' ? undefined : true
    },
    patienceMs,
  )
}

function hostOf(world: World, name: string) {
  const host = world.net.hosts.get(name)
  if (host === undefined) throw new Error(`there is no host ${name}`)
  return host
}
