import { homedir } from 'node:os'
import { defaultProfile, homePath } from '@miaou/host-node/home-path'
import { MiaouError } from '@miaou/sdk/client'
import { createText, isLanguage, type Language, type Text } from '@miaou/text'
import type { Io } from './io.ts'
import { createOutput, type Output } from './terminal/output.ts'
import { sanitiseLine } from './terminal/sanitise.ts'

/** The options every command takes. */
export interface GlobalOptions {
  readonly home?: string
  readonly profile?: string
  readonly json?: boolean
  readonly lang?: string
  readonly passphraseFile?: string
  /** commander: `--no-passphrase` sets it to false. */
  readonly passphrase?: boolean
  readonly name?: string
  readonly wordsFile?: string
}

export interface Context {
  readonly io: Io
  readonly text: Text
  readonly out: Output
  readonly options: GlobalOptions
  readonly home: string
  readonly profile: string
}

export function createContext(io: Io, options: GlobalOptions): Context {
  const text = createText(languageOf(io, options.lang), sanitiseLine)
  const profile = options.profile ?? defaultProfile
  return {
    io,
    text,
    out: createOutput(io, text, options.json ?? false),
    options,
    home: homeOf(io, options),
    profile,
  }
}

/** `--lang`, else the locale as POSIX orders it (LC_ALL, LC_MESSAGES, LANG), else English. */
export function languageOf(io: Pick<Io, 'env'>, asked?: string): Language {
  const locale = asked ?? (io.env['LC_ALL'] || io.env['LC_MESSAGES'] || io.env['LANG'] || 'en')
  const language = locale.slice(0, 2).toLowerCase()
  return isLanguage(language) ? language : 'en'
}

/** `--home`, else `--profile`, else MIAOU_HOME, else the default profile (DECISIONS "Command line"). */
function homeOf(io: Pick<Io, 'env'>, { home, profile }: GlobalOptions): string {
  const choice = { ...(home === undefined ? {} : { home }), ...(profile === undefined ? {} : { profile }) }
  const path = homePath(choice, {
    platform: process.platform,
    env: io.env,
    userDirectory: io.env['HOME'] || homedir(),
    workingDirectory: process.cwd(),
  })
  if (path.ok) return path.value
  const { type, ...facts } = path.error
  throw new MiaouError(type, facts)
}
