/**
 * The part of better-sqlite3-multiple-ciphers 13.0.3 that we use. Its own declarations are not reachable: its
 * package.json names them beside `exports`, where TypeScript does not look.
 */
declare module 'better-sqlite3-multiple-ciphers' {
  export interface Statement {
    run(...parameters: readonly unknown[]): { readonly changes: number; readonly lastInsertRowid: number | bigint }
    get(...parameters: readonly unknown[]): unknown
    all(...parameters: readonly unknown[]): unknown[]
  }

  export default class Database {
    constructor(path: string, options?: { readonly timeout?: number; readonly readonly?: boolean })
    readonly open: boolean
    readonly inTransaction: boolean
    readonly readonly: boolean
    key(key: Uint8Array): number
    pragma(source: string): unknown
    prepare(source: string): Statement
    exec(source: string): this
    close(): this
  }
}
