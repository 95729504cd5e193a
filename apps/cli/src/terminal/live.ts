import type { Contact, MiaouEvent, PeerView } from '@miaou/sdk'
import type { Text } from '@miaou/text'
import type { Context } from '../context.ts'
import { formatState, formatWhen, namesOf, shortId } from './format.ts'
import type { LinkStory } from './link-story.ts'
import { sanitiseLine } from './sanitise.ts'

type NoticeNews = Extract<MiaouEvent['event'], { readonly type: 'notice' }>

/** Whom ids stand for, as far as it is known. */
export interface Names {
  account(account: string): string
  peer(peerId: string): string
}

export function createNames(contacts: readonly Contact[], peers: readonly PeerView[] = []): Names {
  const account = namesOf(contacts)
  const byPeer = new Map<string, string>()
  for (const { peerId, name } of peers) if (name) byPeer.set(peerId, name)
  for (const contact of contacts) for (const peerId of contact.devices) byPeer.set(peerId, account(contact.account))
  return { account, peer: (peerId) => byPeer.get(peerId) || shortId(peerId) }
}

/** One line of the live display (row I17), or undefined for what needs no line. */
export function formatEvent(context: Context, event: MiaouEvent, names: Names, story: LinkStory): string | undefined {
  const { at } = event
  const words = eventWords(context, event, names, story)
  return words === undefined ? undefined : `${context.out.styles.soft(formatWhen(context, at))}  ${words}`
}

function eventWords(context: Context, { at, event }: MiaouEvent, names: Names, story: LinkStory): string | undefined {
  const { text } = context
  switch (event.type) {
    case 'connection-established': {
      const facts = { name: names.peer(event.peerId), transport: event.transport, setupMs: Math.round(event.setupMs) }
      const told = story.established(text, event, at, facts.name)
      if ('sentence' in told) return told.sentence
      const words =
        event.latencyMs === undefined
          ? text('live.connected', facts)
          : text('live.connected-latency', { ...facts, latencyMs: round(event.latencyMs) })
      return `${words}${told.note}`
    }
    case 'connection-closed':
      // The better connection that took its place was announced already.
      if (event.reason === 'upgraded' || event.reason === 'duplicate') return undefined
      story.closed(event, at)
      return text('live.closed', { name: names.peer(event.peerId), reason: text.closeReason(event.reason) })
    case 'connection-error': {
      const { type, ...facts } = event.error
      // The close that comes with it says the same.
      if (type === 'refused') return undefined
      const name = event.peerId === undefined ? (event.address ?? '?') : names.peer(event.peerId)
      const { message } = text.error(type, facts)
      const outcome = story.failed(event.peerId)
      if (outcome === 'known') return undefined
      return outcome === 'unlinked'
        ? text('live.failed', { name, message })
        : text('live.not-better', { name, message })
    }
    case 'peer-seen':
      return names.peer(event.peerId) === shortId(event.peerId)
        ? text('live.seen-unknown', { peerId: event.peerId })
        : text('live.seen', { name: names.peer(event.peerId), peerId: event.peerId })
    case 'peer-gone':
      return text('live.gone', { name: names.peer(event.peerId) })
    case 'message-received':
      return text('live.received', { name: names.account(event.message.contact) })
    case 'message-state':
      if (event.message.direction === 'in') return undefined
      return `${text('live.state', { name: names.account(event.message.contact) })} ${formatState(context, event.message)}`
    case 'contact-changed':
      if (event.contact.state !== 'request') return undefined
      return requestWords(context, event.contact)
    case 'invite-used':
      return text('live.invite-used', { name: names.account(event.account) })
    case 'notice':
      return noticeWords(text, event, names)
    // Whoever follows a topic reads it there.
    case 'gossip':
    case 'presence':
    case 'typing':
    case 'contact-removed':
    case 'settings-changed':
      return undefined
  }
}

/** With what they said of themselves, where they did. */
function requestWords({ text }: Context, { name, note }: Contact): string {
  const words = text('live.request', { name: sanitiseLine(name) })
  return note === undefined || note === '' ? words : `${words}\n  ${text('contacts.note', { note })}`
}

/** One quiet line about sessions, keys and copies. */
export function noticeWords(text: Text, { notice, account }: NoticeNews, names: Names): string {
  const name = account === undefined ? undefined : names.account(account)
  switch (notice) {
    case 'copy-detected':
      return name === undefined ? text('notice.copy-detected') : text('notice.copy-detected-by', { name })
    case 'session-renewed':
      return text('notice.session-renewed', { name: name ?? '?' })
    case 'contact-restored':
      return text('notice.contact-restored', { name: name ?? '?' })
    case 'account-key-changed':
    case 'session-key-changed':
      return text('notice.key-changed', { name: name ?? '?' })
  }
}

/** Milliseconds a person can read: two digits below ten, else whole. */
export function round(ms: number): number {
  return ms < 10 ? Math.round(ms * 10) / 10 : Math.round(ms)
}
