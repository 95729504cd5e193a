import type { MiaouError } from '@miaou/sdk'
import type { Io } from '../io.ts'

/**
 * Where a mistake of ours happened, on stderr, with MIAOU_DEBUG alone: whoever looks into it needs the place, nobody else
 * needs to see it.
 */
export function showCause(io: Io, error: MiaouError): void {
  if (error.code !== 'internal' || !io.env['MIAOU_DEBUG']) return
  const { cause } = error
  io.stderr.write(`${(cause instanceof Error ? cause.stack : undefined) ?? String(cause)}\n`)
}
