/**
 * Delivered, stored-on-both-sides texts a second in one conversation: two peers in two processes, WebRTC on loopback,
 * SQLite on disk, beside libsignal-client (encrypt + decrypt alone) and a raw @roamhq/wrtc channel in the same run.
 * `--messages N` (20000), `--rounds N` (3), `--size BYTES` (100), `--window N` (512), `--no-peers`.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { temporaryFolder } from '@miaou/testkit/processes'
import { printFigure, spread } from './figure.ts'
import type { FromPeer, ToPeer } from './message-rate-peer.ts'

const { values: flags } = parseArgs({
  options: {
    messages: { type: 'string', default: '20000' },
    rounds: { type: 'string', default: '3' },
    size: { type: 'string', default: '100' },
    window: { type: 'string', default: '512' },
  },
})
const [count, rounds, size, window] = [flags.messages, flags.rounds, flags.size, flags.window].map(Number) as [
  number,
  number,
  number,
  number,
]
const command = `node bench/src/message-rate.ts --messages ${count} --rounds ${rounds} --size ${size} --window ${window}`

class RemotePeer {
  readonly #child: ChildProcess
  readonly #inbox: FromPeer[] = []
  #wake: () => void = () => undefined

  constructor(home: string) {
    this.#child = fork(new URL('./message-rate-peer.ts', import.meta.url), [home])
    this.#child.on('message', (message: FromPeer) => {
      this.#inbox.push(message)
      this.#wake()
    })
  }

  tell(message: ToPeer): void {
    this.#child.send(message)
  }

  async hear<T extends FromPeer['type']>(type: T): Promise<Extract<FromPeer, { type: T }>> {
    for (;;) {
      const index = this.#inbox.findIndex((message) => message.type === type)
      if (index >= 0) return this.#inbox.splice(index, 1)[0] as Extract<FromPeer, { type: T }>
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }

  stop(): Promise<void> {
    this.tell({ type: 'stop' })
    return new Promise((resolve) => this.#child.on('exit', () => resolve()))
  }
}

const folder = temporaryFolder()
try {
  const alice = new RemotePeer(join(folder.path, 'alice'))
  const bob = new RemotePeer(join(folder.path, 'bob'))
  await Promise.all([alice.hear('ready'), bob.hear('ready')])
  bob.tell({ type: 'invite' })
  alice.tell({ type: 'add', invite: (await bob.hear('invite')).invite })
  await Promise.all([alice.hear('linked'), bob.hear('linked')])
  const rates: number[] = []
  const senderCpuUs: number[] = []
  for (let round = 0; round < rounds; round++) {
    alice.tell({ type: 'run', count, size, window })
    const { ms, cpuMs } = await alice.hear('ran')
    rates.push((count / ms) * 1000)
    senderCpuUs.push((cpuMs / count) * 1000)
    bob.tell({ type: 'count' })
    const { messages } = await bob.hear('count')
    if (messages !== (round + 1) * count) throw new Error(`${messages} of ${(round + 1) * count} were received`)
  }
  const detail = `${size}-byte texts, at most ${window} without a receipt, durable on both sides`
  printFigure({ name: 'messages-per-second', ...spread(rates), unit: '1/s', goal: { atLeast: 3000 }, command, detail })
  printFigure({
    name: 'sender-cpu-per-message',
    ...spread(senderCpuUs),
    unit: 'µs',
    command,
    detail: 'peer process only',
  })
  await Promise.all([alice.stop(), bob.stop()])
} finally {
  folder.remove()
}
