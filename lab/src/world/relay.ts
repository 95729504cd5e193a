import { until } from '@miaou/testkit/processes'
import type { LabDaemon } from '../daemons/lab-daemon.ts'
import { type Lab, type PublicHost, publicAddresses } from './lab.ts'

/** A public daemon that serves as a relay. */
export interface LabRelay {
  readonly daemon: LabDaemon
  readonly host: PublicHost
  /** What friends put into their configuration. */
  readonly address: string
  /** Its own addresses, to silence. */
  readonly places: readonly string[]
}

/** Port every lab relay listens on. */
const relayPort = 9999

/** Starts a relay on a public host. `ipv6`: it is reached by IPv6 alone. */
export async function startRelay(
  lab: Lab,
  host: PublicHost,
  options: { readonly ipv6?: boolean } = {},
): Promise<LabRelay> {
  const { v4, v6 } = publicAddresses[host]
  const place = options.ipv6 ? `[${v6[0]}]` : v4[0]
  const daemon = await lab.daemon(host, {
    name: `relay-${host}`,
    config: { port: relayPort, publicUrl: `ws://${place}:${relayPort}`, serve: { relay: true }, portMapping: false },
  })
  const { serving } = await daemon.client.network.info()
  const address = serving?.relay?.address
  if (address === undefined) throw new Error(`${host} does not serve as a relay: ${daemon.output()}`)
  return { daemon, host, address, places: [...v4, ...v6] }
}

/** Waits until a daemon can be reached through some relays. */
export async function reserved(daemon: LabDaemon, count: number): Promise<void> {
  await until(`${count} reservations of ${daemon.name}`, async () => {
    const { relays } = await daemon.client.network.info()
    return relays.filter(({ state }) => state === 'reserved').length >= count ? true : undefined
  })
}
