/** Deep equality of decoded values: plain objects, arrays, byte arrays and primitives. */
export function isEqual(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false
  if (a instanceof Uint8Array || b instanceof Uint8Array) {
    return a instanceof Uint8Array && b instanceof Uint8Array && Buffer.compare(a, b) === 0
  }
  if (Array.isArray(a) !== Array.isArray(b)) return false
  const keys = Object.keys(a)
  if (keys.length !== Object.keys(b).length) return false
  for (const key of keys) {
    if (!Object.hasOwn(b, key) || !isEqual(Reflect.get(a, key), Reflect.get(b, key))) return false
  }
  return true
}

/**
 * The pattern of a decoded value, for feedback: which fields are there, rough sizes, short texts that are names of
 * kinds. Two values with one pattern took the same way through the decoder, or nearly.
 */
export function shapeOf(value: unknown): string {
  if (value instanceof Uint8Array) return `b${bucket(value.length)}`
  if (typeof value === 'string') return /^[a-z-]{1,16}$/.test(value) ? `'${value}'` : `s${bucket(value.length)}`
  if (typeof value === 'number') return `n${bucket(Math.abs(value))}`
  if (typeof value !== 'object' || value === null) return String(value)
  if (Array.isArray(value)) return `[${bucket(value.length)}${value.length > 0 ? shapeOf(value[0]) : ''}]`
  let shape = '{'
  for (const [key, field] of Object.entries(value)) shape += `${key}:${shapeOf(field)},`
  return `${shape}}`
}

/** Number of bytes a value holds in arrays and texts. */
export function sizeOf(value: unknown): number {
  if (value instanceof Uint8Array) return value.length
  if (typeof value === 'string') return value.length
  if (typeof value !== 'object' || value === null) return 8
  let size = 0
  for (const field of Object.values(value)) size += sizeOf(field)
  return size
}

// 0, 1, 2–3, 4–7, …: by magnitude, coarser above 16 so that the corpus stays small.
function bucket(count: number): number {
  if (count < 4) return count
  return count < 16 ? 4 : 5 + Math.floor(Math.log2(count) / 4)
}
