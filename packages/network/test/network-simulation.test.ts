import { describe, expect, test } from 'vitest'
import { type SimNode, Simulator, type SimulatorOptions } from './simulator.ts'

// MIAOU_MODEL_RUNS=n runs seeds 0 to n - 1 of each kind.
const { MIAOU_MODEL_RUNS } = process.env
const seedsOf = (count: number) => Array.from({ length: Number(MIAOU_MODEL_RUNS ?? count) }, (_, seed) => seed)

/** Everybody wants everybody, all at once. */
function wantAll(sim: Simulator, nodes: readonly SimNode[]): void {
  for (const node of nodes) {
    const peers = nodes
      .filter((other) => other !== node)
      .map((other) => ({ peerId: other.identity.peerId, addresses: [sim.address(other)] }))
    sim.handle(node, { type: 'wanted', peers })
  }
}

function areAllLinked(nodes: readonly SimNode[]): boolean {
  return nodes.every(({ linked }) => linked.size === nodes.length - 1)
}

function traffic(sim: Simulator, from: SimNode, to: SimNode, durationMs: number): void {
  let at = 0
  while (at < durationMs) {
    at += sim.random.next() * 20
    const fleeting = sim.random.chance(0.2)
    const size = sim.random.chance(0.03) ? 50_000 + sim.random.below(150_000) : sim.random.below(2_000)
    sim.at(at, () => sim.send(from, to, { fleeting, size: fleeting ? 12 : size }))
  }
}

/** Two peers dial each other and upgrade while they talk; no pipe dies. */
function calmRun(options: Partial<SimulatorOptions>, linkOptions = {}): Simulator {
  const sim = new Simulator(options)
  const nodes = [sim.addNode('a', linkOptions), sim.addNode('b', linkOptions)] as const
  wantAll(sim, nodes)
  sim.run(300, () => areAllLinked(nodes))
  traffic(sim, nodes[0], nodes[1], 400)
  traffic(sim, nodes[1], nodes[0], 400)
  sim.run(30_000)
  sim.checkNothingLost()
  return sim
}

/** Three peers; pipes die or fall silent, processes crash and restart, clocks jump, networks change. */
function stormRun(options: Partial<SimulatorOptions>): Simulator {
  const sim = new Simulator(options)
  sim.relaxOrder()
  const nodes = [sim.addNode('a'), sim.addNode('b'), sim.addNode('c', { webrtc: options.seed !== 2 })]
  wantAll(sim, nodes)
  for (const from of nodes) for (const to of nodes) if (from !== to) traffic(sim, from, to, 6_000)
  let at = 0
  while (at < 6_000) {
    at += sim.random.next() * 400
    sim.at(at, () => storm(sim, nodes))
  }
  sim.run(6_000)
  for (const node of nodes) if (!node.isUp) sim.restart(node)
  wantAll(sim, nodes)
  if (!sim.run(400_000, () => areAllLinked(nodes))) sim.violations.push('the peers did not find back together')
  sim.run(30_000)
  sim.checkNothingLost()
  return sim
}

function storm(sim: Simulator, nodes: readonly SimNode[]): void {
  const live = sim.livePipes()
  const pipe = live[sim.random.below(live.length)]
  const node = nodes[sim.random.below(nodes.length)]
  if (node === undefined) return
  const choice = sim.random.below(8)
  if (choice < 3 && pipe !== undefined) sim.killPipe(pipe)
  else if (choice === 3 && pipe !== undefined) sim.blackHole(pipe)
  else if (choice === 4 && node.isUp) {
    sim.crash(node)
    sim.at(sim.random.below(1_000), () => {
      if (node.isUp) return
      sim.restart(node)
      wantAll(sim, nodes)
    })
  } else if (choice === 5) sim.wallOffset -= 86_400_000
  else if (choice === 6) sim.handle(node, { type: 'network-changed' })
  else {
    const other = nodes[sim.random.below(nodes.length)]
    if (other !== undefined && other !== node) {
      sim.handle(node, { type: 'connect-address', address: sim.address(other) })
    }
  }
}

describe('links between simulated peers', () => {
  test('[L50] a dialled peer is linked, upgraded to WebRTC, and frames arrive in order', () => {
    const sim = new Simulator({ seed: 3 })
    const [a, b] = [sim.addNode('a'), sim.addNode('b')]
    sim.handle(a, { type: 'connect', peerId: b.identity.peerId, addresses: [sim.address(b)] })
    expect(sim.run(1_000, () => a.linked.size === 1 && b.linked.size === 1)).toBe(true)
    for (let i = 0; i < 100; i++) {
      sim.at(i * 2, () => sim.send(a, b))
      sim.at(i * 2, () => sim.send(b, a))
    }
    sim.run(5_000)
    sim.checkNothingLost()
    expect(sim.violations).toEqual([])
    expect(a.network.views()[0]?.transport).toBe('webrtc')
    expect(b.network.views()[0]?.transport).toBe('webrtc')
    expect(sim.deliveredCount).toBe(200)
  })

  test.each(seedsOf(20))(
    '[L80] seed %i: dialling each other and upgrading loses, doubles and disorders nothing',
    (seed) => {
      const sim = calmRun({ seed, padded: seed % 2 === 0, delayMax: 1 + (seed % 5) * 30 })
      expect(sim.violations).toEqual([])
      for (const node of sim.nodes) expect(node.network.sizes()).toEqual({ connections: 1, pipes: 1, handshakesIn: 0 })
      expect(sim.nodes.map(({ network }) => network.views()[0]?.transport)).toEqual(['webrtc', 'webrtc'])
    },
  )

  test.each(seedsOf(25))(
    '[L60] seed %i: through dying pipes, crashes and jumping clocks the peers find back together',
    (seed) => {
      const sim = stormRun({ seed, webrtcFails: seed % 4 === 3, padded: seed % 3 === 0 })
      expect(sim.violations).toEqual([])
      for (const node of sim.nodes) expect(node.network.sizes().handshakesIn).toBe(0)
    },
  )
})

describe('forgers on the pipe', () => {
  test.each(seedsOf(8))('[L25] seed %i: what somebody slips into a pipe is counted and changes nothing', (seed) => {
    const linkLimits = { badMessagesMax: 1_000_000 }
    const sim = calmRun({ seed, forgeShare: 0.3, padded: seed % 2 === 0 }, { linkLimits })
    sim.run(60_000)
    sim.checkNothingLost()
    expect(sim.violations).toEqual([])
    // A forged message in a handshake ends that handshake, and the next attempt waits longer (L63).
    expect(sim.run(3_600_000, () => areAllLinked(sim.nodes))).toBe(true)
  })
})

describe('the checkers catch planted faults', () => {
  test.each(['drop', 'double', 'swap', 'same-ephemeral'] as const)('%s', (fault) => {
    const sim = fault === 'same-ephemeral' ? stormRun({ seed: 1, fault }) : calmRun({ seed: 1, fault })
    expect(sim.violations.length).toBeGreaterThan(0)
  })

  test('a switch that does not wait for the old link disorders frames', () => {
    const seeds = Array.from({ length: 10 }, (_, seed) => seed)
    const late = seeds.flatMap((seed) => calmRun({ seed, delayMax: 60 }, { limits: { holdMs: 0 } }).violations)
    expect(late.some((violation) => violation.includes('came late'))).toBe(true)
  })

  test('a switch that cuts the old link loses frames', () => {
    const seeds = Array.from({ length: 10 }, (_, seed) => seed)
    const lost = seeds.flatMap((seed) => calmRun({ seed, delayMax: 60 }, { limits: { retireMs: 0 } }).violations)
    expect(lost.some((violation) => violation.includes('is lost'))).toBe(true)
  })
})
