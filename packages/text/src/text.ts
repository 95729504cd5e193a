import { commands as englishCommands } from './en/commands.ts'
import { diagnosis as englishDiagnosis } from './en/diagnosis.ts'
import { errors as englishErrors } from './en/errors.ts'
import { gossip as englishGossip } from './en/gossip.ts'
import { help as englishHelp } from './en/help.ts'
import { mailboxes as englishMailboxes } from './en/mailboxes.ts'
import { overlay as englishOverlay } from './en/overlay.ts'
import { reach as englishReach } from './en/reach.ts'
import { states as englishStates } from './en/states.ts'
import { commands as frenchCommands } from './fr/commands.ts'
import { diagnosis as frenchDiagnosis } from './fr/diagnosis.ts'
import { errors as frenchErrors } from './fr/errors.ts'
import { gossip as frenchGossip } from './fr/gossip.ts'
import { help as frenchHelp } from './fr/help.ts'
import { mailboxes as frenchMailboxes } from './fr/mailboxes.ts'
import { overlay as frenchOverlay } from './fr/overlay.ts'
import { reach as frenchReach } from './fr/reach.ts'
import { states as frenchStates } from './fr/states.ts'
import { fill, type Language, type Parameter, type Parameters, type Phrase } from './phrase.ts'

type English = typeof englishErrors &
  typeof englishStates &
  typeof englishCommands &
  typeof englishOverlay &
  typeof englishGossip &
  typeof englishReach &
  typeof englishMailboxes &
  typeof englishDiagnosis &
  typeof englishHelp
export type PhraseKey = keyof English

type Arguments<K extends PhraseKey> = [keyof Parameters<English[K]>] extends [never] ? [] : [Parameters<English[K]>]

/** All phrases, by language and key: for the tests that hold both languages together. */
export const phrases: Readonly<Record<Language, Readonly<Record<PhraseKey, Phrase>>>> = {
  en: {
    ...englishErrors,
    ...englishStates,
    ...englishCommands,
    ...englishOverlay,
    ...englishGossip,
    ...englishReach,
    ...englishMailboxes,
    ...englishDiagnosis,
    ...englishHelp,
  },
  fr: {
    ...frenchErrors,
    ...frenchStates,
    ...frenchCommands,
    ...frenchOverlay,
    ...frenchGossip,
    ...frenchReach,
    ...frenchMailboxes,
    ...frenchDiagnosis,
    ...frenchHelp,
  },
}

export function isLanguage(text: string): text is Language {
  return text === 'en' || text === 'fr'
}

export interface ErrorWords {
  /** What happened and why. */
  readonly message: string
  /** What to do next. */
  readonly hint: string
}

export interface Text {
  readonly language: Language
  /** The phrase, its places filled. */
  <K extends PhraseKey>(key: K, ...parameters: Arguments<K>): string
  /** Words for an error code and its facts; an unknown code reads as an error of ours. */
  error(code: string, facts: Readonly<Record<string, unknown>>): ErrorWords
  /** Words for a message's state (`delivered` …). */
  state(state: string): string
  /** Words for why a message is where it is. */
  reason(reason: string): string
  /** Words for why a connection was closed. */
  closeReason(reason: string): string
  /** Words for the outcome of a check (`ok`, `warning`, `failed`, `not-configured`). */
  diagnosis(state: string): string
  /** Words for what a check of the diagnosis found; an unknown code reads as its `detail`. */
  finding(code: string, facts: Readonly<Record<string, unknown>>): string
  /** What somebody can do after it; undefined where nothing is to be done. */
  advice(code: string, facts: Readonly<Record<string, unknown>>): string | undefined
}

/** What people read, in one language. `clean` makes what others wrote safe for the place where it is shown. */
export function createText(language: Language, clean: (text: string) => string = (text) => text): Text {
  const catalogue: Readonly<Record<string, Phrase>> = phrases[language]
  const look = (key: string, parameters: Readonly<Record<string, Parameter>>): string | undefined => {
    const phrase = Object.hasOwn(catalogue, key) ? catalogue[key] : undefined
    return phrase === undefined ? undefined : fill(language, phrase, parameters, clean)
  }
  const say = <K extends PhraseKey>(key: K, ...[parameters]: Arguments<K>): string => look(key, parameters ?? {}) ?? key
  return Object.assign(say, {
    language,
    error: (code: string, facts: Readonly<Record<string, unknown>>): ErrorWords => {
      const parameters = toParameters(facts)
      const { reason } = facts
      if (typeof reason === 'string') parameters['reason'] = look(`close.${reason}`, {}) ?? reason
      const message = look(`error.${code}`, parameters) ?? say('error.internal')
      const suggestion = parameters['suggestions'] === undefined ? undefined : look(`error.${code}.suggest`, parameters)
      const hint = look(`error.${code}.hint`, parameters) ?? say('error.internal.hint')
      return { message, hint: suggestion === undefined ? hint : `${suggestion} ${hint}` }
    },
    state: (state: string) => look(`state.${state}`, {}) ?? state,
    reason: (reason: string) => look(`reason.${reason}`, {}) ?? reason,
    closeReason: (reason: string) => look(`close.${reason}`, {}) ?? reason,
    diagnosis: (state: string) => look(`diagnosis.${state}`, {}) ?? state,
    finding: (code: string, facts: Readonly<Record<string, unknown>>) => {
      const parameters = toParameters(facts)
      return look(`check.${code}`, parameters) ?? clean(String(parameters['detail'] ?? code))
    },
    advice: (code: string, facts: Readonly<Record<string, unknown>>) => look(`advice.${code}`, toParameters(facts)),
  })
}

function toParameters(facts: Readonly<Record<string, unknown>>): Record<string, Parameter> {
  const parameters: Record<string, Parameter> = {}
  for (const [name, value] of Object.entries(facts)) {
    if (typeof value === 'string' || typeof value === 'number') parameters[name] = value
    else if (Array.isArray(value) && value.length > 0) parameters[name] = value.map(String).join(', ')
  }
  return parameters
}
