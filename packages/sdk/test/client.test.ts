import { describe, expect, test } from 'vitest'
import {
  type Connection,
  connect,
  EventQueue,
  errorKinds,
  isErrorCode,
  type Message,
  MiaouError,
  type MiaouEvent,
  type OperationName,
  operationNames,
  operations,
} from '../src/index.ts'

const message: Message = {
  id: '0'.repeat(32),
  contact: `z6Mk${'a'.repeat(44)}`,
  direction: 'in',
  text: 'hello',
  sentAt: 1,
  storedAt: 2,
  state: 'delivered',
  deliveries: [],
  position: 7,
}

/** A connection that writes down what it is asked, and whose events the test makes. */
function fakeConnection(unread: Message[] = []) {
  const calls: [OperationName, unknown][] = []
  const queue = new EventQueue<MiaouEvent>()
  let isClosed = false
  const connection: Connection = {
    call: async (name, input) => {
      calls.push([name, input])
      const answers: Partial<Record<OperationName, unknown>> = {
        'messages.read': { count: 1 },
        'messages.list': unread.splice(0),
        'messages.send': message,
      }
      return operations[name].output.parse(answers[name] ?? message) as never
    },
    events: () => ({
      [Symbol.asyncIterator]() {
        return this
      },
      next: () => queue.next(),
      return: async () => {
        queue.end()
        return { done: true, value: undefined }
      },
    }),
    close: async () => {
      isClosed = true
    },
  }
  return { connection, calls, queue, isClosed: () => isClosed }
}

describe('client', () => {
  test('quickSend and onMessage (rows T02, T06): sends, hears, marks read, stops', async () => {
    const { connection, calls, queue, isClosed } = fakeConnection()
    const client = connect(connection)
    await client.quickSend('Alice', 'hello')
    expect(calls).toEqual([['messages.send', { to: 'Alice', text: 'hello' }]])
    const heard: string[] = []
    const subscription = client.onMessage(async ({ text }) => {
      heard.push(text)
    })
    queue.push({ cursor: 1, at: 1, event: { type: 'message-state', message } })
    queue.push({ cursor: 2, at: 1, event: { type: 'message-received', message } })
    await expect.poll(() => calls.at(-1)).toEqual(['messages.read', { with: message.contact, upTo: 7 }])
    expect(heard).toEqual(['hello'])
    await subscription.stop()
    await subscription.done
    await client.close()
    expect(isClosed()).toBe(true)
  })

  test('a handler that fails is told, and the message stays unread', async () => {
    const { connection, calls, queue } = fakeConnection()
    const { done } = connect(connection).onMessage(() => Promise.reject(new Error('mine')))
    queue.push({ cursor: 1, at: 1, event: { type: 'message-received', message } })
    await expect(done).rejects.toThrow('mine')
    expect(calls.map(([name]) => name)).toEqual(['messages.list'])
  })

  test('what was not read yet comes first, and not again when its event follows', async () => {
    const earlier = { ...message, text: 'earlier', position: 3 }
    const { connection, calls, queue } = fakeConnection([earlier])
    const heard: string[] = []
    const subscription = connect(connection).onMessage(({ text }) => {
      heard.push(text)
    })
    queue.push({ cursor: 1, at: 1, event: { type: 'message-received', message: earlier } })
    queue.push({ cursor: 2, at: 1, event: { type: 'message-received', message } })
    await expect.poll(() => calls.at(-1)).toEqual(['messages.read', { with: message.contact, upTo: 7 }])
    expect(heard).toEqual(['earlier', 'hello'])
    await subscription.stop()
  })

  test('close ends the streams', async () => {
    const { connection } = fakeConnection()
    const client = connect(connection)
    const next = client.events().next()
    await client.close()
    expect((await next).done).toBe(true)
  })
})

describe('event queue', () => {
  test('holds so many and no more; what it holds comes in order; then the end', async () => {
    const queue = new EventQueue<number>(2)
    expect([queue.push(1), queue.push(2), queue.push(3), queue.size]).toEqual([true, true, false, 2])
    queue.end()
    expect(queue.push(4)).toBe(false)
    expect([await queue.next(), await queue.next(), await queue.next()]).toEqual([
      { done: false, value: 1 },
      { done: false, value: 2 },
      { done: true, value: undefined },
    ])
  })

  test('who waits gets the next one, the error once, then the end', async () => {
    const queue = new EventQueue<number>(0)
    const waiting = queue.next()
    expect(queue.push(1)).toBe(true)
    expect(await waiting).toEqual({ done: false, value: 1 })
    queue.end(new MiaouError('cursor-expired', { oldest: 3 }))
    await expect(queue.next()).rejects.toMatchObject({ code: 'cursor-expired' })
    expect((await queue.next()).done).toBe(true)
  })
})

describe('operation table', () => {
  test('no two operations share method and path; every part of a path is a field', () => {
    const routes = operationNames.map((name) => `${operations[name].method} ${operations[name].path}`)
    expect(new Set(routes).size).toBe(routes.length)
    for (const name of operationNames) {
      const { path, input } = operations[name]
      for (const [, field] of path.matchAll(/:(\w+)/g)) expect(Object.keys(input.shape)).toContain(field)
    }
  })

  test('every code an operation may give exists', () => {
    for (const name of operationNames) {
      for (const code of operations[name].errors) expect(isErrorCode(code)).toBe(true)
    }
    expect(isErrorCode('toString')).toBe(false)
    expect(Object.values(errorKinds).every(({ status }) => status >= 400 && status < 600)).toBe(true)
  })
})
