import { describe, expect, test } from 'vitest'
import { defaultKademliaConfig } from '../src/kademlia/config.ts'
import type { ContactRef } from '../src/kademlia/interface.ts'
import { done, Path, walking } from '../src/kademlia/path.ts'
import { answered, asked, failed, Shortlist } from '../src/kademlia/shortlist.ts'
import { Walk } from '../src/kademlia/walk.ts'
import { idOf, TestEngine } from './kademlia-engine.ts'

const target = idOf(0)

/** Room for four candidates, and contacts by their distance from the target. */
function four(): {
  readonly list: Shortlist
  readonly at: (distance: number) => ContactRef
  readonly all: () => number[]
} {
  const node = new TestEngine()
  const list = new Shortlist(node.contacts, target, 4, 2)
  return {
    list,
    at: (distance) => node.contact(idOf(distance)),
    all: () => Array.from({ length: list.size }, (_, i) => node.contacts.id(list.ref(i))[0] as number),
  }
}

describe('kademlia: the candidates of a path', () => {
  test('[O57] the farthest that was not asked gives way to a nearer one', () => {
    const { list, at, all } = four()
    for (const distance of [40, 10, 30, 20]) expect(list.insert(at(distance), 1)).toBe(true)
    expect(list.insert(at(50), 1)).toBe(false)
    expect(list.insert(at(25), 1)).toBe(true)
    expect(all()).toEqual([10, 20, 25, 30])
  })

  test('[O37] who has answered is not pushed out by who is only told of', () => {
    const { list, at, all } = four()
    for (const distance of [50, 60, 70]) list.insert(at(distance), 1)
    for (let i = 0; i < 3; i++) list.setState(i, i === 0 ? asked : answered)
    expect([9, 8, 7, 6].map((distance) => list.insert(at(distance), 2))).toEqual([true, true, true, true])
    expect(all()).toEqual([6, 50, 60, 70])
    // The farthest of those that were not asked would be itself.
    expect(list.insert(at(7), 2)).toBe(false)
  })

  test('[O37] who failed gives way first, even to a farther one, and is not asked again', () => {
    const { list, at, all } = four()
    for (const distance of [10, 20, 30, 40]) list.insert(at(distance), 1)
    list.setState(1, failed)
    list.setState(1, failed)
    expect(list.insert(at(50), 1)).toBe(true)
    expect(all()).toEqual([10, 30, 40, 50])
    expect(list.insert(at(20), 1)).toBe(false)
    expect(list.insert(at(60), 1)).toBe(false)
  })

  test('[O37] where all have answered the farthest gives way to a nearer one', () => {
    const { list, at, all } = four()
    for (const distance of [10, 20, 30, 40]) list.insert(at(distance), 1)
    for (let i = 0; i < 4; i++) list.setState(i, answered)
    expect(list.insert(at(50), 1)).toBe(false)
    expect(list.insert(at(5), 1)).toBe(true)
    expect(all()).toEqual([5, 10, 20, 30])
  })
})

describe('kademlia: a path', () => {
  test('[O40] another way goes past those whom the paths before have asked; a disjoint path leaves them their places', () => {
    for (const isOtherWay of [false, true]) {
      const node = new TestEngine()
      const config = { ...defaultKademliaConfig, k: 2 }
      const requests: ContactRef[] = []
      const at = (distance: number) => node.contact(idOf(distance))
      const walk: Walk = Object.assign(Object.create(Walk.prototype), {
        core: { contacts: node.contacts, config },
        target,
        claim: (ref: ContactRef) => ref !== at(10) && ref !== at(20),
        isWithin: (live: number) => live < 2,
        ask: (_path: Path, ref: ContactRef) => requests.push(ref) > 0,
      })
      const path = new Path(walk, 3)
      path.isOtherWay = isOtherWay
      for (const distance of [10, 20, 30, 40, 50]) path.list.insert(at(distance), 1)
      path.step()
      expect(requests).toEqual(isOtherWay ? [at(30), at(40)] : [])
      expect(path.status()).toBe(isOtherWay ? walking : done)
    }
  })
})
