/**
 * What our own code costs in time, at the peers themselves (no API between): round trip of a 100-byte text to its
 * receipt, stored on both sides; and a dial to WebRTC less what the library alone takes from offer to open, measured in
 * the same run. `--rounds N` (7), `--messages N` (300).
 */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { temporaryFolder } from '@miaou/testkit/processes'
import { median, printFigure, spread } from './figure.ts'
import type { FromPeer, ToPeer } from './message-rate-peer.ts'
import { Remote } from './processes.ts'

const { values: flags } = parseArgs({
  options: { rounds: { type: 'string', default: '7' }, messages: { type: 'string', default: '300' } },
})
const [rounds, messages] = [Number(flags.rounds), Number(flags.messages)]
const command = `node bench/src/peer-latency.ts --rounds ${rounds} --messages ${messages}`

/** Offer to open of @roamhq/wrtc between two processes, nothing of ours around it, ms. */
function rawOpenMs(): number {
  const program = fileURLToPath(new URL('./webrtc-path.ts', import.meta.url))
  const words = [program, '--rounds', '1', '--megabytes', '1', '--messages', '100', '--opens', '5']
  const { stdout } = spawnSync(process.execPath, words, { encoding: 'utf8' })
  const figures = stdout
    .trim()
    .split('\n')
    .map((line): { name: string; value: number } => JSON.parse(line))
  return figures.find(({ name }) => name === 'webrtc-path/offer to open/raw')?.value ?? Number.NaN
}

const folder = temporaryFolder()
const makePeer = (name: string): Remote<ToPeer, FromPeer> =>
  new Remote('./message-rate-peer.ts', [join(folder.path, name)])
const [alice, bob] = [makePeer('alice'), makePeer('bob')]
try {
  await Promise.all([alice.hear('ready'), bob.hear('ready')])
  bob.tell({ type: 'invite' })
  alice.tell({ type: 'add', invite: (await bob.hear('invite')).invite })
  await Promise.all([alice.hear('linked'), bob.hear('linked')])
  const roundTripMs: number[] = []
  for (let i = 0; i < messages; i++) {
    alice.tell({ type: 'run', count: 1, size: 100, window: 1 })
    roundTripMs.push((await alice.hear('ran')).ms)
  }
  const atPeer = 'from the command to the receipt, both sides stored, one text at a time'
  printFigure({
    name: 'round-trip-at-the-peer',
    ...spread(roundTripMs),
    unit: 'ms',
    goal: { atMost: 5 },
    command,
    detail: atPeer,
  })
  const dialMs: number[] = []
  for (let i = 0; i < rounds; i++) {
    // A peer gets four offers at once, then one in five seconds (spec/links): waiting keeps within it.
    if (i > 2) await new Promise((resolve) => setTimeout(resolve, 6_000))
    alice.tell({ type: 'redial' })
    dialMs.push((await alice.hear('redialled')).ms)
  }
  const rawMs = rawOpenMs()
  const own = dialMs.map((ms) => ms - rawMs)
  const warm = 'WebSocket, Noise, offer and answer, WebRTC, Noise again; both WebRTC processes run already'
  printFigure({ name: 'redial-to-webrtc', ...spread(dialMs), unit: 'ms', goal: { atMost: 200 }, command, detail: warm })
  const less = `redial-to-webrtc less the library alone from offer to open (${Math.round(median([rawMs]))} ms)`
  printFigure({ name: 'dial-own-part', ...spread(own), unit: 'ms', goal: { atMost: 30 }, command, detail: less })
  for (const peer of [alice, bob]) peer.tell({ type: 'stop' })
  await Promise.all([alice.ended(), bob.ended()])
} finally {
  alice.kill()
  bob.kill()
  folder.remove()
}
