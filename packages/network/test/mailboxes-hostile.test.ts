import { peerIdToKey } from '@miaou/core'
import { frameTypes, type MailboxMessage, mailboxIdOf } from '@miaou/protocol'
import { describe, expect, test } from 'vitest'
import { defaultMailboxesLimits } from '../src/mailbox/mailboxes-limits.ts'
import { crypto, testPseudonym } from './identities.ts'
import { MailboxDouble } from './mailbox-double.ts'
import { addDouble, correspond, deposit, message, range, token } from './mailboxes-steps.ts'
import { MailboxesWorld } from './mailboxes-world.ts'

const minute = 60_000
const { faultsMax } = defaultMailboxesLimits

/** Says something to all clients of the double, and lets it arrive. */
function say(at: ReturnType<typeof correspond>, ...messages: readonly MailboxMessage[]): void {
  for (const said of messages) at.double.say(said)
  at.world.mailboxHandle(at.mailbox, { type: 'wake' })
  at.world.run(200)
}

const envelope = (id: number, size = 100): MailboxMessage => ({
  type: 'envelope',
  id,
  acceptedAt: 0,
  tokenHash: undefined,
  bytes: message(size, id % 251),
})

describe('a mailbox that does not keep to the protocol', () => {
  test('[MB68] another mailbox at the address learns nothing and is counted', () => {
    const world = new MailboxesWorld()
    const impostor = new MailboxDouble(testPseudonym(1))
    const mailbox = world.addMailbox(impostor.identity, impostor)
    const mailboxId = mailboxIdOf(peerIdToKey(testPseudonym(2).peerId), (bytes) => crypto.sha256(bytes))
    const address = { url: mailbox.address.url, mailboxId }
    const bob = world.addClient()
    world.handle(bob, { type: 'mailboxes', mailboxes: [{ mailbox: address, isKept: false }] })
    const to = { mailbox: address, box: message(16) }
    world.handle(bob, { type: 'deposit', id: 1, to, token: undefined, bytes: message(9) })
    world.run(500)
    expect(impostor.seen).toEqual([])
    expect(bob.result(1)).toMatchObject({ ok: false, reason: 'unreachable', detail: 'another mailbox answered' })
    expect(bob.boxes).toEqual([])
    expect(bob.engine.counters()).toEqual({ 'wrong-mailbox': 2, 'links-failed': 2 })
  })

  test('[MB68] garbage, client messages and answers to nothing: counted, and the link ends at the sixteenth', () => {
    const at = correspond()
    const noise: (() => void)[] = [
      () => at.double.sayBytes(frameTypes.mailboxControl, Uint8Array.of(200, 1)),
      () => at.double.sayBytes(frameTypes.circuitData, Uint8Array.of(1)),
      () => at.double.say({ type: 'release' }),
      () => at.double.say({ type: 'accepted', request: 77, until: 1, timestamp: 1 }),
      () => at.double.say({ type: 'registered', request: 1, stock: stock, staleSince: 9, timestamp: 1 }),
    ]
    const stock = { tokens: 1, oneTimeBundles: 1, hasLastResort: false, waiting: 0 }
    for (const index of range(0, faultsMax - 1)) noise[index % noise.length]?.()
    say(at)
    const counters = { 'bad-control': 9, unasked: 6 }
    expect(at.bob.engine.counters()).toEqual(counters)
    expect(at.bob.stale).toEqual([])
    expect(at.bob.engine.sizes().links).toBe(1)
    noise[0]?.()
    say(at)
    expect(at.bob.engine.counters()).toEqual({ ...counters, 'bad-control': 10, 'links-faulty': 1 })
    expect(at.bob.engine.views()[0]?.error).toBe('the mailbox does not keep to the protocol')
    at.world.run(minute)
    expect(at.bob.engine.views()[0]?.state).toBe('registered')
  })

  test('[MB64] more than the window is cut off: by number, by bytes, one always passes', () => {
    for (const [count, size] of [
      [defaultMailboxesLimits.envelopesMax, 10],
      [8, 65_280],
    ] as const) {
      const at = correspond()
      say(at, ...range(1, count).map((id) => envelope(id, size)))
      expect(at.bob.fetched).toHaveLength(count)
      expect(at.bob.engine.counters()).toEqual({})
      say(at, envelope(count + 1, size))
      expect(at.bob.fetched).toHaveLength(count)
      expect(at.bob.engine.counters()).toEqual({ 'envelope-flood': 1 })
      expect(at.bob.engine.views()[0]?.error).toBe('the mailbox sends more than its window')
    }
    const at = correspond(64, { bob: { limits: { envelopeBytesMax: 10 } } })
    say(at, envelope(1, 65_280))
    expect(at.bob.fetched).toHaveLength(1)
  })

  test('[MB64] envelopes that come twice on one link are not handed on, acknowledged or not', () => {
    const at = correspond()
    say(at, envelope(5), envelope(5), envelope(3), envelope(3))
    expect(at.bob.fetched.map(({ envelope }) => envelope.id)).toEqual([5, 3])
    at.world.handle(at.bob, { type: 'acknowledge', box: at.to.box, ids: [5, 3] })
    say(at, envelope(5))
    expect(at.bob.fetched).toHaveLength(2)
    expect(at.bob.engine.counters()).toEqual({ 'repeated-envelope': 3 })
  })

  test('[MB64] the numbers that are remembered are bounded: those far behind are not taken any more', () => {
    const at = correspond(64, { bob: { limits: { envelopesMax: 4 } } })
    for (const id of range(10, 40)) {
      say(at, envelope(id))
      at.world.handle(at.bob, { type: 'acknowledge', box: at.to.box, ids: [id] })
    }
    say(at, envelope(10), envelope(1), envelope(200))
    expect(at.bob.fetched).toHaveLength(41)
    expect(at.bob.engine.counters()).toEqual({ 'repeated-envelope': 2 })
  })

  test('[MB65] an envelope under a number that another one had is not acknowledged by a word about that one', () => {
    const at = correspond()
    const { world, bob, to } = at
    say(at, envelope(1))
    world.cut()
    world.run(3_000)
    // The mailbox lost everything and counts anew.
    say(at, { ...envelope(1), bytes: message(50, 66) } as MailboxMessage)
    expect(bob.fetched).toHaveLength(2)
    // Of the first one, late.
    world.handle(bob, { type: 'acknowledge', box: to.box, ids: [1] })
    world.run(200)
    expect(at.double.heard.some(({ type }) => type === 'acknowledge')).toBe(false)
    world.handle(bob, { type: 'acknowledge', box: to.box, ids: [1] })
    world.run(200)
    expect(at.double.heard.at(-1)).toMatchObject({ type: 'acknowledge', ids: [1] })
    expect(bob.engine.counters()).toMatchObject({ 'swapped-envelope': 1, 'late-acknowledgements': 1 })
  })

  test('[MB68] whoever leaves something is sent no envelopes, and no box before it is registered', () => {
    const at = correspond()
    at.double.answer = (said) => (said.type === 'deposit' || said.type === 'register' ? [] : undefined)
    at.double.push = () => []
    deposit(at, [0])
    at.world.cut()
    at.world.run(1_500)
    const before = at.double.clientCount
    expect(before).toBe(2)
    say(at, envelope(1), envelope(2))
    expect(at.bob.fetched).toEqual([])
    expect(at.alice.fetched).toEqual([])
    expect(at.bob.engine.counters()['unasked']).toBe(2)
    expect(at.alice.engine.counters()['unasked']).toBe(2)
  })

  test('[MB73] answers of another kind, twice, swapped or for others: each job has one answer', () => {
    const at = correspond()
    const { world, alice, to } = at
    const answers: MailboxMessage[] = []
    at.double.answer = (said, usual) => {
      if (said.type !== 'deposit' && said.type !== 'check') return undefined
      const wrong: MailboxMessage[] = [
        { type: 'bundle', request: said.request, bytes: message(5) },
        { type: 'statuses', request: said.request, statuses: ['held', 'held', 'held'] },
      ]
      answers.push(...usual)
      return [...wrong.slice(said.type === 'check' ? 0 : 1), ...usual, ...usual]
    }
    deposit(at, [0, 1])
    world.handle(alice, { type: 'check', id: 5, to, tokens: [token(to.box, 0)] })
    world.run(500)
    expect(alice.result(0)?.ok).toBe(true)
    expect(alice.result(1)?.ok).toBe(true)
    expect(alice.checked).toEqual([{ type: 'checked', id: 5, statuses: ['held'] }])
    expect(alice.engine.counters()).toEqual({ unasked: 2 * 2 + 3, 'deposits-relayed': 2 })
    expect(alice.engine.sizes()).toMatchObject({ jobs: 0, queuedBytes: 0 })
  })

  test('[MB73] only wrong answers: the link ends, the jobs too', () => {
    const at = correspond()
    at.double.answer = (said) =>
      said.type === 'deposit'
        ? range(0, 4).map(() => ({ type: 'bundle', request: said.request, bytes: undefined }))
        : undefined
    deposit(at, range(0, 10))
    at.world.run(2_000)
    for (const id of range(0, 10)) expect(at.alice.result(id)).toMatchObject({ ok: false, reason: 'unreachable' })
    expect(at.alice.engine.counters()).toMatchObject({ 'links-faulty': 2, 'jobs-unanswered': 10 })
    expect(at.alice.engine.sizes()).toMatchObject({ links: 0, jobs: 0, queuedBytes: 0 })
  })

  test('[MB73] a mailbox that hangs up at every link costs two links, not one a job', () => {
    const at = correspond(400)
    at.double.answer = (said) => {
      if (said.type !== 'deposit') return undefined
      at.world.at(0, () => at.world.cut(at.mailbox))
      return []
    }
    deposit(at, range(0, 400))
    at.world.run(minute)
    for (const id of range(0, 400)) expect(at.alice.result(id)?.ok).toBe(false)
    expect(at.mailbox.dials.filter(({ throughRelay }) => throughRelay)).toHaveLength(2)
  })

  test('[MB60] supplies and stocks that it lies about change nothing but what is shown', () => {
    const at = correspond()
    const lie = { tokens: 4_294_967_295, oneTimeBundles: 4_294_967_295, hasLastResort: true, waiting: 4_294_967_295 }
    at.double.answer = (said) =>
      said.type === 'tokens' ? [{ type: 'done', request: said.request, stock: lie }] : undefined
    at.world.run(defaultMailboxesLimits.stockMs + 1_000)
    expect(at.bob.boxes[0]?.stock).toEqual(lie)
    at.double.answer = (said) => (said.type === 'tokens' ? [] : undefined)
    at.world.run(2 * defaultMailboxesLimits.stockMs)
    expect(at.bob.engine.counters()['links-silent']).toBeGreaterThan(0)
  })
})

describe('whatever a mailbox says, in any order', () => {
  test.each(range(0, 12))('[MB68] seed %i: nothing throws, nothing grows, each job has one answer', (seed) => {
    const world = new MailboxesWorld(seed)
    const { mailbox, double } = addDouble(world, 3_100 + seed)
    const { random } = world
    const limits = { faultsMax: 100, queuedBytesMax: 400_000, envelopesMax: 16, depositLinksMax: 3 }
    const client = world.addClient({ limits })
    world.wants(client, mailbox)
    world.run(300)
    const stock = { tokens: 5, oneTimeBundles: 1, hasLastResort: true, waiting: 2 }
    const request = () => random.below(8)
    const noise = (): MailboxMessage[] => [
      { type: 'registered', request: request(), stock, staleSince: random.below(3), timestamp: random.below(9_000) },
      { type: 'done', request: request(), stock },
      { type: 'accepted', request: request(), until: random.below(2 ** 40), timestamp: random.below(2 ** 40) },
      { type: 'refused', request: request(), reason: 'busy' },
      { type: 'statuses', request: request(), statuses: ['held'] },
      { type: 'bundle', request: request(), bytes: random.chance(0.5) ? undefined : message(40) },
      envelope(random.below(40), 1 + random.below(3_000)),
      envelope(random.below(2 ** 50)),
      { type: 'take-bundle', request: request(), box: message(16) },
    ]
    double.answer = () => (random.chance(0.5) ? noise().filter(() => random.chance(0.2)) : undefined)
    let jobs = 0
    for (let step = 0; step < 300; step++) {
      const to = { mailbox: mailbox.address, box: message(16, random.below(5)) }
      const id = jobs
      const kind = random.below(6)
      if (kind === 0) world.handle(client, { type: 'check', id, to, tokens: [message(16)] })
      else if (kind === 1) world.handle(client, { type: 'fetch-bundle', id, from: [to, to] })
      else if (kind < 4) {
        world.handle(client, { type: 'deposit', id, to, token: undefined, bytes: message(1 + random.below(60_000)) })
      }
      if (kind < 4) jobs += 1
      if (random.chance(0.3)) {
        const ids = range(0, 5).map(() => random.below(40))
        world.handle(client, { type: 'acknowledge', box: client.boxes[0]?.address.box ?? message(16), ids })
      }
      if (random.chance(0.03)) world.cut()
      if (random.chance(0.02)) world.handle(client, { type: 'network-changed' })
      for (const said of noise()) if (random.chance(0.1)) double.say(said)
      if (random.chance(0.1)) double.sayBytes(frameTypes.mailboxControl, random.bytes(random.below(60)))
      world.mailboxHandle(mailbox, { type: 'wake' })
      world.run(random.below(60))
      const sizes = client.engine.sizes()
      expect(sizes.links).toBeLessThanOrEqual(4)
      expect(sizes.queuedBytes).toBeLessThanOrEqual(400_000)
      client.engine.views()
    }
    world.handle(client, { type: 'stop' })
    world.run(1_000)
    const answers = [...client.deposited.values()].flat().length + client.checked.length + client.bundles.length
    expect(answers).toBe(jobs)
    expect(client.engine.sizes()).toEqual({ own: 0, links: 0, endedPipes: 0, routes: 0, jobs: 0, queuedBytes: 0 })
  })
})
