import { bytesToSessionId } from '@miaou/core'
import { chooseSendingSession, compareSessions, nextGeneration, type SessionFacts } from '@miaou/crypto'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

type SideName = 'a' | 'b'

/** A session that may come to be: who starts it, and of which generation. */
interface Plan {
  readonly facts: SessionFacts
  readonly by: SideName
  /** False when the other side cannot answer it: its prekey is gone. */
  readonly answerable: boolean
}

/** What both sides know, and every packet ever sent: the network may deliver each at any time, again, or never. */
interface Situation {
  readonly known: Readonly<Record<SideName, ReadonlyMap<number, SessionFacts>>>
  /** `to` and index of the session. */
  readonly sent: ReadonlySet<string>
}

const sides = ['a', 'b'] as const
const otherOf = { a: 'b', b: 'a' } as const

function facts(byte: number, generation: number): SessionFacts {
  return { id: bytesToSessionId(new Uint8Array(16).fill(byte)), generation, confirmed: false }
}

function startSession(situation: Situation, plans: readonly Plan[], index: number): Situation {
  const plan = plans[index] as Plan
  return learn(situation, plan.by, index, plan.facts)
}

function learn(situation: Situation, side: SideName, index: number, learned: SessionFacts): Situation {
  return { ...situation, known: { ...situation.known, [side]: new Map(situation.known[side]).set(index, learned) } }
}

function choose(situation: Situation, side: SideName): number | undefined {
  const known = [...situation.known[side]].map(([index, each]) => ({ ...each, index }))
  return chooseSendingSession(known)?.index
}

function send(situation: Situation, side: SideName): Situation {
  const index = choose(situation, side)
  if (index === undefined) return situation
  return { ...situation, sent: new Set(situation.sent).add(`${otherOf[side]}${index}`) }
}

function deliver(situation: Situation, plans: readonly Plan[], packet: string): Situation {
  const to = packet[0] as SideName
  const index = Number(packet.slice(1))
  const plan = plans[index] as Plan
  if (!plan.answerable && !situation.known[to].has(index)) return situation
  return learn(situation, to, index, { ...plan.facts, confirmed: true })
}

function nextSituations(situation: Situation, plans: readonly Plan[]): Situation[] {
  const next: Situation[] = []
  for (const [index, { by }] of plans.entries()) {
    if (!situation.known[by].has(index)) next.push(startSession(situation, plans, index))
  }
  for (const side of sides) next.push(send(situation, side))
  for (const packet of situation.sent) next.push(deliver(situation, plans, packet))
  return next
}

function keyOf({ known, sent }: Situation): string {
  const parts = sides.map((side) =>
    [...known[side]].map(([index, { confirmed }]) => `${index}${confirmed ? '+' : '-'}`).sort(),
  )
  return JSON.stringify([parts, [...sent].sort()])
}

/** Every situation that any interleaving of starts, sends, deliveries, repetitions and losses can lead to. */
function reachable(plans: readonly Plan[]): Situation[] {
  const first: Situation = { known: { a: new Map(), b: new Map() }, sent: new Set() }
  const seen = new Map([[keyOf(first), first]])
  const queue = [first]
  for (let situation = queue.pop(); situation !== undefined; situation = queue.pop()) {
    for (const next of nextSituations(situation, plans)) {
      const key = keyOf(next)
      if (seen.has(key)) continue
      seen.set(key, next)
      queue.push(next)
    }
  }
  return [...seen.values()]
}

/** Both write; each packet arrives; `order` says who writes first, or both at once. */
function exchange(situation: Situation, plans: readonly Plan[], order: 'a' | 'b' | 'both'): Situation {
  let after = situation
  for (const side of sides) {
    const own = plans.findIndex(({ by }) => by === side)
    if (after.known[side].size === 0) after = startSession(after, plans, own)
  }
  const writers = order === 'b' ? (['b', 'a'] as const) : sides
  const packets: string[] = []
  for (const side of writers) {
    packets.push(`${otherOf[side]}${choose(after, side)}`)
    if (order !== 'both') for (const packet of packets.splice(0)) after = deliver(after, plans, packet)
  }
  for (const packet of packets) after = deliver(after, plans, packet)
  return after
}

function expectConvergence(plans: readonly Plan[]): number {
  const situations = reachable(plans)
  for (const situation of situations) {
    for (const order of ['a', 'b', 'both'] as const) {
      let after = situation
      for (let round = 0; round < 3; round++) after = exchange(after, plans, order)
      const chosen = choose(after, 'a')
      expect(choose(after, 'b')).toBe(chosen)
      expect(plans[chosen as number]?.answerable).toBe(true)
      // Once agreed, further messages change nothing.
      expect(choose(exchange(after, plans, order), 'a')).toBe(chosen)
    }
  }
  return situations.length
}

describe('the session to send in', () => {
  test('both start at once: from every reachable situation three exchanges lead both to one session', () => {
    for (const [ofA, ofB] of [
      [1, 2],
      [2, 1],
    ] as const) {
      const count = expectConvergence([
        { facts: facts(ofA, 1), by: 'a', answerable: true },
        { facts: facts(ofB, 1), by: 'b', answerable: true },
      ])
      expect(count).toBeGreaterThan(10)
    }
  })

  test('one of them replaces the sessions at any moment, or both do', () => {
    expectConvergence([
      { facts: facts(1, 1), by: 'a', answerable: true },
      { facts: facts(2, 1), by: 'b', answerable: true },
      { facts: facts(3, 2), by: 'a', answerable: true },
    ])
    expectConvergence([
      { facts: facts(1, 1), by: 'a', answerable: true },
      { facts: facts(2, 1), by: 'b', answerable: true },
      { facts: facts(4, 2), by: 'a', answerable: true },
      { facts: facts(3, 2), by: 'b', answerable: true },
    ])
  })

  test('a session that the other side cannot answer never wins over one that works', () => {
    expectConvergence([
      { facts: facts(1, 1), by: 'a', answerable: false },
      { facts: facts(2, 1), by: 'b', answerable: true },
    ])
  })

  test('it is a total order, whatever the order of the list', () => {
    const session = fc.record({ byte: fc.nat(255), generation: fc.nat(3), confirmed: fc.boolean() })
    const sessions = fc.uniqueArray(session, { selector: ({ byte }) => byte, minLength: 1, maxLength: 6 })
    fc.assert(
      fc.property(sessions, (list) => {
        const all = list.map(({ byte, generation, confirmed }) => ({ ...facts(byte, generation), confirmed }))
        const chosen = chooseSendingSession(all)
        expect(chooseSendingSession([...all].reverse())).toBe(chosen)
        expect([...all].sort(compareSessions)[0]).toBe(chosen)
        for (const each of all) expect(compareSessions(each, each)).toBe(0)
      }),
    )
  })

  test('a replacement has the next generation, never above 32 bits', () => {
    expect(nextGeneration([])).toBe(1)
    expect(nextGeneration([facts(1, 4), facts(2, 2)])).toBe(5)
    expect(nextGeneration([facts(1, 0xffff_ffff)])).toBe(0xffff_ffff)
    expect(chooseSendingSession([])).toBeUndefined()
  })
})
