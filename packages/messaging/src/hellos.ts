import type { AddressScope, Hello } from '@miaou/protocol'
import { decodeDeviceRecord, entryToBox, formatBoxAddress, isNote, isWayWithin, wayScope } from '@miaou/protocol'
import { ownDepositSecret } from './boxes.ts'
import type { Contacts } from './contacts.ts'
import type { Context } from './context.ts'
import type { Contact, Device } from './model.ts'
import type { Prekeys } from './prekeys.ts'
import type { SettingsTable } from './settings.ts'
import type { Starts } from './starts.ts'

export interface HelloParts {
  readonly contacts: Contacts
  readonly prekeys: Prekeys
  readonly settings: SettingsTable
  readonly starts: () => Pick<Starts, 'signed' | 'laterMarkFor'>
}

/** The setting that holds which of our boxes contacts were told of last. */
const toldBoxesName = 'toldBoxes'

/** The setting that holds how near we were reached last. */
const nearestName = 'nearest'

/** What we say of ourselves to the devices of contacts: who we are, and all they need to leave us messages. */
export class Hellos {
  readonly #context: Context
  readonly #parts: HelloParts
  #record: Uint8Array | undefined

  constructor(context: Context, parts: HelloParts) {
    this.#context = context
    this.#parts = parts
  }

  /** What a hello to a device says now; undefined for one whose person is no contact. */
  body(device: Device): Hello | undefined {
    const { contact } = device
    if (!contact.ownHintKey) return undefined
    const { contacts, prekeys, settings, starts } = this.#parts
    const { id, publicKey: key } = prekeys.sealingKey()
    const laterMark = starts().laterMarkFor(device)
    const note = settings.read(noteName(contact))
    return {
      type: 'hello',
      name: settings.selfName(),
      hintKey: contact.ownHintKey,
      ...(contact.inviteToken && { inviteToken: contact.inviteToken }),
      accepted: true,
      depositSecret: ownDepositSecret(this.#context, contacts, device),
      locatorKey: settings.locatorKey(),
      ...(this.#record && { deviceRecord: this.#record }),
      sealingKey: { id, key },
      ...(note !== undefined && isNote(note) && { note }),
      startMark: starts().signed(),
      ...(laterMark && { laterMark }),
    }
  }

  /**
   * Our own signed record as it is now; empty for none. True when it names other boxes than contacts were told of, so that
   * they must hear of them.
   */
  ownRecord(bytes: Uint8Array): boolean {
    this.#record = bytes.length === 0 ? undefined : bytes
    const decoded = this.#record && decodeDeviceRecord(this.#record)
    if (!decoded?.ok) return false
    const { ways, mailboxes } = decoded.value.value
    const boxes = mailboxes.flatMap((entry) => entryToBox(entry) ?? [])
    const nearest = nearestOf([...ways, ...boxes.map(({ mailbox }) => mailbox.url)])
    if (nearest !== this.nearest) this.#parts.settings.write(nearestName, nearest)
    const told = boxes.map(formatBoxAddress).sort().join('\n')
    // While none answers the old ones are still ours.
    if (told === '' || told === this.#parts.settings.read(toldBoxesName)) return false
    this.#parts.settings.write(toldBoxesName, told)
    return true
  }

  /** As told last, in this process; empty for none. */
  get lastRecord(): Uint8Array {
    return this.#record ?? new Uint8Array(0)
  }

  /**
   * The nearest that we are reached ourselves, by the own record that had a way last: others may name what is as near, and
   * nothing nearer. Kept over restarts, since mail comes before the first record of a start is signed.
   */
  get nearest(): AddressScope {
    const known = this.#parts.settings.read(nearestName)
    return known === 'loopback' || known === 'private' ? known : 'public'
  }

  /** What a person shall read with our request, until they have answered. Empty or unfit: none. */
  setNote(contact: Contact, note: string): void {
    if (isNote(note)) this.#parts.settings.write(noteName(contact), note)
    else this.forgetNote(contact)
  }

  forgetNote(contact: Contact): void {
    this.#parts.settings.remove(noteName(contact))
  }
}

function nearestOf(ways: readonly string[]): AddressScope {
  let nearest: AddressScope = 'public'
  for (const way of ways) if (!isWayWithin(way, nearest)) nearest = wayScope(way)
  return nearest
}

function noteName(contact: Contact): string {
  return `note.${contact.id}`
}
