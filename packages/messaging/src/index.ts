export type { SqlRow, SqlValue, Store, StoreErrorKind } from './store.ts'
export { StoreFailure } from './store.ts'
