import { readFileSync } from 'node:fs'
import { BlockList } from 'node:net'
import { localAddresses } from '../websocket/addresses.ts'

/** The router of an IPv4 network, and the own address in it. */
export interface Gateway {
  readonly gateway: string
  readonly local: string
}

/**
 * The router behind the default route, where the system tells it (Linux); elsewhere the first address of each private
 * network is a guess that mostly holds.
 */
export function findGateways(routeFile = '/proc/net/route'): Gateway[] {
  const own = localAddresses().filter(({ family, isLoopback }) => family === 4 && !isLoopback)
  const told = readDefaultRoutes(routeFile)
  const gateways = told ?? own.map(({ address }) => address.replace(/\.\d+$/, '.1'))
  return [...new Set(gateways)].flatMap((gateway) => {
    const local = own.find(({ address, cidr }) => address !== gateway && isInNetwork(gateway, cidr))
    return local === undefined ? [] : [{ gateway, local: local.address }]
  })
}

/** Undefined where there is no such file. */
function readDefaultRoutes(path: string): string[] | undefined {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
  return text
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter(([, destination, gateway = '']) => destination === '00000000' && /^[\dA-F]{8}$/i.test(gateway))
    .map(([, , gateway = '']) => [6, 4, 2, 0].map((at) => Number.parseInt(gateway.slice(at, at + 2), 16)).join('.'))
    .filter((gateway) => gateway !== '0.0.0.0')
}

function isInNetwork(address: string, cidr: string): boolean {
  const [network = '', prefix = '32'] = cidr.split('/')
  const list = new BlockList()
  list.addSubnet(network, Number(prefix), 'ipv4')
  return list.check(address, 'ipv4')
}
