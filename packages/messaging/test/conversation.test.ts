import { describe, expect, test } from 'vitest'
import { befriend, sendText, Town, texts, unwrap } from './fixture.ts'

describe('two engines', () => {
  test('[G05] a text is stored, sent, received and receipted', () => {
    const town = new Town()
    const alice = town.add('Alice')
    const bob = town.add('Bob')
    befriend(town, alice, bob)
    const sent = sendText(town, bob, alice, 'hello')
    expect(sent.state).toBe('sent')
    expect(texts(alice, bob)).toEqual(['hello'])
    const [after] = unwrap(bob.ask<'messages-list'>({ type: 'messages-list', account: alice.account }))
    expect(after?.state).toBe('delivered')
    sendText(town, alice, bob, 'and back')
    expect(texts(bob, alice)).toEqual(['hello', 'and back'])
  })
})
