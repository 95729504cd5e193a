import { randomBytes } from 'node:crypto'
import { request } from 'node:http'
import { connect, type Socket } from 'node:net'
import { frameTypes } from '@miaou/protocol'
import {
  befriend,
  type Daemon,
  delivered,
  Household,
  linked,
  RawPeer,
  RawPipe,
  residentBytes,
  strangerIdentity,
  until,
} from '@miaou/testkit/processes'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

// Issue 2, "Bad input", against a real `miaou up` that is talking with a friend all the time: each attack is refused and
// counted, and afterwards the friend's messages still arrive.
const house = new Household()
let alice: Daemon
let bob: Daemon
let address: string
let bobPeerId: string
let messageCount = 0

beforeAll(async () => {
  ;[alice, bob] = await Promise.all([house.start('Alice'), house.start('Bob')])
  await befriend({ client: alice.client, name: 'Alice' }, { client: bob.client, name: 'Bob' })
  bobPeerId = await linked(alice.client, bob.client)
  address = (await alice.client.network.info()).addresses[0] ?? ''
})

afterAll(() => house.end())

async function counter(name: string): Promise<number> {
  return (await alice.client.network.info()).counters[name] ?? 0
}

/** Runs an attack; waits until every named counter has moved, then until the friend's next message has its receipt. */
async function survives(counters: readonly string[], attack: () => Promise<void>): Promise<void> {
  const before = await Promise.all(counters.map(counter))
  await attack()
  for (const [i, name] of counters.entries()) {
    await until(`${name} to be counted`, async () => ((await counter(name)) > (before[i] ?? 0) ? true : undefined))
  }
  expect(alice.isRunning).toBe(true)
  messageCount += 1
  await bob.client.messages.send('Alice', `still there ${messageCount}`)
  await delivered(bob.client, 'Alice', messageCount)
}

function noise(size: number): Uint8Array {
  return new Uint8Array(randomBytes(size))
}

describe('on the wire', () => {
  test('truncated, oversized, random and text messages instead of a handshake', async () => {
    const [first = new Uint8Array(0)] = (await RawPeer.dial(address, await strangerIdentity())).sent
    // A frame of 86 bytes around 32, then padding.
    await survives(['bad-handshake'], async () => {
      for (const size of [0, 1, 17, 41, 58, 85, 90, 117]) {
        const pipe = await RawPipe.open(address)
        pipe.write(first.subarray(0, size))
        await pipe.closed()
      }
    })
    await survives(['bad-handshake'], async () => {
      for (const size of [1, 100, 1_000, 16_384, 65_536]) {
        const pipe = await RawPipe.open(address)
        pipe.write(noise(size))
        await pipe.closed()
      }
    })
    await survives([], async () => {
      for (const message of [noise(65_537), noise(4 * 1024 * 1024), 'a text message']) {
        const pipe = await RawPipe.open(address)
        pipe.write(message)
        await pipe.closed()
      }
    })
  })

  test('first messages of a handshake with padding of every small size', async () => {
    const [first = new Uint8Array(0)] = (await RawPeer.dial(address, await strangerIdentity())).sent
    // The frame has 118 bytes: what is behind them begins at no word of the memory.
    await survives([], async () => {
      for (let size = 118; size < 131; size++) {
        const pipe = await RawPipe.open(address)
        let hasAnswer = false
        pipe.onMessage(() => {
          hasAnswer = true
        })
        pipe.write(first.subarray(0, size))
        await until('the answer to the handshake', () => (hasAnswer ? true : undefined))
        pipe.close()
      }
    })
  })

  test('WebSocket frames that break the WebSocket protocol', async () => {
    // RFC 6455 §5: a length of 2^62, one without a mask, reserved bits, an endless message, a control frame too long.
    const broken = [
      [0x82, 0xff, 0x40, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4],
      [0x82, 0x05, 1, 2, 3, 4, 5],
      [0xf2, 0x80, 1, 2, 3, 4],
      [0x02, 0x81, 0, 0, 0, 0, 1, 0x02, 0x81, 0, 0, 0, 0, 1],
      [0x89, 0xfe, 0x01, 0, 1, 2, 3, 4],
      [0x83, 0x80, 0, 0, 0, 0],
    ]
    await survives([], async () => {
      for (const bytes of broken) {
        const socket = await upgradedSocket()
        socket.write(Uint8Array.from(bytes))
        await ended(socket)
      }
      const garbage = await tcp()
      garbage.write(noise(100_000))
      await ended(garbage)
    })
  })

  test('a handshake repeated, and the messages of a link repeated on it and on another', async () => {
    const honest = await (await RawPeer.dial(address, await strangerIdentity())).up()
    honest.send(frameTypes.keepAlive, noise(8))
    const recorded = [...honest.sent]
    expect(recorded.length).toBeGreaterThan(2)
    // On the link itself: each is refused, and 64 of them end the link.
    await survives(['undecryptable'], async () => {
      for (let i = 0; i < 70 && !honest.pipe.isClosed; i++) honest.pipe.write(recorded.at(-1) ?? noise(1))
      await honest.pipe.closed()
    })
    // Another link answers with fresh keys: what was recorded proves nothing there.
    await survives(['bad-handshake'], async () => {
      const replay = await RawPipe.open(address)
      for (const bytes of recorded) replay.write(bytes)
      await replay.closed()
    })
  })

  test('mutated messages of a link that is up', async () => {
    await survives(['undecryptable'], async () => {
      const peer = await (await RawPeer.dial(address, await strangerIdentity())).up()
      const last = peer.sent.at(-1) ?? noise(256)
      for (let i = 0; i < 100 && !peer.pipe.isClosed; i++) {
        const spoiled = last.slice()
        const at = (i * 37) % spoiled.length
        spoiled[at] = (spoiled[at] ?? 0) ^ (1 << (i % 8))
        peer.pipe.write(spoiled)
      }
      await peer.pipe.closed()
    })
  })

  test('a certificate for another key, and one that somebody else owns', async () => {
    const [mallory, other] = await Promise.all([strangerIdentity(), strangerIdentity()])
    await survives(['bad-certificate'], async () => {
      for (const identity of [
        { ...mallory, certificate: other.certificate },
        { ...other, linkKey: mallory.linkKey },
        { ...mallory, certificate: noise(mallory.certificate.length) },
      ]) {
        const peer = await RawPeer.dial(address, identity)
        await peer.pipe.closed()
        expect(peer.isUp).toBe(false)
      }
    })
  })

  test('10,000 connections left silent: memory stays bounded, the friend is answered meanwhile', async () => {
    const before = residentBytes(alice.pid)
    const open = new Set<Socket>()
    try {
      await survives([], async () => {
        for (let batch = 0; batch < 20; batch++) {
          await Promise.all(Array.from({ length: 500 }, () => silentSocket(open)))
          // In the middle of it, not only afterwards.
          if (batch % 5 === 0) await bob.client.network.ping((await alice.client.identity.get()).peerId)
        }
      })
      // Bounded: a new silent one takes the place of the oldest.
      await until('the oldest to be closed', () => (open.size <= 512 ? true : undefined))
      const grownBy = residentBytes(alice.pid) - before
      expect(grownBy).toBeLessThan(64 * 1024 * 1024)
    } finally {
      for (const socket of open) socket.destroy()
    }
  })

  test('600 WebSockets left silent: each is closed when its time is up, and a newcomer gets in', async () => {
    const pipes = await Promise.allSettled(Array.from({ length: 600 }, () => RawPipe.open(address)))
    const opened = pipes.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
    expect(opened.length).toBeGreaterThan(0)
    await survives(['handshake-timeout'], async () => {
      await until('the silent ones to be closed', () => (opened.every(({ isClosed }) => isClosed) ? true : undefined))
    })
    const newcomer = await (await RawPeer.dial(address, await strangerIdentity())).up()
    newcomer.pipe.close()
  })
})

describe('at the local API', () => {
  interface Answer {
    readonly status: number | undefined
    readonly code: string | undefined
    readonly hint: string | undefined
  }

  /** A request as any program of this machine may make it; fetch would not let us choose Host. */
  function ask(
    method: string,
    path: string,
    options: { readonly headers?: Record<string, string>; readonly token?: string; readonly body?: string } = {},
  ): Promise<Answer> {
    const { token = alice.api.token, headers, body } = options
    return new Promise((resolve, reject) => {
      const call = request(
        new URL(path, alice.api.url),
        {
          method,
          headers: {
            ...(token === '' ? {} : { authorization: `Bearer ${token}` }),
            ...(body === undefined ? {} : { 'content-type': 'application/json' }),
            ...headers,
          },
        },
        (response) => {
          let text = ''
          response.setEncoding('utf8').on('data', (chunk: string) => {
            text += chunk
          })
          response.on('end', () => {
            const { error } = JSON.parse(text) as { error?: { code: string; hint: string } }
            resolve({ status: response.statusCode, code: error?.code, hint: error?.hint })
          })
        },
      )
      // A refused body is not read to its end: the answer is there before the request is written.
      call.on('error', reject)
      call.end(body)
    })
  }

  test('without the token, with a wrong one, from another page, under another name', async () => {
    expect(await ask('GET', '/v1/identity')).toMatchObject({ status: 200 })
    const attempts = [
      [{ token: '' }, 401, 'unauthorised'],
      [{ token: `${alice.api.token}x` }, 401, 'unauthorised'],
      [{ token: 'x'.repeat(alice.api.token.length) }, 401, 'unauthorised'],
      [{ headers: { origin: 'https://evil.example' } }, 403, 'forbidden-origin'],
      [{ headers: { origin: 'null' } }, 403, 'forbidden-origin'],
      [{ headers: { host: `evil.example:${new URL(alice.api.url).port}` } }, 403, 'forbidden-host'],
      [{ headers: { host: '127.0.0.1:1' } }, 403, 'forbidden-host'],
    ] as const
    await survives([], async () => {
      for (const [options, status, code] of attempts) {
        const answer = await ask('GET', '/v1/identity', options)
        expect(answer, JSON.stringify(options)).toMatchObject({ status, code })
        expect(answer.hint).not.toBe('')
      }
      // The same doors for the stream of events.
      for (const [options, status, code] of attempts) {
        const upgrade = { connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-version': '13' }
        const headers = {
          ...upgrade,
          'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
          ...('headers' in options ? options.headers : {}),
        }
        expect(await ask('GET', '/v1/events', { ...options, headers })).toMatchObject({ status, code })
      }
    })
  })

  test('10 MB of JSON, JSON that is none, shapes that are none, unknown people and peers', async () => {
    await survives([], async () => {
      const huge = JSON.stringify({ to: 'Bob', text: 'x'.repeat(10 * 1024 * 1024) })
      const refused = await ask('POST', '/v1/messages', { body: huge }).catch((error: unknown) => error)
      // Either the answer was read, or the connection was closed while we still wrote.
      if (refused instanceof Error) expect(refused).toHaveProperty('code', expect.stringMatching(/EPIPE|ECONNRESET/))
      else expect(refused).toMatchObject({ status: 413, code: 'request-too-large' })
      const bad = ['{"to":', '[]', '"text"', 'null', '{"to":1,"text":{}}', `{"a":${'['.repeat(50_000)}`]
      for (const body of bad) {
        expect(await ask('POST', '/v1/messages', { body }), body.slice(0, 20)).toMatchObject({
          status: 400,
          code: 'bad-request',
        })
      }
      const prototype = '{"__proto__":{"isOwner":true},"to":"Bob","text":"x","constructor":{"prototype":{}}}'
      expect(await ask('POST', '/v1/messages', { body: prototype })).toMatchObject({ status: 400 })
      const text = await ask('POST', '/v1/messages', { body: 'x', headers: { 'content-type': 'text/plain' } })
      expect(text).toMatchObject({ status: 415, code: 'wrong-media-type' })
      expect(await ask('GET', '/v1/no-such-thing')).toMatchObject({ status: 404, code: 'unknown-operation' })
      const typo = await ask('POST', '/v1/messages', { body: JSON.stringify({ to: 'Bbo', text: 'hello' }) })
      expect(typo).toMatchObject({ status: 404, code: 'unknown-contact', hint: expect.stringContaining('Bob') })
      const stranger = `${bobPeerId.slice(0, -4)}1111`
      const ping = await ask('POST', `/v1/network/peers/${stranger}/ping`, { body: '{}' })
      expect([404, 502, 504]).toContain(ping.status)
    })
  })
})

/** A TCP connection that says nothing, kept in `open` while it lasts. */
function silentSocket(open: Set<Socket>): Promise<void> {
  return new Promise((resolve) => {
    const { hostname, port } = new URL(address)
    const socket = connect(Number(port), hostname)
    open.add(socket)
    socket.once('connect', () => resolve())
    // Refused or closed by the daemon: that is its right.
    socket.on('error', () => undefined)
    socket.once('close', () => {
      open.delete(socket)
      resolve()
    })
    socket.resume()
  })
}

async function tcp(): Promise<Socket> {
  const open = new Set<Socket>()
  await silentSocket(open)
  const [socket] = open
  if (socket === undefined) throw new Error('the daemon does not take connections')
  return socket
}

/** A connection that has become a WebSocket, without a library that keeps us from breaking its rules. */
async function upgradedSocket(): Promise<Socket> {
  const socket = await tcp()
  let answer = ''
  socket.on('data', (chunk: Buffer) => {
    answer += chunk.toString('latin1')
  })
  const { host } = new URL(address)
  socket.write(
    `GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n` +
      'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: miaou-v0.2.0\r\n\r\n',
  )
  await until('the upgrade', () =>
    answer.startsWith('HTTP/1.1 101') && answer.includes('\r\n\r\n') ? true : undefined,
  )
  return socket
}

async function ended(socket: Socket): Promise<void> {
  await until('the daemon to close the connection', () => (socket.destroyed ? true : undefined))
}
