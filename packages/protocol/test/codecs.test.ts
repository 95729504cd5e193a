import { sealedContentSizeMax } from '@miaou/crypto'
import {
  announcementSizeMax,
  certificateSizeMax,
  contentSizeMax,
  deviceListEntrySizeMax,
  envelopeSizeMax,
  extensionsSizeMax,
  handshakeMessageSizeMax,
  prekeyBundleSizeMax,
  signalSizeMax,
} from '@miaou/protocol'
import { describe, expect, test } from 'vitest'
import { protocolTargets } from '../../../testkit/src/fuzz/protocol-targets.ts'
import type { FuzzTarget } from '../../../testkit/src/fuzz/target.ts'
import { isEqual } from '../../../testkit/src/fuzz/value.ts'
import { libsodium } from './backends.ts'

const targets = protocolTargets(libsodium)
const byName = new Map(targets.map((target) => [target.name, target]))
const get = (name: string): FuzzTarget => {
  const target = byName.get(name)
  if (target === undefined) throw new Error(`no codec ${name}`)
  return target
}

/** Structures of M1 to M3, and where their extensions block begins when it is empty: distance from the end. */
const structures = [
  { name: 'handshake-message', end: 0, sizeMax: handshakeMessageSizeMax },
  { name: 'peer-announcement', end: 0, sizeMax: announcementSizeMax },
  { name: 'envelope', end: 0, sizeMax: envelopeSizeMax },
  { name: 'content', end: 0, sizeMax: contentSizeMax },
  { name: 'sealed-content', end: 0, sizeMax: sealedContentSizeMax },
  { name: 'prekey-document', end: 0, sizeMax: 13_322 },
  { name: 'certificate', end: 64, sizeMax: certificateSizeMax },
  { name: 'prekey-bundle', end: 64, sizeMax: prekeyBundleSizeMax },
  { name: 'device-list-entry', end: 64, sizeMax: deviceListEntrySizeMax },
]

/** Puts one extension into a structure whose extensions block is empty. */
function withExtension(bytes: Uint8Array, end: number, tag: number, size = 3): Uint8Array {
  const at = bytes.length - end - 2
  const block = new Uint8Array(2 + 4 + size)
  new DataView(block.buffer).setUint16(0, 4 + size)
  new DataView(block.buffer).setUint16(2, tag)
  new DataView(block.buffer).setUint16(4, size)
  return Uint8Array.from([...bytes.subarray(0, at), ...block, ...bytes.subarray(at + 2)])
}

const decodedValue = (target: FuzzTarget, bytes: Uint8Array): unknown => {
  const outcome = target.decode(bytes)
  if (!outcome.ok) throw new Error(`${target.name} is refused: ${outcome.error.type}`)
  // A signed structure also holds its body and signature, which differ.
  return Reflect.get(Object(outcome.value), 'value') ?? outcome.value
}

describe('codecs', () => {
  for (const { name, seeds, decode, encode, comparable } of targets) {
    if (encode === undefined) continue
    test(`${name}: round trip of every sample`, () => {
      const part = comparable ?? ((value: unknown) => value)
      for (const seed of seeds) {
        const first = decode(seed)
        if (!first.ok) throw new Error(`refused: ${first.error.type}`)
        const again = decode(encode(first.value))
        expect(again.ok && isEqual(part(again.value), part(first.value))).toBe(true)
      }
    })
  }

  const exact = [...structures.map(({ name }) => name), 'keep-alive', 'disconnect', 'status', 'typing', 'peer-query']
  test.each([...exact, 'signal', 'invite-payload'])('[M4] %s: truncation at every byte is refused', (name) => {
    const { seeds, decode } = get(name)
    for (const seed of seeds) {
      for (let size = 0; size < seed.length; size++) expect(decode(seed.slice(0, size)).ok).toBe(false)
    }
  })

  test.each(structures)('[M4] $name: nothing stands behind the last field', ({ name, end }) => {
    const { seeds, decode } = get(name)
    for (const seed of seeds) {
      const at = seed.length - end
      expect(decode(Uint8Array.from([...seed.subarray(0, at), 0, ...seed.subarray(at)])).ok).toBe(false)
    }
  })

  test.each(structures)('[M4] $name: more than $sizeMax bytes are refused', ({ name, sizeMax }) => {
    const { seeds, decode } = get(name)
    const large = new Uint8Array(sizeMax + 1)
    large.set((seeds[0] ?? large).subarray(0, large.length))
    expect(decode(large)).toMatchObject({ ok: false, error: { type: 'malformed' } })
  })

  test.each(structures)('[M1] $name: another version or suite is told from damage', ({ name }) => {
    const { seeds, decode } = get(name)
    for (const [version, suite] of [
      [2, 1],
      [1, 2],
      [0, 0],
    ] as const) {
      const altered = (seeds[0] as Uint8Array).slice()
      altered.set([version, suite])
      expect(decode(altered)).toEqual({ ok: false, error: { type: 'unsupported', version, suite } })
    }
  })

  test.each(structures)('[M3] $name: an unknown extension is skipped, a critical one refused', ({ name, end }) => {
    const target = get(name)
    const seed = target.seeds[0] as Uint8Array
    expect(decodedValue(target, withExtension(seed, end, 0x7fff))).toEqual(decodedValue(target, seed))
    const error = { type: 'critical-extension', tag: 0x8000 }
    expect(target.decode(withExtension(seed, end, 0x8000))).toEqual({ ok: false, error })
  })

  test.each(structures)('[M2] $name: tags ascend, and the block ends where it says', ({ name, end }) => {
    const { seeds, decode } = get(name)
    const seed = seeds[0] as Uint8Array
    const at = seed.length - end - 2
    const blocks = [
      [0, 8, 0, 2, 0, 0, 0, 1, 0, 0],
      [0, 8, 0, 1, 0, 0, 0, 1, 0, 0],
      [0, 3, 0, 1, 0],
      [0, 4, 0, 1, 0, 1],
      [0, 5, 0, 1, 0, 0, 0],
    ]
    for (const block of blocks) {
      const bytes = Uint8Array.from([...seed.subarray(0, at), ...block, ...seed.subarray(at + 2)])
      expect(decode(bytes)).toMatchObject({ ok: false, error: { type: 'malformed' } })
    }
  })

  test('[M2] an extensions block has at most 4,096 bytes', () => {
    const { seeds, decode } = get('content')
    const seed = seeds[0] as Uint8Array
    expect(decode(withExtension(seed, 0, 0x7fff, extensionsSizeMax - 4)).ok).toBe(true)
    expect(decode(withExtension(seed, 0, 0x7fff, extensionsSizeMax - 3)).ok).toBe(false)
  })

  test.each(['keep-alive', 'disconnect', 'status', 'typing', 'peer-query'])(
    '[M6] %s: a tail of 64 bytes is skipped, 65 are refused',
    (name) => {
      const target = get(name)
      const seed = target.seeds[0] as Uint8Array
      expect(decodedValue(target, Uint8Array.from([...seed, ...new Uint8Array(64)]))).toEqual(
        decodedValue(target, seed),
      )
      expect(target.decode(Uint8Array.from([...seed, ...new Uint8Array(65)])).ok).toBe(false)
    },
  )

  test('[S1] more bytes than a signalling document may have are refused', () => {
    expect(get('signal').decode(new Uint8Array(signalSizeMax + 1).fill(0x20)).ok).toBe(false)
  })
})
