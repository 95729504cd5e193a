import type { Profiler } from 'node:inspector'

/** One frame of a sample's stack. */
export interface Frame {
  readonly url: string
  readonly name: string
  /** From 1. */
  readonly line: number
}

export interface ProfileSum {
  /** Self time of all samples that are not idle, µs. */
  readonly totalUs: number
  readonly byPart: ReadonlyMap<string, number>
  readonly byFunction: ReadonlyMap<string, number>
}

/** Sums up a V8 CPU profile. `partOf` names the part of a stack, innermost frame first. */
export function sumProfile(profile: Profiler.Profile, partOf: (frames: readonly Frame[]) => string): ProfileSum {
  const nodes = new Map(profile.nodes.map((node) => [node.id, node]))
  const parents = new Map(profile.nodes.flatMap((node) => (node.children ?? []).map((child) => [child, node.id])))
  const framesOf = (id: number): Frame[] => {
    const frames: Frame[] = []
    for (let at: number | undefined = id; at !== undefined; at = parents.get(at)) {
      const frame = nodes.get(at)?.callFrame
      if (frame !== undefined) frames.push({ url: frame.url, name: frame.functionName, line: frame.lineNumber + 1 })
    }
    return frames
  }
  const selfUs = new Map<number, number>()
  for (const [index, id] of (profile.samples ?? []).entries()) {
    selfUs.set(id, (selfUs.get(id) ?? 0) + (profile.timeDeltas?.[index] ?? 0))
  }
  const byPart = new Map<string, number>()
  const byFunction = new Map<string, number>()
  let totalUs = 0
  for (const [id, us] of selfUs) {
    const frames = framesOf(id)
    const [own] = frames
    // The profiler's own start and end show as calls too.
    if (own === undefined || own.name === '(idle)' || own.url === 'node:inspector') continue
    totalUs += us
    const part = partOf(frames)
    const label = `[${part}] ${labelOf(frames, own)}`
    byPart.set(part, (byPart.get(part) ?? 0) + us)
    byFunction.set(label, (byFunction.get(label) ?? 0) + us)
  }
  return { totalUs, byPart, byFunction }
}

/** A function of a library or of WebAssembly says little by itself: the line of ours that called it does. */
function labelOf(frames: readonly Frame[], own: Frame): string {
  const caller = own.url.includes('/packages/') ? undefined : frames.find(({ url }) => url.includes('/packages/'))
  return caller === undefined ? placeOf(own) : `${placeOf(own)} for ${placeOf(caller)}`
}

function placeOf({ url, name, line }: Frame): string {
  const file = url.replace(/^.*\/(?=(packages|node_modules|bench)\/)/, '').replace(/^wasm:.*$/, 'WebAssembly')
  return `${name === '' ? '(anonymous)' : name}${file === '' ? '' : ` ${file}:${line}`}`
}
