import { circuitWindowSize, type RelayAddress } from '@miaou/protocol'
import { describe, expect, test } from 'vitest'
import { Circuits } from '../src/circuit/circuits.ts'
import type { CircuitsLimits } from '../src/circuit/circuits-limits.ts'
import type { CircuitsInput, CircuitsOutput } from '../src/circuit/interface.ts'
import type { PipeId } from '../src/ports.ts'
import { addDouble } from './circuits-relays.ts'
import { connect, World, wants } from './circuits-world.ts'
import { crypto, SeededRandom, testPseudonym } from './identities.ts'

function relayAt(url: string, fill: number): RelayAddress {
  return { url, relayId: new Uint8Array(16).fill(fill) }
}

/** An engine alone, whose dials all fail at once; jitter is a half, so that no wait is spread. */
class Alone {
  readonly engine: Circuits
  readonly dials: { readonly url: string; readonly at: number }[] = []
  #mono = 0
  #nextPipe = 1

  constructor(limits: Partial<CircuitsLimits>) {
    const [random, pseudonymFor] = [new SeededRandom(1), () => testPseudonym(77)]
    const options = { crypto, random, jitter: { next: () => 0.5 }, pseudonymFor, limits }
    this.engine = new Circuits(options, () => this.#nextPipe++ as PipeId)
  }

  do(input: CircuitsInput): void {
    this.#perform(this.engine.handle({ mono: this.#mono, wall: 0 }, input))
  }

  runUntil(dials: number): void {
    while (this.dials.length < dials) {
      this.#mono = this.engine.deadline()
      this.do({ type: 'wake' })
    }
  }

  #perform(outputs: readonly CircuitsOutput[]): void {
    for (const output of outputs) {
      if (output.type !== 'relay-dial') continue
      this.dials.push({ url: output.url, at: this.#mono })
      const error = { type: 'unreachable', detail: 'refused' } as const
      this.do({ type: 'transport', event: { type: 'closed', pipe: output.pipe, error } })
    }
  }
}

describe('bounds of the client of relays', () => {
  test('[C30] relays wanted: those behind the bound are ignored', () => {
    const alone = new Alone({ wantedMax: 2 })
    alone.do({ type: 'relays', relays: [1, 2, 3].map((fill) => relayAt(`ws://192.0.2.${fill}:1`, fill)) })
    expect(alone.engine.views().map(({ relay }) => relay.relayId[0])).toEqual([1, 2])
  })

  test('[C26] URLs of one relay: three are tried by turns, the first ones named', () => {
    const alone = new Alone({ backoffMaxMs: 1_000 })
    alone.do({ type: 'relays', relays: [1, 2, 3, 4, 5].map((host) => relayAt(`ws://192.0.2.${host}:1`, 9)) })
    alone.runUntil(12)
    const hosts = [1, 2, 3].map((host) => `ws://192.0.2.${host}:1`)
    expect([...new Set(alone.dials.map(({ url }) => url))]).toEqual(hosts)
  })

  test('[C25] the wait between two dials of a relay doubles up to the bound, and not beyond', () => {
    const alone = new Alone({})
    alone.do({ type: 'relays', relays: [relayAt('ws://192.0.2.1:1', 1)] })
    alone.runUntil(14)
    const waits = alone.dials.slice(1).map(({ at }, i) => at - (alone.dials[i]?.at ?? 0))
    expect(waits.slice(0, 4)).toEqual([1_000, 2_000, 4_000, 8_000])
    expect(Math.max(...waits)).toBe(300_000)
    expect(waits.at(-1)).toBe(300_000)
  })

  test('[C12] whatever window a relay allows, no more than our own bound is under way', () => {
    const world = new World()
    const { relay, double } = addDouble(world, 2_300)
    double.answer = (_, usual) => (usual?.type === 'opened' ? [{ ...usual, window: 0xffff_ffff }] : undefined)
    let passed = 0
    double.passOn = (chunk) => {
      passed += chunk.bytes.length
      return [chunk]
    }
    // Bob gives credit for an eighth of his window at a time: for more than Alice has.
    const windowMax = 30_000
    expect(windowMax).toBeLessThan(circuitWindowSize / 8)
    const pair = connect(world, relay, { windowMax })
    passed = 0
    world.write(pair.alice, pair.out, new Uint8Array(60_000))
    world.run(2_000)
    // Whole chunks only.
    expect(passed).toBeGreaterThan(windowMax / 2)
    expect(passed).toBeLessThanOrEqual(windowMax)
  })

  test('[C33] a measurement that a relay does not finish ends in time, once', () => {
    const world = new World()
    const { relay, double } = addDouble(world, 2_301)
    double.answer = (message) => (message.type === 'measure-up' ? [] : undefined)
    const alice = world.addPeer('alice', { measureTimeoutMs: 3_000 })
    wants(world, alice, relay)
    world.run(500)
    const startedAt = world.mono
    world.handle(alice, { type: 'measure', id: 7, relay: relay.address })
    expect(world.run(10_000, () => alice.measured.length > 0)).toBe(true)
    // The bound is for each way; the first took three trips of 10 ms.
    expect(world.mono - startedAt).toBeGreaterThanOrEqual(3_000)
    expect(world.mono - startedAt).toBeLessThan(3_200)
    world.run(20_000)
    expect(alice.measured).toMatchObject([{ id: 7, result: { ok: false } }])
  })
})
