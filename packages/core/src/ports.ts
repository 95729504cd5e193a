/**
 * Time as engines see it. The host reads the clocks once per `handle` and passes both.
 * `mono`: monotonic milliseconds, for timers. `wall`: milliseconds since the Unix epoch, for what is stored or shown.
 */
export interface Now {
  readonly mono: number
  readonly wall: number
}

/** Port: the operating system's clocks. Only hosts and apps call it. */
export interface Clock {
  now(): Now
}

/** Port: a cryptographically secure generator, for keys, nonces and ids. Never seeded outside tests. */
export interface Random {
  /** `size` fresh random bytes. */
  bytes(size: number): Uint8Array
}

/** Port: jitter for timers, in [0, 1). Seeded in simulations; never used for anything secret. */
export interface Jitter {
  next(): number
}

export type LogLevel = 'debug' | 'info' | 'warn' | 'error'

/** Port: diagnostics for the person who runs the peer. Facts never hold a key or a message's text. */
export interface Log {
  write(level: LogLevel, event: string, facts?: Readonly<Record<string, string | number | boolean>>): void
}
