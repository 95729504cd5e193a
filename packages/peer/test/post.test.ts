import { describe, expect, test } from 'vitest'
import { Post } from '../src/post.ts'

const box = { mailbox: { url: 'ws://127.0.0.1:9', mailboxId: new Uint8Array(16) }, box: new Uint8Array(16).fill(1) }
const bundleKey = new Uint8Array(32).fill(7)

describe('between messaging and mailboxes', () => {
  test('a bundle is asked of the mailboxes first, then, once, of the overlay', () => {
    const post = new Post(true)
    const asked = post.ask({ type: 'fetch-bundle', id: 4, from: [box], bundleKey })
    expect(asked).toEqual({ type: 'input', input: { type: 'fetch-bundle', id: 4, from: [box] } })
    expect(post.takeBundleKey(4)).toEqual(bundleKey)
    expect(post.takeBundleKey(4)).toBeUndefined()
  })

  test('who names no mailbox is looked up in the overlay at once; who is nowhere is told so', () => {
    const post = new Post(true)
    expect(post.ask({ type: 'fetch-bundle', id: 5, from: [], bundleKey })).toEqual({
      type: 'find',
      find: { type: 'find-bundle', id: 5, bundleKey },
    })
    expect(post.ask({ type: 'fetch-bundle', id: 6, from: [], bundleKey: undefined })).toEqual({
      type: 'answer',
      answer: { type: 'bundle', id: 6, bytes: undefined },
    })
  })

  test('a peer without mailboxes answers everything itself, so that nothing waits', () => {
    const post = new Post(false)
    const deposit = post.ask({ type: 'deposit', id: 1, to: box, token: undefined, bytes: new Uint8Array(9) })
    expect(deposit).toMatchObject({
      answer: { type: 'deposited', id: 1, result: { ok: false, reason: 'unreachable' } },
    })
    expect(post.ask({ type: 'check', id: 2, to: box, tokens: [] })).toMatchObject({
      answer: { type: 'checked', id: 2 },
    })
    expect(post.ask({ type: 'acknowledge', box: box.box, ids: [1] })).toEqual({ type: 'nothing' })
    expect(post.ask({ type: 'fetch-bundle', id: 3, from: [box], bundleKey })).toMatchObject({ type: 'find' })
  })
})
