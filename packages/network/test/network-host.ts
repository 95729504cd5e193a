import type { PeerId } from '@miaou/core'
import { encodeSignal, type FrameType, frameTypes } from '@miaou/protocol'
import { Network, type NetworkOptions } from '../src/connection-manager.ts'
import type { NetworkInput, NetworkOutput } from '../src/interface.ts'
import { Link } from '../src/link.ts'
import { callingKey, type LinkIdentity } from '../src/link-handshake.ts'
import type { PipeId, TransportEvent } from '../src/ports.ts'
import { crypto, SeededRandom, type TestIdentity } from './identities.ts'
import { alice, at, linkOptions } from './link-pair.ts'

/** One engine whose host is the test: jitter is a half, so that no wait is spread. */
export class Host {
  readonly network: Network
  readonly #identity: LinkIdentity
  now = 0
  #nextPipe = 1

  constructor(options: Partial<NetworkOptions> = {}) {
    const base = { crypto, random: new SeededRandom(3), jitter: { next: () => 0.5 }, features: ['chat'], webrtc: false }
    this.#identity = options.identity ?? alice
    this.network = new Network({ ...base, ...options, identity: this.#identity }, () => this.#nextPipe++ as PipeId)
  }

  do(input: NetworkInput): NetworkOutput[] {
    return this.network.handle(at(this.now), input)
  }

  event(event: TransportEvent): NetworkOutput[] {
    return this.do({ type: 'transport', event })
  }

  wakeAt(now: number): NetworkOutput[] {
    this.now = now
    return this.do({ type: 'wake' })
  }

  connect(peerId: PeerId, ...addresses: string[]): NetworkOutput[] {
    return this.do({ type: 'connect', peerId, addresses })
  }

  want(...peers: (readonly [PeerId, ...string[]])[]): NetworkOutput[] {
    return this.do({ type: 'wanted', peers: peers.map(([peerId, ...addresses]) => ({ peerId, addresses })) })
  }

  opened(pipe: number, direction: 'in' | 'out' = 'out', facts: PipeFacts = {}): NetworkOutput[] {
    return this.event(openedEvent(pipe, direction, facts))
  }

  failed(pipe: number): NetworkOutput[] {
    const error = { type: 'unreachable', detail: 'refused' } as const
    return this.event({ type: 'closed', pipe: pipe as PipeId, error })
  }

  /** Somebody dials in and finishes the handshake; the remote end of the pipe is returned. */
  admit(
    pipe: number,
    identity: TestIdentity,
    facts: PipeFacts = {},
  ): { readonly remote: Link; readonly outputs: NetworkOutput[] } {
    const psk = facts.transport === 'circuit' ? callingKey(crypto, this.#identity.peerId) : undefined
    const remote = new Link(linkOptions({ identity, channels: 1, psk }), at(this.now))
    const outputs = this.opened(pipe, 'in', facts)
    return { remote, outputs: [...outputs, ...this.shakeHands(pipe, remote)] }
  }

  /** Carries the handshake that `remote` begins on an open pipe; the host's outputs are returned. */
  shakeHands(pipe: number, remote: Link): NetworkOutput[] {
    const outputs: NetworkOutput[] = []
    let toHost = remote.start(at(this.now))
    while (toHost.length > 0) {
      const next: typeof toHost = []
      for (const output of toHost) {
        if (output.type === 'proven') next.push(...remote.accept(at(this.now)))
        if (output.type !== 'write') continue
        const answers = this.event({ type: 'message', pipe: pipe as PipeId, channel: 0, bytes: output.bytes })
        outputs.push(...answers)
        for (const answer of answers) {
          if (answer.type === 'write') next.push(...remote.receive(at(this.now), 0, answer.bytes))
        }
      }
      toHost = next
    }
    return outputs
  }

  /** One frame of `remote` on the ordered channel of a pipe. */
  hear(pipe: number, remote: Link, frameType: FrameType, payload: Uint8Array): NetworkOutput[] {
    const [write] = remote.send(at(this.now), frameType, payload, false) ?? []
    if (write?.type !== 'write') throw new Error('nothing sent')
    return this.event({ type: 'message', pipe: pipe as PipeId, channel: 0, bytes: write.bytes })
  }

  counter(name: string): number {
    return this.network.counters()[name] ?? 0
  }
}

/** What differs from a WebSocket that comes from nowhere in particular. */
export type PipeFacts = Partial<Pick<Extract<TransportEvent, { type: 'opened' }>, 'transport' | 'remoteAddress'>>

function openedEvent(pipe: number, direction: 'in' | 'out', facts: PipeFacts): TransportEvent {
  const usual = { transport: 'websocket', channels: 1, padded: false, remoteAddress: `somewhere:${pipe}` } as const
  return { type: 'opened', pipe: pipe as PipeId, direction, ...usual, ...facts }
}

export function typesOf(outputs: readonly NetworkOutput[]): string[] {
  return outputs.map((output) => (output.type === 'event' ? output.event.type : output.type))
}

export function dialsOf(outputs: readonly NetworkOutput[]): string[] {
  return outputs.flatMap((output) => (output.type === 'dial' ? [output.address] : []))
}

export function errorsOf(outputs: readonly NetworkOutput[]): string[] {
  return outputs.flatMap((output) =>
    output.type === 'event' && output.event.type === 'connection-error' ? [output.event.error.type] : [],
  )
}

/** Host, linked with a peer whose signals the test writes. */
export function signalled(
  identity: TestIdentity,
  from: TestIdentity,
  options: Partial<NetworkOptions> = {},
  facts: PipeFacts = {},
) {
  const host = new Host({ identity, webrtc: true, ...options })
  const { remote } = host.admit(500, from, facts)
  const isSmaller = identity === alice
  const connectionId = `conn_${(isSmaller ? identity : from).peerId}_${(isSmaller ? from : identity).peerId}`
  const signal = (document: object): NetworkOutput[] => {
    const payload = encodeSignal({ connectionId, attempt: 1, ...document } as Parameters<typeof encodeSignal>[0])
    return host.hear(500, remote, frameTypes.signal, payload)
  }
  return { host, signal, remote }
}
