import { encodeStunMessage } from '@miaou/protocol'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  createIceFoundations,
  icePairPriority,
  icePriority,
  iceTypePreferences,
  rankCandidates,
} from '../src/nat/ice-priority.ts'
import type { NatType } from '../src/nat/interface.ts'
import { NatDetection } from '../src/nat/nat-detection.ts'
import { natPairIsDirect, natTypeOf, optimalTransport, requiresRelay } from '../src/nat/nat-type.ts'
import { SeededRandom } from './identities.ts'
import { type Behaviour, local, type ModelServer, NatWorld, publicHost } from './nat-world.ts'

const at = (host: string, port = 3478) => ({ host, port })
const full: ModelServer = { endpoint: at('198.51.100.1'), other: at('198.51.100.2', 3479) }
const plain: ModelServer = { endpoint: at('198.51.100.11') }
const plain2: ModelServer = { endpoint: at('198.51.100.12') }
const plain3: ModelServer = { endpoint: at('198.51.100.13') }
const wrong = at('192.0.2.9', 9)
const lying = (server: ModelServer): ModelServer => ({ ...server, lie: { type: 'mapped', mapped: wrong } })

const names = {
  none: 'none',
  endpoint: 'endpoint-independent',
  address: 'address-dependent',
  port: 'address-and-port-dependent',
} as const

describe('one server by RFC 5780', () => {
  test.each<[Behaviour, Behaviour, NatType]>([
    ['none', 'none', 'none'],
    ['none', 'port', 'none'],
    ['endpoint', 'endpoint', 'full-cone'],
    ['endpoint', 'address', 'restricted-cone'],
    ['endpoint', 'port', 'port-restricted'],
    ['address', 'address', 'symmetric'],
    ['address', 'port', 'symmetric'],
    ['port', 'port', 'symmetric'],
    ['port', 'endpoint', 'symmetric'],
  ])('[NT20] [NT21] [NT30] D12: mapping %s, filtering %s: %s', (mapping, filtering, natType) => {
    const world = new NatWorld({ mapping, filtering }, [full])
    const findings = world.run()
    expect(findings).toMatchObject({ natType, mapping: names[mapping], filtering: names[filtering] })
    expect(findings.servers).toMatchObject([{ state: 'ok', ms: 20 }])
    expect(findings.mapped?.host).toBe(publicHost)
  })

  test('[NT21] the second socket sends to the server, never to its other address', () => {
    const world = new NatWorld({ mapping: 'endpoint', filtering: 'port' }, [full])
    world.run()
    expect(new Set(world.sent.filter(({ socket }) => socket === 1).map(({ to }) => to))).toEqual(
      new Set(['198.51.100.1:3478']),
    )
    expect(new Set(world.sent.filter(({ socket }) => socket === 0).map(({ to }) => to))).toEqual(
      new Set(['198.51.100.1:3478', '198.51.100.2:3478']),
    )
  })

  test('[NT21] silence proves nothing where the other address is dead', () => {
    const dead: ModelServer = { endpoint: full.endpoint, lie: { type: 'other', other: at('198.51.100.9', 3479) } }
    const world = new NatWorld({ mapping: 'endpoint', filtering: 'port' }, [dead, plain])
    expect(world.run()).toMatchObject({ mapping: 'endpoint-independent', filtering: 'unknown' })
  })

  test('[NT21] a server that answers a change request itself tells nothing about filtering', () => {
    const ignoring: ModelServer = { ...full, lie: { type: 'ignores-change' } }
    const world = new NatWorld({ mapping: 'endpoint', filtering: 'endpoint' }, [ignoring])
    expect(world.run()).toMatchObject({ mapping: 'endpoint-independent', filtering: 'unknown' })
  })
})

describe('servers that know no other address', () => {
  test('[NT22] two that see one address: a cone, of which the strictest is assumed', () => {
    const world = new NatWorld({ mapping: 'endpoint', filtering: 'endpoint' }, [plain, plain2])
    expect(world.run()).toMatchObject({
      natType: 'port-restricted',
      mapping: 'endpoint-independent',
      filtering: 'unknown',
    })
  })

  test('[NT22] two that see two: symmetric', () => {
    const world = new NatWorld({ mapping: 'address', filtering: 'port' }, [plain, plain2])
    expect(world.run()).toMatchObject({ natType: 'symmetric', filtering: 'unknown' })
  })

  test('[NT22] two ports of one host are one opinion', () => {
    const same: ModelServer = { endpoint: { ...plain.endpoint, port: 3480 } }
    const world = new NatWorld({ mapping: 'endpoint', filtering: 'port' }, [plain, same])
    expect(world.run()).toMatchObject({ natType: 'unknown', mapping: 'unknown' })
  })

  test('[NT22] one alone: no NAT where it sees our own address, unknown else', () => {
    expect(new NatWorld({ mapping: 'none', filtering: 'none' }, [plain]).run().natType).toBe('none')
    expect(new NatWorld({ mapping: 'endpoint', filtering: 'port' }, [plain]).run().natType).toBe('unknown')
  })
})

describe('servers that fail or lie', () => {
  test('[NT10] D15: one that is silent is reported and skipped, after the repetitions of RFC 8489', () => {
    const silent: ModelServer = { ...plain3, lie: { type: 'silent' } }
    const world = new NatWorld({ mapping: 'endpoint', filtering: 'port' }, [silent, plain, plain2])
    const { natType, servers } = world.run()
    expect(natType).toBe('port-restricted')
    expect(servers[0]).toEqual({ url: 'stun:0', state: 'failed', detail: 'no answer' })
    expect(world.sent.filter(({ to }) => to.startsWith(plain3.endpoint.host))).toHaveLength(4)
    // 0, 500, 1,500 and 3,500 ms, and twice 500 more.
    expect(world.elapsedMs).toBe(4_500)
  })

  test('[NT32] none answers: blocked; none is asked: unknown', () => {
    const nat = { mapping: 'endpoint', filtering: 'port' } as const
    const silent: ModelServer = { ...plain, lie: { type: 'silent' } }
    expect(new NatWorld(nat, [silent]).run().natType).toBe('blocked')
    expect(new NatWorld(nat, []).run().natType).toBe('unknown')
  })

  test.each<[string, ModelServer['lie'], RegExp]>([
    ['with another transaction', { type: 'transaction' }, /no answer/],
    ['from another address', { type: 'elsewhere', from: at('198.51.100.99') }, /no answer/],
    ['with an error', { type: 'error' }, /refuses|names no address/],
    ['without an address', { type: 'no-address' }, /names no address/],
  ])('[NT11] an answer %s is none', (_, lie, detail) => {
    const world = new NatWorld({ mapping: 'endpoint', filtering: 'endpoint' }, [{ ...plain, ...(lie && { lie }) }])
    const [server] = world.run().servers
    expect(server?.state).toBe('failed')
    expect(server?.detail).toMatch(detail)
  })

  test('[NT23] a STUN server that answers with another address: two others outweigh it, and it is named', () => {
    for (const mapping of ['endpoint', 'none'] as const) {
      for (const order of [
        [0, 1, 2],
        [1, 0, 2],
        [1, 2, 0],
      ]) {
        const servers = [lying(plain), plain2, plain3]
        const world = new NatWorld(
          { mapping, filtering: 'none' },
          order.map((index) => servers[index] as ModelServer),
        )
        const findings = world.run()
        expect(findings.mapping).toBe(names[mapping])
        expect(findings.mapped?.host).toBe(publicHost)
        const odd = findings.servers.map(({ detail }) => detail !== undefined)
        expect(odd).toEqual(order.map((index) => index === 0))
      }
    }
  })

  test('[NT23] a liar with another address of its own does not outweigh two either', () => {
    const world = new NatWorld({ mapping: 'endpoint', filtering: 'port' }, [lying(full), plain, plain2])
    expect(world.run()).toMatchObject({ natType: 'port-restricted', filtering: 'unknown' })
  })

  test('[NT23] one word against one of the same weight: unknown', () => {
    const world = new NatWorld({ mapping: 'endpoint', filtering: 'port' }, [full, lying(plain)])
    expect(world.run()).toMatchObject({ natType: 'unknown', mapping: 'unknown' })
    const two = [plain, plain2, lying(plain3), lying({ endpoint: at('198.51.100.14') })]
    expect(new NatWorld({ mapping: 'endpoint', filtering: 'port' }, two).run().mapping).toBe('unknown')
  })

  test('[NT23] our own address is known to whoever sees no NAT only', () => {
    const world = new NatWorld({ mapping: 'none', filtering: 'none' }, [lying(plain), plain2])
    expect(world.run()).toMatchObject({ natType: 'none', mapped: { host: publicHost } })
  })

  test.each([
    ['of a LAN', at('192.168.1.1', 80)],
    ['of this machine', at('127.0.0.1', 80)],
    ['of the other family', at('2001:db8::1', 3479)],
    ['of the same host', at(full.endpoint.host, 3479)],
    ['that is another server', plain.endpoint],
  ])('[NT12] an other address %s is not asked', (_, other) => {
    const liar: ModelServer = { endpoint: full.endpoint, lie: { type: 'other', other } }
    const world = new NatWorld({ mapping: 'endpoint', filtering: 'endpoint' }, [liar, plain])
    expect(world.run()).toMatchObject({ mapping: 'endpoint-independent', filtering: 'unknown' })
    expect(new Set(world.sent.map(({ to }) => to))).toEqual(new Set(['198.51.100.1:3478', '198.51.100.11:3478']))
  })

  test('[NT12] a stranger that we are sent to gets no more than a silent server', () => {
    const liar: ModelServer = { endpoint: full.endpoint, lie: { type: 'other', other: at('198.51.100.99', 53) } }
    const world = new NatWorld({ mapping: 'endpoint', filtering: 'endpoint' }, [liar])
    world.run()
    expect(world.sent.filter(({ to }) => to.startsWith('198.51.100.99'))).toHaveLength(4)
  })

  test('[NT24] a server of the LAN sees no NAT: it counts only where no other answers', () => {
    const lan: ModelServer = { endpoint: at('10.0.0.1'), lie: { type: 'mapped', mapped: local } }
    const nat = { mapping: 'endpoint', filtering: 'port' } as const
    expect(new NatWorld(nat, [lan, plain, plain2]).run().natType).toBe('port-restricted')
    expect(new NatWorld(nat, [lan]).run().natType).toBe('none')
  })

  test('[NT13] more servers than the bound are not asked', () => {
    const world = new NatWorld({ mapping: 'endpoint', filtering: 'port' }, [plain, plain2, plain3], { serversMax: 2 })
    expect(world.run().servers).toHaveLength(2)
  })

  test('[NT13] filtering is tested by as many servers as the bound says', () => {
    const more = [full, { endpoint: at('198.51.100.3'), other: at('198.51.100.4', 3479) }]
    for (const filteringServersMax of [0, 1, 2]) {
      const world = new NatWorld({ mapping: 'endpoint', filtering: 'port' }, more, { filteringServersMax })
      world.run()
      expect(new Set(world.sent.filter(({ socket }) => socket === 1).map(({ to }) => to)).size).toBe(
        filteringServersMax,
      )
    }
  })

  test('[NT21] two servers with each other as the other address: the second does not spoil the test of the first', () => {
    const twin: ModelServer = { endpoint: at('198.51.100.2', 3478), other: at('198.51.100.1', 3479) }
    const world = new NatWorld({ mapping: 'endpoint', filtering: 'address' }, [full, twin])
    expect(world.run()).toMatchObject({ natType: 'restricted-cone' })
  })

  test('[NT11] bytes of anybody change nothing and never throw (property)', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 64 })), (datagrams) => {
        const options = { servers: [{ url: 'stun:a', endpoint: plain.endpoint }], locals: [local] }
        const engine = new NatDetection({ random: new SeededRandom(1), ...options })
        const now = { mono: 0, wall: 0 }
        const [asked] = engine.handle(now, { type: 'wake' })
        const request = asked?.type === 'datagram' ? asked.bytes : new Uint8Array(0)
        for (const bytes of [
          ...datagrams,
          request,
          encodeStunMessage({
            class: 'indication',
            method: 1,
            transaction: request.slice(8),
            attributes: [],
            hasFingerprint: false,
          }),
        ]) {
          expect(engine.handle(now, { type: 'datagram', socket: 0, from: plain.endpoint, bytes })).toEqual([])
        }
        expect(engine.dropped).toBe(datagrams.length + 2)
      }),
    )
  })
})

describe('what follows from it', () => {
  const all: readonly NatType[] = [
    'none',
    'full-cone',
    'restricted-cone',
    'port-restricted',
    'symmetric',
    'blocked',
    'unknown',
  ]

  test('[NT31] D13: requires_relay', () => {
    expect(all.filter(requiresRelay)).toEqual(['symmetric', 'blocked'])
  })

  test('[NT31] which pairs go straight: all but port–sym, sym–port, sym–sym and blocked', () => {
    const not = all.flatMap((a) => all.filter((b) => !natPairIsDirect(a, b)).map((b) => `${a} ${b}`))
    expect(not.filter((pair) => !pair.includes('blocked'))).toEqual([
      'port-restricted symmetric',
      'symmetric port-restricted',
      'symmetric symmetric',
    ])
    expect(not.filter((pair) => pair.includes('blocked'))).toHaveLength(2 * all.length - 1)
  })

  test('[NT31] D11: the best transport', () => {
    expect(all.map(optimalTransport)).toEqual([
      'direct',
      'direct',
      'hole-punching',
      'hole-punching',
      'relay',
      'relay',
      'hole-punching',
    ])
  })

  test('[NT30] names of what is not known', () => {
    expect(natTypeOf('unknown', 'endpoint-independent')).toBe('unknown')
    expect(natTypeOf('endpoint-independent', 'unknown')).toBe('port-restricted')
  })
})

describe('YY05: RFC 8445', () => {
  test('[NT40] §5.1.2.1: priority of a candidate', () => {
    // 2^24 × 126 + 2^8 × 65,535 + 255: what implementations write for their first host candidate.
    expect(icePriority('host')).toBe(2_130_706_431)
    expect(icePriority('server-reflexive')).toBe(2 ** 24 * 100 + 2 ** 8 * 65_535 + 255)
    expect(icePriority('relayed', 0, 256)).toBe(0)
    expect(iceTypePreferences).toEqual({ host: 126, 'peer-reflexive': 110, 'server-reflexive': 100, relayed: 0 })
    expect(() => icePriority('host', 65_536)).toThrow()
    expect(() => icePriority('host', 0, 0)).toThrow()
  })

  test('[NT40] the type weighs more than the address, the address more than the component (property)', () => {
    const types = ['host', 'peer-reflexive', 'server-reflexive', 'relayed'] as const
    const preference = fc.integer({ min: 0, max: 65_535 })
    const component = fc.integer({ min: 1, max: 256 })
    fc.assert(
      fc.property(preference, preference, component, component, fc.nat(2), (a, b, c, d, index) => {
        const [better, worse] = [types[index] ?? 'host', types[index + 1] ?? 'relayed']
        expect(icePriority(better, a, c)).toBeGreaterThan(icePriority(worse, b, d))
        if (a > b) expect(icePriority(better, a, c)).toBeGreaterThan(icePriority(better, b, d))
        expect(icePriority(better, a, c)).toBeLessThan(2 ** 31)
      }),
    )
  })

  test('[NT41] §6.1.2.3: priority of a pair, in 64 bits', () => {
    expect(icePairPriority(1, 2)).toBe((1n << 32n) + 4n)
    expect(icePairPriority(2, 1)).toBe((1n << 32n) + 4n + 1n)
    const most = 2 ** 31 - 1
    expect(icePairPriority(most, most)).toBe((1n << 32n) * BigInt(most) + 2n * BigInt(most))
    expect(icePairPriority(most, most)).toBeLessThan(1n << 64n)
  })

  test('[NT42] §5.1.1.3: one foundation for equal type, base, server and protocol, another for all else', () => {
    const foundationOf = createIceFoundations()
    const facts = {
      type: 'server-reflexive',
      baseHost: '10.0.0.2',
      serverHost: '198.51.100.1',
      protocol: 'udp',
    } as const
    const first = foundationOf(facts)
    expect(foundationOf({ ...facts })).toBe(first)
    const others = [
      foundationOf({ ...facts, type: 'relayed' }),
      foundationOf({ ...facts, baseHost: '10.0.0.3' }),
      foundationOf({ ...facts, serverHost: '198.51.100.2' }),
      foundationOf({ ...facts, protocol: 'tcp' }),
    ]
    expect(new Set([first, ...others]).size).toBe(5)
    expect(first).toMatch(/^[\w+/]{1,32}$/)
  })

  test('[NT43] D11, D14: candidates by descending priority, doubles left out', () => {
    const mapped = at(publicHost, 50_000)
    const base = local
    const second = at('10.0.0.3', 4000)
    const ranked = rankCandidates([
      { type: 'relayed', endpoint: at('198.51.100.1', 50_001), base, serverHost: '198.51.100.1', protocol: 'tcp' },
      { type: 'server-reflexive', endpoint: mapped, base, serverHost: '198.51.100.1' },
      { type: 'server-reflexive', endpoint: mapped, base, serverHost: '198.51.100.11' },
      { type: 'server-reflexive', endpoint: base, base, serverHost: '198.51.100.11' },
      { type: 'host', endpoint: base, base },
      { type: 'host', endpoint: second, base: second },
    ])
    expect(ranked.map(({ type, endpoint }) => [type, endpoint])).toEqual([
      ['host', base],
      ['host', second],
      ['server-reflexive', mapped],
      ['relayed', at('198.51.100.1', 50_001)],
    ])
    expect(ranked.map(({ priority }) => priority)).toEqual(
      [...ranked.map(({ priority }) => priority)].sort((a, b) => b - a),
    )
    expect(ranked[0]?.relatedEndpoint).toBeUndefined()
    expect(ranked[2]?.relatedEndpoint).toEqual(base)
    expect(new Set(ranked.map(({ foundation }) => foundation)).size).toBe(4)
  })
})
