import { equalBytes, type PeerId, type Result } from '@miaou/core'
import type { MailboxesOutput, MailboxView, PipeId, TransportEvent } from '@miaou/network'
import type { PeerInput } from '@miaou/peer'
import {
  type AddressScope,
  type BoxAddress,
  formatMailboxAddress,
  isWayWithin,
  type MailboxAddress,
  wayScope,
} from '@miaou/protocol'
import { dialScope } from '../websocket/dial-scope.ts'
import type { WebSocketChannel } from '../websocket/websocket-transport.ts'
import type { Adapters, WebSocketSide } from './adapters.ts'
import type { AddMailboxError, MailboxEntry, MailboxSource } from './handle.ts'
import { isSameMailbox, type KnownMailboxes } from './known-mailboxes.ts'

/** Subprotocol of links with mailboxes (spec/mailbox). */
export const mailboxSubprotocol = 'miaou-mailbox-v0.2.0'

/** Mailboxes named to the engine: those behind are not reached before the ones in front have failed. Own choice. */
const mailboxesMax = 16
/** Devices of contacts whose mailboxes are remembered in one run; the one that came first is forgotten. Own choice. */
const tellersMax = 16
/** Mailboxes that a person removed in this run: they are not used because others name them. Own choice. */
const removedMax = 16
/** With as many that a person chose, those of contacts are not needed: senders write to two. */
const chosenEnough = 2

export interface MailboxUseOptions {
  readonly configured: readonly MailboxAddress[]
  readonly known: KnownMailboxes
  /** The mailbox that this peer is itself: it is away when this peer is. */
  readonly ownMailboxId: Uint8Array | undefined
  /** A peer that stays on this machine: everybody it meets is here. */
  readonly loopbackOnly: boolean
  /** The nearest relay that a person chose: what lies there may be named by others too. */
  readonly nearestRelay: () => AddressScope
  readonly adapters: Pick<Adapters, 'claim' | 'release'>
  readonly nextPipe: () => PipeId
  readonly push: (input: PeerInput) => void
  /** Own boxes changed: contacts must be told. */
  readonly onBoxes: (boxes: readonly BoxAddress[]) => void
}

/** The mailboxes that this peer uses: who they are, and the pipes to them that are dialled straight. */
export class MailboxUse {
  readonly #options: MailboxUseOptions
  #channel: WebSocketChannel | undefined
  /** By who names them, with their latest word. */
  readonly #learnt = new Map<PeerId, readonly MailboxAddress[]>()
  #removed: readonly MailboxAddress[] = []
  /** Where there is a box and a link, now. */
  #registered: readonly MailboxAddress[] = []
  #named: readonly { readonly mailbox: MailboxAddress; readonly source: MailboxSource }[] = []
  #told = ''

  constructor(options: MailboxUseOptions) {
    this.#options = options
  }

  start(websocket: Pick<WebSocketSide, 'channel'>): void {
    const { adapters, nextPipe, push } = this.#options
    const emit = (event: TransportEvent): void => {
      if (event.type === 'closed') adapters.release(event.pipe)
      push({ type: 'mailboxes', input: { type: 'transport', event } })
    }
    this.#channel = websocket.channel?.({ subprotocol: mailboxSubprotocol, accepts: false, host: { emit, nextPipe } })
    this.#refresh()
  }

  /** A device of a contact keeps boxes there, and nowhere else: good enough for us where a person chose none. */
  learn(teller: PeerId, boxes: readonly BoxAddress[]): void {
    const mailboxes = boxes.map(({ mailbox }) => mailbox)
    if (mailboxes.length > 0) this.#learnt.set(teller, mailboxes)
    else this.#learnt.delete(teller)
    for (const oldest of this.#learnt.keys()) {
      if (this.#learnt.size <= tellersMax) break
      this.#learnt.delete(oldest)
    }
    this.#refresh()
  }

  /** What the engine wants done; the rest is the caller's. */
  perform(output: Extract<MailboxesOutput, { readonly type: 'mailbox-dial' | 'boxes' }>): void {
    if (output.type === 'boxes') {
      const boxes = output.boxes.map(({ address }) => address)
      this.#registered = output.boxes.flatMap(({ address, stock }) => (stock === undefined ? [] : [address.mailbox]))
      this.#options.known.keep(boxes.map(({ mailbox }) => mailbox))
      this.#options.onBoxes(boxes)
      this.#refresh()
      return
    }
    if (this.#channel === undefined) return
    this.#options.adapters.claim(output.pipe, this.#channel)
    this.#channel.dial(output.pipe, output.url, this.#nearestFor(output.url))
  }

  views(views: readonly MailboxView[]): MailboxEntry[] {
    return views.map((view) => ({
      ...view,
      source: this.#named.find(({ mailbox }) => isSameMailbox(mailbox, view.mailbox))?.source ?? 'contact',
    }))
  }

  add(mailbox: MailboxAddress): Result<undefined, AddMailboxError> {
    const added = this.#options.known.add(mailbox)
    this.#removed = this.#removed.filter((removed) => !isSameMailbox(removed, mailbox))
    this.#refresh()
    return added
  }

  remove(mailbox: MailboxAddress): Result<boolean, AddMailboxError> {
    const removed = this.#options.known.remove(mailbox)
    if (removed.ok && removed.value) {
      this.#removed = [mailbox, ...this.#removed].slice(0, removedMax)
      this.#options.known.keep(this.#options.known.kept.filter((kept) => !isSameMailbox(kept, mailbox)))
    }
    this.#refresh()
    return removed
  }

  async stop(): Promise<void> {
    await this.#channel?.stop()
  }

  /** Names the mailboxes anew, where the list has changed. */
  #refresh(): void {
    const { configured, known, ownMailboxId, push } = this.#options
    if (this.#channel === undefined) return
    const chosen = [
      ...known.added.map((mailbox) => ({ mailbox, source: 'added' as const })),
      ...configured.map((mailbox) => ({ mailbox, source: 'config' as const })),
    ]
    const others = (chosen.length >= chosenEnough ? this.#unfetched() : [...known.kept, ...this.#takeTurns()]).filter(
      (mailbox) => !this.#removed.some((removed) => isSameMailbox(removed, mailbox)),
    )
    this.#named = [...chosen, ...others.map((mailbox) => ({ mailbox, source: 'contact' as const }))]
      .filter(({ mailbox }) => ownMailboxId === undefined || !equalBytes(mailbox.mailboxId, ownMailboxId))
      .filter(({ mailbox }, index, all) => all.findIndex((other) => isSameMailbox(other.mailbox, mailbox)) === index)
      .slice(0, mailboxesMax)
    const text = this.#named.map(({ mailbox }) => formatMailboxAddress(mailbox)).join()
    if (text === this.#told) return
    this.#told = text
    const mailboxes = this.#named.map(({ mailbox }) => ({
      mailbox,
      isKept: known.kept.some((kept) => isSameMailbox(kept, mailbox)),
    }))
    push({ type: 'mailboxes', input: { type: 'mailboxes', mailboxes } })
  }

  /** Boxes of former days that are not needed any more: one is given back once it was reached, and what waits fetched. */
  #unfetched(): MailboxAddress[] {
    return this.#options.known.kept.filter((kept) => !this.#registered.some((one) => isSameMailbox(one, kept)))
  }

  /** The first of each contact, then the second: nobody alone can say where all our boxes are. */
  #takeTurns(): MailboxAddress[] {
    const lists = [...this.#learnt.values()]
    const longest = Math.max(0, ...lists.map(({ length }) => length))
    return Array.from({ length: longest }, (_, at) => lists.flatMap((list) => list[at] ?? [])).flat()
  }

  /** How near the mailbox at a URL may be; undefined where a person said that it is there. */
  #nearestFor(url: string): AddressScope | undefined {
    const { configured, known, loopbackOnly, nearestRelay } = this.#options
    const chosen = [...known.added, ...configured]
    if (chosen.some((mailbox) => mailbox.url === url)) return undefined
    return dialScope(url, loopbackOnly ? 'loopback' : nearestOf(chosen, nearestRelay()))
  }
}

/** Who uses a service on this machine or network may be told of others there. */
function nearestOf(mailboxes: readonly MailboxAddress[], scope: AddressScope): AddressScope {
  let nearest = scope
  for (const { url } of mailboxes) if (!isWayWithin(url, nearest)) nearest = wayScope(url)
  return nearest
}
