/** What a decoder says; every decoder of the house returns one of these and never throws. */
export type Outcome =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly error: { readonly type: string } }

/** One decoder under test. */
export interface FuzzTarget {
  readonly name: string
  /** Valid encodings: where mutation starts. */
  readonly seeds: readonly Uint8Array[]
  readonly decode: (bytes: Uint8Array) => Outcome
  /** Bytes of an accepted value; decoding them must give an equal value. Absent where a value has no encoder. */
  readonly encode?: (value: unknown) => Uint8Array
  /** The part of a value that survives `encode` (a signature made anew does not). Default: all of it. */
  readonly comparable?: (value: unknown) => unknown
  /** Makes checksum or signature right again, so that mutations reach what lies behind them. */
  readonly repair?: (bytes: Uint8Array) => Uint8Array
  /** An accepted input must be one of the seeds (signed and sealed structures, on inputs that were not repaired). */
  readonly isSealed?: boolean
  /** Longest input worth trying. */
  readonly sizeMax: number
  /** Share of the cases; 1 for a plain decoder, less for one that computes curves. */
  readonly weight: number
  /** Most bytes of arrays that one call may allocate beyond 64 × the input. */
  readonly slackBytes?: number
  readonly isText?: boolean
}

/** A typed target: the casts live here, once. */
export function defineTarget<T>(
  target: Omit<FuzzTarget, 'encode' | 'comparable'> & {
    readonly encode?: (value: T) => Uint8Array
    readonly comparable?: (value: T) => unknown
  },
): FuzzTarget {
  return target as FuzzTarget
}
