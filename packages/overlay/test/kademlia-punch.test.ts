import type { Endpoint } from '@miaou/protocol'
import { describe, expect, test } from 'vitest'
import type { ContactRef, KademliaOutput } from '../src/kademlia/interface.ts'
import { idOf, replies, sends, TestEngine } from './kademlia-engine.ts'

const nonce = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8)
const asker: Endpoint = { host: '70.0.0.1', port: 5000 }

function openers(outputs: readonly KademliaOutput[]): Endpoint[] {
  return outputs.flatMap((output) => (output.type === 'opener' ? [output.to] : []))
}

function agains(outputs: readonly KademliaOutput[]): ContactRef[] {
  return outputs.flatMap((output) => (output.type === 'again' ? [output.to] : []))
}

/** Has a client register with a server. */
function register(node: TestEngine, client: ContactRef, isProven = true): string {
  const [send] = sends(node.message(client, { type: 'rendezvous', transaction: 1, isServer: false }, isProven))
  if (send?.message.type !== 'rendezvous-response') throw new Error('no answer')
  return send.message.status
}

function punch(node: TestEngine, from: ContactRef, target: Uint8Array, isProven = true): ReturnType<typeof sends> {
  return sends(node.message(from, { type: 'punch', transaction: 9, isServer: false, nonce, target }, isProven))
}

function status(answer: ReturnType<typeof sends>): string | undefined {
  return answer[0]?.message.type === 'punch-response' ? answer[0].message.status : undefined
}

/** A node behind a NAT that `count` servers are the rendezvous of. */
function behindNat(
  count = 1,
  config: ConstructorParameters<typeof TestEngine>[0] = {},
): {
  readonly node: TestEngine
  readonly servers: readonly ContactRef[]
} {
  const node = new TestEngine({ mode: 'auto', ...config })
  node.give({ type: 'listening', endpoints: [{ host: '192.168.1.5', port: 4000 }] })
  const servers = Array.from({ length: count }, (_, i) => node.contact(idOf(200 + i), `${50 + i}.0.0.1`))
  for (const server of servers) {
    const [ping] = sends(node.command({ type: 'ping', contact: server }).outputs)
    const transaction = ping?.message.transaction ?? -1
    const observed = { host: '40.0.0.1', port: 30_000 }
    node.message(server, { type: 'pong', transaction, isServer: true, observed })
  }
  for (const send of sends(node.pass(5_000), 'rendezvous')) accept(node, send)
  return { node, servers }
}

function accept(node: TestEngine, send: ReturnType<typeof sends>[number]): void {
  const { transaction } = send.message
  const observed = { host: '40.0.0.1', port: 30_000 }
  node.message(send.to, { type: 'rendezvous-response', transaction, isServer: true, status: 'accepted', observed })
}

let knocks = 0

/** With a nonce of its own, or a given one. */
function knock(
  node: TestEngine,
  from: ContactRef,
  endpoint = asker,
  isProven = true,
  nonce = Uint8Array.of(knocks >> 24, knocks >> 16, knocks >> 8, knocks++, 5, 6, 7, 8),
): KademliaOutput[] {
  return node.message(from, { type: 'knock', transaction: 9, isServer: true, nonce, endpoint }, isProven)
}

describe('kademlia: a server as the rendezvous of others', () => {
  test('[O62] D16: a punch tells the target where the asker is seen, and the asker where the target is', () => {
    const node = new TestEngine()
    const [from, client] = [node.contact(idOf(200), '50.0.0.1'), node.contact(idOf(201), '60.0.0.1')]
    expect(register(node, client)).toBe('accepted')
    expect(punch(node, from, idOf(201))).toEqual([
      {
        type: 'send',
        to: from,
        isReply: true,
        message: {
          type: 'punch-response',
          transaction: 9,
          isServer: true,
          status: 'passed',
          endpoint: { host: '60.0.0.1', port: 4000 },
        },
      },
      {
        type: 'send',
        to: client,
        isReply: false,
        message: { type: 'knock', transaction: 9, isServer: true, nonce, endpoint: { host: '50.0.0.1', port: 4000 } },
      },
    ])
  })

  test('[O62] nothing goes to a target that is not registered, or for an asker that may be forged', () => {
    const node = new TestEngine()
    const [from, client] = [node.contact(idOf(200), '50.0.0.1'), node.contact(idOf(201), '60.0.0.1')]
    register(node, client)
    for (const [target, isProven, expected] of [
      [idOf(222), true, 'unknown'],
      [idOf(201), false, 'refused'],
    ] as const) {
      const answer = punch(node, from, target, isProven)
      expect(answer).toHaveLength(1)
      expect(status(answer)).toBe(expected)
    }
    expect(status(punch(node, client, idOf(201)))).toBe('refused')
  })

  test('[O62] asker and target are in one kind of network, and of one family', () => {
    const node = new TestEngine()
    const hosts = { public: '60.0.0.1', private: '192.168.0.7', loopback: '127.0.0.1', v6: '2a01:1::1' }
    const kinds = Object.keys(hosts) as (keyof typeof hosts)[]
    const clients = kinds.map((kind, i) => node.contact(idOf(210 + i), hosts[kind]))
    for (const client of clients) register(node, client)
    const askers = { public: '50.0.0.1', private: '192.168.0.9', loopback: '127.0.0.1', v6: '2a01:2::1' }
    for (const kind of kinds) {
      const from = node.contact(idOf(230), askers[kind])
      expect(kinds.map((_, i) => status(punch(node, from, idOf(210 + i))))).toEqual(
        kinds.map((other) => (other === kind ? 'passed' : 'refused')),
      )
    }
  })

  test('[O61] who has not proven its address, or finds no room, is refused; a refresh is not', () => {
    const node = new TestEngine({ rendezvousClientsMax: 3, rendezvousClientsPerPrefixMax: 2 })
    const client = (i: number, host = `${60 + i}.0.0.1`) => node.contact(idOf(100 + i), host)
    expect(register(node, client(0), false)).toBe('refused')
    expect([0, 1, 2].map((i) => register(node, client(i, `60.0.0.${i + 1}`)))).toEqual([
      'accepted',
      'accepted',
      'refused',
    ])
    expect([3, 4].map((i) => register(node, client(i)))).toEqual(['accepted', 'refused'])
    expect(register(node, client(0, '60.0.0.9'))).toBe('accepted')
    expect(node.engine.info().rendezvousClients).toBe(3)
    // Behind a NAT that was restarted: it is found where it was heard last.
    expect(punch(node, node.contact(idOf(200), '50.0.0.1'), idOf(100))[1]?.to).toBe(client(0, '60.0.0.9'))
  })

  test('[O61] a client is forgotten 70 s after its last request, and makes room', () => {
    const node = new TestEngine({ rendezvousClientsMax: 1 })
    register(node, node.contact(idOf(201), '60.0.0.1'))
    node.mono += 69_999
    const from = node.contact(idOf(200), '50.0.0.1')
    expect(status(punch(node, from, idOf(201)))).toBe('passed')
    node.mono += 1
    expect(status(punch(node, from, idOf(201)))).toBe('unknown')
    expect(register(node, node.contact(idOf(202), '61.0.0.1'))).toBe('accepted')
  })

  test('[O61] a client serves nobody', () => {
    const node = new TestEngine({ mode: 'client' })
    expect(register(node, node.contact(idOf(201), '60.0.0.1'))).toBe('refused')
  })

  test('[O62] rates hold for a prefix, a target and all: 10,000 punches cost 100 knocks', () => {
    const node = new TestEngine()
    for (let i = 0; i < 100; i++) register(node, node.contact(idOf(3, i), `60.${i}.0.1`))
    const ofOnePrefix = Array.from({ length: 30 }, (_, i) =>
      status(punch(node, node.contact(idOf(5, i), `50.0.0.${i + 1}`), idOf(3, i))),
    )
    expect(ofOnePrefix.filter((each) => each === 'passed')).toHaveLength(10)
    const toOneTarget = Array.from({ length: 30 }, (_, i) =>
      status(punch(node, node.contact(idOf(6, i), `51.${i}.0.1`), idOf(3, 99))),
    )
    expect(toOneTarget.filter((each) => each === 'passed')).toHaveLength(10)
    let knocks = 0
    for (let i = 0; i < 10_000; i++) {
      const from = node.contact(idOf(7, i >> 8, i & 255), `${80 + (i >> 8)}.${i & 255}.0.1`)
      knocks += sends(punch(node, from, idOf(3, i % 90)), 'knock').length
    }
    expect(knocks).toBe(80)
    expect(node.counter('punches-over-rate')).toBeGreaterThan(9_000)
    node.mono += 1_000
    expect(status(punch(node, node.contact(idOf(8), '52.0.0.1'), idOf(3, 1)))).toBe('passed')
  })
})

describe('kademlia: a node behind a NAT', () => {
  test('[O60] it asks servers of different prefixes, and again before the NAT forgets', () => {
    const { node, servers } = behindNat(5)
    expect(node.engine.rendezvous()).toHaveLength(3)
    expect(servers).toEqual(expect.arrayContaining(node.engine.rendezvous()))
    const again = sends(node.pass(20_000), 'rendezvous')
    expect(new Set(again.map(({ to }) => to))).toEqual(new Set(node.engine.rendezvous()))
    expect(again).toHaveLength(3)
  })

  test('[O60] one that falls silent or refuses is replaced', () => {
    const { node } = behindNat(4)
    const [lost, refusing] = node.engine.rendezvous()
    for (let i = 0; i < 300; i++) {
      const requests = sends(node.pass(100), 'rendezvous')
      for (let send = requests.shift(); send !== undefined; send = requests.shift()) {
        if (send.to === lost) continue
        const { transaction } = send.message
        const status = send.to === refusing ? 'refused' : 'accepted'
        const common = { transaction, isServer: true, observed: undefined }
        requests.push(...sends(node.message(send.to, { type: 'rendezvous-response', status, ...common }), 'rendezvous'))
      }
    }
    expect(node.engine.rendezvous()).toHaveLength(2)
    expect(node.engine.rendezvous()).not.toContain(lost)
    expect(node.engine.rendezvous()).not.toContain(refusing)
  })

  test('[O60] a server at its own address needs none, nor one that is only at home; 0 switches it off', () => {
    const own = new TestEngine({ mode: 'server' })
    own.meet(own.contact(idOf(200), '50.0.0.1'))
    expect(sends(own.pass(60_000), 'rendezvous')).toEqual([])
    const home = new TestEngine({ mode: 'auto' })
    home.give({ type: 'listening', endpoints: [{ host: '192.168.1.5', port: 4000 }] })
    const [ping] = sends(home.meet(home.contact(idOf(200), '192.168.1.9')), 'ping')
    const observed = { host: '192.168.1.5', port: 4000 }
    home.message(home.contact(idOf(200), '192.168.1.9'), {
      type: 'pong',
      transaction: ping?.message.transaction ?? 0,
      isServer: true,
      observed,
    })
    expect(sends(home.pass(60_000), 'rendezvous')).toEqual([])
    expect(behindNat(2, { rendezvousMax: 0 }).node.engine.rendezvous()).toEqual([])
  })

  test('[O60] a server behind a full cone keeps its mapping alive', () => {
    const { node } = behindNat(1)
    for (let i = 0; i < 3; i++) node.meet(node.contact(idOf(100 + i), `${80 + i}.0.0.1`), false)
    expect(node.engine.info().isServer).toBe(true)
    expect(sends(node.pass(20_000), 'rendezvous')).toHaveLength(1)
  })

  test('[O63] D16: three openers to where the asker is seen, and no more', () => {
    const { node, servers } = behindNat(1)
    const [server = node.contact(idOf(1))] = servers
    const outputs = knock(node, server)
    expect(openers(outputs)).toEqual([asker])
    expect(openers(node.pass(249))).toEqual([])
    expect(openers(node.pass(1))).toEqual([asker])
    expect(openers(node.pass(499))).toEqual([])
    expect(openers(node.pass(1))).toEqual([asker])
    expect(openers(node.pass(15_000))).toEqual([])
  })

  test('[O63] a punch that was asked for twice opens once', () => {
    const { node, servers } = behindNat(3)
    const all = servers.flatMap((server) => openers(knock(node, server, asker, true, nonce)))
    expect(all).toHaveLength(1)
    expect(openers(node.pass(10_000))).toHaveLength(2)
  })

  test('[O63] none more when something comes from there', () => {
    const { node, servers } = behindNat(1)
    const [server = node.contact(idOf(1))] = servers
    expect(openers(knock(node, server))).toHaveLength(1)
    node.meet(node.contact(idOf(90), asker.host), false)
    expect(openers(node.pass(10_000))).toEqual([])
  })

  test('[O63] a knock is obeyed from a rendezvous of ours only, and for its own kind of network', () => {
    const { node, servers } = behindNat(1)
    const [server = node.contact(idOf(1))] = servers
    const stranger = node.contact(idOf(90), '80.0.0.1')
    node.meet(stranger)
    expect(openers(knock(node, stranger))).toEqual([])
    expect(openers(knock(node, server, asker, false))).toEqual([])
    for (const host of ['192.168.1.1', '127.0.0.1', '10.0.0.1']) {
      expect(openers(knock(node, server, { host, port: 53 }))).toEqual([])
    }
    expect(node.counter('knocks-refused')).toBe(5)
    const far = new TestEngine({ mode: 'server' })
    expect(openers(knock(far, far.contact(idOf(200), '50.0.0.1')))).toEqual([])
  })

  test('[O63] 10,000 knocks: 60 openers at once, 15 for one prefix', () => {
    const { node, servers } = behindNat(1)
    const [server = node.contact(idOf(1))] = servers
    let ofPrefix = 0
    for (let i = 0; i < 1_000; i++) ofPrefix += openers(knock(node, server, { ...asker, port: 1 + i })).length
    ofPrefix += openers(node.pass(999)).length
    expect(ofPrefix).toBe(15)
    node.pass(14_000)
    let all = 0
    for (let i = 0; i < 10_000; i++) {
      all += openers(knock(node, server, { host: `${80 + (i >> 8)}.${i & 255}.0.1`, port: 1 })).length
    }
    all += openers(node.pass(999)).length
    expect(all).toBe(60)
  })

  test('[O63] whom an opener was sent to is no stranger', () => {
    const { node, servers } = behindNat(1)
    const [server = node.contact(idOf(1))] = servers
    for (let i = 0; i < 5; i++) {
      knock(node, server, { host: `${80 + i}.0.0.1`, port: 4000 })
      node.meet(node.contact(idOf(100 + i), `${80 + i}.0.0.1`), false)
    }
    expect(node.engine.info().isServer).toBe(false)
  })
})

/** A command `punch` whose request to the rendezvous is at hand. */
function begun(config: ConstructorParameters<typeof TestEngine>[0] = {}) {
  const node = new TestEngine(config)
  const rendezvous = node.contact(idOf(200), '50.0.0.1')
  const { outputs } = node.command({ type: 'punch', key: idOf(77), rendezvous })
  const [request] = sends(outputs, 'punch')
  if (request?.message.type !== 'punch') throw new Error('nobody asked')
  const shown = request.message.nonce
  const passed = (endpoint: Endpoint): KademliaOutput[] => {
    const { transaction } = request.message
    const common = { transaction, isServer: true }
    return node.message(rendezvous, { type: 'punch-response', ...common, status: 'passed', endpoint })
  }
  return { node, rendezvous, request, shown, passed }
}

const target: Endpoint = { host: '60.0.0.1', port: 30_000 }

describe('kademlia: the asker', () => {
  test('[O64] D16: it sends to where the target is seen, again with growing pauses, until the pong', () => {
    const { node, request, passed } = begun()
    expect(request.message).toMatchObject({ target: idOf(77) })
    const [ping] = sends(passed(target), 'ping')
    if (ping === undefined) throw new Error('no ping')
    expect([node.contacts.key(ping.to), node.contacts.endpoint(ping.to)]).toEqual([idOf(77), target])
    expect(agains(node.pass(249))).toEqual([])
    expect(agains(node.pass(1))).toEqual([ping.to])
    expect(agains(node.pass(500))).toEqual([ping.to])
    expect(replies(node.answer(ping))).toEqual([{ type: 'punched', ms: 750, endpoint: target, observed: undefined }])
    expect(agains(node.pass(10_000))).toEqual([])
    expect(node.engine.info()).toMatchObject({ operations: 0, requestsInFlight: 0 })
  })

  test('[O64] four first datagrams to one address at most, and an end after 3 s', () => {
    const { node, shown, passed } = begun()
    passed(target)
    let count = 1
    for (let i = 0; i < 100; i++) {
      count += agains(node.give({ type: 'opener', from: target, nonce: shown })).length + agains(node.pass(1)).length
    }
    const outputs = node.pass(2_900)
    expect(count + agains(outputs).length).toBe(4)
    expect(replies(outputs)).toEqual([{ type: 'punch-failed', reason: 'no-way-through' }])
  })

  test('[O64] an opener from elsewhere is answered to where it came from, two such places at most', () => {
    const { node, shown, passed } = begun()
    passed(target)
    const pings = [1, 2, 3, 4].flatMap((i) =>
      sends(node.give({ type: 'opener', from: { ...target, port: 30_000 + i }, nonce: shown }), 'ping'),
    )
    expect(pings.map(({ to }) => node.contacts.endpoint(to).port)).toEqual([30_001, 30_002])
    const [first] = pings
    if (first === undefined) throw new Error('no ping')
    expect(replies(node.answer(first))).toMatchObject([{ type: 'punched', endpoint: { port: 30_001 } }])
  })

  test('[O64] an opener that comes before the answer of the rendezvous counts', () => {
    const { node, shown, passed } = begun()
    const [ping] = sends(node.give({ type: 'opener', from: target, nonce: shown }), 'ping')
    if (ping === undefined) throw new Error('no ping')
    expect(sends(passed(target), 'ping')).toEqual([])
    expect(replies(node.answer(ping))).toMatchObject([{ type: 'punched', endpoint: target }])
  })

  test('[O64] an opener with another nonce, or to nobody who punches, leads nowhere', () => {
    const { node, shown, passed } = begun()
    passed(target)
    const other = shown.with(7, (shown[7] ?? 0) ^ 1)
    expect(node.give({ type: 'opener', from: { ...target, port: 9 }, nonce: other })).toEqual([])
    expect(new TestEngine().give({ type: 'opener', from: target, nonce: shown })).toEqual([])
    expect(node.counter('openers-unasked')).toBe(1)
  })

  test('[O64] nobody out in the world makes it knock inside its own network', () => {
    for (const host of ['192.168.1.1', '127.0.0.1', 'fe80::1']) {
      const { node, shown, passed } = begun()
      expect(sends(node.give({ type: 'opener', from: { host, port: 53 }, nonce: shown }))).toEqual([])
      const outputs = passed({ host, port: 53 })
      expect(sends(outputs)).toEqual([])
      expect(replies(outputs)).toEqual([{ type: 'punch-failed', reason: 'refused' }])
    }
  })

  test('[O64] the rendezvous is asked twice; what it refuses ends it', () => {
    const { node, rendezvous } = begun()
    const outputs = node.pass(10_000)
    expect(sends(outputs, 'punch').map(({ to }) => to)).toEqual([rendezvous])
    expect(replies(outputs)).toEqual([{ type: 'punch-failed', reason: 'rendezvous-silent' }])
    for (const [said, reason] of [
      ['unknown', 'unknown-target'],
      ['refused', 'refused'],
    ] as const) {
      const again = begun()
      const { transaction } = again.request.message
      const common = { transaction, isServer: true, endpoint: undefined }
      const answer = again.node.message(again.rendezvous, { type: 'punch-response', status: said, ...common })
      expect(replies(answer)).toEqual([{ type: 'punch-failed', reason }])
    }
  })

  test('[O57] [O30] punches are operations: bounded, and answered when the engine stops', () => {
    const { node } = begun({ operationsMax: 2 })
    const rendezvous = node.contact(idOf(200), '50.0.0.1')
    expect(replies(node.command({ type: 'punch', key: idOf(78), rendezvous }).outputs)).toEqual([])
    expect(replies(node.command({ type: 'punch', key: idOf(79), rendezvous }).outputs)).toMatchObject([
      { type: 'failed', error: { type: 'too-many-operations' } },
    ])
    expect(replies(node.give({ type: 'stop' }))).toEqual(
      [1, 2].map(() => ({ type: 'failed', error: { type: 'stopped' } })),
    )
    expect(node.engine.deadline()).toBe(Number.POSITIVE_INFINITY)
  })
})
