import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { defaultMdnsBrowserOptions } from '../src/mdns/mdns-browser.ts'
import { serviceName } from '../src/mdns/txt.ts'
import { defaultBootstrapLimits } from '../src/overlay/bootstrapper.ts'
import { defaultResolveOptions } from '../src/overlay/resolve.ts'
import { defaultUdpSocketsOptions } from '../src/overlay/udp-sockets.ts'
import { defaultChildWebRtcOptions } from '../src/webrtc/child-client.ts'
import { defaultWebSocketTransportOptions } from '../src/websocket/websocket-transport.ts'

const read = (path: string) => readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8')
const transport = read('spec/transport.md')
const discovery = read('spec/discovery.md')

/** Rows `| `group.name` | number |` of a table of constants. */
function rowsOf(spec: string, group: string): [string, number][] {
  const rows = spec.matchAll(/^\| `(\w+)\.(\w+)` \| (\d+) \|/gm)
  return [...rows].flatMap(([, of, name = '', value]) =>
    of === group ? [[name, Number(value)] as [string, number]] : [],
  )
}

function numbersOf(options: object): [string, number][] {
  return Object.entries(options).filter((entry): entry is [string, number] => typeof entry[1] === 'number')
}

describe('spec/transport.md and spec/discovery.md say what the code does', () => {
  test.each([
    ['websocket', transport, numbersOf(defaultWebSocketTransportOptions)],
    ['webrtc', transport, numbersOf(defaultChildWebRtcOptions)],
    ['mdns', discovery, numbersOf(defaultMdnsBrowserOptions)],
    ['bootstrapper', discovery, numbersOf(defaultBootstrapLimits)],
    ['resolve', discovery, numbersOf(defaultResolveOptions)],
    ['udp', discovery, numbersOf(defaultUdpSocketsOptions)],
  ] as const)('every number of %s is in the table, with its value', (group, spec, coded) => {
    expect(new Map(rowsOf(spec, group))).toEqual(new Map(coded))
  })

  test.each([
    ['txt', 'packages/host-node/src/mdns/txt.ts'],
    ['packets', 'packages/host-node/src/mdns/packets.ts'],
    ['neighbourhood', 'packages/peer/src/neighbourhood.ts'],
  ])('bounds inside %s', (group, path) => {
    const coded = [...read(path).matchAll(/^const (\w+) = (\d+)$/gm)].map(([, name = '', value]) => [
      name,
      Number(value),
    ])
    expect(coded.length).toBeGreaterThan(1)
    expect(new Map(rowsOf(discovery, group))).toEqual(new Map(coded as [string, number][]))
  })

  test('[TR11] [TR20] subprotocol; [DN11] service; [DN20] times of the first questions', () => {
    expect(transport).toContain(`\`${defaultWebSocketTransportOptions.subprotocol}\``)
    expect(defaultChildWebRtcOptions.subprotocol).toBe(defaultWebSocketTransportOptions.subprotocol)
    expect(discovery).toContain(`\`${serviceName}\``)
    const [first, ...later] = defaultMdnsBrowserOptions.firstQueriesMs.map((ms) => ms / 1000)
    expect(first).toBe(0)
    expect(discovery).toContain(`after ${later.slice(0, -1).join(', ')} and ${later.at(-1)} s`)
  })

  test('[TR21] labels, streams and reliability; [TR22] the two words; [TR24] the lines that pass', () => {
    const adapter = read('packages/host-node/src/webrtc/adapter.ts')
    for (const label of ['miaou-messages', 'miaou-signals']) {
      expect(adapter).toContain(`'${label}'`)
      expect(transport).toContain(`\`${label}\``)
    }
    expect(adapter).toMatch(/ordered: false,\s+maxRetransmits: 3/)
    for (const word of ['close', 'closed']) {
      expect(adapter).toContain(`Text = '${word}'`)
      expect(transport).toContain(`\`${word}\``)
    }
    const [, list = ''] =
      /const attributes = new Set\(\[([^\]]*)\]/.exec(read('packages/host-node/src/webrtc/sdp.ts')) ?? []
    const attributes = [...list.matchAll(/'([\w-]+)'/g)].map(([, name]) => name)
    expect(attributes.length).toBeGreaterThan(10)
    for (const name of attributes) expect(transport).toContain(`\`${name}\``)
  })

  test('every page of spec/ is in its index, and the rules that tests name exist', () => {
    const folder = new URL('../../../spec/', import.meta.url)
    const index = read('spec/README.md')
    for (const name of readdirSync(folder)) if (name !== 'README.md') expect(index).toContain(`(${name})`)
    const tests = new URL('.', import.meta.url)
    const named = readdirSync(tests)
      .filter((name) => name.endsWith('.test.ts'))
      .flatMap((name) => [...readFileSync(new URL(name, tests), 'utf8').matchAll(/\[((?:TR|DN)\d+)\]/g)])
      .map(([, rule = '']) => rule)
    for (const rule of new Set(named)) expect(`${transport}${discovery}`).toContain(`**[${rule}]**`)
  })
})
