/**
 * Sessions alone, without link, disk and people: our PQXDH and ratchet with encrypted headers (libsodium) beside
 * libsignal-client, in turns within one run. `oneWay`: one side sends all, so that a message costs symmetric steps only;
 * `pingPong`: each message answers the one before, so that each turns the ratchet; `start`: prekeys, agreement, one
 * message each way. `--messages N` (2000), `--rounds N` (5), `--size BYTES` (100).
 */
import { parseArgs } from 'node:util'
import { median, printFigure, spread } from './figure.ts'
import { libsignalName, loadLibsignal } from './libsignal.ts'
import { type Contender, ownContender, type SessionSide, signalContender } from './session-pair.ts'

const { values: flags } = parseArgs({
  options: {
    messages: { type: 'string', default: '2000' },
    rounds: { type: 'string', default: '5' },
    size: { type: 'string', default: '100' },
  },
})
const count = Number(flags.messages)
const rounds = Number(flags.rounds)
const text = new Uint8Array(Number(flags.size)).fill(0x6d)
const command = `node bench/src/sessions.ts --messages ${count} --rounds ${rounds} --size ${text.length}`

async function pass(from: SessionSide, to: SessionSide): Promise<void> {
  const plaintext = await to.decrypt(await from.encrypt(text))
  if (plaintext.length !== text.length) throw new Error('another text came out')
}

/** Operations a second. */
async function rate(operations: number, operate: (index: number) => Promise<unknown>): Promise<number> {
  const startedAt = performance.now()
  for (let index = 0; index < operations; index++) await operate(index)
  return (operations / (performance.now() - startedAt)) * 1000
}

const kinds = ['oneWay', 'pingPong', 'start'] as const
type Kind = (typeof kinds)[number]
type Rates = Record<Kind, number[]>

async function measureRound(contender: Contender, rates: Rates): Promise<void> {
  const { alice, bob } = await contender.start()
  rates.oneWay.push(await rate(count, () => pass(alice, bob)))
  rates.pingPong.push(await rate(count, (index) => (index % 2 === 0 ? pass(bob, alice) : pass(alice, bob))))
  rates.start.push(await rate(Math.max(1, Math.ceil(count / 40)), () => contender.start()))
}

const details: Record<Kind, string> = {
  oneWay: `${text.length}-byte texts, all in one direction, encrypt + decrypt, state through bytes each time`,
  pingPong: `${text.length}-byte texts, each an answer to the one before, encrypt + decrypt, state through bytes each time`,
  start: 'prekeys of one device, agreement, one message each way',
}

const own = await ownContender()
const library = loadLibsignal()
const contenders = library === undefined ? [own] : [own, signalContender(library)]
const ratesOf = new Map<Contender, Rates>()
for (const contender of contenders) ratesOf.set(contender, { oneWay: [], pingPong: [], start: [] })
// The first round warms both up and does not count.
for (let round = 0; round <= rounds; round++) {
  const order = round % 2 === 0 ? contenders : contenders.toReversed()
  for (const contender of order) {
    const rates = ratesOf.get(contender)
    if (rates === undefined) continue
    if (round === 0) await measureRound(contender, { oneWay: [], pingPong: [], start: [] })
    else await measureRound(contender, rates)
  }
}
const names: Record<Kind, string> = { oneWay: 'one-way', pingPong: 'ping-pong', start: 'start' }
for (const kind of kinds) {
  for (const [{ name }, rates] of ratesOf) {
    const detail = name === 'libsignal' ? `${libsignalName}: ${details[kind]}` : details[kind]
    printFigure({ name: `sessions-${names[kind]}-${name}`, ...spread(rates[kind]), unit: '1/s', command, detail })
  }
  const [ours, theirs] = [...ratesOf.values()].map((rates) => rates[kind])
  if (ours === undefined || theirs === undefined) continue
  printFigure({
    name: `sessions-${names[kind]}-ratio`,
    ...spread(ours.map((value, round) => value / (theirs[round] ?? Number.NaN))),
    unit: '× libsignal',
    command,
    detail: `round by round; medians ${Math.round(median(ours))} and ${Math.round(median(theirs))} 1/s`,
  })
}
