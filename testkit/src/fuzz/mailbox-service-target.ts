import { type Now, peerIdToKey } from '@miaou/core'
import type { Crypto } from '@miaou/crypto'
import {
  defaultMailboxServiceLimits,
  defaultQueueLimits,
  type Link,
  type LinkOutput,
  MailboxService,
  type MailboxServiceOutput,
  type PipeId,
} from '@miaou/network'
import {
  boxIdOf,
  decodeMailboxMessage,
  encodeMailboxMessage,
  frameTypes,
  type MailboxMessage,
  signMailboxAck,
  tokenHash,
} from '@miaou/protocol'
import { MemoryMessageQueue } from '../memory-message-queue.ts'
import { type EngineFault, newLink, risen, samplePseudonym } from './engine-parts.ts'
import {
  deedCount,
  deeds,
  headerSize,
  mailboxEngineTarget,
  pauseMs,
  stepMs,
  withRequest,
} from './mailbox-engine-parts.ts'
import { FuzzRandom } from './random.ts'
import { sampleBytes, sampleTime } from './samples.ts'
import type { FuzzTarget, Outcome } from './target.ts'

/** Bounds that are small enough to be met. */
const serviceLimits = {
  ...defaultMailboxServiceLimits,
  windowEnvelopes: 4,
  windowBytes: 4_096,
  askedMax: 8,
  pendingMax: 16,
  groupOperationsMax: 6,
  groupOperationsMin: 3,
  badMessagesMax: 200,
}
const queueLimits = { ...defaultQueueLimits, boxEnvelopesMax: 32, strangersMax: 4, tokensMax: 64, spentMax: 64 }

/**
 * A mailbox with four clients whose links are in order and who say what the fuzzer wants, over a queue that is slow, fails
 * and ends now and then. Throws where a bound or a promise is broken: what is pushed comes in order and once a link, no
 * more of it than the window, and nothing is answered before it is on the disk.
 */
export function mailboxServiceTarget(crypto: Crypto, fault?: EngineFault): FuzzTarget {
  const run = new ServiceRun(crypto, fault)
  return { ...mailboxEngineTarget(crypto, run), name: 'mailbox-service' }
}

interface Client {
  readonly identity: ReturnType<typeof samplePseudonym>
  readonly box: Uint8Array
  readonly pushed: { readonly id: number; readonly size: number }[]
  lastPushed: number
  pipe: PipeId
  link: Link
  isReading: boolean
  unread: Uint8Array[]
}

class ServiceRun {
  readonly #crypto: Crypto
  readonly #fault: EngineFault | undefined
  readonly #service: MailboxService
  readonly #queue = new MemoryMessageQueue(queueLimits)
  readonly #clients: Client[]
  readonly #said: string[] = []
  /** Groups that the disk has not done. */
  readonly #groups: Extract<MailboxServiceOutput, { type: 'queue' }>[] = []
  /** Groups that it may leave waiting. */
  #heldMax = 0
  #failures = 0
  #mono = 1
  #nextPipe = 1
  #nextRequest = 1
  #pauses = 0

  constructor(crypto: Crypto, fault: EngineFault | undefined) {
    this.#crypto = crypto
    this.#fault = fault
    const identity = samplePseudonym(crypto, 'fuzzed mailbox')
    this.#service = new MailboxService({ crypto, random: new FuzzRandom(1), identity, limits: serviceLimits })
    this.#clients = [0, 1, 2, 3].map((name) => {
      const own = samplePseudonym(crypto, `fuzzing owner ${name}`)
      const box = boxIdOf(peerIdToKey(own.peerId), (bytes) => crypto.sha256(bytes))
      const [pipe, link] = [0 as PipeId, newLink(crypto, own, 'initiator', this.#now(), name)]
      return { identity: own, box, pushed: [], lastPushed: 0, pipe, link, isReading: true, unread: [] }
    })
    for (const client of this.#clients) this.#connect(client)
  }

  play(bytes: Uint8Array): Outcome {
    this.#mono += stepMs
    this.#said.length = 0
    const before = this.#service.counters()
    const [deed = 0, who = 0, detail = 0] = bytes
    const client = this.#clients[who % this.#clients.length]
    if (client !== undefined) {
      if (!client.link.isUp || client.pipe === 0) this.#connect(client)
      this.#do(deed % deedCount, client, detail, bytes.subarray(headerSize))
    }
    while (this.#groups.length > this.#heldMax) this.#settle()
    if (this.#service.deadline() <= this.#mono) this.#perform(this.#service.handle(this.#now(), { type: 'wake' }))
    const after = this.#service.counters()
    this.#check(after)
    const value = { deed: `deed-${'abcd'[deed % deedCount]}`, rose: risen(after, before), said: this.#said.join(' ') }
    return { ok: true, value: { ...value, said: value.said.slice(0, 96) } }
  }

  #do(deed: number, client: Client, detail: number, rest: Uint8Array): void {
    if (deed === deeds.say) {
      if (rest.length > 0) this.#say(client, withRequest(rest, this.#nextRequest++, detail))
    } else if (deed === deeds.raw) {
      this.#event({ type: 'message', pipe: client.pipe, channel: 0, bytes: rest.slice() })
    } else if (deed === deeds.act) this.#act(client, detail, rest)
    else {
      const ms = pauseMs[detail % pauseMs.length] ?? 1
      this.#mono += this.#pauses++ % 32 === 0 ? ms : Math.min(ms, 300)
      for (const each of this.#clients) this.#take(each, each.link.wake(this.#now()))
    }
  }

  #act(client: Client, detail: number, rest: Uint8Array): void {
    const box = this.#clients[(detail >> 4) % this.#clients.length]?.box ?? client.box
    const request = this.#nextRequest++
    const token = sampleBytes(this.#crypto, `token ${rest[0] ?? 0}`, 16)
    const bytes = rest.length === 0 ? Uint8Array.of(1) : rest.slice()
    switch (detail % 16) {
      case 0:
        this.#disconnect(client)
        return
      case 1:
        client.isReading = !client.isReading
        if (client.isReading) this.#read(client)
        return
      case 2:
        this.#tell(client, { type: 'register', request, start: { counter: 1 + (rest[0] ?? 0), nonce: token } })
        return
      case 3:
      case 4:
        this.#tell(client, { type: 'deposit', request, box, token: undefined, bytes })
        return
      case 5:
      case 6:
      case 7:
        this.#tell(client, { type: 'deposit', request, box, token, bytes })
        return
      case 8: {
        const hashes = [0, 1, 2, 3].map((at) => tokenHash(this.#crypto, sampleBytes(this.#crypto, `token ${at}`, 16)))
        const hash = tokenHash(this.#crypto, token)
        this.#tell(client, { type: 'tokens', request, reset: rest.length === 0, hashes: [...hashes, hash] })
        return
      }
      case 9:
        this.#heldMax = detail >> 6
        return
      case 10:
        this.#failures += 1
        return
      case 11:
        // Seldom: what is to be held must have a box for a while.
        if (detail > 240) this.#tell(client, { type: 'release' })
        return
      case 12:
        this.#tell(client, { type: 'check', request, box, tokens: [token] })
        return
      default: {
        // What was pushed, and sometimes what was not.
        const ids = client.pushed.splice(0, 1 + (detail >> 5)).map(({ id }) => id)
        if (ids.length === 0) ids.push(1 + (rest[0] ?? 0))
        const signature = signMailboxAck(this.#crypto, client.identity.signingKey, client.box, ids)
        this.#tell(client, { type: 'acknowledge', ids, signature })
      }
    }
  }

  /** The disk has done a group, or has failed. */
  #settle(): void {
    const group = this.#groups.shift()
    if (group === undefined) return
    const isFailure = this.#failures > 0
    if (isFailure) this.#failures -= 1
    const failure = { type: 'failed', kind: 'full', detail: 'full' } as const
    const results = isFailure ? failure : this.#queue.applyNow(group.operations)
    this.#perform(this.#service.handle(this.#now(), { type: 'queued', batch: group.batch, results }))
  }

  #connect(client: Client): void {
    if (client.pipe !== 0) this.#disconnect(client)
    this.#mono += 50
    client.pipe = this.#nextPipe++ as PipeId
    client.link = newLink(this.#crypto, client.identity, 'initiator', this.#now(), this.#nextPipe)
    client.isReading = true
    const remoteAddress = `ws://203.0.113.${client.pipe % 200}:4000`
    const facts = { transport: 'websocket', direction: 'in', channels: 1, padded: true, remoteAddress } as const
    this.#event({ type: 'opened', pipe: client.pipe, ...facts })
    this.#take(client, client.link.start(this.#now()))
    const start = { counter: 1, nonce: new Uint8Array(16) }
    this.#tell(client, { type: 'register', request: this.#nextRequest++, start })
  }

  #disconnect(client: Client): void {
    this.#forget(client)
    this.#event({ type: 'closed', pipe: client.pipe })
  }

  #forget(client: Client): void {
    client.unread = []
    client.pushed.length = 0
    client.lastPushed = 0
  }

  #read(client: Client): void {
    for (const bytes of client.unread.splice(0)) this.#take(client, client.link.receive(this.#now(), 0, bytes))
    this.#perform(this.#service.handle(this.#now(), { type: 'drained', pipe: client.pipe }))
  }

  #tell(client: Client, message: MailboxMessage): void {
    this.#say(client, encodeMailboxMessage(message))
  }

  #say(client: Client, payload: Uint8Array): void {
    if (!client.link.isUp) return
    this.#take(client, client.link.send(this.#now(), frameTypes.mailboxControl, payload, false) ?? [])
  }

  #event(event: Extract<Parameters<MailboxService['handle']>[1], { type: 'transport' }>['event']): void {
    this.#perform(this.#service.handle(this.#now(), { type: 'transport', event }))
  }

  #take(client: Client, outputs: readonly LinkOutput[]): void {
    for (const output of outputs) {
      if (output.type === 'write') {
        this.#event({ type: 'message', pipe: client.pipe, channel: 0, bytes: output.bytes })
      } else if (output.type === 'proven') this.#take(client, client.link.accept(this.#now()))
      else if (output.type === 'frame') this.#heard(client, output.payload)
    }
  }

  #heard(client: Client, payload: Uint8Array): void {
    const decoded = decodeMailboxMessage(payload)
    if (!decoded.ok) throw new Error('a mailbox says what nobody understands')
    const message = decoded.value
    this.#said.push(message.type)
    // A box that was released, or registered anew, counts from its beginning.
    if (message.type === 'registered') {
      client.pushed.length = 0
      client.lastPushed = 0
    }
    if (message.type !== 'envelope') return
    if (message.id <= client.lastPushed) throw new Error(`envelope ${message.id} comes behind ${client.lastPushed}`)
    client.lastPushed = message.id
    client.pushed.push({ id: message.id, size: message.bytes.length })
  }

  #perform(outputs: readonly MailboxServiceOutput[]): void {
    for (const output of outputs) {
      if (output.type === 'queue') {
        this.#groups.push(output)
        continue
      }
      const client = this.#clients.find(({ pipe }) => pipe === output.pipe)
      if (client === undefined) continue
      if (output.type === 'close') {
        this.#forget(client)
        client.pipe = 0 as PipeId
        this.#said.push('cut')
      } else if (!client.isReading) client.unread.push(output.bytes.slice())
      else {
        this.#take(client, client.link.receive(this.#now(), output.channel, output.bytes))
        this.#perform(this.#service.handle(this.#now(), { type: 'drained', pipe: client.pipe }))
      }
    }
  }

  #check(counters: Readonly<Record<string, number>>): void {
    const { links, owners, pending } = this.#service.view()
    if (links > this.#clients.length) throw new Error(`${links} links of ${this.#clients.length} clients`)
    if (owners > this.#clients.length) throw new Error('too many owners')
    // Reads, acknowledgements and the care of the service itself come on top.
    const ofOwners = this.#clients.length * (2 + serviceLimits.windowEnvelopes + serviceLimits.askedMax)
    if (pending > serviceLimits.pendingMax + ofOwners) throw new Error(`${pending} operations wait`)
    if (this.#groups.length > serviceLimits.groupsUnderWayMax) throw new Error('too many groups are under way')
    if (this.#queue.totals().boxes > this.#clients.length) throw new Error('a box that nobody registered')
    if (Number.isNaN(this.#service.deadline())) throw new Error('no deadline')
    this.#fault?.(counters)
  }

  #now(): Now {
    return { mono: this.#mono, wall: sampleTime + this.#mono }
  }
}
