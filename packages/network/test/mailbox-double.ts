import { bytesToHex, equalBytes, type Now, peerIdToKey } from '@miaou/core'
import {
  boxIdOf,
  decodeMailboxMessage,
  encodeMailboxMessage,
  type FrameType,
  frameTypes,
  type MailboxMessage,
  type MailboxStock,
  mailboxWindow,
  tokenHash,
  verifyMailboxAck,
} from '@miaou/protocol'
import { Link, type LinkOutput } from '../src/link.ts'
import type { LinkIdentity } from '../src/link-handshake.ts'
import { defaultLinkLimits } from '../src/link-limits.ts'
import type { MailboxServiceInput, MailboxServiceOutput } from '../src/mailbox/interface.ts'
import type { PipeId } from '../src/ports.ts'
import { crypto, SeededRandom } from './identities.ts'

type Envelope = Extract<MailboxMessage, { type: 'envelope' }>

export interface DoubleBox {
  readonly key: Uint8Array
  readonly envelopes: Envelope[]
  readonly tokens: Set<string>
  readonly spent: Map<string, { readonly bytes: Uint8Array; isTaken: boolean }>
  oneTime: Uint8Array[]
  lastResort: Uint8Array | undefined
  start: { readonly counter: number; readonly nonce: Uint8Array } | undefined
  nextId: number
}

interface Client {
  readonly pipe: PipeId
  readonly link: Link
  box: Uint8Array
  isRegistered: boolean
  /** Pushed on this link and not acknowledged. */
  readonly pushed: Map<number, number>
}

/** A small mailbox without bounds, whose every step a test can bend. Its boxes outlive its links. */
export class MailboxDouble {
  readonly identity: LinkIdentity
  readonly boxes: Map<string, DoubleBox> = new Map()
  /** Instead of the usual answers; undefined for those. */
  answer: (message: MailboxMessage, usual: readonly MailboxMessage[]) => readonly MailboxMessage[] | undefined = () =>
    undefined
  /** What is pushed in place of an envelope. */
  push: (envelope: Envelope) => readonly Envelope[] = (envelope) => [envelope]
  /** What clients said, in order. */
  readonly heard: MailboxMessage[] = []
  /** Acknowledgements of others than the owner, or of what was not pushed on that link. */
  wrongAcknowledgements = 0
  /** Pseudonyms that were seen, one for each link. */
  readonly seen: string[] = []
  readonly #clients = new Map<PipeId, Client>()
  #outputs: MailboxServiceOutput[] = []
  #now: Now = { mono: 0, wall: 0 }

  constructor(identity: LinkIdentity) {
    this.identity = identity
  }

  get clientCount(): number {
    return this.#clients.size
  }

  box(id: Uint8Array): DoubleBox | undefined {
    return this.boxes.get(bytesToHex(id))
  }

  /** The process ends: only the boxes are left. */
  forgetClients(): void {
    this.#clients.clear()
  }

  handle(now: Now, input: MailboxServiceInput): MailboxServiceOutput[] {
    this.#now = now
    if (input.type === 'transport') this.#takeEvent(input.event)
    if (input.type === 'wake') {
      for (const client of [...this.#clients.values()]) this.#take(client, client.link.wake(now))
    }
    const outputs = this.#outputs
    this.#outputs = []
    return outputs
  }

  deadline(): number {
    return Math.min(...[...this.#clients.values()].map(({ link }) => link.deadline()), Number.POSITIVE_INFINITY)
  }

  /** Says something to every client, asked or not; the outputs are those of the next `handle`. */
  say(message: MailboxMessage): void {
    this.sayBytes(frameTypes.mailboxControl, encodeMailboxMessage(message))
  }

  sayBytes(frameType: FrameType, bytes: Uint8Array): void {
    for (const client of [...this.#clients.values()]) this.#send(client, frameType, bytes)
  }

  #takeEvent(event: Extract<MailboxServiceInput, { type: 'transport' }>['event']): void {
    const { pipe } = event
    if (event.type === 'opened') {
      const { padded, channels } = event
      const options = {
        crypto,
        random: new SeededRandom(pipe),
        identity: this.identity,
        features: [],
        padded,
        channels,
      }
      const link = new Link(
        {
          ...options,
          role: 'responder',
          expected: undefined,
          binding: undefined,
          pseudonymsAdmitted: true,
          limits: defaultLinkLimits,
        },
        this.#now,
      )
      this.#clients.set(pipe, { pipe, link, box: new Uint8Array(16), isRegistered: false, pushed: new Map() })
      return
    }
    const client = this.#clients.get(pipe)
    if (client === undefined) return
    if (event.type === 'message') this.#take(client, client.link.receive(this.#now, event.channel, event.bytes))
    if (event.type === 'closed') this.#clients.delete(pipe)
  }

  #take(client: Client, outputs: readonly LinkOutput[]): void {
    for (const output of outputs) {
      if (output.type !== 'write') continue
      this.#outputs.push({ type: 'write', pipe: client.pipe, channel: output.channel, bytes: output.bytes })
    }
    for (const output of outputs) {
      if (output.type === 'proven') {
        client.box = boxIdOf(peerIdToKey(output.peer.peerId), (bytes) => crypto.sha256(bytes))
        this.seen.push(bytesToHex(client.box))
        this.#take(client, client.link.accept(this.#now))
      } else if (output.type === 'ended') {
        this.#outputs.push({ type: 'close', pipe: client.pipe })
        this.#clients.delete(client.pipe)
      } else if (output.type === 'frame') this.#takeFrame(client, output.payload)
    }
  }

  #takeFrame(client: Client, payload: Uint8Array): void {
    const decoded = decodeMailboxMessage(payload)
    if (!decoded.ok) throw new Error('a client of ours sends garbage')
    const message = decoded.value
    this.heard.push(message)
    const usual = this.#usualAnswers(client, message)
    for (const answer of this.answer(message, usual) ?? usual) this.#tell(client, answer)
    for (const other of [...this.#clients.values()]) this.#pushAll(other)
  }

  #usualAnswers(client: Client, message: MailboxMessage): MailboxMessage[] {
    switch (message.type) {
      case 'register':
        return [this.#register(client, message)]
      case 'tokens':
      case 'bundles':
        return [this.#supply(client, message)]
      case 'acknowledge':
        this.#acknowledge(client, message)
        return []
      case 'release':
        this.boxes.delete(bytesToHex(client.box))
        return []
      case 'deposit':
        return [this.#deposit(message)]
      case 'check': {
        const spent = this.box(message.box)?.spent
        const statuses = message.tokens.map((token) => {
          const known = spent?.get(bytesToHex(tokenHash(crypto, token)))
          return known === undefined ? 'unknown' : known.isTaken ? 'taken' : 'held'
        })
        return [{ type: 'statuses', request: message.request, statuses }]
      }
      case 'take-bundle': {
        const box = this.box(message.box)
        if (box === undefined) return [{ type: 'refused', request: message.request, reason: 'no-box' }]
        return [{ type: 'bundle', request: message.request, bytes: box.oneTime.shift() ?? box.lastResort }]
      }
      default:
        throw new Error(`a client of ours says ${message.type}`)
    }
  }

  #register(client: Client, { request, start }: Extract<MailboxMessage, { type: 'register' }>): MailboxMessage {
    const key = bytesToHex(client.box)
    const box = this.boxes.get(key) ?? newBox(client.link.peer?.certificate.deviceKey ?? new Uint8Array(32))
    this.boxes.set(key, box)
    client.isRegistered = true
    client.pushed.clear()
    const before = box.start
    const isStale =
      before !== undefined &&
      (before.counter > start.counter || (before.counter === start.counter && !equalBytes(before.nonce, start.nonce)))
    if (!isStale) box.start = start
    const staleSince = isStale ? before.counter : undefined
    return { type: 'registered', request, stock: stockOf(box), staleSince, timestamp: Math.trunc(this.#now.wall) }
  }

  #supply(client: Client, message: Extract<MailboxMessage, { type: 'tokens' | 'bundles' }>): MailboxMessage {
    const box = this.box(client.box)
    if (box === undefined || !client.isRegistered) {
      return { type: 'refused', request: message.request, reason: 'no-box' }
    }
    if (message.type === 'tokens') {
      if (message.reset) box.tokens.clear()
      for (const hash of message.hashes) box.tokens.add(bytesToHex(hash))
    } else {
      if (message.reset) box.oneTime = []
      box.oneTime.push(...message.oneTime)
      box.lastResort = message.lastResort ?? box.lastResort
    }
    return { type: 'done', request: message.request, stock: stockOf(box) }
  }

  #acknowledge(client: Client, message: Extract<MailboxMessage, { type: 'acknowledge' }>): void {
    const box = this.box(client.box)
    if (box === undefined || !verifyMailboxAck(crypto, box.key, client.box, message)) {
      this.wrongAcknowledgements += 1
      return
    }
    for (const id of message.ids) {
      if (!client.pushed.delete(id)) this.wrongAcknowledgements += 1
      const index = box.envelopes.findIndex((envelope) => envelope.id === id)
      const [taken] = index < 0 ? [] : box.envelopes.splice(index, 1)
      const spent = taken?.tokenHash === undefined ? undefined : box.spent.get(bytesToHex(taken.tokenHash))
      if (spent !== undefined) spent.isTaken = true
    }
  }

  #deposit({ request, box: id, token, bytes }: Extract<MailboxMessage, { type: 'deposit' }>): MailboxMessage {
    const box = this.box(id)
    if (box === undefined) return { type: 'refused', request, reason: 'no-box' }
    const timestamp = Math.trunc(this.#now.wall)
    const accepted = { type: 'accepted', request, until: timestamp + 604_800_000, timestamp } as const
    const hash = token === undefined ? undefined : tokenHash(crypto, token)
    if (hash !== undefined) {
      const key = bytesToHex(hash)
      const spent = box.spent.get(key)
      if (spent !== undefined) {
        return equalBytes(spent.bytes, bytes) ? accepted : { type: 'refused', request, reason: 'token-spent' }
      }
      if (!box.tokens.delete(key)) return { type: 'refused', request, reason: 'token-unknown' }
      box.spent.set(key, { bytes, isTaken: false })
    }
    box.envelopes.push({ type: 'envelope', id: box.nextId, acceptedAt: timestamp, tokenHash: hash, bytes })
    box.nextId += 1
    return accepted
  }

  #pushAll(client: Client): void {
    const box = client.isRegistered ? this.box(client.box) : undefined
    const last = Math.max(0, ...client.pushed.keys())
    for (const envelope of box?.envelopes ?? []) {
      if (envelope.id <= last || client.pushed.has(envelope.id)) continue
      let bytes = envelope.bytes.length
      for (const size of client.pushed.values()) bytes += size
      const isFull = client.pushed.size >= mailboxWindow.envelopes || bytes > mailboxWindow.bytes
      if (isFull && client.pushed.size > 0) return
      client.pushed.set(envelope.id, envelope.bytes.length)
      for (const pushed of this.push(envelope)) this.#tell(client, pushed)
    }
  }

  #tell(client: Client, message: MailboxMessage): void {
    this.#send(client, frameTypes.mailboxControl, encodeMailboxMessage(message))
  }

  #send(client: Client, frameType: FrameType, payload: Uint8Array): void {
    if (client.link.isUp) this.#take(client, client.link.send(this.#now, frameType, payload, false) ?? [])
  }
}

function newBox(key: Uint8Array): DoubleBox {
  return {
    key,
    envelopes: [],
    tokens: new Set(),
    spent: new Map(),
    oneTime: [],
    lastResort: undefined,
    start: undefined,
    nextId: 1,
  }
}

function stockOf({ tokens, oneTime, lastResort, envelopes }: DoubleBox): MailboxStock {
  return {
    tokens: tokens.size,
    oneTimeBundles: oneTime.length,
    hasLastResort: lastResort !== undefined,
    waiting: envelopes.length,
  }
}
