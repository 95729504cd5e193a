import type { LookupAddress, LookupAllOptions } from 'node:dns'
import { isIP, type LookupFunction } from 'node:net'
import { type AddressScope, endpointScope, wayScope } from '@miaou/protocol'

/** As `lookup` of node:dns. */
export type NameLookup = (
  host: string,
  options: LookupAllOptions,
  callback: (error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void,
) => void

const ranks: Readonly<Record<AddressScope, number>> = { loopback: 0, private: 1, public: 2 }

/**
 * How near the address may be that a URL of somebody else leads to (spec/records W22). A name is as far away as its text
 * says, so that it cannot be made to point at this machine or its network afterwards; this machine itself is never meant
 * by others. `own`: the nearest of what this peer was told by its own person: what lies there may be named by others too.
 */
export function dialScope(url: string, own: AddressScope): AddressScope {
  const said = wayScope(url) === 'public' ? 'public' : 'private'
  return ranks[own] < ranks[said] ? own : said
}

/** Whether a dial may reach an IP address. What no node can have (`0.0.0.0`, multicast) is never dialled. */
export function isAddressWithin(address: string, nearest: AddressScope): boolean {
  const scope = endpointScope({ host: address.replace(/^\[|\]$/g, '').replace(/%.*$/, ''), port: 1 })
  return scope !== undefined && ranks[scope] >= ranks[nearest]
}

/** Why a host that is an address may not be dialled; undefined where it may, and for names, which `guardedLookup` judges. */
export function whyTooNear(host: string, nearest: AddressScope): string | undefined {
  const address = host.replace(/^\[|\]$/g, '')
  return isIP(address) === 0 || isAddressWithin(address, nearest) ? undefined : tooNear(host, address)
}

/**
 * A resolver for one dial that gives only addresses as far away as `nearest`, or farther. The socket connects to what it
 * gives and to nothing else, so no second answer of a name server can slip in between.
 */
export function guardedLookup(nearest: AddressScope, lookup: NameLookup): LookupFunction {
  return (host, options, callback) => {
    lookup(host, { ...options, all: true }, (error, found) => {
      if (error !== null) return callback(error, '', 0)
      const admitted = found.filter(({ address }) => isAddressWithin(address, nearest))
      const [first] = admitted
      if (first === undefined) return callback(new Error(tooNear(host, found[0]?.address ?? '')), '', 0)
      if (options.all === true) callback(null, admitted)
      else callback(null, first.address, first.family)
    })
  }
}

function tooNear(host: string, address: string): string {
  const where = host === address ? host : `${host} is at ${address}, which`
  return `${where} is an address of this machine or its network, where others may not send us`
}
