import { equalBytes } from '@miaou/core'
import { mailboxAckIdsMax } from '@miaou/protocol'
import type { MailboxesLimits } from './mailboxes-limits.ts'
import type { PushedEnvelope } from './mailboxes-link.ts'

interface Handed {
  readonly bytes: Uint8Array
  /** The next acknowledgement of this id may be of another envelope, which had the same one on an earlier link. */
  isAmbiguous: boolean
}

/**
 * What one box has handed on and not acknowledged (spec/mailbox MB64, MB65). A mailbox that lost everything may give its
 * numbers out again, so an acknowledgement counts only for an envelope of the link that stands.
 */
export class EnvelopeWindow {
  readonly #limits: MailboxesLimits
  readonly #handed = new Map<number, Handed>()
  readonly #sha256: (bytes: Uint8Array) => Uint8Array
  // Digests of what earlier links handed on and nobody acknowledged, by id.
  readonly #earlier = new Map<number, Uint8Array>()
  // Ids of this link, so that none comes twice; those under the floor are not looked at any more.
  readonly #seen = new Set<number>()
  #floor = -1
  #bytes = 0
  #toAcknowledge: number[] = []
  #bytesToAcknowledge = 0

  constructor(limits: MailboxesLimits, sha256: (bytes: Uint8Array) => Uint8Array) {
    this.#limits = limits
    this.#sha256 = sha256
  }

  /** Envelopes that were handed on and that nobody has acknowledged. */
  get count(): number {
    return this.#handed.size
  }

  /** Acknowledged and not told to the mailbox yet. */
  get toAcknowledgeCount(): number {
    return this.#toAcknowledge.length
  }

  /** Whether so much waits that the mailbox would have to stop soon. */
  get isHalfFull(): boolean {
    const { envelopesMax, envelopeBytesMax } = this.#limits
    return this.#toAcknowledge.length * 2 >= envelopesMax || this.#bytesToAcknowledge * 2 >= envelopeBytesMax
  }

  /** The link is gone: what is not acknowledged comes again on the next one. */
  restart(): void {
    for (const [id, { bytes }] of this.#handed) this.#earlier.set(id, this.#sha256(bytes))
    for (const id of this.#earlier.keys()) {
      if (this.#earlier.size <= 2 * this.#limits.envelopesMax) break
      this.#earlier.delete(id)
    }
    this.#handed.clear()
    this.#seen.clear()
    this.#floor = -1
    this.#bytes = 0
    this.#toAcknowledge = []
    this.#bytesToAcknowledge = 0
  }

  /** `ok`: to be handed on. `swapped`: so, too, but another one had this number on the last link. */
  take({ id, bytes }: PushedEnvelope): 'ok' | 'swapped' | 'repeated' | 'flood' {
    const { envelopesMax, envelopeBytesMax } = this.#limits
    // A mailbox that does not keep the order loses nothing by it: only what comes twice is of no use.
    if (id <= this.#floor || this.#seen.has(id)) return 'repeated'
    const isFull = this.#handed.size >= envelopesMax || this.#bytes + bytes.length > envelopeBytesMax
    if (isFull && this.#handed.size > 0) return 'flood'
    this.#seen.add(id)
    if (this.#seen.size > 4 * envelopesMax) {
      for (const oldest of this.#seen) {
        this.#seen.delete(oldest)
        this.#floor = Math.max(this.#floor, oldest)
        break
      }
    }
    const earlier = this.#earlier.get(id)
    const isSwapped = earlier !== undefined && !equalBytes(earlier, this.#sha256(bytes))
    this.#handed.set(id, { bytes, isAmbiguous: isSwapped })
    this.#bytes += bytes.length
    return isSwapped ? 'swapped' : 'ok'
  }

  /** Whether the id is one that the mailbox will be told of. */
  acknowledge(id: number): boolean {
    const handed = this.#handed.get(id)
    if (handed === undefined) {
      this.#earlier.delete(id)
      return false
    }
    if (handed.isAmbiguous) {
      handed.isAmbiguous = false
      return false
    }
    this.#handed.delete(id)
    this.#earlier.delete(id)
    this.#bytes -= handed.bytes.length
    this.#bytesToAcknowledge += handed.bytes.length
    this.#toAcknowledge.push(id)
    return true
  }

  /** Groups of ids, each for one message. */
  takeAcknowledgements(): number[][] {
    const groups: number[][] = []
    for (let at = 0; at < this.#toAcknowledge.length; at += mailboxAckIdsMax) {
      groups.push(this.#toAcknowledge.slice(at, at + mailboxAckIdsMax))
    }
    this.#toAcknowledge = []
    this.#bytesToAcknowledge = 0
    return groups
  }
}
