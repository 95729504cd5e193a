import { encode } from 'uqr'

/** A QR code of half-block characters with its quiet zone, or undefined when it is wider than `columns`. */
export function qrCode(content: string, columns: number): string | undefined {
  // Low error correction: a screen has no scratches, and the code must fit 80 columns.
  const { data, size } = encode(content, { ecc: 'L', border: 2 })
  if (size > columns) return undefined
  const lines: string[] = []
  for (let y = 0; y < size; y += 2) {
    let line = ''
    for (let x = 0; x < size; x++) {
      const isTop = data[y]?.[x] ?? false
      const isBottom = data[y + 1]?.[x] ?? false
      // Light on dark: terminals are dark more often than not, and scanners read both.
      line += isTop ? (isBottom ? ' ' : '▄') : isBottom ? '▀' : '█'
    }
    lines.push(line)
  }
  return lines.join('\n')
}
