import { type ChildProcess, spawn } from 'node:child_process'
import { inNamespace } from '../../../lab/src/net/commands.ts'
import { type Contender, type Fared, wasDirect, weightBytes } from './contender.ts'
import { versioned } from './install-rivals.ts'
import { canBeDirect, type Pair } from './pair.ts'
import { monotonicMs, RivalProcess } from './rival-process.ts'
import { hosts, publicAddresses, type World } from './world.ts'

/** How long a rival's peer may take to be up, and to connect, ms: guess, three times what they need where it works. */
const patienceMs = 20_000
/** How long a relayed pair is left to find a direct way, ms: own choice, longer than a DCUtR attempt with its retries (3 × 5 s)
 * and than the pause of hyperdht before it punches a random port (10 to 20 s). */
const upgradeMs = 25_000

/** Starts a peer on a host; its own public address where no NAT is before it. */
type StartPeer = (host: string, publicAddress: string | undefined) => RivalProcess

/** js-libp2p: a circuit relay on the first public host, a STUN server for its WebRTC on another. */
export async function startLibp2p(world: World): Promise<Contender> {
  const stun = await startStun()
  const relay = new RivalProcess('pub1', 'libp2p.mjs', ['relay', publicAddresses.pub1])
  const { address = '' } = await ready(relay)
  const peer: StartPeer = (host, publicAddress) => {
    const known = publicAddress === undefined ? [] : [publicAddress]
    return new RivalProcess(host, 'libp2p.mjs', ['peer', address, `stun:${publicAddresses.stun}:3478`, ...known])
  }
  return {
    name: `js-${versioned('libp2p')}`,
    meet: (pair) => meetRivals(world, pair, peer),
    end: async () => {
      relay.kill()
      stun.kill('SIGKILL')
    },
  }
}

/** hyperdht: twelve nodes of the table on three public hosts, so that peers can tell their NAT, and a blind relay. */
export async function startHyperdht(world: World): Promise<Contender> {
  const { pub1, pub2, pub3 } = publicAddresses
  const first = new RivalProcess('pub1', 'hyperdht.mjs', ['nodes', pub1])
  const { relay = '' } = await ready(first)
  const others = [
    new RivalProcess('pub2', 'hyperdht.mjs', ['nodes', pub2, pub1]),
    new RivalProcess('pub3', 'hyperdht.mjs', ['nodes', pub3, pub1]),
  ]
  await Promise.all(others.map(ready))
  const peer: StartPeer = (host) => new RivalProcess(host, 'hyperdht.mjs', ['peer', pub1, relay, pub1, pub2, pub3])
  return {
    name: versioned('hyperdht'),
    meet: (pair) => meetRivals(world, pair, peer),
    end: async () => {
      for (const each of [first, ...others]) each.kill()
    },
  }
}

async function ready(rival: RivalProcess) {
  const told = await rival.until((each) => (each.type === 'ready' ? each : undefined), patienceMs)
  if (told === undefined) throw new Error(`not up after ${patienceMs / 1_000} s: ${rival.fault ?? 'without a word'}`)
  return told
}

/** A peer in each home; B dials A, and both tell what became of it. */
async function meetRivals(world: World, pair: Pair, start: StartPeer): Promise<Fared> {
  const { a: addressA, b: addressB } = world.ownAddresses()
  const [a, b] = [start(hosts.a, addressA), start(hosts.b, addressB)]
  try {
    const [there, here] = await Promise.all([ready(a), ready(b)])
    a.ask({ type: 'expect', peer: here.peer ?? '' })
    const dialledAt = monotonicMs()
    b.ask({ type: 'dial', peer: there.peer ?? '', ...(there.address === undefined ? {} : { address: there.address }) })
    const first = await a.until((each) => (each.type === 'message' ? each : undefined), patienceMs)
    if (first === undefined) throw new Error(b.fault ?? a.fault ?? `no message after ${patienceMs / 1_000} s`)
    const firstMessageMs = first.at - dialledAt
    const directAt = await bothDirect(a, b, pair)
    const { outcome, way } = await weigh(world, a, b)
    const bestPathMs =
      outcome === 'direct' && directAt !== undefined
        ? Math.max(directAt - dialledAt, 0)
        : canBeDirect(pair)
          ? undefined
          : firstMessageMs
    return {
      outcome,
      way,
      isFirstRelayed: !first.isDirect,
      firstMessageMs,
      ...(bestPathMs === undefined ? {} : { bestPathMs }),
    }
  } finally {
    a.kill()
    b.kill()
  }
}

/** When both had a direct connection. Where neither UDP nor anything else can go directly, nobody waits for it. */
async function bothDirect(a: RivalProcess, b: RivalProcess, { a: one, b: other }: Pair): Promise<number | undefined> {
  const isHopeless = (one === 'noudp' && other !== 'none') || (other === 'noudp' && one !== 'none')
  const times = await Promise.all(
    [a, b].map((each) =>
      each.until((told) => (told.type === 'direct' ? told.at : undefined), isHopeless ? 0 : upgradeMs),
    ),
  )
  return times.every((at) => at !== undefined) ? Math.max(...times) : undefined
}

/** Sends what counts from B to A, and sees at the meter which way it went. */
async function weigh(
  world: World,
  a: RivalProcess,
  b: RivalProcess,
): Promise<{ outcome: 'direct' | 'relayed'; way: string }> {
  const before = await world.directBytes()
  const known = a.told.length
  b.ask({ type: 'weigh', bytes: weightBytes })
  const weighing = await b.until((each) => (each.type === 'weighing' ? each : undefined), patienceMs)
  let received = 0
  let index = 0
  const arrived = await a.until((each) => {
    if (index++ >= known && each.type === 'received') received += each.bytes
    return received >= weightBytes ? true : undefined
  }, patienceMs)
  if (weighing === undefined || arrived === undefined)
    throw new Error(`lost after the first message: ${b.fault ?? 'without a word'}`)
  return { outcome: wasDirect(before, await world.directBytes()) ? 'direct' : 'relayed', way: weighing.way }
}

/** coturn, for STUN alone. */
async function startStun(): Promise<ChildProcess> {
  const [program = '', ...words] = [
    ...inNamespace('stun'),
    'turnserver',
    ...['-n', '--no-cli', '--log-file', 'stdout', '--simple-log', '--pidfile', '/run/stun-pid', '--stun-only'],
    ...['-L', publicAddresses.stun, '--listening-port', '3478', '--no-tls', '--no-dtls', '--userdb', '/run/stun-db'],
  ]
  const child = spawn(program, words, { stdio: ['ignore', 'pipe', 'pipe'] })
  await new Promise<void>((resolve, reject) => {
    let said = ''
    const hear = (chunk: Buffer): void => {
      said += chunk
      // What it opens last: its sockets are there before.
      if (said.includes('SQLite DB connection success')) resolve()
    }
    child.stdout.on('data', hear)
    child.stderr.on('data', hear)
    child.once('error', reject)
    child.once('exit', (code) => reject(new Error(`turnserver ended with ${code}: ${said}`)))
  })
  return child
}
