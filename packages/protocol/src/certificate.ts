import type { ByteReader, Result } from '@miaou/core'
import { assert, equalBytes, err, ok } from '@miaou/core'
import type { Crypto } from '@miaou/crypto'
import { decodeSigned, finishSigned, isSignedBy, type SignedStructure, signatureSize } from './signed.ts'
import { type DecodeError, startStructure } from './structure.ts'

/** Binds the two X25519 keys of a device to its Ed25519 key, and claims the account it belongs to (spec/identity I3). */
export interface DeviceCertificate {
  readonly kind: 'device'
  /** Ed25519: the peer id. */
  readonly deviceKey: Uint8Array
  /** Ed25519. A claim only: the account's device list says whether it is true. */
  readonly accountKey: Uint8Array
  /** X25519: the Noise static key. */
  readonly linkKey: Uint8Array
  /** X25519: the PQXDH identity. */
  readonly sessionKey: Uint8Array
  /** Wall-clock ms. */
  readonly createdAt: number
}

/** What a link shows to those who serve us: keys made for one service and purpose (spec/identity I4). */
export interface PseudonymCertificate {
  readonly kind: 'pseudonym'
  /** The pseudonym's Ed25519 key. */
  readonly deviceKey: Uint8Array
  readonly linkKey: Uint8Array
  readonly createdAt: number
}

/**
 * `inadmissible-key`: not canonical, of small order, or used for two purposes. `invalid-signature`: the device key did
 * not sign this.
 */
export type CertificateError =
  | DecodeError
  | { readonly type: 'inadmissible-key'; readonly key: 'device' | 'account' | 'link' | 'session' }
  | { readonly type: 'invalid-signature' }

const label = 'device-certificate'
/** Kind byte of a certificate. */
export const certificateKinds = { device: 1, pseudonym: 2 } as const
/** Most bytes of a certificate as other structures carry it; the largest of this version has 205. */
export const certificateSizeMax = 1024

// An X25519 key of small order gives the zero result with every scalar, since scalars are multiples of eight.
const probeScalar = new Uint8Array(32).fill(8)

/** The certificate of a device, signed by `deviceSecretKey` (the 32-byte Ed25519 seed). */
export function signDeviceCertificate(
  crypto: Crypto,
  deviceSecretKey: Uint8Array,
  fields: Omit<DeviceCertificate, 'kind' | 'deviceKey'>,
): Uint8Array {
  const { accountKey, linkKey, sessionKey, createdAt } = fields
  for (const key of [accountKey, linkKey, sessionKey]) assert(key.length === 32, 'a certified key has 32 bytes')
  const writer = startStructure()
    .u8(certificateKinds.device)
    .bytes(crypto.ed25519KeyPair(deviceSecretKey).publicKey)
    .bytes(accountKey)
    .bytes(linkKey)
    .bytes(sessionKey)
    .u64(createdAt)
  return finishSigned(crypto, label, writer, deviceSecretKey)
}

/** The certificate of a pseudonym, signed by its own Ed25519 key. */
export function signPseudonymCertificate(
  crypto: Crypto,
  secretKey: Uint8Array,
  fields: Omit<PseudonymCertificate, 'kind' | 'deviceKey'>,
): Uint8Array {
  assert(fields.linkKey.length === 32, 'a certified key has 32 bytes')
  const writer = startStructure()
    .u8(certificateKinds.pseudonym)
    .bytes(crypto.ed25519KeyPair(secretKey).publicKey)
    .bytes(fields.linkKey)
    .u64(fields.createdAt)
  return finishSigned(crypto, label, writer, secretKey)
}

/** Takes a certificate apart without checking keys or signature: to show it, or to test. */
export function decodeCertificate(
  bytes: Uint8Array,
): Result<SignedStructure<DeviceCertificate | PseudonymCertificate>, DecodeError> {
  return decodeSigned({ what: 'certificate', sizeMax: certificateSizeMax - signatureSize, read }, bytes)
}

/** The certificate in `bytes`, when the key it names signed it and every key in it is admissible. */
export function verifyCertificate(
  crypto: Crypto,
  bytes: Uint8Array,
): Result<DeviceCertificate | PseudonymCertificate, CertificateError> {
  const signed = decodeCertificate(bytes)
  if (!signed.ok) return signed
  const certificate = signed.value.value
  if (!isSignedBy(crypto, label, signed.value, certificate.deviceKey)) return err({ type: 'invalid-signature' })
  if (!crypto.ed25519IsAdmissible(certificate.deviceKey)) return err({ type: 'inadmissible-key', key: 'device' })
  if (!isAgreementKey(crypto, certificate.linkKey)) return err({ type: 'inadmissible-key', key: 'link' })
  if (certificate.kind === 'device') {
    const { deviceKey, accountKey, linkKey, sessionKey } = certificate
    if (!crypto.ed25519IsAdmissible(accountKey) || equalBytes(accountKey, deviceKey)) {
      return err({ type: 'inadmissible-key', key: 'account' })
    }
    if (!isAgreementKey(crypto, sessionKey) || equalBytes(sessionKey, linkKey)) {
      return err({ type: 'inadmissible-key', key: 'session' })
    }
  }
  return ok(certificate)
}

function isAgreementKey(crypto: Crypto, key: Uint8Array): boolean {
  return crypto.x25519(probeScalar, key) !== undefined
}

function read(reader: ByteReader): DeviceCertificate | PseudonymCertificate {
  const kind = reader.u8()
  if (kind === certificateKinds.pseudonym) {
    const [deviceKey, linkKey] = [reader.bytes(32), reader.bytes(32)]
    return { kind: 'pseudonym', deviceKey, linkKey, createdAt: reader.u64() }
  }
  if (kind !== certificateKinds.device) reader.fail()
  const [deviceKey, accountKey, linkKey, sessionKey] = [
    reader.bytes(32),
    reader.bytes(32),
    reader.bytes(32),
    reader.bytes(32),
  ]
  return { kind: 'device', deviceKey, accountKey, linkKey, sessionKey, createdAt: reader.u64() }
}
