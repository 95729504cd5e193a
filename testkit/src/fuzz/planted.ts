import { bytesToText, textToBytes } from '@miaou/core'
import { type Crypto, verifyLabelled } from '@miaou/crypto'
import {
  type Content,
  decodeCertificate,
  decodeContent,
  decodeKeepAlive,
  encodeContent,
  encodeKeepAlive,
  type KeepAlive,
} from '@miaou/protocol'
import type { EngineFault } from './engine-parts.ts'
import { mailboxServiceTarget } from './mailbox-service-target.ts'
import { mailboxesTarget } from './mailboxes-target.ts'
import { overlayNodeTarget } from './overlay-node-target.ts'
import { circuitsTarget, relayServiceTarget } from './relay-engine-targets.ts'
import { createWireSamples } from './samples.ts'
import { defineTarget, type FuzzTarget, type Outcome } from './target.ts'

/** Decoders with a bug in each: the fuzzer must find every one of them, or it is worth nothing. */
export function plantedTargets(crypto: Crypto): readonly FuzzTarget[] {
  const { contents, deviceCertificate } = createWireSamples(crypto)
  const content = { seeds: contents.map(encodeContent), encode: encodeContent, sizeMax: 61_500, weight: 1 }
  const keepAlive = {
    seeds: [encodeKeepAlive({ kind: 'ping', nonce: 5 }), encodeKeepAlive({ kind: 'pong', nonce: 6 })],
    encode: encodeKeepAlive,
    sizeMax: 100,
    weight: 1,
  }
  return [
    { ...overlayNodeTarget(throwingOnForgery(crypto)), name: 'planted: a node that a forged record ends' },
    {
      ...relayServiceTarget(crypto, fallsFor('closed-flow-control')),
      name: 'planted: a relay that a full window ends',
      // A window fills only after many chunks in a row.
      weight: 1,
    },
    { ...circuitsTarget(crypto, fallsFor('flow-control')), name: 'planted: a client that too much credit ends' },
    {
      ...mailboxServiceTarget(crypto, fallsFor('tokens-spent')),
      name: 'planted: a mailbox that a token used again ends',
      // A token must be given, used, and used again.
      weight: 1,
    },
    { ...mailboxesTarget(crypto, fallsFor('late-acknowledgements')), name: 'planted: a client that a late word ends' },
    defineTarget<KeepAlive>({
      ...keepAlive,
      name: 'planted: throws on truncated bytes',
      decode: (bytes) => {
        new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(1)
        return decodeKeepAlive(bytes)
      },
    }),
    defineTarget<KeepAlive>({
      ...keepAlive,
      name: 'planted: reads an unsigned integer as a signed one',
      decode: (bytes) => {
        const decoded = decodeKeepAlive(bytes)
        return decoded.ok ? { ok: true, value: { ...decoded.value, nonce: decoded.value.nonce | 0 } } : decoded
      },
      encode: (value) => encodeKeepAlive({ ...value, nonce: Math.abs(value.nonce) }),
    }),
    defineTarget<Content>({
      ...content,
      name: 'planted: allocates what a length field asks for',
      decode: (bytes) => {
        // The size of the body, behind version, suite, id, time and tag.
        const size = (bytes[27] ?? 0) * 256 + (bytes[28] ?? 0)
        const room = Array.from({ length: 8 }, () => new Uint8Array(size))
        return room.length === 8 ? decodeContent(bytes) : { ok: false, error: { type: 'malformed' } }
      },
    }),
    defineTarget<Content>({
      ...content,
      name: 'planted: forgets that a receipt covers at least one message',
      decode: (bytes) => {
        const decoded = decodeContent(bytes)
        const [tag, count] = [bytes[26], (bytes[31] ?? 0) * 256 + (bytes[32] ?? 0)]
        if (decoded.ok || tag !== 2 || count !== 0 || bytes[0] !== 1 || bytes[1] !== 1) return decoded
        const body = { type: 'receipt', status: 'read', messageIds: [] }
        return { ok: true, value: { messageId: bytes.slice(2, 18), sentAt: 0, body } }
      },
    }),
    {
      name: 'planted: does not look at the last byte of what was signed',
      seeds: [deviceCertificate],
      decode: (bytes): Outcome => {
        const decoded = decodeCertificate(bytes)
        if (!decoded.ok) return decoded
        const { body, signature, value } = decoded.value
        const original = deviceCertificate.slice(0, body.length)
        original.set(body.subarray(0, -10))
        const isValid = verifyLabelled(crypto, 'device-certificate', original, signature, value.deviceKey)
        return isValid ? { ok: true, value } : { ok: false, error: { type: 'invalid-signature' } }
      },
      isSealed: true,
      sizeMax: 1100,
      weight: 1,
    },
    {
      name: 'planted: writes into its input',
      seeds: [textToBytes('{"type":"bye"}')],
      decode: (bytes): Outcome => {
        const text = bytesToText(bytes)
        if (bytes[0] === 0x5b) bytes.fill(0)
        return text === undefined ? { ok: false, error: { type: 'malformed' } } : { ok: true, value: text }
      },
      sizeMax: 100,
      weight: 1,
      isText: true,
    },
  ]
}

/** A backend that throws where a signature is wrong. */
function throwingOnForgery(crypto: Crypto): Crypto {
  return new Proxy(crypto, {
    get: (target, name: keyof Crypto) => {
      const value = target[name]
      if (typeof value !== 'function') return value
      const method = (value as (...input: unknown[]) => unknown).bind(target)
      if (name !== 'ed25519Verify') return method
      return (...input: unknown[]) => {
        if (method(...input) !== true) throw new Error('planted')
        return true
      }
    },
  })
}

/** An engine that falls over what it should only count. */
function fallsFor(name: string): EngineFault {
  return (counters) => {
    if ((counters[name] ?? 0) > 0) throw new Error('planted')
  }
}
