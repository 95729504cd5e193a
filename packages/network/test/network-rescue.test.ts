import { describe, expect, test } from 'vitest'
import { Courier, type CourierOptions } from './courier.ts'
import { type SimNode, type SimPipe, type SimRelay, Simulator, type SimulatorOptions } from './simulator.ts'

// MIAOU_MODEL_RUNS=n runs seeds 0 to n - 1 of each kind.
const { MIAOU_MODEL_RUNS } = process.env
const seedsOf = (count: number) => Array.from({ length: Number(MIAOU_MODEL_RUNS ?? count) }, (_, seed) => seed)

interface Town {
  readonly sim: Simulator
  readonly a: SimNode
  readonly b: SimNode
  readonly relays: readonly SimRelay[]
  readonly courier: Courier
}

/** Two peers that want each other and know three relays; `ways` tells which straight addresses they know, too. */
function town(options: Partial<SimulatorOptions>, nodeOptions = {}, courierOptions: CourierOptions = {}): Town {
  const sim = new Simulator({ delayMax: 30, ...options })
  sim.relaxOrder()
  const relays = [sim.addRelay(), sim.addRelay(), sim.addRelay()]
  const [a, b] = [sim.addNode('a', nodeOptions), sim.addNode('b', nodeOptions)]
  return { sim, a, b, relays, courier: new Courier(sim, courierOptions) }
}

function want({ sim, a, b, relays }: Town, hasStraight = true): void {
  for (const [node, other] of [
    [a, b],
    [b, a],
  ] as const) {
    const circuits = relays.map((relay) => sim.circuit(other, relay))
    const addresses = hasStraight ? [sim.address(other), ...circuits] : circuits
    sim.handle(node, { type: 'wanted', peers: [{ peerId: other.identity.peerId, addresses }] })
  }
}

function transportsOf({ a, b }: Town): (string | undefined)[] {
  return [a, b].map(({ network }) => network.views()[0]?.transport)
}

function areLinked({ a, b }: Town): boolean {
  return a.linked.size === 1 && b.linked.size === 1
}

/** Both talk for a time, a word every 50 ms or so. */
function talk({ sim, a, b, courier }: Town, durationMs: number): void {
  for (let at = 0; at < durationMs; at += 30 + sim.random.below(40)) {
    sim.at(at, () => courier.send(a, b))
    sim.at(at + 13, () => courier.send(b, a))
  }
}

/** Virtual ms from now until both have taken a message that is sent after now. */
function msUntilBothTalk({ sim, a, b, courier }: Town, limitMs: number): number {
  const before = sim.mono
  const counts = [courier.takenCount(a, b), courier.takenCount(b, a)]
  courier.send(a, b)
  courier.send(b, a)
  const sent = [...counts]
  const talks = () => courier.takenCount(a, b) > (sent[0] ?? 0) && courier.takenCount(b, a) > (sent[1] ?? 0)
  return sim.run(limitMs, talks) ? sim.mono - before : Number.POSITIVE_INFINITY
}

describe('circuits in the race', () => {
  test('[L61] behind NATs a circuit carries within a second, and tells by which relay', () => {
    const here = town({ seed: 1 }, { webrtc: false })
    here.a.isOpen = false
    here.b.isOpen = false
    want(here)
    expect(here.sim.run(1_000, () => areLinked(here))).toBe(true)
    expect(transportsOf(here)).toEqual(['circuit', 'circuit'])
    const view = here.a.network.views()[0]
    expect(view?.path).toEqual({ kind: 'relayed', via: expect.stringMatching(/^ws:\/\/relay-\d$/) })
    expect(view?.whyNotBetter).toMatchObject({ error: { type: 'unreachable' } })
  })

  test.each(seedsOf(20))(
    '[L52] seed %i: dials from both ends over different relays end in one link, nothing lost',
    (seed) => {
      const here = town({ seed, delayMax: 5 + 20 * (seed % 5) }, { webrtc: false })
      want(here, false)
      talk(here, 1_500)
      here.sim.run(15_000)
      here.sim.checkNothingLost()
      expect(here.sim.violations).toEqual([])
      expect(here.courier.problems()).toEqual([])
      for (const { network } of [here.a, here.b])
        expect(network.sizes()).toEqual({ connections: 1, pipes: 1, handshakesIn: 0 })
    },
  )

  test.each(seedsOf(10))('[L69] seed %i: a straight way that takes longer than the circuit follows it', (seed) => {
    const here = town({ seed }, { webrtc: false })
    here.a.isOpen = false
    here.b.isOpen = false
    want(here)
    expect(here.sim.run(1_000, () => areLinked(here))).toBe(true)
    talk(here, 30_000)
    here.sim.run(5_000)
    here.b.isOpen = true
    expect(here.sim.run(40_000, () => transportsOf(here).every((kind) => kind === 'websocket'))).toBe(true)
    here.sim.run(35_000)
    expect(here.sim.violations).toEqual([])
    expect(here.courier.problems()).toEqual([])
  })

  test('[L66] dials that hang beside circuits take the turn of nobody', () => {
    const sim = new Simulator({ seed: 9 })
    const relay = sim.addRelay()
    const hub = sim.addNode('hub', { webrtc: false, limits: { dialsMax: 2 } })
    const others = Array.from({ length: 12 }, (_, i) => sim.addNode(`n${i}`, { webrtc: false }))
    const peers = others.map((node) => {
      node.isOpen = false
      return { peerId: node.identity.peerId, addresses: [sim.address(node), sim.circuit(node, relay)] }
    })
    sim.handle(hub, { type: 'wanted', peers })
    expect(sim.run(8_000, () => hub.linked.size === others.length)).toBe(true)
    expect(sim.violations).toEqual([])
  })

  test('[L70] a circuit is upgraded to WebRTC', () => {
    const here = town({ seed: 2 })
    want(here, false)
    expect(here.sim.run(3_000, () => transportsOf(here).every((kind) => kind === 'webrtc'))).toBe(true)
  })
})

describe('recovery', () => {
  test.each(seedsOf(10))('[L68] seed %i: dials that hang beside a circuit keep nobody from rescuing it', (seed) => {
    const here = town({ seed }, { webrtc: false })
    here.a.isOpen = false
    here.b.isOpen = false
    want(here)
    here.sim.run(2_500 + here.sim.random.below(2_000))
    const [used] = here.sim.livePipes().filter(({ relay }) => relay !== undefined)
    if (used?.relay === undefined) throw new Error('a circuit carries them')
    if (seed % 2 === 0) here.sim.silence(used.relay)
    else here.sim.killPipe(used)
    expect(msUntilBothTalk(here, 20_000)).toBeLessThan(2_500)
    here.sim.run(30_000)
    expect(here.courier.problems()).toEqual([])
  })

  test.each(seedsOf(10))('[L68] seed %i: a straight way rescues a circuit: both ends send again, in order', (seed) => {
    const here = town({ seed }, { webrtc: false })
    here.a.isOpen = false
    here.b.isOpen = false
    want(here)
    here.sim.run(12_000)
    expect(transportsOf(here)).toEqual(['circuit', 'circuit'])
    talk(here, 4_000)
    here.sim.run(1_000)
    for (const node of [here.a, here.b]) node.isOpen = true
    for (const relay of here.relays) here.sim.silence(relay)
    expect(msUntilBothTalk(here, 20_000)).toBeLessThan(2_000)
    expect(transportsOf(here)).toEqual(['websocket', 'websocket'])
    here.sim.run(30_000)
    expect(here.courier.problems()).toEqual([])
  })

  test.each(seedsOf(20))(
    '[L68] seed %i: a relay dies without a word in mid-conversation: talking again within 2 s',
    (seed) => {
      const here = town({ seed, delayMax: 10 + 10 * (seed % 4) }, { webrtc: false })
      want(here, false)
      talk(here, 6_000)
      here.sim.run(3_000 + here.sim.random.below(500))
      const [used] = here.sim.livePipes()
      if (used?.relay === undefined) throw new Error('a circuit carries them')
      here.sim.silence(used.relay)
      expect(msUntilBothTalk(here, 20_000)).toBeLessThan(2_000)
      here.sim.run(20_000)
      expect(here.sim.violations).toEqual([])
      expect(here.courier.problems()).toEqual([])
      expect(here.sim.livePipes()).toHaveLength(1)
    },
  )

  test.each(seedsOf(20))(
    '[L68] seed %i: an end moves to another network: talking again within 2 s, by WebRTC soon',
    (seed) => {
      const here = town({ seed })
      here.b.isOpen = seed % 2 === 0
      want(here)
      talk(here, 9_000)
      here.sim.run(5_000)
      expect(transportsOf(here)).toEqual(['webrtc', 'webrtc'])
      here.sim.move(seed % 3 === 0 ? here.b : here.a)
      expect(msUntilBothTalk(here, 20_000)).toBeLessThan(2_000)
      expect(here.sim.run(3_000, () => transportsOf(here).every((kind) => kind === 'webrtc'))).toBe(true)
      here.sim.run(20_000)
      expect(here.sim.violations).toEqual([])
      expect(here.courier.problems()).toEqual([])
    },
  )

  test.each(seedsOf(20))('[L70] seed %i: an end that moves in the middle of an upgrade is offered another', (seed) => {
    const here = town({ seed, delayMax: 60 })
    want(here)
    talk(here, 9_000)
    expect(here.sim.run(3_000, () => areLinked(here))).toBe(true)
    here.sim.run(here.sim.random.below(400))
    here.sim.move(here.b)
    here.b.isOpen = false
    expect(msUntilBothTalk(here, 20_000)).toBeLessThan(2_500)
    expect(here.sim.run(5_000, () => transportsOf(here).every((kind) => kind === 'webrtc'))).toBe(true)
    here.sim.run(20_000)
    expect(here.sim.violations).toEqual([])
    expect(here.courier.problems()).toEqual([])
  })

  test.each(seedsOf(10))('[L68] seed %i: a move that no event tells of is found out by the first word', (seed) => {
    const here = town({ seed })
    want(here, false)
    here.sim.run(5_000)
    for (const pipe of here.sim.livePipes()) here.sim.blackHole(pipe)
    expect(msUntilBothTalk(here, 20_000)).toBeLessThan(2_000)
    here.sim.run(20_000)
    expect(here.courier.problems()).toEqual([])
  })

  test.each(seedsOf(10))('[L80] seed %i: WebSocket, WebRTC, circuit, WebRTC: nothing lost, doubled or late', (seed) => {
    const here = town({ seed, padded: seed % 2 === 0 })
    want(here)
    talk(here, 20_000)
    const seen: string[] = []
    here.sim.listeners.push((node, output) => {
      if (node !== here.a || output.type !== 'event' || output.event.type !== 'connection-established') return
      seen.push(output.event.transport)
    })
    here.sim.run(8_000)
    // The path between the two is gone, and no dial gets through.
    for (const node of [here.a, here.b]) node.isOpen = false
    for (const pipe of here.sim.livePipes()) here.sim.blackHole(pipe)
    here.sim.run(30_000)
    expect(seen.filter((kind, i) => kind !== seen[i - 1])).toEqual(['websocket', 'webrtc', 'circuit', 'webrtc'])
    expect(here.sim.violations).toEqual([])
    expect(here.courier.problems()).toEqual([])
  })

  test.each(seedsOf(10))(
    '[L63] seed %i: a cable pulled for 60 s: all that was said meanwhile arrives once, in order',
    (seed) => {
      const here = town({ seed, webrtcFails: seed % 2 === 1 })
      want(here)
      talk(here, 70_000)
      here.sim.run(5_000)
      here.sim.cut(here.a, 60_000)
      here.sim.run(60_000)
      expect(areLinked(here)).toBe(false)
      here.sim.handle(here.a, { type: 'network-changed' })
      const before = here.sim.mono
      expect(here.sim.run(60_000, () => areLinked(here))).toBe(true)
      expect(here.sim.mono - before).toBeLessThan(2_000)
      here.sim.run(30_000)
      expect(here.courier.problems()).toEqual([])
    },
  )

  test.each(seedsOf(20))('[L68] seed %i: pipes that die, fall silent or move in any order lose no message', (seed) => {
    const here = town({ seed, webrtcFails: seed % 4 === 3, padded: seed % 2 === 0 })
    const { sim, a, b } = here
    want(here)
    talk(here, 20_000)
    const upset = () => {
      const live = sim.livePipes()
      const pipe = live[sim.random.below(live.length)]
      const node = sim.random.chance(0.5) ? a : b
      const choice = sim.random.below(6)
      if (choice === 0 && pipe !== undefined) sim.killPipe(pipe)
      else if (choice === 1 && pipe !== undefined) sim.blackHole(pipe)
      else if (choice === 2) sim.move(node)
      else if (choice === 3) sim.cut(node, sim.random.below(3_000))
      else if (choice === 4) node.isOpen = !node.isOpen
      else sim.handle(node, { type: 'network-changed' })
    }
    for (let at = 1_000; at < 20_000; at += sim.random.below(3_000)) sim.at(at, upset)
    sim.run(60_000)
    sim.run(600_000, () => areLinked(here))
    sim.run(30_000)
    expect(sim.violations).toEqual([])
    expect(here.courier.problems().filter((problem) => !problem.endsWith('came late'))).toEqual([])
  })

  test.each(
    seedsOf(6).flatMap((seed) => [
      [seed, 'breaks'],
      [seed, 'falls silent'],
    ]),
  )('[L83] seed %i: the old pipe %s in the middle of a switch: what was under way is sent again', (seed, how) => {
    const here = town({ seed: Number(seed) })
    const { sim, a, b, courier } = here
    want(here)
    for (let at = 0; at < 3_000; at += 5) {
      sim.at(at, () => courier.send(a, b))
      sim.at(at + 2, () => courier.send(b, a))
    }
    let hasFallen = false
    sim.listeners.push((node, output) => {
      if (hasFallen || output.type !== 'event' || output.event.type !== 'connection-established') return
      if (node !== b || output.event.transport !== 'webrtc') return
      hasFallen = true
      const old = sim.livePipes().filter(({ transport }) => transport === 'websocket')
      sim.afterwards(() => {
        for (const pipe of old) {
          if (how === 'breaks') sim.killPipe(pipe)
          else sim.blackHole(pipe)
        }
      })
    })
    // Before the old pipe is cut, after 10 s.
    sim.run(7_500)
    expect(hasFallen).toBe(true)
    expect(sim.violations).toEqual([])
    expect(courier.problems().filter((problem) => !problem.endsWith('came late'))).toEqual([])
  })

  test('[L68] a link that answers in time ends the race, and nothing has happened', () => {
    const here = town({ seed: 5 }, { webrtc: false })
    want(here)
    here.sim.run(5_000)
    const before = here.a.events.length
    // The others cannot be dialled, and the cable comes back after a second.
    here.sim.cut(here.b, 1_500)
    here.courier.send(here.a, here.b)
    here.sim.run(1_000)
    expect(here.a.network.views()[0]).toMatchObject({ state: 'connected', isSuspect: true })
    expect(here.a.network.counters()['rescues']).toBe(1)
    here.sim.run(15_000)
    expect(here.a.network.views()[0]?.isSuspect).toBeUndefined()
    expect(here.a.events.length).toBe(before)
    expect(here.courier.problems()).toEqual([])
    expect(here.a.network.sizes().pipes).toBe(1)
  })

  test('[L68] a lull in a conversation dials nobody: the last word has no answer, and the probe has', () => {
    const here = town({ seed: 8, lossShare: 0 })
    want(here)
    here.sim.run(5_000)
    const before = here.sim.pipes.length
    for (let i = 0; i < 20; i++) {
      here.courier.send(here.a, here.b)
      here.sim.run(3_000)
    }
    expect(here.a.network.counters()['rescues']).toBeUndefined()
    expect(here.sim.pipes.length).toBe(before)
  })

  test('[L68] a changed network that changes nothing dials nobody', () => {
    const here = town({ seed: 6, lossShare: 0 })
    want(here)
    here.sim.run(5_000)
    const before = here.sim.pipes.length
    for (const node of [here.a, here.b]) here.sim.handle(node, { type: 'network-changed' })
    here.sim.run(10_000)
    expect(here.sim.pipes.length).toBe(before)
  })

  test('[L69] a link that stutters for an hour is not dialled beside at every word', () => {
    const here = town({ seed: 7, delayMin: 1, delayMax: 5 }, { webrtc: false })
    want(here)
    here.sim.run(5_000)
    here.a.isOpen = false
    here.b.isOpen = false
    for (const relay of here.relays) relay.isSilent = true
    for (let second = 0; second < 3_600; second += 2) {
      here.sim.at(second * 1_000, () => {
        here.sim.cut(here.b, 900)
        here.courier.send(here.a, here.b)
      })
    }
    here.sim.run(3_600_000)
    const rescues = here.a.network.counters()['rescues'] ?? 0
    expect(rescues).toBeGreaterThan(1)
    expect(rescues).toBeLessThan(90)
    expect(here.courier.problems()).toEqual([])
  })
})

describe('a relay that carries badly', () => {
  test.each(seedsOf(6).flatMap((seed) => [[seed, 'breaks'] as const, [seed, 'swallows'] as const]))(
    '[L85] seed %i: one that %s every circuit after three seconds is left for the honest one, soon and for good',
    (seed, how) => {
      const here = town({ seed, delayMin: 20, delayMax: 60 }, { webrtc: false })
      const { sim, a, b, relays, courier } = here
      const [bad, good] = relays
      if (bad === undefined || good === undefined) throw new Error('a town has relays')
      for (const [node, other] of [
        [a, b],
        [b, a],
      ] as const) {
        node.isOpen = false
        const addresses = [sim.circuit(other, bad), sim.circuit(other, good)]
        sim.handle(node, { type: 'wanted', peers: [{ peerId: other.identity.peerId, addresses }] })
      }
      const since = new Map<SimPipe, number>()
      let [harmed, apart] = [0, 0]
      for (let at = 0; at < 180_000; at += 100) {
        sim.at(at, () => {
          if (!areLinked(here)) apart += 100
          for (const pipe of sim.livePipes()) {
            if (pipe.relay !== bad || pipe.isBlackHole) continue
            if (!since.has(pipe)) since.set(pipe, sim.mono)
            if (sim.mono - (since.get(pipe) ?? 0) < 3_000) continue
            harmed += 1
            if (how === 'breaks') sim.killPipe(pipe)
            else sim.blackHole(pipe)
          }
        })
      }
      talk(here, 180_000)
      sim.run(190_000)
      expect(harmed).toBeGreaterThan(0)
      expect(harmed).toBeLessThanOrEqual(2)
      expect(apart).toBeLessThan(2_000)
      expect(a.network.views()[0]?.path?.via).toBe(good.url)
      expect(courier.problems().filter((problem) => !problem.endsWith('came late'))).toEqual([])
    },
  )
})

describe('the courier catches planted faults', () => {
  test.each(['deaf', 'forgetful'] as const)('%s', (fault) => {
    const problems = seedsOf(5).flatMap((seed) => {
      const here = town({ seed }, {}, { fault })
      want(here, false)
      talk(here, 6_000)
      here.sim.run(4_000)
      here.sim.move(here.a)
      here.sim.run(20_000)
      return here.courier.problems()
    })
    expect(problems.length).toBeGreaterThan(0)
  })

  test('an engine that never rescues a suspect link is slower', () => {
    const here = town({ seed: 1 }, { webrtc: false, linkLimits: { probeMs: 8_000, probeIntervalMaxMs: 9_000 } })
    want(here, false)
    here.sim.run(5_000)
    for (const pipe of here.sim.livePipes()) here.sim.blackHole(pipe)
    expect(msUntilBothTalk(here, 20_000)).toBeGreaterThan(2_000)
  })
})
