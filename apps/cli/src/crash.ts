import { mkdirSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { MiaouError } from '@miaou/sdk/client'
import { createText } from '@miaou/text'
import { languageOf } from './context.ts'
import { type ExitCode, exitCodes } from './exit-code.ts'
import type { Io } from './io.ts'
import { showCause } from './terminal/cause.ts'
import { createOutput } from './terminal/output.ts'
import { sanitiseLine } from './terminal/sanitise.ts'

/**
 * What is left to do after a mistake of ours that no command was waiting for (an engine's invariant broke, a promise was
 * forgotten): one error for people or programs instead of Node's stack, and the place in a file for whoever looks into
 * it. Gives the exit code; what was accepted for sending is on disk.
 */
export function tellCrash(io: Io, version: string, error: unknown): ExitCode {
  const { lang, isJson } = readGlobals(io.argv)
  const text = createText(languageOf(io, lang), sanitiseLine)
  const out = createOutput(io, text, isJson)
  const known = new MiaouError('internal', {}, { cause: error })
  out.error(known)
  const path = keepPlace(io, version, error)
  if (path !== undefined) out.note(text('cli.crash', { path }))
  showCause(io, known)
  return exitCodes.error
}

/** The two options that say how to tell it: nothing else of the command line is looked at. */
function readGlobals(argv: readonly string[]): { readonly lang: string | undefined; readonly isJson: boolean } {
  const given = argv.indexOf('--lang')
  const joined = argv.find((word) => word.startsWith('--lang='))?.slice('--lang='.length)
  return { lang: given === -1 ? joined : argv[given + 1], isJson: argv.includes('--json') }
}

/** One file, of the last crash only. It has no command line and no input: these may hold what is nobody's business. */
function keepPlace(io: Io, version: string, error: unknown): string | undefined {
  const state = io.env['XDG_STATE_HOME'] || join(io.env['HOME'] || homedir(), '.local', 'state')
  const folder = join(state, 'miaou')
  const path = join(folder, 'crash.txt')
  const facts = `Miaou ${version}, Node ${process.version}, ${process.platform}, ${new Date(io.now()).toISOString()}`
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    writeFileSync(path, `${facts}\n${stacksOf(error).join('\ncaused by ')}\n`, { mode: 0o600 })
    return path
  } catch {
    return undefined
  }
}

/** Causes below the first that are still told. Guess: ours are wrapped twice at most. */
const causesMax = 4

function stacksOf(error: unknown, depth = 0): string[] {
  if (!(error instanceof Error)) return [String(error)]
  const rest = error.cause === undefined || depth === causesMax ? [] : stacksOf(error.cause, depth + 1)
  return [error.stack ?? error.message, ...rest]
}
