import type { ContactView } from '@miaou/messaging'
import { MiaouError } from '@miaou/sdk/client'
import type { PeerHandle } from '../peer-handle.ts'
import { suggest } from './suggest.ts'

/** Names offered after "did you mean". */
const suggestionsMax = 3

/** The contact a person means by an account id, a peer id, a name (letter case is free) or the start of an id. */
export async function findContact(peer: PeerHandle, who: string): Promise<ContactView> {
  const result = await peer.command({ type: 'contacts-list' })
  if (!result.ok) {
    const { type, ...facts } = result.error
    throw new MiaouError(type, facts)
  }
  return pickContact(result.value, who)
}

interface Named {
  readonly account: string
  readonly name: string
  readonly devices: readonly string[]
}

/** Throws `unknown-contact` with suggestions, or `ambiguous-contact` with the candidates. */
export function pickContact<T extends Named>(contacts: readonly T[], who: string): T {
  const byId = contacts.find(({ account, devices }) => account === who || devices.some((peerId) => peerId === who))
  if (byId !== undefined) return byId
  for (const candidates of [
    contacts.filter(({ name }) => name === who),
    contacts.filter(({ name }) => fold(name) === fold(who)),
    who.length < 8
      ? []
      : contacts.filter(({ account, devices }) => [account, ...devices].some((id) => id.startsWith(who))),
  ]) {
    const [only, ...others] = candidates
    if (only === undefined) continue
    if (others.length === 0) return only
    throw new MiaouError('ambiguous-contact', { account: who, candidates: candidates.map(({ account }) => account) })
  }
  const known = contacts.flatMap(({ name, account, devices }) => [name, account, ...devices])
  throw new MiaouError('unknown-contact', { account: who, suggestions: suggest(who, known, suggestionsMax) })
}

/** Without letter case and accents: what a person would call the same name. */
function fold(name: string): string {
  return name
    .normalize('NFKD')
    .replace(/\p{Diacritic}/gu, '')
    .toLowerCase()
    .trim()
}
