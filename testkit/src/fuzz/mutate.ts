import type { FuzzRandom } from './random.ts'

const interestingBytes = [0x00, 0x01, 0x02, 0x03, 0x7f, 0x80, 0x81, 0xfe, 0xff, 0x22, 0x5c, 0x7b, 0x5b]
const interestingSizes = [0, 1, 16, 32, 64, 255, 256, 512, 1024, 4096, 0x7fff, 0x8000, 0xffff, 0x7fff_ffff, 0xffff_ffff]
const jsonTokens = [
  '{',
  '}',
  '[',
  ']',
  '"',
  ',',
  ':',
  'null',
  'true',
  '-1',
  '1e999',
  '0.5',
  '\\u0000',
  '"__proto__":',
  '"type":',
]

type Mutator = (random: FuzzRandom, bytes: Uint8Array, other: Uint8Array) => Uint8Array

const flipBit: Mutator = (random, bytes) => {
  const copy = bytes.slice()
  const at = random.below(copy.length)
  copy[at] = (copy[at] ?? 0) ^ (1 << random.below(8))
  return copy
}

const setByte: Mutator = (random, bytes) => {
  const copy = bytes.slice()
  copy[random.below(copy.length)] = random.pick(interestingBytes)
  return copy
}

const stepByte: Mutator = (random, bytes) => {
  const copy = bytes.slice()
  const at = random.below(copy.length)
  copy[at] = (copy[at] ?? 0) + random.pick([-1, 1, 16, -16])
  return copy
}

/** Overwrites what may be a length field with a size that matters here: a limit, or what is really left. */
const editLength: Mutator = (random, bytes) => {
  const copy = bytes.slice()
  const width = random.pick([1, 2, 4])
  if (copy.length < width) return copy
  const at = random.below(Math.min(copy.length - width + 1, 256))
  const rest = copy.length - at - width
  const sizes = [rest, rest + 1, Math.max(0, rest - 1), rest - 64, random.pick(interestingSizes)]
  const size = Math.max(0, random.pick(sizes))
  for (let index = 0; index < width; index++) copy[at + index] = (size >>> (8 * (width - 1 - index))) & 0xff
  return copy
}

const truncate: Mutator = (random, bytes) => bytes.slice(0, random.below(bytes.length + 1))

const append: Mutator = (random, bytes) => join(bytes, random.bytes(1 + random.below(random.pick([2, 8, 80]))))

const insert: Mutator = (random, bytes) => {
  const at = random.below(bytes.length + 1)
  return join(bytes.subarray(0, at), random.bytes(1 + random.below(8)), bytes.subarray(at))
}

const remove: Mutator = (random, bytes) => {
  const at = random.below(bytes.length)
  return join(bytes.subarray(0, at), bytes.subarray(at + 1 + random.below(random.pick([1, 4, 64]))))
}

const duplicate: Mutator = (random, bytes) => {
  const at = random.below(bytes.length)
  const chunk = bytes.subarray(at, at + 1 + random.below(random.pick([4, 64, 256])))
  return join(bytes.subarray(0, at), chunk, bytes.subarray(at))
}

const splice: Mutator = (random, bytes, other) =>
  join(bytes.subarray(0, random.below(bytes.length + 1)), other.subarray(random.below(other.length + 1)))

/** A piece of another valid encoding over the same place: keeps the sizes, mixes the fields. */
const crossOver: Mutator = (random, bytes, other) => {
  const copy = bytes.slice()
  const at = random.below(Math.min(bytes.length, other.length))
  copy.set(other.subarray(at, Math.min(other.length, bytes.length, at + 1 + random.below(96))), at)
  return copy
}

const insertToken: Mutator = (random, bytes) => {
  const at = random.below(bytes.length + 1)
  const token = random.pick(jsonTokens)
  const repeated = token.repeat(random.pick([1, 1, 1, 5, 200]))
  const tokenBytes = Uint8Array.from(repeated, (character) => character.charCodeAt(0))
  return join(bytes.subarray(0, at), tokenBytes, bytes.subarray(at + random.below(3)))
}

const mutators = [
  flipBit,
  flipBit,
  setByte,
  stepByte,
  editLength,
  editLength,
  truncate,
  append,
  insert,
  remove,
  duplicate,
  splice,
  crossOver,
]
const textMutators = [...mutators, insertToken, insertToken, insertToken]

/** A few mutations, one on top of the other, of a valid encoding; sometimes plain noise. At most `sizeMax` + 1 bytes. */
export function mutate(
  random: FuzzRandom,
  bytes: Uint8Array,
  other: Uint8Array,
  options: { readonly isText?: boolean | undefined; readonly sizeMax: number },
): Uint8Array {
  if (random.below(64) === 0) return random.bytes(random.below(Math.min(options.sizeMax, 512)))
  let mutated = bytes
  // One mutation most often: a single wrong field is what hides behind checks of all the others.
  const count = random.pick([1, 1, 1, 2, 2, 3, 6])
  for (let round = 0; round < count; round++) {
    const mutator = random.pick(options.isText ? textMutators : mutators)
    if (mutated.length === 0) return random.bytes(random.below(16))
    mutated = mutator(random, mutated, other)
  }
  return mutated.length > options.sizeMax ? mutated.slice(0, options.sizeMax + 1) : mutated
}

function join(...parts: readonly Uint8Array[]): Uint8Array {
  let size = 0
  for (const part of parts) size += part.length
  const joined = new Uint8Array(size)
  let at = 0
  for (const part of parts) {
    joined.set(part, at)
    at += part.length
  }
  return joined
}
