import { bytesToHex, type PeerId, textToBytes } from '@miaou/core'
import { createLibsodiumCrypto, type KeyPair } from '@miaou/crypto'
import type { MessagingInput, MessagingOutput } from '@miaou/messaging'
import type { BoxStock, DepositResult, TokenStatus } from '@miaou/network'
import { type BoxAddress, boxToEntry, signDeviceRecord, tokenHash } from '@miaou/protocol'

const crypto = await createLibsodiumCrypto()

/** Who has boxes: a home of the fixture. */
export interface Resident {
  readonly peerId: PeerId
  readonly clock: { readonly wall: number }
  readonly party: { readonly identity: { readonly deviceKey: KeyPair } }
}

interface Spent {
  readonly digest: string
  state: 'held' | 'taken'
}

interface Envelope {
  readonly id: number
  readonly bytes: Uint8Array
  readonly tokenHash: Uint8Array | undefined
  readonly acceptedAt: number
}

interface Box<R> {
  readonly owner: R
  readonly address: BoxAddress
  readonly tokens: Set<string>
  readonly spent: Map<string, Spent>
  oneTime: Uint8Array[]
  lastResort: Uint8Array | undefined
  envelopes: Envelope[]
  nextId: number
}

/** A mailbox as an owner and depositors see it, in memory. Its faults are switches. */
export class Mailbox<R extends Resident> {
  readonly id: Uint8Array
  readonly url: string
  readonly boxes = new Map<string, Box<R>>()
  isReachable = true
  isFull = false
  /** Envelopes that the strangers' lane takes, in all. */
  strangersLeft = 16

  constructor(name: string) {
    this.id = crypto.sha256(textToBytes(`mailbox ${name}`)).slice(0, 16)
    this.url = `ws://${name}.example:80`
  }

  open(owner: R): BoxAddress {
    const box = crypto.sha256(textToBytes(`box ${owner.peerId} ${this.url}`)).slice(0, 16)
    const address = { mailbox: { url: this.url, mailboxId: this.id }, box }
    this.boxes.set(bytesToHex(box), {
      owner,
      address,
      tokens: new Set(),
      spent: new Map(),
      oneTime: [],
      lastResort: undefined,
      envelopes: [],
      nextId: 1,
    })
    return address
  }

  /** All it was told and given is gone, as after a disk that died; it goes on as a new one. */
  wipe(): void {
    for (const box of this.boxes.values()) {
      box.tokens.clear()
      box.spent.clear()
      box.oneTime = []
      box.lastResort = undefined
      box.envelopes = []
    }
  }

  /** The envelopes in it are gone, and it does not know that they were there. */
  lose(): void {
    for (const box of this.boxes.values()) {
      for (const { tokenHash: hash } of box.envelopes) if (hash) box.spent.delete(bytesToHex(hash))
      box.envelopes = []
    }
  }

  deposit(id: Uint8Array, token: Uint8Array | undefined, bytes: Uint8Array, at: number): DepositResult {
    const refuse = (reason: Extract<DepositResult, { ok: false }>['reason']): DepositResult => {
      return { ok: false, reason, detail: '' }
    }
    if (!this.isReachable) return refuse('unreachable')
    const box = this.boxes.get(bytesToHex(id))
    if (!box) return refuse('no-box')
    const hash = token && tokenHash(crypto, token)
    const until = at + 7 * 86_400_000
    if (hash) {
      const key = bytesToHex(hash)
      const digest = bytesToHex(crypto.sha256(bytes))
      const spent = box.spent.get(key)
      if (spent) return spent.digest === digest ? { ok: true, until } : refuse('token-spent')
      if (!box.tokens.has(key)) return refuse('token-unknown')
      if (this.isFull) return refuse('full')
      box.tokens.delete(key)
      box.spent.set(key, { digest, state: 'held' })
    } else {
      if (this.isFull || this.strangersLeft === 0) return refuse('full')
      this.strangersLeft -= 1
    }
    box.envelopes.push({ id: box.nextId, bytes: bytes.slice(), tokenHash: hash, acceptedAt: at })
    box.nextId += 1
    return { ok: true, until }
  }

  check(id: Uint8Array, tokens: readonly Uint8Array[]): TokenStatus[] | undefined {
    const box = this.isReachable ? this.boxes.get(bytesToHex(id)) : undefined
    return box && tokens.map((token) => box.spent.get(bytesToHex(tokenHash(crypto, token)))?.state ?? 'unknown')
  }

  stockOf(box: Box<R>): BoxStock {
    return {
      tokens: box.tokens.size,
      oneTimeBundles: box.oneTime.length,
      hasLastResort: box.lastResort !== undefined,
      waiting: box.envelopes.length,
    }
  }
}

/** Mailboxes between the homes of a town. A home uses them while it is online; the others find what it left. */
export class PostOffice<R extends Resident> {
  readonly mailboxes: Mailbox<R>[] = []
  readonly #online = new Set<R>()
  readonly #boxes = new Map<R, { readonly mailbox: Mailbox<R>; readonly address: BoxAddress }[]>()
  readonly #sequences = new Map<R, number>()
  /** Deposits that mailboxes were asked for, newest last. */
  readonly deposits: { readonly from: R; readonly mailbox: Mailbox<R>; readonly token: Uint8Array | undefined }[] = []
  /** Answers that get lost: what was asked for happens. */
  loseAnswer: (output: MessagingOutput) => boolean = () => false

  addMailbox(name: string): Mailbox<R> {
    const mailbox = new Mailbox<R>(name)
    this.mailboxes.push(mailbox)
    return mailbox
  }

  /** A home has boxes at these from now on, and says so in its next record. */
  give(home: R, mailboxes: readonly Mailbox<R>[]): void {
    const boxes = mailboxes.map((mailbox) => ({ mailbox, address: mailbox.open(home) }))
    this.#boxes.set(home, boxes)
    this.#sequences.set(home, (this.#sequences.get(home) ?? 0) + 1)
  }

  isOnline(home: R): boolean {
    return this.#online.has(home)
  }

  /** What a home hears when it comes online: its boxes, what waits there, and what others say of themselves. */
  arrive(home: R): MessagingInput[] {
    this.#online.add(home)
    return [this.#record(home), this.#ownBoxes(home), ...this.waysOfOthers(home), ...this.push(home)]
  }

  leave(home: R): void {
    this.#online.delete(home)
  }

  waysOfOthers(home: R): MessagingInput[] {
    return [...this.#boxes].flatMap(([other, boxes]): MessagingInput[] => {
      if (other === home) return []
      const mailboxes = boxes.map(({ address }) => address)
      const sequence = this.#sequences.get(other) ?? 1
      return [{ type: 'device-ways', peerId: other.peerId, sequence, addresses: [], mailboxes }]
    })
  }

  /** Envelopes that wait for a home that is online. */
  push(home: R): MessagingInput[] {
    if (!this.#online.has(home)) return []
    return (this.#boxes.get(home) ?? []).flatMap(({ mailbox, address }): MessagingInput[] => {
      const box = mailbox.isReachable ? mailbox.boxes.get(bytesToHex(address.box)) : undefined
      if (!box || box.envelopes.length === 0) return []
      return [{ type: 'fetched', box: address.box, envelopes: [...box.envelopes] }]
    })
  }

  /** What follows from an output of a home, for whom. */
  take(from: R, output: MessagingOutput): { readonly to: R; readonly input: MessagingInput }[] {
    switch (output.type) {
      case 'supply':
        return this.#supply(from, output)
      case 'acknowledge': {
        const box = this.#find(output.box)
        if (!box || !this.#online.has(from)) return []
        for (const envelope of box.envelopes) {
          if (!output.ids.includes(envelope.id) || !envelope.tokenHash) continue
          const spent = box.spent.get(bytesToHex(envelope.tokenHash))
          if (spent) spent.state = 'taken'
        }
        box.envelopes = box.envelopes.filter(({ id }) => !output.ids.includes(id))
        return []
      }
      case 'deposit':
        return this.#deposit(from, output)
      case 'check': {
        const mailbox = this.#mailboxOf(output.to)
        const statuses = this.#online.has(from) ? mailbox?.check(output.to.box, output.tokens) : undefined
        return this.#answer(from, output, { type: 'checked', id: output.id, statuses })
      }
      case 'fetch-bundle':
        return this.#answer(from, output, { type: 'bundle', id: output.id, bytes: this.#bundle(from, output.from) })
      default:
        return []
    }
  }

  #bundle(asker: R, from: readonly BoxAddress[]): Uint8Array | undefined {
    if (!this.#online.has(asker)) return undefined
    for (const address of from) {
      const box = this.#mailboxOf(address)?.isReachable ? this.#find(address.box) : undefined
      const bytes = box?.oneTime.shift() ?? box?.lastResort
      if (bytes) return bytes
    }
    return undefined
  }

  #deposit(
    from: R,
    output: Extract<MessagingOutput, { type: 'deposit' }>,
  ): { readonly to: R; readonly input: MessagingInput }[] {
    const { id, to, token, bytes } = output
    const mailbox = this.#mailboxOf(to)
    if (mailbox) this.deposits.push({ from, mailbox, token })
    const result: DepositResult =
      mailbox && this.#online.has(from)
        ? mailbox.deposit(to.box, token, bytes, from.clock.wall)
        : { ok: false, reason: 'unreachable', detail: '' }
    const answers = this.#answer(from, output, { type: 'deposited', id, result })
    const owner = this.#find(to.box)?.owner
    if (!owner || !result.ok || !this.#online.has(owner)) return answers
    return [...answers, ...this.push(owner).map((input) => ({ to: owner, input }))]
  }

  #supply(
    from: R,
    { box: id, supply }: Extract<MessagingOutput, { type: 'supply' }>,
  ): { readonly to: R; readonly input: MessagingInput }[] {
    const box = this.#find(id)
    if (!box || !this.#online.has(from)) return []
    if (supply.resetTokens) box.tokens.clear()
    for (const hash of supply.tokenHashes) if (!box.spent.has(bytesToHex(hash))) box.tokens.add(bytesToHex(hash))
    if (supply.resetBundles) box.oneTime = []
    box.oneTime.push(...supply.oneTimeBundles)
    box.lastResort = supply.lastResortBundle ?? box.lastResort
    return [{ to: from, input: this.#ownBoxes(from) }]
  }

  #ownBoxes(home: R): MessagingInput {
    const boxes = (this.#boxes.get(home) ?? []).map(({ mailbox, address }) => {
      const box = mailbox.isReachable ? mailbox.boxes.get(bytesToHex(address.box)) : undefined
      return { address, stock: box && mailbox.stockOf(box) }
    })
    return { type: 'boxes', boxes }
  }

  #record(home: R): MessagingInput {
    const record = signDeviceRecord(crypto, home.party.identity.deviceKey.secretKey, {
      sequence: this.#sequences.get(home) ?? 1,
      createdAt: home.clock.wall,
      ways: [],
      overlayContact: undefined,
      mailboxes: (this.#boxes.get(home) ?? []).map(({ address }) => boxToEntry(address)),
      services: [],
    })
    return { type: 'own-record', record }
  }

  #answer(to: R, output: MessagingOutput, input: MessagingInput): { readonly to: R; readonly input: MessagingInput }[] {
    return this.loseAnswer(output) ? [] : [{ to, input }]
  }

  #mailboxOf(address: BoxAddress): Mailbox<R> | undefined {
    return this.mailboxes.find(({ url }) => url === address.mailbox.url)
  }

  #find(id: Uint8Array): Box<R> | undefined {
    for (const mailbox of this.mailboxes) {
      const box = mailbox.boxes.get(bytesToHex(id))
      if (box) return box
    }
    return undefined
  }
}
