import { err, ok } from '@miaou/core'
import type { AddMailboxError, Connectivity, MailboxEntry, NetworkInfo, PeerHandle, RelayEntry } from '@miaou/host-node'
import {
  formatMailboxAddress,
  formatRelayAddress,
  parseMailboxAddress,
  parseRelayAddress,
} from '@miaou/host-node/overlay'

type Network = PeerHandle['network']
type Face = Pick<
  Network,
  'relays' | 'addRelay' | 'removeRelay' | 'mailboxes' | 'addMailbox' | 'removeMailbox' | 'connectivity' | 'measure'
>
type Reach = Pick<
  NetworkInfo,
  'natType' | 'relays' | 'reservations' | 'mailboxes' | 'relayOnly' | 'serving' | 'portMapping' | 'publicUrl'
>

/** Relays that a test names: nobody is asked anything. */
export const relayText = `${'A'.repeat(22)}@wss://relay.example.org`
export const otherRelayText = `-${'B'.repeat(20)}A@ws://203.0.113.7:9999`

export function relayEntry(text: string, changes: Partial<RelayEntry> = {}): RelayEntry {
  const relay = parseRelayAddress(text)
  if (relay === undefined) throw new Error(`${text} is no relay`)
  const reservation = new Uint8Array(16).fill(7)
  const terms = { circuitsMax: 16, bytesPerSecond: 0, bytesPerDay: 1_000_000_000 }
  return {
    relay,
    source: 'config',
    state: 'reserved',
    address: { relay, reservation },
    latencyMs: 20.5,
    terms,
    clockOffsetMs: 12.4,
    observed: '198.51.100.4:4000',
    circuits: 0,
    ...changes,
  }
}

/** Mailboxes that a test names. */
export const mailboxText = `${'M'.repeat(21)}A@wss://mail.example.org`
export const otherMailboxText = `-${'N'.repeat(20)}A@ws://203.0.113.8:9999`

export function mailboxEntry(text: string, changes: Partial<MailboxEntry> = {}): MailboxEntry {
  const mailbox = parseMailboxAddress(text)
  if (mailbox === undefined) throw new Error(`${text} is no mailbox`)
  return {
    mailbox,
    source: 'config',
    state: 'registered',
    box: new Uint8Array(16).fill(9),
    stock: { tokens: 1_920, oneTimeBundles: 32, hasLastResort: true, waiting: 2 },
    latencyMs: 31.2,
    throughRelay: true,
    ...changes,
  }
}

/** A mailbox service with everything that can be told of it. */
export function servingMailbox(address = mailboxText): NonNullable<NetworkInfo['serving']> {
  return {
    mailbox: {
      address: mailboxEntry(address).mailbox,
      boxes: 12,
      envelopes: 340,
      bytes: 1_500_000,
      limits: { boxesMax: 1_000, bytesMax: 10_000_000_000, bytesPerBoxMax: 67_108_864 },
      counters: { 'envelopes-accepted': 2_345, 'token-spent': 0 },
    },
  }
}

/** A relay with everything that can be told of it. */
export function serving(address = relayText): NonNullable<NetworkInfo['serving']> {
  return {
    relay: {
      address: relayEntry(address).relay,
      reservations: 2,
      circuits: 1,
      bytesToday: 1_234_567,
      limits: { reservationsMax: 1_000, circuitsMax: 4_000, bytesPerSecond: 0, bytesPerDay: 10_000_000_000 },
      stunPort: 3478,
      counters: { 'circuits-opened': 3, 'quota-spent': 0 },
    },
  }
}

export const connectivity: Connectivity = {
  report: {
    natType: 'symmetric',
    mapping: 'address-and-port-dependent',
    filtering: 'address-and-port-dependent',
    candidates: [
      {
        type: 'host',
        endpoint: { host: '192.168.1.7', port: 50_000 },
        priority: 2_130_706_431,
        foundation: '1',
      },
      {
        type: 'server-reflexive',
        endpoint: { host: '198.51.100.4', port: 4_000 },
        priority: 1_694_498_815,
        foundation: '2',
        relatedEndpoint: { host: '192.168.1.7', port: 50_000 },
      },
    ],
    optimalTransport: 'relay',
    servers: [
      { url: 'stun:stun.example.org:3478', state: 'ok', ms: 21.4, mapped: { host: '198.51.100.4', port: 4_000 } },
      { url: 'stun:192.0.2.9:3478', state: 'failed', detail: 'ETIMEDOUT' },
      { url: 'turn:turn.example.org:3478', state: 'ok', ms: 45 },
    ],
  },
  names: [
    { name: 'stun.example.org', state: 'ok', ms: 4, address: '192.0.2.1' },
    { name: 'turn.example.org', state: 'failed', ms: 9, detail: 'not found' },
  ],
}

/** What the API and the commands need of relays, and no more. */
export class FakeReach {
  /** Laid over what `info` tells. */
  changes: Partial<Reach> = {}
  entries: RelayEntry[] = []
  addedMax = 8
  mailboxes: MailboxEntry[] = []
  /** What adding a mailbox answers, in the place of keeping it. */
  addMailboxError: AddMailboxError | undefined
  connectivity: Connectivity = { names: [] }
  /** How often the relays were looked at. */
  looks = 0
  whenAsked: () => void = () => undefined
  speed: Awaited<ReturnType<Face['measure']>> = err({ type: 'unavailable', detail: 'nothing to measure with' })

  info(): Reach {
    return {
      natType: 'unknown',
      relays: this.entries,
      reservations: [],
      mailboxes: this.mailboxes,
      relayOnly: false,
      portMapping: { state: 'off' },
      ...this.changes,
    }
  }

  readonly face: Face = {
    relays: () => {
      this.looks++
      return this.entries
    },
    addRelay: (relay) => {
      if (this.entries.length >= this.addedMax) return err({ type: 'too-many-relays', relaysMax: this.addedMax })
      this.entries = [relayEntry(formatRelayAddress(relay), { source: 'added' }), ...this.entries]
      return ok(undefined)
    },
    removeRelay: (relay) => {
      const text = formatRelayAddress(relay)
      const others = this.entries.filter(
        (entry) => entry.source !== 'added' || formatRelayAddress(entry.relay) !== text,
      )
      const isRemoved = others.length < this.entries.length
      this.entries = others
      return ok(isRemoved)
    },
    mailboxes: () => this.mailboxes,
    addMailbox: (mailbox) => {
      if (this.addMailboxError !== undefined) return err(this.addMailboxError)
      if (this.mailboxes.length >= this.addedMax)
        return err({ type: 'too-many-mailboxes', mailboxesMax: this.addedMax })
      const {
        stock: _stock,
        latencyMs: _latencyMs,
        ...entry
      } = mailboxEntry(formatMailboxAddress(mailbox), {
        source: 'added',
        state: 'connecting',
      })
      this.mailboxes = [entry, ...this.mailboxes]
      return ok(undefined)
    },
    removeMailbox: (mailbox) => {
      const text = formatMailboxAddress(mailbox)
      const others = this.mailboxes.filter(
        (entry) => entry.source !== 'added' || formatMailboxAddress(entry.mailbox) !== text,
      )
      const isRemoved = others.length < this.mailboxes.length
      this.mailboxes = others
      return ok(isRemoved)
    },
    connectivity: async () => {
      this.whenAsked()
      return this.connectivity
    },
    measure: async () => this.speed,
  }
}
