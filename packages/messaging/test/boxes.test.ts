import {
  depositToken,
  inviteDepositSecret,
  openBundle,
  parseInvite,
  tokenHash,
  verifyPrekeyBundle,
} from '@miaou/protocol'
import { describe, expect, test } from 'vitest'
import { befriend, crypto, dropsOf, type Home, Town, unwrap } from './fixture.ts'
import {
  acknowledged,
  announcementOf,
  fetched,
  initialEnvelopes,
  lastResortOf,
  locatorKeyOf,
  mailOf,
  sealFor,
  TestBox,
  tellBoxes,
  textOf,
} from './mail.ts'

const dayMs = 86_400_000

function friends(limits = {}): { town: Town; alice: Home; bob: Home } {
  const town = new Town()
  const [alice, bob] = [town.add('Alice', limits), town.add('Bob')]
  befriend(town, alice, bob)
  return { town, alice, bob }
}

/** The hash of the token with that number which Alice's box admits of Bob. */
function hashOf(alice: Home, bob: Home, box: TestBox, number: number): Uint8Array {
  const row = alice.store.get('SELECT own_deposit_secret AS secret FROM devices WHERE key = ?', [
    bob.party.identity.deviceKey.publicKey,
  ])
  return tokenHash(crypto, depositToken(crypto, row?.['secret'] as Uint8Array, box.address.box, number))
}

function holds(box: TestBox, hash: Uint8Array): boolean {
  return box.hashes.has(String(hash))
}

describe('delivery tokens', () => {
  test('[Q70] a box gets 64 hashes for a contact, and no more when nothing was used', () => {
    const { town, alice, bob } = friends()
    const box = new TestBox(1)
    tellBoxes(alice, box)
    expect(box.hashes.size).toBe(64)
    for (const number of [0, 63]) expect(holds(box, hashOf(alice, bob, box, number))).toBe(true)
    town.clock.mono += 60_000
    tellBoxes(alice, box)
    town.clock.mono += 60_000
    alice.batch({ type: 'wake' })
    expect(box.supplies).toHaveLength(1)
  })

  test('[Q70] another device of ours has other tokens in the same numbers of another box', () => {
    const { alice, bob } = friends()
    const [first, second] = [new TestBox(1), new TestBox(2)]
    tellBoxes(alice, first, second)
    expect(holds(second, hashOf(alice, bob, first, 0))).toBe(false)
    expect(holds(second, hashOf(alice, bob, second, 0))).toBe(true)
  })

  test('[Q71] a used token moves the window on: as many as may be ahead of it are added, none is told twice', () => {
    const { alice, bob } = friends()
    const box = new TestBox(1)
    tellBoxes(alice, box)
    const used = hashOf(alice, bob, box, 9)
    const envelope = box.envelope(mailOf(bob, alice, textOf(alice, 1, 'by mail')), used)
    const outputs = alice.batch(fetched(box, envelope))
    box.take(outputs)
    expect(acknowledged(outputs)).toEqual([envelope.id])
    const [, supply] = box.supplies
    expect(supply).toMatchObject({ resetTokens: false, resetBundles: false, oneTimeBundles: [] })
    expect(supply?.tokenHashes).toHaveLength(10)
    expect(holds(box, hashOf(alice, bob, box, 73))).toBe(true)
    expect(holds(box, hashOf(alice, bob, box, 74))).toBe(false)
  })

  test('[Q71] after a restart the same tokens count, and numbers go on where they were', () => {
    const { alice, bob } = friends()
    const box = new TestBox(1)
    tellBoxes(alice, box)
    alice.restart()
    tellBoxes(alice, box)
    expect(box.supplies.slice(1).every(({ tokenHashes }) => tokenHashes.length === 0)).toBe(true)
    const bytes = mailOf(bob, alice, textOf(alice, 1, 'later'))
    box.take(alice.batch(fetched(box, box.envelope(bytes, hashOf(alice, bob, box, 0)))))
    expect(holds(box, hashOf(alice, bob, box, 64))).toBe(true)
  })

  test('[Q72] a mailbox that lost tokens gets all again, and further ones for who used up theirs', () => {
    const { town, alice, bob } = friends()
    const box = new TestBox(1)
    tellBoxes(alice, box)
    town.clock.mono += 60_000
    box.hashes.clear()
    tellBoxes(alice, box)
    expect(box.supplies.at(-1)?.resetTokens).toBe(true)
    expect(holds(box, hashOf(alice, bob, box, 0))).toBe(true)
    expect(holds(box, hashOf(alice, bob, box, 64))).toBe(true)
    expect(dropsOf(alice)).toMatchObject({ 'box-tokens-lost': 1 })
  })

  test('[Q72] a supply that never arrived is made up for when the mailbox still has nothing', () => {
    const { town, alice, bob } = friends()
    const box = new TestBox(1)
    const { stock } = box
    alice.batch({ type: 'boxes', boxes: [{ address: box.address, stock }] })
    town.clock.mono += 1000
    expect(tellBoxes(alice, box)).toEqual([])
    town.clock.mono += 29_000
    box.take(alice.batch({ type: 'wake' }))
    expect(holds(box, hashOf(alice, bob, box, 0))).toBe(true)
    expect(box.bundles).toHaveLength(32)
    expect(box.lastResort).toBeDefined()
  })

  test('[Q72] a supply that goes on arriving over a slow link is neither lost nor made again', () => {
    const { town, alice } = friends()
    const box = new TestBox(1)
    const outputs = alice.batch({ type: 'boxes', boxes: [{ address: box.address, stock: box.stock }] })
    const supply = outputs.find((output) => output.type === 'supply')?.supply
    for (let arrived = 1; arrived <= 8; arrived++) {
      town.clock.mono += 20_000
      box.bundles = supply?.oneTimeBundles.slice(0, arrived) ?? []
      for (const hash of supply?.tokenHashes.slice(0, 8 * arrived) ?? []) box.hashes.set(String(hash), hash)
      expect(tellBoxes(alice, box)).toEqual([])
      expect(alice.batch({ type: 'wake' }).filter(({ type }) => type === 'supply')).toEqual([])
    }
  })

  test('[Q72] tokens of envelopes that wait are not lost', () => {
    const { town, alice, bob } = friends()
    const box = new TestBox(1)
    tellBoxes(alice, box)
    town.clock.mono += 60_000
    for (const number of [0, 1]) box.envelope(new Uint8Array(1), hashOf(alice, bob, box, number))
    box.waiting = 2
    tellBoxes(alice, box)
    expect(box.supplies).toHaveLength(1)
  })

  test('[Q73] who is blocked is out: their hashes go from every box, also when the mailbox hears of it late', () => {
    const { town, alice, bob } = friends()
    const carol = town.add('Carol')
    befriend(town, alice, carol)
    const box = new TestBox(1)
    tellBoxes(alice, box)
    expect(box.hashes.size).toBe(128)
    const ofBob = hashOf(alice, bob, box, 5)
    unwrap(alice.ask<'contact-block'>({ type: 'contact-block', account: bob.account, blocked: true }))
    // The order got lost on its way, and the process ended.
    alice.restart()
    town.clock.mono += 60_000
    tellBoxes(alice, box)
    town.clock.mono += 60_000
    box.take(alice.batch({ type: 'wake' }))
    expect(box.hashes.size).toBe(64)
    expect(holds(box, ofBob)).toBe(false)
    expect(holds(box, hashOf(alice, carol, box, 5))).toBe(true)
    const count = box.supplies.filter(({ resetTokens }) => resetTokens).length
    town.clock.mono += 60_000
    tellBoxes(alice, box)
    town.clock.mono += 60_000
    box.take(alice.batch({ type: 'wake' }))
    expect(box.supplies.filter(({ resetTokens }) => resetTokens)).toHaveLength(count)
  })

  test('[Q70] an invite is worth four tokens a use, whoever has it can make them', () => {
    const { alice } = friends()
    const box = new TestBox(1)
    tellBoxes(alice, box)
    const { invite } = unwrap(alice.ask<'invite-create'>({ type: 'invite-create', addresses: [], uses: 2 }))
    box.take(alice.last)
    expect(box.hashes.size).toBe(64 + 8)
    const { token } = unwrap(parseInvite(invite, (bytes) => crypto.sha256(bytes)))
    const secret = inviteDepositSecret(crypto, token)
    for (const number of [0, 7]) {
      expect(holds(box, tokenHash(crypto, depositToken(crypto, secret, box.address.box, number)))).toBe(true)
    }
  })

  test('[Q70] with many contacts each has fewer, and all together no more than a box takes', () => {
    const town = new Town()
    const alice = town.add('Alice', { boxTokensMax: 64 })
    const guests = ['a', 'b', 'c'].map((name) => {
      const guest = town.add(name)
      befriend(town, alice, guest)
      return guest
    })
    const box = new TestBox(1)
    tellBoxes(alice, box)
    for (const guest of guests) {
      expect(holds(box, hashOf(alice, guest, box, 15))).toBe(true)
      expect(holds(box, hashOf(alice, guest, box, 16))).toBe(false)
    }
    const late = town.add('late')
    befriend(town, alice, late)
    for (let round = 0; round < 3; round++) {
      town.clock.mono += 60_000
      tellBoxes(alice, box)
      box.take(alice.batch({ type: 'wake' }))
    }
    expect(box.hashes.size).toBeLessThanOrEqual(64)
    expect(holds(box, hashOf(alice, late, box, 0))).toBe(true)
    for (const guest of guests) expect(holds(box, hashOf(alice, guest, box, 0))).toBe(true)
  })

  test('[Q74] whoever has no token left gets more once they were heard by the strangers’ lane, not without end', () => {
    const { alice, bob } = friends()
    const box = new TestBox(1)
    tellBoxes(alice, box)
    for (let seed = 1; seed <= 5; seed++) {
      box.take(alice.batch(fetched(box, box.envelope(mailOf(bob, alice, textOf(alice, seed, `${seed}`))))))
    }
    expect(holds(box, hashOf(alice, bob, box, 127))).toBe(true)
    expect(holds(box, hashOf(alice, bob, box, 128))).toBe(false)
  })

  test('[Q75] a stolen token is counted, and costs its owner nothing but a number', () => {
    const { town, alice, bob } = friends()
    const eve = town.add('Eve')
    befriend(town, alice, eve)
    const box = new TestBox(1)
    tellBoxes(alice, box)
    const stolen = hashOf(alice, bob, box, 0)
    box.take(alice.batch(fetched(box, box.envelope(mailOf(eve, alice, textOf(alice, 1, 'mine')), stolen))))
    expect(dropsOf(alice)).toMatchObject({ 'token-of-another': 1 })
    expect(holds(box, hashOf(alice, bob, box, 64))).toBe(true)
  })

  test('[Q2] a transaction that failed leaves the windows as they were', () => {
    const { town, alice, bob } = friends()
    const box = new TestBox(1)
    tellBoxes(alice, box)
    const bytes = mailOf(bob, alice, textOf(alice, 1, 'twice'))
    const envelope = box.envelope(bytes, hashOf(alice, bob, box, 0))
    expect(() =>
      alice.store.transaction(() => {
        alice.engine.handle(alice.now(), fetched(box, envelope))
        alice.engine.flush(alice.now())
        throw new Error('the disk is full')
      }),
    ).toThrow()
    alice.engine.rollback()
    town.clock.mono += 1000
    const outputs = alice.batch(fetched(box, envelope))
    box.take(outputs)
    expect(acknowledged(outputs)).toEqual([envelope.id])
    expect(holds(box, hashOf(alice, bob, box, 64))).toBe(true)
    expect(alice.store.get('SELECT count(*) AS count FROM messages WHERE outgoing = 0')).toEqual({ count: 1 })
  })
})

describe('prekey bundles', () => {
  const document = (home: Home, bytes: Uint8Array) => {
    const { publicKey } = home.party.identity.deviceKey
    const opened = unwrap(openBundle(crypto, locatorKeyOf(home), publicKey, bytes))
    return unwrap(verifyPrekeyBundle(crypto, opened.bundle, publicKey))
  }

  test('[P10] a box is filled up to 32, below 16 again, and none is the same', () => {
    const { town, alice } = friends()
    const box = new TestBox(1)
    tellBoxes(alice, box)
    expect(box.bundles).toHaveLength(32)
    const ids = box.bundles.map((bytes) => document(alice, bytes).oneTimePrekey?.id)
    expect(new Set(ids).size).toBe(32)
    for (const [left, supplied] of [
      [16, 0],
      [15, 17],
    ] as const) {
      town.clock.mono += 60_000
      box.bundles.length = left
      const before = box.supplies.length
      tellBoxes(alice, box)
      expect(box.supplies.slice(before).flatMap(({ oneTimeBundles }) => oneTimeBundles)).toHaveLength(supplied)
    }
  })

  test('[P10] one that is on its way is not made again, before or after a restart', () => {
    const { town, alice } = friends()
    const box = new TestBox(1)
    const outputs = alice.batch({ type: 'boxes', boxes: [{ address: box.address, stock: box.stock }] })
    town.clock.mono += 1000
    // The mailbox says something else meanwhile.
    const stock = { ...box.stock, waiting: 1 }
    expect(alice.batch({ type: 'boxes', boxes: [{ address: box.address, stock }] })).toEqual([])
    box.take(outputs)
    alice.restart()
    tellBoxes(alice, box)
    expect(box.bundles).toHaveLength(32)
    expect(alice.store.get('SELECT count(*) AS count FROM prekeys WHERE kind IN (6, 7)')).toEqual({ count: 64 })
  })

  test('[P11] drained boxes have the last-resort bundle alone, counted; links are not touched by it', () => {
    const { town, alice } = friends({ boxPrekeysMax: 80 })
    const box = new TestBox(1)
    for (let round = 0; round < 4; round++) {
      tellBoxes(alice, box)
      box.bundles = []
      town.clock.mono += 60_000
    }
    expect(alice.store.get('SELECT count(*) AS count FROM prekeys WHERE kind IN (6, 7)')).toEqual({ count: 80 })
    expect(dropsOf(alice)['prekeys-drained']).toBeGreaterThan(0)
    expect(box.lastResort && document(alice, box.lastResort).oneTimePrekey).toBeUndefined()
    const carol = town.add('Carol')
    befriend(town, alice, carol)
    expect(alice.store.get('SELECT 1 AS one FROM sessions ORDER BY row DESC')).toBeDefined()
  })

  test('[P12] bundles name the sealing key; it is replaced after 7 days and opens for 28', () => {
    const { town, alice, bob } = friends()
    const box = new TestBox(1)
    tellBoxes(alice, box)
    const before = lastResortOf(alice.batch({ type: 'wake' }))
    const { sealingKeyId } = document(alice, before)
    const old = sealFor(alice, bob.party, [new Uint8Array(40)])
    const later = (days: number): Uint8Array | undefined => {
      town.clock.mono += days * dayMs
      town.clock.wall += days * dayMs
      const told = alice.batch({ type: 'wake' }).findLast((output) => output.type === 'last-resort')
      return told?.bytes
    }
    expect(later(6)).toBeUndefined()
    const renewed = later(1)
    expect(renewed && document(alice, renewed).sealingKeyId).not.toBe(sealingKeyId)
    later(20)
    alice.batch(fetched(box, box.envelope(old)))
    expect(dropsOf(alice)['sealed-unknown-key']).toBeUndefined()
    later(1)
    alice.batch(fetched(box, box.envelope(old)))
    expect(dropsOf(alice)['sealed-unknown-key']).toBe(1)
  })

  test('[P12] after 7 days a box gets new bundles, so that none is there whose keys are gone', () => {
    const { town, alice } = friends()
    const box = new TestBox(1)
    tellBoxes(alice, box)
    town.clock.mono += 1000
    tellBoxes(alice, box)
    const before = document(alice, box.bundles[0] ?? new Uint8Array(0)).signedPrekey.id
    for (let hour = 0; hour < 7 * 24 + 1; hour++) {
      town.clock.mono += 3_600_000
      town.clock.wall += 3_600_000
      box.take(alice.batch({ type: 'wake' }))
    }
    expect(box.bundles).toHaveLength(32)
    for (const bytes of [...box.bundles, box.lastResort ?? new Uint8Array(0)]) {
      expect(document(alice, bytes).signedPrekey.id).toBeGreaterThan(before)
    }
    expect(box.supplies).toHaveLength(2)
  })

  test('[P12] the last-resort document is the same bytes as long as its keys are, also after a restart', () => {
    const { town, alice } = friends()
    const first = lastResortOf(alice.batch({ type: 'wake' }))
    alice.restart()
    expect(lastResortOf(alice.batch({ type: 'wake' }))).toEqual(first)
    town.clock.mono += 3_600_000
    town.clock.wall += 3_600_000
    expect(alice.batch({ type: 'wake' }).some(({ type }) => type === 'last-resort')).toBe(false)
  })

  test('[P13] a new locator key, and all bundles are sealed by it', () => {
    const { town, alice, bob } = friends()
    const box = new TestBox(1)
    tellBoxes(alice, box)
    unwrap(alice.ask<'contact-block'>({ type: 'contact-block', account: bob.account, blocked: true }))
    box.take(alice.last)
    town.clock.mono += 60_000
    tellBoxes(alice, box)
    box.take(alice.batch({ type: 'wake' }))
    expect(box.bundles).toHaveLength(32)
    for (const bytes of [...box.bundles, box.lastResort ?? new Uint8Array(0)]) document(alice, bytes)
  })

  test('[P4] a one-time prekey from a box opens one session: the second with it does not open', () => {
    const { town, alice } = friends()
    const box = new TestBox(1)
    tellBoxes(alice, box)
    const [taken] = box.bundles
    if (!taken) throw new Error('a bundle')
    const bob = town.add('Mallory')
    const hello = (seed: number) => [textOf(alice, seed, 'hello')]
    const [first] = initialEnvelopes(bob.party, alice, taken, hello(1))
    const [second] = initialEnvelopes(bob.party, alice, taken, hello(2))
    if (!first || !second) throw new Error('two envelopes')
    const seal = (envelope: Uint8Array) => sealFor(alice, bob.party, [envelope], announcementOf(bob.party, 'Mallory'))
    alice.batch(fetched(box, box.envelope(seal(first))))
    alice.batch(fetched(box, box.envelope(seal(second))))
    expect(alice.store.all('SELECT text FROM messages')).toEqual([{ text: 'hello' }])
    expect(dropsOf(alice)).toMatchObject({ 'unknown-prekey': 1 })
  })
})
