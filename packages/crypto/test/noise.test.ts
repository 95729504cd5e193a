import { concatBytes, textToBytes } from '@miaou/core'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { NoiseHandshake, type NoiseOptions, type NoisePatternName } from '../src/index.ts'
import { backends, libsodium as crypto } from './backends.ts'

const prologue = textToBytes('prologue')
const initiatorStatic = crypto.x25519KeyPair(new Uint8Array(32).fill(1))
const responderStatic = crypto.x25519KeyPair(new Uint8Array(32).fill(2))
const patterns: NoisePatternName[] = ['XX', 'IK', 'XK', 'NK']
const messageCount = { XX: 3, IK: 2, XK: 3, NK: 2 }
const weakKeys = [new Uint8Array(32), Uint8Array.from({ length: 32 }, (_, index) => (index === 0 ? 1 : 0))]

function startInitiator(pattern: NoisePatternName, changes: Partial<NoiseOptions> = {}, remote?: Uint8Array) {
  const options: NoiseOptions = {
    crypto,
    pattern,
    role: 'initiator',
    prologue,
    ephemeralSecret: new Uint8Array(32).fill(3),
    ...(pattern === 'NK' ? {} : { staticKey: initiatorStatic }),
    ...changes,
  }
  if (pattern === 'XX') return NoiseHandshake.start(options)
  const handshake = NoiseHandshake.startTo(options, remote ?? responderStatic.publicKey)
  if (!handshake.ok) throw new Error('weak remote key')
  return handshake.value
}

function startResponder(pattern: NoisePatternName, changes: Partial<NoiseOptions> = {}) {
  const ephemeralSecret = new Uint8Array(32).fill(4)
  return NoiseHandshake.start({
    crypto,
    pattern,
    role: 'responder',
    prologue,
    ephemeralSecret,
    staticKey: responderStatic,
    ...changes,
  })
}

/** Runs message by message; `alter` sees each message and gives what the reader gets. Stops at the first refusal. */
function run(a: NoiseHandshake, b: NoiseHandshake, alter = (message: Uint8Array, _index: number) => message) {
  for (let index = 0; !(a.finished && b.finished); index++) {
    const [writer, reader] = index % 2 === 0 ? [a, b] : [b, a]
    const result = reader.readMessage(alter(writer.writeMessage(textToBytes(`payload ${index}`)), index))
    if (!result.ok) return { index, reader, error: result.error }
    expect(result.value).toEqual(textToBytes(`payload ${index}`))
  }
  return undefined
}

describe('[A09] Noise handshake', () => {
  test.each(patterns)('%s: both sides end with the same hash, crossed keys and the other known', (pattern) => {
    const [a, b] = [startInitiator(pattern), startResponder(pattern)]
    expect([a.isOurTurn, b.isOurTurn]).toEqual([true, false])
    expect(run(a, b)).toBeUndefined()
    expect(a.handshakeHash).toEqual(b.handshakeHash)
    expect(a.remoteStatic).toEqual(responderStatic.publicKey)
    expect(b.remoteStatic).toEqual(pattern === 'NK' ? undefined : initiatorStatic.publicKey)
    const [ours, theirs] = [a.split(), b.split()]
    expect(ours).toEqual({ send: theirs.receive, receive: theirs.send })
    expect(ours.send).not.toEqual(ours.receive)
    expect(() => a.split()).toThrow()
    expect([a.isOurTurn, b.isOurTurn]).toEqual([false, false])
  })

  test('[A02] fresh ephemeral keys give fresh session keys, and the array of the caller is left alone', () => {
    const ephemeralSecret = new Uint8Array(32).fill(9)
    const sessions = [new Uint8Array(32).fill(8), ephemeralSecret].map((secret) => {
      const [a, b] = [startInitiator('XX', { ephemeralSecret: secret }), startResponder('XX')]
      run(a, b)
      return a.split()
    })
    expect(sessions[0]?.send).not.toEqual(sessions[1]?.send)
    expect(ephemeralSecret).toEqual(new Uint8Array(32).fill(9))
  })

  test('any payloads cross, between the two backends', () => {
    const payload = fc.uint8Array({ maxLength: 500 })
    fc.assert(
      fc.property(fc.constantFrom(...patterns), payload, payload, payload, (pattern, ...payloads) => {
        const [product, oracle] = backends
        const a = startInitiator(pattern, { crypto: product as typeof crypto })
        const b = startResponder(pattern, { crypto: oracle as typeof crypto })
        for (let index = 0; index < messageCount[pattern]; index++) {
          const [writer, reader] = index % 2 === 0 ? [a, b] : [b, a]
          const value = payloads[index] ?? new Uint8Array(0)
          expect(reader.readMessage(writer.writeMessage(value))).toEqual({ ok: true, value })
        }
        expect(a.handshakeHash).toEqual(b.handshakeHash)
      }),
      { numRuns: 15 },
    )
  })

  test.each(patterns)(
    '[A23] %s: a bit flipped in any byte and any truncation is refused, at the latest one message on',
    (pattern) => {
      const lengths: number[] = []
      run(startInitiator(pattern), startResponder(pattern), (message) => {
        lengths.push(message.length)
        return message
      })
      lengths.forEach((length, target) => {
        for (let at = 0; at < length; at++) {
          const changes = [
            (message: Uint8Array) => message.slice(0, at),
            (message: Uint8Array) => message.map((byte, index) => (index === at ? byte ^ (1 << (at % 8)) : byte)),
          ]
          for (const change of changes) {
            const [a, b] = [startInitiator(pattern), startResponder(pattern)]
            const outcome = runUntilRefused(a, b, target, change)
            expect(outcome?.index, `${target} ${at}`).toBeLessThanOrEqual(target + 1)
            expect(outcome?.reader.finished).toBe(false)
            expect(outcome?.reader.readMessage(new Uint8Array(100))).toEqual({ ok: false, error: { type: 'dead' } })
          }
        }
      })
    },
  )

  test('another prologue, or another responder than the one called, is refused', () => {
    const other = { prologue: textToBytes('prologue 2') }
    expect(run(startInitiator('XX'), startResponder('XX', other))).toMatchObject({
      index: 1,
      error: { type: 'unauthentic' },
    })
    const stranger = startResponder('IK', { staticKey: initiatorStatic })
    expect(run(startInitiator('IK'), stranger)).toMatchObject({ index: 0, error: { type: 'unauthentic' } })
    expect(stranger.remoteStatic).toBeUndefined()
  })

  test('keys of small order are refused wherever a peer shows them', () => {
    for (const weak of weakKeys) {
      const responder = startResponder('XX')
      expect(responder.readMessage(weak)).toEqual({ ok: false, error: { type: 'weak-key' } })
      expect(responder.isOurTurn).toBe(false)
      const [a, b] = [startInitiator('XX'), startResponder('XX')]
      const outcome = run(a, b, (message, index) => (index === 1 ? concatBytes(weak, message.subarray(32)) : message))
      expect(outcome).toMatchObject({ index: 1, error: { type: 'weak-key' } })
      const options: NoiseOptions = {
        crypto,
        pattern: 'IK',
        role: 'initiator',
        prologue,
        ephemeralSecret: new Uint8Array(32).fill(3),
        staticKey: initiatorStatic,
      }
      expect(NoiseHandshake.startTo(options, weak)).toEqual({ ok: false, error: { type: 'weak-key' } })
      // Where the first message already agrees with the ephemeral key, that agreement shows it.
      for (const name of ['IK', 'XK', 'NK'] as const) {
        const first = startInitiator(name).writeMessage(new Uint8Array(0))
        expect(startResponder(name).readMessage(concatBytes(weak, first.subarray(32)))).toEqual({
          ok: false,
          error: { type: 'weak-key' },
        })
      }
      // A peer that seals a weak static key properly: only the agreement shows it.
      const weakStatic = { publicKey: weak, secretKey: initiatorStatic.secretKey }
      expect(run(startInitiator('XX', { staticKey: weakStatic }), startResponder('XX'))).toMatchObject({
        index: 2,
        error: { type: 'weak-key' },
      })
    }
  })

  test('a static key shown without the secret behind it is refused', () => {
    const stolen = { publicKey: initiatorStatic.publicKey, secretKey: new Uint8Array(32).fill(99) }
    for (const [pattern, index] of [
      ['XX', 2],
      ['IK', 0],
    ] as const) {
      const responder = startResponder(pattern)
      const outcome = run(startInitiator(pattern, { staticKey: stolen }), responder)
      expect(outcome).toMatchObject({ index, error: { type: 'unauthentic' } })
      expect(responder.remoteStatic).toBeUndefined()
    }
  })

  test('messages out of turn, too long, or after the end are refused', () => {
    expect(startInitiator('XX').readMessage(new Uint8Array(32))).toMatchObject({ error: { type: 'out-of-turn' } })
    const tooLong = startResponder('XX')
    expect(tooLong.readMessage(new Uint8Array(65_536))).toMatchObject({ error: { type: 'too-long', size: 65_536 } })
    const [a, b] = [startInitiator('XX'), startResponder('XX')]
    run(a, b)
    expect(b.readMessage(new Uint8Array(64))).toMatchObject({ error: { type: 'out-of-turn' } })
    expect(b.finished).toBe(true)
    expect(b.split().send).toHaveLength(32)
  })

  test('the longest message is 65,535 bytes', () => {
    const a = startInitiator('XX')
    expect(a.writeMessage(new Uint8Array(65_503))).toHaveLength(65_535)
    expect(() => startInitiator('XX').writeMessage(new Uint8Array(65_504))).toThrow('65,535')
  })

  test('misuse of our own asserts', () => {
    expect(() => startResponder('XX').writeMessage(new Uint8Array(0))).toThrow('in turn')
    expect(() => startInitiator('XX').split()).toThrow()
    expect(() => startInitiator('XX').handshakeHash).toThrow()
    expect(() => startResponder('IK').remoteStatic).not.toThrow()
    expect(() => startInitiator('NK', { staticKey: initiatorStatic })).toThrow('static key')
  })
})

function runUntilRefused(
  a: NoiseHandshake,
  b: NoiseHandshake,
  target: number,
  change: (message: Uint8Array) => Uint8Array,
) {
  let index = 0
  for (; !(a.finished && b.finished); index++) {
    const [writer, reader] = index % 2 === 0 ? [a, b] : [b, a]
    const message = writer.writeMessage(textToBytes(`payload ${index}`))
    const result = reader.readMessage(index === target ? change(message) : message)
    if (!result.ok) return { index, reader }
  }
  return undefined
}
