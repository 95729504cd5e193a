import { defaultSettings } from '@miaou/messaging'
import fc from 'fast-check'
import { beforeAll, describe, expect, test } from 'vitest'
import { befriend, type Home, sendText, Town, unwrap } from './fixture.ts'

const town = new Town()
const alice = town.add('Alice')
const bob = town.add('Bob')
const carol = town.add('Carol')

const written = [
  'Bonjour, comment ça va ?',
  'The naïve café owner said: "hello world"',
  'hello there, world',
  'НЕ ПАНИКУЙ',
  'O\'Reilly AND NOT (NEAR) col:umn ^start "quoted" *',
  '日本語 テキスト',
  'emoji 👍 only',
]

function search(home: Home, query: string, other?: Home): string[] | string {
  const reply = home.ask<'messages-search'>({
    type: 'messages-search',
    query,
    ...(other && { account: other.account }),
  })
  return reply.ok ? reply.value.map(({ text }) => text) : reply.error.type
}

beforeAll(() => {
  befriend(town, alice, bob)
  befriend(town, alice, carol)
  for (const text of written) sendText(town, alice, bob, text)
  sendText(town, carol, alice, 'hello from Carol')
})

describe('search', () => {
  test('[Q32] words in any order, without case and diacritics, the last unfinished', () => {
    expect(search(alice, 'NAIVE cafe')).toEqual([written[1]])
    expect(search(alice, 'world hello')).toEqual([written[2], written[1]])
    expect(search(alice, 'hel')).toEqual(['hello from Carol', written[2], written[1]])
    expect(search(alice, 'hel ')).toEqual([])
    expect(search(alice, 'паник')).toEqual([written[3]])
    expect(search(alice, 'comment ca')).toEqual([written[0]])
  })

  test('[Q32] a phrase between quotes', () => {
    expect(search(alice, '"hello world"')).toEqual([written[1]])
    expect(search(alice, '"hello wor')).toEqual([written[2], written[1]])
  })

  test('[Q32] within one conversation', () => {
    expect(search(alice, 'hello', carol)).toEqual(['hello from Carol'])
    expect(search(alice, 'hello', bob)).toEqual([written[2], written[1]])
    expect(search(bob, 'hello', alice)).toEqual([written[2], written[1]])
  })

  test('[Q32] FTS5 syntax is nothing but text', () => {
    expect(search(alice, 'AND NOT')).toEqual([written[4]])
    expect(search(alice, 'col:umn')).toEqual([written[4]])
    expect(search(alice, '(NEAR)')).toEqual([written[4]])
    for (const query of ['', '  ', '"', '""', '*', '^', '(', "'", '👍', 'x'.repeat(257), 'a '.repeat(17)]) {
      expect(search(alice, query)).toBe('bad-query')
    }
  })

  test('[Q32] no text a person types breaks it', () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.string({ unit: 'grapheme' }), fc.string({ unit: fc.constantFrom(...'"*^(){}:-+ aNEARéor\0\'\\') })),
        (query) => {
          const found = search(alice, query)
          return Array.isArray(found) || found === 'bad-query'
        },
      ),
      { numRuns: 500 },
    )
  })
})

describe('history', () => {
  test('[Q31] by position, forth and back', () => {
    const all = unwrap(alice.ask<'messages-list'>({ type: 'messages-list', account: bob.account }))
    expect(all.map(({ text }) => text)).toEqual(written)
    const list = (options: object): (string | undefined)[] =>
      unwrap(alice.ask<'messages-list'>({ type: 'messages-list', account: bob.account, ...options })).map(
        ({ text }) => text,
      )
    const [first, , third] = all
    expect(list({ limit: 2 })).toEqual(written.slice(-2))
    expect(list({ limit: 2, before: third?.position })).toEqual(written.slice(0, 2))
    expect(list({ limit: 2, after: first?.position })).toEqual(written.slice(1, 3))
    expect(list({ limit: 0 })).toHaveLength(1)
    const everyone = unwrap(alice.ask<'messages-list'>({ type: 'messages-list', limit: 1 }))
    expect(everyone[0]?.text).toBe('hello from Carol')
  })

  test('[Q29] history at its bound: the oldest go, and are found no more', () => {
    const small = new Town()
    const dave = small.add('Dave', { historyMax: 10 })
    const erin = small.add('Erin')
    befriend(small, dave, erin)
    for (let index = 0; index < 25; index++) sendText(small, erin, dave, `word${index}`)
    const kept = unwrap(dave.ask<'messages-list'>({ type: 'messages-list', account: erin.account, limit: 200 }))
    expect(kept.length).toBeLessThanOrEqual(10)
    expect(kept.at(-1)?.text).toBe('word24')
    expect(search(dave, 'word0')).toEqual([])
    const [contact] = unwrap(dave.ask<'contacts-list'>({ type: 'contacts-list' }))
    expect(contact?.unreadCount).toBe(kept.length)
  })

  test("an id that is none, or nobody's", () => {
    for (const id of ['x', '0'.repeat(32)]) {
      const reply = alice.ask<'message-get'>({ type: 'message-get', id: id as never })
      expect(reply).toEqual({ ok: false, error: { type: 'unknown-message', id } })
    }
  })
})

describe('events', () => {
  test('[Q33] resumed from a cursor, also over a restart', () => {
    const small = new Town()
    const [dave, erin] = [small.add('Dave'), small.add('Erin')]
    befriend(small, dave, erin)
    const cursor = dave.events.at(-1)?.cursor ?? 0
    sendText(small, erin, dave, 'one')
    sendText(small, erin, dave, 'two')
    dave.restart()
    const { events, newest } = unwrap(dave.ask<'events-since'>({ type: 'events-since', cursor, limit: 100 }))
    expect(events).toEqual(dave.events.filter((stored) => stored.cursor > cursor))
    expect(newest).toBe(cursor + 2)
    small.unlink(dave, erin)
    small.link(dave, erin)
    sendText(small, erin, dave, 'three')
    expect(dave.events.at(-1)?.cursor).toBe(cursor + 3)
  })

  test('[Q33] a cursor that is too old is told so', () => {
    const small = new Town()
    const dave = small.add('Dave', { eventsMax: 5 })
    const erin = small.add('Erin')
    befriend(small, dave, erin)
    for (let index = 0; index < 30; index++) sendText(small, erin, dave, `${index}`)
    const reply = dave.ask<'events-since'>({ type: 'events-since', cursor: 0, limit: 100 })
    expect(reply.ok ? undefined : reply.error.type).toBe('cursor-expired')
    const newest = dave.events.at(-1)?.cursor ?? 0
    expect(
      unwrap(dave.ask<'events-since'>({ type: 'events-since', cursor: newest - 5, limit: 100 })).events,
    ).toHaveLength(5)
    expect(dave.store.get('SELECT count(*) AS count FROM events')).toEqual({ count: expect.any(Number) })
    expect(Number(dave.store.get('SELECT count(*) AS count FROM events')?.['count'])).toBeLessThan(10)
  })

  test('[Q33] a cursor of a later life, after the disk was restored from a copy, is told so', () => {
    const small = new Town()
    const [dave, erin] = [small.add('Dave'), small.add('Erin')]
    befriend(small, dave, erin)
    const since = (cursor: number) => dave.ask<'events-since'>({ type: 'events-since', cursor, limit: 100 })
    const newest = dave.events.at(-1)?.cursor ?? 0
    const ahead = since(newest + 1)
    expect(ahead.ok ? undefined : ahead.error.type).toBe('cursor-expired')
    expect(unwrap(since(newest))).toEqual({ events: [], newest })
    // From now on.
    expect(unwrap(since(Number.MAX_SAFE_INTEGER))).toEqual({ events: [], newest })
  })

  test('settings are kept and told', () => {
    const home = new Town().add('Dave')
    const settings = unwrap(
      home.ask<'settings-set'>({ type: 'settings-set', settings: { typing: false, discoverable: 'off' } }),
    )
    expect(settings).toEqual({ ...defaultSettings, typing: false, discoverable: 'off', jitterMs: 0 })
    expect(home.last.map(({ type }) => type)).toEqual(['event', 'reply', 'start', 'wanted', 'visibility'])
    home.restart()
    expect(unwrap(home.ask<'settings-get'>({ type: 'settings-get' }))).toEqual(settings)
  })
})
