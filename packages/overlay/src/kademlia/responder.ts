import type { Core } from './core.ts'
import type { ContactRef, KademliaMessage } from './interface.ts'
import { RecordStore } from './record-store.ts'

type Request<T extends KademliaMessage['type']> = Extract<KademliaMessage, { type: T }>

const noContacts: readonly ContactRef[] = []

/** Answers requests: rows E16, E18, E19. */
export class Responder {
  readonly #core: Core
  #records: RecordStore | undefined

  constructor(core: Core) {
    this.#core = core
  }

  get records(): RecordStore {
    this.#records ??= new RecordStore(this.#core)
    return this.#records
  }

  /** Without making one. */
  get recordsOrNone(): RecordStore | undefined {
    return this.#records
  }

  ping(from: ContactRef, { transaction }: Request<'ping'>): void {
    const { contacts } = this.#core
    const isServer = this.#core.isServerFor(from)
    this.#core.answer(from, { type: 'pong', transaction, isServer, observed: contacts.endpoint(from) })
  }

  findNode(from: ContactRef, { transaction, target }: Request<'find-node'>): void {
    if (target.length !== 32) {
      this.#core.counters.add('requests-malformed')
      return
    }
    const isServer = this.#core.isServerFor(from)
    const token = this.#core.token(from)
    const contacts = this.#closest(from, target)
    this.#core.answer(from, { type: 'find-node-response', transaction, isServer, token, contacts })
  }

  findValue(from: ContactRef, { transaction, key }: Request<'find-value'>): void {
    if (key.length !== 32) {
      this.#core.counters.add('requests-malformed')
      return
    }
    const isServer = this.#core.isServerFor(from)
    const token = this.#core.token(from)
    const record = this.#records?.get(key)
    const contacts = record === undefined ? this.#closest(from, key) : noContacts
    this.#core.answer(from, { type: 'find-value-response', transaction, isServer, token, record, contacts })
  }

  store(from: ContactRef, message: Request<'store'>): void {
    const { transaction } = message
    const isServer = this.#core.isServerFor(from)
    this.#core.answer(from, { type: 'store-response', transaction, isServer, status: this.#store(from, message) })
  }

  #store(from: ContactRef, { token, record, ageMinutes = 0 }: Request<'store'>): Request<'store-response'>['status'] {
    const { counters, rules } = this.#core
    if (!this.#core.isTokenOf(token, from)) {
      counters.add('stores-bad-token')
      return 'bad-token'
    }
    const checked = rules.check(record)
    if (checked === undefined) {
      counters.add('stores-bad-record')
      return 'bad-record'
    }
    const status = this.records.store(from, record, checked, ageMinutes)
    if (status === 'stale') counters.add('stores-stale')
    if (status === 'full') counters.add('stores-full')
    return status
  }

  /** The k nearest but the asker, at most two of a prefix. */
  #closest(asker: ContactRef, target: Uint8Array): readonly ContactRef[] {
    const { table, config } = this.#core
    const closest: ContactRef[] = []
    table.closest(target, config.k + 1, closest, { prefixMax: config.contactsPerPrefixMax })
    const at = closest.indexOf(asker)
    if (at >= 0) closest.splice(at, 1)
    else if (closest.length > config.k) closest.pop()
    return closest
  }
}
