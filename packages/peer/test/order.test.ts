import { describe, expect, test } from 'vitest'
import { SeededRandom } from './ports.ts'
import { befriend, type Home, Town, unwrap } from './town.ts'

function friends(): { town: Town; alice: Home; bob: Home } {
  const town = new Town()
  const alice = town.add('alice')
  const bob = town.add('bob')
  befriend(town, alice, bob)
  return { town, alice, bob }
}

/** Everything a home got from others, in the order in which it stored it. */
function received(home: Home): string[] {
  return home.store
    .all('SELECT text FROM messages WHERE outgoing = 0 ORDER BY position')
    .map(({ text }) => String(text))
}

function statesOf(home: Home, other: Home): string[] {
  const list = unwrap(home.ask({ type: 'messages-list', account: other.account, limit: 200 }))
  return [...new Set(list.map(({ state }) => state))]
}

function numbers(count: number): string[] {
  return Array.from({ length: count }, (_, index) => String(index + 1))
}

describe('the order of sending', () => {
  test('a text that is written while the other end comes back does not overtake those that the dead link swallowed', () => {
    const { town, alice, bob } = friends()
    const write = (text: string) => alice.input({ type: 'message-send', account: bob.account, text })
    bob.kill()
    alice.handle(write('1'), write('2'), write('3'))
    town.hub.flush()
    bob.restart()
    // Bob's dial, step by step: in every batch in which Alice hears of it she writes a text first.
    let count = 3
    for (let round = 0; round < 20; round++) {
      town.hub.flushOne()
      bob.step()
      count += 1
      alice.step(write(String(count)))
    }
    town.settle()
    expect(received(bob)).toEqual(numbers(count))
    expect(statesOf(alice, bob)).toEqual(['delivered'])
  })

  test.each(Array.from({ length: 12 }, (_, seed) => seed))('seed %i: the receiver is killed mid-stream', (seed) => {
    const { town, alice, bob } = friends()
    const random = new SeededRandom(1000 + seed)
    let count = 0
    const write = () => alice.input({ type: 'message-send', account: bob.account, text: String(++count) })
    let isDead = false
    for (let round = 0; round < 400; round++) {
      if (random.next() < 0.5) alice.step(...Array.from({ length: Math.floor(random.next() * 4) }, write))
      else alice.step()
      for (let events = Math.floor(random.next() * 6); events > 0; events--) town.hub.flushOne()
      if (random.next() < 0.6) bob.step()
      town.advance(Math.floor(random.next() * 40))
      const draw = random.next()
      if (!isDead && draw < 0.03) bob.kill()
      else if (isDead && draw < 0.2) bob.restart()
      else continue
      isDead = !isDead
    }
    if (isDead) bob.restart()
    for (let i = 0; i < 60; i++) {
      town.settle()
      town.advance(1000)
    }
    town.settle()
    expect(received(bob)).toEqual(numbers(count))
    expect(statesOf(alice, bob)).toEqual(['delivered'])
  })
})
