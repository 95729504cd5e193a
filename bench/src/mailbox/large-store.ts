import { randomFillSync } from 'node:crypto'
import { keyToPeerId, type Random, type Result } from '@miaou/core'
import { createLibsodiumCrypto } from '@miaou/crypto'
import { openSqliteStore, type SqliteStore } from '@miaou/host-node'
import {
  Messaging,
  type MessagingCommand,
  type MessagingIdentity,
  type MessagingInput,
  type MessagingOutput,
  migrate,
  type Store,
} from '@miaou/messaging'
import { signDeviceCertificate, signDeviceListEntry } from '@miaou/protocol'

const crypto = await createLibsodiumCrypto()
const random: Random = { bytes: (size) => randomFillSync(new Uint8Array(size)) }

function unwrap<T, E>(result: Result<T, E>): T {
  if (!result.ok) throw new Error(JSON.stringify(result.error))
  return result.value
}

export function createIdentity(name: string): MessagingIdentity {
  const account = crypto.ed25519KeyPair(random.bytes(32))
  const deviceKey = crypto.ed25519KeyPair(random.bytes(32))
  const linkKey = crypto.x25519KeyPair(random.bytes(32)).publicKey
  const sessionKey = crypto.x25519KeyPair(random.bytes(32))
  const accountKey = account.publicKey
  const createdAt = Date.now()
  const entry = signDeviceListEntry(crypto, account.secretKey, {
    action: 'add',
    accountKey,
    deviceKey: deviceKey.publicKey,
    deviceName: name,
    height: 0,
    previous: new Uint8Array(32),
    signer: 'account',
    rights: [],
    createdAt,
  })
  const certified = { accountKey, linkKey, sessionKey: sessionKey.publicKey, createdAt }
  const certificate = signDeviceCertificate(crypto, deviceKey.secretKey, certified)
  return { accountKey, deviceKey, certificate, sessionKey, deviceList: [entry], name }
}

/** A messaging engine over a store, each batch a transaction, as the peer drives it. */
export class Person {
  readonly identity: MessagingIdentity
  readonly #store: Store
  readonly #engine: Messaging

  constructor(identity: MessagingIdentity, store: Store) {
    this.identity = identity
    this.#store = store
    this.#engine = new Messaging({ crypto, random, jitter: { next: () => Math.random() }, store, identity })
  }

  batch(inputs: readonly MessagingInput[]): MessagingOutput[] {
    const now = { mono: performance.now(), wall: Date.now() }
    return this.#store.transaction(() => {
      const outputs = inputs.flatMap((input) => this.#engine.handle(now, input))
      return [...outputs, ...this.#engine.flush(now)]
    })
  }

  ask(command: MessagingCommand): { readonly value: unknown; readonly outputs: readonly MessagingOutput[] } {
    const outputs = this.batch([{ type: 'command', id: 1, command }])
    const reply = outputs.find((output) => output.type === 'reply')
    if (reply === undefined) throw new Error('a command got no reply')
    return { value: unwrap(reply.result), outputs }
  }

  linkUp(): MessagingInput {
    const { accountKey, sessionKey, certificate, deviceKey } = this.identity
    const peerId = keyToPeerId(deviceKey.publicKey)
    return { type: 'link-up', peerId, accountKey, sessionKey: sessionKey.publicKey, certificate }
  }
}

function framesOf(from: Person, outputs: readonly MessagingOutput[]): MessagingInput[] {
  const peerId = keyToPeerId(from.identity.deviceKey.publicKey)
  return outputs.flatMap((output) =>
    output.type === 'send'
      ? [{ type: 'frame', peerId, frameType: output.frameType, payload: output.payload } as const]
      : [],
  )
}

function befriend(owner: Person, friend: Person): void {
  const created = owner.ask({ type: 'invite-create', addresses: [], uses: 1 }).value as { readonly invite: string }
  friend.ask({ type: 'contact-add-invite', invite: created.invite })
  let toFriend = framesOf(owner, owner.batch([friend.linkUp()]))
  let toOwner = framesOf(friend, friend.batch([owner.linkUp()]))
  while (toFriend.length + toOwner.length > 0) {
    const [fromFriend, fromOwner] = [friend.batch(toFriend), owner.batch(toOwner)]
    toFriend = framesOf(owner, fromOwner)
    toOwner = framesOf(friend, fromFriend)
  }
}

/** Words by how often they are written: the k-th about 1/k as often as the first (Zipf). */
export class Vocabulary {
  readonly words: readonly string[]
  readonly #cumulated: Float64Array
  #state = 0x2545f491

  constructor(size: number) {
    const seen = new Set<string>()
    while (seen.size < size) {
      // Short ones first, as in a language: one syllable for the commonest.
      const syllables = 1 + Math.floor(Math.log10(1 + seen.size) / 1.4) + Math.floor(this.#next() * 2)
      let word = ''
      for (let at = 0; at < syllables; at++) word += this.#syllable()
      seen.add(word)
    }
    this.words = [...seen]
    this.#cumulated = new Float64Array(size)
    let sum = 0
    for (let rank = 0; rank < size; rank++) {
      sum += 1 / (rank + 1)
      this.#cumulated[rank] = sum
    }
  }

  /** 4 to 20 words. */
  sentence(): string {
    const words = Array.from({ length: 4 + Math.floor(this.#next() * 17) }, () => this.#word())
    return words.join(' ')
  }

  #word(): string {
    const { length } = this.#cumulated
    const aim = this.#next() * (this.#cumulated[length - 1] ?? 0)
    let [low, high] = [0, length - 1]
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.#cumulated[middle] ?? 0) < aim) low = middle + 1
      else high = middle
    }
    return this.words[low] ?? ''
  }

  #syllable(): string {
    const [consonants, vowels] = ['bcdfglmnprstvz', 'aeiou']
    const pick = (from: string): string => from[Math.floor(this.#next() * from.length)] ?? ''
    return pick(consonants) + pick(vowels) + (this.#next() < 0.4 ? pick('nrst') : '')
  }

  /** Xorshift: the same texts each time. */
  #next(): number {
    this.#state ^= this.#state << 13
    this.#state ^= this.#state >>> 17
    this.#state ^= this.#state << 5
    return (this.#state >>> 0) / 2 ** 32
  }
}

export interface LargeStore {
  readonly path: string
  readonly key: Uint8Array
  readonly identity: MessagingIdentity
  readonly vocabulary: Vocabulary
}

/** Rows written in one transaction. */
const rowsAtOnce = 20_000

/**
 * A database as this many messages leave it: 20 real contacts, half of the messages with the first of them, every second
 * one our own and delivered, the rest read. The rows are written past the engine, which would take an hour.
 */
export function makeLargeStore(path: string, count: number, onProgress: (done: number) => void): LargeStore {
  const key = random.bytes(32)
  const store: SqliteStore = unwrap(openSqliteStore({ path, key }))
  unwrap(migrate(store))
  const identity = createIdentity('Ann')
  const owner = new Person(identity, store)
  for (let number = 0; number < 20; number++) {
    const memory = unwrap(openSqliteStore({ path: ':memory:' }))
    unwrap(migrate(memory))
    befriend(owner, new Person(createIdentity(`Friend ${number}`), memory))
    memory.close()
  }
  const contacts = store.all('SELECT c.id AS id, d.id AS device FROM contacts c JOIN devices d ON d.contact = c.id')
  const vocabulary = new Vocabulary(50_000)
  const startedAt = Date.now() - count * 60_000
  for (let done = 0; done < count; ) {
    store.transaction(() => {
      for (const end = Math.min(count, done + rowsAtOnce); done < end; done++) {
        const contact = contacts[done % 2 === 0 ? 0 : 1 + ((done >> 1) % (contacts.length - 1))]
        const [who, device] = [Number(contact?.['id']), Number(contact?.['device'])]
        const isOurs = Math.floor(done / 2) % 2 === 0
        const at = startedAt + done * 60_000
        const text = vocabulary.sentence()
        const { lastInsertRowid } = store.run(
          'INSERT INTO messages (id, contact, outgoing, state, device, sent_at, stored_at, expires_at, text) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)',
          [random.bytes(16), who, isOurs ? 1 : 0, isOurs ? 0 : 3, device, at, at, at + 604_800_000, text],
        )
        store.run('INSERT INTO search (rowid, text) VALUES (?, ?)', [lastInsertRowid, text])
        if (!isOurs) continue
        store.run('INSERT INTO deliveries (message, device, state, attempts, refusals) VALUES (?, ?, 3, 1, 0)', [
          lastInsertRowid,
          device,
        ])
      }
      for (const { id } of contacts) {
        const counted =
          'UPDATE contacts SET message_count = (SELECT count(*) FROM messages WHERE contact = contacts.id) WHERE id = ?'
        if (done === count) store.run(counted, [Number(id)])
      }
    })
    onProgress(done)
  }
  store.close()
  return { path, key, identity, vocabulary }
}

/** Opens it as a peer does, up to the engine's first batch. */
export function openLargeStore({ path, key, identity }: LargeStore): { readonly person: Person; close(): void } {
  const store = unwrap(openSqliteStore({ path, key }))
  unwrap(migrate(store))
  const person = new Person(identity, store)
  person.batch([{ type: 'wake' }])
  return { person, close: () => store.close() }
}
