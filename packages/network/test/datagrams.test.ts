import { bytesToText } from '@miaou/core'
import { describe, expect, test } from 'vitest'
import { at, Node, request, settle } from './datagrams-nodes.ts'

const alice = () => new Node('alice', { host: '203.0.113.1', port: 4001 })
const bob = () => new Node('bob', { host: '198.51.100.2', port: 4002 })
const now = at(1_000)

describe('handshake', () => {
  test('[D10] [D20] the first request and its answer travel inside the handshake', () => {
    const [a, b] = [alice(), bob()]
    b.reply = ({ payload }) => request(`re ${bytesToText(payload)}`)
    const first = a.send(now, b, request('ping'))
    expect(first.map(({ bytes }) => bytes.length)).toEqual([1_200])
    expect(settle(now, [a, b], a, first)).toBe(2)
    expect(b.messages).toMatchObject([{ isProven: false, payload: request('ping'), key: a.key, endpoint: a.endpoint }])
    expect(a.messages).toMatchObject([
      { isProven: true, payload: request('re oping'), key: b.key, endpoint: b.endpoint },
    ])
  })

  test('[D40] warm: one datagram a request and one an answer, both proven', () => {
    const [a, b] = [alice(), bob()]
    settle(now, [a, b], a, a.send(now, b, request('first')))
    b.reply = () => request('pong')
    for (let count = 0; count < 3; count++) {
      expect(settle(now, [a, b], a, a.send(now, b, request(`warm ${count}`)))).toBe(2)
    }
    expect(b.messages.slice(1).every(({ isProven }) => isProven)).toBe(true)
    expect(a.messages).toHaveLength(3)
  })
})
