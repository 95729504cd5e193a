import { signDeviceCertificate } from '@miaou/protocol'
import { describe, expect, test } from 'vitest'
import { copyOf, swap } from './copies.ts'
import {
  befriend,
  contactOf,
  crypto,
  type Home,
  messagesOf,
  type Party,
  seededRandom,
  sendText,
  startWall,
  Town,
  texts,
  unwrap,
} from './fixture.ts'

const hourMs = 3_600_000

/** Two who know each other, whose devices are never linked again, each with two mailboxes. */
function penFriends(): { town: Town; alice: Home; bob: Home } {
  const town = new Town()
  const [alice, bob] = [town.add('Alice'), town.add('Bob')]
  const mailboxes = ['one', 'two'].map((name) => town.office.addMailbox(name))
  for (const home of [alice, bob]) town.office.give(home, mailboxes)
  befriend(town, alice, bob)
  for (const home of [alice, bob]) town.connect(home)
  town.pass(hourMs)
  town.unlink(alice, bob)
  town.pass(hourMs)
  return { town, alice, bob }
}

function notices(home: Home): string[] {
  return home.events.flatMap(({ event }) => (event.type === 'notice' ? [event.notice] : []))
}

function loseSessions(town: Town, home: Home): void {
  town.disconnect(home)
  home.store.transaction(() => home.store.run('DELETE FROM sessions'))
  home.restart()
  town.connect(home)
}

function expectBoth(alice: Home, bob: Home, words: readonly string[]): void {
  const wanted = words.flatMap((word) => [`a ${word}`, `b ${word}`]).sort()
  expect(texts(alice, bob).sort()).toEqual(wanted)
  expect(texts(bob, alice).sort()).toEqual(wanted)
  for (const [home, other] of [
    [alice, bob],
    [bob, alice],
  ] as const) {
    expect(messagesOf(home, other).every(({ state }) => state === 'delivered')).toBe(true)
  }
}

function write(town: Town, alice: Home, bob: Home, word: string): void {
  sendText(town, alice, bob, `a ${word}`)
  sendText(town, bob, alice, `b ${word}`)
  town.pass(6 * hourMs)
}

describe('by mailboxes', () => {
  test('[Q66] sessions lost on either side are made anew, nothing is lost, a quiet line at most once an hour', () => {
    const { town, alice, bob } = penFriends()
    write(town, alice, bob, '1')
    loseSessions(town, bob)
    write(town, alice, bob, '2')
    loseSessions(town, alice)
    write(town, alice, bob, '3')
    expectBoth(alice, bob, ['1', '2', '3'])
    for (const home of [alice, bob]) {
      const at = home.events.flatMap(({ at: wall, event }) =>
        event.type === 'notice' && event.notice === 'session-renewed' ? [wall] : [],
      )
      expect(at.length).toBeGreaterThanOrEqual(1)
      // A heal may take hours by mailboxes: one line an hour at most.
      for (const [index, wall] of at.slice(1).entries()) expect(wall - (at[index] ?? 0)).toBeGreaterThanOrEqual(hourMs)
      expect(at.length).toBeLessThanOrEqual(4)
    }
  })

  test('[Q16] both start at once, by mailboxes alone: every text arrives once, and both send in one session', () => {
    const { town, alice, bob } = penFriends()
    for (const home of [alice, bob]) {
      town.disconnect(home)
      home.store.transaction(() => home.store.run('DELETE FROM sessions'))
      home.restart()
    }
    // Each starts a session before it hears of the other's.
    for (const [home, other] of [
      [alice, bob],
      [bob, alice],
    ] as const) {
      town.connect(home)
      sendText(town, home, other, home === alice ? 'a 1' : 'b 1')
      town.pass(120_000)
      town.disconnect(home)
    }
    for (const home of [alice, bob]) town.connect(home)
    town.pass(hourMs)
    for (const word of ['2', '3']) write(town, alice, bob, word)
    expectBoth(alice, bob, ['1', '2', '3'])
    const [ofAlice, ofBob] = [alice, bob].map(
      ({ store }) => store.get('SELECT id FROM sessions ORDER BY generation DESC, confirmed DESC, id LIMIT 1')?.['id'],
    )
    expect(ofAlice).toEqual(ofBob)
  })

  test('[Q61] an older start that was on its way while the device started again is no copy', () => {
    const { town, alice, bob } = penFriends()
    town.disconnect(bob)
    // A hello of this start, to be read after the next start is known.
    unwrap(town.ask<'rename-self'>(alice, { type: 'rename-self', name: 'Alicia' }))
    town.pass(hourMs)
    town.disconnect(alice)
    alice.restart()
    town.link(alice, bob)
    town.unlink(alice, bob)
    for (const home of [alice, bob]) town.connect(home)
    write(town, alice, bob, '1')
    expect([...notices(alice), ...notices(bob)]).toEqual([])
    expectBoth(alice, bob, ['1'])
  })

  test('[Q61] [Q62] a home restored from a snapshot is found out without any link, and talk goes on', () => {
    const { town, alice, bob } = penFriends()
    write(town, alice, bob, '1')
    const snapshot = copyOf(alice, 2)
    alice.restart()
    write(town, alice, bob, '2')
    // Bob hears of this start.
    unwrap(town.ask<'rename-self'>(alice, { type: 'rename-self', name: 'Alicia' }))
    town.pass(hourMs)
    town.disconnect(alice)
    swap(town, alice, snapshot)
    snapshot.restart()
    town.office.give(snapshot, town.office.mailboxes)
    town.connect(snapshot)
    unwrap(town.ask<'rename-self'>(snapshot, { type: 'rename-self', name: 'Alice' }))
    for (const word of ['3', '4']) write(town, snapshot, bob, word)
    expect(notices(bob)).toContain('contact-restored')
    expect(notices(snapshot)).toContain('copy-detected')
    expect(texts(bob, snapshot)).toEqual(expect.arrayContaining(['a 3', 'a 4']))
    expect(texts(snapshot, bob)).toEqual(expect.arrayContaining(['b 3', 'b 4']))
  })

  test('[Q63] a session key that changed shows by mail too: nothing leaves before trust, nothing is lost after', () => {
    const { town, alice, bob } = penFriends()
    write(town, alice, bob, '1')
    town.disconnect(bob)
    const fresh = copyOf(bob, 2, withSessionKey(bob.party))
    fresh.store.transaction(() => fresh.store.run('DELETE FROM sessions'))
    swap(town, bob, fresh)
    town.office.give(fresh, town.office.mailboxes)
    town.connect(fresh)
    // Alice needs a bundle, as its session there is gone.
    alice.store.transaction(() => alice.store.run('DELETE FROM sessions'))
    alice.restart()
    town.connect(alice)
    sendText(town, alice, fresh, 'not yet')
    town.pass(6 * hourMs)
    expect(contactOf(alice, fresh)).toMatchObject({ changed: 'session-key' })
    expect(notices(alice)).toContain('session-key-changed')
    const since = town.office.deposits.length
    sendText(town, alice, fresh, 'nor this')
    town.pass(6 * hourMs)
    expect(town.office.deposits.slice(since).filter(({ from }) => from === alice)).toEqual([])
    expect(messagesOf(alice, fresh).at(-1)).toMatchObject({ state: 'queued', reason: 'key-changed' })
    unwrap(town.ask<'contact-trust'>(alice, { type: 'contact-trust', account: bob.account }))
    town.pass(6 * hourMs)
    expect(texts(fresh, alice)).toEqual(['a 1', 'b 1', 'not yet', 'nor this'])
    expect(messagesOf(alice, fresh).every(({ state }) => state === 'delivered')).toBe(true)
  })
})

function withSessionKey(party: Party): Party {
  const random = seededRandom('a new session key')
  const { accountKey, deviceKey } = party.identity
  const sessionKey = crypto.x25519KeyPair(random.bytes(32))
  const certificate = signDeviceCertificate(crypto, deviceKey.secretKey, {
    accountKey,
    linkKey: crypto.x25519KeyPair(random.bytes(32)).publicKey,
    sessionKey: sessionKey.publicKey,
    createdAt: startWall,
  })
  return { ...party, identity: { ...party.identity, sessionKey, certificate } }
}
