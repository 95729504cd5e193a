import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { keyToPeerId, peerIdToKey } from '@miaou/core'
import { defaultLinkLimits, Link, type LinkOutput, type PipeId } from '@miaou/network'
import {
  boxIdOf,
  decodeMailboxMessage,
  encodeMailboxMessage,
  frameTypes,
  type MailboxMessage,
  mailboxIdOf,
  signMailboxAck,
  signPseudonymCertificate,
} from '@miaou/protocol'
import { freshPipe } from '@miaou/testkit'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { createNodeCrypto } from '../src/crypto/node-crypto.ts'
import { type CreateMailboxHostOptions, createMailboxHost } from '../src/mailbox/mailbox-host.ts'
import { mailboxServiceIdentity } from '../src/mailbox/mailbox-identity.ts'
import { systemClock, systemRandom } from '../src/peer/system.ts'
import { WebSocketTransport } from '../src/websocket/websocket-transport.ts'

const crypto = await createNodeCrypto()
const cleanups: (() => Promise<unknown> | unknown)[] = []

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

function keyringOf(fill: number) {
  return { storeKey: (purpose: string) => crypto.sha256(new TextEncoder().encode(`${fill} ${purpose}`)) }
}

function freshHome(): string {
  const home = mkdtempSync(join(tmpdir(), 'miaou-mailbox-host-'))
  cleanups.push(() => rmSync(home, { recursive: true, force: true }))
  return home
}

async function serve(home: string, options: Partial<CreateMailboxHostOptions> = {}) {
  const websocket = new WebSocketTransport({ host: '127.0.0.1', port: 0 })
  const crashes: unknown[] = []
  const logged: string[] = []
  const mailbox = await createMailboxHost({
    home,
    random: systemRandom,
    clock: systemClock,
    keyring: keyringOf(1),
    log: { write: (level, event, facts) => logged.push(`${level} ${event} ${JSON.stringify(facts)}`) },
    websocket,
    onCrash: (error) => crashes.push(error),
    ...options,
  })
  mailbox.start()
  const started = await websocket.start({ emit: () => undefined, nextPipe: freshPipe })
  if (!started.ok) throw new Error(started.error.type)
  const stop = async () => {
    await mailbox.stop()
    await websocket.stop()
  }
  cleanups.push(stop)
  return { mailbox, address: mailbox.mailboxAddress(started.value[0] ?? ''), stop, crashes, logged }
}

/** A client on a real socket. */
class Client {
  readonly said: MailboxMessage[] = []
  readonly box: Uint8Array
  mailboxId: Uint8Array | undefined
  isClosed = false
  readonly #websocket = new WebSocketTransport({ listens: false })
  readonly #channel
  readonly #key
  readonly #identity
  #link: Link | undefined
  #pipe: PipeId
  #request = 0
  #waiting: (() => void)[] = []

  constructor(seed: number, url: string) {
    this.#key = crypto.ed25519KeyPair(new Uint8Array(32).fill(seed))
    const linkKey = crypto.x25519KeyPair(new Uint8Array(32).fill(seed + 100))
    const fields = { linkKey: linkKey.publicKey, createdAt: 0 }
    const certificate = signPseudonymCertificate(crypto, this.#key.secretKey, fields)
    this.#identity = { peerId: keyToPeerId(this.#key.publicKey), certificate, linkKey }
    this.box = boxIdOf(this.#key.publicKey, (bytes) => crypto.sha256(bytes))
    this.#pipe = freshPipe()
    this.#channel = this.#websocket.channel({
      subprotocol: 'miaou-mailbox-v0.2.0',
      accepts: false,
      host: {
        emit: (event) => {
          if (event.type === 'opened') this.#open(event.padded)
          if (event.type === 'message') this.#perform(this.#link?.receive(systemClock.now(), 0, event.bytes) ?? [])
          if (event.type === 'closed') this.isClosed = true
          for (const wake of this.#waiting.splice(0)) wake()
        },
        nextPipe: freshPipe,
      },
    })
    cleanups.push(() => this.#websocket.stop())
    this.#channel.dial(this.#pipe, url)
  }

  async until<T>(find: () => T | undefined): Promise<T> {
    for (;;) {
      const found = find()
      if (found !== undefined) return found
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
    }
  }

  async up(): Promise<this> {
    await this.until(() => (this.#link?.isUp ? true : undefined))
    return this
  }

  say(message: MailboxMessage): void {
    const bytes = encodeMailboxMessage(message)
    this.#perform(this.#link?.send(systemClock.now(), frameTypes.mailboxControl, bytes, false) ?? [])
  }

  next(): number {
    this.#request += 1
    return this.#request
  }

  answer(request: number): Promise<MailboxMessage> {
    return this.until(() => this.said.find((each) => 'request' in each && each.request === request))
  }

  register(): Promise<MailboxMessage> {
    const request = this.next()
    this.say({ type: 'register', request, start: { counter: 1, nonce: new Uint8Array(16).fill(1) } })
    return this.answer(request)
  }

  deposit(box: Uint8Array, bytes: Uint8Array): Promise<MailboxMessage> {
    const request = this.next()
    this.say({ type: 'deposit', request, box, token: undefined, bytes })
    return this.answer(request)
  }

  acknowledge(ids: readonly number[]): void {
    this.say({ type: 'acknowledge', ids, signature: signMailboxAck(crypto, this.#key.secretKey, this.box, ids) })
  }

  envelopes(count: number): Promise<Extract<MailboxMessage, { type: 'envelope' }>[]> {
    return this.until(() => {
      const found = this.said.filter((each) => each.type === 'envelope')
      return found.length >= count ? found : undefined
    })
  }

  #open(padded: boolean): void {
    const options = { crypto, random: systemRandom, identity: this.#identity, features: [], padded, binding: undefined }
    const fixed = { role: 'initiator', expected: undefined, pseudonymsAdmitted: true, channels: 1 } as const
    this.#link = new Link({ ...options, ...fixed, limits: defaultLinkLimits }, systemClock.now())
    this.#perform(this.#link.start(systemClock.now()))
  }

  #perform(outputs: readonly LinkOutput[]): void {
    for (const output of outputs) {
      if (output.type === 'write') this.#channel.send(this.#pipe, output.channel, output.bytes)
      if (output.type === 'proven') {
        this.mailboxId = mailboxIdOf(peerIdToKey(output.peer.peerId), (bytes) => crypto.sha256(bytes))
        this.#perform(this.#link?.accept(systemClock.now()) ?? [])
      }
      if (output.type === 'frame') {
        const decoded = decodeMailboxMessage(output.payload)
        if (decoded.ok) this.said.push(decoded.value)
      }
    }
  }
}

describe('a mailbox on real sockets', () => {
  test('[MB31] it shows a service key derived from the home, the same after a restart', async () => {
    const home = freshHome()
    const { mailbox, address, stop } = await serve(home)
    const client = await new Client(1, address.url).up()
    expect(client.mailboxId).toEqual(mailbox.mailboxId)
    const { peerId } = mailboxServiceIdentity(crypto, keyringOf(1))
    expect(mailboxIdOf(peerIdToKey(peerId), (bytes) => crypto.sha256(bytes))).toEqual(address.mailboxId)
    await stop()
    expect((await serve(home)).mailbox.mailboxId).toEqual(mailbox.mailboxId)
  })

  test('[MB33] [MB83] letters of every size wait over a restart, come by push and go when acknowledged', async () => {
    const home = freshHome()
    const first = await serve(home, { quotas: { boxes: 5, bytes: 10_000_000, bytesPerBox: 1_000_000 } })
    const owner = await new Client(1, first.address.url).up()
    expect(await owner.register()).toMatchObject({ type: 'registered', stock: { waiting: 0 } })
    const sender = await new Client(2, first.address.url).up()
    const letters = [1, 255, 4_096, 49_000, 65_280].map((size, at) => new Uint8Array(size).fill(at + 1))
    for (const bytes of letters) expect(await sender.deposit(owner.box, bytes)).toMatchObject({ type: 'accepted' })
    const size = (all: readonly { readonly bytes: Uint8Array }[]) =>
      all.map(({ bytes }) => [bytes.length, bytes[0], bytes.at(-1)])
    expect(size(await owner.envelopes(5))).toEqual(letters.map((bytes, at) => [bytes.length, at + 1, at + 1]))
    const bytes = letters.reduce((sum, { length }) => sum + length, 0)
    expect(first.mailbox.view()).toMatchObject({
      boxes: 1,
      envelopes: 5,
      bytes,
      links: 2,
      owners: 1,
      limits: { boxesMax: 5, bytesMax: 10_000_000, bytesPerBoxMax: 1_000_000 },
      counters: { deposits: 5, 'envelopes-pushed': 5 },
    })
    await first.stop()
    await owner.until(() => (owner.isClosed ? true : undefined))
    const second = await serve(home)
    expect(second.mailbox.view()).toMatchObject({ boxes: 1, envelopes: 5, bytes })
    const again = await new Client(1, second.address.url).up()
    await again.register()
    const envelopes = await again.envelopes(5)
    expect(size(envelopes).sort((a, b) => (a[0] ?? 0) - (b[0] ?? 0))).toEqual(
      letters.map((bytes, at) => [bytes.length, at + 1, at + 1]),
    )
    again.acknowledge(envelopes.map(({ id }) => id))
    const sender2 = await new Client(2, second.address.url).up()
    await sender2.deposit(again.box, new Uint8Array(10))
    await again.envelopes(6)
    expect(second.mailbox.view().envelopes).toBe(1)
    // Nothing of who, in the log or in what is shown.
    const told = JSON.stringify([first.logged, second.logged, second.mailbox.view()])
    expect(told).not.toContain('127.0.0.1')
    expect(told).not.toContain(Buffer.from(again.box).toString('hex'))
  })

  test('[MB35] two hundred letters at once share groups, and all are answered', async () => {
    const { mailbox, address } = await serve(freshHome())
    const owner = await new Client(1, address.url).up()
    await owner.register()
    const sender = await new Client(2, address.url).up()
    const answers = await Promise.all(
      Array.from({ length: 200 }, (_, at) => sender.deposit(owner.box, new Uint8Array(100).fill(at))),
    )
    expect(answers.filter(({ type }) => type === 'accepted')).toHaveLength(16)
    expect(answers.filter(({ type }) => type === 'refused')).toHaveLength(184)
    expect(mailbox.view()).toMatchObject({ envelopes: 16, pending: 0 })
  })

  test('[MB50] what cannot be opened makes no mailbox, is told, and leaves the peer as it is', async () => {
    const home = freshHome()
    const { stop } = await serve(home)
    await stop()
    writeFileSync(join(home, 'mailbox.db'), new Uint8Array(20_000).fill(7))
    const { mailbox, crashes } = await serve(home)
    expect(mailbox.isBroken).toBe(true)
    expect(String(crashes[0])).toContain('could not be opened')
    expect(mailbox.view()).toMatchObject({ boxes: 0, links: 0 })
  })

  test('[MB83] whose thread of the disk ends is told, lets its clients go, and leaves the listener as it is', async () => {
    const threads = new Set<Worker>()
    const { postMessage } = Worker.prototype
    vi.spyOn(Worker.prototype, 'postMessage').mockImplementation(function (this: Worker, ...given) {
      threads.add(this)
      postMessage.apply(this, given)
    })
    const { mailbox, address, crashes } = await serve(freshHome())
    const owner = await new Client(1, address.url).up()
    await owner.register()
    vi.restoreAllMocks()
    for (const thread of threads) await thread.terminate()
    owner.say({ type: 'deposit', request: owner.next(), box: owner.box, token: undefined, bytes: new Uint8Array(9) })
    await owner.until(() => (owner.isClosed ? true : undefined))
    expect(mailbox.isBroken).toBe(true)
    expect(crashes).toHaveLength(1)
    expect(String(crashes[0])).toContain('broke')
    expect(owner.said.some(({ type }) => type === 'accepted')).toBe(false)
  })
})
