import { bytesToText, textToBytes } from '@miaou/core'
import { signLabelled } from '@miaou/crypto'
import { gossipLabel } from '@miaou/overlay'
import { encodeGossipBody, encodeGossipData, frameTypes } from '@miaou/protocol'
import { describe, expect, test } from 'vitest'
import { crypto } from './ports.ts'
import { befriend, type Home, Town, unwrap } from './town.ts'

const topic = 'news'

/** A – B – C …: each is linked with its neighbours in the line, and with nobody else. */
function line(...names: string[]): { town: Town; homes: Home[] } {
  const town = new Town({ hasGossip: true })
  const homes = names.map((name) => town.add(name))
  for (const [index, home] of homes.entries()) {
    const next = homes[index + 1]
    if (next !== undefined) befriend(town, home, next)
  }
  return { town, homes }
}

function follow(town: Town, ...homes: Home[]): void {
  for (const home of homes) expect(home.gossip({ type: 'subscribe', topic })).toEqual({ ok: true, value: undefined })
  town.settle()
}

function publish(home: Home, text: string): ReturnType<Home['gossip']> {
  return home.gossip({ type: 'publish', topic, payload: textToBytes(text) })
}

function heard(home: Home): (string | undefined)[] {
  return home.news().map(({ payload }) => bytesToText(payload))
}

/** Time goes by, step by step, so that timers fire. */
function wait(town: Town, ms: number): void {
  for (let passed = 0; passed < ms; passed += 250) {
    town.advance(250)
    town.settle()
  }
}

function neighbours(home: Home): string[] {
  return (home.peer.gossip()?.neighbours ?? []).map(({ peerId }) => peerId)
}

describe('gossip between linked contacts', () => {
  test('E20 E22 in a line of three the last hears the first, once, and who stands between passes on what it does not follow', () => {
    const { town, homes } = line('ann', 'ben', 'cat')
    const [ann, ben, cat] = homes as [Home, Home, Home]
    follow(town, ann, cat)
    const published = publish(ann, 'hello')
    expect(published).toMatchObject({ ok: true, value: { neighbours: 1 } })
    town.settle()
    wait(town, 2_000)
    expect(heard(cat)).toEqual(['hello'])
    expect(heard(ben)).toEqual([])
    const [news] = cat.news()
    // A pseudonym, not the device.
    expect(news?.origin).toHaveLength(32)
    expect(news?.messageId).toBe(published.ok ? published.value?.messageId : '')
    publish(cat, 'and back')
    town.settle()
    expect(heard(ann)).toEqual(['and back'])
  })

  test('E21 a forged message is not passed on, and costs its sender its place but not its link', () => {
    const { town, homes } = line('ann', 'ben', 'cat')
    const [ann, ben, cat] = homes as [Home, Home, Home]
    follow(town, ben, cat)
    const forged = (text: string): Uint8Array => {
      const key = crypto.ed25519KeyPair(new Uint8Array(32).fill(7))
      const facts = { origin: key.publicKey, timestamp: town.now.wall, sequence: 1, topic }
      const body = encodeGossipBody({ ...facts, payload: textToBytes(text) })
      const id = crypto.sha256(body)
      const signature = signLabelled(crypto, gossipLabel, id, key.secretKey)
      signature[0] = (signature[0] as number) ^ 1
      return encodeGossipData(body, { ttl: 5, hops: 1, id, signature })
    }
    const inject = (text: string): void => {
      const send = { type: 'send', peerId: ben.peerId, frameType: frameTypes.gossip, fleeting: false } as const
      ann.handle({ type: 'network', input: { ...send, payload: forged(text) } })
      town.settle()
    }
    for (const text of ['one', 'two', 'three']) inject(text)
    expect(heard(ben)).toEqual([])
    expect(heard(cat)).toEqual([])
    expect(ben.peer.counters()['gossip-dropped-signature']).toBe(3)
    expect(ben.peer.counters()['gossip-disconnected-graylisted']).toBe(1)
    expect(neighbours(ben)).toEqual([cat.peerId])
    unwrap(ann.ask({ type: 'message-send', account: ben.account, text: 'still friends' }))
    town.settle()
    expect(ben.texts(ann)).toEqual(['still friends'])
  })

  test('E23 a message whose ttl is spent is dropped', () => {
    const { town, homes } = line('ann', 'ben', 'cat')
    const [ann, ben, cat] = homes as [Home, Home, Home]
    follow(town, ben, cat)
    const key = crypto.ed25519KeyPair(new Uint8Array(32).fill(7))
    const payload = textToBytes('spent')
    const facts = { origin: key.publicKey, timestamp: town.now.wall, sequence: 1, topic, payload }
    const body = encodeGossipBody(facts)
    const id = crypto.sha256(body)
    const signature = signLabelled(crypto, gossipLabel, id, key.secretKey)
    const send = { type: 'send', peerId: ben.peerId, frameType: frameTypes.gossip, fleeting: false } as const
    for (const ttl of [0, 1]) {
      const bytes = encodeGossipData(body, { ttl, hops: 1, id, signature })
      ann.handle({ type: 'network', input: { ...send, payload: bytes } })
      town.settle()
      expect(heard(ben)).toEqual(ttl === 0 ? [] : ['spent'])
    }
    expect(ben.peer.counters()['gossip-dropped-ttl']).toBe(1)
  })

  test('E24 of more than eight who follow, a message goes to eight at once, and all hear it', () => {
    const { town, homes } = line('hub', 'f0')
    const [hub, first] = homes as [Home, Home]
    const followers = [first, ...Array.from({ length: 9 }, (_, i) => town.add(`f${i + 1}`))]
    for (const follower of followers.slice(1)) befriend(town, hub, follower)
    follow(town, ...followers)
    expect(publish(hub, 'to all')).toMatchObject({ ok: true, value: { neighbours: 8 } })
    wait(town, 5_000)
    for (const follower of followers) expect(heard(follower)).toEqual(['to all'])
  })

  test('a blocked contact is no neighbour any more, and one that is unblocked and linked again is', () => {
    const { town, homes } = line('ann', 'ben', 'cat')
    const [ann, ben, cat] = homes as [Home, Home, Home]
    follow(town, cat)
    unwrap(ben.ask({ type: 'contact-block', account: ann.account, blocked: true }))
    town.settle()
    expect(neighbours(ben)).toEqual([cat.peerId])
    expect(publish(ann, 'to nobody')).toEqual({ ok: false, error: { type: 'no-neighbours' } })
    unwrap(ben.ask({ type: 'contact-block', account: ann.account, blocked: false }))
    wait(town, 5_000)
    expect(neighbours(ben)).toEqual([cat.peerId, ann.peerId])
    publish(ann, 'again')
    town.settle()
    expect(heard(cat)).toEqual(['again'])
  })

  test('a stranger that is linked gets and gives nothing, until it is accepted', () => {
    const town = new Town({ hasGossip: true })
    const ann = town.add('ann')
    const ben = town.add('ben')
    follow(town, ben)
    ann.handle({ type: 'network', input: { type: 'connect-address', address: ben.address } })
    town.settle()
    expect(ann.peer.connection(ben.peerId)?.state).toBe('connected')
    expect([neighbours(ann), neighbours(ben)]).toEqual([[], []])
    // Ann takes him for a contact at once; to Ben she is a request, however long he takes to accept it.
    unwrap(ann.ask({ type: 'contact-add-peer', peerId: ben.peerId }))
    unwrap(ann.ask({ type: 'message-send', account: ben.account, text: 'may I?' }))
    wait(town, 30_000)
    expect([neighbours(ann), neighbours(ben)]).toEqual([[], []])
    unwrap(ben.ask({ type: 'contact-accept', account: ann.account }))
    wait(town, 1_000)
    expect([neighbours(ann), neighbours(ben)]).toEqual([[ben.peerId], [ann.peerId]])
    publish(ann, 'thanks')
    town.settle()
    expect(heard(ben)).toEqual(['thanks'])
  })

  test('what the engine refuses has an error: size, topic, pace, and too many topics', () => {
    const { town, homes } = line('ann', 'ben')
    const [ann] = homes as [Home, Home]
    town.settle()
    const publishTo = (name: string, payload: Uint8Array) => ann.gossip({ type: 'publish', topic: name, payload })
    expect(publishTo('two words', textToBytes('x'))).toMatchObject({ ok: false, error: { type: 'bad-topic' } })
    expect(publishTo(topic, new Uint8Array(65_536))).toMatchObject({ ok: false, error: { type: 'too-large' } })
    let last = publish(ann, '0')
    for (let i = 1; i <= 200; i++) last = publish(ann, String(i))
    expect(last).toMatchObject({ ok: false, error: { type: 'too-fast' } })
    for (let i = 0; i < 64; i++) expect(ann.gossip({ type: 'subscribe', topic: `t${i}` }).ok).toBe(true)
    expect(ann.gossip({ type: 'subscribe', topic: 't64' })).toEqual({
      ok: false,
      error: { type: 'too-many-topics', topicsMax: 64 },
    })
    expect(ann.gossip({ type: 'subscribe', topic: '' })).toMatchObject({ ok: false, error: { type: 'bad-topic' } })
  })

  test('a topic is followed until the last who asked for it is gone', () => {
    const { town, homes } = line('ann', 'ben')
    const [ann, ben] = homes as [Home, Home]
    follow(town, ben, ben)
    ben.gossip({ type: 'unsubscribe', topic })
    town.settle()
    publish(ann, 'one')
    town.settle()
    ben.gossip({ type: 'unsubscribe', topic })
    town.settle()
    expect(publish(ann, 'two')).toMatchObject({ ok: true, value: { neighbours: 0 } })
    town.settle()
    expect(heard(ben)).toEqual(['one'])
  })

  test('the largest message travels in fragments', () => {
    const { town, homes } = line('ann', 'ben', 'cat')
    const [ann, , cat] = homes as [Home, Home, Home]
    follow(town, cat)
    const refused = ann.gossip({ type: 'publish', topic, payload: new Uint8Array(65_536) })
    const sizeMax = !refused.ok && refused.error.type === 'too-large' ? refused.error.sizeMax : 0
    const payload = Uint8Array.from({ length: sizeMax }, (_, i) => i % 251)
    expect(ann.gossip({ type: 'publish', topic, payload })).toMatchObject({ ok: true })
    wait(town, 2_000)
    expect(cat.news().map((news) => news.payload)).toEqual([payload])
  })

  test('[G29] a link is given 1 MiB at once and 256 KiB a second, and what a person writes goes all the same', () => {
    const { town, homes } = line('ann', 'ben')
    const [ann, ben] = homes as [Home, Home]
    follow(town, ben)
    const payload = new Uint8Array(32_768)
    const tell = (count: number): number => {
      const before = ben.news().length
      for (let i = 0; i < count; i++) expect(ann.gossip({ type: 'publish', topic, payload }).ok).toBe(true)
      town.settle()
      return ben.news().length - before
    }
    expect(tell(40)).toBe(31)
    expect(ann.peer.counters()['gossip-dropped-busy-link']).toBe(9)
    unwrap(ann.ask({ type: 'message-send', account: ben.account, text: 'by the way' }))
    town.settle()
    expect(ben.texts(ann)).toEqual(['by the way'])
    wait(town, 1_000)
    expect(tell(10)).toBe(8)
  })

  test('who takes no part in gossip is left alone', () => {
    const town = new Town({ hasGossip: false })
    const ann = town.add('ann')
    const ben = town.add('ben')
    befriend(town, ann, ben)
    expect(ann.peer.gossip()).toBeUndefined()
    expect(publish(ann, 'x')).toEqual({ ok: false, error: { type: 'no-neighbours' } })
    const payload = new Uint8Array([6, 0, 0])
    const send = { type: 'send', peerId: ben.peerId, frameType: frameTypes.gossip, fleeting: false } as const
    ann.handle({ type: 'network', input: { ...send, payload } })
    town.settle()
    expect(ben.peer.counters()['gossip-unexpected']).toBe(1)
  })

  test('gossip that has nothing to do wakes nobody, and costs no transaction', () => {
    const { town, homes } = line('ann', 'ben', 'cat')
    const [ann, ben, cat] = homes as [Home, Home, Home]
    follow(town, ann, cat)
    publish(ann, 'hello')
    wait(town, 15_000)
    expect(heard(cat)).toEqual(['hello'])
    const idle = new Town()
    const [one, two] = [idle.add('one'), idle.add('two')]
    befriend(idle, one, two)
    wait(idle, 15_000)
    // Nothing is due before what is due without gossip: the keep-alive of the links.
    expect(ben.peer.deadline() - town.now.mono).toBeGreaterThanOrEqual(one.peer.deadline() - idle.now.mono)
    const before = ben.store.transactionCount
    publish(ann, 'by the way')
    town.settle()
    expect(heard(cat)).toEqual(['hello', 'by the way'])
    expect(ben.store.transactionCount).toBe(before)
  })

  test('after a restart of the one between, gossip flows again', () => {
    const { town, homes } = line('ann', 'ben', 'cat')
    const [ann, ben, cat] = homes as [Home, Home, Home]
    follow(town, cat)
    ben.restart()
    wait(town, 60_000)
    expect(neighbours(ben).length).toBe(2)
    publish(ann, 'back')
    wait(town, 2_000)
    expect(heard(cat)).toEqual(['back'])
  })
})
