import { describe, expect, test } from 'vitest'
import type { ContactRef, KademliaOutput } from '../src/kademlia/interface.ts'
import { idOf, sends, TestEngine } from './kademlia-engine.ts'

const minute = 60_000

function autoNode(): TestEngine {
  const node = new TestEngine({ mode: 'auto' })
  node.give({
    type: 'listening',
    endpoints: [
      { host: '40.0.0.1', port: 4000 },
      { host: '192.168.1.5', port: 4000 },
    ],
  })
  return node
}

/** Has a contact tell where it sees us. */
function observed(node: TestEngine, from: ContactRef, host: string, port = 4000): KademliaOutput[] {
  const [ping] = sends(node.command({ type: 'ping', contact: from }).outputs)
  const transaction = ping?.message.transaction ?? -1
  return node.message(from, { type: 'pong', transaction, isServer: true, observed: { host, port } })
}

/** Has a contact of the table at a public address, which is no stranger. */
function friend(node: TestEngine, id: Uint8Array, host: string): ContactRef {
  const ref = node.contact(id, host)
  const [ping] = sends(node.command({ type: 'ping', contact: ref }).outputs)
  if (ping !== undefined) node.answer(ping)
  return ref
}

/** Requests of strangers at addresses of so many prefixes. */
function strangers(node: TestEngine, count: number, first = 60): KademliaOutput[] {
  return Array.from({ length: count }, (_, i) => node.meet(node.contact(idOf(100 + i), `${first + i}.0.0.1`))).flat()
}

/** So many contacts at public addresses of different prefixes, none of them strangers. */
function friends(node: TestEngine, count: number): ContactRef[] {
  return Array.from({ length: count }, (_, i) => friend(node, idOf(200 + i), `${50 + i}.0.0.1`))
}

function modes(outputs: readonly KademliaOutput[]): boolean[] {
  return outputs.flatMap((output) => (output.type === 'mode' ? [output.isServer] : []))
}

describe('kademlia: server or client', () => {
  test('[O54] auto begins as a client, and says so in each message', () => {
    const node = autoNode()
    expect(node.engine.info().isServer).toBe(false)
    expect(node.meet(node.contact(idOf(200), '192.168.1.9'))).toMatchObject([
      { isReply: true, message: { type: 'pong', isServer: false } },
      { isReply: false, message: { type: 'ping', isServer: false } },
    ])
  })

  test('[O54] whoever is heard is asked where it sees us, until somebody tells, and not all at once', () => {
    const node = autoNode()
    const refs = [1, 2, 3].map((i) => node.contact(idOf(200 + i), `192.168.1.${i}`))
    const [a, b, c] = refs.map((ref) => () => sends(node.meet(ref), 'ping'))
    const [ping] = a?.() ?? []
    expect(ping?.to).toBe(refs[0])
    expect(b?.()).toEqual([])
    node.mono += 10_000
    expect(b?.()).toHaveLength(1)
    const transaction = ping?.message.transaction ?? -1
    observed(node, refs[2] ?? node.contact(idOf(9)), '192.168.1.5')
    expect(transaction).toBeGreaterThanOrEqual(0)
    node.mono += 20_000
    expect(c?.()).toEqual([])
  })

  test('[O54] a server where the observed endpoint is one it listens at', () => {
    const node = autoNode()
    const from = node.contact(idOf(200))
    expect(modes(observed(node, from, '40.0.0.1', 4001))).toEqual([])
    expect(modes(observed(node, from, '40.0.0.9'))).toEqual([])
    expect(modes(observed(node, from, '40.0.0.1'))).toEqual([true])
    expect(modes(observed(node, from, '40.0.0.1'))).toEqual([])
    expect(node.engine.info()).toMatchObject({ isServer: true, observed: { host: '40.0.0.1', port: 4000 } })
    expect(node.meet(from)).toMatchObject([{ message: { type: 'pong', isServer: true } }])
  })

  test('[O54] nobody out in the world makes a server by naming the address at home', () => {
    const node = autoNode()
    expect(modes(observed(node, node.contact(idOf(200)), '192.168.1.5'))).toEqual([])
    expect(node.engine.info()).toMatchObject({ isServer: false, observed: undefined })
    expect(node.counter('answers-malformed')).toBe(1)
  })

  test('[O54] at home it becomes a server with the first pong, and for those at home alone', () => {
    const node = autoNode()
    const home = node.contact(idOf(200), '192.168.1.9')
    const abroad = friend(node, idOf(201), '50.0.0.1')
    expect(modes(observed(node, home, '192.168.1.5'))).toEqual([true])
    expect(node.meet(home)).toMatchObject([{ message: { isServer: true } }])
    expect(node.meet(abroad)).toMatchObject([{ message: { isServer: false } }])
  })

  test('[O54] requests of strangers make a server, those from somebody we sent to do not', () => {
    const node = autoNode()
    strangers(node, 2)
    const known = node.contact(idOf(200), '50.0.0.1')
    node.command({ type: 'ping', contact: known })
    expect(modes(node.meet(known))).toEqual([])
    // Another key at the same address: the NAT may let it in.
    expect(modes(node.meet(node.contact(idOf(201), '50.0.0.1')))).toEqual([])
    expect(modes(node.meet(node.contact(idOf(202), '50.0.0.2')))).toEqual([true])
  })

  test('[O54] strangers of three prefixes are needed, not three of one', () => {
    const node = autoNode()
    for (let i = 1; i < 100; i++) expect(modes(node.meet(node.contact(idOf(200, i), `60.0.0.${i}`)))).toEqual([])
    expect(modes(node.meet(node.contact(idOf(202), '60.0.1.1')))).toEqual([])
    expect(modes(node.meet(node.contact(idOf(203), '60.0.2.1')))).toEqual([true])
  })

  test('[O54] how many prefixes is an option', () => {
    const node = new TestEngine({ mode: 'auto', serverPrefixesMin: 1 })
    expect(modes(strangers(node, 1))).toEqual([true])
  })

  test('[O54] strangers count for an hour', () => {
    const node = autoNode()
    strangers(node, 2)
    node.mono += 60 * minute
    expect(modes(node.meet(node.contact(idOf(202), '70.0.0.1')))).toEqual([])
    expect(modes(node.meet(node.contact(idOf(203), '71.0.0.1')))).toEqual([])
    node.mono += 60 * minute - 1
    expect(modes(node.meet(node.contact(idOf(204), '72.0.0.1')))).toEqual([true])
  })

  test('[O54] an address is a stranger again an hour after we last sent to it', () => {
    const node = autoNode()
    const known = node.contact(idOf(200), '50.0.0.1')
    node.command({ type: 'ping', contact: known })
    node.mono += 60 * minute - 1
    expect(modes(node.meet(known))).toEqual([])
    node.mono += 60 * minute
    strangers(node, 2)
    expect(modes(node.meet(known))).toEqual([true])
  })

  test('[O54] whom we sent to is remembered in bounds, and strangers do not count where it was forgotten', () => {
    const node = new TestEngine({ mode: 'auto', contactedHostsMax: 4 })
    for (let i = 0; i < 6; i++) node.command({ type: 'ping', contact: node.contact(idOf(200 + i), `50.0.0.${i + 1}`) })
    expect(modes(strangers(node, 3))).toEqual([])
    node.mono += 60 * minute
    expect(modes(strangers(node, 3, 70))).toEqual([true])
  })

  test('[O54] modes server and client stay what they are', () => {
    for (const mode of ['server', 'client'] as const) {
      const node = new TestEngine({ mode })
      node.give({ type: 'listening', endpoints: [{ host: '40.0.0.1', port: 4000 }] })
      observed(node, node.contact(idOf(200)), '40.0.0.1')
      strangers(node, 3)
      expect(node.engine.info().isServer).toBe(mode === 'server')
      expect(sends(node.pass(30 * minute), 'reach')).toEqual([])
    }
  })
})

describe('kademlia: reach and probe', () => {
  test('[O55] a contact passes the question on to another one, of another prefix', () => {
    const node = new TestEngine()
    const [asker, same, other] = [
      node.contact(idOf(200), '50.0.0.1'),
      node.contact(idOf(201), '50.0.0.2'),
      node.contact(idOf(202), '60.0.0.1'),
    ]
    for (const ref of [asker, same, other]) node.meet(ref)
    expect(node.message(asker, { type: 'reach', transaction: 9, isServer: false })).toEqual([
      { type: 'send', to: asker, isReply: true, message: { type: 'reach-response', transaction: 9, isServer: true } },
      {
        type: 'send',
        to: other,
        isReply: false,
        message: { type: 'probe', transaction: 9, isServer: true, contact: asker },
      },
    ])
  })

  test('[O55] who is asked to probe pings: for a contact of its own, of another prefix, and seldom', () => {
    const node = new TestEngine()
    const helper = node.contact(idOf(200), '50.0.0.1')
    const probe = (from: ContactRef, host: string) => {
      const contact = node.contact(idOf(90), host)
      return sends(node.message(from, { type: 'probe', transaction: 9, isServer: true, contact })).length
    }
    expect(probe(node.contact(idOf(230), '55.0.0.1'), '70.0.0.1')).toBe(0)
    node.meet(helper)
    expect(probe(helper, '50.0.0.7')).toBe(0)
    expect(probe(helper, '192.168.0.1')).toBe(0)
    expect(probe(helper, '70.0.0.1')).toBe(1)
    expect(probe(helper, '71.0.0.1')).toBe(0)
    node.mono += 5_000
    expect(probe(helper, '70.0.0.2')).toBe(0)
    expect(probe(helper, '71.0.0.1')).toBe(1)
    node.mono += 20_000
    expect(probe(helper, '70.0.0.1')).toBe(1)
    expect(node.counter('probes-refused')).toBe(5)
  })

  test('[O55] 10,000 probes that others want cost a ping in 5 seconds', () => {
    const node = new TestEngine()
    const helper = node.contact(idOf(200), '50.0.0.1')
    node.meet(helper)
    let pings = 0
    for (let i = 0; i < 10_000; i++) {
      node.mono += 10
      const contact = node.contact(idOf(90, i >> 8, i & 255), `${60 + (i >> 8)}.${i & 255}.0.1`)
      const outputs = node.message(helper, { type: 'probe', transaction: i, isServer: true, contact })
      pings += sends(outputs, 'ping').length
    }
    expect(pings).toBe(20)
  })

  test('[O55] a client asks from time to time, and becomes a server when strangers come', () => {
    const node = autoNode()
    const helpers = friends(node, 4)
    const reaches = sends(node.pass(10_000), 'reach')
    expect(new Set(reaches.map(({ to }) => to)).size).toBe(3)
    for (const reach of reaches) {
      expect(helpers).toContain(reach.to)
      node.answer(reach)
    }
    node.mono += 1_000
    expect(modes(strangers(node, 3))).toEqual([true])
  })

  test('[O55] where one stranger came, as many helpers are asked as are missing', () => {
    const node = autoNode()
    friends(node, 4)
    strangers(node, 1)
    expect(sends(node.pass(10_000), 'reach')).toHaveLength(2)
  })

  test('[O55] the first checks come soon, those in vain later and later, up to 40 minutes', () => {
    const node = autoNode()
    friends(node, 4)
    const at: number[] = []
    for (let check = 0; check < 10; check++) {
      node.answer(node.until(({ message }) => message.type === 'reach'))
      at.push(node.mono)
    }
    const pauses = at.slice(1).map((mono, i) => (mono - (at[i] ?? 0)) / 1_000 - 10)
    expect(pauses).toEqual([20, 40, 80, 160, 320, 640, 1_280, 2_400, 2_400])
  })

  test('[O55] a rendezvous has its clients probe too', () => {
    const node = new TestEngine()
    const [asker, client] = [node.contact(idOf(200), '50.0.0.1'), node.contact(idOf(202), '60.0.0.1')]
    node.message(client, { type: 'rendezvous', transaction: 1, isServer: false })
    const outputs = node.message(asker, { type: 'reach', transaction: 9, isServer: false })
    expect(sends(outputs, 'probe').map(({ to }) => to)).toEqual([client])
  })

  test('[O56] three checks without a stranger make a client again', () => {
    const node = autoNode()
    const helpers = friends(node, 4)
    expect(modes(strangers(node, 3))).toEqual([true])
    const changes: boolean[] = []
    for (let hour = 0; hour < 4 && changes.length === 0; hour++) {
      for (let step = 0; step < 360; step++) {
        for (const helper of helpers) node.meet(helper)
        const outputs = node.pass(10_000)
        for (const reach of sends(outputs, 'reach')) node.answer(reach)
        changes.push(...modes(outputs))
      }
    }
    // Those whom we answer in a check say neither yes nor no.
    expect(changes).toEqual([])
    for (let check = 0; check < 3; check++) {
      node.answer(node.until(({ message }) => message.type === 'reach'))
      changes.push(...modes(node.pass(10_000)))
      node.pass(1)
    }
    expect(changes).toEqual([false])
  })

  test('[O59] in a network of three other prefixes an own address makes a server, and no check takes that back', () => {
    const node = autoNode()
    const helpers = friends(node, 3)
    const [helper] = helpers
    if (helper === undefined) throw new Error('nobody there')
    expect(modes(observed(node, helper, '40.0.0.1'))).toEqual([true])
    for (let check = 0; check < 6; check++) {
      node.answer(node.until(({ message }) => message.type === 'reach'))
      const outputs = node.pass(10_000)
      expect(modes(outputs)).toEqual([])
      // It may have grown.
      expect(sends(outputs, 'find-node').length).toBeGreaterThan(0)
      for (const helper of helpers) node.meet(helper)
    }
  })

  test('[O59] whoever joins a larger network is one for the time of one check, without strangers', () => {
    const node = autoNode()
    expect(modes(observed(node, node.contact(idOf(199), '49.0.0.1'), '40.0.0.1'))).toEqual([true])
    friends(node, 4)
    for (const send of sends(node.pass(10_000), 'reach')) node.answer(send)
    expect(modes(node.pass(10_000))).toEqual([false])
    for (const each of friends(node, 4)) expect(modes(observed(node, each, '40.0.0.1'))).toEqual([])
  })

  test('[O59] once the network has grown, one check without a stranger takes it back, and soon', () => {
    const node = autoNode()
    const helpers = friends(node, 3)
    const [helper] = helpers
    if (helper === undefined) throw new Error('nobody there')
    const changes = modes(observed(node, helper, '40.0.0.1'))
    for (let step = 0; step < 60; step++) {
      const outputs = node.pass(10_000)
      changes.push(...modes(outputs))
      for (const send of sends(outputs)) node.answer(send)
      for (const each of helpers) node.meet(each)
    }
    expect(changes).toEqual([true])
    const newcomer = friend(node, idOf(230), '80.0.0.1')
    const before = node.mono
    for (const send of sends(node.pass(10_000), 'reach')) node.answer(send)
    expect(modes(node.pass(10_000))).toEqual([false])
    expect(node.mono - before).toBe(20_000)
    // And an address of its own does not make it one again.
    observed(node, newcomer, '40.0.0.1')
    expect(modes(node.pass(60 * minute))).toEqual([])
    expect(modes(strangers(node, 3))).toEqual([true])
  })

  test('[O59] in a larger one it takes strangers', () => {
    const node = autoNode()
    const [helper] = friends(node, 4)
    if (helper === undefined) throw new Error('nobody there')
    expect(modes(observed(node, helper, '40.0.0.1'))).toEqual([])
    expect(modes(strangers(node, 3))).toEqual([true])
  })

  test('[O56] a helper that does not answer says nothing about strangers', () => {
    const node = autoNode()
    const helper = friend(node, idOf(200), '50.0.0.1')
    observed(node, helper, '40.0.0.1')
    let reaches = 0
    for (let i = 0; i < 60; i++) {
      node.meet(helper)
      reaches += sends(node.pass(minute), 'reach').length
    }
    expect(reaches).toBeGreaterThan(3)
    expect(node.engine.info().isServer).toBe(true)
  })
})
