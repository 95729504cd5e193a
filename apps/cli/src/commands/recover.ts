import { readFileSync } from 'node:fs'
import { text as readAll } from 'node:stream/consumers'
import { MiaouError } from '@miaou/sdk/client'
import type { Context } from '../context.ts'
import { type ExitCode, exitCodes } from '../exit-code.ts'
import { attemptsMax, hasTerminal } from '../passphrase.ts'
import type { PeerHost } from '../peer-handle.ts'
import { createHome, stateOf } from '../session.ts'
import { toStartError } from '../start-errors.ts'
import { ask } from '../terminal/prompt.ts'

/** Makes the home a new device of the account behind 24 words. `file`: where they are, `-` for the input. */
export async function recover(context: Context, file: string | undefined): Promise<ExitCode> {
  const { home, io, out, text } = context
  const host = await io.loadHost()
  if (stateOf(home, host) !== 'absent') throw new MiaouError('home-exists', { home })
  const words = file === undefined ? await askWords(context, host) : await readWords(context, file)
  const { account, peerId, name } = await createHome(context, host, check(context, host, words))
  out.object({ account, peerId, name })
  out.line(text('recover.done'))
  out.line(account)
  out.note(text('recover.contacts'))
  return exitCodes.ok
}

/** The words themselves, or an error that says which of them is wrong. */
function check(context: Context, host: PeerHost, words: string): string {
  const mistake = host.checkRecoveryWords(words)
  if (mistake !== undefined) throw toStartError(mistake, context)
  return words
}

async function readWords({ io }: Context, file: string): Promise<string> {
  if (file === '-') return readAll(io.stdin)
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    throw new MiaouError('bad-request', { detail: cause instanceof Error ? cause.message : file }, { cause })
  }
}

/** Shown while they are typed: 24 words written blind would never be right. */
async function askWords(context: Context, host: PeerHost): Promise<string> {
  const { io, out, text } = context
  if (!hasTerminal(context)) throw new MiaouError('bad-request', { detail: 'miaou recover --from <file>' })
  for (let attempt = 1; ; attempt++) {
    out.note(text('recover.explain'))
    const typed = await ask(io, '> ')
    if (typed === undefined) throw new MiaouError('word-count', { count: 0 })
    try {
      return check(context, host, typed)
    } catch (error) {
      if (!(error instanceof MiaouError) || attempt >= attemptsMax) throw error
      out.error(error)
    }
  }
}
