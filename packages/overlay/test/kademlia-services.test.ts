import { describe, expect, test } from 'vitest'
import type { ContactRef } from '../src/kademlia/interface.ts'
import { idOf, replies, sends, TestEngine } from './kademlia-engine.ts'

const own = new Uint8Array(300).fill(1)
const record = (n: number, size = 250) => new Uint8Array(size).fill(n)

/** What a question is answered with; undefined for silence. */
function ask(node: TestEngine, from: ContactRef, isProven = true): readonly Uint8Array[] | undefined {
  const outputs = node.message(from, { type: 'services', transaction: 7, isServer: false }, isProven)
  const [answer, ...more] = sends(outputs, 'services-response')
  expect(more).toEqual([])
  if (answer?.message.type !== 'services-response') return undefined
  expect(answer).toMatchObject({ to: from, isReply: true, message: { transaction: 7 } })
  return answer.message.records
}

let askers = 0

/** Asks from address after address, so that no rate of one address counts. */
function askMany(node: TestEngine, count: number): (readonly Uint8Array[] | undefined)[] {
  return Array.from({ length: count }, () => {
    const n = askers++
    return ask(node, node.contact(idOf(200, n >> 8, n & 255), `50.1.${n >> 8}.${n & 255}`))
  })
}

describe('kademlia: relays told', () => {
  test('[O65] the own relay first, then one of those known, by lot; nothing where nothing is known', () => {
    const node = new TestEngine({ servicesBurst: 1000 })
    expect(askMany(node, 1)).toEqual([[]])
    node.give({ type: 'services', own, known: [] })
    expect(askMany(node, 1)).toEqual([[own]])
    const known = [record(2), record(3), record(4)]
    node.give({ type: 'services', own: undefined, known })
    const told = askMany(node, 60).map((records) => records?.[0])
    expect(new Set(told)).toEqual(new Set(known))
    node.give({ type: 'services', own, known })
    for (const records of askMany(node, 30)) expect(records).toEqual([own, records?.[1]])
    node.give({ type: 'services', own: undefined, known: [] })
    expect(askMany(node, 1)).toEqual([[]])
  })

  test('[O65] two that do not fit one message: the own one alone', () => {
    const node = new TestEngine()
    node.give({ type: 'services', own: record(1, 592), known: [record(2, 565)] })
    expect(askMany(node, 1)[0]).toHaveLength(2)
    node.give({ type: 'services', own: record(1, 592), known: [record(2, 566)] })
    expect(askMany(node, 1)).toEqual([[record(1, 592)]])
  })

  test('[O65] what no message can carry is not told, nor more than servicesKnownMax', () => {
    const node = new TestEngine({ servicesKnownMax: 2, servicesBurst: 1000 })
    const known = [record(2, 0), record(3, 593), record(4), record(5), record(6)]
    node.give({ type: 'services', own: record(1, 593), known })
    expect(new Set(askMany(node, 60).map((records) => records?.[0]?.[0]))).toEqual(new Set([4, 5]))
  })

  test('[O65] nothing goes to an address that is not proven', () => {
    const node = new TestEngine()
    node.give({ type: 'services', own, known: [] })
    const from = node.contact(idOf(200), '50.0.0.1')
    expect(ask(node, from, false)).toBeUndefined()
    expect(node.counter('services-refused')).toBe(1)
    expect(ask(node, from)).toEqual([own])
  })

  test('[O65] four questions of one address at once, then four a minute; of IPv6 of one /48', () => {
    const node = new TestEngine()
    node.give({ type: 'services', own, known: [] })
    const asks = (count: number, host: (n: number) => string) =>
      Array.from({ length: count }, (_, n) => ask(node, node.contact(idOf(200, n), host(n)))).filter(Boolean).length
    // Another key at the same address is the same asker.
    expect(asks(6, () => '50.0.0.1')).toBe(4)
    expect(asks(1, () => '50.0.0.2')).toBe(1)
    expect(asks(6, (n) => `2a01:5::${n + 1}`)).toBe(4)
    expect(asks(6, () => '192.168.1.9')).toBe(4)
    expect(node.counter('services-over-rate')).toBe(6)
    node.pass(15_000)
    expect(asks(6, () => '50.0.0.1')).toBe(1)
  })

  test('[O65] of servicesRatesMax addresses it is remembered how often they asked', () => {
    for (const [servicesRatesMax, isAnswered] of [
      [2, true],
      [3, false],
    ] as const) {
      const node = new TestEngine({ servicesRatesMax, servicesPerAddressBurst: 1 })
      const from = node.contact(idOf(200), '50.0.0.1')
      expect(ask(node, from)).toEqual([])
      askMany(node, 2)
      expect(ask(node, from) !== undefined).toBe(isAnswered)
    }
  })

  test('[O65] a rate for all together', () => {
    const node = new TestEngine({ servicesBurst: 3, servicesPerSecond: 1 })
    node.give({ type: 'services', own, known: [] })
    expect(askMany(node, 5).filter(Boolean)).toHaveLength(3)
    node.pass(2_000)
    expect(askMany(node, 5).filter(Boolean)).toHaveLength(2)
  })

  test('[O65] after the end nothing is told', () => {
    const node = new TestEngine()
    node.give({ type: 'services', own, known: [] })
    node.give({ type: 'stop' })
    expect(askMany(node, 1)).toEqual([undefined])
  })
})

describe('kademlia: relays asked for', () => {
  test('[O66] the answer of the one that was asked is handed on, copied', () => {
    const node = new TestEngine()
    const contact = node.contact(idOf(200), '50.0.0.1')
    const { outputs } = node.command({ type: 'services', contact })
    const [question] = sends(outputs, 'services')
    expect(question).toMatchObject({ to: contact, isReply: false })
    const transaction = question?.message.transaction ?? -1
    const buffer = new Uint8Array(600).fill(7)
    const records = [buffer.subarray(0, 300), buffer.subarray(300, 500)]
    const answer = { type: 'services-response', transaction, isServer: true, records } as const
    const other = node.contact(idOf(201), '51.0.0.1')
    expect(replies(node.message(other, answer))).toEqual([])
    const [reply] = replies(node.message(contact, answer))
    buffer.fill(9)
    expect(reply).toEqual({ type: 'services', records: [record(7, 300), record(7, 200)] })
    // Once.
    expect(replies(node.message(contact, answer))).toEqual([])
  })

  test('[O66] a silence ends it, and costs the contact nothing', () => {
    const node = new TestEngine({ failuresMax: 1 })
    const contact = node.contact(idOf(200), '50.0.0.1')
    node.meet(contact)
    node.message(node.contact(idOf(201), '51.0.0.1'), { type: 'ping', transaction: 1, isServer: true })
    expect(node.engine.info().contacts).toBe(2)
    node.command({ type: 'services', contact })
    expect(replies(node.pass(3_000))).toEqual([{ type: 'failed', error: { type: 'timeout' } }])
    expect(node.engine.info().contacts).toBe(2)
    expect(node.engine.info().operations).toBe(0)
  })

  test('[O66] it counts among the operations, and ends with the engine', () => {
    const node = new TestEngine({ operationsMax: 1 })
    const contact = node.contact(idOf(200), '50.0.0.1')
    node.command({ type: 'services', contact })
    expect(replies(node.command({ type: 'services', contact }).outputs)).toMatchObject([
      { error: { type: 'too-many-operations' } },
    ])
    expect(replies(node.give({ type: 'stop' }))).toEqual([{ type: 'failed', error: { type: 'stopped' } }])
  })
})
