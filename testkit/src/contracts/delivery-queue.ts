import type { DeliveryQueue, DeliveryRecord, QueuedDelivery } from '@miaou/messaging'
import { afterEach, describe, expect, test } from 'vitest'

/** What an adapter of the port `DeliveryQueue` gives to be tested; the table of messages lies beside the queue. */
export interface MessageQueueHarness {
  readonly queue: DeliveryQueue
  /** Stores an outgoing message to a contact, with these 16 bytes as its id. Returns its position. */
  addMessage(message: { readonly id: Uint8Array; readonly contact: number; readonly expiresAt: number }): number
  /** Runs `body` in one transaction; a throw inside rolls back and is thrown on. */
  transaction<T>(body: () => T): T
  /** Closes and opens the same queue again. Called only where `isLasting`. */
  reopen(): DeliveryQueue
  dispose(): void
}

const contact = 1
const device = 11
const otherDevice = 12
const expiresAt = 1_000_000

const pending: DeliveryRecord = {
  state: 'queued',
  reason: undefined,
  attempts: 0,
  refusals: 0,
  nextTryAt: undefined,
}

export interface MessageQueueTraits {
  /** Whether the queue outlives its closing; one in memory does not. */
  readonly isLasting: boolean
}

/** What every adapter of `DeliveryQueue` must do; `make` is called for each test. */
export function describeDeliveryQueueContract(
  name: string,
  { isLasting }: MessageQueueTraits,
  make: () => MessageQueueHarness,
): void {
  describe(`DeliveryQueue contract: ${name}`, () => {
    const harnesses: MessageQueueHarness[] = []
    let idCount = 0

    afterEach(() => {
      for (const harness of harnesses.splice(0)) harness.dispose()
    })

    function setUp(): MessageQueueHarness {
      const harness = make()
      harnesses.push(harness)
      return harness
    }

    function freshId(): Uint8Array {
      idCount += 1
      const id = new Uint8Array(16).fill(0xa5)
      new DataView(id.buffer).setUint32(12, idCount)
      return id
    }

    /** Messages that wait for `device`. */
    function addWaiting(harness: MessageQueueHarness, count: number): number[] {
      return Array.from({ length: count }, () => {
        const message = harness.addMessage({ id: freshId(), contact, expiresAt })
        harness.queue.add({ message, device }, 'queued')
        return message
      })
    }

    function one(harness: MessageQueueHarness): number {
      const [message] = addWaiting(harness, 1)
      if (message === undefined) throw new Error('a message was added')
      return message
    }

    const positions = (deliveries: Iterable<QueuedDelivery>): number[] =>
      [...deliveries].map(({ message }) => message.position)

    const recordOf = (queue: DeliveryQueue, message: number, of: number = device): DeliveryRecord | undefined => {
      const found = [...queue.ofMessage(message)].find((delivery) => delivery.device === of)
      if (!found) return undefined
      const { state, reason, attempts, refusals, nextTryAt } = found
      return { state, reason, attempts, refusals, nextTryAt }
    }

    describe('what waits', () => {
      test('comes in the order of the messages, each device for itself', () => {
        const harness = setUp()
        const { queue } = harness
        const [a = 0, b = 0, c = 0] = [1, 2, 3].map(() => harness.addMessage({ id: freshId(), contact, expiresAt }))
        for (const message of [c, a, b]) queue.add({ message, device }, 'queued')
        queue.add({ message: b, device: otherDevice }, 'sent')
        expect(positions(queue.waiting(device, 0, 10))).toEqual([a, b, c])
        expect(positions(queue.waiting(otherDevice, 0, 10))).toEqual([b])
        expect(queue.countPending()).toBe(4)
      })

      test('is read behind a position, up to a limit, as it is at the call', () => {
        const harness = setUp()
        const { queue } = harness
        const [a = 0, b = 0, c = 0] = addWaiting(harness, 3)
        expect(positions(queue.waiting(device, 0, 2))).toEqual([a, b])
        expect(positions(queue.waiting(device, a, 2))).toEqual([b, c])
        expect(positions(queue.waiting(device, c, 2))).toEqual([])
        const read = queue.waiting(device, 0, 10)
        queue.settle({ message: b, device }, 'delivered', undefined)
        expect(positions(read)).toEqual([a, b, c])
        expect(positions(queue.waiting(device, 0, 10))).toEqual([a, c])
      })

      test('carries the message and how far it is', () => {
        const harness = setUp()
        const id = freshId()
        const message = harness.addMessage({ id, contact, expiresAt })
        harness.queue.add({ message, device }, 'sent')
        const [delivery] = harness.queue.waiting(device, 0, 1)
        expect(delivery).toMatchObject({ device, state: 'sent', attempts: 1, refusals: 0 })
        expect(delivery?.message).toMatchObject({ position: message, idBytes: id, expiresAt })
        expect(harness.queue.find(device, contact, id)).toEqual(delivery)
      })

      test('a message is found for its device and its contact alone', () => {
        const harness = setUp()
        const id = freshId()
        harness.queue.add({ message: harness.addMessage({ id, contact, expiresAt }), device }, 'queued')
        expect(harness.queue.find(otherDevice, contact, id)).toBeUndefined()
        expect(harness.queue.find(device, contact + 1, id)).toBeUndefined()
        expect(harness.queue.find(device, contact, freshId())).toBeUndefined()
      })
    })

    describe('states', () => {
      test('sent, repeated, postponed, sent: attempts, refusals, reason and wait', () => {
        const harness = setUp()
        const { queue } = harness
        const message = one(harness)
        const key = { message, device }
        expect(recordOf(queue, message)).toEqual(pending)
        queue.markSent(key, 1)
        expect(recordOf(queue, message)).toEqual({ ...pending, state: 'sent', attempts: 1 })
        queue.markRepeated(key, 2, 5000)
        expect(recordOf(queue, message)).toEqual({ ...pending, state: 'sent', attempts: 2, nextTryAt: 5000 })
        queue.postpone(key, 'unsupported', 1, 7000)
        const postponed = { state: 'queued', reason: 'unsupported', attempts: 2, refusals: 1, nextTryAt: 7000 }
        expect(recordOf(queue, message)).toEqual(postponed)
        queue.markSent(key, 3)
        expect(recordOf(queue, message)).toEqual({ ...pending, state: 'sent', attempts: 3, refusals: 1 })
        expect(queue.hasWaiting(device)).toBe(true)
      })

      test('held stays held when it is sent again, until no mailbox has it', () => {
        const harness = setUp()
        const { queue } = harness
        const [a = 0, b = 0] = addWaiting(harness, 2)
        expect(queue.hasUnheld(device)).toBe(true)
        for (const message of [a, b]) expect(queue.hold({ message, device })).toBe(true)
        expect([queue.hasUnheld(device), queue.hasWaiting(device)]).toEqual([false, true])
        queue.markSent({ message: a, device }, 2)
        queue.markRepeated({ message: a, device }, 3, 5000)
        expect(recordOf(queue, a)).toEqual({ ...pending, state: 'held', attempts: 3, nextTryAt: 5000 })
        queue.unhold({ message: a, device })
        expect([recordOf(queue, a)?.state, recordOf(queue, b)?.state]).toEqual(['sent', 'held'])
        queue.unholdDevice(device)
        expect(recordOf(queue, b)?.state).toBe('sent')
        queue.requeue({ message: a, device })
        expect(recordOf(queue, a)).toEqual({ ...pending, attempts: 3 })
        expect(queue.countPending()).toBe(2)
      })

      test('what came to an end is neither held, sent nor queued again', () => {
        const harness = setUp()
        const { queue } = harness
        const message = one(harness)
        const key = { message, device }
        queue.settle(key, 'delivered', undefined)
        expect(queue.hold(key)).toBe(false)
        queue.unhold(key)
        queue.requeue(key)
        queue.markSent(key, 9)
        queue.markRepeated(key, 9, 9)
        expect(recordOf(queue, message)).toEqual({ ...pending, state: 'delivered' })
      })

      test('previous is the nearest earlier one that is pending with the device and was not refused', () => {
        const harness = setUp()
        const { queue } = harness
        const ids = Array.from({ length: 4 }, freshId)
        const [a = 0, b = 0, c = 0, d = 0] = ids.map((id) => {
          const message = harness.addMessage({ id, contact, expiresAt })
          queue.add({ message, device }, 'queued')
          return message
        })
        queue.hold({ message: a, device })
        queue.settle({ message: b, device }, 'delivered', undefined)
        queue.postpone({ message: c, device }, 'unsupported', 1, 7000)
        expect(queue.previous({ message: d, device })).toEqual(ids[0])
        expect(queue.previous({ message: a, device })).toBeUndefined()
        expect(queue.previous({ message: d, device: otherDevice })).toBeUndefined()
      })

      test.each([
        ['delivered', undefined],
        ['read', undefined],
        ['refused', 'refused-too-often'],
        ['expired', 'expired'],
      ] as const)('%s is an end: it waits no more, and is found still', (state, reason) => {
        const harness = setUp()
        const { queue } = harness
        const id = freshId()
        const message = harness.addMessage({ id, contact, expiresAt })
        queue.add({ message, device }, 'queued')
        queue.postpone({ message, device }, 'unsupported', 1, 7000)
        queue.settle({ message, device }, state, reason)
        expect(recordOf(queue, message)).toEqual({ ...pending, state, reason, refusals: 1 })
        expect([positions(queue.waiting(device, 0, 10)), queue.hasWaiting(device), queue.countPending()]).toEqual([
          [],
          false,
          0,
        ])
        expect(queue.find(device, contact, id)?.state).toBe(state)
      })

      test('release ends the wait for that reason at that device, no other', () => {
        const harness = setUp()
        const { queue } = harness
        const [a = 0, b = 0] = addWaiting(harness, 2)
        queue.add({ message: a, device: otherDevice }, 'queued')
        queue.postpone({ message: a, device }, 'request-pending', 0, 7000)
        queue.postpone({ message: b, device }, 'unsupported', 1, 7000)
        queue.postpone({ message: a, device: otherDevice }, 'request-pending', 0, 7000)
        queue.release(device, 'request-pending')
        expect(recordOf(queue, a)).toEqual(pending)
        expect(recordOf(queue, b)?.reason).toBe('unsupported')
        expect(recordOf(queue, a, otherDevice)).toMatchObject({ reason: 'request-pending', nextTryAt: 7000 })
      })

      test('cancel takes what is pending and leaves what came to an end', () => {
        const harness = setUp()
        const { queue } = harness
        const message = one(harness)
        queue.add({ message, device: otherDevice }, 'sent')
        queue.settle({ message, device: otherDevice }, 'delivered', undefined)
        expect(queue.cancel(message)).toBe(1)
        expect(recordOf(queue, message)?.state).toBe('cancelled')
        expect(recordOf(queue, message, otherDevice)?.state).toBe('delivered')
        expect(queue.cancel(message)).toBe(0)
      })

      test('restart begins anew what nobody has got', () => {
        const harness = setUp()
        const { queue } = harness
        const message = one(harness)
        queue.add({ message, device: otherDevice }, 'sent')
        queue.markSent({ message, device }, 4)
        queue.settle({ message, device }, 'refused', 'refused-too-often')
        queue.settle({ message, device: otherDevice }, 'read', undefined)
        queue.restart(message)
        expect(recordOf(queue, message)).toEqual(pending)
        expect(recordOf(queue, message, otherDevice)?.state).toBe('read')
        expect(queue.countPending()).toBe(1)
      })

      test('a delivery that is not there stays so', () => {
        const { queue } = setUp()
        const key = { message: 77, device }
        queue.markSent(key, 1)
        queue.postpone(key, 'unsupported', 1, 1)
        queue.settle(key, 'delivered', undefined)
        expect([...queue.ofMessage(77)]).toEqual([])
      })
    })

    describe('devices and contacts', () => {
      test('a device added later gets what is young and nobody has, once', () => {
        const harness = setUp()
        const { queue } = harness
        const [a = 0, b = 0, c = 0] = addWaiting(harness, 3)
        queue.settle({ message: b, device }, 'delivered', undefined)
        queue.add({ message: c, device: otherDevice }, 'sent')
        harness.addMessage({ id: freshId(), contact, expiresAt: 10 })
        harness.addMessage({ id: freshId(), contact: contact + 1, expiresAt })
        expect(queue.addForDevice(otherDevice, contact, 10)).toBe(1)
        expect(positions(queue.waiting(otherDevice, 0, 10))).toEqual([a, c])
        expect(recordOf(queue, c, otherDevice)?.state).toBe('sent')
        expect(queue.addForDevice(otherDevice, contact, 10)).toBe(0)
      })

      test('dropDevice forgets what is pending for it alone', () => {
        const harness = setUp()
        const { queue } = harness
        const [a = 0, b = 0] = addWaiting(harness, 2)
        queue.add({ message: b, device: otherDevice }, 'queued')
        queue.settle({ message: a, device }, 'delivered', undefined)
        expect(queue.dropDevice(device)).toBe(1)
        expect(recordOf(queue, a)?.state).toBe('delivered')
        expect(recordOf(queue, b)).toBeUndefined()
        expect(recordOf(queue, b, otherDevice)).toEqual(pending)
      })

      test('dropUpTo forgets all of one contact up to a position', () => {
        const harness = setUp()
        const { queue } = harness
        const [a = 0, b = 0, c = 0] = addWaiting(harness, 3)
        queue.settle({ message: a, device }, 'delivered', undefined)
        queue.dropUpTo(contact + 1, c)
        queue.dropUpTo(contact, b)
        expect([a, b, c].map((message) => recordOf(queue, message)?.state)).toEqual([undefined, undefined, 'queued'])
      })
    })

    describe('deadlines', () => {
      test('what expires at the instant or before is told, up to a limit, while it is pending', () => {
        const harness = setUp()
        const { queue } = harness
        expect(queue.nextExpiry()).toBeUndefined()
        const [a = 0, b = 0, c = 0] = [100, 200, 300].map((at) => {
          const message = harness.addMessage({ id: freshId(), contact, expiresAt: at })
          queue.add({ message, device }, 'queued')
          return message
        })
        expect(queue.nextExpiry()).toBe(100)
        expect(positions(queue.expired(99, 10))).toEqual([])
        expect(positions(queue.expired(200, 10)).sort((x, y) => x - y)).toEqual([a, b])
        expect(positions(queue.expired(300, 2))).toHaveLength(2)
        for (const message of [a, b]) queue.settle({ message, device }, 'expired', 'expired')
        expect(positions(queue.expired(300, 10))).toEqual([c])
        expect(queue.nextExpiry()).toBe(300)
      })

      test('clampDeadlines brings expiries and waits to their bounds, and leaves nearer ones', () => {
        const harness = setUp()
        const { queue } = harness
        const [far = 0, near = 0, done = 0] = addWaiting(harness, 3)
        queue.markRepeated({ message: far, device }, 2, 900_000)
        queue.markRepeated({ message: near, device }, 9, 1400)
        queue.settle({ message: done, device }, 'delivered', undefined)
        queue.clampDeadlines({ now: 1000, expiresAtMax: 5000, backoffStepMs: 10, backoffAttemptsMax: 6 })
        expect(recordOf(queue, far)?.nextTryAt).toBe(1040)
        expect(recordOf(queue, near)?.nextTryAt).toBe(1400)
        expect(queue.nextExpiry()).toBe(5000)
        queue.markRepeated({ message: near, device }, 9, 900_000)
        queue.clampDeadlines({ now: 1000, expiresAtMax: 5000, backoffStepMs: 10, backoffAttemptsMax: 6 })
        expect(recordOf(queue, near)?.nextTryAt).toBe(1640)
      })
    })

    describe('durability', () => {
      test('what is rolled back never happened', () => {
        const harness = setUp()
        const { queue } = harness
        const message = one(harness)
        const reason = new Error('the disk is full')
        expect(() =>
          harness.transaction(() => {
            queue.markSent({ message, device }, 1)
            queue.add({ message, device: otherDevice }, 'queued')
            throw reason
          }),
        ).toThrow(reason)
        expect(recordOf(queue, message)).toEqual(pending)
        expect(queue.countPending()).toBe(1)
      })

      if (!isLasting) return
      test('opened again: the same deliveries in the same order', () => {
        const harness = setUp()
        const { queue } = harness
        const messages = harness.transaction(() => addWaiting(harness, 5))
        const [first = 0, second = 0, ...others] = messages
        harness.transaction(() => {
          queue.postpone({ message: first, device }, 'request-pending', 0, 7000)
          queue.settle({ message: second, device }, 'delivered', undefined)
        })
        const again = harness.reopen()
        expect(positions(again.waiting(device, 0, 10))).toEqual([first, ...others])
        expect(recordOf(again, first)).toMatchObject({ reason: 'request-pending', nextTryAt: 7000 })
        expect(again.countPending()).toBe(4)
      })
    })
  })
}
