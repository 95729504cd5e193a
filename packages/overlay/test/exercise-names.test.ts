import { signRecord } from '@miaou/protocol'
import { describe, expect, test } from 'vitest'
import { exercise } from '../src/index.ts'
import { crypto, ExerciseNet, firstGossip, id, peer } from './exercise-net.ts'

const { KBucket, NodeId, RoutingTable } = exercise

/** Rows X04 and X08: the exact names of the given and announced suite, 15 in all. */
describe('[X04] [X08] the suite of the exercise', () => {
  test('test_node_id_xor', () => {
    const [a, b] = [id(0b1100), id(0b1010)]
    expect(a.distance(b)[0]).toBe(0b0110)
    expect(a.distance(a)).toEqual(new Uint8Array(32))
  })

  test('test_node_id_xor_distance', () => {
    const net = new ExerciseNet(0, 3)
    const number = (bytes: Uint8Array): bigint => bytes.reduce((sum, byte) => sum * 256n + BigInt(byte), 0n)
    for (let round = 0; round < 100; round++) {
      const [a, b, c] = [NodeId.random(net.random), NodeId.random(net.random), NodeId.random(net.random)]
      expect(a.distance(b)).toEqual(b.distance(a))
      expect(number(a.distance(c)) <= number(a.distance(b)) + number(b.distance(c))).toBe(true)
      expect(Math.sign(a.distanceCmp(b, c))).toBe(number(a.distance(b)) < number(a.distance(c)) ? -1 : 1)
      expect(a.equals(b)).toBe(false)
    }
  })

  test('test_bucket_index', () => {
    const zero = id(0)
    expect(zero.bucketIndex(id(0x80))).toBe(255)
    expect(zero.bucketIndex(id(0, 1))).toBe(0)
    expect(zero.bucketIndex(id(0, 0x80))).toBe(7)
    expect(zero.bucketIndex(zero)).toBe(0)
  })

  test('test_kbucket_operations', () => {
    const bucket = new KBucket(3, crypto)
    for (const byte of [1, 2, 3]) expect(bucket.add(peer(id(byte)))).toBe(true)
    expect(bucket.isFull()).toBe(true)
    expect(bucket.peers()).toHaveLength(3)
    expect(bucket.get(id(2))?.id.equals(id(2))).toBe(true)
    expect(bucket.add(peer(id(2), 8888, 160))).toBe(true)
    expect(bucket.get(id(2))).toMatchObject({ addr: { port: 8888 }, lastSeen: 160 })
    expect(bucket.remove(id(2))).toBe(true)
    expect(bucket.remove(id(2))).toBe(false)
    expect(bucket.get(id(2))).toBeUndefined()
    expect(bucket.isFull()).toBe(false)
    expect(bucket.needsRefresh(160 + 3_599_999, 3_600_000)).toBe(false)
    expect(bucket.needsRefresh(160 + 3_600_000, 3_600_000)).toBe(true)
  })

  test('test_kbucket_full_reject', () => {
    const bucket = new KBucket(2, crypto)
    expect([1, 2, 3].map((byte) => bucket.add(peer(id(byte))))).toEqual([true, true, false])
    expect(bucket.peers()).toHaveLength(2)
    expect(bucket.get(id(3))).toBeUndefined()
    expect(bucket.add(peer(id(1)))).toBe(true)
  })

  test('test_routing_table_closest', () => {
    const table = new RoutingTable(id(0), 20)
    for (let byte = 1; byte <= 10; byte++) table.add(peer(id(byte)))
    const closest = table.findClosest(id(5), 3)
    expect(closest.map((each) => each.id.toBytes()[0])).toEqual([5, 4, 7])
    expect(table.add(peer(id(0)))).toBe(false)
    expect(table.allPeers()).toHaveLength(10)
    expect(table.get(id(4))?.id.equals(id(4))).toBe(true)
    expect(table.remove(id(4))).toBe(true)
    expect(table.findClosest(id(5), 3).map((each) => each.id.toBytes()[0])).toEqual([5, 7, 6])
    expect(table.bucketsNeedingRefresh(3_600_000, 3_600_000).length).toBeGreaterThan(0)
  })

  test('test_routing_table_find_closest', () => {
    const net = new ExerciseNet(0, 5)
    const table = new RoutingTable(NodeId.random(net.random), 3)
    const ids = Array.from({ length: 10 }, () => NodeId.random(net.random))
    const kept = ids.filter((each) => table.add(peer(each)))
    const target = NodeId.random(net.random)
    const closest = table.findClosest(target, 3)
    expect(closest).toHaveLength(3)
    const expected = [...kept].sort((a, b) => target.distanceCmp(a, b)).slice(0, 3)
    expect(closest.map((each) => each.id.toString())).toEqual(expected.map(String))
  })

  test('test_ping_pong', async () => {
    const net = new ExerciseNet(2)
    const answer = net.node(1).handleDhtMessage({ type: 'Ping' }, net.node(0).info())
    expect(answer).toEqual({ type: 'Pong' })
    // E17: the sender of a request is known from then on.
    expect(
      net
        .node(1)
        .peers()
        .map((each) => each.id.toString()),
    ).toEqual([net.node(0).id.toString()])
    expect(await net.node(0).ping(net.node(1).info())).toEqual({ ok: true, value: 0 })
  })

  test('test_find_node', async () => {
    const net = new ExerciseNet(8)
    await net.join()
    const target = NodeId.random(net.random)
    const answer = net.node(0).handleDhtMessage({ type: 'FindNode', target }, net.node(1).info())
    const others = net.nodes.filter((_, place) => place > 1).map((node) => node.id)
    const expected = others.sort((a, b) => target.distanceCmp(a, b)).map(String)
    expect(answer?.type === 'FindNodeResponse' && answer.peers.map((each) => each.id.toString())).toEqual(expected)
  })

  test('test_bootstrap', async () => {
    const net = new ExerciseNet(4)
    net.dead.add(net.node(3).id.toString())
    expect(await net.node(0).bootstrap([net.node(3).info()])).toEqual({
      ok: false,
      error: { type: 'BootstrapFailed', asked: 1 },
    })
    expect(await net.node(0).bootstrap([])).toMatchObject({ ok: false, error: { type: 'BootstrapFailed' } })
    await net.node(1).bootstrap([net.node(2).info()])
    expect(await net.node(0).bootstrap([net.node(3).info(), net.node(1).info()])).toEqual({ ok: true, value: 2 })
  })

  test('test_dht_store_retrieve', async () => {
    const net = new ExerciseNet(30, 7)
    await net.join()
    const value = new TextEncoder().encode('hello')
    const key = NodeId.fromBytes(crypto.sha256(value))
    const stored = await net.node(3).store(key, value)
    expect(stored.ok && stored.value).toBeGreaterThanOrEqual(3)
    for (const node of net.nodes) expect(await node.get(key)).toEqual({ ok: true, value })
    expect(await net.node(5).get(NodeId.random(net.random))).toEqual({ ok: false, error: { type: 'NotFound' } })
    expect(await net.node(3).store(NodeId.random(net.random), value)).toEqual({
      ok: false,
      error: { type: 'NotStorable' },
    })
  })

  test('test_gossip_propagation', async () => {
    const net = new ExerciseNet(12, 9)
    await net.join()
    const payload = new TextEncoder().encode('to everybody')
    const sent = net.node(4).gossip(payload)
    expect(sent.ok && sent.value.length).toBeGreaterThan(0)
    net.run(10_000)
    for (const [place, messages] of net.delivered.entries()) {
      expect(messages.map((message) => message.payload)).toEqual(place === 4 ? [] : [payload])
    }
  })

  test('test_gossip_dedup', async () => {
    const { bytes, to, from } = await firstGossip(5)
    expect(to.handleGossip(bytes, from)).toBeInstanceOf(Array)
    expect(to.handleGossip(bytes, from)).toBeUndefined()
  })

  test('test_gossip_ttl_zero', async () => {
    const spent = await firstGossip(0)
    expect(spent.to.handleGossip(spent.bytes, spent.from)).toBeUndefined()
    const alive = await firstGossip(5)
    expect(alive.to.handleGossip(alive.bytes, alive.from)).toBeInstanceOf(Array)
    expect(exercise.readGossipMessage(alive.bytes)?.ttl).toBe(5)
  })

  test('test_iterative_lookup', async () => {
    const net = new ExerciseNet(60, 11, { k: 8 })
    await net.join()
    for (let round = 0; round < 10; round++) {
      const target = NodeId.random(net.random)
      const found = await net.node(round).findNode(target)
      const others = net.nodes.filter((_, place) => place !== round).map((node) => node.id)
      const expected = others.sort((a, b) => target.distanceCmp(a, b)).slice(0, 8)
      expect(found.ok && found.value.map((each) => each.id.toString())).toEqual(expected.map(String))
    }
  })
})

describe('beyond the names', () => {
  test('E12 peers come with when they were last heard, and their round trip', async () => {
    const net = new ExerciseNet(8, 12)
    await net.join()
    const peers = net.node(1).peers()
    expect(peers.length).toBeGreaterThan(3)
    const now = net.node(1).info().lastSeen
    for (const { lastSeen } of peers) {
      expect(lastSeen).toBeGreaterThan(0)
      expect(lastSeen).toBeLessThanOrEqual(now)
    }
    expect(peers.some(({ rtt }) => rtt !== undefined)).toBe(true)
  })

  test('a signed record is stored under its own key, and its newest value is found', async () => {
    const net = new ExerciseNet(25, 13)
    await net.join()
    const pair = crypto.ed25519KeyPair(new Uint8Array(32).fill(5))
    const salt = new TextEncoder().encode('signing')
    const key = NodeId.fromBytes(crypto.sha256(Uint8Array.from([...pair.publicKey, ...salt])))
    const record = (sequence: number): Uint8Array =>
      signRecord(crypto, { ...pair, salt, sequence, value: Uint8Array.of(sequence) })
    expect((await net.node(1).store(key, record(1))).ok).toBe(true)
    expect((await net.node(1).store(key, record(2))).ok).toBe(true)
    expect(await net.node(9).get(key)).toEqual({ ok: true, value: Uint8Array.of(2) })
    expect(await net.node(1).store(NodeId.random(net.random), record(3))).toMatchObject({
      error: { type: 'NotStorable' },
    })
  })

  test('a Store has no answer, and none without a token is kept', async () => {
    const net = new ExerciseNet(2)
    const [asker, holder] = [net.node(0), net.node(1)]
    const value = Uint8Array.of(1, 2, 3)
    const key = NodeId.fromBytes(crypto.sha256(value))
    const record = Uint8Array.of(1, 1, 1, 1, 2, 3)
    const lookup = holder.handleDhtMessage({ type: 'FindValue', key }, asker.info())
    expect(lookup).toMatchObject({ type: 'FindValueResponse', closest: [] })
    const token = lookup?.type === 'FindValueResponse' ? lookup.token : new Uint8Array(8)
    const store = (with_: Uint8Array): unknown =>
      holder.handleDhtMessage({ type: 'Store', key, record, token: with_ }, asker.info())
    expect(store(new Uint8Array(8))).toBeUndefined()
    expect(holder.dhtInfo().records).toBe(0)
    expect(store(token)).toBeUndefined()
    expect(holder.dhtInfo().records).toBe(1)
    // E19: found, so nobody else is named.
    expect(holder.handleDhtMessage({ type: 'FindValue', key }, asker.info())).toMatchObject({ record, closest: [] })
  })

  test('errors of the network are told as NetworkError, silence as Timeout', async () => {
    const net = new ExerciseNet(2)
    const target = net.node(1).info()
    net.unreachable.add(net.node(1).id.toString())
    expect(await net.node(0).ping(target)).toMatchObject({ ok: false, error: { type: 'NetworkError' } })
    net.unreachable.clear()
    net.dead.add(net.node(1).id.toString())
    expect(await net.node(0).ping(target)).toEqual({ ok: false, error: { type: 'Timeout' } })
    expect(await net.node(0).findNode(target.id)).toMatchObject({ ok: false, error: { type: 'NetworkError' } })
  })

  test('a gossip message with a false signature or a changed payload is neither delivered nor forwarded', async () => {
    const { bytes, from, to } = await firstGossip(5)
    for (const at of [bytes.length - 1, bytes.length - 65]) {
      const forged = bytes.slice()
      forged[at] = (forged[at] as number) ^ 1
      expect(to.handleGossip(forged, from)).toBeUndefined()
    }
  })

  test('a node alone keeps what it stores, and says that nobody else does', async () => {
    const net = new ExerciseNet(1)
    const value = Uint8Array.of(7)
    const key = NodeId.fromBytes(crypto.sha256(value))
    expect(await net.node(0).store(key, value)).toEqual({ ok: true, value: 0 })
    expect(await net.node(0).get(key)).toEqual({ ok: true, value })
    expect(await net.node(0).get(id(3))).toEqual({ ok: false, error: { type: 'NotFound' } })
  })

  test('[E05] maintenance refreshes buckets that were unused for the interval, and republishes', async () => {
    const net = new ExerciseNet(12, 19)
    await net.join()
    const value = Uint8Array.of(9)
    await net.node(2).store(NodeId.fromBytes(crypto.sha256(value)), value)
    net.run(5_000)
    net.requests.length = 0
    net.node(2).maintenance()
    expect(net.requests).toEqual([])
    net.now = { mono: net.now.mono + 2 * 3_600_000, wall: net.now.wall + 2 * 3_600_000 }
    net.node(2).maintenance()
    await expect.poll(() => net.requests.includes('FindNode') && net.requests.includes('Store')).toBe(true)
  })

  test('[E21] a gossip message has an id of 32 bytes, its origin, hops and payload', async () => {
    const { bytes, from } = await firstGossip(5)
    const message = exercise.readGossipMessage(bytes)
    expect(message?.id).toHaveLength(32)
    expect(message?.payload).toEqual(Uint8Array.of(1))
    expect(message !== undefined && NodeId.fromPublicKey(crypto, message.origin).equals(from.id)).toBe(true)
    expect(exercise.readGossipMessage(Uint8Array.of(1, 2, 3))).toBeUndefined()
  })

  test('[E07] what a node publishes starts with gossipTtl hops', async () => {
    const net = new ExerciseNet(2, 17, { gossipTtl: 4 })
    await net.join()
    net.caught = []
    net.node(0).gossip(Uint8Array.of(1))
    expect(net.caught.map((bytes) => exercise.readGossipMessage(bytes)?.ttl)).toEqual([4])
  })

  test('a node that stops ends what is under way', async () => {
    const net = new ExerciseNet(2)
    net.hangs = true
    const found = net.node(0).bootstrap([net.node(1).info()])
    net.node(0).stop()
    expect(await found).toEqual({ ok: false, error: { type: 'NetworkError', io: 'stopped' } })
  })

  test('the defaults are those of row E08', () => {
    expect(exercise.defaultP2PConfig).toEqual({
      k: 20,
      alpha: 3,
      refreshInterval: 3_600_000,
      replicationFactor: 3,
      gossipTtl: 6,
    })
  })

  test('an address that no node can have is ignored wherever it comes from', async () => {
    const net = new ExerciseNet(1)
    const nowhere = { ...peer(id(9)), addr: { host: '0.0.0.0', port: 0 } }
    expect(net.node(0).handleDhtMessage({ type: 'Ping' }, nowhere)).toBeUndefined()
    expect(net.node(0).handleGossip(new Uint8Array(10), nowhere)).toBeUndefined()
    expect(await net.node(0).bootstrap([nowhere])).toMatchObject({ error: { type: 'BootstrapFailed' } })
  })
})
