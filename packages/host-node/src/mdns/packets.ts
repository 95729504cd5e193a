import { isIP } from 'node:net'
import type { MdnsService } from './service.ts'

/** One service that an mDNS response tells of. */
export type Sighting<Text> =
  | { readonly type: 'gone'; readonly instanceName: string }
  | {
      readonly type: 'seen'
      readonly instanceName: string
      readonly port: number
      /** Seconds. */
      readonly ttl: number
      readonly text: Text
      /** IP addresses, the packet's own sender last. */
      readonly addresses: readonly string[]
    }

interface Entry {
  readonly name: string
  readonly type: string
  readonly ttl: number
  readonly data: unknown
}

// Guess: a response of bonjour-service has about ten records.
const recordsMax = 256
const addressesPerPacketMax = 16

/**
 * The instances of a service in a decoded mDNS response. Anybody on the network writes it: what has another form is
 * skipped.
 */
export function readSightings<Text>(service: MdnsService<Text>, packet: unknown, sender: string): Sighting<Text>[] {
  const records = recordsOf(packet)
  const sightings: Sighting<Text>[] = []
  const goneNames = new Set<string>()
  for (const { type, name, ttl, data } of records) {
    if (type !== 'PTR' || ttl !== 0 || name.toLowerCase() !== service.name || typeof data !== 'string') continue
    const instanceName = instanceNameOf(service.name, data)
    if (instanceName === undefined) continue
    goneNames.add(instanceName)
    sightings.push({ type: 'gone', instanceName })
  }
  const texts = new Map<string, unknown>()
  const addressesByHost = new Map<string, string[]>()
  for (const { type, name, ttl, data } of records) {
    const key = name.toLowerCase()
    if (type === 'TXT' && !texts.has(key)) texts.set(key, data)
    if ((type !== 'A' && type !== 'AAAA') || ttl <= 0) continue
    const addresses = addressesByHost.get(key) ?? []
    if (addresses.length < addressesPerPacketMax) addressesByHost.set(key, [...addresses, String(data)])
  }
  for (const { type, name, ttl, data } of records) {
    if (type !== 'SRV' || ttl === 0) continue
    const instanceName = instanceNameOf(service.name, name)
    if (instanceName === undefined || goneNames.has(instanceName)) continue
    const { port, target } = fieldsOf(data)
    if (typeof port !== 'number' || !Number.isInteger(port) || port < 1 || port > 65_535) continue
    if (typeof target !== 'string') continue
    const text = service.parseText(texts.get(name.toLowerCase()))
    if (text === undefined) continue
    const addresses = addressesByHost.get(target.toLowerCase()) ?? []
    sightings.push({ type: 'seen', instanceName, port, ttl, text, addresses: [...addresses, sender] })
  }
  return sightings
}

/** Whether an IP address can be dialled at all: no scope, and neither unspecified, multicast nor broadcast. */
export function isDialable(address: string): boolean {
  const family = isIP(address)
  if (family === 4) {
    const first = Number(address.split('.')[0])
    return first !== 0 && first < 224
  }
  return family === 6 && !/^(::$|ff|fe[89ab])/i.test(address)
}

function recordsOf(packet: unknown): Entry[] {
  const { answers, additionals } = fieldsOf(packet)
  const all = [...(Array.isArray(answers) ? answers : []), ...(Array.isArray(additionals) ? additionals : [])]
  return all.slice(0, recordsMax).flatMap((record) => {
    const { name, type, ttl, data } = fieldsOf(record)
    if (typeof name !== 'string' || typeof type !== 'string') return []
    return [{ name, type, ttl: typeof ttl === 'number' ? ttl : 0, data }]
  })
}

function instanceNameOf(serviceName: string, fullName: string): string | undefined {
  if (!fullName.toLowerCase().endsWith(`.${serviceName}`)) return undefined
  const instanceName = fullName.slice(0, -serviceName.length - 1)
  // Peer ids and random hexadecimal, as advertised; one DNS label has at most 63 bytes.
  return /^[\w-]{1,63}$/.test(instanceName) ? instanceName : undefined
}

function fieldsOf(value: unknown): Record<string, unknown> & { port?: unknown; target?: unknown } {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
}
