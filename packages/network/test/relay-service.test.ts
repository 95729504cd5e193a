import { packEndpoint } from '@miaou/protocol'
import { describe, expect, test } from 'vitest'
import { defaultRelayLimits } from '../src/circuit/relay-service-limits.ts'
import { testPseudonym } from './identities.ts'
import { sameGroup, TestRelay } from './relay-service-town.ts'

const full = 16_350

/** A relay with a caller, a holder and a circuit between them. */
function linked(limits = {}) {
  const relay = new TestRelay(limits)
  const [caller, holder] = [relay.connect(1), relay.connect(2)]
  holder.ask({ type: 'reserve' })
  return { relay, caller, holder, circuit: relay.circuit(caller, holder) }
}

describe('links and reservations', () => {
  test('[R20] a client that shows a pseudonym is in; one that shows its device is not, and is not noted', () => {
    const relay = new TestRelay()
    expect(relay.connect(1).isUp).toBe(true)
    const device = relay.connectDevice(2)
    expect(device.isUp).toBe(false)
    expect(device.ended).toBe('protocol-error')
    expect(relay.count('devices-refused')).toBe(1)
    expect(relay.service.view().links).toBe(1)
  })

  test('[R21] a reservation is answered with address, clock, terms and servers', () => {
    const server = { scheme: 'stun', port: 3478, transport: 'udp', username: '', credential: '' } as const
    const relay = new TestRelay({}, { iceServers: () => [server, server, server, server, server] })
    const client = relay.connect(1, 'ws://203.0.113.5:4000')
    expect(client.ask({ type: 'reserve' })).toEqual({
      type: 'reserved',
      request: 1,
      expiresIn: 3_600,
      timestamp: 1_700_000_000_000,
      observed: packEndpoint({ host: '203.0.113.5', port: 4000 }),
      limits: { circuitsMax: 256, bytesPerSecond: 12_500_000, bytesPerDay: 20_000_000_000 },
      iceServers: [server, server, server, server],
    })
    // Where a proxy hides the address, or the client is on this machine, nothing is told.
    for (const [seed, hidden] of [
      [2, 'ws://203.0.113.6:0'],
      [3, 'ws://127.0.0.1:5'],
      [4, 'memory:x'],
    ] as const) {
      expect(relay.connect(seed, hidden).ask({ type: 'reserve' })).toMatchObject({ observed: new Uint8Array(0) })
    }
  })

  test('[R22] reservations end with their link, when released, and when not renewed', () => {
    const relay = new TestRelay({ reservationMs: 10_000 })
    const [caller, holder] = [relay.connect(1), relay.connect(2)]
    const isReserved = () => caller.ask({ type: 'open', reservation: holder.reservation }).type === 'opened'
    expect(isReserved()).toBe(false)
    holder.ask({ type: 'reserve' })
    expect(isReserved()).toBe(true)
    relay.pass(9_000)
    holder.ask({ type: 'reserve' })
    relay.pass(9_000)
    expect(isReserved()).toBe(true)
    relay.pass(1_100)
    expect(isReserved()).toBe(false)
    expect(relay.count('reservations-expired')).toBe(1)
    holder.ask({ type: 'reserve' })
    holder.say({ type: 'release' })
    expect(isReserved()).toBe(false)
    holder.ask({ type: 'reserve' })
    relay.disconnect(holder)
    expect(isReserved()).toBe(false)
    expect(relay.service.view().reservations).toBe(0)
  })

  test('[R23] a reservation follows the key: who links anew has it at once, nobody else can', () => {
    const relay = new TestRelay()
    const [caller, first, thief] = [relay.connect(1), relay.connect(2), relay.connect(3)]
    first.ask({ type: 'reserve' })
    thief.ask({ type: 'reserve' })
    const again = relay.connect(2)
    again.ask({ type: 'reserve' })
    relay.circuit(caller, again)
    expect(again.ofType('incoming').length).toBe(1)
    expect(first.ofType('incoming')).toEqual([])
    expect(thief.ofType('incoming')).toEqual([])
    // The link that was replaced takes nothing away when it goes.
    first.say({ type: 'release' })
    relay.disconnect(first)
    relay.circuit(caller, again)
    expect(relay.service.view().reservations).toBe(2)
  })

  test('[R24] at the bounds of reservations the next is refused, and room is found again', () => {
    const relay = new TestRelay({ reservationsMax: 3, reservationsPerGroupMax: 2 })
    const [first, second] = [relay.connect(1, sameGroup[0]), relay.connect(2, sameGroup[1])]
    for (const client of [first, second]) expect(client.ask({ type: 'reserve' }).type).toBe('reserved')
    const refused = { type: 'refused', reason: 'too-many-reservations', retryIn: 60 }
    expect(relay.connect(3, sameGroup[0]).ask({ type: 'reserve' })).toMatchObject(refused)
    expect(relay.connect(4).ask({ type: 'reserve' }).type).toBe('reserved')
    const late = relay.connect(5)
    expect(late.ask({ type: 'reserve' })).toMatchObject(refused)
    expect(first.ask({ type: 'reserve' }).type).toBe('reserved')
    relay.disconnect(first)
    expect(late.ask({ type: 'reserve' }).type).toBe('reserved')
  })

  test('[R25] links are bounded in all, by group and by pseudonym; a proxy or this machine is no group', () => {
    const relay = new TestRelay({ clientsMax: 5, clientsPerGroupMax: 2, linksPerClientMax: 2 })
    for (const seed of [1, 2]) expect(relay.connect(seed, sameGroup[0]).isUp).toBe(true)
    expect(relay.connect(3, sameGroup[1]).isClosed).toBe(true)
    const local = [4, 5, 6].map((seed) => relay.connect(seed, 'ws://127.0.0.1:99'))
    expect(local.map(({ isUp }) => isUp)).toEqual([true, true, true])
    expect(relay.connect(7).isClosed).toBe(true)
    expect(relay.count('links-refused')).toBe(2)
    relay.disconnect(local[0] as never)
    relay.disconnect(local[1] as never)
    const twice = relay.connect(6, 'ws://127.0.0.1:98')
    expect(relay.connect(6, 'ws://127.0.0.1:97').isUp).toBe(true)
    expect(twice.isUp).toBe(true)
    expect(local[2]?.ended).toBe('bye')
    expect(relay.count('links-displaced')).toBe(1)
  })

  test('[R26] pipes that do not finish their handshake are bounded, the oldest makes room, and they time out', () => {
    const relay = new TestRelay({ handshakesMax: 4 })
    for (let i = 0; i < 40; i++) relay.open()
    expect(relay.service.view().links).toBe(4)
    expect(relay.count('handshakes-dropped')).toBe(36)
    expect(relay.connect(1).isUp).toBe(true)
    relay.pass(11_000)
    expect(relay.service.view().links).toBe(1)
  })

  test('[R27] a link without use is closed, one with a circuit or a reservation is not', () => {
    const { relay, caller, holder, circuit } = linked({ uselessMs: 5_000 })
    const idle = relay.connect(3)
    for (let i = 0; i < 6; i++) {
      relay.pass(1_000)
      caller.data(circuit.out, 1)
      holder.data(circuit.in, 1)
    }
    expect(idle.ended).toBe('bye')
    expect(caller.isUp && holder.isUp).toBe(true)
    caller.say({ type: 'close', circuit: circuit.out, reason: 'bye' })
    relay.pass(6_000)
    expect(caller.ended).toBe('bye')
    expect(holder.isUp).toBe(true)
  })
})

describe('circuits', () => {
  test('[R30] what is sent arrives, in order, both ways, under the number of each link', () => {
    const { relay, caller, holder, circuit } = linked()
    expect(caller.ofType('opened')[0]?.window).toBe(defaultRelayLimits.windowSize)
    for (const size of [1, 300, full]) caller.data(circuit.out, size)
    holder.data(circuit.in, 77)
    expect(holder.received.get(circuit.in)).toEqual([1, 300, full])
    expect(caller.received.get(circuit.out)).toEqual([77])
    expect(relay.service.view()).toMatchObject({ circuits: 1, bytesPassed: 378 + full, queuedBytes: 0 })
  })

  test('[R31] close and the end of a link reach the other end after what waits', () => {
    const { relay, caller, holder, circuit } = linked()
    const second = relay.circuit(caller, holder)
    holder.isReading = false
    caller.data(circuit.out, full)
    caller.say({ type: 'close', circuit: circuit.out, reason: 'quota' })
    caller.data(second.out, 10)
    relay.disconnect(caller)
    holder.isReading = true
    holder.read(Number.POSITIVE_INFINITY)
    expect(holder.received.get(circuit.in)).toEqual([full])
    expect(holder.received.get(second.in)).toEqual([10])
    // A client's reason must not sound like the relay's.
    expect(holder.ofType('close')).toEqual([
      { type: 'close', circuit: circuit.in, reason: 'bye' },
      { type: 'close', circuit: second.in, reason: 'peer-gone' },
    ])
    expect(relay.service.view().circuits).toBe(0)
  })

  test('[R32] circuits are bounded by link, group, pair and in all', () => {
    const relay = new TestRelay({
      circuitsMax: 5,
      circuitsPerClientMax: 4,
      circuitsPerGroupMax: 4,
      circuitsPerPairMax: 2,
    })
    const holders = [11, 12, 13].map((seed) => relay.connect(seed))
    for (const holder of holders) holder.ask({ type: 'reserve' })
    const [first, second, third] = holders.map(({ reservation }) => reservation) as [Uint8Array, Uint8Array, Uint8Array]
    const open = (client: ReturnType<TestRelay['connect']>, reservation: Uint8Array) => {
      const answer = client.ask({ type: 'open', reservation })
      return answer.type === 'refused' ? answer.reason : answer.type
    }
    const [caller, neighbour] = [relay.connect(1, sameGroup[0]), relay.connect(2, sameGroup[1])]
    expect(open(caller, new Uint8Array(16))).toBe('no-reservation')
    expect([open(caller, first), open(caller, first), open(caller, first)]).toEqual([
      'opened',
      'opened',
      'too-many-circuits',
    ])
    // The pair is the group's: a neighbour cannot use up a holder either.
    expect(open(neighbour, first)).toBe('too-many-circuits')
    expect([open(neighbour, second), open(neighbour, second)]).toEqual(['opened', 'opened'])
    expect([open(caller, third), open(neighbour, third)]).toEqual(['too-many-circuits', 'too-many-circuits'])
    const stranger = relay.connect(3)
    expect(open(stranger, third)).toBe('opened')
    expect(open(stranger, third)).toBe('busy')
    caller.say({ type: 'close', circuit: caller.ofType('opened')[0]?.circuit ?? 0, reason: 'bye' })
    expect(open(stranger, third)).toBe('opened')
    expect(relay.count('circuits-opened')).toBe(6)
  })

  test('[R32] a holder that has its share of circuits is busy, and nobody opens a circuit to itself', () => {
    const relay = new TestRelay({ circuitsPerClientMax: 1 })
    const holder = relay.connect(1)
    holder.ask({ type: 'reserve' })
    expect(holder.ask({ type: 'open', reservation: holder.reservation })).toMatchObject({ reason: 'no-reservation' })
    relay.circuit(relay.connect(2), holder)
    expect(relay.connect(3).ask({ type: 'open', reservation: holder.reservation })).toMatchObject({ reason: 'busy' })
  })

  test('[R33] a circuit on which nobody has spoken, and one that nobody uses any more, is closed', () => {
    const { relay, caller, holder, circuit } = linked({ unusedMs: 5_000, idleMs: 20_000 })
    const half = relay.circuit(caller, holder)
    caller.data(circuit.out, 10)
    relay.pass(7_000)
    expect(caller.ofType('close')).toEqual([{ type: 'close', circuit: half.out, reason: 'idle' }])
    expect(holder.ofType('close')).toEqual([{ type: 'close', circuit: half.in, reason: 'idle' }])
    relay.pass(15_000)
    expect(caller.ofType('close').length).toBe(2)
    expect(relay.count('closed-idle')).toBe(2)
  })

  test('[R34] stop tells everybody and closes every pipe', () => {
    const { relay, caller, holder, circuit } = linked()
    relay.input({ type: 'stop' })
    expect(caller.ofType('close')).toEqual([{ type: 'close', circuit: circuit.out, reason: 'shutdown' }])
    expect([caller.ended, holder.ended]).toEqual(['shutdown', 'shutdown'])
    expect([caller.isClosed, holder.isClosed]).toEqual([true, true])
    expect(relay.connect(9).isClosed).toBe(true)
    expect(relay.service.view()).toMatchObject({ links: 0, circuits: 0, reservations: 0 })
  })
})

describe('accounts', () => {
  test('[R60] counters and view hold no id, key or address', () => {
    const { relay, caller, holder, circuit } = linked()
    caller.data(circuit.out, 1_000)
    const text = JSON.stringify([relay.service.counters(), relay.service.view()])
    for (const value of [caller.reservation, holder.reservation]) {
      expect(text).not.toContain(Buffer.from(value).toString('hex'))
    }
    expect(text).not.toMatch(/203\.0|[0-9a-f]{16}/)
    expect(text).not.toContain(testPseudonym(1).peerId)
  })

  test('[R61] whatever ends leaves nothing behind', () => {
    const { relay, caller, holder } = linked()
    for (let i = 0; i < 20; i++) {
      const { out } = relay.circuit(caller, holder)
      caller.data(out, full)
      caller.say({ type: 'close', circuit: out, reason: 'bye' })
      if (i % 5 === 0) relay.pass(1_000)
    }
    for (const client of [...relay.clients.values()]) relay.disconnect(client)
    expect(relay.service.view()).toMatchObject({ links: 0, reservations: 0, circuits: 0, queuedBytes: 0 })
    expect(relay.service.deadline()).toBeLessThanOrEqual(Number.POSITIVE_INFINITY)
  })
})
