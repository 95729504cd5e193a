import type { MessagingInput, SqlValue } from '@miaou/messaging'
import { StoreFailure } from '@miaou/messaging'
import { signDeviceCertificate } from '@miaou/protocol'
import { describe, expect, test } from 'vitest'
import {
  contactOf,
  crypto,
  type Home,
  messagesOf,
  seededRandom,
  sendText,
  startWall,
  Town,
  texts,
  unwrap,
} from './fixture.ts'
import { initialEnvelopes, sealFor, textOf } from './mail.ts'
import type { Mailbox } from './post-office.ts'

const minuteMs = 60_000

/** Whole numbers below a bound, the same for the same seed. */
function seededInt(seed: string): (bound: number) => number {
  const random = seededRandom(seed)
  return (bound) => new DataView(random.bytes(4).buffer).getUint32(0) % bound
}

interface Scene {
  readonly town: Town
  readonly alice: Home
  readonly bob: Home
  readonly first: Mailbox<Home>
  readonly second: Mailbox<Home>
}

function turn({ town }: Scene, home: Home, ms = 30_000): void {
  town.connect(home)
  town.pass(ms)
  town.disconnect(home)
}

/** Two who know each other by an invite only, each with boxes at the same two mailboxes. */
function strangers(prepare: (bob: Home) => void = () => undefined): Scene {
  const town = new Town()
  const [alice, bob] = [town.add('Alice'), town.add('Bob')]
  const [first, second] = [town.office.addMailbox('first'), town.office.addMailbox('second')]
  for (const home of [alice, bob]) town.office.give(home, [first, second])
  const scene = { town, alice, bob, first, second }
  prepare(bob)
  turn(scene, bob)
  const { invite } = unwrap(town.ask<'invite-create'>(bob, { type: 'invite-create', addresses: [], uses: 1 }))
  turn(scene, bob)
  unwrap(town.ask<'contact-add-invite'>(alice, { type: 'contact-add-invite', invite }))
  return scene
}

function friends(): Scene {
  const scene = strangers()
  for (const home of [scene.alice, scene.bob, scene.alice, scene.bob]) turn(scene, home)
  return scene
}

function rows(home: Home, table: string): number {
  return Number(home.store.get(`SELECT count(*) AS count FROM ${table}`)?.['count'])
}

/** Somebody known by a row alone: a contact with one device and a box at each mailbox, without a session. */
function addContact(home: Home, id: number): void {
  const random = seededRandom(`contact ${id}`)
  home.store.run(
    `INSERT INTO contacts (id, account, state, name, alias, verified, forked, device_list, own_hint_key, unread_count,
     message_count, added_at) SELECT ?, ?, 0, name, '', 0, 0, x'0000', ?, 0, 0, 0 FROM contacts LIMIT 1`,
    [id, random.bytes(32), random.bytes(32)],
  )
  home.store.run(
    `INSERT INTO devices (key, contact, state, addresses, mailboxes, locator_key, bundle_key)
     SELECT ?, ?, 1, '', mailboxes, ?, ? FROM devices WHERE mailboxes <> '' LIMIT 1`,
    [random.bytes(32), id, random.bytes(32), random.bytes(32)],
  )
}

/** Keeps back the answers to what a home asks of mailboxes, until they are let go. */
function holdAnswers(home: Home, type: MessagingInput['type']): { readonly held: MessagingInput[]; release(): void } {
  const batch = home.batch.bind(home)
  const held: MessagingInput[] = []
  home.batch = (...inputs) => {
    held.push(...inputs.filter((input) => input.type === type))
    const others = inputs.filter((input) => input.type !== type)
    return others.length > 0 || inputs.length === 0 ? batch(...others) : []
  }
  const release = (): void => {
    home.batch = batch
  }
  return { held, release }
}

describe('answers that come too late', () => {
  test('[Q36] a bundle of somebody who was removed meanwhile leaves nothing of them', () => {
    const scene = strangers()
    const { town, alice, bob } = scene
    const { held, release } = holdAnswers(alice, 'bundle')
    town.connect(alice)
    town.pass(30_000)
    expect(held).toHaveLength(1)
    release()
    unwrap(town.ask<'contact-remove'>(alice, { type: 'contact-remove', account: bob.account }))
    const tables = ['contacts', 'devices', 'sessions', 'holdings', 'deposit_counters', 'owed_receipts']
    town.run(alice, ...held)
    expect(tables.map((table) => rows(alice, table))).toEqual(tables.map(() => 0))
    alice.restart()
    expect(contactOf(alice, bob)).toBeUndefined()
  })

  test('[Q36] a deposit of somebody who was blocked meanwhile is not paid for again', () => {
    const scene = friends()
    const { town, alice, bob } = scene
    sendText(town, alice, bob, 'one')
    const { held, release } = holdAnswers(alice, 'deposited')
    town.connect(alice)
    town.pass(30_000)
    release()
    expect(held.length).toBeGreaterThan(0)
    unwrap(town.ask<'contact-block'>(alice, { type: 'contact-block', account: bob.account, blocked: true }))
    const count = town.office.deposits.length
    const result = { ok: false, reason: 'token-spent', detail: '' } as const
    for (const input of held) if (input.type === 'deposited') town.run(alice, { ...input, result })
    town.pass(10 * minuteMs)
    expect(town.office.deposits.length).toBe(count)
  })

  test('[Q39] a deposit without an answer may have arrived: its message cannot be taken back', () => {
    const scene = friends()
    const { town, alice, bob } = scene
    town.office.loseAnswer = (output) => output.type === 'deposit'
    const { id } = sendText(town, alice, bob, 'one')
    town.connect(alice)
    const count = town.office.deposits.length
    while (town.office.deposits.length === count) town.pass(1)
    // Nobody has answered, and the next try is a second away.
    town.pass(5 * minuteMs - 10)
    while (messagesOf(alice, bob)[0]?.reason !== 'mailboxes-unreachable') town.pass(1)
    expect(messagesOf(alice, bob)[0]?.state).toBe('sent')
    const cancelled = town.ask<'message-cancel'>(alice, { type: 'message-cancel', id })
    expect(cancelled.ok).toBe(false)
    turn(scene, bob)
    expect(texts(bob, alice)).toEqual(['one'])
  })
})

describe('what must be heard by who is not linked', () => {
  test('[Q34] who is blocked knew where our records are: all others are told of the new place', () => {
    const scene = friends()
    const { town, alice, bob } = scene
    const mallory = town.add('Mallory')
    const { invite } = unwrap(town.ask<'invite-create'>(alice, { type: 'invite-create', addresses: [], uses: 1 }))
    unwrap(town.ask<'contact-add-invite'>(mallory, { type: 'contact-add-invite', invite }))
    town.link(alice, mallory)
    town.unlink(alice, mallory)
    const keyOf = (home: Home): unknown => {
      const found = home.store.get('SELECT locator_key FROM devices WHERE key = ?', [
        alice.party.identity.deviceKey.publicKey,
      ])
      return String(found?.['locator_key'])
    }
    const before = keyOf(bob)
    unwrap(town.ask<'contact-block'>(alice, { type: 'contact-block', account: mallory.account, blocked: true }))
    turn(scene, alice, minuteMs)
    turn(scene, bob, minuteMs)
    expect(keyOf(bob)).not.toBe(before)
  })

  test('[Q34] new boxes are told although the disk was full when they were named', () => {
    const scene = friends()
    const { town, alice } = scene
    const third = town.office.addMailbox('third')
    town.office.give(alice, [third])
    const { transaction } = alice.store
    const [record, ...others] = town.office.arrive(alice)
    expect(record?.type).toBe('own-record')
    alice.store.transaction = (body) =>
      transaction.call(alice.store, () => {
        body()
        throw new StoreFailure('full', 'full')
      }) as never
    if (record) expect(() => alice.batch(record)).toThrow(StoreFailure)
    alice.engine.rollback()
    alice.store.transaction = transaction
    const owed = (): number => rows(alice, 'devices WHERE hello_id IS NOT NULL')
    expect(owed()).toBe(0)
    for (const input of others) alice.batch(input)
    expect(owed()).toBe(1)
  })
})

/** Fails when an engine asks to be woken again and again, at the same time, and does nothing. */
function watch(home: Home): void {
  const batch = home.batch.bind(home)
  let idle = 0
  let last = Number.NaN
  home.batch = (...inputs) => {
    const isWake = inputs.every(({ type }) => type === 'wake')
    const outputs = batch(...inputs)
    const deadline = home.engine.deadline()
    idle = isWake && deadline === last ? idle + 1 : 0
    last = deadline
    if (isWake && deadline <= home.clock.mono && idle > 3) throw new Error(`awake at ${deadline} for nothing`)
    return outputs
  }
}

describe('who must not be written to', () => {
  test('[Q63] nothing is left in the mailboxes of somebody whose key has changed, before the person has looked', () => {
    const scene = friends()
    const { town, alice, bob } = scene
    alice.store.run('UPDATE contacts SET changed = 2')
    alice.restart()
    const count = town.office.deposits.length
    sendText(town, alice, bob, 'not yet')
    turn(scene, alice, 60 * minuteMs)
    expect(town.office.deposits).toHaveLength(count)
    expect(messagesOf(alice, bob)[0]).toMatchObject({ state: 'queued', reason: 'key-changed' })
    unwrap(town.ask(alice, { type: 'contact-trust', account: bob.account }))
    turn(scene, alice)
    turn(scene, bob)
    expect(texts(bob, alice)).toEqual(['not yet'])
  })

  test('[Q63] another session key than the pinned one, shown in a message from a mailbox, opens nothing and is told', () => {
    const { town, alice, bob, first } = friends()
    const [box] = [...first.boxes.values()].filter(({ owner }) => owner === alice)
    if (!box?.oneTime[0]) throw new Error('Alice has bundles at her box')
    const { identity } = bob.party
    const sessionKey = crypto.x25519KeyPair(seededRandom('another').bytes(32))
    const linkKey = crypto.x25519KeyPair(seededRandom('another link').bytes(32)).publicKey
    const certified = {
      accountKey: identity.accountKey,
      linkKey,
      sessionKey: sessionKey.publicKey,
    }
    const certificate = signDeviceCertificate(crypto, identity.deviceKey.secretKey, {
      ...certified,
      createdAt: startWall,
    })
    const other = { ...bob.party, identity: { ...identity, sessionKey, certificate } }
    const bytes = sealFor(alice, other, initialEnvelopes(other, alice, box.oneTime[0], [textOf(alice, 1, 'trust me')]))
    const envelopes = [{ id: 99, bytes, tokenHash: undefined, acceptedAt: town.clock.wall }]
    town.run(alice, { type: 'fetched', box: box.address.box, envelopes })
    expect(texts(alice, bob)).toEqual([])
    expect(contactOf(alice, bob)).toMatchObject({ changed: 'session-key' })
  })
})

describe('what a text follows', () => {
  test('[Q38] who asks for a text that is no longer sent gets the next one anew, which says what it follows now', () => {
    const scene = friends()
    const { town, alice, bob, first, second } = scene
    sendText(town, alice, bob, 'one')
    turn(scene, alice)
    sendText(town, alice, bob, 'two')
    turn(scene, alice)
    for (const mailbox of [first, second]) {
      for (const box of mailbox.boxes.values()) box.envelopes = box.envelopes.slice(-1)
    }
    alice.store.run('UPDATE messages SET expires_at = ? WHERE text = ?', [town.clock.wall, 'one'])
    alice.restart()
    turn(scene, alice)
    expect(messagesOf(alice, bob).map(({ state }) => state)).toEqual(['expired', 'held'])
    turn(scene, bob)
    expect(texts(bob, alice)).toEqual([])
    turn(scene, alice)
    turn(scene, bob)
    expect(texts(bob, alice)).toEqual(['two'])
  })
})

function planOf({ store }: Home, sql: string): string[] {
  const parameters = Array.from(sql.matchAll(/\?/g), () => null)
  return store.all(`EXPLAIN QUERY PLAN ${sql}`, parameters).map((row) => String(row['detail']))
}

describe('what costs too much', () => {
  test('[Q36] a sealing key that is none is not asked for all the time', () => {
    const scene = strangers((bob) => {
      bob.batch({ type: 'wake' })
      bob.store.run('UPDATE prekeys SET public_key = ? WHERE kind = 5', [new Uint8Array(1216).fill(255)])
      bob.restart()
    })
    const { town, alice } = scene
    const batch = alice.batch.bind(alice)
    let asked = 0
    alice.batch = (...inputs) => {
      const outputs = batch(...inputs)
      asked += outputs.filter(({ type }) => type === 'fetch-bundle').length
      if (asked > 1000) throw new Error('asked too often')
      return outputs
    }
    town.connect(alice)
    town.pass(10 * minuteMs)
    expect(asked).toBeGreaterThan(1)
    expect(asked).toBeLessThan(16)
  })

  test('[Q36] a question for a bundle that is never answered is asked again', () => {
    const scene = strangers()
    const { town, alice, bob } = scene
    town.office.loseAnswer = (output) => output.type === 'fetch-bundle'
    sendText(town, alice, bob, 'one')
    town.connect(alice)
    town.pass(minuteMs)
    town.office.loseAnswer = () => false
    town.pass(5 * minuteMs)
    expect(messagesOf(alice, bob)[0]?.state).toBe('held')
  })

  test('[Q39] bundles are asked for sixty-four at a time, and each in its turn', () => {
    const { alice, town } = strangers()
    const count = 200
    alice.store.transaction(() => {
      for (let id = 2; id <= count; id++) addContact(alice, id)
    })
    alice.restart()
    alice.batch({ type: 'wake' })
    unwrap(alice.ask({ type: 'rename-self', name: 'Alicia' }))
    const asked = new Set<string>()
    let mostAtOnce = 0
    for (let round = 0; round < 20; round++) {
      town.clock.mono += 5000
      town.clock.wall += 5000
      const ids = alice.batch({ type: 'wake' }).flatMap((output) => (output.type === 'fetch-bundle' ? [output] : []))
      mostAtOnce = Math.max(mostAtOnce, ids.length)
      for (const { id, bundleKey } of ids) {
        asked.add(String(bundleKey))
        alice.batch({ type: 'bundle', id, bytes: undefined })
      }
    }
    expect(mostAtOnce).toBe(64)
    expect(asked.size).toBe(count)
  })

  test('no statement of a talk reads a whole table of messages, or all that is unread', () => {
    const scene = friends()
    const { town, alice, bob } = scene
    const statements = new Set<string>()
    for (const { store } of [alice, bob]) {
      for (const method of ['all', 'get', 'run'] as const) {
        const run = store[method].bind(store)
        store[method] = ((sql: string, parameters?: SqlValue[]) => {
          statements.add(sql)
          return run(sql, parameters)
        }) as never
      }
    }
    sendText(town, alice, bob, 'one')
    turn(scene, alice)
    turn(scene, bob)
    const [message] = messagesOf(bob, alice)
    unwrap(town.ask(bob, { type: 'messages-read', account: alice.account, upTo: message?.position ?? 0 }))
    turn(scene, bob, minuteMs)
    town.link(alice, bob)
    sendText(town, bob, alice, 'two')
    town.pass(minuteMs)
    const plans = [...statements]
      .filter((sql) => /^(SELECT|UPDATE|DELETE)/.test(sql))
      .map((sql) => ({ sql, plan: planOf(alice, sql) }))
    expect(plans.length).toBeGreaterThan(30)
    const scans = plans.filter(({ plan }) =>
      plan.some((step) => /^SCAN (messages|m|deliveries|d|holdings|h)\b/.test(step)),
    )
    expect(scans.map(({ sql }) => sql)).toEqual([])
    const reads = plans.filter(({ sql }) => /FROM messages\s+WHERE contact = . AND state = 2/.test(sql))
    expect(reads.length).toBeGreaterThan(0)
    for (const { plan } of reads) expect(plan.join()).toContain('messages_reads')
  })

  test('a wake at the deadline does something or moves it', () => {
    const scene = friends()
    const { town, alice, bob, first, second } = scene
    for (const home of [alice, bob]) watch(home)
    const random = seededInt('wakes')
    for (let step = 0; step < 150; step++) {
      const [home, other] = random(2) === 0 ? [alice, bob] : [bob, alice]
      const actions = [
        () => town.ask(home, { type: 'message-send', account: other.account, text: `text ${step}` }),
        () => (town.isLinked(alice, bob) ? town.unlink(alice, bob) : town.link(alice, bob)),
        () => (town.office.isOnline(home) ? town.disconnect(home) : town.connect(home)),
        () =>
          Object.assign([first, second][random(2)] ?? first, { isReachable: random(2) === 0, isFull: random(3) === 0 }),
        () => (town.clock.wall += (random(21) - 10) * 86_400_000),
        () => home.restart(),
        () => home.engine.rollback(),
        () => (town.drop = random(2) === 0 ? () => false : () => true),
        () => (town.office.loseAnswer = random(2) === 0 ? () => false : () => true),
        () => home.store.run('DELETE FROM sessions'),
        () => home.ask({ type: 'contact-block', account: other.account, blocked: random(2) === 0 }),
        () => home.ask({ type: 'settings-set', settings: { jitterMs: random(2) * 50 } }),
        () => home.ask({ type: 'rename-self', name: `name ${step}` }),
        () => first.wipe(),
      ]
      actions[random(actions.length)]?.()
      town.pass([1, 1000, minuteMs, 60 * minuteMs][random(4)] ?? 1)
    }
  })
})
