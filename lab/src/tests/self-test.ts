import type { Observation } from '../net/agent-words.ts'
import { type NatMode, natModes, natTraits } from '../net/nat.ts'
import { type Lab, publicAddresses } from '../world/lab.ts'
import { expect, type Figures, type LabTest } from './lab-test.ts'

const [reflectorOne, reflectorTwo] = publicAddresses.stun.v4
const reflector = { addresses: [reflectorOne, reflectorTwo], ports: [3478, 3479] } as const

/** The two words of RFC 4787 for what was seen, and whether the mapping is the host's own address. */
export function classify({ mapped, fromOtherAddress, fromOtherPort, arrived }: Observation, own: string): Figures {
  if (arrived === 0) return { udp: 'blocked' }
  const texts = new Set(mapped.map((endpoint) => `${endpoint?.address}:${endpoint?.port}`))
  const isOwn = mapped[0]?.address === own
  return {
    udp: 'open',
    mapping: isOwn ? 'none' : texts.size === 1 ? 'endpoint-independent' : 'address-and-port-dependent',
    filtering: fromOtherAddress
      ? 'endpoint-independent'
      : fromOtherPort
        ? 'address-dependent'
        : 'address-and-port-dependent',
  }
}

function natTest(mode: NatMode): LabTest {
  return {
    name: `NAT ${mode}`,
    group: 'self-test',
    session: 'nat',
    shows: 'by small probes as RFC 5780 asks them, that a mode is what its name says, for UDP and TCP, in both homes',
    run: async (stage) => {
      const lab = await stage.build({ a: mode, b: mode })
      await Promise.all([lab.a.setMode(mode), lab.b.setMode(mode)])
      await lab.host('stun').ask({ type: 'reflect', ...reflector })
      const [a, b] = await Promise.all([
        lab.host('a1').ask({ type: 'observe', ...reflector }),
        lab.host('b1').ask({ type: 'observe', ...reflector }),
      ])
      for (const [observation, own] of [
        [a, lab.a.address4('a1')],
        [b, lab.b.address4('b1')],
      ] as const) {
        const seen = classify(observation, own)
        const { udp, mapping, filtering } = natTraits[mode]
        const wanted = udp === 'blocked' ? { udp } : { udp, mapping, filtering }
        expect(JSON.stringify(seen) === JSON.stringify(wanted), `${mode} is ${JSON.stringify(seen)}`)
      }
      await expectTcp(lab, mode)
      return classify(a, lab.a.address4('a1'))
    },
  }
}

/** TCP always gets out, and gets in only where there is no NAT. */
async function expectTcp(lab: Lab, mode: NatMode): Promise<void> {
  const out = await lab.host('a1').ask({ type: 'dial', to: { address: reflectorOne, port: 3478 }, withinMs: 2_000 })
  const seenAs = mode === 'none' ? lab.a.address4('a1') : lab.a.wan4
  expect(out.opened && out.seenAs === seenAs, `TCP from home A was seen as ${out.seenAs}, not ${seenAs}`)
  const address = lab.b.address4('b1')
  await lab.host('b1').ask({ type: 'answer', at: { address, port: 5000 } })
  const to = { address: mode === 'none' ? address : lab.b.wan4, port: 5000 }
  const { opened } = await lab.host('a1').ask({ type: 'dial', to, withinMs: mode === 'none' ? 2_000 : 300 })
  expect(opened === (mode === 'none'), `TCP into home B ${opened ? 'opened' : 'did not open'}`)
}

const blocked: LabTest = {
  name: 'blocked is blocked',
  group: 'self-test',
  shows: 'that a silenced host neither hears nor is heard, that homes are out of reach, and that the meter counts',
  run: async (stage) => {
    const lab = await stage.build({ a: 'port', b: 'none' })
    const b1 = { address: lab.b.address4('b1'), port: 5000 }
    const a1 = lab.host('a1')
    await lab.host('b1').ask({ type: 'listen', port: b1.port })
    await lab.host('b1').ask({ type: 'answer', at: { address: b1.address, port: 6000 } })
    const heard = () => lab.host('b1').ask({ type: 'heard', port: b1.port })
    const dial = (address: string, port: number, withinMs: number) =>
      a1.ask({ type: 'dial', to: { address, port }, withinMs })

    const before = await lab.directPackets()
    await a1.ask({ type: 'throw', to: b1, from: 5000 })
    // TCP on the same way comes after the datagram: what was not heard by now was lost.
    expect((await dial(b1.address, 6000, 2_000)).opened, 'b1 cannot be dialled')
    expect((await heard()) === 1, 'a datagram from A did not reach B')
    expect((await lab.directPackets()) > before, 'the meter between the homes did not count')

    await lab.net.silence(b1.address)
    await a1.ask({ type: 'throw', to: b1, from: 5000 })
    expect(!(await dial(b1.address, 6000, 300)).opened, 'a silenced host was dialled')
    expect((await heard()) === 1, 'a silenced host heard')
    await lab.net.unsilence(b1.address)
    expect((await dial(b1.address, 6000, 2_000)).opened, 'a host is silent for ever')

    await lab.b.setMode('port')
    expect(!(await dial(lab.b.wan4, 6000, 300)).opened, 'a home behind a NAT was dialled')
    expect(!(await dial('192.168.2.11', 6000, 300)).opened, 'a private address was dialled')
    return {}
  },
}

const cable: LabTest = {
  name: 'cable with delay, loss and rate',
  group: 'self-test',
  shows: 'that a wire delays, loses and limits what it is told to',
  run: async (stage) => {
    const lab = await stage.build({ a: 'none', b: 'none', homeA: { wire: { delayMs: 50 } } })
    const wire = lab.net.wires.get('r-a')
    expect(wire !== undefined, 'home A has no wire')
    await lab.host('stun').ask({ type: 'reflect', ...reflector })
    const roundTrip = async () => {
      const started = performance.now()
      await lab.host('a1').ask({ type: 'dial', to: { address: reflectorOne, port: 3478 }, withinMs: 5_000 })
      return performance.now() - started
    }
    await roundTrip()
    // Two round trips of 2 × 50 ms: one to connect, one to ask.
    const roundTripMs = (await roundTrip()) / 2
    expect(roundTripMs >= 100, `a round trip over 50 ms of cable took ${roundTripMs} ms`)
    await wire.set({ delayMs: 0, loss: 1 })
    expect(
      !(await lab.host('a1').ask({ type: 'dial', to: { address: reflectorOne, port: 3478 }, withinMs: 300 })).opened,
      'a wire that loses everything let a connection through',
    )
    await wire.set({ delayMs: 0, loss: 0, bitsPerSecondUp: 2_000_000, bufferBytes: 64_000 })
    await lab.host('pub1').ask({ type: 'sink', at: { address: '192.0.2.11', port: 7000 } })
    const meter = 'upload'
    await lab.net.meter(meter, lab.a.side, { v4: '192.0.2.11', v6: '2001:db8:ffff::1' })
    await lab.host('a1').ask({ type: 'flood', to: { address: '192.0.2.11', port: 7000 } })
    const from = await lab.net.read(meter)
    const started = performance.now()
    await new Promise((resolve) => setTimeout(resolve, 1_000))
    const to = await lab.net.read(meter)
    const megabitsPerSecond = ((to.bytes - from.bytes) * 8) / (performance.now() - started) / 1000
    await lab.host('a1').ask({ type: 'still' })
    expect(megabitsPerSecond < 2.6, `${megabitsPerSecond} Mbit/s went through a cable of 2`)
    expect(megabitsPerSecond > 1, `only ${megabitsPerSecond} Mbit/s went through a cable of 2`)
    return { roundTripMs: Math.round(roundTripMs), megabitsPerSecond: Number(megabitsPerSecond.toFixed(2)) }
  },
}

const ipv6: LabTest = {
  name: 'IPv6',
  group: 'self-test',
  shows: 'that IPv6 passes a home’s firewall outwards only, and that an IPv6-only home has nothing else',
  run: async (stage) => {
    const lab = await stage.build({ a: 'port', b: 'none', families: 'v6' })
    const [stun] = publicAddresses.stun.v6
    const dial = (host: string, address: string, withinMs: number) =>
      lab.host(host).ask({ type: 'dial', to: { address, port: 5000 }, withinMs })
    const own = lab.a.address6('a1')
    await lab.host('stun').ask({ type: 'answer', at: { address: stun, port: 5000 } })
    await lab.host('a1').ask({ type: 'answer', at: { address: own, port: 5000 } })
    const out = await dial('a1', stun, 2_000)
    expect(out.opened && out.seenAs === own, `a1 was seen as ${out.seenAs}, not as ${own}`)
    expect((await dial('b1', stun, 2_000)).opened, 'b1 has no way out')
    expect(!(await dial('b1', own, 300)).opened, 'the firewall of home A let a connection in')
    expect(!(await dial('a1', publicAddresses.stun.v4[0], 300)).opened, 'an IPv6-only home has IPv4')
    return {}
  },
}

const doubleNat: LabTest = {
  name: 'NAT behind NAT',
  group: 'self-test',
  shows: 'that the provider of home A translates once more, and that its mode is the one that is seen from outside',
  run: async (stage) => {
    const lab = await stage.build({ a: 'full', b: 'port', carrier: 'port' })
    await lab.host('stun').ask({ type: 'reflect', ...reflector })
    const observation = await lab.host('a1').ask({ type: 'observe', ...reflector })
    const seen = classify(observation, lab.a.address4('a1'))
    expect(seen['filtering'] === 'address-and-port-dependent', `behind both it is ${JSON.stringify(seen)}`)
    expect(observation.mapped[0]?.address === '203.0.113.110', `it is seen as ${observation.mapped[0]?.address}`)
    return seen
  },
}

const moves: LabTest = {
  name: 'reboot and move',
  group: 'self-test',
  shows: 'that a router comes back with another address, that a host moves to another LAN, and that a cable is pulled',
  run: async (stage) => {
    const lab = await stage.build({ a: 'port', b: 'port' })
    await lab.host('stun').ask({ type: 'answer', at: { address: reflectorOne, port: 5000 } })
    const seenAs = async (host: string, withinMs = 2_000) =>
      (await lab.host(host).ask({ type: 'dial', to: { address: reflectorOne, port: 5000 }, withinMs })).seenAs
    expect((await seenAs('a1')) === '203.0.113.101', 'home A has not its address')
    let awaySeenAs: string | undefined = 'nobody looked'
    await lab.a.reboot('203.0.113.102', async () => {
      awaySeenAs = await seenAs('a1', 300)
    })
    expect(awaySeenAs === undefined, `while its router was away a1 was seen as ${awaySeenAs}`)
    expect((await seenAs('a1')) === '203.0.113.102', 'home A has not its new address')
    await lab.a.plug('a1', false)
    expect((await seenAs('a1', 300)) === undefined, 'a1 is on line without its cable')
    expect((await seenAs('a2')) === '203.0.113.102', 'a2 has lost its cable')
    await lab.a.plug('a1', true)
    expect((await seenAs('a1')) === '203.0.113.102', 'a1 did not come back')
    const a1 = lab.host('a1')
    await lab.a.leave(a1)
    await lab.b.enter(a1)
    expect((await seenAs('a1')) === '198.51.100.101', 'a1 did not arrive in home B')
    return {}
  },
}

export const selfTests: readonly LabTest[] = [...natModes.map(natTest), blocked, cable, ipv6, doubleNat, moves]
