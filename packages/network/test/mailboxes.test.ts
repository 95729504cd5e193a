import { describe, expect, test } from 'vitest'
import { defaultMailboxesLimits } from '../src/mailbox/mailboxes-limits.ts'
import { addDouble, correspond, deposit, message, range, supplyOf, token } from './mailboxes-steps.ts'
import { boxText, MailboxesWorld } from './mailboxes-world.ts'

const minute = 60_000

describe('own boxes', () => {
  test('[MB60] a box is registered, told of with its stock, and supplied in pieces', () => {
    const at = correspond(5_000)
    const { world, bob, double, to } = at
    expect(boxText(to.mailbox.mailboxId)).toBe(boxText(at.mailbox.address.mailboxId))
    expect(bob.boxes).toEqual([
      { address: to, stock: { tokens: 5_000, oneTimeBundles: 0, hasLastResort: false, waiting: 0 } },
    ])
    expect(bob.engine.views()).toMatchObject([{ state: 'registered', throughRelay: false, box: to.box }])
    expect(double.heard.filter(({ type }) => type === 'tokens')).toHaveLength(3)

    const oneTimeBundles = range(1, 32).map((fill) => message(4_000, fill))
    const supply = supplyOf(to.box, 0, { oneTimeBundles, lastResortBundle: message(5_000, 99), resetBundles: true })
    world.handle(bob, { type: 'supply', box: to.box, supply })
    world.run(500)
    expect(bob.boxes[0]?.stock).toMatchObject({ tokens: 5_000, oneTimeBundles: 32, hasLastResort: true })
    expect(double.box(to.box)?.oneTime.map(([fill]) => fill)).toEqual(range(1, 32))
    expect(double.heard.filter((said) => said.type === 'bundles' && said.reset)).toHaveLength(1)

    world.handle(bob, { type: 'supply', box: to.box, supply: supplyOf(to.box, 2, { resetTokens: true }) })
    world.run(100)
    expect(bob.boxes[0]?.stock?.tokens).toBe(2)
  })

  test('[MB60] nothing is registered before the mark of this start is known', () => {
    const world = new MailboxesWorld()
    const { mailbox, double } = addDouble(world)
    const bob = world.addClient()
    bob.engine = world.createEngine(7)
    world.wants(bob, mailbox)
    world.run(200)
    expect(bob.engine.views()).toMatchObject([{ state: 'connected' }])
    expect(double.heard).toEqual([])
    world.handle(bob, { type: 'start', mark: { counter: 3, nonce: message(16) } })
    world.run(100)
    expect(bob.engine.views()).toMatchObject([{ state: 'registered' }])
  })

  test('[MB61] a later start that a mailbox saw is told; a new mark is registered by a new link', () => {
    const at = correspond()
    const { world, bob, mailbox } = at
    world.restart(bob, world.createEngine(2))
    world.handle(bob, { type: 'start', mark: { counter: 1, nonce: message(16, 77) } })
    world.wants(bob, mailbox)
    world.run(200)
    expect(bob.stale).toEqual([1])
    world.handle(bob, { type: 'start', mark: { counter: 2, nonce: message(16, 78) } })
    world.run(200)
    expect(bob.stale).toEqual([1])
    expect(at.double.box(at.to.box)?.start?.counter).toBe(2)
    expect(bob.engine.views()).toMatchObject([{ state: 'registered' }])
  })

  test('[MB62] three boxes are kept, the next of the list waits for one that is unreachable for long', () => {
    const world = new MailboxesWorld()
    const all = range(0, 5).map(() => addDouble(world).mailbox)
    const [first, ...others] = all
    if (first !== undefined) first.isDown = true
    const bob = world.addClient()
    world.wants(bob, ...all)
    world.run(1_000)
    const urls = () => bob.boxes.map(({ address }) => address.mailbox.url)
    expect(urls()).toEqual(others.slice(0, 2).map(({ address }) => address.url))
    expect(all[3]?.dials).toEqual([])
    world.run(defaultMailboxesLimits.patienceMs + 100)
    expect(urls()).toEqual(others.slice(0, 3).map(({ address }) => address.url))
    expect(all[4]?.dials).toEqual([])
    // It is not needed any more.
    const tries = first?.dials.length
    world.run(10 * minute)
    expect(first?.dials.length).toBe(tries)
  })

  test('[MB62] a box that was kept before is listed and tried, answer or not', () => {
    const world = new MailboxesWorld()
    const { mailbox } = addDouble(world)
    mailbox.isDown = true
    const bob = world.addClient()
    world.handle(bob, { type: 'mailboxes', mailboxes: [{ mailbox: mailbox.address, isKept: true }] })
    expect(bob.boxes).toMatchObject([{ address: { mailbox: { url: mailbox.address.url } }, stock: undefined }])
    world.run(20 * minute)
    expect(bob.engine.views()).toMatchObject([{ state: 'unreachable', error: 'refused' }])
    mailbox.isDown = false
    world.run(8 * minute)
    expect(bob.engine.views()).toMatchObject([{ state: 'registered' }])
  })

  test('[MB63] a lost mailbox is dialled after 1 s, and twice as late each time; a changed network starts anew', () => {
    const at = correspond()
    const { world, mailbox, bob } = at
    world.run(defaultMailboxesLimits.steadyAfterMs)
    mailbox.isDown = true
    world.cut(mailbox)
    world.run(30 * minute)
    const times = mailbox.dials.slice(1).map(({ at }) => at)
    const waits = times.slice(1).map((time, index) => time - (times[index] ?? 0))
    for (const [index, wait] of waits.slice(0, 12).entries()) {
      const middle = Math.min(1_000 * 2 ** index, defaultMailboxesLimits.backoffMaxMs)
      expect(wait).toBeGreaterThan(0.7 * middle)
      expect(wait).toBeLessThan(1.3 * middle + 100)
    }
    mailbox.isDown = false
    world.handle(bob, { type: 'network-changed' })
    world.run(200)
    expect(bob.engine.views()).toMatchObject([{ state: 'registered' }])
  })

  test('[MB63] after a move the link is doubted, and made anew at once', () => {
    const at = correspond()
    const { world, bob, mailbox } = at
    world.run(defaultMailboxesLimits.steadyAfterMs)
    world.moveAddress(bob)
    world.handle(bob, { type: 'network-changed' })
    world.run(defaultMailboxesLimits.doubtMs + 500)
    expect(mailbox.dials).toHaveLength(2)
    expect(bob.engine.views()).toMatchObject([{ state: 'registered' }])
    // A link that answers stays.
    world.handle(bob, { type: 'network-changed' })
    world.run(minute)
    expect(mailbox.dials).toHaveLength(2)
  })

  test('[MB63] a mailbox that falls silent is noticed within a minute', () => {
    const at = correspond()
    at.mailbox.isSilent = true
    at.world.run(minute)
    expect(at.bob.engine.views()[0]?.state).toBe('connecting')
    at.mailbox.isSilent = false
    at.world.run(minute)
    expect(at.bob.engine.views()).toMatchObject([{ state: 'registered' }])
  })

  test('[MB64] [MB65] envelopes are handed on in order and acknowledged in groups, and come again until then', () => {
    const at = correspond()
    const { world, bob, double, to } = at
    deposit(at, range(0, 20))
    world.run(500)
    expect(bob.fetched.map(({ envelope }) => envelope.bytes[0])).toEqual(range(0, 20))
    world.run(defaultMailboxesLimits.stockSoonMs)
    expect(bob.boxes[0]?.stock).toMatchObject({ tokens: 44, waiting: 20 })
    world.handle(bob, { type: 'acknowledge', box: to.box, ids: range(1, 10) })
    world.handle(bob, { type: 'acknowledge', box: to.box, ids: range(11, 5) })
    world.run(200)
    expect(double.heard.filter(({ type }) => type === 'acknowledge')).toHaveLength(1)
    expect(double.box(to.box)?.envelopes.map(({ id }) => id)).toEqual(range(16, 5))
    world.cut()
    world.run(3_000)
    expect(bob.fetched.slice(20).map(({ envelope }) => envelope.id)).toEqual(range(16, 5))
    expect(double.wrongAcknowledgements).toBe(0)
  })

  test('[MB65] what was not handed on over this link is not acknowledged', () => {
    const at = correspond()
    const { world, bob, double, to } = at
    deposit(at, range(0, 4))
    world.run(200)
    at.mailbox.isDown = true
    world.cut()
    world.run(100)
    world.handle(bob, { type: 'acknowledge', box: to.box, ids: [1, 2, 99] })
    world.handle(bob, { type: 'acknowledge', box: message(16), ids: [1] })
    at.mailbox.isDown = false
    double.push = () => []
    world.run(minute)
    world.handle(bob, { type: 'acknowledge', box: to.box, ids: [3] })
    world.run(minute)
    expect(double.heard.filter(({ type }) => type === 'acknowledge')).toEqual([])
    expect(bob.engine.counters()['late-acknowledgements']).toBe(5)
  })

  test('[MB64] a window of large envelopes goes on as it is acknowledged', () => {
    const at = correspond(64)
    at.bob.acknowledges = true
    deposit(at, range(0, 64), 60_000)
    at.world.run(5_000)
    expect(new Set(at.bob.fetched.map(({ envelope }) => envelope.bytes[0])).size).toBe(64)
    expect(at.double.box(at.to.box)?.envelopes).toEqual([])
    expect(at.bob.engine.counters()).toEqual({})
    expect(at.double.wrongAcknowledgements).toBe(0)
  })

  test('[MB66] a box that is taken from the list is emptied, then given back', () => {
    const at = correspond()
    const { world, bob, double, to } = at
    deposit(at, [0, 1])
    world.run(200)
    world.wants(bob)
    world.run(200)
    expect(bob.boxes).toEqual([])
    expect(double.heard.some(({ type }) => type === 'release')).toBe(false)
    world.handle(bob, { type: 'acknowledge', box: to.box, ids: [1, 2] })
    world.run(defaultMailboxesLimits.stockSoonMs + 200)
    expect(double.heard.at(-1)?.type).toBe('release')
    expect(double.boxes.size).toBe(0)
    expect(bob.engine.sizes()).toMatchObject({ own: 0, links: 0, endedPipes: 0 })
  })

  test('[MB60] the stock is asked for now and then', () => {
    const at = correspond()
    at.double.box(at.to.box)?.tokens.clear()
    at.world.run(defaultMailboxesLimits.stockMs + 1_000)
    expect(at.bob.boxes[0]?.stock?.tokens).toBe(0)
  })

  test('[MB60] a mailbox that refuses is shown, and asked again later', () => {
    const world = new MailboxesWorld()
    const { mailbox, double } = addDouble(world)
    double.answer = (said) =>
      said.type === 'register' ? [{ type: 'refused', request: said.request, reason: 'full' }] : undefined
    const bob = world.addClient()
    world.wants(bob, mailbox)
    world.run(500)
    expect(bob.engine.views()).toMatchObject([{ state: 'refused', error: 'the mailbox refuses: full' }])
    double.answer = () => undefined
    world.run(minute)
    expect(bob.engine.views()).toMatchObject([{ state: 'registered' }])
    expect(bob.engine.counters()['registrations-refused']).toBe(1)
  })

  test('[MB67] who hides fetches through relays alone, and waits for one', () => {
    const world = new MailboxesWorld()
    const { mailbox } = addDouble(world)
    const bob = world.addClient({ ownerThroughRelay: true, directDeposits: false })
    bob.hasRelay = false
    world.wants(bob, mailbox)
    world.run(10 * minute)
    expect(mailbox.dials).toEqual([])
    bob.hasRelay = true
    world.run(10_000)
    expect(bob.engine.views()).toMatchObject([{ state: 'registered', throughRelay: true }])
    expect(mailbox.dials.every(({ throughRelay }) => throughRelay)).toBe(true)
  })
})

describe('deposits', () => {
  test('[MB70] a deposit goes through a relay under a pseudonym of its own, and its link ends after 3 s', () => {
    const at = correspond()
    const { world, alice, mailbox, double } = at
    deposit(at, [0, 1])
    world.run(500)
    const until = world.now.wall + 604_800_000
    const held = alice.result(0)
    expect(held?.ok && Math.abs(held.until - until) < 1_000).toBe(true)
    expect(alice.result(1)?.ok).toBe(true)
    expect(mailbox.dials.map(({ throughRelay }) => throughRelay)).toEqual([false, true])
    world.run(defaultMailboxesLimits.idleMs)
    expect(alice.engine.sizes()).toEqual({ own: 0, links: 0, endedPipes: 0, routes: 0, jobs: 0, queuedBytes: 0 })
    deposit(at, [2])
    world.run(500)
    expect(new Set(double.seen).size).toBe(3)
  })

  test('[MB71] straight only where no relay is linked, and only where that is allowed', () => {
    for (const [directDeposits, admits] of [
      [true, true],
      [false, true],
      [true, false],
    ] as const) {
      const at = correspond(64, { alice: { directDeposits, admitsUrl: () => admits } })
      at.alice.hasRelay = false
      deposit(at, [0])
      at.world.run(500)
      const isAllowed = directDeposits && admits
      expect(at.alice.result(0)).toMatchObject(
        isAllowed ? { ok: true } : { ok: false, reason: 'unreachable', detail: 'no relay is linked' },
      )
      expect(at.mailbox.dials.slice(1)).toHaveLength(isAllowed ? 1 : 0)
      expect(at.alice.engine.counters()['deposits-straight']).toBe(isAllowed ? 1 : undefined)
    }
    const at = correspond()
    at.mailbox.isDown = true
    deposit(at, [0])
    at.world.run(500)
    expect(at.alice.result(0)).toMatchObject({ ok: false, reason: 'unreachable', detail: 'refused' })
    expect(at.mailbox.dials.at(-1)?.throughRelay).toBe(true)
  })

  test('[MB72] 64 requests or 512 KiB are under way, the rest waits its turn', () => {
    for (const [size, count] of [
      [300, 64],
      [60_000, 8],
    ] as const) {
      const at = correspond(200)
      at.double.answer = (said) => (said.type === 'deposit' ? [] : undefined)
      deposit(at, range(0, 200), size === 300 ? 300 : 40_000 + 20_000)
      at.world.run(2_000)
      expect(at.double.heard.filter(({ type }) => type === 'deposit')).toHaveLength(
        size === 300 ? count : Math.floor(defaultMailboxesLimits.askedBytesMax / 60_000),
      )
    }
    const at = correspond(200)
    deposit(at, range(0, 200))
    at.world.run(2_000)
    for (const id of range(0, 200)) expect(at.alice.result(id)?.ok).toBe(true)
    expect(at.mailbox.dials).toHaveLength(2)
  })

  test('[MB72] at most 8 links at a time: more boxes wait, idle links make room', () => {
    const world = new MailboxesWorld()
    const all = range(0, 20).map(() => addDouble(world))
    const alice = world.addClient()
    for (const [index, { mailbox }] of all.entries()) {
      const to = { mailbox: mailbox.address, box: message(16, index) }
      world.handle(alice, { type: 'deposit', id: index, to, token: undefined, bytes: message(10) })
    }
    for (let step = 0; step < 200; step++) {
      world.run(10)
      expect(alice.engine.sizes().links).toBeLessThanOrEqual(defaultMailboxesLimits.depositLinksMax)
    }
    for (const index of range(0, 20)) expect(alice.result(index)).toMatchObject({ ok: false, reason: 'no-box' })
  })

  test('[MB72] 8 MiB wait at most, and what could not be sent in a minute is told', () => {
    const at = correspond(0)
    at.mailbox.isSilent = true
    const { world, alice, to } = at
    const limits = defaultMailboxesLimits
    const count = limits.queuedBytesMax / 65_536
    for (let id = 0; id <= count; id++) {
      const size = id === count ? 1 : 65_280
      world.handle(alice, { type: 'deposit', id, to, token: undefined, bytes: message(size) })
    }
    world.handle(alice, { type: 'deposit', id: 500, to, token: undefined, bytes: message(65_280) })
    expect(alice.engine.sizes().queuedBytes).toBeLessThanOrEqual(limits.queuedBytesMax)
    expect(alice.result(500)).toMatchObject({ ok: false, reason: 'busy' })
    world.handle(alice, { type: 'deposit', id: 501, to, token: undefined, bytes: message(65_281) })
    expect(alice.result(501)?.ok).toBe(false)
    world.run(2 * limits.queueTimeoutMs)
    for (let id = 0; id <= count; id++) expect(alice.result(id)?.ok).toBe(false)
    expect(alice.engine.sizes()).toMatchObject({ routes: 0, jobs: 0, queuedBytes: 0 })
  })

  test('[MB72] boxes that never get a link are told `busy` after a minute', () => {
    const world = new MailboxesWorld()
    const dead = range(0, 60).map(() => addDouble(world).mailbox)
    for (const mailbox of dead) mailbox.isSilent = true
    const alice = world.addClient()
    for (const [id, mailbox] of dead.entries()) {
      const to = { mailbox: mailbox.address, box: message(16, id) }
      world.handle(alice, { type: 'deposit', id, to, token: undefined, bytes: message(10) })
    }
    world.run(2 * minute)
    const reasons = range(0, 60).map((id) => {
      const result = alice.result(id)
      return result?.ok === false ? result.reason : 'none'
    })
    expect(new Set(reasons)).toEqual(new Set(['unreachable', 'busy']))
  })

  test('[MB73] a lost answer is asked for again on a new link, and the same deposit is taken once', () => {
    const at = correspond()
    const { world, double, alice, bob, to } = at
    double.answer = (said) => {
      if (said.type !== 'deposit') return undefined
      double.answer = () => undefined
      world.at(0, () => world.cut())
      return []
    }
    deposit(at, [0, 1, 2])
    world.run(3_000)
    for (const id of [0, 1, 2]) expect(alice.result(id)?.ok).toBe(true)
    expect(double.box(to.box)?.envelopes).toHaveLength(3)
    expect(bob.fetched.length).toBeGreaterThanOrEqual(3)
    expect(alice.engine.counters()['jobs-asked-again']).toBe(3)
  })

  test('[MB73] a mailbox that answers nothing fails them all in time', () => {
    const at = correspond()
    at.double.answer = (said) => (said.type === 'deposit' ? [] : undefined)
    deposit(at, range(0, 100))
    at.world.run(2 * defaultMailboxesLimits.answerTimeoutMs + 2_000)
    for (const id of range(0, 100)) expect(at.alice.result(id)).toMatchObject({ ok: false, reason: 'unreachable' })
    expect(at.mailbox.dials).toHaveLength(3)
  })

  test('[MB72] a mailbox that says `busy` is left alone for a second', () => {
    const at = correspond()
    let count = 0
    at.double.answer = (said) => {
      if (said.type !== 'deposit') return undefined
      count += 1
      return [{ type: 'refused', request: said.request, reason: 'busy' }]
    }
    deposit(at, range(0, 200))
    at.world.run(800)
    expect(count).toBe(64)
    at.world.run(1_000)
    expect(count).toBe(128)
    at.world.run(6_000)
    for (const id of range(0, 200)) expect(at.alice.result(id)).toMatchObject({ ok: false, reason: 'busy' })
    expect(at.alice.engine.sizes()).toMatchObject({ links: 0, routes: 0, jobs: 0 })
  })

  test('refusals of a mailbox are told as they are', () => {
    const at = correspond(1)
    const { world, alice, to } = at
    deposit(at, [0])
    world.run(200)
    const spent = token(to.box, 0)
    world.handle(alice, { type: 'deposit', id: 1, to, token: spent, bytes: message(9, 9) })
    world.handle(alice, { type: 'deposit', id: 2, to, token: token(to.box, 5), bytes: message(9, 9) })
    world.handle(alice, { type: 'deposit', id: 3, to: { ...to, box: message(16) }, token: spent, bytes: message(9) })
    world.run(500)
    expect(range(1, 3).map((id) => alice.result(id))).toMatchObject([
      { ok: false, reason: 'token-spent' },
      { ok: false, reason: 'token-unknown' },
      { ok: false, reason: 'no-box' },
    ])
    expect(alice.engine.counters()).toEqual({ 'deposits-relayed': 1, 'deposits-refused': 3 })
  })

  test('[MB70] tokens are checked, bundles fetched from the first box that gives one', () => {
    const at = correspond()
    const { world, alice, bob, to } = at
    const other = addDouble(world)
    const dead = addDouble(world)
    dead.mailbox.isDown = true
    const supply = supplyOf(to.box, 0, { oneTimeBundles: [message(4_000, 5)], lastResortBundle: message(4_000, 6) })
    world.handle(bob, { type: 'supply', box: to.box, supply })
    deposit(at, [0, 1])
    world.run(300)
    world.handle(bob, { type: 'acknowledge', box: to.box, ids: [1] })
    world.run(300)
    world.handle(alice, { type: 'check', id: 7, to, tokens: [0, 1, 2].map((number) => token(to.box, number)) })
    const from = [dead, other].map(({ mailbox }) => ({ mailbox: mailbox.address, box: message(16, 3) }))
    world.handle(alice, { type: 'fetch-bundle', id: 8, from: [...from, to] })
    world.run(500)
    world.handle(alice, { type: 'fetch-bundle', id: 9, from: [to] })
    world.handle(alice, { type: 'fetch-bundle', id: 10, from })
    world.handle(alice, { type: 'fetch-bundle', id: 11, from: [] })
    world.handle(alice, { type: 'check', id: 12, to, tokens: [] })
    world.run(500)
    expect(alice.checked.find(({ id }) => id === 7)?.statuses).toEqual(['taken', 'held', 'unknown'])
    expect(alice.checked.find(({ id }) => id === 12)?.statuses).toBeUndefined()
    const filled = new Map(alice.bundles.map(({ id, bytes }) => [id, bytes?.[0]]))
    expect([...filled].sort(([a], [b]) => a - b)).toEqual([
      [8, 5],
      [9, 6],
      [10, undefined],
      [11, undefined],
    ])
  })

  test('addresses that are none are refused at once', () => {
    const { world, alice, to } = correspond()
    const bad = [
      { ...to, box: message(15) },
      { ...to, mailbox: { ...to.mailbox, url: 'http://192.0.2.1' } },
      { ...to, mailbox: { ...to.mailbox, mailboxId: message(3) } },
    ]
    for (const [id, to] of bad.entries()) {
      world.handle(alice, { type: 'deposit', id, to, token: undefined, bytes: message(9) })
      expect(alice.result(id)).toMatchObject({ ok: false, reason: 'unreachable' })
    }
    world.handle(alice, {
      type: 'mailboxes',
      mailboxes: bad.slice(1).map(({ mailbox }) => ({ mailbox, isKept: true })),
    })
    expect(alice.boxes).toEqual([])
    expect(alice.engine.counters()['bad-address']).toBe(5)
  })

  test('[MB73] until is taken over to our clock, and bounded', () => {
    for (const [until, timestamp, hold] of [
      [5_000, 1_000, 4_000],
      [1_000, 5_000, 0],
      [9_000_000_000_000_000, 0, defaultMailboxesLimits.holdMaxMs],
    ] as const) {
      const at = correspond()
      at.double.answer = (said) =>
        said.type === 'deposit' ? [{ type: 'accepted', request: said.request, until, timestamp }] : undefined
      deposit(at, [0])
      at.world.run(200, () => at.alice.result(0) !== undefined)
      expect(at.alice.result(0)).toEqual({ ok: true, until: at.world.now.wall + hold })
    }
  })

  test('after the stop everything is answered and nothing is dialled', () => {
    const at = correspond()
    const { world, alice, bob, to, mailbox } = at
    deposit(at, [0])
    world.handle(alice, { type: 'stop' })
    world.handle(bob, { type: 'stop' })
    expect(alice.result(0)).toMatchObject({ ok: false, reason: 'unreachable', detail: 'stopped' })
    const dials = mailbox.dials.length
    deposit(at, [1])
    world.handle(alice, { type: 'fetch-bundle', id: 2, from: [to, to] })
    world.handle(alice, { type: 'check', id: 3, to, tokens: [message(16)] })
    expect(alice.result(1)).toMatchObject({ ok: false, detail: 'stopped' })
    expect(alice.bundles).toHaveLength(1)
    expect(alice.checked).toHaveLength(1)
    world.run(minute)
    expect(mailbox.dials).toHaveLength(dials)
    for (const { engine } of [alice, bob]) {
      expect(engine.deadline()).toBe(Number.POSITIVE_INFINITY)
      expect(engine.sizes()).toEqual({ own: 0, links: 0, endedPipes: 0, routes: 0, jobs: 0, queuedBytes: 0 })
    }
  })
})
