/**
 * Deposits a second that the queue of a mailbox makes durable, through its thread, two groups under way as the service
 * has them:
 *
 *     node packages/host-node/test/measure-mailbox.ts [envelopes] [bytes] [group]
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { QueueOperation } from '@miaou/network'
import { SqliteMessageQueue } from '../src/mailbox/sqlite-message-queue.ts'

const [count = 20_000, size = 2_048, groupSize = 64] = process.argv.slice(2).map(Number)
const directory = mkdtempSync(join(process.env['MEASURE_DIR'] ?? tmpdir(), 'miaou-mailbox-'))
const boxes = Array.from({ length: Math.max(16, Math.ceil(count / 10_000)) }, (_, at) =>
  new Uint8Array(16).fill(at + 1),
)
const at = Date.now()

function numbered(number: number): Uint8Array {
  const hash = crypto.getRandomValues(new Uint8Array(16))
  new DataView(hash.buffer).setUint32(0, number)
  return hash
}

const opened = await SqliteMessageQueue.open({ path: join(directory, 'mailbox.db'), key: new Uint8Array(32).fill(1) })
if (!opened.ok) throw new Error(JSON.stringify(opened.error))
const queue = opened.value
const hashes = Array.from({ length: count }, (_, number) => numbered(number))
const boxOf = (number: number): Uint8Array => boxes[number % boxes.length] as Uint8Array
for (const box of boxes) await queue.apply([{ type: 'register', box, start: { counter: 1, nonce: numbered(1) }, at }])
for (const [index, box] of boxes.entries()) {
  const own = hashes.filter((_, number) => number % boxes.length === index)
  await queue.apply([{ type: 'tokens', box, reset: false, hashes: own }])
}

async function measure(name: string, groups: readonly (readonly QueueOperation[])[]): Promise<void> {
  const done = groups.reduce((sum, { length }) => sum + length, 0)
  const started = performance.now()
  let next = 0
  const lane = async (): Promise<void> => {
    for (let group = groups[next++]; group !== undefined; group = groups[next++]) {
      const outcome = await queue.apply(group)
      if ('type' in outcome) throw new Error(outcome.detail)
      const refused = outcome.find(({ type }) => type === 'refused')
      if (refused !== undefined) throw new Error(JSON.stringify(refused))
    }
  }
  await Promise.all([lane(), lane()])
  const seconds = (performance.now() - started) / 1_000
  process.stdout.write(`${name}: ${Math.round(done / seconds)}/s (${done} in groups of ${groupSize})\n`)
}

function grouped(operations: readonly QueueOperation[]): QueueOperation[][] {
  const groups: QueueOperation[][] = []
  for (let from = 0; from < operations.length; from += groupSize) groups.push(operations.slice(from, from + groupSize))
  return groups
}

const bytesOf = (): Uint8Array => crypto.getRandomValues(new Uint8Array(size))
await measure(
  `deposits of ${size} bytes`,
  grouped(hashes.map((tokenHash, n) => ({ type: 'deposit', box: boxOf(n), tokenHash, bytes: bytesOf(), at }))),
)
await measure(
  'acknowledged, one by one',
  grouped(hashes.map((_, n) => ({ type: 'acknowledge', box: boxOf(n), ids: [Math.floor(n / boxes.length) + 1] }))),
)
process.stdout.write(`${JSON.stringify(queue.totals())}\n`)
await queue.close()
rmSync(directory, { recursive: true, force: true })
