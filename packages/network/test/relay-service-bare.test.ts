import { ChannelCipher, deriveChannelKey } from '@miaou/crypto'
import { frameTypes } from '@miaou/protocol'
import { describe, expect, test } from 'vitest'
import { channelNames, SealedChannel } from '../src/sealed-channel.ts'
import { crypto } from './identities.ts'

const [localKey, remoteKey] = [new Uint8Array(32).fill(1), new Uint8Array(32).fill(2)]
const shared = { crypto, channel: 0, protocolVersion: 2, padded: true, replayWindow: 16 } as const

function sealer(): SealedChannel {
  const keys = { send: new Uint8Array(32).fill(3), receive: new Uint8Array(32).fill(4) }
  return new SealedChannel({ ...shared, keys, role: 'initiator', localKey, remoteKey })
}

function opener(): SealedChannel {
  const keys = { send: new Uint8Array(32).fill(4), receive: new Uint8Array(32).fill(3) }
  return new SealedChannel({ ...shared, keys, role: 'responder', localKey: remoteKey, remoteKey: localKey })
}

describe('bare circuit data', () => {
  test('[L29] [L21] it opens as it was sealed, in the buckets of all messages, between frames', () => {
    const [seal, open] = [sealer(), opener()]
    const sizes: [number, number][] = [
      [1, 256],
      [227, 256],
      [228, 1_024],
      [16_274, 16_384],
      [16_355, 16_384],
    ]
    for (const [size, bucket] of sizes) {
      const payload = new Uint8Array(size).fill(size)
      const message = seal.seal(frameTypes.circuitData, payload, 5)
      expect(message.length).toBe(bucket)
      expect(open.open(message)).toMatchObject({ frame: { type: frameTypes.circuitData, payload, peerId: localKey } })
      const frame = seal.seal(frameTypes.gossip, payload, 5)
      expect(open.open(frame)).toMatchObject({ frame: { type: frameTypes.gossip, payload } })
    }
  })

  test('[L29] [L25] altered, repeated and reordered messages do not open', () => {
    const [seal, open] = [sealer(), opener()]
    const [first, second] = [1, 2].map((fill) => seal.seal(frameTypes.circuitData, new Uint8Array(300).fill(fill), 0))
    const undecryptable = { error: { type: 'undecryptable', channel: 0 } }
    expect(open.open(second as Uint8Array)).toEqual(undecryptable)
    const altered = Uint8Array.from(first as Uint8Array)
    altered[20] = (altered[20] as number) ^ 1
    expect(open.open(altered)).toEqual(undecryptable)
    expect(open.open(first as Uint8Array)).toHaveProperty('frame')
    expect(open.open(first as Uint8Array)).toEqual(undecryptable)
    expect(open.open(second as Uint8Array)).toHaveProperty('frame')
  })

  test('[L29] a size beyond the message, and one that is cut off, is a bad frame', () => {
    const key = deriveChannelKey(crypto, new Uint8Array(32).fill(3), channelNames[0], 'initiator-to-responder')
    for (const plaintext of [
      Uint8Array.of(0x61),
      Uint8Array.of(0x61, 0, 0, 0),
      Uint8Array.of(0x61, 0, 0, 0, 2, 9),
      Uint8Array.of(0x61, 255, 255, 255, 255, 9),
    ]) {
      const sealed = new ChannelCipher({ crypto, key }).seal(0, Uint8Array.of(2, 0), plaintext, 8)
      expect(opener().open(sealed)).toEqual({ error: { type: 'bad-frame', detail: 'incomplete bare message' } })
    }
  })
})
