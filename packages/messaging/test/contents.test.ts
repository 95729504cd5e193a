import { messageIdToBytes } from '@miaou/core'
import { type ContentBody, frameTypes } from '@miaou/protocol'
import { describe, expect, test } from 'vitest'
import {
  befriend,
  contactOf,
  dropsOf,
  type Home,
  messagesOf,
  sealAs,
  sendText,
  sentTypes,
  Town,
  texts,
  unwrap,
} from './fixture.ts'

const minuteMs = 60_000

/** Two contacts whose session both have used, so that either can be spoken for. */
function friends(): { town: Town; alice: Home; bob: Home } {
  const town = new Town()
  const [alice, bob] = [town.add('Alice'), town.add('Bob')]
  befriend(town, alice, bob)
  sendText(town, alice, bob, 'a')
  sendText(town, bob, alice, 'b')
  return { town, alice, bob }
}

/** Speaks for `from` with a body of one's own; the outputs of `to`. */
function say(town: Town, from: Home, to: Home, body: ContentBody, id = 9): ReturnType<Home['batch']> {
  const messageId = new Uint8Array(16).fill(id)
  return to.batch(sealAs(from, to, { messageId, sentAt: town.clock.wall, body }))
}

describe('refusals', () => {
  test('[Q21] the tenth refusal ends a message; the waits between grow', () => {
    const { town, alice, bob } = friends()
    town.drop = ({ from }) => from === alice
    const { id } = sendText(town, alice, bob, 'what is this')
    const refuse = (): void => {
      const messageIds = [messageIdToBytes(id)]
      say(town, bob, alice, { type: 'receipt', status: 'refused', reason: 'unsupported', messageIds })
    }
    for (let refusals = 1; refusals < 10; refusals++) {
      refuse()
      const [message] = messagesOf(alice, bob).slice(-1)
      expect(message).toMatchObject({ state: 'queued', reason: 'unsupported' })
      const waitMs = (message?.nextTryAt ?? 0) - town.clock.wall
      expect(waitMs).toBe(2 ** Math.min(refusals, 8) * minuteMs)
      town.pass(waitMs)
      expect(messagesOf(alice, bob).at(-1)?.state).toBe('sent')
    }
    refuse()
    expect(messagesOf(alice, bob).at(-1)).toMatchObject({ state: 'refused', reason: 'refused-too-often' })
  })

  test('[Q21] too old and blocked end it at once', () => {
    for (const reason of ['too-old', 'blocked'] as const) {
      const { town, alice, bob } = friends()
      town.drop = ({ from }) => from === alice
      const { id } = sendText(town, alice, bob, 'x')
      const messageIds = [messageIdToBytes(id)]
      say(town, bob, alice, { type: 'receipt', status: 'refused', reason, messageIds })
      expect(messagesOf(alice, bob).at(-1)).toMatchObject({ state: 'refused', reason })
    }
  })

  test('[Q22] a receipt after the end is believed; a refusal after delivery is not', () => {
    const { town, alice, bob } = friends()
    const delivered = sendText(town, alice, bob, 'one')
    say(town, bob, alice, {
      type: 'receipt',
      status: 'refused',
      reason: 'blocked',
      messageIds: [messageIdToBytes(delivered.id)],
    })
    expect(messagesOf(alice, bob).at(-1)?.state).toBe('delivered')
    town.drop = ({ from }) => from === bob
    const { id } = sendText(town, alice, bob, 'two')
    town.unlink(alice, bob)
    town.pass(8 * 24 * 60 * minuteMs)
    expect(messagesOf(alice, bob).at(-1)?.state).toBe('expired')
    town.drop = () => true
    town.link(alice, bob)
    say(town, bob, alice, { type: 'receipt', status: 'delivered', messageIds: [messageIdToBytes(id)] })
    expect(messagesOf(alice, bob).at(-1)).toMatchObject({ state: 'delivered' })
    expect(messagesOf(alice, bob).at(-1)?.reason).toBeUndefined()
  })
})

describe('contents', () => {
  test('[Q28] a kind that only a newer program knows is refused, not dropped in silence', () => {
    const { town, alice, bob } = friends()
    const outputs = say(town, bob, alice, { type: 'unknown', tag: 200 })
    expect(sentTypes(outputs)).toEqual([frameTypes.deliveryReceipt])
    expect(dropsOf(alice)).toMatchObject({ 'unknown-content': 1 })
  })

  test('[Q28] a content that is none is counted and changes nothing', () => {
    const { alice, bob } = friends()
    const outputs = alice.batch(sealAs(bob, alice, Uint8Array.of(1, 1, 5)))
    expect(outputs).toEqual([])
    expect(dropsOf(alice)).toMatchObject({ 'content-malformed': 1 })
  })

  test('[Q25] a text for which no receipt is asked gets none', () => {
    const { town, alice, bob } = friends()
    const outputs = say(town, bob, alice, { type: 'text', text: 'quiet', receiptRequested: false })
    expect(sentTypes(outputs)).toEqual([])
    expect(texts(alice, bob)).toContain('quiet')
  })

  test('[Q9] a flood of hellos that all say something new is cut to one in 10 s', () => {
    const { alice, bob } = friends()
    const hello = (name: string) =>
      sealAs(alice, bob, {
        messageId: new Uint8Array(16),
        sentAt: alice.clock.wall,
        body: { type: 'hello', name, hintKey: new Uint8Array(32), accepted: true },
      })
    const outputs = Array.from({ length: 30 }, (_, i) => bob.batch(hello(`Alice ${i}`))).flat()
    const count = outputs.filter(({ type }) => type === 'wanted').length
    // Eight at most: they said some when they met.
    expect(count).toBeGreaterThan(0)
    expect(count).toBeLessThan(8)
    expect(dropsOf(bob)['hello-rate']).toBe(30 - count)
    bob.clock.mono += 10_000
    expect(sentTypes(bob.batch(hello('Alice')))).toEqual([frameTypes.deliveryReceipt])
  })

  test('[Q27] receipts for messages nobody sent are nothing', () => {
    const { town, alice, bob } = friends()
    const messageIds = Array.from({ length: 512 }, (_, index) => new Uint8Array(16).fill(index))
    const outputs = say(town, bob, alice, { type: 'receipt', status: 'read', messageIds })
    expect(outputs).toEqual([])
  })

  test('[Q9] a hello of a contact renews name and hint key', () => {
    const { town, alice, bob } = friends()
    const hintKey = new Uint8Array(32).fill(5)
    const outputs = say(town, bob, alice, { type: 'hello', name: 'Bobby', hintKey, accepted: true })
    expect(contactOf(alice, bob)?.name).toBe('Bobby')
    const visibility = outputs.find(({ type }) => type === 'visibility')
    expect(visibility).toMatchObject({ recognise: [{ key: hintKey, peerId: bob.peerId }] })
  })
})

describe('people', () => {
  test('renamed, verified, with a safety number both see', () => {
    const { town, alice, bob } = friends()
    const account = bob.account
    const renamed = unwrap(alice.ask<'contact-rename'>({ type: 'contact-rename', account, name: 'Bobinette' }))
    expect(renamed.name).toBe('Bobinette')
    expect(unwrap(alice.ask<'contact-verify'>({ type: 'contact-verify', account, verified: true })).verified).toBe(true)
    const own = unwrap(alice.ask<'safety-number'>({ type: 'safety-number', account }))
    const theirs = unwrap(bob.ask<'safety-number'>({ type: 'safety-number', account: alice.account }))
    expect(own).toEqual({ safetyNumber: theirs.safetyNumber, verified: true })
    unwrap(town.ask<'rename-self'>(bob, { type: 'rename-self', name: ' Robert ' }))
    expect(contactOf(alice, bob)?.name).toBe('Bobinette')
    unwrap(alice.ask<'contact-rename'>({ type: 'contact-rename', account, name: '' }))
    expect(contactOf(alice, bob)?.name).toBe('Robert')
    const bad = bob.ask<'rename-self'>({ type: 'rename-self', name: 'a\nb' })
    expect(bad).toEqual({ ok: false, error: { type: 'bad-name', sizeMax: 64 } })
    expect(unwrap(bob.ask<'identity'>({ type: 'identity' }))).toEqual({
      account: bob.account,
      peerId: bob.peerId,
      name: 'Robert',
    })
  })

  test('nobody by that name', () => {
    const home = new Town().add('Alice')
    const account = 'z6Mkfake' as never
    const reply = home.ask<'message-send'>({ type: 'message-send', account, text: 'x' })
    expect(reply).toEqual({ ok: false, error: { type: 'unknown-contact', account } })
  })
})
