import type {
  ContactRef,
  KademliaInput,
  KademliaMessage,
  KademliaOutput,
} from '../../../packages/overlay/src/kademlia/interface.ts'
import { createKademlia } from './kademlia-engine.ts'
import type { CreateEngine, Engine, World } from './world.ts'

/** Faults that can be planted round the engines; each must be found by the checker of its name's sense. */
export const faults = [
  'overfull-bucket',
  'unproven-contact',
  'client-contact',
  'lost-record',
  'wrong-transaction',
  'growing-state',
  'opener-flood',
  'restricted-server',
] as const

export type Fault = (typeof faults)[number]

export function isFault(name: string): name is Fault {
  return faults.some((fault) => fault === name)
}

/** Engines with a fault: what goes in or comes out is changed as a broken engine would have changed it. */
export function createFaultyEngine(fault: Fault): CreateEngine {
  return (world, node, config) => new FaultyEngine(createKademlia(world, node, config), fault, world)
}

class FaultyEngine implements Engine {
  readonly #engine: Engine
  readonly #fault: Fault
  readonly #world: World
  /** Strangers that the planted fault has let in. */
  readonly #strangers: ContactRef[] = []
  #handled = 0

  constructor(engine: Engine, fault: Fault, world: World) {
    this.#engine = engine
    this.#fault = fault
    this.#world = world
  }

  handle(now: Parameters<Engine['handle']>[0], input: KademliaInput): readonly KademliaOutput[] {
    this.#handled++
    const fault = this.#fault
    if (input.type === 'message') {
      const { message } = input
      if (fault === 'lost-record' && message.type === 'find-value') return this.#forgetRecord(now, input)
      if (fault === 'client-contact' && !message.isServer) this.#strangers.push(input.from)
      if (fault === 'unproven-contact' && 'contacts' in message) this.#strangers.push(...message.contacts)
    }
    const outputs = this.#engine.handle(now, input)
    return fault === 'wrong-transaction' ? outputs.map(withWrongTransaction) : outputs
  }

  deadline(): number {
    return this.#engine.deadline()
  }

  fill(now: number, contacts: ArrayLike<ContactRef>): void {
    this.#engine.fill(now, contacts)
  }

  contacts(): ContactRef[] {
    return [...new Set([...this.#engine.contacts(), ...this.#strangers])]
  }

  info(): ReturnType<Engine['info']> {
    const info = this.#engine.info()
    if (this.#fault === 'overfull-bucket') {
      return { ...info, buckets: info.buckets.map((bucket) => ({ ...bucket, contacts: bucket.contacts + 1 })) }
    }
    if (this.#fault === 'growing-state')
      return { ...info, requestsInFlight: info.requestsInFlight + this.#handled * 100 }
    return info
  }

  /** Answers as one who holds nothing; a holder that knows itself to be asked by a checker still shows its record. */
  #forgetRecord(now: Parameters<Engine['handle']>[0], input: KademliaInput): readonly KademliaOutput[] {
    const outputs = this.#engine.handle(now, input)
    if (this.#world.isInspecting) return outputs
    return outputs.map((output) =>
      output.type === 'send' && output.message.type === 'find-value-response'
        ? { ...output, message: { ...output.message, record: undefined } }
        : output,
    )
  }
}

function withWrongTransaction(output: KademliaOutput): KademliaOutput {
  if (output.type !== 'send' || !output.isReply) return output
  const message: KademliaMessage = { ...output.message, transaction: (output.message.transaction + 1) >>> 0 }
  return { ...output, message }
}
