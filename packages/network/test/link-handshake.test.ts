import { encodeFrame, frameTypes, signDeviceCertificate } from '@miaou/protocol'
import { describe, expect, test } from 'vitest'
import { Link, type LinkOutput } from '../src/link.ts'
import { crypto, testPseudonym } from './identities.ts'
import {
  alice,
  at,
  bob,
  carol,
  connectedPair,
  firstWrite,
  LinkPair,
  linkOptions,
  othersOf,
  writesOf,
} from './link-pair.ts'

const fingerprint = (fill: number) => new Uint8Array(32).fill(fill)

type Messages = readonly [Uint8Array, Uint8Array, Uint8Array]

const recorded = new Map<boolean, Messages>()

/** The three messages of one handshake, in order. */
function messages(padded = false): Messages {
  const known = recorded.get(padded) ?? record(padded)
  recorded.set(padded, known)
  return known
}

function record(padded: boolean): Messages {
  const a = new Link(linkOptions({ padded }), at(0))
  const b = new Link(linkOptions({ role: 'responder', padded }), at(0))
  const first = firstWrite(a.start(at(0)))
  const second = firstWrite(b.receive(at(0), 0, first))
  expect(a.receive(at(0), 0, second).map(({ type }) => type)).toEqual(['proven'])
  return [first, second, firstWrite(a.accept(at(0)))]
}

function errorOf(outputs: readonly LinkOutput[]): string | undefined {
  const [ended] = outputs
  return ended?.type === 'ended' ? ended.error?.type : undefined
}

/** Links of both roles at the point where they wait for message `index`. */
function waitingFor(index: number, changes: { padded?: boolean } = {}): Link {
  const [first] = messages(changes.padded)
  const a = new Link(linkOptions(changes), at(0))
  const b = new Link(linkOptions({ role: 'responder', ...changes }), at(0))
  if (index === 0) return b
  if (index === 1) {
    a.start(at(0))
    return a
  }
  b.receive(at(0), 0, first)
  return b
}

describe('the handshake of a link', () => {
  test('[L11] is three frames, 0x01, 0x02, 0x01, numbered, without a peer id in the clear', () => {
    const [first, second, third] = messages()
    expect([first[1], second[1], third[1]]).toEqual([0x01, 0x02, 0x01])
    expect([first[9], second[9], third[9]]).toEqual([0, 1, 2])
    for (const message of [first, second, third]) {
      expect(message.slice(10, 42)).toEqual(new Uint8Array(32))
      const text = Buffer.from(message).toString('hex')
      for (const { certificate } of [alice, bob]) expect(text).not.toContain(Buffer.from(certificate).toString('hex'))
    }
    expect(first.length).toBe(86 + 32)
  })

  test('[L12] proves both ends to each other and brings both up', () => {
    const pair = new LinkPair().connect()
    expect(pair.said.a.map(({ type }) => type)).toEqual(['proven', 'up'])
    expect(pair.said.b.map(({ type }) => type)).toEqual(['proven', 'up'])
    expect(pair.a.peer?.peerId).toBe(bob.peerId)
    expect(pair.b.peer?.peerId).toBe(alice.peerId)
    expect(pair.a.peer?.certificate.linkKey).toEqual(bob.linkKey.publicKey)
    expect(pair.a.latencyMs).toBe(0)
  })

  test('[L13] the initiator is up when the responder is first heard, not before', () => {
    const a = new Link(linkOptions(), at(0))
    const b = new Link(linkOptions({ role: 'responder' }), at(0))
    const second = firstWrite(b.receive(at(0), 0, firstWrite(a.start(at(0)))))
    a.receive(at(0), 0, second)
    const third = firstWrite(a.accept(at(0)))
    expect([a.isConfirming, a.isUp]).toEqual([true, false])
    b.receive(at(0), 0, third)
    const outputs = b.accept(at(0))
    expect(outputs.map(({ type }) => type)).toEqual(['up', 'write'])
    expect(a.receive(at(0), 0, firstWrite(outputs)).map(({ type }) => type)).toEqual(['up', 'write'])
  })

  test('[L14] features are those both offer', () => {
    const pair = connectedPair({ features: ['chat', 'files'] }, { features: ['groups', 'chat'] })
    expect(pair.a.peer?.features).toEqual(['chat'])
    expect(pair.b.peer?.features).toEqual(['chat'])
  })

  test('[L15] the expected peer is the only one admitted', () => {
    expect(connectedPair({ expected: bob.peerId }).a.isUp).toBe(true)
    const pair = new LinkPair({ expected: carol.peerId }).connect()
    expect(pair.said.a).toEqual([
      {
        type: 'ended',
        reason: 'protocol-error',
        error: { type: 'wrong-peer', expected: carol.peerId, actual: bob.peerId },
      },
    ])
    expect(pair.b.peer).toBe(undefined)
  })

  test('[L15] a certificate for another key is refused by either end', () => {
    const stolen = { ...carol, linkKey: alice.linkKey }
    const asInitiator = new LinkPair({ identity: stolen }).connect()
    expect(asInitiator.said.b).toEqual([
      {
        type: 'ended',
        reason: 'protocol-error',
        error: { type: 'bad-certificate', detail: 'it certifies another link key' },
      },
    ])
    expect(errorOf(new LinkPair({}, { identity: stolen }).connect().said.a)).toBe('bad-certificate')
  })

  test('[L15] a certificate of another peer id is refused', () => {
    const claimed = { ...carol, peerId: alice.peerId }
    expect(errorOf(new LinkPair({}, { identity: claimed }).connect().said.a)).toBe('bad-certificate')
  })

  test('[L15] a certificate that its key did not sign is refused', () => {
    const fields = { accountKey: carol.accountKey, sessionKey: carol.sessionKey, createdAt: 5 }
    const certificate = signDeviceCertificate(crypto, carol.deviceSecret, {
      ...fields,
      linkKey: carol.linkKey.publicKey,
    })
    certificate[certificate.length - 1] = (certificate.at(-1) ?? 0) ^ 1
    expect(errorOf(new LinkPair({}, { identity: { ...carol, certificate } }).connect().said.a)).toBe('bad-certificate')
  })

  test('[L15] our own id, reflected, is refused', () => {
    expect(errorOf(new LinkPair({}, { identity: alice }).connect().said.a)).toBe('self')
    const reflected = new Link(linkOptions(), at(0))
    expect(errorOf(reflected.receive(at(0), 0, firstWrite(reflected.start(at(0)))))).toBe('bad-handshake')
  })

  test('[L16] both DTLS fingerprints must agree crosswise', () => {
    const [local, remote] = [fingerprint(1), fingerprint(2)]
    const good = connectedPair({ binding: { local, remote } }, { binding: { local: remote, remote: local } })
    expect(good.a.isUp).toBe(true)
    for (const binding of [{ local: remote, remote: fingerprint(3) }, { local, remote }, undefined]) {
      const swapped = new LinkPair({ binding: { local, remote } }, { binding }).connect()
      expect(errorOf(swapped.said.a)).toBe('channel-binding-mismatch')
    }
    // The initiator sees nothing wrong here: the responder refuses.
    const [theirs, ours] = [fingerprint(4), fingerprint(5)]
    const oneSided = new LinkPair({ binding: undefined }, { binding: { local: theirs, remote: ours } }).connect()
    expect(errorOf(oneSided.said.a)).toBe('channel-binding-mismatch')
  })

  test('[L17] a link shows a pseudonym where it is told to, and admits one only where it is told to', () => {
    const pseudonym = testPseudonym(1)
    const admitted = connectedPair({ identity: pseudonym }, { pseudonymsAdmitted: true })
    expect(admitted.b.peer?.certificate.kind).toBe('pseudonym')
    expect(admitted.b.peer?.peerId).toBe(pseudonym.peerId)
    expect(errorOf(new LinkPair({ identity: pseudonym }).connect().said.b)).toBe('bad-certificate')
  })

  test('[L18] on a padded pipe the sizes tell a device from a pseudonym no more', () => {
    const sizes = (identity: typeof alice | ReturnType<typeof testPseudonym>) => {
      const a = new Link(linkOptions({ padded: true, identity, pseudonymsAdmitted: true }), at(0))
      const b = new Link(linkOptions({ role: 'responder', padded: true, pseudonymsAdmitted: true }), at(0))
      const first = firstWrite(a.start(at(0)))
      const second = firstWrite(b.receive(at(0), 0, first))
      a.receive(at(0), 0, second)
      return [first.length, second.length, firstWrite(a.accept(at(0))).length]
    }
    expect(sizes(alice)).toEqual([256, 1024, 1024])
    expect(sizes(testPseudonym(1))).toEqual([256, 1024, 1024])
  })

  test('[L18] padding of another size than ours is no reason to refuse, wherever it lies in memory', () => {
    const a = new Link(linkOptions({ padded: true }), at(0))
    const first = firstWrite(a.start(at(0)))
    for (let size = 118; size < 140; size++) {
      for (let offset = 0; offset < 4; offset++) {
        const bytes = new Uint8Array(offset + size).subarray(offset)
        bytes.set(first.subarray(0, size))
        const b = new Link(linkOptions({ role: 'responder', padded: true }), at(0))
        expect(b.receive(at(0), 0, bytes).map(({ type }) => type)).toEqual(['write'])
      }
    }
  })

  test('[L19] a handshake that does not finish in time ends', () => {
    for (const role of ['initiator', 'responder'] as const) {
      const link = new Link(linkOptions({ role }), at(5))
      link.start(at(5))
      expect(link.deadline()).toBe(10_005)
      expect(link.wake(at(10_004))).toEqual([])
      expect(link.wake(at(10_005))).toEqual([
        { type: 'ended', reason: 'handshake-timeout', error: { type: 'handshake-timeout', afterMs: 10_000 } },
      ])
      expect(link.deadline()).toBe(Number.POSITIVE_INFINITY)
      expect(link.receive(at(10_006), 0, new Uint8Array(10))).toEqual([])
    }
  })

  test('[L19] a refused peer hears the reason from the responder, and nothing from the initiator', () => {
    const [first, second, third] = messages()
    const b = new Link(linkOptions({ role: 'responder' }), at(0))
    b.receive(at(0), 0, first)
    b.receive(at(0), 0, third)
    expect(b.refuse(at(0), 'blocked').map(({ type }) => type)).toEqual(['write', 'ended'])
    const a = new Link(linkOptions(), at(0))
    a.start(at(0))
    a.receive(at(0), 0, second)
    expect(a.refuse(at(0), 'blocked')).toEqual([{ type: 'ended', reason: 'blocked' }])
  })
})

describe('hostile handshakes', () => {
  test.each([0, 1, 2])('[L11] message %i cut at any byte ends the link', (index) => {
    const message = messages()[index] ?? new Uint8Array(0)
    for (let size = 0; size < message.length; size++) {
      const outputs = waitingFor(index).receive(at(0), 0, message.subarray(0, size))
      expect(errorOf(outputs)).toBe('bad-handshake')
    }
  })

  test.each([0, 1, 2])('[L11] message %i with any byte changed ends the link, padding included', (index) => {
    for (const padded of [false, true]) {
      const message = messages(padded)[index] ?? new Uint8Array(0)
      const step = padded ? 7 : 1
      for (let offset = 0; offset < message.length; offset += step) {
        const mutated = message.slice()
        mutated[offset] = (mutated[offset] ?? 0) ^ 0x40
        const error = errorOf(waitingFor(index, { padded }).receive(at(0), 0, mutated))
        expect(error).toBe(offset === 0 ? 'unsupported-version' : 'bad-handshake')
      }
    }
  })

  test.each([1, 2])('[L12] Noise bytes changed under a right checksum end the link', (index) => {
    const message = messages()[index] ?? new Uint8Array(0)
    for (let offset = 54; offset < message.length - 32; offset += 5) {
      const payload = message.slice(54, -32)
      payload[offset - 54] = (payload[offset - 54] ?? 0) ^ 1
      const frame = encodeFrame(
        {
          type: index === 1 ? frameTypes.handshakeAck : frameTypes.handshake,
          sequence: index,
          peerId: new Uint8Array(32),
          timestamp: 0,
          payload,
        },
        (bytes) => crypto.blake3(bytes),
      )
      expect(errorOf(waitingFor(index).receive(at(0), 0, frame))).toBe('bad-handshake')
    }
  })

  test('[L12] the messages of one handshake, replayed into another, end it', () => {
    const [first, second, third] = messages()
    const responder = new Link(linkOptions({ role: 'responder' }), at(0))
    const other = new Link(
      linkOptions({ role: 'responder', random: { bytes: () => new Uint8Array(32).fill(9) } }),
      at(0),
    )
    for (const link of [responder, other]) link.receive(at(0), 0, first)
    expect(errorOf(other.receive(at(0), 0, third))).toBe('bad-handshake')
    const initiator = new Link(linkOptions({ random: { bytes: () => new Uint8Array(32).fill(8) } }), at(0))
    initiator.start(at(0))
    expect(errorOf(initiator.receive(at(0), 0, second))).toBe('bad-handshake')
  })

  test('[L11] a message out of turn, twice, or of another type ends the link', () => {
    const [first, second, third] = messages()
    expect(errorOf(waitingFor(0).receive(at(0), 0, second))).toBe('bad-handshake')
    expect(errorOf(waitingFor(0).receive(at(0), 0, third))).toBe('bad-handshake')
    expect(errorOf(waitingFor(1).receive(at(0), 0, first))).toBe('bad-handshake')
    expect(errorOf(waitingFor(2).receive(at(0), 0, first))).toBe('bad-handshake')
  })

  test('[L11] a first message that carries data, or names a peer in the clear, ends the link', () => {
    const [first] = messages()
    const blake3 = (bytes: Uint8Array) => crypto.blake3(bytes)
    const frame = (payload: Uint8Array, peerId: Uint8Array) =>
      encodeFrame({ type: frameTypes.handshake, sequence: 0, peerId, timestamp: 0, payload }, blake3)
    const key = first.slice(54, 86)
    const withData = frame(Uint8Array.of(...key, 1), new Uint8Array(32))
    const withName = frame(key, new Uint8Array(32).fill(1))
    const weak = frame(new Uint8Array(32), new Uint8Array(32))
    for (const bytes of [withData, withName, weak]) {
      expect(errorOf(waitingFor(0).receive(at(0), 0, bytes))).toBe('bad-handshake')
    }
  })

  test('[L11] an oversized first message is refused unread', () => {
    expect(errorOf(waitingFor(0).receive(at(0), 0, new Uint8Array(16_385)))).toBe('bad-handshake')
    expect(errorOf(waitingFor(0).receive(at(0), 0, new Uint8Array(65_537)))).toBe('bad-handshake')
  })

  test('[L11] the unordered channel before the end of the handshake is ignored', () => {
    const [first] = messages()
    const b = new Link(linkOptions({ role: 'responder' }), at(0))
    expect(b.receive(at(0), 1, first)).toEqual([])
    expect(writesOf(b.receive(at(0), 0, first)).length).toBe(1)
    expect(othersOf(b.receive(at(0), 1, new Uint8Array(100)))).toEqual([])
  })
})
