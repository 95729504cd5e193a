import { equalBytes } from '@miaou/core'
import type { StoreStatus } from '@miaou/protocol'
import type { Core } from './core.ts'
import { bucketIndex, compareDistances, readWord } from './distance.ts'
import type { ContactRef } from './interface.ts'

/** A record held for others. Times are monotonic ms: no jump of the wall clock makes it expire early or late. */
export interface HeldRecord {
  readonly key: Uint8Array
  record: Uint8Array
  /** Undefined for content-addressed values. */
  sequence: number | undefined
  /** When its owner last published it, as far as is known. */
  publishedAt: number
  republishAt: number
  readonly bucket: number
  /** Head of the sender's id and its network (`ContactTable.prefix`); −1 for what this node put itself. */
  readonly sender: number
  readonly prefix: number
  /** Another one whose key begins with the same 52 bits. */
  next: HeldRecord | undefined
}

/** A check after storing takes a look at all records: not more often than this, own choice. */
const checkIntervalMs = 1_000
const minuteMs = 60_000
/** Republishing spreads over so much of its interval, so that one holder's round spares the others theirs: own choice. */
const republishSpread = 0.2
/** Stands for this node itself among senders and networks. */
const own = -1

type Checked = { readonly key: Uint8Array; readonly sequence: number | undefined }

/**
 * The records that this node holds, bounded in number and bytes, in all and for each sender. What comes from few networks
 * never takes the room of many: in a full store it is the network with the most records that loses one.
 */
export class RecordStore {
  readonly #core: Core
  readonly #byKey = new Map<number, HeldRecord>()
  readonly #bySender = new Map<number, number>()
  /** By the network they came from, the oldest first. */
  readonly #byPrefix = new Map<number, Set<HeldRecord>>()
  #size = 0
  #bytes = 0
  #dueAt = Number.POSITIVE_INFINITY

  constructor(core: Core) {
    this.#core = core
  }

  get size(): number {
    return this.#size
  }

  /** Bytes of the records, without their keys and indices. */
  get bytes(): number {
    return this.#bytes
  }

  /** Never later than what is due, but by `checkIntervalMs`. */
  deadline(): number {
    return this.#dueAt
  }

  /** The record that is held under a key and has not expired. */
  get(key: Uint8Array): Uint8Array | undefined {
    const held = this.#find(key)
    return held === undefined || this.#isExpired(held) ? undefined : held.record
  }

  /** `record` was checked, and is copied. `ageMinutes`: since its owner last published it, as the sender says. */
  store(from: ContactRef, record: Uint8Array, checked: Checked, ageMinutes: number): StoreStatus {
    return this.#store(this.#senderOf(from), this.#core.contacts.prefix(from), record, checked, ageMinutes)
  }

  /** What this node itself put, and is among the nearest of: as if one of the others had stored it here. */
  keep(record: Uint8Array, checked: Checked, ageMinutes: number): void {
    this.#store(own, own, record, checked, ageMinutes)
  }

  #store(sender: number, prefix: number, record: Uint8Array, checked: Checked, ageMinutes: number): StoreStatus {
    const { mono, config } = this.#core
    const ageMs = Math.max(0, ageMinutes) * minuteMs
    if (ageMs >= config.expiryMs) return 'stale'
    const held = this.#find(checked.key)
    if (held !== undefined && !this.#isExpired(held)) return this.#renew(held, record, checked.sequence, mono - ageMs)
    if (held !== undefined) this.#remove(held)
    if (this.#isOverQuota(sender, prefix) || !this.#makeRoom(checked.key, record.length, prefix)) return 'full'
    this.#insert({
      key: checked.key.slice(),
      record: record.slice(),
      sequence: checked.sequence,
      publishedAt: mono - ageMs,
      republishAt: this.#nextRepublish(),
      bucket: bucketIndex(this.#core.self, checked.key),
      sender,
      prefix,
      next: undefined,
    })
    return 'stored'
  }

  /** Drops what expired and returns what is to be republished now: each once an interval. */
  due(): HeldRecord[] {
    const { mono, config, counters } = this.#core
    if (mono < this.#dueAt) return []
    const due: HeldRecord[] = []
    let next = Number.POSITIVE_INFINITY
    for (const records of [...this.#byPrefix.values()]) {
      for (const held of [...records]) {
        if (this.#isExpired(held)) {
          counters.add('records-expired')
          this.#remove(held)
          continue
        }
        if (mono >= held.republishAt) {
          held.republishAt = this.#nextRepublish()
          due.push(held)
        }
        next = Math.min(next, held.republishAt, held.publishedAt + config.expiryMs)
      }
    }
    this.#dueAt = Math.max(next, mono + checkIntervalMs)
    return due
  }

  ageMinutes(held: HeldRecord): number {
    return Math.max(0, Math.floor((this.#core.mono - held.publishedAt) / minuteMs))
  }

  #renew(held: HeldRecord, record: Uint8Array, sequence: number | undefined, publishedAt: number): StoreStatus {
    if (sequence !== undefined && held.sequence !== undefined) {
      if (sequence < held.sequence) return 'stale'
      if (sequence === held.sequence && !equalBytes(record, held.record)) return 'stale'
      if (sequence > held.sequence) {
        if (this.#bytes + record.length - held.record.length > this.#core.config.recordBytesMax) return 'full'
        this.#bytes += record.length - held.record.length
        held.record = record.slice()
        held.sequence = sequence
        held.publishedAt = publishedAt
      }
    }
    held.publishedAt = Math.max(held.publishedAt, publishedAt)
    // Somebody has just stored it with all of us: no need to do the same (Kademlia §2.5).
    held.republishAt = this.#nextRepublish()
    return 'stored'
  }

  #isOverQuota(sender: number, prefix: number): boolean {
    const { recordsPerSenderMax, recordsPerPrefixMax } = this.#core.config
    if ((this.#bySender.get(sender) ?? 0) >= recordsPerSenderMax) return true
    return prefix > 0 && this.#countOf(prefix) >= recordsPerPrefixMax
  }

  #countOf(prefix: number): number {
    return this.#byPrefix.get(prefix)?.size ?? 0
  }

  /**
   * From half full on, only for keys that we are among the nearest of. In full, in the place of one from the network with
   * the most records, where that has at least two more than `prefix`; otherwise of a farther one from the same network.
   */
  #makeRoom(key: Uint8Array, size: number, prefix: number): boolean {
    const { recordsMax, recordBytesMax } = this.#core.config
    if (2 * this.#size >= recordsMax || 2 * this.#bytes >= recordBytesMax) {
      if (!this.#isNear(key)) return false
    }
    const bucket = bucketIndex(this.#core.self, key)
    while (this.#size >= recordsMax || this.#bytes + size > recordBytesMax) {
      const heaviest = this.#heaviestPrefix()
      const isFair = this.#countOf(heaviest) <= this.#countOf(prefix) + 1
      const farthest = this.#farthestOf(isFair ? prefix : heaviest)
      if (farthest === undefined || (isFair && farthest.bucket <= bucket)) return false
      this.#core.counters.add('records-evicted')
      this.#remove(farthest)
    }
    return true
  }

  #heaviestPrefix(): number {
    let heaviest = own
    let count = 0
    for (const [prefix, records] of this.#byPrefix) {
      if (records.size <= count) continue
      heaviest = prefix
      count = records.size
    }
    return heaviest
  }

  /** Of a network's records the one in the farthest bucket of the own id, and of those the oldest. */
  #farthestOf(prefix: number): HeldRecord | undefined {
    let farthest: HeldRecord | undefined
    for (const held of this.#byPrefix.get(prefix) ?? []) {
      if (farthest === undefined || held.bucket > farthest.bucket) farthest = held
    }
    return farthest
  }

  /** Whether fewer than k of the contacts in the table are nearer to the key than we are. */
  #isNear(key: Uint8Array): boolean {
    const { table, contacts, config, self } = this.#core
    const closest: ContactRef[] = []
    table.closest(key, config.k, closest)
    const last = closest[config.k - 1]
    return last === undefined || compareDistances(key, self, contacts.id(last)) < 0
  }

  #insert(held: HeldRecord): void {
    const head = keyHead(held.key)
    held.next = this.#byKey.get(head)
    this.#byKey.set(head, held)
    const network = this.#byPrefix.get(held.prefix)
    if (network === undefined) this.#byPrefix.set(held.prefix, new Set([held]))
    else network.add(held)
    count(this.#bySender, held.sender, 1)
    this.#size++
    this.#bytes += held.record.length
    this.#dueAt = Math.min(this.#dueAt, held.republishAt, held.publishedAt + this.#core.config.expiryMs)
  }

  #remove(held: HeldRecord): void {
    const head = keyHead(held.key)
    let before = this.#byKey.get(head)
    if (before === held) {
      if (held.next === undefined) this.#byKey.delete(head)
      else this.#byKey.set(head, held.next)
    } else {
      while (before !== undefined && before.next !== held) before = before.next
      if (before !== undefined) before.next = held.next
    }
    const network = this.#byPrefix.get(held.prefix)
    network?.delete(held)
    if (network?.size === 0) this.#byPrefix.delete(held.prefix)
    count(this.#bySender, held.sender, -1)
    this.#size--
    this.#bytes -= held.record.length
  }

  #find(key: Uint8Array): HeldRecord | undefined {
    let held = this.#byKey.get(keyHead(key))
    while (held !== undefined && !equalBytes(held.key, key)) held = held.next
    return held
  }

  #isExpired(held: HeldRecord): boolean {
    return this.#core.mono >= held.publishedAt + this.#core.config.expiryMs
  }

  #nextRepublish(): number {
    const { mono, config, jitter } = this.#core
    return mono + config.republishIntervalMs * (1 + republishSpread * jitter.next())
  }

  /** 52 bits of the sender's id. */
  #senderOf(from: ContactRef): number {
    const { contacts } = this.#core
    return contacts.word0(from) * 2 ** 20 + (contacts.word1(from) >>> 12)
  }
}

function keyHead(key: Uint8Array): number {
  return readWord(key, 0) * 2 ** 20 + (readWord(key, 4) >>> 12)
}

function count(counts: Map<number, number>, name: number, by: number): void {
  const sum = (counts.get(name) ?? 0) + by
  if (sum === 0) counts.delete(name)
  else counts.set(name, sum)
}
