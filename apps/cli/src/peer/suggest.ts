/** Longest text that is compared: ids have 48 to 52 characters, names at most 64 bytes. */
const lengthMax = 64

/** The known texts nearest to a typed one, best first: those within a third of its length in edits (own choice). */
export function suggest(typed: string, known: readonly string[], countMax: number): string[] {
  const wanted = typed.slice(0, lengthMax).toLowerCase()
  const distanceMax = Math.max(1, Math.floor(wanted.length / 3))
  return [...new Set(known)]
    .map((text) => ({ text, distance: editDistance(wanted, text.slice(0, lengthMax).toLowerCase()) }))
    .filter(({ distance }) => distance <= distanceMax)
    .sort((a, b) => a.distance - b.distance)
    .slice(0, countMax)
    .map(({ text }) => text)
}

/** Levenshtein distance with swaps of neighbours as one edit (optimal string alignment). */
export function editDistance(a: string, b: string): number {
  let beforeLast: number[] = []
  let last = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const isSame = a[i - 1] === b[j - 1]
      let best = Math.min(at(last, j) + 1, at(row, j - 1) + 1, at(last, j - 1) + (isSame ? 0 : 1))
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        best = Math.min(best, at(beforeLast, j - 2) + 1)
      row.push(best)
    }
    beforeLast = last
    last = row
  }
  return at(last, b.length)
}

function at(row: readonly number[], index: number): number {
  return row[index] ?? Number.POSITIVE_INFINITY
}
