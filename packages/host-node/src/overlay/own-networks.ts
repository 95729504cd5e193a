import { BlockList } from 'node:net'
import { type Endpoint, isPublic } from '@miaou/protocol'
import { type LocalAddress, localAddresses } from '../websocket/addresses.ts'

/**
 * Tells which endpoints may be meant when somebody on the LAN names one: private ones, and public ones of the networks that
 * this machine is in. Whoever is on the LAN must not make us knock anywhere else.
 */
export function ownNetworks(local: readonly LocalAddress[] = localAddresses()): (endpoint: Endpoint) => boolean {
  const own = new BlockList()
  for (const { cidr, family } of local) {
    const [network = '', prefix] = cidr.split('/')
    own.addSubnet(network, Number(prefix ?? (family === 6 ? 128 : 32)), family === 6 ? 'ipv6' : 'ipv4')
  }
  return (endpoint) => !isPublic(endpoint) || own.check(endpoint.host, endpoint.host.includes(':') ? 'ipv6' : 'ipv4')
}
