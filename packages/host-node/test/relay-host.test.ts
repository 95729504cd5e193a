import { createHmac } from 'node:crypto'
import { equalBytes, peerIdToKey } from '@miaou/core'
import { relayIdOf } from '@miaou/protocol'
import { freshPipe } from '@miaou/testkit'
import { afterEach, describe, expect, test } from 'vitest'
import { createNodeCrypto } from '../src/crypto/node-crypto.ts'
import { createPseudonyms, relayServiceIdentity } from '../src/relay/pseudonyms.ts'
import { turnServer } from '../src/relay/turn-credentials.ts'
import { cleanUp, keyringOf, RelayClient, serveRelay } from './relay-clients.ts'

const crypto = await createNodeCrypto()

afterEach(cleanUp)

describe('a relay on real sockets', () => {
  test('[R21] [R30] two clients reserve, meet, and exchange messages of every size both ways', async () => {
    const { relay, address } = await serveRelay({ stunPort: 3478 })
    const [holder, caller] = [new RelayClient(2), new RelayClient(3)]
    const circuit = await holder.reserve(address)
    const dialled = freshPipe()
    caller.push({ type: 'dial', pipe: dialled, address: circuit })
    const [out, incoming] = [await caller.opened(), await holder.opened()]
    expect(out).toBe(dialled)
    const messages = [1, 255, 16_350, 16_351, 65_502, 65_536].map((size, at) => new Uint8Array(size).fill(at + 1))
    for (const bytes of messages) {
      caller.push({ type: 'write', pipe: out, channel: 0, bytes })
      holder.push({ type: 'write', pipe: incoming, channel: 0, bytes })
    }
    await holder.until(() => (holder.events('message').length === messages.length ? true : undefined))
    await caller.until(() => (caller.events('message').length === messages.length ? true : undefined))
    for (const client of [holder, caller]) {
      client.events('message').forEach(({ bytes }, at) => {
        expect(equalBytes(bytes, messages[at] as Uint8Array)).toBe(true)
      })
    }
    expect(relay.view()).toMatchObject({ links: 2, circuits: 1, reservations: 1 })
    const servers = holder.outputs.filter((output) => output.type === 'ice-servers').at(-1)
    expect(servers).toEqual({ type: 'ice-servers', servers: [{ urls: 'stun:127.0.0.1:3478' }] })
    caller.push({ type: 'close', pipe: out })
    await holder.until(() => holder.events('closed')[0])
  })

  test('[R42] 20 MB pass in order through windows and slow turns', async () => {
    const { relay, address } = await serveRelay({ limits: { unsentMax: 40_000 } })
    const [holder, caller] = [new RelayClient(4), new RelayClient(5)]
    caller.push({ type: 'dial', pipe: freshPipe(), address: await holder.reserve(address) })
    const out = await caller.opened()
    const size = 65_536
    let sent = 0
    // As much under way as several windows.
    while (sent < 20_000_000) {
      caller.push({ type: 'write', pipe: out, channel: 0, bytes: new Uint8Array(size).fill(sent / size) })
      sent += size
      await holder.until(() => (holder.received() > sent - 1_000_000 ? true : undefined))
    }
    await holder.until(() => (holder.received() === sent ? true : undefined))
    expect(holder.events('message').every(({ bytes }, at) => bytes[0] === (at & 0xff))).toBe(true)
    expect(relay.view().queuedBytes).toBe(0)
  })

  test('[R34] stopping tells the clients and frees everything', async () => {
    const { relay, address } = await serveRelay()
    const [holder, caller] = [new RelayClient(6), new RelayClient(7)]
    caller.push({ type: 'dial', pipe: freshPipe(), address: await holder.reserve(address) })
    await Promise.all([caller.opened(), holder.opened()])
    await relay.stop()
    await Promise.all([caller.until(() => caller.events('closed')[0]), holder.until(() => holder.events('closed')[0])])
    expect(relay.view()).toMatchObject({ links: 0, circuits: 0, reservations: 0 })
  })
})

describe('who a relay and its clients are', () => {
  test('[R5] the service key stays, belongs to the home, and is what the relay id names', async () => {
    const { relay } = await serveRelay()
    const identity = relayServiceIdentity(crypto, keyringOf(1))
    expect(relay.relayId).toEqual(relayIdOf(peerIdToKey(identity.peerId), (bytes) => crypto.sha256(bytes)))
    expect(relayServiceIdentity(crypto, keyringOf(2)).peerId).not.toBe(identity.peerId)
  })

  test('[R6] a pseudonym stays with its relay, and no two relays see the same one', () => {
    const pseudonymFor = createPseudonyms(crypto, keyringOf(1))
    const [first, second] = [new Uint8Array(16).fill(1), new Uint8Array(16).fill(2)]
    expect(pseudonymFor(first)).toEqual(createPseudonyms(crypto, keyringOf(1))(first))
    const keys = [pseudonymFor(first), pseudonymFor(second), relayServiceIdentity(crypto, keyringOf(1))]
    expect(new Set(keys.map(({ peerId }) => peerId)).size).toBe(3)
    expect(new Set(keys.map(({ linkKey }) => Buffer.from(linkKey.publicKey).toString('hex'))).size).toBe(3)
  })

  test('[R21] TURN passwords end, follow from the secret, and tell no client from another', () => {
    const turn = { scheme: 'turn', port: 3478, transport: 'udp', secret: 'of both' } as const
    const wall = 1_700_000_000_000
    const server = turnServer(turn, wall)
    const left = Number(server.username) - wall / 1_000
    expect(left).toBeGreaterThanOrEqual(6 * 3_600)
    expect(left).toBeLessThanOrEqual(7 * 3_600)
    expect(server.credential).toBe(createHmac('sha1', 'of both').update(server.username).digest('base64'))
    expect(turnServer(turn, wall + 1_000)).toEqual(server)
  })
})
