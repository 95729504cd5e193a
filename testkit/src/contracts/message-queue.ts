import { assert, equalBytes } from '@miaou/core'
import type { BoxStock, MessageQueue, QueueFailure, QueueLimits, QueueOperation, QueueResult } from '@miaou/network'
import { afterEach, describe, expect, test } from 'vitest'

/** What an adapter of the port `MessageQueue` gives to be tested. */
export interface QueueHarness {
  /** Opened again, it holds what it held. */
  open(limits: Partial<QueueLimits>): Promise<MessageQueue>
  /** Ends the harness: removes everything. */
  dispose(): void | Promise<void>
}

type Check = (queue: Driver, harness: QueueHarness) => Promise<void>

const dayMs = 86_400_000
const noon = 1_700_000_000_000

/** 16 bytes, of the box or token with that number. */
function bytes16(number: number, kind = 1): Uint8Array {
  const bytes = new Uint8Array(16).fill(kind)
  new DataView(bytes.buffer).setUint32(0, number)
  return bytes
}

function token(number: number): Uint8Array {
  return bytes16(number, 2)
}

function envelope(number: number, size = 64): Uint8Array {
  const bytes = new Uint8Array(size).fill(number & 0xff)
  new DataView(bytes.buffer).setUint32(0, number)
  return bytes
}

/** A queue driven one operation at a time, and in groups. */
class Driver {
  readonly queue: MessageQueue
  at = noon

  constructor(queue: MessageQueue) {
    this.queue = queue
  }

  async group(operations: readonly QueueOperation[]): Promise<readonly QueueResult[]> {
    const outcome: readonly QueueResult[] | QueueFailure = await this.queue.apply(operations)
    assert(!('type' in outcome), `the group is done, not ${JSON.stringify(outcome)}`)
    expect(outcome.length).toBe(operations.length)
    return outcome
  }

  async one(operation: QueueOperation): Promise<QueueResult> {
    const [result] = await this.group([operation])
    assert(result !== undefined, 'every operation has its result')
    return result
  }

  register(box: number, counter = 1, nonce = 7): Promise<QueueResult> {
    const start = { counter, nonce: new Uint8Array(16).fill(nonce) }
    return this.one({ type: 'register', box: bytes16(box), start, at: this.at })
  }

  tokens(box: number, numbers: readonly number[], reset = false): Promise<QueueResult> {
    return this.one({ type: 'tokens', box: bytes16(box), reset, hashes: numbers.map(token) })
  }

  bundles(box: number, oneTime: readonly Uint8Array[], lastResort?: Uint8Array, reset = false): Promise<QueueResult> {
    return this.one({ type: 'bundles', box: bytes16(box), reset, oneTime, lastResort })
  }

  async takeBundle(box: number, allowOneTime = true): Promise<Uint8Array | undefined> {
    const result = await this.one({ type: 'take-bundle', box: bytes16(box), allowOneTime })
    assert(result.type === 'bundle', 'the box is there')
    return result.bytes
  }

  deposit(box: number, number: number | undefined, bytes: Uint8Array): Promise<QueueResult> {
    const tokenHash = number === undefined ? undefined : token(number)
    return this.one({ type: 'deposit', box: bytes16(box), tokenHash, bytes, at: this.at })
  }

  async read(box: number, after = 0, countMax = 100, bytesMax = 1 << 20) {
    const result = await this.one({ type: 'read', box: bytes16(box), after, countMax, bytesMax })
    assert(result.type === 'envelopes', `the box is read, not ${JSON.stringify(result)}`)
    return result.envelopes
  }

  async statuses(box: number, numbers: readonly number[]) {
    const result = await this.one({ type: 'check', box: bytes16(box), tokenHashes: numbers.map(token) })
    assert(result.type === 'statuses', 'the box is there')
    return result.statuses
  }

  acknowledge(box: number, ids: readonly number[]): Promise<QueueResult> {
    return this.one({ type: 'acknowledge', box: bytes16(box), ids })
  }

  expire(): Promise<QueueResult> {
    return this.one({ type: 'expire', at: this.at })
  }

  /** Lets time pass as a service that runs does it: told often. */
  async pass(ms: number, stepMs = 300_000): Promise<void> {
    const until = this.at + ms
    const operations: QueueOperation[] = []
    while (this.at < until) {
      this.at = Math.min(until, this.at + stepMs)
      operations.push({ type: 'expire', at: this.at })
    }
    await this.group(operations)
  }
}

function stock(tokens: number, oneTimeBundles: number, hasLastResort: boolean, waiting: number): BoxStock {
  return { tokens, oneTimeBundles, hasLastResort, waiting }
}

const refused = (reason: string) => ({ type: 'refused', reason })

const checks: Readonly<Record<string, { readonly limits?: Partial<QueueLimits>; readonly check: Check }>> = {
  '[MB51] nobody keeps a box before it is registered, nor after it is released': {
    check: async (queue) => {
      const box = bytes16(1)
      for (const result of await queue.group([
        { type: 'tokens', box, reset: false, hashes: [token(1)] },
        { type: 'bundles', box, reset: false, oneTime: [], lastResort: envelope(1) },
        { type: 'take-bundle', box, allowOneTime: true },
        { type: 'deposit', box, tokenHash: undefined, bytes: envelope(1), at: queue.at },
        { type: 'check', box, tokenHashes: [token(1)] },
        { type: 'read', box, after: 0, countMax: 1, bytesMax: 1 },
        { type: 'acknowledge', box, ids: [1] },
      ])) {
        expect(result).toEqual(refused('no-box'))
      }
      await queue.register(1)
      await queue.tokens(1, [1])
      await queue.deposit(1, 1, envelope(1))
      expect(await queue.one({ type: 'release', box })).toEqual({ type: 'done' })
      expect(queue.queue.totals()).toEqual({ boxes: 0, envelopes: 0, bytes: 0 })
      expect(await queue.deposit(1, undefined, envelope(2))).toEqual(refused('no-box'))
      expect(await queue.register(1)).toMatchObject({ stock: stock(0, 0, false, 0) })
      expect(await queue.read(1)).toEqual([])
    },
  },
  '[MB52] a start before the latest, or another one of its number, is told the latest; which stays': {
    check: async (queue) => {
      const answer = async (counter: number, nonce: number) => {
        const result = await queue.register(1, counter, nonce)
        return result.type === 'registered' ? result.staleSince : result
      }
      expect(await answer(5, 1)).toBe(undefined)
      expect(await answer(5, 1)).toBe(undefined)
      expect(await answer(4, 1)).toBe(5)
      expect(await answer(5, 2)).toBe(5)
      expect(await answer(5, 1)).toBe(undefined)
      expect(await answer(9, 3)).toBe(undefined)
      expect(await answer(5, 1)).toBe(9)
    },
  },
  '[MB53] what is left is read in order, as it was, by parts of at most so many and so many bytes': {
    check: async (queue) => {
      await queue.register(1)
      await queue.register(2)
      await queue.tokens(1, [1, 2, 3, 4])
      for (const number of [1, 2, 3, 4]) {
        await queue.deposit(1, number, envelope(number, 100 * number))
        await queue.deposit(2, undefined, envelope(10 + number))
      }
      const all = await queue.read(1)
      expect(all.map(({ bytes }) => [...bytes])).toEqual([1, 2, 3, 4].map((n) => [...envelope(n, 100 * n)]))
      expect(all.map(({ tokenHash }) => [...(tokenHash ?? [])])).toEqual([1, 2, 3, 4].map((n) => [...token(n)]))
      expect(all.every(({ acceptedAt }) => acceptedAt === queue.at)).toBe(true)
      const ids = all.map(({ id }) => id)
      expect([...ids].sort((a, b) => a - b)).toEqual(ids)
      expect(new Set(ids).size).toBe(4)
      expect((await queue.read(1, ids[1])).map(({ id }) => id)).toEqual(ids.slice(2))
      expect((await queue.read(1, 0, 2)).map(({ id }) => id)).toEqual(ids.slice(0, 2))
      expect((await queue.read(1, 0, 9, 300)).map(({ id }) => id)).toEqual(ids.slice(0, 2))
      expect((await queue.read(1, ids[2], 9, 1)).map(({ id }) => id)).toEqual(ids.slice(3))
      expect((await queue.read(2)).every(({ tokenHash }) => tokenHash === undefined)).toBe(true)
    },
  },
  '[MB54] a token pays for one envelope; the same again is repeated, another one is refused': {
    check: async (queue) => {
      await queue.register(1)
      expect(await queue.tokens(1, [1])).toMatchObject({ stock: stock(1, 0, false, 0) })
      expect(await queue.deposit(1, 2, envelope(1))).toEqual(refused('token-unknown'))
      const first = await queue.deposit(1, 1, envelope(1))
      expect(first).toMatchObject({ type: 'accepted', repeated: false, until: queue.at + 7 * dayMs })
      expect(await queue.deposit(1, 1, envelope(1))).toEqual({ ...first, repeated: true })
      expect(await queue.deposit(1, 1, envelope(2))).toEqual(refused('token-spent'))
      expect(await queue.statuses(1, [1, 2])).toEqual(['held', 'unknown'])
      expect(await queue.read(1)).toHaveLength(1)
      const ids = (await queue.read(1)).map(({ id }) => id)
      await queue.acknowledge(1, ids)
      expect(await queue.statuses(1, [1])).toEqual(['taken'])
      // Also when its owner gives it again: it had not heard of the envelope yet.
      expect(await queue.tokens(1, [1], true)).toMatchObject({ stock: stock(0, 0, false, 0) })
      expect(await queue.deposit(1, 1, envelope(1))).toMatchObject({ repeated: true })
      expect(await queue.deposit(1, 1, envelope(3))).toEqual(refused('token-spent'))
      expect(await queue.read(1)).toEqual([])
    },
  },
  '[MB54] the same token hash at another box is another token': {
    check: async (queue) => {
      await queue.register(1)
      await queue.register(2)
      await queue.tokens(1, [1])
      expect(await queue.deposit(2, 1, envelope(1))).toEqual(refused('token-unknown'))
      expect(await queue.deposit(1, 1, envelope(1))).toMatchObject({ type: 'accepted' })
      expect(await queue.statuses(2, [1])).toEqual(['unknown'])
    },
  },
  '[MB55] only what is acknowledged goes, of that box alone; numbers are not given again': {
    check: async (queue) => {
      await queue.register(1)
      await queue.register(2)
      const first = await queue.deposit(1, undefined, envelope(1))
      await queue.deposit(2, undefined, envelope(2))
      const id = first.type === 'accepted' ? first.id : 0
      await queue.acknowledge(2, [id + 1_000, 0])
      expect(await queue.read(2)).toHaveLength(1)
      await queue.acknowledge(1, [id, id, 4_000_000_000, 2 ** 50])
      expect(await queue.read(1)).toEqual([])
      expect(await queue.read(2)).toHaveLength(1)
      const next = await queue.deposit(1, undefined, envelope(3))
      expect(next.type === 'accepted' && next.id > id).toBe(true)
    },
  },
  '[MB56] strangers have a small lane, and cannot fill what tokens pay for': {
    limits: { strangersMax: 3, strangersBytesMax: 1_000 },
    check: async (queue) => {
      await queue.register(1)
      await queue.tokens(1, [1])
      for (const number of [1, 2, 3]) await queue.deposit(1, undefined, envelope(number))
      expect(await queue.deposit(1, undefined, envelope(4))).toEqual(refused('full'))
      expect(await queue.deposit(1, undefined, envelope(3))).toMatchObject({ type: 'accepted', repeated: true })
      expect(await queue.deposit(1, 1, envelope(5))).toMatchObject({ type: 'accepted', repeated: false })
      const [first] = await queue.read(1)
      await queue.acknowledge(1, [first?.id ?? 0])
      expect(await queue.deposit(1, undefined, envelope(6, 1_000))).toEqual(refused('full'))
      expect(await queue.deposit(1, undefined, envelope(7, 872))).toMatchObject({ type: 'accepted' })
    },
  },
  '[MB57] a full box refuses, and takes again when there is room; the token is not used up': {
    limits: { boxEnvelopesMax: 2, boxBytesMax: 1_000 },
    check: async (queue) => {
      await queue.register(1)
      await queue.tokens(1, [1, 2, 3])
      await queue.deposit(1, 1, envelope(1, 500))
      expect(await queue.deposit(1, 2, envelope(2, 501))).toEqual(refused('full'))
      await queue.deposit(1, 2, envelope(3, 500))
      expect(await queue.deposit(1, 3, envelope(4, 64))).toEqual(refused('full'))
      const [first] = await queue.read(1)
      await queue.acknowledge(1, [first?.id ?? 0])
      expect(await queue.deposit(1, 3, envelope(4, 64))).toMatchObject({ type: 'accepted' })
      expect(await queue.read(1)).toHaveLength(2)
    },
  },
  '[MB57] boxes, and bytes of all boxes with their tokens, are bounded': {
    limits: { boxesMax: 2, bytesMax: 1_000, tokenCost: 100 },
    check: async (queue) => {
      await queue.register(1)
      await queue.register(2)
      expect(await queue.register(3)).toEqual(refused('full'))
      expect(await queue.register(1)).toMatchObject({ type: 'registered' })
      await queue.deposit(1, undefined, envelope(1, 600))
      expect(await queue.deposit(2, undefined, envelope(2, 401))).toEqual(refused('full'))
      expect(await queue.tokens(2, [1, 2, 3, 4, 5])).toEqual(refused('full'))
      expect(await queue.tokens(2, [1, 2, 3])).toMatchObject({ stock: stock(3, 0, false, 0) })
      expect(await queue.bundles(2, [envelope(1, 101)])).toEqual(refused('full'))
      expect(await queue.bundles(2, [], envelope(1, 100))).toMatchObject({ stock: stock(3, 0, true, 0) })
      expect(queue.queue.totals()).toEqual({ boxes: 2, envelopes: 1, bytes: 1_000 })
      expect(await queue.tokens(2, [4, 5, 6], true)).toMatchObject({ stock: stock(3, 0, true, 0) })
    },
  },
  '[MB58] tokens are added or replaced, up to a bound; what is too much changes nothing': {
    limits: { tokensMax: 4 },
    check: async (queue) => {
      await queue.register(1)
      await queue.tokens(1, [1, 2, 3])
      expect(await queue.tokens(1, [3, 4, 5])).toEqual(refused('full'))
      expect(await queue.tokens(1, [3])).toMatchObject({ stock: stock(3, 0, false, 0) })
      expect(await queue.tokens(1, [4, 5, 6, 7], true)).toMatchObject({ stock: stock(4, 0, false, 0) })
      expect(await queue.deposit(1, 1, envelope(1))).toEqual(refused('token-unknown'))
      expect(await queue.deposit(1, 4, envelope(1))).toMatchObject({ type: 'accepted' })
      expect(await queue.tokens(1, [])).toMatchObject({ stock: stock(3, 0, false, 1) })
    },
  },
  '[MB58] of used tokens those are forgotten first whose envelopes were taken': {
    limits: { spentMax: 16 },
    check: async (queue) => {
      await queue.register(1)
      const numbers = Array.from({ length: 20 }, (_, at) => at + 1)
      await queue.tokens(1, numbers)
      for (const number of numbers.slice(0, 16)) await queue.deposit(1, number, envelope(number))
      const ids = (await queue.read(1)).map(({ id }) => id)
      await queue.acknowledge(1, ids.slice(4, 8))
      await queue.deposit(1, 17, envelope(17))
      const statuses = await queue.statuses(1, numbers)
      expect(statuses.filter((status) => status === 'held')).toHaveLength(13)
      expect(statuses.filter((status) => status === 'taken')).toHaveLength(3)
    },
  },
  '[MB59] each one-time bundle is given once, in order, then the last resort': {
    check: async (queue) => {
      await queue.register(1)
      expect(await queue.takeBundle(1)).toBe(undefined)
      await queue.bundles(1, [envelope(1), envelope(2)], envelope(9))
      expect(await queue.takeBundle(1, false)).toEqual(envelope(9))
      expect(await queue.takeBundle(1)).toEqual(envelope(1))
      // The owner has not heard that it was given away, or that it had come.
      expect(await queue.bundles(1, [envelope(1), envelope(2), envelope(3)])).toMatchObject({
        stock: stock(0, 2, true, 0),
      })
      expect(await queue.takeBundle(1)).toEqual(envelope(2))
      expect(await queue.takeBundle(1)).toEqual(envelope(3))
      expect(await queue.takeBundle(1)).toEqual(envelope(9))
      expect(await queue.bundles(1, [envelope(4)], envelope(8), true)).toMatchObject({ stock: stock(0, 1, true, 0) })
      expect(await queue.bundles(1, [envelope(5)], undefined, true)).toMatchObject({ stock: stock(0, 1, true, 0) })
      expect(await queue.takeBundle(1)).toEqual(envelope(5))
      expect(await queue.takeBundle(1)).toEqual(envelope(8))
    },
  },
  '[MB59] bundles are few and small': {
    limits: { oneTimeBundlesMax: 2, bundleBytesMax: 100, givenMax: 1 },
    check: async (queue) => {
      await queue.register(1)
      expect(
        await queue.bundles(
          1,
          [1, 2, 3].map((n) => envelope(n)),
        ),
      ).toEqual(refused('full'))
      expect(await queue.bundles(1, [envelope(1, 101)])).toEqual(refused('full'))
      expect(await queue.bundles(1, [], envelope(1, 101))).toEqual(refused('full'))
      expect(
        await queue.bundles(
          1,
          [1, 2].map((n) => envelope(n, 100)),
        ),
      ).toMatchObject({ stock: stock(0, 2, false, 0) })
      expect(await queue.takeBundle(1)).toEqual(envelope(1, 100))
      expect(await queue.takeBundle(1)).toEqual(envelope(2, 100))
      expect(await queue.bundles(1, [envelope(2, 100)])).toMatchObject({ stock: stock(0, 0, false, 0) })
    },
  },
  '[MB80] envelopes and their tokens are kept for 7 days, boxes for 30 since their owner came': {
    check: async (queue) => {
      await queue.register(1)
      await queue.tokens(1, [1, 2])
      await queue.expire()
      await queue.deposit(1, 1, envelope(1))
      await queue.pass(dayMs)
      await queue.deposit(1, 2, envelope(2))
      await queue.pass(6 * dayMs - 1)
      expect(await queue.read(1)).toHaveLength(2)
      await queue.pass(1)
      expect((await queue.read(1)).map(({ bytes }) => bytes)).toEqual([envelope(2)])
      expect(await queue.statuses(1, [1, 2])).toEqual(['unknown', 'held'])
      await queue.pass(23 * dayMs - 1)
      expect(await queue.read(1)).toEqual([])
      await queue.register(2)
      await queue.pass(1)
      expect(await queue.deposit(1, undefined, envelope(3))).toEqual(refused('no-box'))
      expect(queue.queue.totals().boxes).toBe(1)
    },
  },
  '[MB81] a clock that jumps ten days, there and back, empties nothing': {
    check: async (queue) => {
      await queue.register(1)
      await queue.expire()
      await queue.deposit(1, undefined, envelope(1))
      queue.at += 10 * dayMs
      await queue.expire()
      expect(await queue.deposit(1, undefined, envelope(2))).toMatchObject({ type: 'accepted' })
      queue.at -= 20 * dayMs
      await queue.expire()
      const behind = await queue.deposit(1, undefined, envelope(3))
      expect(behind.type === 'accepted' && behind.until >= noon + 7 * dayMs).toBe(true)
      queue.at += 10 * dayMs
      await queue.expire()
      expect(await queue.read(1)).toHaveLength(3)
    },
  },
  '[MB81] what a clock far ahead has let in is over a life after the clock is right': {
    check: async (queue) => {
      await queue.register(1)
      await queue.expire()
      queue.at += 3_650 * dayMs
      await queue.deposit(1, undefined, envelope(1))
      queue.at = noon
      await queue.expire()
      await queue.pass(7 * dayMs - 1)
      expect(await queue.read(1)).toHaveLength(1)
      await queue.pass(600_000)
      expect(await queue.read(1)).toEqual([])
    },
  },
  '[MB82] operations of a group see those before them, and groups follow each other': {
    check: async (queue) => {
      const box = bytes16(1)
      const [, , first, second, read] = await queue.group([
        { type: 'register', box, start: { counter: 1, nonce: bytes16(1) }, at: queue.at },
        { type: 'tokens', box, reset: false, hashes: [token(1)] },
        { type: 'deposit', box, tokenHash: token(1), bytes: envelope(1), at: queue.at },
        { type: 'deposit', box, tokenHash: token(1), bytes: envelope(1), at: queue.at },
        { type: 'read', box, after: 0, countMax: 9, bytesMax: 1_000 },
      ])
      expect([first, second]).toMatchObject([{ repeated: false }, { repeated: true }])
      expect(read?.type === 'envelopes' && read.envelopes).toHaveLength(1)
      const order: number[] = []
      const groups = [1, 2, 3, 4].map((at) => queue.deposit(1, undefined, envelope(10 + at)).then(() => order.push(at)))
      await Promise.all(groups)
      expect(order).toEqual([1, 2, 3, 4])
    },
  },
  '[MB82] bytes that the caller changes afterwards stay as they were given': {
    check: async (queue) => {
      await queue.register(1)
      const shared = new Uint8Array(256).fill(1)
      const done = queue.deposit(1, undefined, shared.subarray(64, 128))
      shared.fill(2)
      await done
      const [kept] = await queue.read(1)
      expect(kept !== undefined && equalBytes(kept.bytes, new Uint8Array(64).fill(1))).toBe(true)
    },
  },
  '[MB83] what was accepted is there after closing and opening again, with all counts': {
    check: async (queue, harness) => {
      await queue.register(1, 3, 3)
      await queue.tokens(1, [1, 2, 3])
      await queue.bundles(1, [envelope(1), envelope(2)], envelope(9))
      await queue.takeBundle(1)
      await queue.deposit(1, 1, envelope(1))
      const second = await queue.deposit(1, undefined, envelope(2))
      await queue.acknowledge(1, [1])
      await queue.expire()
      const totals = queue.queue.totals()
      await queue.queue.close()
      const again = new Driver(await harness.open({}))
      expect(again.queue.totals()).toEqual(totals)
      expect(await again.register(1, 2, 3)).toMatchObject({ staleSince: 3, stock: stock(2, 1, true, 1) })
      expect(await again.deposit(1, 1, envelope(1))).toMatchObject({ repeated: true })
      expect(await again.deposit(1, 2, envelope(3))).toMatchObject({ repeated: false })
      const ids = (await again.read(1)).map(({ id }) => id)
      expect(ids[0]).toBe(second.type === 'accepted' ? second.id : 0)
      expect((ids[1] ?? 0) > (ids[0] ?? 0)).toBe(true)
      expect(await again.takeBundle(1)).toEqual(envelope(2))
      await again.queue.close()
    },
  },
  '[MB83] a closed queue takes nothing more': {
    check: async (queue) => {
      await queue.queue.close()
      expect(queue.queue.isGone).toBe(true)
      expect(await queue.queue.apply([{ type: 'expire', at: noon }])).toMatchObject({ type: 'failed', kind: 'failed' })
    },
  },
}

/** What every adapter of `MessageQueue` must do; `start` is called for each test. */
export function describeMessageQueueContract(adapter: string, start: () => QueueHarness): void {
  describe(`message queue contract: ${adapter}`, () => {
    const cleanups: (() => void | Promise<void>)[] = []

    afterEach(async () => {
      for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
    })

    for (const [name, { limits = {}, check }] of Object.entries(checks)) {
      test(name, async () => {
        const harness = start()
        cleanups.push(() => harness.dispose())
        const queue = await harness.open(limits)
        cleanups.push(() => queue.close())
        await check(new Driver(queue), harness)
      })
    }
  })
}

/** The names of the checks that a queue does not pass: a contract that finds no fault in a faulty queue is none. */
export async function messageQueueFaults(start: () => QueueHarness): Promise<string[]> {
  const faults: string[] = []
  for (const [name, { limits = {}, check }] of Object.entries(checks)) {
    const harness = start()
    const queue = await harness.open(limits)
    try {
      await check(new Driver(queue), harness)
    } catch {
      faults.push(name)
    }
    await queue.close()
    await harness.dispose()
  }
  return faults
}
