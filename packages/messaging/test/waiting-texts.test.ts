import { frameTypes } from '@miaou/protocol'
import { describe, expect, test } from 'vitest'
import { befriend, dropsOf, type Home, seededRandom, sentTypes, Town, texts, unwrap } from './fixture.ts'
import { acknowledged, envelopeOf, fetched, mailOf, sealFor, TestBox, tellBoxes, textOf } from './mail.ts'

const hourMs = 3_600_000
const dayMs = 24 * hourMs

/** Bob writes what a test asks for; nothing that Alice answers reaches him, and he says nothing of himself. */
function friends(limits = {}): { town: Town; alice: Home; bob: Home } {
  const town = new Town()
  const [alice, bob] = [town.add('Alice', limits), town.add('Bob')]
  befriend(town, alice, bob)
  town.drop = () => true
  return { town, alice, bob }
}

function write(from: Home, to: Home, seed: number, after?: number, text = `${seed}`): number {
  const payload = envelopeOf(from, to, textOf(to, seed, text, after))
  const outputs = to.batch({ type: 'frame', peerId: from.peerId, frameType: frameTypes.directMessage, payload })
  return sentTypes(outputs).filter((type) => type === frameTypes.deliveryReceipt).length
}

function waitingCount(home: Home): number {
  return Number(home.store.get('SELECT count(*) AS count FROM waiting_texts')?.['count'])
}

/** How often Alice's engine says something to Bob while that much time passes. */
function saidWhile(town: Town, alice: Home, ms: number): number {
  let count = 0
  const end = town.clock.mono + ms
  while (town.clock.mono < end) {
    const step = Math.max(1, Math.min(end, alice.engine.deadline()) - town.clock.mono)
    town.clock.mono += step
    town.clock.wall += step
    count += sentTypes(alice.batch({ type: 'wake' })).filter((type) => type === frameTypes.deliveryReceipt).length
  }
  return count
}

describe('texts that follow others', () => {
  test('[Q80] one that comes before the text it follows waits without a receipt, and both are shown in order', () => {
    const { alice, bob } = friends()
    expect(write(bob, alice, 2, 1)).toBe(0)
    expect(texts(alice, bob)).toEqual([])
    expect(write(bob, alice, 1)).toBe(1)
    expect(texts(alice, bob)).toEqual(['1', '2'])
    expect(waitingCount(alice)).toBe(0)
  })

  test('[Q80] a chain that comes backwards, partly by mail, is shown in order once its first is there', () => {
    const { alice, bob } = friends()
    const box = new TestBox(1)
    tellBoxes(alice, box)
    for (let seed = 20; seed > 1; seed--) {
      if (seed % 2 === 0) write(bob, alice, seed, seed - 1)
      else {
        const bytes = mailOf(bob, alice, textOf(alice, seed, `${seed}`, seed - 1))
        // Taken: the mailbox need not keep it.
        expect(acknowledged(alice.batch(fetched(box, box.envelope(bytes))))).toHaveLength(1)
      }
    }
    alice.restart()
    expect(texts(alice, bob)).toEqual([])
    const bytes = mailOf(bob, alice, textOf(alice, 1, '1'))
    alice.batch(fetched(box, box.envelope(bytes)))
    expect(texts(alice, bob)).toEqual(Array.from({ length: 20 }, (_, index) => `${index + 1}`))
  })

  test('[Q80] a copy tells what it follows now, or that it follows nothing any more', () => {
    const { alice, bob } = friends()
    write(bob, alice, 5, 4)
    write(bob, alice, 3)
    write(bob, alice, 5, 3)
    expect(texts(alice, bob)).toEqual(['3', '5'])
    write(bob, alice, 8, 7)
    write(bob, alice, 8)
    expect(texts(alice, bob)).toEqual(['3', '5', '8'])
    expect(waitingCount(alice)).toBe(0)
    // Renewed, and still without it.
    write(bob, alice, 11, 10)
    write(bob, alice, 11, 9)
    write(bob, alice, 10)
    expect(texts(alice, bob)).toEqual(['3', '5', '8', '10'])
    write(bob, alice, 9)
    expect(texts(alice, bob)).toEqual(['3', '5', '8', '10', '9', '11'])
  })

  test('[Q80] what follows itself, or a removed one, does not wait', () => {
    const { alice, bob } = friends()
    write(bob, alice, 1, 1)
    write(bob, alice, 2, 1)
    expect(texts(alice, bob)).toEqual(['1', '2'])
    unwrap(alice.ask<'contact-remove'>({ type: 'contact-remove', account: bob.account }))
    expect(waitingCount(alice)).toBe(0)
  })

  test('[Q80] a repeated one of those shown gets its receipt again, whatever it follows', () => {
    const { alice, bob } = friends()
    write(bob, alice, 1)
    expect(write(bob, alice, 1, 77)).toBe(1)
    expect(texts(alice, bob)).toEqual(['1'])
  })

  test('[Q81] after 5 s what is waited for is asked for, ever more seldom', () => {
    const { town, alice, bob } = friends()
    town.pass(60_000)
    for (const [seed, after] of [
      [3, 2],
      [4, 3],
      [9, 8],
    ] as const) {
      write(bob, alice, seed, after)
    }
    expect(saidWhile(town, alice, 4999)).toBe(0)
    expect(saidWhile(town, alice, 1)).toBe(1)
    const inHour = saidWhile(town, alice, hourMs)
    expect(inHour).toBeGreaterThan(5)
    expect(inHour).toBeLessThan(16)
    write(bob, alice, 2)
    write(bob, alice, 8)
    expect(saidWhile(town, alice, hourMs)).toBe(0)
  })

  test('[Q82] after a day of running time it is shown without the one before', () => {
    const { town, alice, bob } = friends()
    write(bob, alice, 2, 1)
    write(bob, alice, 3, 2)
    saidWhile(town, alice, 20 * hourMs)
    // Days in which the home does not run count for nothing.
    town.clock.mono += 3 * dayMs
    town.clock.wall += 3 * dayMs
    alice.restart()
    saidWhile(town, alice, 3 * hourMs)
    expect(texts(alice, bob)).toEqual([])
    saidWhile(town, alice, 2 * hourMs)
    expect(texts(alice, bob)).toEqual(['2', '3'])
    expect(dropsOf(alice)['waited-in-vain']).toBe(1)
    const box = new TestBox(1)
    alice.batch(fetched(box, box.envelope(mailOf(bob, alice, textOf(alice, 1, '1')))))
    expect(texts(alice, bob)).toEqual(['2', '3', '1'])
  })

  test('[Q82] texts that wait for each other end their waiting too', () => {
    const { town, alice, bob } = friends()
    write(bob, alice, 1, 2)
    write(bob, alice, 2, 1)
    saidWhile(town, alice, dayMs + hourMs)
    expect([...texts(alice, bob)].sort()).toEqual(['1', '2'])
    expect(waitingCount(alice)).toBe(0)
  })

  test('[Q80] the bound of texts that wait: one more is not taken, has no receipt, and is asked for later', () => {
    const { alice, bob } = friends({ waitingTextsMax: 3 })
    for (const seed of [3, 4, 5, 6]) expect(write(bob, alice, seed, seed - 1)).toBe(0)
    expect(waitingCount(alice)).toBe(3)
    expect(dropsOf(alice)).toMatchObject({ 'waiting-full': 1 })
    // The receipts for those shown, and a word for the one that had no room.
    expect(write(bob, alice, 2)).toBe(2)
    expect(texts(alice, bob)).toEqual(['2', '3', '4', '5'])
    write(bob, alice, 6, 5)
    expect(texts(alice, bob)).toEqual(['2', '3', '4', '5', '6'])
  })

  test('[Q80] the bound of their bytes', () => {
    const { alice, bob } = friends({ waitingBytesMax: 1000 })
    for (const seed of [3, 4, 5]) write(bob, alice, seed, seed - 1, 'é'.repeat(200))
    expect(waitingCount(alice)).toBe(2)
    expect(dropsOf(alice)).toMatchObject({ 'waiting-full': 1 })
  })

  test('[Q80] a contact who floods with what can never be shown costs a bounded room, others nothing', () => {
    const { town, alice, bob } = friends({ waitingTextsMax: 50 })
    const carol = town.add('Carol')
    town.drop = () => false
    befriend(town, alice, carol)
    town.drop = () => true
    for (let seed = 1; seed < 200; seed++) write(bob, alice, seed, seed + 1)
    expect(waitingCount(alice)).toBe(50)
    const sentBefore = saidWhile(town, alice, 60_000)
    expect(sentBefore).toBeLessThan(8)
    write(carol, alice, 1, undefined, 'hello')
    expect(texts(alice, carol)).toEqual(['hello'])
  })

  test('[Q80] of one blocked meanwhile nothing is shown', () => {
    const { town, alice, bob } = friends()
    write(bob, alice, 2, 1)
    unwrap(alice.ask<'contact-block'>({ type: 'contact-block', account: bob.account, blocked: true }))
    saidWhile(town, alice, 2 * dayMs)
    expect(texts(alice, bob)).toEqual([])
    expect(waitingCount(alice)).toBe(0)
  })
})

describe('two mailboxes that bring what they like', () => {
  for (const seed of [1, 2, 3, 4, 5, 6, 7, 8]) {
    test(`[Q77] [Q80] any order, any repetition, restarts between: shown once and in order (seed ${seed})`, () => {
      const { alice, bob } = friends()
      const boxes = [new TestBox(1), new TestBox(2)]
      tellBoxes(alice, ...boxes)
      const random = seededRandom(`mailboxes ${seed}`)
      const below = (limit: number): number => (random.bytes(1)[0] ?? 0) % limit
      const count = 12
      const mails = Array.from({ length: count }, (_, index) =>
        envelopeOf(bob, alice, textOf(alice, index + 1, `${index + 1}`, index === 0 ? undefined : index)),
      )
      // Each lies in both boxes, and either may bring it up to three times.
      const pile = mails.flatMap((payload) =>
        boxes.flatMap((box) => {
          const bytes = sealFor(alice, bob.party, [payload])
          return Array.from({ length: 1 + below(3) }, () => ({ box, bytes }))
        }),
      )
      while (pile.length > 0) {
        const [first] = pile.splice(below(pile.length), 1)
        if (!first) break
        const outputs = alice.batch(fetched(first.box, first.box.envelope(first.bytes)))
        expect(acknowledged(outputs)).toHaveLength(1)
        if (below(10) === 0) alice.restart()
      }
      expect(texts(alice, bob)).toEqual(Array.from({ length: count }, (_, index) => `${index + 1}`))
      expect(waitingCount(alice)).toBe(0)
    })
  }
})
