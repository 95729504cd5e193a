import type { NetworkInfo as HostInfo, RelayEntry } from '@miaou/host-node'
import type { NetworkInfo, OperationInput, OperationName, OperationOutput, Relay } from '@miaou/sdk'
import { MiaouError } from '@miaou/sdk/client'
import type { PeerHandle } from '../peer-handle.ts'
import { mailboxInfo } from './mailbox-operations.ts'

type RelayOperationName = Extract<OperationName, `relays.${string}`>

type RelayHandlers = {
  readonly [N in RelayOperationName]: (peer: PeerHandle, input: OperationInput<N>) => Promise<OperationOutput<N>>
}

type ReachInfo = Pick<
  NetworkInfo,
  'relays' | 'reservations' | 'mailboxes' | 'relayOnly' | 'serving' | 'portMapping' | 'publicUrl'
>

/** What each operation on relays does with a running peer. The helpers load with the first call: `id` needs none. */
export const relayHandlers: RelayHandlers = {
  'relays.list': listRelays,
  'relays.add': async (peer, { relay: text }) => {
    const { formatRelayAddress, parseRelayAddress } = await addresses()
    const relay = parseRelayAddress(text)
    if (relay === undefined) throw new MiaouError('bad-relay', { relay: text })
    const added = peer.network.addRelay(relay)
    if (!added.ok) throw toRelayError(added.error, peer.home)
    const relays = await listRelays(peer)
    const address = formatRelayAddress(relay)
    const isListed = relays.some((known) => known.relay === address)
    // Nothing has been dialled yet, or nothing is in this process: it is tried as soon as that can be.
    return isListed ? relays : [{ relay: address, source: 'added', state: 'connecting', circuits: 0 }, ...relays]
  },
  'relays.remove': async (peer, { relay: text }) => {
    const { formatRelayAddress, parseRelayAddress } = await addresses()
    const isMeant = (known: string) => known === text || known.slice(0, known.indexOf('@')) === text
    const listed = peer.network.relays().find(({ relay }) => isMeant(formatRelayAddress(relay)))
    // Relays are told apart by their id alone; the URL behind it only makes it an address.
    const relay = listed?.relay ?? parseRelayAddress(text) ?? parseRelayAddress(`${text}@ws://unused`)
    if (relay === undefined) throw await unknownRelay(peer, text)
    const removed = peer.network.removeRelay(relay)
    if (!removed.ok) throw toRelayError(removed.error, peer.home)
    if (removed.value) return listRelays(peer)
    throw listed === undefined || listed.source === 'added'
      ? await unknownRelay(peer, text)
      : new MiaouError('configured-relay', { relay: text })
  },
}

/** The members of `network.info` that are about the way to others, in text. */
export async function reachInfo(info: HostInfo): Promise<ReachInfo> {
  const { formatCircuitAddress, formatRelayAddress } = await addresses()
  const { relays, reservations, relayOnly, portMapping, serving, publicUrl } = info
  const relay = serving?.relay
  const { mailboxes, serving: keeping } = await mailboxInfo(info)
  return {
    relays: relays.map((entry) => toRelay(entry, formatRelayAddress, formatCircuitAddress)),
    reservations: reservations.map(formatCircuitAddress),
    mailboxes,
    relayOnly,
    portMapping,
    ...(serving === undefined
      ? {}
      : {
          serving: {
            ...(relay === undefined ? {} : { relay: { ...relay, address: formatRelayAddress(relay.address) } }),
            ...keeping,
          },
        }),
    ...(publicUrl === undefined ? {} : { publicUrl }),
  }
}

type Addresses = typeof import('@miaou/host-node/overlay')

function addresses(): Promise<Addresses> {
  return import('@miaou/host-node/overlay')
}

async function listRelays(peer: PeerHandle): Promise<readonly Relay[]> {
  const { formatCircuitAddress, formatRelayAddress } = await addresses()
  return peer.network.relays().map((entry) => toRelay(entry, formatRelayAddress, formatCircuitAddress))
}

function toRelay(
  { relay, address, ...view }: RelayEntry,
  formatRelayAddress: Addresses['formatRelayAddress'],
  formatCircuitAddress: Addresses['formatCircuitAddress'],
): Relay {
  return {
    ...view,
    relay: formatRelayAddress(relay),
    ...(address === undefined ? {} : { address: formatCircuitAddress(address) }),
  }
}

async function unknownRelay(peer: PeerHandle, text: string): Promise<MiaouError> {
  const added = (await listRelays(peer)).filter(({ source }) => source === 'added')
  return new MiaouError('unknown-relay', { relay: text, suggestions: added.map(({ relay }) => relay) })
}

type RelayFailure = Extract<ReturnType<PeerHandle['network']['addRelay']>, { readonly ok: false }>['error']

function toRelayError(error: RelayFailure, home: string): MiaouError {
  switch (error.type) {
    case 'too-many-relays':
      return new MiaouError('too-many', { what: 'relays', countMax: error.relaysMax })
    case 'unwritable':
      return new MiaouError('home-unwritable', { home, detail: error.code })
    case 'stopped':
      return new MiaouError('stopped')
  }
}
