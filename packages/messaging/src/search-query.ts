/** Longest query, characters, and most words and phrases in it (own choices: more than a person types). */
export const searchQueryLengthMax = 256
export const searchTermsMax = 16

// What FTS5's unicode61 takes as parts of words: letters, numbers, marks behind them, and private use.
const word = /[\p{L}\p{N}\p{Co}][\p{L}\p{N}\p{Co}\p{M}]*/gu

/**
 * What a person typed as an FTS5 expression: text between double quotes is a phrase, every other word must occur, and
 * the last word may be unfinished. Each word is quoted, so nothing of FTS5's syntax gets through. Undefined when there is
 * no word in it, or too much of it.
 */
export function buildSearchQuery(text: string): string | undefined {
  if (text.length > searchQueryLengthMax) return undefined
  const terms: string[] = []
  const pieces = text.split('"')
  for (const [index, piece] of pieces.entries()) {
    const words = piece.match(word) ?? []
    // Odd pieces stand between quotes, but for the last one, whose quote is not closed yet.
    const isPhrase = index % 2 === 1 && index < pieces.length - 1
    if (isPhrase && words.length > 0) terms.push(`"${words.join(' ')}"`)
    else for (const each of words) terms.push(`"${each}"`)
  }
  if (terms.length === 0 || terms.length > searchTermsMax) return undefined
  const endsInWord = /[\p{L}\p{N}\p{Co}\p{M}]$/u.test(text)
  return terms.join(' AND ') + (endsInWord ? '*' : '')
}
