import { keyToAccountId, keyToPeerId, type PeerId } from '@miaou/core'
import type { ContactView } from '@miaou/messaging'
import { type Endpoint, encodeOverlayContact, frameTypes, packEndpoint } from '@miaou/protocol'
import { describe, expect, test } from 'vitest'
import { ContactLinks, type ContactLinksInput, type ContactLinksOutput } from '../src/contact-links.ts'
import { hintsFrom, type OwnOverlayNode, ownContactFor, placeOfLink } from '../src/overlay-telling.ts'
import { befriend, Town } from './town.ts'

const now = { mono: 1_000, wall: 1_760_000_000_000 }
const nodeKey = new Uint8Array(32).fill(5)

function node(endpoints: readonly string[], more: Partial<OwnOverlayNode> = {}): OwnOverlayNode {
  return { publicKey: nodeKey, endpoints: endpoints.map(toEndpoint), observed: undefined, isServer: false, ...more }
}

function toEndpoint(text: string): Endpoint {
  const colon = text.lastIndexOf(':')
  return { host: text.slice(0, colon).replace(/[[\]]/g, ''), port: Number(text.slice(colon + 1)) }
}

/** The endpoints that a link at `address` is told of, and what its other end makes of them. */
function told(own: OwnOverlayNode, address: string, heardAt = address): string[] {
  const payload = ownContactFor(own, placeOfLink(address))
  return payload === undefined ? [] : heard(payload, heardAt)
}

function heard(payload: Uint8Array, address: string): string[] {
  const [countV4 = 0, countV6 = 0] = payload
  const v6From = 2 + countV4 * 38
  const contacts = { v4: payload.slice(2, v6From), v6: payload.slice(v6From, v6From + countV6 * 50) }
  return hintsFrom(contacts, placeOfLink(address)).map(({ endpoint: { host, port }, publicKey }) => {
    expect(publicKey).toEqual(nodeKey)
    return `${host}:${port}`
  })
}

function contactAt(endpoint: string): Uint8Array {
  const packed = packEndpoint(toEndpoint(endpoint)) as Uint8Array
  const contact = new Uint8Array(32 + packed.length)
  contact.set(nodeKey)
  contact.set(packed, 32)
  const none = new Uint8Array(0)
  return encodeOverlayContact(packed.length === 6 ? { v4: contact, v6: none } : { v4: none, v6: contact })
}

describe('[DN37] what a linked contact is told of the own node', () => {
  test('over loopback the loopback addresses, and where the sockets have none, any', () => {
    expect(told(node(['127.0.0.1:9999', '[::1]:9999']), 'ws://127.0.0.1:9999')).toEqual(['127.0.0.1:9999', '::1:9999'])
    expect(told(node(['192.168.1.7:9999']), 'ws://[::1]:9999')).toEqual(['192.168.1.7:9999'])
    expect(told(node(['192.168.1.7:9999']), 'ws://[::ffff:127.0.0.1]:50000')).toEqual(['192.168.1.7:9999'])
  })

  test('on a network those of that network first, two at most', () => {
    const own = node(['172.17.0.1:9999', '10.1.2.3:9999', '192.168.1.7:9999', '[fd00::7]:9999', '198.51.100.7:9999'])
    expect(told(own, 'ws://192.168.1.8:9999/')).toEqual(['192.168.1.7:9999', '172.17.0.1:9999'])
    expect(told(own, 'ws://10.1.9.9:50000')).toEqual(['10.1.2.3:9999', '172.17.0.1:9999'])
    expect(told(own, 'wss://[fd00::8]:9999')).toContain('fd00::7:9999')
  })

  test('to the world only what others saw, or what is public, and only of a server', () => {
    const observed = toEndpoint('198.51.100.7:4000')
    const home = ['192.168.1.7:9999', '127.0.0.1:9999']
    expect(told(node(home, { observed, isServer: true }), 'ws://203.0.113.9:9999')).toEqual(['198.51.100.7:4000'])
    expect(told(node(home, { observed }), 'ws://203.0.113.9:9999')).toEqual([])
    expect(told(node(home, { isServer: true }), 'ws://203.0.113.9:9999')).toEqual([])
    expect(told(node(['[2001:db8::7]:9999'], { observed, isServer: true }), 'ws://203.0.113.9:9999')).toHaveLength(2)
    // A name, or a transport that does not tell, may be anywhere.
    expect(told(node(home, { observed, isServer: true }), 'ws://example.org:9999')).toEqual(['198.51.100.7:4000'])
    expect(told(node(home, { isServer: true }), '')).toEqual([])
  })

  test('heard from outside, an address of home or of this machine is not for us', () => {
    for (const [endpoint, address, isTaken] of [
      ['127.0.0.1:22', 'ws://192.168.1.8:9999', false],
      ['192.168.1.1:53', 'ws://203.0.113.9:9999', false],
      ['192.168.1.1:53', 'ws://example.org:9999', false],
      ['192.168.1.8:9999', 'ws://192.168.1.8:9999', true],
      ['198.51.100.7:4000', 'ws://192.168.1.8:9999', true],
      ['198.51.100.7:4000', 'ws://203.0.113.9:9999', true],
    ] as const) {
      expect(heard(contactAt(endpoint), address)).toEqual(isTaken ? [endpoint] : [])
    }
  })
})

describe('links of contacts', () => {
  const accountKey = new Uint8Array(32).fill(9)
  const account = keyToAccountId(accountKey)
  const peers = Array.from({ length: 70 }, (_, i) => keyToPeerId(new Uint8Array(32).fill(i + 1)))
  const [peer, other] = peers as [PeerId, PeerId]
  const place = { accountKey, features: ['chat'], address: 'ws://192.168.1.8:9999' }

  function contact(devices: readonly PeerId[], state: ContactView['state'] = 'contact'): ContactView {
    const facts = { verified: false, forked: false, unreadCount: 0, addedAt: 0 }
    return { account, name: 'Ben', state, devices, ...facts }
  }

  function frame(peerId: PeerId, payload = contactAt('192.168.1.8:9999')): ContactLinksInput {
    return { type: 'frame', peerId, frameType: frameTypes.overlayContact, payload }
  }

  function hints(outputs: readonly ContactLinksOutput[]): number {
    return outputs.filter(({ type }) => type === 'overlay-hints').length
  }

  function sends(outputs: readonly ContactLinksOutput[]): number {
    return outputs.filter(({ type }) => type === 'send').length
  }

  test('[DN37] a contact is told once, and again when something changed; a device of another account never', () => {
    const links = new ContactLinks(() => [contact([peer, other])], undefined)
    expect(sends(links.handle(now, { type: 'overlay-node', node: node(['192.168.1.7:9999']) }))).toBe(0)
    expect(sends(links.handle(now, { type: 'link-up', peerId: peer, ...place }))).toBe(1)
    // A list may name a device that is somebody else's.
    const stranger = { ...place, accountKey: new Uint8Array(32).fill(8) }
    expect(sends(links.handle(now, { type: 'link-up', peerId: other, ...stranger }))).toBe(0)
    expect(hints(links.handle(now, frame(other)))).toBe(0)
    expect(
      sends(links.handle(now, { type: 'overlay-node', node: node(['192.168.1.7:9999'], { isServer: true }) })),
    ).toBe(0)
    expect(sends(links.handle(now, { type: 'overlay-node', node: node(['192.168.1.9:9999']) }))).toBe(1)
    expect(sends(links.handle(now, { type: 'overlay-node', node: undefined }))).toBe(0)
    links.handle(now, { type: 'link-down', peerId: peer })
    expect(sends(links.handle(now, { type: 'overlay-node', node: node(['192.168.1.7:9999']) }))).toBe(0)
    expect(hints(links.handle(now, frame(peer)))).toBe(0)
    expect(links.counters()).toEqual({ 'no-link': 1 })
  })

  test('[DN38] what somebody said before being accepted counts then; of those blocked nothing is taken', () => {
    let state: ContactView['state'] = 'request'
    const links = new ContactLinks(() => [contact([peer], state)], undefined)
    links.handle(now, { type: 'link-up', peerId: peer, ...place })
    expect(hints(links.handle(now, frame(peer)))).toBe(0)
    expect(hints(links.refresh(now))).toBe(0)
    state = 'contact'
    expect(hints(links.refresh(now))).toBe(1)
    expect(hints(links.refresh(now))).toBe(0)
    state = 'blocked'
    links.refresh(now)
    expect(hints(links.handle(now, frame(peer)))).toBe(0)
  })

  test('[DN38] at the bounds: 64 strangers are listened to, a greeting has 16 KiB, a contact says 4 and one a minute', () => {
    let contacts: readonly ContactView[] = []
    const links = new ContactLinks(() => contacts, undefined)
    for (const peerId of peers) {
      links.handle(now, { type: 'link-up', peerId, ...place })
      links.handle(now, frame(peerId))
    }
    expect(links.counters()).toEqual({ 'held-full': 6 })
    for (const [size, count] of [
      [16_384, 6],
      [16_385, 7],
    ] as const) {
      const payload = new Uint8Array(size).fill(6)
      links.handle(now, { type: 'frame', peerId: peer, frameType: frameTypes.gossip, payload })
      expect(links.counters()).toEqual({ 'held-full': count })
    }
    contacts = [contact(peers)]
    expect(hints(links.refresh(now))).toBe(64)
    for (const isTaken of [true, true, true, false]) {
      expect(hints(links.handle(now, frame(peer)))).toBe(isTaken ? 1 : 0)
    }
    const later = { mono: now.mono + 60_000, wall: now.wall + 60_000 }
    expect(hints(links.handle(later, frame(peer)))).toBe(1)
    expect(hints(links.handle(later, frame(peer)))).toBe(0)
    expect(links.counters()['overlay-contact-rate']).toBe(2)
  })

  test('any bytes are counted, and nothing else', () => {
    const links = new ContactLinks(() => [contact([peer])], undefined)
    links.handle(now, { type: 'link-up', peerId: peer, ...place })
    expect(links.handle(now, frame(peer, new Uint8Array(3)))).toEqual([])
    expect(links.handle(now, frame(peer, contactAt('127.0.0.1:22')))).toEqual([])
    expect(links.counters()).toEqual({ 'malformed-overlay-contact': 1, 'overlay-contact-elsewhere': 1 })
  })

  test('two peers that become contacts by an invite tell each other of their nodes', () => {
    const town = new Town()
    const [ann, ben] = [town.add('10.0.0.1'), town.add('10.0.0.2')]
    for (const home of [ann, ben]) {
      const own = node([`${home === ann ? '10.0.0.1' : '10.0.0.2'}:9999`])
      home.handle({ type: 'overlay-node', node: own })
    }
    befriend(town, ann, ben)
    for (const [home, from, host] of [
      [ann, ben, '10.0.0.2'],
      [ben, ann, '10.0.0.1'],
    ] as const) {
      const told = home.outputs.filter(({ type }) => type === 'overlay-hints')
      expect(told).toEqual([
        { type: 'overlay-hints', peerId: from.peerId, hints: [{ publicKey: nodeKey, endpoint: { host, port: 9999 } }] },
      ])
    }
  })
})
