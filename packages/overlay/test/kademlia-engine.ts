import { ContactTable } from '../src/kademlia/contact-table.ts'
import type {
  ContactRef,
  KademliaCommand,
  KademliaConfig,
  KademliaInput,
  KademliaMessage,
  KademliaOutput,
  KademliaReply,
} from '../src/kademlia/interface.ts'
import { Kademlia } from '../src/kademlia/kademlia.ts'
import { createRandomStream, testCrypto, testRules } from './kademlia-net.ts'

export type Send = Extract<KademliaOutput, { type: 'send' }>

/** An id that begins with some bytes; the others are 0. */
export function idOf(...bytes: number[]): Uint8Array {
  const id = new Uint8Array(32)
  id.set(bytes)
  return id
}

/** One engine, with the ids of its contacts chosen: an id is its key. The own id is all zeros but for the last bit. */
export class TestEngine {
  readonly contacts: ContactTable
  readonly engine: Kademlia
  mono = 1_000
  wall = 1_700_000_000_000
  #nextId = 1
  #nextTransaction = 70_000

  constructor(config: Partial<KademliaConfig> = {}, contactsMax = 100_000) {
    const crypto = {
      ...testCrypto,
      sha256: (data: Uint8Array) => (data.length === 32 ? data.slice() : testCrypto.sha256(data)),
    }
    this.contacts = new ContactTable({ crypto, contactsMax })
    const random = createRandomStream(1)
    this.engine = new Kademlia({
      crypto,
      random: { bytes: (size) => Uint8Array.from({ length: size }, () => Math.floor(random() * 256)) },
      jitter: { next: random },
      contacts: this.contacts,
      self: idOf(...new Array<number>(31).fill(0), 1),
      records: testRules,
      config: { mode: 'server', ...config },
      now: this.mono,
    })
  }

  contact(id: Uint8Array, host = `20.${id[0]}.${id[1]}.${id[2]}`): ContactRef {
    return this.contacts.internKey(id, { host, port: 4000 })
  }

  give(input: KademliaInput): KademliaOutput[] {
    return this.engine.handle({ mono: this.mono, wall: this.wall }, input)
  }

  message(from: ContactRef, message: KademliaMessage, isProven = true): KademliaOutput[] {
    return this.give({ type: 'message', from, isProven, message })
  }

  command(command: KademliaCommand): { readonly id: number; readonly outputs: KademliaOutput[] } {
    const id = this.#nextId++
    return { id, outputs: this.give({ type: 'command', id, command }) }
  }

  /** Moves time to the deadline, at most so far, and wakes; repeats until the time is over. */
  pass(ms: number): KademliaOutput[] {
    const until = this.mono + ms
    const outputs: KademliaOutput[] = []
    while (this.engine.deadline() <= until) {
      this.mono = Math.max(this.mono, this.engine.deadline())
      outputs.push(...this.give({ type: 'wake' }))
    }
    this.mono = until
    return outputs
  }

  /** Lets time pass until a message goes out that `match` takes, so that it can be answered; an hour at most. */
  until(match: (send: Send) => boolean): Send {
    const end = this.mono + 3_600_000
    while (this.engine.deadline() <= end) {
      this.mono = Math.max(this.mono, this.engine.deadline())
      const send = sends(this.give({ type: 'wake' })).find(match)
      if (send !== undefined) return send
    }
    throw new Error('nothing of the kind was sent')
  }

  /** A contact that has proven itself by a request. */
  meet(from: ContactRef, isServer = true): KademliaOutput[] {
    return this.message(from, { type: 'ping', transaction: this.#nextTransaction++, isServer })
  }

  /** The answer to a request of ours. */
  answer(send: Send, contacts: readonly ContactRef[] = [], record?: Uint8Array, from = send.to): KademliaOutput[] {
    const { transaction, type } = send.message
    const common = { transaction, isServer: true }
    const token = new Uint8Array(8)
    if (type === 'find-node') return this.message(from, { ...common, type: 'find-node-response', token, contacts })
    if (type === 'find-value') {
      return this.message(from, { ...common, type: 'find-value-response', token, record, contacts })
    }
    if (type === 'store') return this.message(from, { ...common, type: 'store-response', status: 'stored' })
    if (type === 'reach') return this.message(from, { ...common, type: 'reach-response' })
    return this.message(from, { ...common, type: 'pong', observed: undefined })
  }

  /** A token of ours for a contact. */
  tokenFor(from: ContactRef): Uint8Array {
    const [send] = sends(this.message(from, { type: 'find-node', transaction: 1, isServer: false, target: idOf(1) }))
    if (send?.message.type !== 'find-node-response') throw new Error('no answer')
    return send.message.token
  }

  store(from: ContactRef, record: Uint8Array, ageMinutes?: number, token = this.tokenFor(from)): string {
    const common = { type: 'store', transaction: 2, isServer: false, token, record } as const
    const [send] = sends(this.message(from, ageMinutes === undefined ? common : { ...common, ageMinutes }))
    if (send?.message.type !== 'store-response') throw new Error('no answer')
    return send.message.status
  }

  /** The record that this engine gives for a key. */
  held(key: Uint8Array): Uint8Array | undefined {
    const asker = this.contact(idOf(255, 255, 255))
    const [send] = sends(this.message(asker, { type: 'find-value', transaction: 3, isServer: false, key }))
    if (send?.message.type !== 'find-value-response') throw new Error('no answer')
    return send.message.record
  }

  counter(name: string): number {
    return (this.engine.info().counters as Record<string, number>)[name] ?? 0
  }
}

export function sends(outputs: readonly KademliaOutput[], type?: KademliaMessage['type']): Send[] {
  return outputs.filter(
    (output) => output.type === 'send' && (type === undefined || output.message.type === type),
  ) as Send[]
}

export function replies(outputs: readonly KademliaOutput[]): KademliaReply[] {
  return outputs.flatMap((output) => (output.type === 'reply' ? [output.reply] : []))
}
