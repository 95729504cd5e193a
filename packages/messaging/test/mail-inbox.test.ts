import { encodeSealedContent, frameTypes } from '@miaou/protocol'
import { describe, expect, test } from 'vitest'
import {
  befriend,
  contactOf,
  createParty,
  crypto,
  dropsOf,
  type Home,
  type Party,
  seededRandom,
  sentTypes,
  Town,
  texts,
  unwrap,
} from './fixture.ts'
import {
  acknowledged,
  announcementOf,
  envelopeOf,
  fetched,
  initialEnvelopes,
  lastResortOf,
  mailOf,
  sealBytes,
  sealFor,
  TestBox,
  tellBoxes,
  textOf,
} from './mail.ts'

function friends(limits = {}): { town: Town; alice: Home; bob: Home; box: TestBox } {
  const town = new Town()
  const [alice, bob] = [town.add('Alice', limits), town.add('Bob')]
  befriend(town, alice, bob)
  const box = new TestBox(1)
  tellBoxes(alice, box)
  return { town, alice, bob, box }
}

/** A home whose documents strangers can find. */
function openHome(limits = {}): { town: Town; alice: Home; box: TestBox; document: Uint8Array } {
  const town = new Town()
  const alice = town.add('Alice', limits)
  const document = lastResortOf(alice.batch({ type: 'wake' }))
  const box = new TestBox(1)
  tellBoxes(alice, box)
  return { town, alice, box, document }
}

/** A stranger's first text by mail. */
function strangeMail(alice: Home, from: Party, document: Uint8Array, text: string, seed = 1): Uint8Array {
  const envelopes = initialEnvelopes(from, alice, document, [textOf(alice, seed, text)])
  return sealFor(alice, from, envelopes, announcementOf(from, 'Stranger'))
}

const hello = (home: Home, more: object = {}) =>
  ({
    messageId: new Uint8Array(16).fill(200),
    sentAt: home.clock.wall,
    body: { type: 'hello', name: 'Bob', hintKey: new Uint8Array(32).fill(3), accepted: true, ...more },
  }) as const

describe('what mailboxes bring', () => {
  test('[Q76] a text by mail: shown, its receipt on the link that stands, acknowledged', () => {
    const { alice, bob, box } = friends()
    const outputs = alice.batch(fetched(box, box.envelope(mailOf(bob, alice, textOf(alice, 1, 'by mail')))))
    expect(texts(alice, bob)).toEqual(['by mail'])
    expect(sentTypes(outputs)).toEqual([frameTypes.deliveryReceipt])
    expect(acknowledged(outputs)).toEqual([1])
    expect(alice.events.at(-1)?.event).toMatchObject({ type: 'message-received', message: { text: 'by mail' } })
  })

  test('[Q76] several envelopes in one sealed message, in their order', () => {
    const { alice, bob, box } = friends()
    const envelopes = ['one', 'two', 'three'].map((text, index) =>
      envelopeOf(bob, alice, textOf(alice, index + 1, text)),
    )
    alice.batch(fetched(box, box.envelope(sealFor(alice, bob.party, envelopes))))
    expect(texts(alice, bob)).toEqual(['one', 'two', 'three'])
  })

  test('[Q76] a device that only an invite named counts until its account shows a list, a revoked one never', () => {
    const { alice, bob, box } = friends()
    const come = (seed: number, state: number, list: Uint8Array) => {
      alice.store.transaction(() => {
        alice.store.run('UPDATE devices SET state = ?', [state])
        alice.store.run('UPDATE contacts SET device_list = ?', [list])
      })
      alice.engine.rollback()
      alice.batch(fetched(box, box.envelope(mailOf(bob, alice, textOf(alice, seed, `${seed}`)))))
    }
    const list = alice.store.get('SELECT device_list AS list FROM contacts')?.['list'] as Uint8Array
    come(1, 0, new Uint8Array(2))
    come(2, 0, list)
    come(3, 2, list)
    expect(texts(alice, bob)).toEqual(['1'])
    expect(dropsOf(alice)).toMatchObject({ 'device-claimed': 1, 'device-revoked': 1 })
  })

  test('[Q77] the same from two mailboxes, and repeated for ever: shown once, acknowledged each time, heals nothing', () => {
    const { town, alice, bob, box } = friends()
    const second = new TestBox(2)
    tellBoxes(alice, box, second)
    const envelope = envelopeOf(bob, alice, textOf(alice, 1, 'once'))
    // Each mailbox got it sealed anew around the same ratchet message.
    const [a, b] = [sealFor(alice, bob.party, [envelope]), sealFor(alice, bob.party, [envelope])]
    const asked: number[] = []
    for (let round = 0; round < 20; round++) {
      for (const [from, bytes] of [
        [box, a],
        [second, b],
      ] as const) {
        const outputs = alice.batch(fetched(from, from.envelope(bytes)))
        expect(acknowledged(outputs)).toHaveLength(1)
        asked.push(...sentTypes(outputs).filter((type) => type === frameTypes.peerQuery))
      }
      town.clock.mono += 60_000
    }
    expect(texts(alice, bob)).toEqual(['once'])
    expect(asked).toEqual([])
    expect(dropsOf(alice)).toMatchObject({ repeated: 39 })
  })

  test('[Q77] by mail and by link: shown once', () => {
    const { alice, bob, box } = friends()
    const payload = envelopeOf(bob, alice, textOf(alice, 1, 'once'))
    alice.batch({ type: 'frame', peerId: bob.peerId, frameType: frameTypes.directMessage, payload })
    const outputs = alice.batch(fetched(box, box.envelope(sealFor(alice, bob.party, [payload]))))
    expect(acknowledged(outputs)).toEqual([1])
    expect(texts(alice, bob)).toEqual(['once'])
  })

  test('[Q78] used keys for bytes never seen: the sender is an older copy, and a new session is asked for', () => {
    const { alice, bob, box } = friends()
    const snapshot = bob.store.all('SELECT row, state FROM sessions')
    const restore = (): void => {
      bob.store.transaction(() => {
        for (const { row, state } of snapshot) {
          bob.store.run('UPDATE sessions SET state = ? WHERE row = ?', [state ?? null, row ?? null])
        }
      })
      bob.engine.rollback()
    }
    const mails = [1, 2, 3].map((seed) => {
      restore()
      return mailOf(bob, alice, textOf(alice, seed, `life ${seed}`))
    })
    const types = mails.map((bytes) => sentTypes(alice.batch(fetched(box, box.envelope(bytes)))))
    expect(types.map((all) => all.includes(frameTypes.peerQuery))).toEqual([false, false, true])
    expect(dropsOf(alice)).toMatchObject({ 'message-duplicate': 2 })
    expect(texts(alice, bob)).toEqual(['life 1'])
  })

  test('[Q77] digests of opened messages are bounded', () => {
    const { alice, bob, box } = friends({ seenMessagesMax: 8 })
    for (let seed = 1; seed <= 40; seed++) {
      alice.batch(fetched(box, box.envelope(mailOf(bob, alice, textOf(alice, seed, `${seed}`)))))
    }
    const row = alice.store.get('SELECT count(*) AS count FROM seen_messages')
    expect(row?.['count']).toBeLessThanOrEqual(16)
  })

  test('[Q79] a mailbox that cuts, alters, swaps or makes up what it holds: dropped, counted, deleted there', () => {
    const { town, alice, bob, box } = friends()
    const carol = town.add('Carol')
    befriend(town, carol, bob)
    const honest = mailOf(bob, alice, textOf(alice, 1, 'honest'))
    const bytesOf = seededRandom('garbage')
    const bad = [
      ...[0, 1, 2, 100, 1125, 1126, 1127, honest.length - 1].map((size) => honest.slice(0, size)),
      ...[0, 1, 3, 500, 1200, honest.length - 1].map((at) => {
        const altered = Uint8Array.from(honest)
        altered[at] = (altered[at] ?? 0) ^ 1
        return altered
      }),
      ...[16, 1142, honest.length, 65_280].map((size) => bytesOf.bytes(size)),
      // Of another's box, and one of 10 MB.
      mailOf(bob, carol, textOf(carol, 2, 'for Carol')),
      new Uint8Array(10_000_000),
      // Sealed well, but nothing in it.
      sealFor(alice, bob.party, [new Uint8Array(10)]),
      sealFor(alice, bob.party, [envelopeOf(bob, alice, textOf(alice, 3, 'x')).slice(0, 30)]),
    ]
    const outputs = alice.batch(fetched(box, ...bad.map((bytes) => box.envelope(bytes)), box.envelope(honest)))
    expect(acknowledged(outputs)).toHaveLength(bad.length + 1)
    expect(texts(alice, bob)).toEqual(['honest'])
    const counted = Object.values(dropsOf(alice)).reduce((sum, count) => sum + count, 0)
    expect(counted).toBeGreaterThanOrEqual(bad.length)
  })

  test('[Q79] sealed as it should be, and nonsense inside at every layer: dropped, counted, deleted there', () => {
    const { alice, bob, box } = friends()
    const bytesOf = seededRandom('nonsense')
    const whole = encodeSealedContent({
      accountKey: bob.party.identity.accountKey,
      deviceKey: bob.party.identity.deviceKey.publicKey,
      announcement: announcementOf(bob.party, 'Bob'),
      envelopes: [envelopeOf(bob, alice, textOf(alice, 1, 'cut'))],
    })
    const bad = [
      ...[0, 1, 2, 66, 100, 1000, 60_000].map((size) => sealBytes(alice, bytesOf.bytes(size))),
      ...[1, 40, 70, 400, whole.length - 1].map((size) => sealBytes(alice, whole.slice(0, size))),
      ...[1, 24, 100, 5000].map((size) => sealFor(alice, bob.party, [bytesOf.bytes(size)])),
      ...[1, 24, 100, 5000].map((size) => sealFor(alice, createParty('Nobody'), [bytesOf.bytes(size)])),
    ]
    const outputs = alice.batch(fetched(box, ...bad.map((bytes) => box.envelope(bytes))))
    expect(acknowledged(outputs)).toHaveLength(bad.length)
    expect(sentTypes(outputs)).toEqual([])
    expect(texts(alice, bob)).toEqual([])
    expect(dropsOf(alice)['malformed-sealed-content']).toBeGreaterThanOrEqual(7)
  })

  test('[Q79] a token hash that the mailbox made up moves nothing', () => {
    const { alice, bob, box } = friends()
    const before = box.hashes.size
    const bytes = mailOf(bob, alice, textOf(alice, 1, 'x'))
    box.take(alice.batch(fetched(box, box.envelope(bytes, new Uint8Array(16)), box.envelope(bytes, new Uint8Array(3)))))
    expect(box.hashes.size).toBe(before)
  })

  test('[Q12] of somebody blocked: dropped without an answer, and deleted there', () => {
    const { alice, bob, box } = friends()
    const bytes = mailOf(bob, alice, textOf(alice, 1, 'let me'))
    unwrap(alice.ask<'contact-block'>({ type: 'contact-block', account: bob.account, blocked: true }))
    const outputs = alice.batch(fetched(box, box.envelope(bytes)))
    expect(acknowledged(outputs)).toEqual([1])
    expect(sentTypes(outputs)).toEqual([])
    expect(dropsOf(alice)).toMatchObject({ blocked: 1 })
    expect(texts(alice, bob)).toEqual([])
  })

  test('[Q76] who signs a sealed message as another opens nothing in that one’s name', () => {
    const { town, alice, bob, box } = friends()
    const eve = town.add('Eve')
    befriend(town, alice, eve)
    const envelope = envelopeOf(eve, alice, textOf(alice, 1, 'I am Bob'))
    alice.batch(fetched(box, box.envelope(sealFor(alice, bob.party, [envelope]))))
    expect(texts(alice, bob)).toEqual([])
    expect(texts(alice, eve)).toEqual([])
  })

  test('[Q61] the start mark of an announcement counts only when an envelope proves who says it', () => {
    const { alice, bob, box } = friends()
    const announcement = announcementOf(bob.party, 'Somebody else')
    alice.batch(fetched(box, box.envelope(sealFor(alice, bob.party, [new Uint8Array(40)], announcement))))
    expect(contactOf(alice, bob)?.name).toBe('Bob')
    expect(dropsOf(alice)['stale-start']).toBeUndefined()
  })
})

describe('strangers by mail', () => {
  test('[Q83] a first message with announcement and certificate is a request, as on a link', () => {
    const { alice, box, document } = openHome()
    const bob = createParty('Bob')
    const outputs = alice.batch(fetched(box, box.envelope(strangeMail(alice, bob, document, 'hello there'))))
    expect(acknowledged(outputs)).toEqual([1])
    const [contact] = unwrap(alice.ask<'contacts-list'>({ type: 'contacts-list' }))
    expect(contact).toMatchObject({ account: bob.account, state: 'request', name: 'Stranger', unreadCount: 1 })
    // Again, sealed anew by the same mailbox's hand: nothing new.
    alice.batch(fetched(box, box.envelope(strangeMail(alice, bob, document, 'and more', 2))))
    expect(alice.store.all('SELECT text FROM messages')).toEqual([{ text: 'hello there' }])
  })

  test('[Q83] without an announcement, with that of another, or unlisted: dropped', () => {
    const { alice, box, document } = openHome()
    const [bob, eve] = [createParty('Bob'), createParty('Eve')]
    const envelopes = initialEnvelopes(eve, alice, document, [textOf(alice, 1, 'x')])
    const bad = [
      sealFor(alice, eve, envelopes),
      sealFor(alice, eve, envelopes, announcementOf(bob, 'Bob')),
      sealFor(alice, bob, envelopes, announcementOf(bob, 'Bob')),
      sealFor(alice, eve, envelopes, new Uint8Array(7)),
      sealFor(alice, alice.party, envelopes, announcementOf(alice.party, 'Alice')),
      sealFor(
        alice,
        { ...eve, identity: { ...eve.identity, deviceKey: bob.identity.deviceKey } },
        envelopes,
        announcementOf(eve, 'Eve'),
      ),
    ]
    const outputs = alice.batch(fetched(box, ...bad.map((bytes) => box.envelope(bytes))))
    expect(acknowledged(outputs)).toHaveLength(bad.length)
    expect(alice.store.get('SELECT count(*) AS count FROM contacts')).toEqual({ count: 0 })
    expect(dropsOf(alice)).toEqual({
      unannounced: 1,
      'account-mismatch': 1,
      'certificate-mismatch': 1,
      'malformed-announcement': 1,
      'own-account': 1,
      'unlisted-device': 1,
    })
  })

  test('[Q84] a flood of strangers is bounded in what is kept and in what it costs, and friends get through', () => {
    const limits = { requestsMax: 4, strangersMax: 8, mailStrangersBurst: 32 }
    const { town, alice, box, document } = openHome(limits)
    const friend = town.add('Friend')
    befriend(town, alice, friend)
    const flood = Array.from({ length: 60 }, (_, n) =>
      box.envelope(strangeMail(alice, createParty(`stranger ${n}`), document, `buy ${n}`)),
    )
    const mail = box.envelope(mailOf(friend, alice, textOf(alice, 1, 'from a friend')))
    const outputs = alice.batch(fetched(box, ...flood, mail))
    expect(acknowledged(outputs)).toHaveLength(61)
    expect(texts(alice, friend)).toEqual(['from a friend'])
    const count = (state: number) => alice.store.get('SELECT count(*) AS count FROM contacts WHERE state = ?', [state])
    expect(count(1)).toEqual({ count: 4 })
    expect(count(3)?.['count']).toBeLessThanOrEqual(8)
    expect(dropsOf(alice)).toMatchObject({ 'mail-stranger-rate': 28, 'too-many-requests': 28 })
  })

  test('[Q10] a hello with an invite’s token makes a contact at once, and the invite is used up', () => {
    const { alice, box, document } = openHome()
    const { invite } = unwrap(alice.ask<'invite-create'>({ type: 'invite-create', addresses: [], uses: 1 }))
    expect(invite).toBeDefined()
    const token = alice.store.get('SELECT token FROM invites')?.['token'] as Uint8Array
    const come = (name: string) => {
      const party = createParty(name)
      const contents = [hello(alice, { inviteToken: token }), textOf(alice, 1, `I am ${name}`)]
      const envelopes = initialEnvelopes(party, alice, document, contents)
      alice.batch(fetched(box, box.envelope(sealFor(alice, party, envelopes, announcementOf(party, name)))))
      return unwrap(alice.ask<'contacts-list'>({ type: 'contacts-list' })).find(
        ({ account }) => account === party.account,
      )?.state
    }
    expect(come('Bob')).toBe('contact')
    expect(alice.events.map(({ event }) => event.type)).toContain('invite-used')
    expect(come('Eve')).toBe('request')
  })

  test('[Q85] a note comes with the request; a later one of a contact changes nothing', () => {
    const { alice, box, document } = openHome()
    const bob = createParty('Bob')
    const say = (note: string) => {
      const envelopes = initialEnvelopes(bob, alice, document, [hello(alice, { note })])
      alice.batch(fetched(box, box.envelope(sealFor(alice, bob, envelopes, announcementOf(bob, 'Bob')))))
      return unwrap(alice.ask<'contacts-list'>({ type: 'contacts-list' }))[0]
    }
    expect(say('we met at the fair')).toMatchObject({ state: 'request', note: 'we met at the fair', unreadCount: 0 })
    expect(say('it is me')).toMatchObject({ state: 'request', note: 'it is me' })
    unwrap(alice.ask<'contact-accept'>({ type: 'contact-accept', account: bob.account }))
    expect(say('another one')).toMatchObject({ state: 'contact', note: 'it is me' })
  })

  test('[Q85] a first text of 2,048 bytes is kept; a longer one stays with its sender, and the request is shown', () => {
    const { alice, box, document } = openHome()
    const [bob, eve] = [createParty('Bob'), createParty('Eve')]
    alice.batch(fetched(box, box.envelope(strangeMail(alice, bob, document, 'é'.repeat(1024)))))
    alice.batch(fetched(box, box.envelope(strangeMail(alice, eve, document, 'é'.repeat(1024).concat('!')))))
    const contacts = unwrap(alice.ask<'contacts-list'>({ type: 'contacts-list' }))
    expect(contacts.map(({ state, unreadCount }) => [state, unreadCount])).toEqual([
      ['request', 1],
      ['request', 0],
    ])
    expect(dropsOf(alice)).toMatchObject({ 'request-too-long': 1 })
  })

  test('[Q83] what a stranger’s hello tells of mailboxes is kept, so that the answer finds them', () => {
    const { alice, box, document } = openHome()
    const bob = createParty('Bob')
    const depositSecret = new Uint8Array(32).fill(9)
    const sealingKey = { id: 7, key: crypto.xwingKeyPair(new Uint8Array(32).fill(1)).publicKey }
    const envelopes = initialEnvelopes(bob, alice, document, [hello(alice, { depositSecret, sealingKey })])
    alice.batch(fetched(box, box.envelope(sealFor(alice, bob, envelopes, announcementOf(bob, 'Bob')))))
    const row = alice.store.get('SELECT deposit_secret, sealing_key, sealing_key_id FROM devices')
    expect(row).toEqual({ deposit_secret: depositSecret, sealing_key: sealingKey.key, sealing_key_id: 7 })
  })
})
