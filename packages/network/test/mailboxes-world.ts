import { bytesToHex, keyToPeerId, type Now, peerIdToKey } from '@miaou/core'
import { type BoxAddress, type MailboxAddress, mailboxIdOf, signPseudonymCertificate } from '@miaou/protocol'
import type { LinkIdentity } from '../src/link-handshake.ts'
import type {
  BoxStock,
  DepositResult,
  FetchedEnvelope,
  MailboxesInput,
  MailboxesOutput,
  MailboxServiceInput,
  MailboxServiceOutput,
} from '../src/mailbox/interface.ts'
import { Mailboxes, type MailboxesOptions } from '../src/mailbox/mailboxes.ts'
import type { BoxPseudonym } from '../src/mailbox/mailboxes-state.ts'
import type { PipeId, TransportEvent } from '../src/ports.ts'
import { crypto, SeededRandom } from './identities.ts'

/** A mailbox of these worlds: the real service, or a double that does not behave. */
export interface MailboxEngine {
  handle(now: Now, input: MailboxServiceInput): MailboxServiceOutput[]
  deadline(): number
}

export interface WorldMailbox {
  readonly address: MailboxAddress
  engine: MailboxEngine
  /** Nobody is told, nothing arrives. */
  isSilent: boolean
  /** Connections are refused, those that stand are cut. */
  isDown: boolean
  readonly dials: { readonly throughRelay: boolean; readonly at: number }[]
  /** Takes what a real service asks of its queue. */
  onQueue: (output: Extract<MailboxServiceOutput, { type: 'queue' }>) => void
}

interface WorldPipe {
  readonly client: WorldClient
  readonly mailbox: WorldMailbox
  readonly clientPipe: PipeId
  readonly mailboxPipe: PipeId
  isClosed: boolean
}

type Boxes = readonly { readonly address: BoxAddress; readonly stock: BoxStock | undefined }[]

export function testBoxPseudonym(seed: number): BoxPseudonym {
  const random = new SeededRandom(seed * 7_907 + 5)
  const signingKey = random.bytes(32)
  const key = crypto.ed25519KeyPair(signingKey)
  const linkKey = crypto.x25519KeyPair(random.bytes(32))
  const certificate = signPseudonymCertificate(crypto, key.secretKey, { linkKey: linkKey.publicKey, createdAt: 0 })
  return { peerId: keyToPeerId(key.publicKey), certificate, linkKey, signingKey }
}

export class WorldClient {
  engine: Mailboxes
  boxes: Boxes = []
  readonly boxesLists: Boxes[] = []
  readonly fetched: { readonly box: Uint8Array; readonly envelope: FetchedEnvelope }[] = []
  readonly deposited: Map<number, DepositResult[]> = new Map()
  readonly checked: Extract<MailboxesOutput, { type: 'checked' }>[] = []
  readonly bundles: Extract<MailboxesOutput, { type: 'bundle' }>[] = []
  readonly stale: number[] = []
  /** Acknowledges all that is fetched, at once. */
  acknowledges = false
  /** Whether a relay is there to go through. */
  hasRelay = true

  constructor(engine: Mailboxes) {
    this.engine = engine
  }

  /** The only answer to a deposit. */
  result(id: number): DepositResult | undefined {
    const results = this.deposited.get(id) ?? []
    if (results.length > 1) throw new Error(`deposit ${id} was answered ${results.length} times`)
    return results[0]
  }
}

/** Clients and mailboxes on a virtual clock. */
export class MailboxesWorld {
  mono = 1_000
  /** One way, ms. */
  delay = 10
  readonly random: SeededRandom
  readonly clients: WorldClient[] = []
  readonly mailboxes: WorldMailbox[] = []
  /** Sizes of what clients wrote. */
  readonly written: number[] = []
  readonly pipes: WorldPipe[] = []
  readonly #queue: { readonly at: number; readonly order: number; readonly run: () => void }[] = []
  #order = 0
  #nextPipe = 1

  constructor(seed = 1) {
    this.random = new SeededRandom(seed)
  }

  get now(): Now {
    return { mono: this.mono, wall: 1_795_219_200_000 + this.mono }
  }

  takePipe(): PipeId {
    return this.#nextPipe++ as PipeId
  }

  /** An engine as a process makes it: the same seed has the same pseudonyms for its boxes. */
  createEngine(seed: number, options: Partial<MailboxesOptions> = {}): Mailboxes {
    const random = new SeededRandom(seed * 31 + this.#nextPipe)
    const pseudonymFor = (mailboxId: Uint8Array): BoxPseudonym =>
      testBoxPseudonym(seed * 65_536 + (mailboxId[0] ?? 0) * 256 + (mailboxId[1] ?? 0))
    const freshPseudonym = (): LinkIdentity => testBoxPseudonym(random.below(2 ** 40))
    const shared = { crypto, random, jitter: random, pseudonymFor, freshPseudonym, directDeposits: true }
    return new Mailboxes({ ...shared, ...options }, () => this.takePipe())
  }

  addClient(options: Partial<MailboxesOptions> = {}, seed = this.clients.length + 1): WorldClient {
    const client = new WorldClient(this.createEngine(seed, options))
    this.clients.push(client)
    this.handle(client, { type: 'start', mark: { counter: 1, nonce: new Uint8Array(16).fill(seed) } })
    return client
  }

  addMailbox(identity: LinkIdentity, engine: MailboxEngine): WorldMailbox {
    const mailboxId = mailboxIdOf(peerIdToKey(identity.peerId), (bytes) => crypto.sha256(bytes))
    const url = `ws://192.0.2.${this.mailboxes.length + 1}:9999`
    const state = { isSilent: false, isDown: false, dials: [], onQueue: () => undefined }
    const mailbox = { address: { url, mailboxId }, engine, ...state }
    this.mailboxes.push(mailbox)
    return mailbox
  }

  /** A client that keeps boxes there, in that order. */
  wants(client: WorldClient, ...mailboxes: readonly WorldMailbox[]): void {
    const list = mailboxes.map(({ address }) => ({ mailbox: address, isKept: false }))
    this.handle(client, { type: 'mailboxes', mailboxes: list })
  }

  handle(client: WorldClient, input: MailboxesInput): void {
    for (const output of client.engine.handle(this.now, input)) this.#act(client, output)
  }

  /** Runs until `predicate` holds (true) or the virtual time is over. */
  run(durationMs: number, predicate: () => boolean = () => false): boolean {
    const end = this.mono + durationMs
    for (let steps = 0; steps < 1_000_000; steps++) {
      if (predicate()) return true
      const nextEvent = this.#queue[0]?.at ?? Number.POSITIVE_INFINITY
      const engines = [...this.clients, ...this.mailboxes.filter(({ isDown }) => !isDown)]
      const nextWake = Math.min(...engines.map(({ engine }) => engine.deadline()))
      const next = Math.min(nextEvent, nextWake)
      if (next > end) {
        this.mono = end
        return predicate()
      }
      this.mono = Math.max(this.mono, next)
      if (nextEvent <= this.mono) this.#queue.shift()?.run()
      else this.#wake()
    }
    throw new Error('the world does not come to rest')
  }

  at(delayMs: number, run: () => void): void {
    const entry = { at: this.mono + delayMs, order: this.#order++, run }
    let index = this.#queue.length
    while (index > 0 && (this.#queue[index - 1]?.at ?? 0) > entry.at) index -= 1
    this.#queue.splice(index, 0, entry)
  }

  /** Connections are reset: of one mailbox, or all. */
  cut(mailbox?: WorldMailbox): void {
    for (const pipe of this.pipes) {
      if (pipe.isClosed || (mailbox !== undefined && pipe.mailbox !== mailbox)) continue
      pipe.isClosed = true
      this.at(0, () => this.#tellClosed(pipe, { type: 'broken', detail: 'reset' }))
      this.at(0, () => {
        const event = { type: 'closed', pipe: pipe.mailboxPipe } as const
        if (!pipe.mailbox.isDown) this.mailboxHandle(pipe.mailbox, { type: 'transport', event })
      })
    }
  }

  /** The process of a client ends, and starts again with an engine that knows nothing. */
  restart(client: WorldClient, engine: Mailboxes): void {
    for (const pipe of this.pipes) {
      if (pipe.client !== client || pipe.isClosed) continue
      pipe.isClosed = true
      const event = { type: 'closed', pipe: pipe.mailboxPipe } as const
      this.at(this.delay, () => this.mailboxHandle(pipe.mailbox, { type: 'transport', event }))
    }
    client.engine = engine
  }

  /** What was open is dead, and nobody is told. */
  moveAddress(client: WorldClient): void {
    for (const pipe of this.pipes) if (pipe.client === client) pipe.isClosed = true
  }

  mailboxHandle(mailbox: WorldMailbox, input: MailboxServiceInput): void {
    for (const output of mailbox.engine.handle(this.now, input)) {
      if (output.type === 'queue') {
        mailbox.onQueue(output)
        continue
      }
      const pipe = this.pipes.find(({ mailboxPipe }) => mailboxPipe === output.pipe)
      if (pipe === undefined) continue
      if (output.type === 'close') this.#close(pipe, 'mailbox')
      else this.#toClient(pipe, output.bytes)
    }
  }

  #wake(): void {
    for (const client of this.clients) {
      if (client.engine.deadline() > this.mono) continue
      this.handle(client, { type: 'wake' })
      if (client.engine.deadline() <= this.mono) throw new Error('a wake leaves its deadline due')
    }
    for (const mailbox of this.mailboxes) {
      if (!mailbox.isDown && mailbox.engine.deadline() <= this.mono) this.mailboxHandle(mailbox, { type: 'wake' })
    }
  }

  #act(client: WorldClient, output: MailboxesOutput): void {
    switch (output.type) {
      case 'mailbox-dial':
        this.#dial(client, output.pipe, output.url, output.throughRelay)
        return
      case 'write': {
        const pipe = this.pipes.find(({ clientPipe }) => clientPipe === output.pipe)
        if (pipe !== undefined) this.#toMailbox(pipe, output.bytes)
        return
      }
      case 'close': {
        const pipe = this.pipes.find(({ clientPipe }) => clientPipe === output.pipe)
        if (pipe !== undefined) this.#close(pipe, 'client')
        // A dial that was given up tells its end, too.
        else this.at(0, () => this.#event(client, { type: 'closed', pipe: output.pipe }))
        return
      }
      case 'boxes':
        client.boxes = output.boxes
        client.boxesLists.push(output.boxes)
        return
      case 'fetched': {
        const { box, envelopes } = output
        for (const envelope of envelopes) client.fetched.push({ box, envelope })
        const ids = envelopes.map(({ id }) => id)
        if (client.acknowledges) this.at(0, () => this.handle(client, { type: 'acknowledge', box, ids }))
        return
      }
      case 'deposited':
        client.deposited.set(output.id, [...(client.deposited.get(output.id) ?? []), output.result])
        return
      case 'checked':
        client.checked.push(output)
        return
      case 'bundle':
        client.bundles.push(output)
        return
      case 'stale-start':
        client.stale.push(output.seen)
    }
  }

  #event(client: WorldClient, event: TransportEvent): void {
    if (client.engine.owns(event.pipe)) this.handle(client, { type: 'transport', event })
  }

  #dial(client: WorldClient, clientPipe: PipeId, url: string, throughRelay: boolean): void {
    const mailbox = this.mailboxes.find(({ address }) => address.url === url)
    if (throughRelay && !client.hasRelay) {
      const error = { type: 'unavailable', detail: 'no relay is linked' } as const
      this.at(0, () => this.#event(client, { type: 'closed', pipe: clientPipe, error }))
      return
    }
    mailbox?.dials.push({ throughRelay, at: this.mono })
    if (mailbox?.isSilent) return
    this.at(2 * this.delay, () => {
      if (!client.engine.owns(clientPipe)) return
      if (mailbox === undefined || mailbox.isDown) {
        const error = { type: 'unreachable', detail: 'refused' } as const
        this.#event(client, { type: 'closed', pipe: clientPipe, error })
        return
      }
      const mailboxPipe = this.takePipe()
      this.pipes.push({ client, mailbox, clientPipe, mailboxPipe, isClosed: false })
      const opened = { type: 'opened', transport: 'websocket', channels: 1, padded: true } as const
      const remoteAddress = throughRelay ? 'ws://198.51.100.1:4000' : 'ws://203.0.113.1:4000'
      const event = { ...opened, pipe: mailboxPipe, direction: 'in', remoteAddress } as const
      this.mailboxHandle(mailbox, { type: 'transport', event })
      this.#event(client, { ...opened, pipe: clientPipe, direction: 'out', remoteAddress: url })
    })
  }

  #toMailbox(pipe: WorldPipe, bytes: Uint8Array): void {
    this.written.push(bytes.length)
    this.at(this.delay, () => {
      if (pipe.isClosed || pipe.mailbox.isSilent) return
      const event = { type: 'message', pipe: pipe.mailboxPipe, channel: 0, bytes } as const
      this.mailboxHandle(pipe.mailbox, { type: 'transport', event })
    })
  }

  #toClient(pipe: WorldPipe, bytes: Uint8Array): void {
    this.at(this.delay, () => {
      if (pipe.mailbox.isSilent) return
      if (!pipe.isClosed) this.#event(pipe.client, { type: 'message', pipe: pipe.clientPipe, channel: 0, bytes })
      this.mailboxHandle(pipe.mailbox, { type: 'drained', pipe: pipe.mailboxPipe })
    })
  }

  #tellClosed(pipe: WorldPipe, error: Extract<TransportEvent, { type: 'closed' }>['error']): void {
    const event = { type: 'closed', pipe: pipe.clientPipe } as const
    this.#event(pipe.client, error === undefined ? event : { ...event, error })
  }

  #close(pipe: WorldPipe, by: 'client' | 'mailbox'): void {
    // The transport tells of its own pipe at once, whatever becomes of the other end.
    if (by === 'client') this.at(0, () => this.#tellClosed(pipe, undefined))
    this.at(this.delay, () => {
      if (pipe.isClosed) return
      pipe.isClosed = true
      if (pipe.mailbox.isSilent) return
      if (by === 'mailbox') this.#tellClosed(pipe, undefined)
      else {
        const event = { type: 'closed', pipe: pipe.mailboxPipe } as const
        this.mailboxHandle(pipe.mailbox, { type: 'transport', event })
      }
    })
  }
}

/** Text of a box, to compare. */
export function boxText(box: Uint8Array): string {
  return bytesToHex(box)
}
