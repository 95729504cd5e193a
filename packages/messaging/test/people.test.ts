import { keyToPeerId } from '@miaou/core'
import { encodePeerAnnouncement, frameTypes, signDeviceListEntry } from '@miaou/protocol'
import { describe, expect, test } from 'vitest'
import {
  addEachOther,
  befriend,
  contactOf,
  createAccount,
  createParty,
  crypto,
  dropsOf,
  Home,
  hashEntry,
  linkUp,
  messagesOf,
  sendText,
  sentTypes,
  startWall,
  Town,
  texts,
  unwrap,
} from './fixture.ts'

function twoStrangers(): { town: Town; alice: ReturnType<Town['add']>; bob: ReturnType<Town['add']> } {
  const town = new Town()
  return { town, alice: town.add('Alice'), bob: town.add('Bob') }
}

describe('links', () => {
  test('[Q5] a link begins with our announcement, and nothing else for a stranger', () => {
    const { alice, bob } = twoStrangers()
    const outputs = alice.batch(linkUp(bob.party))
    expect(sentTypes(outputs)).toEqual([frameTypes.peerAnnouncement])
    expect(outputs.filter(({ type }) => type !== 'send').map(({ type }) => type)).toEqual([
      'start',
      'wanted',
      'visibility',
    ])
  })

  test('[Q5] an announcement of another account than the certificate names is dropped', () => {
    const { alice, bob } = twoStrangers()
    const eve = createParty('Eve')
    alice.batch(linkUp(bob.party))
    const { accountKey, deviceList } = eve.identity
    const payload = encodePeerAnnouncement({ accountKey, deviceList, name: 'Bob' })
    alice.batch({ type: 'frame', peerId: bob.peerId, frameType: frameTypes.peerAnnouncement, payload })
    expect(dropsOf(alice)).toEqual({ 'account-mismatch': 1 })
    const reply = alice.ask<'contact-add-peer'>({ type: 'contact-add-peer', peerId: bob.peerId })
    expect(reply).toEqual({ ok: false, error: { type: 'unknown-peer', peerId: bob.peerId } })
  })

  test('[Q5] a device that its account does not list is no device of it', () => {
    const { alice, bob } = twoStrangers()
    // Eve's device claims Bob's account, and shows Bob's true list.
    const eve = createParty('Eve')
    const { accountKey, deviceList } = bob.party.identity
    alice.batch({ ...linkUp(eve), accountKey } as ReturnType<typeof linkUp>)
    const payload = encodePeerAnnouncement({ accountKey, deviceList, name: 'Bob' })
    alice.batch({ type: 'frame', peerId: eve.peerId, frameType: frameTypes.peerAnnouncement, payload })
    expect(dropsOf(alice)).toEqual({ 'unlisted-device': 1 })
  })

  test('[Q6] another session key than the pinned one opens nothing', () => {
    const { town, alice, bob } = twoStrangers()
    befriend(town, alice, bob)
    town.unlink(alice, bob)
    const other = crypto.x25519KeyPair(new Uint8Array(32).fill(7)).publicKey
    const outputs = alice.batch({ ...linkUp(bob.party), sessionKey: other } as ReturnType<typeof linkUp>)
    expect(sentTypes(outputs)).toEqual([frameTypes.peerAnnouncement])
    expect(dropsOf(alice)).toMatchObject({ 'session-key-changed': 1 })
  })

  test('[Q1] frames without a link are dropped', () => {
    const { alice, bob } = twoStrangers()
    const payload = new Uint8Array(10)
    alice.batch({ type: 'frame', peerId: bob.peerId, frameType: frameTypes.directMessage, payload })
    expect(dropsOf(alice)).toEqual({ 'no-link': 1 })
  })
})

describe('invites', () => {
  test('[Q10] an unused invite makes both contacts without a question, and is used up', () => {
    const { town, alice, bob } = twoStrangers()
    const { invite } = unwrap(
      alice.ask<'invite-create'>({ type: 'invite-create', addresses: ['ws://10.0.0.1:9999'], uses: 1 }),
    )
    const added = unwrap(town.ask<'contact-add-invite'>(bob, { type: 'contact-add-invite', invite }))
    expect(added).toMatchObject({ account: alice.account, name: 'Alice', state: 'contact', devices: [alice.peerId] })
    expect(bob.last.find(({ type }) => type === 'wanted')).toMatchObject({
      peers: [{ peerId: alice.peerId, addresses: ['ws://10.0.0.1:9999'] }],
    })
    town.link(alice, bob)
    expect(contactOf(alice, bob)).toMatchObject({ name: 'Bob', state: 'contact', devices: [bob.peerId] })
    expect(alice.events.map(({ event }) => event.type)).toContain('invite-used')
    const carol = town.add('Carol')
    unwrap(town.ask<'contact-add-invite'>(carol, { type: 'contact-add-invite', invite }))
    town.link(alice, carol)
    expect(contactOf(alice, carol)).toBeUndefined()
    expect(dropsOf(alice)).toMatchObject({ 'invite-unknown': 1 })
  })

  test('[Q10] an invite for many lets so many in', () => {
    const town = new Town()
    const alice = town.add('Alice')
    const { invite } = unwrap(alice.ask<'invite-create'>({ type: 'invite-create', addresses: [], uses: 2 }))
    const states = ['Bob', 'Carol', 'Dave'].map((name) => {
      const guest = town.add(name)
      unwrap(town.ask<'contact-add-invite'>(guest, { type: 'contact-add-invite', invite }))
      town.link(alice, guest)
      return contactOf(alice, guest)?.state
    })
    expect(states).toEqual(['contact', 'contact', undefined])
  })

  test('[Q9] both sides learn the hint key of the other', () => {
    const { town, alice, bob } = twoStrangers()
    befriend(town, alice, bob)
    const visibility = (home: typeof alice): unknown => {
      home.restart()
      return home.batch({ type: 'wake' }).find(({ type }) => type === 'visibility')
    }
    const ofAlice = visibility(alice) as { hintKeys: Uint8Array[]; recognise: { key: Uint8Array; peerId: string }[] }
    const ofBob = visibility(bob) as typeof ofAlice
    expect(ofAlice.recognise).toEqual([{ key: ofBob.hintKeys[0], peerId: bob.peerId }])
    expect(ofBob.recognise).toEqual([{ key: ofAlice.hintKeys[0], peerId: alice.peerId }])
  })

  test('typos, own and newer invites are told apart', () => {
    const { alice, bob } = twoStrangers()
    const { invite } = unwrap(alice.ask<'invite-create'>({ type: 'invite-create', addresses: [], uses: 1 }))
    const add = (text: string, home = bob): unknown => {
      const reply = home.ask<'contact-add-invite'>({ type: 'contact-add-invite', invite: text })
      return reply.ok ? 'added' : reply.error.type
    }
    expect(add('hello')).toBe('not-an-invite')
    expect(add(`${invite.slice(0, 30)}${invite[30] === 'A' ? 'B' : 'A'}${invite.slice(31)}`)).toBe('damaged-invite')
    expect(add(invite, alice)).toBe('own-invite')
    expect(add(` ${invite}\n`)).toBe('added')
    expect(add(invite)).toBe('added')
  })

  test('[Q13] invites at their bound', () => {
    const town = new Town()
    const alice = town.add('Alice', { invitesMax: 2, inviteLifetimeMs: 5000 })
    const create = (): boolean => alice.ask<'invite-create'>({ type: 'invite-create', addresses: [], uses: 1 }).ok
    expect([create(), create(), create()]).toEqual([true, true, false])
    town.clock.wall += 5000
    expect(create()).toBe(true)
  })

  test('[Q9] a hello that is lost is said again', () => {
    const { town, alice, bob } = twoStrangers()
    let dropped = 0
    town.drop = ({ from, frameType }) => from === bob && frameType === frameTypes.directMessage && dropped++ === 0
    befriend(town, alice, bob)
    expect(contactOf(alice, bob)).toBeUndefined()
    town.pass(1000)
    expect(contactOf(alice, bob)?.state).toBe('contact')
  })
})

describe('requests', () => {
  test('[Q11] the first text of a stranger is one request, further ones wait at their sender', () => {
    const { town, alice, bob } = twoStrangers()
    town.link(alice, bob)
    unwrap(town.ask<'contact-add-peer'>(bob, { type: 'contact-add-peer', peerId: alice.peerId }))
    expect(contactOf(alice, bob)).toBeUndefined()
    for (const text of ['one', 'two', 'three']) sendText(town, bob, alice, text)
    expect(contactOf(alice, bob)).toMatchObject({ state: 'request', name: 'Bob', unreadCount: 1 })
    expect(texts(alice, bob)).toEqual(['one'])
    expect(messagesOf(bob, alice).map(({ state, reason }) => [state, reason])).toEqual([
      ['delivered', undefined],
      ['queued', 'request-pending'],
      ['queued', 'request-pending'],
    ])
    unwrap(town.ask<'contact-accept'>(alice, { type: 'contact-accept', account: bob.account }))
    expect(texts(alice, bob)).toEqual(['one', 'two', 'three'])
    expect(messagesOf(bob, alice).map(({ state }) => state)).toEqual(['delivered', 'delivered', 'delivered'])
    expect(contactOf(bob, alice)?.name).toBe('Alice')
  })

  test('[Q85] an invite that is used up, with a note: the person sees who asks and why, and the note goes once', () => {
    const { town, alice, bob } = twoStrangers()
    const { invite } = unwrap(alice.ask<'invite-create'>({ type: 'invite-create', addresses: [], uses: 1 }))
    const carol = town.add('Carol')
    unwrap(town.ask<'contact-add-invite'>(carol, { type: 'contact-add-invite', invite }))
    town.link(alice, carol)
    const note = 'we met at the fair'
    unwrap(town.ask<'contact-add-invite'>(bob, { type: 'contact-add-invite', invite, note }))
    town.link(alice, bob)
    expect(contactOf(alice, bob)).toMatchObject({ state: 'request', name: 'Bob', note, unreadCount: 0 })
    expect(contactOf(bob, alice)?.note).toBeUndefined()
    unwrap(town.ask<'contact-accept'>(alice, { type: 'contact-accept', account: bob.account }))
    town.pass(10_000)
    sendText(town, bob, alice, 'thanks')
    expect(texts(alice, bob)).toEqual(['thanks'])
    expect(bob.store.get("SELECT 1 AS one FROM settings WHERE name LIKE 'note.%'")).toBeUndefined()
  })

  test('[Q85] a note that is too long is refused before anything is done', () => {
    const { alice, bob } = twoStrangers()
    const { invite } = unwrap(alice.ask<'invite-create'>({ type: 'invite-create', addresses: [], uses: 1 }))
    const add = (note: string) => bob.ask<'contact-add-invite'>({ type: 'contact-add-invite', invite, note })
    expect(add('é'.repeat(281))).toEqual({
      ok: false,
      error: { type: 'too-many', what: 'note characters', countMax: 280 },
    })
    expect(contactOf(bob, alice)).toBeUndefined()
    expect(add('é'.repeat(280)).ok).toBe(true)
  })

  test('[Q11] what waits asks again, one message at a time, and costs no attempt', () => {
    const { town, alice, bob } = twoStrangers()
    town.link(alice, bob)
    unwrap(town.ask<'contact-add-peer'>(bob, { type: 'contact-add-peer', peerId: alice.peerId }))
    for (const text of ['one', 'two', 'three']) sendText(town, bob, alice, text)
    town.sent.length = 0
    town.pass(3 * 60_000)
    const asked = town.sent.filter(({ from, frameType }) => from === bob && frameType === frameTypes.directMessage)
    expect(asked.length).toBeLessThanOrEqual(2)
    town.pass(3 * 86_400_000)
    expect(messagesOf(bob, alice).map(({ state }) => state)).toEqual(['delivered', 'queued', 'queued'])
  })

  test('[Q11] what is written later does not overtake what waits for their acceptance', () => {
    const { town, alice, bob } = twoStrangers()
    town.link(alice, bob)
    unwrap(town.ask<'contact-add-peer'>(bob, { type: 'contact-add-peer', peerId: alice.peerId }))
    for (const text of ['one', 'two', 'three']) sendText(town, bob, alice, text)
    expect(sendText(town, bob, alice, 'four')).toMatchObject({ state: 'queued', reason: 'request-pending' })
    town.unlink(alice, bob)
    sendText(town, bob, alice, 'five')
    unwrap(alice.ask<'contact-accept'>({ type: 'contact-accept', account: bob.account }))
    town.link(alice, bob)
    sendText(town, bob, alice, 'six')
    expect(texts(alice, bob)).toEqual(['one', 'two', 'three', 'four', 'five', 'six'])
  })

  test('[Q11] the first that waits asks for all: once it is taken the others follow at once', () => {
    const town = new Town()
    const alice = town.add('Alice', { requestsMax: 1 })
    const [carol, bob] = [town.add('Carol'), town.add('Bob')]
    for (const guest of [carol, bob]) {
      town.link(alice, guest)
      unwrap(town.ask<'contact-add-peer'>(guest, { type: 'contact-add-peer', peerId: alice.peerId }))
      for (const text of ['one', 'two', 'three']) sendText(town, guest, alice, text)
    }
    expect(contactOf(alice, bob)).toBeUndefined()
    unwrap(town.ask<'contact-accept'>(alice, { type: 'contact-accept', account: carol.account }))
    town.pass(3 * 60_000)
    expect(texts(alice, bob)).toEqual(['one'])
    expect(messagesOf(bob, alice).map(({ state }) => state)).toEqual(['delivered', 'queued', 'queued'])
    unwrap(town.ask<'contact-accept'>(alice, { type: 'contact-accept', account: bob.account }))
    expect(texts(alice, bob)).toEqual(['one', 'two', 'three'])
  })

  test('[Q8] strangers who stay linked and say nothing do not keep out who comes with an invite', () => {
    const town = new Town()
    const alice = town.add('Alice', { strangersMax: 2 })
    for (const name of ['Mallory 1', 'Mallory 2', 'Mallory 3']) {
      const mallory = town.add(name)
      town.link(alice, mallory)
      unwrap(town.ask<'contact-add-peer'>(mallory, { type: 'contact-add-peer', peerId: alice.peerId }))
    }
    const bob = town.add('Bob')
    befriend(town, alice, bob)
    expect(contactOf(alice, bob)?.state).toBe('contact')
    expect(alice.store.get('SELECT count(*) AS count FROM contacts WHERE state = 3')).toEqual({ count: 1 })
  })

  test('[Q8] more requests than may wait: the message stays with its sender and is told so', () => {
    const town = new Town()
    const alice = town.add('Alice', { requestsMax: 1 })
    const [bob, carol] = [town.add('Bob'), town.add('Carol')]
    for (const guest of [bob, carol]) {
      town.link(alice, guest)
      unwrap(town.ask<'contact-add-peer'>(guest, { type: 'contact-add-peer', peerId: alice.peerId }))
      sendText(town, guest, alice, 'let me in')
    }
    expect(contactOf(alice, bob)?.state).toBe('request')
    expect(contactOf(alice, carol)).toBeUndefined()
    expect(messagesOf(carol, alice)[0]).toMatchObject({ state: 'queued', reason: 'request-pending' })
    unwrap(town.ask<'contact-accept'>(alice, { type: 'contact-accept', account: bob.account }))
    town.pass(5 * 60_000)
    expect(contactOf(alice, carol)?.state).toBe('request')
  })

  test('[Q8] strangers at their bound make room for each other', () => {
    const town = new Town()
    const alice = town.add('Alice', { strangersMax: 2 })
    for (const name of ['B', 'C', 'D', 'E']) {
      const guest = town.add(name)
      town.link(alice, guest)
      unwrap(town.ask<'contact-add-peer'>(guest, { type: 'contact-add-peer', peerId: alice.peerId }))
      town.unlink(alice, guest)
    }
    expect(alice.store.get('SELECT count(*) AS count FROM contacts')).toEqual({ count: 2 })
    expect(alice.store.get('SELECT count(*) AS count FROM sessions')).toEqual({ count: 2 })
    expect(unwrap(alice.ask<'contacts-list'>({ type: 'contacts-list' }))).toEqual([])
  })

  test('two who add each other on the LAN are contacts of each other', () => {
    const { town, alice, bob } = twoStrangers()
    town.link(alice, bob)
    addEachOther(town, alice, bob)
    sendText(town, alice, bob, 'hi')
    sendText(town, bob, alice, 'hi you')
    expect(texts(alice, bob)).toEqual(['hi', 'hi you'])
  })
})

describe('blocking and leaving', () => {
  test('[Q12] a blocked person gets no answer, and the link is closed', () => {
    const { town, alice, bob } = twoStrangers()
    befriend(town, alice, bob)
    unwrap(alice.ask<'contact-block'>({ type: 'contact-block', account: bob.account, blocked: true }))
    expect(alice.last).toContainEqual({ type: 'unlink', peerId: bob.peerId })
    const outputs = bob.ask<'message-send'>({ type: 'message-send', account: alice.account, text: 'hello?' })
    expect(outputs.ok).toBe(true)
    for (const output of bob.last) {
      if (output.type !== 'send') continue
      const { frameType, payload } = output
      expect(alice.batch({ type: 'frame', peerId: bob.peerId, frameType, payload })).toEqual([])
    }
    expect(dropsOf(alice)).toMatchObject({ blocked: 1 })
    const again = alice.batch(linkUp(bob.party))
    expect(again).toEqual([{ type: 'unlink', peerId: bob.peerId }])
    const refused = alice.ask<'message-send'>({ type: 'message-send', account: bob.account, text: 'x' })
    expect(refused).toEqual({ ok: false, error: { type: 'blocked-contact', account: bob.account } })
  })

  test('[Q12] who is let in again gets what they wrote meanwhile through', () => {
    const { town, alice, bob } = twoStrangers()
    befriend(town, alice, bob)
    unwrap(town.ask<'contact-block'>(alice, { type: 'contact-block', account: bob.account, blocked: true }))
    expect(town.isLinked(alice, bob)).toBe(false)
    sendText(town, bob, alice, 'hello?')
    unwrap(town.ask<'contact-block'>(alice, { type: 'contact-block', account: bob.account, blocked: false }))
    town.link(alice, bob)
    expect(texts(alice, bob)).toEqual(['hello?'])
  })

  test('[Q25] a removed person is gone whole, and a late duplicate is not shown', () => {
    const { town, alice, bob } = twoStrangers()
    befriend(town, alice, bob)
    town.drop = ({ from, frameType }) => from === alice && frameType === frameTypes.deliveryReceipt
    sendText(town, bob, alice, 'secret word')
    town.drop = () => false
    unwrap(town.ask<'contact-remove'>(alice, { type: 'contact-remove', account: bob.account }))
    for (const table of ['contacts', 'devices', 'sessions', 'skipped_keys', 'messages', 'deliveries']) {
      expect(alice.store.get(`SELECT count(*) AS count FROM ${table}`)).toEqual({ count: 0 })
    }
    expect(unwrap(alice.ask<'messages-search'>({ type: 'messages-search', query: 'secret' }))).toEqual([])
    town.unlink(alice, bob)
    town.link(alice, bob)
    town.pass(60_000)
    expect(alice.events.filter(({ event }) => event.type === 'message-received')).toHaveLength(1)
    expect(messagesOf(bob, alice)[0]?.state).toBe('delivered')
  })
})

describe('device lists', () => {
  const second = crypto.ed25519KeyPair(new Uint8Array(32).fill(2)).publicKey
  const third = crypto.ed25519KeyPair(new Uint8Array(32).fill(3)).publicKey

  function listWith(
    bob: ReturnType<Town['add']>,
    deviceKey: Uint8Array,
    action: 'add' | 'revoke' = 'add',
  ): Uint8Array[] {
    const { identity, accountKeys } = bob.party
    const [first] = identity.deviceList
    if (!first) throw new Error('a list begins')
    const entry = signDeviceListEntry(crypto, accountKeys.secretKey, {
      action,
      accountKey: identity.accountKey,
      deviceKey,
      deviceName: action === 'add' ? 'more' : '',
      height: 1,
      previous: hashEntry(first),
      signer: 'account',
      rights: [],
      createdAt: startWall,
    })
    return [first, entry]
  }

  function announce(alice: ReturnType<Town['add']>, bob: ReturnType<Town['add']>, deviceList: Uint8Array[]): void {
    const { accountKey } = bob.party.identity
    const payload = encodePeerAnnouncement({ accountKey, deviceList, name: 'Bob' })
    alice.batch({ type: 'frame', peerId: bob.peerId, frameType: frameTypes.peerAnnouncement, payload })
  }

  test('[Q7] a longer list brings new devices, and what waits is addressed to them too', () => {
    const { town, alice, bob } = twoStrangers()
    befriend(town, alice, bob)
    town.drop = () => true
    sendText(town, alice, bob, 'for all of yours')
    announce(alice, bob, listWith(bob, second))
    expect(contactOf(alice, bob)?.devices).toEqual([bob.peerId, keyToPeerId(second)])
    expect(messagesOf(alice, bob)[0]?.deliveries.map(({ peerId, state, reason }) => [peerId, state, reason])).toEqual([
      [bob.peerId, 'sent', 'awaiting-receipt'],
      [keyToPeerId(second), 'queued', 'no-mailbox'],
    ])
    // An older list later changes nothing.
    announce(alice, bob, [...bob.party.identity.deviceList])
    expect(contactOf(alice, bob)?.devices).toHaveLength(2)
  })

  test('[Q7] two lists of the account that part are a fork: shown, and sending stops', () => {
    const { town, alice, bob } = twoStrangers()
    befriend(town, alice, bob)
    announce(alice, bob, listWith(bob, second))
    announce(alice, bob, listWith(bob, third))
    expect(contactOf(alice, bob)?.forked).toBe(true)
    const sent = sendText(town, alice, bob, 'wait')
    expect(sent).toMatchObject({ state: 'queued', reason: 'device-list-fork' })
    expect(sentTypes(alice.last)).toEqual([])
  })

  test('[Q7] a revocation wins over an addition, and the device is no longer written to', () => {
    const { town, alice, bob } = twoStrangers()
    befriend(town, alice, bob)
    announce(alice, bob, listWith(bob, second))
    const [first, add] = listWith(bob, second)
    const revoke = signDeviceListEntry(crypto, bob.party.accountKeys.secretKey, {
      action: 'revoke',
      accountKey: bob.party.identity.accountKey,
      deviceKey: second,
      deviceName: '',
      height: 2,
      previous: hashEntry(add),
      signer: 'account',
      rights: [],
      createdAt: startWall,
    })
    announce(alice, bob, [first, add, revoke] as Uint8Array[])
    expect(contactOf(alice, bob)?.devices).toEqual([bob.peerId])
    expect(sendText(town, alice, bob, 'x').deliveries.map(({ peerId }) => peerId)).toEqual([bob.peerId])
  })

  test("[Q5] somebody else who lists our friend's device gets nothing of theirs", () => {
    const { town, alice, bob } = twoStrangers()
    const eve = town.add('Eve')
    befriend(town, alice, bob)
    befriend(town, alice, eve)
    announce(alice, eve, listWith(eve, bob.party.identity.deviceKey.publicKey))
    expect(contactOf(alice, eve)?.devices).toEqual([eve.peerId, bob.peerId])
    sendText(town, alice, eve, 'for Eve alone')
    sendText(town, alice, bob, 'for Bob')
    expect(texts(bob, alice)).toEqual(['for Bob'])
  })

  test('two devices of one account: a message goes to each, and shows its most advanced', () => {
    const town = new Town()
    const alice = town.add('Alice')
    const [phone, laptop] = createAccount('Bob', 2).map((party) => town.move(new Home(party, town.clock)))
    if (!phone || !laptop) throw new Error('two devices')
    befriend(town, phone, alice)
    expect(contactOf(alice, phone)?.devices).toEqual([phone.peerId, laptop.peerId])
    const sent = sendText(town, alice, phone, 'one')
    expect(sent.deliveries.map(({ state }) => state)).toEqual(['sent', 'queued'])
    expect(messagesOf(alice, phone)[0]).toMatchObject({ state: 'delivered' })
    town.link(alice, laptop)
    // The laptop does not know yet whom the phone knows: to it Alice is a request.
    expect(contactOf(laptop, alice)?.state).toBe('request')
    unwrap(town.ask<'contact-accept'>(laptop, { type: 'contact-accept', account: alice.account }))
    sendText(town, alice, phone, 'two')
    expect(texts(phone, alice)).toEqual(['one', 'two'])
    expect(texts(laptop, alice)).toEqual(['one', 'two'])
    sendText(town, laptop, alice, 'from the laptop')
    expect(texts(alice, phone)).toEqual(['one', 'two', 'from the laptop'])
    const [first] = messagesOf(alice, phone)
    expect(first?.deliveries.map(({ state }) => state)).toEqual(['delivered', 'delivered'])
    unwrap(town.ask<'messages-read'>(laptop, { type: 'messages-read', account: alice.account, upTo: 1e9 }))
    expect(messagesOf(alice, phone)[0]).toMatchObject({
      state: 'read',
      deliveries: [{ state: 'delivered' }, { state: 'read' }],
    })
  })
})
