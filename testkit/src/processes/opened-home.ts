import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createLibsodiumCrypto } from '@miaou/crypto'
import { fileSecureStorage, openSqliteStore, systemRandom } from '@miaou/host-node'
import { openKeyring } from '@miaou/keyring'
import type { SqlRow } from '@miaou/messaging'

/** The names and bytes of all files of a folder, as whoever has its disk sees them. */
export function filesUnder(folder: string): readonly (readonly [path: string, bytes: Buffer])[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => {
      const path = join(entry.parentPath, entry.name)
      return [path, readFileSync(path)]
    })
}

/** Every row of every table of a database that lies at `path`, by table. */
export function tablesOf(path: string, key: Uint8Array): ReadonlyMap<string, readonly SqlRow[]> {
  const opened = openSqliteStore({ path, key, readonly: true })
  if (!opened.ok) throw new Error(JSON.stringify(opened.error))
  try {
    const names = opened.value.all(`SELECT name FROM sqlite_master WHERE type = 'table'`).map(({ name }) => `${name}`)
    return new Map(names.map((name) => [name, opened.value.all(`SELECT * FROM "${name}"`)]))
  } finally {
    opened.value.close()
  }
}

/** The same of the database of a home that no passphrase protects, and that no process holds. */
export async function tablesOfHome(home: string): Promise<ReadonlyMap<string, readonly SqlRow[]>> {
  const crypto = await createLibsodiumCrypto()
  const storage = fileSecureStorage(join(home, 'keys'))
  const keyring = openKeyring({ crypto, random: systemRandom, storage, passphrase: undefined })
  if (!keyring.ok) throw new Error(JSON.stringify(keyring.error))
  try {
    return tablesOf(join(home, 'miaou.db'), keyring.value.storeKey('database'))
  } finally {
    keyring.value.close()
  }
}
