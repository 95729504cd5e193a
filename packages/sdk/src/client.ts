import { bytesToHex, hexToBytes, textToBytes } from '@miaou/core'
import type { Connection, EventOptions } from './connection.ts'
import type { OperationInput, OperationName, OperationOutput } from './operations.ts'
import type { MiaouEvent } from './schema/events.ts'
import type { KeyKind } from './schema/keys.ts'
import type { Message } from './schema/messages.ts'

export interface SendOptions {
  /** Idempotency key, at most 64 characters: sending again with the same key gives the same message. */
  readonly key?: string
}

/** What was heard in a topic. */
export interface GossipMessage {
  /** When it came, wall-clock ms. */
  readonly at: number
  readonly topic: string
  /** SHA-256 of the message, hexadecimal. */
  readonly messageId: string
  /** Ed25519 key of whoever published, hexadecimal: a pseudonym. */
  readonly origin: string
  readonly payload: Uint8Array
}

type Without<N extends OperationName, K extends string> = Omit<OperationInput<N>, K>

/**
 * One client, whatever the way to the peer. `who` is an account id, a peer id or a name. Every call rejects with a
 * `MiaouError` and nothing else.
 */
export class MiaouClient {
  readonly #connection: Connection
  readonly #call: Connection['call']
  readonly #subscriptions = new Set<AsyncIterator<MiaouEvent>>()

  constructor(connection: Connection) {
    this.#connection = connection
    this.#call = (name, input) => connection.call(name, input)
  }

  readonly identity = {
    get: () => this.#call('identity.get', {}),
    rename: (name: string) => this.#call('identity.rename', { name }),
  }

  readonly contacts = {
    list: () => this.#call('contacts.list', {}),
    add: (input: OperationInput<'contacts.add'>) => this.#call('contacts.add', input),
    accept: (who: string) => this.#call('contacts.accept', { who }),
    block: (who: string, blocked = true) => this.#call('contacts.block', { who, blocked }),
    verify: (who: string, verified = true) => this.#call('contacts.verify', { who, verified }),
    /** After looking at a key that changed (safety number): messages go out to them again. */
    trust: (who: string) => this.#call('contacts.trust', { who }),
    /** Blocks, and gives what may be shown to others; `reason`: at most 280 characters. It proves nothing. */
    report: (who: string, reason?: string) =>
      this.#call('contacts.report', { who, ...(reason === undefined ? {} : { reason }) }),
    rename: (who: string, name: string) => this.#call('contacts.rename', { who, name }),
    remove: (who: string) => this.#call('contacts.remove', { who }),
    safetyNumber: (who: string) => this.#call('contacts.safetyNumber', { who }),
  }

  readonly invites = {
    /** `uses`: how many people may use it, 1 to 1,000, default 1. */
    create: (uses?: number) => this.#call('invites.create', uses === undefined ? {} : { uses }),
  }

  readonly messages = {
    send: (to: string, text: string, options: SendOptions = {}) =>
      this.#call('messages.send', { to, text, ...(options.key === undefined ? {} : { key: options.key }) }),
    get: (id: string) => this.#call('messages.get', { id }),
    list: (options: OperationInput<'messages.list'> = {}) => this.#call('messages.list', options),
    search: (query: string, options: Without<'messages.search', 'query'> = {}) =>
      this.#call('messages.search', { query, ...options }),
    read: (who: string, upTo: number) => this.#call('messages.read', { with: who, upTo }),
    cancel: (id: string) => this.#call('messages.cancel', { id }),
    resend: (id: string) => this.#call('messages.resend', { id }),
  }

  readonly network = {
    info: () => this.#call('network.info', {}),
    peers: () => this.#call('network.peers', {}),
    connect: (target: string, timeoutMs?: number) => this.#call('network.connect', { target, ...timeout(timeoutMs) }),
    upgraded: (peerId: string, timeoutMs?: number) => this.#call('network.upgraded', { peerId, ...timeout(timeoutMs) }),
    disconnect: (peerId: string) => this.#call('network.disconnect', { peerId }),
    /** `count`: 1 to 100 round trips, default 1; rejects when all are lost. */
    ping: (peerId: string, timeoutMs?: number, count?: number) =>
      this.#call('network.ping', { peerId, ...timeout(timeoutMs), ...(count === undefined ? {} : { count }) }),
    /** `part`: one part of it; `peer`: the path to this peer instead of to each. */
    diagnostics: (options: OperationInput<'network.diagnostics'> = {}) => this.#call('network.diagnostics', options),
  }

  /** Relays carry what cannot go directly, and can read nothing of it. Each call answers with those there are then. */
  readonly relays = {
    list: () => this.#call('relays.list', {}),
    /** `<22 characters>@wss://…`, as the relay's owner hands it out. Kept in the home. */
    add: (relay: string) => this.#call('relays.add', { relay }),
    /** An address, or the 22 characters alone. */
    remove: (relay: string) => this.#call('relays.remove', { relay }),
  }

  /** Mailboxes keep sealed messages for us while we are away. Each call answers with those there are then. */
  readonly mailboxes = {
    list: () => this.#call('mailboxes.list', {}),
    /** `<22 characters>@wss://…`, as the mailbox's owner hands it out. Kept in the home. */
    add: (mailbox: string) => this.#call('mailboxes.add', { mailbox }),
    /** An address, or the 22 characters alone. */
    remove: (mailbox: string) => this.#call('mailboxes.remove', { mailbox }),
  }

  /** The overlay. Keys, values and names of records are bytes; a text is taken as its UTF-8. */
  readonly overlay = {
    info: () => this.#call('overlay.info', {}),
    /** At most `limit` (1 to 1,000, default 20), closest to the own node id first. */
    contacts: (limit?: number) => this.#call('overlay.contacts', limit === undefined ? {} : { limit }),
    /** Stores a value (at most 997 bytes) under its SHA-256, which is the `key` in the answer. */
    putValue: (value: Uint8Array | string) => this.#call('overlay.putValue', { value: toHex(value) }),
    /**
     * Signs a value with the device's key and publishes it under a name of at most 64 bytes (row I07). Under `signing`
     * it must be an Ed25519 public key.
     */
    putSigned: (name: Uint8Array | string, value: Uint8Array | string) =>
      this.#call('overlay.putSigned', { salt: toHex(name), value: toHex(value) }),
    /** `key`: 32 bytes, or 64 hexadecimal digits. */
    get: (key: Uint8Array | string) => this.#call('overlay.get', { key: keyText(key) }),
    /** The newest record of a device under a name (row I08). */
    getSigned: (peerId: string, name: Uint8Array | string) =>
      this.#call('overlay.getSigned', { peerId, salt: toHex(name) }),
    /** The nodes closest to a node id or a key: 32 bytes, or 64 hexadecimal digits. */
    findNode: (target: Uint8Array | string) => this.#call('overlay.findNode', { target: keyText(target) }),
    /** `node`: `<overlay key>@host:port`, as `info` lists in `nodes`. */
    ping: (node: string) => this.#call('overlay.ping', { node }),
    /** Joins through 1 to 32 nodes. */
    bootstrap: (nodes: readonly string[]) => this.#call('overlay.bootstrap', { nodes: [...nodes] }),
  }

  /** Topics among linked contacts and theirs. What is published now is heard by whoever follows now: nothing is kept. */
  readonly gossip = {
    info: () => this.#call('gossip.info', {}),
    /** `topic`: 1 to 64 visible ASCII characters. A text is sent as its UTF-8. */
    publish: (topic: string, payload: Uint8Array | string) =>
      this.#call('gossip.publish', { topic, payload: toHex(payload) }),
    /** The messages of topics as they come; ends with the iterator or the client. */
    follow: (...topics: readonly string[]) => this.#follow(topics),
  }

  readonly settings = {
    get: () => this.#call('settings.get', {}),
    set: (settings: OperationInput<'settings.set'>) => this.#call('settings.set', settings),
  }

  readonly keys = {
    list: () => this.#call('keys.list', {}),
    generate: (kind: KeyKind, keyId?: string) =>
      this.#call('keys.generate', { kind, ...(keyId === undefined ? {} : { keyId }) }),
    remove: (keyId: string) => this.#call('keys.remove', { keyId }),
    /** 32 secret bytes. */
    exportSecret: async (keyId: string) => fromHex((await this.#call('keys.exportSecret', { keyId })).secret),
    /** 64-byte Ed25519 signature over the message as it is; a text is signed as its UTF-8. */
    sign: async (keyId: string, message: Uint8Array | string) =>
      fromHex((await this.#call('keys.sign', { keyId, message: toHex(message) })).signature),
    verify: async (publicKey: Uint8Array, message: Uint8Array | string, signature: Uint8Array) =>
      (
        await this.#call('keys.verify', {
          publicKey: toHex(publicKey),
          message: toHex(message),
          signature: toHex(signature),
        })
      ).valid,
    /** `key`: a key id, or 32 bytes. `nonce`: 12 bytes. Gives ciphertext ‖ 16-byte tag. */
    aeadEncrypt: async (
      key: string | Uint8Array,
      nonce: Uint8Array,
      ad: Uint8Array | string,
      plaintext: Uint8Array | string,
    ) => {
      const input = { key: keyText(key), nonce: toHex(nonce), ad: toHex(ad), plaintext: toHex(plaintext) }
      return fromHex((await this.#call('keys.aeadEncrypt', input)).ciphertext)
    },
    aeadDecrypt: async (
      key: string | Uint8Array,
      nonce: Uint8Array,
      ad: Uint8Array | string,
      ciphertext: Uint8Array,
    ) => {
      const input = { key: keyText(key), nonce: toHex(nonce), ad: toHex(ad), ciphertext: toHex(ciphertext) }
      return fromHex((await this.#call('keys.aeadDecrypt', input)).plaintext)
    },
  }

  /** Tells a contact that we type, or stopped. `sent` is false when they are not reachable. */
  typing(to: string, typing = true): Promise<OperationOutput<'typing.send'>> {
    return this.#call('typing.send', { to, typing })
  }

  /** Sends and gives the stored message: it goes out by itself, now or when the contact is reachable (row T06). */
  quickSend(recipient: string, text: string): Promise<Message> {
    return this.messages.send(recipient, text)
  }

  /** News as they come; with `after`, first everything since that cursor, nothing missing, nothing twice. */
  events(options: EventOptions = {}): AsyncIterableIterator<MiaouEvent> {
    const source = this.#connection.events(options)
    this.#subscriptions.add(source)
    const forget = () => this.#subscriptions.delete(source)
    const iterator: AsyncIterableIterator<MiaouEvent> = {
      [Symbol.asyncIterator]: () => iterator,
      next: async () => {
        const result = await source.next()
        if (result.done) forget()
        return result
      },
      return: async () => {
        forget()
        return (await source.return?.()) ?? { done: true, value: undefined }
      },
    }
    return iterator
  }

  #follow(topics: readonly string[]): AsyncIterableIterator<GossipMessage> {
    const events = this.events({ fleeting: false, topics })
    // No generator: one that waits for the next message could not be ended.
    const iterator: AsyncIterableIterator<GossipMessage> = {
      [Symbol.asyncIterator]: () => iterator,
      next: async () => {
        for (;;) {
          const { done, value } = await events.next()
          if (done) return { done, value: undefined }
          const { at, event } = value
          if (event.type !== 'gossip') continue
          const { topic, messageId, origin, payload } = event
          return { done: false, value: { at, topic, messageId, origin, payload: fromHex(payload) } }
        }
      },
      return: async () => {
        await events.return?.()
        return { done: true, value: undefined }
      },
    }
    return iterator
  }

  /**
   * Calls `handler` with every message that was not read yet, then with each that arrives, one at a time, and marks it
   * read when the handler is done (rows T02 and T06): what came while the program was away is not missed, and a message
   * whose handler failed comes again next time. Ends when `stop` is called or the client closes; `done` rejects when the
   * handler throws.
   */
  onMessage(handler: (message: Message) => void | Promise<void>): {
    readonly stop: () => Promise<void>
    readonly done: Promise<void>
  } {
    const events = this.events({ fleeting: false })
    const done = this.#handleAll(events, handler)
    // Whoever only calls `stop` must not be punished for not looking at `done`.
    done.catch(() => undefined)
    return {
      stop: async () => {
        await events.return?.()
      },
      done,
    }
  }

  async #handleAll(
    events: AsyncIterableIterator<MiaouEvent>,
    handler: (message: Message) => void | Promise<void>,
  ): Promise<void> {
    const handled = new Map<string, number>()
    const handle = async (message: Message) => {
      if (message.position <= (handled.get(message.contact) ?? Number.NEGATIVE_INFINITY)) return
      await handler(message)
      handled.set(message.contact, message.position)
      await this.messages.read(message.contact, message.position)
    }
    try {
      for (const message of await this.#unread()) await handle(message)
      for await (const { event } of events) if (event.type === 'message-received') await handle(event.message)
    } finally {
      await events.return?.()
    }
  }

  /** Everything not read yet, oldest first. */
  async #unread(): Promise<readonly Message[]> {
    const all: Message[] = []
    for (;;) {
      const after = all.at(-1)?.position ?? 0
      const page = await this.messages.list({ unread: true, after, limit: 200 })
      const fresh = page.filter(({ position }) => position > after)
      if (fresh.length === 0) return all
      all.push(...fresh)
    }
  }

  /** Ends every stream and the connection. A daemon goes on running; an embedded peer stops. */
  async close(): Promise<void> {
    for (const subscription of [...this.#subscriptions]) await subscription.return?.()
    this.#subscriptions.clear()
    await this.#connection.close()
  }
}

/** A client over a connection: `connect(httpConnection({ url, token }))`. */
export function connect(connection: Connection): MiaouClient {
  return new MiaouClient(connection)
}

function timeout(timeoutMs: number | undefined): { readonly timeoutMs?: number } {
  return timeoutMs === undefined ? {} : { timeoutMs }
}

function toHex(data: Uint8Array | string): string {
  return bytesToHex(typeof data === 'string' ? textToBytes(data) : data)
}

/** The answer passed its schema: it is hexadecimal. */
function fromHex(text: string): Uint8Array {
  return hexToBytes(text) ?? new Uint8Array(0)
}

function keyText(key: string | Uint8Array): string {
  return typeof key === 'string' ? key : bytesToHex(key)
}
