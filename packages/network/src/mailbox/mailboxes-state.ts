import type { Jitter, Now, Random } from '@miaou/core'
import type { Crypto } from '@miaou/crypto'
import type { LinkIdentity } from '../link-handshake.ts'
import type { LinkLimits } from '../link-limits.ts'
import type { PipeId, TransportEvent } from '../ports.ts'
import type { MailboxesOutput } from './interface.ts'
import { type MailboxesCounter, MailboxesCounters } from './mailboxes-counters.ts'
import type { MailboxesLimits } from './mailboxes-limits.ts'

/** As whom we keep a box: whom its link shows, and what signs acknowledgements. */
export interface BoxPseudonym extends LinkIdentity {
  /** Ed25519, the 32-byte seed of the key that `peerId` spells. */
  readonly signingKey: Uint8Array
}

export interface MailboxesSettings {
  readonly crypto: Crypto
  readonly random: Random
  readonly jitter: Jitter
  /** As whom a box is kept at a mailbox (its id, 16 bytes): always the same one, and another for each mailbox. */
  readonly pseudonymFor: (mailboxId: Uint8Array) => BoxPseudonym
  /** A random pseudonym, for one link that leaves something. */
  readonly freshPseudonym: () => LinkIdentity
  /** Whether links with own mailboxes go through a relay, always. */
  readonly ownerThroughRelay: boolean
  /** Whether the mailboxes of others may be dialled straight where no relay is linked: they see our address then. */
  readonly directDeposits: boolean
  /** Whether a URL that only a contact names may be dialled straight. */
  readonly admitsUrl: (url: string) => boolean
  readonly limits: MailboxesLimits
  readonly linkLimits: LinkLimits
  readonly nextPipe: () => PipeId
}

/** A link, as the engine sees it. */
export interface PipeUser {
  transport(now: Now, event: TransportEvent): void
  wake(now: Now): void
  deadline(): number
}

/** Tables and pending effects that the parts of the client of mailboxes share. */
export class MailboxesState {
  readonly settings: MailboxesSettings
  readonly counters: MailboxesCounters = new MailboxesCounters()
  /** Links with mailboxes, by the pipe that carries them. */
  readonly links: Map<PipeId, PipeUser> = new Map()
  /** Pipes that were given up and have not told their end yet. */
  readonly endedPipes: Set<PipeId> = new Set()
  outputs: MailboxesOutput[] = []

  constructor(settings: MailboxesSettings) {
    this.settings = settings
  }

  emit(output: MailboxesOutput): void {
    this.outputs.push(output)
  }

  count(name: MailboxesCounter, by = 1): void {
    this.counters.count(name, by)
  }
}
