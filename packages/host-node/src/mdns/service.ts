import { parseServiceText, type ServiceText, serviceName, serviceType } from './txt.ts'

/** One DNS-SD service that peers tell each other of, and what its TXT record says. */
export interface MdnsService<Text> {
  /** Without underscores. */
  readonly type: string
  readonly protocol: 'tcp' | 'udp'
  /** `_type._protocol.local` */
  readonly name: string
  /** What TXT strings say; undefined for those of somebody else's making. Anybody on the network writes them. */
  parseText(strings: unknown): Text | undefined
}

/** What is told of oneself. */
export interface MdnsRecord {
  readonly instanceName: string
  readonly port: number
  readonly text: Readonly<Record<string, string>>
}

/** Peers that can be linked with (row C02). */
export const peerService: MdnsService<ServiceText> = {
  type: serviceType,
  protocol: 'tcp',
  name: serviceName,
  parseText: parseServiceText,
}
