import { concatBytes, hexToBytes, textToBytes } from '@miaou/core'
import {
  decodeStunMessage,
  type Endpoint,
  encodeStunMessage,
  hasUnknownRequired,
  looksLikeStun,
  type StunMessage,
  stunAttribute,
  stunAttributes,
  stunAttributesMax,
  stunChangeRequest,
  stunEndpoint,
  stunEndpointAttribute,
  stunErrorAttribute,
  stunErrorCode,
  stunMappedAddress,
  stunMessageSizeMax,
  stunMethods,
  stunText,
  stunTextLengthMax,
} from '@miaou/protocol'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

function hex(text: string): Uint8Array {
  const bytes = hexToBytes(text.replaceAll(/\s/g, ''))
  if (bytes === undefined) throw new Error('not hexadecimal')
  return bytes
}

const transaction = hex('b7e7a701 bc34d686 fa87dfae')

/** The messages of RFC 5769 §2.1 to §2.3, with its own numbers. */
const request = hex(`
  00010058 2112a442 b7e7a701 bc34d686 fa87dfae
  80220010 5354554e 20746573 7420636c 69656e74
  00240004 6e0001ff 80290008 932ff9b1 51263b36
  00060009 6576746a 3a683676 59202020
  00080014 9aeaa70c bfd8cb56 781ef2b5 b2d3f249 c1b571a2
  80280004 e57a3bcf`)
const answer4 = hex(`
  0101003c 2112a442 b7e7a701 bc34d686 fa87dfae
  8022000b 74657374 20766563 746f7220
  00200008 0001a147 e112a643
  00080014 2b91f599 fd9e90c3 8c7489f9 2af9ba53 f06be7d7
  80280004 c07d4c96`)
const answer6 = hex(`
  01010048 2112a442 b7e7a701 bc34d686 fa87dfae
  8022000b 74657374 20766563 746f7220
  00200014 0002a147 0113a9fa a5d3f179 bc25f4b5 bed2b9d9
  00080014 a382954e 4be67bf1 1784c97c 8292c275 bfe3ed41
  80280004 c8fb0b4c`)

function decoded(bytes: Uint8Array): StunMessage {
  const result = decodeStunMessage(bytes)
  if (!result.ok) throw new Error('malformed')
  return result.value
}

const plain: StunMessage = { class: 'request', method: 1, transaction, attributes: [], hasFingerprint: false }

/** The answer of an IPv4 server, with every attribute of RFC 5780. */
const full: StunMessage = {
  ...plain,
  class: 'success',
  attributes: [
    stunEndpointAttribute(stunAttributes.xorMappedAddress, { host: '192.0.2.1', port: 32_853 }, transaction),
    stunEndpointAttribute(stunAttributes.mappedAddress, { host: '192.0.2.1', port: 32_853 }, transaction),
    stunEndpointAttribute(stunAttributes.responseOrigin, { host: '203.0.113.11', port: 3478 }, transaction),
    stunEndpointAttribute(stunAttributes.otherAddress, { host: '203.0.113.21', port: 3479 }, transaction),
    { type: stunAttributes.software, value: textToBytes('a server') },
  ],
  hasFingerprint: true,
}

describe('vectors of RFC 5769', () => {
  test('[NT2] the request: class, method, transaction, texts and fingerprint', () => {
    const message = decoded(request)
    expect(message).toMatchObject({ class: 'request', method: stunMethods.binding, transaction, hasFingerprint: true })
    expect(stunText(message, stunAttributes.software)).toBe('STUN test client')
    expect(stunText(message, stunAttributes.username)).toBe('evtj:h6vY')
    expect(hasUnknownRequired(message, [])).toBe(true)
    expect(hasUnknownRequired(message, [0x24, stunAttributes.username, stunAttributes.messageIntegrity])).toBe(false)
  })

  test('[NT2] the IPv4 answer', () => {
    expect(stunMappedAddress(decoded(answer4))).toEqual({ host: '192.0.2.1', port: 32_853 })
  })

  test('[NT2] the IPv6 answer', () => {
    const host = '2001:db8:1234:5678:11:2233:4455:6677'
    expect(stunMappedAddress(decoded(answer6))).toEqual({ host, port: 32_853 })
  })

  test('[NT2] are written again as they were, but for the padding, which they fill with spaces', () => {
    const zeroed = answer4.slice()
    // Behind "test vector". The fingerprint covers it.
    zeroed[stunHeaderEnd + 4 + 11] = 0
    const again = encodeStunMessage(decoded(answer4))
    expect(again.subarray(0, -4)).toEqual(zeroed.subarray(0, -4))
    expect(decoded(again)).toEqual(decoded(answer4))
  })
})

const stunHeaderEnd = 20

describe('the codec', () => {
  test('[NT2] a binding request has 20 bytes and one with a change request 28', () => {
    expect(encodeStunMessage(plain)).toEqual(hex('00010000 2112a442 b7e7a701 bc34d686 fa87dfae'))
    const change = { ...plain, attributes: [stunChangeRequest({ host: true, port: true })] }
    expect(encodeStunMessage(change)).toEqual(hex('00010008 2112a442 b7e7a701 bc34d686 fa87dfae 00030004 00000006'))
  })

  test('[NT2] every attribute of RFC 5780 survives', () => {
    const message = decoded(encodeStunMessage(full))
    expect(message).toEqual(full)
    expect(stunEndpoint(message, stunAttributes.responseOrigin)).toEqual({ host: '203.0.113.11', port: 3478 })
    expect(stunEndpoint(message, stunAttributes.otherAddress)).toEqual({ host: '203.0.113.21', port: 3479 })
  })

  test('[NT2] a server that sends MAPPED-ADDRESS alone is understood', () => {
    expect(stunMappedAddress({ ...full, attributes: full.attributes.slice(1) })).toEqual({
      host: '192.0.2.1',
      port: 32_853,
    })
  })

  test('[NT2] an error has a code and a reason of bounded length without control characters', () => {
    const message: StunMessage = { ...plain, class: 'error', attributes: [stunErrorAttribute(401, 'Un\u001b[1mknown')] }
    expect(stunErrorCode(decoded(encodeStunMessage(message)))).toEqual({ code: 401, reason: 'Un [1mknown' })
    const long: StunMessage = { ...message, attributes: [stunErrorAttribute(500, 'x'.repeat(500))] }
    expect(stunErrorCode(long)?.reason.length).toBe(stunTextLengthMax)
    const bad = (value: number[]) =>
      stunErrorCode({ ...message, attributes: [{ type: stunAttributes.errorCode, value: Uint8Array.from(value) }] })
    expect(bad([0, 0, 4])).toBeUndefined()
    expect(bad([0, 0, 7, 0])).toBeUndefined()
    expect(bad([0, 0, 4, 100])).toBeUndefined()
  })

  test.each([
    ['a wrong family', [0, 3, 1, 1, 1, 2, 3, 4]],
    ['a wrong length', [0, 1, 1, 1, 1, 2, 3]],
    ['port 0', [0, 1, 0, 0, 1, 2, 3, 4]],
    ['an address that no socket has', [0, 1, 1, 1, 0, 0, 0, 0]],
    ['nothing', []],
  ])('[NT2] an address attribute with %s is none', (_, value) => {
    const attributes = [{ type: stunAttributes.otherAddress, value: Uint8Array.from(value) }]
    expect(stunEndpoint({ ...plain, attributes }, stunAttributes.otherAddress)).toBeUndefined()
  })

  test('[NT2] truncated at every byte, with bytes behind it, or too long: malformed', () => {
    const bytes = encodeStunMessage(full)
    for (let size = 0; size < bytes.length; size++) expect(decodeStunMessage(bytes.subarray(0, size)).ok).toBe(false)
    expect(decodeStunMessage(concatBytes(bytes, new Uint8Array(4))).ok).toBe(false)
    const big = (size: number) =>
      encodeStunMessage({ ...plain, attributes: [{ type: 0x8022, value: new Uint8Array(size - stunHeaderEnd - 4) }] })
    expect(decodeStunMessage(big(stunMessageSizeMax)).ok).toBe(true)
    expect(() => big(stunMessageSizeMax + 4)).toThrow()
    const over = new Uint8Array(stunMessageSizeMax + 4)
    over.set(big(stunMessageSizeMax))
    over.set([(stunMessageSizeMax - 16) >> 8, (stunMessageSizeMax - 16) & 0xff], 2)
    expect(decodeStunMessage(over).ok).toBe(false)
  })

  test('[NT2] one attribute more than the bound: malformed', () => {
    const one = { type: 0x8022, value: new Uint8Array(0) }
    const many = { ...plain, attributes: Array.from({ length: stunAttributesMax }, () => one) }
    const bytes = encodeStunMessage(many)
    expect(decodeStunMessage(bytes).ok).toBe(true)
    const over = concatBytes(bytes, hex('80220000'))
    over[3] = over.length - stunHeaderEnd
    expect(decodeStunMessage(over).ok).toBe(false)
  })

  test('[NT2] a wrong fingerprint, one that is not last, and classic STUN: malformed', () => {
    const bytes = encodeStunMessage(full)
    for (const at of [8, 30, bytes.length - 1]) {
      const bad = bytes.slice()
      bad[at] = (bad[at] as number) ^ 1
      expect(decodeStunMessage(bad).ok, String(at)).toBe(false)
    }
    const behind = concatBytes(bytes, hex('80220000'))
    behind[3] = behind.length - stunHeaderEnd
    expect(decodeStunMessage(behind).ok).toBe(false)
    const classic = encodeStunMessage(plain)
    classic[4] = 0
    expect(decodeStunMessage(classic).ok).toBe(false)
    expect(looksLikeStun(classic)).toBe(false)
  })

  test('[NT2] values do not share the memory of what was read, a Buffer included', () => {
    const bytes = Buffer.from(encodeStunMessage(full))
    const message = decoded(bytes)
    bytes.fill(0)
    expect(message).toEqual(full)
  })

  test('[NT2] what is written is read (property)', () => {
    const bytesOf = (size: number) => fc.uint8Array({ minLength: size, maxLength: size })
    const attribute = fc.record({
      type: fc.integer({ min: 0, max: 0xffff }).filter((type) => type !== stunAttributes.fingerprint),
      value: fc.uint8Array({ maxLength: 32 }),
    })
    const message: fc.Arbitrary<StunMessage> = fc.record({
      class: fc.constantFrom('request', 'indication', 'success', 'error'),
      method: fc.nat(0xfff),
      transaction: bytesOf(12),
      attributes: fc.array(attribute, { maxLength: 8 }),
      hasFingerprint: fc.boolean(),
    })
    fc.assert(
      fc.property(message, (one) => {
        expect(decoded(encodeStunMessage(one))).toEqual(one)
      }),
    )
  })

  test('[NT2] addresses of both families survive, XORed or not (property)', () => {
    const ipv4 = fc.ipV4().map((host): Endpoint => ({ host, port: 1 }))
    const ipv6 = fc.nat(0xfffe).map((group): Endpoint => ({ host: `2001:db8::${(group + 1).toString(16)}`, port: 1 }))
    const types = fc.constantFrom(stunAttributes.xorMappedAddress, stunAttributes.otherAddress)
    const endpoint = fc.oneof(ipv4, ipv6).filter(({ host }) => !/^(0|22[4-9]|2[3-5]\d)\./.test(host))
    fc.assert(
      fc.property(endpoint, fc.integer({ min: 1, max: 65_535 }), types, ({ host }, port, type) => {
        const message = { ...plain, attributes: [stunEndpointAttribute(type, { host, port }, transaction)] }
        expect(stunEndpoint(decoded(encodeStunMessage(message)), type)).toEqual({ host, port })
      }),
    )
  })

  test('[NT2] the first of two attributes counts', () => {
    const [a, b] = [Uint8Array.of(1), Uint8Array.of(2)]
    const attributes = [a, b].map((value) => ({ type: 0x8022, value }))
    expect(stunAttribute({ ...plain, attributes }, 0x8022)).toEqual(a)
  })
})
