import type { ScenarioResult, Series } from './result.ts'
import { histogram, summarise } from './samples.ts'

/** Line colours of the cases in light and dark, OKLCH; the first is the accent of the project's palette. */
const strokes: readonly (readonly [light: string, dark: string])[] = [
  ['0.60 0.15 60', '0.78 0.13 70'],
  ['0.52 0.13 255', '0.74 0.11 250'],
  ['0.52 0.13 150', '0.76 0.13 150'],
  ['0.54 0.19 25', '0.72 0.16 25'],
  ['0.50 0.15 310', '0.76 0.12 310'],
  ['0.45 0.05 200', '0.80 0.06 200'],
]

const width = 300
const height = 150
const margin = { left: 44, top: 76, bottom: 36, gap: 32 }
const bins = 40

const titles: Readonly<Record<Series['name'], string>> = {
  hops: 'Hops',
  latency: 'Time of an operation',
  load: 'Messages received by a node',
}

/** Small multiples: the distributions of hops, latency and load over nodes, one line a case. */
export function resultToSvg(result: ScenarioResult): string {
  const panels = (['hops', 'latency', 'load'] as const).filter((name) =>
    result.cases.some(({ series }) => series.some((one) => one.name === name && one.values.length > 0)),
  )
  const legendHeight = result.cases.length * 18
  const total = {
    width: Math.max(420, margin.left + panels.length * (width + margin.gap + margin.left)),
    height: margin.top + height + margin.bottom + legendHeight + 16,
  }
  const title = `Simulation “${result.scenario}”: ${result.nodes.toLocaleString('en')} nodes, seed ${result.seed}`
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${total.width} ${total.height}" width="${total.width}" height="${total.height}" role="img" aria-labelledby="title">`,
    `<title id="title">${escapeXml(title)}</title>`,
    style(),
    `<rect class="paper" width="100%" height="100%"/>`,
    `<text class="head" x="${margin.left}" y="30">${escapeXml(title)}</text>`,
    ...panels.map((name, i) => panel(result, name, margin.left + i * (width + margin.gap + margin.left))),
    ...result.cases.map((one, i) => {
      const y = margin.top + height + margin.bottom + 18 * (i + 1)
      return `<line class="s${i % strokes.length}" x1="${margin.left}" y1="${y - 4}" x2="${margin.left + 24}" y2="${y - 4}"/><text x="${margin.left + 32}" y="${y}">${escapeXml(one.name)}</text>`
    }),
    '</svg>',
    '',
  ].join('\n')
}

function style(): string {
  const theme = (paper: string, ink: string, soft: string, line: string, dark: 0 | 1) =>
    `.paper{fill:oklch(${paper})}text{fill:oklch(${ink})}.soft{fill:oklch(${soft})}.axis{stroke:oklch(${line})}` +
    strokes.map((pair, i) => `.s${i}{stroke:oklch(${pair[dark]})}`).join('')
  return [
    '<style>',
    'text{font:13px system-ui,sans-serif;font-variant-numeric:tabular-nums}.head{font-size:18px}.soft{font-size:12px}',
    'polyline{fill:none;stroke-width:1.75;stroke-linejoin:round}line{stroke-width:1.75}.axis{stroke-width:1}',
    theme('0.985 0.006 85', '0.25 0.02 285', '0.48 0.02 285', '0.9 0.01 285', 0),
    `@media (prefers-color-scheme:dark){${theme('0.19 0.012 285', '0.94 0.01 85', '0.72 0.015 285', '0.32 0.015 285', 1)}}`,
    '</style>',
  ].join('\n')
}

function panel(result: ScenarioResult, name: Series['name'], left: number): string {
  const lines = result.cases.map(({ series }) => series.find((one) => one.name === name)?.values ?? [])
  const unit = result.cases.flatMap(({ series }) => series.filter((one) => one.name === name))[0]?.unit ?? ''
  // The last percent of a long tail would squeeze the rest: it is gathered at the right edge.
  const top = Math.max(1, ...lines.map((values) => summarise(values).p99)) * 1.05
  const isWhole = name === 'hops'
  const count = isWhole ? Math.ceil(top) + 1 : bins
  const end = isWhole ? count : top
  const shares = lines.map((values) => histogram(values, count, end).map((n) => n / Math.max(1, values.length)))
  const most = Math.max(0.01, ...shares.flat())
  const x = (i: number) => (left + ((i + 0.5) / count) * width).toFixed(1)
  const y = (share: number) => (margin.top + height - (share / most) * height).toFixed(1)
  const bottom = margin.top + height
  const label = (at: number, anchor: string, text: string) =>
    `<text class="soft" x="${at}" y="${bottom + 18}" text-anchor="${anchor}">${text}</text>`
  return [
    `<text x="${left}" y="${margin.top - 14}">${titles[name]}${unit === '' ? '' : `, ${escapeXml(unit)}`}</text>`,
    `<line class="axis" x1="${left}" y1="${bottom}" x2="${left + width}" y2="${bottom}"/>`,
    `<text class="soft" x="${left - 6}" y="${margin.top + 10}" text-anchor="end">${(most * 100).toFixed(0)} %</text>`,
    label(left, 'start', '0'),
    label(left + width, 'end', isWhole ? `${count - 1}` : `${Math.round(end).toLocaleString('en')}+`),
    ...shares.map((points, i) =>
      (lines[i]?.length ?? 0) === 0
        ? ''
        : `<polyline class="s${i % strokes.length}" points="${points.map((share, j) => `${x(j)},${y(share)}`).join(' ')}"/>`,
    ),
  ].join('\n')
}

function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')
}
