/** A relay in a process of its own, as `bench:relay` measures it. Argument: the bounds of the engine, as JSON. */
import { randomBytes } from 'node:crypto'
import { createRelayHost, systemClock, systemRandom, WebSocketTransport } from '@miaou/host-node'
import type { RelayLimits } from '@miaou/network'
import { formatRelayAddress } from '@miaou/protocol'
import { cpuUs, residentMb } from '../overlay/process-cost.ts'

export interface RelayCost {
  readonly cpuMs: number
  readonly residentMb: number
  readonly circuits: number
  readonly links: number
  readonly bytesPassed: number
  readonly counters: Readonly<Record<string, number>>
}

export type FromRelay =
  | { readonly type: 'listening'; readonly address: string }
  | ({ readonly type: 'cost' } & RelayCost)

export type ToRelay = { readonly type: 'cost'; readonly memory: boolean } | { readonly type: 'stop' }

function say(message: FromRelay): void {
  process.send?.(message)
}

const limits = JSON.parse(process.argv[2] ?? '{}') as Partial<RelayLimits>
const key = randomBytes(32)
const websocket = new WebSocketTransport({ host: '127.0.0.1', port: 0, unfinishedMax: 4_096 })
const relay = await createRelayHost({
  random: systemRandom,
  clock: systemClock,
  keyring: { storeKey: () => Uint8Array.from(key) },
  log: { write: () => undefined },
  websocket,
  limits,
  onCrash: (error) => {
    throw error
  },
})
relay.start()
const listening = await websocket.start({ emit: () => undefined, nextPipe: () => 0 as never })
if (!listening.ok) throw new Error(listening.error.type)
say({ type: 'listening', address: formatRelayAddress(relay.relayAddress(listening.value[0] ?? '')) })

process.on('message', async (message: ToRelay) => {
  if (message.type === 'cost') {
    const resident = message.memory ? await residentMb() : 0
    const { circuits, links, bytesPassed, counters } = relay.view()
    say({ type: 'cost', cpuMs: cpuUs() / 1_000, residentMb: resident, circuits, links, bytesPassed, counters })
    return
  }
  if (message.type !== 'stop') return
  await relay.stop()
  await websocket.stop()
  process.disconnect()
})
