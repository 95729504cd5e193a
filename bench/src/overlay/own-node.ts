/**
 * One node of ours as the daemon runs it: the product's sockets, drive loop and node, without home, LAN and bootstrap
 * list, and with operations as promises.
 */
import type { Clock } from '@miaou/core'
import type { Crypto, KeyPair } from '@miaou/crypto'
import {
  OverlayNode,
  type OverlayNodeCommand,
  type OverlayNodeInfo,
  type OverlayNodeInput,
  type OverlayNodeOutput,
  type OverlayNodeReply,
} from '@miaou/peer/overlay'
import type { Endpoint } from '@miaou/protocol'
import { OverlayLoop } from '../../../packages/host-node/src/overlay/overlay-loop.ts'
import { UdpSockets } from '../../../packages/host-node/src/overlay/udp-sockets.ts'
import { systemClock, systemJitter, systemRandom } from '../../../packages/host-node/src/peer/system.ts'

export class OwnNode {
  readonly keyPair: KeyPair
  /** Datagrams sent. */
  sent = 0
  readonly #node: OverlayNode
  readonly #loop: OverlayLoop<OverlayNodeInput, OverlayNodeOutput>
  readonly #sockets: UdpSockets
  readonly #answers = new Map<number, (reply: OverlayNodeReply) => void>()
  /** Of the last put: resolves when all of its closest have been asked. */
  #allAsked: PromiseWithResolvers<void> = Promise.withResolvers()
  #nextId = 0
  /** How far this node's clock is ahead of the system's, ms. */
  #aheadMs = 0

  constructor(crypto: Crypto, seed: Uint8Array) {
    this.keyPair = crypto.x25519KeyPair(seed)
    this.#node = new OverlayNode({
      crypto,
      random: systemRandom,
      jitter: systemJitter,
      keyPair: this.keyPair,
      // As the rivals' nodes: reachable, and knows it.
      kademlia: { mode: 'server' },
    })
    const clock: Clock = {
      now: () => {
        const { mono, wall } = systemClock.now()
        return { mono: mono + this.#aheadMs, wall: wall + this.#aheadMs }
      },
    }
    this.#loop = new OverlayLoop({
      engine: this.#node,
      clock,
      perform: (output) => this.#perform(output),
      onCrash: (error) => {
        throw error
      },
    })
    this.#sockets = new UdpSockets({ loopbackOnly: true, families: [4] }, (from, bytes) =>
      this.#loop.offer({ type: 'datagram', from, bytes }),
    )
  }

  async start(): Promise<void> {
    const started = await this.#sockets.start(0)
    if (!started.ok) throw new Error(`no socket: ${started.error.type}`)
    this.#loop.push({ type: 'listening', endpoints: this.#sockets.endpoints() })
  }

  get endpoint(): Endpoint {
    return { host: '127.0.0.1', port: this.#sockets.port }
  }

  /** As others are told of it. */
  get contact(): { readonly publicKey: Uint8Array; readonly endpoint: Endpoint } {
    return { publicKey: this.keyPair.publicKey, endpoint: this.endpoint }
  }

  info(): OverlayNodeInfo {
    return this.#node.info()
  }

  /** The answer; fails with the error's type where the operation failed. */
  async ask<T extends OverlayNodeReply['type']>(
    command: OverlayNodeCommand,
    type: T,
  ): Promise<Extract<OverlayNodeReply, { readonly type: T }>> {
    const id = this.#nextId++
    if (command.type === 'put') this.#allAsked = Promise.withResolvers()
    const { promise, resolve } = Promise.withResolvers<OverlayNodeReply>()
    this.#answers.set(id, resolve)
    this.#loop.push({ type: 'command', id, command })
    const reply = await promise
    if (reply.type === 'failed') throw new Error(reply.error.type)
    if (reply.type !== type) throw new Error(`${reply.type} instead of ${type}`)
    return reply as Extract<OverlayNodeReply, { readonly type: T }>
  }

  allAsked(): Promise<void> {
    return this.#allAsked.promise
  }

  /** The machine slept for `ms`: what is then due is done before this resolves. */
  async sleep(ms: number): Promise<void> {
    this.#aheadMs += ms
    this.#loop.push({ type: 'wake' })
    await new Promise((resolve) => setImmediate(resolve))
    await new Promise((resolve) => setImmediate(resolve))
  }

  /** No goodbye. */
  async kill(): Promise<void> {
    this.#loop.stop()
    await this.#sockets.stop()
  }

  #perform(output: OverlayNodeOutput): void {
    switch (output.type) {
      case 'datagram':
        this.sent += 1
        this.#sockets.send(output.to, output.bytes)
        return
      case 'reply':
        this.#answers.get(output.id)?.(output.reply)
        this.#answers.delete(output.id)
        return
      case 'event':
        if (output.event.type === 'put-finished') this.#allAsked.resolve()
    }
  }
}
