import { bytesToHex, type Jitter, type Now, type Random } from '@miaou/core'
import type { Crypto } from '@miaou/crypto'
import { isRelayUrl, type MailboxAddress, mailboxIdSize, type StartMark } from '@miaou/protocol'
import type { LinkIdentity } from '../link-handshake.ts'
import type { LinkLimits } from '../link-limits.ts'
import type { PipeId, TransportEvent } from '../ports.ts'
import type { MailboxesEngine, MailboxesInput, MailboxesOutput, MailboxView } from './interface.ts'
import { Deposits } from './mailboxes-deposits.ts'
import { defaultMailboxesLimits, defaultMailboxLinkLimits, type MailboxesLimits } from './mailboxes-limits.ts'
import { OwnMailbox } from './mailboxes-own.ts'
import { type BoxPseudonym, MailboxesState } from './mailboxes-state.ts'

export interface MailboxesOptions {
  readonly crypto: Crypto
  readonly random: Random
  readonly jitter: Jitter
  /** As whom a box is kept at a mailbox (its id, 16 bytes): always the same one, and another for each mailbox. */
  readonly pseudonymFor: (mailboxId: Uint8Array) => BoxPseudonym
  /** A random pseudonym, for one link that leaves something. */
  readonly freshPseudonym: () => LinkIdentity
  /** Whether links with own mailboxes go through a relay, always: who allows no straight connection. Default: no. */
  readonly ownerThroughRelay?: boolean
  /** Whether the mailboxes of others may be dialled straight where no relay is linked: they see our address then. */
  readonly directDeposits: boolean
  /**
   * Whether a URL that only a contact names may be dialled straight: who sets it keeps contacts from having ports of this
   * machine and its network probed. Default: every one.
   */
  readonly admitsUrl?: (url: string) => boolean
  readonly limits?: Partial<MailboxesLimits>
  readonly linkLimits?: Partial<LinkLimits>
}

/**
 * The client of mailboxes: keeps own boxes and fetches from them, and leaves messages in the boxes of others. An engine
 * without clock and I/O: every effect is in the returned list. Rules: spec/mailbox.md, "Client".
 */
export class Mailboxes implements MailboxesEngine {
  readonly #state: MailboxesState
  readonly #deposits: Deposits
  readonly #own = new Map<string, OwnMailbox>()
  #start: StartMark | undefined
  #boxesKey = '[]'
  #now: Now = { mono: 0, wall: 0 }
  #isStopped = false

  /** `nextPipe`: a number for a pipe that this engine opens, unique among all pipes of the process. */
  constructor(options: MailboxesOptions, nextPipe: () => PipeId) {
    const { ownerThroughRelay = false, admitsUrl = () => true } = options
    const limits = { ...defaultMailboxesLimits, ...options.limits }
    const linkLimits = { ...defaultMailboxLinkLimits, ...options.linkLimits }
    this.#state = new MailboxesState({ ...options, ownerThroughRelay, admitsUrl, limits, linkLimits, nextPipe })
    this.#deposits = new Deposits(this.#state)
  }

  handle(now: Now, input: MailboxesInput): MailboxesOutput[] {
    this.#now = now
    if (this.#isStopped) this.#refuse(now, input)
    else {
      this.#take(now, input)
      if (!this.#isStopped) this.#arrange(now)
    }
    const { outputs } = this.#state
    this.#state.outputs = []
    return outputs
  }

  deadline(): number {
    let deadline = Number.POSITIVE_INFINITY
    if (this.#isStopped) return deadline
    for (const own of this.#own.values()) {
      deadline = Math.min(deadline, own.deadline())
      // Somebody else's turn comes with the end of its patience.
      if (own.isChosen && own.patienceEnd > this.#now.mono) deadline = Math.min(deadline, own.patienceEnd)
    }
    return Math.min(deadline, this.#deposits.deadline())
  }

  owns(pipe: PipeId): boolean {
    return this.#state.links.has(pipe) || this.#state.endedPipes.has(pipe)
  }

  /** Own mailboxes in use, tried or refused, best first; those of the list that were not needed yet are not shown. */
  views(): readonly MailboxView[] {
    const leaving = [...this.#own.values()].filter(({ rank }) => rank === undefined)
    return [...this.#listed(), ...leaving].map((own) => own.view(this.#now)).filter((view) => view !== undefined)
  }

  /** What was dropped, refused or lost, by reason, since the start. */
  counters(): Readonly<Record<string, number>> {
    return this.#state.counters.snapshot()
  }

  /** Rows of the tables that can grow: for tests and diagnostics. */
  sizes(): Readonly<Record<'own' | 'links' | 'endedPipes' | 'routes' | 'jobs' | 'queuedBytes', number>> {
    const { links, endedPipes } = this.#state
    const { routesCount, jobsCount, queuedBytes } = this.#deposits
    const pipes = { links: links.size, endedPipes: endedPipes.size }
    return { own: this.#own.size, ...pipes, routes: routesCount, jobs: jobsCount, queuedBytes }
  }

  #take(now: Now, input: MailboxesInput): void {
    switch (input.type) {
      case 'mailboxes':
        this.#setMailboxes(now, input.mailboxes)
        return
      case 'start':
        this.#start = input.mark
        for (const own of this.#own.values()) own.setStart(now, input.mark)
        return
      case 'transport':
        this.#takeEvent(now, input.event)
        return
      case 'supply':
        this.#ownOf(input.box)?.supply(now, input.supply)
        return
      case 'acknowledge': {
        const own = this.#ownOf(input.box)
        if (own === undefined) this.#state.count('late-acknowledgements', input.ids.length)
        else own.acknowledge(now, input.ids)
        return
      }
      case 'deposit':
      case 'check':
      case 'fetch-bundle':
        this.#deposits.add(now, input)
        return
      case 'network-changed':
        for (const own of this.#own.values()) own.networkChanged(now)
        this.#deposits.networkChanged(now)
        return
      case 'wake':
        for (const own of this.#own.values()) own.wake(now)
        this.#deposits.wake(now)
        return
      case 'stop':
        this.#isStopped = true
        this.#deposits.stop(now)
        for (const own of this.#own.values()) own.stop(now)
        this.#own.clear()
    }
  }

  /** After the end: what is asked is answered all the same, and nothing new begins. */
  #refuse(now: Now, input: MailboxesInput): void {
    if (input.type === 'transport') this.#takeEvent(now, input.event)
    else if (input.type === 'deposit' || input.type === 'check' || input.type === 'fetch-bundle') {
      this.#deposits.add(now, input)
      this.#deposits.stop(now)
    }
  }

  #setMailboxes(now: Now, list: Extract<MailboxesInput, { type: 'mailboxes' }>['mailboxes']): void {
    const wanted = new Map<string, { readonly mailbox: MailboxAddress; readonly isKept: boolean }>()
    for (const entry of list) {
      const { url, mailboxId } = entry.mailbox
      if (mailboxId.length !== mailboxIdSize || !isRelayUrl(url)) {
        this.#state.count('bad-address')
        continue
      }
      const key = bytesToHex(mailboxId)
      if (!wanted.has(key) && wanted.size < this.#state.settings.limits.wantedMax) wanted.set(key, entry)
    }
    for (const [key, own] of this.#own) if (!wanted.has(key) && own.rank !== undefined) own.leave(now)
    let rank = 0
    for (const [key, { mailbox, isKept }] of wanted) {
      const own = this.#own.get(key) ?? new OwnMailbox(this.#state, mailbox)
      if (!this.#own.has(key) && this.#start !== undefined) own.setStart(now, this.#start)
      this.#own.set(key, own)
      own.rank = rank
      own.isKept ||= isKept
      own.setUrl(mailbox.url)
      rank += 1
    }
  }

  #ownOf(box: Uint8Array): OwnMailbox | undefined {
    const key = bytesToHex(box)
    for (const own of this.#own.values()) if (bytesToHex(own.box) === key) return own
    return undefined
  }

  #listed(): OwnMailbox[] {
    const listed = [...this.#own.values()].filter(({ rank }) => rank !== undefined)
    return listed.sort((a, b) => (a.rank ?? 0) - (b.rank ?? 0))
  }

  #takeEvent(now: Now, event: TransportEvent): void {
    const link = this.#state.links.get(event.pipe)
    if (link !== undefined) link.transport(now, event)
    // The last events of a pipe that was given up are no news.
    else if (event.type === 'opened') this.#state.emit({ type: 'close', pipe: event.pipe })
    else if (event.type === 'closed') this.#state.endedPipes.delete(event.pipe)
  }

  /** Keeps as many boxes as are wanted, gives links to what waits, and tells of what changed. */
  #arrange(now: Now): void {
    for (const [key, own] of this.#own) if (own.isDone) this.#own.delete(key)
    const listed = this.#listed()
    const { boxesMax } = this.#state.settings.limits
    // Where contacts may write is fetched from, whatever else there is.
    for (const own of listed) if (own.isKept && !own.isChosen) own.choose(now)
    let places = boxesMax
    for (const own of listed) if (own.isChosen && now.mono < own.patienceEnd) places -= 1
    for (const own of listed) {
      if (places <= 0) break
      if (own.isChosen) continue
      own.choose(now)
      places -= 1
    }
    // One that was waited for too long is not needed any more once others are there.
    if (listed.filter(({ isRegistered }) => isRegistered).length >= boxesMax) {
      for (const own of listed) if (own.isChosen && !own.isKept && !own.isRegistered) own.dismiss(now)
    }
    this.#deposits.arrange(now)
    this.#tell()
  }

  #tell(): void {
    const kept = this.#listed().filter(({ isKept }) => isKept)
    const boxes = kept.map(({ address, stock }) => ({ address, stock }))
    const key = JSON.stringify(boxes.map(({ address, stock }) => [address.mailbox.url, bytesToHex(address.box), stock]))
    if (key !== this.#boxesKey) {
      this.#boxesKey = key
      this.#state.emit({ type: 'boxes', boxes })
    }
    for (const own of this.#own.values()) {
      const envelopes = own.takeFetched()
      if (envelopes.length > 0) this.#state.emit({ type: 'fetched', box: own.box, envelopes })
    }
  }
}
