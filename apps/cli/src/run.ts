import { MiaouError } from '@miaou/sdk/client'
import { createText } from '@miaou/text'
import { toSpaced } from './command-names.ts'
import { languageOf } from './context.ts'
import { type ExitCode, exitCodeOf, exitCodes } from './exit-code.ts'
import type { Io } from './io.ts'
import { createProgram, exitCodeOfCommander } from './program.ts'
import { showCause } from './terminal/cause.ts'
import { createOutput } from './terminal/output.ts'
import { sanitiseLine } from './terminal/sanitise.ts'

/** Runs one command line to its end and gives its exit code. Never throws. */
export async function run(io: Io, version: string): Promise<ExitCode> {
  let code: ExitCode = exitCodes.ok
  const argv = toSpaced(io.argv)
  const program = createProgram(io, version, (given) => {
    code = given
  })
  try {
    await program.parseAsync(argv, { from: 'user' })
    return code
  } catch (error) {
    const fromCommander = exitCodeOfCommander(error)
    if (fromCommander !== undefined) return fromCommander
    const known = error instanceof MiaouError ? error : new MiaouError('internal', {}, { cause: error })
    const { json, lang } = program.opts<{ json?: boolean; lang?: string }>()
    const out = createOutput(io, createText(languageOf(io, lang), sanitiseLine), json ?? false)
    out.error(known)
    showCause(io, known)
    return exitCodeOf(known.code)
  }
}
