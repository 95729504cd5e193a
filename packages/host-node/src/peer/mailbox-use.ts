import { equalBytes, type Result } from '@miaou/core'
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
/** Mailboxes of contacts that are remembered in one run. Own choice. */
const learntMax = 16
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
  readonly adapters: Adapters
  readonly nextPipe: () => PipeId
  readonly push: (input: PeerInput) => void
  /** Own boxes changed: contacts must be told. */
  readonly onBoxes: (boxes: readonly BoxAddress[]) => void
}

/** The mailboxes that this peer uses: who they are, and the pipes to them that are dialled straight. */
export class MailboxUse {
  readonly #options: MailboxUseOptions
  #channel: WebSocketChannel | undefined
  #learnt: readonly MailboxAddress[] = []
  #named: readonly { readonly mailbox: MailboxAddress; readonly source: MailboxSource }[] = []
  #told = ''

  constructor(options: MailboxUseOptions) {
    this.#options = options
  }

  start(websocket: WebSocketSide): void {
    const { adapters, nextPipe, push } = this.#options
    const emit = (event: TransportEvent): void => {
      if (event.type === 'closed') adapters.release(event.pipe)
      push({ type: 'mailboxes', input: { type: 'transport', event } })
    }
    this.#channel = websocket.channel?.({ subprotocol: mailboxSubprotocol, accepts: false, host: { emit, nextPipe } })
    this.#refresh()
  }

  /** A contact keeps boxes there: good enough for us where a person chose none. */
  learn(boxes: readonly BoxAddress[]): void {
    const fresh = boxes
      .map(({ mailbox }) => mailbox)
      .filter((mailbox) => !this.#learnt.some((known) => isSameMailbox(known, mailbox)))
    if (fresh.length === 0) return
    this.#learnt = [...this.#learnt, ...fresh].slice(0, learntMax)
    this.#refresh()
  }

  /** What the engine wants done; the rest is the caller's. */
  perform(output: Extract<MailboxesOutput, { readonly type: 'mailbox-dial' | 'boxes' }>): void {
    if (output.type === 'boxes') {
      const boxes = output.boxes.map(({ address }) => address)
      this.#options.known.keep(boxes.map(({ mailbox }) => mailbox))
      this.#options.onBoxes(boxes)
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
    this.#refresh()
    return added
  }

  remove(mailbox: MailboxAddress): Result<boolean, AddMailboxError> {
    const removed = this.#options.known.remove(mailbox)
    this.#learnt = this.#learnt.filter((known) => !isSameMailbox(known, mailbox))
    if (removed.ok) this.#options.known.keep(this.#options.known.kept.filter((kept) => !isSameMailbox(kept, mailbox)))
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
    const others = chosen.length >= chosenEnough ? [] : [...known.kept, ...this.#learnt]
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
