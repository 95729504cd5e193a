export type { StoredKey } from './entry.ts'
export type { KeyExportError } from './export.ts'
export { parseKeyExport } from './export.ts'
export type {
  CreateKeyringError,
  CreateKeyringOptions,
  GetKeyError,
  KeyDescription,
  KeyInfo,
  OpenKeyringError,
  OpenKeyringOptions,
  PutKeyError,
} from './keyring.ts'
export { createKeyring, Keyring, openKeyring } from './keyring.ts'
export type { CostError, MemoryError, Protection, Stretch } from './lock.ts'
export { costMax, defaultCost, peekProtection } from './lock.ts'
export type { FileError } from './sealed-file.ts'
export type { SecureStorage } from './storage.ts'
export { MemoryStorage } from './storage.ts'
