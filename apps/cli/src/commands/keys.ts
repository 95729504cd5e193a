import { bytesToHex, bytesToText, hexToBytes } from '@miaou/core'
import type { Key, KeyKind } from '@miaou/sdk'
import { MiaouError } from '@miaou/sdk/client'
import type { Context } from '../context.ts'
import { type ExitCode, exitCodes } from '../exit-code.ts'
import { withHome } from '../session.ts'
import { formatTable, formatWhen } from '../terminal/format.ts'
import { sanitise } from '../terminal/sanitise.ts'

export function generateKey(context: Context, kind: KeyKind, keyId: string | undefined): Promise<ExitCode> {
  return withHome(context, async ({ client }) => {
    const key = await client.keys.generate(kind, keyId)
    context.out.object(key)
    context.out.line(formatTable([keyRow(context, key)]))
    return exitCodes.ok
  })
}

export function listKeys(context: Context): Promise<ExitCode> {
  return withHome(context, async ({ client }) => {
    const keys = await client.keys.list()
    for (const key of keys) context.out.object(key)
    if (keys.length === 0) context.out.line(context.text('keys.none'))
    else context.out.line(formatTable(keys.map((key) => keyRow(context, key))))
    return exitCodes.ok
  })
}

function keyRow(context: Context, { keyId, kind, createdAt, publicKey }: Key): string[] {
  return [keyId, kind, formatWhen(context, createdAt), publicKey ?? '']
}

/** The public key, or with `secret` the secret bytes, in hexadecimal. */
export function exportKey(context: Context, keyId: string, isSecret: boolean): Promise<ExitCode> {
  return withHome(context, async ({ client }) => {
    const { out, text } = context
    if (isSecret) {
      const secret = bytesToHex(await client.keys.exportSecret(keyId))
      out.note(text('keys.secret-warning'))
      out.object({ keyId, secret })
      out.line(secret)
      return exitCodes.ok
    }
    const key = await findKey(client.keys.list(), keyId)
    if (key.publicKey === undefined) {
      throw new MiaouError('wrong-kind', { keyId, kind: key.kind, wanted: 'signing' })
    }
    out.object(key)
    out.line(key.publicKey)
    return exitCodes.ok
  })
}

async function findKey(keys: Promise<readonly Key[]>, keyId: string): Promise<Key> {
  const key = (await keys).find((known) => known.keyId === keyId)
  if (key === undefined) throw new MiaouError('unknown-key', { keyId })
  return key
}

export function sign(context: Context, keyId: string, message: string): Promise<ExitCode> {
  return withHome(context, async ({ client }) => {
    const signature = bytesToHex(await client.keys.sign(keyId, message))
    context.out.object({ keyId, signature })
    context.out.line(signature)
    return exitCodes.ok
  })
}

/** `key`: 64 hexadecimal digits, or the id of one of our keys. Ends 1 when the signature is not right. */
export function verify(context: Context, key: string, message: string, signature: string): Promise<ExitCode> {
  return withHome(context, async ({ client }) => {
    const publicKey = /^[0-9a-f]{64}$/i.test(key) ? key : (await findKey(client.keys.list(), key)).publicKey
    const isValid = await client.keys.verify(fromHex(publicKey ?? '', 'key'), message, fromHex(signature, 'signature'))
    context.out.object({ valid: isValid })
    context.out.line(context.text(isValid ? 'keys.valid' : 'keys.invalid'))
    return isValid ? exitCodes.ok : exitCodes.error
  })
}

export interface AeadInput {
  /** 64 hexadecimal digits, or a key id. */
  readonly key: string
  /** 24 hexadecimal digits. */
  readonly nonce: string
  /** Text that is bound but not hidden. */
  readonly aad: string
  readonly data: string
}

export function aeadEncrypt(context: Context, { key, nonce, aad, data }: AeadInput): Promise<ExitCode> {
  return withHome(context, async ({ client }) => {
    const ciphertext = bytesToHex(await client.keys.aeadEncrypt(key, fromHex(nonce, 'nonce'), aad, data))
    context.out.object({ ciphertext })
    context.out.line(ciphertext)
    return exitCodes.ok
  })
}

/** Prints text where the plaintext is one, else hexadecimal. */
export function aeadDecrypt(context: Context, { key, nonce, aad, data }: AeadInput): Promise<ExitCode> {
  return withHome(context, async ({ client }) => {
    const bytes = await client.keys.aeadDecrypt(key, fromHex(nonce, 'nonce'), aad, fromHex(data, 'data'))
    const text = bytesToText(bytes)
    context.out.object({ plaintext: bytesToHex(bytes), ...(text === undefined ? {} : { text }) })
    context.out.line(text === undefined ? bytesToHex(bytes) : sanitise(text))
    return exitCodes.ok
  })
}

function fromHex(digits: string, what: string): Uint8Array {
  const bytes = hexToBytes(digits)
  if (bytes === undefined) throw new MiaouError('bad-request', { detail: `${what}: hexadecimal digits wanted` })
  return bytes
}
