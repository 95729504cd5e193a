import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import type { QueueLimits, QueueOperation } from '@miaou/network'
import { describeMessageQueueContract } from '@miaou/testkit'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { SqliteMessageQueue } from '../src/mailbox/sqlite-message-queue.ts'

const key = new Uint8Array(32).fill(7)
const box = new Uint8Array(16).fill(1)
const at = 1_700_000_000_000
const start = { counter: 1, nonce: new Uint8Array(16) }

async function openQueue(
  directory: string,
  limits: Partial<QueueLimits> = {},
  pageCountMax?: number,
): Promise<SqliteMessageQueue> {
  const path = join(directory, 'mailbox.db')
  const opened = await SqliteMessageQueue.open({
    path,
    key,
    limits,
    reserveBytes: 4_096,
    ...(pageCountMax && { pageCountMax }),
  })
  if (!opened.ok) throw new Error(JSON.stringify(opened.error))
  return opened.value
}

describeMessageQueueContract('SQLite in a thread, encrypted', () => {
  const directory = mkdtempSync(join(tmpdir(), 'miaou-mailbox-'))
  return {
    open: (limits) => openQueue(directory, limits),
    dispose: () => rmSync(directory, { recursive: true, force: true }),
  }
})

describe('the queue of a mailbox on the disk', () => {
  let directory = ''

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'miaou-mailbox-'))
  })

  afterEach(() => rmSync(directory, { recursive: true, force: true }))

  test('[MB50] nothing of it lies open on the disk, and another key opens nothing', async () => {
    const queue = await openQueue(directory)
    const bytes = new TextEncoder().encode('a sealed message, as far as the disk knows')
    await queue.apply([
      { type: 'register', box, start, at },
      { type: 'deposit', box, tokenHash: undefined, bytes, at },
    ])
    for (const name of readdirSync(directory)) {
      expect(readFileSync(join(directory, name)).includes(Buffer.from(bytes))).toBe(false)
      expect(readFileSync(join(directory, name)).includes(Buffer.from(box))).toBe(false)
    }
    const path = join(directory, 'mailbox.db')
    expect(await SqliteMessageQueue.open({ path, key })).toMatchObject({ ok: false, error: { type: 'in-use' } })
    await queue.close()
    const other = await SqliteMessageQueue.open({ path, key: new Uint8Array(32).fill(8) })
    expect(other).toMatchObject({ ok: false, error: { type: 'wrong-key' } })
  })

  test('[MB84] killed at any moment it has all that was accepted, and numbers go on', async () => {
    const path = join(directory, 'mailbox.db')
    const accepted = new Set<number>()
    const asked = new Set<number>()
    let from = 0
    for (let round = 0; round < 4; round++) {
      const lines = await killedAfter(path, from, 60 + 120 * round)
      for (const line of lines) (line.startsWith('-') ? asked : accepted).add(Math.abs(Number(line)))
      from += 100_000
      const queue = await openQueue(directory)
      const { numbers, ids } = await readAll(queue)
      const lost = [...accepted].filter((number) => !numbers.includes(number) && !asked.has(number))
      expect(lost).toEqual([])
      expect(new Set(ids).size).toBe(ids.length)
      expect(new Set(numbers).size).toBe(numbers.length)
      expect([...ids].sort((a, b) => a - b)).toEqual(ids)
      expect(queue.totals().envelopes).toBe(numbers.length)
      await queue.close()
    }
    expect(accepted.size).toBeGreaterThan(500)
  }, 120_000)

  test('[MB83] whose thread ends fails what is under way and what comes, and has what it said it has', async () => {
    const threads = new Set<Worker>()
    const { postMessage } = Worker.prototype
    vi.spyOn(Worker.prototype, 'postMessage').mockImplementation(function (this: Worker, ...given) {
      threads.add(this)
      postMessage.apply(this, given)
    })
    const queue = await openQueue(directory)
    const deposit = (n: number): QueueOperation => {
      return { type: 'deposit', box, tokenHash: undefined, bytes: new Uint8Array(100).fill(n), at }
    }
    await queue.apply([{ type: 'register', box, start, at }, deposit(1)])
    vi.restoreAllMocks()
    const [thread] = threads
    const ended = thread?.terminate()
    const underWay = Promise.all([2, 3, 4].map((n) => queue.apply([deposit(n)])))
    for (const outcome of await underWay) expect(outcome).toMatchObject({ type: 'failed', kind: 'failed' })
    await ended
    expect(queue.isGone).toBe(true)
    expect(await queue.apply([deposit(5)])).toMatchObject({ type: 'failed', detail: 'its thread ended' })
    await queue.close()
    const again = await openQueue(directory)
    expect((await readAll(again)).ids).toContain(1)
    await again.close()
  })

  test('[MB85] a group that finds no room is not done at all, and its tokens are as they were', async () => {
    const queue = await openQueue(directory, {}, 60)
    const hash = (n: number) => new Uint8Array(16).fill(n)
    const deposit = (n: number): QueueOperation => {
      return { type: 'deposit', box, tokenHash: hash(n), bytes: new Uint8Array(20_000).fill(n), at }
    }
    await queue.apply([
      { type: 'register', box, start, at },
      { type: 'tokens', box, reset: false, hashes: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12].map(hash) },
      deposit(1),
    ])
    const before = queue.totals()
    const tooMuch = [2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12].map(deposit)
    expect(await queue.apply(tooMuch)).toEqual(tooMuch.map(() => ({ type: 'refused', reason: 'full' })))
    expect(queue.totals()).toEqual(before)
    expect((await readAll(queue)).ids).toEqual([1])
    // What is acknowledged makes room, which is taken again at the next `expire`.
    for (let n = 2; n < 13; n++) {
      const [id = 0] = (await readAll(queue)).ids
      expect(await queue.apply([{ type: 'acknowledge', box, ids: [id] }])).toEqual([{ type: 'done' }])
      await queue.apply([{ type: 'expire', at }])
      expect(await queue.apply([deposit(n)])).toMatchObject([{ type: 'accepted', repeated: false }])
    }
    await queue.close()
  })

  test('[MB57] ten thousand boxes are opened again with their counts', async () => {
    const queue = await openQueue(directory)
    const names = Array.from({ length: 10_000 }, (_, number) => {
      const name = new Uint8Array(16)
      new DataView(name.buffer).setUint32(0, number)
      return name
    })
    for (let from = 0; from < names.length; from += 500) {
      await queue.apply(
        names.slice(from, from + 500).flatMap((name, offset): QueueOperation[] => [
          { type: 'register', box: name, start, at },
          { type: 'deposit', box: name, tokenHash: undefined, bytes: new Uint8Array(100 + offset).fill(offset), at },
        ]),
      )
    }
    const totals = queue.totals()
    expect(totals).toMatchObject({ boxes: 10_000, envelopes: 10_000 })
    await queue.close()
    const again = await openQueue(directory, { boxesMax: 10_000 })
    expect(again.totals()).toEqual(totals)
    const name = new Uint8Array(16).fill(9)
    expect(await again.apply([{ type: 'register', box: name, start, at }])).toEqual([
      { type: 'refused', reason: 'full' },
    ])
    await again.close()
  })
})

async function readAll(queue: SqliteMessageQueue): Promise<{ numbers: number[]; ids: number[] }> {
  const [numbers, ids]: [number[], number[]] = [[], []]
  for (;;) {
    const after = ids.at(-1) ?? 0
    const outcome = await queue.apply([{ type: 'read', box, after, countMax: 1_000, bytesMax: 1 << 24 }])
    const read = 'type' in outcome ? outcome : outcome[0]
    if (read?.type !== 'envelopes') throw new Error(JSON.stringify(read))
    if (read.envelopes.length === 0) return { numbers, ids }
    for (const { id, bytes } of read.envelopes) {
      ids.push(id)
      numbers.push(new DataView(bytes.buffer, bytes.byteOffset).getUint32(0))
    }
  }
}

/** What the script printed before it was killed, after so many lines. */
function killedAfter(path: string, from: number, lineCount: number): Promise<string[]> {
  const script = join(import.meta.dirname, 'mailbox-kill.script.ts')
  const child: ChildProcess = spawn(process.execPath, [script, path, String(from)], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, NODE_OPTIONS: '' },
  })
  let text = ''
  child.stdout?.setEncoding('utf8')
  child.stdout?.on('data', (chunk: string) => {
    text += chunk
    if (text.split('\n').length > lineCount) child.kill('SIGKILL')
  })
  return new Promise((resolve) => {
    // The last line may have been cut off.
    child.once('close', () => resolve(text.split('\n').slice(0, -1)))
  })
}
