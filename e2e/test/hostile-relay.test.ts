import { accountIdToKey, parseAccountId, parsePeerId, peerIdToKey, textToBytes } from '@miaou/core'
import {
  befriend,
  type Daemon,
  delivered,
  HostileRelay,
  Household,
  type RelayDeed,
  receivedTexts,
  until,
} from '@miaou/testkit/processes'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

// Issue 4, "Bad input", between real processes: two peers that hide their address have an honest relay and one that
// means harm. Before each deed the honest relay is away, so that the conversation stands on the hostile one when it begins.
const house = new Household()
let hostile: HostileRelay
let hostileAddress: string
let honest: Daemon
let honestAddress: string
let ann: Daemon
let ben: Daemon
/** Of each, in order. */
const said: { readonly ann: string[]; readonly ben: string[] } = { ann: [], ben: [] }

beforeAll(async () => {
  const started = await HostileRelay.start()
  hostile = started.relay
  hostileAddress = started.address
  honest = await house.start('Honest', ['--serve', 'relay', '--stun-port', '0'])
  honestAddress = (await honest.client.network.info()).serving?.relay?.address ?? ''
  await startBoth()
  await Promise.all([reserved(ann), reserved(ben)])
  await befriend({ client: ann.client, name: 'Annabella' }, { client: ben.client, name: 'Benedikta' })
})

afterAll(async () => {
  await house.end()
  await hostile?.stop()
})

async function startBoth(): Promise<void> {
  const args = ['--relay-only', '--relay', hostileAddress, '--relay', honestAddress]
  ;[ann, ben] = await Promise.all([house.start('Annabella', args), house.start('Benedikta', args)])
}

/** A reservation stands at each of the two relays; the machine may have others, of which the overlay tells. */
function reserved({ client }: Daemon): Promise<true> {
  return until('a reservation at both relays', async () => {
    const { relays } = await client.network.info()
    const standing = relays.filter(({ state }) => state === 'reserved').map(({ relay }) => relay)
    return [hostileAddress, honestAddress].every((address) => standing.includes(address)) ? true : undefined
  })
}

async function via(from: Daemon, to: Daemon): Promise<string | undefined> {
  const { peerId } = await to.client.identity.get()
  const peer = (await from.client.network.peers()).find((view) => view.peerId === peerId)
  return peer?.state === 'connected' ? peer.path?.via : undefined
}

/**
 * Both ends talk through the hostile relay, and the honest one is there again. They are started anew: nothing that went
 * wrong before makes them wait.
 */
async function standOnHostile(): Promise<void> {
  hostile.deed = 'pass'
  await Promise.all([honest.kill(), ann.stop(), ben.stop()])
  await startBoth()
  const [, url = ''] = hostileAddress.split('@')
  for (const [from, to] of [[ann, ben] as const, [ben, ann] as const]) {
    await until('a link by the hostile relay', async () => ((await via(from, to)) === url ? true : undefined), {
      withinMs: 60_000,
    })
  }
  const port = honestAddress.split(':').at(-1) ?? ''
  honest = await house.start('Honest', ['--serve', 'relay', '--stun-port', '0', '--port', port])
  expect((await honest.client.network.info()).serving?.relay?.address).toBe(honestAddress)
  await Promise.all([reserved(ann), reserved(ben)])
}

/** `count` messages each way, all delivered: everything ever said is there once, in order. */
async function talk(what: string, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    said.ann.push(`Ann's secret ${what} ${i}`)
    said.ben.push(`Ben's secret ${what} ${i}`)
    await Promise.all([
      ann.client.messages.send('Benedikta', said.ann.at(-1) ?? ''),
      ben.client.messages.send('Annabella', said.ben.at(-1) ?? ''),
    ])
  }
  await Promise.all([
    delivered(ann.client, 'Benedikta', said.ann.length, 60_000),
    delivered(ben.client, 'Annabella', said.ben.length, 60_000),
  ])
  expect(await receivedTexts(ben.client, 'Annabella')).toEqual(said.ann)
  expect(await receivedTexts(ann.client, 'Benedikta')).toEqual(said.ben)
  expect([ann.isRunning, ben.isRunning, honest.isRunning]).toEqual([true, true, true])
}

describe('a relay that tampers beside one that does not', () => {
  test.each<RelayDeed>(['drop', 'double', 'swap', 'cut', 'change', 'late'])(
    'it does "%s" to what it carries: everything arrives once and in order',
    async (deed) => {
      await standOnHostile()
      const before = hostile.chunksSpoilt
      hostile.deed = deed
      await talk(deed, 10)
      // It had its chance.
      expect(hostile.chunksSpoilt).toBeGreaterThan(before)
    },
  )
})

describe('a relay that lies', () => {
  test('about reservations, and floods its clients with circuits that nobody opened', async () => {
    await standOnHostile()
    hostile.lies = {
      expiresIn: 0,
      timestamp: 2 ** 48,
      observed: Uint8Array.of(203, 0, 113, 77, 0, 80),
      limits: { circuitsMax: 0, bytesPerSecond: 1, bytesPerDay: 1 },
      iceServers: [{ scheme: 'turn', port: 1, transport: 'udp', username: 'x', credential: 'y' }],
    }
    hostile.flood(300)
    await until('its clients to have had enough', () => (hostile.clientCount === 0 ? true : undefined))
    await talk('beside a liar', 10)
  })
})

test('a relay that reads along has seen neither words, names, peer ids nor accounts', async () => {
  expect(hostile.chunksPassed).toBeGreaterThan(50)
  expect(hostile.reservations.size).toBe(2)
  // The search finds what is there: the names of reservations are no secret of a relay.
  const [reservation = ''] = hostile.reservations
  const own = (await ann.client.network.info()).reservations.concat((await ben.client.network.info()).reservations)
  expect(own.some((address) => address.includes(Buffer.from(reservation, 'hex').toString('base64url')))).toBe(true)
  expect(hostile.hasSeen(Buffer.from(reservation, 'hex'))).toBe(true)
  for (const daemon of [ann, ben]) {
    const { peerId, account, name } = await daemon.client.identity.get()
    expect(name.length).toBeGreaterThan(2)
    for (const text of [peerId, account, name, "'s secret", 'miaou-v0']) {
      expect(hostile.hasSeen(textToBytes(text)), text).toBe(false)
    }
    const [device, key] = [parsePeerId(peerId), parseAccountId(account)]
    if (device === undefined || key === undefined) throw new Error('an identity has a peer id and an account')
    expect(hostile.hasSeen(peerIdToKey(device))).toBe(false)
    expect(hostile.hasSeen(accountIdToKey(key))).toBe(false)
  }
})
