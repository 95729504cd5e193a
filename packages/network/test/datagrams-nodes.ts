import { type Now, textToBytes } from '@miaou/core'
import { type Crypto, createLibsodiumCrypto } from '@miaou/crypto'
import type { Endpoint } from '@miaou/protocol'
import { type DatagramsLimits, type DatagramsOutput, SecureDatagrams } from '../src/index.ts'

export const libsodium: Crypto = await createLibsodiumCrypto()

/** First byte of payloads that may open: a request of the tests. */
export const opens = (payload: Uint8Array) => payload[0] === 0x6f
export const request = (text: string) => textToBytes(`o${text}`)

/** Reproducible bytes: SHA-256 of a name and a counter. */
export function seededRandom(seed: string): { bytes: (size: number) => Uint8Array } {
  let drawn = 0
  return {
    bytes: (size) => {
      const bytes = new Uint8Array(size)
      for (let at = 0; at < size; at += 32) {
        bytes.set(libsodium.sha256(textToBytes(`${seed} ${drawn++}`)).subarray(0, size - at), at)
      }
      return bytes
    },
  }
}

export type Message = Extract<DatagramsOutput, { type: 'message' }>
export type Datagram = Extract<DatagramsOutput, { type: 'datagram' }>

/** One engine at one endpoint, with what came out of it. */
export class Node {
  readonly endpoint: Endpoint
  readonly key: Uint8Array
  readonly messages: Message[] = []
  readonly failures: DatagramsOutput[] = []
  readonly openers: DatagramsOutput[] = []
  engine: SecureDatagrams
  /** What the layer above answers to a message; undefined for nothing. */
  reply: (message: Message) => Uint8Array | undefined = () => undefined
  readonly #make: () => SecureDatagrams

  constructor(name: string, endpoint: Endpoint, limits: Partial<DatagramsLimits> = {}, crypto: Crypto = libsodium) {
    this.endpoint = endpoint
    const staticKey = libsodium.x25519KeyPair(libsodium.sha256(textToBytes(`static ${name}`)))
    this.key = staticKey.publicKey
    let starts = 0
    this.#make = () =>
      new SecureDatagrams({ crypto, random: seededRandom(`${name} ${starts++}`), staticKey, opens, limits })
    this.engine = this.#make()
  }

  /** Forgets everything, as a process that ended. */
  restart(): void {
    this.engine = this.#make()
  }

  send(now: Now, to: Node, payload: Uint8Array, token = 0): Datagram[] {
    const { key, endpoint } = to
    const input = { type: 'send', key, endpoint, payload, opens: opens(payload), token } as const
    return this.#take(now, this.engine.handle(now, input))
  }

  receive(now: Now, from: Endpoint, bytes: Uint8Array): Datagram[] {
    return this.#take(now, this.engine.handle(now, { type: 'datagram', from, bytes }))
  }

  wake(now: Now): Datagram[] {
    return this.#take(now, this.engine.handle(now, { type: 'wake' }))
  }

  #take(now: Now, outputs: readonly DatagramsOutput[]): Datagram[] {
    const datagrams: Datagram[] = []
    for (const output of outputs) {
      if (output.type === 'datagram') datagrams.push(output)
      else if (output.type === 'failed') this.failures.push(output)
      else if (output.type === 'opener') this.openers.push(output)
      else {
        this.messages.push(output)
        const payload = this.reply(output)
        if (payload === undefined) continue
        const { session } = output
        datagrams.push(...this.#take(now, this.engine.handle(now, { type: 'answer', session, payload })))
      }
    }
    return datagrams
  }
}

/** A lossless network of nodes: delivers until nothing is under way, waking who is owed at once. */
export function settle(now: Now, nodes: readonly Node[], from: Node, datagrams: readonly Datagram[]): number {
  const underWay = datagrams.map((datagram) => ({ from, datagram }))
  let delivered = 0
  for (let next = underWay.shift(); next !== undefined; next = underWay.shift()) {
    const { to, bytes } = next.datagram
    const node = nodes.find(({ endpoint }) => endpoint.host === to.host && endpoint.port === to.port)
    if (node === undefined) continue
    delivered += 1
    const sent = node.receive(now, next.from.endpoint, bytes)
    if (node.engine.deadline() <= now.mono) sent.push(...node.wake(now))
    underWay.push(...sent.map((datagram) => ({ from: node, datagram })))
  }
  return delivered
}

export const at = (mono: number, wall = 1_700_000_000_000 + mono): Now => ({ mono, wall })
