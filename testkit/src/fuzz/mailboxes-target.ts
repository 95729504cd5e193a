import { bytesToHex, type Now, peerIdToKey } from '@miaou/core'
import type { Crypto } from '@miaou/crypto'
import {
  defaultMailboxesLimits,
  type Link,
  type LinkOutput,
  Mailboxes,
  type MailboxesOutput,
  type PipeId,
} from '@miaou/network'
import {
  type BoxAddress,
  decodeMailboxMessage,
  encodeMailboxMessage,
  frameTypes,
  type MailboxAddress,
  type MailboxMessage,
  mailboxIdOf,
} from '@miaou/protocol'
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

const mailboxUrl = 'wss://mail.example.org'
/** Bounds that are small enough to be met. */
const clientLimits = {
  ...defaultMailboxesLimits,
  envelopesMax: 8,
  envelopeBytesMax: 8_192,
  depositLinksMax: 3,
  queuedBytesMax: 16_384,
  faultsMax: 200,
}

/** The client of mailboxes between one peer and three mailboxes that say what the fuzzer wants, asked or not. */
export function mailboxesTarget(crypto: Crypto, fault?: EngineFault): FuzzTarget {
  return { ...mailboxEngineTarget(crypto, new ClientRun(crypto, fault)), name: 'mailboxes' }
}

/** The mailbox's end of one pipe that the engine dialled. */
interface MailboxEnd {
  readonly pipe: PipeId
  readonly link: Link
  readonly asked: MailboxMessage[]
}

class ClientRun {
  readonly #crypto: Crypto
  readonly #fault: EngineFault | undefined
  readonly #engine: Mailboxes
  readonly #mailboxes: readonly {
    readonly address: MailboxAddress
    readonly identity: ReturnType<typeof samplePseudonym>
  }[]
  readonly #ends = new Map<PipeId, MailboxEnd>()
  /** Numbers of jobs that are not answered. */
  readonly #jobs = new Set<string>()
  /** Handed on and not acknowledged by us, by box. */
  readonly #fetched = new Map<string, { readonly box: Uint8Array; readonly ids: number[] }>()
  readonly #said: string[] = []
  #mono = 1
  #nextPipe = 1
  #nextJob = 1
  #nextEnvelope = 1
  #hasRelay = true
  #pauses = 0

  constructor(crypto: Crypto, fault: EngineFault | undefined) {
    this.#crypto = crypto
    this.#fault = fault
    this.#mailboxes = [0, 1, 2].map((name) => {
      const identity = samplePseudonym(crypto, `fuzzing mailbox ${name}`)
      const mailboxId = mailboxIdOf(peerIdToKey(identity.peerId), (bytes) => crypto.sha256(bytes))
      return { identity, address: { mailboxId, url: `${mailboxUrl}/${name}` } }
    })
    const random = new FuzzRandom(2)
    const jitter = { next: () => random.below(1_000) / 1_000 }
    const options = {
      crypto,
      random,
      jitter,
      pseudonymFor: (mailboxId: Uint8Array) => samplePseudonym(crypto, `owner at ${bytesToHex(mailboxId)}`),
      freshPseudonym: () => samplePseudonym(crypto, `depositor ${random.below(1_000)}`),
      directDeposits: true,
      limits: clientLimits,
    }
    this.#engine = new Mailboxes(options, () => this.#nextPipe++ as PipeId)
    this.#handle({ type: 'start', mark: { counter: 1, nonce: new Uint8Array(16) } })
    this.#want(this.#mailboxes.length)
  }

  play(bytes: Uint8Array): Outcome {
    this.#mono += stepMs
    this.#said.length = 0
    const before = this.#engine.counters()
    const [deed = 0, who = 0, detail = 0] = bytes
    const rest = bytes.subarray(headerSize)
    const end = [...this.#ends.values()][who % Math.max(1, this.#ends.size)]
    switch (deed % deedCount) {
      case deeds.say: {
        const [asked] = end?.asked ?? []
        const request = asked !== undefined && 'request' in asked ? asked.request : undefined
        if (end !== undefined && rest.length > 0) this.#say(end, withRequest(rest, request, detail))
        break
      }
      case deeds.raw:
        if (end !== undefined) this.#event({ type: 'message', pipe: end.pipe, channel: 0, bytes: rest.slice() })
        break
      case deeds.act:
        this.#act(who, detail, rest, end)
        break
      default: {
        const ms = pauseMs[detail % pauseMs.length] ?? 1
        this.#mono += this.#pauses++ % 32 === 0 ? ms : Math.min(ms, 300)
        for (const each of this.#ends.values()) this.#take(each, each.link.wake(this.#now()))
      }
    }
    for (const each of this.#ends.values()) if (each.asked.length > 1) this.#answer(each)
    if (this.#engine.deadline() <= this.#mono) this.#handle({ type: 'wake' })
    const after = this.#engine.counters()
    this.#check(after)
    const value = { deed: `deed-${'abcd'[deed % deedCount]}`, rose: risen(after, before) }
    return { ok: true, value: { ...value, said: this.#said.join(' ').slice(0, 96) } }
  }

  #act(who: number, detail: number, rest: Uint8Array, end: MailboxEnd | undefined): void {
    const mailbox = this.#mailboxes[who % this.#mailboxes.length]
    if (mailbox === undefined) return
    const to: BoxAddress = { mailbox: mailbox.address, box: sampleBytes(this.#crypto, `box ${detail >> 4}`, 16) }
    const id = this.#nextJob++
    const token = sampleBytes(this.#crypto, `token ${rest[0] ?? 0}`, 16)
    switch (detail % 12) {
      case 0:
        if (end !== undefined) this.#close(end)
        return
      case 1:
        this.#handle({ type: 'network-changed' })
        return
      case 2:
        this.#want(1 + (detail >> 4))
        return
      case 3:
        this.#hasRelay = !this.#hasRelay
        return
      case 4:
      case 5: {
        this.#jobs.add(`deposited ${id}`)
        this.#handle({ type: 'deposit', id, to, token: detail > 127 ? token : undefined, bytes: rest.slice() })
        return
      }
      case 6:
        this.#jobs.add(`checked ${id}`)
        this.#handle({ type: 'check', id, to, tokens: [token] })
        return
      case 7:
        this.#jobs.add(`bundle ${id}`)
        this.#handle({
          type: 'fetch-bundle',
          id,
          from: this.#mailboxes.map(({ address }) => ({ ...to, mailbox: address })),
        })
        return
      case 8:
        for (const { box, ids } of this.#fetched.values())
          this.#handle({ type: 'acknowledge', box, ids: ids.splice(0, 4) })
        return
      case 9:
        if (end !== undefined) {
          const bytes = rest.length === 0 ? Uint8Array.of(1) : rest.slice()
          const at = { id: this.#nextEnvelope++, acceptedAt: sampleTime, tokenHash: undefined }
          this.#tell(end, { type: 'envelope', ...at, bytes })
        }
        return
      case 10: {
        const [box] = this.#engine.views().map((view) => view.box)
        const supply = { resetTokens: true, tokenHashes: [token], resetBundles: true, oneTimeBundles: [token] }
        if (box !== undefined) this.#handle({ type: 'supply', box, supply: { ...supply, lastResortBundle: token } })
        return
      }
      default:
        if (end !== undefined) this.#answer(end)
    }
  }

  #want(count: number): void {
    const mailboxes = this.#mailboxes.slice(0, count).map(({ address }) => ({ mailbox: address, isKept: false }))
    this.#handle({ type: 'mailboxes', mailboxes })
  }

  /** The oldest question, as an honest mailbox answers it. */
  #answer(end: MailboxEnd): void {
    const message = end.asked.shift()
    if (message === undefined || !('request' in message)) return
    const { request } = message
    const stock = { tokens: 0, oneTimeBundles: 0, hasLastResort: false, waiting: 0 }
    if (message.type === 'register') {
      this.#tell(end, { type: 'registered', request, stock, staleSince: undefined, timestamp: sampleTime })
    } else if (message.type === 'deposit') {
      this.#tell(end, { type: 'accepted', request, until: sampleTime + 1_000, timestamp: sampleTime })
    } else if (message.type === 'check') {
      this.#tell(end, { type: 'statuses', request, statuses: message.tokens.map(() => 'held') })
    } else if (message.type === 'take-bundle') this.#tell(end, { type: 'bundle', request, bytes: undefined })
    else this.#tell(end, { type: 'done', request, stock })
  }

  #tell(end: MailboxEnd, message: MailboxMessage): void {
    this.#say(end, encodeMailboxMessage(message))
  }

  #say(end: MailboxEnd, payload: Uint8Array): void {
    if (end.link.isUp) this.#take(end, end.link.send(this.#now(), frameTypes.mailboxControl, payload, false) ?? [])
  }

  #close(end: MailboxEnd): void {
    if (this.#ends.delete(end.pipe)) this.#event({ type: 'closed', pipe: end.pipe })
  }

  #event(event: Extract<Parameters<Mailboxes['handle']>[1], { type: 'transport' }>['event']): void {
    this.#handle({ type: 'transport', event })
  }

  #handle(input: Parameters<Mailboxes['handle']>[1]): void {
    this.#perform(this.#engine.handle(this.#now(), input))
  }

  #take(end: MailboxEnd, outputs: readonly LinkOutput[]): void {
    for (const output of outputs) {
      if (!this.#ends.has(end.pipe)) return
      if (output.type === 'write') this.#event({ type: 'message', pipe: end.pipe, channel: 0, bytes: output.bytes })
      else if (output.type === 'proven') this.#take(end, end.link.accept(this.#now()))
      else if (output.type === 'ended') this.#close(end)
      else if (output.type === 'frame') {
        const decoded = decodeMailboxMessage(output.payload)
        if (!decoded.ok) throw new Error('a client says what nobody understands')
        this.#said.push(decoded.value.type)
        if ('request' in decoded.value) end.asked.push(decoded.value)
      }
    }
  }

  #perform(outputs: readonly MailboxesOutput[]): void {
    for (const output of outputs) {
      switch (output.type) {
        case 'mailbox-dial':
          this.#dial(output.pipe, output.url, output.throughRelay)
          break
        case 'write': {
          const end = this.#ends.get(output.pipe)
          if (end !== undefined) this.#take(end, end.link.receive(this.#now(), output.channel, output.bytes))
          break
        }
        case 'close':
          this.#ends.delete(output.pipe)
          this.#event({ type: 'closed', pipe: output.pipe })
          break
        case 'deposited':
        case 'checked':
        case 'bundle':
          this.#said.push(output.type)
          if (!this.#jobs.delete(`${output.type} ${output.id}`))
            throw new Error(`${output.type} ${output.id} comes unasked`)
          break
        case 'fetched': {
          const { ids } = this.#fetchedOf(output.box)
          ids.push(...output.envelopes.map(({ id }) => id))
          if (ids.length > 4 * clientLimits.envelopesMax) ids.splice(0, clientLimits.envelopesMax)
          this.#said.push(output.type)
          break
        }
        default:
          this.#said.push(output.type)
      }
    }
  }

  #fetchedOf(box: Uint8Array): { readonly box: Uint8Array; readonly ids: number[] } {
    const known = this.#fetched.get(bytesToHex(box)) ?? { box, ids: [] }
    this.#fetched.set(bytesToHex(box), known)
    return known
  }

  #dial(pipe: PipeId, dialled: string, throughRelay: boolean): void {
    const mailbox = this.#mailboxes.find(({ address }) => address.url === dialled)
    if (mailbox === undefined) throw new Error(`nobody named ${dialled}`)
    if (throughRelay && !this.#hasRelay) {
      this.#event({ type: 'closed', pipe, error: { type: 'unavailable', detail: 'no relay is linked' } })
      return
    }
    const link = newLink(this.#crypto, mailbox.identity, 'responder', this.#now(), pipe)
    this.#ends.set(pipe, { pipe, link, asked: [] })
    const facts = { transport: 'websocket', direction: 'out', channels: 1, padded: true } as const
    this.#event({ type: 'opened', pipe, ...facts, remoteAddress: dialled })
  }

  #check(counters: Readonly<Record<string, number>>): void {
    const { own, links, jobs, queuedBytes, routes } = this.#engine.sizes()
    if ((own ?? 0) > this.#mailboxes.length) throw new Error('too many own mailboxes')
    if ((links ?? 0) > this.#mailboxes.length + clientLimits.depositLinksMax) throw new Error(`${links} links`)
    if ((queuedBytes ?? 0) < 0 || (queuedBytes ?? 0) > clientLimits.queuedBytesMax)
      throw new Error(`${queuedBytes} bytes wait`)
    if (jobs !== this.#jobs.size) throw new Error(`${jobs} jobs, and ${this.#jobs.size} are not answered`)
    if ((routes ?? 0) > (jobs ?? 0) + clientLimits.depositLinksMax) throw new Error(`${routes} routes for ${jobs} jobs`)
    this.#engine.views()
    if (Number.isNaN(this.#engine.deadline())) throw new Error('no deadline')
    this.#fault?.(counters)
  }

  #now(): Now {
    return { mono: this.#mono, wall: sampleTime + this.#mono }
  }
}
