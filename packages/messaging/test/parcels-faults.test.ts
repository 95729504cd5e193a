import { type MessagingOutput, StoreFailure } from '@miaou/messaging'
import { describe, expect, test } from 'vitest'
import { contactOf, type Home, messagesOf, sendText, Town, texts, unwrap } from './fixture.ts'

const minuteMs = 60_000
const hourMs = 60 * minuteMs

/** What happens to a batch: it never was, or it was and nobody heard of it. */
type Death = 'before-commit' | 'after-commit' | 'disk-full'

class Dead extends Error {}

/** Makes batch number `index` of a home (commands not counted) its last; a new process goes on. Says whether it came to that. */
function killAt(home: Home, index: number, death: Death): () => boolean {
  const run = home.batch.bind(home)
  let count = -1
  const die = (body: () => MessagingOutput[]): MessagingOutput[] => {
    if (death === 'after-commit') body()
    else {
      const { transaction } = home.store
      home.store.transaction = (inner) =>
        transaction.call(home.store, () => {
          inner()
          throw death === 'disk-full' ? new StoreFailure('full', 'full') : new Dead()
        }) as never
      try {
        body()
      } catch (thrown) {
        if (!(thrown instanceof Dead) && !(thrown instanceof StoreFailure)) throw thrown
      } finally {
        home.store.transaction = transaction
      }
    }
    if (death === 'disk-full') home.engine.rollback()
    else home.restart()
    return []
  }
  home.batch = (...inputs) => {
    if (!inputs.some(({ type }) => type === 'command')) count += 1
    else return run(...inputs)
    return count === index ? die(() => run(...inputs)) : run(...inputs)
  }
  return () => count >= index
}

interface Scene {
  readonly town: Town
  readonly alice: Home
  readonly bob: Home
}

function turn({ town }: Scene, home: Home, ms: number): void {
  town.connect(home)
  town.pass(ms)
  town.disconnect(home)
}

/** Strangers by an invite who write to each other, never online together; long enough for every repetition. */
function talk(kill: (scene: Scene) => () => boolean): boolean {
  const town = new Town()
  const [alice, bob] = [town.add('Alice'), town.add('Bob')]
  const mailboxes = [town.office.addMailbox('first'), town.office.addMailbox('second')]
  for (const home of [alice, bob]) town.office.give(home, mailboxes)
  const scene = { town, alice, bob }
  turn(scene, bob, minuteMs)
  const { invite } = unwrap(town.ask<'invite-create'>(bob, { type: 'invite-create', addresses: [], uses: 1 }))
  turn(scene, bob, minuteMs)
  unwrap(town.ask<'contact-add-invite'>(alice, { type: 'contact-add-invite', invite }))
  const wasKilled = kill(scene)
  const [fromAlice, fromBob]: [string[], string[]] = [[], []]
  for (let round = 0; round < 3; round++) {
    for (const text of [`a${round}`, `A${round}`]) {
      sendText(town, alice, bob, text)
      fromAlice.push(text)
    }
    turn(scene, alice, minuteMs)
    turn(scene, bob, minuteMs)
    if (contactOf(bob, alice)?.state !== 'contact') continue
    sendText(town, bob, alice, `b${round}`)
    fromBob.push(`b${round}`)
    turn(scene, bob, minuteMs)
  }
  for (let round = 0; round < 3; round++) for (const home of [alice, bob]) turn(scene, home, 3 * hourMs)
  for (const home of [alice, bob]) turn(scene, home, minuteMs)
  const incoming = (home: Home, other: Home): string[] =>
    messagesOf(home, other).flatMap(({ direction, text }) => (direction === 'in' ? [text] : []))
  expect(incoming(bob, alice)).toEqual(fromAlice)
  expect(incoming(alice, bob)).toEqual(fromBob)
  for (const [home, other] of [
    [alice, bob],
    [bob, alice],
  ] as const) {
    const pending = messagesOf(home, other).filter(
      ({ direction, state }) => direction === 'out' && state !== 'delivered',
    )
    expect(pending).toEqual([])
  }
  expect(texts(alice, bob)).toHaveLength(fromAlice.length + fromBob.length)
  return wasKilled()
}

describe('[Q41] a process that dies at any batch, a disk that is full at any', () => {
  const step = Number(process.env['MIAOU_PARCEL_STEP'] ?? 17)
  for (const death of ['before-commit', 'after-commit', 'disk-full'] as const) {
    for (const who of ['alice', 'bob'] as const) {
      test(`${death} at ${who}`, { timeout: 600_000 }, () => {
        let index = 0
        try {
          while (talk((scene) => killAt(scene[who], index, death))) index += step
        } catch (thrown) {
          throw new Error(`batch ${index}`, { cause: thrown })
        }
        expect(index).toBeGreaterThan(20)
      })
    }
  }
})
