import { describe, expect, test } from 'vitest'
import { defaultRelayLimits } from '../src/circuit/relay-service-limits.ts'
import { type TestClient, TestRelay } from './relay-service-town.ts'

const full = 16_350

/** How far the one that got least and the one that got most are from the mean. */
function unevenness(totals: readonly number[]): number {
  const mean = totals.reduce((sum, total) => sum + total, 0) / totals.length
  return Math.max(...totals.map((total) => Math.abs(total - mean) / mean))
}

/** A caller that keeps its window full with chunks of one size. */
class Sender {
  readonly caller: TestClient
  readonly holder: TestClient
  readonly size: number
  readonly circuit: { readonly out: number; readonly in: number }

  constructor(relay: TestRelay, caller: TestClient, holder: TestClient, size: number) {
    this.caller = caller
    this.holder = holder
    this.size = size
    this.circuit = relay.circuit(caller, holder)
  }

  fill(): void {
    for (let left = defaultRelayLimits.windowSize; left >= this.size; left -= this.size) this.send()
  }

  send(): void {
    this.caller.data(this.circuit.out, this.size)
  }

  get received(): number {
    return this.holder.total(this.circuit.in)
  }
}

/** What arrives is credited at once, and sent again. */
function keepGoing(relay: TestRelay, senders: readonly Sender[]): void {
  const byEnd = new Map(senders.map((sender) => [`${sender.holder.pipe}/${sender.circuit.in}`, sender]))
  relay.onData = (client, circuit, size) => {
    const sender = byEnd.get(`${client.pipe}/${circuit}`)
    if (sender === undefined) return
    sender.holder.say({ type: 'credit', circuit, bytes: size })
    sender.send()
  }
  for (const sender of senders) sender.fill()
}

/** What each received while something went on: those who began first had a head start. */
function since(senders: readonly Sender[], run: () => void): number[] {
  const before = senders.map(({ received }) => received)
  run()
  return senders.map(({ received }, at) => received - (before[at] ?? 0))
}

const unlimited = { circuitBytesPerSecond: 0, clientBytesPerSecond: 0, circuitsPerPairMax: 1_000 }

describe('fairness', () => {
  test('[R45] 100 circuits to one slow link share it within 10 %, whatever the size of their chunks', () => {
    const relay = new TestRelay(unlimited)
    const holder = relay.connect(1_000)
    holder.ask({ type: 'reserve' })
    const sizes = [full, 9_000, 4_000]
    const senders = Array.from(
      { length: 100 },
      (_, at) => new Sender(relay, relay.connect(at + 1), holder, sizes[at % 3] as number),
    )
    holder.isReading = false
    keepGoing(relay, senders)
    const carry = (rounds: number) => {
      for (let round = 0; round < rounds; round++) {
        relay.pass(10)
        holder.read(defaultRelayLimits.unsentMax)
      }
    }
    carry(30)
    const totals = since(senders, () => carry(250))
    expect(Math.min(...totals)).toBeGreaterThan(200_000)
    expect(unevenness(totals)).toBeLessThan(0.1)
  })

  test('[R45] 100 circuits of their own links share the rate of the relay within 10 %', () => {
    const relay = new TestRelay({ ...unlimited, bytesPerSecond: 10_000_000 })
    const senders = Array.from({ length: 100 }, (_, at) => {
      const holder = relay.connect(1_000 + at)
      holder.ask({ type: 'reserve' })
      return new Sender(relay, relay.connect(at + 1), holder, at % 2 === 0 ? full : 12_000)
    })
    keepGoing(relay, senders)
    relay.pass(1_000)
    const totals = since(senders, () => relay.pass(4_000))
    expect(totals.reduce((sum, total) => sum + total, 0)).toBeGreaterThan(38_000_000)
    expect(unevenness(totals)).toBeLessThan(0.1)
  })

  test('[R46] a small message is not held up by those who fill the link', () => {
    const relay = new TestRelay(unlimited)
    const holder = relay.connect(1_000)
    holder.ask({ type: 'reserve' })
    const senders = [1, 2, 3].map((seed) => new Sender(relay, relay.connect(seed), holder, full))
    const chat = new Sender(relay, relay.connect(9), holder, 200)
    holder.isReading = false
    keepGoing(relay, senders)
    chat.send()
    const before = senders.reduce((sum, { received }) => sum + received, 0)
    while (chat.received === 0) holder.read(full)
    const waited = senders.reduce((sum, { received }) => sum + received, 0) - before
    // What was under way already, and one turn of each other.
    expect(waited).toBeLessThanOrEqual(2 * defaultRelayLimits.unsentMax + 3 * full)
  })

  test('[R45] many circuits of one client do not get more than its rate', () => {
    const relay = new TestRelay({ ...unlimited, clientBytesPerSecond: 1_000_000 })
    const holder = relay.connect(1_000)
    holder.ask({ type: 'reserve' })
    const [greedy, modest] = [relay.connect(1), relay.connect(2)]
    const many = Array.from({ length: 20 }, () => new Sender(relay, greedy, holder, full))
    const one = new Sender(relay, modest, holder, full)
    keepGoing(relay, [...many, one])
    relay.pass(1_000)
    const [alone = 0, ...totals] = since([one, ...many], () => relay.pass(8_000))
    const total = totals.reduce((sum, each) => sum + each, 0)
    expect(total).toBeGreaterThan(7_800_000)
    expect(total).toBeLessThan(8_200_000)
    expect(alone).toBeGreaterThan(7_800_000)
    expect(unevenness(totals)).toBeLessThan(0.1)
  })
})
