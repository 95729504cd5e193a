import { circuitDataOverhead, frameTypes } from '@miaou/protocol'
import { Link, type LinkOutput } from '../src/link.ts'
import { defaultLinkLimits, type LinkLimits } from '../src/link-limits.ts'
import type { PipeId } from '../src/ports.ts'
import type { Pair, World, WorldPeer } from './circuits-world.ts'
import { crypto, SeededRandom, testIdentity } from './identities.ts'

/** The link of two devices inside a circuit, at one end. */
export class DeviceEnd {
  readonly frames: Uint8Array[] = []
  readonly refused: string[] = []
  ended: string | undefined
  isUp = false
  readonly #world: World
  readonly #peer: WorldPeer
  readonly #pipe: PipeId
  readonly #link: Link

  constructor(
    world: World,
    peer: WorldPeer,
    pipe: PipeId,
    role: 'initiator' | 'responder',
    limits: Partial<LinkLimits>,
  ) {
    this.#world = world
    this.#peer = peer
    this.#pipe = pipe
    const identity = testIdentity(role === 'initiator' ? 501 : 502)
    const fixed = {
      crypto,
      features: [],
      padded: true,
      reserved: circuitDataOverhead,
      channels: 1,
      expected: undefined,
      binding: undefined,
    } as const
    this.#link = new Link(
      {
        ...fixed,
        random: new SeededRandom(pipe),
        identity,
        role,
        pseudonymsAdmitted: false,
        limits: { ...defaultLinkLimits, ...limits },
      },
      world.now,
    )
    peer.onEvent = (event) => {
      if (event.pipe !== pipe) return
      if (event.type === 'message') this.#take(this.#link.receive(world.now, event.channel, event.bytes))
      if (event.type === 'closed' && this.ended === undefined) {
        this.#link.pipeClosed()
        this.ended = 'pipe-lost'
      }
    }
    if (role === 'initiator') this.#take(this.#link.start(world.now))
  }

  send(payload: Uint8Array): boolean {
    if (!this.#link.isUp) return false
    this.#take(this.#link.send(this.#world.now, frameTypes.directMessage, payload, false) ?? [])
    return true
  }

  wake(): void {
    this.#take(this.#link.wake(this.#world.now))
  }

  #take(outputs: readonly LinkOutput[]): void {
    for (const output of outputs) {
      if (output.type === 'write') this.#world.write(this.#peer, this.#pipe, output.bytes)
    }
    for (const output of outputs) {
      if (output.type === 'proven') this.#take(this.#link.accept(this.#world.now))
      if (output.type === 'up') this.isUp = true
      if (output.type === 'frame') this.frames.push(output.payload)
      if (output.type === 'refused') this.refused.push(output.error.type)
      if (output.type === 'ended') {
        this.ended = output.reason
        this.#world.handle(this.#peer, { type: 'close', pipe: this.#pipe })
      }
    }
  }
}

/** The two ends of a device link through a circuit. */
export function deviceLink(
  pair: Pair,
  limits: Partial<LinkLimits> = {},
): { readonly alice: DeviceEnd; readonly bob: DeviceEnd } {
  const bob = new DeviceEnd(pair.world, pair.bob, pair.in, 'responder', limits)
  const alice = new DeviceEnd(pair.world, pair.alice, pair.out, 'initiator', limits)
  pair.world.run(500)
  return { alice, bob }
}

/** Runs with the timers of both ends. */
export function runLinked(world: World, ends: readonly DeviceEnd[], durationMs: number): void {
  for (let left = durationMs; left > 0; left -= 100) {
    world.run(Math.min(100, left))
    for (const end of ends) end.wake()
  }
}
