import { frameTypes } from '@miaou/protocol'
import { describe, expect, test } from 'vitest'
import {
  addEachOther,
  befriend,
  dropsOf,
  type Home,
  linkUp,
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

function count(home: Home, table: string): unknown {
  return home.store.get(`SELECT count(*) AS count FROM ${table}`)?.['count']
}

function renewals(home: Home): number {
  return home.events.filter(({ event }) => event.type === 'notice' && event.notice === 'session-renewed').length
}

function loseSessions(home: Home): void {
  home.store.transaction(() => home.store.run('DELETE FROM sessions'))
  home.restart()
}

describe('sessions', () => {
  test('[Q14] no session: a query first, then the hello and the texts in one session', () => {
    const town = new Town()
    const [alice, bob] = [town.add('Alice'), town.add('Bob')]
    befriend(town, alice, bob)
    const types = town.sent.filter(({ from }) => from === bob).map(({ frameType }) => frameType)
    expect(types.slice(0, 3)).toEqual([frameTypes.peerAnnouncement, frameTypes.peerQuery, frameTypes.status])
    expect(types[3]).toBe(frameTypes.directMessage)
    expect([count(alice, 'sessions'), count(bob, 'sessions')]).toEqual([1, 1])
    // The one-time keys of the bundle were used up.
    expect(alice.store.get('SELECT count(*) AS count FROM prekeys WHERE kind IN (2, 3)')).toEqual({ count: 0 })
  })

  test('[Q14] an unanswered query is asked again, with growing waits', () => {
    const town = new Town()
    const [alice, bob] = [town.add('Alice'), town.add('Bob')]
    const times: number[] = []
    const startedAt = town.clock.mono
    town.drop = ({ frameType }) => {
      if (frameType === frameTypes.peerQuery) times.push(town.clock.mono - startedAt)
      return frameType === frameTypes.peerQuery
    }
    befriend(town, alice, bob)
    town.pass(15_000)
    expect(times).toEqual([0, 2000, 6000, 14_000])
  })

  test('[Q14] bundles are rate-limited a device, and only for who has shown a device list', () => {
    const { alice, bob } = friends()
    const query = { type: 'frame', peerId: bob.peerId, frameType: frameTypes.peerQuery } as const
    const answers = Array.from({ length: 12 }, (_, requestId) => {
      const payload = Uint8Array.of(0, 0, 0, requestId, 1)
      const [answer] = alice.batch({ ...query, payload })
      return answer?.type === 'send' ? answer.payload.length > 100 : undefined
    })
    expect(answers.filter((isBundle) => isBundle)).toHaveLength(7)
    expect(dropsOf(alice)).toMatchObject({ 'bundle-rate': 5 })
    const fresh = new Town().add('Carol')
    fresh.batch(linkUp(bob.party))
    const [refused] = fresh.batch({ ...query, payload: Uint8Array.of(0, 0, 0, 1, 1) })
    expect(refused).toMatchObject({ frameType: frameTypes.peerResponse, payload: Uint8Array.of(0, 0, 0, 1, 0) })
    expect(dropsOf(fresh)).toEqual({ unannounced: 1 })
  })

  test('[Q14] with its one-time keys given out a device still answers, without any', () => {
    const town = new Town()
    const alice = town.add('Alice', { oneTimePrekeysMax: 2, bundlesBurst: 100 })
    const bob = town.add('Bob')
    town.link(alice, bob)
    const sizes = [1, 2].map((requestId) => {
      const payload = Uint8Array.of(0, 0, 0, requestId, 1)
      const [answer] = alice.batch({ type: 'frame', peerId: bob.peerId, frameType: frameTypes.peerQuery, payload })
      return answer?.type === 'send' ? answer.payload.length : 0
    })
    expect((sizes[0] ?? 0) - (sizes[1] ?? 0)).toBe(36)
    expect(alice.store.get('SELECT count(*) AS count FROM prekeys WHERE kind IN (2, 3)')).toEqual({ count: 2 })
    addEachOther(town, bob, alice)
    sendText(town, bob, alice, 'works')
    expect(texts(alice, bob)).toEqual(['works'])
    expect(count(alice, 'session_starts')).toBe(1)
  })

  test('[Q16] both sides start at once: every text arrives once and both send in one session', () => {
    const town = new Town()
    const [alice, bob] = [town.add('Alice'), town.add('Bob')]
    town.link(alice, bob)
    // Both add the other before either hears of it.
    unwrap(alice.ask<'contact-add-peer'>({ type: 'contact-add-peer', peerId: bob.peerId }))
    const fromAlice = alice.last
    unwrap(bob.ask<'contact-add-peer'>({ type: 'contact-add-peer', peerId: alice.peerId }))
    const fromBob = bob.last
    town.carry(alice, fromAlice)
    town.carry(bob, fromBob)
    for (let turn = 0; turn < 3; turn++) {
      sendText(town, alice, bob, `a${turn}`)
      sendText(town, bob, alice, `b${turn}`)
    }
    expect(texts(alice, bob)).toEqual(['a0', 'b0', 'a1', 'b1', 'a2', 'b2'])
    expect(texts(bob, alice)).toEqual(['a0', 'b0', 'a1', 'b1', 'a2', 'b2'])
  })

  test('[Q17] a recipient that lost its sessions: a new one is started, nothing queued is lost', () => {
    const { town, alice, bob } = friends()
    sendText(town, alice, bob, 'before')
    town.unlink(alice, bob)
    loseSessions(bob)
    town.link(alice, bob)
    for (const text of ['1', '2', '3']) sendText(town, alice, bob, text)
    town.pass(30_000)
    expect(texts(bob, alice)).toEqual(['before', '1', '2', '3'])
    expect(messagesOf(alice, bob).every(({ state }) => state === 'delivered')).toBe(true)
  })

  test('[Q17] a sender that lost its sessions starts anew', () => {
    const { town, alice, bob } = friends()
    sendText(town, alice, bob, 'before')
    town.unlink(alice, bob)
    loseSessions(alice)
    town.link(alice, bob)
    sendText(town, alice, bob, 'after')
    sendText(town, bob, alice, 'answer')
    town.pass(30_000)
    expect(texts(bob, alice)).toEqual(['before', 'after', 'answer'])
    expect(texts(alice, bob)).toEqual(['before', 'after', 'answer'])
  })

  test('[Q17] both lost them, and one more than once: still it ends well', () => {
    const { town, alice, bob } = friends()
    for (let turn = 0; turn < 4; turn++) {
      town.unlink(alice, bob)
      loseSessions(turn % 2 === 0 ? alice : bob)
      town.link(alice, bob)
      sendText(town, alice, bob, `a${turn}`)
      sendText(town, bob, alice, `b${turn}`)
      town.pass(60_000)
    }
    expect(texts(bob, alice).sort()).toEqual(['a0', 'a1', 'a2', 'a3', 'b0', 'b1', 'b2', 'b3'])
    expect(texts(alice, bob).sort()).toEqual(['a0', 'a1', 'a2', 'a3', 'b0', 'b1', 'b2', 'b3'])
    expect(Number(count(alice, 'sessions'))).toBeLessThanOrEqual(8)
  })

  test('[Q17] envelopes that do not decrypt cost new sessions at a bounded rate', () => {
    const { town, alice, bob } = friends()
    sendText(town, alice, bob, 'one')
    town.drop = () => true
    let queries = 0
    for (let turn = 0; turn < 50; turn++) {
      // A sound envelope of a session nobody has: kind 2, session id, an empty message, no extensions.
      const payload = new Uint8Array(2 + 1 + 16 + 4 + 2)
      payload.set([1, 1, 2])
      const outputs = bob.batch({ type: 'frame', peerId: alice.peerId, frameType: frameTypes.directMessage, payload })
      queries += sentTypes(outputs).filter((type) => type === frameTypes.peerQuery).length
    }
    expect(queries).toBe(1)
    expect(dropsOf(bob)).toMatchObject({ 'unknown-session': 50 })
  })

  test('[Q66] a first session, and two that start at once, are no news', () => {
    const town = new Town()
    const [alice, bob] = [town.add('Alice'), town.add('Bob')]
    town.link(alice, bob)
    unwrap(alice.ask<'contact-add-peer'>({ type: 'contact-add-peer', peerId: bob.peerId }))
    const fromAlice = alice.last
    unwrap(bob.ask<'contact-add-peer'>({ type: 'contact-add-peer', peerId: alice.peerId }))
    const fromBob = bob.last
    town.carry(alice, fromAlice)
    town.carry(bob, fromBob)
    sendText(town, alice, bob, 'a')
    sendText(town, bob, alice, 'b')
    town.pass(60_000)
    expect([renewals(alice), renewals(bob)]).toEqual([0, 0])
  })

  test.each([
    ['the one who writes', true, false],
    ['the one who is written to', false, true],
    ['both', true, true],
  ] as const)(
    '[Q66] lost by %s: healed, with one quiet line at either side, however often within an hour',
    (_, atAlice, atBob) => {
      const { town, alice, bob } = friends()
      const lose = (word: string): void => {
        town.unlink(alice, bob)
        if (atAlice) loseSessions(alice)
        if (atBob) loseSessions(bob)
        town.link(alice, bob)
        sendText(town, alice, bob, `a ${word}`)
        sendText(town, bob, alice, `b ${word}`)
        town.pass(60_000)
      }
      lose('1')
      expect([renewals(alice), renewals(bob)]).toEqual([1, 1])
      lose('2')
      expect([renewals(alice), renewals(bob)]).toEqual([1, 1])
      town.pass(3_600_000)
      lose('3')
      expect([renewals(alice), renewals(bob)]).toEqual([2, 2])
      for (const [home, other] of [
        [alice, bob],
        [bob, alice],
      ] as const) {
        expect(texts(home, other).sort()).toEqual(['a 1', 'a 2', 'a 3', 'b 1', 'b 2', 'b 3'])
        expect(messagesOf(home, other).every(({ state }) => state === 'delivered')).toBe(true)
      }
    },
  )

  test('[Q67] the start of a session that is gone, replayed, opens nothing and is no reason for a new one', () => {
    const { town, alice, bob } = friends()
    const first = town.sent.find(({ from, frameType }) => from === bob && frameType === frameTypes.directMessage)
    sendText(town, alice, bob, 'one')
    loseSessions(alice)
    town.link(alice, bob)
    town.pass(60_000)
    const sessions = count(alice, 'sessions')
    let queries = 0
    for (let turn = 0; turn < 5; turn++) {
      // Bytes seen are known for a while; the start of a session for as long as its keys live.
      if (turn === 1) alice.store.transaction(() => alice.store.run('DELETE FROM seen_messages'))
      const payload = first?.payload ?? new Uint8Array()
      const outputs = alice.batch({ type: 'frame', peerId: bob.peerId, frameType: frameTypes.directMessage, payload })
      queries += sentTypes(outputs).filter((type) => type === frameTypes.peerQuery).length
    }
    expect(queries).toBe(0)
    expect(count(alice, 'sessions')).toBe(sessions)
    expect(dropsOf(alice)).toMatchObject({ repeated: 4, 'session-replayed': 1 })
  })
})
