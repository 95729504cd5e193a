import { frameTypes, textSizeMax } from '@miaou/protocol'
import { describe, expect, test } from 'vitest'
import { befriend, type Home, linkUp, messagesOf, sendText, sentTypes, Town, texts, unwrap } from './fixture.ts'

const minuteMs = 60_000
const dayMs = 24 * 60 * minuteMs

function friends(limits: ConstructorParameters<typeof Home>[2] = {}): { town: Town; alice: Home; bob: Home } {
  const town = new Town()
  const alice = town.add('Alice', limits.limits)
  const bob = town.add('Bob', limits.limits)
  befriend(town, alice, bob)
  return { town, alice, bob }
}

describe('sending', () => {
  test('[Q18] a text to a linked contact: stored, one frame, a reply that says sent, one event', () => {
    const { alice, bob } = friends()
    const reply = unwrap(alice.ask<'message-send'>({ type: 'message-send', account: bob.account, text: 'hello' }))
    expect(alice.last.map(({ type }) => type)).toEqual(['send', 'reply', 'event'])
    expect(alice.last[0]).toMatchObject({ peerId: bob.peerId, frameType: frameTypes.directMessage, fleeting: false })
    expect(reply).toMatchObject({
      contact: bob.account,
      direction: 'out',
      text: 'hello',
      state: 'sent',
      reason: 'awaiting-receipt',
      sentAt: alice.clock.wall,
      expiresAt: alice.clock.wall + 7 * dayMs,
      nextTryAt: alice.clock.wall + 1000,
      deliveries: [{ peerId: bob.peerId, state: 'sent', reason: 'awaiting-receipt', attempts: 1 }],
    })
    expect(alice.events.at(-1)?.event).toEqual({ type: 'message-state', message: reply })
  })

  test('[Q18] to a contact who is away it waits, and goes out when the link stands', () => {
    const { town, alice, bob } = friends()
    town.unlink(alice, bob)
    const queued = sendText(town, alice, bob, 'later')
    expect(queued).toMatchObject({ state: 'queued', reason: 'no-mailbox' })
    expect(queued.nextTryAt).toBeUndefined()
    expect(sentTypes(alice.last)).toEqual([])
    town.link(alice, bob)
    expect(texts(bob, alice)).toEqual(['later'])
    expect(messagesOf(alice, bob)[0]?.state).toBe('delivered')
  })

  test('[Q18] what is sent survives a restart of either side, and arrives once', () => {
    const { town, alice, bob } = friends()
    town.drop = ({ from }) => from === bob
    sendText(town, alice, bob, 'one')
    town.drop = () => false
    for (const home of [alice, bob]) home.restart()
    town.link(alice, bob)
    expect(texts(bob, alice)).toEqual(['one'])
    expect(messagesOf(alice, bob)[0]?.state).toBe('delivered')
    expect(bob.events.filter(({ event }) => event.type === 'message-received')).toHaveLength(1)
  })

  test('[Q19] a window of messages without receipt, the rest in order behind it', () => {
    const { town, alice, bob } = friends({ limits: { windowCountMax: 2 } })
    town.drop = ({ from }) => from === alice
    for (const text of ['1', '2', '3', '4', '5']) sendText(town, alice, bob, text)
    expect(messagesOf(alice, bob).map(({ state }) => state)).toEqual(['sent', 'sent', 'queued', 'queued', 'queued'])
    town.drop = () => false
    town.pass(1000)
    expect(texts(bob, alice)).toEqual(['1', '2', '3', '4', '5'])
  })

  test('[Q19] the window is bounded in bytes too, and one large message always fits', () => {
    const { town, alice, bob } = friends({ limits: { windowBytesMax: 1000 } })
    town.drop = ({ from }) => from === alice
    const states = ['x'.repeat(textSizeMax), 'small'].map((text) => sendText(town, alice, bob, text).state)
    expect(states).toEqual(['sent', 'queued'])
  })

  test('[Q20] sent again after 1, 2 and 3 s, then with the backoff of the outbox', () => {
    const { town, alice, bob } = friends()
    town.drop = ({ from, frameType }) => from === alice && frameType === frameTypes.directMessage
    const sentAt = alice.clock.mono
    const times: number[] = []
    const original = town.drop
    town.drop = (frame) => {
      if (original(frame)) times.push(alice.clock.mono - sentAt)
      return original(frame)
    }
    sendText(town, alice, bob, 'lost')
    town.pass(9000)
    // After the direct sends a new session is tried, which sends once more at once.
    expect(times.slice(0, 4)).toEqual([0, 1000, 3000, 6000])
    town.pass(200 * minuteMs)
    expect(messagesOf(alice, bob)[0]).toMatchObject({ state: 'sent', reason: 'awaiting-receipt' })
    town.drop = () => false
    town.pass(300 * minuteMs)
    expect(texts(bob, alice)).toEqual(['lost'])
  })

  test('[Q20] on a slow link nothing is repeated while receipts come for what was sent before; what was skipped is', () => {
    const { town, alice, bob } = friends()
    const sends: number[] = []
    town.drop = ({ from, frameType }) => {
      if (from === alice && frameType === frameTypes.directMessage) sends.push(alice.clock.mono)
      return from === alice
    }
    const frames = ['1', '2', '3', '4', '5', '6'].map((text) => {
      sendText(town, alice, bob, text)
      const [frame] = alice.last.filter((output) => output.type === 'send')
      if (!frame) throw new Error('no frame')
      return { ...frame, type: 'frame', peerId: alice.peerId } as const
    })
    sends.length = 0
    const arrives = (index: number) => {
      const frame = frames[index]
      if (frame) town.run(bob, frame)
    }
    // One of them crosses in 900 ms; the third is swallowed.
    for (const index of [0, 1, 3]) {
      town.pass(900)
      arrives(index)
    }
    expect(sends).toEqual([])
    // The fourth is there, and gets its receipt once the third is shown before it: all behind the gap goes again.
    town.pass(110)
    expect(sends).toHaveLength(4)
    town.pass(880)
    expect(sends).toHaveLength(4)
  })

  test('[Q22] what expires in a full window makes room for what waits behind it', () => {
    const { town, alice, bob } = friends({ limits: { windowCountMax: 1 } })
    town.unlink(alice, bob)
    sendText(town, alice, bob, 'old')
    town.clock.wall += 8 * dayMs
    town.drop = ({ from, frameType }) => from === alice && frameType === frameTypes.directMessage
    town.link(alice, bob)
    expect(sendText(town, alice, bob, 'young').state).toBe('queued')
    town.drop = () => false
    // Before the old one is sent again.
    town.pass(500)
    expect(messagesOf(alice, bob).map(({ state }) => state)).toEqual(['expired', 'delivered'])
  })

  test('[Q22] after seven days a message expires, which is an event', () => {
    const { town, alice, bob } = friends()
    town.unlink(alice, bob)
    sendText(town, alice, bob, 'never')
    town.pass(7 * dayMs - 1000)
    expect(messagesOf(alice, bob)[0]?.state).toBe('queued')
    town.pass(2 * minuteMs)
    expect(messagesOf(alice, bob)[0]).toMatchObject({ state: 'expired', reason: 'expired' })
    expect(alice.events.at(-1)?.event).toMatchObject({ type: 'message-state', message: { state: 'expired' } })
    town.link(alice, bob)
    expect(texts(bob, alice)).toEqual([])
  })

  test('[Q23] the same key gives the same message', () => {
    const { alice, bob } = friends()
    const send = (text: string, key: string): ReturnType<typeof alice.ask<'message-send'>> =>
      alice.ask<'message-send'>({ type: 'message-send', account: bob.account, text, key })
    const first = unwrap(send('once', 'k1'))
    alice.restart()
    expect(unwrap(send('once', 'k1')).id).toBe(first.id)
    expect(send('other', 'k1')).toEqual({ ok: false, error: { type: 'key-reused' } })
    expect(unwrap(send('once', 'k2')).id).not.toBe(first.id)
    expect(messagesOf(alice, bob)).toHaveLength(2)
  })

  test('[Q23] texts and queue at their bounds', () => {
    const { town, alice, bob } = friends({ limits: { queuedMax: 2 } })
    const send = (text: string): unknown => {
      const reply = alice.ask<'message-send'>({ type: 'message-send', account: bob.account, text })
      return reply.ok ? 'ok' : reply.error
    }
    expect(send('')).toEqual({ type: 'empty-text' })
    expect(send('é'.repeat(textSizeMax / 2 + 1))).toEqual({
      type: 'text-too-long',
      size: textSizeMax + 2,
      sizeMax: textSizeMax,
    })
    town.unlink(alice, bob)
    expect([send('é'.repeat(textSizeMax / 2)), send('2')]).toEqual(['ok', 'ok'])
    expect(send('3')).toEqual({ type: 'queue-full', countMax: 2 })
    town.link(alice, bob)
    expect(texts(bob, alice)).toHaveLength(2)
    expect(send('3')).toBe('ok')
  })

  test('[Q24] a queued message can be taken back, a sent one not', () => {
    const { town, alice, bob } = friends()
    town.unlink(alice, bob)
    const { id } = sendText(town, alice, bob, 'no')
    expect(unwrap(alice.ask<'message-cancel'>({ type: 'message-cancel', id }))).toMatchObject({ state: 'cancelled' })
    town.link(alice, bob)
    expect(texts(bob, alice)).toEqual([])
    const sent = sendText(town, alice, bob, 'yes')
    const reply = alice.ask<'message-cancel'>({ type: 'message-cancel', id: sent.id })
    expect(reply).toEqual({ ok: false, error: { type: 'wrong-state', state: 'delivered' } })
  })

  test('[Q24] a message at its end undelivered can be sent anew', () => {
    const { town, alice, bob } = friends()
    town.unlink(alice, bob)
    const { id } = sendText(town, alice, bob, 'again')
    unwrap(alice.ask<'message-cancel'>({ type: 'message-cancel', id }))
    unwrap(town.ask<'message-resend'>(alice, { type: 'message-resend', id }))
    town.link(alice, bob)
    expect(texts(bob, alice)).toEqual(['again'])
  })
})

describe('refusals', () => {
  test('[Q26] a text older than seven days and five minutes is refused, and its sender told', () => {
    const { town, alice, bob } = friends()
    town.unlink(alice, bob)
    sendText(town, alice, bob, 'old')
    // Bob's clock alone is far ahead.
    const ahead = { mono: town.clock.mono, wall: town.clock.wall + 7 * dayMs + 6 * minuteMs }
    Object.defineProperty(bob, 'clock', { value: ahead })
    town.link(alice, bob)
    expect(messagesOf(alice, bob)[0]).toMatchObject({ state: 'refused', reason: 'too-old' })
    expect(texts(bob, alice)).toEqual([])
  })
})

describe('links that break', () => {
  test('[Q20] everything that got no receipt goes out again when a new link stands', () => {
    const { town, alice, bob } = friends()
    town.drop = () => true
    for (const text of ['1', '2', '3']) sendText(town, alice, bob, text)
    town.unlink(alice, bob)
    expect(messagesOf(alice, bob).map(({ state, reason }) => [state, reason])).toEqual(
      ['1', '2', '3'].map(() => ['sent', 'no-mailbox']),
    )
    town.drop = () => false
    town.link(alice, bob)
    expect(texts(bob, alice)).toEqual(['1', '2', '3'])
  })

  test('[Q1] a link reported twice changes nothing', () => {
    const { town, alice, bob } = friends()
    alice.batch(linkUp(bob.party))
    sendText(town, alice, bob, 'still here')
    expect(texts(bob, alice)).toEqual(['still here'])
  })
})
