import { describe, expect, test } from 'vitest'
import { befriend, contactOf, dropsOf, type Home, messagesOf, sendText, Town, texts, unwrap } from './fixture.ts'
import type { Mailbox } from './post-office.ts'

/** Deposits of a home whose answer has not come, as the last batch asked for them. */
function depositsIn(home: Home): Extract<Home['last'][number], { type: 'deposit' }>[] {
  return home.last.flatMap((output) => (output.type === 'deposit' ? [output] : []))
}

const minuteMs = 60_000
const dayMs = 24 * 60 * minuteMs

interface Scene {
  readonly town: Town
  readonly alice: Home
  readonly bob: Home
  readonly first: Mailbox<Home>
  readonly second: Mailbox<Home>
}

/** Two who know each other by an invite only, each with boxes at the same two mailboxes. They are never linked. */
function strangers(limits: ConstructorParameters<typeof Home>[2] = {}): Scene {
  const town = new Town()
  const [alice, bob] = [town.add('Alice', limits.limits), town.add('Bob', limits.limits)]
  const [first, second] = [town.office.addMailbox('first'), town.office.addMailbox('second')]
  for (const home of [alice, bob]) town.office.give(home, [first, second])
  const scene = { town, alice, bob, first, second }
  online(scene, bob)
  const { invite } = unwrap(town.ask<'invite-create'>(bob, { type: 'invite-create', addresses: [], uses: 1 }))
  town.disconnect(bob)
  unwrap(town.ask<'contact-add-invite'>(alice, { type: 'contact-add-invite', invite }))
  return scene
}

/** A home comes online for a while, alone. */
function online({ town }: Scene, home: Home, ms = 30_000): void {
  town.connect(home)
  town.pass(ms)
}

function turn(scene: Scene, home: Home, ms = 30_000): void {
  online(scene, home, ms)
  scene.town.disconnect(home)
}

/** Two contacts who have written to each other by mailboxes, both offline. */
function friends(limits: ConstructorParameters<typeof Home>[2] = {}): Scene {
  const scene = strangers(limits)
  for (const home of [scene.alice, scene.bob, scene.alice, scene.bob]) turn(scene, home)
  return scene
}

describe('never online together', () => {
  test('[Q36] an invite, a first message by a bundle from a mailbox, an answer, receipts', () => {
    const scene = strangers()
    const { town, alice, bob } = scene
    sendText(town, alice, bob, 'hello')
    turn(scene, alice)
    expect(messagesOf(alice, bob)[0]).toMatchObject({ state: 'held', reason: 'recipient-offline' })
    expect(messagesOf(alice, bob)[0]?.heldBy).toHaveLength(2)
    turn(scene, bob)
    expect(contactOf(bob, alice)?.state).toBe('contact')
    expect(texts(bob, alice)).toEqual(['hello'])
    sendText(town, bob, alice, 'well met')
    turn(scene, bob)
    turn(scene, alice)
    expect(texts(alice, bob)).toEqual(['hello', 'well met'])
    expect(messagesOf(alice, bob)[0]).toMatchObject({ state: 'delivered' })
    turn(scene, bob)
    expect(messagesOf(bob, alice)[1]).toMatchObject({ state: 'delivered' })
  })

  test('[Q36] many messages keep their order and arrive once', () => {
    const scene = friends()
    const { town, alice, bob } = scene
    const sent = Array.from({ length: 200 }, (_, index) => `message ${index}`)
    for (const text of sent) sendText(town, alice, bob, text)
    turn(scene, alice)
    expect(messagesOf(alice, bob).every(({ state }) => state === 'held')).toBe(true)
    turn(scene, bob)
    expect(texts(bob, alice)).toEqual(sent)
    turn(scene, alice)
    expect(messagesOf(alice, bob).every(({ state }) => state === 'delivered')).toBe(true)
    expect(dropsOf(bob)['duplicate'] ?? 0).toBe(0)
  })

  test('[Q37] read receipts go by mailboxes too', () => {
    const scene = friends()
    const { town, alice, bob } = scene
    sendText(town, alice, bob, 'look')
    turn(scene, alice)
    online(scene, bob)
    const [message] = messagesOf(bob, alice)
    town.ask<'messages-read'>(bob, { type: 'messages-read', account: alice.account, upTo: message?.position ?? 0 })
    town.pass(30_000)
    town.disconnect(bob)
    turn(scene, alice)
    expect(messagesOf(alice, bob)[0]?.state).toBe('read')
  })
})

describe('mailboxes that fail', () => {
  test('[Q38] two hold each message, so one may lose it', () => {
    const scene = friends()
    const { town, alice, bob, first } = scene
    sendText(town, alice, bob, 'one')
    turn(scene, alice)
    first.lose()
    turn(scene, bob)
    expect(texts(bob, alice)).toEqual(['one'])
  })

  test('[Q38] what both lost is noticed by asking, and left again', () => {
    const scene = friends()
    const { town, alice, bob, first, second } = scene
    sendText(town, alice, bob, 'one')
    online(scene, alice)
    for (const mailbox of [first, second]) mailbox.lose()
    town.pass(5 * minuteMs)
    expect(first.boxes.size).toBe(2)
    expect(messagesOf(alice, bob)[0]?.state).toBe('held')
    town.disconnect(alice)
    turn(scene, bob)
    expect(texts(bob, alice)).toEqual(['one'])
  })

  test('[Q39] unreachable and full mailboxes: shown with the next try, and others are used meanwhile', () => {
    const scene = friends()
    const { town, alice, bob, first, second } = scene
    first.isReachable = false
    second.isReachable = false
    sendText(town, alice, bob, 'one')
    online(scene, alice)
    const shown = messagesOf(alice, bob)[0]
    expect(shown).toMatchObject({ state: 'queued', reason: 'mailboxes-unreachable' })
    expect(shown?.nextTryAt).toBeGreaterThan(alice.clock.wall)
    first.isReachable = true
    first.isFull = true
    town.pass(10 * minuteMs)
    expect(messagesOf(alice, bob)[0]).toMatchObject({ state: 'queued', reason: 'mailboxes-full' })
    first.isFull = false
    town.pass(60 * minuteMs)
    expect(messagesOf(alice, bob)[0]).toMatchObject({ state: 'held' })
    expect(messagesOf(alice, bob)[0]?.heldBy).toHaveLength(1)
    second.isReachable = true
    town.pass(24 * 60 * minuteMs)
    expect(messagesOf(alice, bob)[0]?.heldBy).toHaveLength(2)
    town.disconnect(alice)
    turn(scene, bob)
    expect(texts(bob, alice)).toEqual(['one'])
  })

  test('[Q39] a wiped mailbox knows no token: the strangers lane, then the other one, and nothing is lost', () => {
    const scene = friends()
    const { town, alice, bob, first, second } = scene
    first.wipe()
    first.strangersLeft = 1
    sendText(town, alice, bob, 'one')
    turn(scene, alice)
    expect(messagesOf(alice, bob)[0]?.heldBy).toHaveLength(2)
    sendText(town, alice, bob, 'two')
    turn(scene, alice)
    expect(messagesOf(alice, bob)[1]?.heldBy).toHaveLength(1)
    second.lose()
    turn(scene, bob)
    turn(scene, alice, 24 * 60 * minuteMs)
    turn(scene, bob)
    expect(texts(bob, alice)).toEqual(['one', 'two'])
  })

  test('[Q40] tokens run out: fewer deposits with more in each, then it waits, and nothing is lost', () => {
    const scene = friends({ limits: { tokensAhead: 8 } })
    const { town, alice, bob, first, second } = scene
    for (const mailbox of [first, second]) mailbox.strangersLeft = 0
    online(scene, alice)
    const sent = Array.from({ length: 60 }, (_, index) => `message ${index}`)
    for (const text of sent) {
      sendText(town, alice, bob, text)
      town.pass(minuteMs)
    }
    town.pass(5 * 60 * minuteMs)
    const deposits = town.office.deposits.filter(({ from, token }) => from === alice && token).length
    expect(deposits).toBeLessThan(60)
    town.disconnect(alice)
    for (let round = 0; round < 3; round++) {
      turn(scene, bob)
      turn(scene, alice, dayMs / 2)
    }
    expect(texts(bob, alice)).toEqual(sent)
    expect(messagesOf(alice, bob).every(({ state }) => state === 'delivered')).toBe(true)
  })

  test('[Q36] no bundle to be had: shown, asked for again', () => {
    const scene = strangers()
    const { town, alice, bob, first, second } = scene
    for (const mailbox of [first, second]) mailbox.isReachable = false
    sendText(town, alice, bob, 'hello')
    online(scene, alice)
    expect(messagesOf(alice, bob)[0]).toMatchObject({ state: 'queued', reason: 'no-prekeys' })
    for (const mailbox of [first, second]) mailbox.isReachable = true
    town.pass(60 * minuteMs)
    expect(messagesOf(alice, bob)[0]?.state).toBe('held')
    town.disconnect(alice)
    turn(scene, bob)
    expect(texts(bob, alice)).toEqual(['hello'])
  })
})

describe('clocks', () => {
  for (const days of [-10, 10]) {
    test(`[Q4] the sender's clock leaps by ${days} days between deposit and receipt`, () => {
      const scene = friends()
      const { town, alice, bob } = scene
      sendText(town, alice, bob, 'one')
      turn(scene, alice)
      town.clock.wall += days * dayMs
      turn(scene, alice)
      town.clock.wall -= days * dayMs
      turn(scene, bob)
      turn(scene, alice, 60 * minuteMs)
      expect(texts(bob, alice)).toEqual(['one'])
      expect(messagesOf(alice, bob)[0]?.state).toBe('delivered')
    })
  }
})

describe('a link', () => {
  test('[Q36] takes over: what mailboxes hold is sent on it again, once on the screen', () => {
    const scene = friends()
    const { town, alice, bob } = scene
    sendText(town, alice, bob, 'one')
    turn(scene, alice)
    town.link(alice, bob)
    expect(messagesOf(alice, bob)[0]).toMatchObject({ state: 'delivered' })
    expect(messagesOf(alice, bob)[0]?.heldBy).toBeUndefined()
    turn(scene, bob)
    expect(texts(bob, alice)).toEqual(['one'])
    town.unlink(alice, bob)
    sendText(town, alice, bob, 'two')
    turn(scene, alice)
    turn(scene, bob)
    expect(texts(bob, alice)).toEqual(['one', 'two'])
  })

  test('[Q36] nothing goes to mailboxes while it stands, and not for two seconds after', () => {
    const town = new Town()
    const [alice, bob] = [town.add('Alice'), town.add('Bob')]
    const mailbox = town.office.addMailbox('only')
    for (const home of [alice, bob]) {
      town.office.give(home, [mailbox])
      town.connect(home)
    }
    befriend(town, alice, bob)
    town.pass(30_000)
    sendText(town, alice, bob, 'on the link')
    expect(town.office.deposits).toEqual([])
    town.unlink(alice, bob)
    sendText(town, alice, bob, 'after it')
    expect(town.office.deposits).toEqual([])
    town.pass(5000)
    expect(texts(bob, alice)).toEqual(['on the link', 'after it'])
    expect(messagesOf(alice, bob)[1]?.state).toBe('delivered')
  })
})

describe('deposits', () => {
  /** Friends; what the first asks of mailboxes from now on is answered by the test. */
  function silent(limits: ConstructorParameters<typeof Home>[2] = {}): Scene {
    const scene = friends(limits)
    scene.town.office.loseAnswer = ({ type }) => type === 'deposit'
    scene.town.connect(scene.alice)
    return scene
  }

  test('[Q37] the same ratchet message goes to both mailboxes, sealed apart, each paid by a token of its own', () => {
    const { town, alice, bob } = silent()
    sendText(town, alice, bob, 'one')
    const [first, second, ...others] = depositsIn(alice)
    expect(others).toEqual([])
    expect(first?.to.mailbox.url).not.toBe(second?.to.mailbox.url)
    expect(first?.bytes).not.toEqual(second?.bytes)
    expect(first?.token).toHaveLength(16)
    expect(first?.token).not.toEqual(second?.token)
    town.connect(bob)
    expect(texts(bob, alice)).toEqual(['one'])
    expect(dropsOf(bob)['duplicate'] ?? 0).toBe(0)
    expect(dropsOf(bob)['repeated']).toBeGreaterThan(0)
  })

  test('[Q39] four under way to one device, and the next when one is answered', () => {
    const { town, alice, bob } = silent()
    const before = town.office.deposits.length
    for (let count = 0; count < 8; count++) sendText(town, alice, bob, `message ${count}`)
    expect(town.office.deposits.length - before).toBe(4)
    const ids = depositsIn(alice)
    expect(ids).toEqual([])
    town.pass(minuteMs)
    expect(town.office.deposits.length - before).toBe(4)
  })

  test('[Q39] sixty-four under way in all, and no more bytes than may be', () => {
    const { town, alice, bob } = silent({ limits: { depositsMax: 2 } })
    const before = town.office.deposits.length
    for (let count = 0; count < 8; count++) sendText(town, alice, bob, `message ${count}`)
    expect(town.office.deposits.length - before).toBe(2)
    const other = silent({ limits: { depositBytesMax: 1 } })
    const start = other.town.office.deposits.length
    for (let count = 0; count < 8; count++) sendText(other.town, other.alice, other.bob, `message ${count}`)
    expect(other.town.office.deposits.length - start).toBeLessThanOrEqual(2)
  })

  test('[Q39] a deposit that is never answered counts as unreachable after five minutes, and is made again', () => {
    const { town, alice, bob } = silent()
    sendText(town, alice, bob, 'one')
    const before = town.office.deposits.length
    town.pass(4 * minuteMs)
    expect(town.office.deposits.length).toBe(before)
    town.pass(2 * minuteMs)
    expect(town.office.deposits.length).toBeGreaterThan(before)
    town.office.loseAnswer = () => false
    town.pass(10 * minuteMs)
    expect(messagesOf(alice, bob)[0]?.heldBy).toHaveLength(2)
  })

  test('[Q36] a question for a bundle that is never answered is asked again', () => {
    const scene = strangers()
    const { town, alice, bob } = scene
    sendText(town, alice, bob, 'one')
    town.office.loseAnswer = ({ type }) => type === 'fetch-bundle'
    online(scene, alice)
    town.office.loseAnswer = () => false
    town.pass(minuteMs)
    expect(messagesOf(alice, bob)[0]?.state).toBe('queued')
    town.pass(10 * minuteMs)
    expect(messagesOf(alice, bob)[0]?.state).toBe('held')
  })

  test('[Q40] a token that somebody used: the next one at once; none known: the strangers lane', () => {
    const { town, alice, bob } = silent()
    sendText(town, alice, bob, 'one')
    const [deposit] = depositsIn(alice)
    if (!deposit) throw new Error('no deposit')
    const spent = { ok: false, reason: 'token-spent', detail: '' } as const
    alice.batch({ type: 'deposited', id: deposit.id, result: spent })
    const [again] = depositsIn(alice)
    expect(again).toMatchObject({ id: deposit.id, to: deposit.to, bytes: deposit.bytes })
    expect(again?.token).toHaveLength(16)
    expect(again?.token).not.toEqual(deposit.token)
    alice.batch({ type: 'deposited', id: deposit.id, result: { ...spent, reason: 'token-unknown' } })
    expect(depositsIn(alice)).toMatchObject([{ id: deposit.id, token: undefined }])
    alice.batch({ type: 'deposited', id: deposit.id, result: { ...spent, reason: 'full' } })
    expect(depositsIn(alice).filter(({ to }) => to.mailbox.url === deposit.to.mailbox.url)).toEqual([])
  })

  test('[Q24] a message that is with a mailbox, or on its way to one, cannot be cancelled; one that none took can', () => {
    const { town, alice, bob } = silent()
    const { id } = sendText(town, alice, bob, 'one')
    const cancel = () => alice.ask<'message-cancel'>({ type: 'message-cancel', id })
    expect(messagesOf(alice, bob).at(-1)?.state).toBe('sent')
    const deposits = town.office.deposits.length
    expect(cancel()).toMatchObject({ ok: false, error: { type: 'wrong-state', state: 'sent' } })
    expect(town.office.deposits).toHaveLength(deposits)
    const other = friends()
    other.first.isFull = true
    other.second.isFull = true
    const full = sendText(other.town, other.alice, other.bob, 'two')
    online(other, other.alice)
    expect(messagesOf(other.alice, other.bob).at(-1)).toMatchObject({ state: 'queued', reason: 'mailboxes-full' })
    expect(other.alice.ask<'message-cancel'>({ type: 'message-cancel', id: full.id })).toMatchObject({ ok: true })
    other.first.isFull = false
    other.town.pass(dayMs)
    other.town.disconnect(other.alice)
    turn(other, other.bob)
    expect(texts(other.bob, other.alice)).toEqual([])
  })

  test('[Q36] a message sent again by its person goes to the mailboxes anew', () => {
    const scene = friends()
    const { town, alice, bob } = scene
    const { id } = sendText(town, alice, bob, 'one')
    sendText(town, alice, bob, 'two')
    online(scene, alice)
    const before = town.office.deposits.length
    unwrap(town.ask<'message-resend'>(alice, { type: 'message-resend', id }))
    town.pass(30_000)
    expect(town.office.deposits.length).toBe(before + 2)
    turn(scene, bob)
    expect(texts(bob, alice)).toEqual(['one', 'two'])
  })

  test('[Q22] what nobody fetched in a week has expired, which stays to be seen', () => {
    const scene = friends()
    const { town, alice, bob } = scene
    sendText(town, alice, bob, 'one')
    turn(scene, alice)
    town.pass(7 * dayMs + 2 * minuteMs)
    expect(messagesOf(alice, bob)[0]).toMatchObject({ state: 'expired', reason: 'expired' })
    expect(messagesOf(alice, bob)[0]?.heldBy).toBeUndefined()
    expect(alice.store.all('SELECT * FROM holdings WHERE message > 0')).toEqual([])
  })

  test('[Q36] a removed person leaves nothing behind in the tables of mailboxes', () => {
    const scene = friends()
    const { town, alice, bob } = scene
    sendText(town, alice, bob, 'one')
    sendText(town, bob, alice, 'two')
    turn(scene, bob)
    turn(scene, alice)
    unwrap(town.ask<'contact-remove'>(alice, { type: 'contact-remove', account: bob.account }))
    for (const table of ['holdings', 'owed_receipts', 'deposit_counters']) {
      expect(alice.store.all(`SELECT * FROM ${table}`)).toEqual([])
    }
    turn(scene, alice)
    expect(unwrap(alice.ask<'stats'>({ type: 'stats' })).queued).toBe(0)
  })

  test('[Q37] receipts kept for one device are bounded; the sender of the others sends again', () => {
    const scene = friends({ limits: { owedReceiptsMax: 4 } })
    const { town, alice, bob } = scene
    for (let count = 0; count < 12; count++) sendText(town, alice, bob, `message ${count}`)
    turn(scene, alice)
    town.connect(bob)
    const rows = bob.store.all('SELECT * FROM owed_receipts')
    expect(rows.length).toBeLessThanOrEqual(4)
    expect(dropsOf(bob)['owed-receipts']).toBeGreaterThan(0)
    town.pass(30_000)
    town.disconnect(bob)
    for (let round = 0; round < 4; round++) for (const home of [alice, bob]) turn(scene, home, 180 * minuteMs)
    turn(scene, alice)
    expect(texts(bob, alice)).toHaveLength(12)
    expect(messagesOf(alice, bob).every(({ state }) => state === 'delivered')).toBe(true)
  })

  test('[Q36] a sealing key older than a fortnight is asked for again first', () => {
    const scene = friends()
    const { town, alice, bob } = scene
    const keyOf = (): unknown => alice.store.get('SELECT sealing_key_at AS at FROM devices')?.['at']
    const before = keyOf()
    town.pass(15 * dayMs)
    turn(scene, bob)
    sendText(town, alice, bob, 'one')
    turn(scene, alice)
    expect(keyOf()).toBeGreaterThan(Number(before))
    turn(scene, bob)
    expect(texts(bob, alice)).toEqual(['one'])
  })

  test('[Q40] jitter: the first of a burst waits at random, what comes meanwhile goes with it', () => {
    const scene = friends()
    const { town, alice, bob } = scene
    unwrap(town.ask<'settings-set'>(alice, { type: 'settings-set', settings: { jitterMs: 10 } }))
    online(scene, alice)
    const before = town.office.deposits.length
    for (const text of ['one', 'two', 'three']) sendText(town, alice, bob, text)
    expect(town.office.deposits.length).toBe(before)
    town.pass(499)
    expect(town.office.deposits.length).toBe(before)
    town.pass(1)
    expect(town.office.deposits.length).toBe(before + 2)
  })
})

describe('what comes back', () => {
  test('[Q38] a receipt `missing` makes what it names go out again at once, whoever holds it', () => {
    const scene = friends()
    const { town, alice, bob, first, second } = scene
    online(scene, alice)
    for (const text of ['one', 'two']) sendText(town, alice, bob, text)
    for (const mailbox of [first, second]) {
      for (const box of mailbox.boxes.values()) box.envelopes = box.envelopes.slice(1)
    }
    // The second alone arrives; it waits for the first, which is asked for.
    town.disconnect(alice)
    turn(scene, bob)
    expect(texts(bob, alice)).toEqual([])
    turn(scene, alice, minuteMs)
    turn(scene, bob)
    expect(texts(bob, alice)).toEqual(['one', 'two'])
  })

  test('[Q38] taken from the mailbox and never answered: after an hour it is left there again', () => {
    const scene = friends()
    const { town, alice, bob, first, second } = scene
    sendText(town, alice, bob, 'one')
    online(scene, alice)
    for (const mailbox of [first, second]) {
      for (const box of mailbox.boxes.values()) {
        for (const spent of box.spent.values()) spent.state = 'taken'
        box.envelopes = []
      }
    }
    const before = town.office.deposits.length
    town.pass(30 * minuteMs)
    expect(town.office.deposits.length).toBe(before)
    town.pass(4 * 60 * minuteMs)
    expect(town.office.deposits.length).toBeGreaterThan(before)
    town.disconnect(alice)
    turn(scene, bob)
    expect(texts(bob, alice)).toEqual(['one'])
  })

  test('[Q36] a device that lost its sessions gets all that waits anew, and nothing is lost', () => {
    const scene = friends()
    const { town, alice, bob } = scene
    for (const text of ['one', 'two']) sendText(town, alice, bob, text)
    turn(scene, alice)
    bob.store.transaction(() => {
      for (const table of ['skipped_keys', 'sessions']) bob.store.run(`DELETE FROM ${table}`)
    })
    bob.restart()
    for (let round = 0; round < 3; round++) for (const home of [bob, alice]) turn(scene, home, 10 * minuteMs)
    expect(texts(bob, alice)).toEqual(['one', 'two'])
    turn(scene, alice)
    expect(messagesOf(alice, bob).map(({ state }) => state)).toEqual(['delivered', 'delivered'])
  })

  test('[Q39] a network that is back: what failed is tried at once', () => {
    const scene = friends()
    const { town, alice, bob, first, second } = scene
    for (const mailbox of [first, second]) mailbox.isReachable = false
    sendText(town, alice, bob, 'one')
    town.connect(alice)
    town.pass(60 * minuteMs)
    expect(messagesOf(alice, bob)[0]?.state).toBe('queued')
    town.disconnect(alice)
    for (const mailbox of [first, second]) mailbox.isReachable = true
    town.connect(alice)
    expect(messagesOf(alice, bob)[0]?.state).toBe('held')
  })
})

describe('bad bundles', () => {
  test('[Q36] one that is not of the device, or altered, starts nothing', () => {
    const scene = strangers()
    const { town, alice, bob, first } = scene
    sendText(town, alice, bob, 'hello')
    for (const box of first.boxes.values()) {
      box.oneTime = box.oneTime.map((bytes) => bytes.map((byte, index) => (index === 99 ? byte ^ 1 : byte)))
    }
    online(scene, alice, 6000)
    expect(dropsOf(alice)['bundle-unsealable']).toBeGreaterThan(0)
    expect(messagesOf(alice, bob)[0]).toMatchObject({ state: 'queued', reason: 'no-prekeys' })
    for (const box of first.boxes.values()) box.oneTime = []
    town.pass(60 * minuteMs)
    expect(messagesOf(alice, bob)[0]?.state).toBe('held')
  })
})
