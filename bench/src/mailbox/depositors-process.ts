/**
 * Everybody who uses the mailbox of `bench:mailbox`, in one process: owners who bring tokens and leave, and depositors,
 * each on a link of its own with a pseudonym of its own. Argument: the mailbox's URL.
 */

import { keyToPeerId } from '@miaou/core'
import { createNodeCrypto, systemClock, systemRandom, WebSocketTransport } from '@miaou/host-node'
import { defaultLinkLimits, Link, type LinkIdentity, type LinkOutput, type PipeId } from '@miaou/network'
import {
  boxIdOf,
  decodeMailboxMessage,
  encodeMailboxMessage,
  frameTypes,
  type MailboxMessage,
  signPseudonymCertificate,
  tokenHash,
} from '@miaou/protocol'

export type FromDepositors =
  | { readonly type: 'ready' }
  | { readonly type: 'done'; readonly ms: number; readonly accepted: number; readonly refused: number }

export type ToDepositors =
  | {
      readonly type: 'prepare'
      readonly count: number
      readonly size: number
      readonly links: number
      /** Deposits of one link without an answer. */
      readonly window: number
    }
  | { readonly type: 'go' }
  | { readonly type: 'stop' }

/** Tokens of one box: below the most that one keeps. */
const tokensPerBox = 8_192
const tokensPerMessage = 2_048

const url = process.argv[2] ?? ''
const crypto = await createNodeCrypto()
const websocket = new WebSocketTransport({ listens: false })
await websocket.start({ emit: () => undefined, nextPipe: () => 0 as never })
let lastPipe = 0
const nextPipe = (): PipeId => ++lastPipe as PipeId

function say(message: FromDepositors): void {
  process.send?.(message)
}

/** One link with the mailbox. */
class Client {
  readonly box: Uint8Array
  onUp: () => void = () => undefined
  /** What came with one message of the socket. */
  onAnswers: (answers: readonly MailboxMessage[]) => void = () => undefined
  readonly #channel
  readonly #pipe = nextPipe()
  readonly #identity: LinkIdentity
  #link: Link | undefined
  #hasLeft = false

  constructor() {
    const signing = crypto.ed25519KeyPair(systemRandom.bytes(32))
    const linkKey = crypto.x25519KeyPair(systemRandom.bytes(32))
    const certificate = signPseudonymCertificate(crypto, signing.secretKey, {
      linkKey: linkKey.publicKey,
      createdAt: 0,
    })
    this.#identity = { peerId: keyToPeerId(signing.publicKey), certificate, linkKey }
    this.box = boxIdOf(signing.publicKey, (bytes) => crypto.sha256(bytes))
    this.#channel = websocket.channel({
      subprotocol: 'miaou-mailbox-v0.2.0',
      accepts: false,
      host: {
        emit: (event) => {
          if (event.type === 'opened') this.#open(event.padded)
          if (event.type === 'message') this.#perform(this.#link?.receive(systemClock.now(), 0, event.bytes) ?? [])
          if (event.type === 'closed' && !this.#hasLeft)
            throw new Error(`a link closed: ${JSON.stringify(event.error)}`)
        },
        nextPipe,
      },
    })
  }

  up(): Promise<void> {
    return new Promise((resolve) => {
      this.onUp = resolve
      this.#channel.dial(this.#pipe, url)
    })
  }

  leave(): void {
    this.#hasLeft = true
    this.#channel.close(this.#pipe)
  }

  say(messages: readonly MailboxMessage[]): void {
    const frames = messages.map((message) => ({
      frameType: frameTypes.mailboxControl,
      payload: encodeMailboxMessage(message),
    }))
    this.#perform(this.#link?.sendAll(systemClock.now(), frames).outputs ?? [])
  }

  /** The answer to one message. */
  ask(message: MailboxMessage): Promise<MailboxMessage> {
    return new Promise((resolve) => {
      this.onAnswers = ([answer]) => {
        if (answer !== undefined) resolve(answer)
      }
      this.say([message])
    })
  }

  #open(padded: boolean): void {
    const options = { crypto, random: systemRandom, identity: this.#identity, features: [], padded, binding: undefined }
    const fixed = { role: 'initiator', expected: undefined, pseudonymsAdmitted: true, channels: 1 } as const
    this.#link = new Link({ ...options, ...fixed, limits: defaultLinkLimits }, systemClock.now())
    this.#perform(this.#link.start(systemClock.now()))
  }

  #perform(outputs: readonly LinkOutput[]): void {
    const answers: MailboxMessage[] = []
    for (const output of outputs) {
      if (output.type === 'write') this.#channel.send(this.#pipe, output.channel, output.bytes)
      else if (output.type === 'proven') this.#perform(this.#link?.accept(systemClock.now()) ?? [])
      else if (output.type === 'up') this.onUp()
      else if (output.type === 'frame') {
        const decoded = decodeMailboxMessage(output.payload)
        if (decoded.ok) answers.push(decoded.value)
      }
    }
    if (answers.length > 0) this.onAnswers(answers)
  }
}

interface Paid {
  readonly box: Uint8Array
  readonly token: Uint8Array
}

/** A new box with so many tokens, whose owner has left: what comes waits. */
async function openBox(tokens: number): Promise<Paid[]> {
  const owner = new Client()
  await owner.up()
  const start = { counter: 1, nonce: systemRandom.bytes(16) }
  const registered = await owner.ask({ type: 'register', request: 1, start })
  if (registered.type !== 'registered') throw new Error(`not registered: ${JSON.stringify(registered)}`)
  const paid = Array.from({ length: tokens }, () => ({ box: owner.box, token: systemRandom.bytes(16) }))
  for (let from = 0; from < tokens; from += tokensPerMessage) {
    const hashes = paid.slice(from, from + tokensPerMessage).map(({ token }) => tokenHash(crypto, token))
    const done = await owner.ask({ type: 'tokens', request: 2 + from, reset: false, hashes })
    if (done.type !== 'done') throw new Error(`no tokens: ${JSON.stringify(done)}`)
  }
  owner.leave()
  return paid
}

let leaveAll: () => void = () => undefined
let run: () => void = () => undefined

async function prepare({ count, size, links, window }: Extract<ToDepositors, { type: 'prepare' }>): Promise<void> {
  const boxes = Math.max(4, Math.ceil(count / tokensPerBox))
  const each = Math.ceil(count / boxes)
  const paid: Paid[] = []
  const perBox: Paid[][] = []
  for (let made = 0; made < boxes; made++) perBox.push(await openBox(each))
  for (let at = 0; paid.length < count; at++) for (const box of perBox) paid.push(...box.slice(at, at + 1))
  const clients = Array.from({ length: links }, () => new Client())
  for (const client of clients) await client.up()
  leaveAll = () => {
    for (const client of clients) client.leave()
  }
  const bytes = systemRandom.bytes(size)
  run = () => {
    let next = 0
    let accepted = 0
    let refused = 0
    const startedAt = performance.now()
    for (const client of clients) {
      const give = (most: number): void => {
        const messages: MailboxMessage[] = []
        for (; messages.length < most && next < count; next++) {
          const { box, token } = paid[next] as Paid
          messages.push({ type: 'deposit', request: next, box, token, bytes })
        }
        if (messages.length > 0) client.say(messages)
      }
      client.onAnswers = (answers) => {
        for (const { type } of answers) {
          if (type === 'accepted') accepted += 1
          else refused += 1
        }
        if (accepted + refused < count) give(answers.length)
        else {
          say({ type: 'done', ms: performance.now() - startedAt, accepted, refused })
          leaveAll()
        }
      }
      give(window)
    }
  }
  say({ type: 'ready' })
}

process.on('message', async (message: ToDepositors) => {
  if (message.type === 'prepare') await prepare(message)
  else if (message.type === 'go') run()
  else {
    leaveAll()
    await websocket.stop()
    process.disconnect()
  }
})
