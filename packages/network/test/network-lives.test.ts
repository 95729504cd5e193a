import { describe, expect, test } from 'vitest'
import { Simulator } from './simulator.ts'

describe('long lives', () => {
  test('[L57] after 500 connect and close cycles the tables are as small as after the first (row D32)', () => {
    const sim = new Simulator({ seed: 7, delayMax: 5 })
    const [a, b] = [sim.addNode('a'), sim.addNode('b')]
    for (let cycle = 0; cycle < 500; cycle++) {
      sim.handle(a, { type: 'connect', peerId: b.identity.peerId, addresses: [sim.address(b)] })
      expect(sim.run(2_000, () => a.linked.size === 1 && b.linked.size === 1)).toBe(true)
      if (cycle % 2 === 0) sim.run(500)
      sim.handle(cycle % 3 === 0 ? b : a, {
        type: 'disconnect',
        peerId: (cycle % 3 === 0 ? a : b).identity.peerId,
        reason: 'bye',
      })
      expect(sim.run(2_000, () => a.linked.size === 0 && b.linked.size === 0)).toBe(true)
      sim.pipes.length = 0
    }
    sim.run(30_000)
    expect(sim.violations).toEqual([])
    for (const { network } of [a, b]) {
      expect(network.sizes()).toEqual({ connections: 1, pipes: 0, handshakesIn: 0 })
      expect(network.deadline()).toBe(Number.POSITIVE_INFINITY)
    }
  })

  test('[L58] many connections at once (row D29)', () => {
    const sim = new Simulator({ seed: 8 })
    const hub = sim.addNode('hub')
    const others = Array.from({ length: 40 }, (_, i) => sim.addNode(`n${i}`))
    for (const node of others) {
      sim.handle(node, { type: 'wanted', peers: [{ peerId: hub.identity.peerId, addresses: [sim.address(hub)] }] })
    }
    expect(sim.run(10_000, () => hub.linked.size === 40 && others.every(({ linked }) => linked.size === 1))).toBe(true)
    for (const node of others) {
      sim.send(hub, node)
      sim.send(node, hub)
    }
    sim.run(20_000)
    sim.checkNothingLost()
    expect(sim.violations).toEqual([])
    expect(sim.deliveredCount).toBe(80)
    expect(hub.network.views().map(({ transport }) => transport)).toEqual(others.map(() => 'webrtc'))
  })

  test('[L27] a link that nears its last sequence number is dialled anew, and the conversation goes on', () => {
    const sim = new Simulator({ seed: 9 })
    const options = { webrtc: false, linkLimits: { sequenceMax: 50 } }
    const [a, b] = [sim.addNode('a', options), sim.addNode('b', options)]
    sim.handle(a, { type: 'wanted', peers: [{ peerId: b.identity.peerId, addresses: [sim.address(b)] }] })
    let taken = 0
    for (let i = 0; i < 100; i++) {
      sim.run(200)
      if (sim.send(a, b)) taken += 1
    }
    sim.run(20_000)
    expect(taken).toBeGreaterThan(80)
    expect(b.frames.length).toBe(taken)
    expect(sim.violations).toEqual([])
    expect(a.events.filter(({ type }) => type === 'connection-closed').length).toBeGreaterThan(1)
  })

  test('[L40] idle links cost a ping in 30 s and nothing else', () => {
    const sim = new Simulator({ seed: 10 })
    const [a, b] = [sim.addNode('a'), sim.addNode('b')]
    sim.handle(a, { type: 'connect', peerId: b.identity.peerId, addresses: [sim.address(b)] })
    sim.run(20_000)
    const before = a.network.views()[0]?.stats
    sim.run(3_600_000)
    const after = a.network.views()[0]?.stats
    const bytes = (after?.bytesSent ?? 0) - (before?.bytesSent ?? 0)
    // An hour has 120 idle times of 30 s; a ping or pong has 115 bytes.
    expect(bytes).toBeLessThanOrEqual(121 * 2 * 115)
    expect(sim.violations).toEqual([])
    expect(a.linked.size).toBe(1)
  })

  test('[L79] an upgraded link that dies falls back to dialling and upgrades again', () => {
    const sim = new Simulator({ seed: 11 })
    const [a, b] = [sim.addNode('a'), sim.addNode('b')]
    sim.handle(a, { type: 'wanted', peers: [{ peerId: b.identity.peerId, addresses: [sim.address(b)] }] })
    const isUpgraded = () => a.network.views()[0]?.transport === 'webrtc'
    expect(sim.run(5_000, isUpgraded)).toBe(true)
    sim.run(1_000)
    for (const pipe of sim.livePipes()) sim.killPipe(pipe)
    expect(sim.run(5_000, () => a.network.views()[0]?.transport === 'websocket')).toBe(true)
    expect(sim.run(30_000, isUpgraded)).toBe(true)
    sim.run(1_000)
    const reasons = a.events.flatMap((event) => (event.type === 'connection-closed' ? [event.reason] : []))
    expect(reasons).toEqual(['upgraded', 'pipe-lost', 'upgraded'])
  })

  test('[L41] a peer that vanishes without a word is missed within seconds of the next message', () => {
    const sim = new Simulator({ seed: 12 })
    const [a, b] = [sim.addNode('a', { webrtc: false }), sim.addNode('b')]
    // Not wanted: nothing is dialled beside the link.
    sim.handle(a, { type: 'connect', peerId: b.identity.peerId, addresses: [sim.address(b)] })
    sim.run(5_000)
    for (const pipe of sim.livePipes()) sim.blackHole(pipe)
    const before = sim.mono
    sim.send(a, b)
    expect(sim.run(60_000, () => a.linked.size === 0)).toBe(true)
    expect(sim.mono - before).toBeLessThanOrEqual(10_001)
    sim.handle(a, { type: 'wanted', peers: [{ peerId: b.identity.peerId, addresses: [sim.address(b)] }] })
    expect(sim.run(60_000, () => a.linked.size === 1 && b.linked.size === 1)).toBe(true)
  })

  test('[L59] a restarted peer is not kept waiting by the link it lost', () => {
    for (let seed = 20; seed < 40; seed++) {
      const sim = new Simulator({ seed })
      const [a, b] = [sim.addNode('a'), sim.addNode('b')]
      sim.handle(a, { type: 'wanted', peers: [{ peerId: b.identity.peerId, addresses: [sim.address(b)] }] })
      sim.run(5_000)
      for (const pipe of sim.livePipes()) sim.blackHole(pipe)
      b.isUp = false
      sim.restart(b)
      // The other end has noticed nothing: its old link still seems to stand.
      sim.handle(b, { type: 'connect', peerId: a.identity.peerId, addresses: [sim.address(a)] })
      expect(sim.run(2_000, () => b.linked.size === 1)).toBe(true)
      expect(a.downs).toEqual(['pipe-lost'])
      expect(a.linked.size).toBe(1)
      sim.send(a, b)
      expect(sim.run(1_000, () => b.frames.length === 1)).toBe(true)
    }
  })

  test('a ping is answered with the round trip', () => {
    const sim = new Simulator({ seed: 13, delayMin: 25, delayMax: 25 })
    const [a, b] = [sim.addNode('a'), sim.addNode('b')]
    sim.handle(a, { type: 'connect', peerId: b.identity.peerId, addresses: [sim.address(b)] })
    sim.run(5_000)
    sim.handle(a, { type: 'ping', peerId: b.identity.peerId, id: 42 })
    expect(sim.run(1_000, () => a.pongs.length === 1)).toBe(true)
    expect(a.pongs[0]).toMatchObject({ id: 42 })
    expect(a.pongs[0]?.latencyMs).toBeCloseTo(50)
  })
})
