import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseInvite } from '@miaou/protocol'
import {
  befriend,
  type Daemon,
  delivered,
  Household,
  receivedTexts,
  temporaryFolder,
  until,
} from '@miaou/testkit/processes'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { SocketDeed } from '../src/socket-watch.ts'

// `--relay-only`: what a process that hides its address really opens, sends and tells, beside people who hide nothing.

const watch = new URL('../src/socket-watch.ts', import.meta.url).href

function addressesIn(invite: string): readonly string[] {
  const parsed = parseInvite(invite, (bytes) => new Uint8Array(createHash('sha256').update(bytes).digest()))
  return parsed.ok ? parsed.value.addresses : []
}

function portOf(address: string): number {
  return Number(address.slice(address.lastIndexOf(':') + 1))
}

describe('a peer that hides its address', () => {
  const house = new Household()
  const folder = temporaryFolder()
  const seenPath = join(folder.path, 'sockets')
  let relay: Daemon
  let relayAddress: string
  let ann: Daemon
  let ben: Daemon
  let overlayPorts: readonly number[]

  function seen(...deeds: readonly SocketDeed['deed'][]): SocketDeed[] {
    const lines = readFileSync(seenPath, 'utf8').trim().split('\n')
    return lines.map((line): SocketDeed => JSON.parse(line)).filter(({ deed }) => deeds.includes(deed))
  }

  beforeAll(async () => {
    relay = await house.start('relay', ['--serve', 'relay', '--stun-port', '0'])
    relayAddress = (await relay.client.network.info()).serving?.relay?.address ?? ''
    ben = await house.start('Ben', ['--relay', relayAddress])
    const nodes = await Promise.all(
      [relay, ben].map(async ({ client }) => {
        const { nodes: names } = await client.overlay.info()
        return names.find((name) => name.includes('@127.0.0.1:')) ?? ''
      }),
    )
    overlayPorts = nodes.map(portOf)
    const environment = { NODE_OPTIONS: `--import=${watch}`, MIAOU_TEST_SOCKETS: seenPath }
    const bootstrap = nodes.flatMap((node) => ['--bootstrap', node])
    ann = await house.start('Ann', ['--relay-only', '--relay', relayAddress, ...bootstrap], { environment })
    for (const { client } of [ann, ben]) {
      await until('a reservation', async () =>
        (await client.network.info()).reservations.length > 0 ? true : undefined,
      )
    }
    // Ben shows all he has: his invite gives Ann addresses to dial, his link offers of WebRTC and his node.
    await befriend({ client: ben.client, name: 'Ben' }, { client: ann.client, name: 'Ann' })
  })

  afterAll(async () => {
    await house.end()
    folder.remove()
  })

  test('C13 they talk through the relay, though one of them could be dialled', async () => {
    const { invite } = await ben.client.invites.create()
    expect(addressesIn(invite).map((address) => address.split(':')[0])).toEqual(
      expect.arrayContaining(['ws', 'circuit']),
    )
    await ann.client.messages.send('Ben', 'from nowhere')
    await delivered(ann.client, 'Ben', 1)
    await ben.client.messages.send('Ann', 'to nowhere')
    await delivered(ben.client, 'Ann', 1)
    expect(await receivedTexts(ann.client, 'Ben')).toEqual(['to nowhere'])
    const { peerId } = await ann.client.identity.get()
    const view = (await ben.client.network.peers()).find((each) => each.peerId === peerId)
    expect(view).toMatchObject({ transport: 'circuit', path: { kind: 'relayed' } })
  })

  test('nobody is told an address: not by an invite, a contact’s record, the listener, or the LAN', async () => {
    const info = await ann.client.network.info()
    expect(info).toMatchObject({ addresses: [], discoverable: 'off', relayOnly: true, portMapping: { state: 'off' } })
    const circuits = [expect.stringMatching(/^circuit:/)]
    expect(addressesIn((await ann.client.invites.create()).invite)).toEqual(circuits)
    const { peerId } = await ann.client.identity.get()
    const known = await until('Ben to be told the ways of Ann', async () => {
      const view = (await ben.client.network.peers()).find((each) => each.peerId === peerId)
      return view !== undefined && view.addresses.length > 0 ? view.addresses : undefined
    })
    expect(known).toEqual(circuits)
  })

  test('in the overlay it is a client, whom nobody keeps and no contact is told of', async () => {
    const own = await until('Ann to join', async () => {
      const info = await ann.client.overlay.info()
      return info.contacts > 0 ? info : undefined
    })
    expect(own.mode).toBe('client')
    for (const { client } of [relay, ben]) {
      const contacts = await client.overlay.contacts(1_000)
      expect(contacts.map(({ nodeId }) => nodeId)).not.toContain(own.nodeId)
    }
  })

  test('what a person asks it to dial is refused with the reason', async () => {
    const [address = ''] = (await ben.client.network.info()).addresses
    const refused = await house.run('Ann', ['net', 'connect', address])
    expect(refused.code).not.toBe(0)
    expect(refused.stderr).toMatch(/.{12}/)
  })

  test('it connected to relays and to nothing else, listened for its own API alone, and sent to its nodes alone', async () => {
    const [benAddress = ''] = (await ben.client.network.info()).addresses
    expect(seen('connect').map(({ host, port }) => `${host}:${port}`)).toEqual([`127.0.0.1:${portOf(relayAddress)}`])
    expect(seen('connect').map(({ port }) => port)).not.toContain(portOf(benAddress))
    // Groups of mDNS are joined by who calls out on the LAN.
    expect(seen('join')).toEqual([])
    // Nodes of the overlay, whoever they are on this machine; mDNS has its own port.
    expect(seen('send').filter(({ host, port }) => host !== '127.0.0.1' || port === 5353)).toEqual([])
    expect(seen('send').map(({ port }) => port)).toEqual(expect.arrayContaining([...overlayPorts]))
    expect(seen('listen').every(({ host }) => host === '127.0.0.1')).toBe(true)
    expect(seen('listen')).toHaveLength(1)
  })
})
