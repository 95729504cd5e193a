import { befriend, type Daemon, Household, overlayJoined, until } from '@miaou/testkit/processes'
import { exitCodes, jsonErrorShape, jsonShapes } from 'miaou'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

// Gossip and the ways to each other's nodes, over the links of contacts (rows E20–E24, C19).

const topic = 'garden'

/** A peer of which the LAN is not told and that asks nobody: its contacts are all it knows. */
async function startHidden(house: Household, name: string, overlay?: object): Promise<Daemon> {
  await house.makeHidden(name, overlay)
  return house.start(name)
}

describe('three daemons in a line', () => {
  const house = new Household()
  let ann: Daemon
  let ben: Daemon
  let cat: Daemon

  beforeAll(async () => {
    ;[ann, ben, cat] = (await Promise.all(['Ann', 'Ben', 'Cat'].map((name) => startHidden(house, name)))) as [
      Daemon,
      Daemon,
      Daemon,
    ]
    await befriend({ client: ann.client, name: 'Ann' }, { client: ben.client, name: 'Ben' })
    await befriend({ client: ben.client, name: 'Ben' }, { client: cat.client, name: 'Cat' })
    await until('Ben to gossip with both', async () =>
      (await ben.client.gossip.info()).neighbours.length === 2 ? true : undefined,
    )
  })

  afterAll(() => house.end())

  /** Until whoever stands between knows that the other wants the topic. */
  async function wanted(daemon: Daemon): Promise<void> {
    await until('the topic to be wanted', async () => {
      const { topics } = await daemon.client.gossip.info()
      return topics.some((each) => each.topic === topic && each.neighbours > 0) ? true : undefined
    })
  }

  test('E20 E22 what Ann tells reaches Cat through Ben, once, and Ben’s reader of another topic nothing', async () => {
    const other = ben.client.gossip.follow('other')
    const heardByBen = other.next()
    const messages = cat.client.gossip.follow(topic)
    const first = messages.next()
    await wanted(ann)
    const published = await ann.client.gossip.publish(topic, 'The plums are ripe')
    expect(published.neighbours).toBe(1)
    const { value } = await first
    expect(value).toMatchObject({ topic, messageId: published.messageId })
    expect(new TextDecoder().decode(value?.payload)).toBe('The plums are ripe')
    // A pseudonym of the home: neither the device nor the account.
    expect(value?.origin).toBe((await ann.client.gossip.info()).publicKey)
    // A second copy would come before the second message.
    const second = messages.next()
    await ann.client.gossip.publish(topic, new Uint8Array([0xff]))
    expect((await second).value?.payload).toEqual(new Uint8Array([0xff]))
    await ben.client.gossip.publish('other', 'not heard by oneself')
    await Promise.all([messages.return?.(), other.return?.()])
    expect((await heardByBen).done).toBe(true)
    expect((await ann.client.network.peers()).map(({ peerId }) => peerId)).not.toContain(
      (await cat.client.identity.get()).peerId,
    )
  })

  test('gossip follow, publish and info on the command line, in both spellings', async () => {
    const following = house.open('Cat', ['--json', 'gossip', 'follow', topic])
    await wanted(ann)
    const published = await house.run('Ann', ['--json', 'gossip-publish', topic, 'Come \u001b[31mover'])
    expect(published, published.stderr).toMatchObject({ code: 0, stderr: '' })
    expect(jsonShapes['gossip publish']?.parse(JSON.parse(published.stdout))).toMatchObject({ neighbours: 1 })
    const line = await until('the line', () => following.stdout.split('\n')[0] || undefined)
    expect(jsonShapes['gossip follow']?.parse(JSON.parse(line))).toMatchObject({ text: 'Come \u001b[31mover', topic })
    expect((await following.kill('SIGINT')).code).toBe(0)
    const shown = house.open('Cat', ['gossip-follow', topic])
    await wanted(ann)
    const said = await house.run('Ann', ['gossip', 'publish', topic, 'Come \u001b[31mover'])
    expect(said.stdout).toMatch(/^Told “garden” to 1 linked peer/)
    expect(await until('the line', () => shown.stdout.split('\n')[0] || undefined)).toMatch(
      /^\d\d:\d\d {2}[0-9a-f]{4}…[0-9a-f]{4}: Come ‹1B›\[31mover$/,
    )
    expect((await shown.kill('SIGINT')).code).toBe(0)
    for (const info of [['gossip', 'info'], ['gossip-info']]) {
      const ran = await house.run('Ben', ['--json', ...info])
      expect(jsonShapes['gossip info']?.parse(JSON.parse(ran.stdout))).toMatchObject({ topics: [] })
    }
    expect((await house.run('Ben', ['gossip', 'info'])).stdout).toMatch(/^Linked peers +(Ann, Cat|Cat, Ann)$/m)
  })

  test('what goes wrong has a code, an exit code and a next step', async () => {
    const failure = async (name: string, argv: readonly string[]): Promise<[code: string, exit: number | null]> => {
      const ran = await house.run(name, ['--json', ...argv])
      const answer = JSON.parse(ran.stderr) as { error: { code: string } }
      expect(jsonErrorShape.parse(answer)).toEqual(answer)
      return [answer.error.code, ran.code]
    }
    expect(await failure('Ann', ['gossip', 'publish', 'two words', 'x'])).toEqual(['bad-topic', exitCodes.usage])
    expect(await failure('Ann', ['gossip', 'follow', 'two words'])).toEqual(['bad-topic', exitCodes.usage])
    expect(await failure('Ann', ['gossip', 'publish', topic, 'x'.repeat(65_536)])).toEqual([
      'too-large',
      exitCodes.error,
    ])
    await startHidden(house, 'Dan')
    expect(await failure('Dan', ['gossip', 'publish', topic, 'x'])).toEqual(['no-neighbours', exitCodes.unreachable])
  })

  test('two friends linked by an invite alone have an overlay: no LAN, no list, no name of a node', async () => {
    await overlayJoined(ann.client, ben.client)
    await overlayJoined(ben.client, cat.client)
    // Another Miaou of this machine could have brought them together, too: it was not needed.
    for (const { client } of [ann, ben, cat]) {
      expect((await client.overlay.info()).counters['hints-of-contacts']).toBeGreaterThan(0)
    }
    const { key } = await ann.client.overlay.putValue('between friends')
    expect((await cat.client.overlay.get(key)).record).toMatchObject({ type: 'value' })
  })
})

test('with "tellContacts": false contacts are not told of the node', async () => {
  const house = new Household()
  try {
    const [eve, fay] = await Promise.all([
      startHidden(house, 'Eve', { tellContacts: false }),
      startHidden(house, 'Fay', { tellContacts: false }),
    ])
    await befriend({ client: eve.client, name: 'Eve' }, { client: fay.client, name: 'Fay' })
    // Both are told of each other's gossip after what would have told of the nodes.
    await until('gossip', async () => ((await eve.client.gossip.info()).neighbours.length === 1 ? true : undefined))
    for (const { client } of [eve, fay]) {
      expect((await client.overlay.info()).counters['hints-of-contacts']).toBeUndefined()
    }
  } finally {
    await house.end()
  }
})
