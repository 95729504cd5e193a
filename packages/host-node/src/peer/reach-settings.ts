import { err, ok, type Result } from '@miaou/core'
import {
  isRelayUrl,
  type MailboxAddress,
  parseMailboxAddress,
  parseRelayAddress,
  type RelayAddress,
} from '@miaou/protocol'
import type { RelayTurn } from '../relay/turn-credentials.ts'

/** What this peer gives others as a relay (spec/relay-service): 0 or absent where a bound keeps its default. */
export interface RelayQuotas {
  /** Reservations kept, in all. */
  readonly reservations?: number
  /** Circuits at a time, in all. */
  readonly circuits?: number
  /** Bytes a second passed on, in all. */
  readonly bytesPerSecond?: number
  /** Bytes a day passed on, in all. */
  readonly bytesPerDay?: number
}

/** A relay of one's own: its quotas, and the TURN servers beside it, on the same host. */
export interface RelaySettings extends RelayQuotas {
  readonly turn?: readonly RelayTurn[]
}

/** What this peer keeps for others as a mailbox (spec/mailbox): absent where a bound keeps its default. */
export interface MailboxQuotas {
  /** Peers that may register, in all. */
  readonly boxes?: number
  /** Bytes of sealed messages on disk, in all. */
  readonly bytes?: number
  /** Bytes of sealed messages for one peer. */
  readonly bytesPerBox?: number
}

/** The settings by which others reach this peer, and it them, through routers and relays. */
export interface ReachSettings {
  /** Relays to keep a reservation at, best first. */
  readonly relays?: readonly RelayAddress[]
  /** Mailboxes where messages for this peer are left while it is away, best first. */
  readonly mailboxes?: readonly MailboxAddress[]
  /** Never show the own network address to another peer: everything goes through relays. */
  readonly relayOnly?: boolean
  readonly serve?: { readonly relay?: RelaySettings; readonly mailbox?: MailboxQuotas }
  /** Where others dial this peer's listener, when that is not where it listens: behind a proxy, or by a name. */
  readonly publicUrl?: string
  /** Files (PEM) of a certificate and its key: the listener speaks TLS. */
  readonly tls?: { readonly cert: string; readonly key: string }
  /** A proxy on this machine hands connections on, and its X-Forwarded-For is believed. */
  readonly behindProxy?: boolean
  /** UDP port at which a relay answers STUN; 0: it does not. */
  readonly stunPort?: number
  /** Whether a router is asked to let others in (PCP, NAT-PMP, UPnP). */
  readonly portMapping?: boolean
}

/** Own choice: three reservations are kept, the others stand in. */
export const configuredRelaysMax = 8
/** Own choice, as for relays: boxes are kept at the first three that answer (spec/mailbox). */
export const configuredMailboxesMax = 8
export const reachSettingNames: readonly string[] = [
  'relays',
  'mailboxes',
  'relayOnly',
  'serve',
  'publicUrl',
  'tls',
  'behindProxy',
  'stunPort',
  'portMapping',
]
/** Beside the STUN answerer: a relay tells of four servers at most (spec/circuits). */
export const relayTurnMax = 3
const quotaNames = ['reservations', 'circuits', 'bytesPerSecond', 'bytesPerDay'] as const
const mailboxQuotaNames = ['boxes', 'bytes', 'bytesPerBox'] as const

const turnPattern = /^(turns?):(\d{1,5})\?transport=(udp|tcp)$/

interface Fields {
  readonly relays?: unknown
  readonly mailboxes?: unknown
  readonly relayOnly?: unknown
  readonly serve?: unknown
  readonly publicUrl?: unknown
  readonly tls?: unknown
  readonly behindProxy?: unknown
  readonly stunPort?: unknown
  readonly portMapping?: unknown
}

/** Takes the settings named above out of a configuration; the error is in words and quotes no secret. */
export function parseReachSettings(fields: Fields): Result<ReachSettings, string> {
  const { publicUrl, stunPort } = fields
  for (const name of ['relayOnly', 'behindProxy', 'portMapping'] as const) {
    if (fields[name] !== undefined && typeof fields[name] !== 'boolean') return err(`"${name}" must be true or false`)
  }
  if (publicUrl !== undefined && !(typeof publicUrl === 'string' && isRelayUrl(publicUrl))) {
    return err('"publicUrl" must be a WebSocket address without a slash at its end, such as "wss://relay.example.org"')
  }
  if (stunPort !== undefined && !isCount(stunPort, 65_535)) {
    return err('"stunPort" must be a whole number from 0 (no STUN) to 65535')
  }
  const relays = parseRelays(fields.relays)
  if (!relays.ok) return relays
  const mailboxes = parseMailboxes(fields.mailboxes)
  if (!mailboxes.ok) return mailboxes
  const serve = parseServe(fields.serve)
  if (!serve.ok) return serve
  const tls = parseTls(fields.tls)
  if (!tls.ok) return tls
  return ok({
    ...flag('relayOnly', fields.relayOnly),
    ...flag('behindProxy', fields.behindProxy),
    ...flag('portMapping', fields.portMapping),
    ...(publicUrl === undefined ? {} : { publicUrl }),
    ...(stunPort === undefined ? {} : { stunPort }),
    ...(relays.value === undefined ? {} : { relays: relays.value }),
    ...(mailboxes.value === undefined ? {} : { mailboxes: mailboxes.value }),
    ...(serve.value === undefined ? {} : { serve: serve.value }),
    ...(tls.value === undefined ? {} : { tls: tls.value }),
  })
}

function parseRelays(value: unknown): Result<readonly RelayAddress[] | undefined, string> {
  if (value === undefined) return ok(undefined)
  if (!(Array.isArray(value) && value.length <= configuredRelaysMax)) {
    return err(`"relays" must be a list of at most ${configuredRelaysMax}`)
  }
  const relays: RelayAddress[] = []
  for (const text of value as unknown[]) {
    const relay = typeof text === 'string' ? parseRelayAddress(text) : undefined
    if (relay === undefined) {
      return err('each of "relays" must be an address as its owner shows it: "<22 characters>@wss://relay.example.org"')
    }
    relays.push(relay)
  }
  return ok(relays)
}

function parseMailboxes(value: unknown): Result<readonly MailboxAddress[] | undefined, string> {
  if (value === undefined) return ok(undefined)
  if (!(Array.isArray(value) && value.length <= configuredMailboxesMax)) {
    return err(`"mailboxes" must be a list of at most ${configuredMailboxesMax}`)
  }
  const mailboxes: MailboxAddress[] = []
  for (const text of value as unknown[]) {
    const mailbox = typeof text === 'string' ? parseMailboxAddress(text) : undefined
    if (mailbox === undefined) {
      return err(
        'each of "mailboxes" must be an address as its owner shows it: "<22 characters>@wss://mail.example.org"',
      )
    }
    mailboxes.push(mailbox)
  }
  return ok(mailboxes)
}

function parseServe(value: unknown): Result<ReachSettings['serve'], string> {
  if (value === undefined) return ok(undefined)
  if (!isRecord(value)) return err('"serve" must be an object such as { "relay": true, "mailbox": true }')
  const unknown = Object.keys(value).find((name) => name !== 'relay' && name !== 'mailbox')
  if (unknown !== undefined) return err(`"${unknown}" cannot be served; there are: relay, mailbox`)
  const { relay, mailbox } = value as { readonly relay?: unknown; readonly mailbox?: unknown }
  const relayed = parseServedRelay(relay)
  if (!relayed.ok) return relayed
  const kept = parseServedMailbox(mailbox)
  if (!kept.ok) return kept
  return ok({
    ...(relayed.value === undefined ? {} : { relay: relayed.value }),
    ...(kept.value === undefined ? {} : { mailbox: kept.value }),
  })
}

function parseServedRelay(relay: unknown): Result<RelaySettings | undefined, string> {
  if (relay === undefined || relay === false) return ok(undefined)
  if (relay === true) return ok({})
  if (!isRecord(relay)) return err('"relay" of "serve" must be true, or an object of quotas')
  const { turn, ...numbers } = relay as { readonly turn?: unknown }
  const servers = parseTurn(turn)
  if (!servers.ok) return servers
  const quotas = parseQuotas('relay', numbers, quotaNames, ', turn')
  if (!quotas.ok) return quotas
  return ok(servers.value === undefined ? quotas.value : { ...quotas.value, turn: servers.value })
}

function parseServedMailbox(mailbox: unknown): Result<MailboxQuotas | undefined, string> {
  if (mailbox === undefined || mailbox === false) return ok(undefined)
  if (mailbox === true) return ok({})
  if (!isRecord(mailbox)) return err('"mailbox" of "serve" must be true, or an object of quotas')
  const quotas = parseQuotas('mailbox', mailbox, mailboxQuotaNames, '')
  if (!quotas.ok) return quotas
  const zero = Object.entries(quotas.value).find(([, quota]) => quota === 0)
  return zero === undefined ? quotas : err(`"${zero[0]}" of "mailbox" must be 1 or more`)
}

/** `others`: what there is besides the quotas, for the error. */
function parseQuotas<const Name extends string>(
  service: string,
  fields: object,
  names: readonly Name[],
  others: string,
): Result<{ readonly [name in Name]?: number }, string> {
  const quotas: { [name in Name]?: number } = {}
  for (const [name, quota] of Object.entries(fields)) {
    const known = names.find((quotaName) => quotaName === name)
    if (known === undefined) {
      return err(`"${name}" is no quota of "${service}"; there are: ${names.join(', ')}${others}`)
    }
    if (!isCount(quota, Number.MAX_SAFE_INTEGER)) {
      return err(`"${name}" of "${service}" must be a whole number, 0 or more`)
    }
    quotas[known] = quota
  }
  return ok(quotas)
}

/** `turn:3478?transport=udp`, the host being the relay's own, with the secret that it shares with the relay. */
function parseTurn(value: unknown): Result<readonly RelayTurn[] | undefined, string> {
  if (value === undefined) return ok(undefined)
  const form = '"turn" of "relay" must be a list such as [{ "url": "turn:3478?transport=udp", "secret": "…" }]'
  if (!(Array.isArray(value) && value.length <= relayTurnMax)) return err(`${form}, of at most ${relayTurnMax}`)
  const servers: RelayTurn[] = []
  for (const entry of value as unknown[]) {
    const { url, secret } = (isRecord(entry) ? entry : {}) as { readonly url?: unknown; readonly secret?: unknown }
    const parts = typeof url === 'string' ? turnPattern.exec(url) : null
    const port = Number(parts?.[2])
    if (parts === null || typeof secret !== 'string' || secret === '' || port < 1 || port > 65_535) return err(form)
    const scheme = parts[1] === 'turns' ? 'turns' : 'turn'
    servers.push({ scheme, port, transport: parts[3] === 'udp' ? 'udp' : 'tcp', secret })
  }
  return ok(servers)
}

function parseTls(value: unknown): Result<ReachSettings['tls'], string> {
  if (value === undefined) return ok(undefined)
  const { cert, key } = (isRecord(value) ? value : {}) as { readonly cert?: unknown; readonly key?: unknown }
  const isWhole = typeof cert === 'string' && cert !== '' && typeof key === 'string' && key !== ''
  return isWhole ? ok({ cert, key }) : err('"tls" needs "cert" and "key", the paths of two PEM files')
}

function flag<const Name extends string>(name: Name, value: unknown): { readonly [key in Name]?: boolean } {
  // The computed key has this one name; TypeScript widens it to any string.
  return (value === undefined ? {} : { [name]: value }) as { readonly [key in Name]?: boolean }
}

function isCount(value: unknown, max: number): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= max
}

function isRecord(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
