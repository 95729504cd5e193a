import { textToBytes } from '@miaou/core'
import { encodeRecord, recordKey } from '@miaou/protocol'
import { expect, test } from 'vitest'
import { OverlayTown, type TownNode } from './overlay-town.ts'
import { crypto } from './ports.ts'

function joined(
  count: number,
  seed = 1,
  options: ConstructorParameters<typeof OverlayTown>[1] = {},
): { readonly town: OverlayTown; readonly nodes: readonly TownNode[] } {
  const town = new OverlayTown(seed, options)
  const first = town.add()
  for (let i = 1; i < count; i++) {
    const node = town.add()
    const { publicKey, endpoint } = first
    expect(town.ask(node, { type: 'bootstrap', contacts: [{ publicKey, endpoint }] }).type).toBe('bootstrapped')
  }
  return { town, nodes: town.nodes }
}

const record = { type: 'value', value: textToBytes('a cat sat on the mat') } as const

test('nodes join through the first one, and learn of each other [C19, C20]', () => {
  const { town, nodes } = joined(8)
  town.run(2_000)
  for (const { node } of nodes) expect(node.info().kademlia.contacts).toBe(7)
})

test('a record stored by one is found by all others, sealed all the way [E20]', () => {
  const { town, nodes } = joined(12)
  const [first] = nodes
  if (first === undefined) throw new Error('nobody there')
  const seen: Uint8Array[] = []
  town.drops = (_from, _to, bytes) => {
    seen.push(bytes)
    return false
  }
  const stored = town.ask(first, { type: 'put', record: encodeRecord(record), republish: false })
  expect(stored).toMatchObject({ type: 'stored', key: recordKey(crypto, record) })
  for (const node of nodes.slice(1)) {
    expect(town.ask(node, { type: 'get', key: recordKey(crypto, record) })).toMatchObject({
      type: 'found-value',
      record: encodeRecord(record),
    })
  }
  const text = 'a cat sat'
  expect(seen.length).toBeGreaterThan(20)
  expect(seen.some((bytes) => new TextDecoder('latin1').decode(bytes).includes(text))).toBe(false)
  expect(seen.every(({ length }) => length <= 1_200)).toBe(true)
})

test('a node that lost its sessions in a restart is heard again at once', () => {
  const { town, nodes } = joined(3)
  const [first, second] = nodes
  if (first === undefined || second === undefined) throw new Error('nobody there')
  const { publicKey, endpoint } = first
  expect(town.ask(second, { type: 'ping', contact: { publicKey, endpoint } }).type).toBe('pong')
  town.restart(first)
  expect(town.ask(second, { type: 'ping', contact: { publicKey, endpoint } })).toMatchObject({ type: 'pong' })
})

test('contacts inside a narrower network than their teller are not asked', () => {
  const town = new OverlayTown(2, { kademlia: { mode: 'server' } })
  const home = town.add('10.0.0.1')
  const lan = town.add('10.0.0.2')
  const world = town.add('198.51.100.7')
  const through = (node: TownNode) => ({
    type: 'bootstrap' as const,
    contacts: [{ publicKey: node.publicKey, endpoint: node.endpoint }],
  })
  expect(town.ask(lan, through(world)).type).toBe('bootstrapped')
  town.run(5_000)
  expect(town.ask(home, through(world)).type).toBe('bootstrapped')
  town.run(5_000)
  expect(world.node.contacts().map(({ endpoint }) => endpoint.host)).toContain('10.0.0.2')
  expect(home.node.contacts().map(({ endpoint }) => endpoint.host)).not.toContain('10.0.0.2')
})

test('an address that no node can have answers a command with an error, not with a crash', () => {
  const { town, nodes } = joined(2)
  const [first] = nodes
  if (first === undefined) throw new Error('nobody there')
  for (const host of ['0.0.0.0', '224.0.0.1', 'fe80::1%eth0', 'a name']) {
    const contact = { publicKey: first.publicKey, endpoint: { host, port: 9999 } }
    expect(town.ask(first, { type: 'ping', contact })).toEqual({
      type: 'failed',
      error: { type: 'inadmissible-endpoint', endpoint: contact.endpoint },
    })
    expect(town.ask(first, { type: 'bootstrap', contacts: [contact] })).toEqual({
      type: 'failed',
      error: { type: 'bootstrap-failed', asked: 0 },
    })
  }
})

test('[O34] requests that find the queue of a handshake full cost nobody the place, and no stack', () => {
  const { town, nodes } = joined(12, 3, { datagrams: { queuedMax: 1 } })
  town.run(2_000)
  const [first] = nodes
  if (first === undefined) throw new Error('nobody there')
  // Without sessions each contact is asked by a handshake, and nobody answers.
  town.drops = () => true
  town.run(700_000)
  const before = first.node.info().kademlia.contacts
  const now = { mono: town.now, wall: town.now }
  for (let i = 0; i < 300; i++) {
    const command = { type: 'put', record: encodeRecord({ ...record, value: Uint8Array.of(i >> 8, i) }) } as const
    town.perform(
      first,
      first.node.handle(now, { type: 'command', id: 10_000 + i, command: { ...command, republish: true } }),
    )
  }
  expect(first.node.info().counters['requests-not-sent']).toBeGreaterThan(100)
  expect(first.node.info().kademlia).toMatchObject({ published: 300, contacts: before })
  town.run(3_700_000)
  expect(first.node.info().kademlia.contacts).toBe(before)
  town.drops = () => false
  town.run(1_000)
  expect(town.ask(first, { type: 'put', record: encodeRecord(record), republish: false }).type).toBe('stored')
})

test('garbage is counted, and nothing comes back', () => {
  const { nodes, town } = joined(2)
  const [first] = nodes
  if (first === undefined) throw new Error('nobody there')
  const from = { host: '10.9.9.9', port: 7 }
  for (let size = 0; size < 1_300; size += 13) {
    const bytes = new Uint8Array(size).fill(size & 7)
    const outputs = first.node.handle({ mono: town.now, wall: town.now }, { type: 'datagram', from, bytes })
    expect(
      outputs.reduce((sum, output) => sum + (output.type === 'datagram' ? output.bytes.length : 0), 0),
    ).toBeLessThanOrEqual(size)
  }
  const dropped = Object.values(first.node.info().counters).reduce((sum, count) => sum + count, 0)
  expect(dropped).toBeGreaterThanOrEqual(100)
})

test('as many operations as may run begin with one cold contact, and each is answered', () => {
  const town = new OverlayTown(3)
  const [first, second] = [town.add(), town.add()]
  const { publicKey, endpoint } = first
  expect(town.ask(second, { type: 'bootstrap', contacts: [{ publicKey, endpoint }] }).type).toBe('bootstrapped')
  town.restart(second)
  const ping = { type: 'ping', contact: { publicKey, endpoint } } as const
  const replies = town.askAll(
    second,
    Array.from({ length: 64 }, () => ping),
  )
  expect(replies.map(({ type }) => type)).toEqual(Array.from({ length: 64 }, () => 'pong'))
})

test('a table of contacts that is full drops what comes and counts it', () => {
  const town = new OverlayTown(4, { contactsMax: 40, kademlia: { mode: 'server' } })
  const first = town.add('198.51.100.1')
  for (let n = 0; n < 30; n++) town.add(`198.51.${n + 101}.1`)
  const through = [{ publicKey: first.publicKey, endpoint: first.endpoint }]
  for (const node of town.nodes.slice(1)) town.ask(node, { type: 'bootstrap', contacts: through })
  town.run(5_000)
  expect(first.node.info().counters['contacts-full']).toBeGreaterThan(0)
  expect(first.node.info().kademlia.contacts).toBeLessThanOrEqual(40)
  // Nobody is heard any more, as the table has no room for a message; but all that is asked comes to an end.
  expect(town.ask(first, { type: 'find-node', target: new Uint8Array(32) }).type).toBe('failed')
})

test('commands that the table of contacts has no room for fail', () => {
  const town = new OverlayTown(5, { contactsMax: 10 })
  const [first, second] = [town.add(), town.add()]
  const { publicKey, endpoint } = second
  const contacts = Array.from({ length: 11 }, (_, n) => ({ publicKey, endpoint: { ...endpoint, port: n + 1 } }))
  expect(town.ask(first, { type: 'bootstrap', contacts })).toEqual({
    type: 'failed',
    error: { type: 'too-many-operations', operationsMax: 64 },
  })
})

test('[D11] first datagrams of one moment are not repeated in one moment', () => {
  const town = new OverlayTown(6)
  const { node } = town.add()
  for (let n = 0; n < 8; n++) {
    const { publicKey } = crypto.x25519KeyPair(new Uint8Array(32).fill(n + 1))
    const contact = { publicKey, endpoint: { host: '10.9.9.9', port: n + 1 } }
    node.handle(town.time(), { type: 'command', id: n, command: { type: 'ping', contact } })
  }
  const repeatedAt: number[] = []
  for (let mono = node.deadline(); mono < town.now + 1_300; mono = node.deadline()) {
    const outputs = node.handle({ mono, wall: mono }, { type: 'wake' })
    for (const output of outputs) if (output.type === 'datagram') repeatedAt.push(mono)
  }
  expect(repeatedAt).toHaveLength(8)
  expect(new Set(repeatedAt).size).toBeGreaterThan(4)
})
