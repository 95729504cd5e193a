/**
 * The WebRTC child: the program of a process that runs libwebrtc and nothing else. It holds no key, opens no file of a
 * home (compiled code in the cache folder aside), sees only ciphertext, and obeys the peer at the other end of file
 * descriptor 3. When that closes, it ends.
 */
import { flushCompileCache } from 'node:module'
import { Socket } from 'node:net'
import type { TransportEvent } from '@miaou/network'
import { WebRtcAdapter } from './adapter.ts'
import { type ChildCall, type ChildReport, eventToReport, parseCall, pipeOf } from './child-protocol.ts'
import { type Frame, FrameIntake, FrameWriter, frameKind } from './frames.ts'
import type { WebRtcOptions } from './options.ts'
import type { PeerConnectionFactory, PeerConnectionLike } from './w3c.ts'

// A peer that does not read while messages pour in: beyond this the child would eat the machine's memory.
const unreadMax = 256 * 1024 * 1024

// Guesses: a collection takes some milliseconds, sixteen connections take some ten megabytes.
const tidyDelayMs = 1000
const closedMax = 16

let starting: Promise<void> | undefined
/** Frames that came while the library loads. */
let waiting: Frame[] | undefined
let closedCount = 0
let tidying: NodeJS.Timeout | undefined
const intake = new FrameIntake(takeOrKeep)
// Read into one buffer of our own: Node's way allocates 64 KiB for every read, whatever its size.
const stream = new Socket({
  fd: 3,
  readable: true,
  writable: true,
  onread: {
    buffer: () => intake.space(),
    callback: (size) => {
      if (!intake.taken(size)) process.exit(1)
      return true
    },
  },
})
const writer = new FrameWriter(stream)
let adapter: WebRtcAdapter | undefined

function report(pipe: number, value: ChildReport): void {
  writer.writeControl(pipe, value)
}

function emit(event: TransportEvent): void {
  if (event.type === 'message') {
    writer.write(event.channel === 0 ? frameKind.messages : frameKind.signals, event.pipe, event.bytes)
    if (writer.bufferedBytes > unreadMax) process.exit(1)
    return
  }
  const value = eventToReport(event)
  if (value !== undefined) report(event.pipe, value)
  if (event.type === 'closed') tidyAfter()
}

// A connection is most of a megabyte of native memory behind a few small objects: V8 sees no reason to collect them, so
// it is told to, after some pipes closed or a little after the last (test/webrtc-soak: 700 KiB a cycle otherwise).
function tidyAfter(): void {
  closedCount++
  clearTimeout(tidying)
  // Not within the close: the pipe is still being taken apart.
  tidying = setTimeout(tidy, closedCount >= closedMax ? 0 : tidyDelayMs)
}

function tidy(): void {
  closedCount = 0
  globalThis.gc?.()
}

async function start(options: WebRtcOptions): Promise<void> {
  const createConnection = await loadLibrary()
  if (createConnection === undefined) return
  adapter = new WebRtcAdapter(createConnection, options)
  await adapter.start({ emit, nextPipe: () => pipeOf(0) })
  // Kept now and not at the end, which may be sudden; a little later, so that the first pipe does not wait for it.
  setTimeout(() => flushCompileCache?.(), tidyDelayMs).unref()
}

async function loadLibrary(): Promise<PeerConnectionFactory | undefined> {
  try {
    const { default: library } = await import('@roamhq/wrtc')
    return (configuration) => new library.RTCPeerConnection(configuration) as PeerConnectionLike
  } catch (error) {
    report(0, { report: 'unavailable', detail: error instanceof Error ? error.message : String(error) })
    writer.flush()
    return undefined
  }
}

// libwebrtc's wrapper crashes when a process that used it ends by itself: it must close everything and exit.
async function stop(): Promise<void> {
  await adapter?.stop()
  writer.flush()
  stream.end(() => process.exit(0))
}

function obey(pipe: number, call: ChildCall): void {
  const id = pipeOf(pipe)
  switch (call.call) {
    case 'start':
      if (starting === undefined) starting = start(call.options)
      break
    case 'ice-servers':
      adapter?.setIceServers(call.servers)
      break
    case 'offer':
      adapter?.offer(id)
      break
    case 'accept':
      adapter?.accept(id, call.description)
      break
    case 'answer':
      adapter?.answer(id, call.description)
      break
    case 'candidate':
      adapter?.addCandidate(id, call.candidate)
      break
    case 'close':
      adapter?.close(id)
      break
    case 'ping':
      report(0, { report: 'pong' })
      break
    case 'stop':
      void stop()
      break
  }
}

function take({ kind, pipe, body }: Frame): void {
  if (kind === frameKind.control) {
    const call = parseCall(body)
    if (call !== undefined) obey(pipe, call)
  } else {
    adapter?.send(pipeOf(pipe), kind === frameKind.messages ? 0 : 1, body)
  }
}

function takeOrKeep(frame: Frame): void {
  if (waiting !== undefined) {
    waiting.push({ ...frame, body: frame.body.slice() })
    return
  }
  take(frame)
  if (starting === undefined || adapter !== undefined) return
  waiting = []
  void starting.then(() => {
    const frames = waiting ?? []
    waiting = undefined
    for (const one of frames) take(one)
  })
}

// Guess: time for the last packets to leave this machine.
const abandonMs = 100

// The peer is gone, killed perhaps. Whoever it talked with is told by the connections' end, at once, instead of finding
// out by silence.
function abandon(): void {
  adapter?.abandon()
  setTimeout(() => process.exit(0), abandonMs)
}

stream.on('error', abandon)
stream.on('close', abandon)
stream.on('end', abandon)
