/** One thing that nobody else is to learn, in every form in which it could show. */
export interface Secret {
  readonly what: string
  readonly forms: readonly Uint8Array[]
}

/** Bytes: as they are, in hex of both cases, and both alphabets of base64. */
export function secretBytes(what: string, bytes: Uint8Array): Secret {
  const buffer = Buffer.from(bytes)
  const texts = [
    buffer.toString('hex'),
    buffer.toString('hex').toUpperCase(),
    // The last digit depends on what follows.
    buffer.toString('base64').replace(/.?=*$/, ''),
    buffer.toString('base64url').slice(0, -1),
  ]
  return { what, forms: [buffer, ...texts.map((text) => Buffer.from(text))] }
}

/** Text in UTF-8 and UTF-16. At least 8 characters: shorter ones are found in random bytes. */
export function secretText(what: string, text: string): Secret {
  if (text.length < 8) throw new Error(`too short to be told from chance: ${text}`)
  const utf8 = Buffer.from(text, 'utf8')
  return { what, forms: [utf8, Buffer.from(text, 'utf16le'), Buffer.from(utf8.toString('hex'))] }
}

/** The secrets that `has` finds, by what they are. */
export function found(secrets: readonly Secret[], has: (needle: Uint8Array) => boolean): string[] {
  return secrets.filter(({ forms }) => forms.some((form) => has(form))).map(({ what }) => what)
}
