export type Language = 'en' | 'fr'

/** A text with `{name}` places, or one for each number of things; `{count}` then says how many. */
export type Phrase = string | { readonly one: string; readonly other: string }

export type Parameter = string | number

type Names<S> = S extends `${string}{${infer Name}}${infer Rest}` ? Name | Names<Rest> : never
type NamesOf<P> = P extends string
  ? Names<P>
  : P extends { readonly one: infer One; readonly other: infer Other }
    ? Names<One> | Names<Other> | 'count'
    : never

/** What must be given to fill a phrase's places. */
export type Parameters<P> = { readonly [Name in NamesOf<P>]: Name extends 'count' ? number : Parameter }

/** CLDR's rules for whole numbers: English has one for 1; French for 0 and 1. */
export function isOne(language: Language, count: number): boolean {
  return language === 'fr' ? Math.abs(count) < 2 : count === 1
}

/** Fills the places of a phrase; a place without a value shows `?`. */
export function fill(
  language: Language,
  phrase: Phrase,
  parameters: Readonly<Record<string, Parameter>>,
  clean: (text: string) => string,
): string {
  const count = parameters['count']
  const template =
    typeof phrase === 'string'
      ? phrase
      : isOne(language, typeof count === 'number' ? count : 2)
        ? phrase.one
        : phrase.other
  return template.replace(/\{(\w+)\}/g, (_, name: string) => {
    const value = parameters[name]
    if (value === undefined) return '?'
    return typeof value === 'number' ? formatNumber(language, value) : clean(value)
  })
}

/** Thousands in groups of three (a comma in English, a narrow no-break space in French); decimals as they are. */
export function formatNumber(language: Language, value: number): string {
  const [whole = '', decimals] = String(value).split('.')
  if (!/^-?\d+$/.test(whole)) return String(value)
  // Years and ports have four digits and no group.
  const digits = whole.replace('-', '')
  const grouped = digits.length <= 4 ? whole : whole.replace(/\B(?=(\d{3})+$)/g, language === 'fr' ? '\u202f' : ',')
  return decimals === undefined ? grouped : grouped + (language === 'fr' ? ',' : '.') + decimals
}
