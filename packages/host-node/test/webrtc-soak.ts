/**
 * Opens and closes WebRTC pipes over and over and prints what memory that leaves behind, as one JSON line.
 *
 *   node packages/host-node/test/webrtc-soak.ts [--cycles 500]
 *
 * Two transports in this process, each with its child; every pipe carries a message both ways. Growth is counted from
 * the end of a warm-up of a tenth of the cycles. Loopback only.
 */
import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import type { PipeId, TransportEvent } from '@miaou/network'
import { ChildWebRtcTransport } from '../src/webrtc/child-client.ts'

export interface SoakReport {
  readonly cycles: number
  /** Growth of resident memory, in KiB; of the children: of both together. */
  readonly parentGrowthKib: number
  readonly childrenGrowthKib: number
  readonly parentKib: number
  readonly childrenKib: number
}

interface End {
  readonly transport: ChildWebRtcTransport
  readonly listeners: Map<PipeId, (event: TransportEvent) => void>
}

let lastPipe = 0

async function createEnd(): Promise<End> {
  const transport = new ChildWebRtcTransport({ loopbackOnly: true })
  const listeners = new Map<PipeId, (event: TransportEvent) => void>()
  const nextPipe = () => ++lastPipe as PipeId
  await transport.start({ emit: (event) => listeners.get(event.pipe)?.(event), nextPipe })
  return { transport, listeners }
}

/** Opens one pipe, sends a message each way, closes it. */
async function cycle(a: End, b: End): Promise<void> {
  const [pipeA, pipeB] = [++lastPipe as PipeId, ++lastPipe as PipeId]
  const message = new Uint8Array(1000)
  const end = (own: End, pipe: PipeId, other: End, otherPipe: PipeId, closes: boolean): Promise<void> =>
    new Promise((resolve, reject) => {
      own.listeners.set(pipe, (event) => {
        if (event.type === 'opened') own.transport.send(pipe, 0, message)
        else if (event.type === 'message' && closes) own.transport.close(pipe)
        else if (event.type === 'candidate') other.transport.addCandidate(otherPipe, event.candidate)
        else if (event.type === 'description') {
          if (event.description.type === 'offer') other.transport.accept(otherPipe, event.description)
          else other.transport.answer(otherPipe, event.description)
        } else if (event.type === 'closed') {
          own.listeners.delete(pipe)
          if (event.error === undefined) resolve()
          else reject(new Error(JSON.stringify(event.error)))
        }
      })
    })
  const ended = [end(a, pipeA, b, pipeB, true), end(b, pipeB, a, pipeA, false)]
  a.transport.offer(pipeA)
  await Promise.all(ended)
}

/** Resident memory of a process in KiB (proc(5), Linux only). */
function residentKib(pid: number | undefined): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1])
}

/** Runs the cycles. */
export async function soak(cycles: number): Promise<SoakReport> {
  const [a, b] = [await createEnd(), await createEnd()]
  const measure = () => ({
    parent: residentKib(process.pid),
    children: residentKib(a.transport.childPid) + residentKib(b.transport.childPid),
  })
  for (let i = 0; i < Math.ceil(cycles / 10); i++) await cycle(a, b)
  const before = measure()
  for (let i = 0; i < cycles; i++) await cycle(a, b)
  const after = measure()
  await Promise.all([a.transport.stop(), b.transport.stop()])
  return {
    cycles,
    parentGrowthKib: after.parent - before.parent,
    childrenGrowthKib: after.children - before.children,
    parentKib: after.parent,
    childrenKib: after.children,
  }
}

if (import.meta.main) {
  const { values } = parseArgs({ options: { cycles: { type: 'string', default: '500' } } })
  console.log(JSON.stringify(await soak(Number(values.cycles))))
}
