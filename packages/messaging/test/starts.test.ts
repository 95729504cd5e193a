import { decodePeerAnnouncement, encodePeerAnnouncement, frameTypes, signStartMark } from '@miaou/protocol'
import { describe, expect, test } from 'vitest'
import { copyOf, swap } from './copies.ts'
import { befriend, contactOf, crypto, dropsOf, type Home, linkUp, sendText, Town, texts, unwrap } from './fixture.ts'

const dayMs = 86_400_000

function friends(): { town: Town; alice: Home; bob: Home } {
  const town = new Town()
  const [alice, bob] = [town.add('Alice'), town.add('Bob')]
  befriend(town, alice, bob)
  return { town, alice, bob }
}

function counterOf(home: Home): number {
  return Number(home.store.get("SELECT value FROM settings WHERE name = 'startCounter'")?.['value'])
}

function notices(home: Home): string[] {
  return home.events.flatMap(({ event }) => (event.type === 'notice' ? [event.notice] : []))
}

function oneTimeKeys(home: Home): number {
  return Number(home.store.get('SELECT count(*) AS count FROM prekeys WHERE kind IN (2, 3)')?.['count'])
}

/** Both write, time passes, and everything is there once on both sides. */
function talk(town: Town, a: Home, b: Home, word: string): void {
  sendText(town, a, b, `${word} of a`)
  sendText(town, b, a, `${word} of b`)
  town.pass(120_000)
  for (const home of [a, b]) {
    const found = texts(home, home === a ? b : a)
    expect(found.filter((text) => text.startsWith(word)).sort()).toEqual([`${word} of a`, `${word} of b`])
  }
}

describe('own starts', () => {
  test('[Q60] each process counts once; a transaction that failed, or was read again, counts nothing', () => {
    const home = new Town().add('Alice')
    const [start] = home.batch({ type: 'wake' }).filter(({ type }) => type === 'start')
    expect(start).toMatchObject({ mark: { counter: 1 } })
    expect(home.batch({ type: 'wake' }).filter(({ type }) => type === 'start')).toEqual([])
    home.engine.rollback()
    const [again] = home.batch({ type: 'wake' }).filter(({ type }) => type === 'start')
    expect(again).toEqual(start)
    home.restart()
    expect(() =>
      home.store.transaction(() => {
        home.engine.handle(home.now(), { type: 'wake' })
        throw new Error('disk full')
      }),
    ).toThrow('disk full')
    home.engine.rollback()
    home.batch({ type: 'wake' })
    expect(counterOf(home)).toBe(2)
  })

  test('[Q60] an announcement carries the signed mark', () => {
    const { town, alice, bob } = friends()
    const told = town.sent.find(({ from, frameType }) => from === alice && frameType === frameTypes.peerAnnouncement)
    const announcement = unwrap(decodePeerAnnouncement(told?.payload ?? new Uint8Array()))
    expect(announcement.startMark).toMatchObject({ counter: counterOf(alice) })
    expect(announcement.laterMark).toBeUndefined()
    expect(bob.store.get('SELECT length(start_mark) AS size FROM devices')).toEqual({ size: 96 })
  })
})

describe('copies and rollbacks', () => {
  test('[Q61] restarts are no copies: nobody is told anything', () => {
    const { town, alice, bob } = friends()
    for (let turn = 0; turn < 5; turn++) {
      town.unlink(alice, bob)
      alice.restart()
      town.link(alice, bob)
      talk(town, alice, bob, `turn ${turn}`)
    }
    expect([...notices(alice), ...notices(bob)]).toEqual([])
    expect(counterOf(alice)).toBe(6)
  })

  test('[Q61] [Q62] a home restored from a snapshot: seen by the contact, told to both, healed, one-time keys gone', () => {
    const { town, alice, bob } = friends()
    const snapshot = copyOf(alice, 2)
    // Two more starts, and talk that the snapshot knows nothing of.
    for (const word of ['later', 'latest']) {
      town.unlink(alice, bob)
      alice.restart()
      town.link(alice, bob)
      talk(town, alice, bob, word)
    }
    town.unlink(alice, bob)
    swap(town, alice, snapshot)
    snapshot.batch({ type: 'frame', peerId: bob.peerId, frameType: frameTypes.peerQuery, payload: new Uint8Array() })
    const before = counterOf(snapshot)
    town.link(snapshot, bob)
    expect(before).toBe(2)
    // Above what Bob saw, so that the next start is above it too.
    expect(counterOf(snapshot)).toBe(4)
    expect(notices(snapshot)).toEqual(['copy-detected'])
    expect(notices(bob)).toEqual(['contact-restored'])
    sendText(town, snapshot, bob, 'healed')
    sendText(town, bob, snapshot, 'well')
    town.pass(120_000)
    expect(texts(bob, snapshot)).toContain('healed')
    expect(texts(snapshot, bob)).toContain('well')
    expect(oneTimeKeys(snapshot)).toBeLessThanOrEqual(2)
    expect([notices(snapshot), notices(bob)]).toEqual([['copy-detected'], ['contact-restored']])
    expect(dropsOf(bob)).toMatchObject({ 'stale-start': 1 })
  })

  test('[Q62] one-time prekeys given out before the copy was detected open nothing afterwards', () => {
    const { town, alice, bob } = friends()
    const snapshot = copyOf(alice, 2)
    town.unlink(alice, bob)
    alice.restart()
    town.link(alice, bob)
    town.unlink(alice, bob)
    swap(town, alice, snapshot)
    // The bundle for a stranger.
    const carol = town.add('Carol')
    town.link(snapshot, carol)
    const payload = Uint8Array.of(0, 0, 0, 1, 1)
    snapshot.batch({ type: 'frame', peerId: carol.peerId, frameType: frameTypes.peerQuery, payload })
    expect(oneTimeKeys(snapshot)).toBe(2)
    const [highest] = snapshot.store.all('SELECT max(id) AS id FROM prekeys')
    town.link(snapshot, bob)
    const left = snapshot.store.get('SELECT count(*) AS count FROM prekeys WHERE kind IN (2, 3) AND id <= ?', [
      Number(highest?.['id']),
    ])
    expect(left).toEqual({ count: 0 })
  })

  test('[Q61] two copies in turn: each is told, messages go on, and the storm is bounded', () => {
    const { town, alice, bob } = friends()
    talk(town, alice, bob, 'before')
    let [running, resting] = [copyOf(alice, 2), copyOf(alice, 3)]
    town.unlink(alice, bob)
    swap(town, alice, running)
    for (let turn = 0; turn < 20; turn++) {
      town.link(running, bob)
      talk(town, running, bob, `turn ${turn}`)
      town.unlink(running, bob)
      swap(town, running, resting)
      ;[running, resting] = [resting, running]
    }
    expect(notices(running).filter((notice) => notice === 'copy-detected')).toHaveLength(1)
    expect(notices(resting).filter((notice) => notice === 'copy-detected')).toHaveLength(1)
    expect(notices(bob).filter((notice) => notice === 'contact-restored')).toHaveLength(1)
    // 20 turns of two minutes: at most the burst and one in ten minutes of each.
    expect(dropsOf(running)['copy-detected'] ?? 0).toBeLessThanOrEqual(10)
    expect(counterOf(running)).toBeLessThan(30)
  })

  test('[Q61] the same number with another nonce is a copy too', () => {
    const { town, alice, bob } = friends()
    town.unlink(alice, bob)
    const twin = copyOf(alice, 3)
    alice.restart()
    town.link(alice, bob)
    town.unlink(alice, bob)
    swap(town, alice, twin)
    town.link(twin, bob)
    expect([counterOf(alice), counterOf(twin)]).toEqual([2, 3])
    expect(notices(twin)).toEqual(['copy-detected'])
  })

  test('[Q62] a contact cannot make up a later start: not unsigned, not of its own, not an old one', () => {
    const { town, alice, bob } = friends()
    const { accountKey, deviceList, deviceKey } = bob.party.identity
    const nonce = new Uint8Array(16)
    const forged = signStartMark(crypto, deviceKey.secretKey, { counter: 9, nonce })
    const own = signStartMark(crypto, alice.party.identity.deviceKey.secretKey, { counter: 1, nonce })
    town.unlink(alice, bob)
    alice.restart()
    alice.batch(linkUp(bob.party))
    const announce = (laterMark: typeof forged): void => {
      const payload = encodePeerAnnouncement({ accountKey, deviceList, name: 'Bob', laterMark })
      alice.batch({ type: 'frame', peerId: bob.peerId, frameType: frameTypes.peerAnnouncement, payload })
    }
    announce(forged)
    announce({ ...own, counter: 9 })
    announce(own)
    expect(counterOf(alice)).toBe(2)
    expect(notices(alice)).toEqual([])
    expect(dropsOf(alice)).toMatchObject({ 'start-mark-forged': 2 })
  })

  test('[Q61] a device that shows the mark of another, or alternates old ones, costs little', () => {
    const { town, alice, bob } = friends()
    const { accountKey, deviceList, deviceKey } = bob.party.identity
    const nonce = new Uint8Array(16)
    const sessions = (): unknown => alice.store.get('SELECT count(*) AS count FROM sessions')?.['count']
    const before = sessions()
    for (let turn = 0; turn < 100; turn++) {
      nonce[0] = turn
      const secret = turn === 0 ? alice.party.identity.deviceKey.secretKey : deviceKey.secretKey
      const startMark = signStartMark(crypto, secret, { counter: 1, nonce })
      const payload = encodePeerAnnouncement({ accountKey, deviceList, name: 'Bob', startMark })
      town.run(alice, { type: 'frame', peerId: bob.peerId, frameType: frameTypes.peerAnnouncement, payload })
      town.pass(1000)
    }
    expect(dropsOf(alice)).toMatchObject({ 'start-mark-forged': 1 })
    expect(notices(alice).filter((notice) => notice === 'contact-restored')).toHaveLength(1)
    expect(Number(sessions()) - Number(before)).toBeLessThanOrEqual(7)
    talk(town, alice, bob, 'still')
  })

  test('[Q62] a mailbox that saw a later start: told once a day, and a liar moves the number by a bounded step', () => {
    const { town, alice, bob } = friends()
    expect(counterOf(alice)).toBe(1)
    town.run(alice, { type: 'stale-start', seen: 0 })
    expect(notices(alice)).toEqual([])
    town.run(alice, { type: 'stale-start', seen: Number.MAX_SAFE_INTEGER })
    expect(counterOf(alice)).toBe(1 + 65_536 + 1)
    for (let turn = 0; turn < 1000; turn++) town.run(alice, { type: 'stale-start', seen: Number.MAX_SAFE_INTEGER })
    expect(counterOf(alice)).toBeLessThan(4 * 65_536)
    expect(notices(alice)).toEqual(['copy-detected'])
    expect(alice.events.find(({ event }) => event.type === 'notice')?.event).not.toHaveProperty('account')
    talk(town, alice, bob, 'after')
    town.pass(dayMs)
    town.run(alice, { type: 'stale-start', seen: Number.MAX_SAFE_INTEGER })
    expect(notices(alice)).toEqual(['copy-detected', 'copy-detected'])
  })

  test('[Q61] clocks that jump by ten days either way change nothing', () => {
    const { town, alice, bob } = friends()
    for (const jump of [10 * dayMs, -20 * dayMs]) {
      town.unlink(alice, bob)
      town.clock.wall += jump
      alice.restart()
      town.link(alice, bob)
      talk(town, alice, bob, `jump ${jump}`)
    }
    expect([...notices(alice), ...notices(bob)]).toEqual([])
    expect(contactOf(bob, alice)).not.toHaveProperty('changed')
  })
})
