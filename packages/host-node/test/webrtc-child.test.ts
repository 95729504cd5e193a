import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { PipeId, SignalledTransport, TransportEvent } from '@miaou/network'
import { freshPipe, type RecordingHost, startRecorded } from '@miaou/testkit'
import { afterEach, describe, expect, test } from 'vitest'
import { ChildWebRtcTransport } from '../src/webrtc/child-client.ts'
import { createWebRtcTransport, hasWrtcBinary } from '../src/webrtc/webrtc-transport.ts'
import { WeriftTransport } from '../src/webrtc/werift-transport.ts'
import { soak } from './webrtc-soak.ts'

const cleanups: (() => Promise<unknown>)[] = []

afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup()
})

interface Peer {
  readonly transport: ChildWebRtcTransport
  readonly host: RecordingHost
}

async function peer(options: ConstructorParameters<typeof ChildWebRtcTransport>[0] = {}): Promise<Peer> {
  const transport = new ChildWebRtcTransport({ loopbackOnly: true, ...options })
  const { host } = await startRecorded(transport)
  cleanups.push(() => transport.stop())
  return { transport, host }
}

/** Opens a pipe between two peers; resolves to its number at each end. */
async function open(a: Peer, b: Peer): Promise<[PipeId, PipeId]> {
  const [pipeA, pipeB] = [freshPipe(), freshPipe()]
  carry(a.host, pipeA, b.transport, pipeB)
  carry(b.host, pipeB, a.transport, pipeA)
  a.transport.offer(pipeA)
  await Promise.all([a.host.opened(pipeA), b.host.opened(pipeB)])
  return [pipeA, pipeB]
}

function carry(host: RecordingHost, from: PipeId, target: SignalledTransport, to: PipeId): void {
  host.onEvent((event: TransportEvent) => {
    if (event.pipe !== from) return
    if (event.type === 'candidate') target.addCandidate(to, event.candidate)
    if (event.type !== 'description') return
    if (event.description.type === 'offer') target.accept(to, event.description)
    else target.answer(to, event.description)
  })
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

async function untilDead(pid: number): Promise<void> {
  while (isAlive(pid)) await new Promise((resolve) => setImmediate(resolve))
}

describe('the WebRTC child', () => {
  test('starts on first use and ends with stop', async () => {
    const { transport, host } = await peer()
    expect(transport.childPid).toBeUndefined()
    transport.offer(freshPipe())
    const pid = transport.childPid ?? 0
    await host.until(() => host.ofType('description').length === 1)
    expect(isAlive(pid)).toBe(true)
    await transport.stop()
    expect(isAlive(pid)).toBe(false)
  })

  test('killed, it costs its own pipes only, and the next use starts another', async () => {
    const [a, b] = [await peer(), await peer()]
    const [first] = await open(a, b)
    const [second] = await open(a, b)
    const opening = freshPipe()
    a.transport.offer(opening)
    const pid = a.transport.childPid ?? 0
    process.kill(pid, 'SIGKILL')
    for (const pipe of [first, second, opening]) {
      const { error } = await a.host.closed(pipe)
      expect(error).toMatchObject({ type: 'broken', detail: expect.stringContaining('SIGKILL') })
    }
    a.transport.send(first, 0, Uint8Array.of(1))
    const [pipeA, pipeB] = await open(a, b)
    expect(a.transport.childPid).not.toBe(pid)
    a.transport.send(pipeA, 0, Uint8Array.of(2))
    expect(await b.host.received(pipeB, 1)).toEqual([Uint8Array.of(2)])
    expect(a.host.violations).toEqual([])
  })

  test('killed while it starts, its pipe ends', async () => {
    const { transport, host } = await peer()
    const pipe = freshPipe()
    transport.offer(pipe)
    process.kill(transport.childPid ?? 0, 'SIGKILL')
    expect((await host.closed(pipe)).error?.type).toBe('broken')
  })

  test('a child that hangs is given up', async () => {
    const { transport, host } = await peer({ watchdogMs: 1500 })
    const pipe = freshPipe()
    transport.offer(pipe)
    await host.until(() => host.ofType('description').length === 1)
    process.kill(transport.childPid ?? 0, 'SIGSTOP')
    expect((await host.closed(pipe)).error).toMatchObject({ detail: expect.stringContaining('no longer answers') })
  })

  test('gets nothing of the environment', async () => {
    const { transport, host } = await peer()
    process.env['MIAOU_PASSPHRASE'] = 'a secret'
    transport.offer(freshPipe())
    await host.until(() => host.ofType('description').length === 1)
    delete process.env['MIAOU_PASSPHRASE']
    const path = `/proc/${transport.childPid}/environ`
    if (!existsSync(path)) return
    const { readFileSync } = await import('node:fs')
    expect(readFileSync(path, 'utf8')).not.toMatch(/PASSPHRASE|HOME|PATH/)
  })

  test('ends by itself when its parent is killed', async () => {
    const client = fileURLToPath(new URL('../src/webrtc/child-client.ts', import.meta.url))
    const script = `
      import { ChildWebRtcTransport } from ${JSON.stringify(client)}
      const transport = new ChildWebRtcTransport({ loopbackOnly: true })
      await transport.start({ emit: () => console.log(transport.childPid), nextPipe: () => 0 })
      transport.offer(1)`
    const parent = spawn(process.execPath, ['--input-type=module', '--eval', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const [output] = await once(parent.stdout, 'data')
    const pid = Number(String(output).split('\n')[0])
    expect(isAlive(pid)).toBe(true)
    parent.kill('SIGKILL')
    await untilDead(pid)
  })

  test('after stop the process ends by itself', async () => {
    const client = fileURLToPath(new URL('../src/webrtc/child-client.ts', import.meta.url))
    const script = `
      import { ChildWebRtcTransport } from ${JSON.stringify(client)}
      const transport = new ChildWebRtcTransport({ loopbackOnly: true })
      const emit = (event) => event.type === 'description' && transport.stop()
      await transport.start({ emit, nextPipe: () => 0 })
      transport.offer(1)`
    const parent = spawn(process.execPath, ['--input-type=module', '--eval', script], { stdio: 'inherit' })
    expect(await once(parent, 'close')).toEqual([0, null])
  })

  test('further pipes than the bound are refused', async () => {
    const { transport, host } = await peer({ pipesMax: 1 })
    const [first, second] = [freshPipe(), freshPipe()]
    transport.offer(first)
    transport.offer(second)
    expect((await host.closed(second)).error).toEqual({ type: 'too-many-pipes', pipesMax: 1 })
    transport.close(first)
    expect((await host.closed(first)).error).toBeUndefined()
  })

  test('a pipe that finds no answer ends in a timeout', async () => {
    const { transport, host } = await peer({ connectionTimeoutMs: 100 })
    const pipe = freshPipe()
    transport.offer(pipe)
    expect((await host.closed(pipe)).error).toEqual({ type: 'timeout', afterMs: 100 })
  })

  test('a reader that is stopped is given up at the bound, and the writer lives', async () => {
    const [a, b] = [await peer({ bufferedMax: 4 * 1024 * 1024 }), await peer()]
    const [pipeA] = await open(a, b)
    process.kill(b.transport.childPid ?? 0, 'SIGSTOP')
    for (let i = 0; i < 400; i++) a.transport.send(pipeA, 0, new Uint8Array(65_536))
    expect((await a.host.closed(pipeA)).error?.type).toBe('broken')
    process.kill(b.transport.childPid ?? 0, 'SIGKILL')
  })

  test('loopback only: nothing else is told', async () => {
    const { transport, host } = await peer()
    const pipe = freshPipe()
    transport.offer(pipe)
    await host.until(() => host.ofType('candidate').some(({ candidate }) => candidate.candidate === ''))
    const told = host.ofType('candidate').map(({ candidate }) => candidate.candidate)
    expect(told.length).toBeGreaterThan(1)
    for (const candidate of told.slice(0, -1)) expect(candidate).toContain(' 127.0.0.1 ')
    const sdp = host.ofType('description')[0]?.description.sdp ?? ''
    for (const line of sdp.match(/^a=candidate.*$/gm) ?? []) expect(line).toContain(' 127.0.0.1 ')
  })

  test('twenty cycles of opening and closing end orderly', async () => {
    expect((await soak(20)).cycles).toBe(20)
  })
})

describe('the choice of a library', () => {
  test('is libwebrtc where its binary is, werift where it is asked for', () => {
    expect(createWebRtcTransport({ library: 'werift' })).toBeInstanceOf(WeriftTransport)
    expect(createWebRtcTransport({ library: 'wrtc' })).toBeInstanceOf(ChildWebRtcTransport)
    expect(createWebRtcTransport()).toBeInstanceOf(hasWrtcBinary() ? ChildWebRtcTransport : WeriftTransport)
  })
})
