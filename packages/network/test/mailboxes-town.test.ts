import { describe, expect, test } from 'vitest'
import { defaultMailboxesLimits } from '../src/mailbox/mailboxes-limits.ts'
import { addService, message, range, supplyOf, token } from './mailboxes-steps.ts'
import { boxText, MailboxesWorld } from './mailboxes-world.ts'

const minute = 60_000

/** Bob keeps boxes at `count` real mailboxes with tokens in each. */
function town(count: number, tokensCount = 64) {
  const world = new MailboxesWorld()
  const served = range(0, count).map((index) => addService(world, 3_700 + index))
  const [alice, bob] = [world.addClient(), world.addClient()]
  world.wants(bob, ...served.map(({ mailbox }) => mailbox))
  world.run(500)
  for (const { address } of bob.boxes) {
    const lastResortBundle = message(4_000, 9)
    const oneTimeBundles = range(1, 32).map((fill) => message(4_000, fill))
    const supply = supplyOf(address.box, tokensCount, { lastResortBundle, oneTimeBundles, resetTokens: true })
    world.handle(bob, { type: 'supply', box: address.box, supply })
  }
  world.run(1_000)
  return { world, served, alice, bob }
}

describe('clients and real mailboxes', () => {
  test('[MB60] boxes are registered and supplied, and their stock is told', () => {
    const { bob } = town(3, 3_000)
    expect(bob.boxes.map(({ stock }) => stock)).toEqual(
      range(0, 3).map(() => ({ tokens: 3_000, oneTimeBundles: 32, hasLastResort: true, waiting: 0 })),
    )
    expect(bob.engine.counters()).toEqual({})
  })

  test('[MB70] a message is left at two mailboxes while its receiver is away, and fetched at both', () => {
    const { world, served, alice, bob } = town(2)
    world.handle(bob, { type: 'stop' })
    world.run(100)
    for (const [index, { address }] of bob.boxes.entries()) {
      const paid = token(address.box, 0)
      world.handle(alice, { type: 'deposit', id: index, to: address, token: paid, bytes: message(3_000, 7) })
    }
    world.run(500)
    expect([alice.result(0), alice.result(1)]).toMatchObject([{ ok: true }, { ok: true }])
    world.restart(bob, world.createEngine(2))
    world.handle(bob, { type: 'start', mark: { counter: 2, nonce: message(16) } })
    world.wants(bob, ...served.map(({ mailbox }) => mailbox))
    world.run(300)
    expect(bob.fetched.map(({ envelope }) => envelope.bytes)).toEqual([message(3_000, 7), message(3_000, 7)])
    const [first] = bob.boxes
    if (first === undefined) throw new Error('no box')
    world.handle(bob, { type: 'acknowledge', box: first.address.box, ids: [1] })
    world.run(300)
    for (const [id, { address }] of bob.boxes.entries()) {
      const tokens = [0, 1].map((number) => token(address.box, number))
      world.handle(alice, { type: 'check', id, to: address, tokens })
    }
    world.run(500)
    const checked = new Map(alice.checked.map(({ id, statuses }) => [id, statuses]))
    expect(checked.get(0)).toEqual(['taken', 'unknown'])
    expect(checked.get(1)).toEqual(['held', 'unknown'])
    expect(served.map(({ queue }) => queue.totals().envelopes)).toEqual([0, 1])
  })

  test('[MB64] a thousand messages that waited come within a few round trips, in order, and are deleted', () => {
    const { world, served, alice, bob } = town(1, 1_000)
    const [mailbox] = served
    const [box] = bob.boxes
    if (mailbox === undefined || box === undefined) throw new Error('no mailbox')
    world.handle(bob, { type: 'stop' })
    world.run(100)
    for (const id of range(0, 1_000)) {
      const paid = token(box.address.box, id)
      world.handle(alice, { type: 'deposit', id, to: box.address, token: paid, bytes: message(1_400, id % 251) })
    }
    world.run(minute)
    for (const id of range(0, 1_000)) expect(alice.result(id)?.ok).toBe(true)
    world.restart(bob, world.createEngine(2))
    bob.acknowledges = true
    world.handle(bob, { type: 'start', mark: { counter: 2, nonce: message(16) } })
    world.wants(bob, mailbox.mailbox)
    const startedAt = world.mono
    world.run(minute, () => bob.fetched.length >= 1_000)
    // 10 ms each way, 3 ms for a group: a window takes some round trips, not one for each message.
    expect(world.mono - startedAt).toBeLessThan(1_000)
    expect(bob.fetched.map(({ envelope }) => envelope.bytes[0])).toEqual(range(0, 1_000).map((id) => id % 251))
    world.run(2_000)
    expect(mailbox.queue.totals().envelopes).toBe(0)
    expect(mailbox.service.counters()['bad-signatures']).toBeUndefined()
    expect(bob.engine.counters()).toEqual({})
    expect(alice.engine.counters()).toEqual({ 'deposits-relayed': 1_000 })
  })

  test('[MB64] [MB72] the largest messages pass in both directions', () => {
    const { world, served, alice, bob } = town(1, 64)
    bob.acknowledges = true
    const [box] = bob.boxes
    if (box === undefined) throw new Error('no box')
    for (const id of range(0, 40)) {
      const paid = token(box.address.box, id)
      world.handle(alice, { type: 'deposit', id, to: box.address, token: paid, bytes: message(65_280, id) })
    }
    world.run(20_000)
    for (const id of range(0, 40)) expect(alice.result(id)?.ok).toBe(true)
    expect(new Set(bob.fetched.map(({ envelope }) => envelope.bytes[0])).size).toBe(40)
    expect(served[0]?.queue.totals().envelopes).toBe(0)
    expect(bob.engine.counters()).toEqual({})
  })

  test('[MB61] a copy of a device is told of by each of its mailboxes', () => {
    const { world, served, bob } = town(2)
    const copy = world.addClient({}, 2)
    world.handle(copy, { type: 'start', mark: { counter: 1, nonce: message(16, 200) } })
    world.wants(copy, ...served.map(({ mailbox }) => mailbox))
    world.run(500)
    expect(copy.stale).toEqual([1, 1])
    expect(copy.boxes.map(({ address }) => boxText(address.box))).toEqual(
      bob.boxes.map(({ address }) => boxText(address.box)),
    )
  })

  test('[MB66] a box that is given back is gone', () => {
    const { world, served, alice, bob } = town(1)
    const [box] = bob.boxes
    if (box === undefined) throw new Error('no box')
    world.wants(bob)
    world.run(2_000)
    expect(served[0]?.queue.totals()).toMatchObject({ boxes: 0 })
    world.handle(alice, { type: 'deposit', id: 1, to: box.address, token: undefined, bytes: message(300) })
    world.run(500)
    expect(alice.result(1)).toMatchObject({ ok: false, reason: 'no-box' })
  })

  test('[MB65] a mailbox that lost its disk gives numbers out again: what it has now is not deleted by old words', () => {
    const { world, served, alice, bob } = town(1)
    const [mailbox] = served
    const [box] = bob.boxes
    if (mailbox === undefined || box === undefined) throw new Error('no mailbox')
    const { address } = box
    const leave = (id: number): void => {
      world.handle(alice, { type: 'deposit', id, to: address, token: undefined, bytes: message(300, id) })
      world.run(500)
    }
    leave(1)
    expect(bob.fetched).toHaveLength(1)
    mailbox.queue.wipe()
    world.cut(mailbox.mailbox)
    world.run(5_000)
    expect(bob.boxes[0]?.stock).toEqual({ tokens: 0, oneTimeBundles: 0, hasLastResort: false, waiting: 0 })
    leave(2)
    const ids = bob.fetched.map(({ envelope }) => envelope.id)
    // Of the first one, late.
    world.handle(bob, { type: 'acknowledge', box: address.box, ids: ids.slice(0, 1) })
    world.run(500)
    expect(mailbox.queue.totals().envelopes).toBe(1)
    world.handle(bob, { type: 'acknowledge', box: address.box, ids: ids.slice(1) })
    world.run(500)
    expect(mailbox.queue.totals().envelopes).toBe(0)
  })

  test('[MB73] a disk that is full, then is not: refused, then taken', () => {
    const { world, served, alice, bob } = town(1)
    const [mailbox] = served
    const [box] = bob.boxes
    if (mailbox === undefined || box === undefined) throw new Error('no mailbox')
    mailbox.queue.failNext('full')
    const leave = (id: number): void => {
      const paid = token(box.address.box, 1)
      world.handle(alice, { type: 'deposit', id, to: box.address, token: paid, bytes: message(300, 5) })
      world.run(500)
    }
    leave(1)
    expect(alice.result(1)).toMatchObject({ ok: false, reason: 'full' })
    leave(2)
    expect(alice.result(2)?.ok).toBe(true)
    // The same again: its answer might have been lost.
    leave(3)
    expect(alice.result(3)?.ok).toBe(true)
    expect(mailbox.queue.totals().envelopes).toBe(1)
    expect(bob.fetched).toHaveLength(1)
  })

  test('[MB70] bundles are given to one each until the last resort', () => {
    const { world, alice, bob } = town(1)
    const from = bob.boxes.map(({ address }) => address)
    for (const id of range(0, 12)) {
      world.handle(alice, { type: 'fetch-bundle', id, from })
      world.run(100)
    }
    const fills = alice.bundles.map(({ bytes }) => bytes?.[0])
    expect(fills).toHaveLength(12)
    expect(fills.at(-1)).toBe(9)
    expect(new Set(fills.slice(0, 8)).size).toBe(8)
    world.run(defaultMailboxesLimits.stockMs + 1_000)
    expect(bob.boxes[0]?.stock?.oneTimeBundles).toBeLessThan(32)
  })
})
