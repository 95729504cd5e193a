import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { QueueOperation } from '@miaou/network'
import { SqliteMessageQueue } from '../src/mailbox/sqlite-message-queue.ts'

/**
 * Run inside a mount namespace where the folder given is a file system of a few megabytes: deposits groups of four until
 * the disk is full, looks at what is there, goes on after room is made, and opens everything again. Prints one JSON line.
 */
export interface MailboxDiskFullReport {
  /** Envelopes accepted before the disk was full. */
  readonly accepted: number
  readonly isRefusedAgain: boolean
  /** Envelopes of which it was rid while the disk was full: half of them. */
  readonly deletedWhileFull: number
  /** The number behind the last envelope while the disk was full, after room was made, and after opening again. */
  readonly readWhileFull: number
  readonly acceptedLater: number
  readonly readLater: number
  readonly readAgain: number
}

const box = new Uint8Array(16).fill(1)
const at = 1_700_000_000_000

async function open(directory: string): Promise<SqliteMessageQueue> {
  const opened = await SqliteMessageQueue.open({ path: join(directory, 'mailbox.db'), key: new Uint8Array(32).fill(7) })
  if (!opened.ok) throw new Error(JSON.stringify(opened.error))
  return opened.value
}

function group(first: number): QueueOperation[] {
  return [0, 1, 2, 3].flatMap((offset) => {
    const bytes = new Uint8Array(9_000)
    new DataView(bytes.buffer).setUint32(0, first + offset)
    const tokenHash = bytes.slice(0, 16)
    return [
      { type: 'tokens', box, reset: false, hashes: [tokenHash] },
      { type: 'deposit', box, tokenHash, bytes, at },
    ] as const
  })
}

/** The number behind the last one, provided that all from the first one on are there. */
async function count(queue: SqliteMessageQueue, from: number): Promise<number> {
  let [seen, after] = [from, 0]
  for (;;) {
    const outcome = await queue.apply([{ type: 'read', box, after, countMax: 100, bytesMax: 1 << 20 }])
    const read = 'type' in outcome ? outcome : outcome[0]
    if (read?.type !== 'envelopes') throw new Error(JSON.stringify(read))
    for (const { id, bytes } of read.envelopes) {
      if (new DataView(bytes.buffer, bytes.byteOffset).getUint32(0) !== seen)
        throw new Error(`envelope ${seen} is missing`)
      seen += 1
      after = id
    }
    if (read.envelopes.length === 0) return seen
  }
}

async function run(directory: string): Promise<MailboxDiskFullReport> {
  const ballast = join(directory, 'ballast')
  writeFileSync(ballast, new Uint8Array(4 * 1024 * 1024))
  const queue = await open(directory)
  await queue.apply([{ type: 'register', box, start: { counter: 1, nonce: new Uint8Array(16) }, at }])
  let accepted = 0
  const isTaken = async (first: number): Promise<boolean> => {
    const outcome = await queue.apply(group(first))
    return !('type' in outcome) && outcome.every(({ type }) => type !== 'refused')
  }
  while (accepted < 10_000 && (await isTaken(accepted))) accepted += 4
  const isRefusedAgain = !(await isTaken(accepted))
  const readWhileFull = await count(queue, 0)
  const acknowledged = Math.floor(readWhileFull / 2)
  let deletedWhileFull = 0
  for (let id = 1; id <= acknowledged; id++) {
    const outcome = await queue.apply([{ type: 'acknowledge', box, ids: [id] }])
    if (!('type' in outcome)) deletedWhileFull += 1
  }
  rmSync(ballast)
  await queue.apply([{ type: 'expire', at }])
  let acceptedLater = 0
  for (let turn = 0; turn < 10; turn++) if (await isTaken(accepted + acceptedLater)) acceptedLater += 4
  const readLater = await count(queue, acknowledged)
  await queue.close()
  const again = await open(directory)
  const readAgain = await count(again, acknowledged)
  await again.close()
  return { accepted, isRefusedAgain, readWhileFull, deletedWhileFull, acceptedLater, readLater, readAgain }
}

if (import.meta.main) {
  const [directory] = process.argv.slice(2)
  if (directory === undefined) throw new Error('give the folder to fill')
  process.stdout.write(`${JSON.stringify(await run(directory))}\n`)
}
