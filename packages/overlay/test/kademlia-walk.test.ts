import { describe, expect, test } from 'vitest'
import type { ContactRef, KademliaOutput, KademliaReply } from '../src/kademlia/interface.ts'
import { idOf, replies, type Send, sends, TestEngine } from './kademlia-engine.ts'
import { keyOf, signed, value } from './kademlia-net.ts'

const target = idOf(0xf0)

/** Ids at rising distance from `target`: 0xf0 … 0xff, then 0xe0 … */
function near(node: TestEngine, rank: number): ContactRef {
  return node.contact(idOf(0xf0 ^ rank))
}

function refs(outputs: readonly KademliaOutput[]): ContactRef[] {
  return sends(outputs).map(({ to }) => to)
}

function only(outputs: readonly KademliaOutput[]): Send {
  const [first] = sends(outputs)
  if (first === undefined) throw new Error('nothing sent')
  return first
}

describe('kademlia: a walk', () => {
  test('[O37] E03 asks the three nearest, and the next one with each answer', () => {
    const node = new TestEngine()
    for (let rank = 10; rank < 20; rank++) node.meet(near(node, rank))
    const { outputs } = node.command({ type: 'find-node', target })
    expect(refs(outputs)).toEqual([10, 11, 12].map((rank) => near(node, rank)))
    // Something nearer: the walk goes on with it, one at a time.
    const answer = node.answer(only(outputs), [near(node, 9)])
    expect(answer).toEqual([
      {
        type: 'send',
        to: near(node, 9),
        isReply: false,
        message: { type: 'find-node', transaction: expect.any(Number), isServer: true, target },
      },
    ])
  })

  test('[O37] bursts when the best has answered and an answer brings nothing nearer', () => {
    const node = new TestEngine()
    for (let rank = 10; rank < 20; rank++) node.meet(near(node, rank))
    const [first, second] = sends(node.command({ type: 'find-node', target }).outputs)
    if (first === undefined || second === undefined) throw new Error('nothing sent')
    // The second nearest answers first: the nearest may still know better.
    expect(refs(node.answer(second, [near(node, 30)]))).toEqual([near(node, 13)])
    expect(refs(node.answer(first, [near(node, 31)]))).toEqual(
      [14, 15, 16, 17, 18, 19, 30, 31].map((rank) => near(node, rank)),
    )
  })

  test('[O37] ends when the k nearest have answered: not before, and without asking others', () => {
    const node = new TestEngine({ k: 4, contactsPerPrefixMax: 9 })
    for (let rank = 10; rank < 14; rank++) node.meet(near(node, rank))
    const open = sends(node.command({ type: 'find-node', target }).outputs)
    const outputs: KademliaOutput[] = []
    let asked = open.length
    for (let next = open.shift(); next !== undefined; next = open.shift()) {
      expect(replies(outputs)).toEqual([])
      const more = node.answer(next, [near(node, 60)])
      asked += sends(more).length
      open.push(...sends(more))
      outputs.push(...more)
    }
    expect(asked).toBe(4)
    const contacts = [10, 11, 12, 13].map((rank) => near(node, rank))
    expect(replies(outputs)).toEqual([
      { type: 'found-nodes', contacts, cost: { requests: 4, timeouts: 0, hops: 1, ms: 0 } },
    ])
  })

  test('[O37] a node that fails gives its place to the next one', () => {
    const node = new TestEngine({ k: 2, contactsPerPrefixMax: 9 })
    for (const rank of [10, 20]) node.meet(near(node, rank))
    const [first, second] = sends(node.command({ type: 'find-node', target }).outputs)
    if (first === undefined || second === undefined) throw new Error('nothing sent')
    expect(refs(node.answer(second, [near(node, 30)]))).toEqual([])
    const more = node.give({ type: 'failed', transaction: first.message.transaction })
    expect(refs(more)).toEqual([near(node, 30)])
    expect(replies(node.answer(only(more)))).toEqual([
      {
        type: 'found-nodes',
        contacts: [near(node, 20), near(node, 30)],
        cost: { requests: 3, timeouts: 1, hops: 2, ms: 0 },
      },
    ])
  })

  test('[O38] a late answer lets the walk go on beside it, and still counts when it comes', () => {
    const node = new TestEngine({ k: 4, alpha: 1, contactsPerPrefixMax: 9 })
    for (const rank of [10, 11]) node.meet(near(node, rank))
    const first = only(node.command({ type: 'find-node', target }).outputs)
    expect(sends(node.pass(399))).toEqual([])
    const [second] = sends(node.pass(1))
    expect(second?.to).toBe(near(node, 11))
    if (second === undefined) throw new Error('nothing sent')
    expect(node.answer(second)).toEqual([])
    const [reply] = replies(node.answer(first))
    expect(reply?.type === 'found-nodes' && reply.contacts).toEqual([near(node, 10), near(node, 11)])
    expect(reply?.type === 'found-nodes' && reply.cost.timeouts).toBe(0)
  })

  test('[O38] of the nearest three one that is silent is asked once more; a get has other holders', () => {
    for (const type of ['find-node', 'find-value'] as const) {
      const node = new TestEngine({ alpha: 1 })
      const ranked = [10, 11, 12, 13].map((rank) => near(node, rank))
      for (const ref of ranked) node.meet(ref)
      node.command(type === 'find-node' ? { type, target } : { type: 'get', key: target })
      const asked: ContactRef[] = []
      for (let i = 0; i < 40; i++) {
        for (const send of sends(node.pass(100), type)) asked.push(send.to)
        node.meet(node.contact(idOf(0x70)))
      }
      const times = ranked.map((ref) => asked.filter((other) => other === ref).length)
      expect(times).toEqual(type === 'find-node' ? [1, 2, 2, 2] : [0, 1, 1, 1])
    }
  })

  test('[O38] behind three that are nearer and live, a silent one is asked once', () => {
    const node = new TestEngine({ alpha: 4 })
    const ranked = [10, 11, 12, 13].map((rank) => near(node, rank))
    for (const ref of ranked) node.meet(ref)
    const open = sends(node.command({ type: 'find-node', target }).outputs)
    for (const send of open.slice(0, 3)) expect(sends(node.answer(send))).toEqual([])
    const outputs = node.pass(3_000)
    expect(sends(outputs)).toEqual([])
    expect(replies(outputs)).toMatchObject([{ type: 'found-nodes', contacts: ranked.slice(0, 3) }])
  })

  test('[O38] timeouts follow the round trips that were measured', () => {
    const node = new TestEngine({ alpha: 1 })
    const from = near(node, 10)
    node.meet(from)
    for (let i = 0; i < 20; i++) {
      const ping = only(node.command({ type: 'ping', contact: from }).outputs)
      node.mono += 10
      node.answer(ping)
    }
    const sentAt = node.mono
    node.command({ type: 'ping', contact: from })
    expect(node.engine.deadline() - sentAt).toBeGreaterThanOrEqual(10)
    expect(node.engine.deadline() - sentAt).toBeLessThan(15)
    node.pass(249)
    expect(node.engine.info().requestsInFlight).toBe(1)
    expect(replies(node.pass(1))).toEqual([{ type: 'failed', error: { type: 'timeout' } }])
  })

  test('[O38] an answer takes its deadlines with it: nobody is woken for nothing', () => {
    const node = new TestEngine()
    const [first, second] = [10, 11].map((rank) => near(node, rank))
    if (first === undefined || second === undefined) throw new Error('no contacts')
    const early = only(node.command({ type: 'ping', contact: first }).outputs)
    const idle = new TestEngine().engine.deadline()
    node.mono += 100
    const late = only(node.command({ type: 'ping', contact: second }).outputs)
    expect(node.engine.deadline()).toBe(node.mono + 300)
    node.answer(early)
    expect(node.engine.deadline()).toBe(node.mono + 400)
    node.answer(late)
    expect(node.engine.deadline()).toBe(idle)
  })

  test('[O38] a contact that was never measured has a second', () => {
    const node = new TestEngine()
    node.command({ type: 'ping', contact: near(node, 10) })
    expect(replies(node.pass(999))).toEqual([])
    expect(replies(node.pass(1))).toEqual([{ type: 'failed', error: { type: 'timeout' } }])
  })

  test('[O39] disjoint paths share no node, and there are eight at most', () => {
    const node = new TestEngine({ alpha: 1 })
    for (let rank = 1; rank < 21; rank++) node.meet(near(node, rank))
    expect(sends(node.command({ type: 'find-node', target, paths: 4 }).outputs)).toHaveLength(4)
    expect(sends(node.command({ type: 'find-node', target, paths: 100 }).outputs)).toHaveLength(8)
    const open = sends(node.command({ type: 'find-node', target, paths: 2 }).outputs)
    const asked = new Set(open.map(({ to }) => to))
    for (let next = open.shift(); next !== undefined; next = open.shift()) {
      for (const send of sends(node.answer(next, [near(node, 40), near(node, 41)]))) {
        expect(asked.has(send.to)).toBe(false)
        asked.add(send.to)
        open.push(send)
      }
    }
    expect(asked.size).toBeGreaterThanOrEqual(20)
  })

  test('[O35] at most two of a prefix among the closest of a walk', () => {
    const node = new TestEngine()
    node.meet(near(node, 60))
    const first = only(node.command({ type: 'find-node', target }).outputs)
    const crowd = [1, 2, 3, 4].map((rank) => node.contact(idOf(0xf0 ^ rank), `50.1.1.${rank}`))
    expect(refs(node.answer(first, crowd.toReversed()))).toEqual([crowd[0], crowd[1]])
  })

  test('[O37] two endpoints may claim one key, a third may not', () => {
    const node = new TestEngine({ alpha: 9 })
    node.meet(near(node, 60))
    const first = only(node.command({ type: 'find-node', target }).outputs)
    const claims = [1, 2, 3].map((i) => node.contact(idOf(0xf1), `${50 + i}.1.1.1`))
    expect(refs(node.answer(first, claims))).toEqual([claims[0], claims[1]])
  })

  test('[O36] more contacts than fit an answer, or a token of another size: the answer is refused', () => {
    for (const bad of ['contacts', 'token']) {
      const node = new TestEngine()
      node.meet(near(node, 60))
      const { to, message } = only(node.command({ type: 'find-node', target }).outputs)
      const contacts = Array.from({ length: bad === 'contacts' ? 21 : 1 }, (_, i) => near(node, i))
      const outputs = node.message(to, {
        type: 'find-node-response',
        transaction: message.transaction,
        isServer: true,
        token: new Uint8Array(bad === 'token' ? 7 : 8),
        contacts,
      })
      expect(replies(outputs)).toEqual([{ type: 'failed', error: { type: 'timeout' } }])
      expect(node.engine.info().contacts).toBe(0)
      expect(node.counter('answers-malformed')).toBe(1)
    }
  })

  test('[O57] operations and requests are bounded', () => {
    const node = new TestEngine({ operationsMax: 2, requestsMax: 4 })
    for (let rank = 0; rank < 20; rank++) node.meet(near(node, rank))
    expect(sends(node.command({ type: 'find-node', target }).outputs)).toHaveLength(3)
    expect(sends(node.command({ type: 'find-node', target }).outputs)).toHaveLength(1)
    expect(replies(node.command({ type: 'find-node', target }).outputs)).toEqual([
      { type: 'failed', error: { type: 'too-many-operations', operationsMax: 2 } },
    ])
    expect(node.counter('requests-over-limit')).toBeGreaterThan(0)
    expect(node.engine.info().requestsInFlight).toBe(4)
  })

  test('[O57] a walk with requests in flight waits for a free one instead of giving candidates up', () => {
    for (const paths of [1, 2]) {
      const node = new TestEngine({ requestsMax: 2 })
      for (let rank = 10; rank < 16; rank++) node.meet(near(node, rank))
      const open = sends(node.command({ type: 'find-node', target, paths }).outputs)
      expect(open).toHaveLength(2)
      let asked = open.length
      for (let next = open.shift(); next !== undefined; next = open.shift()) {
        const more = sends(node.answer(next))
        asked += more.length
        open.push(...more)
      }
      expect(asked).toBe(6)
    }
  })

  test('[O57] contacts that name ever nearer ones, all of which answer, hold a walk up for 8 k requests a path', () => {
    const node = new TestEngine({}, 200_000)
    let made = 0
    const nearer = (): ContactRef => {
      made++
      const id = target.slice()
      new DataView(id.buffer).setUint32(0, 0xf0ffffff - 50 * made)
      return node.contact(id, `${20 + (made >> 16)}.${(made >> 8) & 255}.${made & 255}.1`)
    }
    for (let i = 0; i < 20; i++) node.meet(nearer())
    const open = sends(node.command({ type: 'find-node', target }).outputs)
    let asked = open.length
    let reply: KademliaReply | undefined
    for (let next = open.shift(); next !== undefined; next = open.shift()) {
      const outputs = node.answer(next, Array.from({ length: 20 }, nearer))
      asked += sends(outputs).length
      open.push(...sends(outputs))
      reply ??= replies(outputs)[0]
    }
    expect(asked).toBe(160)
    expect(reply?.type).toBe('found-nodes')
    expect(node.counter('walks-too-long')).toBe(1)
    expect(node.engine.info().operations).toBe(0)
  })

  test('E25 without contacts there is nothing to walk through', () => {
    const node = new TestEngine()
    for (const command of [
      { type: 'find-node', target } as const,
      { type: 'get', key: target } as const,
      { type: 'put', record: value(1), republish: false } as const,
    ]) {
      expect(replies(node.command(command).outputs)).toEqual([{ type: 'failed', error: { type: 'no-contacts' } }])
    }
    expect(replies(node.command({ type: 'put', record: Uint8Array.of(9), republish: false }).outputs)).toEqual([
      { type: 'failed', error: { type: 'bad-record' } },
    ])
    expect(node.engine.info().operations).toBe(0)
  })
})

describe('kademlia: get', () => {
  test('[O42] ends at the first valid value', () => {
    const node = new TestEngine()
    for (let rank = 1; rank < 9; rank++) node.meet(near(node, rank))
    const record = value(1, 2, 3)
    const [first, second] = sends(node.command({ type: 'get', key: keyOf(record) }).outputs)
    if (first === undefined || second === undefined) throw new Error('nothing sent')
    expect(first.message.type).toBe('find-value')
    node.mono += 5
    expect(node.answer(first, [], record)).toEqual([
      {
        type: 'reply',
        id: expect.any(Number),
        reply: { type: 'found-value', record, cost: { requests: 3, timeouts: 0, hops: 1, ms: 5 } },
      },
    ])
    expect(node.answer(second, [], record)).toEqual([])
    expect(node.engine.info().operations).toBe(0)
  })

  test('[O36] a record that is invalid, or of another key, costs the place, and the walk goes on', () => {
    const node = new TestEngine({ alpha: 1 })
    for (let rank = 1; rank < 4; rank++) node.meet(near(node, rank))
    const record = value(1, 2, 3)
    const first = only(node.command({ type: 'get', key: keyOf(record) }).outputs)
    const second = only(node.answer(first, [], Uint8Array.of(9, 9)))
    const third = only(node.answer(second, [], value(7)))
    expect(node.engine.info().contacts).toBe(1)
    expect(node.counter('records-wrong')).toBe(2)
    expect(replies(node.answer(third, [], record))[0]?.type).toBe('found-value')
  })

  test('[O43] of signed records the newest of three holders, who are then brought up to date', () => {
    const node = new TestEngine()
    for (let rank = 1; rank < 9; rank++) node.meet(near(node, rank))
    const [first, second, third] = sends(node.command({ type: 'get', key: keyOf(signed(5, 0)) }).outputs)
    if (first === undefined || second === undefined || third === undefined) throw new Error('nothing sent')
    expect(replies(node.answer(first, [], signed(5, 1)))).toEqual([])
    expect(replies(node.answer(second, [], signed(5, 3)))).toEqual([])
    const outputs = node.answer(third, [], signed(5, 2))
    expect(replies(outputs)).toMatchObject([{ type: 'found-value', record: signed(5, 3) }])
    expect(sends(outputs, 'store').map(({ to, message }) => [to, message.type === 'store' && message.record])).toEqual([
      [first.to, signed(5, 3)],
      [third.to, signed(5, 3)],
    ])
  })

  test('[O43] one node at two endpoints is one holder', () => {
    const node = new TestEngine()
    const twice = [node.contact(idOf(0xf1), '50.0.0.1'), node.contact(idOf(0xf1), '60.0.0.1')]
    const [old, fresh] = [signed(1, 1), signed(1, 2)]
    const key = keyOf(old)
    node.meet(node.contact(idOf(0x81)))
    const first = only(node.command({ type: 'get', key }).outputs)
    const honest = [node.contact(idOf(0x41)), node.contact(idOf(0x42))]
    const open = sends(node.answer(first, [...twice, ...honest]))
    open.sort((a, b) => honest.indexOf(a.to) - honest.indexOf(b.to))
    const answers: KademliaOutput[] = []
    for (let next = open.shift(); next !== undefined; next = open.shift()) {
      const outputs = node.answer(next, [], twice.includes(next.to) ? old : fresh)
      answers.push(...outputs)
      open.push(...sends(outputs, 'find-value'))
    }
    expect(replies(answers)).toMatchObject([{ type: 'found-value', record: fresh }])
    expect(sends(answers, 'store').length).toBe(1)
  })

  test('[O43] fewer than three holders: the newest at the end of the walk', () => {
    const node = new TestEngine({ alpha: 1 })
    for (let rank = 1; rank < 3; rank++) node.meet(near(node, rank))
    const first = only(node.command({ type: 'get', key: keyOf(signed(5, 0)) }).outputs)
    const second = only(node.answer(first, [], signed(5, 1)))
    expect(replies(node.answer(second))).toMatchObject([{ type: 'found-value', record: signed(5, 1) }])
  })

  test('[O42] not found is said with what was tried', () => {
    const node = new TestEngine({ alpha: 1 })
    node.meet(near(node, 1))
    const first = only(node.command({ type: 'get', key: target }).outputs)
    expect(replies(node.answer(first))).toEqual([
      {
        type: 'failed',
        error: { type: 'not-found', cost: { requests: 1, timeouts: 0, hops: 1, ms: 0 } },
      },
    ])
  })

  test('[O42] what this node holds itself is found at once', () => {
    const node = new TestEngine()
    const from = near(node, 1)
    node.store(from, value(4))
    const cost = { requests: 0, timeouts: 0, hops: 0, ms: 0 }
    expect(node.command({ type: 'get', key: keyOf(value(4)) }).outputs).toEqual([
      { type: 'reply', id: expect.any(Number), reply: { type: 'found-value', record: value(4), cost } },
    ])
  })
})

describe('kademlia: put', () => {
  test('[O41] stores as soon as a node is sure to stay among the nearest, and answers at three', () => {
    const node = new TestEngine()
    for (let rank = 1; rank < 6; rank++) node.meet(near(node, rank))
    const record = value(8)
    const { id, outputs } = node.command({ type: 'put', record, republish: false })
    const open = sends(outputs)
    const stores: Send[] = []
    for (let next = open.shift(); next !== undefined; next = open.shift()) {
      const more = sends(node.answer(next))
      stores.push(...more.filter(({ message }) => message.type === 'store'))
      open.push(...more.filter(({ message }) => message.type === 'find-node'))
    }
    expect(stores).toHaveLength(5)
    expect(stores[0]?.message).toMatchObject({ type: 'store', token: new Uint8Array(8), record, ageMinutes: 0 })
    const [a, b, c, d, e] = stores.map((store) => () => node.answer(store))
    expect([a?.(), b?.()]).toEqual([[], []])
    const key = keyOf(record)
    const cost = { requests: 10, timeouts: 0, hops: 1, ms: 0 }
    expect(c?.()).toEqual([{ type: 'reply', id, reply: { type: 'stored', key, stored: 3, cost } }])
    expect(d?.()).toEqual([])
    expect(e?.()).toEqual([{ type: 'put-finished', id, stored: 5, cost }])
  })

  test('[O41] fewer than three who take it: not stored', () => {
    const node = new TestEngine()
    for (let rank = 1; rank < 5; rank++) node.meet(near(node, rank))
    const open = sends(node.command({ type: 'put', record: value(8), republish: false }).outputs)
    const outputs: KademliaOutput[] = []
    for (let next = open.shift(); next !== undefined; next = open.shift()) {
      const more =
        next.message.type === 'find-node' || next.to === near(node, 1)
          ? node.answer(next)
          : node.message(next.to, {
              type: 'store-response',
              transaction: next.message.transaction,
              isServer: true,
              status: 'full',
            })
      open.push(...sends(more))
      outputs.push(...more.filter(({ type }) => type !== 'send'))
    }
    expect(outputs).toMatchObject([
      { type: 'reply', reply: { type: 'failed', error: { type: 'not-stored', stored: 1 } } },
      { type: 'put-finished', stored: 1 },
    ])
  })

  test('[O41] a node that is among the k nearest itself keeps what it puts; a client, which nobody asks, does not', () => {
    for (const [mode, first, records] of [
      ['server', 0, 1],
      ['server', 0x80, 0],
      ['client', 0, 0],
    ] as const) {
      const node = new TestEngine({ k: 2, mode, contactsPerPrefixMax: 9 })
      for (const id of [0x81, 0x82, 0x41]) node.meet(node.contact(idOf(id)))
      const found = Array.from({ length: 1000 }, (_, i) => value(i >> 8, i & 255)).find(
        (candidate) => ((keyOf(candidate)[0] as number) & 0xc0) === first,
      )
      if (found === undefined) throw new Error('no such key')
      const { outputs } = node.command({ type: 'put', record: found, republish: false })
      const open = sends(outputs)
      for (let next = open.shift(); next !== undefined; next = open.shift()) open.push(...sends(node.answer(next)))
      expect(node.engine.info().records).toBe(records)
    }
  })

  test('[O41] in a network of two others, both are the quorum', () => {
    const node = new TestEngine()
    for (let rank = 1; rank < 3; rank++) node.meet(near(node, rank))
    const open = sends(node.command({ type: 'put', record: value(8), republish: false }).outputs)
    const outputs: KademliaOutput[] = []
    for (let next = open.shift(); next !== undefined; next = open.shift()) {
      const more = node.answer(next)
      open.push(...sends(more))
      outputs.push(...more.filter(({ type }) => type !== 'send'))
    }
    expect(outputs).toMatchObject([
      { type: 'reply', reply: { type: 'stored', stored: 2 } },
      { type: 'put-finished', stored: 2 },
    ])
  })
})

describe('kademlia: bootstrap', () => {
  test('[O44] C19 nobody answers: BootstrapFailed, with how many were asked (mutant D of E28)', () => {
    const node = new TestEngine()
    const contacts = [near(node, 1), near(node, 2)]
    const { id, outputs } = node.command({ type: 'bootstrap', contacts })
    expect(refs(outputs)).toEqual(contacts)
    // Each is asked three times.
    expect(refs(node.pass(2_999))).toEqual([...contacts, ...contacts])
    expect(node.pass(1)).toEqual([
      { type: 'reply', id, reply: { type: 'failed', error: { type: 'bootstrap-failed', asked: 2 } } },
    ])
    expect(node.engine.info().operations).toBe(0)
  })

  test('[O44] C19 an empty list, or only oneself, fails at once', () => {
    const node = new TestEngine()
    const self = node.contact(idOf(...new Array<number>(31).fill(0), 1))
    for (const contacts of [[], [self]]) {
      expect(replies(node.command({ type: 'bootstrap', contacts }).outputs)).toEqual([
        { type: 'failed', error: { type: 'bootstrap-failed', asked: contacts.length } },
      ])
    }
  })

  test('[O44] all contacts given are asked, 32 at most', () => {
    const node = new TestEngine()
    const contacts = Array.from({ length: 40 }, (_, i) => near(node, i))
    expect(sends(node.command({ type: 'bootstrap', contacts }).outputs)).toHaveLength(32)
  })

  test('[O44] the walk to oneself is followed by walks to the farther buckets', () => {
    const node = new TestEngine()
    const first = only(node.command({ type: 'bootstrap', contacts: [near(node, 1)] }).outputs)
    const neighbour = node.contact(idOf(0, 1))
    const second = only(node.answer(first, [neighbour]))
    expect(second.to).toBe(neighbour)
    const outputs = node.answer(second)
    expect(replies(outputs)).toMatchObject([{ type: 'bootstrapped', contacts: 2, cost: { requests: 2, hops: 2 } }])
    expect(sends(outputs, 'find-node').length).toBeGreaterThan(0)
    expect(node.engine.info().backgroundWalks).toBe(3)
  })
})
