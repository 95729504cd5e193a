import { readFileSync } from 'node:fs'
import { userInfo } from 'node:os'
import { textToBytes } from '@miaou/core'
import { MiaouError } from '@miaou/sdk/client'
import type { Context } from './context.ts'
import { ask } from './terminal/prompt.ts'

/** How often a wrong passphrase may be typed again. */
export const attemptsMax = 3

/** A passphrase given without a terminal: `--passphrase-file`, else MIAOU_PASSPHRASE; never on the command line. */
function givenPassphrase({ io, options }: Context): string | undefined {
  if (options.passphraseFile !== undefined) {
    try {
      // Editors end a file with a line break that is not part of the passphrase.
      return readFileSync(options.passphraseFile, 'utf8').replace(/\r?\n$/, '')
    } catch (cause) {
      const detail = cause instanceof Error ? cause.message : options.passphraseFile
      throw new MiaouError('bad-request', { detail }, { cause })
    }
  }
  return io.env['MIAOU_PASSPHRASE'] || undefined
}

export function hasTerminal({ io, out }: Context): boolean {
  return io.stdin.isTTY === true && io.stderr.isTTY === true && !out.isJson
}

/** The passphrase of an existing home. `isAsked`: a person typed it, and may try again. */
export async function openingPassphrase(context: Context): Promise<{ bytes: Uint8Array; isAsked: boolean }> {
  const given = givenPassphrase(context)
  if (given !== undefined) return { bytes: toBytes(given), isAsked: false }
  if (!hasTerminal(context)) throw new MiaouError('passphrase-needed')
  const typed = await ask(context.io, `${context.text('passphrase.ask')} `, true)
  if (typed === undefined) throw new MiaouError('passphrase-needed')
  return { bytes: toBytes(typed), isAsked: true }
}

/** The passphrase of a home to be made; undefined for none. Asks twice on a terminal. */
export async function newPassphrase(context: Context): Promise<Uint8Array | undefined> {
  const { io, text, out, options } = context
  if (options.passphrase === false) {
    out.note(text('passphrase.none-warning'))
    return undefined
  }
  const given = givenPassphrase(context)
  if (given !== undefined) return toBytes(given)
  if (!hasTerminal(context)) throw new MiaouError('passphrase-needed')
  out.note(text('passphrase.explain'))
  for (;;) {
    const first = await ask(io, `${text('passphrase.new')} `, true)
    if (first === undefined) throw new MiaouError('passphrase-needed')
    if (first === '') {
      out.note(text('passphrase.empty'))
      continue
    }
    if ((await ask(io, `${text('passphrase.again')} `, true)) === first) return toBytes(first)
    out.note(text('passphrase.differ'))
  }
}

/** The name others see: `--name`, else asked, else the name of this machine's user. */
export async function newName(context: Context): Promise<string> {
  const { io, text, options } = context
  if (options.name !== undefined) return options.name
  const own = userName()
  if (!hasTerminal(context)) return own
  const typed = await ask(io, `${text('name.ask', { name: own })} `)
  return typed?.trim() || own
}

function userName(): string {
  try {
    return userInfo().username || 'Miaou'
  } catch {
    // A container may run under a user id that has no name.
    return 'Miaou'
  }
}

/** Unicode has several spellings of one text: NFKC makes the same passphrase the same bytes on every keyboard. */
function toBytes(passphrase: string): Uint8Array {
  return textToBytes(passphrase.normalize('NFKC'))
}
