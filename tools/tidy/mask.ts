/**
 * Blanks what is not code: comments, and with `strings` the contents of strings and templates too (code inside `${…}`
 * stays). Lengths and line breaks are kept, so that an index means the same place. TypeScript 7 has no API to parse with;
 * for rules about names in code this is enough.
 */
export function maskCode(text: string, options: { readonly strings: boolean }): string {
  return new Masker(text, options.strings).run()
}

/** After one of these a slash begins a regular expression, not a division. */
const beforeRegex =
  /(?:^|[(,=:[!&|?{};+\-*%~^<>]|\b(?:return|typeof|case|in|of|do|else|void|delete|throw|new|await))\s*$/

class Masker {
  readonly #text: string
  readonly #strings: boolean
  readonly #out: string[] = []
  /** Depth of braces at which each open `${` ends. */
  readonly #templates: number[] = []
  #depth = 0
  #at = 0

  constructor(text: string, strings: boolean) {
    this.#text = text
    this.#strings = strings
  }

  run(): string {
    while (this.#at < this.#text.length) this.#step()
    return this.#out.join('')
  }

  #step(): void {
    const text = this.#text
    const char = text.charAt(this.#at)
    if (text.startsWith('//', this.#at)) this.#blankTo(this.#find('\n'))
    else if (text.startsWith('/*', this.#at)) this.#blankTo(this.#find('*/', this.#at + 2) + 2)
    else if (char === "'" || char === '"') this.#quoted(char)
    else if (char === '`') this.#template(this.#at + 1)
    else if (char === '/' && beforeRegex.test(text.slice(Math.max(0, this.#at - 40), this.#at))) this.#regex()
    else if (char === '{') this.#brace(1)
    else if (char === '}' && this.#templates.at(-1) === this.#depth) {
      this.#templates.pop()
      this.#template(this.#at + 1)
    } else if (char === '}') this.#brace(-1)
    else this.#keepTo(this.#at + 1)
  }

  #brace(change: number): void {
    this.#depth += change
    this.#keepTo(this.#at + 1)
  }

  #find(needle: string, from: number = this.#at): number {
    const found = this.#text.indexOf(needle, from)
    return found === -1 ? this.#text.length : found
  }

  #keepTo(end: number): void {
    this.#out.push(this.#text.slice(this.#at, end))
    this.#at = end
  }

  #blankTo(end: number): void {
    this.#out.push(this.#text.slice(this.#at, end).replace(/[^\n]/g, ' '))
    this.#at = Math.min(end, this.#text.length)
  }

  #quoted(quote: string): void {
    let end = this.#at + 1
    while (end < this.#text.length && this.#text[end] !== quote && this.#text[end] !== '\n') {
      end += this.#text[end] === '\\' ? 2 : 1
    }
    this.#content(end + 1)
  }

  #regex(): void {
    let end = this.#at + 1
    let inClass = false
    while (end < this.#text.length && this.#text[end] !== '\n' && (inClass || this.#text[end] !== '/')) {
      if (this.#text[end] === '[') inClass = true
      if (this.#text[end] === ']') inClass = false
      end += this.#text[end] === '\\' ? 2 : 1
    }
    this.#content(end + 1)
  }

  /** From just after a backtick or a closing brace to the end of the template or its next `${`. */
  #template(from: number): void {
    let end = from
    while (end < this.#text.length && this.#text[end] !== '`' && !this.#text.startsWith('${', end)) {
      end += this.#text[end] === '\\' ? 2 : 1
    }
    if (this.#text[end] === '$') {
      this.#content(end + 2)
      this.#templates.push(this.#depth)
    } else this.#content(end + 1)
  }

  #content(end: number): void {
    if (!this.#strings) {
      this.#keepTo(end)
      return
    }
    this.#keepTo(this.#at + 1)
    this.#blankTo(Math.max(this.#at, end - 1))
    this.#keepTo(Math.max(this.#at, end))
  }
}
