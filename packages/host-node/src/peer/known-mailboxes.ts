import { bytesToText, equalBytes, err, type Log, ok, type Result, textToBytes } from '@miaou/core'
import { formatMailboxAddress, type MailboxAddress, parseMailboxAddress, relayUrlLengthMax } from '@miaou/protocol'
import type { SealedDocument } from '../overlay/sealed-document.ts'
import type { AddMailboxError } from './handle.ts'

/** Own choice: as many as a configuration may name. */
export const addedMailboxesMax = 8
/** Own choice: more than are ever kept at once, so that contacts who write to a former one are still read. */
const keptMailboxesMax = 8
/** Bytes of the largest document: a letter, a mailbox id of 22 characters, `@`, the URL and a line feed each. */
export const knownMailboxesSizeMax: number =
  (addedMailboxesMax + keptMailboxesMax) * (1 + 22 + 1 + relayUrlLengthMax + 1)

/** `a`: added by command; `k`: we have a box there, whoever named it. */
type Mark = 'a' | 'k'

/** Mailboxes that a person added, and those at which boxes were kept before a restart, in one sealed document. */
export class KnownMailboxes {
  readonly #document: SealedDocument
  readonly #log: Log
  #added: readonly MailboxAddress[] = []
  #kept: readonly MailboxAddress[] = []

  constructor(document: SealedDocument, log: Log) {
    this.#document = document
    this.#log = log
  }

  /** Best first: the last one added. */
  get added(): readonly MailboxAddress[] {
    return this.#added
  }

  /** Where contacts may still write to. */
  get kept(): readonly MailboxAddress[] {
    return this.#kept
  }

  /** Reads the document. A damaged one is put aside and logged: boxes are found again once mailboxes are added again. */
  load(): void {
    const body = this.#document.load()
    const lines = body.ok ? linesOf(body.value ?? new Uint8Array(0)) : undefined
    if (lines === undefined) {
      const error = body.ok ? this.#document.putAside('it is no list of mailboxes') : body.error
      this.#log.write('warn', 'mailboxes-damaged', { detail: error.detail })
    }
    const marked = (mark: Mark) => (lines ?? []).flatMap((line) => (line.mark === mark ? [line.mailbox] : []))
    this.#added = marked('a')
    this.#kept = marked('k')
  }

  /** The same mailbox at another URL takes the place of the one there was. */
  add(mailbox: MailboxAddress): Result<undefined, AddMailboxError> {
    const others = this.#added.filter((known) => !isSameMailbox(known, mailbox))
    if (others.length >= addedMailboxesMax) {
      return err({ type: 'too-many-mailboxes', mailboxesMax: addedMailboxesMax })
    }
    return this.#store([mailbox, ...others], this.#kept)
  }

  /** Whether it was there. */
  remove(mailbox: MailboxAddress): Result<boolean, AddMailboxError> {
    const others = this.#added.filter((known) => !isSameMailbox(known, mailbox))
    if (others.length === this.#added.length) return ok(false)
    const stored = this.#store(others, this.#kept)
    return stored.ok ? ok(true) : stored
  }

  /** Where there are boxes now, best first. A home that cannot be written keeps them in memory. */
  keep(mailboxes: readonly MailboxAddress[]): void {
    const kept = mailboxes.slice(0, keptMailboxesMax)
    if (kept.map(formatMailboxAddress).join() === this.#kept.map(formatMailboxAddress).join()) return
    const stored = this.#store(this.#added, kept)
    if (stored.ok) return
    this.#kept = kept
    this.#log.write('warn', 'mailboxes-not-saved', { error: stored.error.type })
  }

  #store(added: readonly MailboxAddress[], kept: readonly MailboxAddress[]): Result<undefined, AddMailboxError> {
    const write = (mark: Mark, mailboxes: readonly MailboxAddress[]): string =>
      mailboxes.map((mailbox) => `${mark}${formatMailboxAddress(mailbox)}\n`).join('')
    const stored = this.#document.store(textToBytes(write('a', added) + write('k', kept)))
    if (!stored.ok) return stored
    this.#added = added
    this.#kept = kept
    return ok(undefined)
  }
}

export function isSameMailbox(a: MailboxAddress, b: MailboxAddress): boolean {
  return equalBytes(a.mailboxId, b.mailboxId)
}

/** Undefined for what `KnownMailboxes` did not write. */
function linesOf(bytes: Uint8Array): { readonly mark: string; readonly mailbox: MailboxAddress }[] | undefined {
  const lines = bytesToText(bytes)?.split('\n')
  // What ends with a line feed splits into one empty piece more.
  if (lines?.pop() !== '') return undefined
  const read = lines.flatMap((line) => {
    const mailbox = parseMailboxAddress(line.slice(1))
    return mailbox === undefined ? [] : [{ mark: line.slice(0, 1), mailbox }]
  })
  return read.length === lines.length ? read : undefined
}
