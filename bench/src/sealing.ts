/**
 * What waiting in a mailbox costs a message beside its session: bytes of padding and seal (spec/sealed), and the time to
 * seal and to open (libsodium), for one text of 100 bytes and for the largest text. `--messages N` (500), `--rounds N` (5).
 */
import { randomBytes } from 'node:crypto'
import { parseArgs } from 'node:util'
import { createLibsodiumCrypto, openSealed, ratchetOverheadBytes, sealMessage } from '@miaou/crypto'
import { encodeContent, encodeEnvelope, sealedContentSize, textSizeMax } from '@miaou/protocol'
import { printFigure, spread } from './figure.ts'

const { values: flags } = parseArgs({
  options: { messages: { type: 'string', default: '500' }, rounds: { type: 'string', default: '5' } },
})
const count = Number(flags.messages)
const rounds = Number(flags.rounds)
const command = `node bench/src/sealing.ts --messages ${count} --rounds ${rounds}`
const crypto = await createLibsodiumCrypto()
const random = { bytes: (size: number): Uint8Array => Uint8Array.from(randomBytes(size)) }
const { publicKey, secretKey } = crypto.xwingKeyPair(random.bytes(32))

/** Bytes of what is sealed for a text of so many characters, in a session that stands. */
function contentSizeOf(textSize: number): number {
  const body = { type: 'text', text: 'x'.repeat(textSize), receiptRequested: true } as const
  const content = encodeContent({ messageId: random.bytes(16), sentAt: 1, body })
  const message = new Uint8Array(content.length + ratchetOverheadBytes)
  return sealedContentSize(0, [encodeEnvelope({ kind: 'ratchet', sessionId: random.bytes(16), message }).length])
}

function seal(content: Uint8Array): Uint8Array {
  const sealed = sealMessage({ crypto, random, publicKey, keyId: 1, content })
  if (!sealed.ok) throw new Error(`not sealed: ${sealed.error.type}`)
  return sealed.value
}

function open(bytes: Uint8Array): void {
  const opened = openSealed(crypto, () => secretKey, bytes)
  if (!opened.ok) throw new Error(`not opened: ${opened.error.type}`)
}

/** Microseconds each. */
function timeEach<T>(all: readonly T[], operate: (each: T) => void): number {
  const startedAt = performance.now()
  for (const each of all) operate(each)
  return ((performance.now() - startedAt) / all.length) * 1000
}

for (const [name, textSize] of [
  ['text', 100],
  ['largest', textSizeMax],
] as const) {
  const content = random.bytes(contentSizeOf(textSize))
  const size = seal(content).length
  const detail = `text of ${textSize} bytes: ${content.length} bytes with envelope and sender, ${size} sealed`
  const times = { seal: [] as number[], open: [] as number[] }
  // The first round warms up and does not count.
  for (let round = 0; round <= rounds; round++) {
    const sealed: Uint8Array[] = []
    const sealMicros = timeEach(Array.from({ length: count }), () => sealed.push(seal(content)))
    const openMicros = timeEach(sealed, open)
    if (round === 0) continue
    times.seal.push(sealMicros)
    times.open.push(openMicros)
  }
  printFigure({ name: `sealing-overhead-${name}`, value: size - content.length, unit: 'bytes', command, detail })
  printFigure({ name: `sealing-seal-${name}`, ...spread(times.seal), unit: 'µs', command, detail })
  printFigure({ name: `sealing-open-${name}`, ...spread(times.open), unit: 'µs', command, detail })
}
