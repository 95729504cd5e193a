import type { Contact, PeerView } from '@miaou/sdk'

/** Somebody a person can pick by number: a contact, or a device seen on the network that is none yet. */
export type Candidate =
  | { readonly type: 'contact'; readonly contact: Contact }
  | { readonly type: 'peer'; readonly peer: PeerView }

/** Contacts first, in the order of their last message; then who else is on the network. Blocked ones are left out. */
export function listCandidates(contacts: readonly Contact[], peers: readonly PeerView[]): readonly Candidate[] {
  const known = new Set(contacts.flatMap(({ devices }) => devices))
  const shown = contacts
    .filter(({ state }) => state !== 'blocked')
    .sort((a, b) => (b.lastMessageAt ?? b.addedAt) - (a.lastMessageAt ?? a.addedAt))
  return [
    ...shown.map((contact) => ({ type: 'contact' as const, contact })),
    ...peers.filter(({ peerId }) => !known.has(peerId)).map((peer) => ({ type: 'peer' as const, peer })),
  ]
}
