import {
  assert,
  bytesToNodeId,
  err,
  type Jitter,
  type NodeId,
  type Now,
  nodeIdToBytes,
  ok,
  type Random,
  type Result,
} from '@miaou/core'
import type { Crypto, KeyPair } from '@miaou/crypto'
import { nodeIdOfKey } from '@miaou/crypto'
import { type DatagramsLimits, type DatagramsOutput, SecureDatagrams } from '@miaou/network'
import {
  type ContactRef,
  ContactTable,
  defaultKademliaConfig,
  Kademlia,
  type KademliaCommand,
  type KademliaConfig,
  type KademliaInfo,
  type KademliaMessage,
  type KademliaOutput,
  type RecordRules,
} from '@miaou/overlay'
import {
  type AddressFamily,
  contactsPerMessageMax,
  createRecordRules,
  type Endpoint,
  packAddress,
} from '@miaou/protocol'
import { createOverlayCodec, mayOpen, type OverlayCodec } from './overlay-codec.ts'
import type {
  OverlayNodeCommand,
  OverlayNodeContact,
  OverlayNodeError,
  OverlayNodeInput,
  OverlayNodeOutput,
  OverlayNodeReply,
} from './overlay-interface.ts'
import { SessionContacts } from './session-contacts.ts'

export interface OverlayNodeOptions {
  readonly crypto: Crypto
  readonly random: Random
  readonly jitter: Jitter
  /** The node's overlay key, X25519: the node id is the SHA-256 of its public half. */
  readonly keyPair: KeyPair
  readonly kademlia?: Partial<KademliaConfig>
  readonly datagrams?: Partial<DatagramsLimits>
  /** Most interned contacts. The default holds the routing table, its caches and all lookups several times over. */
  readonly contactsMax?: number
}

/** What a node shows of itself. */
export interface OverlayNodeInfo {
  readonly nodeId: NodeId
  readonly kademlia: KademliaInfo
  readonly sessions: number
  /** Dropped input by reason, of this node, its engine and its datagrams. */
  readonly counters: Readonly<Record<string, number>>
}

/**
 * Guess: table, caches and some forty lookups of eight paths. What 64 of them would be told beyond it is dropped, until
 * some have ended.
 */
const contactsMaxDefault = 16_384
/** As `OverlayNodeCommand` says: what is kept over a restart. */
const bootstrapContactsMax = 200

/**
 * One node of the overlay: the Kademlia engine over sealed datagrams. Whatever arrives is opened, decoded and handled in
 * the one call; nothing here waits. Contacts live in one table as rows; they leave this class as keys and endpoints.
 */
export class OverlayNode {
  readonly nodeId: NodeId
  readonly #contacts: ContactTable
  readonly #kademlia: Kademlia
  readonly #datagrams: SecureDatagrams
  readonly #codec: OverlayCodec
  readonly #senders: SessionContacts
  readonly #rules: RecordRules
  readonly #counters = new Map<string, number>()
  readonly #operationsMax: number
  /** Key and packed endpoint of the sender at hand. */
  readonly #scratch = new Uint8Array(50)
  /** Transactions of requests that the datagrams refused, and the engine is yet to be told. */
  readonly #notSent: number[] = []

  constructor(options: OverlayNodeOptions) {
    const { crypto, random, jitter, keyPair, contactsMax = contactsMaxDefault } = options
    this.nodeId = nodeIdOfKey(crypto, keyPair.publicKey)
    this.#operationsMax = options.kademlia?.operationsMax ?? defaultKademliaConfig.operationsMax
    this.#rules = createRecordRules(crypto)
    this.#contacts = new ContactTable({ crypto, contactsMax, salt: random.bytes(8) })
    this.#codec = createOverlayCodec(this.#contacts)
    this.#senders = new SessionContacts(this.#contacts)
    this.#datagrams = new SecureDatagrams({
      crypto,
      random,
      staticKey: keyPair,
      opens: mayOpen,
      jitter,
      ...(options.datagrams === undefined ? {} : { limits: options.datagrams }),
    })
    this.#kademlia = new Kademlia({
      crypto,
      random,
      jitter,
      contacts: this.#contacts,
      self: nodeIdToBytes(this.nodeId),
      records: this.#rules,
      ...(options.kademlia === undefined ? {} : { config: options.kademlia }),
    })
  }

  handle(now: Now, input: OverlayNodeInput): OverlayNodeOutput[] {
    const outputs: OverlayNodeOutput[] = []
    switch (input.type) {
      case 'datagram':
        this.#hear(now, this.#datagrams.handle(now, input), outputs)
        break
      case 'command':
        this.#command(now, input.id, input.command, outputs)
        break
      case 'listening':
        this.#codec.setFamilies(input.endpoints)
        this.#perform(now, this.#kademlia.handle(now, input), 0, outputs)
        break
      case 'wake':
        this.#hear(now, this.#datagrams.handle(now, input), outputs)
        this.#perform(now, this.#kademlia.handle(now, input), 0, outputs)
        break
      case 'services':
      case 'stop':
        this.#perform(now, this.#kademlia.handle(now, input), 0, outputs)
        break
    }
    // One after the other: what a walk does instead of a request that failed may fail as well, and so on.
    for (let token = this.#notSent.shift(); token !== undefined; token = this.#notSent.shift()) {
      this.#perform(now, this.#kademlia.handle(now, { type: 'failed', transaction: token }), 0, outputs)
    }
    return outputs
  }

  /** Monotonic ms of the next wake, Infinity for none. An early or repeated wake changes nothing. */
  deadline(): number {
    return Math.min(this.#kademlia.deadline(), this.#datagrams.deadline())
  }

  info(): OverlayNodeInfo {
    const kademlia = this.#kademlia.info()
    const counters: Record<string, number> = { ...kademlia.counters, ...this.#datagrams.counters() }
    for (const [reason, count] of this.#counters) counters[reason] = count
    return { nodeId: this.nodeId, kademlia, sessions: this.#datagrams.held().sessions, counters }
  }

  /** Contacts worth keeping over a restart, best first: at most 200. */
  contacts(): OverlayNodeContact[] {
    return this.#kademlia.contacts().map((ref) => this.#describe(ref))
  }

  /** Servers through which a node behind a NAT is reached: what to tell of it beside its key. Empty where it needs none. */
  rendezvous(): OverlayNodeContact[] {
    return this.#kademlia.rendezvous().map((ref) => this.#describe(ref))
  }

  #hear(now: Now, heard: readonly DatagramsOutput[], outputs: OverlayNodeOutput[]): void {
    for (const output of heard) {
      if (output.type === 'datagram') outputs.push(output)
      else if (output.type === 'message') this.#receive(now, output, outputs)
      else if (output.type === 'opener') this.#opened(now, output.from, output.nonce, outputs)
      else this.#notSent.push(output.token)
    }
  }

  #receive(now: Now, heard: DatagramsOutput & { readonly type: 'message' }, outputs: OverlayNodeOutput[]): void {
    // Lookups under way hold what peers told them of: with enough of both, all there is.
    if (!this.#contacts.tryReserve(contactsPerMessageMax + 1)) {
      this.#count('contacts-full')
      return
    }
    const { isProven, session } = heard
    const from = this.#senders.get(session) ?? this.#sender(heard.key, heard.endpoint)
    if (from === undefined) {
      this.#count('inadmissible-source')
      return
    }
    // Negative: of a handshake, whose session is yet to be made.
    if (session > 0) this.#senders.set(session, from)
    const decoded = this.#codec.decode(heard.payload, from)
    if (!decoded.ok) {
      this.#count(decoded.error.type)
      return
    }
    this.#perform(
      now,
      this.#kademlia.handle(now, { type: 'message', from, isProven, message: decoded.value }),
      session,
      outputs,
    )
  }

  #opened(now: Now, from: Endpoint, nonce: Uint8Array, outputs: OverlayNodeOutput[]): void {
    if (packAddress(from.host, from.port, this.#scratch, 32) === 0) this.#count('inadmissible-source')
    else if (!this.#contacts.tryReserve(1)) this.#count('contacts-full')
    else this.#perform(now, this.#kademlia.handle(now, { type: 'opener', from, nonce }), 0, outputs)
  }

  /** `session`: what replies go back over. */
  #perform(now: Now, asked: readonly KademliaOutput[], session: number, outputs: OverlayNodeOutput[]): void {
    for (const output of asked) {
      switch (output.type) {
        case 'send':
          if (output.isReply) this.#answer(now, session, output.message, outputs)
          else this.#request(now, output.to, output.message, outputs)
          break
        case 'reply':
          outputs.push({ type: 'reply', id: output.id, reply: this.#reply(output.reply) })
          break
        case 'opener':
          this.#hear(now, this.#datagrams.handle(now, output), outputs)
          break
        case 'again': {
          const [key, endpoint] = [this.#contacts.key(output.to), this.#contacts.endpoint(output.to)]
          this.#hear(now, this.#datagrams.handle(now, { type: 'repeat', key, endpoint }), outputs)
          break
        }
        case 'put-finished':
        case 'mode':
          outputs.push({ type: 'event', event: output })
          break
      }
    }
  }

  #answer(now: Now, session: number, message: KademliaMessage, outputs: OverlayNodeOutput[]): void {
    const payload = this.#codec.encodeForNow(message)
    this.#hear(now, this.#datagrams.handle(now, { type: 'answer', session, payload }), outputs)
  }

  #request(now: Now, to: ContactRef, message: KademliaMessage, outputs: OverlayNodeOutput[]): void {
    const sent = this.#datagrams.handle(now, {
      type: 'send',
      key: this.#contacts.key(to),
      endpoint: this.#contacts.endpoint(to),
      payload: this.#codec.encode(message),
      opens: message.type === 'ping' || message.type === 'find-node' || message.type === 'find-value',
      token: message.transaction,
    })
    this.#hear(now, sent, outputs)
  }

  /** Row of whoever sent a datagram; undefined for an address that no node can have (a zone, a port 0). */
  #sender(key: Uint8Array, { host, port }: Endpoint): ContactRef | undefined {
    const size = packAddress(host, port, this.#scratch, 32)
    if (size === 0) return undefined
    this.#scratch.set(key)
    const family: AddressFamily = size === 6 ? 4 : 6
    return this.#contacts.intern(this.#scratch, 0, family)
  }

  #command(now: Now, id: number, command: OverlayNodeCommand, outputs: OverlayNodeOutput[]): void {
    const translated = this.#translate(command)
    if (translated.ok) {
      this.#perform(now, this.#kademlia.handle(now, { type: 'command', id, command: translated.value }), 0, outputs)
    } else {
      outputs.push({ type: 'reply', id, reply: { type: 'failed', error: translated.error } })
    }
  }

  #translate(command: OverlayNodeCommand): Result<KademliaCommand, OverlayNodeError> {
    if (!isForNodes(command)) return ok(command)
    const asked = nodesOf(command)
    if (!this.#contacts.tryReserve(asked.length))
      return err({ type: 'too-many-operations', operationsMax: this.#operationsMax })
    const contacts = asked.flatMap((contact) => this.#intern(contact))
    if (command.type === 'bootstrap') return ok({ type: 'bootstrap', contacts })
    const [contact] = contacts
    if (contact !== undefined) {
      const { type } = command
      return ok(type === 'punch' ? { type, key: command.publicKey, rendezvous: contact } : { type, contact })
    }
    const [named] = asked
    assert(named !== undefined, 'a command that is for one node names one')
    return err({ type: 'inadmissible-endpoint', endpoint: named.endpoint })
  }

  #intern({ publicKey, endpoint }: Pick<OverlayNodeContact, 'publicKey' | 'endpoint'>): ContactRef[] {
    const ref = this.#sender(publicKey, endpoint)
    return ref === undefined ? [] : [ref]
  }

  #reply(reply: (KademliaOutput & { readonly type: 'reply' })['reply']): OverlayNodeReply {
    if (reply.type !== 'found-nodes') return reply
    return { ...reply, contacts: reply.contacts.map((ref) => this.#describe(ref)) }
  }

  #describe(ref: ContactRef): OverlayNodeContact {
    return {
      nodeId: bytesToNodeId(this.#contacts.id(ref)),
      publicKey: this.#contacts.key(ref).slice(),
      endpoint: this.#contacts.endpoint(ref),
    }
  }

  #count(reason: string): void {
    this.#counters.set(reason, (this.#counters.get(reason) ?? 0) + 1)
  }
}

type NodeCommand = Extract<OverlayNodeCommand, { type: 'bootstrap' | 'ping' | 'punch' | 'services' }>

function isForNodes(command: OverlayNodeCommand): command is NodeCommand {
  return ['bootstrap', 'ping', 'punch', 'services'].includes(command.type)
}

/** Whom a command is to ask first. */
function nodesOf(command: NodeCommand): readonly Pick<OverlayNodeContact, 'publicKey' | 'endpoint'>[] {
  if (command.type === 'bootstrap') return command.contacts.slice(0, bootstrapContactsMax)
  return [command.type === 'punch' ? command.rendezvous : command.contact]
}
