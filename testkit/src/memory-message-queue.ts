import { createHash } from 'node:crypto'
import { bytesToHex, equalBytes } from '@miaou/core'
import {
  type BoxStock,
  defaultQueueLimits,
  type FetchedEnvelope,
  type MessageQueue,
  nextQueueClock,
  type QueueFailure,
  type QueueLimits,
  type QueueOperation,
  type QueueResult,
  type QueueTotals,
  queueDeadline,
  type StartMark,
  type TokenStatus,
} from '@miaou/network'

interface KeptEnvelope extends FetchedEnvelope {
  readonly digest: string
  readonly until: number
}

interface SpentToken {
  readonly digest: string
  readonly id: number
  readonly until: number
  readonly isTaken: boolean
}

interface Box {
  start: StartMark
  until: number
  lastId: number
  readonly envelopes: Map<number, KeptEnvelope>
  readonly tokens: Set<string>
  readonly spent: Map<string, SpentToken>
  /** By digest. */
  readonly bundles: Map<string, Uint8Array>
  readonly given: Set<string>
  lastResort: Uint8Array | undefined
}

type Of<T extends QueueOperation['type']> = Extract<QueueOperation, { type: T }>
type Refusal = Extract<QueueResult, { type: 'refused' }>['reason']

/** The port `MessageQueue` in memory, for tests and the simulator: the same rules as the queue on the disk. */
export class MemoryMessageQueue implements MessageQueue {
  readonly #limits: QueueLimits
  #boxes = new Map<string, Box>()
  #clock: number | undefined
  #failures: QueueFailure[] = []
  #isClosed = false

  constructor(limits: Partial<QueueLimits> = {}) {
    this.#limits = { ...defaultQueueLimits, ...limits }
  }

  apply(operations: readonly QueueOperation[]): Promise<readonly QueueResult[] | QueueFailure> {
    return Promise.resolve(this.applyNow(operations))
  }

  /** The same at once, for virtual time. */
  applyNow(operations: readonly QueueOperation[]): readonly QueueResult[] | QueueFailure {
    if (this.#isClosed) return { type: 'failed', kind: 'failed', detail: 'it is closed' }
    return this.#failures.shift() ?? operations.map((operation) => this.#one(operation))
  }

  /** The next `count` groups fail, and nothing of them happens. */
  failNext(kind: QueueFailure['kind'], count = 1): void {
    for (let at = 0; at < count; at++) this.#failures.push({ type: 'failed', kind, detail: 'planted' })
  }

  /** What is kept, open again after a crash or a `close`. */
  reopened(): MemoryMessageQueue {
    const again = new MemoryMessageQueue(this.#limits)
    again.#boxes = this.#boxes
    again.#clock = this.#clock
    return again
  }

  /** The disk of the mailbox is lost. */
  wipe(): void {
    this.#boxes = new Map()
  }

  totals(): QueueTotals {
    let [envelopes, bytes] = [0, 0]
    for (const box of this.#boxes.values()) {
      envelopes += box.envelopes.size
      bytes += sizeOf(box) + bundlesSize(box) + (box.tokens.size + box.spent.size) * this.#limits.tokenCost
    }
    return { boxes: this.#boxes.size, envelopes, bytes }
  }

  get isGone(): boolean {
    return this.#isClosed
  }

  close(): Promise<void> {
    this.#isClosed = true
    return Promise.resolve()
  }

  #one(operation: QueueOperation): QueueResult {
    if (operation.type === 'register') return this.#register(operation)
    if (operation.type === 'expire') return this.#expire(operation.at)
    const name = bytesToHex(operation.box)
    if (operation.type === 'release') {
      this.#boxes.delete(name)
      return { type: 'done' }
    }
    const box = this.#boxes.get(name)
    if (box === undefined) return refused('no-box')
    switch (operation.type) {
      case 'tokens':
        return this.#tokens(box, operation)
      case 'bundles':
        return this.#bundles(box, operation)
      case 'take-bundle':
        return this.#takeBundle(box, operation.allowOneTime)
      case 'deposit':
        return this.#deposit(box, operation)
      case 'check':
        return { type: 'statuses', statuses: operation.tokenHashes.map((hash) => statusOf(box, hash)) }
      case 'read':
        return { type: 'envelopes', envelopes: read(box, operation) }
      case 'acknowledge':
        for (const id of operation.ids) take(box, id)
        return { type: 'done' }
    }
  }

  #register({ box: name, start, at }: Of<'register'>): QueueResult {
    const until = queueDeadline(this.#clock, at, this.#limits.boxLifeMs)
    const known = this.#boxes.get(bytesToHex(name))
    if (known === undefined) {
      if (this.#boxes.size >= this.#limits.boxesMax) return refused('full')
      const box: Box = {
        start: { counter: start.counter, nonce: start.nonce.slice() },
        until,
        lastId: 0,
        envelopes: new Map(),
        tokens: new Set(),
        spent: new Map(),
        bundles: new Map(),
        given: new Set(),
        lastResort: undefined,
      }
      this.#boxes.set(bytesToHex(name), box)
      return { type: 'registered', stock: stockOf(box), staleSince: undefined }
    }
    known.until = until
    const isSame = start.counter === known.start.counter && equalBytes(start.nonce, known.start.nonce)
    const isStale = start.counter <= known.start.counter && !isSame
    if (!isStale) known.start = { counter: start.counter, nonce: start.nonce.slice() }
    return { type: 'registered', stock: stockOf(known), staleSince: isStale ? known.start.counter : undefined }
  }

  #tokens(box: Box, { reset, hashes }: Of<'tokens'>): QueueResult {
    const dropped = reset ? box.tokens.size : 0
    const growth = (hashes.length - dropped) * this.#limits.tokenCost
    const isTooMany = box.tokens.size - dropped + hashes.length > this.#limits.tokensMax
    if (isTooMany || (growth > 0 && this.#isFull(growth))) return refused('full')
    if (reset) box.tokens.clear()
    for (const hash of hashes.map(bytesToHex)) if (!box.spent.has(hash)) box.tokens.add(hash)
    return { type: 'stock', stock: stockOf(box) }
  }

  #bundles(box: Box, { reset, oneTime, lastResort }: Of<'bundles'>): QueueResult {
    const { oneTimeBundlesMax, bundleBytesMax } = this.#limits
    const all = lastResort === undefined ? oneTime : [...oneTime, lastResort]
    const isTooMany = (reset ? 0 : box.bundles.size) + oneTime.length > oneTimeBundlesMax
    const isTooLarge = all.some((bytes) => bytes.length > bundleBytesMax)
    const growth = all.reduce((sum, bytes) => sum + bytes.length, 0)
    if (isTooMany || isTooLarge || (all.length > 0 && this.#isFull(growth))) return refused('full')
    if (reset) box.bundles.clear()
    for (const bytes of oneTime) {
      const digest = digestOf(bytes)
      if (!box.given.has(digest)) box.bundles.set(digest, bytes.slice())
    }
    if (lastResort !== undefined) box.lastResort = lastResort.slice()
    return { type: 'stock', stock: stockOf(box) }
  }

  #takeBundle(box: Box, allowOneTime: boolean): QueueResult {
    const [first] = allowOneTime ? box.bundles : []
    if (first === undefined) return { type: 'bundle', bytes: box.lastResort }
    const [digest, bytes] = first
    box.bundles.delete(digest)
    box.given.add(digest)
    const [oldest] = box.given
    if (box.given.size > this.#limits.givenMax && oldest !== undefined) box.given.delete(oldest)
    return { type: 'bundle', bytes }
  }

  #deposit(box: Box, { tokenHash, bytes, at }: Of<'deposit'>): QueueResult {
    const { boxEnvelopesMax, boxBytesMax, strangersMax, strangersBytesMax, envelopeLifeMs, spentMax } = this.#limits
    const digest = digestOf(bytes)
    const strangers = [...box.envelopes.values()].filter((each) => each.tokenHash === undefined)
    const token = tokenHash === undefined ? undefined : bytesToHex(tokenHash)
    const before = token === undefined ? strangers.find((each) => each.digest === digest) : box.spent.get(token)
    if (before !== undefined) {
      if (before.digest !== digest) return refused('token-spent')
      return { type: 'accepted', id: before.id, until: before.until, repeated: true }
    }
    if (token !== undefined && !box.tokens.has(token)) return refused('token-unknown')
    const isFull = box.envelopes.size >= boxEnvelopesMax || sizeOf(box) + bytes.length > boxBytesMax
    const laneBytes = strangers.reduce((sum, each) => sum + each.bytes.length, bytes.length)
    const isLaneFull = token === undefined && (strangers.length >= strangersMax || laneBytes > strangersBytesMax)
    if (isFull || isLaneFull || this.#isFull(bytes.length)) return refused('full')
    box.lastId += 1
    const id = box.lastId
    const until = queueDeadline(this.#clock, at, envelopeLifeMs)
    box.envelopes.set(id, { id, bytes: bytes.slice(), tokenHash: tokenHash?.slice(), acceptedAt: at, digest, until })
    if (token !== undefined) {
      box.tokens.delete(token)
      box.spent.set(token, { digest, id, until, isTaken: false })
      if (box.spent.size > spentMax) forgetTaken(box, Math.max(1, Math.floor(spentMax / 16)))
    }
    return { type: 'accepted', id, until, repeated: false }
  }

  #isFull(growth: number): boolean {
    return this.totals().bytes + growth > this.#limits.bytesMax
  }

  #expire(at: number): QueueResult {
    const { envelopeLifeMs, boxLifeMs, livesAheadMax } = this.#limits
    const clock = nextQueueClock(this.#clock, at, this.#limits)
    this.#clock = clock
    const latest = Math.max(clock, at)
    const sane = (until: number, lifeMs: number) => (until > latest + livesAheadMax * lifeMs ? latest + lifeMs : until)
    for (const [name, box] of this.#boxes) {
      box.until = sane(box.until, boxLifeMs)
      if (box.until <= clock) this.#boxes.delete(name)
      for (const [id, envelope] of box.envelopes) {
        const until = sane(envelope.until, envelopeLifeMs)
        if (until <= clock) box.envelopes.delete(id)
        else if (until !== envelope.until) box.envelopes.set(id, { ...envelope, until })
      }
      for (const [hash, spent] of box.spent) {
        const until = sane(spent.until, envelopeLifeMs)
        if (until <= clock) box.spent.delete(hash)
        else if (until !== spent.until) box.spent.set(hash, { ...spent, until })
      }
    }
    return { type: 'done' }
  }
}

function take(box: Box, id: number): void {
  const { tokenHash } = box.envelopes.get(id) ?? {}
  box.envelopes.delete(id)
  const hash = tokenHash === undefined ? '' : bytesToHex(tokenHash)
  const spent = box.spent.get(hash)
  if (spent !== undefined) box.spent.set(hash, { ...spent, isTaken: true })
}

function forgetTaken(box: Box, count: number): void {
  const oldest = [...box.spent].filter(([, { isTaken }]) => isTaken).sort(([, a], [, b]) => a.until - b.until)
  for (const [hash] of oldest.slice(0, count)) box.spent.delete(hash)
}

function read(box: Box, { after, countMax, bytesMax }: Of<'read'>): FetchedEnvelope[] {
  const found: FetchedEnvelope[] = []
  let bytes = 0
  for (const { id, bytes: content, tokenHash, acceptedAt } of box.envelopes.values()) {
    if (id <= after) continue
    bytes += content.length
    if (found.length > 0 && (found.length >= countMax || bytes > bytesMax)) break
    found.push({ id, bytes: content, tokenHash, acceptedAt })
  }
  return found
}

function statusOf(box: Box, hash: Uint8Array): TokenStatus {
  const spent = box.spent.get(bytesToHex(hash))
  if (spent === undefined) return 'unknown'
  return spent.isTaken ? 'taken' : 'held'
}

function stockOf({ tokens, bundles, lastResort, envelopes }: Box): BoxStock {
  return {
    tokens: tokens.size,
    oneTimeBundles: bundles.size,
    hasLastResort: lastResort !== undefined,
    waiting: envelopes.size,
  }
}

function sizeOf({ envelopes }: Box): number {
  let size = 0
  for (const { bytes } of envelopes.values()) size += bytes.length
  return size
}

function bundlesSize({ bundles, lastResort }: Box): number {
  let size = lastResort?.length ?? 0
  for (const bytes of bundles.values()) size += bytes.length
  return size
}

function digestOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex').slice(0, 32)
}

function refused(reason: Refusal): QueueResult {
  return { type: 'refused', reason }
}
