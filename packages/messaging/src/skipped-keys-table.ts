import type { RatchetDecrypted, SkippedChain, SkippedKey, SkippedKeys } from '@miaou/crypto'
import { bytesOf, numberOf } from './row.ts'
import type { Store } from './store.ts'

/** The skipped message keys of one session, as a table. */
export class SkippedKeysTable implements SkippedKeys {
  readonly #store: Store
  readonly #session: number

  /** `session`: key of the session's row. */
  constructor(store: Store, session: number) {
    this.#store = store
    this.#session = session
  }

  chains(): readonly SkippedChain[] {
    const rows = this.#store.all(
      'SELECT chain, count(*) AS count, header_key FROM skipped_keys WHERE session = ? GROUP BY chain',
      [this.#session],
    )
    return rows.map((row) => ({
      chain: numberOf(row, 'chain'),
      headerKey: bytesOf(row, 'header_key'),
      count: numberOf(row, 'count'),
    }))
  }

  find(chain: number, number: number): SkippedKey | undefined {
    const row = this.#store.get(
      'SELECT header_key, message_key, expires_at FROM skipped_keys WHERE session = ? AND chain = ? AND number = ?',
      [this.#session, chain, number],
    )
    return (
      row && {
        chain,
        number,
        headerKey: bytesOf(row, 'header_key'),
        messageKey: bytesOf(row, 'message_key'),
        expiresAt: numberOf(row, 'expires_at'),
      }
    )
  }

  /** Writes what a decryption changed, in the order that `SkippedKeys` asks for. */
  apply(change: Pick<RatchetDecrypted, 'skippedAdded' | 'skippedUsed' | 'skippedEvicted'>): void {
    for (const { chain, number, headerKey, messageKey, expiresAt } of change.skippedAdded) {
      this.#store.run(
        `INSERT OR REPLACE INTO skipped_keys (session, chain, number, header_key, message_key, expires_at)
         VALUES (?, ?, ?, ?, ?, ?)`,
        [this.#session, chain, number, headerKey, messageKey, Math.round(expiresAt)],
      )
    }
    if (change.skippedUsed) {
      this.#store.run('DELETE FROM skipped_keys WHERE session = ? AND chain = ? AND number = ?', [
        this.#session,
        change.skippedUsed.chain,
        change.skippedUsed.number,
      ])
    }
    for (const { chain, count } of change.skippedEvicted) {
      this.#store.run(
        `DELETE FROM skipped_keys WHERE session = ? AND chain = ? AND number IN
         (SELECT number FROM skipped_keys WHERE session = ? AND chain = ? ORDER BY number LIMIT ?)`,
        [this.#session, chain, this.#session, chain, count],
      )
    }
  }
}
