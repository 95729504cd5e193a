/** Both ends of many circuits through one relay, in a process of its own. Argument: the relay's address. */

import {
  createNodeCrypto,
  createPseudonyms,
  systemClock,
  systemJitter,
  systemRandom,
  WebSocketTransport,
} from '@miaou/host-node'
import { Circuits, type CircuitsInput, type CircuitsOutput, type PipeId } from '@miaou/network'
import { formatCircuitAddress, parseRelayAddress } from '@miaou/protocol'

export type FromClients =
  | { readonly type: 'connected'; readonly circuits: number }
  /** Bytes that arrived on each circuit within the time asked for. */
  | { readonly type: 'carried'; readonly bytes: readonly number[]; readonly ms: number }

export type ToClients =
  /** `each`: circuits of one pair of clients, all over the same two links; at most 8. */
  | { readonly type: 'connect'; readonly pairs: number; readonly each?: number }
  | {
      readonly type: 'carry'
      readonly pairs: number
      readonly ms: number
      readonly settleMs: number
      readonly messageSize: number
    }
  | { readonly type: 'stop' }

/** Bytes under way on each circuit that is busy: above its window, so that the window decides. */
const underWayMax = 1_048_576

const relay = parseRelayAddress(process.argv[2] ?? '')
if (relay === undefined) throw new Error('the relay has no address')
const crypto = await createNodeCrypto()
const websocket = new WebSocketTransport({ listens: false })
await websocket.start({ emit: () => undefined, nextPipe: () => 0 as never })
let lastPipe = 0
const nextPipe = (): PipeId => ++lastPipe as PipeId

function say(message: FromClients): void {
  process.send?.(message)
}

/** One client: the engine, its sockets and its turn of the event loop. */
class Client {
  readonly #engine: Circuits
  readonly #channel
  readonly #inputs: CircuitsInput[] = []
  #isScheduled = false
  address: string | undefined
  pipe: PipeId | undefined
  received = 0
  onProgress: () => void = () => undefined
  onReceived: (bytes: number) => void = () => undefined

  constructor() {
    const secret = systemRandom.bytes(32)
    const pseudonymFor = createPseudonyms(crypto, { storeKey: () => Uint8Array.from(secret) })
    this.#engine = new Circuits({ crypto, random: systemRandom, jitter: systemJitter, pseudonymFor }, nextPipe)
    this.#channel = websocket.channel({
      subprotocol: 'miaou-relay-v0.2.0',
      accepts: false,
      host: { emit: (event) => this.push({ type: 'transport', event }), nextPipe },
    })
  }

  push(input: CircuitsInput): void {
    this.#inputs.push(input)
    if (this.#isScheduled) return
    this.#isScheduled = true
    setImmediate(() => {
      this.#isScheduled = false
      for (const each of this.#inputs.splice(0)) {
        for (const output of this.#engine.handle(systemClock.now(), each)) this.#perform(output)
      }
    })
  }

  reserve(): Promise<void> {
    this.push({ type: 'relays', relays: [relay as NonNullable<typeof relay>] })
    return this.#until(() => this.address !== undefined)
  }

  dial(address: string): Promise<void> {
    const pipe = nextPipe()
    this.push({ type: 'dial', pipe, address })
    return this.#until(() => this.pipe === pipe)
  }

  write(bytes: Uint8Array): void {
    if (this.pipe !== undefined) this.push({ type: 'write', pipe: this.pipe, channel: 0, bytes })
  }

  #until(isDone: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      this.onProgress = () => {
        if (isDone()) resolve()
      }
      this.onProgress()
    })
  }

  #perform(output: CircuitsOutput): void {
    switch (output.type) {
      case 'relay-dial':
        this.#channel.dial(output.pipe, output.url)
        break
      case 'write':
        this.#channel.send(output.pipe, output.channel, output.bytes)
        break
      case 'close':
        this.#channel.close(output.pipe)
        break
      case 'reservations':
        this.address = output.addresses[0] === undefined ? undefined : formatCircuitAddress(output.addresses[0])
        break
      case 'event':
        if (output.event.type === 'opened') this.pipe = output.event.pipe
        if (output.event.type === 'closed') throw new Error(`a circuit closed: ${JSON.stringify(output.event.error)}`)
        if (output.event.type === 'message') {
          this.received += output.event.bytes.length
          this.onReceived(output.event.bytes.length)
        }
    }
    this.onProgress()
  }
}

const pairs: { readonly caller: Client; readonly holder: Client }[] = []

async function connectPair(each: number): Promise<void> {
  const [caller, holder] = [new Client(), new Client()]
  await holder.reserve()
  await caller.dial(holder.address ?? '')
  // Both ends speak, or the relay takes the circuit for abandoned.
  const answered = new Promise<void>((resolve) => {
    caller.onReceived = () => resolve()
    holder.onReceived = () => holder.write(new Uint8Array(256))
  })
  caller.write(new Uint8Array(256))
  await answered
  holder.onReceived = () => undefined
  caller.onReceived = () => undefined
  for (let more = 1; more < each; more++) {
    await caller.dial(holder.address ?? '')
    caller.write(new Uint8Array(256))
  }
  pairs.push({ caller, holder })
}

async function carry(count: number, ms: number, settleMs: number, messageSize: number): Promise<void> {
  const busy = pairs.slice(0, count)
  const message = systemRandom.bytes(messageSize)
  let isOn = true
  for (const { caller, holder } of busy) {
    holder.onReceived = () => {
      if (isOn) caller.write(message)
    }
    for (let sent = 0; sent < underWayMax; sent += messageSize) caller.write(message)
  }
  await new Promise((resolve) => setTimeout(resolve, settleMs))
  const before = busy.map(({ holder }) => holder.received)
  const startedAt = performance.now()
  await new Promise((resolve) => setTimeout(resolve, ms))
  const bytes = busy.map(({ holder }, index) => holder.received - (before[index] ?? 0))
  const took = performance.now() - startedAt
  isOn = false
  say({ type: 'carried', bytes, ms: took })
}

process.on('message', async (message: ToClients) => {
  if (message.type === 'connect') {
    while (pairs.length < message.pairs) {
      await Promise.all(
        Array.from({ length: Math.min(20, message.pairs - pairs.length) }, () => connectPair(message.each ?? 1)),
      )
    }
    say({ type: 'connected', circuits: pairs.length })
  } else if (message.type === 'carry') {
    await carry(message.pairs, message.ms, message.settleMs, message.messageSize)
  } else {
    process.exit(0)
  }
})
