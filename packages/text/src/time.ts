import type { Language } from './phrase.ts'

const monthsEn = [
  'January',
  'February',
  'March',
  'April',
  'May',
  'June',
  'July',
  'August',
  'September',
  'October',
  'November',
  'December',
]
const monthsFr = [
  'janvier',
  'février',
  'mars',
  'avril',
  'mai',
  'juin',
  'juillet',
  'août',
  'septembre',
  'octobre',
  'novembre',
  'décembre',
]

const dayMs = 86_400_000

interface Civil {
  readonly year: number
  /** 1 to 12. */
  readonly month: number
  readonly day: number
  readonly hour: number
  readonly minute: number
}

/**
 * Calendar of a wall-clock time. `ms`: since the Unix epoch. `offsetMinutes`: local time minus UTC, as of that time.
 * Proleptic Gregorian calendar; the days-to-date step follows Hinnant, "chrono-compatible low-level date algorithms".
 */
function toCivil(ms: number, offsetMinutes: number): Civil {
  const local = ms + offsetMinutes * 60_000
  const days = Math.floor(local / dayMs)
  const minutes = Math.floor((local - days * dayMs) / 60_000)
  const shifted = days + 719_468
  const era = Math.floor(shifted / 146_097)
  const dayOfEra = shifted - era * 146_097
  const yearOfEra = Math.floor(
    (dayOfEra - Math.floor(dayOfEra / 1_460) + Math.floor(dayOfEra / 36_524) - Math.floor(dayOfEra / 146_096)) / 365,
  )
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100))
  const shiftedMonth = Math.floor((5 * dayOfYear + 2) / 153)
  const month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
  return {
    year: yearOfEra + era * 400 + (month <= 2 ? 1 : 0),
    month,
    day: dayOfYear - Math.floor((153 * shiftedMonth + 2) / 5) + 1,
    hour: Math.floor(minutes / 60),
    minute: minutes % 60,
  }
}

/** `14:05`, in both languages. */
export function formatTime(ms: number, offsetMinutes: number): string {
  const { hour, minute } = toCivil(ms, offsetMinutes)
  return `${String(hour).padStart(2, '0')}:${String(minute).padStart(2, '0')}`
}

/** `28 November 2026`, `1er novembre 2026`; the year is left out when it is the year of `now`. */
export function formatDay(language: Language, ms: number, offsetMinutes: number, now: number): string {
  const { year, month, day } = toCivil(ms, offsetMinutes)
  const months = language === 'fr' ? monthsFr : monthsEn
  const dayText = language === 'fr' && day === 1 ? '1er' : String(day)
  const text = `${dayText} ${months[month - 1] ?? ''}`
  return year === toCivil(now, offsetMinutes).year ? text : `${text} ${year}`
}

/** Whether two times lie on one calendar day. */
export function isSameDay(a: number, b: number, offsetMinutes: number): boolean {
  return Math.floor((a + offsetMinutes * 60_000) / dayMs) === Math.floor((b + offsetMinutes * 60_000) / dayMs)
}

/** `2026-11-28 14:05`: for listings, the same in both languages. */
export function formatTimestamp(ms: number, offsetMinutes: number): string {
  const { year, month, day } = toCivil(ms, offsetMinutes)
  const date = [String(year).padStart(4, '0'), String(month).padStart(2, '0'), String(day).padStart(2, '0')].join('-')
  return `${date} ${formatTime(ms, offsetMinutes)}`
}

/** The two largest units of a duration: `45 s`, `12 min 3 s`, `3 h 12 min`, `2 d 4 h` (French: `2 j 4 h`). */
export function formatDuration(language: Language, durationMs: number): string {
  const seconds = Math.max(0, Math.floor(durationMs / 1000))
  const units: readonly (readonly [number, string])[] = [
    [Math.floor(seconds / 86_400), language === 'fr' ? 'j' : 'd'],
    [Math.floor(seconds / 3600) % 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'min'],
    [seconds % 60, 's'],
  ]
  const first = units.findIndex(([count]) => count > 0)
  if (first < 0) return '0 s'
  return units
    .slice(first, first + 2)
    .filter(([count]) => count > 0)
    .map(([count, unit]) => `${count} ${unit}`)
    .join(' ')
}
