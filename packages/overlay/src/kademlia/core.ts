import type { Jitter, Now, Random } from '@miaou/core'
import type { Endpoint } from '@miaou/protocol'
import type { KademliaConfig } from './config.ts'
import type { ContactTable } from './contact-table.ts'
import { KademliaCounters } from './counters.ts'
import { readWord } from './distance.ts'
import type {
  ContactRef,
  KademliaMessage,
  KademliaOptions,
  KademliaOutput,
  KademliaReply,
  RecordRules,
} from './interface.ts'
import type { RoutingTable } from './routing-table.ts'

const nothing: KademliaOutput[] = []
Object.freeze(nothing)

/** What the parts of one engine share: options, time of the input at hand, outputs so far. */
export class Core {
  readonly config: KademliaConfig
  readonly contacts: ContactTable
  readonly crypto: KademliaOptions['crypto']
  readonly random: Random
  readonly jitter: Jitter
  readonly rules: RecordRules
  readonly self: Uint8Array
  readonly table: RoutingTable
  readonly counters: KademliaCounters = new KademliaCounters()
  /** Monotonic ms of the input at hand. */
  mono = 0
  /** Whether nodes at public, and at private or loopback addresses, may put us into their tables. */
  isPublicServer: boolean
  isLocalServer: boolean
  /** Monotonic ms at which somebody was last heard; −1 before. */
  heardAt = -1
  /** Told of whom something is sent to: in mode `auto` only. */
  onSent: ((to: ContactRef) => void) | undefined
  onOpener: ((to: Endpoint) => void) | undefined
  #outputs = nothing
  #secret: Uint8Array | undefined
  #packed: Uint8Array | undefined

  constructor(options: KademliaOptions, config: KademliaConfig, table: RoutingTable) {
    this.config = config
    this.contacts = options.contacts
    this.crypto = options.crypto
    this.random = options.random
    this.jitter = options.jitter
    this.rules = options.records
    this.self = options.self
    this.table = table
    this.isPublicServer = config.mode === 'server'
    this.isLocalServer = this.isPublicServer
  }

  enter(now: Now): void {
    this.mono = now.mono
  }

  /** The outputs of the input at hand; one shared, frozen, empty array when there are none. */
  leave(): KademliaOutput[] {
    const outputs = this.#outputs
    this.#outputs = nothing
    return outputs
  }

  emit(output: KademliaOutput): void {
    if (this.#outputs === nothing) this.#outputs = [output]
    else this.#outputs.push(output)
  }

  reply(id: number, reply: KademliaReply): void {
    this.emit({ type: 'reply', id, reply })
  }

  send(to: ContactRef, message: KademliaMessage): void {
    this.onSent?.(to)
    this.emit({ type: 'send', to, message, isReply: false })
  }

  answer(to: ContactRef, message: KademliaMessage): void {
    this.onSent?.(to)
    this.emit({ type: 'send', to, message, isReply: true })
  }

  /** A datagram that opens a hole. */
  sendOpener(to: Endpoint, nonce: Uint8Array): void {
    this.onOpener?.(to)
    this.emit({ type: 'opener', to, nonce })
  }

  /** What a message to `to` says of us: a server at home is none to the world outside. */
  isServerFor(to: ContactRef): boolean {
    return this.isPublicServer || (this.isLocalServer && this.contacts.prefix(to) === 0)
  }

  isSelf(ref: ContactRef): boolean {
    const { self, contacts } = this
    if (contacts.word0(ref) !== readWord(self, 0)) return false
    const id = contacts.id(ref)
    for (let i = 0; i < id.length; i++) if (id[i] !== self[i]) return false
    return true
  }

  /**
   * 8 bytes that only the one at this endpoint, under this key, was given, and only lately: HMAC-SHA256 under a secret of
   * this engine, of the interval's number and the packed contact. `age`: intervals ago.
   */
  token(of: ContactRef, age = 0): Uint8Array {
    this.#secret ??= this.random.bytes(32)
    this.#packed ??= new Uint8Array(54)
    const end = this.contacts.pack(of, this.#packed, 4)
    const interval = Math.floor(this.mono / this.config.tokenIntervalMs) - age
    for (let i = 0; i < 4; i++) this.#packed[i] = interval >> (24 - 8 * i)
    return this.crypto.hmacSha256(this.#secret, this.#packed.subarray(0, end)).slice(0, 8)
  }

  isTokenOf(token: Uint8Array, of: ContactRef): boolean {
    return this.crypto.equal(token, this.token(of)) || this.crypto.equal(token, this.token(of, 1))
  }
}
