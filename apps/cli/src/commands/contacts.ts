import type { Contact } from '@miaou/sdk'
import { MiaouError } from '@miaou/sdk/client'
import type { Context } from '../context.ts'
import { type ExitCode, exitCodes } from '../exit-code.ts'
import { hasTerminal } from '../passphrase.ts'
import { pickContact } from '../peer/who.ts'
import { type Session, withHome, withSession } from '../session.ts'
import { formatTable, formatWhen, shortId } from '../terminal/format.ts'
import { ask } from '../terminal/prompt.ts'
import { sanitiseLine } from '../terminal/sanitise.ts'
import { wrapWords } from '../terminal/wrap.ts'
import { reach } from './reach.ts'

export function listContacts(context: Context): Promise<ExitCode> {
  return withHome(context, async ({ client }) => {
    const { out, text } = context
    const contacts = await client.contacts.list()
    for (const contact of contacts) out.object(contact)
    if (contacts.length === 0) out.line(text('contacts.none'))
    else out.line(contactTable(context, contacts))
    return exitCodes.ok
  })
}

/** A line each, and under it what came with a request. */
export function contactTable(context: Context, contacts: readonly Contact[]): string {
  const lines = formatTable(contacts.map((contact) => contactRow(context, contact))).split('\n')
  return contacts.flatMap((contact, index) => [lines[index] ?? '', ...noteLines(context, contact)]).join('\n')
}

/** What came with a request that waits for an answer, indented. */
export function noteLines({ out, text }: Context, { state, note }: Contact): string[] {
  if (state !== 'request' || note === undefined || note === '') return []
  return [wrapWords(`  ${text('contacts.note', { note })}`, out.columns)]
}

/** One line of a listing: name, what they are to us, unread, id. */
export function contactRow(context: Context, contact: Contact): string[] {
  const { out, text } = context
  const { styles } = out
  const notes = [
    contact.state === 'request' ? styles.accent(text('contacts.request')) : '',
    contact.state === 'blocked' ? styles.bad(text('contacts.blocked')) : '',
    contact.changed === undefined ? '' : styles.bad(text('contacts.changed')),
    contact.forked ? styles.bad(text('contacts.forked')) : '',
    contact.verified ? styles.good(text('contacts.verified')) : '',
    contact.unreadCount > 0 ? styles.accent(text('contacts.unread', { count: contact.unreadCount })) : '',
  ].filter((note) => note !== '')
  const when = contact.lastMessageAt === undefined ? '' : formatWhen(context, contact.lastMessageAt)
  return [styles.bold(sanitiseLine(contact.name)), shortId(contact.account), when, notes.join(', ')]
}

function change(
  context: Context,
  act: (session: Session) => Promise<Contact>,
  words: (contact: Contact) => string,
): Promise<ExitCode> {
  return withSession(context, async (session) => {
    const contact = await act(session)
    context.out.object(contact)
    context.out.line(words(contact))
    return exitCodes.ok
  })
}

export interface AddOptions {
  /** Our own name for them. */
  readonly as?: string
  /** What they see with the request; only with an invite. */
  readonly note?: string
}

/** The words of a note, or of the reason of a report (messaging engine). */
const wordsLengthMax = 280

/** Said before anything is asked of the peer, whose schema would refuse it in words for programs. */
export function checkWords(option: '--note' | '--reason', words: string): void {
  if (words.length <= wordsLengthMax) return
  throw new MiaouError('bad-request', { detail: `${option}: ${words.length} > ${wordsLengthMax}` })
}

/** `invite`: a link, or the peer id of a device on this network. */
export async function addContact(context: Context, invite: string, options: AddOptions): Promise<ExitCode> {
  const named = options.as === undefined ? {} : { name: options.as }
  const noted = options.note === undefined ? {} : { note: options.note }
  if (options.note !== undefined) checkWords('--note', options.note)
  return change(
    context,
    async (session) => {
      const { client } = session
      if (!invite.startsWith('12D3KooW')) return client.contacts.add({ invite, ...named, ...noted })
      if (options.note !== undefined) throw new MiaouError('options-conflict', { first: '--note', second: invite })
      // The account behind a device is known once it is linked.
      await reach(session, invite)
      return client.contacts.add({ peerId: invite, ...named })
    },
    (contact) => context.text('contacts.added', { name: contact.name }),
  )
}

export function acceptContact(context: Context, who: string): Promise<ExitCode> {
  return change(
    context,
    ({ client }) => client.contacts.accept(who),
    ({ name }) => context.text('contacts.accepted', { name }),
  )
}

export function blockContact(context: Context, who: string, blocked: boolean): Promise<ExitCode> {
  return change(
    context,
    ({ client }) => client.contacts.block(who, blocked),
    ({ name }) => context.text(blocked ? 'contacts.now-blocked' : 'contacts.now-unblocked', { name }),
  )
}

export function renameContact(context: Context, who: string, name: string): Promise<ExitCode> {
  return change(
    context,
    ({ client }) => client.contacts.rename(who, name),
    (contact) => context.text('contacts.renamed', { name: contact.name }),
  )
}

export function removeContact(context: Context, who: string): Promise<ExitCode> {
  return withSession(context, async ({ client }) => {
    context.out.object(await client.contacts.remove(who))
    context.out.line(context.text('contacts.removed', { name: who }))
    return exitCodes.ok
  })
}

/** Shows the safety number; marks the contact as verified once the person says that both numbers are the same. */
export function verifyContact(
  context: Context,
  who: string,
  options: { readonly yes?: boolean; readonly undo?: boolean },
): Promise<ExitCode> {
  return withSession(context, async ({ client }) => {
    const { io, out, text } = context
    if (options.undo === true) {
      const contact = await client.contacts.verify(who, false)
      out.object(await client.contacts.safetyNumber(who))
      out.line(text('verify.undone', { name: contact.name }))
      return exitCodes.ok
    }
    const { safetyNumber, verified } = await client.contacts.safetyNumber(who)
    const { name } = pickContact(await client.contacts.list(), who)
    if (!out.isJson) out.line(`\n${safetyNumber}\n\n${text('verify.explain', { name })}`)
    let isSame = options.yes === true
    if (!isSame && !verified && hasTerminal(context)) {
      const answer = await ask(io, `${text('verify.ask')} `)
      isSame = /^(y|yes|o|oui)$/i.test(answer?.trim() ?? '')
      if (!isSame) out.line(text('verify.not', { name }))
    }
    if (isSame) await client.contacts.verify(who)
    if (isSame || verified) out.line(text('verify.done', { name }))
    out.object({ safetyNumber, verified: verified || isSame })
    return exitCodes.ok
  })
}

/** The contact that is meant; a peer on this network that is none yet becomes one, since the person names it. */
export async function contactOrPeer(session: Session, who: string): Promise<string> {
  const { client } = session
  if (!who.startsWith('12D3KooW')) return who
  const contacts = await client.contacts.list()
  if (contacts.some(({ devices }) => devices.includes(who))) return who
  const { peerId } = await reach(session, who)
  const { account, state } = await client.contacts.add({ peerId })
  if (state === 'blocked') throw new MiaouError('blocked-contact', { account })
  return account
}
