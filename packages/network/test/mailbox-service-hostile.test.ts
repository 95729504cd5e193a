import { describe, expect, test } from 'vitest'
import { BundleRates, MailboxGroups } from '../src/mailbox/mailbox-service-groups.ts'
import { defaultMailboxServiceLimits } from '../src/mailbox/mailbox-service-limits.ts'
import { letter, TestMailbox } from './mailbox-service-town.ts'

describe('a mailbox among hostile clients', () => {
  test('[MB47] a flood of deposits is answered busy, then its link is closed; others go on', () => {
    const town = new TestMailbox({ requestsBurst: 50, floodsMax: 20 })
    const owner = town.connect(1)
    owner.register()
    owner.tokens([1])
    const flooder = town.connect(2)
    for (let number = 0; number < 100; number++) flooder.deposit(owner.box, undefined, letter(number))
    expect(flooder.ended).toBe('busy')
    expect(flooder.ofType('refused').filter(({ reason }) => reason === 'full')).toHaveLength(50 - 16)
    expect(flooder.ofType('refused').filter(({ reason }) => reason === 'busy')).toHaveLength(20)
    expect(town.count('floods')).toBe(20)
    // Sixteen of them lie in the strangers' lane; who has a token does not notice.
    expect(town.connect(3).deposit(owner.box, 1, letter(200))).toMatchObject({ type: 'accepted' })
    expect(owner.pushedIds()).toHaveLength(17)
  })

  test('[MB47] what was pushed is acknowledged whatever the rates, and is not sent again; anything else counts', () => {
    const town = new TestMailbox({ requestsBurst: 40, requestsPerSecond: 1, windowEnvelopes: 8, floodsMax: 20 })
    const owner = town.connect(1)
    owner.register()
    const sender = town.connect(2)
    owner.tokens([1, 2, 3, 4])
    for (const number of [1, 2, 3, 4]) sender.deposit(owner.box, number, letter(number))
    // All that the owner may ask at once, and some more.
    for (let at = 0; at < 45; at++) owner.check(owner.box, [1])
    expect(owner.ofType('refused').length).toBeGreaterThan(0)
    owner.acknowledge([1, 2])
    owner.acknowledge([3])
    expect(town.count('envelopes-acknowledged')).toBe(3)
    expect(town.queue.totals().envelopes).toBe(1)
    const floods = town.count('floods')
    // Acknowledged before, and never there.
    owner.acknowledge([1, 2])
    owner.acknowledge([99])
    expect(town.count('floods')).toBe(floods + 2)
    // Once it is asked for, the same envelope frees nothing more, though the disk has not answered yet.
    town.isHeld = true
    for (let at = 0; at < 30; at++) owner.acknowledge([4])
    expect(owner.ended).toBe('busy')
    expect(town.groups.flatMap(({ operations }) => operations).length + town.service.view().pending).toBeLessThan(4)
  })

  test('[MB34] an acknowledgement that failed is done again, also where its link may ask nothing more', () => {
    const town = new TestMailbox({ requestsBurst: 3, requestsPerSecond: 0.001, retryMs: 1_000 })
    const owner = town.connect(1)
    owner.register()
    owner.tokens([1])
    town.connect(2).deposit(owner.box, 1, letter(1))
    town.isHeld = true
    owner.acknowledge([1])
    const [group] = town.groups.splice(0)
    town.isHeld = false
    town.input({ type: 'queued', batch: group?.batch ?? 0, results: { type: 'failed', kind: 'full', detail: 'full' } })
    town.pass(2_000)
    expect(town.queue.totals().envelopes).toBe(0)
  })

  test('[MB47] large deposits count for more; the rate comes back with time', () => {
    const town = new TestMailbox({ requestsBurst: 10, requestsPerSecond: 10 })
    const owner = town.connect(1)
    owner.register()
    owner.tokens([1, 2, 3, 4])
    const sender = town.connect(2)
    const answers = [1, 2, 3].map((number) => sender.deposit(owner.box, number, letter(number, 60_000)))
    expect(answers.map((answer) => answer?.type)).toEqual(['accepted', 'accepted', 'refused'])
    town.pass(1_000)
    expect(sender.deposit(owner.box, 3, letter(3, 60_000))?.type).toBe('accepted')
  })

  test('[MB47] the links of one address share a rate, and so do their registrations', () => {
    const town = new TestMailbox({ groupRequestsBurst: 8, registrationsBurst: 2 })
    const addresses = ['ws://[2001:db8::1]:4000', 'ws://[2001:db8::ffff]:4001', 'ws://[2001:db8::2]:4000']
    const [a, b, c] = addresses.map((address, at) => town.connect(at + 1, address))
    expect([a?.register(), b?.register(), c?.register()]).toMatchObject([
      { type: 'registered' },
      { type: 'registered' },
      { type: 'refused', reason: 'busy' },
    ])
    const box = a?.box ?? new Uint8Array(16)
    const answers = Array.from({ length: 8 }, (_, at) => c?.deposit(box, undefined, letter(at))?.type)
    expect(answers.filter((type) => type === 'accepted')).toHaveLength(5)
    expect(town.connect(9).deposit(box, undefined, letter(99))?.type).toBe('accepted')
  })

  test('[MB47] requests that wait for the disk are bounded, for a link and in all', () => {
    const town = new TestMailbox({ askedMax: 5, pendingMax: 8, groupsUnderWayMax: 1 })
    const owner = town.connect(1)
    owner.register()
    town.isHeld = true
    const [first, second, third] = [town.connect(2), town.connect(3), town.connect(4)]
    for (const client of [first, second, third]) {
      for (let number = 0; number < 7; number++) client.deposit(owner.box, undefined, letter(number))
    }
    expect(first.ofType('refused')).toHaveLength(2)
    // One is under way, eight wait.
    expect(second.ofType('refused')).toHaveLength(3)
    expect(third.ofType('refused')).toHaveLength(7)
    expect(town.service.view().pending).toBe(8)
    expect(town.count('busy')).toBe(10)
    town.settle()
    expect(first.ofType('accepted')).toHaveLength(5)
    expect(town.service.view().pending).toBe(0)
  })

  test('[MB47] bytes that wait for the disk are bounded', () => {
    const town = new TestMailbox({ pendingBytesMax: 10_000, groupsUnderWayMax: 1 })
    const owner = town.connect(1)
    owner.register()
    town.isHeld = true
    const sender = town.connect(2)
    for (let number = 0; number < 5; number++) sender.deposit(owner.box, undefined, letter(number, 4_000))
    expect(sender.ofType('refused')).toHaveLength(2)
  })

  test('[MB48] who does not read is pushed no more than the pipe takes, and catches up later', () => {
    const town = new TestMailbox({ unsentMax: 10_000 })
    const owner = town.connect(1)
    owner.register()
    owner.tokens(Array.from({ length: 100 }, (_, at) => at))
    owner.isReading = false
    const sender = town.connect(2)
    for (let number = 0; number < 100; number++) sender.deposit(owner.box, number, letter(number, 2_000))
    expect(owner.unread.reduce((sum, { length }) => sum + length, 0)).toBeLessThan(20_000)
    owner.isReading = true
    owner.read()
    expect(owner.pushedIds()).toEqual(Array.from({ length: 100 }, (_, at) => at + 1))
  })

  test('[MB48] who asks on and on and reads nothing is cut', () => {
    const town = new TestMailbox({ unsentCutMax: 50_000 })
    const owner = town.connect(1)
    owner.register()
    owner.bundles([], letter(1, 10_000))
    const reader = town.connect(2)
    reader.isReading = false
    for (let at = 0; at < 10; at++) reader.takeBundle(owner.box)
    expect(reader.isClosed).toBe(true)
    expect(town.count('links-cut')).toBe(1)
  })

  test('[MB32] links are bounded: in all, of one address, of one pseudonym, in their handshake', () => {
    const town = new TestMailbox({ clientsMax: 5, clientsPerGroupMax: 2, linksPerClientMax: 2, handshakesMax: 2 })
    const here = 'ws://198.51.100.7:4000'
    const [first] = [1, 2].map((seed) => town.connect(seed, here))
    expect(town.connect(3, here).isClosed).toBe(true)
    town.connect(1)
    const third = town.connect(1, 'ws://198.51.100.9:1')
    expect(first?.ended).toBe('bye')
    expect(third.isUp).toBe(true)
    expect(town.count('links-displaced')).toBe(1)
    for (const port of [1, 2]) town.open(`ws://198.51.100.20:${port}`)
    expect(town.connect(4).isClosed).toBe(true)
    expect(town.count('links-refused')).toBe(2)
    const other = new TestMailbox({ handshakesMax: 2 })
    for (const port of [1, 2, 3]) other.open(`ws://198.51.100.${port}:1`)
    expect(other.count('handshakes-dropped')).toBe(1)
    expect(other.service.view().links).toBe(2)
    other.pass(11_000)
    expect(other.service.view().links).toBe(0)
    expect(other.count('handshakes-failed')).toBe(2)
  })

  test('[MB47] what is remembered of addresses and of boxes asked for is bounded', () => {
    const groups = new MailboxGroups({ ...defaultMailboxServiceLimits, groupsMax: 3 })
    const enterAndLeave = (name: string) => groups.leave(name, groups.enter(name))
    const busy = groups.enter('busy')
    for (const name of ['a', 'b', 'c', 'd', 'e']) enterAndLeave(name)
    expect(groups.size).toBe(4)
    expect(groups.enter('busy')).toBe(busy)
    expect(groups.countOf('busy')).toBe(2)
    const rates = new BundleRates({ ...defaultMailboxServiceLimits, bundleRatesMax: 3, bundlesBurst: 1 })
    for (const box of ['a', 'b', 'c', 'd']) rates.take(box, 0)
    expect(rates.size).toBe(3)
    expect(rates.take('d', 0)).toBe(false)
    rates.forget('d')
    expect(rates.take('d', 0)).toBe(true)
  })

  test('[MB47] asking for boxes that nobody keeps does not push out the rates of those that are kept', () => {
    const town = new TestMailbox({ bundlesBurst: 1, bundleRatesMax: 4 })
    const owner = town.connect(1)
    owner.register()
    owner.bundles([letter(1), letter(2)], letter(9))
    const asker = town.connect(2)
    expect(asker.takeBundle(owner.box)).toMatchObject({ bytes: letter(1) })
    for (let at = 0; at < 20; at++) asker.takeBundle(new Uint8Array(16).fill(100 + at))
    expect(asker.takeBundle(owner.box)).toMatchObject({ bytes: letter(9) })
  })

  test('[MB57] ten thousand boxes, one letter each, and every owner gets its own', () => {
    const town = new TestMailbox({ registrationsBurst: 20_000 })
    const boxes = Array.from({ length: 10_000 }, (_, at) => {
      const box = new Uint8Array(16).fill(1)
      new DataView(box.buffer).setUint32(0, at)
      return box
    })
    const start = { counter: 1, nonce: new Uint8Array(16) }
    town.queue.applyNow(boxes.map((box) => ({ type: 'register', box, start, at: town.now.wall })))
    expect(town.queue.totals().boxes).toBe(10_000)
    const owners = [1, 2, 3].map((seed) => town.connect(seed))
    for (const owner of owners) owner.register()
    const sender = town.connect(9)
    for (const [at, owner] of owners.entries()) sender.deposit(owner.box, undefined, letter(at))
    for (const [at, owner] of owners.entries()) {
      expect(owner.ofType('envelope').map(({ bytes }) => [...bytes])).toEqual([[...letter(at)]])
    }
    expect(town.queue.totals()).toMatchObject({ boxes: 10_003, envelopes: 3 })
  })

  test('[MB30] same inputs, same outputs', () => {
    const trace = () => {
      const town = new TestMailbox()
      const owner = town.connect(1)
      owner.register()
      const sender = town.connect(2)
      for (let number = 0; number < 5; number++) sender.deposit(owner.box, undefined, letter(number))
      town.pass(70_000)
      return { counters: town.service.counters(), said: owner.said, view: town.service.view() }
    }
    expect(trace()).toEqual(trace())
  })
})
