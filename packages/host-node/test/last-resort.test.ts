import { bytesToHex, err, ok } from '@miaou/core'
import { createLibsodiumCrypto } from '@miaou/crypto'
import { decodeRecord, splitBundle } from '@miaou/protocol'
import { describe, expect, test } from 'vitest'
import { LastResort } from '../src/records/last-resort.ts'

const crypto = await createLibsodiumCrypto()
const hour = 3_600_000

/** A sealed bundle of 5,120 bytes: six parts. */
function bundle(n: number): Uint8Array {
  return Uint8Array.from({ length: 5_120 }, (_, at) => (at * 7 + (at >> 8) + n) & 0xff)
}

/** An overlay that keeps values by their hash, and forgets or refuses what a test wants. */
function world() {
  const values = new Map<string, Uint8Array>()
  const stored: string[] = []
  const keys: Uint8Array[] = []
  const state = { mono: 0, isReady: true, refuses: (_key: string): boolean => false, onPut: (): void => undefined }
  const lastResort = new LastResort({
    crypto,
    clock: { now: () => ({ mono: state.mono, wall: 1_700_000_000_000 }) },
    jitter: { next: () => 0.5 },
    isReady: () => state.isReady,
    putRecord: async (bytes) => {
      const decoded = decodeRecord(bytes)
      if (!decoded.ok || decoded.value.type !== 'value') throw new Error('a value is stored')
      const key = bytesToHex(crypto.sha256(decoded.value.value))
      state.onPut()
      if (state.refuses(key)) return err({ type: 'nobody-stored' })
      values.set(key, decoded.value.value)
      stored.push(key)
      return ok(undefined)
    },
    get: async (key) => {
      const value = values.get(bytesToHex(key))
      return value === undefined ? err({ type: 'not-found' }) : ok({ record: { type: 'value', value } })
    },
    onKey: (key) => keys.push(key),
  })
  /** What is due, done to its end. */
  const care = async (ms = 0): Promise<void> => {
    state.mono += ms
    lastResort.care()
    for (let turn = 0; turn < 100; turn++) await Promise.resolve()
  }
  return { lastResort, state, values, stored, keys, care }
}

function keysOf(bytes: Uint8Array) {
  const { parts, manifest, bundleKey } = splitBundle(crypto, bytes)
  return {
    parts: parts.map((part) => bytesToHex(crypto.sha256(part))),
    manifest: bytesToHex(bundleKey),
    bundleKey,
    raw: manifest,
  }
}

describe('the last-resort bundle in the overlay', () => {
  test('[P8] its parts are stored, the manifest last, then contacts are told; and anew each hour', async () => {
    const at = world()
    const { parts, manifest, bundleKey } = keysOf(bundle(1))
    at.lastResort.publish(bundle(1))
    await at.care()
    expect(at.stored).toEqual([...parts, manifest])
    expect(at.keys).toEqual([bundleKey])
    expect(await at.lastResort.find(bundleKey)).toEqual(bundle(1))
    await at.care(hour - 1)
    expect(at.stored).toHaveLength(7)
    await at.care(1)
    expect(at.stored).toHaveLength(14)
  })

  test('[P8] without an overlay it waits', async () => {
    const at = world()
    at.state.isReady = false
    at.lastResort.publish(bundle(1))
    await at.care()
    expect(at.stored).toEqual([])
    expect(await at.lastResort.find(keysOf(bundle(1)).bundleKey)).toBeUndefined()
    at.state.isReady = true
    await at.care()
    expect(at.stored).toHaveLength(7)
  })

  test('[P8] no manifest names parts that nobody has: it is tried again, ever more seldom', async () => {
    const at = world()
    const { parts, manifest } = keysOf(bundle(1))
    at.state.refuses = (key) => key === parts[2]
    at.lastResort.publish(bundle(1))
    await at.care()
    expect(at.values.has(manifest)).toBe(false)
    expect(at.values.size).toBe(5)
    expect(at.keys).toEqual([])
    const tries = at.stored.length
    await at.care(29_999)
    expect(at.stored).toHaveLength(tries)
    await at.care(1)
    expect(at.stored).toHaveLength(2 * tries)
    await at.care(30_000)
    expect(at.stored).toHaveLength(2 * tries)
    at.state.refuses = () => false
    await at.care(30_000)
    expect(at.values.has(manifest)).toBe(true)
    expect(at.keys).toHaveLength(1)
  })

  test('[P8] a newer one that comes while an older one is stored is stored next, and told alone', async () => {
    const at = world()
    at.state.onPut = () => {
      at.state.onPut = () => undefined
      at.lastResort.publish(bundle(2))
    }
    at.lastResort.publish(bundle(1))
    await at.care()
    expect(at.keys).toEqual([])
    await at.care()
    expect(at.keys).toEqual([keysOf(bundle(2)).bundleKey])
    expect(await at.lastResort.find(keysOf(bundle(2)).bundleKey)).toEqual(bundle(2))
  })

  test('[P8] with a part missing or another one in its place there is no bundle', async () => {
    const at = world()
    const { parts, manifest, bundleKey, raw } = keysOf(bundle(1))
    at.lastResort.publish(bundle(1))
    await at.care()
    const [first = '', second = ''] = parts
    const part = at.values.get(first) ?? new Uint8Array(0)
    at.values.delete(first)
    expect(await at.lastResort.find(bundleKey)).toBeUndefined()
    at.values.set(first, at.values.get(second) ?? part)
    expect(await at.lastResort.find(bundleKey)).toBeUndefined()
    at.values.set(first, part)
    expect(await at.lastResort.find(bundleKey)).toEqual(bundle(1))
    at.values.set(manifest, raw.slice(0, -1))
    expect(await at.lastResort.find(bundleKey)).toBeUndefined()
    at.values.delete(manifest)
    expect(await at.lastResort.find(bundleKey)).toBeUndefined()
  })
})
