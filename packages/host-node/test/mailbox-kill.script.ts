import { SqliteMessageQueue } from '../src/mailbox/sqlite-message-queue.ts'

/**
 * Deposits numbered envelopes into one box until it is killed, and prints the number of each once it is accepted; every
 * third is acknowledged, which prints `-` and its number. Arguments: file of the database, first number.
 */
const [path = '', from = '0'] = process.argv.slice(2)
const box = new Uint8Array(16).fill(1)
const opened = await SqliteMessageQueue.open({ path, key: new Uint8Array(32).fill(7) })
if (!opened.ok) throw new Error(JSON.stringify(opened.error))
const queue = opened.value
const at = Date.now()
await queue.apply([{ type: 'register', box, start: { counter: 1, nonce: new Uint8Array(16) }, at }])

function numbered(number: number, size: number): Uint8Array {
  const bytes = new Uint8Array(size).fill(number & 0xff)
  new DataView(bytes.buffer).setUint32(0, number)
  return bytes
}

/** Four lanes: groups are under way all the time. */
async function lane(first: number): Promise<void> {
  for (let number = first; ; number += 4) {
    const tokenHash = numbered(number, 16)
    const outcome = await queue.apply([
      { type: 'tokens', box, reset: false, hashes: [tokenHash] },
      { type: 'deposit', box, tokenHash, bytes: numbered(number, 1_000), at },
    ])
    const accepted = 'type' in outcome ? outcome : outcome[1]
    if (accepted?.type !== 'accepted') throw new Error(JSON.stringify(accepted))
    process.stdout.write(`${number}\n`)
    if (number % 3 !== 0) continue
    // Before it is asked for: whether it was done the kill decides.
    process.stdout.write(`-${number}\n`)
    await queue.apply([{ type: 'acknowledge', box, ids: [accepted.id] }])
  }
}

await Promise.all([0, 1, 2, 3].map((offset) => lane(Number(from) + offset)))
