import { describe, expect, test } from 'vitest'
import { befriend, type Home, sendText, Town, texts, unwrap } from './fixture.ts'

/** Two who are linked; the first holds back what it sends by up to `jitterMs`, here always half of it. */
function linked(jitterMs: number): { town: Town; alice: Home; bob: Home } {
  const town = new Town()
  const [alice, bob] = [town.add('Alice'), town.add('Bob')]
  befriend(town, alice, bob)
  sendText(town, alice, bob, 'before')
  sendText(town, bob, alice, 'before')
  unwrap(town.ask<'settings-set'>(alice, { type: 'settings-set', settings: { jitterMs } }))
  return { town, alice, bob }
}

describe('[H05] jitter of messages over a link', () => {
  test('what is held back goes out by itself when its time has come, one after the other and in bursts', () => {
    const { town, alice, bob } = linked(20)
    for (const words of ['one', 'two', 'three']) {
      sendText(town, alice, bob, words)
      expect(texts(bob, alice)).not.toContain(words)
      town.pass(9)
      expect(texts(bob, alice)).not.toContain(words)
      town.pass(1)
      expect(texts(bob, alice).at(-1)).toBe(words)
      town.pass(100)
    }
    for (const words of ['four', 'five', 'six']) sendText(town, alice, bob, words)
    town.pass(10)
    expect(texts(bob, alice).slice(-3)).toEqual(['four', 'five', 'six'])
  })

  test('a wake that comes late is as good', () => {
    const { town, alice, bob } = linked(20)
    sendText(town, alice, bob, 'one')
    expect(texts(bob, alice)).not.toContain('one')
    town.clock.mono += 500
    town.clock.wall += 500
    town.run(alice, { type: 'wake' })
    expect(texts(bob, alice).at(-1)).toBe('one')
  })
})
