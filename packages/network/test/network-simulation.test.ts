import { describe, expect, test } from 'vitest'
import { Simulator } from './simulator.ts'

describe('links between simulated peers', () => {
  test('[L10] a dialled peer is linked, upgraded to WebRTC, and frames arrive in order', () => {
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
})
