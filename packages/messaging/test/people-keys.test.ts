import { keyToAccountId } from '@miaou/core'
import { type MessagingIdentity, migrate } from '@miaou/messaging'
import { frameTypes, signDeviceCertificate, signDeviceListEntry } from '@miaou/protocol'
import { describe, expect, test } from 'vitest'
import {
  befriend,
  contactOf,
  createParty,
  crypto,
  dropsOf,
  Home,
  messagesOf,
  openMemoryStore,
  type Party,
  seededRandom,
  sendText,
  startWall,
  Town,
  texts,
  unwrap,
} from './fixture.ts'

function friends(): { town: Town; alice: Home; bob: Home } {
  const town = new Town()
  const [alice, bob] = [town.add('Alice'), town.add('Bob')]
  befriend(town, alice, bob)
  return { town, alice, bob }
}

/** The same account and device with a new session key: its home was lost, its keys were not. */
function withSessionKey(party: Party, seed: string): Party {
  const random = seededRandom(seed)
  const { accountKey, deviceKey } = party.identity
  const sessionKey = crypto.x25519KeyPair(random.bytes(32))
  const linkKey = crypto.x25519KeyPair(random.bytes(32)).publicKey
  const certificate = signDeviceCertificate(crypto, deviceKey.secretKey, {
    accountKey,
    linkKey,
    sessionKey: sessionKey.publicKey,
    createdAt: startWall,
  })
  return { ...party, identity: { ...party.identity, sessionKey, certificate } }
}

/** The same device under another account. */
function withAccount(party: Party, seed: string): Party {
  const accountKeys = crypto.ed25519KeyPair(seededRandom(seed).bytes(32))
  const accountKey = accountKeys.publicKey
  const { deviceKey, name } = party.identity
  const deviceList = [
    signDeviceListEntry(crypto, accountKeys.secretKey, {
      action: 'add',
      accountKey,
      deviceKey: deviceKey.publicKey,
      deviceName: name,
      height: 0,
      previous: new Uint8Array(32),
      createdAt: startWall,
      signer: 'account',
      rights: [],
    }),
  ]
  const linkKey = crypto.x25519KeyPair(seededRandom(`${seed} link`).bytes(32)).publicKey
  const sessionKey = crypto.x25519KeyPair(seededRandom(`${seed} session`).bytes(32))
  const certified = { accountKey, linkKey, sessionKey: sessionKey.publicKey, createdAt: startWall }
  const certificate = signDeviceCertificate(crypto, deviceKey.secretKey, certified)
  const identity: MessagingIdentity = { accountKey, deviceKey, certificate, sessionKey, deviceList, name }
  return { identity, account: keyToAccountId(accountKey), peerId: party.peerId, accountKeys }
}

/** Another home in the place of one, under the keys of `party`, with nothing in it. */
function replace(town: Town, home: Home, party: Party): Home {
  const store = openMemoryStore()
  unwrap(migrate(store))
  const replaced = new Home(party, town.clock, { store })
  // Other random numbers than the lost home's.
  replaced.restart()
  replaced.restart()
  town.homes.splice(town.homes.indexOf(home), 1, replaced)
  return replaced
}

function notices(home: Home): string[] {
  return home.events.flatMap(({ event }) => (event.type === 'notice' ? [event.notice] : []))
}

/** Frames of messages that one sent to the other since `from`. */
function contentFrames(town: Town, from: Home, since: number): number {
  return town.sent
    .slice(since)
    .filter(
      (frame) =>
        frame.from === from &&
        (frame.frameType === frameTypes.directMessage || frame.frameType === frameTypes.deliveryReceipt),
    ).length
}

describe('a changed session key', () => {
  test('[Q63] nothing leaves before the person has looked, and nothing is lost after', () => {
    const { town, alice, bob } = friends()
    sendText(town, alice, bob, 'before')
    unwrap(town.ask<'contact-verify'>(alice, { type: 'contact-verify', account: bob.account, verified: true }))
    town.unlink(alice, bob)
    const waiting = sendText(town, alice, bob, 'while away')
    expect(waiting).toMatchObject({ state: 'queued', reason: 'no-mailbox' })
    const fresh = replace(town, bob, withSessionKey(bob.party, 'new session key'))
    const since = town.sent.length
    town.link(alice, fresh)
    expect(contactOf(alice, fresh)).toMatchObject({ changed: 'session-key', verified: false })
    expect(notices(alice)).toEqual(['session-key-changed'])
    sendText(town, alice, fresh, 'not yet')
    town.pass(600_000)
    expect(contentFrames(town, alice, since)).toBe(0)
    expect(messagesOf(alice, fresh).slice(-2)).toMatchObject([
      { text: 'while away', state: 'queued', reason: 'key-changed' },
      { text: 'not yet', state: 'queued', reason: 'key-changed' },
    ])
    // Links and processes come and go: one notice is enough.
    town.unlink(alice, fresh)
    alice.restart()
    town.link(alice, fresh)
    expect(notices(alice)).toEqual(['session-key-changed'])
    expect(contentFrames(town, alice, since)).toBe(0)
    const trusted = unwrap(town.ask<'contact-trust'>(alice, { type: 'contact-trust', account: bob.account }))
    expect(trusted).toMatchObject({ verified: false })
    expect(trusted).not.toHaveProperty('changed')
    town.pass(120_000)
    // The empty home must accept first.
    unwrap(town.ask<'contact-accept'>(fresh, { type: 'contact-accept', account: alice.account }))
    town.pass(120_000)
    expect(texts(fresh, alice).sort()).toEqual(['not yet', 'while away'])
    expect(messagesOf(alice, fresh).every(({ state }) => state === 'delivered')).toBe(true)
  })

  test('[Q63] trusted while they are away: the key that was shown counts, another one does not', () => {
    const { town, alice, bob } = friends()
    town.unlink(alice, bob)
    const shown = replace(town, bob, withSessionKey(bob.party, 'shown'))
    town.link(alice, shown)
    town.unlink(alice, shown)
    alice.restart()
    unwrap(town.ask<'contact-trust'>(alice, { type: 'contact-trust', account: bob.account }))
    const other = replace(town, shown, withSessionKey(bob.party, 'another'))
    town.link(alice, other)
    expect(contactOf(alice, other)).toMatchObject({ changed: 'session-key' })
    town.unlink(alice, other)
    unwrap(town.ask<'contact-trust'>(alice, { type: 'contact-trust', account: bob.account }))
    town.link(alice, other)
    expect(contactOf(alice, other)).not.toHaveProperty('changed')
    expect(notices(alice)).toEqual(['session-key-changed', 'session-key-changed'])
  })

  test('[Q63] typing and presence stop too; strangers, and those who never changed, have nothing to trust', () => {
    const { town, alice, bob } = friends()
    expect(town.ask<'contact-trust'>(alice, { type: 'contact-trust', account: bob.account })).toEqual({
      ok: false,
      error: { type: 'wrong-state', state: 'unchanged' },
    })
    town.unlink(alice, bob)
    const fresh = replace(town, bob, withSessionKey(bob.party, 'new session key'))
    const since = town.sent.length
    town.link(alice, fresh)
    expect(unwrap(town.ask<'typing'>(alice, { type: 'typing', account: bob.account, typing: true }))).toEqual({
      sent: false,
    })
    const types = town.sent.slice(since).flatMap(({ from, frameType }) => (from === alice ? [frameType] : []))
    expect(types).toEqual([frameTypes.peerAnnouncement])
  })

  test('[Q63] a transaction that fails tells it again', () => {
    const { town, alice, bob } = friends()
    town.unlink(alice, bob)
    const fresh = replace(town, bob, withSessionKey(bob.party, 'new session key'))
    town.link(alice, fresh)
    alice.store.transaction(() => {
      alice.store.run('UPDATE contacts SET changed = 0')
      alice.store.run("DELETE FROM settings WHERE name LIKE 'changed%'")
      alice.store.run('DELETE FROM events')
    })
    alice.engine.rollback()
    alice.events.length = 0
    town.run(alice, { type: 'wake' })
    expect(notices(alice)).toEqual(['session-key-changed'])
  })
})

describe('a changed account key', () => {
  test('[Q64] the known device under another account: sending stops until the person has looked', () => {
    const { town, alice, bob } = friends()
    sendText(town, alice, bob, 'before')
    town.unlink(alice, bob)
    sendText(town, alice, bob, 'while away')
    const moved = replace(town, bob, withAccount(bob.party, 'new account'))
    const before = unwrap(alice.ask<'safety-number'>({ type: 'safety-number', account: bob.account })).safetyNumber
    const since = town.sent.length
    town.link(alice, moved)
    expect(contactOf(alice, bob)).toMatchObject({ changed: 'account-key', verified: false })
    expect(contactOf(alice, moved)).toBeUndefined()
    expect(notices(alice)).toEqual(['account-key-changed'])
    sendText(town, alice, bob, 'not yet')
    town.pass(600_000)
    expect(contentFrames(town, alice, since)).toBe(0)
    expect(messagesOf(alice, bob).at(-1)).toMatchObject({ state: 'queued', reason: 'key-changed' })
    // What is looked at is the number with the new account.
    const shown = unwrap(alice.ask<'safety-number'>({ type: 'safety-number', account: bob.account })).safetyNumber
    expect(shown).not.toBe(before)
    unwrap(town.ask<'contact-add-peer'>(moved, { type: 'contact-add-peer', peerId: alice.peerId }))
    const theirs = unwrap(moved.ask<'safety-number'>({ type: 'safety-number', account: alice.account })).safetyNumber
    expect(shown).toBe(theirs)
    expect(contentFrames(town, alice, since)).toBe(0)
    const trusted = unwrap(town.ask<'contact-trust'>(alice, { type: 'contact-trust', account: bob.account }))
    expect(trusted).toMatchObject({ account: moved.account, verified: false })
    town.pass(300_000)
    expect(contactOf(alice, bob)).toBeUndefined()
    expect(texts(moved, alice).sort()).toEqual(['not yet', 'while away'])
    sendText(town, moved, alice, 'it is me')
    expect(texts(alice, moved)).toEqual(['before', 'while away', 'not yet', 'it is me'])
    alice.restart()
    expect(contactOf(alice, moved)).toMatchObject({ state: 'contact', devices: [moved.peerId] })
  })

  test('[Q64] nobody becomes changed by what another account lists', () => {
    const { town, alice, bob } = friends()
    // Mallory lists Bob's device as its own; only links of that device would show anything.
    const mallory = createParty('Mallory')
    const carol = town.move(new Home(mallory, town.clock))
    befriend(town, alice, carol)
    sendText(town, alice, bob, 'still')
    expect(contactOf(alice, bob)).not.toHaveProperty('changed')
    expect(texts(bob, alice)).toEqual(['still'])
    expect(dropsOf(alice)).not.toHaveProperty('account-key-changed')
  })

  test('[Q64] back under the account that was known: trusting changes nothing', () => {
    const { town, alice, bob } = friends()
    town.unlink(alice, bob)
    const moved = replace(town, bob, withAccount(bob.party, 'new account'))
    town.link(alice, moved)
    town.unlink(alice, moved)
    town.homes.splice(town.homes.indexOf(moved), 1, bob)
    town.link(alice, bob)
    expect(contactOf(alice, bob)).toMatchObject({ changed: 'account-key' })
    unwrap(town.ask<'contact-trust'>(alice, { type: 'contact-trust', account: bob.account }))
    sendText(town, alice, bob, 'on')
    expect(texts(bob, alice)).toEqual(['on'])
    expect(contactOf(alice, bob)).toMatchObject({ account: bob.account })
  })
})

describe('block and report', () => {
  test('[Q65] blocking withdraws tokens and the invite that brought them; requests can be blocked too', () => {
    const town = new Town()
    const [alice, bob, carol] = [town.add('Alice'), town.add('Bob'), town.add('Carol')]
    const { invite } = unwrap(
      town.ask<'invite-create'>(alice, { type: 'invite-create', addresses: ['ws://10.0.0.1:9999'], uses: 5 }),
    )
    unwrap(town.ask<'contact-add-invite'>(bob, { type: 'contact-add-invite', invite }))
    town.link(alice, bob)
    const [device] = alice.store.all('SELECT id FROM devices')
    const [token] = alice.store.all('SELECT token FROM invites')
    const box = new Uint8Array(16)
    alice.store.transaction(() => {
      const add = 'INSERT INTO box_tokens (box, hash, device, invite, number) VALUES (?, ?, ?, ?, 0)'
      alice.store.run(add, [box, Uint8Array.of(1), device?.['id'] ?? null, null])
      alice.store.run(add, [box, Uint8Array.of(2), null, token?.['token'] ?? null])
      alice.store.run(add, [box, Uint8Array.of(3), null, Uint8Array.of(9)])
    })
    const report = unwrap(
      town.ask<'contact-report'>(alice, { type: 'contact-report', account: bob.account, reason: 'x'.repeat(300) }),
    )
    expect(report).toMatchObject({ account: bob.account, reason: 'x'.repeat(280), messages: [] })
    expect(contactOf(alice, bob)).toMatchObject({ state: 'blocked' })
    expect(alice.store.all('SELECT token FROM invites')).toEqual([])
    expect(alice.store.all('SELECT hash FROM box_tokens')).toEqual([{ hash: Uint8Array.of(3) }])
    expect(alice.store.all('SELECT own_deposit_secret AS secret FROM devices')).toEqual([{ secret: null }])
    // Carol has the same invite: it is no door any more.
    unwrap(town.ask<'contact-add-invite'>(carol, { type: 'contact-add-invite', invite }))
    town.link(alice, carol)
    sendText(town, carol, alice, 'let me in')
    expect(contactOf(alice, carol)).toMatchObject({ state: 'request' })
    const { messages } = unwrap(
      town.ask<'contact-report'>(alice, { type: 'contact-report', account: carol.account, reason: 'spam' }),
    )
    expect(messages).toMatchObject([{ text: 'let me in' }])
    expect(contactOf(alice, carol)).toMatchObject({ state: 'blocked' })
    expect(town.isLinked(alice, carol)).toBe(false)
  })

  test('[Q65] the mailboxes of who blocks are told: tokens of the blocked are worth nothing there', () => {
    const town = new Town()
    const [alice, bob, carol] = [town.add('Alice'), town.add('Bob'), town.add('Carol')]
    const mailbox = town.office.addMailbox('one')
    town.office.give(alice, [mailbox])
    for (const other of [bob, carol]) befriend(town, alice, other)
    for (const home of [alice, bob, carol]) town.connect(home)
    town.pass(3_600_000)
    const tokens = (): number => [...mailbox.boxes.values()].reduce((sum, box) => sum + box.tokens.size, 0)
    const before = tokens()
    unwrap(town.ask<'contact-block'>(alice, { type: 'contact-block', account: bob.account, blocked: true }))
    town.pass(60_000)
    expect(before).toBe(128)
    expect(tokens()).toBe(64)
    town.unlink(alice, bob)
    town.unlink(alice, carol)
    town.pass(3_600_000)
    sendText(town, bob, alice, 'still there?')
    sendText(town, carol, alice, 'hello')
    town.pass(3_600_000)
    expect(texts(alice, carol)).toEqual(['hello'])
    expect(texts(alice, bob)).toEqual([])
  })
})
