import { expect, test } from 'vitest'
import type { PortMapperOptions, PortMapperState } from '../src/nat/port-mapper.ts'
import { RouterMapping, type RouterMappingOptions } from '../src/peer/router-mapping.ts'

/** A mapper that does as the test says, and what it was told. */
function scripted(options: Partial<RouterMappingOptions> = {}) {
  const told: string[] = []
  let state: PortMapperState = { state: 'off', mapped: [] }
  let asked: PortMapperOptions | undefined
  const mapping = new RouterMapping({
    isOn: true,
    listenerPort: 9999,
    udpPorts: [9999, 3478],
    onChange: () => told.push('changed'),
    create: async (given) => {
      asked = given
      return {
        start: () => void told.push('start'),
        stop: async () => void told.push('stop'),
        networkChanged: () => void told.push('network-changed'),
        state: () => state,
      }
    },
    ...options,
  })
  const say = (next: PortMapperState): void => {
    state = next
    asked?.onChange?.(next)
  }
  return { mapping, told, say, ports: () => asked?.ports }
}

const settled = () => new Promise<void>((resolve) => setImmediate(resolve))

test('the listener, the overlay and STUN are asked for, and what is granted is an address', async () => {
  const { mapping, told, say, ports } = scripted()
  expect(mapping.view()).toEqual({ state: 'off' })
  mapping.start()
  await settled()
  expect(ports()).toEqual([
    { protocol: 'tcp', port: 9999 },
    { protocol: 'udp', port: 9999 },
    { protocol: 'udp', port: 3478 },
  ])
  const external = { host: '203.0.113.5', port: 40_000 }
  say({ state: 'mapped', method: 'pcp', mapped: [{ protocol: 'tcp', port: 9999, external, lifetimeS: 60 }] })
  expect(mapping.addresses).toEqual(['ws://203.0.113.5:40000'])
  expect(mapping.view()).toEqual({ state: 'mapped', protocol: 'pcp', external: '203.0.113.5:40000' })
  mapping.networkChanged()
  await mapping.stop()
  expect(told).toEqual(['start', 'changed', 'network-changed', 'stop'])
})

test('a router that offers nothing is no failure', async () => {
  const { mapping, say } = scripted()
  mapping.start()
  await settled()
  say({ state: 'unavailable', mapped: [] })
  expect(mapping.view()).toEqual({ state: 'none' })
  expect(mapping.addresses).toEqual([])
})

test('off, or with nothing to map, no router is asked; stopped while it loads, neither', async () => {
  for (const options of [{ isOn: false }, { listenerPort: 0, udpPorts: [0] }]) {
    const { mapping, told, ports } = scripted(options)
    mapping.start()
    await mapping.stop()
    expect(ports()).toBeUndefined()
    expect(told).toEqual([])
  }
  const { mapping, told } = scripted()
  mapping.start()
  await mapping.stop()
  expect(told).toEqual([])
})
