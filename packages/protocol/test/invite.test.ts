import {
  encodeInvite,
  formatCircuitAddress,
  type Invite,
  invitePrefix,
  isInviteAddress,
  parseInvite,
} from '@miaou/protocol'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createWireSamples } from '../../../testkit/src/fuzz/samples.ts'
import { libsodium } from './backends.ts'

const sha256 = (bytes: Uint8Array) => libsodium.sha256(bytes)
const { invites } = createWireSamples(libsodium)
const invite = invites[1] as Invite
const link = encodeInvite(invite, sha256)
const payload = link.slice(invitePrefix.length)
const parse = (text: string) => parseInvite(text, sha256)
const error = (type: string) => ({ ok: false, error: { type } })

/** The link of a payload altered in the given way, its check right again. */
function altered(change: (bytes: Uint8Array) => Uint8Array | undefined): string {
  const bytes = new Uint8Array(Buffer.from(payload, 'base64url')).slice(0, -4)
  const changed = change(bytes) ?? bytes
  const check = sha256(changed).slice(0, 4)
  return invitePrefix + Buffer.concat([changed, check]).toString('base64url')
}

const lan = (n: number) => `ws://192.168.1.${n}:9999`
const circuit = (url: string) =>
  formatCircuitAddress({ relay: { url, relayId: new Uint8Array(16).fill(1) }, reservation: new Uint8Array(16).fill(2) })

describe('invites', () => {
  test('[V1] a link gives back what went in', () => {
    for (const each of invites) expect(parse(encodeInvite(each, sha256))).toEqual({ ok: true, value: each })
    expect(link).toMatch(/^miaou:invite\/[\w-]+$/)
  })

  test('[V1] six addresses and a name of thirty bytes stay below 300 characters', () => {
    const text = encodeInvite(invites[2] as Invite, sha256)
    expect(text.length).toBeLessThan(300)
    const parsed = parse(text)
    expect(parsed.ok && [parsed.value.name.length, parsed.value.addresses.length]).toEqual([30, 6])
  })

  test('[V3] a long name is cut at a character, addresses that do not fit are left out from the end', () => {
    const host = (n: number) => `wss://${'a'.repeat(40)}${n}.example`
    const full = { ...invite, name: '🐈'.repeat(16), addresses: [1, 2, 3].map(host) }
    const parsed = parse(encodeInvite(full, sha256))
    expect(parsed.ok && parsed.value.name).toBe('🐈'.repeat(7))
    expect(parsed.ok && parsed.value.addresses).toEqual([host(1)])
  })

  test('[V3] a name of thirty bytes, a circuit at a relay and an address of the LAN stay below 300 characters', () => {
    const name = 'a name of thirty bytes, I said'
    for (const relay of ['ws://203.0.113.7:9999', 'wss://relay1.example.org', 'ws://relay.example.org']) {
      const text = encodeInvite({ ...invite, name, addresses: [lan(1), circuit(relay)] }, sha256)
      expect(text.length).toBeLessThan(300)
      const parsed = parse(text)
      expect(parsed.ok && parsed.value.addresses).toContain(circuit(relay))
    }
    const parsed = parse(encodeInvite({ ...invite, name, addresses: [lan(1), circuit('ws://203.0.113.7:9')] }, sha256))
    expect(parsed).toMatchObject({ value: { name, addresses: [lan(1), circuit('ws://203.0.113.7:9')] } })
  })

  test('[V3] a box goes in behind the first two ways, where there is room, and before a second of a kind', () => {
    const box = (url: string) => ({
      box: new Uint8Array(16).fill(3),
      mailbox: { url, mailboxId: new Uint8Array(16).fill(4) },
    })
    const near = box('ws://203.0.113.5:9999')
    const beside = parse(encodeInvite({ ...invite, name: 'Ann', addresses: [lan(1), lan(2)], boxes: [near] }, sha256))
    expect(beside).toMatchObject({ ok: true, value: { addresses: [lan(1), lan(2)], boxes: [near] } })
    const far = box(`wss://${'x'.repeat(58)}`)
    const long = { ...invite, name: 'A'.repeat(30), addresses: [circuit('wss://relay1.example.org'), lan(1)] }
    for (const boxes of [[far], [near]]) {
      const full = encodeInvite({ ...long, boxes }, sha256)
      expect(full.length).toBeLessThan(300)
      expect(parse(full)).toMatchObject({ ok: true, value: { addresses: long.addresses } })
      expect(parse(full)).not.toHaveProperty('value.boxes')
    }
    expect(parse(encodeInvite({ ...invite, name: 'Ann', addresses: [], boxes: [far, near] }, sha256))).toMatchObject({
      value: { boxes: [near] },
    })
  })

  test('[V3] of many ways one circuit and one address stay, a long name gives way to them', () => {
    const addresses = [
      ...[1, 2, 3, 4, 5].map(lan),
      circuit('wss://relay.example.org:9999'),
      circuit('wss://other.example'),
    ]
    const name = 'a name of thirty bytes, I said'
    const parsed = parse(encodeInvite({ ...invite, name, addresses }, sha256))
    expect(parsed).toMatchObject({ value: { name: 'a name of thirty bytes, I sa' } })
    expect(parsed.ok && parsed.value.addresses).toEqual([lan(1), circuit('wss://relay.example.org:9999')])
    const long = circuit(`wss://${'a'.repeat(30)}.example`)
    const cut = parse(encodeInvite({ ...invite, name, addresses: [lan(1), lan(2), long] }, sha256))
    expect(cut.ok && [cut.value.name.length, cut.value.addresses]).toEqual([12, [lan(1), long]])
    // Beyond that the circuit goes, and the name comes back.
    const tooLong = circuit(`wss://${'a'.repeat(50)}.example`)
    const without = parse(encodeInvite({ ...invite, name, addresses: [lan(1), lan(2), tooLong] }, sha256))
    expect(without).toMatchObject({ value: { name, addresses: [lan(1), lan(2)] } })
  })

  test('[V3] property: whatever goes in, the link is short, whole, and holds only what went in, in its order', () => {
    const host = fc.oneof(fc.domain(), fc.ipV4())
    const url = fc.tuple(fc.constantFrom('ws', 'wss'), host).map(([scheme, name]) => `${scheme}://${name}:9999`)
    const way = fc.tuple(url, fc.boolean()).map(([each, isCircuit]) => (isCircuit ? circuit(each) : each))
    fc.assert(
      fc.property(fc.array(way.filter(isInviteAddress), { maxLength: 9 }), fc.nat(30), (addresses, size) => {
        const text = encodeInvite({ ...invite, name: 'é'.repeat(size), addresses }, sha256)
        expect(text.length).toBeLessThan(300)
        const parsed = parse(text)
        if (!parsed.ok) throw new Error(parsed.error.type)
        const kept = parsed.value.addresses
        expect(kept).toEqual([...new Set(addresses)].filter((address) => kept.includes(address)))
        expect(encodeInvite(parsed.value, sha256)).toBe(text)
      }),
    )
  })

  test('[V4] every typo of one character is told', () => {
    for (let at = 0; at < payload.length; at++) {
      const typo = payload[at] === 'x' ? 'y' : 'x'
      const text = `${invitePrefix}${payload.slice(0, at)}${typo}${payload.slice(at + 1)}`
      expect(parse(text)).toEqual(error('damaged-invite'))
    }
  })

  test('[V4] a link cut anywhere is told, and so is one with more at its end', () => {
    for (let size = 0; size < payload.length; size++) {
      expect(parse(invitePrefix + payload.slice(0, size))).toEqual(error('damaged-invite'))
    }
    expect(parse(`${link}A`)).toEqual(error('damaged-invite'))
    expect(parse(`${link}.`)).toEqual(error('damaged-invite'))
  })

  test('[V4] a newer version, suite or critical extension is a newer invite', () => {
    expect(parse(altered((bytes) => bytes.with(0, 2)))).toEqual(error('newer-invite'))
    expect(parse(altered((bytes) => bytes.with(1, 2)))).toEqual(error('newer-invite'))
    const critical = (bytes: Uint8Array) => Uint8Array.from([...bytes.slice(0, -2), 0, 4, 0x80, 1, 0, 0])
    expect(parse(altered(critical))).toEqual(error('newer-invite'))
  })

  test('[V2] a form of address that only a newer program knows is skipped', () => {
    const nameSize = Buffer.from(invite.name).length
    const formAt = 2 + 32 * 3 + 16 + 1 + nameSize + 1
    const parsed = parse(altered((bytes) => bytes.with(formAt, 9)))
    expect(parsed.ok && parsed.value.addresses).toEqual(invite.addresses.slice(1))
    expect(parse(altered((bytes) => bytes.with(formAt + 1, 5)))).toEqual(error('damaged-invite'))
  })

  test('[V5] space around it, breaks in it, capitals and a web address do not matter', () => {
    const value = { ok: true, value: invite }
    expect(parse(`  ${link}\r\n`)).toEqual(value)
    expect(parse(`${link.slice(0, 76)}\n ${link.slice(76)}`)).toEqual(value)
    expect(parse(`MIAOU:Invite/${payload}`)).toEqual(value)
    expect(parse(`https://miaou.example/app#${payload}`)).toEqual(value)
  })

  test.each([
    '',
    ' ',
    'hello',
    payload,
    `xmiaou:invite/${payload}`,
    `https://a.example/${payload}`,
    `ftp://a#${payload}`,
  ])('[V5] not an invite: %s', (text) => {
    expect(parse(text)).toEqual(error('not-an-invite'))
  })

  test('[V5] more than 4,096 characters are not looked at', () => {
    expect(parse(link + ' '.repeat(4096))).toEqual(error('not-an-invite'))
  })

  test('[V2] an address has at most 64 characters, and none that a shell or page could misread', () => {
    expect(isInviteAddress(`wss://${'a'.repeat(58)}`)).toBe(true)
    expect(isInviteAddress(`wss://${'a'.repeat(59)}`)).toBe(false)
    expect(isInviteAddress(circuit(`wss://${'a'.repeat(58)}`))).toBe(true)
    expect(isInviteAddress(circuit(`wss://${'a'.repeat(59)}`))).toBe(false)
    for (const bad of ['http://a', 'ws://', 'ws://a b', 'ws://a"', 'ws://u@h', 'ws://a\n', 'ws://é']) {
      expect(isInviteAddress(bad)).toBe(false)
    }
    const odd = { ...invite, addresses: ['ws://01.2.3.4:5', 'ws://300.1.1.1:70000', 'ws://1.2.3.4'] }
    expect(parse(encodeInvite(odd, sha256))).toEqual({ ok: true, value: odd })
  })
})
