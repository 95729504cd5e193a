import { z } from 'zod'

/** A device: base58 text of its Ed25519 key, as libp2p writes it. */
export const peerIdSchema = z
  .string()
  .regex(/^12D3KooW[1-9A-HJ-NP-Za-km-z]{44}$/)
  .describe('A device: 12D3KooW…')

/** A person: the account's Ed25519 key, in the text form of did:key. */
export const accountIdSchema = z
  .string()
  .regex(/^z6Mk[1-9A-HJ-NP-Za-km-z]{44}$/)
  .describe('A person: z6Mk…')

/** A message: 32 hexadecimal digits. */
export const messageIdSchema = z
  .string()
  .regex(/^[0-9a-f]{32}$/)
  .describe('A message: 32 hexadecimal digits')

/** Milliseconds since the Unix epoch. */
export const timeSchema = z.number().describe('Milliseconds since the Unix epoch')

/** Who is meant: an account id, a peer id of theirs, or their name as `contacts.list` shows it (letter case is free). */
export const whoSchema = z.string().min(1).max(256).describe('A contact: account id, peer id or name')
