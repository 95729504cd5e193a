import { circuitChunkCostMin, encodeCircuitData, fillerCircuit, frameTypes, measureBytesMax } from '@miaou/protocol'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { defaultRelayLimits } from '../src/circuit/relay-service-limits.ts'
import { sameGroup, type TestClient, TestRelay } from './relay-service-town.ts'

const full = 16_350

function linked(limits = {}) {
  const relay = new TestRelay(limits)
  const [caller, holder] = [relay.connect(1), relay.connect(2)]
  holder.ask({ type: 'reserve' })
  return { relay, caller, holder, circuit: relay.circuit(caller, holder) }
}

function sendFiller(client: TestClient, bytes: number): void {
  for (let left = bytes; left > 0; left -= full) {
    const size = Math.min(left, full)
    const isLast = left <= full
    const encoded = encodeCircuitData({ circuit: fillerCircuit, isLast, bytes: new Uint8Array(size) })
    client.frame(frameTypes.circuitData, encoded)
  }
}

describe('windows', () => {
  test('[R40] the window counts small chunks as 256 bytes; beyond it the circuit is closed at both ends', () => {
    const { relay, caller, holder, circuit } = linked({ windowSize: 4 * circuitChunkCostMin })
    for (let i = 0; i < 4; i++) caller.data(circuit.out, 1)
    expect(holder.received.get(circuit.in)?.length).toBe(4)
    expect(relay.count('closed-flow-control')).toBe(0)
    caller.data(circuit.out, 1)
    expect(relay.count('closed-flow-control')).toBe(1)
    expect(caller.ofType('close')).toEqual([{ type: 'close', circuit: circuit.out, reason: 'flow-control' }])
    expect(holder.ofType('close')).toEqual([{ type: 'close', circuit: circuit.in, reason: 'flow-control' }])
    expect([caller.isUp, holder.isUp]).toEqual([true, true])
  })

  test('[R41] credit is passed on and opens the window again', () => {
    const { caller, holder, circuit } = linked({ windowSize: 1_024 })
    caller.data(circuit.out, 1_024)
    holder.say({ type: 'credit', circuit: circuit.in, bytes: 1_024 })
    expect(caller.ofType('credit')).toEqual([{ type: 'credit', circuit: circuit.out, bytes: 1_024 }])
    caller.data(circuit.out, 1_024)
    expect(holder.total(circuit.in)).toBe(2_048)
  })

  test('[R41] credit for more than was received, or for less than a chunk, closes the circuit', () => {
    for (const bytes of [0, circuitChunkCostMin - 1, 1_025, 0xffff_ffff]) {
      const { relay, caller, holder, circuit } = linked({ windowSize: 4_096 })
      caller.data(circuit.out, 1_024)
      holder.say({ type: 'credit', circuit: circuit.in, bytes })
      expect(relay.count('closed-flow-control'), String(bytes)).toBe(1)
    }
  })

  test('[R42] what waits for a reader that does not read is bounded by windows, and its credits become one', () => {
    const { relay, caller, holder, circuit } = linked()
    holder.isReading = false
    while (relay.service.view().circuits === 1) caller.data(circuit.out, full)
    // Closed at the window, with nothing left waiting; the link goes on.
    expect(relay.count('closed-flow-control')).toBe(1)
    expect(relay.service.view().queuedBytes).toBe(0)
    holder.isReading = true
    holder.read(Number.POSITIVE_INFINITY)
    expect(holder.total(circuit.in)).toBeLessThanOrEqual(defaultRelayLimits.unsentMax + full)
    const other = relay.circuit(caller, holder)
    holder.data(other.in, 1_024)
    holder.data(other.in, 1_024)
    holder.isReading = false
    // Until it is late: its own answers fill what may be under way.
    for (let i = 0; i < 8; i++) caller.data(other.out, full)
    for (let i = 0; i < 2; i++) caller.say({ type: 'credit', circuit: other.out, bytes: 1_024 })
    holder.isReading = true
    holder.read(Number.POSITIVE_INFINITY)
    expect(holder.ofType('credit').reduce((sum, { bytes }) => sum + bytes, 0)).toBe(2_048)
  })

  test('[R43] a client that asks and never reads is cut', () => {
    const relay = new TestRelay({ unsentCutMax: 20_000, messagesBurst: 1_000 })
    const client = relay.connect(1)
    client.isReading = false
    for (let i = 0; i < 200 && !client.isClosed; i++) client.say({ type: 'measure-up', request: i })
    expect(client.isClosed).toBe(true)
    expect(relay.count('links-cut')).toBe(1)
    expect(client.unread.reduce((sum, { length }) => sum + length, 0)).toBeLessThan(30_000)
  })

  test('[R44] beyond what may wait in all, those above the average go, and those who send little stay', () => {
    const relay = new TestRelay({ queuedBytesMax: 20 * full, unsentMax: 1 })
    const holder = relay.connect(1)
    holder.ask({ type: 'reserve' })
    const callers = [2, 3, 4, 5].map((seed) => relay.connect(seed))
    const circuits = callers.map((caller) => relay.circuit(caller, holder))
    holder.isReading = false
    // Makes the link late.
    callers[3]?.data(circuits[3]?.out ?? 0, 1)
    for (let i = 0; i < 10; i++) for (const at of [0, 1, 2]) callers[at]?.data(circuits[at]?.out ?? 0, full)
    callers[3]?.data(circuits[3]?.out ?? 0, 1)
    expect(relay.count('closed-busy')).toBeGreaterThan(0)
    expect(callers[3]?.ofType('close')).toEqual([])
    expect(relay.service.view().queuedBytes).toBeLessThanOrEqual(20 * full + circuitChunkCostMin)
  })
})

describe('quotas', () => {
  test('[R50] the bytes of a day: by group and in all, refused with when the next day begins', () => {
    const limits = { groupBytesPerDay: 10_000, bytesPerDay: 25_000, dayMs: 3_600_000, idleMs: 9e9, uselessMs: 9e9 }
    const relay = new TestRelay({ ...limits, reservationMs: 9e9 })
    const holder = relay.connect(9)
    holder.ask({ type: 'reserve' })
    const [first, neighbour] = [relay.connect(1, sameGroup[0]), relay.connect(2, sameGroup[1])]
    const circuit = relay.circuit(first, holder)
    first.data(circuit.out, 9_999)
    first.data(circuit.out, 10)
    first.data(circuit.out, 10)
    expect(first.ofType('close')).toEqual([{ type: 'close', circuit: circuit.out, reason: 'quota' }])
    expect(relay.count('closed-quota')).toBe(1)
    const open = (client: TestClient) => client.ask({ type: 'open', reservation: holder.reservation })
    expect(open(neighbour)).toMatchObject({ reason: 'quota', retryIn: 3_600 })
    // Leaving and coming back does not help.
    relay.disconnect(first)
    relay.disconnect(neighbour)
    const back = relay.connect(1, sameGroup[1])
    expect(open(back)).toMatchObject({ reason: 'quota' })
    for (const seed of [3, 4]) {
      const other = relay.connect(seed)
      const { out } = relay.circuit(other, holder)
      other.data(out, 9_000)
    }
    expect(open(relay.connect(5))).toMatchObject({ reason: 'quota' })
    relay.pass(3_600_000)
    expect(open(relay.connect(6))).toMatchObject({ type: 'opened' })
    expect(relay.service.view().bytesToday).toBe(0)
  })

  test('[R51] a rate holds back what is above it and loses nothing', () => {
    for (const limits of [
      { circuitBytesPerSecond: 100_000 },
      { clientBytesPerSecond: 100_000 },
      { bytesPerSecond: 100_000 },
    ]) {
      const { relay, caller, holder, circuit } = linked(limits)
      for (let i = 0; i < 12; i++) caller.data(circuit.out, full)
      expect(holder.total(circuit.in)).toBeLessThan(2 * full)
      relay.pass(1_000)
      expect(holder.total(circuit.in)).toBeGreaterThan(90_000)
      expect(holder.total(circuit.in)).toBeLessThan(130_000)
      relay.pass(2_000)
      expect(holder.total(circuit.in)).toBe(12 * full)
    }
  })

  test('[R52] at the bound of groups remembered the oldest one that is gone is forgotten', () => {
    const relay = new TestRelay({ groupsMax: 2, groupBytesPerDay: 1_000 })
    const holder = relay.connect(250)
    holder.ask({ type: 'reserve' })
    const spend = (seed: number) => {
      const client = relay.connect(seed)
      const answer = client.ask({ type: 'open', reservation: holder.reservation })
      if (answer.type === 'opened') client.data(answer.circuit, 1_000)
      relay.disconnect(client)
      return answer.type
    }
    expect([1, 2, 3].map(spend)).toEqual(['opened', 'opened', 'opened'])
    expect([3, 2].map(spend)).toEqual(['refused', 'refused'])
    expect(spend(1)).toBe('opened')
  })
})

describe('hostile clients', () => {
  test('[R53] a flood of requests is answered with busy, then ends its link; others do not notice', () => {
    const relay = new TestRelay()
    const [holder, flooder, honest] = [relay.connect(1), relay.connect(2), relay.connect(3)]
    holder.ask({ type: 'reserve' })
    let answered = 0
    for (let i = 0; i < 1_000 && flooder.isUp; i++) {
      flooder.say({ type: 'open', request: i, reservation: new Uint8Array(16).fill(i) })
      answered += 1
    }
    expect(answered).toBe(defaultRelayLimits.messagesBurst + defaultRelayLimits.badMessagesMax)
    expect(flooder.ended).toBe('protocol-error')
    expect(flooder.ofType('refused').at(-1)).toMatchObject({ reason: 'busy', retryIn: 1 })
    expect(honest.ask({ type: 'open', reservation: holder.reservation }).type).toBe('opened')
  })

  test('[R54] garbage and what only a relay says end the link after a few', () => {
    const relay = new TestRelay()
    const send: ((client: TestClient) => void)[] = [
      (client) => client.frame(frameTypes.relayControl, Uint8Array.of(99, 1, 2)),
      (client) => client.frame(frameTypes.relayControl, new Uint8Array(0)),
      (client) => client.frame(frameTypes.circuitData, Uint8Array.of(0, 0, 0, 1, 0)),
      (client) => client.frame(frameTypes.circuitData, Uint8Array.of(0, 0, 0, 1, 2, 3)),
      (client) => client.frame(frameTypes.gossip, new Uint8Array(10)),
      (client) => client.say({ type: 'incoming', circuit: 1, window: 5 }),
      (client) => client.say({ type: 'measured', request: 1, bytes: 5 }),
      // Circuits that never were.
      (client) => client.data(5, 100),
      (client) => client.say({ type: 'credit', circuit: 5, bytes: 500 }),
      (client) => client.say({ type: 'close', circuit: 5, reason: 'bye' }),
    ]
    send.forEach((one, index) => {
      const client = relay.connect(index + 1)
      for (let i = 0; i < defaultRelayLimits.badMessagesMax - 1; i++) one(client)
      expect(client.isUp, String(index)).toBe(true)
      one(client)
      expect(client.ended, String(index)).toBe('protocol-error')
    })
  })

  test('[R55] what was under way when the relay closed a circuit is no offence, more is', () => {
    const { relay, caller, circuit } = linked({ windowSize: 16 * full, groupBytesPerDay: 1_000 })
    caller.data(circuit.out, 1_000)
    caller.data(circuit.out, 1_000)
    for (let i = 0; i < 14; i++) caller.data(circuit.out, full)
    caller.say({ type: 'close', circuit: circuit.out, reason: 'bye' })
    expect(relay.count('bad-messages')).toBe(0)
    expect(relay.count('stray-messages')).toBeGreaterThan(0)
    for (let i = 0; i < 40 && caller.isUp; i++) caller.data(circuit.out, full)
    expect(caller.ended).toBe('protocol-error')
  })

  test('[R56] a client that reserves again and again with other keys is held by its group', () => {
    const relay = new TestRelay({ reservationsPerGroupMax: 4, clientsPerGroupMax: 100 })
    const answers = Array.from({ length: 20 }, (_, at) =>
      relay.connect(at + 1, sameGroup[at % 2]).ask({ type: 'reserve' }),
    )
    expect(answers.filter(({ type }) => type === 'reserved').length).toBe(4)
    expect(relay.connect(200).ask({ type: 'reserve' }).type).toBe('reserved')
  })

  test('[R57] measurements: filler in turns, one every few seconds, not beyond the bound', () => {
    const relay = new TestRelay()
    const client = relay.connect(1)
    client.say({ type: 'measure-down', request: 1, bytes: measureBytesMax })
    relay.pass(100)
    expect(client.total(fillerCircuit)).toBe(measureBytesMax)
    client.say({ type: 'measure-down', request: 2, bytes: 10 })
    expect(client.ofType('refused')).toEqual([{ type: 'refused', request: 2, reason: 'busy', retryIn: 5 }])
    relay.pass(5_000)
    client.say({ type: 'measure-down', request: 3, bytes: 10 })
    expect(client.total(fillerCircuit)).toBe(measureBytesMax + 10)
    sendFiller(client, 100_000)
    client.say({ type: 'measure-up', request: 4 })
    client.say({ type: 'measure-up', request: 5 })
    expect(client.ofType('measured')).toEqual([
      { type: 'measured', request: 4, bytes: 100_000 },
      { type: 'measured', request: 5, bytes: 0 },
    ])
    expect(client.isUp).toBe(true)
    sendFiller(client, 2 * measureBytesMax)
    expect(client.ended).toBe('protocol-error')
    const none = new TestRelay({ measureBytesMax: 0 }).connect(1)
    none.say({ type: 'measure-down', request: 1, bytes: 10 })
    expect(none.ofType('refused')[0]?.reason).toBe('not-offered')
  })

  test('[R1] [R58] no sequence of messages makes it throw or leaves bytes behind', () => {
    const step = fc.oneof(
      fc.record({ type: fc.constant('open' as const), to: fc.nat(3) }),
      fc.record({ type: fc.constant('data' as const), at: fc.nat(6), size: fc.integer({ min: 1, max: full }) }),
      fc.record({ type: fc.constant('credit' as const), at: fc.nat(6), size: fc.nat(40_000) }),
      fc.record({ type: fc.constant('close' as const), at: fc.nat(6) }),
      fc.record({ type: fc.constant('garbage' as const), bytes: fc.uint8Array({ maxLength: 40 }) }),
      fc.record({ type: fc.constant('read' as const), isReading: fc.boolean() }),
      fc.record({ type: fc.constant('pass' as const), ms: fc.nat(30_000) }),
      fc.record({ type: fc.constant('leave' as const) }),
    )
    const steps = fc.array(fc.record({ who: fc.nat(3), what: step }), { maxLength: 60 })
    fc.assert(
      fc.property(steps, (list) => {
        const relay = new TestRelay({ unsentMax: 40_000, queuedBytesMax: 200_000, bytesPerSecond: 500_000 })
        const clients = [1, 2, 3, 4].map((seed) => relay.connect(seed))
        const reservations = clients.map((client) => client.reservation)
        for (const client of clients) client.ask({ type: 'reserve' })
        list.forEach(({ who, what }, at) => {
          const client = clients[who] as TestClient
          if (what.type === 'open') {
            client.say({ type: 'open', request: at, reservation: reservations[what.to] as Uint8Array })
          } else if (what.type === 'data') client.data(what.at, what.size)
          else if (what.type === 'credit') client.say({ type: 'credit', circuit: what.at + 1, bytes: what.size })
          else if (what.type === 'close') client.say({ type: 'close', circuit: what.at + 1, reason: 'bye' })
          else if (what.type === 'garbage') client.frame(frameTypes.relayControl, what.bytes)
          else if (what.type === 'pass') relay.pass(what.ms)
          else if (what.type === 'leave') {
            relay.disconnect(client)
            clients[who] = relay.connect(who + 1)
          } else {
            client.isReading = what.isReading
            if (what.isReading) client.read(Number.POSITIVE_INFINITY)
          }
          expect(relay.service.view().queuedBytes).toBeGreaterThanOrEqual(0)
          expect(relay.service.view().queuedBytes).toBeLessThanOrEqual(400_000)
        })
        for (const client of [...relay.clients.values()]) relay.disconnect(client)
        expect(relay.service.view()).toMatchObject({ links: 0, reservations: 0, circuits: 0, queuedBytes: 0 })
      }),
      { numRuns: 60 },
    )
  })
})
