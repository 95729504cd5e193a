import { Circuits, type CircuitsInput, type CircuitsOutput, type PipeId, type TransportEvent } from '@miaou/network'
import { formatCircuitAddress, type RelayAddress } from '@miaou/protocol'
import { freshPipe } from '@miaou/testkit'
import { createNodeCrypto } from '../src/crypto/node-crypto.ts'
import { systemClock, systemJitter, systemRandom } from '../src/peer/system.ts'
import { createPseudonyms } from '../src/relay/pseudonyms.ts'
import { createRelayHost, type RelayHost, type RelayHostOptions } from '../src/relay/relay-host.ts'
import { WebSocketTransport } from '../src/websocket/websocket-transport.ts'

const crypto = await createNodeCrypto()
const cleanups: (() => Promise<unknown> | unknown)[] = []

/** Ends what the tests began, last first: for `afterEach`. */
export async function cleanUp(): Promise<void> {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
}

/** Something else that a test began. */
export function onCleanUp(cleanup: () => Promise<unknown> | unknown): void {
  cleanups.push(cleanup)
}

export function keyringOf(fill: number) {
  const key = (purpose: string) => crypto.sha256(new TextEncoder().encode(`${fill} ${purpose}`))
  return { storeKey: key }
}

export async function serveRelay(
  options: Partial<RelayHostOptions> = {},
): Promise<{ readonly relay: RelayHost; readonly address: RelayAddress }> {
  const websocket = new WebSocketTransport({ host: '127.0.0.1', port: 0 })
  const relay = await createRelayHost({
    random: systemRandom,
    clock: systemClock,
    keyring: keyringOf(1),
    log: { write: () => undefined },
    websocket,
    onCrash: (error) => {
      throw error
    },
    ...options,
  })
  relay.start()
  const started = await websocket.start({ emit: () => undefined, nextPipe: freshPipe })
  if (!started.ok) throw new Error(started.error.type)
  cleanups.push(async () => {
    await relay.stop()
    await websocket.stop()
  })
  return { relay, address: relay.relayAddress(started.value[0] ?? '') }
}

/** A client of relays on real sockets. */
export class RelayClient {
  readonly outputs: CircuitsOutput[] = []
  readonly engine: Circuits
  readonly #channel
  readonly #websocket = new WebSocketTransport({ listens: false })
  #timer: NodeJS.Timeout | undefined
  #waiting: (() => void)[] = []

  constructor(fill: number) {
    const pseudonymFor = createPseudonyms(crypto, keyringOf(fill))
    this.engine = new Circuits({ crypto, random: systemRandom, jitter: systemJitter, pseudonymFor }, freshPipe)
    this.#channel = this.#websocket.channel({
      subprotocol: 'miaou-relay-v0.2.0',
      accepts: false,
      host: { emit: (event) => this.push({ type: 'transport', event }), nextPipe: freshPipe },
    })
    cleanups.push(async () => {
      this.push({ type: 'stop' })
      clearTimeout(this.#timer)
      await this.#websocket.stop()
      clearTimeout(this.#timer)
    })
  }

  push(input: CircuitsInput): void {
    for (const output of this.engine.handle(systemClock.now(), input)) {
      this.outputs.push(output)
      if (output.type === 'relay-dial') this.#channel.dial(output.pipe, output.url)
      if (output.type === 'write') this.#channel.send(output.pipe, output.channel, output.bytes)
      if (output.type === 'close') this.#channel.close(output.pipe)
    }
    clearTimeout(this.#timer)
    const delayMs = Math.min(1e9, Math.max(1, this.engine.deadline() - systemClock.now().mono))
    this.#timer = setTimeout(() => this.push({ type: 'wake' }), delayMs)
    for (const wake of this.#waiting.splice(0)) wake()
  }

  async until<T>(find: () => T | undefined): Promise<T> {
    for (;;) {
      const found = find()
      if (found !== undefined) return found
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
    }
  }

  /** Keeps a reservation there and returns its circuit address. */
  async reserve(relay: RelayAddress): Promise<string> {
    this.push({ type: 'relays', relays: [relay] })
    const isNamed = (output: CircuitsOutput) => output.type === 'reservations' && output.addresses.length > 0
    const found = await this.until(() => this.outputs.find(isNamed))
    return found.type === 'reservations' && found.addresses[0] !== undefined
      ? formatCircuitAddress(found.addresses[0])
      : ''
  }

  events<T extends TransportEvent['type']>(type: T): Extract<TransportEvent, { type: T }>[] {
    return this.outputs
      .flatMap((output) => (output.type === 'event' ? [output.event] : []))
      .filter((event): event is Extract<TransportEvent, { type: T }> => event.type === type)
  }

  async opened(): Promise<PipeId> {
    return (await this.until(() => this.events('opened')[0])).pipe
  }

  received(): number {
    return this.events('message').reduce((sum, { bytes }) => sum + bytes.length, 0)
  }
}
