import { bytesToHex, hexToBytes } from '@miaou/core'
import type { BoxStock } from '@miaou/network'
import {
  type BoxAddress,
  depositSecretSize,
  depositToken,
  encodePeerAnnouncement,
  encodePrekeyDocument,
  inviteDepositSecret,
  prekeyAnnouncementSizeMax,
  sealBundle,
  tokenHash,
} from '@miaou/protocol'
import type { Contacts } from './contacts.ts'
import type { Context } from './context.ts'
import type { MessagingInput } from './interface.ts'
import type { Device } from './model.ts'
import type { Prekeys } from './prekeys.ts'
import { bytesOf, maybeBytesOf, maybeNumberOf, numberOf } from './row.ts'
import type { SettingsTable } from './settings.ts'

export interface BoxParts {
  readonly contacts: Contacts
  readonly prekeys: Prekeys
  readonly settings: SettingsTable
}

/** Whose tokens: a contact's device, or whoever holds an invite. */
interface Holder {
  readonly device: Device | undefined
  readonly invite: Uint8Array | undefined
  readonly secret: () => Uint8Array
  /** Tokens that it has ahead of the highest used. */
  readonly ahead: number
  /** Numbers beyond which it gets none. */
  readonly numbersMax: number
}

/** What is known of the tokens of one holder at one box. */
interface TokenWindow {
  readonly device: number | undefined
  readonly invite: Uint8Array | undefined
  /** Highest number given. */
  top: number
  count: number
  /** Monotonic ms before which it is not extended for what came without a token. */
  extendAt: number
}

interface OwnBox {
  readonly id: Uint8Array
  readonly name: string
  address: BoxAddress
  stock: BoxStock | undefined
  /** Monotonic ms at which it was told. */
  stockAt: number
  readonly windows: Map<string, TokenWindow>
  /** Rows of the table for this box. */
  tokenCount: number
  /** Hashes in the table of which the mailbox was not told. */
  added: Uint8Array[]
  /** Monotonic ms of the last supply. */
  suppliedAt: number
  /** Monotonic ms of the last one with bundles. */
  bundledAt: number
  /** Its stock must be looked at: at that time. */
  lookAt: number
  /** Monotonic ms before which its windows are not extended again for lost tokens. */
  extendAt: number
  /** The last-resort bundle that it was given in this process. */
  lastResort: string | undefined
}

// Boxes whose tokens are remembered although no mailbox is named for them now: who comes back finds its numbers again.
const boxesMax = 8
// Highest number of a token: what a u32 holds.
const tokenNumberMax = 0xffff_ffff
// Numbers passed over are given up that far behind the highest used: own choice, twice what may be on its way.
const numbersBehind = 128
// Of the tokens in a box, those of invites (own choice): a quarter.
const inviteShare = 4
// How many more a mailbox may have than we know of before all are replaced: own choice, some windows given up.
const strayTokensMax = 512
// Least time between two extensions of all windows of a box, ms (own choice).
const extendWaitMs = 3_600_000
// How many times `supplyWaitMs` a supply may take that goes on arriving (own choice): 500 kB at 1.7 kB/s.
const slowSupplies = 10

/**
 * Our boxes at mailboxes: which delivery tokens and prekey bundles each must have, and what it lacks. Hashes of a contact
 * are never told alone where it can be helped: they are mixed with those of all others, in random order.
 */
export class Boxes {
  readonly #context: Context
  readonly #parts: BoxParts
  #boxes = new Map<string, OwnBox>()
  #holdersAreStale = false
  #holders: Map<string, Holder> | undefined
  /** The last-resort document as last told to the network. */
  #toldLastResort: string | undefined
  #isLastResortDue = false
  #isStale = false

  constructor(context: Context, parts: BoxParts) {
    this.#context = context
    this.#parts = parts
  }

  /** A transaction failed: the windows are read again when they are next needed. The boxes stay, as the network named them. */
  reset(): void {
    this.#isStale = true
    // What the failed batch let out did not leave; what an earlier one did is on its way.
    const { mono } = this.#context.now
    for (const box of this.#boxes.values()) {
      if (box.suppliedAt === mono) box.suppliedAt = Number.NEGATIVE_INFINITY
      if (box.bundledAt === mono) box.bundledAt = Number.NEGATIVE_INFINITY
    }
    this.#holders = undefined
    this.#toldLastResort = undefined
    this.#isLastResortDue = true
  }

  /** The boxes there are, whole list, best first. */
  own(boxes: Extract<MessagingInput, { type: 'boxes' }>['boxes']): void {
    this.#reload()
    const { mono } = this.#context.now
    const known = this.#boxes
    this.#boxes = new Map()
    for (const { address, stock } of boxes) {
      const name = bytesToHex(address.box)
      const box = known.get(name) ?? this.#createBox(name, address)
      // The same as before a supply says that nothing of it has come yet, or ever will.
      const isSame = box.stock !== undefined && stock !== undefined && isSameStock(stock, box.stock)
      const isNews = stock !== undefined && (!isSame || box.stockAt <= box.suppliedAt)
      box.address = address
      box.stock = stock
      if (isNews) {
        box.lookAt = this.#lookAt(box)
        box.stockAt = mono
      }
      this.#boxes.set(name, box)
    }
    this.#forgetOldBoxes()
  }

  /** Where they are, best first. */
  addresses(): BoxAddress[] {
    return [...this.#boxes.values()].map(({ address }) => address)
  }

  /** Somebody came, went or was blocked, or an invite was made: the boxes' tokens follow at the end of the batch. */
  contactsChanged(): void {
    this.#holdersAreStale = true
  }

  /** Rows of the table are gone, as somebody was blocked or removed: the mailboxes must forget those hashes. */
  tokensRevoked(): void {
    this.#reload()
    for (const row of this.#context.store.all('SELECT DISTINCT box FROM box_tokens')) {
      this.#parts.settings.write(resetKey(bytesToHex(bytesOf(row, 'box'))), 'due')
    }
    for (const box of this.#boxes.values()) {
      this.#parts.settings.write(resetKey(box.name), 'due')
      this.#loadWindows(box)
      // All there are go out with the reset.
      box.added = []
    }
    this.#holdersAreStale = true
  }

  /** The documents' keys must not be used any more (`Prekeys.deleteOneTime`): the boxes get others. */
  renewBundles(): void {
    for (const { name } of this.#boxes.values()) this.#parts.settings.write(bundlesKey(name), '')
    for (const box of this.#boxes.values()) box.lookAt = this.#context.now.mono
  }

  /** An envelope came that a token paid for, or none did: whose window goes on. */
  paid(boxId: Uint8Array, hash: Uint8Array | undefined, sender: Device | undefined): void {
    this.#reload()
    const box = this.#boxes.get(bytesToHex(boxId))
    if (!box) return
    if (hash === undefined) {
      // A contact that has no token left, as it wrote more than we fetched in time.
      const key = windowKey(sender?.id, undefined)
      const ended = sender && box.windows.get(key)
      if (!ended || this.#context.now.mono < ended.extendAt) return
      ended.extendAt = this.#context.now.mono + this.#context.limits.supplyWaitMs
      this.#extend(box, key, ended)
      return
    }
    const { store } = this.#context
    const row = store.get('SELECT device, invite, number FROM box_tokens WHERE box = ? AND hash = ?', [box.id, hash])
    if (!row) return
    const owner = maybeNumberOf(row, 'device')
    if (owner !== undefined && sender && owner !== sender.id) this.#context.drop('token-of-another')
    const key = windowKey(owner, maybeBytesOf(row, 'invite'))
    const span = box.windows.get(key)
    if (!span) return
    const used = numberOf(row, 'number')
    this.#refill(box, key, span, used)
    this.#delete(box, span, 'number = ? OR number < ?', [used, used - numbersBehind])
  }

  /** Deletes tokens of what is no more, and asks for the bundles to be looked at: once an hour. */
  maintain(): void {
    this.#holdersAreStale = true
    this.#isLastResortDue = true
    for (const box of this.#boxes.values()) box.lookAt = Math.min(box.lookAt, this.#lookAt(box))
  }

  /** Ends a batch: what the boxes lack goes out. */
  flush(): void {
    this.#reload()
    if (this.#holdersAreStale) {
      this.#holdersAreStale = false
      this.#holders = undefined
      for (const box of this.#boxes.values()) this.#alignWindows(box)
    }
    for (const box of this.#boxes.values()) {
      if (box.lookAt <= this.#context.now.mono) this.#look(box)
      else if (box.added.length > 0 || this.#mustReset(box)) this.#supply(box, this.#mustReset(box))
    }
    if (this.#isLastResortDue || this.#toldLastResort !== undefined) this.#tellLastResort()
  }

  deadline(): number {
    let deadline = Number.POSITIVE_INFINITY
    for (const { lookAt, stock } of this.#boxes.values()) if (stock) deadline = Math.min(deadline, lookAt)
    return deadline
  }

  /** A supply that is on its way is not in the stock yet, or, over a slow link, not all of it. */
  #lookAt({ suppliedAt, stockAt }: OwnBox): number {
    const { supplyWaitMs } = this.#context.limits
    const progressAt =
      stockAt > suppliedAt ? Math.min(stockAt, suppliedAt + (slowSupplies - 1) * supplyWaitMs) : suppliedAt
    return Math.max(this.#context.now.mono, progressAt + supplyWaitMs)
  }

  #reload(): void {
    if (!this.#isStale) return
    this.#isStale = false
    for (const box of this.#boxes.values()) {
      this.#loadWindows(box)
      box.added = []
      box.lookAt = Math.max(this.#context.now.mono, box.suppliedAt + this.#context.limits.supplyWaitMs)
      box.lastResort = undefined
    }
  }

  #createBox(name: string, address: BoxAddress): OwnBox {
    const box: OwnBox = {
      id: address.box,
      name,
      address,
      stock: undefined,
      stockAt: Number.NEGATIVE_INFINITY,
      windows: new Map(),
      tokenCount: 0,
      added: [],
      suppliedAt: Number.NEGATIVE_INFINITY,
      bundledAt: Number.NEGATIVE_INFINITY,
      lookAt: Number.POSITIVE_INFINITY,
      extendAt: Number.NEGATIVE_INFINITY,
      lastResort: undefined,
    }
    this.#loadWindows(box)
    return box
  }

  #loadWindows(box: OwnBox): void {
    box.windows.clear()
    box.tokenCount = 0
    const rows = this.#context.store.all(
      'SELECT device, invite, max(number) AS top, count(*) AS count FROM box_tokens WHERE box = ? GROUP BY device, invite',
      [box.id],
    )
    for (const row of rows) {
      const [device, invite] = [maybeNumberOf(row, 'device'), maybeBytesOf(row, 'invite')]
      const count = numberOf(row, 'count')
      box.windows.set(windowKey(device, invite), { device, invite, top: numberOf(row, 'top'), count, extendAt: 0 })
      box.tokenCount += count
    }
  }

  #forgetOldBoxes(): void {
    const { store } = this.#context
    const rows = store.all('SELECT DISTINCT box FROM box_tokens')
    if (rows.length <= boxesMax) return
    for (const row of rows) {
      const id = bytesOf(row, 'box')
      if (!this.#boxes.has(bytesToHex(id))) store.run('DELETE FROM box_tokens WHERE box = ?', [id])
    }
  }

  /** Compares what a mailbox has with what it should have. */
  #look(box: OwnBox): void {
    const { stock } = box
    box.lookAt = Number.POSITIVE_INFINITY
    if (!stock) return
    const { settings } = this.#parts
    const told = box.tokenCount - box.added.length
    const isUpToDate = box.stockAt > box.suppliedAt
    if (isUpToDate && settings.read(resetKey(box.name)) === 'told') {
      // It is done once the mailbox has no more than it was told; else the order to forget them was lost.
      if (stock.tokens <= told) settings.remove(resetKey(box.name))
      else settings.write(resetKey(box.name), 'due')
    }
    // Tokens that are neither there nor in envelopes that wait: the mailbox lost them, or they paid for what has expired.
    const isLost = isUpToDate && stock.tokens + stock.waiting < told
    if (isLost) {
      this.#context.drop('box-tokens-lost')
      // A mailbox that says so all the time makes us work now and then.
      const mayExtend = box.extendAt <= this.#context.now.mono
      if (mayExtend) for (const [key, span] of box.windows) this.#extend(box, key, span)
      if (mayExtend) box.extendAt = this.#context.now.mono + extendWaitMs
    }
    this.#alignWindows(box)
    this.#supply(box, isLost || (isUpToDate && stock.tokens > told + strayTokensMax) || this.#mustReset(box))
  }

  /** A reset that was decided and not confirmed by a stock yet. */
  #mustReset(box: OwnBox): boolean {
    return this.#parts.settings.read(resetKey(box.name)) === 'due'
  }

  #supply(box: OwnBox, resetTokens: boolean): void {
    const { stock } = box
    if (!stock) return
    const { prekeys, settings } = this.#parts
    const { limits, now } = this.#context
    const tokenHashes = resetTokens ? this.#allHashes(box) : box.added
    const version = this.#lastResortVersion()
    // With the keys that all bundles share their one-time ones are replaced too: they would be gone before somebody asks.
    const resetBundles = (settings.read(bundlesKey(box.name)) ?? version) !== version
    const bundleCount = resetBundles ? 0 : stock.oneTimeBundles
    const oneTimeBundles: Uint8Array[] = []
    // Those that are on their way are in no stock yet.
    const mayBundle = box.stockAt > box.bundledAt && now.mono >= box.bundledAt + limits.supplyWaitMs
    if (bundleCount < limits.boxBundlesMin && mayBundle) {
      while (bundleCount + oneTimeBundles.length < limits.boxBundlesMax) {
        const bundle = prekeys.boxBundle()
        if (!bundle) break
        oneTimeBundles.push(this.#seal(bundle))
      }
    }
    const lastResortBundle =
      !stock.hasLastResort || resetBundles || box.lastResort !== version ? this.#lastResort().bytes : undefined
    if (!resetTokens && !resetBundles && !lastResortBundle && tokenHashes.length + oneTimeBundles.length === 0) return
    if (resetTokens) settings.write(resetKey(box.name), 'told')
    if (settings.read(bundlesKey(box.name)) !== version) settings.write(bundlesKey(box.name), version)
    box.added = []
    box.suppliedAt = now.mono
    if (oneTimeBundles.length > 0) box.bundledAt = now.mono
    box.lastResort = version
    const supply = {
      resetTokens,
      tokenHashes: this.#shuffle(tokenHashes),
      resetBundles,
      oneTimeBundles,
      lastResortBundle,
    }
    this.#context.output({ type: 'supply', box: box.id, supply })
  }

  /** Brings the windows in line with the holders there are. */
  #alignWindows(box: OwnBox): void {
    const holders = this.#knownHolders()
    for (const [key, span] of box.windows) {
      if (span.device === undefined || holders.has(key)) continue
      // Who was blocked or removed must not be able to write on: the mailbox is told all others anew.
      this.#delete(box, span, 'number >= 0', [])
      box.windows.delete(key)
      this.#parts.settings.write(resetKey(box.name), 'due')
    }
    for (const [key, { device, invite }] of holders) {
      if (box.windows.has(key)) continue
      const span: TokenWindow = { device: device?.id, invite, top: -1, count: 0, extendAt: 0 }
      box.windows.set(key, span)
      this.#refill(box, key, span, -1)
      if (span.count === 0) box.windows.delete(key)
    }
  }

  /** As many new tokens as a window has, behind its highest; the lowest of it go. */
  #extend(box: OwnBox, key: string, span: TokenWindow): void {
    this.#refill(box, key, span, span.top)
    this.#delete(box, span, 'number < ?', [span.top - numbersBehind])
  }

  /** Gives tokens up to as many as may be ahead of `used`. */
  #refill(box: OwnBox, key: string, span: TokenWindow, used: number): void {
    const { store, crypto, limits } = this.#context
    const holder = this.#knownHolders().get(key)
    if (!holder) return
    const target = Math.min(used + holder.ahead, holder.numbersMax)
    if (target > span.top && box.tokenCount + target - span.top > limits.boxTokensMax) this.#trim(box)
    while (span.top < target && box.tokenCount < limits.boxTokensMax) {
      span.top += 1
      const hash = tokenHash(crypto, depositToken(crypto, holder.secret(), box.id, span.top))
      const { device = null, invite = null } = span
      store.run('INSERT OR IGNORE INTO box_tokens (box, hash, device, invite, number) VALUES (?, ?, ?, ?, ?)', [
        box.id,
        hash,
        device,
        invite,
        span.top,
      ])
      span.count += 1
      box.tokenCount += 1
      box.added.push(hash)
    }
  }

  /** There are more contacts than when the windows were made: each gets as few as all can have. */
  #trim(box: OwnBox): void {
    for (const [key, span] of box.windows) {
      const excess = span.count - (this.#knownHolders().get(key)?.ahead ?? 0)
      if (excess <= 0) continue
      span.top -= excess
      this.#delete(box, span, 'number > ?', [span.top])
      this.#parts.settings.write(resetKey(box.name), 'due')
    }
  }

  #delete(box: OwnBox, span: TokenWindow, where: string, parameters: readonly number[]): void {
    const { device, invite } = span
    const [column, owner] = device === undefined ? ['invite', invite ?? null] : ['device', device]
    const rows = this.#context.store.all(
      `DELETE FROM box_tokens WHERE box = ? AND ${column} = ? AND (${where}) RETURNING hash`,
      [box.id, owner, ...parameters],
    )
    span.count -= rows.length
    box.tokenCount -= rows.length
    if (box.added.length === 0) return
    const gone = new Set(rows.map((row) => bytesToHex(bytesOf(row, 'hash'))))
    box.added = box.added.filter((hash) => !gone.has(bytesToHex(hash)))
  }

  #allHashes(box: OwnBox): Uint8Array[] {
    return this.#context.store
      .all('SELECT hash FROM box_tokens WHERE box = ?', [box.id])
      .map((row) => bytesOf(row, 'hash'))
  }

  /** By the key of their window: every device of a contact, and every open invite. */
  #knownHolders(): Map<string, Holder> {
    if (this.#holders) return this.#holders
    const { store, crypto, limits, now } = this.#context
    const { contacts } = this.#parts
    const devices = [...contacts.devices()].filter(
      ({ state, contact }) => state !== 'revoked' && contact.state === 'contact',
    )
    const invites = store.all('SELECT token, uses FROM invites WHERE expires_at > ?', [now.wall])
    const perInviteMax = Math.floor(limits.boxTokensMax / inviteShare / Math.max(1, invites.length))
    const perDeviceMax = Math.floor((limits.boxTokensMax * (1 - 1 / inviteShare)) / Math.max(1, devices.length))
    const ahead = Math.max(1, Math.min(limits.tokensAhead, perDeviceMax))
    const holders = new Map<string, Holder>()
    for (const device of devices) {
      const secret = (): Uint8Array => ownDepositSecret(this.#context, contacts, device)
      holders.set(windowKey(device.id, undefined), {
        device,
        invite: undefined,
        secret,
        ahead,
        numbersMax: tokenNumberMax,
      })
    }
    for (const row of invites) {
      const invite = bytesOf(row, 'token')
      const secret = inviteDepositSecret(crypto, invite)
      const numbersMax = numberOf(row, 'uses') * limits.tokensPerInviteUse - 1
      const facts = { secret: () => secret, ahead: Math.min(limits.tokensAhead, perInviteMax), numbersMax }
      holders.set(windowKey(undefined, invite), { device: undefined, invite, ...facts })
    }
    this.#holders = holders
    return holders
  }

  /** Fisher and Yates: the order tells nothing of whose they are. */
  #shuffle(hashes: readonly Uint8Array[]): Uint8Array[] {
    const shuffled = [...hashes]
    if (shuffled.length < 2) return shuffled
    const bytes = this.#context.random.bytes(4 * shuffled.length)
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
    for (let index = shuffled.length - 1; index > 0; index--) {
      const other = view.getUint32(4 * index) % (index + 1)
      const [a, b] = [shuffled[index], shuffled[other]]
      if (a && b) {
        shuffled[index] = b
        shuffled[other] = a
      }
    }
    return shuffled
  }

  /** A bundle, and all that one needs to check it, for whoever knows the locator key. */
  #seal(bundle: Uint8Array): Uint8Array {
    const { crypto, random, identity } = this.#context
    const { accountKey, certificate, deviceKey } = identity
    const { settings } = this.#parts
    const announcement = encodePeerAnnouncement({
      accountKey,
      deviceList: identity.deviceList,
      name: settings.selfName(),
    })
    const document = encodePrekeyDocument({
      bundle,
      certificate,
      // An account with a long list tells it on the first link, or in its own first message.
      announcement: announcement.length <= prekeyAnnouncementSizeMax ? announcement : new Uint8Array(0),
    })
    return sealBundle(crypto, random, settings.locatorKey(), deviceKey.publicKey, document)
  }

  #tellLastResort(): void {
    this.#isLastResortDue = false
    // At every flush: the document itself is read only when another is to be told.
    if (this.#toldLastResort === this.#lastResortVersion()) return
    const { version, bytes } = this.#lastResort()
    this.#toldLastResort = version
    this.#context.output({ type: 'last-resort', bytes })
  }

  #lastResortVersion(): string {
    const { settings, prekeys } = this.#parts
    return `${prekeys.lastResortVersion()} ${bytesToHex(settings.locatorKey())}`
  }

  /** The same bytes as long as its keys are the same: where the overlay has them follows from what they are. */
  #lastResort(): { readonly version: string; readonly bytes: Uint8Array } {
    const { settings, prekeys } = this.#parts
    const version = this.#lastResortVersion()
    const stored = settings.read('lastResort') === version ? settings.read('lastResortDocument') : undefined
    const known = stored === undefined ? undefined : hexToBytes(stored)
    if (known) return { version, bytes: known }
    const bytes = this.#seal(prekeys.lastResort())
    settings.write('lastResort', version)
    settings.write('lastResortDocument', bytesToHex(bytes))
    return { version, bytes }
  }
}

/** What a contact's device makes its tokens for our boxes from: made when it is first needed. */
export function ownDepositSecret({ random }: Context, contacts: Contacts, device: Device): Uint8Array {
  if (device.ownDepositSecret) return device.ownDepositSecret
  device.ownDepositSecret = random.bytes(depositSecretSize)
  contacts.saveDevice(device)
  return device.ownDepositSecret
}

function windowKey(device: number | undefined, invite: Uint8Array | undefined): string {
  return device === undefined ? `invite ${invite ? bytesToHex(invite) : ''}` : `device ${device}`
}

/** The setting that says whether a mailbox must forget tokens: `due`, or `told` and not seen to be done. */
function resetKey(box: string): string {
  return `boxReset ${box}`
}

/** The setting that says with which lasting keys, and sealed by which locator key, the bundles at a box were made. */
function bundlesKey(box: string): string {
  return `boxBundles ${box}`
}

function isSameStock(a: BoxStock, b: BoxStock): boolean {
  return (
    a.tokens === b.tokens &&
    a.oneTimeBundles === b.oneTimeBundles &&
    a.hasLastResort === b.hasLastResort &&
    a.waiting === b.waiting
  )
}
