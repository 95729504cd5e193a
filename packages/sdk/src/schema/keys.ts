import { z } from 'zod'
import type { Frozen } from './frozen.ts'
import { timeSchema } from './ids.ts'

/** `signing`: Ed25519. `agreement`: X25519. `aead`: 32 bytes for ChaCha20-Poly1305. */
export const keyKindSchema = z.enum(['signing', 'agreement', 'aead'])
export type KeyKind = Frozen<z.output<typeof keyKindSchema>>

export const keyIdSchema = z
  .string()
  .regex(/^[a-z0-9][a-z0-9._-]{0,63}$/)
  .describe('1 to 64 of a-z 0-9 . _ -')

/** Bytes as hexadecimal digits. */
export const hexSchema = z
  .string()
  .max(200_000)
  .regex(/^(?:[0-9a-fA-F]{2})*$/)
  .describe('Bytes in hexadecimal')

/** A key that a person made for their own use. */
export const keySchema = z
  .object({
    keyId: keyIdSchema,
    kind: keyKindSchema,
    publicKey: hexSchema.exactOptional().describe('32 bytes; absent for symmetric keys'),
    createdAt: timeSchema,
  })
  .meta({ id: 'Key' })
export type Key = Frozen<z.output<typeof keySchema>>
