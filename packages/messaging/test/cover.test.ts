import type { MessagingOutput } from '@miaou/messaging'
import { describe, expect, test } from 'vitest'
import { coverMeanMs } from '../src/cover.ts'
import { befriend, type Home, sendText, Town, texts, unwrap } from './fixture.ts'

const dayMs = 86_400_000

type Deposit = Extract<MessagingOutput, { type: 'deposit' }>

function nameMailboxes(home: Home, other: Home): void {
  const mailboxes = [1, 2].map((number) => ({
    mailbox: { mailboxId: new Uint8Array(16).fill(number), url: `wss://mailbox${number}.example/` },
    box: new Uint8Array(16).fill(16 + number),
  }))
  home.batch({ type: 'device-ways', peerId: other.peerId, sequence: 1, addresses: [], mailboxes })
}

/** Two who know each other, the second not linked and with two mailboxes. */
function apart(): { town: Town; alice: Home; bob: Home } {
  const town = new Town()
  const [alice, bob] = [town.add('Alice'), town.add('Bob')]
  befriend(town, alice, bob)
  sendText(town, alice, bob, 'before')
  sendText(town, bob, alice, 'before')
  town.unlink(alice, bob)
  nameMailboxes(alice, bob)
  return { town, alice, bob }
}

/** Lets time pass at one home; every deposit is accepted. */
function depositsWithin(town: Town, home: Home, ms: number): (Deposit & { readonly at: number })[] {
  const end = town.clock.mono + ms
  const deposits: (Deposit & { readonly at: number })[] = []
  let outputs: readonly MessagingOutput[] = []
  for (;;) {
    for (const output of outputs) {
      if (output.type === 'deposit') deposits.push({ ...output, at: town.clock.mono })
    }
    const answers = outputs.flatMap((output) =>
      output.type === 'deposit'
        ? [{ type: 'deposited', id: output.id, result: { ok: true, until: town.clock.wall + 7 * dayMs } } as const]
        : [],
    )
    if (answers.length > 0) {
      outputs = home.batch(...answers)
      continue
    }
    const next = home.engine.deadline()
    if (next > end) break
    const step = Math.max(0, next - town.clock.mono)
    town.clock.mono += step
    town.clock.wall += step
    outputs = home.batch({ type: 'wake' })
  }
  town.clock.wall += end - town.clock.mono
  town.clock.mono = end
  return deposits
}

describe('cover traffic', () => {
  test('[Q68] off, nothing is sent; low and high have their means', () => {
    const { town, alice } = apart()
    const hour = 3_600_000
    depositsWithin(town, alice, hour)
    expect(depositsWithin(town, alice, 5 * hour)).toEqual([])
    for (const [coverTraffic, mean] of Object.entries(coverMeanMs)) {
      unwrap(alice.ask<'settings-set'>({ type: 'settings-set', settings: { coverTraffic: coverTraffic as 'low' } }))
      // The fixture’s jitter is always one half, so each wait is the median.
      const deposits = depositsWithin(town, alice, hour)
      expect(deposits).toHaveLength(Math.floor(hour / (Math.LN2 * mean)))
      const [first, second] = deposits
      if (second) expect(second.at - (first?.at ?? 0)).toBeCloseTo(Math.LN2 * mean, -1)
    }
    unwrap(alice.ask<'settings-set'>({ type: 'settings-set', settings: { coverTraffic: 'off' } }))
    expect(depositsWithin(town, alice, hour)).toEqual([])
  })

  test('[Q68] it looks like a short text, and the recipient shows nothing', () => {
    const { town, alice, bob } = apart()
    depositsWithin(town, alice, 3_600_000)
    unwrap(alice.ask<'settings-set'>({ type: 'settings-set', settings: { coverTraffic: 'high' } }))
    const [cover] = depositsWithin(town, alice, 150_000)
    expect(cover?.token).toHaveLength(16)
    unwrap(alice.ask<'settings-set'>({ type: 'settings-set', settings: { coverTraffic: 'off' } }))
    const text = alice.ask<'message-send'>({ type: 'message-send', account: bob.account, text: 'See you at eight.' })
    expect(text.ok).toBe(true)
    const first = alice.last.find((output): output is Deposit => output.type === 'deposit')
    const [later] = first ? [first] : depositsWithin(town, alice, 60_000)
    expect(later?.bytes.length).toBe(cover?.bytes.length)
    // docs/threat-model.md states it.
    expect(cover?.bytes.length).toBe(coverBytes)
    const events = bob.events.length
    bob.batch({
      type: 'fetched',
      box: new Uint8Array(16).fill(17),
      envelopes: [
        { id: 1, bytes: cover?.bytes ?? new Uint8Array(), tokenHash: undefined, acceptedAt: town.clock.wall },
      ],
    })
    expect(bob.last.filter(({ type }) => type === 'acknowledge')).toHaveLength(1)
    expect(bob.events.length).toBe(events)
    expect(texts(bob, alice)).toEqual(['before', 'before'])
  })

  test('[Q68] tokens that real messages need are not used up', () => {
    const { town, alice } = apart()
    unwrap(alice.ask<'settings-set'>({ type: 'settings-set', settings: { coverTraffic: 'high' } }))
    const deposits = depositsWithin(town, alice, 2 * dayMs)
    expect(deposits.length).toBeLessThanOrEqual(34)
    expect(deposits.every(({ token }) => token !== undefined)).toBe(true)
  })
})

/** Bytes of one sealed message about nothing. */
const coverBytes = 2166
