export type { SqliteStore, SqliteStoreOptions, StoreError } from './store/sqlite-store.ts'
export { openSqliteStore, storeKeySize } from './store/sqlite-store.ts'
