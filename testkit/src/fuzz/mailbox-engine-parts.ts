import { concatBytes } from '@miaou/core'
import type { Crypto } from '@miaou/crypto'
import { encodeMailboxMessage } from '@miaou/protocol'
import { createMailboxSamples } from './mailbox-samples.ts'
import { sampleBytes } from './samples.ts'
import type { FuzzTarget, Outcome } from './target.ts'

/** First byte of an input: what is done with the rest. Second: by whom; third: a detail. */
export const deeds = { say: 0, raw: 1, act: 2, pause: 3 } as const
/** Kinds of deeds. */
export const deedCount = Object.keys(deeds).length
/** Bytes before the rest. */
export const headerSize = 3
/** How long a pause may be. */
export const pauseMs = [1, 60, 1_100, 5_001, 21_000, 61_000, 700_000] as const
/** What passes with each input, ms. */
export const stepMs = 5

/** What both engines have in common: every message as a seed, and what it may cost. */
export function mailboxEngineTarget(
  crypto: Crypto,
  run: { readonly play: (bytes: Uint8Array) => Outcome },
): Omit<FuzzTarget, 'name'> {
  const { messages } = createMailboxSamples(crypto)
  const input = (deed: number, who: number, detail: number, rest: Uint8Array = new Uint8Array(0)) =>
    concatBytes(Uint8Array.of(deed, who, detail), rest)
  return {
    seeds: [
      ...messages.map((message, at) => input(deeds.say, at, at, encodeMailboxMessage(message))),
      ...[30, 300].map((size) => input(deeds.raw, 1, 0, sampleBytes(crypto, `raw ${size}`, size))),
      ...Array.from({ length: 16 }, (_, at) => input(deeds.act, at, at, sampleBytes(crypto, `act ${at}`, 60))),
      ...pauseMs.map((_, at) => input(deeds.pause, 0, at)),
    ],
    decode: (bytes) => run.play(bytes),
    sizeMax: 3_000,
    weight: 0.2,
    // Queues and tables of the engine and of both ends of its links grow now and then.
    slackBytes: 16 * 1024 * 1024,
  }
}

/** The number of a request, which stands behind the kind: a message of the fuzzer names one that exists, mostly. */
export function withRequest(payload: Uint8Array, request: number | undefined, detail: number): Uint8Array {
  if (request === undefined || detail >= 224 || payload.length < 5) return payload
  const changed = payload.slice()
  new DataView(changed.buffer).setUint32(1, request)
  return changed
}
