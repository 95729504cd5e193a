import { describe, expect, test } from 'vitest'
import { copyOf, swap } from './copies.ts'
import { befriend, type Home, messagesOf, sendText, Town, texts } from './fixture.ts'

const hourMs = 3_600_000

/** Whole numbers below `bound`, the same for the same seed: mulberry32. */
function dice(seed: number): (bound: number) => number {
  let state = seed >>> 0
  return (bound) => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) % bound
  }
}

/** Everything that can happen to a home that is copied and rolled back, in an order that the seed gives. */
class Chaos {
  readonly town = new Town()
  readonly bob: Home
  alice: Home
  /** Copies that rest: any of them may run next. */
  readonly copies: Home[] = []
  readonly #roll: (bound: number) => number
  #life = 1
  #count = 0

  constructor(seed: number) {
    this.#roll = dice(seed)
    this.alice = this.town.add('Alice')
    this.bob = this.town.add('Bob')
    const mailboxes = ['one', 'two'].map((name) => this.town.office.addMailbox(name))
    for (const home of [this.alice, this.bob]) this.town.office.give(home, mailboxes)
    befriend(this.town, this.alice, this.bob)
    for (const home of [this.alice, this.bob]) this.town.connect(home)
    this.town.pass(hourMs)
  }

  step(): void {
    const { town, bob } = this
    switch (this.#roll(9)) {
      case 0:
      case 1:
        sendText(town, this.alice, bob, `a ${++this.#count}`)
        break
      case 2:
      case 3:
        sendText(town, bob, this.alice, `b ${++this.#count}`)
        break
      case 4:
        if (town.isLinked(this.alice, bob)) town.unlink(this.alice, bob)
        else town.link(this.alice, bob)
        break
      case 5:
        town.pass(this.#roll(3) === 0 ? 6 * hourMs : 1000 * (1 + this.#roll(90)))
        break
      case 6:
        this.#life += 1
        if (this.copies.length < 3) this.copies.push(copyOf(this.alice, this.#life))
        break
      case 7:
        this.#runAnother()
        break
      case 8:
        // Not further than messages live: what expires is told, and another test's matter.
        town.clock.wall += (this.#roll(2) === 0 ? 1 : -1) * 12 * hourMs
        break
    }
  }

  #runAnother(): void {
    const { town, alice, bob } = this
    const next = this.copies.shift()
    if (!next) return
    if (town.isLinked(alice, bob)) town.unlink(alice, bob)
    town.disconnect(alice)
    swap(town, alice, next)
    // Its memory is gone with its process.
    alice.restart()
    this.copies.push(alice)
    next.restart()
    this.alice = next
    town.office.give(next, town.office.mailboxes)
    town.connect(next)
  }

  /** The one that runs stays, linked, until all has healed. */
  settle(): void {
    const { town, alice, bob } = this
    if (!town.isLinked(alice, bob)) town.link(alice, bob)
    for (let turn = 0; turn < 3; turn++) {
      sendText(town, alice, bob, `a end ${turn}`)
      sendText(town, bob, alice, `b end ${turn}`)
      town.pass(4 * hourMs)
    }
  }
}

describe('copies and rollbacks at random', () => {
  test.each(Array.from({ length: 10 }, (_, seed) => [seed]))(
    '[Q61] [Q62] seed %i: nothing that the one that runs sent is lost, nothing comes twice, and all is healed',
    (seed) => {
      const chaos = new Chaos(seed)
      for (let turn = 0; turn < 60; turn++) chaos.step()
      chaos.settle()
      const { alice, bob } = chaos
      const found = texts(bob, alice)
      expect(new Set(found).size).toBe(found.length)
      for (const { direction, text, state } of [...messagesOf(alice, bob), ...messagesOf(bob, alice)]) {
        if (direction === 'out') expect([text, state]).toEqual([text, 'delivered'])
      }
      const ofAlice = messagesOf(alice, bob).flatMap(({ direction, text }) => (direction === 'out' ? [text] : []))
      expect(found).toEqual(expect.arrayContaining(ofAlice))
      for (const turn of [0, 1, 2]) expect(texts(alice, bob).filter((text) => text === `b end ${turn}`)).toHaveLength(1)
      const counter = Number(alice.store.get("SELECT value FROM settings WHERE name = 'startCounter'")?.['value'])
      expect(counter).toBeLessThan(100)
    },
    // Each refills emptied mailboxes many times: that is key generation, and slow on a busy machine.
    60_000,
  )
})
