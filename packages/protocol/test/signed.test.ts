import type { Crypto } from '@miaou/crypto'
import {
  signDeviceCertificate,
  signPrekeyBundle,
  signPseudonymCertificate,
  verifyCertificate,
  verifyDeviceList,
  verifyPrekeyBundle,
} from '@miaou/protocol'
import { describe, expect, test } from 'vitest'
import { createWireSamples, sampleTime } from '../../../testkit/src/fuzz/samples.ts'
import { backends } from './backends.ts'

// Order-8 point and identity of Ed25519, and the order-8 point of Curve25519 that RFC 7748 implementations refuse.
const smallOrderEd25519 = Buffer.from('26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05', 'hex')
const smallOrderX25519 = Buffer.from('e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800', 'hex')

/** Every byte of a structure altered in turn; noble is slow at curves, so it gets every seventh. */
function alterations(crypto: Crypto, bytes: Uint8Array): Uint8Array[] {
  const step = crypto.name === 'libsodium' ? 1 : 7
  return Array.from({ length: Math.ceil(bytes.length / step) }, (_, index) => {
    const altered = bytes.slice()
    altered[index * step] = (altered[index * step] ?? 0) ^ 0x10
    return altered
  })
}

describe.each(backends.map((crypto) => [crypto.name, crypto] as const))('signed structures with %s', (_, crypto) => {
  const samples = createWireSamples(crypto)
  const { account, device, secondDevice, pseudonym, linkKey, sessionKey } = samples
  const fields = { accountKey: account.publicKey, linkKey, sessionKey, createdAt: sampleTime }

  test('[I3] a device certificate gives back what was signed', () => {
    const certificate = { kind: 'device', deviceKey: device.publicKey, ...fields }
    expect(verifyCertificate(crypto, samples.deviceCertificate)).toEqual({ ok: true, value: certificate })
  })

  test('[I4] a pseudonym certificate shows neither account nor session key', () => {
    const certificate = { kind: 'pseudonym', deviceKey: pseudonym.publicKey, linkKey, createdAt: sampleTime }
    expect(verifyCertificate(crypto, samples.pseudonymCertificate)).toEqual({ ok: true, value: certificate })
    expect(Buffer.from(samples.pseudonymCertificate).includes(Buffer.from(account.publicKey))).toBe(false)
  })

  test('[I2] [I3] every altered byte of a certificate is refused', () => {
    for (const bytes of [samples.deviceCertificate, samples.pseudonymCertificate]) {
      for (const altered of alterations(crypto, bytes)) expect(verifyCertificate(crypto, altered).ok).toBe(false)
    }
  })

  test('[I3] one key, one use: equal keys and keys of small order are refused', () => {
    const sign = (changed: Partial<typeof fields>) =>
      verifyCertificate(crypto, signDeviceCertificate(crypto, device.secretKey, { ...fields, ...changed }))
    const refused = (key: string) => ({ ok: false, error: { type: 'inadmissible-key', key } })
    expect(sign({ sessionKey: linkKey })).toEqual(refused('session'))
    expect(sign({ accountKey: device.publicKey })).toEqual(refused('account'))
    expect(sign({ accountKey: new Uint8Array(smallOrderEd25519) })).toEqual(refused('account'))
    expect(sign({ linkKey: new Uint8Array(smallOrderX25519) })).toEqual(refused('link'))
    expect(sign({ linkKey: new Uint8Array(32) })).toEqual(refused('link'))
    expect(sign({ sessionKey: new Uint8Array(smallOrderX25519) })).toEqual(refused('session'))
    const weak = signPseudonymCertificate(crypto, pseudonym.secretKey, { linkKey: new Uint8Array(32), createdAt: 1 })
    expect(verifyCertificate(crypto, weak)).toEqual(refused('link'))
  })

  test('[I2] a certificate is not accepted as another structure, nor a bundle as a certificate', () => {
    const bundle = samples.prekeyBundles[0] as Uint8Array
    expect(verifyCertificate(crypto, bundle).ok).toBe(false)
    expect(verifyPrekeyBundle(crypto, samples.deviceCertificate, device.publicKey).ok).toBe(false)
    expect(verifyDeviceList(crypto, account.publicKey, [samples.deviceCertificate]).ok).toBe(false)
  })

  test('[P1] bundles give back what was signed', () => {
    for (const [index, bytes] of samples.prekeyBundles.entries()) {
      const bundle = { deviceKey: device.publicKey, ...samples.bundles[index] }
      expect(verifyPrekeyBundle(crypto, bytes, device.publicKey)).toEqual({ ok: true, value: bundle })
    }
  })

  test('[P2] [P3] every altered byte of a bundle is refused', () => {
    const bytes = samples.prekeyBundles[1] as Uint8Array
    const altered = alterations(crypto, bytes).filter((__, index) => index < 150 || index % 11 === 0)
    for (const each of altered) expect(verifyPrekeyBundle(crypto, each, device.publicKey).ok).toBe(false)
  })

  test('[P2] the bundle of another device is refused, however well signed', () => {
    const bytes = samples.prekeyBundles[0] as Uint8Array
    const error = { type: 'wrong-device' }
    expect(verifyPrekeyBundle(crypto, bytes, secondDevice.publicKey)).toEqual({ ok: false, error })
    const forged = bytes.slice()
    const [bundle] = samples.bundles
    if (bundle === undefined) throw new Error('no sample')
    forged.set(signPrekeyBundle(crypto, secondDevice.secretKey, bundle).slice(-64), bytes.length - 64)
    const invalid = { type: 'invalid-signature' }
    expect(verifyPrekeyBundle(crypto, forged, device.publicKey)).toEqual({ ok: false, error: invalid })
  })

  test('[I6] every altered byte of a device list is refused', () => {
    const entries = samples.deviceList.slice(0, 2)
    for (const [index, entry] of entries.entries()) {
      for (const altered of alterations(crypto, entry)) {
        expect(verifyDeviceList(crypto, account.publicKey, entries.with(index, altered)).ok).toBe(false)
      }
    }
  })
})
