export type SqlValue = string | number | Uint8Array | null

export type SqlRow = Readonly<Record<string, SqlValue>>

export type StoreErrorKind =
  /** The disk or the size limit is reached: nothing was written. */
  | 'full'
  /** The file is damaged, or the key is wrong. */
  | 'damaged'
  /** The operating system refused to read or write. */
  | 'io'
  /** A row broke a rule of the schema: our own bug. */
  | 'constraint'

/**
 * Thrown by the store inside a transaction, so that the transaction unwinds and rolls back. It is the one exception to
 * "libraries return errors": it is caught where the transaction was opened, and nowhere else.
 */
export class StoreFailure extends Error {
  override readonly name = 'StoreFailure'
  readonly kind: StoreErrorKind

  constructor(kind: StoreErrorKind, message: string) {
    super(message)
    this.kind = kind
  }
}

/**
 * Port: one SQL database (SQLite 3.45 or newer with FTS5), encrypted at rest, with one writer. Synchronous, as SQLite is
 * in Node and in a browser's Worker. Statements are prepared once and cached by their text: use parameters (`?`).
 * Integers come back as numbers; BLOBs as `Uint8Array`. Every method may throw `StoreFailure`.
 */
export interface Store {
  run(sql: string, parameters?: readonly SqlValue[]): { readonly changes: number; readonly lastInsertRowid: number }
  get(sql: string, parameters?: readonly SqlValue[]): SqlRow | undefined
  all(sql: string, parameters?: readonly SqlValue[]): readonly SqlRow[]
  /** Several statements without parameters (migrations). */
  script(sql: string): void
  /** Durable when it returns (synchronous=FULL). A throw inside rolls everything back and is thrown on. Not nested. */
  transaction<T>(body: () => T): T
  close(): void
}
