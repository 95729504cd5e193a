import type { Contact, Message, MiaouEvent } from '@miaou/sdk'
import { MiaouError } from '@miaou/sdk/client'
import { contactRow, noteLines } from '../commands/contacts.ts'
import type { Context } from '../context.ts'
import { isLinked } from '../peer/path-reasons.ts'
import { pickContact } from '../peer/who.ts'
import type { Session } from '../session.ts'
import { showCause } from '../terminal/cause.ts'
import { formatMessage, formatState, formatTable, shortId } from '../terminal/format.ts'
import { LinkStory } from '../terminal/link-story.ts'
import { createNames, formatEvent } from '../terminal/live.ts'
import { pathWords } from '../terminal/path.ts'
import { sanitiseLine } from '../terminal/sanitise.ts'
import { type Candidate, listCandidates } from './candidates.ts'
import { LineScreen } from './line-screen.ts'
import { type Face, renewInvite, slashCommands } from './slash-commands.ts'

/** A state is shown once it has held for this long, ms: on a quick link only the last of several. */
const stateSettleMs = 250
/** How often a person who types is said to type, and how long that holds at the other side, ms (own choice). */
const typingEveryMs = 4_000
const typingHoldsMs = 6_000
/** Earlier messages shown when a conversation opens. */
const recentCount = 10
/** How long lines read from a pipe wait for their receipts at the end, ms. */
const pipedWaitMs = 10_000

interface Pending {
  readonly timer: NodeJS.Timeout
}

/** A person at a prompt: `miaou start` and `miaou chat`. */
export class Conversation {
  readonly #context: Context
  readonly #session: Session
  readonly #screen: LineScreen
  readonly #ended = Promise.withResolvers<void>()
  readonly #states = new Map<string, Pending>()
  /** Messages sent here whose receipt is still to come. */
  readonly #unconfirmed = new Set<string>()
  #candidates: readonly Candidate[] = []
  readonly #story = new LinkStory()
  /** Peers that left the network since: the peer still knows their addresses. */
  readonly #gone = new Set<string>()
  #current: Contact | undefined
  /** Accounts whose request stands on the screen: the news and the message tell of the same one. */
  readonly #asked = new Set<string>()
  /** Whether an invite of ours stands on the screen: once used, it is followed by another. */
  #showsInvite = false
  #isTheirTyping: NodeJS.Timeout | undefined
  #saidTypingAt = Number.NEGATIVE_INFINITY
  /** Lines are handled one after the other, in the order typed. */
  #queue: Promise<void> = Promise.resolve()

  constructor(context: Context, session: Session) {
    this.#context = context
    this.#session = session
    this.#screen = new LineScreen(context.io, {
      onLine: (line) => {
        this.#queue = this.#queue.then(() => this.#handleLine(line)).catch((error: unknown) => this.#showError(error))
      },
      onKey: () => this.#typed(),
      onClose: () => void this.#end(),
    })
  }

  /** Runs until the person leaves. `who`: whom to talk with from the start. */
  async run(who: string | undefined): Promise<void> {
    this.#showsInvite = who === undefined
    const events = this.#session.client.events()
    const stopListening = this.#context.io.onInterrupt(() => this.#screen.close())
    const opening = this.#open(who)
    // What is typed (or comes from a pipe) meanwhile waits until it is clear to whom it goes.
    this.#queue = opening.catch(() => undefined)
    const hearing = this.#hear(events)
    try {
      await opening
      await Promise.race([this.#ended.promise, hearing])
    } finally {
      stopListening()
      this.#screen.close()
      clearTimeout(this.#isTheirTyping)
      for (const { timer } of this.#states.values()) clearTimeout(timer)
      await events.return?.()
    }
  }

  async #open(who: string | undefined): Promise<void> {
    if (who === undefined) await this.#showCandidates()
    else await this.#select(pickContact(await this.#session.client.contacts.list(), who))
    this.#prompt()
  }

  /** Lets what was typed be sent; with lines from a pipe also waits for the receipts. */
  async #end(): Promise<void> {
    await this.#queue
    const isPiped = this.#context.io.stdin.isTTY !== true
    if (isPiped && this.#unconfirmed.size > 0) {
      setTimeout(() => this.#ended.resolve(), pipedWaitMs).unref()
      return
    }
    this.#ended.resolve()
  }

  async #hear(events: AsyncIterable<MiaouEvent>): Promise<void> {
    for await (const event of events) {
      try {
        await this.#show(event)
      } catch (error) {
        this.#showError(error)
      }
    }
  }

  async #show(event: MiaouEvent): Promise<void> {
    const { event: news } = event
    if (news.type === 'message-received') await this.#showReceived(news.message)
    else if (news.type === 'message-state') this.#showState(news.message)
    else if (news.type === 'typing') this.#showTyping(news.account, news.typing)
    else if (news.type === 'contact-changed') {
      if (news.contact.account === this.#current?.account) this.#current = news.contact
      if (news.contact.state === 'request') this.#showRequestOnce(news.contact)
      else this.#asked.delete(news.contact.account)
    } else if (news.type === 'peer-seen') await this.#showSeen(news.peerId)
    else if (news.type === 'peer-gone') this.#gone.add(news.peerId)
    else if (news.type === 'invite-used') {
      await this.#showLink(event)
      if (this.#showsInvite) await renewInvite(this.#face)
    } else await this.#showLink(event)
  }

  /** Connections of contacts are worth a line; failed attempts and strangers are not, in the middle of a talk. */
  async #showLink(event: MiaouEvent): Promise<void> {
    const contacts = await this.#session.client.contacts.list()
    const { event: news } = event
    if (news.type === 'connection-error') return
    if ('peerId' in news && !contacts.some(({ devices }) => devices.includes(news.peerId))) return
    if (news.type === 'connection-established') this.#story.look(await this.#session.client.network.peers())
    const line = formatEvent(this.#context, event, createNames(contacts), this.#story)
    if (line !== undefined) this.#screen.print(line)
  }

  async #findCandidates(contacts: readonly Contact[]): Promise<void> {
    const peers = await this.#session.client.network.peers()
    this.#candidates = listCandidates(
      contacts,
      peers.filter(({ peerId }) => !this.#gone.has(peerId)),
    )
  }

  async #showReceived(message: Message): Promise<void> {
    const contact = (await this.#session.client.contacts.list()).find(({ account }) => account === message.contact)
    this.#isTyping(false)
    if (this.#current === undefined && contact?.state === 'contact') {
      await this.#select(contact)
      this.#prompt()
      return
    }
    this.#screen.print(formatMessage(this.#context, message, contact?.name ?? shortId(message.contact)))
    if (contact?.state === 'request') this.#showRequestOnce(contact)
    else if (message.contact === this.#current?.account) {
      await this.#session.client.messages.read(message.contact, message.position)
    }
  }

  #showRequestOnce(contact: Contact): void {
    if (!this.#asked.has(contact.account)) this.#showRequest(contact)
  }

  #showRequest(contact: Contact): void {
    this.#asked.add(contact.account)
    const asks = this.#context.text('chat.request', { name: contact.name, id: shortId(contact.account) })
    this.#screen.print([asks, ...noteLines(this.#context, contact)].join('\n'))
  }

  async #showSeen(peerId: string): Promise<void> {
    const { client } = this.#session
    this.#gone.delete(peerId)
    // In the middle of a talk strangers are no news; /contacts shows them.
    if (this.#current !== undefined) return
    const contacts = await client.contacts.list()
    if (contacts.some(({ devices }) => devices.includes(peerId))) return
    await this.#findCandidates(contacts)
    const index = this.#candidates.findIndex(
      (candidate) => candidate.type === 'peer' && candidate.peer.peerId === peerId,
    )
    if (index < 0) return
    const name = createNames(contacts, await client.network.peers()).peer(peerId)
    this.#screen.print(this.#context.text('chat.seen', { number: index + 1, name }))
  }

  #showState(message: Message): void {
    if (!this.#unconfirmed.has(message.id)) return
    const isFinal = !['queued', 'sent', 'held'].includes(message.state)
    clearTimeout(this.#states.get(message.id)?.timer)
    const show = () => {
      this.#states.delete(message.id)
      const [firstLine = ''] = sanitiseLine(message.text).split('⏎')
      const start = firstLine.length > 24 ? `${firstLine.slice(0, 23)}…` : firstLine
      this.#screen.print(`  ${formatState(this.#context, message)}  ${this.#context.out.styles.soft(start)}`)
      if (isFinal) this.#unconfirmed.delete(message.id)
      if (isFinal && this.#unconfirmed.size === 0 && this.#context.io.stdin.isTTY !== true) this.#ended.resolve()
    }
    this.#states.set(message.id, { timer: setTimeout(show, stateSettleMs) })
  }

  #showTyping(account: string, isTyping: boolean): void {
    if (account === this.#current?.account) this.#isTyping(isTyping)
  }

  #isTyping(isTyping: boolean): void {
    clearTimeout(this.#isTheirTyping)
    const was = this.#isTheirTyping !== undefined
    this.#isTheirTyping = isTyping ? setTimeout(() => this.#isTyping(false), typingHoldsMs) : undefined
    if (was !== isTyping) this.#prompt()
  }

  /** Tells the other side now and then that we type; commands are nobody's business. */
  #typed(): void {
    const { typed } = this.#screen
    const now = performance.now()
    if (this.#current === undefined || typed === '' || typed.startsWith('/')) return
    if (now - this.#saidTypingAt < typingEveryMs) return
    this.#saidTypingAt = now
    // Worth nothing later and no reason to disturb: a failure is left alone.
    this.#session.client.typing(this.#current.account).catch(() => undefined)
  }

  #prompt(): void {
    const { text, out } = this.#context
    const name = this.#current === undefined ? '' : sanitiseLine(this.#current.name)
    const typing = this.#isTheirTyping === undefined ? '' : ` ${text('chat.typing')}`
    this.#screen.prompt(`${out.styles.bold(name)}${out.styles.soft(typing)}${name === '' ? '' : ' '}> `)
  }

  #showError(error: unknown): void {
    const known = error instanceof MiaouError ? error : new MiaouError('internal', {}, { cause: error })
    const { message, hint } = this.#context.text.error(known.code, known.facts)
    this.#screen.print(`${this.#context.out.styles.bad(message)} ${hint}`)
    showCause(this.#context.io, known)
  }

  async #handleLine(typed: string): Promise<void> {
    const line = typed.trim()
    if (line === '') return this.#prompt()
    if (/^miaou:invite\//.test(line) || /^https?:\/\/\S+#\S+$/.test(line)) await this.#addInvite(line)
    else if (line.startsWith('/')) await this.#command(line)
    else if (this.#current === undefined) await this.#pick(line)
    else await this.#send(this.#current, typed)
    this.#prompt()
  }

  async #send(contact: Contact, words: string): Promise<void> {
    this.#saidTypingAt = Number.NEGATIVE_INFINITY
    const message = await this.#session.client.messages.send(contact.account, words)
    this.#unconfirmed.add(message.id)
    this.#showState(await this.#session.client.messages.get(message.id))
  }

  async #addInvite(invite: string): Promise<void> {
    const contact = await this.#session.client.contacts.add({ invite })
    this.#screen.print(this.#context.text('contacts.added', { name: contact.name }))
    await this.#select(contact)
  }

  /** A number of the list, a name or an id. */
  async #pick(words: string): Promise<void> {
    const candidate = /^\d{1,4}$/.test(words) ? this.#candidates[Number(words) - 1] : undefined
    if (candidate !== undefined) return this.#choose(candidate)
    const contacts = await this.#session.client.contacts.list()
    if (contacts.length === 0) {
      this.#screen.print(this.#context.text('chat.choose'))
      return
    }
    await this.#select(pickContact(contacts, words))
  }

  async #choose(candidate: Candidate): Promise<void> {
    const { client } = this.#session
    if (candidate.type === 'contact') return this.#select(candidate.contact)
    const { peerId } = candidate.peer
    this.#screen.print(this.#context.text('chat.connecting', { name: candidate.peer.name ?? shortId(peerId) }))
    await client.network.connect(peerId)
    await this.#select(await client.contacts.add({ peerId }))
  }

  /** Opens the conversation with a contact: the latest messages, then the prompt. */
  async #select(contact: Contact): Promise<void> {
    const { client } = this.#session
    const { text } = this.#context
    this.#current = contact
    this.#screen.print(text('chat.with', { name: contact.name }))
    if (contact.state === 'request') this.#showRequest(contact)
    const link = (await client.network.peers()).find((view) => contact.devices.includes(view.peerId) && isLinked(view))
    const path = link === undefined ? text('chat.not-linked') : text('chat.linked', { path: pathWords(text, link) })
    this.#screen.print(this.#context.out.styles.soft(path))
    if (contact.changed !== undefined) {
      this.#screen.print(this.#context.out.styles.bad(text('chat.key-changed', { name: contact.name })))
    } else if (!contact.verified) this.#screen.print(this.#context.out.styles.soft(text('chat.unverified')))
    const recent = await client.messages.list({ with: contact.account, limit: recentCount })
    for (const message of recent) this.#screen.print(formatMessage(this.#context, message, contact.name))
    const last = recent.findLast(({ direction }) => direction === 'in')
    if (last !== undefined && contact.state === 'contact') await client.messages.read(contact.account, last.position)
  }

  async #showCandidates(): Promise<void> {
    const { client } = this.#session
    const { text, out } = this.#context
    await this.#findCandidates(await client.contacts.list())
    if (this.#candidates.length === 0) {
      this.#screen.print(text('chat.nobody'))
      return
    }
    const rows = this.#candidates.map((candidate, index) =>
      candidate.type === 'contact'
        ? [String(index + 1), ...contactRow(this.#context, candidate.contact)]
        : [
            String(index + 1),
            out.styles.bold(sanitiseLine(candidate.peer.name ?? shortId(candidate.peer.peerId))),
            '',
            '',
            text('chat.on-network'),
          ],
    )
    const lines = formatTable(rows).split('\n')
    const listed = this.#candidates.flatMap((candidate, index) => [
      lines[index] ?? '',
      ...(candidate.type === 'contact' ? noteLines(this.#context, candidate.contact) : []),
    ])
    this.#screen.print([...listed, text('chat.choose')].join('\n'))
  }

  async #command(line: string): Promise<void> {
    const [name = '', ...words] = line.slice(1).split(/\s+/)
    const rest = words.join(' ')
    const { text } = this.#context
    const command = slashCommands[name.toLowerCase()]
    if (command === undefined) this.#screen.print(text('chat.unknown-command', { command: `/${name}` }))
    else await command(this.#face, rest)
  }

  /** What the slash commands may touch. */
  readonly #face: Face = {
    context: () => this.#context,
    session: () => this.#session,
    print: (text) => this.#screen.print(text),
    current: () => this.#current,
    showCandidates: () => this.#showCandidates(),
    pick: (words) => this.#pick(words),
    leave: () => {
      this.#current = undefined
    },
    addInvite: (invite) => this.#addInvite(invite),
    update: (contact) => {
      if (contact.account === this.#current?.account || this.#current === undefined) this.#current = contact
    },
    quit: () => this.#screen.close(),
  }
}
