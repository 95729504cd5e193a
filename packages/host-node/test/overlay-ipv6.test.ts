import { networkInterfaces } from 'node:os'
import { formatEndpoint, parseEndpoint } from '@miaou/protocol'
import { afterEach, expect, test } from 'vitest'
import { bootstrapNodeOf, endpointOf, OverlayHome } from './overlay-hosts.ts'
import { closeEnds, occupyPort, openSockets } from './udp-ends.ts'

afterEach(closeEnds)

/** Why a test of IPv6 cannot run here; undefined in CI, where a machine without it must fail instead. */
function whyNoIpv6(): string | undefined {
  const has = Object.values(networkInterfaces()).some((list) => list?.some(({ address }) => address === '::1'))
  return has || process.env['CI'] === 'true' ? undefined : 'this machine has no ::1'
}

test('[DN36] both families share one port, and each answers in its own', async (context) => {
  const reason = whyNoIpv6()
  if (reason !== undefined) context.skip(reason)
  const [own, other] = [await openSockets(), await openSockets()]
  expect(own.sockets.endpoints()).toEqual([
    { host: '127.0.0.1', port: own.sockets.port },
    { host: '::1', port: own.sockets.port },
  ])
  for (const to of other.sockets.endpoints()) own.sockets.send(to, new Uint8Array(8))
  await expect.poll(() => other.heard.length).toBe(2)
  for (const { from } of other.heard) {
    expect(from.port).toBe(own.sockets.port)
    expect(parseEndpoint(formatEndpoint(from))).toEqual(from)
  }
  expect(other.heard.map(({ from }) => from.host).sort()).toEqual(['127.0.0.1', '::1'])
})

test('a port that only IPv6 lacks is left alone: one number is shown to people', async (context) => {
  const reason = whyNoIpv6()
  if (reason !== undefined) context.skip(reason)
  const taken = (await occupyPort('udp6', '::1')).address().port
  const { sockets } = await openSockets(taken)
  expect(sockets.port).toBeGreaterThan(taken)
  expect(sockets.endpoints()).toHaveLength(2)
})

test('hosts meet and share a record over IPv6 as over IPv4', async (context) => {
  const reason = whyNoIpv6()
  if (reason !== undefined) context.skip(reason)
  const families = { sockets: { families: [6] } } as const
  const homes = [await OverlayHome.create(), await OverlayHome.create()] as const
  const first = await homes[0].start(families)
  const bootstrap = { primaryNodes: [bootstrapNodeOf(first)], fallbackNodes: [], communityNodes: [] }
  const second = await homes[1].start({ ...families, bootstrap })
  const least = () => Math.min(first.info().contacts, second.info().contacts)
  await expect.poll(least, { timeout: 20_000 }).toBe(1)
  expect(endpointOf(first).host).toBe('::1')
  expect(await second.putValue(new Uint8Array(9))).toMatchObject({ ok: true, value: { replicas: 1 } })
  for (const host of [first, second]) await host.stop()
  for (const home of homes) home.remove()
})
