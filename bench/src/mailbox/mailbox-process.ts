/** A mailbox in a process of its own, as `bench:mailbox` measures it. Argument: its folder. */
import { randomBytes } from 'node:crypto'
import { createMailboxHost, systemClock, systemRandom, WebSocketTransport } from '@miaou/host-node'
import { formatMailboxAddress } from '@miaou/protocol'
import { cpuUs } from '../overlay/process-cost.ts'

export type FromMailbox =
  | { readonly type: 'listening'; readonly url: string; readonly address: string }
  /** Wall-clock ms at which the owner of a box was next told that the box is there: what waits follows at once. */
  | { readonly type: 'registered'; readonly at: number }
  | { readonly type: 'cost'; readonly cpuMs: number; readonly counters: Readonly<Record<string, number>> }

export type ToMailbox = { readonly type: 'cost' } | { readonly type: 'watch' } | { readonly type: 'stop' }

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
const [url = ''] = listening.value
say({ type: 'listening', url, address: formatMailboxAddress(mailbox.mailboxAddress(url)) })

/** Looks every ms, which costs little beside the figure: a message from the engine would be another program. */
function watch(): void {
  const count = (): number => mailbox.view().counters['registered'] ?? 0
  const before = count()
  const timer = setInterval(() => {
    if (count() === before) return
    clearInterval(timer)
    say({ type: 'registered', at: performance.timeOrigin + performance.now() })
  }, 1)
}

process.on('message', async (message: ToMailbox) => {
  if (message.type === 'cost') {
    say({ type: 'cost', cpuMs: cpuUs() / 1_000, counters: mailbox.view().counters })
    return
  }
  if (message.type === 'watch') {
    watch()
    return
  }
  await mailbox.stop()
  await websocket.stop()
  process.disconnect()
})
