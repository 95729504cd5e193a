import { randomBytes } from 'node:crypto'
import type { Crypto } from '@miaou/crypto'
import {
  createNodeCrypto,
  MailboxHost,
  RelayHost,
  SqliteMessageQueue,
  systemClock,
  systemRandom,
  type WebSocketChannel,
  type WebSocketChannelOptions,
  WebSocketTransport,
} from '@miaou/host-node'
import type { FetchedEnvelope, MessageQueue, PipeId, QueueOperation, QueueResult, TransportEvent } from '@miaou/network'
import { formatMailboxAddress, formatRelayAddress } from '@miaou/protocol'

/** All that one observer ever had in its hands. */
export class Capture {
  readonly #bytes: Buffer[] = []
  /** Addresses from which somebody came. */
  readonly remotes: string[] = []
  /** Addresses that it was made to dial. */
  readonly dialled: string[] = []
  /** Sizes of the messages on its sockets, both ways. */
  readonly sizes: Set<number> = new Set()

  add(value: unknown): void {
    if (value instanceof Uint8Array) this.#bytes.push(Buffer.from(value))
    else if (typeof value === 'string') this.#bytes.push(Buffer.from(value))
    else if (Array.isArray(value)) for (const each of value) this.add(each)
    else if (typeof value === 'object' && value !== null) for (const each of Object.values(value)) this.add(each)
  }

  get byteCount(): number {
    return this.#bytes.reduce((sum, bytes) => sum + bytes.length, 0)
  }

  /** Whether it ever had these bytes, anywhere; an accidental run over two pieces counts, too. */
  has(needle: Uint8Array): boolean {
    // Pieces are many and short: one long search is quicker than thousands.
    if (this.#bytes.length > 1) this.#bytes.splice(0, this.#bytes.length, Buffer.concat(this.#bytes))
    return this.#bytes[0]?.includes(Buffer.from(needle)) ?? false
  }
}

/** Keeps what goes into and comes out of every function: whatever its owner's keys open is among it. */
function recordingCrypto(crypto: Crypto, capture: Capture): Crypto {
  return new Proxy(crypto, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name)
      if (typeof value !== 'function') return value
      return (...args: unknown[]): unknown => {
        capture.add(args)
        const result: unknown = Reflect.apply(value, target, args)
        capture.add(result)
        return result
      }
    },
  })
}

function recordingWebSocket(websocket: WebSocketTransport, capture: Capture): Pick<WebSocketTransport, 'channel'> {
  const keep = (bytes: Uint8Array) => {
    capture.sizes.add(bytes.length)
    capture.add(bytes)
  }
  return {
    channel(options: WebSocketChannelOptions): WebSocketChannel {
      const emit = (event: TransportEvent) => {
        if (event.type === 'opened' && event.direction === 'in') capture.remotes.push(event.remoteAddress)
        if (event.type === 'message') keep(event.bytes)
        options.host.emit(event)
      }
      const channel = websocket.channel({ ...options, host: { ...options.host, emit } })
      return {
        dial(pipe: PipeId, url, nearest) {
          capture.dialled.push(url)
          capture.add(url)
          channel.dial(pipe, url, nearest)
        },
        send(pipe, index, bytes) {
          keep(bytes)
          channel.send(pipe, index, bytes)
        },
        close: (pipe) => channel.close(pipe),
        stop: () => channel.stop(),
      }
    },
  }
}

const refuse = (error: unknown): void => {
  throw error
}

async function listen(websocket: WebSocketTransport, port: number): Promise<string> {
  const nextPipe = (): PipeId => {
    throw new Error('nobody comes as a peer')
  }
  const started = await websocket.start({ emit: () => undefined, nextPipe })
  const url = started.ok ? started.value[0] : undefined
  if (url === undefined) throw new Error(`no listener at port ${port}`)
  return url
}

const observerOptions = (capture: Capture, websocket: WebSocketTransport, secret: Uint8Array, crypto: Crypto) => ({
  crypto: recordingCrypto(crypto, capture),
  random: systemRandom,
  clock: systemClock,
  keyring: { storeKey: (purpose: string) => crypto.sha256(Buffer.concat([secret, Buffer.from(purpose)])) },
  log: { write: (...said: readonly unknown[]) => capture.add(said) },
  websocket: recordingWebSocket(websocket, capture),
  onCrash: refuse,
})

/** The relay of the project on a real listener, all whose memory is kept. */
export class RecordingRelay {
  readonly capture: Capture
  /** As `--relay` takes it. */
  readonly address: string
  readonly #stop: () => Promise<void>

  private constructor(capture: Capture, address: string, stop: () => Promise<void>) {
    this.capture = capture
    this.address = address
    this.#stop = stop
  }

  static async start(): Promise<RecordingRelay> {
    const capture = new Capture()
    const websocket = new WebSocketTransport({ host: '127.0.0.1', port: 0 })
    const options = observerOptions(capture, websocket, randomBytes(32), await createNodeCrypto())
    const relay = new RelayHost(options)
    relay.start()
    const url = await listen(websocket, 0)
    const stop = async () => {
      await relay.stop()
      await websocket.stop()
    }
    return new RecordingRelay(capture, formatRelayAddress(relay.relayAddress(url)), stop)
  }

  stop(): Promise<void> {
    return this.#stop()
  }
}

/**
 * What a mailbox does to what it accepted. `lose`: it is forgotten at once. `withhold`: kept, not given out. `repeat`:
 * given out twice, under numbers of its own. `reorder`: given out backwards. `swap`: each has the bytes of another one.
 * `change`: a bit is turned.
 */
export type MailboxDeed = 'pass' | 'lose' | 'withhold' | 'repeat' | 'reorder' | 'swap' | 'change'

/**
 * The mailbox of the project on a real listener, over its queue on the disk, all whose memory is kept. It can be told to
 * do harm to what it gives out.
 */
export class RecordingMailbox {
  readonly capture: Capture = new Capture()
  readonly operations: QueueOperation[] = []
  deed: MailboxDeed = 'pass'
  /** Envelopes that it did harm to. */
  spoilt = 0
  /** The file of its queue, and what opens it. */
  readonly path: string
  readonly key: Uint8Array = randomBytes(32)
  readonly #secret = randomBytes(32)
  #address = ''
  #port = 0
  #running: { readonly host: MailboxHost; readonly websocket: WebSocketTransport } | undefined

  private constructor(path: string) {
    this.path = path
  }

  /** `path`: where its queue is to lie. */
  static async start(path: string): Promise<RecordingMailbox> {
    const mailbox = new RecordingMailbox(path)
    await mailbox.start()
    return mailbox
  }

  /** As `--mailbox` takes it. */
  get address(): string {
    return this.#address
  }

  /** Again, at the same address, with the same key and disk. */
  async start(): Promise<void> {
    const opened = await SqliteMessageQueue.open({ path: this.path, key: this.key })
    if (!opened.ok) throw new Error(JSON.stringify(opened.error))
    const websocket = new WebSocketTransport({ host: '127.0.0.1', port: this.#port, portIsExact: this.#port !== 0 })
    const options = observerOptions(this.capture, websocket, this.#secret, await createNodeCrypto())
    const host = new MailboxHost({ ...options, queue: this.#harm(opened.value) })
    host.start()
    const url = await listen(websocket, this.#port)
    this.#port = Number(new URL(url).port)
    this.#address = formatMailboxAddress(host.mailboxAddress(url))
    this.#running = { host, websocket }
  }

  async stop(): Promise<void> {
    await this.#running?.host.stop()
    await this.#running?.websocket.stop()
    this.#running = undefined
  }

  depositSizes(): number[] {
    return this.operations.flatMap((each) => (each.type === 'deposit' ? [each.bytes.length] : []))
  }

  #harm(queue: SqliteMessageQueue): MessageQueue {
    return {
      apply: async (operations) => {
        this.operations.push(...operations)
        this.capture.add(operations)
        const results = await queue.apply(operations)
        if ('type' in results) return results
        this.capture.add(results)
        for (const [i, operation] of operations.entries()) {
          const result = results[i]
          if (this.deed !== 'lose' || operation.type !== 'deposit' || result?.type !== 'accepted') continue
          this.spoilt += 1
          await queue.apply([{ type: 'acknowledge', box: operation.box, ids: [result.id] }])
        }
        return results.map((result) => this.#spoil(result))
      },
      totals: () => queue.totals(),
      get isGone() {
        return queue.isGone
      },
      close: () => queue.close(),
    }
  }

  #spoil(result: QueueResult): QueueResult {
    if (result.type !== 'envelopes' || this.deed === 'pass' || this.deed === 'lose') return result
    const { envelopes } = result
    this.spoilt += envelopes.length
    return { type: 'envelopes', envelopes: spoilt(envelopes, this.deed) }
  }
}

/** Numbers stay those of the queue, growing, so that the engine gives them out: harm is done to what stands behind them. */
function spoilt(
  envelopes: readonly FetchedEnvelope[],
  deed: Exclude<MailboxDeed, 'pass' | 'lose'>,
): readonly FetchedEnvelope[] {
  const others = (at: (i: number) => FetchedEnvelope | undefined, parts: readonly (keyof FetchedEnvelope)[]) =>
    envelopes.map((envelope, i) => {
      const other = at(i) ?? envelope
      return { ...envelope, ...Object.fromEntries(parts.map((part) => [part, other[part]])) }
    })
  switch (deed) {
    case 'withhold':
      return []
    case 'reorder':
      return others((i) => envelopes.at(-1 - i), ['bytes', 'tokenHash', 'acceptedAt'])
    case 'swap':
      // The bytes of the next one under the token of this one.
      return others((i) => envelopes[(i + 1) % envelopes.length], ['bytes'])
    case 'repeat':
      return others((i) => envelopes[i >> 1], ['bytes', 'tokenHash', 'acceptedAt'])
    case 'change':
      return envelopes.map((envelope) => {
        const bytes = Uint8Array.from(envelope.bytes)
        const last = bytes.length - 1
        bytes[last] = (bytes[last] ?? 0) ^ 1
        return { ...envelope, bytes }
      })
  }
}
