import { bytesToHex, equalBytes } from '@miaou/core'
import type { DepositResult, TokenStatus } from '@miaou/network'
import type { ContentBody, DeviceList } from '@miaou/protocol'
import type { Contacts } from './contacts.ts'
import type { Context } from './context.ts'
import type { DepositTokens } from './deposit-tokens.ts'
import { type Deposit, Deposits } from './deposits.ts'
import { HoldingChecks } from './holding-checks.ts'
import { type Holdings, helloPosition, type PostView } from './holdings.ts'
import type { Contact, Device, Session } from './model.ts'
import { isOpen, type Outbox } from './outbox.ts'
import type { OwedReceipts } from './owed-receipts.ts'
import { type EnvelopeCache, estimateSize, type Packing, type ParcelItem } from './packing.ts'
import { type BoxTry, createPost, failureOf, noMessage, type Post } from './post.ts'
import { readPrekeyDocument } from './prekey-documents.ts'
import { numberOf } from './row.ts'
import type { Sessions } from './sessions.ts'
import type { SettingsTable } from './settings.ts'

export interface ParcelParts {
  readonly contacts: Contacts
  readonly sessions: Sessions
  readonly outbox: Outbox
  readonly holdings: Holdings
  readonly tokens: DepositTokens
  readonly owed: OwedReceipts
  readonly packing: Packing
  readonly settings: SettingsTable
  /** Takes in the verified device list of a person, as an announcement on a link would be. */
  readonly adopt: (contact: Contact, list: DeviceList, name: string) => void
  /** False when the device shows another session key than the one that is pinned. */
  readonly showSessionKey: (device: Device, sessionKey: Uint8Array) => boolean
}

// Own choice: links may come and go by the second where a network is bad.
const retryAllMs = 10_000
const never = Number.POSITIVE_INFINITY
// Deliveries looked at for one sealed message: as many as it may have envelopes.
const scanRows = 64
// Numbers that were used before, of which the next is tried at once: a whole window (spec/mailbox).
const spentTokensMax = 64
// Of `jitterMs`, by which links hold messages back, and at most (H05): nobody waits for a mailbox as for a link.
const jitterFactor = 100
const jitterMsMax = 5000
/** Leaves what waits for devices that are not linked in their mailboxes, and sees to it that it stays there. */
export class Parcels {
  readonly #context: Context
  readonly #parts: ParcelParts
  readonly #posts = new Map<Device, Post>()
  readonly #deposits = new Deposits()
  readonly #checks: HoldingChecks
  readonly #fetches = new Map<number, Device>()
  #nextId = 0
  #retryAllAt = 0
  #startAt = 0
  /** When the last link with a device ended. */
  readonly #unlinkedAt = new Map<Device, number>()

  constructor(context: Context, parts: ParcelParts) {
    this.#context = context
    this.#parts = parts
    this.#checks = new HoldingChecks(context, parts)
    parts.holdings.viewOf = (device) => this.#viewOf(device)
  }

  load(): void {
    const { store, now, limits } = this.#context
    this.#startAt = now.mono + limits.depositAfterStartMs
    for (const row of store.all(
      `SELECT DISTINCT device AS id FROM deliveries WHERE state <= 2
       UNION SELECT DISTINCT device AS id FROM owed_receipts
       UNION SELECT id FROM devices WHERE hello_id IS NOT NULL`,
    )) {
      const device = this.#parts.contacts.deviceById(numberOf(row, 'id'))
      if (device) this.#context.touch(device)
    }
  }

  /** A transaction failed: answers to what it let out are for nothing. */
  reset(): void {
    this.#posts.clear()
    this.#deposits.clear()
    this.#checks.reset()
    this.#fetches.clear()
    this.#unlinkedAt.clear()
  }

  /** The link with a device ended. */
  unlinked(device: Device): void {
    this.#unlinkedAt.set(device, this.#context.now.mono + this.#context.limits.depositAfterMs)
    this.#context.touch(device)
  }

  /** The next bundle replaces the sessions with a device, and all that waits starts anew in it. */
  restart(device: Device): void {
    const post = this.#postOf(device)
    if (post.wantsRestart) return
    post.wantsRestart = true
    if (post.fetching === undefined) post.fetchAt = this.#context.now.mono
    post.fetchTries = 0
    this.#context.touch(device)
  }

  /** A newer session of theirs replaced ours: what mailboxes hold was sealed in the old one. */
  replaced(device: Device): void {
    this.#startAnew(device, this.#postOf(device))
    this.#context.touch(device)
  }

  /** Leaves a content that nobody waits for in one of the mailboxes of a device. False when it cannot be now. */
  leave(device: Device, body: ContentBody): boolean {
    const session = this.#mayDeposit(device) ? this.#parts.sessions.sending(device) : undefined
    const post = this.#postOf(device)
    const box = this.#boxesOf(device, post).find(({ retryAt }) => retryAt <= this.#context.now.mono)
    if (!session || !box || !this.#hasRoom(device, post, 1)) return false
    return this.#deposit(device, post, session, box, [{ type: 'other', body }], new Map())
  }

  /** There is a network again, or another one: what failed is tried at once, at most every ten seconds. */
  retryAll(): void {
    const { mono } = this.#context.now
    if (mono < this.#retryAllAt) return
    this.#retryAllAt = mono + retryAllMs
    for (const [device, post] of this.#posts) {
      for (const box of post.boxes.values()) box.retryAt = Math.min(box.retryAt, mono)
      if (post.fetching === undefined) post.fetchAt = Math.min(post.fetchAt, mono)
      this.#context.touch(device)
    }
  }

  /** The clock leapt: what was held until then, or waited for an hour of it, is looked at. */
  lookAgain(): void {
    for (const device of this.#posts.keys()) this.#context.touch(device)
  }

  /** Ends a batch: does for the devices that were touched in it what can be done now. */
  flush(): void {
    const { touched } = this.#context
    // What is done may touch again: a bound device list, a hello that became owed.
    for (const [device, isRescan] of touched) {
      touched.delete(device)
      if (isRescan) this.#rescan(device)
      this.#pump(device)
    }
  }

  wake(): void {
    const { now, limits } = this.#context
    for (let oldest = this.#deposits.oldest(); oldest; oldest = this.#deposits.oldest()) {
      if (oldest.at + limits.answerWaitMs > now.mono) break
      this.deposited(oldest.id, { ok: false, reason: 'unreachable', detail: 'no answer' })
    }
    for (const [device, post] of this.#posts) if (post.dueAt <= now.mono) this.#context.touch(device, true)
  }

  deadline(): number {
    let deadline = (this.#deposits.oldest()?.at ?? never) + this.#context.limits.answerWaitMs
    for (const { dueAt } of this.#posts.values()) deadline = Math.min(deadline, dueAt)
    return deadline
  }

  deposited(id: number, result: DepositResult): void {
    const deposit = this.#deposits.get(id)
    if (!deposit) return
    const { device } = deposit
    const post = this.#posts.get(device)
    if (!result.ok && post && this.#repay(id, deposit, result.reason)) return
    this.#deposits.delete(id)
    if (this.#parts.contacts.deviceById(device.id) !== device) return
    if (result.ok) this.#accepted(deposit, result.until, post)
    else this.#refused(deposit, result.reason)
    this.#context.touch(device, true)
  }

  checked(id: number, statuses: readonly TokenStatus[] | undefined): void {
    const found = this.#checks.answer(id, statuses, (device) => this.#posts.get(device))
    if (!found) return
    this.#lost(found.device, found.lost)
    this.#context.touch(found.device, true)
  }

  bundle(id: number, bytes: Uint8Array | undefined): void {
    const device = this.#fetches.get(id)
    this.#fetches.delete(id)
    const post = device && this.#posts.get(device)
    if (!device || !post || post.fetching !== id) return
    post.fetching = undefined
    const isTaken = bytes !== undefined && this.#takeBundle(device, post, bytes)
    // With a session and a key that still opens, nothing waits for it.
    post.hasNoPrekeys = !isTaken && !(this.#parts.sessions.sending(device) && this.#isKeyUsable(device))
    // Also where it was taken: its key may be none, and who gave it has as many of them as one likes to fetch.
    post.fetchAt = this.#context.now.mono + this.#waitMs(post.fetchTries)
    if (!isTaken) this.#parts.outbox.tellWaiting(device)
    this.#context.touch(device, true)
  }

  #pump(device: Device): void {
    const mayDeposit = this.#mayDeposit(device)
    // Strangers come and go: of none of them is anything kept.
    if (!mayDeposit && device.lane === undefined) this.#unlinkedAt.delete(device)
    if (!mayDeposit || !this.#hasWork(device)) {
      this.#fetches.delete(this.#posts.get(device)?.fetching ?? 0)
      this.#posts.delete(device)
      return
    }
    const post = this.#postOf(device)
    post.dueAt = never
    if (device.mailboxes.length === 0 || !this.#isReady(post)) return
    this.#lost(device, this.#checks.expired(device))
    this.#dropGoneBoxes(device)
    const session = this.#parts.sessions.sending(device)
    if (!session || post.wantsRestart || !this.#isKeyFresh(device)) {
      this.#fetch(device, post)
      // A key that is no longer fresh still opens what is sealed with it for a while.
      if (!session || post.wantsRestart || !this.#isKeyUsable(device) || post.fetching !== undefined) return
    }
    this.#fill(device, post, session)
    this.#checks.run(device, post, () => this.#number())
    post.dueAt = Math.min(post.dueAt, post.checkAt)
  }

  /** Makes as many deposits as may be now, and notes when the next one may be. */
  #fill(device: Device, post: Post, session: Session): void {
    const { now } = this.#context
    const cache: EnvelopeCache = new Map()
    post.rescanAt = never
    let isIdle = true
    const targets = this.#targets(device, post)
    // In turns, so that each mailbox gets the same ratchet messages: the second copy of one is then nothing new.
    for (let isMoving = targets.length > 0; isMoving; ) {
      isMoving = false
      for (const box of targets) {
        const isNewTurn = box === targets[0] || !isMoving
        if (!this.#hasRoom(device, post, isNewTurn ? targets.length : 1)) {
          isIdle = false
          break
        }
        const items = this.#itemsFor(device, post, session, box)
        if (items.length === 0) continue
        isIdle = false
        isMoving = this.#deposit(device, post, session, box, items, cache)
        if (!isMoving) break
      }
    }
    if (cache.size > 0) post.lastAt = now.mono
    post.isIdle = isIdle && this.#deposits.countOf(device) === 0
    post.dueAt = Math.min(post.dueAt, post.rescanAt)
  }

  /** The mailboxes that shall get what waits now: the best that answer, each with its own backoff. */
  #targets(device: Device, post: Post): BoxTry[] {
    const { now, limits } = this.#context
    const boxes = this.#boxesOf(device, post)
    const answering = boxes.filter(({ retryAt }) => retryAt <= now.mono)
    for (const { retryAt } of boxes) if (retryAt > now.mono) post.dueAt = Math.min(post.dueAt, retryAt)
    answering.sort((a, b) => Math.min(a.failures, 1) - Math.min(b.failures, 1))
    const chosen = answering.slice(0, limits.copiesMin)
    if (chosen.length === 0) return []
    const wait = this.#parts.tokens.gatherMs(
      device,
      chosen.map(({ address }) => address.box),
    )
    if (wait === 0 || post.lastAt + wait <= now.mono) return chosen
    post.dueAt = Math.min(post.dueAt, post.lastAt + wait)
    return []
  }

  /** What shall go to a box now, as much as fits one sealed message; empty: nothing. */
  #itemsFor(device: Device, post: Post, session: Session, box: BoxTry): ParcelItem[] {
    const { count, bytes: bytesMax } = this.#parts.packing.room(device, session)
    let bytes = bytesMax
    const items: ParcelItem[] = []
    const add = (item: ParcelItem): boolean => {
      const size = estimateSize(item, session, this.#context.identity.certificate.length)
      if (size > bytes || items.length >= count) return false
      bytes -= size
      items.push(item)
      return true
    }
    if (this.#owesHello(device, box) && device.helloId) add({ type: 'hello', id: device.helloId })
    for (const item of this.#receiptsFor(device, box)) add(item)
    this.#addTexts(device, post, box, add)
    if (items.length === 0 && post.mustSpeak && !this.#deposits.has(device, box, ({ type }) => type === 'other')) {
      add({ type: 'other', body: { type: 'receipt', status: 'delivered', messageIds: [noMessage] } })
    }
    return items
  }

  #addTexts(device: Device, post: Post, box: BoxTry, add: (item: ParcelItem) => boolean): void {
    const { now } = this.#context
    const { holdings, outbox } = this.#parts
    const copies = this.#copies(device)
    const elsewhere = this.#deposits.texts(device)
    let isFirst = true
    for (let after = box.scannedTo; ; ) {
      const rows = holdings.lacking(device.id, box.address.box, { after, copies, limit: scanRows })
      for (const delivery of rows) {
        const { position } = delivery.message
        if (isFirst) box.scannedTo = position - 1
        isFirst = false
        after = position
        const { nextTryAt } = delivery
        const isPostponed = delivery.reason === 'request-pending' || delivery.refusals > 0
        if (isPostponed && nextTryAt !== undefined && nextTryAt > now.wall) {
          post.rescanAt = Math.min(post.rescanAt, this.#context.toMono(nextTryAt))
          // Until they take messages, the later ones wait behind the first.
          if (delivery.reason === 'request-pending') return
          continue
        }
        const boxes = elsewhere.get(position)
        if (boxes?.has(box.key)) continue
        const held = holdings.of({ message: position, device: device.id }).length
        if (held + (boxes?.size ?? 0) >= copies) continue
        if (!add({ type: 'text', delivery, after: outbox.previous(device, delivery.message) })) return
      }
      if (rows.length < scanRows) return
    }
  }

  #receiptsFor(device: Device, box: BoxTry): ParcelItem[] {
    const { owed, settings } = this.#parts
    // One deposit of them at a time in each box: what is answered is forgotten, what comes meanwhile goes with the next.
    if (this.#deposits.has(device, box, ({ type }) => type === 'receipts')) return []
    const batches = owed.take(device)
    const reads = settings.get().readReceipts ? owed.takeReads(device) : undefined
    return [...batches, ...(reads ? [reads] : [])].map((batch) => ({ type: 'receipts', batch }))
  }

  #owesHello(device: Device, box: BoxTry): boolean {
    const { helloId } = device
    if (!helloId || !device.contact.ownHintKey) return false
    const isHello = (item: ParcelItem): boolean => item.type === 'hello' && equalBytes(item.id, helloId)
    if (this.#deposits.has(device, box, isHello)) return false
    const { count, isHere } = this.#parts.holdings.copiesOf(
      { message: helloPosition, device: device.id },
      box.address.box,
    )
    return !isHere && count < this.#copies(device)
  }

  #deposit(
    device: Device,
    post: Post,
    session: Session,
    box: BoxTry,
    items: readonly ParcelItem[],
    cache: EnvelopeCache,
  ): boolean {
    const { packing, tokens, outbox } = this.#parts
    const bytes = packing.seal(device, session, items, cache)
    if (!bytes) {
      // Not a key: the next bundle has another.
      device.sealingKey = undefined
      this.#parts.contacts.saveDevice(device)
      post.dueAt = this.#context.now.mono
      return false
    }
    const token = tokens.take(device, box.address.box)
    const id = this.#number()
    this.#deposits.add(id, { device, box, items, token, bytes, at: this.#context.now.mono, spentTokens: 0 })
    post.mustSpeak = false
    const deliveries = items.flatMap((item) => (item.type === 'text' ? [item.delivery] : []))
    for (const { state, message } of deliveries) if (state === 'queued') post.neverSent.add(message.position)
    outbox.handedOver(device, deliveries)
    this.#context.output({ type: 'deposit', id, to: box.address, token, bytes })
    return true
  }

  /** The same once more with another token, or by the strangers' lane. False: neither will help. */
  #repay(id: number, deposit: Deposit, reason: string): boolean {
    const { device, box, bytes } = deposit
    if (deposit.token === undefined || (reason !== 'token-spent' && reason !== 'token-unknown')) return false
    deposit.spentTokens += 1
    const mayRepeat = reason === 'token-spent' && deposit.spentTokens < spentTokensMax
    deposit.token = mayRepeat ? this.#parts.tokens.take(device, box.address.box) : undefined
    this.#context.output({ type: 'deposit', id, to: box.address, token: deposit.token, bytes })
    return true
  }

  #accepted({ device, box: used, items, token }: Deposit, until: number, post: Post | undefined): void {
    const { holdings, outbox, owed } = this.#parts
    const { address } = used
    Object.assign(post?.boxes.get(used.key) ?? used, { failures: 0, retryAt: 0, reason: undefined })
    const holding = { box: address.box, mailbox: address.mailbox.mailboxId, token, until: Math.round(until) }
    for (const item of items) {
      if (item.type === 'text') {
        const key = { message: item.delivery.message.position, device: device.id }
        post?.neverSent.delete(key.message)
        if (outbox.held(device, item.delivery.message)) holdings.add(key, holding)
      } else if (item.type === 'receipts') owed.done(device, item.batch)
      else if (item.type === 'hello' && device.helloId && equalBytes(item.id, device.helloId)) {
        holdings.add({ message: helloPosition, device: device.id }, holding)
      }
    }
    if (post) post.fetchTries = 0
    if (post && post.checkAt === never) this.#checks.plan(post)
  }

  #refused({ device, box: used, items }: Deposit, reason: string): void {
    const { now } = this.#context
    const box = this.#posts.get(device)?.boxes.get(used.key) ?? used
    box.failures += 1
    box.retryAt = now.mono + this.#waitMs(box.failures)
    box.reason = reason === 'unreachable' || reason === 'no-box' ? 'mailboxes-unreachable' : 'mailboxes-full'
    this.#context.drop(`deposit-${reason}`)
    for (const item of items) {
      if (item.type !== 'text') continue
      const { message } = item.delivery
      const isElsewhere = (this.#deposits.texts(device).get(message.position)?.size ?? 0) > 0
      if (isElsewhere) continue
      const wasNeverSent = this.#posts.get(device)?.neverSent.delete(message.position) ?? false
      this.#parts.outbox.notHeld(device, message, wasNeverSent)
    }
    // What these waited for is theirs again, at this box or another.
    this.#rescan(device)
  }

  /** Mailboxes no longer hold these messages. */
  #lost(device: Device, positions: readonly number[]): void {
    if (positions.length === 0) return
    this.#rescan(device)
    for (const message of positions) if (message !== helloPosition) this.#parts.outbox.lost(device, message)
  }

  #rescan(device: Device): void {
    for (const box of this.#posts.get(device)?.boxes.values() ?? []) box.scannedTo = 0
  }

  /** A box that the device names no longer is read by nobody. */
  #dropGoneBoxes(device: Device): void {
    const { holdings } = this.#parts
    for (const box of holdings.boxes(device.id)) {
      if (device.mailboxes.some((address) => equalBytes(address.box, box))) continue
      this.#lost(device, holdings.dropBox(device.id, box))
    }
  }

  #fetch(device: Device, post: Post): void {
    const { now, limits } = this.#context
    // One that was not answered until now will not be.
    if (post.fetching !== undefined && post.fetchAt <= now.mono) this.bundle(post.fetching, undefined)
    if (!device.locatorKey) {
      post.hasNoPrekeys = true
      return
    }
    const isFull = this.#fetches.size >= limits.bundleFetchesMax
    if (post.fetchAt <= now.mono && !isFull) {
      post.fetchTries += 1
      post.fetching = this.#number()
      this.#fetches.set(post.fetching, device)
      post.fetchAt = now.mono + limits.answerWaitMs
      const { mailboxes: from, bundleKey } = device
      this.#context.output({ type: 'fetch-bundle', id: post.fetching, from, bundleKey })
    }
    post.dueAt = Math.min(post.dueAt, Math.max(post.fetchAt, isFull ? now.mono + 1000 : 0))
  }

  #takeBundle(device: Device, post: Post, bytes: Uint8Array): boolean {
    const { now } = this.#context
    const { contacts, sessions, adopt, showSessionKey } = this.#parts
    const document = readPrekeyDocument(this.#context, device, bytes)
    if (!document) return false
    const { bundle, list, name } = document
    adopt(device.contact, list, name)
    // The list may say that the device is none of theirs any more, or that the person has a fork.
    if (!this.#mayDeposit(device) || !showSessionKey(device, bundle.sessionKey)) return false
    if (!bundle.sealingKey) {
      this.#context.drop('bundle-no-sealing-key')
      return false
    }
    device.sealingKey = { id: bundle.sealingKeyId ?? 0, key: bundle.sealingKey, at: Math.round(now.wall) }
    contacts.saveDevice(device)
    if (sessions.sending(device) && !post.wantsRestart) return true
    const isFirst = sessions.of(device).length === 0
    if (!sessions.initiate(device, bundle)) return false
    // Who wants to start anew without a session has lost all: the other side must hear of the new one.
    if (!isFirst || post.wantsRestart) this.#startAnew(device, post)
    post.wantsRestart = false
    return true
  }

  /** What mailboxes hold was sealed in a session that is no longer the one: all that waits goes out again. */
  #startAnew(device: Device, post: Post): void {
    this.#parts.holdings.dropDevice(device.id)
    this.#parts.outbox.lostAll(device)
    this.#rescan(device)
    post.mustSpeak = true
  }

  /** Deposits, checks and fetches are numbered together; never again in this process. */
  #number(): number {
    this.#nextId += 1
    return this.#nextId
  }

  #mayDeposit(device: Device): boolean {
    const isKnown = this.#parts.contacts.deviceById(device.id) === device
    return isKnown && device.lane === undefined && device.state !== 'revoked' && isOpen(device)
  }

  #hasWork(device: Device): boolean {
    const { outbox, owed, settings } = this.#parts
    const post = this.#posts.get(device)
    if (device.helloId || post?.wantsRestart || post?.mustSpeak || this.#deposits.countOf(device) > 0) return true
    if (outbox.hasWaiting(device) || owed.has(device)) return true
    return settings.get().readReceipts && owed.hasReads(device)
  }

  /** Whether the waits before a deposit are over: the start's, the link's, that of jitter and of gathering receipts. */
  #isReady(post: Post): boolean {
    if (post.readyAt <= this.#context.now.mono) return true
    post.dueAt = post.readyAt
    return false
  }

  #postOf(device: Device): Post {
    const known = this.#posts.get(device)
    const { now } = this.#context
    if (known) {
      if (known.isIdle) {
        known.isIdle = false
        known.readyAt = Math.max(known.readyAt, now.mono + this.#holdBackMs(device))
      }
      return known
    }
    const unlinkedAt = this.#unlinkedAt.get(device) ?? 0
    this.#unlinkedAt.delete(device)
    const readyAt = Math.max(this.#startAt, unlinkedAt, now.mono + this.#holdBackMs(device))
    const created = createPost(now.mono, readyAt)
    this.#posts.set(device, created)
    return created
  }

  /** Before the first of a burst: at random, so that nobody sees by the time who answers whom; receipts are gathered. */
  #holdBackMs(device: Device): number {
    const { jitter, limits } = this.#context
    const { jitterMs } = this.#parts.settings.get()
    const randomMs = Math.round(jitter.next() * Math.min(jitterMsMax, jitterMs * jitterFactor))
    const hasTexts = device.helloId !== undefined || this.#parts.outbox.hasUnheld(device)
    return Math.max(randomMs, hasTexts ? 0 : limits.receiptGatherMs)
  }

  #boxesOf(device: Device, post: Post): BoxTry[] {
    const names = new Set<string>()
    const boxes = device.mailboxes.map((address) => {
      const key = `${bytesToHex(address.box)} ${bytesToHex(address.mailbox.mailboxId)}`
      names.add(key)
      const known = post.boxes.get(key)
      if (known) return known
      const created = { key, address, failures: 0, retryAt: 0, reason: undefined, scannedTo: 0 }
      post.boxes.set(key, created)
      return created
    })
    for (const key of post.boxes.keys()) if (!names.has(key)) post.boxes.delete(key)
    return boxes
  }

  #copies(device: Device): number {
    return Math.min(this.#context.limits.copiesMin, device.mailboxes.length)
  }

  #hasRoom(device: Device, post: Post, count: number): boolean {
    const { depositsPerDeviceMax, depositsMax, depositBytesMax } = this.#context.limits
    const isRoom = this.#deposits.count < depositsMax && this.#deposits.bytes < depositBytesMax
    // Nobody tells this device when the others are done: it looks again soon.
    if (!isRoom) post.dueAt = Math.min(post.dueAt, this.#context.now.mono + 1000)
    return isRoom && this.#deposits.countOf(device) + count <= depositsPerDeviceMax
  }

  #isKeyFresh({ sealingKey }: Device): boolean {
    return sealingKey !== undefined && this.#context.now.wall - sealingKey.at < this.#context.limits.sealingKeyFreshMs
  }

  #isKeyUsable({ sealingKey }: Device): boolean {
    return sealingKey !== undefined && this.#context.now.wall - sealingKey.at < this.#context.limits.sealingKeyUsableMs
  }

  /** 1, 2 and 3 s, then the backoff of the outbox. */
  #waitMs(failures: number): number {
    const { directRetriesMs } = this.#context.limits
    return directRetriesMs[failures - 1] ?? this.#parts.outbox.backoffMs(failures - directRetriesMs.length)
  }

  #viewOf(id: number): PostView | undefined {
    const device = this.#parts.contacts.deviceById(id)
    if (!device || device.lane) return undefined
    if (device.mailboxes.length === 0) return { reason: 'no-mailbox', nextTryAt: undefined }
    const post = this.#posts.get(device)
    if (!post) return undefined
    const toWall = (mono: number): number | undefined => (mono === never ? undefined : this.#context.toWall(mono))
    if (post.hasNoPrekeys) return { reason: 'no-prekeys', nextTryAt: toWall(post.fetchAt) }
    const boxes = this.#boxesOf(device, post)
    const reason = failureOf(boxes)
    if (!reason) return { reason, nextTryAt: toWall(post.dueAt) }
    return { reason, nextTryAt: toWall(Math.min(...boxes.map(({ retryAt }) => retryAt))) }
  }
}
