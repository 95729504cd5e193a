import { seededNumbers } from '../../../testkit/src/seeded.ts'

/** Numbers in [0, 1) that a seed decides. Who asks whom, never anything secret. */
export type Draw = () => number

export const seeded: (seed: number) => Draw = seededNumbers

/** One of a list that is not empty. */
export function pick<T>(draw: Draw, list: readonly T[]): T {
  const found = list[Math.floor(draw() * list.length)]
  if (found === undefined) throw new Error('nothing to pick from')
  return found
}

/** `count` of a list, each at most once, in the order drawn. */
export function sample<T>(draw: Draw, list: readonly T[], count: number): T[] {
  const rest = [...list]
  const taken: T[] = []
  while (taken.length < count && rest.length > 0) {
    taken.push(...rest.splice(Math.floor(draw() * rest.length), 1))
  }
  return taken
}

export function drawBytes(draw: Draw, size: number): Uint8Array {
  return Uint8Array.from({ length: size }, () => Math.floor(draw() * 256))
}
