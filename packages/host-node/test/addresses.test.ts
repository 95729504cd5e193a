import { type NetworkInterfaceInfo, networkInterfaces } from 'node:os'
import { beforeEach, describe, expect, test, vi } from 'vitest'
import { dialableAddresses } from '../src/websocket/addresses.ts'
import { defaultWebSocketTransportOptions } from '../src/websocket/websocket-transport.ts'

vi.mock('node:os', async (original) => ({ ...(await original<object>()), networkInterfaces: vi.fn() }))

function ipv4(address: string, internal = false): NetworkInterfaceInfo {
  return { address, family: 'IPv4', internal, netmask: '255.255.255.0', mac: '', cidr: `${address}/24` }
}

function ipv6(address: string, internal = false): NetworkInterfaceInfo {
  return { address, family: 'IPv6', internal, netmask: 'ffff::', mac: '', cidr: `${address}/64`, scopeid: 0 }
}

function machineHas(interfaces: Record<string, NetworkInterfaceInfo[]>): void {
  vi.mocked(networkInterfaces).mockReturnValue(interfaces)
}

beforeEach(() => {
  machineHas({
    lo: [ipv4('127.0.0.1', true), ipv6('::1', true)],
    eth0: [ipv4('192.168.1.7'), ipv6('fe80::1'), ipv6('fd00::7')],
    wlan0: [ipv4('10.0.0.3')],
  })
})

describe('[C07] the addresses that others are told', () => {
  test('those of every interface of the network, and never loopback beside them', () => {
    expect(dialableAddresses('0.0.0.0')).toEqual(['192.168.1.7', '10.0.0.3'])
  })

  test('IPv6 too where it is listened on, without link-local ones, which mean nothing elsewhere', () => {
    expect(dialableAddresses('::')).toEqual(['192.168.1.7', 'fd00::7', '10.0.0.3'])
  })

  test('loopback where there is nothing else', () => {
    machineHas({ lo: [ipv4('127.0.0.1', true)] })
    expect(dialableAddresses('0.0.0.0')).toEqual(['127.0.0.1'])
  })

  test('loopback alone where that is asked for', () => {
    expect(dialableAddresses('127.0.0.1')).toEqual(['127.0.0.1'])
  })
})

test('[C15] the port is 9999, and another one where it is taken', () => {
  expect(defaultWebSocketTransportOptions).toMatchObject({ port: 9999, portIsExact: false })
})
