import { describe, expect, test } from 'vitest'
import { SeededRandom } from '../../../testkit/src/seeded.ts'
import { contactOf, type Home, messagesOf, sendText, Town, unwrap } from './fixture.ts'
import type { Mailbox } from './post-office.ts'

const minuteMs = 60_000
const hourMs = 60 * minuteMs

class Dead extends Error {}

/** Two who write to each other, now over a link, now over mailboxes that fail, in processes that die. One seed, one run. */
class Chaos {
  readonly random: SeededRandom
  readonly town = new Town()
  readonly homes: readonly [Home, Home]
  readonly mailboxes: readonly Mailbox<Home>[]
  readonly sent: readonly [string[], string[]] = [[], []]
  readonly #dead = new Set<Home>()
  #isCalm = true

  constructor(seed: number, isFaulty = false) {
    this.random = new SeededRandom(seed)
    this.homes = [this.town.add('Alice'), this.town.add('Bob')]
    this.mailboxes = ['first', 'second', 'third']
      .slice(0, 1 + this.random.below(3))
      .map((name) => this.town.office.addMailbox(name))
    for (const home of this.homes) {
      this.town.office.give(home, this.mailboxes)
      this.#makeMortal(home)
      if (isFaulty) endWhereHeld(home)
    }
  }

  run(steps: number): void {
    const { town, homes } = this
    const [alice, bob] = homes
    town.connect(bob)
    town.pass(minuteMs)
    const { invite } = unwrap(town.ask<'invite-create'>(bob, { type: 'invite-create', addresses: [], uses: 1 }))
    town.pass(minuteMs)
    unwrap(town.ask<'contact-add-invite'>(alice, { type: 'contact-add-invite', invite }))
    this.#isCalm = false
    for (let step = 0; step < steps; step++) {
      this.#step()
      this.#bury()
    }
    this.#isCalm = true
    for (const mailbox of this.mailboxes)
      Object.assign(mailbox, { isReachable: true, isFull: false, strangersLeft: 99 })
    town.unlink(alice, bob)
    for (let round = 0; round < 5; round++) {
      for (const home of homes) {
        town.connect(home)
        town.pass(4 * hourMs)
        town.disconnect(home)
      }
    }
    for (const home of homes) {
      town.connect(home)
      town.pass(minuteMs)
      town.disconnect(home)
    }
  }

  check(): void {
    for (const side of [0, 1] as const) {
      const [home, other] = side === 0 ? this.homes : [this.homes[1], this.homes[0]]
      const incoming = messagesOf(other, home).filter(({ direction }) => direction === 'in')
      expect(incoming.map(({ text }) => text)).toEqual(this.sent[side])
      const states = messagesOf(home, other).filter(({ direction }) => direction === 'out')
      expect(states.filter(({ state }) => state !== 'delivered')).toEqual([])
    }
  }

  #step(): void {
    const { random, town, homes } = this
    const side = random.below(2) === 0 ? 0 : 1
    const home = homes[side]
    const other = homes[1 - side] ?? home
    const mailbox = this.mailboxes[random.below(this.mailboxes.length)]
    switch (random.below(13)) {
      case 0:
      case 1:
      case 2:
        if (contactOf(home, other)?.state !== 'contact') return
        for (let count = random.below(4); count >= 0; count--) {
          const text = `${side} ${this.sent[side].length}`
          sendText(town, home, other, text)
          this.sent[side].push(text)
        }
        return
      case 3:
        if (!town.isLinked(home, other)) town.link(home, other)
        return
      case 4:
        town.unlink(home, other)
        return
      case 5:
        town.connect(home)
        return
      case 6:
        town.disconnect(home)
        return
      case 7:
        if (mailbox) mailbox.isReachable = random.chance(0.7)
        return
      case 8:
        if (mailbox) mailbox.isFull = random.chance(0.3)
        return
      case 9:
        if (random.chance(0.3)) mailbox?.lose()
        else if (random.chance(0.2)) mailbox?.wipe()
        return
      case 10:
        if (random.chance(0.2)) this.#loseSessions(home)
        return
      default:
        town.pass(random.below(random.chance(0.2) ? 2 * hourMs : 20_000))
    }
  }

  #loseSessions(home: Home): void {
    home.store.transaction(() => {
      for (const table of ['skipped_keys', 'sessions']) home.store.run(`DELETE FROM ${table}`)
    })
    home.restart()
    this.#dead.add(home)
  }

  /** Whose process died is offline and unlinked, until it comes back. */
  #bury(): void {
    const [alice, bob] = this.homes
    for (const home of this.#dead) this.town.disconnect(home)
    if (this.#dead.size > 0) this.town.unlink(alice, bob)
    this.#dead.clear()
  }

  #makeMortal(home: Home): void {
    const run = home.batch.bind(home)
    home.batch = (...inputs) => {
      const isMortal = !this.#isCalm && inputs.every(({ type }) => type !== 'command')
      if (!isMortal || !this.random.chance(0.01)) return run(...inputs)
      this.#dead.add(home)
      if (this.random.chance(0.5)) run(...inputs)
      else {
        const { store } = home
        const { transaction } = store
        store.transaction = (body) =>
          transaction.call(store, () => {
            body()
            throw new Dead()
          }) as never
        try {
          run(...inputs)
        } catch (thrown) {
          if (!(thrown instanceof Dead)) throw thrown
        } finally {
          store.transaction = transaction
        }
      }
      home.restart()
      return []
    }
  }
}

/** Planted fault: a sender takes a mailbox's word for a receipt. */
function endWhereHeld({ store }: Home): void {
  const run = store.run.bind(store)
  store.run = (sql, parameters) => run(sql.replace('SET state = 2, reason', 'SET state = 3, reason'), parameters)
}

describe('[Q41] links that come and go, mailboxes that fail, processes that die', () => {
  const first = Number(process.env['MIAOU_PARCEL_SEED'] ?? 1)
  const count = Number(process.env['MIAOU_PARCEL_SEEDS'] ?? 6)
  test(`seeds ${first} to ${first + count - 1}: nothing lost, nothing twice, all in order`, {
    timeout: 900_000,
  }, () => {
    const failed: number[] = []
    let example: unknown
    for (let seed = first; seed < first + count; seed++) {
      const chaos = new Chaos(seed)
      try {
        chaos.run(120)
        chaos.check()
      } catch (thrown) {
        failed.push(seed)
        example ??= thrown
      }
    }
    if (failed.length > 0) throw new Error(`seeds ${failed.join(' ')}`, { cause: example })
  })

  // 206: the other side went on in a session that it had begun here and that was lost here.
  test.each([206])('seed %d, which failed once', { timeout: 60_000 }, (seed) => {
    const chaos = new Chaos(seed)
    chaos.run(120)
    chaos.check()
  })

  test('a planted fault is caught', { timeout: 300_000 }, () => {
    expect(() => {
      // Guess: it shows within a handful of seeds.
      for (let seed = 1; seed <= 40; seed++) {
        const chaos = new Chaos(seed, true)
        chaos.run(60)
        chaos.check()
      }
    }).toThrow(/deeply equal/)
  })
})
