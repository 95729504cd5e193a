import type { MessagingInput, MessagingOutput } from '@miaou/messaging'
import {
  type BoxAddress,
  boxToEntry,
  formatBoxAddress,
  frameTypes,
  inviteDepositSecret,
  parseInvite,
  signDeviceRecord,
} from '@miaou/protocol'
import { describe, expect, test } from 'vitest'
import { befriend, crypto, dropsOf, type Home, Town, unwrap } from './fixture.ts'

const circuit = (n: number) =>
  `circuit:${'A'.repeat(21)}${'AQgw'[n % 4]}.${'B'.repeat(21)}A@wss://relay${n}.example.org`
const locatorKey = new Uint8Array(32).fill(9)

function wantedOf(outputs: readonly MessagingOutput[]): Extract<MessagingOutput, { type: 'wanted' }> | undefined {
  return outputs.findLast((output) => output.type === 'wanted')
}

/** What a home wants now, as it says after a restart. */
function wanted(home: Home): Extract<MessagingOutput, { type: 'wanted' }> {
  home.restart()
  const told = wantedOf(home.batch({ type: 'wake' }))
  if (told === undefined) throw new Error('a home that starts says whom it wants')
  return told
}

function friends(): { readonly town: Town; readonly alice: Home; readonly bob: Home } {
  const town = new Town()
  const [alice, bob] = [town.add('Alice'), town.add('Bob')]
  befriend(town, alice, bob)
  return { town, alice, bob }
}

function ways(home: Home, sequence: number, addresses: readonly string[], key?: Uint8Array): MessagingInput {
  const locator = key === undefined ? {} : { locatorKey: key }
  return { type: 'device-ways', peerId: home.peerId, sequence, addresses, mailboxes: [], ...locator }
}

describe('[Q34] how a device is reached', () => {
  test('is kept over a restart, its record in front of what the invite said', () => {
    const { alice, bob } = friends()
    const outputs = bob.batch(ways(alice, 5, [circuit(1), 'ws://192.0.2.1:9999'], locatorKey))
    const peers = [
      {
        peerId: alice.peerId,
        addresses: [circuit(1), 'ws://192.0.2.1:9999', 'ws://10.0.0.1:9999'],
        locatorKey,
        waysSequence: 5,
      },
    ]
    expect(wantedOf(outputs)).toMatchObject({ peers })
    expect(wanted(bob)).toMatchObject({ peers })
  })

  test('a newer record replaces it, an older or the same one changes nothing', () => {
    const { alice, bob } = friends()
    bob.batch(ways(alice, 5, [circuit(1)], locatorKey))
    for (const sequence of [0, 4, 5]) expect(bob.batch(ways(alice, sequence, [circuit(2)], locatorKey))).toEqual([])
    const newer = wantedOf(bob.batch(ways(alice, 6, [circuit(2)])))
    expect(newer?.peers[0]).toMatchObject({ addresses: [circuit(2), 'ws://10.0.0.1:9999'], locatorKey })
    // Only its sequence is news: nobody must hear of it, and it counts.
    expect(bob.batch(ways(alice, 7, [circuit(2)]))).toEqual([])
    expect(bob.batch(ways(alice, 7, [circuit(3)]))).toEqual([])
    expect(wanted(bob).peers[0]?.waysSequence).toBe(7)
  })

  test('a locator key counts with a record of any age', () => {
    const { alice, bob } = friends()
    bob.batch(ways(alice, 5, [circuit(1)], locatorKey))
    const other = new Uint8Array(32).fill(8)
    expect(wantedOf(bob.batch(ways(alice, 0, [], other)))?.peers[0]).toMatchObject({
      addresses: [circuit(1), 'ws://10.0.0.1:9999'],
      locatorKey: other,
      waysSequence: 5,
    })
  })

  test('of strangers, of requests and of blocked people nothing is kept', () => {
    const { town, alice, bob } = friends()
    const carol = town.add('Carol')
    expect(bob.batch(ways(carol, 5, [circuit(1)], locatorKey))).toEqual([])
    unwrap(town.ask<'contact-block'>(bob, { type: 'contact-block', account: alice.account, blocked: true }))
    expect(bob.batch(ways(alice, 5, [circuit(1)], locatorKey))).toEqual([])
    unwrap(town.ask<'contact-block'>(bob, { type: 'contact-block', account: alice.account, blocked: false }))
    expect(wanted(bob).peers[0]).toMatchObject({ waysSequence: 0, addresses: ['ws://10.0.0.1:9999'] })
  })

  test('at the bounds: 12 ways of a record, 16 addresses in all, and nothing that no transport dials', () => {
    const { alice, bob } = friends()
    const many = Array.from({ length: 14 }, (_, n) => circuit(n))
    const told = wantedOf(bob.batch(ways(alice, 5, ['http://192.0.2.1', 'x\ny', ...many])))?.peers[0]?.addresses
    expect(told).toEqual([...many.slice(0, 12), 'ws://10.0.0.1:9999'])
    for (const from of [0, 6]) {
      const addresses = Array.from({ length: 6 }, (_, n) => `ws://10.0.1.${from + n}:9999`)
      const { invite } = unwrap(alice.ask<'invite-create'>({ type: 'invite-create', addresses, uses: 1 }))
      unwrap(bob.ask<'contact-add-invite'>({ type: 'contact-add-invite', invite }))
    }
    const all = wanted(bob).peers[0]?.addresses ?? []
    expect(all).toHaveLength(16)
    expect(all[12]).toBe('ws://10.0.1.6:9999')
  })
})

describe('[Q35] the own locator key', () => {
  test('is told from the start, stays over restarts, and is the one in invites', () => {
    const { alice, bob } = friends()
    const { ownLocatorKey } = wanted(alice)
    expect(ownLocatorKey).toHaveLength(32)
    expect(wanted(alice).ownLocatorKey).toEqual(ownLocatorKey)
    const { invite } = unwrap(alice.ask<'invite-create'>({ type: 'invite-create', addresses: [], uses: 1 }))
    expect(parseInvite(invite, (bytes) => crypto.sha256(bytes))).toMatchObject({ value: { locatorKey: ownLocatorKey } })
    expect(wanted(bob).peers[0]?.locatorKey).toEqual(ownLocatorKey)
  })

  test('is renewed when somebody is blocked, and not when they are let in again', () => {
    const { town, alice, bob } = friends()
    const before = wanted(alice).ownLocatorKey
    unwrap(town.ask<'contact-block'>(alice, { type: 'contact-block', account: bob.account, blocked: true }))
    const renewed = wantedOf(alice.last)?.ownLocatorKey
    expect(renewed).toBeDefined()
    expect(renewed).not.toEqual(before)
    unwrap(town.ask<'contact-block'>(alice, { type: 'contact-block', account: bob.account, blocked: false }))
    expect(wanted(alice).ownLocatorKey).toEqual(renewed)
  })
})

describe('[Q86] what a hello tells', () => {
  const box = (url: string) => ({
    mailbox: { url, mailboxId: new Uint8Array(16).fill(4) },
    box: new Uint8Array(16).fill(5),
  })
  const publicBox = box('wss://mail.example.org')
  const nearBox = box('ws://192.168.1.9:8000')

  function record(
    home: Home,
    sequence: number,
    boxes: readonly BoxAddress[],
    ways: readonly string[] = [],
  ): Uint8Array {
    return signDeviceRecord(crypto, home.party.identity.deviceKey.secretKey, {
      sequence,
      createdAt: home.clock.wall,
      ways,
      overlayContact: undefined,
      mailboxes: boxes.map(boxToEntry),
      services: [],
    })
  }

  function told(home: Home): Record<string, unknown> | undefined {
    return home.store.get(
      'SELECT mailboxes, ways, ways_sequence, deposit_secret IS NOT NULL AS secret, sealing_key IS NOT NULL AS sealing FROM devices',
    )
  }

  test('where to leave messages and with what: secret, sealing key, boxes of the own record', () => {
    const { town, alice, bob } = friends()
    town.run(alice, { type: 'own-record', record: record(alice, 3, [publicBox], [circuit(1)]) })
    expect(told(bob)).toEqual({
      mailboxes: formatBoxAddress(publicBox),
      ways: circuit(1),
      ways_sequence: 3,
      secret: 1,
      sealing: 1,
    })
  })

  test('contacts hear of other boxes, not of a record that names the same, also after a restart', () => {
    const { town, alice } = friends()
    const hellos = () =>
      town.sent.filter(({ from, frameType }) => from === alice && frameType === frameTypes.directMessage)
    town.sent.length = 0
    town.run(alice, { type: 'own-record', record: record(alice, 3, [publicBox]) })
    expect(hellos()).toHaveLength(1)
    town.run(alice, { type: 'own-record', record: record(alice, 4, [publicBox], [circuit(1)]) })
    town.run(alice, { type: 'own-record', record: record(alice, 5, []) })
    alice.restart()
    town.run(alice, { type: 'own-record', record: record(alice, 6, [publicBox]) })
    expect(hellos()).toHaveLength(1)
  })

  test('boxes nearer than we are reached ourselves are left out, and may be told again on a link', () => {
    const { town, alice, bob } = friends()
    town.run(alice, { type: 'own-record', record: record(alice, 3, [publicBox, nearBox]) })
    expect(told(bob)).toMatchObject({ mailboxes: formatBoxAddress(publicBox), ways_sequence: 2 })
    const mailboxes = [publicBox, nearBox]
    bob.batch({ type: 'device-ways', peerId: alice.peerId, sequence: 3, addresses: [], mailboxes })
    expect(told(bob)?.['mailboxes']).toContain(formatBoxAddress(nearBox))
  })

  test('with a box of our own that near they count', () => {
    const { town, alice, bob } = friends()
    town.run(bob, { type: 'own-record', record: record(bob, 1, [box('ws://192.168.1.7:1')]) })
    town.run(alice, { type: 'own-record', record: record(alice, 3, [nearBox]) })
    expect(told(bob)).toMatchObject({ mailboxes: formatBoxAddress(nearBox), ways_sequence: 3 })
  })

  test('also in a start whose own record is not signed yet, and when the record names no way for a while', () => {
    const { town, alice, bob } = friends()
    town.run(bob, { type: 'own-record', record: record(bob, 1, [box('ws://192.168.1.7:1')]) })
    town.run(bob, { type: 'own-record', record: new Uint8Array(0) })
    bob.restart()
    town.link(alice, bob)
    town.run(alice, { type: 'own-record', record: record(alice, 3, [nearBox]) })
    expect(told(bob)).toMatchObject({ mailboxes: formatBoxAddress(nearBox), ways_sequence: 3 })
  })

  test('boxes that are known are not given up for a hello whose boxes are all too near', () => {
    const { town, alice, bob } = friends()
    town.run(alice, { type: 'own-record', record: record(alice, 3, [publicBox]) })
    town.run(alice, { type: 'own-record', record: record(alice, 4, [nearBox]) })
    expect(told(bob)).toMatchObject({ mailboxes: formatBoxAddress(publicBox), ways_sequence: 3 })
  })

  test('a record that another signed is none', () => {
    const { town, alice, bob } = friends()
    const eve = town.add('Eve')
    town.run(alice, { type: 'own-record', record: record(eve, 3, [publicBox]) })
    expect(told(bob)).toMatchObject({ mailboxes: '', ways_sequence: 0 })
    expect(dropsOf(bob)).toMatchObject({ 'hello-record-wrong-device': 1 })
  })

  test('an invite gives the secret of its token, a hello another one, and counting starts anew', () => {
    const town = new Town()
    const [alice, bob] = [town.add('Alice'), town.add('Bob')]
    const { invite } = unwrap(alice.ask<'invite-create'>({ type: 'invite-create', addresses: [], uses: 1 }))
    unwrap(town.ask<'contact-add-invite'>(bob, { type: 'contact-add-invite', invite }))
    const secret = () => bob.store.get('SELECT deposit_secret AS secret FROM devices')?.['secret'] as Uint8Array
    const { token } = unwrap(parseInvite(invite, (bytes) => crypto.sha256(bytes)))
    expect(secret()).toEqual(inviteDepositSecret(crypto, token))
    bob.store.run('INSERT INTO deposit_counters (device, box, next) SELECT id, ?, 3 FROM devices', [new Uint8Array(16)])
    town.link(alice, bob)
    expect(secret()).toEqual(alice.store.get('SELECT own_deposit_secret AS secret FROM devices')?.['secret'])
    expect(bob.store.all('SELECT * FROM deposit_counters')).toEqual([])
  })
})
