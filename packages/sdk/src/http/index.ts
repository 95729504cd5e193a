export type { HttpConnectionOptions } from './connection.ts'
export { httpConnection } from './connection.ts'
export type { HttpTarget } from './target.ts'
