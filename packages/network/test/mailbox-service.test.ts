import { frameTypes, mailboxWindow } from '@miaou/protocol'
import { describe, expect, test } from 'vitest'
import { hashOf, letter, secretKeyOf, TestMailbox } from './mailbox-service-town.ts'

const day = 86_400_000

describe('a mailbox', () => {
  test('[MB32] who shows a device is not let in, and nothing of it is kept', () => {
    const town = new TestMailbox()
    const client = town.connectDevice(1)
    expect(client.isUp).toBe(false)
    expect(client.isClosed).toBe(true)
    expect(town.count('devices-refused')).toBe(1)
    expect(town.service.view().links).toBe(0)
  })

  test('[MB33] what was left while the owner was away comes at once when it registers, in order and whole', () => {
    const town = new TestMailbox()
    const owner = town.connect(1)
    expect(owner.register()).toMatchObject({
      type: 'registered',
      staleSince: undefined,
      stock: { tokens: 0, oneTimeBundles: 0, hasLastResort: false, waiting: 0 },
      timestamp: town.now.wall,
    })
    expect(owner.tokens([1, 2, 3])).toMatchObject({ type: 'done', stock: { tokens: 3 } })
    town.disconnect(owner)
    expect(town.service.view().owners).toBe(0)
    const sender = town.connect(2)
    for (const number of [1, 2, 3]) {
      expect(sender.deposit(owner.box, number, letter(number))).toMatchObject({
        type: 'accepted',
        until: town.now.wall + 7 * day,
        timestamp: town.now.wall,
      })
    }
    sender.deposit(owner.box, undefined, letter(4))
    const again = town.connect(1)
    expect(again.register()).toMatchObject({ stock: { waiting: 4 } })
    const envelopes = again.ofType('envelope')
    expect(envelopes.map(({ bytes }) => [...bytes])).toEqual([1, 2, 3, 4].map((n) => [...letter(n)]))
    expect(envelopes.map(({ tokenHash }) => tokenHash)).toEqual([hashOf(1), hashOf(2), hashOf(3), undefined])
    // The answer first: the client counts envelopes from there.
    expect(again.said[0]?.type).toBe('registered')
  })

  test('[MB33] what is left while the owner is there comes over the link, without another read of the disk', () => {
    const town = new TestMailbox()
    const owner = town.connect(1)
    owner.register()
    const sender = town.connect(2)
    const reads: string[] = []
    const apply = town.queue.applyNow.bind(town.queue)
    town.queue.applyNow = (operations) => {
      reads.push(...operations.map(({ type }) => type))
      return apply(operations)
    }
    for (const number of [1, 2, 3]) sender.deposit(owner.box, undefined, letter(number))
    expect(owner.ofType('envelope').map(({ bytes }) => [...bytes])).toEqual([1, 2, 3].map((n) => [...letter(n)]))
    expect(reads).toEqual(['deposit', 'deposit', 'deposit'])
  })

  test('[MB34] nothing is answered or pushed before it is durable', () => {
    const town = new TestMailbox()
    const owner = town.connect(1)
    owner.register()
    const sender = town.connect(2)
    town.isHeld = true
    expect(sender.deposit(owner.box, undefined, letter(1))).toBe(undefined)
    expect(owner.pushedIds()).toEqual([])
    town.settle()
    expect(sender.ofType('accepted')).toHaveLength(1)
    expect(owner.pushedIds()).toEqual([1])
  })

  test('[MB34] a disk that fails refuses, and what was acknowledged meanwhile is deleted later', () => {
    const town = new TestMailbox()
    const owner = town.connect(1)
    owner.register()
    const sender = town.connect(2)
    sender.deposit(owner.box, undefined, letter(1))
    town.queue.failNext('full')
    expect(sender.deposit(owner.box, undefined, letter(2))).toMatchObject({ type: 'refused', reason: 'full' })
    town.queue.failNext('failed')
    expect(sender.deposit(owner.box, undefined, letter(2))).toMatchObject({ type: 'refused', reason: 'busy' })
    town.queue.failNext('full')
    owner.acknowledge([1])
    expect(town.queue.totals().envelopes).toBe(1)
    town.pass(6_000)
    expect(town.queue.totals().envelopes).toBe(0)
    expect(town.count('groups-failed')).toBe(3)
    town.queue.failNext('failed')
    const again = town.connect(1)
    expect(again.register()).toMatchObject({ type: 'refused', reason: 'busy' })
  })

  test('[MB34] a read that fails is tried again', () => {
    const town = new TestMailbox()
    const owner = town.connect(1)
    owner.register()
    town.disconnect(owner)
    town.connect(2).deposit(owner.box, undefined, letter(1))
    const again = town.connect(1)
    town.isHeld = true
    again.register()
    const [registering] = town.groups.splice(0)
    town.isHeld = true
    if (registering !== undefined) {
      town.input({ type: 'queued', batch: registering.batch, results: town.queue.applyNow(registering.operations) })
    }
    town.queue.failNext('failed')
    town.settle()
    expect(again.pushedIds()).toEqual([])
    town.pass(6_000)
    expect(again.pushedIds()).toEqual([1])
  })

  test('[MB35] operations gather while a group is under way; two at most are', () => {
    const town = new TestMailbox({ groupOperationsMin: 4, groupOperationsMax: 6 })
    const owner = town.connect(1)
    owner.register()
    const sender = town.connect(2)
    town.isHeld = true
    for (let number = 0; number < 30; number++) sender.deposit(owner.box, undefined, letter(number))
    expect(town.groups.map(({ operations }) => operations.length)).toEqual([1, 4])
    expect(town.service.view().pending).toBe(25)
    const sizes: number[] = []
    while (town.groups.length > 0) {
      const [group] = town.groups.splice(0, 1)
      if (group === undefined) break
      sizes.push(group.operations.length)
      town.input({ type: 'queued', batch: group.batch, results: town.queue.applyNow(group.operations) })
    }
    expect(Math.max(...sizes)).toBe(6)
    expect(sender.ofType('accepted').length + sender.ofType('refused').length).toBe(30)
  })

  test('[MB36] only so much is pushed as the window allows; acknowledging makes room', () => {
    const town = new TestMailbox()
    const owner = town.connect(1)
    owner.register()
    const numbers = Array.from({ length: 600 }, (_, at) => at + 1)
    owner.tokens(numbers)
    const sender = town.connect(2)
    for (const number of numbers) sender.deposit(owner.box, number, letter(number, 100))
    expect(owner.pushedIds()).toHaveLength(mailboxWindow.envelopes)
    owner.acknowledge(owner.pushedIds().slice(0, 127))
    expect(owner.pushedIds()).toHaveLength(256)
    owner.acknowledge(owner.pushedIds().slice(127, 128))
    expect(owner.pushedIds()).toHaveLength(384)
    owner.acknowledge(owner.pushedIds().slice(128))
    owner.acknowledge(owner.pushedIds().slice(384))
    expect(owner.pushedIds()).toEqual(numbers)
    owner.acknowledge(owner.pushedIds().slice(-88))
    expect(town.queue.totals().envelopes).toBe(0)
    expect(town.count('envelopes-acknowledged')).toBe(600)
  })

  test('[MB36] the window counts bytes, too, and lets one through that is larger', () => {
    const town = new TestMailbox({ windowBytes: 2_000 })
    const owner = town.connect(1)
    owner.register()
    const sender = town.connect(2)
    for (const [number, size] of [5_000, 900, 900, 900].entries()) {
      sender.deposit(owner.box, undefined, letter(number, size))
    }
    expect(owner.pushedIds()).toEqual([1])
    owner.acknowledge([1])
    expect(owner.pushedIds()).toEqual([1, 2, 3])
    owner.acknowledge([2, 3])
    expect(owner.pushedIds()).toEqual([1, 2, 3, 4])
  })

  test('[MB37] an acknowledgement that somebody else signed, or for another box, deletes nothing', () => {
    const town = new TestMailbox()
    const owner = town.connect(1)
    owner.register()
    const other = town.connect(2)
    other.register()
    other.deposit(owner.box, undefined, letter(1))
    owner.acknowledge([1], { secretKey: secretKeyOf(2) })
    owner.acknowledge([1], { box: other.box })
    // Its own signature, of its own box: that has no such envelope.
    other.acknowledge([1])
    other.acknowledge([1], { box: owner.box })
    expect(town.queue.totals().envelopes).toBe(1)
    expect(town.count('bad-signatures')).toBe(3)
    owner.acknowledge([1])
    expect(town.queue.totals().envelopes).toBe(0)
  })

  test('[MB38] the newest link that registers has the box; the one before gets nothing more', () => {
    const town = new TestMailbox()
    const first = town.connect(1)
    first.register(1, 1)
    const sender = town.connect(2)
    sender.deposit(first.box, undefined, letter(1))
    const second = town.connect(1)
    expect(second.register(2, 2)).toMatchObject({ staleSince: undefined })
    expect(second.pushedIds()).toEqual([1])
    sender.deposit(first.box, undefined, letter(2))
    expect(first.pushedIds()).toEqual([1])
    expect(second.pushedIds()).toEqual([1, 2])
    expect(town.service.view().owners).toBe(1)
    // A copy of the home, or a snapshot of it.
    expect(town.connect(1).register(1, 1)).toMatchObject({ staleSince: 2 })
    expect(town.count('stale-starts')).toBe(1)
  })

  test('[MB38] who left before its registration was durable is pushed nothing', () => {
    const town = new TestMailbox()
    const owner = town.connect(1)
    town.isHeld = true
    owner.register()
    town.disconnect(owner)
    town.settle()
    expect(town.service.view()).toMatchObject({ owners: 0, links: 0 })
    expect(town.queue.totals().boxes).toBe(1)
  })

  test('[MB39] the same deposit again is accepted and pushed once; others are refused with their reason', () => {
    const town = new TestMailbox()
    const owner = town.connect(1)
    owner.register()
    owner.tokens([1])
    const sender = town.connect(2)
    const first = sender.deposit(owner.box, 1, letter(1))
    expect(town.connect(3).deposit(owner.box, 1, letter(1))).toMatchObject({ type: 'accepted' })
    expect(first?.type).toBe('accepted')
    expect(owner.pushedIds()).toEqual([1])
    const refusals = [
      sender.deposit(owner.box, 1, letter(2)),
      sender.deposit(owner.box, 9, letter(2)),
      sender.deposit(sender.box, undefined, letter(2)),
    ]
    expect(refusals).toMatchObject([{ reason: 'token-spent' }, { reason: 'token-unknown' }, { reason: 'no-box' }])
    expect(sender.check(owner.box, [1, 9])).toMatchObject({ statuses: ['held', 'unknown'] })
    expect(sender.check(sender.box, [1])).toMatchObject({ statuses: ['unknown'] })
    owner.acknowledge([1])
    expect(sender.check(owner.box, [1])).toMatchObject({ statuses: ['taken'] })
  })

  test('[MB40] bundles are given once each, and no faster than their rate: then the last resort', () => {
    const town = new TestMailbox({ bundlesBurst: 2, bundleIntervalMs: 1_000 })
    const owner = town.connect(1)
    owner.register()
    owner.bundles([letter(1), letter(2), letter(3)], letter(9))
    const asker = town.connect(2)
    const take = () => asker.takeBundle(owner.box)
    expect([take(), take(), take()]).toMatchObject([{ bytes: letter(1) }, { bytes: letter(2) }, { bytes: letter(9) }])
    town.pass(1_000)
    expect([take(), take()]).toMatchObject([{ bytes: letter(3) }, { bytes: letter(9) }])
    expect(asker.takeBundle(asker.box)).toMatchObject({ type: 'bundle', bytes: undefined })
    expect(town.count('bundles-given')).toBe(5)
    expect(town.count('bundles-limited')).toBe(2)
  })

  test('[MB41] a released box is gone with all that was in it', () => {
    const town = new TestMailbox()
    const owner = town.connect(1)
    owner.register()
    const sender = town.connect(2)
    sender.deposit(owner.box, undefined, letter(1))
    owner.say({ type: 'release' })
    expect(town.queue.totals()).toEqual({ boxes: 0, envelopes: 0, bytes: 0 })
    expect(sender.deposit(owner.box, undefined, letter(2))).toMatchObject({ reason: 'no-box' })
    expect(owner.tokens([1])).toMatchObject({ type: 'refused', reason: 'no-box' })
    expect(town.service.view().owners).toBe(0)
  })

  test('[MB42] what is over is deleted while nobody comes, and an owner who stays keeps its box', () => {
    const limits = { expireMs: 3_600_000, sweepMs: 10_000, touchMs: day }
    const town = new TestMailbox(limits, { clockStepMs: 7_200_000, boxLifeMs: 8 * day })
    const owner = town.connect(1)
    owner.register()
    town.connect(2).deposit(owner.box, undefined, letter(1))
    town.pass(7 * day - 7_200_000)
    expect(town.queue.totals().envelopes).toBe(1)
    town.pass(14_400_000)
    expect(town.queue.totals().envelopes).toBe(0)
    town.pass(2 * day)
    expect(town.queue.totals().boxes).toBe(1)
    town.disconnect(owner)
    town.pass(9 * day)
    expect(town.queue.totals().boxes).toBe(0)
  })

  test('[MB43] a link that neither keeps a box nor asks is closed', () => {
    const town = new TestMailbox()
    const owner = town.connect(1)
    owner.register()
    const sender = town.connect(2)
    town.pass(59_000)
    sender.deposit(owner.box, undefined, letter(1))
    town.pass(59_000)
    expect(sender.isClosed).toBe(false)
    town.pass(2_000)
    expect(sender.ended).toBe('bye')
    expect(owner.isClosed).toBe(false)
    expect(town.count('links-useless')).toBe(1)
  })

  test('[MB44] the largest message passes both ways, and what comes behind does not overtake it', () => {
    const town = new TestMailbox()
    const owner = town.connect(1)
    owner.register()
    const sender = town.connect(2)
    sender.deposit(owner.box, undefined, letter(1, 65_280))
    sender.deposit(owner.box, undefined, letter(2, 10))
    expect(sender.ofType('accepted')).toHaveLength(2)
    const sizes = owner.ofType('envelope').map(({ bytes }) => bytes.length)
    expect(sizes).toEqual([65_280, 10])
  })

  test('[MB45] the end of the service tells every link and takes no more', () => {
    const town = new TestMailbox()
    const owner = town.connect(1)
    owner.register()
    town.input({ type: 'stop' })
    expect(owner.ended).toBe('shutdown')
    expect(town.connect(2).isUp).toBe(false)
    expect(town.service.deadline()).toBe(Number.POSITIVE_INFINITY)
  })

  test('[MB46] garbage, frames of others and what only a mailbox says are counted, and end the link', () => {
    const town = new TestMailbox({ badMessagesMax: 4 })
    const client = town.connect(1)
    client.frame(frameTypes.mailboxControl, new Uint8Array(40))
    client.frame(frameTypes.relayControl, new Uint8Array(4))
    client.say({ type: 'accepted', request: 1, until: 1, timestamp: 1 })
    expect(client.isClosed).toBe(false)
    client.frame(frameTypes.mailboxControl, new Uint8Array(0))
    expect(client.ended).toBe('protocol-error')
    expect(town.count('bad-messages')).toBe(4)
  })
})
