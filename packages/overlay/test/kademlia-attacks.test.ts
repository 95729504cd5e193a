import { describe, expect, test } from 'vitest'
import type { ContactRef, KademliaMessage } from '../src/kademlia/interface.ts'
import { keyOf, signed, TestNet, value } from './kademlia-net.ts'

type Message = KademliaMessage

/** Nodes that answer find-node and find-value with contacts of their own choice, and nothing else. */
function lie(
  net: TestNet,
  liars: readonly number[],
  name: (liar: number, target: Uint8Array, from: ContactRef) => ContactRef[],
) {
  for (const liar of liars) {
    net.node(liar).liar = (from, message): Message | undefined => {
      const common = { transaction: message.transaction, isServer: true, token: new Uint8Array(8) } as const
      if (message.type === 'find-node') {
        return { ...common, type: 'find-node-response', contacts: name(liar, message.target, from) }
      }
      if (message.type !== 'find-value') return undefined
      const contacts = name(liar, message.key, from)
      return { ...common, type: 'find-value-response', record: undefined, contacts }
    }
  }
}

/** A network that holds 40 records, and a fifth of which begins to lie afterwards. */
function attacked(
  seed: number,
  name: (net: TestNet, liar: number, target: Uint8Array, from: ContactRef) => ContactRef[],
) {
  const net = new TestNet({ seed, nodes: 200 }).build()
  const records = Array.from({ length: 40 }, (_, i) => value(i))
  for (const [i, record] of records.entries()) net.run(i, { type: 'put', record, republish: false })
  net.runFor(3_000)
  const liars = [...net.nodes.keys()].filter((i) => i > 0 && net.random() < 0.2)
  lie(net, liars, (liar, target, from) => name(net, liar, target, from))
  const honest = [...net.nodes.keys()].filter((i) => !liars.includes(i))
  return { net, records, liars, honest }
}

/** Each record is got, and as many honest nodes are looked for; returns what the dearest operation took. */
function expectAllFound({ net, records, honest }: ReturnType<typeof attacked>): { requests: number; ms: number } {
  let requests = 0
  let ms = 0
  for (const [i, record] of records.entries()) {
    const asker = honest[(i * 13) % honest.length] ?? 0
    const target = net.contacts.id(net.ref(honest[(i * 7 + 3) % honest.length] ?? 0)).slice()
    const got = net.run(asker, { type: 'get', key: keyOf(record) })
    const found = net.run(asker, { type: 'find-node', target })
    if (got.type !== 'found-value' || found.type !== 'found-nodes') throw new Error(`${got.type}, ${found.type}`)
    expect(net.contacts.id(found.contacts[0] ?? net.ref(0))).toEqual(target)
    requests = Math.max(requests, got.cost.requests, found.cost.requests)
    ms = Math.max(ms, got.cost.ms, found.cost.ms)
  }
  return { requests, ms }
}

describe('kademlia: attacks', () => {
  test('[O40] a fifth names 20 dead contacts, nearer than anybody, in each answer: all is found, in bounded time', () => {
    let next = 0
    const victims = attacked(31, (net, _liar, target) => {
      net.contacts.reserve(20)
      return Array.from({ length: 20 }, () => net.decoy(target, `100.${next >> 8}.${next++ & 255}.9`))
    })
    const { requests, ms } = expectAllFound(victims)
    expect(requests).toBeLessThan(500)
    expect(ms).toBeLessThan(30_000)
  })

  test('[O35] dead contacts in the very networks of the nearest nodes do not take their places', () => {
    const victims = attacked(32, (net, liar, target) => {
      net.contacts.reserve(20)
      const nearest = net.closest(target, 20)
      return Array.from({ length: 20 }, (_, i) => {
        const { host } = net.contacts.endpoint(net.ref(nearest[(10 * (liar & 1) + (i >> 1)) % 20] ?? 0))
        return net.decoy(target, host.replace(/\d+$/, String(2 + ((liar * 20 + i) % 250))))
      })
    })
    expect(expectAllFound(victims).requests).toBeLessThan(500)
  })

  test('[O37] answers that name the liar, the asker, and the same again and again lead nowhere, and cost little', () => {
    const victims = attacked(33, (net, liar, _target, from) => {
      return Array.from({ length: 20 }, (_, i) => [net.ref(liar), from][i & 1] ?? from)
    })
    expect(expectAllFound(victims).requests).toBeLessThan(200)
  })

  test('[O36] values of another key, and newer ones that nobody signed, cost the place and hide nothing', () => {
    const { net, records, liars, honest } = attacked(34, () => [])
    for (const liar of liars) {
      net.node(liar).liar = (_from, message): Message | undefined => {
        if (message.type !== 'find-value') return undefined
        const { transaction } = message
        const record = liar % 2 === 0 ? signed(9, 255) : Uint8Array.of(7, 7, 7)
        const common = { transaction, isServer: true, token: new Uint8Array(8) } as const
        return { ...common, type: 'find-value-response', record, contacts: [] }
      }
    }
    expectAllFound({ net, records, liars, honest })
    const wrong = honest.reduce((sum, i) => sum + (net.node(i).engine.info().counters['records-wrong'] ?? 0), 0)
    expect(wrong).toBeGreaterThan(10)
  })

  test('[O43] two holders that keep an old version do not hide the new one', () => {
    const net = new TestNet({ seed: 35, nodes: 120 }).build()
    const [old, fresh] = [signed(1, 1), signed(1, 2)]
    net.run(3, { type: 'put', record: old, republish: false })
    net.runFor(3_000)
    const [first = 0, second = 0] = net.closest(keyOf(old), 2)
    for (const holder of [first, second]) {
      net.node(holder).liar = (_from, message): Message | undefined => {
        const common = { transaction: message.transaction, isServer: true, token: new Uint8Array(8) } as const
        if (message.type === 'find-value') {
          return { ...common, type: 'find-value-response', record: old, contacts: [] }
        }
        return undefined
      }
    }
    net.run(3, { type: 'put', record: fresh, republish: false })
    net.runFor(3_000)
    for (let asker = 10; asker < 110; asker += 10) {
      if (asker === first || asker === second) continue
      expect(net.run(asker, { type: 'get', key: keyOf(old) })).toMatchObject({ type: 'found-value', record: fresh })
    }
  })

  test('[O44] a bootstrap list of colluders only: what they name is all one sees, in bounds', () => {
    const net = new TestNet({ seed: 36, nodes: 40 }).build()
    const liars = [1, 2, 3, 4, 5]
    let next = 0
    lie(net, liars, (_liar, target) => {
      net.contacts.reserve(20)
      return Array.from({ length: 20 }, () => net.decoy(target, `110.${next >> 8}.${next++ & 255}.9`))
    })
    const newcomer = net.addNode()
    const contacts = liars.map((i) => net.ref(i))
    const reply = net.run(newcomer, { type: 'bootstrap', contacts })
    expect(reply).toMatchObject({ type: 'bootstrapped', contacts: 5 })
    net.runFor(600_000)
    const info = net.node(newcomer).engine.info()
    expect(info.requestsInFlight).toBe(0)
    expect(info.backgroundWalks).toBe(0)
    expect(info.contacts).toBeLessThanOrEqual(5)
    // One honest contact, by hand or met on the LAN, ends it.
    net.run(newcomer, { type: 'bootstrap', contacts: [net.ref(7)] })
    expect(net.run(newcomer, { type: 'put', record: value(1, 2), republish: false }).type).toBe('stored')
    expect(net.run(20, { type: 'get', key: keyOf(value(1, 2)) }).type).toBe('found-value')
  })
})
