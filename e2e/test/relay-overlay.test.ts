import { befriend, type Daemon, delivered, Household, receivedTexts, until } from '@miaou/testkit/processes'
import { afterAll, expect, test } from 'vitest'

// Peers that hide their address and were told of no relay: the overlay tells them of one (C13, Q04).

const house = new Household()
afterAll(() => house.end())

/** A home that joins the overlay through `nodes`, and that no network is told of. */
async function start(name: string, nodes: readonly string[], args: readonly string[]): Promise<Daemon> {
  await house.makeHidden(name, { bootstrap: { primaryNodes: nodes } })
  return house.start(name, args)
}

test('[O66] [W21] a peer without a relay learns of one from the overlay, reserves there and is reached through it', async () => {
  const relay = await start('Relay', [], ['--serve', 'relay', '--stun-port', '0'])
  const { nodes } = await relay.client.overlay.info()
  const address = (await relay.client.network.info()).serving?.relay?.address ?? ''
  expect(address).not.toBe('')
  const [ann, ben] = await Promise.all(['Ann', 'Ben'].map((name) => start(name, nodes, ['--relay-only'])))
  if (ann === undefined || ben === undefined) throw new Error('two peers')
  for (const { client } of [ann, ben]) {
    const entry = await until('a reservation', async () => {
      const { relays, reservations } = await client.network.info()
      return reservations.length > 0 ? relays[0] : undefined
    })
    expect(entry).toMatchObject({ relay: address, source: 'overlay' })
  }
  await befriend({ client: ann.client, name: 'Ann' }, { client: ben.client, name: 'Ben' })
  await ann.client.messages.send('Ben', 'through the relay of a stranger')
  await delivered(ann.client, 'Ben', 1)
  expect(await receivedTexts(ben.client, 'Ann')).toEqual(['through the relay of a stranger'])
  const { peerId } = await ann.client.identity.get()
  const path = (await ben.client.network.peers()).find((view) => view.peerId === peerId)
  expect(path).toMatchObject({ transport: 'circuit', path: { kind: 'relayed' } })
})
