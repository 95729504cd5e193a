/** Characters that change how a terminal shows or orders what follows, or that hide; shown as their code instead. */
const hiddenPattern =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this is about
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2064\u2066-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]/gu

/**
 * Makes what a peer wrote safe to print: no escape sequence, no control character, no bidirectional override survives.
 * Line breaks and tabs stay. Joiners (U+200C, U+200D) stay too: scripts and emoji need them.
 */
export function sanitise(text: string): string {
  return text
    .replace(/\r\n?|\u2028|\u2029/g, '\n')
    .replace(hiddenPattern, (hidden) => `‹${(hidden.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(2, '0')}›`)
}

/** The same for one line: a name, a title, a fact. */
export function sanitiseLine(text: string): string {
  return sanitise(text).replace(/\n+/g, '⏎').replace(/\t/g, ' ')
}
