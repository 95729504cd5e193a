import type { MessageQueue, QueueFailure, QueueLimits, QueueOperation, QueueResult } from '@miaou/network'
import { describe, expect, test } from 'vitest'
import {
  describeMessageQueueContract,
  MemoryMessageQueue,
  messageQueueFaults,
  type QueueHarness,
} from '../src/index.ts'

/** Opened again it is the same one. */
function memory(): QueueHarness {
  let kept: MemoryMessageQueue | undefined
  return {
    open: (limits) => {
      kept = kept?.reopened() ?? new MemoryMessageQueue(limits)
      return Promise.resolve(kept)
    },
    dispose: () => undefined,
  }
}

describeMessageQueueContract('in memory', memory)

type Outcome = readonly QueueResult[] | QueueFailure

/** A queue with a fault. */
class FaultyQueue implements MessageQueue {
  readonly #inner: MemoryMessageQueue
  readonly #fault: (inner: MemoryMessageQueue, operation: QueueOperation) => QueueResult | undefined

  constructor(
    limits: Partial<QueueLimits>,
    fault: (inner: MemoryMessageQueue, operation: QueueOperation) => QueueResult | undefined,
  ) {
    this.#inner = new MemoryMessageQueue(limits)
    this.#fault = fault
  }

  get isGone(): boolean {
    return this.#inner.isGone
  }

  apply(operations: readonly QueueOperation[]): Promise<Outcome> {
    const results: QueueResult[] = []
    for (const operation of operations) {
      const outcome = this.#inner.applyNow([operation])
      if ('type' in outcome) return Promise.resolve(outcome)
      results.push(this.#fault(this.#inner, operation) ?? (outcome[0] as QueueResult))
    }
    return Promise.resolve(results)
  }

  totals() {
    return this.#inner.totals()
  }

  close(): Promise<void> {
    return this.#inner.close()
  }
}

describe('the contract of message queues finds planted faults', () => {
  const faultsOf = (fault: ConstructorParameters<typeof FaultyQueue>[1]) =>
    messageQueueFaults(() => ({
      open: (limits) => Promise.resolve(new FaultyQueue(limits, fault)),
      dispose: () => undefined,
    }))

  test('a queue that passes has no faults', async () => {
    expect(await messageQueueFaults(memory)).toEqual([])
  })

  test('one that forgets what it accepted', async () => {
    const faults = await faultsOf((inner, operation) => {
      if (operation.type === 'deposit') inner.applyNow([{ type: 'acknowledge', box: operation.box, ids: [2] }])
      return undefined
    })
    expect(faults).toContain(
      '[MB53] what is left is read in order, as it was, by parts of at most so many and so many bytes',
    )
  })

  test('one that gives a bundle twice', async () => {
    let last: QueueResult | undefined
    const faults = await faultsOf((inner, operation) => {
      if (operation.type !== 'take-bundle' || !operation.allowOneTime) return undefined
      const [result] = inner.applyNow([operation]) as readonly QueueResult[]
      last ??= result
      return last
    })
    expect(faults).toContain('[MB59] each one-time bundle is given once, in order, then the last resort')
  })

  test('one that lets a clock empty it, and one that takes any token', async () => {
    const jumping = await messageQueueFaults(() => ({
      open: (limits) => Promise.resolve(new MemoryMessageQueue({ ...limits, clockStepMs: 1e12 })),
      dispose: () => undefined,
    }))
    expect(jumping).toContain('[MB81] a clock that jumps ten days, there and back, empties nothing')
    const generous = await faultsOf((inner, operation) => {
      if (operation.type !== 'deposit' || operation.tokenHash === undefined) return undefined
      return (inner.applyNow([{ ...operation, tokenHash: undefined }]) as readonly QueueResult[])[0]
    })
    expect(generous).toContain(
      '[MB54] a token pays for one envelope; the same again is repeated, another one is refused',
    )
  })
})
