import { encodeStatus, encodeTyping, frameTypes } from '@miaou/protocol'
import { describe, expect, test } from 'vitest'
import {
  befriend,
  contactOf,
  dropsOf,
  type Home,
  messagesOf,
  sendText,
  sentTypes,
  Town,
  texts,
  unwrap,
} from './fixture.ts'

function friends(): { town: Town; alice: Home; bob: Home } {
  const town = new Town()
  const [alice, bob] = [town.add('Alice'), town.add('Bob')]
  befriend(town, alice, bob)
  return { town, alice, bob }
}

const minuteMs = 60_000
const dayMs = 24 * 60 * minuteMs

describe('receiving', () => {
  test('[Q25] one text: stored, one event, one receipt', () => {
    const { town, alice, bob } = friends()
    town.drop = () => true
    sendText(town, alice, bob, 'héllo')
    const [frame] = alice.last.filter((output) => output.type === 'send')
    if (!frame) throw new Error('no frame')
    const outputs = bob.batch({ ...frame, type: 'frame', peerId: alice.peerId })
    expect(outputs.map(({ type }) => type)).toEqual(['event', 'send'])
    expect(sentTypes(outputs)).toEqual([frameTypes.deliveryReceipt])
    expect(bob.events.at(-1)?.event).toMatchObject({
      type: 'message-received',
      message: { contact: alice.account, direction: 'in', text: 'héllo', state: 'delivered', deliveries: [] },
    })
    expect(contactOf(bob, alice)).toMatchObject({ unreadCount: 1, lastMessageAt: bob.clock.wall })
  })

  test('[Q25] a repeated text is not shown again and gets its receipt again', () => {
    const { town, alice, bob } = friends()
    town.drop = ({ from }) => from === bob
    sendText(town, alice, bob, 'once')
    expect(messagesOf(alice, bob)[0]?.state).toBe('sent')
    town.drop = () => false
    town.pass(1000)
    expect(texts(bob, alice)).toEqual(['once'])
    expect(bob.events.filter(({ event }) => event.type === 'message-received')).toHaveLength(1)
    expect(messagesOf(alice, bob)[0]).toMatchObject({ state: 'delivered', deliveries: [{ attempts: 2 }] })
    expect(dropsOf(bob)).toMatchObject({ duplicate: 1 })
  })

  test('[Q27] one receipt covers a batch', () => {
    const { town, alice, bob } = friends()
    town.drop = () => true
    const frames = ['1', '2', '3', '4'].map((text) => {
      sendText(town, alice, bob, text)
      const [frame] = alice.last.filter((output) => output.type === 'send')
      if (!frame) throw new Error('no frame')
      return { ...frame, type: 'frame', peerId: alice.peerId } as const
    })
    const outputs = bob.batch(...frames)
    expect(sentTypes(outputs)).toEqual([frameTypes.deliveryReceipt])
    town.drop = () => false
    town.carry(bob, outputs)
    expect(messagesOf(alice, bob).map(({ state }) => state)).toEqual(Array(4).fill('delivered'))
  })

  test('[Q26] a sender whose clock is ahead or behind orders nothing', () => {
    const { town, alice, bob } = friends()
    sendText(town, alice, bob, 'first')
    const wall = town.clock.wall
    town.clock.wall = wall + 3 * dayMs
    sendText(town, alice, bob, 'second')
    town.clock.wall = wall - 3 * dayMs
    sendText(town, alice, bob, 'third')
    expect(texts(bob, alice)).toEqual(['first', 'second', 'third'])
  })
})

describe('read receipts', () => {
  test('[Q27] reading marks up to a position, and the sender sees it', () => {
    const { town, alice, bob } = friends()
    for (const text of ['1', '2', '3']) sendText(town, alice, bob, text)
    const [, second] = messagesOf(bob, alice)
    const upTo = second?.position ?? 0
    const { count } = unwrap(town.ask<'messages-read'>(bob, { type: 'messages-read', account: alice.account, upTo }))
    expect(count).toBe(2)
    expect(messagesOf(bob, alice).map(({ state }) => state)).toEqual(['read', 'read', 'delivered'])
    expect(contactOf(bob, alice)?.unreadCount).toBe(1)
    expect(messagesOf(alice, bob).map(({ state }) => state)).toEqual(['read', 'read', 'delivered'])
    const unread = unwrap(bob.ask<'messages-list'>({ type: 'messages-list', unread: true }))
    expect(unread.map(({ text }) => text)).toEqual(['3'])
  })

  test('[Q27] none is sent when the setting is off', () => {
    const { town, alice, bob } = friends()
    unwrap(bob.ask<'settings-set'>({ type: 'settings-set', settings: { readReceipts: false } }))
    sendText(town, alice, bob, '1')
    unwrap(town.ask<'messages-read'>(bob, { type: 'messages-read', account: alice.account, upTo: 1e9 }))
    expect(sentTypes(bob.last)).toEqual([])
    expect(messagesOf(alice, bob)[0]?.state).toBe('delivered')
  })

  test('[Q27] what was read while the setting is off is not told when it is switched on', () => {
    const { town, alice, bob } = friends()
    unwrap(bob.ask<'settings-set'>({ type: 'settings-set', settings: { readReceipts: false } }))
    sendText(town, alice, bob, '1')
    unwrap(town.ask<'messages-read'>(bob, { type: 'messages-read', account: alice.account, upTo: 1e9 }))
    unwrap(bob.ask<'settings-set'>({ type: 'settings-set', settings: { readReceipts: true } }))
    town.unlink(alice, bob)
    town.link(alice, bob)
    expect(messagesOf(alice, bob)[0]?.state).toBe('delivered')
  })

  test('[Q27] read receipts that a dying link swallows are told again on the next, those of a steady one are not', () => {
    const { town, alice, bob } = friends()
    const receipts = () =>
      town.sent.filter(({ from, frameType }) => from === bob && frameType === frameTypes.deliveryReceipt).length
    const relink = () => {
      town.unlink(alice, bob)
      town.sent.length = 0
      town.link(alice, bob)
    }
    sendText(town, alice, bob, '1')
    town.drop = ({ from }) => from === bob
    unwrap(town.ask<'messages-read'>(bob, { type: 'messages-read', account: alice.account, upTo: 1e9 }))
    town.drop = () => false
    expect(messagesOf(alice, bob)[0]?.state).toBe('delivered')
    relink()
    expect(messagesOf(alice, bob)[0]?.state).toBe('read')
    expect(receipts()).toBe(1)
    // A process that ended without a word has told nothing for sure, either.
    bob.restart()
    relink()
    expect(receipts()).toBe(1)
    town.pass(60_000)
    relink()
    expect(receipts()).toBe(0)
  })

  test('[Q27] what is read later on the same link is told once', () => {
    const { town, alice, bob } = friends()
    for (const text of ['1', '2', '3']) {
      sendText(town, alice, bob, text)
      town.sent.length = 0
      unwrap(town.ask<'messages-read'>(bob, { type: 'messages-read', account: alice.account, upTo: 1e9 }))
      const [receipt, ...more] = town.sent
      expect(more).toEqual([])
      // One id: a second one would make it larger.
      expect(receipt?.payload.length).toBeLessThan(256)
      town.pass(20_000)
    }
    expect(messagesOf(alice, bob).map(({ state }) => state)).toEqual(['read', 'read', 'read'])
  })

  test('[Q27] what was read while the sender was away is told when the link stands', () => {
    const { town, alice, bob } = friends()
    sendText(town, alice, bob, '1')
    town.unlink(alice, bob)
    unwrap(bob.ask<'messages-read'>({ type: 'messages-read', account: alice.account, upTo: 1e9 }))
    bob.restart()
    town.link(alice, bob)
    expect(messagesOf(alice, bob)[0]?.state).toBe('read')
  })
})

describe('typing and presence', () => {
  test('[Q30] sent to a linked contact, fleeting, and told at the other side', () => {
    const { town, alice, bob } = friends()
    expect(unwrap(town.ask<'typing'>(alice, { type: 'typing', account: bob.account, typing: true }))).toEqual({
      sent: true,
    })
    expect(alice.last[0]).toMatchObject({ type: 'send', frameType: frameTypes.typing, fleeting: true })
    expect(bob.last).toEqual([{ type: 'fleeting', event: { type: 'typing', account: alice.account, typing: true } }])
    town.unlink(alice, bob)
    expect(bob.last).toContainEqual({
      type: 'fleeting',
      event: { type: 'presence', account: alice.account, presence: 'offline' },
    })
    expect(unwrap(alice.ask<'typing'>({ type: 'typing', account: bob.account, typing: true }))).toEqual({ sent: false })
  })

  test('[Q30] nothing is sent when switched off', () => {
    const { town, alice, bob } = friends()
    unwrap(alice.ask<'settings-set'>({ type: 'settings-set', settings: { typing: false, presence: false } }))
    expect(unwrap(alice.ask<'typing'>({ type: 'typing', account: bob.account, typing: true }))).toEqual({ sent: false })
    expect(sentTypes(alice.last)).toEqual([])
    town.unlink(alice, bob)
    town.sent.length = 0
    town.link(alice, bob)
    const byAlice = town.sent.filter(({ from }) => from === alice).map(({ frameType }) => frameType)
    expect(byAlice).not.toContain(frameTypes.status)
  })

  test('[Q30] a flood of them is cut to 4 a second', () => {
    const { alice, bob } = friends()
    const flood = (frameType: (typeof frameTypes)[keyof typeof frameTypes], payload: Uint8Array) => ({
      ...({ type: 'frame', peerId: alice.peerId, frameType, payload } as const),
    })
    const frames = Array.from({ length: 100 }, (_, i) =>
      i % 2 === 0
        ? flood(frameTypes.typing, encodeTyping({ typing: true }))
        : flood(frameTypes.status, encodeStatus({ presence: 'away' })),
    )
    const count = () => bob.batch(...frames).filter(({ type }) => type === 'fleeting').length
    expect(count()).toBe(15)
    bob.clock.mono += 1000
    expect(count()).toBe(4)
    expect(dropsOf(bob)['fleeting-rate']).toBe(181)
  })

  test('[Q30] those of a stranger are dropped', () => {
    const town = new Town()
    const [alice, bob] = [town.add('Alice'), town.add('Bob')]
    town.link(alice, bob)
    const payload = Uint8Array.of(1)
    for (const frameType of [frameTypes.typing, frameTypes.status]) {
      expect(alice.batch({ type: 'frame', peerId: bob.peerId, frameType, payload })).toEqual([])
    }
    expect(dropsOf(alice)).toEqual({ stranger: 2 })
  })
})
