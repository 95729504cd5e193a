/** How the router of a home treats what passes through it. */
export const natModes = ['none', 'full', 'addr', 'port', 'sym', 'noudp'] as const
export type NatMode = (typeof natModes)[number]

/** RFC 4787's words for what a mode is; `udp: 'blocked'` has neither. */
export interface NatTraits {
  readonly udp: 'open' | 'blocked'
  /** Whether one socket keeps its outside port whatever it talks to. */
  readonly mapping: 'none' | 'endpoint-independent' | 'address-and-port-dependent'
  /** Who may answer through a mapping. */
  readonly filtering: 'endpoint-independent' | 'address-dependent' | 'address-and-port-dependent'
}

export const natTraits: Readonly<Record<NatMode, NatTraits>> = {
  none: { udp: 'open', mapping: 'none', filtering: 'endpoint-independent' },
  full: { udp: 'open', mapping: 'endpoint-independent', filtering: 'endpoint-independent' },
  addr: { udp: 'open', mapping: 'endpoint-independent', filtering: 'address-dependent' },
  port: { udp: 'open', mapping: 'endpoint-independent', filtering: 'address-and-port-dependent' },
  sym: { udp: 'open', mapping: 'address-and-port-dependent', filtering: 'address-and-port-dependent' },
  noudp: { udp: 'blocked', mapping: 'endpoint-independent', filtering: 'address-and-port-dependent' },
}

/**
 * Whether UDP can go between two homes: a hole needs a port that the other side can foresee, or a filter that does not
 * look at it. `tcp`: no UDP, but a side without NAT takes connections.
 */
export function directPath(a: NatMode, b: NatMode): 'udp' | 'tcp' | 'none' {
  if (a === 'noudp' || b === 'noudp') return a === 'none' || b === 'none' ? 'tcp' : 'none'
  const cannotForesee = (side: NatMode, other: NatMode) =>
    natTraits[side].mapping === 'address-and-port-dependent' &&
    natTraits[other].filtering === 'address-and-port-dependent'
  return cannotForesee(a, b) || cannotForesee(b, a) ? 'none' : 'udp'
}

export interface NatOptions {
  /** Interfaces of the router. */
  readonly wan: string
  readonly lan: string
  readonly mode: NatMode
  /** Whether the home has IPv6, which is routed, never translated: a firewall lets in only answers. */
  readonly ipv6: boolean
}

/**
 * Rules of one router, for `nft -f`, in place of any it had. The kernel's own masquerading keeps a free source port, so
 * its mappings do not depend on the endpoint, and its connection tracking filters by address and port. The wider filters
 * remember which host of the LAN used a port (`owners`), for `addr` also towards whom (`friends`), and lead what comes
 * from outside there. Mappings live two minutes (RFC 4787 §4.3, the least a NAT should keep).
 */
export function natRules({ wan, lan, mode, ipv6 }: NatOptions): string {
  const isOpen = mode === 'none'
  const noUdp = mode === 'noudp' ? 'meta l4proto udp drop' : ''
  return `flush ruleset
${isOpen ? '' : natTable(wan, lan, mode, noUdp)}
${ipv6 && !isOpen ? firewall6(lan, noUdp) : ''}
`
}

function natTable(wan: string, lan: string, mode: NatMode, noUdp: string): string {
  const learns = mode === 'full' || mode === 'addr'
  const learn = `iifname "${lan}" meta l4proto udp update @owners { udp sport : ip saddr } update @friends { udp sport . ip daddr }`
  const who = mode === 'addr' ? 'udp dport . ip saddr @friends' : 'meta l4proto udp'
  return `table ip home {
  map owners { type inet_service : ipv4_addr; flags dynamic, timeout; timeout 2m; size 4096; }
  set friends { type inet_service . ipv4_addr; flags dynamic, timeout; timeout 2m; size 4096; }
  chain input { type filter hook input priority 0; iifname "${wan}" ct state new drop; }
  chain forward {
    type filter hook forward priority 0; policy drop
    ${noUdp}
    ${learns ? learn : ''}
    ct state established,related accept
    iifname "${lan}" accept
    ct status dnat accept
  }
  chain prerouting {
    type nat hook prerouting priority -100
    ${learns ? `iifname "${wan}" ${who} dnat to udp dport map @owners` : ''}
  }
  chain postrouting {
    type nat hook postrouting priority 100
    oifname "${wan}" masquerade ${mode === 'sym' ? 'random,fully-random' : ''}
  }
}`
}

function firewall6(lan: string, noUdp: string): string {
  return `table ip6 home {
  chain forward {
    type filter hook forward priority 0; policy drop
    ${noUdp}
    ct state established,related accept
    meta l4proto icmpv6 accept
    iifname "${lan}" accept
  }
}`
}
