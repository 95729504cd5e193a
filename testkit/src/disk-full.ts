import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { StoreFailure } from '@miaou/messaging'
import { openSqliteStore, type SqliteStore } from '../../packages/host-node/src/store/sqlite-store.ts'

/**
 * Run inside a mount namespace where the folder given is a file system of a few megabytes: fills it with messages, one
 * transaction each, goes on after room is made, and reads everything back. Prints what happened as one JSON line.
 *
 *     unshare -m sh -c 'mount -t tmpfs -o size=4m none DIR && node testkit/src/disk-full.ts DIR'
 */
export interface DiskFullReport {
  /** Messages accepted before the disk was full. */
  readonly accepted: number
  /** `StoreFailure.kind` of the first refusal and of the one after it. */
  readonly refusals: readonly string[]
  /** Messages accepted after room was made. */
  readonly acceptedLater: number
  /** Whole messages read while the disk was full, and after closing and opening again. */
  readonly readWhileFull: number
  readonly readAfterReopening: number
  readonly damage: string | undefined
}

const key = new Uint8Array(32).fill(3)
const body = 'm'.repeat(700)

function open(directory: string): SqliteStore {
  const opened = openSqliteStore({ path: join(directory, 'miaou.db'), key })
  if (!opened.ok) throw new Error(JSON.stringify(opened.error))
  return opened.value
}

function add(store: SqliteStore, id: number): string | undefined {
  try {
    store.transaction(() => {
      store.run('INSERT INTO message (id, body) VALUES (?, ?)', [id, body])
      store.run('UPDATE ratchet SET step = ?', [id])
    })
    return undefined
  } catch (thrown) {
    return thrown instanceof StoreFailure ? thrown.kind : String(thrown)
  }
}

function fill(store: SqliteStore, from: number, most: number): { next: number; refusal: string | undefined } {
  for (let id = from; id < from + most; id++) {
    const refusal = add(store, id)
    if (refusal !== undefined) return { next: id, refusal }
  }
  return { next: from + most, refusal: undefined }
}

/** Messages that are whole, provided that the ratchet stands exactly at the last of them. */
function readBack(store: SqliteStore): number {
  const count = store.get('SELECT count(*) AS n, max(id) AS last FROM message WHERE body = ?', [body])
  const ratchet = store.get('SELECT step FROM ratchet')
  if (count?.['last'] !== ratchet?.['step']) throw new Error('the ratchet and the messages have parted')
  return Number(count?.['n'])
}

function run(directory: string): DiskFullReport {
  const ballast = join(directory, 'ballast')
  writeFileSync(ballast, new Uint8Array(1024 * 1024))
  const store = open(directory)
  store.script('CREATE TABLE message (id INTEGER PRIMARY KEY, body TEXT); CREATE TABLE ratchet (step INTEGER)')
  store.script('INSERT INTO ratchet VALUES (0)')
  const filled = fill(store, 1, 1_000_000)
  const refusals = [filled.refusal ?? 'none', add(store, filled.next) ?? 'none']
  const readWhileFull = readBack(store)
  rmSync(ballast)
  const later = fill(store, filled.next, 50)
  const total = later.next - 1
  store.close()
  const again = open(directory)
  const readAfterReopening = readBack(again)
  const damage = again.findDamage()
  again.close()
  const accepted = filled.next - 1
  return { accepted, refusals, acceptedLater: total - accepted, readWhileFull, readAfterReopening, damage }
}

if (import.meta.main) {
  const [directory] = process.argv.slice(2)
  if (directory === undefined) throw new Error('give the folder to fill')
  process.stdout.write(`${JSON.stringify(run(directory))}\n`)
}
