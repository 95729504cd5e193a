import type { Contact } from '@miaou/sdk'
import type { Context } from '../context.ts'
import { pickContact } from '../peer/who.ts'
import type { Session } from '../session.ts'
import { formatMessage } from '../terminal/format.ts'
import { qrCode } from '../terminal/qr.ts'
import { sanitiseLine } from '../terminal/sanitise.ts'

/** What the slash commands see of the conversation. */
export interface Face {
  context(): Context
  session(): Session
  print(text: string): void
  current(): Contact | undefined
  showCandidates(): Promise<void>
  pick(words: string): Promise<void>
  leave(): void
  addInvite(invite: string): Promise<void>
  update(contact: Contact): void
  quit(): void
}

/**
 * Prints an invite of our own with its QR code. With `isFitting` the code is left out where the screen is too low for it:
 * half a code cannot be scanned, and pushes away what a newcomer should read.
 */
export async function showInvite(face: Pick<Face, 'context' | 'session' | 'print'>, isFitting = false): Promise<void> {
  const { text, out, io } = face.context()
  const { invite } = await face.session().client.invites.create()
  const code = qrCode(invite, out.columns)
  const rows = isFitting ? (io.stdout.rows ?? Number.POSITIVE_INFINITY) : Number.POSITIVE_INFINITY
  const isShown = code !== undefined && code.split('\n').length + otherRows <= rows
  face.print([text('chat.invite'), ...(isShown ? [code] : []), invite].join('\n'))
  if (!isShown && code !== undefined) face.print(text('chat.qr-elsewhere'))
}

/** The link alone that takes the place of one that was used: its QR code would push the conversation away. */
export async function renewInvite(face: Pick<Face, 'context' | 'session' | 'print'>): Promise<void> {
  const { invite } = await face.session().client.invites.create()
  face.print(`${face.context().text('chat.invite-renewed')}\n${invite}`)
}

/** Lines that stand beside the code on the first screen. */
const otherRows = 8

/** Whom a command means: the words after it, else the current contact. */
async function whom(face: Face, words: string): Promise<string | undefined> {
  if (words !== '') return words
  const current = face.current()
  if (current !== undefined) return current.account
  const requests = (await face.session().client.contacts.list()).filter(({ state }) => state === 'request')
  const [only] = requests
  if (only !== undefined && requests.length === 1) return only.account
  face.print(face.context().text('chat.whom'))
  return undefined
}

/** Characters of a reason (messaging engine). */
const reasonLengthMax = 280

type Command = (face: Face, words: string) => Promise<void>

/** By the word after the slash. */
export const slashCommands: Readonly<Record<string, Command>> = {
  help: async (face) => face.print(face.context().text('chat.help')),
  contacts: (face) => face.showCandidates(),
  peers: (face) => face.showCandidates(),
  invite: (face) => showInvite(face),
  add: (face, words) => face.addInvite(words),
  to: async (face, words) => {
    face.leave()
    await (words === '' ? face.showCandidates() : face.pick(words))
  },
  back: async (face) => {
    face.leave()
    await face.showCandidates()
  },
  accept: async (face, words) => {
    const who = await whom(face, words)
    if (who === undefined) return
    const contact = await face.session().client.contacts.accept(who)
    face.update(contact)
    face.print(face.context().text('contacts.accepted', { name: contact.name }))
  },
  block: async (face, words) => {
    const who = await whom(face, words)
    if (who === undefined) return
    const contact = await face.session().client.contacts.block(who)
    face.leave()
    face.print(face.context().text('contacts.now-blocked', { name: contact.name }))
  },
  unblock: async (face, words) => {
    const who = await whom(face, words)
    if (who === undefined) return
    const contact = await face.session().client.contacts.block(who, false)
    face.print(face.context().text('contacts.now-unblocked', { name: contact.name }))
  },
  verify: async (face, words) => {
    const { text } = face.context()
    const isConfirmed = words === 'yes' || words === 'oui'
    const who = await whom(face, isConfirmed ? '' : words)
    if (who === undefined) return
    const { client } = face.session()
    if (isConfirmed) {
      const contact = await client.contacts.verify(who)
      face.update(contact)
      face.print(text('verify.done', { name: contact.name }))
      return
    }
    const { safetyNumber } = await client.contacts.safetyNumber(who)
    const { name } = pickContact(await client.contacts.list(), who)
    face.print(`${safetyNumber}\n${text('verify.explain', { name })}\n${text('chat.verify-how')}`)
  },
  trust: async (face, words) => {
    const { text } = face.context()
    const isConfirmed = words === 'yes' || words === 'oui'
    const who = await whom(face, isConfirmed ? '' : words)
    if (who === undefined) return
    const { client } = face.session()
    const known = pickContact(await client.contacts.list(), who)
    const { name } = known
    if (known.changed === undefined) return face.print(text('trust.nothing', { name }))
    if (isConfirmed) {
      face.update(await client.contacts.trust(known.account))
      return face.print(text('trust.done', { name }))
    }
    const { safetyNumber } = await client.contacts.safetyNumber(known.account)
    face.print(`${safetyNumber}\n${text('trust.explain', { name })}\n${text('chat.trust-how')}`)
  },
  report: async (face, words) => {
    const { text } = face.context()
    const current = face.current()
    if (current === undefined) return face.print(text('chat.whom'))
    await face.session().client.contacts.report(current.account, words.slice(0, reasonLengthMax))
    face.leave()
    face.print(text('contacts.now-blocked', { name: current.name }))
    face.print(text('chat.report-how', { name: current.name }))
  },
  rename: async (face, words) => {
    const current = face.current()
    if (current === undefined) return face.print(face.context().text('chat.whom'))
    const contact = await face.session().client.contacts.rename(current.account, words)
    face.update(contact)
    face.print(face.context().text('contacts.renamed', { name: contact.name }))
  },
  history: async (face, words) => {
    const current = face.current()
    if (current === undefined) return face.print(face.context().text('chat.whom'))
    const limit = Math.min(200, Math.max(1, Number.parseInt(words, 10) || 20))
    const messages = await face.session().client.messages.list({ with: current.account, limit })
    for (const message of messages) face.print(formatMessage(face.context(), message, current.name))
  },
  id: async (face) => {
    const { account, peerId, name } = await face.session().client.identity.get()
    face.print(`${sanitiseLine(name)}\n${account}\n${peerId}`)
  },
  quit: async (face) => face.quit(),
}
