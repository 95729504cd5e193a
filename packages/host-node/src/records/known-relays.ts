import { isIP } from 'node:net'
import { ByteReader, ByteWriter, bytesToHex, equalBytes, type Log } from '@miaou/core'
import type { Crypto } from '@miaou/crypto'
import {
  type AddressScope,
  decodeServiceRecord,
  encodeWay,
  isRelayUrl,
  isServiceFresh,
  isWayWithin,
  type RelayAddress,
  readWay,
  relayIdSize,
  relayOfService,
  relayUrlLengthMax,
  serviceRecordSizeMax,
  verifyServiceRecord,
} from '@miaou/protocol'
import type { SealedDocument } from '../overlay/sealed-document.ts'

/** Relays remembered at most (own choice: three are used, the others stand in). */
export const knownRelaysMax = 64
/** Relays on one network that are known by their service records: one owner of many must not fill the list. Guess. */
export const learntPerNetworkMax = 2
/**
 * Relays of contacts and invites that never served us, at most, before those of strangers that do: a contact can name
 * dozens that do not exist. Guess.
 */
export const unprovenFirstMax = 4
/** Bytes of the largest document. */
export const knownRelaysSizeMax: number =
  2 + knownRelaysMax * (1 + 1 + 8 + relayIdSize + 2 + relayUrlLengthMax + 2 + serviceRecordSizeMax)

/** Least time between two writes, ms. Guess: a crash costs what was learnt in it. */
const saveIntervalMs = 300_000
const scoreMax = 16

/** Who named it first. `overlay`: a stranger's node. */
export type RelayOrigin = 'contact' | 'invite' | 'overlay'

export interface KnownRelay {
  readonly relay: RelayAddress
  readonly origin: RelayOrigin
  /** 0 to 16: grows by one with each reservation, halves with each failure. */
  readonly score: number
  /** Wall-clock ms: heard of, or worked. */
  readonly seenAt: number
  /** Its latest service record, verified; empty for none. */
  readonly record: Uint8Array
}

/** Origin byte of the document. */
const originCodes = { contact: 1, invite: 2, overlay: 3 } as const

/** The relays that this home heard of, in one sealed document: they tell with whom one shares a relay. */
export class KnownRelays {
  readonly #crypto: Crypto
  readonly #document: SealedDocument
  readonly #log: Log
  readonly #byId = new Map<string, KnownRelay>()
  #stored: Uint8Array = new Uint8Array(0)
  #savedAt = Number.NEGATIVE_INFINITY

  constructor(crypto: Crypto, document: SealedDocument, log: Log) {
    this.#crypto = crypto
    this.#document = document
    this.#log = log
  }

  get size(): number {
    return this.#byId.size
  }

  /** Reads the document. A damaged one is put aside and logged: contacts and nodes tell again. */
  load(): void {
    const body = this.#document.load()
    const known = body.ok ? decodeKnownRelays(body.value ?? encodeKnownRelays([])) : undefined
    if (known === undefined) {
      const error = body.ok ? this.#document.putAside('it is no list of relays') : body.error
      this.#log.write('warn', 'known-relays-damaged', { detail: error.detail })
    }
    for (const each of known ?? []) this.#byId.set(nameOf(each.relay.relayId), each)
  }

  /**
   * Best first: strangers' behind the others, each by how well they served and how lately they were seen; but those that
   * serve come before what contacts named in great number and nobody saw serve.
   */
  all(): readonly KnownRelay[] {
    const sorted = [...this.#byId.values()].sort(byWorth)
    const surplus = new Set(sorted.filter((each) => !isStranger(each) && each.score === 0).slice(unprovenFirstMax))
    const isServing = (each: KnownRelay): boolean => isStranger(each) && each.score > 0
    const rest = sorted.filter((each) => isStranger(each) && !isServing(each))
    const first = sorted.filter((each) => !isStranger(each) && !surplus.has(each))
    return [...first, ...sorted.filter(isServing), ...surplus, ...rest]
  }

  /** Relays through which somebody is reached: ways that were judged when they were heard, or that a person pasted. */
  meet(relays: readonly RelayAddress[], origin: RelayOrigin, wall: number): void {
    for (const relay of relays) {
      const known = this.#byId.get(nameOf(relay.relayId))
      const facts = known ?? { score: 0, seenAt: wall, record: new Uint8Array(0) }
      // The address that works stays until a newer record, or a failure, says otherwise.
      const isProven = known !== undefined && known.score > 0
      this.#keep({ ...facts, relay: isProven ? known.relay : relay, origin: nearer(known?.origin, origin) })
    }
  }

  /** A service record of whoever passed it on; false for one that is no good, or no news. */
  learn(bytes: Uint8Array, heardFrom: RelayOrigin, nearest: AddressScope, wall: number): boolean {
    const record = verifyServiceRecord(this.#crypto, bytes)
    if (!record.ok || !isServiceFresh(record.value, wall)) return false
    const relay = relayOfService(this.#crypto, record.value, (url) => URL.canParse(url) && isWayWithin(url, nearest))
    if (relay === undefined) return false
    const known = this.#byId.get(nameOf(relay.relayId))
    if (known !== undefined && record.value.sequence <= sequenceOf(known.record)) return false
    if (known === undefined && this.#countLearnt(networkOf(relay.url)) >= learntPerNetworkMax) return false
    const score = known?.score ?? 0
    const origin = nearer(known?.origin, heardFrom)
    return this.#keep({ relay, origin, score, seenAt: wall, record: bytes })
  }

  /** A reservation stands there. */
  worked(relayId: Uint8Array, wall: number): void {
    this.#change(relayId, ({ score }) => ({ score: Math.min(scoreMax, score + 1), seenAt: wall }))
  }

  /** It did not answer, or refused. */
  failed(relayId: Uint8Array): void {
    this.#change(relayId, ({ score }) => ({ score: score >> 1 }))
  }

  /** Service records to pass on: of relays that served us, still good, best first. */
  toPassOn(countMax: number, wall: number): readonly Uint8Array[] {
    const good = [...this.#byId.values()].filter(({ score, record }) => score > 0 && isGood(record, wall))
    return good
      .sort(byWorth)
      .slice(0, countMax)
      .map(({ record }) => record)
  }

  /** Service records that anybody may be told, whatever the relays are to us: still good, and with a URL `isTellable`. */
  toTell(wall: number, isTellable: (url: string) => boolean): readonly Uint8Array[] {
    return [...this.#byId.values()].flatMap(({ record }) => (isGood(record, wall, isTellable) ? [record] : []))
  }

  /** Keys of relays that serve us no more and said once who they are: their record of today may name another address. */
  lostKeys(): readonly Uint8Array[] {
    const lost = [...this.#byId.values()].filter(({ score, record }) => score === 0 && record.length > 0)
    return lost.sort(byWorth).flatMap(({ record }) => {
      const decoded = decodeServiceRecord(record)
      return decoded.ok ? [decoded.value.value.serviceKey] : []
    })
  }

  saveNowAndThen(mono: number): void {
    if (mono < this.#savedAt + saveIntervalMs || this.#byId.size === 0) return
    this.#savedAt = mono
    this.save()
  }

  save(): void {
    const body = encodeKnownRelays([...this.#byId.values()])
    if (equalBytes(body, this.#stored)) return
    const stored = this.#document.store(body)
    if (stored.ok) this.#stored = body
    else this.#log.write('warn', 'known-relays-not-saved', { code: stored.error.code })
  }

  /** False where everything kept is worth more. */
  #keep(known: KnownRelay): boolean {
    const name = nameOf(known.relay.relayId)
    if (!this.#byId.has(name) && this.#byId.size >= knownRelaysMax) {
      const worst = [...this.#byId.values()].sort(byKeeping).at(-1)
      // One that served is not pushed out by one that was only heard of, nor a contact's by a stranger's.
      if (worst === undefined || byKeeping(known, worst) >= 0) return false
      this.#byId.delete(nameOf(worst.relay.relayId))
    }
    this.#byId.set(name, known)
    return true
  }

  #change(relayId: Uint8Array, change: (known: KnownRelay) => Partial<KnownRelay>): void {
    const known = this.#byId.get(nameOf(relayId))
    if (known !== undefined) this.#byId.set(nameOf(relayId), { ...known, ...change(known) })
  }

  #countLearnt(network: string): number {
    let count = 0
    for (const { relay, record } of this.#byId.values()) {
      if (record.length > 0 && networkOf(relay.url) === network) count += 1
    }
    return count
  }
}

/**
 * Count u16, then for each: origin u8 ‖ score u8 ‖ seen at u64 ‖ relay id 16 ‖ URL as a way (spec/records W2) ‖ service
 * record behind its u16 size, 0 for none.
 */
export function encodeKnownRelays(known: readonly KnownRelay[]): Uint8Array {
  const writer = new ByteWriter().u16(known.length)
  for (const { relay, origin, score, seenAt, record } of known) {
    writer
      .u8(originCodes[origin])
      .u8(score)
      .u64(seenAt)
      .bytes(relay.relayId)
      .bytes(encodeWay(relay.url))
      .bytes16(record)
  }
  return writer.finish()
}

/** Undefined for what `encodeKnownRelays` did not write. */
export function decodeKnownRelays(bytes: Uint8Array): KnownRelay[] | undefined {
  const reader = new ByteReader(bytes)
  const count = reader.u16()
  if (count > knownRelaysMax) return undefined
  const known: KnownRelay[] = []
  for (let index = 0; index < count && !reader.failed; index++) {
    const origin = codeToOrigin(reader.u8())
    const [score, seenAt, relayId] = [reader.u8(), reader.u64(), reader.bytes(relayIdSize)]
    const url = readWay(reader, relayUrlLengthMax) ?? ''
    const record = reader.bytes16(serviceRecordSizeMax)
    if (!isRelayUrl(url) || score > scoreMax || origin === undefined) return undefined
    known.push({ relay: { url, relayId }, origin, score, seenAt, record })
  }
  return reader.finished() ? known : undefined
}

/**
 * The network that a URL's owner has, as far as a text tells: an IPv4 /24, an IPv6 /48, or the last two labels of a name.
 * Empty for what no socket can be opened to, such as port 99999: others write URLs.
 */
export function networkOf(url: string): string {
  if (!URL.canParse(url)) return ''
  const { hostname } = new URL(url)
  const host = hostname.replace(/^\[|\]$/g, '')
  if (isIP(host) === 4) return host.split('.').slice(0, 3).join('.')
  if (isIP(host) === 6) return host.split(':').slice(0, 3).join(':')
  return host.split('.').slice(-2).join('.')
}

function isStranger({ origin }: KnownRelay): boolean {
  return origin === 'overlay'
}

/** Whoever served stays, whoever named it: contacts are people, but a contact can name any number of relays. */
function byKeeping(a: KnownRelay, b: KnownRelay): number {
  return Number(b.score > 0) - Number(a.score > 0) || byWorth(a, b)
}

function byWorth(a: KnownRelay, b: KnownRelay): number {
  return Number(isStranger(a)) - Number(isStranger(b)) || b.score - a.score || b.seenAt - a.seenAt
}

function codeToOrigin(code: number): RelayOrigin | undefined {
  if (code === originCodes.contact) return 'contact'
  if (code === originCodes.invite) return 'invite'
  return code === originCodes.overlay ? 'overlay' : undefined
}

/** What a contact names is a contact's, whoever else did. */
function nearer(a: RelayOrigin | undefined, b: RelayOrigin): RelayOrigin {
  return a === undefined || originCodes[b] < originCodes[a] ? b : a
}

function isGood(record: Uint8Array, wall: number, isUsable: (url: string) => boolean = () => true): boolean {
  const decoded = decodeServiceRecord(record)
  return decoded.ok && isServiceFresh(decoded.value.value, wall) && decoded.value.value.urls.some(isUsable)
}

function sequenceOf(record: Uint8Array): number {
  const decoded = decodeServiceRecord(record)
  return decoded.ok ? decoded.value.value.sequence : -1
}

function nameOf(relayId: Uint8Array): string {
  return bytesToHex(relayId)
}
