import { circuitDataOverhead } from '@miaou/protocol'
import { describe, expect, test } from 'vitest'
import { defaultMailboxesLimits } from '../src/mailbox/mailboxes-limits.ts'
import { addDouble, correspond, deposit, message, range } from './mailboxes-steps.ts'
import { MailboxesWorld } from './mailboxes-world.ts'

describe('bounds of the client of mailboxes', () => {
  test('[MB62] of a longer list the rest is ignored, and so is a mailbox named twice', () => {
    const world = new MailboxesWorld()
    const bob = world.addClient({ limits: { wantedMax: 4 } })
    const all = range(0, 6).map(() => addDouble(world).mailbox)
    const list = [...all.slice(0, 2), ...all].map(({ address }) => ({ mailbox: address, isKept: true }))
    world.handle(bob, { type: 'mailboxes', mailboxes: list })
    world.run(500)
    expect(bob.engine.sizes()).toMatchObject({ own: 4, links: 4 })
    expect(bob.boxes).toHaveLength(4)
    expect(all.map(({ dials }) => dials.length)).toEqual([1, 1, 1, 1, 0, 0])
  })

  test('[MB62] those kept before are all fetched from, whatever their place; others fill up to three', () => {
    const world = new MailboxesWorld()
    const bob = world.addClient()
    const all = range(0, 6).map(() => addDouble(world).mailbox)
    const mailboxes = all.map(({ address }, index) => ({ mailbox: address, isKept: index === 4 || index === 5 }))
    world.handle(bob, { type: 'mailboxes', mailboxes })
    world.run(500)
    expect(all.map(({ dials }) => dials.length)).toEqual([1, 0, 0, 0, 1, 1])
    expect(bob.boxes.map(({ address }) => address.mailbox.url)).toEqual(
      [0, 4, 5].map((index) => all[index]?.address.url),
    )
  })

  test('[MB62] at most three are tried at a time, however many are dead', () => {
    const world = new MailboxesWorld()
    const bob = world.addClient()
    const all = range(0, 12).map(() => addDouble(world).mailbox)
    for (const mailbox of all) mailbox.isDown = true
    world.wants(bob, ...all)
    world.run(1_000)
    expect(all.filter(({ dials }) => dials.length > 0)).toHaveLength(defaultMailboxesLimits.boxesMax)
    world.run(defaultMailboxesLimits.patienceMs)
    expect(all.filter(({ dials }) => dials.length > 0)).toHaveLength(2 * defaultMailboxesLimits.boxesMax)
    expect(bob.boxes).toEqual([])
  })

  test('[MB67] a way through a relay has the time of two dials, a straight one that of one', () => {
    const world = new MailboxesWorld()
    const alice = world.addClient({ directDeposits: true })
    const { mailbox } = addDouble(world)
    mailbox.isSilent = true
    const deposits = { openTimeoutMs: 10_000, relayedOpenTimeoutMs: 20_000 }
    expect(defaultMailboxesLimits).toMatchObject(deposits)
    const to = { mailbox: mailbox.address, box: message(16) }
    world.handle(alice, { type: 'deposit', id: 1, to, token: undefined, bytes: message(9) })
    world.run(19_000)
    expect(alice.deposited.size).toBe(0)
    world.run(2_000)
    expect(alice.deposited.get(1)).toMatchObject([{ ok: false, reason: 'unreachable' }])
    alice.hasRelay = false
    world.handle(alice, { type: 'deposit', id: 2, to, token: undefined, bytes: message(9) })
    world.run(11_000)
    expect(alice.deposited.get(2)).toMatchObject([{ ok: false, reason: 'unreachable' }])
  })

  test('[MB67] what goes through a relay leaves room for what the links with it put around it', () => {
    const world = new MailboxesWorld()
    const alice = world.addClient()
    const { mailbox } = addDouble(world)
    const to = { mailbox: mailbox.address, box: message(16) }
    const sizes = (hasRelay: boolean, id: number): number[] => {
      alice.hasRelay = hasRelay
      const from = world.written.length
      for (const [at, size] of [100, 900, 3_000, 9_000].entries()) {
        world.handle(alice, { type: 'deposit', id: id + at, to, token: undefined, bytes: message(size) })
      }
      world.run(10_000)
      return [...new Set(world.written.slice(from))].sort((a, b) => a - b)
    }
    const straight = sizes(false, 1)
    expect(straight).toEqual([256, 1_024, 4_096, 16_384].filter((size) => straight.includes(size)))
    expect(sizes(true, 11)).toEqual(straight.map((size) => size - circuitDataOverhead))
  })

  test('[MB73] a bundle is asked of eight boxes at most', () => {
    const world = new MailboxesWorld()
    const alice = world.addClient()
    const all = range(0, 10).map(() => addDouble(world))
    const from = all.map(({ mailbox }, fill) => ({ mailbox: mailbox.address, box: message(16, fill) }))
    world.handle(alice, { type: 'fetch-bundle', id: 1, from })
    world.run(5_000)
    expect(alice.bundles).toEqual([{ type: 'bundle', id: 1, bytes: undefined }])
    expect(all.filter(({ double }) => double.heard.length > 0)).toHaveLength(defaultMailboxesLimits.bundleBoxesMax)
  })

  test('[MB60] supplies under way are bounded, and those of a lost link are counted, once', () => {
    const at = correspond()
    at.double.answer = (said) => (said.type === 'bundles' ? [] : undefined)
    const oneTimeBundles = range(0, 150).map((fill) => message(100, fill))
    const supply = { resetTokens: false, tokenHashes: [], resetBundles: true, oneTimeBundles }
    at.world.handle(at.bob, { type: 'supply', box: at.to.box, supply: { ...supply, lastResortBundle: undefined } })
    at.world.run(500)
    expect(at.double.heard.filter(({ type }) => type === 'bundles')).toHaveLength(defaultMailboxesLimits.suppliesMax)
    at.world.cut()
    at.world.run(5_000)
    expect(at.bob.engine.counters()).toEqual({ 'supplies-dropped': 1 })
  })

  test('[MB70] two boxes at one mailbox are two links, and neither is that of an own box there', () => {
    const at = correspond()
    const { world, alice, bob, mailbox, double, to } = at
    world.wants(alice, mailbox)
    world.run(500)
    const other = { mailbox: to.mailbox, box: message(16, 4) }
    deposit(at, [0, 1])
    world.handle(alice, { type: 'deposit', id: 9, to: other, token: undefined, bytes: message(300) })
    world.run(500)
    expect([alice.result(0), alice.result(9)]).toMatchObject([{ ok: true }, { ok: false, reason: 'no-box' }])
    expect(new Set(double.seen).size).toBe(4)
    expect(alice.engine.sizes().links).toBe(3)
    expect(bob.engine.sizes().links).toBe(1)
  })
})
