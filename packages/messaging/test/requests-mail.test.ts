import { describe, expect, test } from 'vitest'
import { contactOf, dropsOf, type Home, messagesOf, sendText, Town, texts, unwrap } from './fixture.ts'
import type { Mailbox } from './post-office.ts'

interface Scene {
  readonly town: Town
  readonly alice: Home
  readonly bob: Home
  readonly mailboxes: readonly Mailbox<Home>[]
}

/** A home comes online for a while, alone. */
function turn({ town }: Scene, home: Home): void {
  town.connect(home)
  town.pass(30_000)
  town.disconnect(home)
}

/** Bob has an invite of Alice that somebody else used up. The two are never online together. */
function withUsedInvite(note?: string): Scene {
  const town = new Town()
  const [alice, bob, carol] = [town.add('Alice'), town.add('Bob'), town.add('Carol')]
  const mailboxes = [town.office.addMailbox('first'), town.office.addMailbox('second')]
  for (const home of [alice, bob]) town.office.give(home, mailboxes)
  const scene = { town, alice, bob, mailboxes }
  turn(scene, alice)
  const { invite } = unwrap(town.ask<'invite-create'>(alice, { type: 'invite-create', addresses: [], uses: 1 }))
  unwrap(town.ask<'contact-add-invite'>(carol, { type: 'contact-add-invite', invite }))
  town.link(alice, carol)
  town.unlink(alice, carol)
  const more = note === undefined ? {} : { note }
  unwrap(town.ask<'contact-add-invite'>(bob, { type: 'contact-add-invite', invite, ...more }))
  return scene
}

describe('[Q83] [Q85] requests of people who are never online together', () => {
  test('a note and a text come, the person accepts, and all that waited goes through', () => {
    const scene = withUsedInvite('we met at the fair')
    const { town, alice, bob } = scene
    for (const text of ['one', 'two', 'three']) sendText(town, bob, alice, text)
    turn(scene, bob)
    turn(scene, alice)
    expect(contactOf(alice, bob)).toMatchObject({ state: 'request', name: 'Bob', note: 'we met at the fair' })
    unwrap(town.ask<'contact-accept'>(alice, { type: 'contact-accept', account: bob.account }))
    for (let round = 0; round < 4; round++) for (const home of [alice, bob]) turn(scene, home)
    expect(texts(alice, bob)).toEqual(['one', 'two', 'three'])
    expect(messagesOf(bob, alice).map(({ state }) => state)).toEqual(['delivered', 'delivered', 'delivered'])
    sendText(town, alice, bob, 'welcome')
    for (const home of [alice, bob]) turn(scene, home)
    expect(texts(bob, alice).at(-1)).toBe('welcome')
  })

  test('a first text that is too long for a request comes once it is accepted', () => {
    const scene = withUsedInvite()
    const { town, alice, bob } = scene
    const long = 'long '.repeat(1000)
    sendText(town, bob, alice, long)
    for (const home of [bob, alice]) turn(scene, home)
    expect(contactOf(alice, bob)).toMatchObject({ state: 'request', unreadCount: 0 })
    unwrap(town.ask<'contact-accept'>(alice, { type: 'contact-accept', account: bob.account }))
    for (let round = 0; round < 4; round++) for (const home of [alice, bob]) turn(scene, home)
    expect(texts(alice, bob)).toEqual([long])
  })

  test('who is blocked gets no answer and no token: what they leave is refused by the mailboxes', () => {
    const scene = withUsedInvite('let me in')
    const { town, alice, bob, mailboxes } = scene
    sendText(town, bob, alice, 'one')
    turn(scene, bob)
    turn(scene, alice)
    unwrap(town.ask<'contact-accept'>(alice, { type: 'contact-accept', account: bob.account }))
    for (let round = 0; round < 3; round++) for (const home of [alice, bob]) turn(scene, home)
    unwrap(town.ask<'contact-block'>(alice, { type: 'contact-block', account: bob.account, blocked: true }))
    for (let round = 0; round < 3; round++) turn(scene, alice)
    for (const mailbox of mailboxes) mailbox.strangersLeft = 0
    const before = mailboxes.map(({ boxes }) => [...boxes.values()].map(({ envelopes }) => envelopes.length))
    sendText(town, bob, alice, 'two')
    turn(scene, bob)
    expect(mailboxes.map(({ boxes }) => [...boxes.values()].map(({ envelopes }) => envelopes.length))).toEqual(before)
    expect(messagesOf(bob, alice).at(-1)?.state).toBe('queued')
    expect(texts(alice, bob)).toEqual(['one'])
  })
})

describe('[Q77] [Q79] mailboxes that do not do as they should, between friends', () => {
  function friends(): Scene {
    const scene = withUsedInvite('hello')
    const { town, alice, bob } = scene
    turn(scene, bob)
    turn(scene, alice)
    unwrap(town.ask<'contact-accept'>(alice, { type: 'contact-accept', account: bob.account }))
    for (let round = 0; round < 3; round++) for (const home of [alice, bob]) turn(scene, home)
    return scene
  }

  test('they bring everything again and again, backwards, cut and mixed up: nothing is lost, doubled or out of order', () => {
    const scene = friends()
    const { town, alice, bob, mailboxes } = scene
    const sent = Array.from({ length: 30 }, (_, index) => `message ${index}`)
    for (const [index, text] of sent.entries()) {
      sendText(town, bob, alice, text)
      if (index % 6 === 5) turn(scene, bob)
    }
    for (const mailbox of mailboxes) {
      for (const box of mailbox.boxes.values()) {
        const whole = box.envelopes
        const cut = whole.map((envelope) => ({ ...envelope, bytes: envelope.bytes.slice(0, -1) }))
        const others = [...mailbox.boxes.values()].flatMap(({ envelopes }) => envelopes)
        box.envelopes = [...cut, ...[...whole].reverse(), ...others, ...whole].map((envelope, id) => ({
          ...envelope,
          id,
        }))
      }
    }
    for (let round = 0; round < 3; round++) for (const home of [alice, bob]) turn(scene, home)
    expect(texts(alice, bob)).toEqual(sent)
    expect(messagesOf(bob, alice).every(({ state }) => state === 'delivered')).toBe(true)
    expect(dropsOf(alice)['repeated']).toBeGreaterThan(0)
  })

  test('one withholds all: the other is enough', () => {
    const scene = friends()
    const { town, alice, bob, mailboxes } = scene
    sendText(town, bob, alice, 'by two')
    turn(scene, bob)
    for (const box of mailboxes[0]?.boxes.values() ?? []) box.envelopes = []
    turn(scene, alice)
    expect(texts(alice, bob)).toEqual(['by two'])
  })
})
