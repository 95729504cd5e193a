import { describe, expect, test } from 'vitest'
import type { ContactRef, KademliaOutput } from '../src/kademlia/interface.ts'
import { idOf, replies, sends, TestEngine } from './kademlia-engine.ts'

/** A contact asks something else than a ping. */
function ask(node: TestEngine, from: ContactRef): KademliaOutput[] {
  return node.message(from, { type: 'find-node', transaction: 1, isServer: true, target: idOf(1) })
}

describe('kademlia: who is in the table', () => {
  test('[O32] E17 a proven sender of a request enters, and is answered', () => {
    const node = new TestEngine()
    const from = node.contact(idOf(200))
    expect(node.message(from, { type: 'ping', transaction: 7, isServer: true })).toEqual([
      {
        type: 'send',
        to: from,
        isReply: true,
        message: { type: 'pong', transaction: 7, isServer: true, observed: { host: '20.200.0.0', port: 4000 } },
      },
    ])
    expect(node.engine.contacts()).toEqual([from])
  })

  test('[O32] E17 an unproven sender is pinged, and enters with its answer', () => {
    const node = new TestEngine()
    const from = node.contact(idOf(200))
    const outputs = node.message(from, { type: 'ping', transaction: 7, isServer: true }, false)
    expect(sends(outputs).map(({ message, isReply }) => [message.type, isReply])).toEqual([
      ['pong', true],
      ['ping', false],
    ])
    expect(node.engine.info().contacts).toBe(0)
    const [, ping] = sends(outputs)
    if (ping === undefined) throw new Error('no ping')
    node.answer(ping)
    expect(node.engine.contacts()).toEqual([from])
  })

  test('[O32] a silent unproven sender never enters', () => {
    const node = new TestEngine()
    node.message(node.contact(idOf(200)), { type: 'ping', transaction: 7, isServer: true }, false)
    node.pass(10_000)
    expect(node.engine.info().contacts).toBe(0)
    expect(node.engine.info().requestsInFlight).toBe(0)
  })

  test('[O32] one in client mode never enters, and one that becomes a client leaves', () => {
    const node = new TestEngine()
    const client = node.contact(idOf(200))
    expect(sends(node.meet(client, false))).toHaveLength(1)
    expect(node.engine.info().contacts).toBe(0)
    node.meet(client, true)
    expect(node.engine.info().contacts).toBe(1)
    node.meet(client, false)
    expect(node.engine.info().contacts).toBe(0)
  })

  test('[O32] a datagram of long ago, sent again by anybody, costs nobody the place', () => {
    const node = new TestEngine()
    const contact = node.contact(idOf(200))
    node.meet(contact)
    node.message(contact, { type: 'ping', transaction: 7, isServer: false }, false)
    expect(node.engine.contacts()).toEqual([contact])
  })

  test('[O32] the own id never enters, nor is it answered', () => {
    const node = new TestEngine()
    const self = node.contact(idOf(...new Array<number>(31).fill(0), 1))
    expect(node.meet(self)).toEqual([])
    expect(node.engine.info().contacts).toBe(0)
  })

  test('[O32] contacts that are only heard of do not enter', () => {
    const node = new TestEngine()
    const first = node.contact(idOf(200))
    node.meet(first)
    const [question] = sends(node.command({ type: 'find-node', target: idOf(99) }).outputs)
    if (question === undefined) throw new Error('no question')
    const asked = sends(node.answer(question, [node.contact(idOf(201)), node.contact(idOf(202))]))
    expect(asked).toHaveLength(2)
    expect(node.engine.contacts()).toEqual([first])
  })

  test('[O32] pings of unproven senders are bounded', () => {
    const node = new TestEngine({ carePingsMax: 3 })
    for (let i = 0; i < 10; i++) {
      node.message(node.contact(idOf(128 + i)), { type: 'ping', transaction: i, isServer: true }, false)
    }
    expect(node.engine.info().requestsInFlight).toBe(3)
    expect(node.counter('pings-over-limit')).toBe(7)
  })

  test('[O33] E13 E15 a full bucket refuses the newcomer and keeps it as a replacement', () => {
    const node = new TestEngine({ k: 3 })
    for (let i = 0; i < 5; i++) node.meet(node.contact(idOf(128 + i)))
    expect(node.engine.info().buckets).toEqual([{ bucket: 255, contacts: 3, replacements: 2 }])
  })

  test('[O33] the oldest is pinged when unheard of for 15 minutes, and keeps its place by answering', () => {
    const node = new TestEngine({ k: 2, mode: 'server' })
    const [a, b, c] = [node.contact(idOf(128)), node.contact(idOf(129)), node.contact(idOf(130))]
    node.meet(a)
    node.mono += 100
    node.meet(b)
    node.mono += 899_000
    expect(sends(ask(node, c), 'ping')).toEqual([])
    node.mono += 1_000
    expect(sends(node.meet(c), 'ping')).toEqual([])
    const [ping] = sends(ask(node, c), 'ping')
    expect(sends(ask(node, node.contact(idOf(131))), 'ping')).toEqual([])
    expect(ping?.to).toBe(a)
    if (ping === undefined) throw new Error('no ping')
    node.answer(ping)
    expect(node.engine.contacts()).toEqual([a, b])
  })

  test('[O33] a ping from an unproven newcomer of a full bucket breeds no ping, another request does', () => {
    const node = new TestEngine({ k: 1 })
    const [a, b] = [node.contact(idOf(128)), node.contact(idOf(129))]
    node.meet(a)
    node.mono += 900_000
    const common = { transaction: 1, isServer: true } as const
    expect(sends(node.message(b, { ...common, type: 'ping' }, false), 'ping')).toEqual([])
    const asked = node.message(b, { ...common, type: 'find-node', target: idOf(1) }, false)
    expect(sends(asked, 'ping').map(({ to }) => to)).toEqual([b])
  })

  test('[O33] the oldest loses its place to the newcomer after two unanswered pings', () => {
    const node = new TestEngine({ k: 2 })
    const [a, b, c] = [node.contact(idOf(128)), node.contact(idOf(129)), node.contact(idOf(130))]
    node.meet(a)
    node.mono += 100
    node.meet(b)
    node.mono += 900_000
    expect(sends(ask(node, c), 'ping').map(({ to }) => to)).toEqual([a])
    node.mono += 500
    node.meet(b)
    const again = sends(node.pass(700), 'ping')
    expect(again.map(({ to }) => to)).toEqual([a])
    node.mono += 500
    node.meet(b)
    node.pass(1_000)
    expect(node.engine.contacts().sort()).toEqual([b, c].sort())
  })

  test('[O34] two requests without an answer cost the place, one does not', () => {
    const node = new TestEngine()
    const [dead, live] = [node.contact(idOf(128)), node.contact(idOf(1))]
    node.meet(dead)
    node.meet(live)
    for (const left of [2, 1]) {
      const { id } = node.command({ type: 'ping', contact: dead })
      node.mono += 10
      node.meet(live)
      expect(node.pass(2_000)).toEqual([{ type: 'reply', id, reply: { type: 'failed', error: { type: 'timeout' } } }])
      expect(node.engine.info().contacts).toBe(left)
    }
    expect(node.counter('contacts-removed')).toBe(1)
  })

  test('[O34] a request that could not be sent is no silence, one that the layer below gave up is', () => {
    const node = new TestEngine()
    const contact = node.contact(idOf(0x80))
    node.meet(contact)
    for (let i = 0; i < 5; i++) {
      node.meet(node.contact(idOf(0x40)))
      const [send] = sends(node.command({ type: 'ping', contact }).outputs, 'ping')
      if (send === undefined) throw new Error('nothing sent')
      const outputs = node.give({ type: 'failed', transaction: send.message.transaction })
      expect(replies(outputs)).toEqual([{ type: 'failed', error: { type: 'timeout' } }])
      expect(node.engine.contacts()).toContain(contact)
    }
    expect(node.engine.info().counters).toMatchObject({ 'requests-not-sent': 5 })
    for (let i = 0; i < 2; i++) {
      node.mono += 10
      const [send] = sends(node.command({ type: 'ping', contact }).outputs, 'ping')
      node.meet(node.contact(idOf(0x40)))
      node.give({ type: 'unanswered', transaction: send?.message.transaction ?? 0 })
    }
    expect(node.engine.info()).toMatchObject({ contacts: 1, counters: { timeouts: 2, 'contacts-removed': 1 } })
  })

  test('[O34] requests in flight together are one silence', () => {
    const node = new TestEngine()
    const [dead, live] = [node.contact(idOf(128)), node.contact(idOf(1))]
    node.meet(dead)
    node.meet(live)
    for (let i = 0; i < 5; i++) node.command({ type: 'ping', contact: dead })
    node.mono += 10
    node.meet(live)
    node.pass(5_000)
    expect(node.engine.info().contacts).toBe(2)
  })

  test('[O34] where nobody at all is heard, nobody loses the place', () => {
    const node = new TestEngine()
    for (let i = 0; i < 20; i++) node.meet(node.contact(idOf(128 + i)))
    for (let round = 0; round < 5; round++) {
      node.mono += 1
      node.command({ type: 'find-node', target: idOf(round) })
      node.pass(60_000)
    }
    expect(node.engine.info().contacts).toBe(20)
    expect(node.counter('contacts-kept-in-outage')).toBeGreaterThan(20)
  })

  test('[O35] at most two of a /24 in a bucket; no limit at home', () => {
    const node = new TestEngine()
    for (let i = 0; i < 5; i++) node.meet(node.contact(idOf(128 + i), `30.1.2.${i + 1}`))
    expect(node.engine.info().contacts).toBe(2)
    for (let i = 0; i < 5; i++) node.meet(node.contact(idOf(140 + i), `192.168.2.${i + 1}`))
    expect(node.engine.info().contacts).toBe(7)
  })

  test('[O31] an answer of the wrong type costs the place', () => {
    const node = new TestEngine()
    const from = node.contact(idOf(200))
    node.meet(from)
    const { id, outputs } = node.command({ type: 'ping', contact: from })
    const [ping] = sends(outputs)
    const transaction = ping?.message.transaction ?? -1
    const wrong = node.message(from, { type: 'store-response', transaction, isServer: true, status: 'stored' })
    expect(wrong).toEqual([{ type: 'reply', id, reply: { type: 'failed', error: { type: 'timeout' } } }])
    expect(node.engine.info().contacts).toBe(0)
    expect(node.counter('answers-of-wrong-type')).toBe(1)
  })

  test('[O31] an answer nobody asked for, or of somebody else, changes nothing', () => {
    const node = new TestEngine()
    const [from, other] = [node.contact(idOf(200)), node.contact(idOf(201))]
    node.meet(from)
    const [ping] = sends(node.command({ type: 'ping', contact: from }).outputs)
    if (ping === undefined) throw new Error('no ping')
    expect(node.answer(ping, [], undefined, other)).toEqual([])
    expect(node.message(from, { type: 'pong', transaction: 4, isServer: true, observed: undefined })).toEqual([])
    expect(node.engine.contacts()).toEqual([from])
    expect(node.counter('answers-from-another')).toBe(1)
    expect(node.counter('answers-unasked')).toBe(1)
    node.mono += 12
    expect(replies(node.answer(ping))).toEqual([{ type: 'pong', ms: 12, observed: undefined }])
    expect(node.answer(ping)).toEqual([])
  })

  test('[O30] nothing to say is one shared frozen array, and an early wake changes nothing', () => {
    const node = new TestEngine()
    const outputs = node.give({ type: 'wake' })
    expect(outputs).toEqual([])
    expect(Object.isFrozen(outputs)).toBe(true)
    expect(node.give({ type: 'wake' })).toBe(outputs)
    const deadline = node.engine.deadline()
    node.give({ type: 'wake' })
    expect(node.engine.deadline()).toBe(deadline)
  })

  test('[O58] contacts to keep over a restart: those that answer, the most recent first, 200 at most', () => {
    const node = new TestEngine({ savedContactsMax: 2 })
    const refs = [0, 1, 2].map((i) => node.contact(idOf(128 + i)))
    for (const ref of refs) {
      node.mono += 100
      node.meet(ref)
    }
    expect(node.engine.contacts()).toEqual([refs[2], refs[1]])
    node.command({ type: 'ping', contact: refs[2] ?? node.contact(idOf(1)) })
    node.mono += 100
    node.meet(refs[0] ?? node.contact(idOf(1)))
    node.pass(5_000)
    expect(node.engine.contacts()).toEqual([refs[0], refs[1]])
  })

  test('[O30] after a stop each command is refused, what waits is told, and deadlines end', () => {
    const node = new TestEngine()
    const from = node.contact(idOf(200))
    node.meet(from)
    const walk = node.command({ type: 'find-node', target: idOf(9) }).id
    const ping = node.command({ type: 'ping', contact: from }).id
    const error = { type: 'stopped' } as const
    expect(node.give({ type: 'stop' })).toEqual([
      { type: 'reply', id: walk, reply: { type: 'failed', error } },
      { type: 'reply', id: ping, reply: { type: 'failed', error } },
    ])
    expect(node.engine.deadline()).toBe(Number.POSITIVE_INFINITY)
    expect(node.meet(from)).toEqual([])
    expect(replies(node.command({ type: 'get', key: idOf(1) }).outputs)).toEqual([{ type: 'failed', error }])
  })
})
