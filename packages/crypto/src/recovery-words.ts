import { assert, err, ok, type Result, textToBytes } from '@miaou/core'
import { entropyToMnemonic, mnemonicToEntropy } from '@scure/bip39'
import { wordlist as english } from '@scure/bip39/wordlists/english.js'
import { wordlist as french } from '@scure/bip39/wordlists/french.js'
import type { Crypto } from './suite.ts'

export type RecoveryLanguage = 'en' | 'fr'

/** `position` counts from 1, as people do. */
export type RecoveryWordsError =
  | { readonly type: 'word-count'; readonly count: number }
  | { readonly type: 'unknown-word'; readonly word: string; readonly position: number }
  /** Every word exists, together they are not what was written down: one is wrong or two are swapped. */
  | { readonly type: 'bad-checksum' }

/** What the recovery words stand for; each 32 bytes. */
export interface RecoveredSecrets {
  /** Ed25519 seed of the account key. */
  readonly accountSeed: Uint8Array
  /** Key of the account capsule. */
  readonly capsuleKey: Uint8Array
  /** Where the account capsule is found; it does not reveal the account. */
  readonly locator: Uint8Array
}

const wordCount = 24
const wordlists: Readonly<Record<RecoveryLanguage, readonly string[]>> = { en: english, fr: french }
// Words by the spelling people type: any case, with or without accents (BIP39's French words differ without them too).
// Made at the first use: most starts of a peer never see a recovery word.
const wordsBySpelling = new Map<RecoveryLanguage, ReadonlyMap<string, string>>()

/** The 24 words (BIP39) of 32 bytes of entropy, in NFC as screens show them. */
export function entropyToWords(entropy: Uint8Array, language: RecoveryLanguage = 'en'): string[] {
  assert(entropy.length === 32, 'recovery entropy has 32 bytes')
  return entropyToMnemonic(entropy, [...wordlists[language]])
    .split(' ')
    .map((word) => word.normalize('NFC'))
}

/** The 32 bytes behind 24 words, separated by any white space, of the English or the French list. */
export function wordsToEntropy(text: string): Result<Uint8Array, RecoveryWordsError> {
  const words = text.split(/\s+/u).filter((word) => word !== '')
  if (words.length !== wordCount) return err({ type: 'word-count', count: words.length })
  const spellings = words.map(spelling)
  const [inEnglish, inFrench] = [countKnown(spellings, 'en'), countKnown(spellings, 'fr')]
  const language = inFrench > inEnglish ? 'fr' : 'en'
  const known = spellingsOf(language)
  const unknown = spellings.findIndex((word) => !known.has(word))
  if (unknown >= 0) return err({ type: 'unknown-word', word: words[unknown] as string, position: unknown + 1 })
  const mnemonic = spellings.map((word) => known.get(word)).join(' ')
  try {
    return ok(mnemonicToEntropy(mnemonic, [...wordlists[language]]))
  } catch {
    return err({ type: 'bad-checksum' })
  }
}

/** Account seed, capsule key and locator: HKDF-SHA256 of the entropy, info `Miaou-v0.2.0-recovery/<name>`. */
export function deriveFromEntropy(crypto: Crypto, entropy: Uint8Array): RecoveredSecrets {
  assert(entropy.length === 32, 'recovery entropy has 32 bytes')
  const derive = (name: string): Uint8Array =>
    crypto.hkdfSha256(entropy, new Uint8Array(0), textToBytes(`Miaou-v0.2.0-recovery/${name}`), 32)
  return { accountSeed: derive('account-seed'), capsuleKey: derive('capsule-key'), locator: derive('locator') }
}

function countKnown(spellings: readonly string[], language: RecoveryLanguage): number {
  const known = spellingsOf(language)
  return spellings.filter((word) => known.has(word)).length
}

function spellingsOf(language: RecoveryLanguage): ReadonlyMap<string, string> {
  const known = wordsBySpelling.get(language) ?? new Map(wordlists[language].map((word) => [spelling(word), word]))
  wordsBySpelling.set(language, known)
  return known
}

function spelling(word: string): string {
  return word.normalize('NFKD').replace(/\p{M}/gu, '').toLowerCase()
}
