import type { CloseReason, MiaouEvent, PeerView, TransportKind } from '@miaou/sdk'
import type { Text } from '@miaou/text'
import { isLinked, relayOf } from '../peer/path-reasons.ts'
import { pathNote, pathWords } from './path.ts'

type Established = Extract<MiaouEvent['event'], { readonly type: 'connection-established' }>
type Closed = Extract<MiaouEvent['event'], { readonly type: 'connection-closed' }>

/** How long after its loss a link is spoken of as the one that another took the place of, ms (guess). */
const lossRememberedMs = 60_000
/** Peers whose last link is remembered (own choice: far above what a person watches). */
const peersMax = 1_000

interface Chapter {
  readonly transport: TransportKind
  readonly isRelayed: boolean
  /** It was told that a better one could not be made; told once for each link. */
  readonly isFailureTold?: boolean
  /** Why and when it ended; absent while it stands. */
  readonly end?: { readonly reason: CloseReason; readonly at: number }
}

/** What became of the links of each peer, so that a new one can be told as better or worse than the one before. */
export class LinkStory {
  readonly #chapters = new Map<string, Chapter>()
  #views: ReadonlyMap<string, PeerView> = new Map()

  /** How things are now, as far as the peer knows: asked after each new link. */
  look(peers: readonly PeerView[]): void {
    this.#views = new Map(peers.map((view) => [view.peerId, view]))
  }

  /** A link that ended, unless another had taken its place. */
  closed({ peerId, reason, transport }: Closed, at: number): void {
    const chapter = this.#chapters.get(peerId)
    if (chapter?.transport === transport) this.#chapters.set(peerId, { ...chapter, end: { reason, at } })
  }

  /** Whether an attempt that failed leaves the peer without a link, is told for the first time, or is no news. */
  failed(peerId: string | undefined): 'unlinked' | 'not-better' | 'known' {
    const chapter = peerId === undefined ? undefined : this.#chapters.get(peerId)
    if (peerId === undefined || chapter === undefined || chapter.end !== undefined) return 'unlinked'
    if (chapter.isFailureTold === true) return 'known'
    this.#chapters.set(peerId, { ...chapter, isFailureTold: true })
    return 'not-better'
  }

  /** What there is to say of a new link beside its transport: a note behind it, or a sentence in its place. */
  established(
    text: Text,
    { peerId, transport }: Established,
    at: number,
    name: string,
  ): { readonly note: string } | { readonly sentence: string } {
    const view = this.#views.get(peerId)
    // What was asked a moment later may show a later link already.
    const link = view !== undefined && isLinked(view) && view.transport === transport ? view : undefined
    const shown = link ?? { state: 'connected' as const, transport }
    const isRelayed = relayOf(shown) !== undefined
    const before = this.#chapters.get(peerId)
    this.#remember(peerId, { transport, isRelayed })
    // One that is superseded before it was given up had stopped answering.
    const { reason: ending, at: endedAt } = before?.end ?? { reason: 'silent', at }
    if (before !== undefined && isRelayed && !before.isRelayed && at - endedAt <= lossRememberedMs) {
      const reason = text.closeReason(ending)
      return { sentence: text('live.worse', { name, path: pathWords(text, shown), reason }) }
    }
    const isUpgrade = before !== undefined && before.end === undefined && before.isRelayed && !isRelayed
    if (isUpgrade && link?.path !== undefined) {
      return { note: ` (${text('live.now', { path: pathWords(text, link) })})` }
    }
    return { note: pathNote(text, shown) }
  }

  #remember(peerId: string, chapter: Chapter): void {
    this.#chapters.delete(peerId)
    this.#chapters.set(peerId, chapter)
    if (this.#chapters.size <= peersMax) return
    const [oldest] = this.#chapters.keys()
    if (oldest !== undefined) this.#chapters.delete(oldest)
  }
}
