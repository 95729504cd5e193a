import { describe, expect, test } from 'vitest'
import { at, Node, opens, request, settle } from './datagrams-nodes.ts'

const now = at(1_000)
const nonce = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8)
const target = { host: '198.51.100.2', port: 4002 }

function pair(): [Node, Node] {
  const [a, b] = [new Node('alice', { host: '203.0.113.1', port: 4001 }), new Node('bob', target)]
  b.reply = ({ payload }) => (opens(payload) ? request('answer') : undefined)
  return [a, b]
}

function repeat(a: Node, b: Node, mono = now.mono): readonly Uint8Array[] {
  const outputs = a.engine.handle(at(mono), { type: 'repeat', key: b.key, endpoint: b.endpoint })
  return outputs.flatMap((output) => (output.type === 'datagram' ? [output.bytes] : []))
}

describe('openers', () => {
  test('[D54] D16: nine bytes with the nonce, handed up with where they came from, and answered by nothing', () => {
    const [a, b] = pair()
    const [sent] = a.engine.handle(now, { type: 'opener', to: target, nonce })
    expect(sent).toEqual({ type: 'datagram', to: target, bytes: Uint8Array.of(6, ...nonce) })
    if (sent?.type !== 'datagram') throw new Error('nothing was sent')
    const from = { host: '203.0.113.77', port: 5 }
    expect(b.receive(now, from, sent.bytes)).toEqual([])
    expect(b.openers).toEqual([{ type: 'opener', from, nonce }])
    expect(b.engine.held()).toMatchObject({ sessions: 0, pending: 0, owed: 0 })
    for (const size of [0, 1, 8, 10, 1_200]) b.receive(now, from, new Uint8Array(size).fill(6))
    expect(b.openers).toHaveLength(1)
    expect(b.engine.counters()).toMatchObject({ malformed: 5, 'opener-heard': 1 })
    expect(() => a.engine.handle(now, { type: 'opener', to: target, nonce: new Uint8Array(7) })).toThrow()
  })

  test('[D55] an initiation under way goes once more, the same bytes; to nobody else anything', () => {
    const [a, b] = pair()
    const [first] = a.send(now, b, request('x'))
    expect(repeat(a, b)).toEqual([first?.bytes])
    expect(repeat(a, b)).toEqual([first?.bytes])
    expect(repeat(b, a)).toEqual([])
    // It is answered once, and the answer sent again.
    const answers = [0, 1].map(() => b.receive(now, a.endpoint, first?.bytes ?? new Uint8Array(0)))
    expect(answers[1]).toEqual(answers[0])
    expect(b.messages).toHaveLength(1)
  })

  test('[D55] [D12] where the response was altered, another handshake', () => {
    const [a, b] = pair()
    const [first] = a.send(now, b, request('x'))
    const [answer] = b.receive(now, a.endpoint, first?.bytes ?? new Uint8Array(0))
    a.receive(now, b.endpoint, answer?.bytes.with(40, (answer.bytes[40] ?? 0) ^ 1) ?? new Uint8Array(0))
    const [again] = repeat(a, b)
    expect(again).toHaveLength(1_200)
    expect(again).not.toEqual(first?.bytes)
  })

  test('[D55] over a session the last request without a sign of life goes again, sealed anew', () => {
    const [a, b] = pair()
    settle(now, [a, b], a, a.send(now, b, request('first')))
    settle(now, [a, b], a, a.send(now, b, request('second')))
    expect(repeat(a, b)).toEqual([])
    const [lost] = a.send(now, b, request('third'))
    const [again] = repeat(a, b)
    expect(again).toHaveLength(lost?.bytes.length ?? 0)
    expect(again).not.toEqual(lost?.bytes)
    settle(now, [a, b], a, [{ type: 'datagram', to: b.endpoint, bytes: again ?? new Uint8Array(0) }])
    expect(b.messages.at(-1)?.payload).toEqual(request('third'))
    expect(repeat(a, b)).toEqual([])
  })
})
