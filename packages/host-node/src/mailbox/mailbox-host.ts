import { type Clock, type Log, peerIdToKey, type Random } from '@miaou/core'
import type { Crypto } from '@miaou/crypto'
import type { Keyring } from '@miaou/keyring'
import {
  defaultQueueLimits,
  MailboxService,
  type MailboxServiceInput,
  type MailboxServiceLimits,
  type MailboxServiceOutput,
  type MailboxServiceView,
  type MessageQueue,
  type PipeId,
  type QueueLimits,
  type QueueTotals,
} from '@miaou/network'
import { type MailboxAddress, mailboxIdOf } from '@miaou/protocol'
import { createNodeCrypto } from '../crypto/node-crypto.ts'
import { OverlayLoop } from '../overlay/overlay-loop.ts'
import { mailboxPath } from '../peer/home.ts'
import { mailboxSubprotocol } from '../peer/mailbox-use.ts'
import type { MailboxQuotas } from '../peer/reach-settings.ts'
import { YoungMemory } from '../relay/young-memory.ts'
import type { WebSocketChannel, WebSocketChannelLimits, WebSocketTransport } from '../websocket/websocket-transport.ts'
import { mailboxServiceIdentity } from './mailbox-identity.ts'
import { SqliteMessageQueue } from './sqlite-message-queue.ts'

/** Purpose of the home's data key (spec/mailbox MB50). */
const storePurpose = 'mailbox'

export interface MailboxHostOptions {
  readonly crypto: Crypto
  readonly random: Random
  readonly clock: Clock
  readonly keyring: Pick<Keyring, 'storeKey'>
  readonly log: Log
  /** Whose listener takes the clients. */
  readonly websocket: Pick<WebSocketTransport, 'channel'>
  /** What it keeps; undefined where that could not be opened: the mailbox is broken from the start. */
  readonly queue: MessageQueue | undefined
  /** 0 or absent: the default. */
  readonly quotas?: MailboxQuotas
  /** Every bound of the engine, in place of its default. */
  readonly limits?: Partial<MailboxServiceLimits>
  readonly channelLimits?: Partial<WebSocketChannelLimits>
  /** An invariant of ours broke: the mailbox has stopped, the peer goes on. */
  readonly onCrash: (error: unknown) => void
}

/** What is shown of the mailbox: numbers, nothing of whom. */
export interface MailboxHostView extends MailboxServiceView, QueueTotals {
  readonly limits: { readonly boxesMax: number; readonly bytesMax: number; readonly bytesPerBoxMax: number }
  readonly counters: Readonly<Record<string, number>>
}

/** A mailbox beside a peer: an engine with a loop of its own, on the peer's listener, and its queue. */
export class MailboxHost {
  /** 16 bytes. */
  readonly mailboxId: Uint8Array
  readonly #options: MailboxHostOptions
  readonly #limits: QueueLimits
  readonly #service: MailboxService
  readonly #loop: OverlayLoop<MailboxServiceInput, MailboxServiceOutput>
  readonly #memory = new YoungMemory()
  #channel: WebSocketChannel | undefined
  #nextPipe = 1
  #isBroken = false
  #isStopped = false

  constructor(options: MailboxHostOptions) {
    this.#options = options
    const { crypto, random, clock, keyring, quotas = {}, limits, queue } = options
    const identity = mailboxServiceIdentity(crypto, keyring)
    this.mailboxId = mailboxIdOf(peerIdToKey(identity.peerId), (bytes) => crypto.sha256(bytes))
    this.#limits = { ...defaultQueueLimits, ...queueLimitsOf(quotas) }
    this.#service = new MailboxService({ crypto, random, identity, ...(limits === undefined ? {} : { limits }) })
    this.#loop = new OverlayLoop({
      engine: this.#service,
      clock,
      perform: (output) => this.#perform(output),
      onCrash: (error) => this.#crash(error),
    })
    this.#isBroken = queue === undefined
  }

  /** It has stopped for a fault of ours, or what it keeps cannot be read: nobody is to be sent here. */
  get isBroken(): boolean {
    return this.#isBroken
  }

  /** What others are told of this mailbox; `url`: where its listener is reached. */
  mailboxAddress(url: string): MailboxAddress {
    return { url, mailboxId: this.mailboxId }
  }

  /** Takes clients from now on; before or after the listener starts. */
  start(): void {
    const { websocket, channelLimits, log } = this.#options
    if (this.#isBroken) return
    this.#channel = websocket.channel({
      subprotocol: mailboxSubprotocol,
      accepts: true,
      host: {
        emit: (event) => {
          this.#loop.push({ type: 'transport', event })
          if (event.type === 'message') this.#memory.used(event.bytes.length)
        },
        nextPipe: () => this.#nextPipe++ as PipeId,
      },
      onDrained: (pipe) => this.#loop.push({ type: 'drained', pipe }),
      ...(channelLimits === undefined ? {} : { limits: channelLimits }),
    })
    // What is over is deleted now and then, whether anybody comes or not.
    this.#loop.push({ type: 'wake' })
    log.write('info', 'mailbox-started', {})
  }

  /** Tells every client, closes and frees everything, the queue last; the listener goes on. */
  async stop(): Promise<void> {
    if (this.#isStopped) return
    this.#isStopped = true
    this.#loop.push({ type: 'stop' })
    this.#loop.drain()
    this.#loop.stop()
    const wasStarted = this.#channel !== undefined
    await this.#channel?.stop()
    this.#channel = undefined
    await this.#options.queue?.close()
    if (wasStarted) this.#options.log.write('info', 'mailbox-stopped', {})
  }

  view(): MailboxHostView {
    const { boxesMax, bytesMax, boxBytesMax } = this.#limits
    return {
      ...(this.#options.queue?.totals() ?? { boxes: 0, envelopes: 0, bytes: 0 }),
      ...this.#service.view(),
      limits: { boxesMax, bytesMax, bytesPerBoxMax: boxBytesMax },
      counters: this.#service.counters(),
    }
  }

  #perform(output: MailboxServiceOutput): void {
    if (output.type === 'write') this.#channel?.send(output.pipe, output.channel, output.bytes)
    else if (output.type === 'close') this.#channel?.close(output.pipe)
    else this.#queue(output)
  }

  #queue({ batch, operations }: Extract<MailboxServiceOutput, { type: 'queue' }>): void {
    const { queue, log } = this.#options
    queue?.apply(operations).then(
      (results) => {
        if ('type' in results) log.write('warn', 'mailbox-group-failed', { kind: results.kind, detail: results.detail })
        this.#loop.push({ type: 'queued', batch, results })
        if (queue.isGone) this.#crash(new Error('the queue of the mailbox broke'))
      },
      (error: unknown) => this.#crash(error),
    )
  }

  #crash(error: unknown): void {
    if (this.#isBroken || this.#isStopped) return
    this.#isBroken = true
    this.#loop.stop()
    void this.#channel?.stop()
    this.#options.onCrash(error)
  }
}

export interface CreateMailboxHostOptions extends Omit<MailboxHostOptions, 'crypto' | 'queue'> {
  /** Folder in which the mailbox keeps its file. */
  readonly home: string
}

/**
 * A mailbox with the fast backend of this platform and its queue in the home. Where the queue cannot be opened `onCrash`
 * is told, and the mailbox is broken from the start: the peer goes on without it.
 */
export async function createMailboxHost(options: CreateMailboxHostOptions): Promise<MailboxHost> {
  const { home, keyring, quotas = {} } = options
  const path = mailboxPath(home)
  const key = keyring.storeKey(storePurpose)
  const opened = await SqliteMessageQueue.open({ path, key, limits: queueLimitsOf(quotas) })
  const queue = opened.ok ? opened.value : undefined
  const host = new MailboxHost({ ...options, queue, crypto: await createNodeCrypto() })
  if (!opened.ok) options.onCrash(new Error(`the mailbox's file could not be opened: ${JSON.stringify(opened.error)}`))
  return host
}

function queueLimitsOf({ boxes = 0, bytes = 0, bytesPerBox = 0 }: MailboxQuotas): Partial<QueueLimits> {
  return {
    ...(boxes === 0 ? {} : { boxesMax: boxes }),
    ...(bytes === 0 ? {} : { bytesMax: bytes }),
    ...(bytesPerBox === 0 ? {} : { boxBytesMax: bytesPerBox }),
  }
}
