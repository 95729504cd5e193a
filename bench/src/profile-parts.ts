/**
 * Sums up a V8 CPU profile by part of the message path and by function.
 *   node bench/src/profile-parts.ts FILE.cpuprofile [--messages N] [--top 25]
 * With `--messages` in µs a message, else in ms. Time is self time of samples; idle is left out.
 */
import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'

interface ProfileNode {
  readonly id: number
  readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number }
  readonly children?: readonly number[]
}

interface Profile {
  readonly nodes: readonly ProfileNode[]
  readonly samples: readonly number[]
  readonly timeDeltas: readonly number[]
}

/** The first rule that a frame or one of its callers, innermost first, meets names the part. */
const parts: readonly (readonly [part: string, url: RegExp, name: RegExp])[] = [
  ['GC', /^$/, /^\(garbage collector\)$/],
  ['SQLite', /better-sqlite3|host-node\/src\/store|^node:sqlite/, /./],
  ['ratchet', /crypto\/src\/ratchet|crypto\/src\/pqxdh|messaging\/src\/sessions/, /./],
  ['link: BLAKE3', /./, /blake3/i],
  ['link: AEAD and frames', /network\/src|channel-cipher|protocol\/src\/(frame|fragment)/, /./],
  ['pipe to the WebRTC child', /host-node\/src\/webrtc|^node:(net|internal\/(stream_base|streams))/, /./],
  ['events and JSON', /messaging\/src\/(journal|views)|sdk\/src/, /./],
  ['messaging, the rest', /messaging\/src/, /./],
  ['content and envelopes', /protocol\/src/, /./],
  ['peer and drive loop', /peer\/src|host-node\/src/, /./],
]

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: { messages: { type: 'string' }, top: { type: 'string', default: '25' } },
})
const profile: Profile = JSON.parse(readFileSync(positionals[0] ?? '', 'utf8'))
const nodes = new Map(profile.nodes.map((node) => [node.id, node]))
const parents = new Map(profile.nodes.flatMap((node) => (node.children ?? []).map((child) => [child, node.id])))

function partOf(id: number): string {
  for (let at: number | undefined = id; at !== undefined; at = parents.get(at)) {
    const frame = nodes.get(at)?.callFrame
    if (frame === undefined) break
    const rule = parts.find(([, url, name]) => url.test(frame.url) && name.test(frame.functionName))
    if (rule !== undefined) return rule[0]
  }
  return 'elsewhere'
}

/** Native functions and adapters of libraries say nothing by themselves: the line of ours that called them does. */
function label(id: number): string {
  const frame = nodes.get(id)?.callFrame
  const isOurs = (url: string): boolean => url.includes('/packages/') && !url.includes('/store/')
  if (frame !== undefined && partOf(id) === 'SQLite' && !isOurs(frame.url)) {
    for (let at = parents.get(id); at !== undefined; at = parents.get(at)) {
      const url = nodes.get(at)?.callFrame.url ?? ''
      if (isOurs(url)) return `SQLite for ${label(at)}`
    }
  }
  const file = frame?.url.replace(/^.*\/(?=(packages|node_modules|bench)\/)/, '') ?? ''
  return `${frame?.functionName || '(anonymous)'} ${file}${file === '' ? '' : `:${(frame?.lineNumber ?? 0) + 1}`}`
}

const timeByPart = new Map<string, number>()
const timeByFunction = new Map<string, number>()
const add = (map: Map<string, number>, key: string, us: number) => map.set(key, (map.get(key) ?? 0) + us)
for (const [index, id] of profile.samples.entries()) {
  const us = profile.timeDeltas[index] ?? 0
  if (nodes.get(id)?.callFrame.functionName === '(idle)') continue
  add(timeByPart, partOf(id), us)
  add(timeByFunction, `[${partOf(id)}] ${label(id)}`, us)
}
const divisor = flags.messages === undefined ? 1000 : Number(flags.messages)
const unit = flags.messages === undefined ? 'ms' : 'µs a message'
const total = [...timeByPart.values()].reduce((sum, us) => sum + us, 0)
function print(title: string, map: Map<string, number>, top: number): void {
  console.log(`\n${title} (${unit}; ${(total / divisor).toFixed(1)} in all)`)
  for (const [name, us] of [...map].sort(([, a], [, b]) => b - a).slice(0, top)) {
    console.log(`${(us / divisor).toFixed(1).padStart(9)}  ${((100 * us) / total).toFixed(1).padStart(5)} %  ${name}`)
  }
}
print('By part', timeByPart, 99)
print('By function, self time', timeByFunction, Number(flags.top))
