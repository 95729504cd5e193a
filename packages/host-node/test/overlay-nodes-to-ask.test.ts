import { expect, test } from 'vitest'
import { SeededRandom } from '../../../testkit/src/seeded.ts'
import { nodesToAsk } from '../src/overlay/nodes-to-ask.ts'

const jitterOf = (seed: number) => {
  const random = new SeededRandom(seed)
  return { next: () => (random.bytes(1)[0] ?? 0) / 256 }
}
const node = (n: number, host: string) => ({
  publicKey: new Uint8Array(32).fill(n),
  endpoint: { host, port: 4000 + n },
})

test('[O66] of public addresses one of each network is asked, of one\u2019s own network any', () => {
  const hosts = [
    '20.0.0.1',
    '20.0.0.2',
    '20.0.1.1',
    '2a01:5::1',
    '2a01:5:0:9::1',
    '2a01:5:1::1',
    '192.168.1.1',
    '192.168.1.2',
  ]
  const asked = nodesToAsk(
    hosts.map((host, n) => node(n, host)),
    8,
    jitterOf(1),
  ).map(({ endpoint }) => endpoint.host)
  expect(asked).toHaveLength(6)
  const of = (start: string) => asked.filter((host) => host.startsWith(start)).length
  expect([of('20.0.0.'), of('20.0.1.'), of('2a01:5::') + of('2a01:5:0:'), of('2a01:5:1::')]).toEqual([1, 1, 1, 1])
  expect(of('192.168.1.')).toBe(2)
})

test('[O66] eight at most, drawn by lot', () => {
  const nodes = Array.from({ length: 20 }, (_, n) => node(n, `20.0.${n}.1`))
  const drawn = [1, 2].map((seed) => nodesToAsk(nodes, 8, jitterOf(seed)).map(({ endpoint }) => endpoint.host))
  expect(new Set(drawn[0]).size).toBe(8)
  expect(drawn[1]).toHaveLength(8)
  expect(drawn[0]).not.toEqual(drawn[1])
})
