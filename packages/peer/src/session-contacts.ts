import type { ContactRef, ContactTable } from '@miaou/overlay'

/** Entries, a power of two: guess, more sessions than a node has warm at a time; 3 KB. */
const entryCount = 256

/**
 * Whose row each session is: a session belongs to one key at one endpoint, which needs no second look at each message. A
 * cache of one entry a place: a session whose place another one took is looked up again. Rows are valid until the table
 * is swept, so nothing is remembered beyond that.
 */
export class SessionContacts {
  readonly #contacts: ContactTable
  readonly #sessions = new Float64Array(entryCount)
  readonly #refs = new Uint32Array(entryCount)
  #sweeps = 0

  constructor(contacts: ContactTable) {
    this.#contacts = contacts
  }

  /** `session`: a number that no other session ever had, not 0. */
  get(session: number): ContactRef | undefined {
    const at = session % entryCount
    if (this.#sweeps !== this.#contacts.sweeps || this.#sessions[at] !== session) return undefined
    return this.#refs[at] as ContactRef
  }

  set(session: number, ref: ContactRef): void {
    if (this.#sweeps !== this.#contacts.sweeps) {
      this.#sessions.fill(0)
      this.#sweeps = this.#contacts.sweeps
    }
    const at = session % entryCount
    this.#sessions[at] = session
    this.#refs[at] = ref
  }
}
