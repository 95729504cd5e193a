import { randomBytes } from 'node:crypto'
import { bytesToHex, err, hexToBytes, ok } from '@miaou/core'
import type { OverlayError, OverlayPunchError } from '@miaou/host-node'
import { overlayClientToTexts, textToOverlayClient } from '@miaou/host-node/overlay'
import { connect, type ErrorCode, errorKinds, type MiaouClient } from '@miaou/sdk'
import { httpConnection } from '@miaou/sdk/http'
import { createText } from '@miaou/text'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { type ApiServer, startApi } from '../src/api/server.ts'
import { exitCodeOf, exitCodes } from '../src/exit-code.ts'
import { FakeNetwork, FakePeer } from './fake-peer.ts'

// [API11]: the overlay over the local API, as programs see it.
let alice: FakePeer
let api: ApiServer
let miaou: MiaouClient

beforeEach(async () => {
  alice = new FakePeer(new FakeNetwork(), '/alice', 'Alice')
  api = await startApi(alice)
  miaou = connect(httpConnection(api))
})

afterEach(async () => {
  await miaou.close()
  await api.close()
})

describe('[API11] the overlay', () => {
  test('bytes and texts go in, hexadecimal comes out', async () => {
    const { key } = await miaou.overlay.putValue('Hello')
    expect(key).toBe('185f8db32271fe25f561a6fc938b2e264306ec304eda518007d1764826381969')
    const byText = await miaou.overlay.get(key)
    expect(byText.record).toEqual({ type: 'value', value: '48656c6c6f' })
    expect(await miaou.overlay.get(Buffer.from(key, 'hex'))).toEqual(byText)
    const bytes = new Uint8Array(randomBytes(997))
    const put = await miaou.overlay.putValue(bytes)
    expect((await miaou.overlay.get(put.key)).record.value).toBe(bytesToHex(bytes))
  })

  test('a signed record by the peer id of its device; names with every byte', async () => {
    const name = new Uint8Array(64).map((_, i) => i * 4)
    const put = await miaou.overlay.putSigned(name, 'value')
    expect(put).toMatchObject({ peerId: alice.peerId, sequence: 7, kept: true, replicas: 2 })
    const { record } = await miaou.overlay.getSigned(alice.peerId, name)
    expect(record).toMatchObject({ type: 'signed', peerId: alice.peerId, salt: bytesToHex(name), value: '76616c7565' })
    await expect(miaou.overlay.putSigned('s'.repeat(65), 'x')).rejects.toMatchObject({
      code: 'salt-too-long',
      facts: { size: 65, sizeMax: 64 },
    })
  })

  test('nodes are named as dht bootstrap takes them', async () => {
    const { nodes, nodeId, publicKey } = await miaou.overlay.info()
    const [node = ''] = nodes
    expect(node).toBe(`${Buffer.from(publicKey, 'hex').toString('base64url')}@127.0.0.1:41234`)
    expect(await miaou.overlay.contacts(1)).toEqual([{ nodeId, node, endpoint: '127.0.0.1:41234' }])
    expect(await miaou.overlay.findNode(nodeId)).toMatchObject({ contacts: [{ nodeId }] })
    expect(await miaou.overlay.ping(node)).toEqual({ node, ms: 1.25, observed: '127.0.0.1:41234' })
    expect(await miaou.overlay.bootstrap([node])).toMatchObject({ contacts: 2 })
    await expect(miaou.overlay.bootstrap([])).rejects.toMatchObject({ code: 'bad-request' })
    await expect(miaou.overlay.ping(node.replace('127.0.0.1', 'no such host'))).rejects.toMatchObject({
      code: 'bad-node',
    })
  })

  test('what is no key, no hexadecimal, no peer is refused before it is asked', async () => {
    const asked = vi.spyOn(alice.overlay, 'get')
    for (const key of ['', 'Hello', '00'.repeat(31), '00'.repeat(33), `${'0'.repeat(63)}g`]) {
      await expect(miaou.overlay.get(key)).rejects.toThrow()
    }
    await expect(miaou.overlay.getSigned('12D3KooWnobody', 'x')).rejects.toMatchObject({ code: 'bad-request' })
    expect(asked).not.toHaveBeenCalled()
  })
})

describe('D16: a node behind a router', () => {
  const endpoint = { host: '203.0.113.5', port: 4000 }
  const server = { publicKey: new Uint8Array(32).fill(2), endpoint }
  const client = { publicKey: new Uint8Array(32).fill(1), rendezvous: [server] }
  const [node = ''] = overlayClientToTexts(client)

  test('is shown as others can ping it, and pinged through its router', async () => {
    expect(await miaou.overlay.info()).not.toHaveProperty('clients')
    alice.overlay.servers = [server]
    const { clients = [], publicKey } = await miaou.overlay.info()
    expect(clients.map(textToOverlayClient)).toEqual([{ publicKey: hexToBytes(publicKey), rendezvous: [server] }])
    alice.overlay.servers = []
    const punched = { endpoint, ms: 80.5, observed: { host: '198.51.100.7', port: 9 } }
    const punch = vi.spyOn(alice.overlay, 'punch').mockResolvedValue(ok(punched))
    const answer = { node, ms: 80.5, endpoint: '203.0.113.5:4000', observed: '198.51.100.7:9' }
    expect(await miaou.overlay.ping(node)).toEqual(answer)
    expect(punch).toHaveBeenCalledWith(client.publicKey, client.rendezvous)
  })

  test.each([
    [{ type: 'punch-failed', reason: 'rendezvous-silent' }, 'rendezvous-silent'],
    [{ type: 'punch-failed', reason: 'unknown-target' }, 'unknown-client'],
    [{ type: 'punch-failed', reason: 'refused' }, 'punch-refused'],
    [{ type: 'punch-failed', reason: 'no-way-through' }, 'no-way-through'],
    [{ type: 'no-contacts' }, 'no-contacts'],
  ] as const satisfies readonly (readonly [OverlayPunchError, ErrorCode])[])(
    '%j is told as %s',
    async (error, code) => {
      vi.spyOn(alice.overlay, 'punch').mockResolvedValue(err(error))
      await expect(miaou.overlay.ping(node)).rejects.toMatchObject({ code, facts: {} })
      expect(exitCodeOf(code)).toBe(exitCodes.unreachable)
      for (const language of ['en', 'fr'] as const) expect(createText(language).error(code, {}).hint).not.toBe('')
    },
  )

  test('one that is named wrongly is no node', async () => {
    const atHome = node.replace('203.0.113.5', '192.168.1.5')
    await expect(miaou.overlay.ping(atHome)).rejects.toMatchObject({ code: 'bad-node' })
  })
})

const cost = { requests: 20, timeouts: 3, hops: 4, ms: 812.3 }

test.each([
  [{ type: 'no-contacts' }, 'no-contacts', exitCodes.unreachable],
  [{ type: 'not-found', cost }, 'not-found', exitCodes.notFound],
  [{ type: 'not-stored', stored: 1, cost }, 'not-stored', exitCodes.unreachable],
  [{ type: 'bootstrap-failed', asked: 3 }, 'bootstrap-failed', exitCodes.unreachable],
  [{ type: 'timeout' }, 'node-silent', exitCodes.unreachable],
  [{ type: 'unresolved', address: 'a.example:1' }, 'unresolved', exitCodes.unreachable],
  [{ type: 'bad-record' }, 'bad-record', exitCodes.error],
  [{ type: 'empty-value' }, 'empty-value', exitCodes.usage],
  [{ type: 'record-too-large', size: 1001, sizeMax: 1000 }, 'record-too-large', exitCodes.error],
  [{ type: 'salt-too-long', size: 65, sizeMax: 64 }, 'salt-too-long', exitCodes.error],
  [{ type: 'too-many-own-records', recordsMax: 64 }, 'too-many-own-records', exitCodes.error],
  [{ type: 'too-many-operations', operationsMax: 32 }, 'too-many-operations', exitCodes.error],
  [{ type: 'overlay-off', reason: 'disabled', detail: '' }, 'overlay-off', exitCodes.error],
  [{ type: 'overlay-off', reason: 'no-udp', detail: 'bind EACCES' }, 'overlay-unavailable', exitCodes.error],
  [{ type: 'stopped' }, 'stopped', exitCodes.error],
] as const satisfies readonly (readonly [OverlayError, ErrorCode, number])[])(
  'each error of the overlay has a code, its facts, words in both languages and an exit code: %j',
  async (error, code, exitCode) => {
    vi.spyOn(alice.overlay, 'get').mockResolvedValue(err(error))
    const thrown = await miaou.overlay.get('00'.repeat(32)).catch((reason) => reason)
    expect(thrown).toMatchObject({ name: 'MiaouError', code })
    expect(exitCodeOf(code)).toBe(exitCode)
    const known: readonly string[] = errorKinds[code].facts
    expect(known).toEqual(expect.arrayContaining(Object.keys(thrown.facts)))
    for (const language of ['en', 'fr'] as const) {
      const { message, hint } = createText(language).error(code, thrown.facts)
      // Every place is filled.
      expect(`${message} ${hint}`).not.toMatch(/[{}]| \?[ ).:]/)
    }
  },
)
