import type { Now } from '@miaou/core'
import { Link, type LinkOptions, type LinkOutput } from '../src/link.ts'
import { defaultLinkLimits } from '../src/link-limits.ts'
import type { ChannelIndex } from '../src/ports.ts'
import { crypto, orderedIdentities, SeededRandom } from './identities.ts'

export const [alice, bob] = orderedIdentities(1)
export const [carol] = orderedIdentities(2)

export function at(mono: number): Now {
  return { mono, wall: 1_700_000_000_000 + mono }
}

export function linkOptions(changes: Partial<LinkOptions> = {}): LinkOptions {
  return {
    crypto,
    random: new SeededRandom(changes.role === 'responder' ? 11 : 22),
    identity: changes.role === 'responder' ? bob : alice,
    features: ['chat'],
    role: 'initiator',
    padded: false,
    expected: undefined,
    binding: undefined,
    pseudonymsAdmitted: false,
    channels: 2,
    limits: defaultLinkLimits,
    ...changes,
  }
}

export type Write = Extract<LinkOutput, { type: 'write' }>

export function writesOf(outputs: readonly LinkOutput[]): Write[] {
  return outputs.filter((output) => output.type === 'write')
}

export function othersOf(outputs: readonly LinkOutput[]): Exclude<LinkOutput, Write>[] {
  return outputs.filter((output) => output.type !== 'write')
}

export function firstWrite(outputs: readonly LinkOutput[]): Uint8Array {
  const [write] = writesOf(outputs)
  if (write === undefined) throw new Error('nothing was written')
  return write.bytes
}

/** Two links whose pipe is the test itself. */
export class LinkPair {
  readonly a: Link
  readonly b: Link
  /** What each link said beside its writes. */
  readonly said: { readonly a: LinkOutput[]; readonly b: LinkOutput[] } = { a: [], b: [] }
  now = 0

  constructor(a: Partial<LinkOptions> = {}, b: Partial<LinkOptions> = {}) {
    this.a = new Link(linkOptions(a), at(0))
    this.b = new Link(linkOptions({ role: 'responder', ...b }), at(0))
  }

  /** Delivers writes, and the writes that answer them, until nobody writes; accepts proven peers. */
  carry(from: 'a' | 'b', outputs: readonly LinkOutput[]): void {
    const queue = outputs.map((output) => ({ from, output }))
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const { output } = next
      const to = next.from === 'a' ? 'b' : 'a'
      if (output.type === 'write') {
        const answers = this[to].receive(at(this.now), output.channel, output.bytes)
        queue.push(...answers.map((answer) => ({ from: to, output: answer }) as const))
        continue
      }
      this.said[next.from].push(output)
      if (output.type !== 'proven') continue
      const answers = this[next.from].accept(at(this.now))
      queue.push(...answers.map((answer) => ({ from: next.from, output: answer })))
    }
  }

  /** Runs the whole handshake. */
  connect(): this {
    this.carry('a', this.a.start(at(this.now)))
    return this
  }

  deliver(to: 'a' | 'b', channel: ChannelIndex, bytes: Uint8Array): LinkOutput[] {
    return this[to].receive(at(this.now), channel, bytes)
  }
}

/** A pair that is up, with nothing said. */
export function connectedPair(a: Partial<LinkOptions> = {}, b: Partial<LinkOptions> = {}): LinkPair {
  const pair = new LinkPair(a, b).connect()
  pair.said.a.length = 0
  pair.said.b.length = 0
  return pair
}
