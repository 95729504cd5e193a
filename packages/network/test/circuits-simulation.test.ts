import { type CircuitData, formatCircuitAddress } from '@miaou/protocol'
import { describe, expect, test } from 'vitest'
import type { PipeId } from '../src/ports.ts'
import { addDouble, addService } from './circuits-relays.ts'
import { World, type WorldPeer, type WorldRelay, wants } from './circuits-world.ts'

type Fault = 'lose' | 'double' | 'swap' | 'change'

/** Messages of one direction of one circuit. */
interface Flow {
  readonly sent: Uint8Array[]
  received: number
}

interface SimulatedCircuit {
  readonly caller: WorldPeer
  readonly out: PipeId
  callee?: WorldPeer
  in?: PipeId
  readonly there: Flow
  readonly back: Flow
}

/** Peers that call each other through relays that come and go; every message is checked as it comes. */
class CircuitsSimulation {
  readonly world: World
  readonly peers: WorldPeer[]
  readonly relays: WorldRelay[]
  readonly violations: string[] = []
  readonly circuits: SimulatedCircuit[] = []
  received = 0

  constructor(seed: number, fault?: Fault) {
    this.world = new World(seed)
    const faulty = fault === undefined ? undefined : addDouble(this.world, 3_000 + seed)
    if (faulty !== undefined && fault !== undefined) faulty.double.passOn = this.#planted(fault)
    const honest = [addService(this.world, 3_100 + seed), addService(this.world, 3_200 + seed)]
    this.relays = faulty === undefined ? [...honest, addDouble(this.world, 3_300 + seed).relay] : [faulty.relay]
    this.peers = ['ann', 'ben', 'cid', 'dot'].map((name, index) => this.world.addPeer(name, {}, 40 + index))
    for (const peer of this.peers) {
      wants(this.world, peer, ...this.relays)
      peer.onEvent = (event) => {
        if (event.type === 'message') this.#check(peer, event.pipe, event.bytes)
        // Both ends say something at once: a relay takes a circuit on which one never did for forgotten.
        if (event.type === 'opened' && event.direction === 'out') this.#greet(event.pipe)
      }
    }
  }

  /** A fault with every ninth chunk. */
  #planted(fault: Fault): (chunk: CircuitData) => CircuitData[] {
    let count = 0
    let held: CircuitData | undefined
    return (chunk) => {
      count += 1
      if (count % 9 === 0 && fault === 'lose') return []
      if (count % 9 === 0 && fault === 'double') return [chunk, chunk]
      if (count % 9 === 0 && fault === 'change') return [{ ...chunk, bytes: chunk.bytes.map((byte) => byte ^ 1) }]
      if (count % 9 === 0 && held === undefined && fault === 'swap') {
        held = { ...chunk, bytes: chunk.bytes.slice() }
        return []
      }
      const chunks = held === undefined || held.circuit !== chunk.circuit ? [chunk] : [chunk, held]
      if (chunks.length === 2) held = undefined
      return chunks
    }
  }

  step(withDeaths: boolean): void {
    const { random } = this.world
    this.world.delay = 5 + random.below(60)
    const choice = random.below(withDeaths ? 70 : 36)
    if (choice < 5) this.#dial()
    else if (choice < 28 || choice >= 39) this.#write()
    else if (choice < 30) this.#close()
    else if (choice === 36) this.world.handle(this.#pick(this.peers), { type: 'network-changed' })
    else if (choice === 37) {
      const peer = this.#pick(this.peers)
      this.world.moveAddress(peer)
      if (random.chance(0.5)) this.world.handle(peer, { type: 'network-changed' })
    } else if (choice === 38) {
      const relay = this.#pick(this.relays)
      if (random.chance(0.5)) {
        relay.isSilent = true
        this.world.at(5_000, () => {
          relay.isSilent = false
        })
      } else if (!relay.isDown) {
        this.world.kill(relay)
        this.world.at(3_000, () => {
          relay.isDown = false
        })
      }
    }
    this.world.run(random.below(150))
  }

  /** After everything under way has come: what was sent on a circuit that stands, or ended orderly, is there. */
  settle(durationMs: number): void {
    this.world.run(durationMs)
    for (const circuit of this.circuits) {
      const { caller, callee } = circuit
      if (callee === undefined || circuit.in === undefined) continue
      const ends = [caller.closedPipe(circuit.out), callee.closedPipe(circuit.in)]
      const hasBroken = ends.some((end) => end?.error !== undefined)
      const isOneSided = (ends[0] === undefined) !== (ends[1] === undefined)
      if (isOneSided) this.violations.push(`circuit ${circuit.out} stands at one end only`)
      // Who closes does not hear the rest of what the other one said.
      const flows = ends[0] === undefined ? [circuit.there, circuit.back] : [circuit.there]
      if (hasBroken) continue
      for (const flow of flows) {
        if (flow.received < flow.sent.length) {
          this.violations.push(`circuit ${circuit.out}: ${flow.received} of ${flow.sent.length} arrived`)
        }
      }
    }
  }

  #pick<T>(values: readonly T[]): T {
    return values[this.world.random.below(values.length)] as T
  }

  #dial(): void {
    const callee = this.#pick(this.peers)
    const caller = this.#pick(this.peers.filter((peer) => peer !== callee))
    const address = callee.addresses.length === 0 ? undefined : this.#pick(callee.addresses)
    if (address === undefined) return
    const flows = { there: { sent: [], received: 0 }, back: { sent: [], received: 0 } }
    this.circuits.push({ caller, out: this.world.dial(caller, formatCircuitAddress(address)), ...flows })
  }

  #write(): void {
    const open = this.circuits.filter(({ caller, out }) => {
      return caller.circuits.owns(out) && caller.opened.some(({ pipe }) => pipe === out)
    })
    if (open.length === 0) return
    const circuit = this.#pick(open)
    const { caller, callee } = circuit
    this.#send(caller, circuit.out, circuit.there, circuit.out)
    if (callee !== undefined && circuit.in !== undefined && callee.circuits.owns(circuit.in)) {
      this.#send(callee, circuit.in, circuit.back, circuit.out)
    }
  }

  #greet(out: PipeId): void {
    const circuit = this.circuits.find((each) => each.out === out)
    if (circuit?.caller.circuits.owns(out)) this.#send(circuit.caller, out, circuit.there, out)
  }

  #send(from: WorldPeer, pipe: PipeId, flow: Flow, id: number): void {
    const { random } = this.world
    const size = random.chance(0.1) ? 8 + random.below(65_529) : 8 + random.below(600)
    const bytes = new Uint8Array(size).fill(random.below(256))
    const view = new DataView(bytes.buffer)
    view.setUint32(0, id)
    view.setUint32(4, flow.sent.length)
    flow.sent.push(bytes)
    this.world.write(from, pipe, bytes)
  }

  /** Only the caller closes, so that it is known what may be missing. */
  #close(): void {
    const open = this.circuits.filter(({ caller, out, callee }) => callee !== undefined && caller.circuits.owns(out))
    if (open.length === 0) return
    const { caller, out } = this.#pick(open)
    this.world.handle(caller, { type: 'close', pipe: out })
  }

  #check(peer: WorldPeer, pipe: PipeId, bytes: Uint8Array): void {
    this.received += 1
    const id = bytes.length < 8 ? 0 : new DataView(bytes.buffer, bytes.byteOffset).getUint32(0)
    const circuit = this.circuits.find(({ out }) => out === id)
    if (circuit === undefined) {
      this.violations.push(`${peer.name}: a message that nobody sent`)
      return
    }
    const isBack = peer === circuit.caller
    if (!isBack && circuit.in === undefined) {
      circuit.callee = peer
      circuit.in = pipe
      if (peer.circuits.owns(pipe)) this.#send(peer, pipe, circuit.back, circuit.out)
    }
    const flow = isBack ? circuit.back : circuit.there
    const isRightPipe = pipe === (isBack ? circuit.out : circuit.in)
    const expected = flow.sent[flow.received]
    flow.received += 1
    const isSame = expected !== undefined && Buffer.compare(expected, bytes) === 0
    if (!isRightPipe || !isSame) this.violations.push(`${peer.name}: not the next message of circuit ${circuit.out}`)
  }
}

describe('simulated circuits', () => {
  test.each(Array.from({ length: 8 }, (_, seed) => seed))(
    '[C10] seed %i: in order, none lost or doubled, on relays that live',
    (seed) => {
      const simulation = new CircuitsSimulation(seed)
      simulation.world.run(1_000)
      for (let step = 0; step < 200; step++) simulation.step(false)
      // No relay has had to take a circuit for forgotten yet.
      simulation.settle(15_000)
      expect(simulation.violations).toEqual([])
      expect(simulation.received).toBeGreaterThan(100)
      for (const peer of simulation.peers)
        expect(peer.closed.filter(({ error }) => error?.type === 'broken')).toEqual([])
    },
  )

  test.each(Array.from({ length: 12 }, (_, seed) => seed))(
    '[C22] [C23] seed %i: relays die, fall silent and come back, addresses change; what stands is whole',
    (seed) => {
      const simulation = new CircuitsSimulation(100 + seed)
      simulation.world.run(1_000)
      for (let step = 0; step < 250; step++) simulation.step(true)
      // Long enough for both ends of the link with a relay to notice.
      simulation.settle(60_000)
      expect(simulation.violations).toEqual([])
      expect(simulation.received).toBeGreaterThan(50)
      for (const relay of simulation.relays) {
        relay.isSilent = false
        relay.isDown = false
      }
      // Everybody is reachable again, however it went.
      simulation.world.run(400_000)
      for (const peer of simulation.peers) expect(peer.addresses).toHaveLength(3)
    },
  )

  test.each(['lose', 'double', 'swap', 'change'] as const)('the checkers find a planted fault: %s', (fault) => {
    const found = [1, 2, 3].filter((seed) => {
      const simulation = new CircuitsSimulation(200 + seed, fault)
      simulation.world.run(1_000)
      for (let step = 0; step < 120; step++) simulation.step(false)
      simulation.settle(15_000)
      return simulation.violations.length > 0
    })
    expect(found).toEqual([1, 2, 3])
  })
})
