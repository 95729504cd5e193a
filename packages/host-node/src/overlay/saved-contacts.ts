import { isIP } from 'node:net'
import { ByteReader, ByteWriter, bytesToHex, equalBytes, type Log, textToBytes } from '@miaou/core'
import type { Endpoint } from '@miaou/protocol'
import type { SealedDocument } from './sealed-document.ts'

/** What it takes to talk to a node of the overlay, and what is kept of it over a restart. */
export interface NodeAddress {
  /** X25519, 32 bytes. */
  readonly publicKey: Uint8Array
  readonly endpoint: Endpoint
}

/** Contacts kept at most: ten times k, most of them gone after a day (guess). */
export const savedContactsMax = 200

/** An IPv6 address with an IPv4 tail has 45 characters. */
const hostSizeMax = 45

/** Bytes of the largest document. */
export const savedContactsSizeMax: number = 2 + savedContactsMax * (32 + 2 + 2 + hostSizeMax)

/** Least time between two writes while the node runs. Guess: a crash costs what was learned in it. */
const saveIntervalMs = 300_000

/** The contacts that survive a restart, in one sealed document. A node can do without: nothing here is fatal. */
export class SavedContacts {
  readonly #document: SealedDocument
  readonly #log: Log
  #contacts: readonly NodeAddress[] = []
  /** The body on disk. */
  #stored: Uint8Array = new Uint8Array(0)
  #savedAt = Number.NEGATIVE_INFINITY

  constructor(document: SealedDocument, log: Log) {
    this.#document = document
    this.#log = log
  }

  /** Best first. */
  get all(): readonly NodeAddress[] {
    return this.#contacts
  }

  /** Reads the document. A damaged one is put aside and logged. */
  load(): void {
    const body = this.#document.load()
    const contacts = body.ok ? decodeSavedContacts(body.value ?? encodeSavedContacts([])) : undefined
    if (contacts === undefined) {
      const error = body.ok ? this.#document.putAside('it is no list of contacts') : body.error
      this.#log.write('warn', 'overlay-contacts-damaged', { detail: error.detail })
    }
    this.#contacts = contacts ?? []
  }

  /** Saves at the first call that has contacts, and then every five minutes. `mono`: monotonic ms. */
  saveNowAndThen(contacts: () => readonly NodeAddress[], mono: number): void {
    if (mono < this.#savedAt + saveIntervalMs) return
    const present = contacts()
    if (present.length === 0) return
    this.#savedAt = mono
    this.save(present)
  }

  /** The contacts of now, and behind them those of before: a network that was down for an hour costs none. */
  save(present: readonly NodeAddress[]): void {
    const keys = new Set(present.map(({ publicKey }) => bytesToHex(publicKey)))
    const before = this.#contacts.filter(({ publicKey }) => !keys.has(bytesToHex(publicKey)))
    this.#contacts = [...present, ...before].slice(0, savedContactsMax)
    const body = encodeSavedContacts(this.#contacts)
    if (equalBytes(body, this.#stored)) return
    const stored = this.#document.store(body)
    if (stored.ok) this.#stored = body
    else this.#log.write('warn', 'overlay-contacts-not-saved', { code: stored.error.code })
  }
}

/** Count u16, then for each: public key 32 ‖ port u16 ‖ host (u16 length, ASCII). Those beyond `savedContactsMax` are left out. */
export function encodeSavedContacts(contacts: readonly NodeAddress[]): Uint8Array {
  const kept = contacts.slice(0, savedContactsMax)
  const writer = new ByteWriter().u16(kept.length)
  for (const { publicKey, endpoint } of kept)
    writer.bytes(publicKey).u16(endpoint.port).bytes16(textToBytes(endpoint.host))
  return writer.finish()
}

/** Undefined for what `encodeSavedContacts` did not write. */
export function decodeSavedContacts(bytes: Uint8Array): NodeAddress[] | undefined {
  const reader = new ByteReader(bytes)
  const count = reader.u16()
  if (count > savedContactsMax) return undefined
  const contacts = Array.from({ length: count }, () => {
    const publicKey = reader.bytes(32)
    const port = reader.u16()
    return { publicKey, endpoint: { host: reader.text16(hostSizeMax), port } }
  })
  const areUsable = contacts.every(({ endpoint }) => endpoint.port > 0 && isIP(endpoint.host) !== 0)
  return reader.finished() && areUsable ? contacts : undefined
}
