/**
 * Delivered, stored-on-both-sides texts a second in one conversation: two peers in two processes, WebRTC on loopback,
 * SQLite on disk, beside libsignal-client (encrypt + decrypt alone) and a raw @roamhq/wrtc channel in the same run.
 * `--messages N` (20000), `--rounds N` (3), `--size BYTES` (100), `--window N` (512), `--no-peers`, `--profile FOLDER`
 * (a V8 CPU profile of the last round of each side).
 */
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { temporaryFolder } from '@miaou/testkit/processes'
import { printFigure, spread } from './figure.ts'
import { libsignalName, loadLibsignal } from './libsignal.ts'
import type { FromPeer, ToPeer } from './message-rate-peer.ts'
import { cpuMsOf, processTree, Remote } from './processes.ts'
import { RawChannel } from './raw-channel.ts'
import { ownContender, type SessionPair, signalContender } from './session-pair.ts'

const { values: flags } = parseArgs({
  options: {
    messages: { type: 'string', default: '20000' },
    rounds: { type: 'string', default: '3' },
    size: { type: 'string', default: '100' },
    window: { type: 'string', default: '512' },
    'no-peers': { type: 'boolean', default: false },
    profile: { type: 'string' },
  },
})
const count = Number(flags.messages)
const rounds = Number(flags.rounds)
const size = Number(flags.size)
const window = Number(flags.window)
const command = `node bench/src/message-rate.ts --messages ${count} --rounds ${rounds} --size ${size} --window ${window}`

type Peer = Remote<ToPeer, FromPeer>
const figures = {
  rate: [] as number[],
  /** CPU µs a message, by process. */
  senderCpu: [] as number[],
  receiverCpu: [] as number[],
  senderChildCpu: [] as number[],
  receiverChildCpu: [] as number[],
  session: [] as number[],
  libsignal: [] as number[],
  raw: [] as number[],
}

async function measureOurs(alice: Peer, bob: Peer, round: number): Promise<void> {
  const [aliceTree, bobTree] = [processTree(alice.pid), processTree(bob.pid)]
  const cpuMs = () => [aliceTree.slice(0, 1), bobTree.slice(0, 1), aliceTree.slice(1), bobTree.slice(1)].map(cpuMsOf)
  const before = cpuMs()
  alice.tell({ type: 'run', count, size, window })
  const { ms } = await alice.hear('ran')
  const used = cpuMs().map((value, index) => ((value - (before[index] ?? 0)) / count) * 1000)
  bob.tell({ type: 'count' })
  const { messages } = await bob.hear('count')
  if (messages !== (round + 1) * count) throw new Error(`${messages} of ${(round + 1) * count} were received`)
  figures.rate.push((count / ms) * 1000)
  const kinds = ['senderCpu', 'receiverCpu', 'senderChildCpu', 'receiverChildCpu'] as const
  for (const [index, kind] of kinds.entries()) figures[kind].push(used[index] ?? 0)
}

async function sessionRate({ alice, bob }: SessionPair): Promise<number> {
  const text = new Uint8Array(size).fill(0x6d)
  const startedAt = performance.now()
  for (let index = 0; index < count; index++) await bob.decrypt(await alice.encrypt(text))
  return (count / (performance.now() - startedAt)) * 1000
}

async function befriend(alice: Peer, bob: Peer): Promise<void> {
  await Promise.all([alice.hear('ready'), bob.hear('ready')])
  bob.tell({ type: 'invite' })
  alice.tell({ type: 'add', invite: (await bob.hear('invite')).invite })
  await Promise.all([alice.hear('linked'), bob.hear('linked')])
}

async function measure(folder: string): Promise<void> {
  const makePeer = (name: string): Peer => new Remote('./message-rate-peer.ts', [join(folder, name)])
  const [alice, bob] = [makePeer('alice'), makePeer('bob')]
  try {
    await befriend(alice, bob)
    const library = flags['no-peers'] ? undefined : loadLibsignal()
    const raw = flags['no-peers'] ? undefined : await RawChannel.open()
    const session = await (await ownContender()).start()
    const rival = library === undefined ? undefined : await signalContender(library).start()
    for (let round = 0; round < rounds; round++) {
      const isProfiled = flags.profile !== undefined && round === rounds - 1
      if (isProfiled) await profile(alice, bob, true)
      await measureOurs(alice, bob, round)
      if (isProfiled) await profile(alice, bob, false)
      figures.session.push(await sessionRate(session))
      if (rival !== undefined) figures.libsignal.push(await sessionRate(rival))
      if (raw !== undefined) figures.raw.push(await raw.rate(count, size, window))
    }
    await raw?.close()
    for (const peer of [alice, bob]) peer.tell({ type: 'stop' })
    await Promise.all([alice.ended(), bob.ended()])
  } finally {
    alice.kill()
    bob.kill()
  }
}

async function profile(alice: Peer, bob: Peer, starts: boolean): Promise<void> {
  for (const [name, peer] of Object.entries({ alice, bob })) {
    peer.tell(starts ? { type: 'profile' } : { type: 'profile', to: join(flags.profile ?? '.', `${name}.cpuprofile`) })
    await peer.hear('profile')
  }
}

function print(): void {
  const detail = `${size}-byte texts, at most ${window} without a receipt, durable on both sides`
  const alone = `${size}-byte texts in one direction, encrypt + decrypt alone, one process`
  const { rate, session, libsignal, raw } = figures
  printFigure({ name: 'messages-per-second', ...spread(rate), unit: '1/s', goal: { atLeast: 3000 }, command, detail })
  const cpu = [
    ['sender-cpu-per-message', figures.senderCpu, 'peer process'],
    ['receiver-cpu-per-message', figures.receiverCpu, 'peer process'],
    ['sender-webrtc-cpu-per-message', figures.senderChildCpu, 'WebRTC child'],
    ['receiver-webrtc-cpu-per-message', figures.receiverChildCpu, 'WebRTC child'],
  ] as const
  for (const [name, values, what] of cpu) printFigure({ name, ...spread(values), unit: 'µs', command, detail: what })
  printFigure({ name: 'own-session-alone', ...spread(session), unit: '1/s', command, detail: alone })
  const ratio = (values: readonly number[], base: readonly number[]) =>
    spread(values.map((value, round) => value / (base[round] ?? Number.NaN)))
  if (libsignal.length > 0) {
    const text = `${libsignalName}: ${alone}`
    printFigure({ name: 'libsignal-alone', ...spread(libsignal), unit: '1/s', command, detail: text })
    const unit = '× libsignal alone'
    printFigure({ name: 'messages-per-libsignal', ...ratio(rate, libsignal), unit, command, detail })
  }
  if (raw.length > 0) {
    const text = `@roamhq/wrtc between two processes, ${size}-byte messages, at most ${window} not acknowledged`
    printFigure({ name: 'raw-channel', ...spread(raw), unit: '1/s', command, detail: text })
    printFigure({ name: 'messages-per-raw-channel', ...ratio(rate, raw), unit: '× raw channel', command, detail })
  }
}

const folder = temporaryFolder()
try {
  await measure(folder.path)
  print()
} finally {
  folder.remove()
}
