/** A mailbox in a process of its own, as `bench:mailbox` measures it. Argument: its folder. */
import { randomBytes } from 'node:crypto'
import { createMailboxHost, systemClock, systemRandom, WebSocketTransport } from '@miaou/host-node'
import { cpuUs } from '../overlay/process-cost.ts'

export type FromMailbox =
  | { readonly type: 'listening'; readonly url: string }
  | { readonly type: 'cost'; readonly cpuMs: number; readonly counters: Readonly<Record<string, number>> }

export type ToMailbox = { readonly type: 'cost' } | { readonly type: 'stop' }

function say(message: FromMailbox): void {
  process.send?.(message)
}

const key = randomBytes(32)
const websocket = new WebSocketTransport({ host: '127.0.0.1', port: 0, unfinishedMax: 4_096 })
const mailbox = await createMailboxHost({
  home: process.argv[2] ?? '',
  random: systemRandom,
  clock: systemClock,
  keyring: { storeKey: () => Uint8Array.from(key) },
  log: { write: () => undefined },
  websocket,
  onCrash: (error) => {
    throw error
  },
})
mailbox.start()
const listening = await websocket.start({ emit: () => undefined, nextPipe: () => 0 as never })
if (!listening.ok) throw new Error(listening.error.type)
say({ type: 'listening', url: listening.value[0] ?? '' })

process.on('message', async (message: ToMailbox) => {
  if (message.type === 'cost') {
    say({ type: 'cost', cpuMs: cpuUs() / 1_000, counters: mailbox.view().counters })
    return
  }
  await mailbox.stop()
  await websocket.stop()
  process.disconnect()
})
