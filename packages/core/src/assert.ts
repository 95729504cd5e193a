/** Thrown when an invariant of our own breaks. Never thrown for what a peer or a user did. */
export class AssertionError extends Error {
  override readonly name = 'AssertionError'
}

/** States an invariant of ours; stays on in production. The message names the invariant, never a secret. */
export function assert(condition: unknown, invariant: string): asserts condition {
  if (!condition) throw new AssertionError(invariant)
}

/** Marks a branch that the type system proves unreachable. */
export function unreachable(value: never): never {
  throw new AssertionError(`unreachable: ${typeof value}`)
}
