import { once } from 'node:events'
import { request } from 'node:http'
import { createConnection } from 'node:net'
import type { MessageId } from '@miaou/core'
import { connect, type MiaouError, type MiaouEvent } from '@miaou/sdk'
import { httpConnection } from '@miaou/sdk/http'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { type ApiServer, startApi } from '../src/api/server.ts'
import { FakeNetwork, FakePeer } from './fake-peer.ts'
import {
  connectivity,
  mailboxEntry,
  mailboxText,
  otherMailboxText,
  otherRelayText,
  relayEntry,
  relayText,
  servingMailbox,
} from './fake-reach.ts'

let alice: FakePeer
let bob: FakePeer
let api: ApiServer

beforeEach(async () => {
  const network = new FakeNetwork()
  alice = new FakePeer(network, '/alice', 'Alice')
  bob = new FakePeer(network, '/bob', 'Bob')
  alice.makeContact(bob, 'contact')
  bob.makeContact(alice, 'contact')
  api = await startApi(alice)
})

afterEach(() => api.close())

interface Answer {
  readonly status: number
  readonly body: string
}

/** A request with every header under the test's control: fetch would set Host and refuse Origin. */
function ask(path: string, headers: Record<string, string> = {}, body?: string | Buffer): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const method = body === undefined ? 'GET' : 'POST'
    const sent = request({ host: '127.0.0.1', port: api.port, path, method, headers }, (response) => {
      let text = ''
      response.on('data', (chunk) => {
        text += String(chunk)
      })
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body: text }))
    })
    sent.on('error', reject)
    sent.end(body)
  })
}

const bearer = () => ({ authorization: `Bearer ${api.token}` })
const codeOf = ({ body }: Answer): string => JSON.parse(body).error.code

describe('who may call the API', () => {
  test('the right token, from a program of this machine', async () => {
    const answer = await ask('/v1/identity', bearer())
    expect(answer.status).toBe(200)
    expect(JSON.parse(answer.body)).toEqual({ account: alice.account, peerId: alice.peerId, name: 'Alice' })
  })

  test('no token, or another one', async () => {
    for (const headers of [{}, { authorization: 'Bearer nope' }, { authorization: `Basic ${api.token}` }]) {
      const answer = await ask('/v1/identity', headers)
      expect([answer.status, codeOf(answer)]).toEqual([401, 'unauthorised'])
    }
  })

  test('a name that somebody let point here (DNS rebinding)', async () => {
    for (const host of ['evil.example', `evil.example:${api.port}`, '127.0.0.1', `127.0.0.1:${api.port + 1}`]) {
      const answer = await ask('/v1/identity', { ...bearer(), host })
      expect([answer.status, codeOf(answer)]).toEqual([403, 'forbidden-host'])
    }
    for (const host of [`localhost:${api.port}`, `[::1]:${api.port}`]) {
      expect((await ask('/v1/identity', { ...bearer(), host })).status).toBe(200)
    }
  })

  test('a page of somebody else', async () => {
    for (const origin of ['https://evil.example', 'null', `http://127.0.0.1:${api.port + 1}`]) {
      const answer = await ask('/v1/identity', { ...bearer(), origin })
      expect([answer.status, codeOf(answer)]).toEqual([403, 'forbidden-origin'])
    }
    expect((await ask('/v1/identity', { ...bearer(), origin: `http://127.0.0.1:${api.port}` })).status).toBe(200)
  })

  test('the document and unknown paths need the token too', async () => {
    expect((await ask('/v1/openapi.json')).status).toBe(401)
    expect((await ask('/nothing')).status).toBe(401)
    expect(JSON.parse((await ask('/v1/openapi.json', bearer())).body).openapi).toBe('3.1.0')
    expect(codeOf(await ask('/nothing', bearer()))).toBe('unknown-operation')
  })
})

describe('bad requests', () => {
  const json = () => ({ ...bearer(), 'content-type': 'application/json' })

  test('10 MB of JSON', async () => {
    const body = JSON.stringify({ to: 'Bob', text: 'x'.repeat(10_000_000) })
    const answer = await ask('/v1/messages', { ...json(), 'content-length': String(body.length) }, body)
    expect([answer.status, codeOf(answer)]).toEqual([413, 'request-too-large'])
    expect((await ask('/v1/identity', bearer())).status).toBe(200)
    expect(alice.messages).toEqual([])
  })

  test('the bound itself: 256 KiB are read, one byte more is not', async () => {
    const frame = JSON.stringify({ to: 'Bob', text: '', pad: '' })
    const body = (size: number) => JSON.stringify({ to: 'Bob', text: '', pad: 'x'.repeat(size - frame.length) })
    expect(codeOf(await ask('/v1/messages', json(), body(256 * 1024)))).toBe('empty-text')
    expect(codeOf(await ask('/v1/messages', json(), body(256 * 1024 + 1)))).toBe('request-too-large')
  })

  test.each([
    ['not JSON', '{', 'bad-request'],
    ['another shape', '{"to":5}', 'bad-request'],
    ['a list', '[]', 'bad-request'],
    ['a prototype', '{"__proto__":{"to":"Bob"},"text":"x"}', 'bad-request'],
    ['nothing', '', 'bad-request'],
  ])('%s', async (_name, body, code) => {
    const answer = await ask('/v1/messages', json(), body)
    expect([answer.status, codeOf(answer)]).toEqual([400, code])
    expect(answer.body).not.toMatch(/node_modules|\.ts:|at /)
  })

  test('another media type', async () => {
    const answer = await ask('/v1/messages', { ...bearer(), 'content-type': 'text/plain' }, '{}')
    expect([answer.status, codeOf(answer)]).toEqual([415, 'wrong-media-type'])
  })

  test('what goes wrong inside says nothing of the inside', async () => {
    alice.command = () => Promise.reject(new Error('secret key 0xdeadbeef at /home/alice'))
    const answer = await ask('/v1/identity', bearer())
    expect([answer.status, codeOf(answer)]).toEqual([500, 'internal'])
    expect(answer.body).not.toMatch(/deadbeef|alice|stack/)
  })

  test('at most so many connections: one more is closed at once, and one that leaves makes room', async () => {
    await api.close()
    api = await startApi(alice, { connectionsMax: 2 })
    const silent = [createConnection(api.port, '127.0.0.1'), createConnection(api.port, '127.0.0.1')]
    await Promise.all(silent.map((socket) => once(socket, 'connect')))
    await expect(ask('/v1/identity', bearer())).rejects.toThrow()
    silent[0]?.destroy()
    await expect
      .poll(() =>
        ask('/v1/identity', bearer()).then(
          ({ status }) => status,
          () => 0,
        ),
      )
      .toBe(200)
    silent[1]?.destroy()
  })

  test('too many in a short time', async () => {
    await api.close()
    api = await startApi(alice, { requestsPerSecond: 1, requestsBurst: 2 })
    await ask('/v1/identity', bearer())
    await ask('/v1/identity', bearer())
    const answer = await ask('/v1/identity', bearer())
    expect([answer.status, codeOf(answer)]).toEqual([429, 'rate-limited'])
  })
})

describe('the client over HTTP', () => {
  const client = () => connect(httpConnection(api))

  test('sends, lists, searches, reads', async () => {
    const miaou = client()
    const sent = await miaou.messages.send('bob', 'hello', { key: 'k1' })
    expect((await miaou.messages.send(bob.account, 'hello', { key: 'k1' })).id).toBe(sent.id)
    alice.receive(bob, 'hi there')
    expect(await miaou.messages.list({ with: 'Bob', unread: true, limit: 5 })).toMatchObject([{ text: 'hi there' }])
    expect(await miaou.messages.search('there')).toHaveLength(1)
    expect(await miaou.messages.read('Bob', 100)).toEqual({ count: 1 })
    expect(await miaou.network.info()).toMatchObject({ queuedMessages: 0, natType: 'unknown' })
    await miaou.close()
    await expect(miaou.identity.get()).rejects.toMatchObject({ code: 'closed' })
  })

  test('[API12] relays: added, listed, removed by address or id; one of the configuration stays', async () => {
    const { relays } = client()
    alice.reach.entries = [relayEntry(otherRelayText)]
    expect(await relays.add(relayText)).toMatchObject([
      { relay: relayText, source: 'added', state: 'reserved', address: expect.stringMatching(/^circuit:/) },
      { relay: otherRelayText, source: 'config' },
    ])
    expect(await relays.list()).toHaveLength(2)
    expect(await relays.remove(relayText.slice(0, 22))).toMatchObject([{ relay: otherRelayText }])
    await expect(relays.remove(relayText)).rejects.toMatchObject({ code: 'unknown-relay' })
    await expect(relays.remove(otherRelayText)).rejects.toMatchObject({ code: 'configured-relay' })
    await expect(relays.add('wss://relay.example.org')).rejects.toMatchObject({ code: 'bad-relay' })
    alice.reach.addedMax = 0
    await expect(relays.add(relayText)).rejects.toMatchObject({ code: 'too-many', facts: { what: 'relays' } })
  })

  test('[API16] mailboxes: added, listed, removed by address or id; one of the configuration stays', async () => {
    const { mailboxes } = client()
    alice.reach.mailboxes = [mailboxEntry(otherMailboxText)]
    expect(await mailboxes.add(mailboxText)).toMatchObject([
      { mailbox: mailboxText, source: 'added', state: 'connecting' },
      { mailbox: otherMailboxText, source: 'config', stock: { tokens: 1_920, waiting: 2 }, throughRelay: true },
    ])
    expect(await mailboxes.list()).toHaveLength(2)
    expect(await mailboxes.remove(mailboxText.slice(0, 22))).toMatchObject([{ mailbox: otherMailboxText }])
    await expect(mailboxes.remove(mailboxText)).rejects.toMatchObject({ code: 'unknown-mailbox' })
    await expect(mailboxes.remove(otherMailboxText)).rejects.toMatchObject({ code: 'configured-mailbox' })
    alice.reach.mailboxes = [mailboxEntry(mailboxText, { source: 'contact' })]
    await expect(mailboxes.remove(mailboxText)).rejects.toMatchObject({ code: 'unknown-mailbox' })
    await expect(mailboxes.add('wss://mail.example.org')).rejects.toMatchObject({ code: 'bad-mailbox' })
    alice.reach.addedMax = 0
    await expect(mailboxes.add(mailboxText)).rejects.toMatchObject({ code: 'too-many', facts: { what: 'mailboxes' } })
    alice.reach.addMailboxError = { type: 'unwritable', code: 'EROFS' }
    await expect(mailboxes.add(mailboxText)).rejects.toMatchObject({ code: 'home-unwritable' })
  })

  test('[API16] network.info tells of own mailboxes and of the one that is served', async () => {
    alice.reach.mailboxes = [mailboxEntry(mailboxText, { source: 'contact' })]
    alice.reach.changes = { serving: servingMailbox(otherMailboxText) }
    expect(await client().network.info()).toMatchObject({
      mailboxes: [{ mailbox: mailboxText, source: 'contact', box: 'CQkJCQkJCQkJCQkJCQkJCQ' }],
      serving: { mailbox: { address: otherMailboxText, boxes: 12, envelopes: 340 } },
    })
  })

  test('[API17] a changed key is trusted; a report blocks; a held message and a notice are told', async () => {
    const miaou = client()
    await expect(miaou.contacts.trust('Bob')).rejects.toMatchObject({ code: 'wrong-state' })
    const known = alice.makeContact(bob, 'contact')
    alice.contacts.set(bob.account, { ...known, changed: 'account-key' })
    expect(await miaou.contacts.list()).toMatchObject([{ changed: 'account-key' }])
    expect(await miaou.contacts.trust('Bob')).not.toHaveProperty('changed')
    alice.receive(bob, 'insult')
    const events = miaou.events({ after: 0, fleeting: false })
    bob.isRunning = false
    const sent = await miaou.messages.send('Bob', 'hello')
    const heldBy = [{ mailbox: mailboxText.slice(0, 22), until: 1_795_270_000_000 }]
    alice.changeMessage(sent.id as MessageId, { state: 'held', heldBy })
    expect(await miaou.messages.get(sent.id)).toMatchObject({ state: 'held', heldBy })
    alice.store({ type: 'notice', notice: 'session-renewed', account: bob.account })
    const told: unknown[] = []
    for await (const { event } of events) if (told.push(event) === 3) break
    expect(told).toMatchObject([
      { type: 'message-received' },
      { type: 'message-state', message: { state: 'held', heldBy } },
      { type: 'notice', notice: 'session-renewed', account: bob.account },
    ])
    expect(await miaou.contacts.report('Bob', 'insults')).toMatchObject({
      account: bob.account,
      reason: 'insults',
      messages: [{ text: 'insult' }],
    })
    expect(await miaou.contacts.list()).toMatchObject([{ state: 'blocked' }])
    const noted = { peerId: bob.peerId, note: 'hello' }
    await expect(miaou.contacts.add(noted)).rejects.toMatchObject({ code: 'bad-request' })
    await expect(miaou.contacts.report('Bob', 'x'.repeat(281))).rejects.toMatchObject({ code: 'bad-request' })
    expect(await miaou.settings.set({ jitterMs: 0, coverTraffic: 'low' })).toMatchObject({ coverTraffic: 'low' })
    await expect(miaou.settings.set({ jitterMs: 10_001 })).rejects.toMatchObject({ code: 'bad-request' })
  })

  test('[API13] the diagnosis by parts, and the path to one peer', async () => {
    const { network } = client()
    alice.reach.connectivity = connectivity
    const names = async (part: 'home' | 'reach' | 'bandwidth' | 'paths') =>
      [...new Set((await network.diagnostics({ part })).map(({ name }) => name))].sort()
    expect(await names('home')).toEqual(['clock', 'store'])
    expect(await names('reach')).toEqual(['dns', 'mailbox', 'nat', 'overlay', 'port-mapping', 'relay', 'stun', 'turn'])
    expect(await names('bandwidth')).toEqual(['bandwidth'])
    const [path] = await network.diagnostics({ part: 'paths', peer: bob.peerId })
    expect(path).toMatchObject({ name: 'path', peerId: bob.peerId, code: 'path-unknown', detail: expect.any(String) })
    const all = await network.diagnostics()
    expect(all.map(({ code }) => code)).toEqual(
      expect.arrayContaining(['store-sound', 'nat-symmetric', 'path-unknown']),
    )
    const wrong = await ask('/v1/network/diagnostics?part=soul', bearer())
    expect([wrong.status, codeOf(wrong)]).toEqual([400, 'bad-request'])
  })

  test('[API13] servers are asked once relays have answered, which are not waited for without end', async () => {
    alice.reach.entries = [relayEntry(relayText, { state: 'connecting' })]
    let isAsked = false
    alice.reach.whenAsked = () => {
      isAsked = true
    }
    const running = client().network.diagnostics({ part: 'reach' })
    await expect.poll(() => alice.reach.looks).toBeGreaterThan(2)
    expect(isAsked).toBe(false)
    alice.reach.entries = [relayEntry(relayText)]
    expect((await running).map(({ code }) => code)).toContain('relay-reserved')
    expect(isAsked).toBe(true)
  })

  test('[API15] pings: the median, and each result with those that were lost', async () => {
    alice.lostPings = 1
    expect(await client().network.ping(bob.peerId, 1_000, 3)).toMatchObject({
      sent: 3,
      received: 2,
      medianMs: 1.5,
      results: [{}, { latencyMs: 1.5 }, { latencyMs: 1.5 }],
    })
    await expect(client().network.ping(bob.peerId, 1_000, 101)).rejects.toMatchObject({ code: 'bad-request' })
  })

  test('errors keep code, facts and words', async () => {
    const error: MiaouError = await client()
      .messages.send('Bobb', 'x')
      .catch((thrown) => thrown)
    expect(error).toMatchObject({ name: 'MiaouError', code: 'unknown-contact' })
    expect(error.facts).toEqual({ account: 'Bobb', suggestions: ['Bob'] })
    expect(error.message).toMatch(/Bobb/)
    expect(error.hint).toMatch(/Did you mean Bob/)
  })

  test('a daemon that is not there', async () => {
    const gone = connect(httpConnection({ url: 'http://127.0.0.1:1', token: 'x' }))
    await expect(gone.identity.get()).rejects.toMatchObject({ code: 'no-peer' })
  })

  test('names with every character in a path', async () => {
    const odd = 'Zoé / “#?%” …'
    await client().contacts.rename('Bob', odd)
    expect((await client().contacts.safetyNumber(odd)).verified).toBe(false)
  })
})

describe('the event stream', () => {
  test('the same checks as for calls', async () => {
    const open = (protocols: string[], options: object = {}) =>
      new Promise<number>((resolve) => {
        const socket = new WebSocket(`ws://127.0.0.1:${api.port}/v1/events`, protocols, options)
        socket.on('open', () => resolve(101))
        socket.on('unexpected-response', (_request, response) => resolve(response.statusCode ?? 0))
        socket.on('error', () => undefined)
      })
    const own = ['miaou.v1', `bearer.${api.token}`]
    expect(await open(['miaou.v1'])).toBe(401)
    expect(await open(['miaou.v1', 'bearer.nope'])).toBe(401)
    expect(await open(own, { headers: { host: 'evil.example' } })).toBe(403)
    expect(await open(own, { origin: 'https://evil.example' })).toBe(403)
    expect(await open(own)).toBe(101)
  })

  test('live events, and those since a cursor', async () => {
    const miaou = connect(httpConnection(api))
    for (const text of ['one', 'two', 'three']) alice.receive(bob, text)
    const events = miaou.events({ after: 1 })
    expect(await texts(events, 2)).toEqual(['two', 'three'])
    alice.receive(bob, 'four')
    expect(await texts(events, 1)).toEqual(['four'])
    alice.emit({ type: 'peer-seen', peerId: bob.peerId })
    expect((await events.next()).value?.event).toEqual({ type: 'peer-seen', peerId: bob.peerId })
    await miaou.close()
    expect((await events.next()).done).toBe(true)
  })

  test('more events than one page and one buffer hold: none lost, none twice, in order', async () => {
    const miaou = connect(httpConnection(api))
    const count = 2_500
    const events = miaou.events({ after: 0, fleeting: false })
    const first = events.next()
    for (let i = 0; i < count; i++) alice.receive(bob, String(i))
    const [head] = [(await first).value]
    const rest = await texts(events, count - 1)
    expect([head === undefined ? '' : textOf(head), ...rest]).toEqual(
      Array.from({ length: count }, (_, i) => String(i)),
    )
    await miaou.close()
  })

  test('a cursor that is too old is told', async () => {
    alice.oldest = 10
    const miaou = connect(httpConnection(api))
    await expect(miaou.events({ after: 2 }).next()).rejects.toMatchObject({
      code: 'cursor-expired',
      facts: { oldest: 10 },
    })
  })

  test('a stream that breaks resumes by itself where it was', async () => {
    const miaou = connect(httpConnection(api))
    const events = miaou.events({ after: 0, fleeting: false })
    alice.receive(bob, 'before')
    expect(await texts(events, 1)).toEqual(['before'])
    const { port, token } = api
    await api.close()
    alice.receive(bob, 'meanwhile')
    api = await restart(port, token)
    expect(await texts(events, 1)).toEqual(['meanwhile'])
    await miaou.close()
  })

  test('at most so many streams', async () => {
    await api.close()
    api = await startApi(alice, { streamsMax: 1 })
    const first = new WebSocket(`ws://127.0.0.1:${api.port}/v1/events`, ['miaou.v1', `bearer.${api.token}`])
    await new Promise((resolve) => first.on('open', resolve))
    const second = new WebSocket(`ws://127.0.0.1:${api.port}/v1/events`, ['miaou.v1', `bearer.${api.token}`])
    const status = await new Promise((resolve) =>
      second.on('unexpected-response', (_, response) => resolve(response.statusCode)),
    )
    second.on('error', () => undefined)
    expect(status).toBe(503)
    first.terminate()
  })

  test('a reader that takes nothing is cut, and the peer goes on', async () => {
    await api.close()
    api = await startApi(alice, { streamBytesMax: 64 * 1024, streamSlowMs: 200 })
    const slow = new WebSocket(`ws://127.0.0.1:${api.port}/v1/events?after=0`, ['miaou.v1', `bearer.${api.token}`])
    await new Promise((resolve) => slow.on('open', resolve))
    slow.pause()
    const big = 'x'.repeat(20_000)
    for (let i = 0; i < 1_500; i++) alice.receive(bob, big)
    // A paused socket does not hear its own close: the server's side shows it.
    const miaou = connect(httpConnection(api))
    await expect.poll(() => alice.listenerCount, { timeout: 20_000 }).toBe(0)
    expect((await miaou.identity.get()).name).toBe('Alice')
    slow.terminate()
  })
})

function textOf({ event }: MiaouEvent): string {
  return event.type === 'message-received' ? event.message.text : event.type
}

async function texts(events: AsyncIterator<MiaouEvent>, count: number): Promise<string[]> {
  const heard: string[] = []
  while (heard.length < count) {
    const { value, done } = await events.next()
    if (done === true || value === undefined) throw new Error('the stream ended')
    heard.push(textOf(value))
  }
  return heard
}

function restart(port: number, token: string): Promise<ApiServer> {
  return startApi(alice, { port, token })
}
