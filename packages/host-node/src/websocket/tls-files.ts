import { readFileSync } from 'node:fs'
import { createSecureContext, type SecureContext } from 'node:tls'
import { err, ok, type Result } from '@miaou/core'

/** PEM: the certificate with those that lead to its authority, and its private key. */
export interface TlsPair {
  readonly cert: string
  readonly key: string
}

/** Reads the pair anew at each call; the error is a sentence for people. */
export type TlsReader = () => Result<TlsPair, string>

/** Reads both from files, as certbot and its like renew them in place. */
export function tlsFromFiles(certPath: string, keyPath: string): TlsReader {
  return () => {
    const cert = readText(certPath, 'TLS certificate')
    if (!cert.ok) return cert
    const key = readText(keyPath, 'TLS key')
    return key.ok ? ok({ cert: cert.value, key: key.value }) : key
  }
}

/** What a TLS socket is made from, or why these files cannot be used: no PEM, another's key, a key under a passphrase. */
export function toSecureContext({ cert, key }: TlsPair): Result<SecureContext, string> {
  if (!cert.includes('-----BEGIN CERTIFICATE-----')) {
    return err('the TLS certificate is not in PEM form (it has no "BEGIN CERTIFICATE")')
  }
  if (!/-----BEGIN ([A-Z]+ )*PRIVATE KEY-----/.test(key)) {
    return err('the TLS key is not in PEM form (it has no "BEGIN PRIVATE KEY")')
  }
  try {
    return ok(createSecureContext({ cert, key, minVersion: 'TLSv1.2' }))
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error)
    if (/mismatch/i.test(detail)) return err('the TLS key is not that of the certificate')
    if (/passphrase|password|interrupted or cancelled|bad decrypt/i.test(detail)) {
      return err('the TLS key has a passphrase; give one without')
    }
    return err(`certificate and key cannot be used for TLS: ${detail}`)
  }
}

function readText(path: string, what: string): Result<string, string> {
  try {
    return ok(readFileSync(path, 'utf8'))
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : String(error)
    if (code === 'ENOENT') return err(`the ${what} ${path} does not exist`)
    if (code === 'EACCES') return err(`the ${what} ${path} may not be read by this user`)
    return err(`the ${what} ${path} cannot be read: ${code}`)
  }
}
