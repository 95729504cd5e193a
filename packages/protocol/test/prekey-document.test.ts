import { bytesToHex, concatBytes } from '@miaou/core'
import {
  bundlePartSizeMax,
  bundlePartsMax,
  decodeBundleManifest,
  encodePrekeyDocument,
  joinBundle,
  kemPublicKeySize,
  openBundle,
  type PrekeyDocument,
  prekeyAnnouncementSizeMax,
  prekeyBundleSizeMax,
  recordKey,
  recordSizeMax,
  sealBundle,
  sealedBundleOverhead,
  sealedBundleSizeMax,
  sealedBundleStep,
  sealingKeySize,
  signPrekeyBundle,
  splitBundle,
  valueRecordOverhead,
  verifyPrekeyBundle,
} from '@miaou/protocol'
import { describe, expect, test } from 'vitest'
import { createMailboxSamples } from '../../../testkit/src/fuzz/mailbox-samples.ts'
import { SeededRandom } from '../../../testkit/src/seeded.ts'
import { backends, libsodium } from './backends.ts'

const { locatorKey, device, document, sealed } = createMailboxSamples(libsodium).documents
const random = new SeededRandom(1)
const key = (n: number) => new Uint8Array(32).fill(n)
const unsealable = { ok: false, error: { type: 'unsealable' } }

function seal(content: PrekeyDocument): Uint8Array {
  return sealBundle(libsodium, random, locatorKey, device.publicKey, encodePrekeyDocument(content))
}

const full: PrekeyDocument = {
  bundle: new Uint8Array(prekeyBundleSizeMax),
  certificate: new Uint8Array(1_024),
  announcement: new Uint8Array(prekeyAnnouncementSizeMax),
}

describe('sealed prekey documents', () => {
  test('[P7] who knows the locator key and the device opens it, with either backend', () => {
    for (const crypto of backends) {
      expect(openBundle(crypto, locatorKey, device.publicKey, sealed)).toEqual({ ok: true, value: document })
      expect(openBundle(crypto, key(1), device.publicKey, sealed)).toEqual(unsealable)
      expect(openBundle(crypto, locatorKey, key(1), sealed)).toEqual(unsealable)
    }
  })

  test('[P7] a changed bit anywhere is unsealable; another version is told apart', () => {
    for (let at = 2; at < sealed.length; at += 61) {
      const changed = sealed.with(at, (sealed[at] ?? 0) ^ 1)
      expect(openBundle(libsodium, locatorKey, device.publicKey, changed)).toEqual(unsealable)
    }
    expect(openBundle(libsodium, locatorKey, device.publicKey, sealed.with(0, 2))).toEqual({
      ok: false,
      error: { type: 'unsupported', version: 2, suite: 1 },
    })
  })

  test('[P7] sizes are multiples of 1,024: two documents of about one size look the same', () => {
    const small = { ...document, announcement: new Uint8Array(0) }
    const [one, other] = [seal(document), seal({ ...document, announcement: document.announcement.slice(0, -30) })]
    expect([one.length, other.length]).toEqual([sealed.length, sealed.length])
    expect(one).not.toEqual(seal(document))
    expect(seal(small).length % sealedBundleStep).toBe(0)
    const size = encodePrekeyDocument({ ...small, bundle: new Uint8Array(0), certificate: new Uint8Array(0) }).length
    const room = sealedBundleStep - sealedBundleOverhead - size
    const bundleOf = (length: number) =>
      seal({
        ...full,
        certificate: full.certificate.slice(0, length),
        bundle: key(0).slice(0, 0),
        announcement: key(0).slice(0, 0),
      })
    expect(bundleOf(room)).toHaveLength(sealedBundleStep)
    expect(bundleOf(room + 1)).toHaveLength(2 * sealedBundleStep)
  })

  test('[P7] whoever keeps one sees no key, no name, and not that two are of one device', () => {
    const [one, other] = [seal(document), seal(document)]
    const text = bytesToHex(one)
    for (const secret of [device.publicKey, locatorKey, document.bundle, document.certificate, document.announcement]) {
      for (let at = 0; at + 12 <= secret.length; at += 12) {
        expect(text).not.toContain(bytesToHex(secret.slice(at, at + 12)))
      }
    }
    for (let at = 2; at + 12 <= other.length; at += 12) {
      expect(text).not.toContain(bytesToHex(other.slice(at, at + 12)))
    }
  })

  test('[P7] the largest document fits; sizes that none has are refused unopened', () => {
    const largest = seal(full)
    expect(largest).toHaveLength(sealedBundleSizeMax)
    expect(openBundle(libsodium, locatorKey, device.publicKey, largest)).toEqual({ ok: true, value: full })
    for (const size of [0, 1, 1_023, 1_025, sealedBundleSizeMax + sealedBundleStep]) {
      expect(openBundle(libsodium, locatorKey, device.publicKey, new Uint8Array(size))).toEqual(unsealable)
    }
  })

  test('[P6] parts beyond their bounds are our bugs', () => {
    for (const name of ['bundle', 'certificate', 'announcement'] as const) {
      expect(() => encodePrekeyDocument({ ...full, [name]: new Uint8Array(full[name].length + 1) })).toThrow()
    }
    expect(() => sealBundle(libsodium, random, locatorKey, device.publicKey, new Uint8Array(14_293))).toThrow()
    expect(() => sealBundle(libsodium, random, new Uint8Array(31), device.publicKey, new Uint8Array(1))).toThrow()
  })

  test('[P7] what is sealed and is no document is malformed', () => {
    const inside = (bytes: Uint8Array) =>
      openBundle(
        libsodium,
        locatorKey,
        device.publicKey,
        sealBundle(libsodium, random, locatorKey, device.publicKey, bytes),
      )
    expect(inside(Uint8Array.of(1, 1, 0))).toEqual({ ok: false, error: { type: 'malformed', what: 'prekey document' } })
    expect(inside(Uint8Array.of(7, 1, 0))).toEqual({ ok: false, error: { type: 'unsupported', version: 7, suite: 1 } })
    expect(inside(new Uint8Array(14_000))).toEqual({
      ok: false,
      error: { type: 'malformed', what: 'prekey document' },
    })
  })
})

describe('sealed documents in the overlay', () => {
  const whole = seal(full)
  const { parts, manifest, bundleKey } = splitBundle(libsodium, whole)

  test('[P8] parts and manifest are values of the overlay, each below its 1,000 bytes, under their own hashes', () => {
    expect(parts).toHaveLength(bundlePartsMax)
    for (const value of [...parts, manifest]) {
      expect(value.length).toBeLessThanOrEqual(bundlePartSizeMax)
      expect(value.length + valueRecordOverhead).toBeLessThanOrEqual(recordSizeMax)
    }
    expect(bundleKey).toEqual(recordKey(libsodium, { type: 'value', value: manifest }))
    const decoded = decodeBundleManifest(manifest)
    expect(decoded).toEqual({
      ok: true,
      value: { size: whole.length, partKeys: parts.map((value) => recordKey(libsodium, { type: 'value', value })) },
    })
    expect(decoded.ok && joinBundle(libsodium, decoded.value, parts)).toEqual(whole)
  })

  test('[P8] parts that are lost, swapped, doubled, changed or too many give nothing', () => {
    const decoded = decodeBundleManifest(manifest)
    if (!decoded.ok) throw new Error('our own manifest')
    const [first = key(0), second = key(0), ...rest] = parts
    const wrong = [
      [],
      parts.slice(1),
      [second, first, ...rest],
      [first, first, ...rest],
      [first.with(3, 9), second, ...rest],
      [...parts, first],
    ]
    for (const some of wrong) expect(joinBundle(libsodium, decoded.value, some)).toBeUndefined()
    expect(joinBundle(libsodium, { ...decoded.value, size: whole.length - 1 }, parts)).toBeUndefined()
    // A manifest of a liar, whose part is larger than a part may be.
    const large = new Uint8Array(901)
    expect(joinBundle(libsodium, { size: 901, partKeys: [libsodium.sha256(large)] }, [large])).toBeUndefined()
  })

  test('[P8] manifests: sizes and counts that do not go together, and what is cut, are malformed', () => {
    const malformed = { ok: false, error: { type: 'malformed', what: 'bundle manifest' } }
    for (let size = 0; size < manifest.length; size++)
      expect(decodeBundleManifest(manifest.slice(0, size))).toEqual(malformed)
    expect(decodeBundleManifest(concatBytes(manifest, Uint8Array.of(0)))).toEqual(malformed)
    expect(decodeBundleManifest(new Uint8Array(bundlePartSizeMax + 1))).toEqual(malformed)
    const headed = (size: number, count: number) =>
      decodeBundleManifest(concatBytes(Uint8Array.of(1, 1, size >> 8, size & 0xff, count), new Uint8Array(32 * count)))
        .ok
    expect([headed(1, 1), headed(900, 1), headed(901, 2), headed(sealedBundleSizeMax, 16)]).toEqual([
      true,
      true,
      true,
      true,
    ])
    expect([headed(0, 0), headed(0, 1), headed(900, 2), headed(901, 1), headed(sealedBundleSizeMax + 1, 16)]).toEqual(
      Array.from({ length: 5 }, () => false),
    )
    expect(decodeBundleManifest(manifest.with(0, 2))).toEqual({
      ok: false,
      error: { type: 'unsupported', version: 2, suite: 1 },
    })
  })
})

describe('the sealing key of a bundle', () => {
  const fields = {
    sessionKey: key(1),
    signedPrekey: { id: 1, publicKey: key(2) },
    kemPrekey: { id: 2, publicKey: new Uint8Array(kemPublicKeySize), oneTime: true },
    createdAt: 5,
  }
  const sealingKey = new Uint8Array(sealingKeySize)

  test('[P5] has its number in extension 1; older bundles have none', () => {
    const open = (more: object) =>
      verifyPrekeyBundle(
        libsodium,
        signPrekeyBundle(libsodium, device.secretKey, { ...fields, ...more }),
        device.publicKey,
      )
    expect(open({ sealingKey, sealingKeyId: 0xffff_ffff })).toMatchObject({ value: { sealingKeyId: 0xffff_ffff } })
    const without = open({ sealingKey })
    expect(without.ok && 'sealingKeyId' in without.value).toBe(false)
    expect(() => open({ sealingKeyId: 1 })).toThrow()
    expect(() => open({ sealingKey: key(1), sealingKeyId: 1 })).toThrow()
  })
})
