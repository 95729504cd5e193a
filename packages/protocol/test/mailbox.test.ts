import { concatBytes } from '@miaou/core'
import { sealedMessageSizeMax } from '@miaou/crypto'
import {
  boxIdOf,
  decodeMailboxMessage,
  decodeStartMark,
  deliveryTokenWindow,
  depositToken,
  encodeMailboxMessage,
  encodeStartMark,
  formatBoxAddress,
  formatMailboxAddress,
  framePayloadSizeMax,
  inviteDepositSecret,
  type MailboxMessage,
  mailboxAckBytes,
  mailboxAckIdsMax,
  mailboxBundlesPerMessage,
  mailboxCheckTokensMax,
  mailboxIdOf,
  mailboxMessageKinds,
  mailboxMessageSizeMax,
  mailboxTokensPerMessage,
  parseBoxAddress,
  parseMailboxAddress,
  sealedBundleSizeMax,
  signedStartMarkSize,
  signMailboxAck,
  signStartMark,
  tailSizeMax,
  tokenHash,
  verifyMailboxAck,
  verifyStartMark,
} from '@miaou/protocol'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createMailboxSamples } from '../../../testkit/src/fuzz/mailbox-samples.ts'
import { sampleBox } from '../../../testkit/src/fuzz/record-samples.ts'
import { backends, libsodium } from './backends.ts'

const { owner, box, messages, acknowledgement, tokens } = createMailboxSamples(libsodium)
const malformed = { ok: false, error: { type: 'malformed', what: 'mailbox message' } }
const sha256 = (bytes: Uint8Array) => libsodium.sha256(bytes)
const bytes16 = (n: number) => new Uint8Array(16).fill(n)
const request = 1

/** The largest of each kind that has something to grow. */
const largest: readonly MailboxMessage[] = [
  { type: 'tokens', request, reset: true, hashes: Array.from({ length: mailboxTokensPerMessage }, () => bytes16(1)) },
  {
    type: 'bundles',
    request,
    reset: true,
    oneTime: Array.from({ length: mailboxBundlesPerMessage }, () => new Uint8Array(sealedBundleSizeMax)),
    lastResort: new Uint8Array(sealedBundleSizeMax),
  },
  { type: 'envelope', id: 1, acceptedAt: 1, tokenHash: bytes16(1), bytes: new Uint8Array(sealedMessageSizeMax) },
  {
    type: 'acknowledge',
    ids: Array.from({ length: mailboxAckIdsMax }, (_, id) => id),
    signature: new Uint8Array(64),
  },
  { type: 'deposit', request, box, token: bytes16(2), bytes: new Uint8Array(sealedMessageSizeMax) },
  { type: 'check', request, box, tokens: Array.from({ length: mailboxCheckTokensMax }, () => bytes16(3)) },
  { type: 'statuses', request, statuses: Array.from({ length: mailboxCheckTokensMax }, () => 'held') },
  { type: 'bundle', request, bytes: new Uint8Array(sealedBundleSizeMax) },
]

describe('messages of mailboxes', () => {
  test('[MB2] every kind comes back as it was', () => {
    for (const message of messages) {
      expect(decodeMailboxMessage(encodeMailboxMessage(message))).toEqual({ ok: true, value: message })
    }
    expect(new Set(messages.map(({ type }) => type)).size).toBe(Object.keys(mailboxMessageKinds).length)
  })

  test('[MB2] cut anywhere it is refused; a tail of 64 bytes is a later version, 65 are not', () => {
    for (const message of messages) {
      const whole = encodeMailboxMessage(message)
      for (let size = 0; size < whole.length; size++) expect(decodeMailboxMessage(whole.slice(0, size)).ok).toBe(false)
      const withTail = (size: number) => decodeMailboxMessage(concatBytes(whole, new Uint8Array(size)))
      expect(withTail(tailSizeMax)).toEqual({ ok: true, value: message })
      expect(withTail(tailSizeMax + 1)).toEqual(malformed)
    }
  })

  test('[MB2] any bytes: refused, or accepted as something that is encoded again', () => {
    const mutated = fc.tuple(fc.constantFrom(...messages), fc.nat(), fc.nat(255)).map(([message, at, value]) => {
      const changed = encodeMailboxMessage(message)
      changed[at % changed.length] = value
      return changed
    })
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 300 }), mutated), (input) => {
        const decoded = decodeMailboxMessage(input)
        if (decoded.ok) expect(decodeMailboxMessage(encodeMailboxMessage(decoded.value))).toEqual(decoded)
      }),
      { numRuns: 3_000 },
    )
  })

  test('[MB2] every message fits one frame: the largest is a deposit, with its tail 65,384 bytes', () => {
    const sizes = largest.map((message) => {
      const encoded = encodeMailboxMessage(message)
      expect(decodeMailboxMessage(encoded)).toEqual({ ok: true, value: message })
      return encoded.length + tailSizeMax
    })
    expect(Math.max(...sizes)).toBe(mailboxMessageSizeMax)
    expect(mailboxMessageSizeMax).toBeLessThanOrEqual(framePayloadSizeMax)
    const deposit = encodeMailboxMessage(largest[4] as MailboxMessage)
    expect(decodeMailboxMessage(concatBytes(deposit, new Uint8Array(tailSizeMax))).ok).toBe(true)
    expect(decodeMailboxMessage(concatBytes(deposit, new Uint8Array(tailSizeMax + 1)))).toEqual(malformed)
  })

  test.each([
    ['tokens', { hashes: Array.from({ length: mailboxTokensPerMessage + 1 }, () => bytes16(1)) }],
    ['tokens', { hashes: [new Uint8Array(15)] }],
    ['bundles', { oneTime: Array.from({ length: mailboxBundlesPerMessage + 1 }, () => bytes16(1)) }],
    ['bundles', { lastResort: new Uint8Array(sealedBundleSizeMax + 1) }],
    ['bundles', { oneTime: [new Uint8Array(0)] }],
    ['envelope', { bytes: new Uint8Array(sealedMessageSizeMax + 1) }],
    ['envelope', { tokenHash: new Uint8Array(17) }],
    ['acknowledge', { ids: Array.from({ length: mailboxAckIdsMax + 1 }, (_, id) => id) }],
    ['acknowledge', { ids: [] }],
    ['acknowledge', { signature: new Uint8Array(63) }],
    ['deposit', { bytes: new Uint8Array(sealedMessageSizeMax + 1) }],
    ['deposit', { token: new Uint8Array(15) }],
    ['deposit', { box: new Uint8Array(17) }],
    ['check', { tokens: Array.from({ length: mailboxCheckTokensMax + 1 }, () => bytes16(1)) }],
    ['check', { tokens: [] }],
    ['statuses', { statuses: Array.from({ length: mailboxCheckTokensMax + 1 }, () => 'held') }],
    ['bundle', { bytes: new Uint8Array(sealedBundleSizeMax + 1) }],
  ] as const)('[MB2] our own %s beyond its bounds is our bug', (type, more) => {
    const sample = largest.find((message) => message.type === type) as MailboxMessage
    expect(() => encodeMailboxMessage({ ...sample, ...more } as MailboxMessage)).toThrow()
  })

  /** Writes a count over the one that stands there. */
  const counted = (index: number, at: number, values: readonly number[], more = 0) => {
    const encoded = concatBytes(encodeMailboxMessage(largest[index] as MailboxMessage), new Uint8Array(more))
    encoded.set(values, at)
    return decodeMailboxMessage(encoded)
  }

  test("[MB2] a stranger's counts beyond the bounds, and empty ones, are refused", () => {
    expect(counted(0, 6, [0x08, 0x01], 16)).toEqual(malformed)
    expect(counted(1, 6, [4])).toEqual(malformed)
    expect(counted(3, 1, [0x02, 0x01], 8)).toEqual(malformed)
    expect(counted(3, 1, [0, 0])).toEqual(malformed)
    expect(counted(5, 21, [65], 16)).toEqual(malformed)
    expect(counted(5, 21, [0])).toEqual(malformed)
    expect(counted(6, 5, [65], 1)).toEqual(malformed)
    expect(counted(6, 5, [0])).toEqual(malformed)
    // Sizes: of a sealed message, of a sealed document.
    expect(counted(4, 38, [0xff, 0x01])).toEqual(malformed)
    expect(counted(4, 38, [0, 0])).toEqual(malformed)
    expect(counted(7, 6, [0x38, 0x01], 1)).toEqual(malformed)
    expect(counted(7, 6, [0, 0])).toEqual(malformed)
  })

  test('[MB2] flags and kinds that nobody knows are refused; reasons and states of a later version are not', () => {
    for (const kind of [0, 16, 255]) expect(decodeMailboxMessage(Uint8Array.of(kind, 0, 0, 0, 1))).toEqual(malformed)
    for (const [index, at] of [
      [0, 5],
      [1, 5],
      [2, 17],
      [4, 21],
      [7, 5],
    ] as const) {
      expect(counted(index, at, [0x80])).toEqual(malformed)
    }
    const done = encodeMailboxMessage(messages.find(({ type }) => type === 'done') as MailboxMessage)
    // Only `registered` says that a start was seen before.
    expect(decodeMailboxMessage(done.with(5, 3))).toEqual(malformed)
    const refused = encodeMailboxMessage({ type: 'refused', request, reason: 'full' })
    expect(decodeMailboxMessage(refused.with(5, 200))).toMatchObject({ value: { reason: 'busy' } })
    const statuses = encodeMailboxMessage({ type: 'statuses', request, statuses: ['held', 'taken'] })
    expect(decodeMailboxMessage(statuses.with(7, 200))).toMatchObject({ value: { statuses: ['held', 'unknown'] } })
  })

  test('[MB9] an acknowledgement is worth something for its box, its envelopes and its pseudonym only', () => {
    const { ids, signature } = acknowledgement
    for (const crypto of backends) {
      expect(verifyMailboxAck(crypto, owner.publicKey, box, acknowledgement)).toBe(true)
      expect(verifyMailboxAck(crypto, owner.publicKey, bytes16(1), acknowledgement)).toBe(false)
      expect(verifyMailboxAck(crypto, owner.publicKey, box, { ids: [...ids, 3], signature })).toBe(false)
      expect(verifyMailboxAck(crypto, owner.publicKey, box, { ids: ids.toReversed(), signature })).toBe(false)
      const other = crypto.ed25519KeyPair(new Uint8Array(32).fill(9))
      expect(verifyMailboxAck(crypto, other.publicKey, box, acknowledgement)).toBe(false)
      expect(signMailboxAck(crypto, owner.secretKey, box, ids)).toEqual(signature)
    }
    expect(mailboxAckBytes(box, [1, 2])).toEqual(
      concatBytes(box, Uint8Array.of(0, 2, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2)),
    )
    // The signature is made for this purpose: the bare bytes are not what is signed.
    expect(libsodium.ed25519Verify(signature, mailboxAckBytes(box, ids), owner.publicKey)).toBe(false)
  })
})

describe('starts of a device', () => {
  const device = libsodium.ed25519KeyPair(new Uint8Array(32).fill(5))
  const mark = signStartMark(libsodium, device.secretKey, { counter: 7, nonce: bytes16(1) })

  test('[MB4] a mark is signed by its device, counter and nonce both', () => {
    expect(encodeStartMark(mark)).toHaveLength(signedStartMarkSize)
    expect(decodeStartMark(encodeStartMark(mark))).toEqual(mark)
    for (const crypto of backends) {
      expect(verifyStartMark(crypto, mark, device.publicKey)).toBe(true)
      expect(verifyStartMark(crypto, { ...mark, counter: 8 }, device.publicKey)).toBe(false)
      expect(verifyStartMark(crypto, { ...mark, nonce: bytes16(2) }, device.publicKey)).toBe(false)
      expect(verifyStartMark(crypto, mark, owner.publicKey)).toBe(false)
    }
  })

  test('[MB4] start 0, a byte more or less, and a counter of 2^53 are no marks', () => {
    const encoded = encodeStartMark(mark)
    expect(decodeStartMark(encoded.with(7, 0))).toBeUndefined()
    expect(decodeStartMark(encoded.with(0, 0x20))).toBeUndefined()
    expect(decodeStartMark(encoded.slice(1))).toBeUndefined()
    expect(decodeStartMark(concatBytes(encoded, Uint8Array.of(0)))).toBeUndefined()
    expect(() => signStartMark(libsodium, device.secretKey, { counter: 0, nonce: bytes16(1) })).toThrow()
    const register = encodeMailboxMessage({ type: 'register', request, start: mark })
    expect(decodeMailboxMessage(register.with(12, 0))).toEqual(malformed)
  })
})

describe('delivery tokens', () => {
  test('[MB20] differ by secret, box and number; both backends agree', () => {
    const all = new Set<string>()
    const others = [tokens.secret, tokens.inviteSecret]
    for (const secret of others) {
      for (const at of [box, bytes16(1)]) {
        for (let number = 0; number < deliveryTokenWindow; number++) {
          const [token, again] = backends.map((crypto) => depositToken(crypto, secret, at, number))
          expect(token).toEqual(again)
          expect(token).toHaveLength(16)
          all.add(String(token))
        }
      }
    }
    expect(all.size).toBe(4 * deliveryTokenWindow)
  })

  test('[MB20] the hash of a token is not the token, nor a plain hash of it', () => {
    const [first] = tokens.tokens
    const token = first?.token ?? new Uint8Array(0)
    expect(first?.hash).toEqual(tokenHash(libsodium, token))
    expect(first?.hash).not.toEqual(sha256(token).slice(0, 16))
    expect(tokens.inviteSecret).toEqual(inviteDepositSecret(libsodium, tokens.inviteToken))
  })

  test('[MB20] wrong sizes are our bugs', () => {
    expect(() => depositToken(libsodium, new Uint8Array(31), box, 0)).toThrow()
    expect(() => depositToken(libsodium, tokens.secret, new Uint8Array(15), 0)).toThrow()
    expect(() => tokenHash(libsodium, new Uint8Array(32))).toThrow()
    expect(() => inviteDepositSecret(libsodium, new Uint8Array(32))).toThrow()
  })
})

describe('addresses of mailboxes and boxes', () => {
  test('[MB1] come back from their text; ids of keys differ by purpose', () => {
    const address = sampleBox(libsodium, 1, 'wss://mail.example.org')
    expect(parseBoxAddress(formatBoxAddress(address))).toEqual(address)
    expect(parseMailboxAddress(formatMailboxAddress(address.mailbox))).toEqual(address.mailbox)
    expect(mailboxIdOf(owner.publicKey, sha256)).not.toEqual(boxIdOf(owner.publicKey, sha256))
    expect(boxIdOf(owner.publicKey, sha256)).toEqual(box)
  })

  test('[MB1] other texts are none', () => {
    const whole = formatBoxAddress(sampleBox(libsodium, 1, 'wss://mail.example.org'))
    const texts = [
      '',
      whole.slice(1),
      whole.replace('.', ':'),
      whole.replace('wss:', 'http:'),
      `${whole}/`,
      whole.replace('@', ''),
      `${whole.slice(0, 21)}=${whole.slice(22)}`,
      `${whole}/${'x'.repeat(128)}`,
    ]
    for (const text of texts) expect(parseBoxAddress(text), text).toBeUndefined()
    expect(parseMailboxAddress(whole)).toBeUndefined()
  })
})
