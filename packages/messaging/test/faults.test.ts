import { type SqlValue, type Store, StoreFailure } from '@miaou/messaging'
import { type FrameType, frameTypes } from '@miaou/protocol'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  befriend,
  createParty,
  Home,
  linkUp,
  messagesOf,
  openMemoryStore,
  seededRandom,
  sendText,
  sentTypes,
  Town,
  texts,
  unwrap,
} from './fixture.ts'

const minuteMs = 60_000
const dayMs = 24 * 60 * minuteMs

function friends(): { town: Town; alice: Home; bob: Home } {
  const town = new Town()
  const [alice, bob] = [town.add('Alice'), town.add('Bob')]
  befriend(town, alice, bob)
  return { town, alice, bob }
}

describe('clocks', () => {
  test('[Q4] a clock that goes back a day holds nothing back', () => {
    const { town, alice, bob } = friends()
    town.drop = ({ from }) => from === alice
    sendText(town, alice, bob, 'lost at first')
    town.pass(20_000)
    const before = messagesOf(alice, bob)[0]?.nextTryAt ?? 0
    town.clock.wall -= dayMs
    town.drop = () => false
    const after = messagesOf(alice, bob)[0]?.nextTryAt ?? 0
    expect(after).toBeLessThanOrEqual(before - dayMs)
    town.pass(300 * minuteMs)
    expect(texts(bob, alice)).toEqual(['lost at first'])
  })

  test('[Q4] deadlines written by a clock that was ahead are drawn in at the next start', () => {
    const { town, alice, bob } = friends()
    town.unlink(alice, bob)
    town.clock.wall += dayMs
    sendText(town, alice, bob, 'from the future')
    town.clock.wall -= dayMs
    alice.restart()
    alice.batch({ type: 'wake' })
    expect(messagesOf(alice, bob)[0]?.expiresAt).toBe(town.clock.wall + 7 * dayMs)
    town.link(alice, bob)
    expect(texts(bob, alice)).toEqual(['from the future'])
  })

  test('[Q4] a clock that goes back while it runs loses no message', () => {
    const { town, alice, bob } = friends()
    town.unlink(alice, bob)
    sendText(town, alice, bob, 'kept')
    town.clock.wall -= dayMs
    town.pass(6 * dayMs)
    expect(messagesOf(alice, bob)[0]?.state).toBe('queued')
    town.link(alice, bob)
    expect(texts(bob, alice)).toEqual(['kept'])
  })

  test('[Q4] a machine that slept through the expiry notices it', () => {
    const { town, alice, bob } = friends()
    town.unlink(alice, bob)
    sendText(town, alice, bob, 'slept')
    town.clock.wall += 8 * dayMs
    alice.batch({ type: 'wake' })
    alice.batch({ type: 'wake' })
    expect(messagesOf(alice, bob)[0]?.state).toBe('expired')
  })

  test('an early or repeated wake changes nothing', () => {
    const { town, alice, bob } = friends()
    town.drop = () => true
    sendText(town, alice, bob, 'x')
    alice.batch({ type: 'wake' })
    const deadline = alice.engine.deadline()
    for (let turn = 0; turn < 3; turn++) expect(alice.batch({ type: 'wake' })).toEqual([])
    expect(alice.engine.deadline()).toBe(deadline)
  })
})

/** A store whose disk is full as long as `isFull` says so. */
function fillable(store: Store): { store: Store; full: (isFull: boolean) => void } {
  let isFull = false
  return {
    full: (value) => {
      isFull = value
    },
    store: {
      run: (sql: string, parameters?: readonly SqlValue[]) => {
        if (isFull) throw new StoreFailure('full', 'disk full')
        return store.run(sql, parameters)
      },
      get: (sql, parameters) => store.get(sql, parameters),
      all: (sql, parameters) => store.all(sql, parameters),
      script: (sql) => store.script(sql),
      transaction: (body) => store.transaction(body),
      close: () => store.close(),
    },
  }
}

describe('disks', () => {
  test('[Q2] a full disk: no receipt, nothing shown, and all comes through once there is room', () => {
    const town = new Town()
    const alice = town.add('Alice')
    const { store, full } = fillable(openMemoryStore())
    const bob = new Home(createParty('Bob'), town.clock, { store })
    town.homes.push(bob)
    befriend(town, alice, bob)
    const batch = bob.batch.bind(bob)
    bob.batch = (...inputs) => {
      try {
        return batch(...inputs)
      } catch (thrown) {
        if (!(thrown instanceof StoreFailure)) throw thrown
        bob.engine.rollback()
        return []
      }
    }
    full(true)
    for (const text of ['1', '2', '3']) sendText(town, alice, bob, text)
    town.pass(60_000)
    expect(messagesOf(alice, bob).map(({ state }) => state)).toEqual(['sent', 'sent', 'sent'])
    full(false)
    town.pass(20 * minuteMs)
    expect(texts(bob, alice)).toEqual(['1', '2', '3'])
    expect(messagesOf(alice, bob).map(({ state }) => state)).toEqual(['delivered', 'delivered', 'delivered'])
  })

  test('[Q2] after a failed transaction the links are greeted again, a second later', () => {
    const { alice, bob } = friends()
    alice.engine.rollback()
    expect(alice.engine.deadline()).toBe(alice.clock.mono + 1000)
    const outputs = alice.batch({ type: 'wake' })
    expect(sentTypes(outputs)).toEqual([frameTypes.peerAnnouncement, frameTypes.status])
    expect(bob.peerId).toBeDefined()
  })
})

describe('hostile input', () => {
  const types: readonly FrameType[] = [
    frameTypes.peerAnnouncement,
    frameTypes.peerQuery,
    frameTypes.peerResponse,
    frameTypes.directMessage,
    frameTypes.deliveryReceipt,
    frameTypes.status,
    frameTypes.typing,
    frameTypes.signal,
  ]

  test('no bytes of a linked device throw, and none grow the tables', () => {
    const { town, alice, bob } = friends()
    sendText(town, bob, alice, 'before')
    const genuine = town.sent.filter(({ from }) => from === bob)
    const rows = (): unknown =>
      alice.store.get('SELECT (SELECT count(*) FROM messages) + (SELECT count(*) FROM contacts) AS n')
    const before = rows()
    fc.assert(
      fc.property(
        fc.constantFrom(...types),
        fc.oneof(
          fc.uint8Array({ maxLength: 300 }),
          fc.tuple(fc.nat(genuine.length - 1), fc.nat(), fc.nat(255)).map(([index, at, value]) => {
            const bytes = genuine[index]?.payload.slice() ?? new Uint8Array(1)
            if (bytes.length > 0) bytes[at % bytes.length] = value
            return bytes
          }),
          fc.tuple(fc.nat(genuine.length - 1), fc.nat()).map(([index, size]) => {
            const bytes = genuine[index]?.payload ?? new Uint8Array(1)
            return bytes.slice(0, size % (bytes.length + 1))
          }),
        ),
        (frameType, payload) => {
          alice.batch({ type: 'frame', peerId: bob.peerId, frameType, payload })
          town.clock.mono += 1000
          town.clock.wall += 1000
        },
      ),
      { numRuns: 400 },
    )
    expect(rows()).toEqual(before)
    town.unlink(alice, bob)
    town.link(alice, bob)
    sendText(town, bob, alice, 'after')
    town.pass(30 * minuteMs)
    expect(texts(alice, bob)).toEqual(['before', 'after'])
  })

  test('replayed frames, in any order, show nothing twice', () => {
    const { town, alice, bob } = friends()
    for (const text of ['1', '2', '3', '4', '5']) sendText(town, bob, alice, text)
    const frames = town.sent.filter(({ from }) => from === bob)
    const random = seededRandom('replay')
    for (let turn = 0; turn < 200; turn++) {
      const [pick] = random.bytes(1)
      const frame = frames[(pick ?? 0) % frames.length]
      if (!frame) continue
      const { frameType, payload } = frame
      alice.batch({ type: 'frame', peerId: bob.peerId, frameType: frameType as FrameType, payload })
    }
    expect(texts(alice, bob)).toEqual(['1', '2', '3', '4', '5'])
  })

  test("a linked stranger with everybody else's frames gets nowhere", () => {
    const { town, alice, bob } = friends()
    sendText(town, bob, alice, 'secret')
    const eve = town.add('Eve')
    alice.batch(linkUp(eve.party))
    for (const { payload, frameType } of town.sent.filter(({ from }) => from === bob)) {
      alice.batch({ type: 'frame', peerId: eve.peerId, frameType: frameType as FrameType, payload })
    }
    expect(texts(alice, bob)).toEqual(['secret'])
    expect(unwrap(alice.ask<'contacts-list'>({ type: 'contacts-list' }))).toHaveLength(1)
  })
})
