import { bytesToBase64url } from '@miaou/core'
import type { AddMailboxError, NetworkInfo as HostInfo, MailboxEntry } from '@miaou/host-node'
import type { Mailbox, NetworkInfo, OperationInput, OperationName, OperationOutput, Serving } from '@miaou/sdk'
import { MiaouError } from '@miaou/sdk/client'
import type { PeerHandle } from '../peer-handle.ts'

type MailboxOperationName = Extract<OperationName, `mailboxes.${string}`>

type MailboxHandlers = {
  readonly [N in MailboxOperationName]: (peer: PeerHandle, input: OperationInput<N>) => Promise<OperationOutput<N>>
}

/** What each operation on mailboxes does with a running peer. The helpers load with the first call: `id` needs none. */
export const mailboxHandlers: MailboxHandlers = {
  'mailboxes.list': listMailboxes,
  'mailboxes.add': async (peer, { mailbox: text }) => {
    const { formatMailboxAddress, parseMailboxAddress } = await addresses()
    const mailbox = parseMailboxAddress(text)
    if (mailbox === undefined) throw new MiaouError('bad-mailbox', { mailbox: text })
    const added = peer.network.addMailbox(mailbox)
    if (!added.ok) throw toMailboxError(added.error, peer.home)
    const mailboxes = await listMailboxes(peer)
    const address = formatMailboxAddress(mailbox)
    const isListed = mailboxes.some((known) => known.mailbox === address)
    // Nothing has been dialled yet, or nothing is in this process: it is tried as soon as that can be.
    const unlisted: Mailbox = { mailbox: address, source: 'added', state: 'connecting', throughRelay: false }
    return isListed ? mailboxes : [unlisted, ...mailboxes]
  },
  'mailboxes.remove': async (peer, { mailbox: text }) => {
    const { formatMailboxAddress, parseMailboxAddress } = await addresses()
    const isMeant = (known: string) => known === text || known.slice(0, known.indexOf('@')) === text
    const listed = peer.network.mailboxes().find(({ mailbox }) => isMeant(formatMailboxAddress(mailbox)))
    // Mailboxes are told apart by their id alone; the URL behind it only makes it an address.
    const mailbox = listed?.mailbox ?? parseMailboxAddress(text) ?? parseMailboxAddress(`${text}@ws://unused`)
    // One that a contact uses was never added.
    if (mailbox === undefined || listed?.source === 'contact') throw await unknownMailbox(peer, text)
    const removed = peer.network.removeMailbox(mailbox)
    if (!removed.ok) throw toMailboxError(removed.error, peer.home)
    if (removed.value) return listMailboxes(peer)
    throw listed === undefined || listed.source === 'added'
      ? await unknownMailbox(peer, text)
      : new MiaouError('configured-mailbox', { mailbox: text })
  },
}

/** The members of `network.info` that are about mailboxes, in text. */
export async function mailboxInfo({
  mailboxes,
  serving,
}: HostInfo): Promise<Pick<NetworkInfo, 'mailboxes'> & { readonly serving?: Pick<Serving, 'mailbox'> }> {
  const { formatMailboxAddress } = await addresses()
  const mailbox = serving?.mailbox
  return {
    mailboxes: mailboxes.map((entry) => toMailbox(entry, formatMailboxAddress)),
    ...(mailbox === undefined
      ? {}
      : { serving: { mailbox: { ...mailbox, address: formatMailboxAddress(mailbox.address) } } }),
  }
}

type Addresses = typeof import('@miaou/host-node/overlay')

function addresses(): Promise<Addresses> {
  return import('@miaou/host-node/overlay')
}

async function listMailboxes(peer: PeerHandle): Promise<readonly Mailbox[]> {
  const { formatMailboxAddress } = await addresses()
  return peer.network.mailboxes().map((entry) => toMailbox(entry, formatMailboxAddress))
}

function toMailbox(
  { mailbox, box, ...view }: MailboxEntry,
  formatMailboxAddress: Addresses['formatMailboxAddress'],
): Mailbox {
  return { ...view, mailbox: formatMailboxAddress(mailbox), box: bytesToBase64url(box) }
}

async function unknownMailbox(peer: PeerHandle, text: string): Promise<MiaouError> {
  const added = (await listMailboxes(peer)).filter(({ source }) => source === 'added')
  return new MiaouError('unknown-mailbox', { mailbox: text, suggestions: added.map(({ mailbox }) => mailbox) })
}

function toMailboxError(error: AddMailboxError | { readonly type: 'stopped' }, home: string): MiaouError {
  switch (error.type) {
    case 'too-many-mailboxes':
      return new MiaouError('too-many', { what: 'mailboxes', countMax: error.mailboxesMax })
    case 'unwritable':
      return new MiaouError('home-unwritable', { home, detail: error.code })
    case 'stopped':
      return new MiaouError('stopped')
  }
}
