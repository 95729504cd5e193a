import { isIP } from 'node:net'

/**
 * Who a trusted proxy says it speaks for: the last entry of `X-Forwarded-For` that is no trusted proxy itself. Entries
 * before it were written by the client and prove nothing. Undefined where the header says nothing that is an address.
 */
export function forwardedAddress(header: string | undefined, trusted: readonly string[]): string | undefined {
  const entries = (header ?? '').split(',').reverse()
  for (const entry of entries) {
    const address = withoutPort(entry.trim())
    if (address === undefined) return undefined
    if (!isTrustedProxy(address, trusted)) return address
  }
  return undefined
}

export function isTrustedProxy(address: string, trusted: readonly string[]): boolean {
  return trusted.includes(address.replace(/^::ffff:/i, ''))
}

/** Some proxies write `203.0.113.5:4711` or `[2001:db8::1]:4711`. */
function withoutPort(entry: string): string | undefined {
  if (isIP(entry) !== 0) return entry
  const bare = /^\[([^\]]+)\](:\d+)?$/.exec(entry)?.[1] ?? /^([\d.]+):\d+$/.exec(entry)?.[1]
  return bare !== undefined && isIP(bare) !== 0 ? bare : undefined
}
