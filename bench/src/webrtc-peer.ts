/**
 * One end of the WebRTC bench, in a process of its own: `raw` uses libwebrtc in this very process, `path` goes through
 * our child process. Commands and signals come over the IPC channel of `webrtc-path.ts`. Loopback only.
 */
import { readFileSync } from 'node:fs'
import { ChildWebRtcTransport } from '@miaou/host-node'
import type { IceCandidate, PipeId, SessionDescription, TransportEvent } from '@miaou/network'
import wrtc from '@roamhq/wrtc'
import type { Command, Report, Signal } from './webrtc-path.ts'

interface Line {
  send(bytes: Uint8Array): void
  close(): Promise<void>
}

interface Opening {
  readonly line: Promise<Line>
  take(signal: Signal): void
}

type OnBytes = (bytes: Uint8Array) => void

const isLoopback = (candidate: string) => candidate.includes(' 127.0.0.1 ')

function openRaw(isOfferer: boolean, tell: (signal: Signal) => void, onBytes: OnBytes): Opening {
  const connection = new wrtc.RTCPeerConnection({ iceServers: [] })
  const common = { protocol: 'miaou-v0.2.0', negotiated: true }
  const messages = connection.createDataChannel('miaou-messages', { ...common, id: 0, ordered: true })
  const signals = connection.createDataChannel('miaou-signals', {
    ...common,
    id: 1,
    ordered: false,
    maxRetransmits: 3,
  })
  messages.onmessage = ({ data }) => onBytes(new Uint8Array(data))
  const opened = [messages, signals].map(
    (channel) =>
      new Promise<void>((resolve) => {
        channel.onopen = () => resolve()
      }),
  )
  const early: IceCandidate[] = []
  let hasRemote = false
  const add = ({ candidate }: IceCandidate) => connection.addIceCandidate({ candidate, sdpMid: '0', sdpMLineIndex: 0 })
  connection.onicecandidate = ({ candidate }) => {
    if (candidate === null || !isLoopback(candidate.candidate)) return
    tell({ type: 'candidate', candidate: { candidate: candidate.candidate, sdpMid: '0', sdpMLineIndex: 0 } })
  }
  const describe = async (type: 'offer' | 'answer') => {
    const made = type === 'offer' ? await connection.createOffer() : await connection.createAnswer()
    await connection.setLocalDescription(made)
    tell({ type: 'description', description: { type, sdp: made.sdp ?? '' } })
  }
  if (isOfferer) void describe('offer')
  const setRemote = async (description: SessionDescription) => {
    await connection.setRemoteDescription(description)
    hasRemote = true
    for (const candidate of early.splice(0)) await add(candidate)
    if (description.type === 'offer') await describe('answer')
  }
  const close = async () => {
    for (const channel of [messages, signals]) {
      channel.onmessage = null
      channel.onopen = null
      channel.close()
    }
    connection.onicecandidate = null
    connection.close()
  }
  return {
    take: (signal) => {
      if (signal.type === 'description') void setRemote(signal.description)
      else if (hasRemote) void add(signal.candidate)
      else early.push(signal.candidate)
    },
    line: Promise.all(opened).then(() => ({ send: (bytes) => messages.send(bytes as Uint8Array<ArrayBuffer>), close })),
  }
}

const transport = new ChildWebRtcTransport({ loopbackOnly: true })
const listeners = new Map<PipeId, (event: TransportEvent) => void>()
let lastPipe = 0

async function startPath(): Promise<void> {
  const nextPipe = () => ++lastPipe as PipeId
  await transport.start({ emit: (event) => listeners.get(event.pipe)?.(event), nextPipe })
  transport.warmUp()
}

function openPath(isOfferer: boolean, tell: (signal: Signal) => void, onBytes: OnBytes): Opening {
  const pipe = ++lastPipe as PipeId
  const line = new Promise<Line>((resolve, reject) => {
    const closed = Promise.withResolvers<void>()
    listeners.set(pipe, (event) => {
      if (event.type === 'message') onBytes(event.bytes)
      else if (event.type === 'description' || event.type === 'candidate') tell(event)
      else if (event.type === 'opened') {
        const send = (bytes: Uint8Array) => transport.send(pipe, 0, bytes)
        const close = () => {
          transport.close(pipe)
          return closed.promise
        }
        resolve({ send, close })
      } else if (event.type === 'closed') {
        listeners.delete(pipe)
        closed.resolve()
        reject(new Error(JSON.stringify(event.error)))
      }
    })
  })
  if (isOfferer) transport.offer(pipe)
  const take = (signal: Signal) => {
    if (signal.type === 'candidate') transport.addCandidate(pipe, signal.candidate)
    else if (signal.description.type === 'offer') transport.accept(pipe, signal.description)
    else transport.answer(pipe, signal.description)
  }
  return { line, take }
}

const [mode] = process.argv.slice(2)
const open = mode === 'raw' ? openRaw : openPath
const report = (value: Report) => process.send?.(value)

let opening: Opening | undefined
let line: Line | undefined
let onBytes: OnBytes = () => undefined
/** A message of one byte acknowledges this many. */
const ackEvery = 16

function echoAcks(): void {
  let count = 0
  onBytes = () => {
    if (++count % ackEvery === 0) line?.send(Uint8Array.of(1))
  }
}

// Keeps `windowCount` messages under way until `count` are acknowledged.
async function push(count: number, size: number, windowCount: number): Promise<number> {
  const message = new Uint8Array(size).fill(7)
  let sent = 0
  let acknowledged = 0
  const startMs = performance.now()
  await new Promise<void>((resolve) => {
    const fill = () => {
      while (sent < count && sent - acknowledged < windowCount) {
        line?.send(message)
        sent++
      }
    }
    onBytes = () => {
      acknowledged += ackEvery
      if (acknowledged >= count) resolve()
      else fill()
    }
    fill()
  })
  return performance.now() - startMs
}

/** Processor time of this process and of its WebRTC child, in ms. Outside Linux the child's is missing. */
function cpuMs(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000 + childCpuMs(transport.childPid)
}

function childCpuMs(pid: number | undefined): number {
  if (pid === undefined || process.platform !== 'linux') return 0
  // proc(5): user and system time are fields 14 and 15, in ticks of 10 ms; the name in field 2 may hold spaces.
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
  return (Number(fields[11]) + Number(fields[12])) * 10
}

async function obey(command: Command): Promise<void> {
  switch (command.do) {
    case 'open': {
      const startMs = performance.now()
      opening = open(
        command.isOfferer,
        (signal) => report({ type: 'signal', signal }),
        (bytes) => onBytes(bytes),
      )
      line = await opening.line
      report({ type: 'done', ms: performance.now() - startMs })
      break
    }
    case 'signal':
      opening?.take(command.signal)
      break
    case 'echo':
      echoAcks()
      report({ type: 'done', ms: 0 })
      break
    case 'push':
      report({ type: 'done', ms: await push(command.count, command.size, command.windowCount) })
      break
    case 'cpu':
      report({ type: 'done', ms: cpuMs() })
      break
    case 'close':
      await line?.close()
      report({ type: 'done', ms: 0 })
      break
    case 'exit':
      await transport.stop()
      process.exit(0)
  }
}

if (mode !== 'raw') await startPath()
process.on('message', (command: Command) => void obey(command))
report({ type: 'done', ms: 0 })
