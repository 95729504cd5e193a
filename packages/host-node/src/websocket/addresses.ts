import { isIP, isIPv6 } from 'node:net'
import { networkInterfaces } from 'node:os'

/** An address of this machine. */
export interface LocalAddress {
  readonly address: string
  readonly family: 4 | 6
  readonly isLoopback: boolean
  /** CIDR form, `192.168.1.7/24`. */
  readonly cidr: string
}

/** The addresses of this machine that others can name: link-local IPv6 ones need a scope and are left out. */
export function localAddresses(): LocalAddress[] {
  const addresses: LocalAddress[] = []
  for (const details of Object.values(networkInterfaces()).flatMap((list) => list ?? [])) {
    if (/^fe[89ab]/i.test(details.address)) continue
    addresses.push({
      address: details.address,
      family: details.family === 'IPv6' ? 6 : 4,
      isLoopback: details.internal,
      cidr: details.cidr ?? details.address,
    })
  }
  return addresses
}

/** The addresses a listener on `host` can be dialled at; loopback only where it listens there or nothing else exists. */
export function dialableAddresses(host: string): string[] {
  if (host !== '0.0.0.0' && host !== '::') return [host]
  const reachable = localAddresses().filter(({ family }) => host === '::' || family === 4)
  const others = reachable.filter(({ isLoopback }) => !isLoopback)
  return (others.length > 0 ? others : reachable).map(({ address }) => address)
}

/** `ws://host:port`, IPv6 in brackets. */
export function webSocketAddress(host: string, port: number): string {
  return `ws://${isIPv6(host) ? `[${host}]` : host}:${port}`
}

/** The URL a text names, or undefined unless it is `ws:` or `wss:` with a host and neither user, query nor fragment. */
export function parseWebSocketAddress(address: string): URL | undefined {
  // 2,048 characters: guess, far above any address of ours.
  if (address.length > 2048 || !URL.canParse(address)) return undefined
  const url = new URL(address)
  const isWebSocket = url.protocol === 'ws:' || url.protocol === 'wss:'
  const isPlain = url.username === '' && url.password === '' && url.search === '' && url.hash === ''
  return isWebSocket && isPlain && url.hostname !== '' && url.port !== '0' ? url : undefined
}

/** What limits per remote address count by: the IPv4 address, or the /64 that one IPv6 host can fill by itself. */
export function addressGroup(address: string): string {
  const plain = address.replace(/^::ffff:/i, '')
  if (isIP(plain) !== 6) return plain
  const [head = '', tail] = (plain.split('%')[0] as string).split('::')
  const left = head === '' ? [] : head.split(':')
  const right = tail === undefined || tail === '' ? [] : tail.split(':')
  const zeros = tail === undefined ? [] : new Array<string>(Math.max(0, 8 - left.length - right.length)).fill('0')
  return [...left, ...zeros, ...right]
    .slice(0, 4)
    .map((part) => Number.parseInt(part, 16).toString(16))
    .join(':')
}

export function isLoopbackAddress(address: string): boolean {
  return address === '::1' || /^(::ffff:)?127\./i.test(address)
}
